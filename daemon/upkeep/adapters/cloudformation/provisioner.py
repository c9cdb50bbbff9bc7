"""The provisioner that makes stacks of CloudFormation, each change through a change set."""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

from upkeep.adapters.cloudformation.accounts import Accounts
from upkeep.adapters.cloudformation.faults import Refusal
from upkeep.adapters.cloudformation.handles import DriftHandle, Handle, read_drift_handle, read_handle
from upkeep.adapters.cloudformation.story import Story, Told, reason_of, state_of, story_of, told, whole_story
from upkeep.domain import documents
from upkeep.domain.changesets import Drift, DriftState, Proposal, ProposalState, StackChange
from upkeep.domain.deployments import DEAD_ENDS, ROLLBACK_FAILED, Action, Progress, ProgressState
from upkeep.domain.errors import CallerError, Conflict, StalledError, TransientError
from upkeep.domain.resources import Placement
from upkeep.domain.stacks import LARGEST_INLINE, capabilities, stack_name
from upkeep.flows.ports import Request

OWNER_TAG = "upkeep:resource"
"""The tag that says which resource a stack belongs to."""

_REVIEW = "REVIEW_IN_PROGRESS"
"""The status of a stack that has never been anything but a change set."""

_EMPTY = ("The submitted information didn't contain changes", "No updates are to be performed")
"""How the reason of a change set begins that would change nothing, of templates without and with transforms."""

_GONE = ("ChangeSetNotFound", "ChangeSetNotFoundException")
_NOT_NOW = ("InvalidChangeSetStatus", "InvalidChangeSetStatusException")
_TOLD_BEFORE = ("TokenAlreadyExistsException",)

_BUSY_FOR = timedelta(seconds=15)
"""So long a stack is left alone on which somebody else is at work."""

_REMEMBERED = 128
"""The events of so many stacks are remembered, so that each is asked for once: more than there are in flight, which are
looked at in turns."""

_DRIFT = "drift"


