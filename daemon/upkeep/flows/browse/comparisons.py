"""Versions of a template beside each other, the files of one, and what lies between a resource and another version."""

from dataclasses import dataclass

from upkeep.domain import schemas
from upkeep.domain.bundles import BundleFile
from upkeep.domain.documents import DocumentError, decode
from upkeep.domain.errors import CallerError, NotFound
from upkeep.domain.names import ResourceKey, Version
from upkeep.domain.plans import Plan
from upkeep.domain.resources import Resource
from upkeep.domain.schemachanges import InputChange, input_changes
from upkeep.domain.versions import Template, TemplateVersion, VersionState
from upkeep.flows.browse.differences import FileDifference, differences, text_difference
from upkeep.flows.measure import offered_to
from upkeep.flows.plan import moved
from upkeep.flows.ports import Unit


@dataclass(frozen=True, slots=True)
class Compared:
    """How a version differs from another one, `other`, None when there is none. `comparable` are the versions to choose
    from. `unknown` says why files cannot be shown. `inputs` is what became of the inputs; None when a schema cannot be
    read."""

    other: TemplateVersion | None
    comparable: tuple[Version, ...]
    files: tuple[FileDifference, ...]
    unknown: str | None
    schema: FileDifference | None
    inputs: tuple[InputChange, ...] | None


@dataclass(frozen=True, slots=True)
class ComparisonView:
    """The page of a comparison."""

    template: Template
    version: TemplateVersion
    compared: Compared


@dataclass(frozen=True, slots=True)
class FileView:
    """A file of a version. `text` is None when it cannot be shown, and `silent` says why."""

    template: Template
    version: TemplateVersion
    file: BundleFile
    text: str | None
    silent: str | None


def comparison(unit: Unit, name: str, number: Version, other: Version | None) -> ComparisonView:
    """A version beside another one of its template; without `other`, beside the one before it."""
    family = unit.registry.template(name)
    found = unit.registry.version(family.name, number)
    return ComparisonView(family, found, compared_versions(unit, family, found, other))


def compared_versions(
    unit: Unit, family: Template, version: TemplateVersion, wanted: Version | None, *, lower: bool = False
) -> Compared:
    """How a version differs from the wanted one, else from the highest published below it, else from the one before it.
    Only versions below it can be wanted when `lower` is asked for."""
    others = [
        entry
        for entry in unit.registry.versions(family.name)
        if entry.version < version.version or (not lower and entry.version != version.version)
    ]
    below = [entry for entry in others if entry.version < version.version]
    other = next(iter([entry for entry in below if entry.offered] or below), None)
    if wanted is not None:
        other = next((entry for entry in others if entry.version == wanted), None)
        if other is None:
            which = "a version below it" if lower else "another version of the template"
            raise CallerError(
                f"{family.name} {version.version} cannot be compared with {wanted}", cure=f"choose {which}"
            )
    files: tuple[FileDifference, ...] = ()
    unknown = None
    try:
        before = unit.registry.bundle(other.tree) if other else None
        files = differences(before, unit.registry.bundle(version.tree))
    except NotFound as missing:
        unknown = missing.message
    return Compared(
        other=other,
        comparable=tuple(entry.version for entry in others),
        files=files,
        unknown=unknown,
        schema=text_difference(schemas.SCHEMA_PATH, other.schema if other else None, version.schema),
        inputs=_inputs(other.schema if other else None, version.schema),
    )


def file_paths(unit: Unit, version: TemplateVersion) -> tuple[BundleFile, ...] | None:
    """The files of a version, by path; None when its bundle is missing."""
    try:
        return tuple(sorted(unit.registry.bundle(version.tree).files, key=lambda file: file.path))
    except NotFound:
        return None


def file_of(unit: Unit, name: str, number: Version, path: str) -> FileView:
    """One file of a version; NotFound when it has none of that path, or its bundle is missing."""
    family = unit.registry.template(name)
    version = unit.registry.version(family.name, number)
    bundle = unit.registry.bundle(version.tree)
    file = next((file for file in bundle.files if file.path == path), None)
    if file is None:
        raise NotFound(f"{family.name} {number} has no file `{path}`", cure="see the version's page for its files")
    if file.content is None:
        return FileView(family, version, file, None, "its content was not read: it is no plain file, or too large")
    try:
        return FileView(family, version, file, decode(file.content, path), None)
    except DocumentError as fault:
        return FileView(family, version, file, None, f"it is not text: {fault.findings[0].message}")


@dataclass(frozen=True, slots=True)
class ResourceDifference:
    """What an update of a resource is about. `to` is the version it would take, None when there is none to take; `due`
    is the one that is recommended to it. `between` are the published versions it would come past, the highest first.
    `plan` is the last that was worked out for `to`, if it still holds."""

    resource: Resource
    to: Version | None
    due: Version | None
    between: tuple[TemplateVersion, ...]
    plan: Plan | None


def resource_difference(unit: Unit, key: ResourceKey, to: Version | None) -> ResourceDifference:
    """What moving a resource to a version is about; without one, to the version that it should take."""
    resource = unit.fleet.get(key)
    running = resource.version
    major = running.major if running is not None else -1
    due = offered_to(unit, resource.template, major)
    target = to or due
    if target is not None:
        unit.registry.version(resource.template, target)
    between = [
        entry
        for entry in unit.registry.versions(resource.template)
        if target is not None
        and entry.state is VersionState.PUBLISHED
        and (running or Version(0, 0)) < entry.version <= target
    ]
    plan = unit.plans.last(key, target) if target is not None else None
    holds = plan is not None and plan.usable and not moved(unit, plan)
    return ResourceDifference(
        resource, None if target == running else target, due, tuple(between), plan if holds else None
    )


def _inputs(before: str | None, after: str | None) -> tuple[InputChange, ...] | None:
    old = schemas.inspect(before)[0] if before is not None else None
    new = schemas.inspect(after)[0] if after is not None else None
    if (before is not None and old is None) or (after is not None and new is None):
        return None
    return input_changes(old, new)
