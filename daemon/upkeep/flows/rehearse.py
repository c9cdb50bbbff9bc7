"""Rehearse: put a bundle and a spec together as a deployment would, before there is any resource.

What only a resource would know has a stand-in, the same as in AWS's own template checker
(https://github.com/aws-samples/aws-proton-template-checker-action), so that results can be compared.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from upkeep.domain import documents, namespaces, schemas, specs
from upkeep.domain.bundles import Inspection, TemplateFile
from upkeep.domain.errors import BundleError, CallerError
from upkeep.domain.findings import Severity
from upkeep.domain.namespaces import EnvironmentFacts, InstanceFacts, ServiceFacts
from upkeep.domain.parts import Part
from upkeep.domain.resources import Inputs, Outputs, Repository
from upkeep.domain.schemas import Schema
from upkeep.domain.versions import TemplateKind
from upkeep.flows.compose import Composition

ENVIRONMENT_NAME = "sample-env"
SERVICE = ServiceFacts("sample-service", Repository("main", "github/sample-repo", "arn:connection:dummy"))
ACCOUNT_ID = "111111111111"


@dataclass(frozen=True, slots=True)
class KnownOutputs:
    """Outputs to render with: those of the environment, and those of every service instance if they are known."""

    environment: Outputs
    service: Outputs | None


NO_OUTPUTS = KnownOutputs({}, None)

StandIn = Callable[[Composition, str], Outputs]
"""Makes up the outputs of an instance of this name by what its template would be rendered to."""


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """A template with its namespace, and the inputs of the spec that its schema does not know."""

    composition: Composition
    ignored: tuple[str, ...]


def parse_outputs(text: str, path: str) -> KnownOutputs:
    """Read a file of outputs: output names and values of the environment, or such mappings in the sections
    `environment` and `service`. Raises CallerError with file and line."""
    document = documents.load_texts(text, path)
    root = document.value or {}
    if not isinstance(root, dict):
        raise CallerError("the file is no mapping", where=document.where(), cure="write `OutputName: value` lines")
    sections = {"environment", "service"}
    if not root or not set(root) <= sections or not all(isinstance(root[name], dict) for name in root):
        root = {"environment": root}
    for name, outputs in root.items():
        for key, value in outputs.items():
            if not isinstance(value, str):
                keys = (name, key) if name in document.value else (key,)
                raise CallerError(f"the output `{key}` is no text", where=document.where(*keys), cure="give one value")
    return KnownOutputs(root.get("environment", {}), root.get("service"))


def rehearse(
    inspection: Inspection,
    spec: str,
    spec_path: str,
    *,
    part: Part | None = None,
    instance: str | None = None,
    account_id: str = ACCOUNT_ID,
    outputs: KnownOutputs = NO_OUTPUTS,
    stand_in: StandIn | None = None,
) -> Rehearsal:
    """Compose one part of a bundle: its environment, or for services by default an instance, the spec's first one.

    A pipeline may use the outputs of instances; where they are not known `stand_in` makes them up.

    Raises BundleError when the bundle has no such part that can be rendered, CallerError when the spec does not fit.
    """
    part = part or (Part.INSTANCE if inspection.kind is TemplateKind.SERVICE else Part.ENVIRONMENT)
    if instance is not None and part is not Part.INSTANCE:
        raise CallerError(f"an instance cannot be chosen for the {part} template", cure="leave the instance out")
    template, schema = _readable(inspection, part)
    ignored: list[str] = []

    def merged(of: Part, given: Inputs, place: specs.Place) -> Inputs:
        input_type = schema.inputs_of(of)
        ignored.extend(place.spelled(name) for name in specs.unknown_inputs(input_type, given))
        return specs.merge(input_type, given, place)

    if part is Part.ENVIRONMENT:
        asked = specs.parse_environment_spec(spec, spec_path)
        inputs = merged(part, asked.inputs, asked.place)
        namespace = namespaces.environment_namespace(EnvironmentFacts(ENVIRONMENT_NAME, account_id, inputs))
        return Rehearsal(Composition(template, namespace), tuple(ignored))

    service = specs.parse_service_spec(spec, spec_path)
    chosen = service.instances if part is Part.PIPELINE else (_chosen(service, instance, spec_path),)
    instances = [
        InstanceFacts(
            one.name,
            EnvironmentFacts(one.environment, account_id, outputs=outputs.environment),
            merged(Part.INSTANCE, one.inputs, one.place),
            outputs.service or {},
        )
        for one in chosen
    ]
    if part is Part.INSTANCE:
        namespace = namespaces.instance_namespace(SERVICE, instances[0])
        return Rehearsal(Composition(template, namespace), tuple(ignored))
    body = inspection.templates.get(Part.INSTANCE)
    if outputs.service is None and stand_in is not None and body is not None:
        instances = [
            replace(one, outputs=stand_in(Composition(body, namespaces.instance_namespace(SERVICE, one)), one.name))
            for one in instances
        ]
    inputs = merged(part, service.pipeline or {}, service.pipeline_place)
    namespace = namespaces.pipeline_namespace(SERVICE, inputs, instances)
    return Rehearsal(Composition(template, namespace), tuple(ignored))


def _readable(inspection: Inspection, part: Part) -> tuple[TemplateFile, Schema]:
    template = inspection.templates.get(part)
    if template is not None and inspection.schema is not None:
        return template, schemas.parse(inspection.schema)
    errors = [finding for finding in inspection.findings if finding.severity is Severity.ERROR]
    if errors:
        rest = [f"{finding.where}: {finding.message}" for finding in errors[1:]]
        raise BundleError("\n".join([errors[0].message, *rest]), where=errors[0].where or None, cure=errors[0].cure)
    parts = ", ".join(inspection.templates) or "nothing that can be rendered"
    raise CallerError(f"the bundle has no {part} template", cure=f"it has {parts}")


def _chosen(service: specs.ServiceSpec, name: str | None, spec_path: str) -> specs.InstanceSpec:
    for instance in service.instances:
        if name is None or instance.name == name:
            return instance
    names = ", ".join(instance.name for instance in service.instances)
    raise CallerError(f"the spec has no instance `{name}`", where=spec_path, cure=f"name one of {names}")
