"""What the books say to the database: the few statements they are made of."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache, lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from upkeep.adapters.store.tables import numbers


@dataclass(frozen=True, slots=True)
class Transaction:
    """A transaction under way. `writing` says whether what is read may have to be kept from changing; `held` are the
    templates that are kept so, with all that is of them, and `parted` the services whose parts nobody else holds."""

    connection: sa.Connection
    writing: bool
    held: set[str] = field(default_factory=set)
    parted: set[str] = field(default_factory=set)
    _known: dict[Hashable, sa.Row[Any] | None] = field(default_factory=dict)

    @property
    def many_write(self) -> bool:
        """Whether others write at the same time, so that it matters who waits for whom."""
        return self.writing and self.connection.dialect.name == "postgresql"

    def rows(self, query: sa.Select[Any], **values: Any) -> Sequence[sa.Row[*tuple[Any, ...]]]:
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

        SQLite has one writer at a time anyway, and would ignore what makes a new statement of one that is kept.
        """
        return _keeping(query) if self.many_write else query

    def insert(self, table: sa.Table, values: Mapping[str, Any]) -> bool:
        """Add a row; False when one with its keys is there already."""
        self.require_writing()
        statement = _adding(table, self.connection.dialect.name)
        done = self.connection.execute(statement, dict(values), execution_options={"preserve_rowcount": True})
        return done.rowcount > 0

    def insert_missing(self, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add those rows whose keys are not there yet. All of them have the same columns."""
        self.require_writing()
        if rows:
            self.connection.execute(_adding(table, self.connection.dialect.name), list(rows))

    def put(self, table: sa.Table, *rows: Mapping[str, Any]) -> None:
        """Add rows, or write each over the one with its primary key. All of them have the same columns."""
        self.require_writing()
        if rows:
            statement = _putting(table, tuple(rows[0]), self.connection.dialect.name)
            self.connection.execute(statement, list(rows))

    def next_number(self, name: str) -> int:
        """The next number of a sequence that never gives one twice, whatever becomes of its rows."""
        self.require_writing()
        statement = _counting(self.connection.dialect.name)
        return int(self.connection.execute(statement, {"name": name, "last": 1}).scalar_one())

    def last_number(self, name: str) -> int:
        """The number that a sequence gave last; 0 before the first."""
        return int(self.connection.execute(_LAST_NUMBER, {"name": name}).scalar() or 0)

    def rewrite(self, key: sa.Column[Any], value: object, values: Mapping[str, Any]) -> bool:
        """Write columns of the row that has this value in a column of its own; False when there is none."""
        self.require_writing()
        return self.connection.execute(_rewriting(key), {_KEY: value, **values}).rowcount > 0

    def change(self, table: sa.Table, where: sa.ColumnElement[bool], values: Mapping[str, Any]) -> int:
        """Change rows; returns how many."""
        self.require_writing()
        return self.connection.execute(sa.update(table).where(where).values(**values)).rowcount

    def save(self, table: sa.Table, values: Mapping[str, Any]) -> bool:
        """Change the row that has the primary key among these values; False when there is none."""
        self.require_writing()
        keys = {f"of_{column.name}": values[column.name] for column in table.primary_key}
        return self.connection.execute(_saving(table, tuple(values)), dict(values) | keys).rowcount > 0

    def remove(self, table: sa.Table, where: sa.ColumnElement[bool]) -> int:
        """Remove rows; returns how many."""
        self.require_writing()
        return self.connection.execute(sa.delete(table).where(where)).rowcount

    def inserting(self, table: sa.Table) -> "postgresql.Insert | sqlite.Insert":
        """An insert in the database's own dialect, which knows ON CONFLICT."""
        self.require_writing()
        return inserting(table, self.connection.dialect.name)

    def require_writing(self) -> None:
        """RuntimeError in a reading transaction."""
        # The database would refuse it as well, but with the words of one that cannot be written for now.
        if not self.writing:
            raise RuntimeError("a reading unit is asked to write")


# What follows is kept, because putting a statement together takes longer than having it done.


_KEY = "the row"
"""No column is called so: the others in the values of an update are the columns that it writes."""


@lru_cache(maxsize=256)
def _keeping(query: sa.Select[Any]) -> sa.Select[Any]:
    return query.with_for_update(key_share=True)


@cache
def _rewriting(key: sa.Column[Any]) -> sa.Update:
    return sa.update(key.table).where(key == sa.bindparam(_KEY))


@cache
def _adding(table: sa.Table, dialect: str) -> "postgresql.Insert | sqlite.Insert":
    return inserting(table, dialect).on_conflict_do_nothing()


@cache
def _counting(dialect: str) -> sa.Executable:
    statement = inserting(numbers, dialect)
    counted = statement.on_conflict_do_update(index_elements=["name"], set_={"last": numbers.c.last + 1})
    return counted.returning(numbers.c.last)


@cache
def _saving(table: sa.Table, columns: tuple[str, ...]) -> sa.Update:
    own = (column == sa.bindparam(f"of_{column.name}") for column in table.primary_key)
    return sa.update(table).where(*own).values({name: sa.bindparam(name) for name in columns})


@cache
def _putting(table: sa.Table, columns: tuple[str, ...], dialect: str) -> "postgresql.Insert | sqlite.Insert":
    statement = inserting(table, dialect)
    keys = [column.name for column in table.primary_key]
    written = {name: statement.excluded[name] for name in columns if name not in keys}
    return (
        statement.on_conflict_do_update(index_elements=keys, set_=written)
        if written
        else statement.on_conflict_do_nothing(index_elements=keys)
    )


def inserting(table: sa.Table, dialect: str) -> "postgresql.Insert | sqlite.Insert":
    """An insert in a dialect of its own, which knows ON CONFLICT."""
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)


def written(words: Iterable[StrEnum]) -> list[sa.ColumnClause[str]]:
    """Words of ours as they stand in a statement that is kept: as values, their number would be counted and the
    statement completed each time that it is asked."""
    return [sa.literal_column(f"'{word}'") for word in words]


_LAST_NUMBER = sa.select(numbers.c.last).where(numbers.c.name == sa.bindparam("name"))
