"""Lines: the rows of a database as text, one JSON object a line, the same whatever the database is.

The first line says what it is, `{"upkeep": 1, "revision": "0007"}`; then each row stands under the name of its table,
`{"templates": {"name": "vpc", …}}`, tables in the order in which they refer to each other and rows in the order of
their keys; the last line says how many there were and which numbers were given out last. What is null is left out,
times are in UTC, JSON stands as JSON, and bytes as text where they are UTF-8, else as `{"base64": "…"}`. Whatever YAML
does not allow is escaped, so that each line is YAML as well.

Columns are known by what the database itself says of them, so that an older program's rows can be read and written as
well: what a later revision made of them is for its migration to say.
"""

import base64
import binascii
import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from upkeep.adapters.store.columns import Json, words_of
from upkeep.adapters.store.tables import metadata
from upkeep.domain.errors import CallerError

FORMAT = 1
"""The form of the lines. What stands in them follows from the revision."""

ITEM = b"- "
"""What may stand before each line: then all of them together are one list in YAML."""

_HEAD, _END = "upkeep", "end"
_READ_AT_ONCE = 200
_FEW_AT_ONCE = 10
_LARGE = {"contents", "renders", "previews", "plans"}
"""Tables whose rows may be megabytes."""

_WRITTEN_AT_ONCE = 500
_BYTES_AT_ONCE = 4 << 20
_LARGEST = 1 << 63
_SURROGATE = re.compile("[\ud800-\udfff]")
_NOT_IN_YAML = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_REVISION = re.compile("(?!0000)[0-9]{4}")

LeftOut = Mapping[str, Collection[str] | None]
"""What is not written: columns by table, None for all of it."""

NOTHING: LeftOut = {}


