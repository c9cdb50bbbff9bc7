"""YAML, and JSON as a part of it: the only door to the parser. Every value keeps the line it stands on.

YAML 1.1 as PyYAML understands it, with these differences, all of them on the safe side:

- keys are texts as they are written (`80:` is the key `"80"`, `on:` the key `"on"`), and a key given twice is an error;
- dates stay texts, because neither a spec nor a template has dates; `.inf` and `.nan` are errors, because JSON has no
  such numbers;
- of the tags only YAML's own for texts, numbers, truth values, null, lists and mappings are accepted. A CloudFormation
  template may use the short forms of its functions, which are turned into their long forms
  (https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/intrinsic-function-reference.html);
- size, depth and what aliases expand to are bounded.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from upkeep.domain.errors import CallerError
from upkeep.domain.findings import Finding, error

MAX_CHARACTERS = 2 * 1024 * 1024
"""How long a document may be; Proton's quota for a schema, a manifest or a template file is 2 MB."""

MAX_DEPTH = 100
"""How deep lists and mappings may nest."""

MAX_EXPANSION = 100_000
"""How many values all aliases together may stand for."""

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_RESOLVERS: Mapping[str, Sequence[tuple[str, re.Pattern[str]]]] = yaml.resolver.Resolver.yaml_implicit_resolvers
"""By their first character: what plain scalars can be besides texts."""

_CONSTRUCTOR = yaml.constructor.SafeConstructor()

_CORE = "tag:yaml.org,2002:"
_TEXT, _SEQUENCE, _MAPPING, _MERGE = (f"{_CORE}{name}" for name in ("str", "seq", "map", "merge"))
_SCALARS = {
    f"{_CORE}int": _CONSTRUCTOR.construct_yaml_int,
    f"{_CORE}float": _CONSTRUCTOR.construct_yaml_float,
    f"{_CORE}bool": _CONSTRUCTOR.construct_yaml_bool,
    f"{_CORE}null": _CONSTRUCTOR.construct_yaml_null,
}
_OF_SCALARS = frozenset({*_SCALARS, _TEXT, f"{_CORE}timestamp", f"{_CORE}value", _MERGE})
_OF_MAPPINGS, _OF_SEQUENCES = frozenset({_MAPPING}), frozenset({_SEQUENCE})

_FUNCTIONS = {
    "!Ref": "Ref",
    "!Condition": "Condition",
    **{
        f"!{name}": f"Fn::{name}"
        for name in (
            "And", "Base64", "Cidr", "Contains", "EachMemberEquals", "EachMemberIn", "Equals", "FindInMap", "GetAZs",
            "GetAtt", "If", "ImportValue", "Join", "Length", "Not", "Or", "RefAll", "Select", "Split", "Sub",
            "ToJsonString", "Transform", "ValueOf", "ValueOfAll",
        )
    },
}  # fmt: skip

_LONGEST_NUMBER = 100
_UNREADABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufeff\uff00-\ufffd\U00010000-\U0010ffff]")


class DocumentError(CallerError):
    """A text is not the document it should be. `findings` are all its faults, each with file and line."""

    slug = "document"

    def __init__(self, findings: Sequence[Finding]) -> None:
        first = findings[0]
        more = [f"{other.where}: {other.message}" for other in findings[1:]]
        super().__init__("\n".join([first.message, *more]), where=first.where, cure=first.cure)
        self.findings = tuple(findings)


Places = Mapping[str, tuple[int, Any]] | Sequence[tuple[int, Any]] | None
"""Beside every mapping and list: the line of each member, and the places inside it."""


@dataclass(frozen=True, slots=True)
class Document:
    """What a text says: dicts, lists, texts, numbers, truth values and None; an empty text says None.

    Values an alias repeats are the same object each time, so nothing in a document may be changed.
    """

    value: Any
    path: str
    places: Places = None

    def line(self, *keys: str | int) -> int:
        """The line (from 1) of the member that the keys lead to, or of the nearest one above it that exists."""
        line, places = 1, self.places
        for key in keys:
            if places is None or not _leads_on(places, key):
                break
            line, places = places[key]  # type: ignore[index]
        return line

    def where(self, *keys: str | int) -> str:
        """The same place as `path:line`."""
        return f"{self.path}:{self.line(*keys)}"


def _leads_on(places: Mapping[str, Any] | Sequence[Any], key: str | int) -> bool:
    if isinstance(places, Mapping):
        return key in places
    return isinstance(key, int) and 0 <= key < len(places)


