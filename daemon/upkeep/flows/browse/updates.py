"""The form that moves a resource: which versions it may take, and which inputs they ask for."""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from upkeep.domain import schemas
from upkeep.domain.bundles import Part
from upkeep.domain.deployments import Deployment
from upkeep.domain.errors import BundleError
from upkeep.domain.inputs import InputType, ValueType
from upkeep.domain.names import ResourceKey, Version
from upkeep.domain.resources import Inputs, Resource
from upkeep.domain.versions import Template, TemplateVersion, VersionState
from upkeep.flows.deploy import left_behind
from upkeep.flows.measure import offered_to
from upkeep.flows.ports import Unit


class Widget(StrEnum):
    """How an input is asked for. DOCUMENT takes a list or a mapping, written as JSON."""

    TEXT = "text"
    NUMBER = "number"
    CHECKBOX = "checkbox"
    CHOICE = "choice"
    DOCUMENT = "document"


@dataclass(frozen=True, slots=True)
class InputField:
    """One input in a form. `text` is what stands there; `default` what an empty field comes to, None for nothing.

    `fresh` says that the running version did not have this input; `required` that it must be given.
    `offers` maps the written form of each value of an enumeration to the value.
    """

    name: str
    widget: Widget
    text: str
    required: bool
    fresh: bool
    label: str
    hint: str | None = None
    default: str | None = None
    offers: Mapping[str, Any] = field(default_factory=dict)
    whole: bool = False
    minimum: int | float | None = None
    maximum: int | float | None = None
    longest: int | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """A version the resource may take. `back` says that it is lower than the running one."""

    version: Version
    recommended: bool
    running: bool
    draft: bool
    back: bool


@dataclass(frozen=True, slots=True)
class UpdateView:
    """The form. `given` are the inputs as they are, `dropped` the names of those the chosen version does not know.

    `seen` names the last deployment, so that an order given later can say what it was based on. `unreadable` says
    why the chosen version's inputs cannot be asked for. `then` are the inputs it had when it last ran an older version
    that is chosen now, None unless they differ. `leftover` is the stack of a failed creation, to be deleted first.
    """

    resource: Resource
    template: Template
    chosen: TemplateVersion
    due: Version | None
    choices: tuple[Choice, ...]
    fields: tuple[InputField, ...]
    given: Inputs
    dropped: tuple[str, ...]
    seen: str
    under_way: Deployment | None
    unreadable: str | None
    then: Inputs | None
    leftover: str | None


def update_form(
    unit: Unit, key: ResourceKey, to: Version | None = None, *, drafts: bool = False, inputs: Inputs | None = None
) -> UpdateView:
    """The form for moving a resource to a version; without one, to the recommended version if it is behind it, else
    to the version it runs. `drafts` offers drafts as well; `inputs` stand in the form in place of those it has."""
    resource = unit.fleet.get(key)
    family = unit.registry.template(resource.template)
    last = next(iter(unit.deployments.of_resource(key, limit=1)), None)
    aimed_at = last.target.version if last else None
    given = last.target.inputs if resource.version is None and last else resource.inputs
    given = given if inputs is None else inputs
    due = None
    if resource.version is not None and resource.lag.behind:
        due = offered_to(unit, family.name, resource.version.major)
    chosen_number = to or due or resource.version or aimed_at or family.recommended
    chosen = unit.registry.version(family.name, chosen_number or Version(0, 0))
    running = unit.registry.find_version(family.name, resource.version) if resource.version else None
    part = Part(key.kind.value)
    try:
        asked = _inputs_of(chosen, part)
        unreadable = None
    except BundleError as error:
        asked, unreadable = None, str(error)
    before = _names_before(running, part)
    fields = tuple(fields_of(asked, given, before)) if asked else ()
    return UpdateView(
        resource=resource,
        template=family,
        chosen=chosen,
        due=due,
        choices=tuple(_choices(unit.registry.versions(family.name), resource, due or family.recommended, drafts)),
        fields=fields,
        given=given,
        dropped=tuple(name for name in given if asked is None or name not in asked.properties),
        seen=resource.last_deployment or "",
        under_way=unit.deployments.under_way(key),
        unreadable=unreadable,
        then=_inputs_then(unit, resource, chosen.version, given),
        leftover=left_behind(unit, resource),
    )


