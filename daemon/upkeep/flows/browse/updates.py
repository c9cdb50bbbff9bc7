"""The form that moves a resource: which versions it may take, and which inputs they ask for."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from upkeep.domain import forms, schemas
from upkeep.domain.bundles import Part
from upkeep.domain.deployments import Deployment
from upkeep.domain.errors import BundleError
from upkeep.domain.forms import Field, Form
from upkeep.domain.inputs import NOTHING, InputType
from upkeep.domain.names import ResourceKey, Version
from upkeep.domain.resources import Inputs, Resource
from upkeep.domain.versions import Template, TemplateVersion, VersionState
from upkeep.flows.deploy import left_behind
from upkeep.flows.measure import offered_to
from upkeep.flows.ports import Unit


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

    `form` is None when there are no inputs to ask for. `seen` names the last deployment, so that an order given later
    can say what it was based on. `unreadable` says why the chosen version's inputs cannot be asked for. `then` are the
    inputs it had when it last ran an older version that is chosen now, None unless they differ. `leftover` is the stack
    of a failed creation, to be deleted first.
    """

    resource: Resource
    template: Template
    chosen: TemplateVersion
    due: Version | None
    choices: tuple[Choice, ...]
    form: Form | None
    given: Inputs
    dropped: tuple[str, ...]
    seen: str
    under_way: Deployment | None
    unreadable: str | None
    then: Inputs | None
    leftover: str | None

    @property
    def asked(self) -> tuple[Field, ...]:
        """What has to be looked at: new inputs, and those that are needed and have no value."""
        fields = self.form.fields if self.form else ()
        return tuple(field for field in fields if _open(field))

    @property
    def kept(self) -> tuple[Field, ...]:
        """The inputs that are as before."""
        fields = self.form.fields if self.form else ()
        return tuple(field for field in fields if not _open(field))


def update_form(
    unit: Unit,
    key: ResourceKey,
    to: Version | None = None,
    *,
    drafts: bool = False,
    inputs: Inputs | None = None,
    typed: Mapping[str, str] | None = None,
    change: str = "",
) -> UpdateView:
    """The form for moving a resource to a version; without one, to the recommended version if it is behind it, else
    to the version it runs. `drafts` offers drafts as well; `inputs` stand in the form in place of those it has, and
    what was `typed` in place of these, with one item more or less if `change` says so."""
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
    form = forms.make(asked, given, typed=typed, change=change, before=before) if asked else None
    return UpdateView(
        resource=resource,
        template=family,
        chosen=chosen,
        due=due,
        choices=tuple(_choices(unit.registry.versions(family.name), resource, due or family.recommended, drafts)),
        form=form,
        given=given,
        dropped=tuple(name for name in given if asked is None or name not in asked.properties),
        seen=resource.last_deployment or "",
        under_way=unit.deployments.under_way(key),
        unreadable=unreadable,
        then=_inputs_then(unit, resource, chosen.version, given),
        leftover=left_behind(unit, resource),
    )


def _open(field: Field) -> bool:
    return field.fresh or (field.required and field.base is NOTHING)


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
