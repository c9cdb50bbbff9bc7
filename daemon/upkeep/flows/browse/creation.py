"""What can be created: which templates and versions are offered, which inputs they ask for, and where it may live."""

from collections.abc import Iterable
from dataclasses import dataclass

from upkeep.domain import schemas
from upkeep.domain.errors import BundleError
from upkeep.domain.inputs import InputType, ValueType
from upkeep.domain.names import ResourceKind, ResourceName, TemplateName, Version, environment_key, is_name
from upkeep.domain.versions import Template, TemplateKind, TemplateVersion, VersionState
from upkeep.flows.ports import FleetFilter, FleetOrder, Unit

HOMES = 200
"""How many environments are offered for an instance; others are typed."""

_NOTHING = InputType(ValueType.OBJECT)


@dataclass(frozen=True, slots=True)
class Offer:
    """A version that can be taken."""

    version: Version
    recommended: bool
    draft: bool


@dataclass(frozen=True, slots=True)
class CreationView:
    """What a form for something new offers.

    `templates` are those of the kind with a version to take; `chosen` is None while none of them is chosen. `inputs`
    and `pipeline` are what the chosen version asks for, None when it has no such part; `unreadable` says why that
    cannot be told. `homes` are environments that instances of it can live in, `more_homes` that there are others.
    """

    templates: tuple[TemplateName, ...]
    family: Template | None
    chosen: TemplateVersion | None
    versions: tuple[Offer, ...]
    inputs: InputType | None
    pipeline: InputType | None
    unreadable: str | None
    homes: tuple[ResourceName, ...]
    more_homes: bool
    owners: tuple[str, ...]


def creation(
    unit: Unit, kind: TemplateKind, template: str = "", version: Version | None = None, *, drafts: bool = False
) -> CreationView:
    """What can be created from a template of a kind, at its recommended version unless one is named. A template that is
    the only one is chosen; `drafts` offers drafts as well. NotFound for a template or a version that is not there."""
    templates = tuple(_offered(unit, kind, drafts))
    name = template or (templates[0] if len(templates) == 1 else "")
    owners = tuple(unit.fleet.owners())
    if not name:
        return CreationView(templates, None, None, (), None, None, None, (), False, owners)
    family = unit.registry.template(name)
    versions = tuple(_versions(unit, family, drafts))
    number = version or family.recommended or (versions[0].version if versions else None)
    chosen = unit.registry.version(family.name, number) if number is not None else None
    inputs = pipeline = None
    unreadable = None
    if chosen is not None:
        try:
            inputs, pipeline = _asked(chosen)
        except BundleError as fault:
            unreadable = str(fault)
    homes, more = _homes(unit, chosen) if chosen is not None and kind is TemplateKind.SERVICE else ((), False)
    return CreationView(templates, family, chosen, versions, inputs, pipeline, unreadable, homes, more, owners)


def is_taken(unit: Unit, kind: ResourceKind | None, name: str, service: str = "") -> bool:
    """Whether there is an environment, an instance of a service, or without a kind a service, of that name."""
    if not is_name(name):
        return False
    if kind is ResourceKind.ENVIRONMENT:
        return unit.fleet.find(environment_key(name)) is not None
    parts = unit.fleet.of_service(ResourceName(service or name))
    if kind is ResourceKind.INSTANCE:
        return any(part.key.kind is kind and part.key.name == name for part in parts)
    return bool(parts)


def _offered(unit: Unit, kind: TemplateKind, drafts: bool) -> Iterable[TemplateName]:
    waiting = {draft.template for draft in unit.registry.drafts()} if drafts else set()
    for family in unit.registry.templates():
        if family.kind is kind and (family.recommended is not None or family.name in waiting):
            yield family.name


def _versions(unit: Unit, family: Template, drafts: bool) -> Iterable[Offer]:
    for entry in unit.registry.versions(family.name):
        if entry.state is VersionState.PUBLISHED or (drafts and entry.state is VersionState.DRAFT):
            yield Offer(entry.version, entry.version == family.recommended, entry.state is VersionState.DRAFT)


def _asked(chosen: TemplateVersion) -> tuple[InputType, InputType | None]:
    schema = schemas.parse(chosen.schema) if chosen.schema is not None else None
    pipeline = schema.pipeline if schema is not None else None
    has = chosen.has_pipeline
    own = schema.inputs if schema is not None else _NOTHING
    return own, (pipeline or _NOTHING) if has else None


def _homes(unit: Unit, chosen: TemplateVersion) -> tuple[tuple[ResourceName, ...], bool]:
    majors: dict[TemplateName, set[int]] = {}
    for able in chosen.compatible_environments:
        majors.setdefault(able.template, set()).add(able.major)
    found: list[ResourceName] = []
    more = False
    for template, able_majors in majors.items():
        wanted = FleetFilter(kind=ResourceKind.ENVIRONMENT, template=template)
        page = unit.fleet.page(wanted, FleetOrder.NAME, None, HOMES)
        more = more or page.next is not None
        for home in page.resources:
            if home.version is None or home.version.major in able_majors:
                found.append(home.key.name)
    return tuple(sorted(found)[:HOMES]), more
