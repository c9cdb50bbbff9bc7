"""Uploads in the store."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from upkeep.adapters.store.tables import uploads
from upkeep.adapters.store.transaction import Transaction
from upkeep.domain.names import TemplateName, Version
from upkeep.domain.uploads import Upload
from upkeep.domain.versions import CompatibleEnvironment


class Uploads:
    """The flows' UploadBook."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def add(self, upload: Upload) -> None:
        self._transaction.put(
            uploads,
            {
                "template": upload.template,
                "major": upload.version.major,
                "minor": upload.version.minor,
                "bucket": upload.bucket,
                "key": upload.key,
                "asked_by": upload.asked_by,
                "asked_at": upload.asked_at,
                "compatible_environments": [[one.template, one.major] for one in upload.compatible_environments],
                "message": upload.message,
            },
        )

    def find(self, template: TemplateName, version: Version) -> Upload | None:
        row = self._transaction.row(self._transaction.kept(sa.select(uploads).where(_is(template, version))))
        return None if row is None else _upload_of(row)

    def of_template(self, template: TemplateName) -> Sequence[Upload]:
        query = sa.select(uploads).where(uploads.c.template == template).order_by(uploads.c.major, uploads.c.minor)
        return tuple(_upload_of(row) for row in self._transaction.rows(query))

    def remove(self, template: TemplateName, version: Version) -> None:
        self._transaction.remove(uploads, _is(template, version))


def _is(template: TemplateName, version: Version) -> sa.ColumnElement[bool]:
    return sa.and_(uploads.c.template == template, uploads.c.major == version.major, uploads.c.minor == version.minor)


def _upload_of(row: Any) -> Upload:
    return Upload(
        TemplateName(row.template),
        Version(row.major, row.minor),
        row.bucket,
        row.key,
        row.asked_by,
        row.asked_at,
        tuple(CompatibleEnvironment(TemplateName(name), major) for name, major in row.compatible_environments),
        row.message,
    )
