"""Creating by form: environments, services, and one more instance of a service.

What is asked for is a spec, as on the command line. It can be typed as one, or field by field; either is made into the
other by a button. Fields begin with the spec they were made from, which goes along unseen: what they do not show is
kept, and a spec that nobody touched stays as it was written.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from upkeep.domain import forms, specs
from upkeep.domain.deployments import Deployment
from upkeep.domain.errors import CallerError, Conflict, Forbidden, SignedOut, UpkeepError, reaction
from upkeep.domain.forms import FilledIn, Form
from upkeep.domain.inputs import InputType
from upkeep.domain.names import ResourceKind, parse_resource_name, parse_version
from upkeep.domain.people import Act, may, require
from upkeep.domain.resources import Inputs, Placement
from upkeep.domain.specs import EnvironmentSpec, InstanceSpec, ServiceSpec
from upkeep.domain.tags import parse_tags
from upkeep.domain.versions import TemplateKind
from upkeep.flows import enroll
from upkeep.flows.browse.creation import CreationView, creation, is_taken
from upkeep.flows.ports import Unit
from upkeep.web.identity import actor
from upkeep.web.pages.ownership import typed_repository
from upkeep.web.pages.resources import blueprint
from upkeep.web.pages.updates import INPUT, focus_after, typed_texts
from upkeep.web.rooms import rooms

_INSTANCES, _PIPELINE = "instances", "pipeline"
_MOST_INSTANCES = 50


@dataclass(frozen=True, slots=True)
class _InstanceForm:
    """An instance in a form: the number its fields are known by, and its name and environment as typed."""

    number: int
    name: str
    environment: str
    form: Form

    @property
    def prefix(self) -> str:
        """What the names of its fields begin with."""
        return self.form.name


@dataclass(frozen=True, slots=True)
class _Sheet:
    """All that is asked, with what was typed. `as_spec` says that the spec is typed itself."""

    kind: ResourceKind | None
    service: str
    view: CreationView
    as_spec: bool
    spec: str
    environment: Form | None = None
    instances: tuple[_InstanceForm, ...] = ()
    pipeline: Form | None = None

    @property
    def forms(self) -> tuple[Form, ...]:
        """The forms of everything that has inputs."""
        own = (self.environment, *(instance.form for instance in self.instances), self.pipeline)
        return tuple(form for form in own if form is not None)


@dataclass(frozen=True, slots=True)
class _Wrong:
    """Why nothing was created: the fault as a whole, and sentences by the names of fields."""

    fault: CallerError
    at: Mapping[str, str] = field(default_factory=dict)


@blueprint.route("/environments/new", methods=["GET", "POST"])
def environment_new() -> ResponseReturnValue:
    """The form that creates an environment."""

    def create(unit: Unit, spec: str) -> Sequence[Deployment]:
        return [
            enroll.create_environment(
                unit,
                _said("name"),
                _said("template"),
                spec,
                version=parse_version(_said("version")),
                owner=_said("owner") or None,
                placement=_placement(),
                tags=_tags(),
                actor=actor(),
                now=rooms().clock(),
            )
        ]

    return _new(ResourceKind.ENVIRONMENT, create)


@blueprint.route("/services/new", methods=["GET", "POST"])
def service_new() -> ResponseReturnValue:
    """The form that creates a service."""

    def create(unit: Unit, spec: str) -> Sequence[Deployment]:
        return enroll.create_service(
            unit,
            _said("name"),
            _said("template"),
            spec,
            version=parse_version(_said("version")),
            owner=_said("owner") or None,
            repository=typed_repository(),
            tags=_tags(),
            actor=actor(),
            now=rooms().clock(),
        )

    return _new(None, create)


@blueprint.route("/services/<service>/instances/new", methods=["GET", "POST"])
def instance_new(service: str) -> ResponseReturnValue:
    """The form that adds an instance to a service."""

    def create(unit: Unit, spec: str) -> Sequence[Deployment]:
        listed = specs.parse_service_spec(spec).instances
        if len(listed) != 1:
            raise CallerError("the spec lists more than one instance", where="spec", cure="add them one by one")
        version = parse_version(_said("version"))
        return [enroll.add_instance(unit, service, listed[0], version=version, actor=actor(), now=rooms().clock())]

    return _new(ResourceKind.INSTANCE, create, service)


def _new(
    kind: ResourceKind | None, create: Callable[[Unit, str], Sequence[Deployment]], service: str = ""
) -> ResponseReturnValue:
    if request.method == "GET":
        return _page(_sheet(kind, service))
    require(actor(), Act.ENROLL)
    done = request.form.get("do", "")
    if request.form.get("change") or done in ("choose", "form", "spec"):
        return _turned(kind, service, done)
    sheet = _sheet(kind, service)
    wrong = _wrong_about(sheet)
    filled = {form.name: forms.filled_in(form) for form in sheet.forms}
    for one in filled.values():
        wrong |= one.faults
    if wrong:
        fault = CallerError("something does not fit", cure="mend what is named below and send the form again")
        return _page(sheet, _Wrong(fault, wrong))
    try:
        spec = sheet.spec if sheet.as_spec else _written(sheet, filled)
        with rooms().store.write() as unit:
            asked = create(unit, spec)
    except (SignedOut, Forbidden):
        raise
    except CallerError as refusal:
        return _page(sheet, _Wrong(refusal))
    rooms().store.ring()
    if len(asked) == 1:
        return redirect(url_for("deployments.deployment", deployment_id=asked[0].id), 303)
    return redirect(url_for("resources.service", service=_said("name")), 303)


def _turned(kind: ResourceKind | None, service: str, done: str) -> ResponseReturnValue:
    """The same sheet in another way: with an item more or less, for another version, as a spec or as fields."""
    try:
        sheet = _sheet(kind, service, as_spec=False if done == "form" else None)
    except (SignedOut, Forbidden):
        raise
    except CallerError as fault:
        if done != "form":
            raise
        return _page(_sheet(kind, service, as_spec=True), _Wrong(fault))
    if done != "spec" or sheet.as_spec:
        return _page(sheet)
    filled = {form.name: forms.filled_in(form) for form in sheet.forms}
    unread = {name: one.faults[name] for one in filled.values() for name in one.unread}
    if unread:
        unreadable = CallerError("not all of this can be written as a spec", cure="mend what is named below first")
        return _page(sheet, _Wrong(unreadable, unread))
    spec = _written(sheet, filled) if filled else sheet.spec
    return _page(replace(sheet, as_spec=True, spec=spec, environment=None, instances=(), pipeline=None))


# --------------------------------------------------------------------------------------------------- the sheet


def _sheet(kind: ResourceKind | None, service: str, *, as_spec: bool | None = None) -> _Sheet:
    """What was sent, or an empty one. Where the spec itself is typed, it is only read when fields are made from it."""
    template_kind = TemplateKind.ENVIRONMENT if kind is ResourceKind.ENVIRONMENT else TemplateKind.SERVICE
    typed_as_spec = _said("as") == "spec"
    wanted_as_spec = typed_as_spec if as_spec is None else as_spec
    spec = request.form.get("spec", "").replace("\r\n", "\n")
    version = _said("version")
    with rooms().store.read() as unit:
        template = unit.fleet.service(service).template if service else _said("template")
        # A version of the template that was chosen before says nothing about another one.
        named = version if version and _said("of") in ("", template) else ""
        view = creation(
            unit,
            template_kind,
            template,
            parse_version(named) if named else None,
            drafts=may(actor(), Act.REVIEW),
        )
    sheet = _Sheet(kind, service, view, wanted_as_spec, spec)
    if wanted_as_spec or view.chosen is None or view.inputs is None:
        return sheet
    # Fields made from a typed spec begin with what it says; else they go on with what was typed into them.
    texts = {} if typed_as_spec or request.method == "GET" else typed_texts(INPUT, _INSTANCES, _PIPELINE)
    change = request.form.get("change", "")
    if kind is ResourceKind.ENVIRONMENT:
        given = specs.parse_environment_spec(spec) if spec.strip() else EnvironmentSpec({})
        return replace(sheet, environment=forms.make(view.inputs, given.inputs, INPUT, typed=texts, change=change))
    base = specs.parse_service_spec(spec) if spec.strip() else ServiceSpec(None, ())
    numbers = _numbers(texts, len(base.instances), change)
    instances = tuple(_instance(number, base, view.inputs, texts, change) for number in numbers)
    pipeline = None
    if view.pipeline is not None and not service:
        pipeline = forms.make(view.pipeline, base.pipeline or {}, _PIPELINE, typed=texts, change=change)
    return replace(sheet, instances=instances, pipeline=pipeline)


def _numbers(texts: Mapping[str, str], known: int, change: str) -> list[int]:
    numbers = list(range(max(known, 1)))
    if f"{_INSTANCES}~items" in texts:
        said = [text for text in texts[f"{_INSTANCES}~items"].split() if text.isascii() and text.isdigit()]
        numbers = list(dict.fromkeys(int(text[:6]) for text in said))
    if change == f"add:{_INSTANCES}":
        numbers.append(max([known - 1, *numbers]) + 1)
    numbers = [number for number in numbers if change != f"remove:{_INSTANCES}.{number}"]
    if len(numbers) > _MOST_INSTANCES:
        raise CallerError(f"a form has no room for more than {_MOST_INSTANCES} instances", cure="write them as a spec")
    return numbers


def _instance(number: int, base: ServiceSpec, asked: InputType, texts: Mapping[str, str], change: str) -> _InstanceForm:
    prefix = f"{_INSTANCES}.{number}"
    given = base.instances[number] if number < len(base.instances) else InstanceSpec("", "", {})
    return _InstanceForm(
        number,
        texts.get(f"{prefix}~name", given.name).strip(),
        texts.get(f"{prefix}~environment", given.environment).strip(),
        forms.make(asked, given.inputs, prefix, typed=texts, change=change),
    )


def _written(sheet: _Sheet, filled: Mapping[str, FilledIn]) -> str:
    """The spec that the fields give; the one they began with when it says just that."""
    if sheet.environment is not None:
        inputs = filled[sheet.environment.name].inputs
        if sheet.spec.strip() and specs.parse_environment_spec(sheet.spec).inputs == inputs:
            return sheet.spec
        return specs.written_environment_spec(inputs)
    instances = tuple(
        InstanceSpec(each.name, each.environment, filled[each.form.name].inputs) for each in sheet.instances
    )
    pipeline: Inputs | None = None
    if sheet.pipeline is not None:
        pipeline = filled[sheet.pipeline.name].inputs or None
    if sheet.spec.strip():
        before = specs.parse_service_spec(sheet.spec)
        if before.instances == instances and (before.pipeline or None) == pipeline:
            return sheet.spec
    return specs.written_service_spec(pipeline, instances)


# ----------------------------------------------------------------------------------------- what stands around it


def _said(name: str) -> str:
    return request.values.get(name, "").strip()


def _placement() -> Placement:
    return Placement(_said("account_id"), _said("region"), _said("role_arn"), _said("external_id"))


def _tags() -> dict[str, str]:
    return parse_tags(line.strip() for line in request.form.get("tags", "").splitlines() if line.strip())


def _wrong_about(sheet: _Sheet) -> dict[str, str]:
    """What is wrong besides the inputs, by the names of fields."""
    wrong: dict[str, str] = {}

    def look(name: str, check: Callable[[], object]) -> None:
        try:
            check()
        except UpkeepError as fault:
            wrong[name] = f"{fault.message}: {fault.cure}" if fault.cure else fault.message

    if sheet.view.chosen is None:
        wrong["template"] = "choose a template, and the version to take"
    if sheet.kind is not ResourceKind.INSTANCE:
        look("name", lambda: _free_name(sheet.kind, _said("name")))
    if sheet.kind is ResourceKind.ENVIRONMENT:
        placement = _placement()
        alone = Placement()
        look("account_id", lambda: enroll.checked(replace(alone, account_id=placement.account_id)))
        look("region", lambda: enroll.checked(replace(alone, region=placement.region)))
        look("role_arn", lambda: enroll.checked(replace(alone, role_arn=placement.role_arn)))
        if "role_arn" not in wrong:
            role = replace(alone, role_arn=placement.role_arn, external_id=placement.external_id)
            look("external_id", lambda: enroll.checked(role))
    look("tags", _tags)
    seen: set[str] = set()
    for each in sheet.instances:
        named = each.name
        look(f"{each.prefix}~name", partial(_free_name, ResourceKind.INSTANCE, named, sheet.service))
        look(f"{each.prefix}~environment", partial(parse_resource_name, each.environment))
        if named in seen:
            wrong.setdefault(f"{each.prefix}~name", f"another instance here is called `{named}` too")
        seen.add(named)
    if sheet.kind is not ResourceKind.ENVIRONMENT and not sheet.as_spec and not sheet.instances and not wrong:
        wrong["add-instance"] = "a service has at least one instance: add one"
    return wrong


def _free_name(kind: ResourceKind | None, name: str, service: str = "") -> None:
    parse_resource_name(name)
    if kind is ResourceKind.INSTANCE and not service:
        return
    with rooms().store.read() as unit:
        if is_taken(unit, kind, name, service):
            what = f"{kind or 'service'}"
            article = "a" if kind is None else "an"
            raise Conflict(f"{article} {what} `{name}` exists already", cure="choose another name")


def _page(sheet: _Sheet, wrong: _Wrong | None = None) -> ResponseReturnValue:
    change = request.form.get("change", "")
    page = render_template(
        "creation.html",
        sheet=sheet,
        view=sheet.view,
        wrong=wrong,
        faults=wrong.at if wrong else {},
        grown=focus_after(change, *sheet.forms) if change else "",
        said=_said,
        tags=request.form.get("tags", ""),
        unused=_unused(sheet),
        action=_address(sheet),
        back=_back(sheet),
    )
    return page, reaction(wrong.fault).status if wrong else 200


def _unused(sheet: _Sheet) -> list[str]:
    """Inputs of the spec that the chosen version does not know, and that are ignored."""
    return sorted(
        {name for form in sheet.forms for name in specs.unknown_inputs(form.kind, form.given)}
        if not sheet.as_spec
        else ()
    )


def _address(sheet: _Sheet) -> str:
    if sheet.kind is ResourceKind.ENVIRONMENT:
        return url_for("resources.environment_new")
    if sheet.kind is ResourceKind.INSTANCE:
        return url_for("resources.instance_new", service=sheet.service)
    return url_for("resources.service_new")


def _back(sheet: _Sheet) -> str:
    if sheet.kind is ResourceKind.ENVIRONMENT:
        return url_for("resources.environments")
    return url_for("resources.service", service=sheet.service) if sheet.service else url_for("resources.services")
