"""A template's schema: which inputs it takes. Reading it, and whether a minor may follow another.

The format is AWS Proton's: a `schema:` with `format.openapi`, the names of the input types, and the types in
OpenAPI 3.0 (https://docs.aws.amazon.com/proton/latest/userguide/ag-schema.html). Unlike Proton we accept a schema
without any input. A schema file may be as large as any file of a bundle; the 51,200 characters of Proton's API do not
bind us.
"""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from upkeep.domain import documents, patterns
from upkeep.domain.errors import BundleError
from upkeep.domain.findings import Finding, Severity, error, has_errors, warning
from upkeep.domain.inputs import (
    NOTHING,
    InputType,
    Keys,
    ValueType,
    is_multiple,
    shown,
    spelled,
    violations,
)
from upkeep.domain.parts import Part
from upkeep.domain.versions import TemplateKind

SCHEMA_PATH = "schema/schema.yaml"
"""Where a bundle keeps its schema."""

LONGEST_INPUT_NAME = 100
"""Proton's limit for the name of an input."""

MAX_PROPERTIES = 10_000
"""How many properties a schema may have when its references are written out."""

MAX_NESTING = 30
"""How deep types may nest when references are written out."""

_INPUT_TYPE_KEYS = {
    "environment_input_type": TemplateKind.ENVIRONMENT,
    "service_input_type": TemplateKind.SERVICE,
}
_SCHEMA_KEYS = ("format", *_INPUT_TYPE_KEYS, "pipeline_input_type", "types")


@dataclass(frozen=True, slots=True)
class Schema:
    """The inputs of an environment, or of service instances and, if the template has one, of the pipeline."""

    kind: TemplateKind
    inputs: InputType
    pipeline: InputType | None = None
    path: str = SCHEMA_PATH
    line: int = 0
    """Where the kind is declared."""
    pipeline_line: int | None = None

    def inputs_of(self, part: Part) -> InputType | None:
        """The inputs of a part; None when the schema declares none for it."""
        if part is Part.PIPELINE:
            return self.pipeline
        own = Part.ENVIRONMENT if self.kind is TemplateKind.ENVIRONMENT else Part.INSTANCE
        return self.inputs if part is own else None


def parse(text: str, path: str = SCHEMA_PATH) -> Schema:
    """Read a schema; raises BundleError that names everything wrong with it."""
    schema, findings = inspect(text, path)
    if schema is not None:
        return schema
    errors = [finding for finding in findings if has_errors([finding])]
    rest = [f"{finding.where}: {finding.message}" for finding in errors[1:]]
    raise BundleError("\n".join([errors[0].message, *rest]), where=errors[0].where, cure=errors[0].cure)


@lru_cache(maxsize=32)
def inspect(text: str, path: str = SCHEMA_PATH) -> tuple[Schema | None, tuple[Finding, ...]]:
    """Read a schema with everything there is to say about it; None with error findings.

    The last ones read are remembered: one schema is looked at several times on its way, and commits seldom change it.
    """
    document, faults = documents.read(text, path)
    if document is None:
        return None, faults
    reader = _Reader(document, list(faults))
    schema = reader.schema()
    findings = tuple(dict.fromkeys(reader.findings))
    return (None if has_errors(findings) else schema), findings


class _TooLarge(Exception):
    """The types are too many or too deep to go on."""


