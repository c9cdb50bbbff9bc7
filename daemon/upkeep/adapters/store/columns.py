"""Column types that keep the same value on SQLite and on PostgreSQL."""

import json
import re
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_MICROSECOND = timedelta(microseconds=1)

Number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
"""A number the database gives out; SQLite does so for INTEGER only."""

_ONE_OF = "one of"


def one_of(words: type[StrEnum]) -> dict[str, Any]:
    """What a column of names says of itself (`info`) when these are all that stand in it."""
    return {_ONE_OF: tuple(words)}


def words_of(column: sa.Column[Any]) -> tuple[str, ...]:
    """All that may stand in a column; nothing for one that says nothing of it."""
    return tuple(column.info.get(_ONE_OF, ()))


class Words(sa.types.TypeDecorator[str]):
    """Text for people. What no database keeps, NUL and lone surrogates, becomes U+FFFD."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> str | None:
        return None if value is None else _UNSTORABLE.sub("\ufffd", value)


class Name(sa.types.TypeDecorator[str]):
    """Text that is looked up and sorted, by code point whatever the database's locale is."""

    impl = sa.Text
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        return sa.Text(collation="C") if dialect.name == "postgresql" else sa.Text()

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> str | None:
        return None if value is None else _UNSTORABLE.sub("\ufffd", str(value))


class GitPath(sa.types.TypeDecorator[str]):
    """A path as git has it: any bytes, in Python with surrogate escapes."""

    impl = sa.LargeBinary
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> bytes | None:
        return None if value is None else value.encode("utf-8", "surrogateescape")

    def process_result_value(self, value: bytes | None, dialect: sa.Dialect) -> str | None:
        return None if value is None else value.decode("utf-8", "surrogateescape")


class Moment(sa.types.TypeDecorator[datetime]):
    """An aware time, kept in UTC. SQLite has it as text of one width, so that it sorts by time."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise TypeError(f"{value!r} has no time zone")
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Span(sa.types.TypeDecorator[timedelta]):
    """A length of time in microseconds."""

    impl = sa.BigInteger
    cache_ok = True

    def process_bind_param(self, value: timedelta | None, dialect: sa.Dialect) -> int | None:
        return None if value is None else value // _MICROSECOND

    def process_result_value(self, value: int | None, dialect: sa.Dialect) -> timedelta | None:
        return None if value is None else value * _MICROSECOND


class Json(sa.types.TypeDecorator[Any]):
    """JSON as text: in its order, and with every character escaped that a database refuses.

    PostgreSQL's own types are stricter than Python about NaN, and `jsonb` forgets the order of keys.
    """

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> str | None:
        return None if value is None else json.dumps(value, separators=(",", ":"))

    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> Any:
        return None if value is None else json.loads(value)
