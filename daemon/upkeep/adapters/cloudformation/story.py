"""The story that a stack's events tell of one deployment."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from upkeep.domain.changesets import StackEvent, first_failure, not_deleted
from upkeep.domain.deployments import Action, ProgressState

_STARTS = frozenset({"CREATE_IN_PROGRESS", "DELETE_IN_PROGRESS", "IMPORT_IN_PROGRESS", "UPDATE_IN_PROGRESS"})
"""With these a stack begins something new. Rollbacks, also continued ones, go on with what was begun."""

_GOOD = {
    Action.CREATE: ("CREATE_COMPLETE", "UPDATE_COMPLETE"),
    Action.UPDATE: ("CREATE_COMPLETE", "UPDATE_COMPLETE"),
    Action.DELETE: ("DELETE_COMPLETE",),
}
"""How it ends well. A stack that is updated may be made anew, and one that is made may be there already."""


@dataclass(frozen=True, slots=True)
class Told:
    """One event with what tells whose it is: the token of the operation, and whether it speaks of the stack itself."""

    event: StackEvent
    token: str
    of_stack: bool

    @property
    def starts(self) -> bool:
        """Whether an operation on the stack begins here."""
        return self.of_stack and self.event.status in _STARTS


@dataclass(frozen=True, slots=True)
class Story:
    """What happened to the stack since a deployment began, oldest first. `over` says that another one began since."""

    told: tuple[Told, ...] = ()
    over: bool = False

    @property
    def status(self) -> str | None:
        """The stack's last word for where it stands; None before it began."""
        return next((one.event.status for one in reversed(self.told) if one.of_stack), None)

    @property
    def events(self) -> tuple[StackEvent, ...]:
        """All of it."""
        return tuple(one.event for one in self.told)


def told(given: Any) -> Told:
    """One StackEvent of AWS, read.
    https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_StackEvent.html
    """
    event = StackEvent(
        id=given["EventId"],
        at=given["Timestamp"],
        logical_id=given.get("LogicalResourceId", ""),
        resource_type=given.get("ResourceType", ""),
        status=given.get("ResourceStatus", ""),
        reason=given.get("ResourceStatusReason") or None,
    )
    of_stack = given.get("PhysicalResourceId") == given["StackId"]
    return Told(event, given.get("ClientRequestToken", ""), of_stack)


def story_of(events: Sequence[Told], token: str) -> Story:
    """The part of a stack's events, oldest first, that the operation with this token began."""
    first = next((index for index, one in enumerate(events) if one.starts and one.token == token), None)
    return Story() if first is None else _until_next(events[first:])


def whole_story(events: Sequence[Told]) -> Story:
    """All since the stack itself began: what a creation is whose operation was not begun under its own token."""
    first = next((index for index, one in enumerate(events) if one.starts), None)
    return Story() if first is None else _until_next(events[first:])


def _until_next(events: Sequence[Told]) -> Story:
    ended = False
    for index, one in enumerate(events):
        if ended and one.starts:
            return Story(tuple(events[:index]), over=True)
        ended = ended or (one.of_stack and not one.event.status.endswith("_IN_PROGRESS"))
    return Story(tuple(events))


def state_of(status: str, action: Action) -> ProgressState:
    """What a stack's status means for what was asked."""
    if status.endswith("_IN_PROGRESS"):
        return ProgressState.RUNNING
    return ProgressState.SUCCEEDED if status in _GOOD[action] else ProgressState.FAILED


def reason_of(events: Collection[StackEvent], status: str, action: Action, stack: str) -> str:
    """Why it failed: the first stack resource that did, not what was stopped because of it; for a deletion all that
    could not be deleted."""
    left = not_deleted(events)
    if action is Action.DELETE:
        if left:
            return "could not be deleted: " + "; ".join(left)
        return _word_of_stack(events) or f"the stack {stack} is {status}"
    reason = first_failure(events) or _word_of_stack(events) or f"the stack {stack} is {status}"
    if status == "UPDATE_ROLLBACK_FAILED":
        said = [event.reason for event in events if event.status == status and event.reason]
        reason += f"; then it could not go back: {said[-1]}" if said else "; then it could not go back"
    return reason


def _word_of_stack(events: Iterable[StackEvent]) -> str | None:
    """What the stack says of itself where no resource failed: a validation, an output, somebody who cancelled it."""
    for event in events:
        failed = event.status.endswith("_FAILED") or "ROLLBACK_IN_PROGRESS" in event.status
        if failed and event.resource_type == "AWS::CloudFormation::Stack" and event.reason:
            return "the update was cancelled" if event.reason == "User Initiated" else event.reason
    return None
