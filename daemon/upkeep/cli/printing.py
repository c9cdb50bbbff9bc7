"""Printing: the same rows as a table, JSON, YAML or names."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import click

Row = Mapping[str, Any]
"""One thing with all that is known about it: texts, numbers, times, and lists and mappings of them."""


class Form(StrEnum):
    """How results are printed. WIDE is a table with more columns, NAME only what further commands take."""

    TABLE = "table"
    WIDE = "wide"
    JSON = "json"
    YAML = "yaml"
    NAME = "name"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: its title, and the key of the row that it shows. Some are shown in wide tables only."""

    title: str
    key: str
    wide: bool = False


def form_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """`-o table|wide|json|yaml|name`."""
    return click.option(
        "-o",
        "--output",
        "form",
        type=click.Choice([form.value for form in Form]),
        default=Form.TABLE.value,
        show_default=True,
        callback=lambda context, parameter, value: Form(value),
        help="How to print.",
    )(command)


def print_rows(rows: Sequence[Row], columns: Sequence[Column], name: str, form: Form, empty: str) -> None:
    """Print a list. `name` is the key of what names a row, `empty` what is said in place of an empty table."""
    match form:
        case Form.JSON | Form.YAML:
            _print_document([_plain(row) for row in rows], form)
        case Form.NAME:
            for row in rows:
                click.echo(row[name])
        case _ if not rows:
            click.echo(empty, err=True)
        case _:
            shown = [column for column in columns if form is Form.WIDE or not column.wide]
            _print_table([[column.title for column in shown], *([cell(row.get(c.key)) for c in shown] for row in rows)])


def print_row(row: Row, name: str, form: Form) -> None:
    """Print one thing: a line for each fact."""
    match form:
        case Form.JSON | Form.YAML:
            _print_document(_plain(row), form)
        case Form.NAME:
            click.echo(row[name])
        case _:
            width = max(len(key) for key in row) + 2
            for key, value in row.items():
                lines = cell(value).split("\n") if not isinstance(value, list | tuple | dict) else _listed(value)
                title = f"{key.replace('_', ' ')}:".ljust(width)
                click.echo(f"{title} {lines[0] if lines else '-'}".rstrip())
                for line in lines[1:]:
                    click.echo(f"{' ' * width} {line}".rstrip())


def cell(value: Any) -> str:
    """A value as people read it in a table."""
    match value:
        case None | "":
            return "-"
        case bool():
            return "yes" if value else "no"
        case datetime():
            return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
        case list() | tuple():
            return ", ".join(cell(item) for item in value) or "-"
        case dict():
            return ", ".join(f"{key}={cell(item)}" for key, item in value.items()) or "-"
    return str(value)


def _listed(value: Sequence[Any] | Mapping[str, Any]) -> list[str]:
    if isinstance(value, Mapping):
        return [f"{key} = {cell(item)}" for key, item in value.items()]
    return [cell(item) for item in value]


def _plain(value: Any) -> Any:
    match value:
        case datetime():
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case dict():
            return {str(key): _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case None | bool() | int() | float():
            return value
    return str(value)


def _print_document(value: Any, form: Form) -> None:
    if form is Form.JSON:
        click.echo(json.dumps(value, indent=2, ensure_ascii=False))
        return
    from upkeep.domain import documents

    click.echo(documents.dump(value), nl=False)


def _print_table(lines: Sequence[Sequence[str]]) -> None:
    flat = [[text.replace("\n", " ") for text in line] for line in lines]
    widths = [max(len(line[index]) for line in flat) for index in range(len(flat[0]))]
    for number, line in enumerate(flat):
        text = "  ".join(part.ljust(width) for part, width in zip(line, widths, strict=True)).rstrip()
        click.echo(click.style(text, bold=True) if number == 0 else text)