def fields_of(asked: InputType, given: Inputs, before: frozenset[str] | None) -> Iterable[InputField]:
    """A field for each input a schema names, in its order. `before` holds the names the running version has; None
    when nothing runs yet, so that nothing is new."""
    for name, kind in asked.properties.items():
        default = written(kind.default) if kind.has_default else None
        widget = _widget(kind)
        text = written(given[name]) if name in given else ""
        if widget is Widget.CHECKBOX and name not in given:
            text = default or "false"
        yield InputField(
            name=name,
            widget=widget,
            text=text,
            required=name in asked.required and not kind.has_default and widget is not Widget.CHECKBOX,
            fresh=before is not None and name not in before,
            label=kind.title or name,
            hint=kind.description,
            default=default,
            offers={written(value): value for value in kind.enum or ()},
            whole=kind.type is ValueType.INTEGER,
            minimum=kind.minimum,
            maximum=kind.maximum,
            longest=kind.max_length,
        )


def filled_in(
    fields: Iterable[InputField], texts: Mapping[str, str], given: Inputs
) -> tuple[dict[str, Any], dict[str, str]]:
    """The inputs a filled-in form gives, and for each field that cannot be read a sentence why.

    A field left as it was keeps exactly what was given, be it nothing; an emptied one goes back to its default.
    Inputs the form does not show stay.
    """
    inputs = dict(given)
    wrong: dict[str, str] = {}
    for asked in fields:
        text = texts.get(asked.name, "false" if asked.widget is Widget.CHECKBOX else "")
        if asked.widget in (Widget.TEXT, Widget.DOCUMENT):
            text = text.replace("\r\n", "\n")
        if text == asked.text and (asked.name in given or not asked.required):
            continue
        if not text.strip():
            inputs.pop(asked.name, None)
            if asked.required:
                wrong[asked.name] = "this input is needed"
            continue
        try:
            inputs[asked.name] = _read(asked, text)
        except ValueError:
            kind = {Widget.NUMBER: "a number", Widget.DOCUMENT: "JSON"}.get(asked.widget, "one of the choices")
            wrong[asked.name] = f"this is not {kind}"
    return inputs, wrong


def written(value: Any) -> str:
    """A value as a form shows it: texts as they are, everything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _widget(kind: InputType) -> Widget:
    if kind.enum is not None:
        return Widget.CHOICE
    match kind.type:
        case ValueType.BOOLEAN:
            return Widget.CHECKBOX
        case ValueType.NUMBER | ValueType.INTEGER:
            return Widget.NUMBER
        case ValueType.STRING:
            return Widget.TEXT
    return Widget.DOCUMENT


def _read(asked: InputField, text: str) -> Any:
    match asked.widget:
        case Widget.TEXT:
            return text
        case Widget.CHECKBOX:
            return text == "true"
        case Widget.NUMBER:
            number = float(text)
            if not math.isfinite(number):
                raise ValueError(text)
            if asked.whole or (number.is_integer() and "." not in text and "e" not in text.lower()):
                return int(text)
            return number
        case Widget.CHOICE:
            if text not in asked.offers:
                raise ValueError(text)
            return asked.offers[text]
    return json.loads(text)


def _inputs_then(unit: Unit, resource: Resource, chosen: Version, given: Inputs) -> Inputs | None:
    if resource.version is None or chosen >= resource.version:
        return None
    then = unit.deployments.last_succeeded(resource.key, chosen)
    return then.target.inputs if then is not None and then.target.inputs != given else None


def _inputs_of(version: TemplateVersion, part: Part) -> InputType | None:
    return schemas.parse(version.schema).inputs_of(part) if version.schema is not None else None


def _names_before(running: TemplateVersion | None, part: Part) -> frozenset[str] | None:
    if running is None:
        return None
    try:
        asked = _inputs_of(running, part)
    except BundleError:
        return None
    return frozenset(asked.properties if asked else ())


def _choices(
    versions: Iterable[TemplateVersion], resource: Resource, recommended: Version | None, drafts: bool
) -> Iterable[Choice]:
    running = resource.version
    for entry in versions:
        offered = entry.state is VersionState.PUBLISHED or (drafts and entry.state is VersionState.DRAFT)
        if entry.version != running and not (offered and (running is None or entry.version.major >= running.major)):
            continue
        yield Choice(
            version=entry.version,
            recommended=entry.version == recommended,
            running=entry.version == running,
            draft=entry.state is VersionState.DRAFT,
            back=running is not None and entry.version < running,
        )
