"""What an update would change in a stack, in CloudFormation's words, and what that means for who owns it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Risk(StrEnum):
    """The four words for risk, worst last."""

    NOT_CHECKED = "Not checked"
    IN_PLACE = "In place"
    MAY_REPLACE = "May replace"
    REPLACES = "Replaces"


class ProposalState(StrEnum):
    """WORKING is still being worked out, EMPTY would change nothing, FAILED cannot be done."""

    WORKING = "working"
    READY = "ready"
    EMPTY = "empty"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class StackChange:
    """One ResourceChange of a change set, with CloudFormation's own words.

    `action` is Add, Modify, Remove, Import or Dynamic; `replacement` True, False or Conditional, None when it does not
    apply. `scope` lists what changes of it (Properties, Metadata, Tags …), `causes` the properties by name.
    https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_ResourceChange.html
    """

    action: str
    logical_id: str
    resource_type: str
    physical_id: str | None = None
    replacement: str | None = None
    scope: tuple[str, ...] = ()
    causes: tuple[str, ...] = ()

    @property
    def risk(self) -> Risk:
        """What this one change can cost. A removal ends what runs, so that it counts as a replacement."""
        if self.action in ("Add", "Import"):
            return Risk.IN_PLACE
        if self.action == "Remove" or self.replacement == "True":
            return Risk.REPLACES
        if self.replacement == "Conditional" or self.action == "Dynamic":
            return Risk.MAY_REPLACE
        return Risk.IN_PLACE


@dataclass(frozen=True, slots=True)
class Proposal:
    """A change set, worked out or not. `reason` says why it failed; `stack` is the stack's id when it is known."""

    state: ProposalState
    changes: tuple[StackChange, ...] = ()
    reason: str | None = None
    stack: str | None = None

    @property
    def risk(self) -> Risk:
        """The worst of its changes."""
        if self.state not in (ProposalState.READY, ProposalState.EMPTY):
            return Risk.NOT_CHECKED
        return worst(change.risk for change in self.changes)


@dataclass(frozen=True, slots=True)
class StackEvent:
    """One event of a stack, as CloudFormation told it. `id` is unique within the stack."""

    id: str
    at: datetime
    logical_id: str
    resource_type: str
    status: str
    reason: str | None = None


class DriftState(StrEnum):
    """What a comparison of a stack with its template found."""

    WORKING = "working"
    IN_SYNC = "in_sync"
    DRIFTED = "drifted"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Drift:
    """The outcome of a drift detection. `resources` are the logical ids that differ, with their status."""

    state: DriftState
    resources: tuple[str, ...] = ()
    reason: str | None = None


def worst(risks: Iterable[Risk]) -> Risk:
    """The worst of some risks; IN_PLACE for none at all."""
    order = list(Risk)
    return max(risks, key=order.index, default=Risk.IN_PLACE)