class _Reader:
    """Reads one schema document and collects findings."""

    def __init__(self, document: documents.Document, findings: list[Finding]) -> None:
        self.findings = findings
        self._document = document
        self._properties = 0
        self._references: list[str] = []
        self._read: set[str] = set()

    def _error(self, slug: str, message: str, keys: Keys, cure: str) -> None:
        self.findings.append(error(slug, message, self._document.path, self._document.line(*keys), cure))

    def _warning(self, slug: str, message: str, keys: Keys, cure: str | None = None) -> None:
        self.findings.append(warning(slug, message, self._document.path, self._document.line(*keys), cure))

    # ------------------------------------------------------------------------------------------ the outer form

    def schema(self) -> Schema | None:
        root = self._document.value
        schema = root.get("schema") if isinstance(root, dict) else None
        if not isinstance(schema, dict):
            cure = "start the file with `schema:` and indent everything else below it"
            self._error("schema-form", "the file has no `schema:` mapping", (), cure)
            return None
        for key in root:
            if key != "schema":
                self._warning("schema-unknown-key", f"`{key}` beside `schema` is ignored", (key,), "remove it")
        for key in schema:
            if key not in _SCHEMA_KEYS:
                self._warning(
                    "schema-unknown-key", f"`{key}` is ignored", ("schema", key), _suggested(key, _SCHEMA_KEYS)
                )
        self._format(schema)
        types = schema.get("types")
        if not isinstance(types, dict):
            self._error("schema-types", "`types` is missing", ("schema", "types"), "declare the input types under it")
            types = {}
        kind_key = self._kind_key(schema)
        try:
            inputs = self._input_type(schema, kind_key, types) if kind_key else None
            pipeline = None
            if "pipeline_input_type" in schema:
                pipeline = self._input_type(schema, "pipeline_input_type", types)
                if kind_key == "environment_input_type":
                    cure = "remove it; only service templates have a pipeline"
                    keys = ("schema", "pipeline_input_type")
                    self._error("schema-kind", "an environment template has no `pipeline_input_type`", keys, cure)
            for name in [name for name in types if name not in self._read]:
                self._unused_type(name, types)
        except _TooLarge:
            return None
        if kind_key is None or inputs is None:
            return None
        return Schema(
            kind=_INPUT_TYPE_KEYS[kind_key],
            inputs=inputs,
            pipeline=pipeline,
            path=self._document.path,
            line=self._document.line("schema", kind_key),
            pipeline_line=self._document.line("schema", "pipeline_input_type") if pipeline else None,
        )

    def _format(self, schema: Mapping[str, Any]) -> None:
        declared = schema.get("format")
        version = declared.get("openapi") if isinstance(declared, dict) else None
        if version is None:
            cure = 'write `format: {openapi: "3.0.0"}`'
            self._error("schema-format", "`format.openapi` is missing", ("schema", "format"), cure)
        elif not str(version).startswith("3.0"):
            message = f"OpenAPI {version} is read as 3.0.0"
            self._warning("schema-format", message, ("schema", "format", "openapi"), 'write `openapi: "3.0.0"`')

    def _kind_key(self, schema: Mapping[str, Any]) -> str | None:
        present = [key for key in _INPUT_TYPE_KEYS if key in schema]
        if len(present) == 1:
            return present[0]
        if present:
            message = "both `environment_input_type` and `service_input_type` are given"
            self._error("schema-kind", message, ("schema", present[1]), "keep the one that fits the template")
        else:
            message = "neither `environment_input_type` nor `service_input_type` is given"
            close = [key for key in schema if _suggested(key, tuple(_INPUT_TYPE_KEYS))]
            cure = "name the type of the inputs with one of them"
            if close:
                cure = f"rename `{close[0]}` to one of them"
            self._error("schema-kind", message, ("schema", *close[:1]), cure)
        return None

    def _input_type(self, schema: Mapping[str, Any], key: str, types: Mapping[str, Any]) -> InputType | None:
        name = schema[key]
        keys = ("schema", key)
        if not isinstance(name, str):
            self._error("schema-input-type", f"`{key}` is not a name", keys, "name one of the `types`")
            return None
        if name not in types:
            cure = _suggested(name, tuple(map(str, types))) or "declare it under `types`, or name one that is"
            self._error("schema-input-type", f"the type `{name}` does not exist", keys, cure)
            return None
        inputs = self._named_type(name, types, keys)
        if inputs is not None and inputs.type is not ValueType.OBJECT:
            message = f"the type `{name}` is {inputs.type}, inputs are an object"
            self._error("schema-input-type", message, ("schema", "types", name), "make it `type: object`")
            return None
        return inputs

    # ------------------------------------------------------------------------------------------------- types

    def _named_type(self, name: str, types: Mapping[str, Any], used_at: Keys) -> InputType | None:
        if name in self._references:
            circle = " → ".join([*self._references[self._references.index(name) :], name])
            self._error(
                "schema-circle", f"types refer to each other in a circle: {circle}", used_at, "break the circle"
            )
            return None
        self._references.append(name)
        self._read.add(name)
        try:
            return self._type(types[name], ("schema", "types", name), types, len(self._references))
        finally:
            self._references.pop()

    def _unused_type(self, name: str, types: Mapping[str, Any]) -> None:
        """What is wrong in a type that no input has harms nobody."""
        known = len(self.findings)
        self._named_type(name, types, ("schema", "types", name))
        self.findings[known:] = [replace(finding, severity=Severity.WARNING) for finding in self.findings[known:]]

    def _type(self, declared: Any, keys: Keys, types: Mapping[str, Any], depth: int) -> InputType | None:
        """Read one type or property; None when it is not usable, which a finding then says."""
        self._properties += 1
        if self._properties > MAX_PROPERTIES or depth > MAX_NESTING:
            what = (
                f"more than {MAX_PROPERTIES} properties" if depth <= MAX_NESTING else f"more than {MAX_NESTING} levels"
            )
            self._error("schema-too-large", f"the types have {what} with their references", keys, "simplify them")
            raise _TooLarge
        if not isinstance(declared, dict):
            self._error("schema-property", f"`{keys[-1]}` is no mapping", keys, "give it a `type`")
            return None
        if "$ref" in declared:
            return self._reference(declared, keys, types, depth)
        kind = self._kind(declared, keys)
        if kind is None:
            return None
        self._unknown_keywords(declared, kind, keys)
        read = _Keywords(self, declared, keys)
        properties = self._members(declared, keys, types, depth) if kind is ValueType.OBJECT else {}
        found = InputType(
            type=kind,
            line=self._document.line(*keys),
            title=read.text("title"),
            description=read.text("description"),
            example=declared.get("example"),
            nullable=read.truth("nullable"),
            pattern=self._pattern(read) if kind is ValueType.STRING else None,
            minimum=read.number("minimum"),
            maximum=read.number("maximum"),
            multiple_of=read.positive("multipleOf"),
            min_length=read.count("minLength"),
            max_length=read.count("maxLength"),
            min_items=read.count("minItems"),
            max_items=read.count("maxItems"),
            items=self._below("items", declared, keys, types, depth),
            properties=properties,
            required=self._required(declared, properties, keys) if kind is ValueType.OBJECT else (),
            additional=self._additional(declared, keys, types, depth),
        )
        self._order(read, "minimum", "maximum")
        self._order(read, "minLength", "maxLength")
        self._order(read, "minItems", "maxItems")
        found = self._with_enum(found, declared, keys)
        return self._with_default(found, declared, keys)

    def _kind(self, declared: Mapping[str, Any], keys: Keys) -> ValueType | None:
        given = declared.get("type")
        if given is None and (evident := _evident_type(declared)) is not None:
            message = f"`{keys[-1]}` has no `type` and is read as {evident}"
            self._warning("schema-property", message, keys, f"write `type: {evident}`")
            return evident
        allowed = ", ".join(ValueType)
        if given is None:
            self._error("schema-type", f"`{keys[-1]}` has no `type`", keys, f"give it one of {allowed}")
        elif not isinstance(given, str) or given not in set(ValueType):
            cure = _suggested(given, tuple(ValueType)) if isinstance(given, str) else None
            message = f"`{keys[-1]}` has the unknown type {shown(given)}"
            self._error("schema-type", message, (*keys, "type"), cure or f"use one of {allowed}")
        else:
            return ValueType(given)
        return None

    def _reference(
        self, declared: Mapping[str, Any], keys: Keys, types: Mapping[str, Any], depth: int
    ) -> InputType | None:
        target = declared["$ref"]
        for key in declared:
            if key not in ("$ref", "title", "description"):
                self._warning(
                    "schema-keyword", f"`{key}` beside `$ref` is ignored", (*keys, key), "move it to the type"
                )
        name = target.removeprefix("#/") if isinstance(target, str) and target.startswith("#/") else None
        if name is None or name not in types:
            message = f"`$ref: {shown(target)}` leads to no type of this schema"
            self._error("schema-ref", message, (*keys, "$ref"), 'write `$ref: "#/TypeName"` with a name from `types`')
            return None
        if depth > MAX_NESTING:
            return self._type(types[name], keys, types, depth)
        found = self._named_type(name, types, (*keys, "$ref"))
        if found is None:
            return None
        read = _Keywords(self, declared, keys)
        return replace(
            found,
            line=self._document.line(*keys),
            title=read.text("title") or found.title,
            description=read.text("description") or found.description,
        )

    def _members(
        self, declared: Mapping[str, Any], keys: Keys, types: Mapping[str, Any], depth: int
    ) -> dict[str, InputType]:
        given = declared.get("properties")
        if given is None:
            return {}
        if not isinstance(given, dict):
            self._error("schema-property", "`properties` is no mapping", (*keys, "properties"), "list inputs under it")
            return {}
        members = {}
        for name, member in given.items():
            here = (*keys, "properties", name)
            if len(name) > LONGEST_INPUT_NAME:
                message = f"the name `{name[:20]}…` has more than {LONGEST_INPUT_NAME} characters"
                self._error("schema-name", message, here, "choose a shorter one")
            found = self._type(member, here, types, depth + 1)
            if found is not None:
                members[name] = found
        return members

    def _required(
        self, declared: Mapping[str, Any], properties: Mapping[str, InputType], keys: Keys
    ) -> tuple[str, ...]:
        given = declared.get("required")
        if given is None or isinstance(given, bool):
            return ()
        if not isinstance(given, list) or not all(isinstance(name, str) for name in given):
            self._error("schema-required", "`required` is no list of names", (*keys, "required"), "write `[name, …]`")
            return ()
        known = declared.get("properties")
        for position, name in enumerate(given):
            if not isinstance(known, dict) or name not in known:
                cure = _suggested(name, tuple(properties)) or "declare it under `properties`, or take it off the list"
                message = f"`{name}` is required and no property, so nobody is asked for it"
                self._warning("schema-required", message, (*keys, "required", position), cure)
        return tuple(name for name in dict.fromkeys(given) if name in properties)

    def _below(
        self, keyword: str, declared: Mapping[str, Any], keys: Keys, types: Mapping[str, Any], depth: int
    ) -> InputType | None:
        if keyword not in declared or declared[keyword] == {}:  # `{}` is OpenAPI's word for anything
            return None
        return self._type(declared[keyword], (*keys, keyword), types, depth + 1)

    def _additional(
        self, declared: Mapping[str, Any], keys: Keys, types: Mapping[str, Any], depth: int
    ) -> bool | InputType:
        given = declared.get("additionalProperties", True)
        if isinstance(given, bool) or given == {}:
            return given is not False
        return self._type(given, (*keys, "additionalProperties"), types, depth + 1) or True

    def _pattern(self, read: "_Keywords") -> str | None:
        pattern = read.text("pattern")
        if pattern is None or not (fault := patterns.fault_of(pattern)):
            return pattern
        cure = "correct the regular expression"
        self._error("schema-pattern", f"`{pattern[:60]}` is no pattern: {fault}", (*read.keys, "pattern"), cure)
        return None

    def _order(self, read: "_Keywords", low: str, high: str) -> None:
        least, most = read.declared.get(low), read.declared.get(high)
        if isinstance(least, int | float) and isinstance(most, int | float) and least > most:
            message = f"`{low}` {least} is more than `{high}` {most}: no value fits"
            self._error("schema-range", message, (*read.keys, high), "exchange or correct them")

    def _with_enum(self, found: InputType, declared: Mapping[str, Any], keys: Keys) -> InputType:
        if "enum" not in declared:
            return found
        given = declared["enum"]
        if not isinstance(given, list) or not given:
            self._error("schema-enum", "`enum` is no list of values", (*keys, "enum"), "write `[value, …]`")
            return found
        faults = {
            position: faults
            for position, value in enumerate(given)
            if (faults := violations(replace(found, nullable=True), value))
        }
        # As long as one value fits, specs can be written.
        tell = self._error if len(faults) == len(given) else self._warning
        for position, violated in faults.items():
            for violation in violated:
                message = f"a value of `enum` {violation.message}"
                tell("schema-enum", message, (*keys, "enum", position), violation.cure)
        return replace(found, enum=tuple(given))

    def _with_default(self, found: InputType, declared: Mapping[str, Any], keys: Keys) -> InputType:
        if "default" not in declared:
            return found
        default = declared["default"]
        for violation in violations(found, default):
            # Templates are rendered with it all the same, and whoever gives a value never meets it.
            inside = f" at `{spelled(violation.keys)}`" if violation.keys else ""
            message = f"the default of `{keys[-1]}` {violation.message}{inside}"
            self._warning("schema-default", message, (*keys, "default", *violation.keys), violation.cure)
        return found if default is None and not found.nullable else replace(found, default=default)

    def _unknown_keywords(self, declared: Mapping[str, Any], kind: ValueType, keys: Keys) -> None:
        for keyword in declared:
            here = (*keys, keyword)
            cure: str | None
            kinds = _KEYWORDS.get(keyword)
            if keyword == "required" and isinstance(declared[keyword], bool):
                cure = "put its name on the `required` list of the type that holds it"
                self._warning("schema-keyword", "`required` on an input has no effect", here, cure)
            elif kinds is None and not keyword.startswith("x-"):
                cure = _suggested(keyword, tuple(_KEYWORDS))
                self._warning("schema-keyword", f"`{keyword}` is not known and has no effect", here, cure)
            elif kinds and kind not in kinds:
                self._warning("schema-keyword", f"`{keyword}` has no effect on type {kind}", here, "remove it")


