"""Faults: where a setting stands, and what pydantic says is wrong with it, in our words."""

import dataclasses
import typing
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic_core import ErrorDetails

from upkeep.domain.documents import Document
from upkeep.domain.findings import Finding
from upkeep.settings.sections import ConsoleNotices, Settings, SlackBot, SlackWebhook
from upkeep.settings.values import is_size, suggestion, write_size

Key = tuple[str | int, ...]
"""How a setting is reached from the top: names of mappings, numbers in lists."""


@dataclasses.dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong: in which line (0 where there is none), where as people read it, what, and what to do."""

    line: int
    where: str
    what: str
    cure: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}" + (f" ({self.cure})" if self.cure else "")


_REPEATING = frozenset({"yaml-tag", "unknown-anchor", "bad-value"})
"""Findings that say what stands in a text, which may be a secret here."""


def fault_in(found: Finding) -> Fault:
    """What is wrong with the file as YAML, without repeating what stands there where it may be a secret."""
    if found.slug in _REPEATING:
        return Fault(found.line or 0, found.where, "YAML does not take this for a text", "put it into quotes")
    return Fault(found.line or 0, found.where, found.message, found.cure or "")


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """Finds the place of a setting: in the file, or the environment variable that overrode it."""

    document: Document
    overrides: Mapping[Key, str]

    def fault(self, key: Key, what: str, cure: str = "") -> Fault:
        """Something wrong with a setting, at its place."""
        for length in range(len(key), 0, -1):
            if variable := self.overrides.get(key[:length]):
                return Fault(0, f"environment variable {variable}", what, cure)
        return Fault(self.document.line(*key), self.document.where(*key), what, cure)


def fault_of(details: ErrorDetails, data: Any, place: Place) -> Fault:
    """One of pydantic's errors about `data`: https://docs.pydantic.dev/latest/errors/validation_errors/"""
    key = _key_in(details["loc"], data)
    dotted = _dotted(key)
    kind, context, given = details["type"], details.get("ctx", {}), details["input"]
    if kind == "upkeep":
        return place.fault(key, f"{dotted}: {context['message']}", context["cure"])
    if kind == "unexpected_keyword_argument":
        siblings = _siblings(key, data)
        cure = suggestion(str(key[-1]), siblings) or f"known here: {', '.join(siblings)}"
        return place.fault(key, f"unknown setting `{dotted}`", cure)
    if kind == "missing":
        missing = str(details["loc"][-1])
        return place.fault(key, f"`{missing}` is missing" + (f" in `{dotted}`" if key else ""), f"add `{missing}: …`")
    if kind in ("dataclass_type", "dict_type", "model_attributes_type"):
        return place.fault(key, f"`{dotted}` is not a mapping", "write its settings below it, indented")
    if kind == "tuple_type":
        return place.fault(key, f"`{dotted}` is not a list", "write its entries below it, each after `- `")
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        kinds = context.get("expected_tags", "'console', 'slack_webhook', 'slack_bot'").replace("'", "`")
        return place.fault(key, f"`{dotted}` has no kind that is known", f"write `kind:` and one of {kinds}")
    if kind in ("literal_error", "enum"):
        expected = str(context["expected"]).replace("'", "")
        return place.fault(key, f"`{dotted}` cannot be `{given}`", f"write {expected}")
    if kind in ("string_type", "string_sub_type"):
        return place.fault(key, f"`{dotted}` is not a text", "put it into quotes")
    if kind.startswith(("int_", "bool_")):
        what = "a whole number" if kind.startswith("int_") else "`true` or `false`"
        return place.fault(key, f"`{dotted}` is not {what}", f"write {what}")
    if kind in ("greater_than_equal", "less_than_equal"):
        limit = context["ge"] if "ge" in context else context["le"]
        if is_size(_hint_of(key)):
            limit = write_size(limit)
        bound = "at least" if kind == "greater_than_equal" else "at most"
        return place.fault(
            key, f"`{dotted}` is too {'small' if bound == 'at least' else 'large'}", f"write {bound} {limit}"
        )
    if kind == "string_pattern_mismatch" and key[-1:] and str(key[-1]).endswith("_header"):
        return place.fault(key, f"`{dotted}` is not the name of a header", "use letters, digits and `-`")
    if kind == "string_pattern_mismatch":
        return place.fault(key, f"`{dotted}` is not the name of an environment variable", "use letters, digits and `_`")
    return place.fault(key, f"`{dotted}`: {details['msg'][:1].lower()}{details['msg'][1:]}")


def _key_in(location: Sequence[str | int], data: Any) -> Key:
    """The key path of a pydantic location, without the names of union members that it holds besides keys."""
    key: list[str | int] = []
    for part in location:
        match data:
            case dict() if part in data:
                data = data[part]
            case list() if isinstance(part, int) and part < len(data):
                data = data[part]
            case _:
                continue
        key.append(part)
    return tuple(key)


def _siblings(key: Key, data: Any) -> list[str]:
    """The settings that are known where an unknown one stands."""
    section: Any = Settings
    for part in key[:-1]:
        data = data[part]
        if isinstance(part, int) or typing.get_origin(section) is dict:
            section = _section_within(section, data)
        else:
            section = _required(typing.get_type_hints(section)[part])
    return [each.name for each in dataclasses.fields(section)]


def _hint_of(key: Key) -> Any:
    """What is said of the type of a setting; None for what stands in a list or mapping of one's own."""
    hint: Any = Settings
    for part in key:
        if not dataclasses.is_dataclass(hint):
            return None
        hint = typing.get_type_hints(hint, include_extras=True)[str(part)]
    return hint


def _required(section: Any) -> Any:
    """What an optional section is when it is given."""
    inner = [each for each in typing.get_args(section) if each is not type(None)]
    return inner[0] if len(inner) == 1 and dataclasses.is_dataclass(inner[0]) else section


def _section_within(collection: Any, data: Any) -> Any:
    if typing.get_origin(collection) is tuple:
        return typing.get_args(collection)[0]
    of_kind = {"console": ConsoleNotices, "slack_webhook": SlackWebhook, "slack_bot": SlackBot}
    return of_kind[data["kind"]]


def _dotted(key: Key) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in key)
    return text.removeprefix(".")