@dataclass(slots=True)
class Counts:
    """How many rows of each table went by."""

    rows: dict[str, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        return sum(self.rows.values())


def written(connection: sa.Connection, revision: str, left_out: LeftOut, counts: Counts) -> Iterator[bytes]:
    """The lines of a database, read in one transaction and a few rows at a time."""
    tables = [table for table in ours(connection) if left_out.get(table.name, ()) is not None]
    yield _line({_HEAD: FORMAT, "revision": revision})
    for table in tables:
        counts.rows[table.name] = 0
        hidden = left_out.get(table.name) or ()
        columns = [(column, _writer(column)) for column in table.c if column.name not in hidden]
        query = sa.select(*(column for column, _ in columns)).order_by(*table.primary_key)
        at_once = _FEW_AT_ONCE if table.name in _LARGE else _READ_AT_ONCE
        found = connection.execution_options(yield_per=at_once).execute(query)
        for row in found:
            values = {
                column.name: write(value)
                for (column, write), value in zip(columns, row, strict=True)
                if value is not None
            }
            counts.rows[table.name] += 1
            yield _line({table.name: values})
    given = {table.name: last for table in tables if (last := _last_number(connection, table))}
    yield _line({_END: {"rows": counts.total, "numbers": given}})


def ours(connection: sa.Connection) -> list[sa.Table]:
    """Our own tables with the columns they have in the database, in the order in which they refer to each other."""
    inspector = sa.inspect(connection)
    there = set(inspector.get_table_names())
    names = [table.name for table in metadata.sorted_tables if table.name in there]
    columns = {name: found for (_, name), found in inspector.get_multi_columns(filter_names=names).items()}
    keys = {name: found for (_, name), found in inspector.get_multi_pk_constraint(filter_names=names).items()}
    return [
        sa.Table(
            name,
            sa.MetaData(),
            *(sa.Column(column["name"], column["type"], nullable=column["nullable"]) for column in columns[name]),
            sa.PrimaryKeyConstraint(*keys[name]["constrained_columns"]),
        )
        for name in names
    ]


def revision_of(head: bytes, name: str) -> str:
    """What revision the rows are of, by the first line. CallerError for what is no export."""
    try:
        said = json.loads(head.removeprefix(ITEM))
        form, revision = said[_HEAD], said["revision"]
    except (ValueError, KeyError, TypeError):
        raise CallerError(
            "this is no export of upkeep", where=f"{name}:1", cure="name a file that `upkeep export` has written"
        ) from None
    if form != FORMAT:
        raise CallerError(
            f"this program does not know the form {form} of an export", where=f"{name}:1", cure="use a newer upkeep"
        )
    if not isinstance(revision, str) or not _REVISION.fullmatch(revision):
        raise CallerError(
            f"`{revision}` is no revision of the tables", where=f"{name}:1", cure="write the one that stood there"
        )
    return revision


def insert(
    connection: sa.Connection, lines: Iterable[bytes], name: str, counts: Counts, *, edited: bool = False
) -> None:
    """Add the rows of all lines behind the first to empty tables. `name` is what faults call the file. What a person
    may have `edited` is looked through for words that no program writes.

    Raises CallerError for the first line that is wrong; what was added until then is for the caller to undo.
    """
    writing = _Writing(connection, name, counts, edited)
    for line in lines:
        writing.take(line)
    writing.end()


class _Writing:
    """Rows on their way into the tables, some at a time."""

    def __init__(self, connection: sa.Connection, name: str, counts: Counts, edited: bool) -> None:
        self._connection = connection
        self._name = name
        self._tally = counts
        self._tables = {table.name: _Columns(table, edited) for table in ours(connection)}
        counts.rows.update(dict.fromkeys(self._tables, 0))
        self._number = 1
        self._waiting: list[dict[str, Any]] = []
        self._bytes = 0
        self._of: _Columns | None = None
        self._ended = False

    def take(self, line: bytes) -> None:
        self._number += 1
        if self._ended:
            raise self._fault("something stands behind the end", "remove what was added to the file")
        try:
            (named,) = json.loads(line.removeprefix(ITEM)).items()
            name, value = named
        except UnicodeDecodeError:
            raise self._fault("this is no UTF-8", "take the file as it was written") from None
        except (ValueError, AttributeError, RecursionError):
            raise self._fault("this is no JSON object with one key", "put each row on a line of its own") from None
        if name == _END:
            self._finish(value)
            return
        columns = self._tables.get(name)
        if columns is None or not isinstance(value, dict):
            raise self._fault(f"there is no table `{name}` at this revision", "take the line out")
        if columns is not self._of or len(self._waiting) >= _WRITTEN_AT_ONCE or self._bytes > _BYTES_AT_ONCE:
            self._flush()
            self._of = columns
        self._waiting.append(columns.read(value, self._fault))
        self._bytes += len(line)
        self._tally.rows[name] += 1

    def end(self) -> None:
        if not self._ended:
            self._number += 1
            raise self._fault("the end is missing: it was not written whole", "write it again, or take an older one")

    def _finish(self, said: Any) -> None:
        self._flush()
        self._ended = True
        rows, numbers = (said.get("rows"), said.get("numbers")) if isinstance(said, dict) else (None, None)
        if rows != self._tally.total:
            raise self._fault(
                f"{self._tally.total} rows stand here, and {rows} were written",
                "take the file as it was written; whoever changes it on purpose changes this number too",
            )
        self._require_whole()
        for name, last in numbers.items() if isinstance(numbers, dict) else ():
            columns = self._tables.get(name)
            if columns is None or not _is_number(last) or last < 1 or not _numbered(columns.table):
                raise self._fault(f"`{name}` gives out no number {last}", "take it out of the line")
            _go_on_from(self._connection, columns.table, last)

    def _require_whole(self) -> None:
        """On SQLite references are not looked at while tables are changed, and have to be asked for."""
        if self._connection.dialect.name != "sqlite":
            return
        broken = self._connection.exec_driver_sql("PRAGMA foreign_key_check").first()
        if broken is not None:
            name, row, parent, _ = broken
            table = self._tables[name].table
            query = sa.select(*table.primary_key).where(sa.literal_column("rowid") == row)
            key = "/".join(str(value) for value in self._connection.execute(query).one())
            raise CallerError(
                f"`{key}` in `{name}` refers to a row of `{parent}` that is not there",
                where=self._name,
                cure="look for what it refers to and nobody wrote",
            )

    def _flush(self) -> None:
        if self._waiting and self._of is not None:
            try:
                self._connection.execute(self._of.insert, self._waiting)
            except (sa.exc.IntegrityError, sa.exc.DataError) as error:
                first = self._number - len(self._waiting)
                reason = str(error.orig).splitlines()[0]
                raise CallerError(
                    f"a row of `{self._of.table.name}` does not fit: {reason}",
                    where=f"{self._name}:{first}-{self._number - 1}",
                    cure="look for a key that comes twice, or for what a row refers to and nobody wrote",
                ) from error
        self._waiting, self._bytes = [], 0

    def _fault(self, message: str, cure: str) -> CallerError:
        return CallerError(message, where=f"{self._name}:{self._number}", cure=cure)


_Fault = Callable[[str, str], CallerError]


class _Columns:
    """The columns of one table, and how their values are read."""

    def __init__(self, table: sa.Table, edited: bool) -> None:
        self.table = table
        # Said for every column, so that a default of the database never stands in for what was null.
        self.insert = sa.insert(table).values({column.name: sa.bindparam(f"_{column.name}") for column in table.c})
        self._columns = [
            (column.name, f"_{column.name}", column.nullable, _reader(column, edited)) for column in table.c
        ]
        self._names = {column.name for column in table.c}

    def read(self, values: Mapping[str, Any], fault: _Fault) -> dict[str, Any]:
        if not values.keys() <= self._names:
            unknown = min(values.keys() - self._names)
            raise fault(f"`{self.table.name}` has no column `{unknown}` at this revision", "take it out")
        row: dict[str, Any] = {}
        for name, bound, nullable, reader in self._columns:
            value = values.get(name)
            if value is None:
                if not nullable:
                    raise fault(f"`{self.table.name}.{name}` is missing", "give it a value")
                row[bound] = None
                continue
            try:
                row[bound] = reader(value)
            except ValueError as error:
                message = f"`{self.table.name}.{name}` is not {error}"
                raise fault(message, "write it as `upkeep export` does") from None
        return row


_pack = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode
"""As `columns.Json` writes it."""

_tell = json.JSONEncoder(separators=(",", ":"), allow_nan=False, ensure_ascii=False).encode


def _line(value: Mapping[str, Any]) -> bytes:
    return _NOT_IN_YAML.sub(lambda found: f"\\u{ord(found[0]):04x}", _tell(value)).encode() + b"\n"


def _writer(column: sa.Column[Any]) -> Callable[[Any], Any]:
    known = metadata.tables[column.table.name].c.get(column.name)
    if known is not None and isinstance(known.type, Json):
        return _parsed
    if isinstance(column.type, sa.LargeBinary):
        return _told
    if isinstance(column.type, sa.DateTime):
        return _moment
    return lambda value: value


def _parsed(text: str) -> Any:
    """JSON as itself, where that is the same text when it is written again."""
    try:
        value = json.loads(text)
        same = isinstance(value, (dict, list)) and _pack(value) == text
        # Half a character can be written as JSON's escape, and not as UTF-8.
        return value if same and not ("\\ud" in text and _SURROGATE.search(_tell(value))) else text
    except (ValueError, RecursionError):
        return text


def _told(content: bytes) -> Any:
    try:
        return content.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(content).decode()}