class CloudFormationProvisioner:
    """Makes, changes and deletes stacks. Implements the `Provisioner` port.

    Templates too large for a request go through `template_bucket`, a bucket that Upkeep's own identity writes and the
    roles of the environments read. A deployment's id is the
    client token of what it executes; what goes with it (deletion, cancelling) has one of its own that begins with it.
    """

    def __init__(self, accounts: Accounts, *, template_bucket: str = "") -> None:
        self._accounts = accounts
        self._bucket = template_bucket
        self._known: OrderedDict[str, tuple[Told, ...]] = OrderedDict()
        self._lock = threading.Lock()

    # ------------------------------------------------------------------------------------------- proposals

    def propose(self, request: Request) -> str:
        """As the port says. A stack that Upkeep knows keeps its name, whoever gave it."""
        name = _name_of(request.stack) or stack_name(request.resource)
        at = _at(request.placement, request.stack)
        handle = Handle(request.deployment, request.action, request.stack or name, at)
        if request.action is Action.DELETE:
            return str(handle)
        stack = self._stack(name, at, request.deployment)
        kind = self._kind(request, name, stack, handle)
        if kind is None:
            return str(self._proposed_before(handle, name, stack))
        try:
            wanted = self._wanted(request, name, kind, stack)
            made = self._call("create_change_set", handle, **wanted)
        except Refusal as refusal:
            if refusal.code == "AlreadyExistsException":
                return str(self._proposed_before(handle, name, stack))
            if refusal.too_early:
                raise _busy(name, refusal.message) from refusal
            return str(replace(handle, refused=refusal.message))
        except CallerError as fault:
            return str(replace(handle, refused=str(fault)))
        return str(replace(handle, stack=made["StackId"], change_set=made["Id"], fresh=kind == "CREATE"))

    def proposal(self, handle: str) -> Proposal:
        """As the port says."""
        given = read_handle(handle)
        if given.change_set is None:
            return Proposal(ProposalState.FAILED, reason=given.refused or "nothing was proposed")
        pages = list(self._change_set(given))
        first = pages[0]
        status, reason = first["Status"], first.get("StatusReason") or None
        if status in ("CREATE_PENDING", "CREATE_IN_PROGRESS"):
            return Proposal(ProposalState.WORKING, stack=first["StackId"])
        if status == "CREATE_COMPLETE":
            changes = tuple(
                _stack_change(change["ResourceChange"])
                for page in pages
                for change in page.get("Changes", ())
                if "ResourceChange" in change
            )
            return Proposal(ProposalState.READY, changes, stack=first["StackId"])
        if _is_empty(first):
            return Proposal(ProposalState.EMPTY, reason=reason, stack=first["StackId"])
        return Proposal(ProposalState.FAILED, reason=reason or f"the change set is {status}", stack=first["StackId"])

    def discard(self, handle: str) -> None:
        """As the port says. The empty stack that was made for it goes with it, unless others propose to it as well."""
        given = read_handle(handle)
        if given.change_set is None:
            return
        try:
            self._call("delete_change_set", given, ChangeSetName=given.change_set)
            if given.fresh and self._untouched(given):
                self._call("delete_stack", given, StackName=given.stack)
        except Refusal as refusal:
            if not (refusal.code in _GONE + _NOT_NOW or refusal.unknown_stack):
                raise

    def _kind(self, request: Request, name: str, stack: Any, handle: Handle) -> str | None:
        """The type of the change set; None when one of this deployment is at work on the stack already."""
        if stack is None:
            if request.action is Action.UPDATE and request.stack is not None:
                raise _gone(name)
            return "CREATE"
        status = stack["StackStatus"]
        if status == _REVIEW:
            return "CREATE"
        if request.stack is None:
            _check_owner(request, name, stack)
        if status == ROLLBACK_FAILED:
            raise StalledError(
                f"the last update of the stack {name} failed, and it could not go back",
                cure="put right what kept it from going back and continue its rollback, then retry",
            )
        if status.endswith("_IN_PROGRESS"):
            if self._find_change_set(replace(handle, change_set=_change_set_name(handle)), name) is not None:
                return None
            raise _busy(name, f"it is {status}")
        if status in DEAD_ENDS:
            raise StalledError(
                f"the stack {name} was never made as asked and is {status}: it can only be deleted",
                cure="say yes to deleting it and making it anew",
            )
        if status == "DELETE_FAILED":
            raise StalledError(
                f"the stack {name} could not be deleted: {stack.get('StackStatusReason') or status}",
                cure="remove what keeps it from being deleted, delete it, then retry",
            )
        return "UPDATE"

    def _wanted(self, request: Request, name: str, kind: str, stack: Any) -> dict[str, Any]:
        """The arguments of CreateChangeSet. Its token changes with what is asked and with the stack it is asked of, so
        that a proposal made anew is not taken for the old one."""
        parsed = documents.load_template(request.template_body, "template").value
        tags = {**request.tags, OWNER_TAG: str(request.resource)}
        moved = stack and (stack.get("LastUpdatedTime") or stack.get("CreationTime"))
        digest = hashlib.sha256(repr((request.template_body, sorted(tags.items()), kind, moved)).encode()).hexdigest()
        return {
            "StackName": name,
            "ChangeSetName": f"upkeep-{request.deployment}",
            "ChangeSetType": kind,
            "ClientToken": f"{request.deployment}-{digest[:8]}",
            "Tags": [{"Key": key, "Value": value} for key, value in sorted(tags.items()) if value],
            "Capabilities": list(capabilities(parsed) if isinstance(parsed, dict) else ()),
            "IncludeNestedStacks": False,
            **self._template(request),
        }

    def _template(self, request: Request) -> dict[str, str]:
        body = request.template_body.encode()
        if len(body) <= LARGEST_INLINE:
            return {"TemplateBody": request.template_body}
        if not self._bucket:
            raise StalledError(
                f"the template has {len(body):,} bytes; CloudFormation takes more than {LARGEST_INLINE:,} from S3 only",
                cure="set `cloudformation.template_bucket`, then retry",
            )
        key = f"upkeep/{hashlib.sha256(body).hexdigest()}.yaml"
        try:
            self._accounts.call(
                "s3", "put_object", Placement(), request.deployment, Bucket=self._bucket, Key=key, Body=body
            )
        except Refusal as refusal:
            raise StalledError(
                f"the template cannot be put into the bucket {self._bucket}: {refusal.message}",
                cure="correct `cloudformation.template_bucket` or make the bucket, then retry",
            ) from refusal
        s3 = self._accounts.client("s3", Placement(), request.deployment)
        return {"TemplateURL": f"{s3.meta.endpoint_url}/{self._bucket}/{key}"}

    def _proposed_before(self, handle: Handle, name: str, stack: Any) -> Handle:
        found = self._find_change_set(replace(handle, change_set=_change_set_name(handle)), name)
        if found is None:
            raise _busy(name, "it appeared while it was proposed")
        proposed = replace(
            handle,
            stack=found["StackId"],
            change_set=found["ChangeSetId"],
            fresh=stack is None or stack["StackStatus"] == _REVIEW,
        )
        if found.get("ExecutionStatus") == "OBSOLETE":
            self._call("delete_change_set", proposed, ChangeSetName=proposed.change_set)
            raise _busy(name, "it changed since the change set was made")
        return proposed

    def _change_set(self, handle: Handle, stack: str | None = None) -> Iterator[Any]:
        """All pages of what DescribeChangeSet tells."""
        more: dict[str, Any] = {} if stack is None else {"StackName": stack}
        while True:
            try:
                page = self._call("describe_change_set", handle, ChangeSetName=handle.change_set, **more)
            except Refusal as refusal:
                if refusal.code in _GONE or refusal.unknown_stack:
                    raise Conflict(
                        f"the change set of deployment {handle.deployment} is gone", cure="retry the deployment"
                    ) from refusal
                raise
            yield page
            if not page.get("NextToken"):
                return
            more["NextToken"] = page["NextToken"]

    def _find_change_set(self, handle: Handle, stack: str | None = None) -> Any:
        try:
            return next(self._change_set(handle, stack))
        except Conflict:
            return None

    def _untouched(self, handle: Handle) -> bool:
        stack = self._stack(handle.stack, handle.placement, handle.deployment)
        if stack is None or stack["StackStatus"] != _REVIEW:
            return False
        listed = self._call("list_change_sets", handle, StackName=handle.stack)
        return all(one["ChangeSetId"] == handle.change_set for one in listed["Summaries"])

    # ------------------------------------------------------------------------------------------ executions

    def execute(self, handle: str, request: Request) -> None:
        """As the port says. A stack of another owner is never deleted."""
        given = read_handle(handle)
        if given.action is Action.DELETE:
            self._delete(given, request)
            return
        if given.change_set is None:
            raise CallerError(given.refused or "nothing was proposed")
        try:
            self._call("execute_change_set", given, ChangeSetName=given.change_set, ClientRequestToken=_token(given))
        except Refusal as refusal:
            if refusal.code in _TOLD_BEFORE or self._begun(given):
                return
            if refusal.code in _GONE + _NOT_NOW:
                raise Conflict(
                    f"the change set of deployment {given.deployment} does not fit its stack now: {refusal.message}",
                    cure="look at what it would change now, then retry",
                ) from refusal
            if refusal.too_early:
                raise _busy(_name_of(given.stack), refusal.message) from refusal
            raise

    def observe(self, handle: str) -> Progress:
        """As the port says."""
        given = read_handle(handle)
        stack = self._stack(given.stack, given.placement, given.deployment)
        deletes = given.action is Action.DELETE
        if stack is None and deletes:
            return Progress(ProgressState.SUCCEEDED, status="DELETE_COMPLETE")
        if stack is None or (stack["StackStatus"] == "DELETE_COMPLETE" and not deletes):
            raise _gone(_name_of(given.stack))
        events = self._events(given, stack["StackId"])
        story = story_of(events, _token(given))
        if deletes and stack["StackStatus"] == "DELETE_COMPLETE":
            return Progress(ProgressState.SUCCEEDED, None, {}, stack["StackId"], "DELETE_COMPLETE", story.events)
        if story.status is None and not deletes:
            if given.fresh:
                story = whole_story(events)
            if story.status is None:
                return self._without_story(given, stack)
        return self._progress(given, stack, story)

    def cancel(self, handle: str) -> None:
        """As the port says. CloudFormation lets go back updates alone."""
        given = read_handle(handle)
        token = f"{given.deployment}-cancel"
        try:
            self._call("cancel_update_stack", given, StackName=given.stack, ClientRequestToken=token)
        except Refusal as refusal:
            if refusal.code not in _TOLD_BEFORE:
                raise Conflict(refusal.message, cure="wait for its outcome") from refusal

    def continue_rollback(self, stack: str, placement: Placement, token: str) -> None:
        """As the port says. Conflict when its rollback has not failed."""
        try:
            self._accounts.call(
                "cloudformation",
                "continue_update_rollback",
                _at(placement, stack),
                token,
                StackName=stack,
                ClientRequestToken=token,
            )
        except Refusal as refusal:
            if refusal.code in _TOLD_BEFORE:
                return
            if refusal.unknown_stack:
                raise _gone(_name_of(stack)) from refusal
            raise Conflict(refusal.message, cure="look at the stack, then retry") from refusal

    def _delete(self, handle: Handle, request: Request) -> None:
        stack = self._stack(handle.stack, handle.placement, handle.deployment)
        if stack is None or stack["StackStatus"] == "DELETE_COMPLETE":
            return
        name, status = stack["StackName"], stack["StackStatus"]
        if request.stack is None and status != _REVIEW:
            _check_owner(request, name, stack)
        if status == "DELETE_IN_PROGRESS":
            if story_of(self._events(handle, stack["StackId"]), _token(handle)).status is None:
                raise _busy(name, "somebody else deletes it")
            return
        try:
            self._call("delete_stack", handle, StackName=stack["StackId"], ClientRequestToken=_token(handle))
        except Refusal as refusal:
            if refusal.code in _TOLD_BEFORE:
                return
            if "TerminationProtection" in refusal.message:
                raise StalledError(
                    f"the stack {name} is protected from deletion",
                    cure="disable its termination protection, then retry",
                ) from refusal
            if refusal.too_early:
                raise _busy(name, refusal.message) from refusal
            raise

    def _begun(self, handle: Handle) -> bool:
        """Whether the change set was executed before."""
        found = self._find_change_set(handle)
        if found is not None:
            return str(found.get("ExecutionStatus", "")).startswith("EXECUTE_")
        stack = self._stack(handle.stack, handle.placement, handle.deployment)
        return stack is not None and story_of(self._events(handle, stack["StackId"]), _token(handle)).status is not None

    def _progress(self, handle: Handle, stack: Any, story: Story) -> Progress:
        """What the story tells, once the stack itself says the same."""
        status, name = story.status or stack["StackStatus"], stack["StackName"]
        state = ProgressState.RUNNING if story.status is None else state_of(status, handle.action)
        if state is not ProgressState.RUNNING and not story.over and stack["StackStatus"] != status:
            state, status = ProgressState.RUNNING, stack["StackStatus"]
        if state is ProgressState.RUNNING:
            return Progress(state, None, {}, stack["StackId"], status, story.events)
        with self._lock:
            self._known.pop(stack["StackId"], None)
        if state is ProgressState.SUCCEEDED:
            return Progress(state, None, _outputs(stack), stack["StackId"], status, story.events)
        reason = reason_of(story.events, status, handle.action, name)
        return Progress(state, reason, {}, stack["StackId"], status, story.events)

    def _without_story(self, handle: Handle, stack: Any) -> Progress:
        """What becomes of a change set of which the stack's events tell nothing: it would change nothing, somebody else
        executed it, or it was executed only just now."""
        found = next(self._change_set(handle))
        execution = found.get("ExecutionStatus")
        stack_id, status = stack["StackId"], stack["StackStatus"]
        if execution == "EXECUTE_COMPLETE" or _is_empty(found):
            return Progress(ProgressState.SUCCEEDED, None, _outputs(stack), stack_id, status)
        if execution == "EXECUTE_FAILED":
            reason = stack.get("StackStatusReason") or f"the stack {stack['StackName']} is {status}"
            return Progress(ProgressState.FAILED, reason, {}, stack_id, status)
        if execution == "OBSOLETE":
            reason = f"the stack {stack['StackName']} was changed by somebody else before the change set was executed"
            return Progress(ProgressState.FAILED, reason, {}, stack_id, status)
        return Progress(ProgressState.RUNNING, None, {}, stack_id, status)

    # ----------------------------------------------------------------------------------------------- drift

    def ask_drift(self, stack: str, placement: Placement) -> str:
        """As the port says."""
        at = _at(placement, stack)
        try:
            begun = self._accounts.call("cloudformation", "detect_stack_drift", at, _DRIFT, StackName=stack)
        except Refusal as refusal:
            if refusal.unknown_stack:
                raise _gone(_name_of(stack)) from refusal
            if refusal.too_early or "already in progress" in refusal.message:
                raise _busy(_name_of(stack), refusal.message) from refusal
            raise Conflict(refusal.message, cure="look at the stack, then retry") from refusal
        return str(DriftHandle(begun["StackDriftDetectionId"], stack, at))

    def drift(self, handle: str) -> Drift:
        """As the port says."""
        given = read_drift_handle(handle)
        status = self._accounts.call(
            "cloudformation",
            "describe_stack_drift_detection_status",
            given.placement,
            _DRIFT,
            StackDriftDetectionId=given.detection,
        )
        if status["DetectionStatus"] == "DETECTION_IN_PROGRESS":
            return Drift(DriftState.WORKING)
        if status["DetectionStatus"] == "DETECTION_FAILED":
            reason = status.get("DetectionStatusReason") or "CloudFormation gave no reason"
            return Drift(DriftState.FAILED, reason=reason)
        if status.get("StackDriftStatus") != "DRIFTED":
            return Drift(DriftState.IN_SYNC)
        return Drift(DriftState.DRIFTED, tuple(sorted(self._drifted(given))))

    def _drifted(self, handle: DriftHandle) -> Iterator[str]:
        asked: dict[str, Any] = {
            "StackName": handle.stack,
            "StackResourceDriftStatusFilters": ["MODIFIED", "DELETED"],
        }
        while True:
            page = self._accounts.call(
                "cloudformation", "describe_stack_resource_drifts", handle.placement, _DRIFT, **asked
            )
            for one in page["StackResourceDrifts"]:
                yield f"{one['LogicalResourceId']} ({one['ResourceType']}): {one['StackResourceDriftStatus']}"
            if not page.get("NextToken"):
                return
            asked["NextToken"] = page["NextToken"]

    # ------------------------------------------------------------------------------------------- questions

    def _call(self, operation: str, handle: Handle, **given: Any) -> Any:
        return self._accounts.call("cloudformation", operation, handle.placement, handle.deployment, **given)

    def _stack(self, stack: str, placement: Placement, purpose: str) -> Any:
        """The stack as it is, by name or id; None when there is none. A deleted one is found by its id alone."""
        try:
            found = self._accounts.call("cloudformation", "describe_stacks", placement, purpose, StackName=stack)
        except Refusal as refusal:
            if refusal.unknown_stack:
                return None
            raise
        return found["Stacks"][0] if found["Stacks"] else None

    def _events(self, handle: Handle, stack: str) -> tuple[Told, ...]:
        """The stack's events, oldest first, from the beginning of this deployment on; all there are while it has not
        begun. Those seen before are remembered and not asked for again."""
        with self._lock:
            known = self._known.get(stack, ())
        fresh: list[Told] = []
        asked: dict[str, Any] = {"StackName": stack}
        while True:
            page = self._call("describe_stack_events", handle, **asked)
            for given in page["StackEvents"]:
                one = told(given)
                if known and one.event.id == known[-1].event.id:
                    return self._remember(stack, (*known, *reversed(fresh)))
                fresh.append(one)
                if one.starts and one.token == _token(handle):
                    return self._remember(stack, tuple(reversed(fresh)))
            if not page.get("NextToken"):
                return self._remember(stack, tuple(reversed(fresh)))
            asked["NextToken"] = page["NextToken"]

    def _remember(self, stack: str, events: tuple[Told, ...]) -> tuple[Told, ...]:
        with self._lock:
            self._known[stack] = events
            self._known.move_to_end(stack)
            while len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        return events


