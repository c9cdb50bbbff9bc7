"""What inputs may be: a type as a schema declares it, which values fit it, and which defaults complete them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from fractions import Fraction
from typing import Any

from upkeep.domain.patterns import TooSlow, found


class ValueType(StrEnum):
    """OpenAPI's six types (https://spec.openapis.org/oas/v3.0.3#data-types)."""

    STRING = "string"
    NUMBER = "number"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    ARRAY = "array"
    OBJECT = "object"


class Nothing(Enum):
    """The mark of a default that was not given; None is a value."""

    NOTHING = "nothing"


NOTHING = Nothing.NOTHING


@dataclass(frozen=True, slots=True)
class InputType:
    """A type with its constraints. None says that a constraint is absent.

    `additional` is OpenAPI's `additionalProperties`: False refuses members that `properties` does not name, a type
    constrains them. `line` is where the schema file declares it. `title`, `description` and `example` are for forms.
    """

    type: ValueType
    line: int = 0
    title: str | None = None
    description: str | None = None
    example: Any = None
    default: Any = NOTHING
    nullable: bool = False
    enum: tuple[Any, ...] | None = None
    pattern: str | None = None
    minimum: int | float | None = None
    maximum: int | float | None = None
    multiple_of: int | float | None = None
    min_length: int | None = None
    max_length: int | None = None
    min_items: int | None = None
    max_items: int | None = None
    items: "InputType | None" = None
    properties: "Mapping[str, InputType]" = field(default_factory=dict)
    required: tuple[str, ...] = ()
    additional: "bool | InputType" = True

    @property
    def has_default(self) -> bool:
        """Whether a value is known when none is given."""
        return self.default is not NOTHING


Keys = tuple[str | int, ...]
"""The way from a value to one of its members."""


@dataclass(frozen=True, slots=True)
class Violation:
    """A value that does not fit: the way to it, what is wrong, and the cure."""

    keys: Keys
    message: str
    cure: str


def spelled(keys: Sequence[str | int]) -> str:
    """The way to a value as people write it: `instances[0].spec.port`."""
    text = ""
    for key in keys:
        text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else key
    return text


def shown(value: Any) -> str:
    """A value for a message, shortened."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else f"{text[:60]}…"


def violations(input_type: InputType, value: Any) -> tuple[Violation, ...]:
    """Everything in which a value does not fit a type."""
    judge = _Judge()
    judge.value(input_type, value, ())
    return tuple(judge.found)


def completed(input_type: InputType, value: Any) -> Any:
    """A fitting value with the defaults of its members, in the order of the schema.

    Members without value and default stay out; members the schema does not name come last, as they were given.
    """
    if isinstance(value, dict):
        return completed_members(input_type, value, keep_unnamed=True)
    if isinstance(value, list) and input_type.items is not None:
        return [completed(input_type.items, item) for item in value]
    return value


def completed_members(input_type: InputType, given: Mapping[str, Any], *, keep_unnamed: bool) -> dict[str, Any]:
    """The members of a mapping as `completed` returns them, with or without those the schema does not name."""
    members = {}
    for name, member in input_type.properties.items():
        if name in given:
            members[name] = completed(member, given[name])
        elif member.has_default:
            members[name] = completed(member, member.default)
    if keep_unnamed:
        unnamed = input_type.additional if isinstance(input_type.additional, InputType) else None
        for name, value in given.items():
            if name not in input_type.properties:
                members[name] = completed(unnamed, value) if unnamed else value
    return members


def same(one: Any, other: Any) -> bool:
    """Whether two values are the same in JSON: 1 is 1.0, and True is not 1."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return bool(one == other)


def is_multiple(value: int | float, of: int | float) -> bool:
    """Whether a number is a whole multiple of another, reckoned in decimals as written: 0.3 is one of 0.1."""
    return Fraction(str(value)) % Fraction(str(of)) == 0


_KINDS = {
    ValueType.STRING: "a text",
    ValueType.NUMBER: "a number",
    ValueType.INTEGER: "a whole number",
    ValueType.BOOLEAN: "true or false",
    ValueType.ARRAY: "a list",
    ValueType.OBJECT: "a mapping",
}


