"""Resources: what runs a version. Environments, service instances and pipelines; a service groups the last two."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from upkeep.domain.changesets import Drift, DriftState
from upkeep.domain.deployments import DeploymentStatus
from upkeep.domain.lag import UNMEASURED, Lag
from upkeep.domain.names import ResourceKey, ResourceName, TemplateName, Version
from upkeep.domain.snoozes import Snooze

Inputs = Mapping[str, Any]
"""Input values by name, as a spec gives them or as merged with the schema's defaults."""

Outputs = Mapping[str, str]
"""What a stack gives back, by output name. Always texts, as in CloudFormation."""


@dataclass(frozen=True, slots=True)
class Repository:
    """The application repository of a service, as templates see it under `service.*`."""

    branch_name: str = ""
    repository_id: str = ""
    repository_connection_arn: str = ""


@dataclass(frozen=True, slots=True)
class Service:
    """A service: a name, one template, one spec document for all its instances and its pipeline."""

    name: ResourceName
    template: TemplateName
    spec: str
    created_at: datetime
    owner: str | None = None
    repository: Repository = field(default_factory=Repository)


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a stack lives: account, region and the role that is assumed to reach it. Empty texts leave the choice to
    the daemon's own credentials. `external_id` is what the role's trust policy asks for; it is no secret.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_create_for-user_externalid.html
    """

    account_id: str = ""
    region: str = ""
    role_arn: str = ""
    external_id: str = ""


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource as it stands.

    `version` and `inputs` are those of the last deployment that succeeded (`version` is None before the first);
    `inputs` are the given ones, without defaults. `status` is the last deployment's. `environment` names where
    an instance lives; `account_id`, `region`, `role_arn` and `external_id` say where an environment does. `stack` is
    the id of what was deployed last, `tags` are the customer's own, `drift` is what was found at `drift_checked_at`
    and is forgotten with the next deployment; `drift_handle` is what a comparison under way is looked at with.
    `replaces` says that a plan of the update it is due for replaces something. `snooze` says until when its owner does
    not want to hear that it is behind; it may be over. `id` orders pages and is the store's.
    """

    key: ResourceKey
    template: TemplateName
    status: DeploymentStatus
    created_at: datetime
    version: Version | None = None
    inputs: Inputs = field(default_factory=dict)
    outputs: Outputs = field(default_factory=dict)
    owner: str | None = None
    environment: ResourceName | None = None
    account_id: str | None = None
    lag: Lag = UNMEASURED
    last_deployment: str | None = None
    last_succeeded_deployment: str | None = None
    deployed_at: datetime | None = None
    region: str = ""
    role_arn: str = ""
    external_id: str = ""
    stack: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    drift: Drift | None = None
    drift_checked_at: datetime | None = None
    drift_handle: str | None = None
    replaces: bool = False
    snooze: Snooze | None = None
    id: int = 0

    @property
    def drifted(self) -> bool:
        """Whether its stack was found to differ from what was deployed."""
        return self.drift is not None and self.drift.state is DriftState.DRIFTED

    def asleep(self, now: datetime) -> bool:
        """Whether it is behind and snoozed: nobody is told of its lag then."""
        return _asleep(self.lag, self.snooze, now)

    @property
    def placement(self) -> Placement:
        """Where the environment lives; of other resources nothing is known here."""
        return Placement(self.account_id or "", self.region, self.role_arn, self.external_id)


@dataclass(frozen=True, slots=True)
class Listed:
    """A resource as lists tell it: what it runs and where it stands, without what its stack is given and gives back.

    `due` is the version that *Update to recommended version* leads to, None when it is not behind; `stalled` says that
    its deployment waits for a person.
    """

    key: ResourceKey
    template: TemplateName
    status: DeploymentStatus
    version: Version | None
    owner: str | None
    environment: ResourceName | None
    lag: Lag
    last_deployment: str | None
    deployed_at: datetime | None
    snooze: Snooze | None
    due: Version | None
    stalled: bool

    def asleep(self, now: datetime) -> bool:
        """Whether it is behind and snoozed."""
        return _asleep(self.lag, self.snooze, now)


def _asleep(lag: Lag, snooze: Snooze | None, now: datetime) -> bool:
    return snooze is not None and lag.behind and snooze.holds(now)


@dataclass(frozen=True, slots=True)
class Counters:
    """Proton's own five (GetResourcesSummary), with `ahead` for those on a newer version than the recommended and
    `undeployed` for those that run none yet."""

    total: int = 0
    up_to_date: int = 0
    behind_minor: int = 0
    behind_major: int = 0
    failed: int = 0
    ahead: int = 0
    undeployed: int = 0

    @property
    def behind(self) -> int:
        """How many an update is due for."""
        return self.behind_minor + self.behind_major