def _token(handle: Handle) -> str:
    """The client token of what a deployment executes. CloudFormation wants another one for each operation."""
    return f"{handle.deployment}-delete" if handle.action is Action.DELETE else handle.deployment


def _change_set_name(handle: Handle) -> str:
    return f"upkeep-{handle.deployment}"


def _name_of(stack: str | None) -> str:
    """The name of a stack that is known by its name or id (`arn:…:stack/NAME/UUID`)."""
    return stack.split("/")[1] if stack and stack.startswith("arn:") and "/" in stack else stack or ""


def _at(placement: Placement, stack: str | None) -> Placement:
    """Where a stack is: its own id knows the region."""
    if placement.region or not stack or not stack.startswith("arn:"):
        return placement
    return replace(placement, region=stack.split(":")[3])


def _check_owner(request: Request, name: str, stack: Any) -> None:
    """A stack that only has the right name may be somebody else's."""
    owner = {tag["Key"]: tag["Value"] for tag in stack.get("Tags", ())}.get(OWNER_TAG)
    if owner != str(request.resource):
        whose = f"belongs to {owner}" if owner else "was not made by Upkeep"
        raise StalledError(
            f"there is a stack {name} already, and it {whose}",
            cure=f"delete or rename it, or tag it `{OWNER_TAG}={request.resource}` if it is meant; then retry",
        )


def _stack_change(given: Any) -> StackChange:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_ResourceChange.html"""
    targets = [detail.get("Target", {}) for detail in given.get("Details", ())]
    causes = [target["Name"] for target in targets if target.get("Attribute") == "Properties" and target.get("Name")]
    return StackChange(
        action=given["Action"],
        logical_id=given["LogicalResourceId"],
        resource_type=given["ResourceType"],
        physical_id=given.get("PhysicalResourceId") or None,
        replacement=given.get("Replacement") or None,
        scope=tuple(given.get("Scope", ())),
        causes=tuple(dict.fromkeys(causes)),
    )


def _is_empty(change_set: Any) -> bool:
    return change_set["Status"] == "FAILED" and str(change_set.get("StatusReason", "")).startswith(_EMPTY)


def _outputs(stack: Any) -> dict[str, str]:
    return {output["OutputKey"]: str(output["OutputValue"]) for output in stack.get("Outputs", ())}


def _gone(name: str) -> StalledError:
    return StalledError(
        f"the stack {name} is gone",
        cure="find out who deleted it; then forget the resource and create it anew",
    )


def _busy(name: str, message: str) -> TransientError:
    return TransientError(f"the stack {name} is not ready: {message}", retry_after=_BUSY_FOR)
