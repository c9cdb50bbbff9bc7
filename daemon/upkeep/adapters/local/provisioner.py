"""The local provisioner: one folder of files for each resource."""

import json
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from upkeep.adapters.local.stack import changes_between, outputs_of
from upkeep.domain.changesets import Drift, DriftState, Proposal, ProposalState, StackChange
from upkeep.domain.deployments import Action, Progress, ProgressState
from upkeep.domain.errors import CallerError, Conflict, StalledError, TransientError
from upkeep.domain.names import ResourceKey, ResourceKind, parse_resource_key
from upkeep.domain.resources import Placement
from upkeep.flows.ports import Request

TEMPLATE, OUTPUTS, TAGS, DEPLOYMENT = "template.yaml", "outputs.json", "tags.json", "deployment.json"
MARK = ".upkeep"

_DRIFTED = {"Add": "ADDED", "Modify": "MODIFIED", "Remove": "DELETED"}
"""How a resource differs that somebody touched."""

_ELSEWHERE = "something besides the resources of its template was changed"

_DEPLOYMENT_ID = re.compile(r"[0-9A-Za-z\-]{1,128}")


class LocalProvisioner:
    """Writes what would be deployed below a folder, and makes up its outputs.

    A resource has the folder `<kind>/<name>` or `instance/<service>/<name>` with `template.yaml`, `outputs.json` and
    `tags.json` of its last deployment, and `deployment.json` with that one's id and the template once more, so that an
    edit of the other is found as drift. It is written last: a deployment whose id it does not have is done again. A
    change set is the comparison of two templates, kept in `.proposals` until it is executed or discarded; what
    CloudFormation would refuse fails there. Implements the `Provisioner` port.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def mark(self) -> bytes:
        """What tells this folder from all others, made the first time that somebody asks. It stands in a file
        `.upkeep` there."""
        mark = self._folder / MARK
        with _translated(mark):
            if not mark.exists():
                self._folder.mkdir(parents=True, exist_ok=True)
                made = self._folder / f"{MARK}-{secrets.token_hex(4)}"
                made.write_text(f"{secrets.token_hex(8)}\n", encoding="ascii")
                with suppress(FileExistsError):
                    # Whole at once, and by whoever comes first.
                    os.link(made, mark)
                made.unlink()
            return mark.read_bytes().strip()

    def propose(self, request: Request) -> str:
        """Compare the template with the one in the folder; returns a handle that names the action, the deployment and
        the resource."""
        handle = f"{request.action}:{request.deployment}:{request.resource}"
        place = self._place(request.resource)
        if request.action is Action.DELETE:
            return handle
        kept = self._kept(request.deployment)
        with _translated(kept):
            if not kept.exists():
                proposal = _proposed(request, _text(place / TEMPLATE), _read(place / TAGS))
                kept.parent.mkdir(parents=True, exist_ok=True)
                _replace(kept, _json(proposal))
        return handle

    def proposal(self, handle: str) -> Proposal:
        """What would change, by logical id."""
        _, deployment, key = self._understood(handle)
        kept = self._kept(deployment)
        with _translated(kept):
            found = _read(kept)
        if not found:
            raise StalledError(f"what {key} would change is not kept in {kept}", cure="cancel the deployment")
        changes = tuple(
            StackChange(action, logical_id, kind, causes=tuple(causes))
            for action, logical_id, kind, causes in found["changes"]
        )
        return Proposal(ProposalState(found["state"]), changes, found["reason"], str(key))

    def discard(self, handle: str) -> None:
        """Forget what would have changed."""
        _, deployment, _ = self._understood(handle)
        kept = self._kept(deployment)
        with _translated(kept):
            kept.unlink(missing_ok=True)

    def execute(self, handle: str, request: Request) -> None:
        """Do all the work at once. Conflict when what would change is not kept any more: it was executed, and a later
        deployment came after it, whose files whoever slept in between must not write over."""
        place = self._place(request.resource)
        with _translated(place):
            if request.action is Action.DELETE:
                self._remove(place)
            elif _read(place / DEPLOYMENT).get("deployment") != request.deployment:
                if not self._kept(request.deployment).exists():
                    raise Conflict(f"what {request.resource.short} would change was executed or discarded before")
                self._write(place, request)
        self.discard(handle)

    def observe(self, handle: str) -> Progress:
        """How it ended; nothing takes longer than `execute`. StalledError for a handle that was never given."""
        wanted, deployment, key = self._understood(handle)
        place, name = self._place(key), str(key)
        with _translated(place):
            if wanted is Action.DELETE:
                if not place.exists():
                    return Progress(ProgressState.SUCCEEDED, stack=name, status="DELETE_COMPLETE")
                return Progress(ProgressState.FAILED, f"{place} is there again", stack=name, status="DELETE_FAILED")
            ended = _read(place / DEPLOYMENT)
            if ended.get("deployment") != deployment and not self._kept(deployment).exists():
                return Progress(ProgressState.FAILED, f"{place / DEPLOYMENT} does not tell of this deployment")
            status = f"{ended.get('action', wanted)}_complete".upper()
            return Progress(ProgressState.SUCCEEDED, outputs=_read(place / OUTPUTS), stack=name, status=status)

    def cancel(self, handle: str) -> None:
        """Refused: what is executed has ended."""
        _, _, key = self._understood(handle)
        raise Conflict(f"the update of {key.short} has ended already", cure="update it to the version you want")

    def continue_rollback(self, stack: str, placement: Placement, token: str) -> None:
        """Refused: nothing is ever rolled back here."""
        raise Conflict(f"{stack} is not rolled back", cure="retry the deployment")

    def ask_drift(self, stack: str, placement: Placement) -> str:
        """Nothing takes longer than looking; the handle is the stack's id."""
        return stack

    def drift(self, handle: str) -> Drift:
        """What somebody changed in the template that stands in the folder. StalledError when it is gone."""
        try:
            place = self._place(parse_resource_key(handle))
        except CallerError as fault:
            raise StalledError(f"`{handle}` is no stack of the local provisioner", cure="deploy it again") from fault
        with _translated(place):
            deployed, found = _read(place / DEPLOYMENT).get("template"), _text(place / TEMPLATE)
        if deployed is None or found is None:
            raise StalledError(f"what was deployed is not in {place} any more", cure="deploy it again")
        if found == deployed:
            return Drift(DriftState.IN_SYNC)
        differing = [
            f"{change.logical_id} ({change.resource_type}): {_DRIFTED[change.action]}"
            for change in changes_between(deployed, found)
        ]
        return Drift(DriftState.DRIFTED, tuple(differing), None if differing else _ELSEWHERE)

    def _understood(self, handle: str) -> tuple[Action, str, ResourceKey]:
        action, _, rest = handle.partition(":")
        deployment, _, key = rest.partition(":")
        try:
            return Action(action), deployment, parse_resource_key(key)
        except (CallerError, ValueError) as fault:
            message = f"`{handle}` is no handle of the local provisioner"
            raise StalledError(message, cure="cancel the deployment") from fault

    def _kept(self, deployment: str) -> Path:
        """Where a proposal is kept until it is executed or discarded."""
        if not _DEPLOYMENT_ID.fullmatch(deployment):
            raise StalledError(f"`{deployment}` is no deployment", cure="cancel the deployment")
        return self._folder / ".proposals" / f"{deployment}.json"

    def _place(self, key: ResourceKey) -> Path:
        # Names are parsed once more: whatever made the key, no name may lead out of the folder.
        return self._folder.joinpath(*str(parse_resource_key(str(key))).split("/"))

    def _write(self, place: Path, request: Request) -> None:
        outputs = outputs_of(request.template_body, TEMPLATE, _stack_name(request.resource))
        place.mkdir(parents=True, exist_ok=True)
        _replace(place / TEMPLATE, request.template_body)
        _replace(place / OUTPUTS, _json(outputs))
        _replace(place / TAGS, _json(request.tags))
        ended = {
            "deployment": request.deployment,
            "action": request.action.value,
            "template": request.template_body,
        }
        _replace(place / DEPLOYMENT, _json(ended))

    def _remove(self, place: Path) -> None:
        """Let the folder go at once, then its files: half of it is never left under its name."""
        if place.exists():
            gone = Path(tempfile.mkdtemp(prefix=".gone-", dir=self._folder))
            place.rename(gone / "removed")
            shutil.rmtree(gone)
        for empty in place.parents:
            if empty == self._folder or not empty.is_relative_to(self._folder):
                break
            with suppress(OSError):  # something else lives there
                empty.rmdir()


