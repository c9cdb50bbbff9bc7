"""Forms: what a schema asks for, as fields that a page can show, and what was typed, as inputs again.

A form is made from a type and the inputs somebody has. Sent back as it came it gives exactly those inputs: a field left
as it was keeps its value, be it nothing, a null, or something that does not fit. Every field has a name of its own,
`input.rules.0.port`, in which whatever is no letter, digit, `_` or `-` is percent-encoded.

Items of a list keep their numbers while others come and go, so that each finds the value it began with; which there are
is said by a text of its own, `input.rules~items`. `input.name~null` says that null is meant.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from urllib.parse import quote

from upkeep.domain import documents
from upkeep.domain.errors import CallerError
from upkeep.domain.inputs import NOTHING, InputType, Keys, ValueType, completed, is_multiple, same, violations
from upkeep.domain.patterns import browsers_agree
from upkeep.domain.resources import Inputs

MAX_FIELDS = 400
"""How many fields a form may begin with. What has more is asked for as documents."""

_MAX_TYPED = 3000
_MAX_NESTED = 150
_MAX_DEPTH = 4
_LONGEST_LINE = 1000

_WHOLE = re.compile(r"[+-]?[0-9]{1,400}")
_NUMBER = re.compile(r"[+-]?([0-9]{1,400}(\.[0-9]{0,400})?|\.[0-9]{1,400})([eE][+-]?[0-9]{1,4})?")


class Widget(StrEnum):
    """How an input is asked for. DOCUMENT takes anything, written as JSON or YAML; GROUP and LIST hold other fields."""

    TEXT = "text"
    LINES = "lines"
    NUMBER = "number"
    CHECKBOX = "checkbox"
    CHOICE = "choice"
    DOCUMENT = "document"
    GROUP = "group"
    LIST = "list"


@dataclass(frozen=True, slots=True)
class Field:
    """One input in a form.

    `text` is what stands there, `shown` what stood there at first, for the value `base`, which is NOTHING when there
    was none. `null` says that null stands there. `default` is what an empty field comes to, None for nothing;
    `required` that it must be given. `fresh` says that the running version did not have this input. `offers` maps the
    written form of each choice to its value. `members` are the fields of a GROUP or the items of a LIST.
    """

    key: str | int
    name: str
    kind: InputType
    widget: Widget
    base: Any = NOTHING
    text: str = ""
    shown: str = ""
    null: bool = False
    default: str | None = None
    required: bool = False
    fresh: bool = False
    offers: Mapping[str, Any] = field(default_factory=dict)
    members: "tuple[Field, ...]" = ()

    @property
    def label(self) -> str:
        """What it is called."""
        if isinstance(self.key, int):
            return f"{self.kind.title or 'Item'} {self.key + 1}"
        return self.kind.title or self.key

    @property
    def id(self) -> str:
        """Its id on the page."""
        return self.name.replace("%", "~")

    @property
    def limits(self) -> str:
        """What a value must keep to, in a few words; empty when it may be anything of its type."""
        kind = self.kind
        said = [
            _between(kind.minimum, kind.maximum, ""),
            f"a multiple of {written(kind.multiple_of)}" if kind.multiple_of is not None else "",
            _between(kind.min_length, kind.max_length, " characters"),
            _between(kind.min_items, kind.max_items, " items"),
            f"matches `{kind.pattern}`" if kind.pattern is not None else "",
        ]
        return ", ".join(filter(None, said))

    @property
    def step(self) -> str:
        """The steps of a number, as browsers understand them: they count from the minimum, we count from 0."""
        least, of = self.kind.minimum, self.kind.multiple_of
        if of is not None and (least is None or is_multiple(least, of)):
            return written(of)
        return "1" if self.kind.type is ValueType.INTEGER and (least is None or float(least).is_integer()) else "any"

    @property
    def pattern(self) -> str | None:
        """The pattern, if browsers let pass at least what we do."""
        pattern = self.kind.pattern
        return pattern if pattern is not None and browsers_agree(pattern) else None

    @property
    def item(self) -> bool:
        """Whether it is an item of a list."""
        return isinstance(self.key, int)

    @property
    def filled(self) -> bool:
        """Whether something stands in it, or in one of its members."""
        return bool(self.text.strip()) or self.null or any(member.filled for member in self.members)


@dataclass(frozen=True, slots=True)
class Form:
    """The fields of a type, or one field for a document of all inputs when there are too many. `given` are the inputs
    it began with; `whole` is that one field."""

    kind: InputType
    name: str
    given: Inputs
    fields: tuple[Field, ...]
    whole: Field | None = None

    def walk(self) -> Iterator[Field]:
        """Every field, those that hold others before what they hold."""
        yield from _walk(self.fields if self.whole is None else (self.whole,))


@dataclass(frozen=True, slots=True)
class FilledIn:
    """The inputs that a form gives; `faults` has a sentence for each field, by its name, that cannot be followed, and
    under the form's own name what concerns no field. `unread` names those in which no value stands."""

    inputs: dict[str, Any]
    faults: Mapping[str, str]
    unread: frozenset[str] = frozenset()