_TEXTS = (ValueType.STRING,)
_NUMBERS = (ValueType.NUMBER, ValueType.INTEGER)
_LISTS = (ValueType.ARRAY,)
_OBJECTS = (ValueType.OBJECT,)
_KEYWORDS: dict[str, tuple[ValueType, ...]] = {
    **dict.fromkeys(("type", "title", "description", "example", "default", "enum", "nullable"), tuple(ValueType)),
    **dict.fromkeys(("pattern", "minLength", "maxLength"), _TEXTS),
    **dict.fromkeys(("minimum", "maximum", "multipleOf"), _NUMBERS),
    **dict.fromkeys(("items", "minItems", "maxItems"), _LISTS),
    **dict.fromkeys(("properties", "required", "additionalProperties"), _OBJECTS),
}
"""The keywords that are understood, and the types they constrain."""


@dataclass(frozen=True, slots=True)
class _Keywords:
    """Reads the simple keywords of one declaration; what has the wrong type is a finding and read as absent."""

    reader: _Reader
    declared: Mapping[str, Any]
    keys: Keys

    def text(self, keyword: str) -> str | None:
        value = self.declared.get(keyword)
        if value is None or isinstance(value, str):
            return value
        if keyword == "pattern":
            self._wrong(keyword, "a text")
            return None
        if isinstance(value, int | float):
            return str(value)
        message = f"`{keyword}` is {shown(value)}, not a text, and is not shown"
        self.reader._warning("schema-keyword", message, (*self.keys, keyword), "write a text")
        return None

    def truth(self, keyword: str) -> bool:
        value = self.declared.get(keyword, False)
        if not isinstance(value, bool):
            self._wrong(keyword, "true or false")
        return value is True

    def number(self, keyword: str) -> int | float | None:
        value = self.declared.get(keyword)
        if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
            return value
        self._wrong(keyword, "a number")
        return None

    def positive(self, keyword: str) -> int | float | None:
        value = self.number(keyword)
        if value is None or value > 0:
            return value
        self._wrong(keyword, "a number above 0")
        return None

    def count(self, keyword: str) -> int | None:
        value = self.declared.get(keyword)
        if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
            return value
        self._wrong(keyword, "a whole number from 0")
        return None

    def _wrong(self, keyword: str, wanted: str) -> None:
        keys = (*self.keys, keyword)
        message = f"`{keyword}` is {shown(self.declared[keyword])}, not {wanted}"
        self.reader._error("schema-keyword", message, keys, f"write {wanted}")