def _is_of(kind: ValueType, value: Any) -> bool:
    match kind:
        case ValueType.STRING:
            return isinstance(value, str)
        case ValueType.NUMBER:
            return isinstance(value, int | float) and not isinstance(value, bool)
        case ValueType.INTEGER:
            return isinstance(value, int) and not isinstance(value, bool)
        case ValueType.BOOLEAN:
            return isinstance(value, bool)
        case ValueType.ARRAY:
            return isinstance(value, list)
        case ValueType.OBJECT:
            return isinstance(value, dict)


class _Judge:
    """Collects violations. A pattern that took too long is the last one it tries."""

    def __init__(self) -> None:
        self.found: list[Violation] = []
        self._patience = True

    def value(self, wanted: InputType, value: Any, keys: Keys) -> None:
        if value is None:
            if not wanted.nullable:
                self._note(keys, "is empty", "give it a value, or remove its line")
            return
        if not _is_of(wanted.type, value):
            cure = "put it in quotes" if wanted.type is ValueType.STRING else f"write {_KINDS[wanted.type]}"
            if wanted.type is not ValueType.STRING and isinstance(value, str):
                cure += " without quotes"
            self._note(keys, f"is {shown(value)}, not {_KINDS[wanted.type]}", cure)
            return
        if wanted.enum is not None and not any(same(value, allowed) for allowed in wanted.enum):
            choices = ", ".join(shown(allowed) for allowed in wanted.enum[:20])
            self._note(keys, f"is {shown(value)}, not one of {choices}", "choose one of them")
        match value:
            case str():
                self._text(wanted, value, keys)
            case list():
                self._list(wanted, value, keys)
            case dict():
                self._mapping(wanted, value, keys)
            case int() | float() if not isinstance(value, bool):
                self._number(wanted, value, keys)

    def _note(self, keys: Keys, message: str, cure: str) -> None:
        self.found.append(Violation(keys, message, cure))

    def _text(self, wanted: InputType, value: str, keys: Keys) -> None:
        self._size(wanted.min_length, wanted.max_length, len(value), "characters", keys)
        if wanted.pattern is None or not self._patience:
            return
        try:
            fits = found(wanted.pattern, value)
        except TooSlow:
            self._patience = False
            message = f"cannot be compared with the pattern `{wanted.pattern}` in reasonable time"
            self._note(keys, message, "simplify the pattern in the schema")
            return
        if not fits:
            message = f"is {shown(value)}, which does not match the pattern `{wanted.pattern}`"
            self._note(keys, message, "change it so that it matches")

    def _number(self, wanted: InputType, value: int | float, keys: Keys) -> None:
        if wanted.minimum is not None and value < wanted.minimum:
            self._note(keys, f"is {shown(value)}, less than {wanted.minimum}", f"give at least {wanted.minimum}")
        if wanted.maximum is not None and value > wanted.maximum:
            self._note(keys, f"is {shown(value)}, more than {wanted.maximum}", f"give at most {wanted.maximum}")
        if wanted.multiple_of is not None and not is_multiple(value, wanted.multiple_of):
            self._note(keys, f"is {shown(value)}, not a multiple of {wanted.multiple_of}", "give a multiple of it")

    def _list(self, wanted: InputType, value: list[Any], keys: Keys) -> None:
        self._size(wanted.min_items, wanted.max_items, len(value), "items", keys)
        if wanted.items is not None:
            for position, item in enumerate(value):
                self.value(wanted.items, item, (*keys, position))

    def _mapping(self, wanted: InputType, value: dict[str, Any], keys: Keys) -> None:
        for name in wanted.required:
            if name not in value and not wanted.properties[name].has_default:
                self._note((*keys, name), "is missing", "give it a value")
        for name, member in value.items():
            if name in wanted.properties:
                self.value(wanted.properties[name], member, (*keys, name))
            elif wanted.additional is False:
                self._note((*keys, name), "is not known to the schema", "remove it")
            elif isinstance(wanted.additional, InputType):
                self.value(wanted.additional, member, (*keys, name))

    def _size(self, least: int | None, most: int | None, size: int, of_what: str, keys: Keys) -> None:
        if least is not None and size < least:
            self._note(keys, f"has {size} {of_what}, fewer than {least}", f"give at least {least}")
        if most is not None and size > most:
            self._note(keys, f"has {size} {of_what}, more than {most}", f"give at most {most}")