def make(
    kind: InputType,
    given: Inputs,
    name: str = "input",
    *,
    typed: Mapping[str, str] | None = None,
    change: str = "",
    before: frozenset[str] | None = None,
) -> Form:
    """A form for inputs of a type, with what was typed in place of what was given.

    `before` holds the names that the running version has, None when nothing runs and so nothing is new. `change` adds
    an item to a list, `add:NAME`, or removes one, `remove:NAME`. CallerError when more was typed than a form asks for.
    """
    builder = _Builder(typed, change)
    if len(kind.properties) > MAX_FIELDS:
        return Form(kind, name, given, (), builder.whole(kind, given, name))
    weight = sum(_weight(member, _known(given, key), 1) for key, member in kind.properties.items())
    depth = 1 if weight <= MAX_FIELDS else _MAX_DEPTH
    fields = tuple(
        builder.field(
            member,
            key,
            f"{name}.{_encoded(key)}",
            _known(given, key),
            needed=key in kind.required,
            fresh=before is not None and key not in before,
            depth=depth,
        )
        for key, member in kind.properties.items()
    )
    return Form(kind, name, given, fields)


def filled_in(form: Form) -> FilledIn:
    """What a form gives: inputs in the order in which they were given, new ones last. What the form does not show
    stays."""
    reader = _Reader()
    if form.whole is not None:
        value = reader.value(form.whole, ())
        inputs = value if isinstance(value, dict) else {}
        if value is not NOTHING and not isinstance(value, dict):
            reader.faults.setdefault(form.whole.name, "this is no mapping: write `name: value` lines")
            reader.unread.add(form.whole.name)
    else:
        inputs = reader.members(form.fields, form.given, ())
    if not reader.faults:
        for violation in violations(form.kind, inputs):
            reader.note(violation.keys, f"this {violation.message}: {violation.cure}", form.name)
    return FilledIn(inputs, reader.faults, frozenset(reader.unread))