def _proposed(request: Request, before: str | None, tags: Mapping[str, Any]) -> dict[str, Any]:
    """The proposal as it is kept: its state, its reason, and for each change action, logical id, type and causes."""
    try:
        outputs_of(request.template_body, TEMPLATE, _stack_name(request.resource))
    except CallerError as fault:
        return {"state": ProposalState.FAILED, "reason": str(fault), "changes": []}
    if before == request.template_body and tags == request.tags:
        return {"state": ProposalState.EMPTY, "reason": None, "changes": []}
    changes = [
        [change.action, change.logical_id, change.resource_type, list(change.causes)]
        for change in changes_between(before, request.template_body)
    ]
    return {"state": ProposalState.READY, "reason": None, "changes": changes}


def _stack_name(key: ResourceKey) -> str:
    match key.kind:
        case ResourceKind.INSTANCE:
            return f"{key.service}-{key.name}"
        case ResourceKind.PIPELINE:
            return f"{key.name}-pipeline"
        case ResourceKind.ENVIRONMENT:
            return key.name


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, indent=2, sort_keys=True) + "\n"


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


def _read(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except ValueError as fault:
        raise StalledError(f"{path} is not JSON", cure="remove it and retry the deployment") from fault
    return value if isinstance(value, dict) else {}


def _replace(path: Path, text: str) -> None:
    """Put a whole new file in the place of an old one, so that no reader and no crash ever meets half of it."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).rename(path)
    except BaseException:
        with suppress(FileNotFoundError):
            Path(name).unlink()
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextmanager
def _translated(place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as fault:
        raise TransientError(f"the local provisioner cannot use {place}: {fault.strerror or fault}") from fault
