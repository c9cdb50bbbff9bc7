"""Specs: what owners ask for. Reading them, and merging what they give with the defaults of a schema.

The two documents are AWS Proton's `EnvironmentSpec` and `ServiceSpec`
(https://docs.aws.amazon.com/proton/latest/userguide/ag-environments.html, …/ag-svc-spec.html). A service has one
document for its pipeline and all its instances.
"""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from upkeep.domain import documents
from upkeep.domain.documents import Document
from upkeep.domain.errors import CallerError
from upkeep.domain.inputs import InputType, Keys, completed_members, spelled, violations
from upkeep.domain.names import is_name
from upkeep.domain.resources import Inputs

CURRENT_VALUE = "${Proton::CURRENT_VAL}"
"""Given for an input, it keeps the value the resource has."""

_NAME_CURE = "use 1 to 100 letters, digits, `_` and `-`, starting with a letter or digit"


@dataclass(frozen=True, slots=True)
class Place:
    """Where inputs stand: the way to them, and the document if there is one. Only messages use it."""

    keys: Keys = ()
    document: Document | None = None

    def where(self, *keys: str | int) -> str | None:
        """`path:line` of a member, None when the text is not known."""
        return self.document.where(*self.keys, *keys) if self.document else None

    def spelled(self, *keys: str | int) -> str:
        """The way to a member: `instances[0].spec.port`."""
        return spelled((*self.keys, *keys))


NOWHERE = Place()
"""Inputs that come from no text, such as a form."""


@dataclass(frozen=True, slots=True)
class EnvironmentSpec:
    """What is asked of an environment."""

    inputs: Inputs
    place: Place = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class InstanceSpec:
    """What is asked of one service instance, and the name of the environment it is to live in."""

    name: str
    environment: str
    inputs: Inputs
    place: Place = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """What is asked of a service. `pipeline` is None when the document has no such section."""

    pipeline: Inputs | None
    instances: tuple[InstanceSpec, ...]
    pipeline_place: Place = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class _Fault:
    message: str
    where: str | None
    cure: str


def _refusal(faults: Sequence[_Fault]) -> CallerError:
    """One error for all faults, one a line when there are several."""
    if len(faults) == 1:
        return CallerError(faults[0].message, where=faults[0].where, cure=faults[0].cure)
    lines = [f"{fault.where}: {fault.message}" if fault.where else fault.message for fault in faults]
    return CallerError("\n".join(f"{line} ({fault.cure})" for line, fault in zip(lines, faults, strict=True)))


# --------------------------------------------------------------------------------------------------- reading


def parse_environment_spec(text: str, path: str = "spec") -> EnvironmentSpec:
    """Read an environment's spec; raises CallerError naming every fault with its line."""
    reader = _Reader(documents.load(text, path))
    root = reader.root("EnvironmentSpec", ("spec",))
    inputs = reader.inputs(root.get("spec"), ("spec",))
    reader.refuse_faults()
    return EnvironmentSpec(inputs, Place(("spec",), reader.document))


def parse_service_spec(text: str, path: str = "spec") -> ServiceSpec:
    """Read a service's spec; raises CallerError naming every fault with its line."""
    reader = _Reader(documents.load(text, path))
    root = reader.root("ServiceSpec", ("pipeline", "instances"))
    pipeline = reader.inputs(root["pipeline"], ("pipeline",)) if "pipeline" in root else None
    instances = reader.instances(root)
    reader.refuse_faults()
    return ServiceSpec(pipeline, instances, Place(("pipeline",), reader.document))


