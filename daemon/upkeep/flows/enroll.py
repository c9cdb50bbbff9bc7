"""Enroll: resources come into being from a spec, change hands and go."""

from collections.abc import Sequence
from datetime import datetime

from upkeep.domain.deployments import Deployment
from upkeep.domain.names import ResourceKey, Version
from upkeep.domain.people import Actor
from upkeep.domain.resources import Repository
from upkeep.flows.ports import Unit


def create_environment(
    unit: Unit,
    name: str,
    template: str,
    spec: str,
    *,
    version: Version | None = None,
    owner: str | None = None,
    account_id: str | None = None,
    actor: Actor,
    now: datetime,
) -> Deployment:
    """Create an environment from the text of its spec, at the recommended version unless one is named.

    Asks for its first deployment. A draft may be named by an admin only.
    """
    raise NotImplementedError


def create_service(
    unit: Unit,
    name: str,
    template: str,
    spec: str,
    *,
    version: Version | None = None,
    owner: str | None = None,
    repository: Repository | None = None,
    actor: Actor,
    now: datetime,
) -> Sequence[Deployment]:
    """Create a service with the instances its spec lists, and its pipeline if the template has one.

    Instances are deployed first; the pipeline waits for them. Refused when an instance's environment does not
    come from a compatible environment template.
    """
    raise NotImplementedError


def update_service(unit: Unit, name: str, spec: str, *, actor: Actor, now: datetime) -> Sequence[Deployment]:
    """Bring a service to the instances its new spec lists: new ones are created at the recommended version, those
    no longer listed are deleted. What stays is not deployed: instances and the pipeline are updated one by one."""
    raise NotImplementedError


def delete_resource(unit: Unit, key: ResourceKey, *, actor: Actor, now: datetime) -> Deployment:
    """Delete what was deployed, then the record. Refused for an environment that something lives in, and for the
    last instance of a service."""
    raise NotImplementedError


def delete_service(unit: Unit, name: str, *, actor: Actor, now: datetime) -> Sequence[Deployment]:
    """Delete the instances and the pipeline of a service, then the service."""
    raise NotImplementedError


def give(unit: Unit, key: ResourceKey, owner: str | None, *, actor: Actor, now: datetime) -> None:
    """Make a team the owner of a resource: it hears when the resource is behind."""
    raise NotImplementedError
