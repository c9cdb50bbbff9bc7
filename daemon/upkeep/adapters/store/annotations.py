"""Annotations in the store."""

from collections.abc import Sequence

import sqlalchemy as sa

from upkeep.adapters.store.tables import annotations
from upkeep.adapters.store.transaction import Transaction
from upkeep.domain.annotations import Annotation

_AFTER_SLASH = "0"
"""The letter behind `/`, where the subjects of one kind end."""


class Annotations:
    """The flows' AnnotationBook."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def find(self, subject: str) -> Annotation | None:
        query = sa.select(annotations).where(annotations.c.subject == subject)
        row = self._transaction.row(self._transaction.kept(query))
        return None if row is None else Annotation(row.subject, row.at, row.facts)

    def save(self, annotation: Annotation) -> None:
        values = {"subject": annotation.subject, "at": annotation.at, "facts": dict(annotation.facts)}
        self._transaction.put(annotations, values)

    def remove(self, subject: str) -> None:
        self._transaction.remove(annotations, annotations.c.subject == subject)

    def list(self, kind: str) -> Sequence[Annotation]:
        within = sa.and_(annotations.c.subject > f"{kind}/", annotations.c.subject < f"{kind}{_AFTER_SLASH}")
        query = sa.select(annotations).where(within).order_by(annotations.c.subject)
        return tuple(Annotation(row.subject, row.at, row.facts) for row in self._transaction.rows(query))
