"""What has to be in the store before a flow is tried: small registries and fleets, written through the books."""

from dataclasses import replace
from datetime import datetime
from typing import Any

from tests import builders
from upkeep.domain.bundles import Bundle
from upkeep.domain.names import ResourceKey, TemplateName, parse_version
from upkeep.domain.resources import Resource
from upkeep.domain.versions import CompatibleEnvironment, TemplateKind, TemplateVersion, VersionState
from upkeep.flows.ports import Unit


def environment_bundle() -> Bundle:
    """The bundle of an environment template."""
    return builders.a_bundle(builders.environment_files())


def service_bundle() -> Bundle:
    """The bundle of a service template with a pipeline, for environments of `network-env:1`."""
    return builders.a_bundle(builders.service_files())


def registered(
    unit: Unit, template: str, text: str, bundle: Bundle, now: datetime, state: VersionState = VersionState.DRAFT
) -> TemplateVersion:
    """A registered version with its bundle, its major and its template, whose kind is read off the bundle."""
    contents = {file.path: file.content for file in bundle.files}
    service = "instance_infrastructure/manifest.yaml" in contents
    name, version = TemplateName(template), parse_version(text)
    if unit.registry.find_template(name) is None:
        kind = TemplateKind.SERVICE if service else TemplateKind.ENVIRONMENT
        unit.registry.add_template(builders.a_template(name, kind, source=None, created_at=now))
    major = unit.registry.find_major(name, version.major) or builders.a_major(name, version.major)
    unit.registry.save_major(replace(major, next_minor=max(major.next_minor, version.minor + 1)))
    unit.registry.keep_bundle(bundle)
    built = builders.a_version(
        template,
        text,
        state,
        tree=bundle.tree,
        created_at=now,
        schema=(contents["schema/schema.yaml"] or b"").decode(),
        has_pipeline="pipeline_infrastructure/manifest.yaml" in contents,
        compatible_environments=(CompatibleEnvironment(builders.ENVIRONMENT_TEMPLATE, 1),) if service else (),
    )
    unit.registry.add_version(built)
    return built


def running(unit: Unit, key: ResourceKey, template: str, text: str, **changes: Any) -> Resource:
    """A resource that was deployed successfully."""
    unit.fleet.add(builders.a_resource(key, template, text, **changes))
    return unit.fleet.get(key)