class _Reader:
    """Reads one spec document and collects its faults."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self._faults: list[_Fault] = []

    def refuse_faults(self) -> None:
        if self._faults:
            raise _refusal(self._faults)

    def _fault(self, message: str, keys: Keys, cure: str) -> None:
        self._faults.append(_Fault(message, self.document.where(*keys), cure))

    def root(self, kind: str, sections: tuple[str, ...]) -> Mapping[str, Any]:
        """The document's mapping when it is of the wanted kind; its sections are those named."""
        root = self.document.value
        if not isinstance(root, dict):
            self._fault("this is no spec", (), f"start it with `proton: {kind}`")
            raise _refusal(self._faults)
        if root.get("proton") != kind:
            given = f"`proton` is {root['proton']!r}" if "proton" in root else "`proton` is missing"
            self._fault(f"{given}, `{kind}` was expected", ("proton",), f"give a document with `proton: {kind}`")
            raise _refusal(self._faults)
        for key in root:
            if key not in ("proton", *sections):
                close = difflib.get_close_matches(key, sections, n=1)
                cure = f"write `{close[0]}`" if close else f"the sections are {' and '.join(sections)}"
                self._fault(f"`{key}` is not known", (key,), cure)
        return root

    def inputs(self, given: Any, keys: Keys) -> Inputs:
        if given is None:
            return {}
        if not isinstance(given, dict):
            self._fault(f"`{spelled(keys)}` is no mapping of inputs", keys, "write `name: value` lines below it")
            return {}
        return given

    def instances(self, root: Mapping[str, Any]) -> tuple[InstanceSpec, ...]:
        given = root.get("instances")
        if not isinstance(given, list) or not given:
            self._fault("`instances` is no list of instances", ("instances",), "list at least one, as `- name: …`")
            return ()
        found: list[InstanceSpec] = []
        for position, instance in enumerate(given):
            keys = ("instances", position)
            if not isinstance(instance, dict):
                self._fault(f"`{spelled(keys)}` is no mapping", keys, "give it `name`, `environment` and `spec`")
                continue
            for key in instance:
                if key not in ("name", "environment", "spec"):
                    cure = "an instance has name, environment and spec; inputs go below `spec`"
                    self._fault(f"`{spelled((*keys, key))}` is not known", (*keys, key), cure)
            name = self._name(instance, "name", keys)
            environment = self._name(instance, "environment", keys)
            if name and any(other.name == name for other in found):
                self._fault(f"two instances are called `{name}`", (*keys, "name"), "give each its own name")
            inputs = self.inputs(instance.get("spec"), (*keys, "spec"))
            found.append(InstanceSpec(name, environment, inputs, Place((*keys, "spec"), self.document)))
        return tuple(found)

    def _name(self, instance: Mapping[str, Any], key: str, keys: Keys) -> str:
        name = instance.get(key)
        here = (*keys, key)
        if name is None:
            self._fault(f"`{spelled(here)}` is missing", keys, f"add `{key}: …`")
        elif isinstance(name, int | float):
            self._fault(f"`{spelled(here)}` is {name!r}, not a text", here, "put it in quotes")
        elif not isinstance(name, str) or not is_name(name):
            self._fault(f"`{spelled(here)}` is {name!r}, which is not a name", here, _NAME_CURE)
        else:
            return name
        return ""


# --------------------------------------------------------------------------------------------------- writing


def written_environment_spec(inputs: Inputs) -> str:
    """The spec that gives these inputs."""
    return documents.dump({"proton": "EnvironmentSpec", "spec": dict(inputs)})


def written_service_spec(pipeline: Inputs | None, instances: Iterable[InstanceSpec]) -> str:
    """The spec that lists these instances, and a pipeline if there is one."""
    root: dict[str, Any] = {"proton": "ServiceSpec"}
    if pipeline is not None:
        root["pipeline"] = dict(pipeline)
    return documents.dump(root | {"instances": [_listed(instance) for instance in instances]})


