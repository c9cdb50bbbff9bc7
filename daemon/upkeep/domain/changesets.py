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
        """What this one change can cost. A removal ends what runs, so that it counts as a replacement; of a change
        that does not tell whether it replaces, nobody looked."""
        if self.action in ("Add", "Import"):
            return Risk.IN_PLACE
        if self.action == "Remove" or self.replacement == "True":
            return Risk.REPLACES
        if self.replacement == "Conditional" or self.action == "Dynamic":
            return Risk.MAY_REPLACE
        return Risk.NOT_CHECKED if self.replacement is None else Risk.IN_PLACE


@dataclass(frozen=True, slots=True)
class Proposal:
    """A change set, worked out or not. `reason` says why it failed; `stack` is the stack's id when it is known."""

    state: ProposalState
    changes: tuple[StackChange, ...] = ()
    reason: str | None = None
    stack: str | None = None

    @property
    def usable(self) -> bool:
        """Whether it shows what an approval can rest on."""
        return self.state in (ProposalState.READY, ProposalState.EMPTY)

    @property
    def risk(self) -> Risk:
        """The worst of its changes."""
        return worst(change.risk for change in self.changes) if self.usable else Risk.NOT_CHECKED

    @property
    def worst_first(self) -> tuple[StackChange, ...]:
        """Its changes, those that can cost most first."""
        return worst_first(self.changes)


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


def worst_first(changes: Iterable[StackChange]) -> tuple[StackChange, ...]:
    """The changes as people should read them: what can cost most comes first, then by name."""
    return tuple(sorted(changes, key=lambda change: (-_ORDER[change.risk], change.logical_id)))


def first_failure(events: Iterable[StackEvent]) -> str | None:
    """The first stack resource that failed by itself, in a sentence; None when none did.

    What CloudFormation stops because of another failure says "Resource creation cancelled" and is no cause.
    """
    for event in events:
        if event.status in ("CREATE_FAILED", "UPDATE_FAILED", "IMPORT_FAILED") and not _stopped(event.reason):
            return f"{event.logical_id} ({event.resource_type}) failed: {event.reason or 'no reason was given'}"
    return None


def not_deleted(events: Iterable[StackEvent]) -> tuple[str, ...]:
    """The stack resources that could not be deleted and why, each once, with its last reason."""
    found = {
        event.logical_id: f"{event.logical_id} ({event.resource_type}): {event.reason or 'no reason was given'}"
        for event in events
        if event.status == "DELETE_FAILED" and event.resource_type != "AWS::CloudFormation::Stack"
    }
    return tuple(found.values())


def _stopped(reason: str | None) -> bool:
    return (reason or "").startswith(("Resource creation cancelled", "Resource update cancelled"))


def worst(risks: Iterable[Risk]) -> Risk:
    """The worst of some risks; IN_PLACE for none at all."""
    return max(risks, key=_ORDER.__getitem__, default=Risk.IN_PLACE)


_ORDER = {risk: height for height, risk in enumerate(Risk)}
