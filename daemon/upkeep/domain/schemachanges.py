"""What became of a template's inputs from one schema to another, in words."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from upkeep.domain.inputs import InputType, shown
from upkeep.domain.schemas import Schema

_LIMITS = (
    ("minimum", "minimum"),
    ("maximum", "maximum"),
    ("multiple_of", "multipleOf"),
    ("min_length", "minLength"),
    ("max_length", "maxLength"),
    ("min_items", "minItems"),
    ("max_items", "maxItems"),
    ("pattern", "pattern"),
)


@dataclass(frozen=True, slots=True)
class InputChange:
    """One input, named as in a spec, and what became of it. `breaking` says that owners have to do something about it:
    it is gone, or it has to be given."""

    name: str
    change: str
    words: tuple[str, ...]
    breaking: bool = False


@dataclass(frozen=True, slots=True)
class _Asked:
    """An input with whether it has to be given."""

    type: InputType
    required: bool


def input_changes(before: Schema | None, after: Schema | None) -> tuple[InputChange, ...]:
    """What became of each input, those that ask something of owners first. Members of objects are named with dots,
    those of the pipeline begin with `pipeline:`."""
    old, new = dict(_inputs(before)), dict(_inputs(after))
    found = [change for name in dict.fromkeys([*new, *old]) if (change := _changed(name, old, new))]
    return tuple(sorted(found, key=lambda change: not change.breaking))


def _inputs(schema: Schema | None) -> Iterator[tuple[str, _Asked]]:
    if schema is not None:
        yield from _members("", schema.inputs)
        if schema.pipeline is not None:
            yield from _members("pipeline: ", schema.pipeline)


def _members(inside: str, found: InputType) -> Iterator[tuple[str, _Asked]]:
    for name, member in found.properties.items():
        yield f"{inside}{name}", _Asked(member, name in found.required and not member.has_default)
        yield from _members(f"{inside}{name}.", member)
        if member.items is not None:
            yield from _members(f"{inside}{name}[].", member.items)


def _changed(name: str, old: Mapping[str, _Asked], new: Mapping[str, _Asked]) -> InputChange | None:
    before, after = old.get(name), new.get(name)
    if before is None and after is not None:
        return InputChange(name, "added", (_described(after),), after.required)
    if after is None:
        return InputChange(name, "removed", (), breaking=True)
    if before is None:
        return None
    words = tuple(_differences(before, after))
    breaking = (after.required and not before.required) or before.type.type is not after.type.type
    return InputChange(name, "changed", words, breaking) if words else None


def _described(asked: _Asked) -> str:
    kind = f"a {asked.type.type}" if asked.type.type[0] not in "aio" else f"an {asked.type.type}"
    if asked.required:
        return f"{kind}, to be given by everybody"
    return f"{kind}, {shown(asked.type.default)} unless given" if asked.type.has_default else f"{kind}, may be left out"


def _differences(before: _Asked, after: _Asked) -> Iterator[str]:
    old, new = before.type, after.type
    if old.type is not new.type:
        yield f"is {new.type} now, it was {old.type}"
    if before.required != after.required:
        yield "has to be given now" if after.required else "may be left out now"
    if old.has_default and not new.has_default:
        yield f"has no default any more, it was {shown(old.default)}"
    elif new.has_default and not old.has_default:
        yield f"has the default {shown(new.default)} now"
    elif old.default != new.default:
        yield f"has the default {shown(new.default)} now, it was {shown(old.default)}"
    if old.enum != new.enum:
        yield "may be anything now" if new.enum is None else f"may be one of {', '.join(map(shown, new.enum))}"
    if old.nullable != new.nullable:
        yield "may be null now" if new.nullable else "may not be null any more"
    for attribute, keyword in _LIMITS:
        was, now = getattr(old, attribute), getattr(new, attribute)
        if was != now:
            yield (
                f"has no `{keyword}` any more"
                if now is None
                else f"has `{keyword}` {now} now" + (f", it was {was}" if was is not None else "")
            )
    if (old.title, old.description) != (new.title, new.description):
        yield "is described in other words"