def with_instance(text: str, instance: InstanceSpec) -> str:
    """A service's spec with one more instance, which takes the place of one of its name. Everything else stays as it
    is written, if the instance can simply be added below; else the spec is written anew, without its comments."""
    spec = parse_service_spec(text)
    others = tuple(other for other in spec.instances if other.name != instance.name)
    if len(others) == len(spec.instances):
        item = documents.dump([_listed(instance)])
        for indent in ("  ", "", "    "):
            longer = text.rstrip() + "\n" + "".join(f"{indent}{line}\n" for line in item.splitlines())
            if _lists(longer, spec.pipeline, (*others, instance)):
                return longer
    return written_service_spec(spec.pipeline, (*others, instance))


def _listed(instance: InstanceSpec) -> dict[str, Any]:
    return {"name": instance.name, "environment": instance.environment, "spec": dict(instance.inputs)}


def _lists(text: str, pipeline: Inputs | None, instances: tuple[InstanceSpec, ...]) -> bool:
    try:
        found = parse_service_spec(text)
    except CallerError:
        return False
    return found.pipeline == pipeline and found.instances == instances


# --------------------------------------------------------------------------------------------------- merging


def keep_current(given: Inputs, stored: Inputs) -> Inputs:
    """The given inputs with `${Proton::CURRENT_VAL}` replaced by what is stored, at any depth.

    Where nothing is stored the resource lives with the schema's default, so the input stays out. Raises CallerError
    for such an item of a list, which cannot stay out.
    """
    return _members_kept(given, stored)


def _members_kept(given: Inputs, stored: Inputs) -> dict[str, Any]:
    kept = {}
    for name, value in given.items():
        if value != CURRENT_VALUE:
            kept[name] = _kept(value, stored.get(name))
        elif name in stored:
            kept[name] = stored[name]
    return kept


def _kept(value: Any, stored: Any) -> Any:
    if isinstance(value, dict):
        return _members_kept(value, stored if isinstance(stored, dict) else {})
    if isinstance(value, list):
        known = stored if isinstance(stored, list) else []
        items = []
        for position, item in enumerate(value):
            if item != CURRENT_VALUE:
                items.append(_kept(item, known[position] if position < len(known) else None))
            elif position < len(known):
                items.append(known[position])
            else:
                message = f"item {position} of a list keeps its current value, and there is none"
                raise CallerError(message, cure="write the value out")
        return items
    return value


def merge(input_type: InputType | None, given: Inputs, place: Place = NOWHERE) -> Inputs:
    """The inputs a template is rendered with: the given ones and the schema's defaults, in the order of the schema.

    Optional inputs without default stay out, values stay as they were given (80 stays the integer 80 where a number
    is asked for), and inputs the schema does not know are ignored unless it says `additionalProperties: false`.
    Raises one CallerError that names every input that is missing or does not fit, with its line if `place` knows it.
    """
    if input_type is None:
        return {}
    unkept = tuple(_kept_places({name: given[name] for name in input_type.properties if name in given}))
    faults = [
        _Fault(
            f"`{place.spelled(*keys)}` keeps its current value, and there is none",
            place.where(*keys),
            "write the value out",
        )
        for keys in unkept
    ]
    faults += [
        _Fault(f"`{place.spelled(*fault.keys)}` {fault.message}", place.where(*fault.keys), fault.cure)
        for fault in violations(input_type, dict(given))
        if fault.keys not in unkept
    ]
    if faults:
        raise _refusal(faults)
    return completed_members(input_type, given, keep_unnamed=False)


def _kept_places(value: Any, keys: Keys = ()) -> Iterable[Keys]:
    """Where `${Proton::CURRENT_VAL}` was left standing."""
    if isinstance(value, dict):
        for name, member in value.items():
            yield from _kept_places(member, (*keys, name))
    elif isinstance(value, list):
        for position, item in enumerate(value):
            yield from _kept_places(item, (*keys, position))
    elif value == CURRENT_VALUE:
        yield keys


def unknown_inputs(input_type: InputType | None, given: Inputs) -> tuple[str, ...]:
    """The given inputs that the schema does not know and `merge` ignores."""
    known = input_type.properties if input_type else {}
    return tuple(name for name in given if name not in known)
