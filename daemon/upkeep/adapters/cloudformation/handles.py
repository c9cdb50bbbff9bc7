"""Handles: the texts by which a deployment, or a comparison with what was deployed, is found again."""

import json
from dataclasses import dataclass
from typing import Any

from upkeep.domain.deployments import Action
from upkeep.domain.errors import StalledError
from upkeep.domain.resources import Placement


@dataclass(frozen=True, slots=True)
class Handle:
    """A deployment as CloudFormation knows it.

    `stack` is its stack's id, or the name while no id is known. `change_set` is the change set's id, None for a
    deletion; `fresh` says that the stack was made for it and has nothing else yet. `refused` is CloudFormation's
    sentence when there is no change set because it would not make one.
    """

    deployment: str
    action: Action
    stack: str
    placement: Placement
    change_set: str | None = None
    fresh: bool = False
    refused: str | None = None

    def __str__(self) -> str:
        return _written(
            {
                "deployment": self.deployment,
                "action": self.action.value,
                "stack": self.stack,
                "change_set": self.change_set,
                "fresh": self.fresh,
                "refused": self.refused,
                **_place(self.placement),
            }
        )


@dataclass(frozen=True, slots=True)
class DriftHandle:
    """A drift detection that was begun."""

    detection: str
    stack: str
    placement: Placement

    def __str__(self) -> str:
        return _written({"detection": self.detection, "stack": self.stack, **_place(self.placement)})


def read_handle(text: str) -> Handle:
    """What `str(handle)` wrote; StalledError for anything else, for example a handle of another provisioner."""
    try:
        given = json.loads(text)
        return Handle(
            deployment=str(given["deployment"]),
            action=Action(given["action"]),
            stack=str(given["stack"]),
            placement=_placement(given),
            change_set=given.get("change_set"),
            fresh=bool(given.get("fresh")),
            refused=given.get("refused"),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as fault:
        raise _strange(text) from fault


def read_drift_handle(text: str) -> DriftHandle:
    """As `read_handle`, for drift."""
    try:
        given = json.loads(text)
        return DriftHandle(str(given["detection"]), str(given["stack"]), _placement(given))
    except (ValueError, KeyError, TypeError, AttributeError) as fault:
        raise _strange(text) from fault


def _place(placement: Placement) -> dict[str, str]:
    return {
        "account": placement.account_id,
        "region": placement.region,
        "role": placement.role_arn,
        "external_id": placement.external_id,
    }


def _placement(given: dict[str, Any]) -> Placement:
    return Placement(*(str(given.get(name, "")) for name in ("account", "region", "role", "external_id")))


def _written(values: dict[str, Any]) -> str:
    return json.dumps({name: value for name, value in values.items() if value}, separators=(",", ":"))


def _strange(text: str) -> StalledError:
    return StalledError(
        f"`{text[:80]}` is no handle of the CloudFormation provisioner",
        cure="retry the deployment; it was begun by another provisioner",
    )
