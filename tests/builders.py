"""Values and files for tests, whole but small. Every function takes what the test is about and fills in the rest."""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from upkeep.domain.bundles import Bundle, BundleFile
from upkeep.domain.deployments import Action, Deployment, DeploymentStatus, State
from upkeep.domain.findings import Finding, error
from upkeep.domain.names import (
    ResourceKey,
    ResourceName,
    SourceName,
    TemplateName,
    environment_key,
    instance_key,
    parse_version,
    pipeline_key,
)
from upkeep.domain.people import Actor, Role, User, Via
from upkeep.domain.resources import Resource, Service
from upkeep.domain.sources import Source
from upkeep.domain.versions import Commit, Major, Template, TemplateKind, TemplateVersion, VersionState

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
"""A Monday."""

ADMIN = Actor("ada", Role.ADMIN, Via.WEB)
DEVELOPER = Actor("dev", Role.DEVELOPER, Via.WEB)
VIEWER = Actor("vic", Role.VIEWER, Via.WEB)

ENVIRONMENT_TEMPLATE = TemplateName("network-env")
SERVICE_TEMPLATE = TemplateName("web-svc")


def object_id(*parts: object) -> str:
    """Something that looks like a git object id; the same for the same parts."""
    return hashlib.sha1(repr(parts).encode(), usedforsecurity=False).hexdigest()


def a_source(name: str = "templates", **changes: Any) -> Source:
    return replace(Source(SourceName(name), f"https://git.example.com/platform/{name}.git", "main"), **changes)


def a_commit(message: str = "Change the template", at: datetime = NOON, **changes: Any) -> Commit:
    return replace(Commit(object_id(message, at), "Paula Platform", "paula@example.com", at, message), **changes)


def a_template(
    name: str = ENVIRONMENT_TEMPLATE, kind: TemplateKind = TemplateKind.ENVIRONMENT, **changes: Any
) -> Template:
    return replace(Template(TemplateName(name), kind, SourceName("templates"), name, NOON), **changes)


def a_major(template: str = ENVIRONMENT_TEMPLATE, major: int = 1, **changes: Any) -> Major:
    return replace(Major(TemplateName(template), major, f"{template}/v{major}"), **changes)


def a_version(
    template: str = ENVIRONMENT_TEMPLATE,
    version: str = "1.0",
    state: VersionState = VersionState.DRAFT,
    **changes: Any,
) -> TemplateVersion:
    """A draft unless told otherwise; a published one was published an hour for each minor after noon."""
    number = parse_version(version)
    built = TemplateVersion(
        template=TemplateName(template),
        version=number,
        state=state,
        tree=object_id(template, version),
        commit=a_commit(f"{template} {version}"),
        path=f"{template}/v{number.major}",
        created_at=NOON,
        schema=ENVIRONMENT_SCHEMA,
    )
    if state is VersionState.PUBLISHED:
        built = replace(built, published_at=NOON + timedelta(hours=number.minor), published_by=ADMIN.name)
    return replace(built, **changes)


def a_finding(message: str = "the schema has no types", **changes: Any) -> Finding:
    return replace(error("schema", message, "schema/schema.yaml", 3, "add `types:`"), **changes)


def a_resource(key: ResourceKey, template: str, version: str | None = "1.0", **changes: Any) -> Resource:
    """A resource that runs a version, or that was never deployed when the version is None."""
    built = Resource(
        key=key,
        template=TemplateName(template),
        status=DeploymentStatus.SUCCEEDED if version else DeploymentStatus.IN_PROGRESS,
        created_at=NOON,
        version=parse_version(version) if version else None,
        deployed_at=NOON if version else None,
    )
    return replace(built, **changes)


def an_environment(name: str = "test", version: str | None = "1.0", **changes: Any) -> Resource:
    return a_resource(environment_key(name), ENVIRONMENT_TEMPLATE, version, **changes)


def an_instance(
    service: str = "checkout",
    name: str = "test",
    version: str | None = "1.0",
    environment: str = "test",
    **changes: Any,
) -> Resource:
    key = instance_key(service, name)
    return a_resource(key, SERVICE_TEMPLATE, version, **{"environment": ResourceName(environment), **changes})


def a_pipeline(service: str = "checkout", version: str | None = "1.0", **changes: Any) -> Resource:
    return a_resource(pipeline_key(service), SERVICE_TEMPLATE, version, **changes)


def a_service(name: str = "checkout", spec: str | None = None, **changes: Any) -> Service:
    return replace(Service(ResourceName(name), SERVICE_TEMPLATE, spec or SERVICE_SPEC, NOON), **changes)


