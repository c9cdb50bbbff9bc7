"""What the books say to the database: the few statements they are made of."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite


@dataclass(frozen=True, slots=True)
class Transaction:
    """A transaction under way. `writing` says whether what is read may have to be kept from changing."""

    connection: sa.Connection
    writing: bool
    _known: dict[Hashable, sa.Row[Any] | None] = field(default_factory=dict)

    def rows(self, query: sa.Select[Any], **values: Any) -> Sequence[sa.Row[Any]]:
        """All rows as they are now. What every page asks is put together once, with names for its `values`: that takes
        a third of the time."""
        return self.connection.execute(query, values).all()

    def row(self, query: sa.Select[Any], **values: Any) -> sa.Row[Any] | None:
        """The first row as it is now. A transaction that only reads sees one state and asks for no row of it twice."""
        if self.writing:
            return self.connection.execute(query, values).first()
        asked = (query, *values.items())
        if asked not in self._known:
            self._known[asked] = self.connection.execute(query, values).first()
        return self._known[asked]

    def kept(self, query: sa.Select[Any]) -> sa.Select[Any]:
        """The same query; in a writing transaction nobody else changes its rows before the end.

        SQLite has one writer at a time anyway and ignores the clause.
        """
        return query.with_for_update(key_share=True) if self.writing else query

    def insert(self, table: sa.Table, values: Mapping[str, Any]) -> bool:
        """Add a row; False when one with its keys is there already."""
        statement = self.inserting(table).values(**values).on_conflict_do_nothing()
        return self.connection.execute(statement, execution_options={"preserve_rowcount": True}).rowcount > 0

    def put(self, table: sa.Table, values: Mapping[str, Any]) -> None:
        """Add a row, or write it over the one with its primary key."""
        statement = self.inserting(table).values(**values)
        keys = [column.name for column in table.primary_key]
        self.connection.execute(
            statement.on_conflict_do_update(
                index_elements=keys, set_={name: statement.excluded[name] for name in values if name not in keys}
            )
        )

    def change(self, table: sa.Table, where: sa.ColumnElement[bool], values: Mapping[str, Any]) -> int:
        """Change rows; returns how many."""
        self._require_writing()
        return self.connection.execute(sa.update(table).where(where).values(**values)).rowcount

    def remove(self, table: sa.Table, where: sa.ColumnElement[bool]) -> int:
        """Remove rows; returns how many."""
        self._require_writing()
        return self.connection.execute(sa.delete(table).where(where)).rowcount

    def inserting(self, table: sa.Table) -> "postgresql.Insert | sqlite.Insert":
        """An insert in the database's own dialect, which knows ON CONFLICT."""
        self._require_writing()
        if self.connection.dialect.name == "postgresql":
            return postgresql.insert(table)
        return sqlite.insert(table)

    def _require_writing(self) -> None:
        # The database would refuse it as well, but with the words of one that cannot be written for now.
        if not self.writing:
            raise RuntimeError("a reading unit is asked to write")