def _moment(value: datetime) -> str:
    aware = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    return aware.isoformat().replace("+00:00", "Z")


def _reader(column: sa.Column[Any], edited: bool) -> Callable[[Any], Any]:
    known = metadata.tables[column.table.name].c.get(column.name)
    if edited and known is not None:
        if isinstance(known.type, Json):
            return _read_json
        if words := words_of(known):
            return lambda value: _read_word(value, words)
    match column.type:
        case sa.Boolean():
            return _read_flag
        case sa.Integer():
            return _read_number
        case sa.DateTime() as kind:
            return _read_moment if kind.timezone else lambda value: _read_moment(value).replace(tzinfo=None)
        case sa.LargeBinary():
            return _read_bytes
        case _:
            return _read_text


def _read_flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("true or false")
    return value


def _read_json(value: Any) -> str:
    """JSON as itself, or the text of some that would not be the same text when it is written again."""
    text = _read_text(value)
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("JSON") from None
    return text


def _read_word(value: Any, words: Sequence[str]) -> str:
    if value not in words:
        raise ValueError(f"one of {', '.join(words)}")
    return str(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and -_LARGEST <= value < _LARGEST


def _read_number(value: Any) -> int:
    if not _is_number(value):
        raise ValueError("a whole number of 64 bits")
    return int(value)


def _read_moment(value: Any) -> datetime:
    try:
        found = datetime.fromisoformat(value)
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (TypeError, ValueError, OverflowError):
        raise ValueError("a time like 2026-03-02T12:00:00Z") from None


def _read_bytes(value: Any) -> bytes:
    try:
        if isinstance(value, str):
            return value.encode()
        return base64.b64decode(value["base64"], validate=True)
    except (TypeError, KeyError, ValueError, binascii.Error):
        raise ValueError('a text, or {"base64": "…"}') from None


def _read_text(value: Any) -> str:
    if isinstance(value, (dict, list)):
        try:
            return _pack(value)
        except ValueError:
            raise ValueError("JSON") from None
    if not isinstance(value, str) or _UNSTORABLE.search(value):
        raise ValueError("a text without NUL and lone surrogates")
    return value


def _numbered(table: sa.Table) -> bool:
    """Whether the database gives out this table's keys. It never gives one twice, also when the row is gone."""
    known = metadata.tables[table.name]
    return bool(known.dialect_options["sqlite"]["autoincrement"])


def _last_number(connection: sa.Connection, table: sa.Table) -> int:
    if not _numbered(table):
        return 0
    if connection.dialect.name == "sqlite":
        found = connection.execute(sa.text("SELECT seq FROM sqlite_sequence WHERE name = :name"), {"name": table.name})
        return int(found.scalar() or 0)
    sequence = connection.execute(_sequence_of(table)).scalar_one()
    # PostgreSQL itself gives the name, in quotes where it needs them.
    query = f"SELECT last_value, is_called FROM {sequence}"  # noqa: S608  (a name that PostgreSQL gave)
    last, given = connection.execute(sa.text(query)).one()
    return int(last) if given else 0


def _go_on_from(connection: sa.Connection, table: sa.Table, last: int) -> None:
    if connection.dialect.name == "sqlite":
        named = {"name": table.name, "last": last}
        connection.execute(sa.text("DELETE FROM sqlite_sequence WHERE name = :name"), named)
        connection.execute(sa.text("INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :last)"), named)
    else:
        sequence = connection.execute(_sequence_of(table)).scalar_one()
        connection.execute(sa.select(sa.func.setval(sequence, last)))


def _sequence_of(table: sa.Table) -> sa.Select[Any]:
    (key,) = table.primary_key
    return sa.select(sa.func.pg_get_serial_sequence(table.name, key.name))
