"""Plans: what an update would change, looked at before it happens."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel

from upkeep.domain.changesets import ProposalState, Risk
from upkeep.web.api.deployments import StackChange
from upkeep.web.api.words import ANSWER


class Plan(BaseModel):
    """A plan. It can be approved once its state is `ready` or `empty` and while it is not stale."""

    model_config = ANSWER

    id: str
    resource: str
    template: str
    version: str
    inputs: dict[str, Any]
    state: ProposalState
    risk: Risk
    """The worst of its changes."""
    changes: list[StackChange]
    """Those that can cost most first."""
    to_name: list[str]
    """The stateful stack resources that an approval has to name in `confirmed`."""
    failure: str | None
    stale: bool
    """Whether something it was made from has moved since."""
    asked_by: str
    asked_at: datetime
    made_at: datetime | None
    deployment: str | None
    """The deployment that was approved with it."""