def _evident_type(declared: Mapping[str, Any]) -> ValueType | None:
    """The type of what says it in another way: by its members, its items, its values or its default."""
    if "properties" in declared:
        return ValueType.OBJECT
    if "items" in declared:
        return ValueType.ARRAY
    values = declared.get("enum")
    example = values[0] if isinstance(values, list) and values else declared.get("default")
    match example:
        case str():
            return ValueType.STRING
        case bool():
            return ValueType.BOOLEAN
        case int() | float():
            return ValueType.NUMBER
    return None


def _suggested(word: str, known: Sequence[str]) -> str | None:
    close = difflib.get_close_matches(word.lower(), known, n=1, cutoff=0.7)
    return f"write `{close[0]}`" if close else None


# ---------------------------------------------------------------------------------------------- compatibility


def compatibility(before: Schema, after: Schema) -> tuple[Finding, ...]:
    """Why a version with the schema `after` cannot be the minor that follows one with `before`; empty when it can.

    A minor may only widen what is accepted, so that every spec that was good stays good: no new required input
    without default, no input removed, no type changed, no constraint narrowed
    (https://docs.aws.amazon.com/proton/latest/userguide/ag-template-versions.html). Lines are those of `after`.
    """
    if before.kind is not after.kind:
        message = f"the template was of kind {before.kind} and now is of kind {after.kind}"
        return (error("incompatible-kind", message, after.path, after.inputs.line, "give it another template's name"),)
    comparison = _Comparison(after.path)
    comparison.members(before.inputs, after.inputs, "", "input")
    if before.pipeline or after.pipeline:
        none_yet = InputType(ValueType.OBJECT, additional=False)
        no_more = InputType(ValueType.OBJECT, after.inputs.line)
        comparison.members(before.pipeline or none_yet, after.pipeline or no_more, "", "pipeline input")
    return tuple(comparison.findings)