def a_deployment(resource: Resource, to: str = "1.1", deployment_id: str | None = None, **changes: Any) -> Deployment:
    """An update of the resource from what it runs, under way."""
    built = Deployment(
        id=deployment_id or f"00000000-0000-4000-8000-{object_id(resource.key, to)[:12]}",
        resource=resource.key,
        action=Action.UPDATE if resource.version else Action.CREATE,
        status=DeploymentStatus.IN_PROGRESS,
        target=State(parse_version(to), resource.inputs),
        asked_by=DEVELOPER.name,
        created_at=NOON,
        initial=State(resource.version, resource.inputs) if resource.version else None,
    )
    return replace(built, **changes)


def a_user(name: str = "ada", role: Role = Role.ADMIN, password_hash: str = "", **changes: Any) -> User:
    return replace(User(name, role, password_hash, NOON), **changes)


def a_bundle(files: dict[str, str | bytes]) -> Bundle:
    """A bundle of plain files, by path in the version folder."""
    contents = {path: text if isinstance(text, bytes) else text.encode() for path, text in sorted(files.items())}
    return Bundle(
        object_id(contents),
        tuple(
            BundleFile(path, "100644", object_id(content), len(content), content) for path, content in contents.items()
        ),
    )


def write_files(folder: Path, files: dict[str, str | bytes]) -> Path:
    """Write files by path below a folder; returns the folder."""
    for path, text in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


MANIFEST = """\
infrastructure:
  templates:
    - file: "cloudformation.yaml"
      rendering_engine: jinja
      template_language: cloudformation
"""

ENVIRONMENT_SCHEMA = """\
schema:
  format:
    openapi: "3.0.0"
  environment_input_type: "Network"
  types:
    Network:
      type: object
      description: "A network"
      properties:
        cidr:
          type: string
          description: "Its address range"
          default: "10.0.0.0/16"
"""

ENVIRONMENT_BODY = """\
Resources:
  Network:
    Type: AWS::EC2::VPC
    Properties:
      CidrBlock: "{{ environment.inputs.cidr }}"
Outputs:
  NetworkId:
    Value: !Ref Network
"""

SERVICE_SCHEMA = """\
schema:
  format:
    openapi: "3.0.0"
  service_input_type: "Web"
  pipeline_input_type: "Delivery"
  types:
    Web:
      type: object
      description: "A web service"
      properties:
        port:
          type: integer
          description: "Where it listens"
          default: 80
    Delivery:
      type: object
      description: "Its pipeline"
      properties:
        command:
          type: string
          description: "Runs its tests"
          default: "make test"
"""

INSTANCE_BODY = """\
Resources:
  Group:
    Type: AWS::EC2::SecurityGroup
    Properties:
      GroupDescription: "{{ service.name }}/{{ service_instance.name }} on {{ service_instance.inputs.port }}"
      VpcId: "{{ environment.outputs.NetworkId }}"
Outputs:
  GroupId:
    Value: !Ref Group
"""

PIPELINE_BODY = """\
Resources:
  Topic:
    Type: AWS::SNS::Topic
    Properties:
      DisplayName: "{{ service.name }}: {{ pipeline.inputs.command }}"
{%- for service_instance in service_instances %}
  Topic{{ loop.index }}:
    Type: AWS::SNS::Topic
    Properties:
      DisplayName: "{{ service_instance.name }} in {{ service_instance.environment.name }}"
{%- endfor %}
"""

SERVICE_SPEC = """\
proton: ServiceSpec
pipeline:
  command: "make check"
instances:
  - name: "test"
    environment: "test"
    spec:
      port: 8080
"""

ENVIRONMENT_SPEC = """\
proton: EnvironmentSpec
spec:
  cidr: "10.1.0.0/16"
"""


def environment_files(schema: str = ENVIRONMENT_SCHEMA, body: str = ENVIRONMENT_BODY) -> dict[str, str | bytes]:
    """The files of an environment bundle."""
    return {
        "schema/schema.yaml": schema,
        "infrastructure/manifest.yaml": MANIFEST,
        "infrastructure/cloudformation.yaml": body,
    }


def service_files(
    schema: str = SERVICE_SCHEMA,
    instance: str = INSTANCE_BODY,
    pipeline: str | None = PIPELINE_BODY,
    compatible: str = f"{ENVIRONMENT_TEMPLATE}:1",
) -> dict[str, str | bytes]:
    """The files of a service bundle; one without pipeline needs a schema without its input type."""
    files: dict[str, str | bytes] = {
        ".template-registration.yaml": f"compatible_environments:\n  - {compatible}\n",
        "schema/schema.yaml": schema,
        "instance_infrastructure/manifest.yaml": MANIFEST,
        "instance_infrastructure/cloudformation.yaml": instance,
    }
    if pipeline is not None:
        files["pipeline_infrastructure/manifest.yaml"] = MANIFEST
        files["pipeline_infrastructure/cloudformation.yaml"] = pipeline
    return files


def under(folder: str, files: dict[str, str | bytes]) -> dict[str, str | bytes]:
    """The same files with their paths below a folder."""
    return {f"{folder}/{path}": text for path, text in files.items()}
