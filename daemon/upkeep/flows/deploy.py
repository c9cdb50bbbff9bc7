"""Deploy: move a resource to a version and spec, and learn how it ended."""

from datetime import datetime

from upkeep.domain.deployments import Deployment
from upkeep.domain.names import ResourceKey, Version
from upkeep.domain.notices import Routing
from upkeep.domain.people import Actor
from upkeep.domain.resources import Inputs
from upkeep.domain.work import Claim
from upkeep.flows.ports import Provisioner, Renderer, Store, Unit


def update(
    unit: Unit,
    key: ResourceKey,
    *,
    to: Version | None = None,
    inputs: Inputs | None = None,
    actor: Actor,
    now: datetime,
) -> Deployment:
    """Ask for a deployment of a resource to a version, the recommended one when none is named.

    `inputs` are the given ones, `"${Proton::CURRENT_VAL}"` keeping a stored value; None keeps them all. Refused
    while another deployment of the resource is under way, and for a version that is not offered, unless an admin
    names a draft. Proton's four update types are special cases of this: the same version with new inputs is
    CURRENT_VERSION, another minor MINOR_VERSION, a higher major MAJOR_VERSION.
    """
    raise NotImplementedError


def cancel(unit: Unit, deployment_id: str, *, actor: Actor, now: datetime) -> Deployment:
    """Cancel a deployment that has not begun yet. One that has is followed to its end."""
    raise NotImplementedError


def retry(unit: Unit, deployment_id: str, *, actor: Actor, now: datetime) -> Deployment:
    """Ask again for what a failed or cancelled deployment aimed at."""
    raise NotImplementedError


def deploy(
    store: Store, renderer: Renderer, provisioner: Provisioner, claim: Claim, *, routing: Routing, now: datetime
) -> None:
    """Do one DEPLOY work: take the deployment one step on, from asked to rendered, begun, observed and settled.

    Every step leaves rows that the next one starts from, whoever does it; a provisioner that still works is
    observed again later.
    """
    raise NotImplementedError