class _Comparison:
    """Collects what a schema accepts less than the one before."""

    def __init__(self, path: str) -> None:
        self.findings: list[Finding] = []
        self._path = path

    def _note(self, slug: str, message: str, line: int, way_back: str) -> None:
        cure = f"make this a new major version, or {way_back}"
        self.findings.append(error(f"incompatible-{slug}", message, self._path, line, cure))

    def members(self, before: InputType, after: InputType, inside: str, noun: str) -> None:
        for name, old in before.properties.items():
            called = f"{inside}{name}"
            new = after.properties.get(name)
            if new is None:
                self._note("removed", f"the {noun} `{called}` was removed", after.line, f"restore {noun} `{called}`")
                continue
            self.value(old, new, called, noun)
            was_safe = old.has_default or name not in before.required
            if was_safe and name in after.required and not new.has_default:
                message = f"the {noun} `{called}` is now required and has no default"
                self._note("required", message, new.line, "give it a default")
        for name, new in after.properties.items():
            if name not in before.properties and name in after.required and not new.has_default:
                message = f"the new {noun} `{inside}{name}` is required and has no default"
                self._note("required", message, new.line, "give it a default")
        self._additional(before, after, inside, noun)

    def _additional(self, before: InputType, after: InputType, inside: str, noun: str) -> None:
        place = f"`{inside.removesuffix('.')}`" if inside else f"the {noun}s"
        match before.additional, after.additional:
            case (_, True) | (False, False):
                return
            case (_, False):
                message = f"{place} no longer accepts members that are not declared"
                self._note("additional", message, after.line, "allow `additionalProperties` again")
            case (InputType() as old, InputType() as new):
                self.value(old, new, f"{inside}*", noun)
            case (True, InputType() as new):
                message = f"{place} now constrains members that are not declared"
                self._note("additional", message, new.line, "allow any `additionalProperties` again")
            case (False, InputType()):
                return

    def value(self, old: InputType, new: InputType, called: str, noun: str) -> None:
        subject = f"the {noun} `{called}`"
        if old.type is not new.type:
            message = f"{subject} changed its type from {old.type} to {new.type}"
            self._note("type", message, new.line, f"make `{called}` {old.type} again")
            return
        for limit in _narrowed(old, new):
            self._note("narrowed", f"{subject} {limit.message}", new.line, f"{limit.way_back} for `{called}`")
        if old.type is ValueType.OBJECT:
            self.members(old, new, f"{called}.", noun)
        if new.items is not None:
            if old.items is None:
                message = f"{subject} now constrains its items"
                self._note("narrowed", message, new.items.line, f"allow any items for `{called}`")
            else:
                self.value(old.items, new.items, f"{called}[]", noun)


