"""What has to be in the store before a flow is tried: small registries and fleets, written through the books."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from upkeep.domain.bundles import Bundle, BundleFile
from upkeep.domain.deployments import DeploymentStatus
from upkeep.domain.names import ResourceKey, SourceName, TemplateName, parse_version
from upkeep.domain.people import Actor, Role, Via
from upkeep.domain.resources import Resource, Service
from upkeep.domain.sources import Source
from upkeep.domain.versions import (
    Commit,
    CompatibleEnvironment,
    Major,
    Template,
    TemplateKind,
    TemplateVersion,
    VersionState,
)
from upkeep.flows.ports import Unit

ADMIN = Actor("dana", Role.ADMIN, Via.WEB)
DEVELOPER = Actor("dev", Role.DEVELOPER, Via.WEB)
VIEWER = Actor("vera", Role.VIEWER, Via.WEB)

SCHEMA = """\
schema:
  format:
    openapi: "3.0.0"
  {kind}_input_type: "Inputs"
{pipeline}  types:
    Inputs:
      type: object
      properties:
        size:
          type: number
          default: 1
        colour:
          type: string
      required: [colour]
    PipelineInputs:
      type: object
      properties:
        command:
          type: string
          default: make test
"""
MANIFEST = """\
infrastructure:
  templates:
    - file: cloudformation.yaml
      rendering_engine: jinja
      template_language: cloudformation
"""
ENVIRONMENT_BODY = """\
Resources:
  Vpc:
    Type: AWS::EC2::VPC
    Properties:
      Tags: [{Key: colour, Value: "{{ environment.inputs.colour }}"}]
Outputs:
  VpcName: {Value: "vpc-{{ environment.name }}"}
"""
INSTANCE_BODY = """\
Resources:
  Service:
    Type: AWS::ECS::Service
    Properties:
      Vpc: "{{ environment.outputs.VpcName }}"
      Colour: "{{ service_instance.inputs.colour }}"
Outputs:
  Address: {Value: "{{ service_instance.name }}.{{ environment.name }}"}
"""
PIPELINE_BODY = """\
Resources:
  Pipeline:
    Type: AWS::CodePipeline::Pipeline
    Properties:
      Command: "{{ pipeline.inputs.command }}"
      Addresses:
      {%- for service_instance in service_instances %}
        - "{{ service_instance.outputs.Address }}"
      {%- endfor %}
"""


def a_source(name: str = "templates", **changes: Any) -> Source:
    """A source as it was declared and never read."""
    plain = Source(SourceName(name), f"https://git.example/acme/{name}.git", "main")
    return replace(plain, **changes)


def a_bundle(files: Mapping[str, str]) -> Bundle:
    """A bundle of these texts, with ids made from them."""
    entries = tuple(
        BundleFile(path, "100644", hashlib.sha1(text.encode()).hexdigest(), len(text), text.encode())
        for path, text in sorted(files.items())
    )
    return Bundle(hashlib.sha1(repr(entries).encode()).hexdigest(), entries)


def environment_bundle(body: str = ENVIRONMENT_BODY) -> Bundle:
    """The bundle of an environment template with a required input `colour` and an output `VpcName`."""
    return a_bundle(
        {
            "schema/schema.yaml": SCHEMA.format(kind="environment", pipeline=""),
            "infrastructure/manifest.yaml": MANIFEST,
            "infrastructure/cloudformation.yaml": body,
        }
    )


def service_bundle(body: str = INSTANCE_BODY, *, pipeline: bool = True) -> Bundle:
    """The bundle of a service template, with a pipeline unless told otherwise."""
    files = {
        "schema/schema.yaml": service_schema(pipeline),
        "instance_infrastructure/manifest.yaml": MANIFEST,
        "instance_infrastructure/cloudformation.yaml": body,
    }
    if pipeline:
        files["pipeline_infrastructure/manifest.yaml"] = MANIFEST
        files["pipeline_infrastructure/cloudformation.yaml"] = PIPELINE_BODY
    return a_bundle(files)


def service_schema(pipeline: bool) -> str:
    """The schema text of `service_bundle`."""
    return SCHEMA.format(kind="service", pipeline='  pipeline_input_type: "PipelineInputs"\n' if pipeline else "")


def a_template(unit: Unit, name: str, kind: TemplateKind, now: datetime) -> Template:
    """A template without versions, made on first need."""
    found = unit.registry.find_template(name)
    if found is None:
        found = Template(TemplateName(name), kind, None, name, now)
        unit.registry.add_template(found)
    return found


def a_version(
    unit: Unit, name: str, text: str, bundle: Bundle, now: datetime, state: VersionState = VersionState.DRAFT
) -> TemplateVersion:
    """A registered version of a template; its kind is read off the bundle."""
    paths = {file.path for file in bundle.files}
    is_service = "instance_infrastructure/manifest.yaml" in paths
    a_template(unit, name, TemplateKind.SERVICE if is_service else TemplateKind.ENVIRONMENT, now)
    version = parse_version(text)
    major = unit.registry.find_major(TemplateName(name), version.major)
    major = major or Major(TemplateName(name), version.major, f"{name}/v{version.major}")
    unit.registry.save_major(replace(major, next_minor=max(major.next_minor, version.minor + 1)))
    unit.registry.keep_bundle(bundle)
    schema = next(file for file in bundle.files if file.path == "schema/schema.yaml").content
    registered = TemplateVersion(
        template=TemplateName(name),
        version=version,
        state=state,
        tree=bundle.tree,
        commit=Commit(hashlib.sha1(text.encode()).hexdigest(), "Ada", "ada@acme.example", now, f"Make {name} {text}"),
        path=f"{name}/v{version.major}",
        created_at=now,
        schema=(schema or b"").decode(),
        has_pipeline="pipeline_infrastructure/manifest.yaml" in paths,
        compatible_environments=(CompatibleEnvironment(TemplateName("vpc"), 1),) if is_service else (),
    )
    unit.registry.add_version(registered)
    return registered


def a_resource(unit: Unit, key: ResourceKey, template: str, running: str, now: datetime, **changes: Any) -> Resource:
    """A resource that was deployed successfully; an instance's service comes with it."""
    if key.service is not None and not any(service.name == key.service for service in unit.fleet.services()):
        unit.fleet.add_service(Service(key.service, TemplateName(template), "", now))
    resource = Resource(
        key=key,
        template=TemplateName(template),
        status=DeploymentStatus.SUCCEEDED,
        created_at=now,
        version=parse_version(running),
        inputs={"colour": "red"},
    )
    unit.fleet.add(replace(resource, **changes))
    return unit.fleet.get(key)