def written(value: Any) -> str:
    """A value as a form shows it: texts as they are, everything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def document(value: Any) -> str:
    """A value as a document: lists and mappings as YAML, everything else as JSON."""
    return documents.dump(value) if isinstance(value, dict | list) and value else json.dumps(value, ensure_ascii=False)


def _walk(fields: tuple[Field, ...]) -> Iterator[Field]:
    for each in fields:
        yield each
        yield from _walk(each.members)


def _between(least: int | float | None, most: int | float | None, of_what: str) -> str:
    if 1 in (least, most) and (least is None or most in (None, 1)):
        of_what = of_what.removesuffix("s")
    if least is not None and most is not None:
        return f"{written(least)} to {written(most)}{of_what}" if least != most else f"{written(least)}{of_what}"
    if least is not None:
        return f"at least {written(least)}{of_what}"
    return f"at most {written(most)}{of_what}" if most is not None else ""


def _known(given: Any, key: str) -> Any:
    return given[key] if isinstance(given, dict | Mapping) and key in given else NOTHING


def _encoded(key: str) -> str:
    return quote(key, safe="").replace(".", "%2E").replace("~", "%7E")


# ------------------------------------------------------------------------------------------------- which widget


def _widget(kind: InputType, seed: Any, depth: int) -> Widget:
    """How a value of a type is asked for, when `seed` stands there."""
    if kind.enum is not None:
        return Widget.CHOICE
    known = seed is not NOTHING and not (seed is None and kind.nullable)
    match kind.type:
        case ValueType.BOOLEAN if not known or isinstance(seed, bool):
            plain = isinstance(kind.default, bool) and not kind.nullable
            return Widget.CHECKBOX if plain else Widget.CHOICE
        case ValueType.NUMBER | ValueType.INTEGER if not known or _is_number(seed):
            return Widget.NUMBER
        case ValueType.STRING if not known or isinstance(seed, str):
            long = isinstance(seed, str) and (len(seed) > _LONGEST_LINE or "\n" in seed or "\r" in seed)
            return Widget.LINES if long else Widget.TEXT
        case ValueType.OBJECT if kind.properties and not isinstance(kind.additional, InputType):
            if (not known or isinstance(seed, dict)) and _nests(kind, seed, depth):
                return Widget.GROUP
        case ValueType.ARRAY if kind.items is not None:
            if (not known or isinstance(seed, list)) and _nests(kind, seed, depth):
                return Widget.LIST
    return Widget.DOCUMENT


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _nests(kind: InputType, seed: Any, depth: int) -> bool:
    return depth < _MAX_DEPTH and _inner_weight(kind, seed, depth) <= _MAX_NESTED


def _weight(kind: InputType, base: Any, depth: int) -> int:
    """How many fields a value of a type takes."""
    seed = _seed(kind, base)
    nested = _widget(kind, seed, depth) in (Widget.GROUP, Widget.LIST)
    return 1 + (_inner_weight(kind, seed, depth) if nested else 0)


def _inner_weight(kind: InputType, seed: Any, depth: int) -> int:
    total = 0
    if kind.items is not None:
        for item in seed if isinstance(seed, list) else ():
            total += _weight(kind.items, item, depth + 1)
            if total > _MAX_NESTED:
                break
        return total
    for key, member in kind.properties.items():
        total += _weight(member, _known(seed, key), depth + 1)
        if total > _MAX_NESTED:
            break
    return total


def _seed(kind: InputType, base: Any) -> Any:
    """What stands there at first: what was given, or for what holds other fields its default."""
    if base is NOTHING and kind.type in (ValueType.OBJECT, ValueType.ARRAY) and kind.has_default and kind.enum is None:
        return completed(kind, kind.default)
    return base


# ------------------------------------------------------------------------------------------------------- making


class _Builder:
    """Makes fields, with what was typed if something was."""

    def __init__(self, typed: Mapping[str, str] | None, change: str) -> None:
        self._typed = typed or {}
        verb, _, name = change.partition(":")
        self._grows, self._loses = (name if verb == wanted else None for wanted in ("add", "remove"))
        self._made = 0

    def whole(self, kind: InputType, given: Inputs, name: str) -> Field:
        shown = document(dict(given)) if given else ""
        return Field(name, name, kind, Widget.DOCUMENT, dict(given) or NOTHING, self._now(name, shown), shown)

    def field(
        self,
        kind: InputType,
        key: str | int,
        name: str,
        base: Any,
        *,
        needed: bool,
        fresh: bool = False,
        depth: int,
    ) -> Field:
        self._made += 1
        if self._made > _MAX_TYPED:
            raise CallerError(f"this form has more than {_MAX_TYPED} fields", cure="write the inputs as a spec instead")
        seed = _seed(kind, base)
        widget = _widget(kind, seed, depth)
        null = base is None and kind.nullable and widget is not Widget.CHOICE
        if name == self._grows:
            null = False
        elif f"{name}~null" in self._typed:
            null = self._typed[f"{name}~null"] == "true"
        required = (needed and not kind.has_default) or isinstance(key, int)
        offers = _offers(kind, base) if widget is Widget.CHOICE else {}
        shown = _shown(kind, widget, base, offers)
        members: tuple[Field, ...] = ()
        if widget is Widget.GROUP:
            must = required or base is not NOTHING
            members = tuple(
                self.field(
                    member,
                    inner,
                    f"{name}.{_encoded(inner)}",
                    _known(seed, inner),
                    needed=must and inner in kind.required,
                    depth=depth + 1,
                )
                for inner, member in kind.properties.items()
            )
        elif widget is Widget.LIST and kind.items is not None:
            members = tuple(self._items(kind.items, name, seed if isinstance(seed, list) else [], depth))
        return Field(
            key=key,
            name=name,
            kind=kind,
            widget=widget,
            base=base,
            text=self._now(name, shown),
            shown=shown,
            null=null,
            default=_default(kind),
            required=required and widget is not Widget.CHECKBOX,
            fresh=fresh,
            offers=offers,
            members=members,
        )

    def _items(self, kind: InputType, name: str, seed: list[Any], depth: int) -> Iterator[Field]:
        numbers = list(range(len(seed)))
        if f"{name}~items" in self._typed:
            said = self._typed[f"{name}~items"].split()
            numbers = list(dict.fromkeys(int(text) for text in said if re.fullmatch("[0-9]{1,6}", text)))
        numbers = [number for number in numbers if f"{name}.{number}" != self._loses]
        if name == self._grows:
            numbers.append(max([len(seed) - 1, *numbers]) + 1)
        for number in numbers:
            base = seed[number] if number < len(seed) else NOTHING
            yield self.field(kind, number, f"{name}.{number}", base, needed=True, depth=depth + 1)

    def _now(self, name: str, shown: str) -> str:
        return self._typed[name].replace("\r\n", "\n").replace("\r", "\n") if name in self._typed else shown


def _offers(kind: InputType, base: Any) -> Mapping[str, Any]:
    """The choices as they are written, all of them as JSON where texts alone could be mistaken for each other."""
    values = list(kind.enum) if kind.enum is not None else [True, False]
    if kind.nullable and None not in values:
        values.append(None)
    if base is not NOTHING and not any(same(base, value) for value in values):
        values.append(base)
    spelled = [written(value) for value in values]
    # A browser sends a carriage return back as a line's end.
    if len(set(spelled)) < len(spelled) or any(not text.strip() or "\r" in text for text in spelled):
        spelled = [json.dumps(value, ensure_ascii=False) for value in values]
    return dict(zip(spelled, values, strict=True))


def _shown(kind: InputType, widget: Widget, base: Any, offers: Mapping[str, Any]) -> str:
    if widget is Widget.CHOICE:
        return next((text for text, value in offers.items() if base is not NOTHING and same(value, base)), "")
    if widget is Widget.CHECKBOX:
        return written(kind.default if base is NOTHING else base)
    if widget in (Widget.GROUP, Widget.LIST) or base is NOTHING or (base is None and kind.nullable):
        return ""
    text = document(base) if widget is Widget.DOCUMENT else written(base)
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _default(kind: InputType) -> str | None:
    if not kind.has_default:
        return None
    return document(kind.default) if isinstance(kind.default, dict | list) else written(kind.default)


# ------------------------------------------------------------------------------------------------------ reading


class _Reader:
    """Reads values out of fields, and notes which field stands for which member."""

    def __init__(self) -> None:
        self.faults: dict[str, str] = {}
        self.unread: set[str] = set()
        self._places: dict[Keys, str] = {}

    def note(self, keys: Keys, sentence: str, otherwise: str) -> None:
        """Say what is wrong with a member at its field, or at the nearest one that holds it."""
        name = next((self._places[keys[:n]] for n in range(len(keys), 0, -1) if keys[:n] in self._places), otherwise)
        self.faults.setdefault(name, sentence)

    def members(self, fields: tuple[Field, ...], given: Inputs, keys: Keys) -> dict[str, Any]:
        found = dict(given)
        for each in fields:
            value = self.value(each, (*keys, each.key))
            if value is NOTHING:
                found.pop(str(each.key), None)
            else:
                found[str(each.key)] = value
        return found

    def value(self, asked: Field, keys: Keys) -> Any:
        """What a field gives; NOTHING when it was left empty, or what stands there cannot be read."""
        self._places[keys] = asked.name
        if asked.null:
            return None
        was_null = asked.base is None and asked.kind.nullable and asked.widget is not Widget.CHOICE
        match asked.widget:
            case Widget.GROUP:
                return self._group(asked, keys)
            case Widget.LIST:
                return self._list(asked, keys)
        if asked.text == asked.shown and asked.base is not NOTHING and not was_null:
            return asked.base
        if asked.text == asked.shown and asked.widget is Widget.CHECKBOX and not asked.item:
            return NOTHING
        if not asked.text.strip() and not (asked.text and asked.kind.type is ValueType.STRING):
            if asked.item:
                self.faults[asked.name] = "this item is empty: give it a value, or remove it"
            elif asked.required:
                self.faults[asked.name] = "this input is needed"
            return NOTHING
        try:
            return _read(asked)
        except ValueError as fault:
            self.faults[asked.name] = str(fault)
            self.unread.add(asked.name)
            return NOTHING

    def _group(self, asked: Field, keys: Keys) -> Any:
        seed = _seed(asked.kind, asked.base)
        faults = len(self.faults)
        found = self.members(asked.members, seed if isinstance(seed, dict) else {}, keys)
        if asked.base is not NOTHING or asked.required or len(self.faults) > faults:
            return found
        return NOTHING if same(found, seed if isinstance(seed, dict) else {}) else found

    def _list(self, asked: Field, keys: Keys) -> Any:
        seed = _seed(asked.kind, asked.base)
        faults = len(self.faults)
        found: list[Any] = []
        for item in asked.members:
            value = self.value(item, (*keys, len(found)))
            if value is not NOTHING:
                found.append(value)
        if asked.base is not NOTHING or asked.required or len(self.faults) > faults:
            return found
        return NOTHING if same(found, seed if isinstance(seed, list) else []) else found


def _read(asked: Field) -> Any:
    """The value of what was typed; ValueError with a sentence when it is none."""
    text = asked.text
    match asked.widget:
        case Widget.TEXT | Widget.LINES:
            return text
        case Widget.CHECKBOX:
            return text == "true"
        case Widget.CHOICE:
            if text not in asked.offers:
                raise ValueError("this is not one of the choices")
            return asked.offers[text]
        case Widget.NUMBER:
            return _number(text.strip(), whole=asked.kind.type is ValueType.INTEGER)
    return _parsed(text)


def _number(text: str, *, whole: bool) -> int | float:
    if _WHOLE.fullmatch(text):
        return int(text)
    number = float(text) if _NUMBER.fullmatch(text) else math.nan
    if not math.isfinite(number):
        raise ValueError("this is not a number")
    if whole:
        if not number.is_integer():
            raise ValueError("this is not a whole number")
        return int(number)
    return number


def _parsed(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_refused, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        pass
    try:
        return documents.load(text, "line").value
    except CallerError as fault:
        raise ValueError(f"this is neither JSON nor YAML: {fault.message.splitlines()[0]}") from fault


def _refused(word: str) -> Any:
    raise ValueError(word)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key is given twice")
    return found