@dataclass(frozen=True, slots=True)
class _Narrowing:
    message: str
    way_back: str


def _narrowed(old: InputType, new: InputType) -> Iterator[_Narrowing]:
    """Each constraint that lets fewer values pass."""
    if old.nullable and not new.nullable:
        yield _Narrowing("may no longer be null", "restore `nullable: true`")
    if old.enum is not None:
        # All values are known: whichever constraint came or went, it only counts if it keeps one of them out.
        gone = [value for value in old.enum if violations(new, value) and not violations(old, value)]
        if gone:
            values = ", ".join(shown(value) for value in gone)
            yield _Narrowing(f"no longer accepts {values}", f"restore {values}")
        return
    if new.enum is not None:
        yield _Narrowing("now accepts an `enum` of values only", "remove `enum`")
    if new.pattern is not None and new.pattern != old.pattern:
        change = "changed its pattern" if old.pattern is not None else "now has a pattern"
        way_back = f"restore the pattern `{old.pattern}`" if old.pattern is not None else "remove the pattern"
        yield _Narrowing(f"{change} to `{new.pattern}`", way_back)
    if new.multiple_of is not None and (old.multiple_of is None or not is_multiple(old.multiple_of, new.multiple_of)):
        way_back = "remove `multipleOf`" if old.multiple_of is None else f"restore `multipleOf: {old.multiple_of}`"
        yield _Narrowing(f"must now be a multiple of {new.multiple_of}", way_back)
    lower = (("minimum", old.minimum, new.minimum), ("minLength", old.min_length or 0, new.min_length))
    for keyword, was, least in (*lower, ("minItems", old.min_items or 0, new.min_items)):
        if least is not None and (was is None or least > was):
            yield _Narrowing(f"has `{keyword}` {least}, it was {_or_none(was)}", f"restore `{keyword}` {_or_none(was)}")
    upper = (("maximum", old.maximum, new.maximum), ("maxLength", old.max_length, new.max_length))
    for keyword, was, most in (*upper, ("maxItems", old.max_items, new.max_items)):
        if most is not None and (was is None or most < was):
            yield _Narrowing(f"has `{keyword}` {most}, it was {_or_none(was)}", f"restore `{keyword}` {_or_none(was)}")


def _or_none(limit: int | float | None) -> str:
    return "none" if limit is None else str(limit)


__all__ = ["NOTHING", "SCHEMA_PATH", "InputType", "Schema", "ValueType", "compatibility", "inspect", "parse"]