def decode(content: bytes, path: str) -> str:
    """The text of a file without a byte order mark; DocumentError when it is not UTF-8."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        line = content.count(b"\n", 0, fault.start) + 1
        message = f"byte {fault.start} (0x{content[fault.start]:02x}) is not UTF-8"
        raise DocumentError([error("encoding", message, path, line, "save the file as UTF-8")]) from fault


def load(text: str, path: str) -> Document:
    """Read a plain document; DocumentError when it is not one."""
    return _document_or_error(*read(text, path))


def load_template(text: str, path: str) -> Document:
    """Read a rendered CloudFormation template; DocumentError when it is not one."""
    return _document_or_error(*_read(text, path, _FUNCTIONS))


def load_texts(text: str, path: str) -> Document:
    """Read a plain document in which every single value is the text as it is written: `012` is `"012"`."""
    return _document_or_error(*_read(text, path, {}, as_texts=True))


def read(text: str, path: str) -> tuple[Document | None, tuple[Finding, ...]]:
    """Read a plain document, with all faults as error findings instead of an exception.

    The document is None when nothing can be made of the text; with faults such as a key given twice it holds the
    rest.
    """
    return _read(text, path, {})


def _document_or_error(document: Document | None, faults: Sequence[Finding]) -> Document:
    if document is None or faults:
        raise DocumentError(faults)
    return document


def _read(
    text: str, path: str, functions: Mapping[str, str], *, as_texts: bool = False
) -> tuple[Document | None, tuple[Finding, ...]]:
    text = text.removeprefix("\ufeff")
    if len(text) > MAX_CHARACTERS:
        message = f"the file has {len(text)} characters, more than {MAX_CHARACTERS}"
        return None, (error("too-large", message, path, cure="make it smaller"),)
    if (unreadable_there := unreadable(text, path)) is not None:
        return None, (unreadable_there,)
    builder = _Builder(path, functions, as_texts=as_texts)
    loader = _LOADER(text)
    try:
        builder.take(iter(loader.get_event, None))
    except _Hopeless:
        return None, tuple(builder.faults)
    except yaml.YAMLError as fault:
        return None, (*builder.faults, _syntax_fault(fault, text, path))
    finally:
        loader.dispose()
    return Document(builder.root, path, builder.root_places), tuple(builder.faults)


def unreadable(text: str, path: str) -> Finding | None:
    """The first character that cannot stand in YAML (https://yaml.org/spec/1.1/#c-printable), or None."""
    found = _UNREADABLE.search(text)
    if found is None:
        return None
    name = "a NUL byte" if found[0] == "\0" else f"the character U+{ord(found[0]):04X}"
    line = text.count("\n", 0, found.start()) + 1
    return error("unreadable-character", f"{name} cannot stand in YAML", path, line, "remove it")


def _syntax_fault(fault: yaml.YAMLError, text: str, path: str) -> Finding:
    mark = getattr(fault, "problem_mark", None) or getattr(fault, "context_mark", None)
    lines = text.splitlines() or [""]
    line = min(mark.line + 1, len(lines)) if mark else None
    there = lines[line - 1] if line else ""
    indentation = there[: len(there) - len(there.lstrip())]
    if "\t" in indentation:
        return error("yaml-tab", "a tab indents this line, YAML allows spaces only", path, line, "indent with spaces")
    problem = getattr(fault, "problem", None) or "it cannot be read"
    if "maximum nesting depth" in problem:
        # The parser's own limit, which libyaml reaches before we come to ours.
        return error("too-deep", "lists and mappings nest deeper than can be read", path, line, "flatten the document")
    if "{%" in there or "{{" in there:
        cure = "quote the value that starts with `{`; Jinja is only rendered in infrastructure templates"
    elif "mapping values are not allowed" in problem:
        cure = "check the indentation, and quote a value that holds `: `"
    else:
        cure = "check indentation, quotes and brackets on this line and the one before"
    return error("yaml-syntax", f"this is not YAML: {problem}", path, line, cure)


def _tag_of(plain: str) -> str:
    """What a scalar without quotes or a tag is: `Resolver.resolve` without its way there, which takes as long as the
    parser does for the scalar."""
    for tag, looks_so in _RESOLVERS.get(plain[:1], ()):
        if looks_so.match(plain):
            return tag
    return _TEXT


class _Hopeless(Exception):
    """Reading on makes no sense."""


@dataclass(slots=True)
class _Open:
    """A mapping or list whose end has not come yet."""

    line: int
    anchor: str | None
    function: str | None
    value: Any
    places: Any
    key: str | None = None
    key_line: int = 0
    merging: bool = False
    merged: list[tuple[Any, Any]] = field(default_factory=list)
    weight: int = 1
    height: int = 1


@dataclass(frozen=True, slots=True)
class _Anchored:
    """A finished value that aliases may repeat, with how many values and levels it stands for."""

    value: Any
    places: Places
    weight: int
    height: int


class _Builder:
    """Makes values and their places of a stream of parser events, without recursion."""

    def __init__(self, path: str, functions: Mapping[str, str], *, as_texts: bool) -> None:
        self.root: Any = None
        self.root_places: Places = None
        self.faults: list[Finding] = []
        self._path = path
        self._functions = functions
        self._as_texts = as_texts
        self._stack: list[_Open] = []
        self._anchors: dict[str, _Anchored | None] = {}
        self._documents = 0
        self._expanded = 0

    def take(self, events: Iterable[Any]) -> None:
        # By their very types, and what is frequent first: a document is thousands of events.
        for event in events:
            line, kind = event.start_mark.line + 1, type(event)
            if kind is yaml.ScalarEvent:
                self._scalar(event, line)
            elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
                self._close()
            elif kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
                self._open(event, line, mapping=kind is yaml.MappingStartEvent)
            elif kind is yaml.AliasEvent:
                self._alias(str(event.anchor), line)
            elif kind is yaml.DocumentStartEvent:
                self._documents += 1
                if self._documents > 1:
                    self._give_up(
                        "several-documents",
                        "a second document starts here",
                        line,
                        "keep one document in the file and remove the others with their `---`",
                    )

    def _fault(self, slug: str, message: str, line: int, cure: str) -> None:
        self.faults.append(error(slug, message, self._path, line, cure))

    def _give_up(self, slug: str, message: str, line: int, cure: str) -> None:
        self._fault(slug, message, line, cure)
        raise _Hopeless

    def _awaits_key(self) -> bool:
        if not self._stack:
            return False
        frame = self._stack[-1]
        return frame.key is None and type(frame.value) is dict

    def _scalar(self, event: Any, line: int) -> None:
        plain = event.implicit[0]
        tag = _tag_of(event.value) if plain else event.tag
        if self._awaits_key():
            self._take_key(event.value, line, merging=plain and tag == _MERGE)
            return
        value: Any = event.value
        places: Places = None
        if plain or not event.implicit[1]:
            function = self._function(tag, line, _OF_SCALARS)
            if function:
                value, places = self._applied(function, value, None, line)
            elif tag in _SCALARS and not self._as_texts:
                value = self._number_or_truth(tag, value, line)
        if event.anchor:
            self._anchors[event.anchor] = _Anchored(value, places, 1, 1)
        self._attach(value, places, line, weight=1, height=1)

    def _number_or_truth(self, tag: str, text: str, line: int) -> Any:
        value: Any = None
        try:
            if len(text) > _LONGEST_NUMBER:
                raise OverflowError
            value = _SCALARS[tag](yaml.ScalarNode(tag, text))
        except (ValueError, KeyError, OverflowError, IndexError):
            pass
        else:
            if not isinstance(value, float) or math.isfinite(value):
                return value
        shown = text if len(text) <= 40 else f"{text[:40]}…"
        self._fault("bad-value", f"`{shown}` is no value that can be used", line, "quote it if it is a text")
        return value if value is None else 0.0

    def _function(self, tag: str | None, line: int, accepted: frozenset[str]) -> str | None:
        """The long name of a CloudFormation function when the tag is one; a fault for any other unaccepted tag."""
        if tag is None or tag == "!" or tag in accepted:
            return None
        if tag in self._functions:
            return self._functions[tag]
        shown = tag.replace(_CORE, "!!")
        hint = "remove the tag"
        if tag in _FUNCTIONS:
            hint = "CloudFormation's functions can be used in infrastructure templates only"
        self._fault("yaml-tag", f"the tag `{shown}` is not accepted here", line, hint)
        return None

    def _applied(self, function: str, value: Any, places: Places, line: int) -> tuple[Any, Places]:
        if function == "Fn::GetAtt" and isinstance(value, str):
            logical_id, dot, attribute = value.partition(".")
            if not dot:
                self._fault("bad-value", f"`!GetAtt {value}` names no attribute", line, "write NAME.ATTRIBUTE")
            value, places = [logical_id, attribute], ((line, None), (line, None))
        return {function: value}, {function: (line, places)}

    def _take_key(self, key: str, line: int, merging: bool) -> None:
        frame = self._stack[-1]
        frame.key, frame.key_line, frame.merging = key, line, merging
        if key in frame.value and not merging:
            first = frame.places[key][0]
            self._fault("duplicate-key", f"the key `{key}` was given in line {first} already", line, "keep one of them")

    def _open(self, event: Any, line: int, *, mapping: bool) -> None:
        if self._awaits_key():
            self._give_up(
                "bad-key",
                "a list or mapping cannot be a key",
                line,
                "quote a value that starts with `{` or `[`",
            )
        if len(self._stack) >= MAX_DEPTH:
            self._give_up("too-deep", f"lists and mappings nest deeper than {MAX_DEPTH}", line, "flatten the document")
        function = self._function(event.tag, line, _OF_MAPPINGS if mapping else _OF_SEQUENCES)
        if event.anchor:
            self._anchors[event.anchor] = None
        empty: Any = {} if mapping else []
        self._stack.append(_Open(line, event.anchor, function, empty, empty.copy()))

    def _close(self) -> None:
        frame = self._stack.pop()
        value, places = frame.value, frame.places
        if frame.merged:
            # Explicit keys win over merged ones, earlier merged mappings over later (https://yaml.org/type/merge.html).
            merged: dict[str, Any] = {}
            merged_places: dict[str, Any] = {}
            for other, other_places in reversed(frame.merged):
                merged.update(other)
                merged_places.update(other_places)
            value, places = {**merged, **value}, {**merged_places, **places}
        if frame.function:
            value, places = self._applied(frame.function, value, places, frame.line)
        if frame.anchor:
            self._anchors[frame.anchor] = _Anchored(value, places, frame.weight, frame.height)
        self._attach(value, places, frame.line, frame.weight, frame.height)

    def _alias(self, name: str, line: int) -> None:
        if self._awaits_key():
            self._give_up("bad-key", f"the alias `*{name}` cannot be a key", line, "write the key out")
        if name not in self._anchors:
            self._give_up(
                "unknown-anchor", f"`*{name}` refers to no anchor", line, f"put `&{name}` before a value above"
            )
        anchored = self._anchors[name]
        if anchored is None:
            self._give_up("endless-alias", f"`*{name}` stands inside its own anchor", line, "write the value out")
            return
        self._expanded += anchored.weight
        if self._expanded > MAX_EXPANSION:
            message = f"the aliases stand for more than {MAX_EXPANSION} values"
            self._give_up("alias-bomb", message, line, "write the values out, or repeat less")
        if len(self._stack) + anchored.height > MAX_DEPTH:
            self._give_up("too-deep", f"lists and mappings nest deeper than {MAX_DEPTH}", line, "flatten the document")
        self._attach(anchored.value, anchored.places, line, anchored.weight, anchored.height)

    def _attach(self, value: Any, places: Places, line: int, weight: int, height: int) -> None:
        if not self._stack:
            self.root, self.root_places = value, places
            return
        frame = self._stack[-1]
        frame.weight += weight
        if frame.height <= height:
            frame.height = height + 1
        if type(frame.value) is list:
            frame.value.append(value)
            frame.places.append((line, places))
        elif frame.merging:
            self._merge(frame, value, places, line)
        else:
            frame.value[frame.key] = value
            frame.places[frame.key] = (frame.key_line, places)
        frame.key, frame.merging = None, False

    def _merge(self, frame: _Open, value: Any, places: Any, line: int) -> None:
        several = isinstance(value, list)
        values = value if several else [value]
        if not all(isinstance(one, dict) for one in values):
            self._fault("bad-merge", "`<<` takes a mapping or a list of mappings", line, "write `<<: *name`")
            return
        inner = [place for _, place in places] if several else [places]
        frame.merged.extend(zip(values, inner, strict=True))


def dump(value: Any) -> str:
    """Write dicts, lists, texts, numbers, truth values and None as a document that `load` reads as the same."""
    text: str = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1000)
    return text


class _Dumper(yaml.SafeDumper):
    """Escapes what YAML 1.1 takes for the end of a line, and PyYAML writes as it is: it would be read as a space."""


def _text_node(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"' if _LINE_ENDS.search(text) else None)


_LINE_ENDS = re.compile("[\x85\u2028\u2029]")
_Dumper.add_representer(str, _text_node)
