"""The local provisioner: one folder of files for each resource."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from upkeep.adapters.local.stack import outputs_of
from upkeep.domain.deployments import Action, Progress, ProgressState
from upkeep.domain.errors import CallerError, StalledError, TransientError
from upkeep.domain.names import ResourceKey, ResourceKind, parse_resource_key
from upkeep.flows.ports import Plan

TEMPLATE, OUTPUTS, TAGS, DEPLOYMENT = "template.yaml", "outputs.json", "tags.json", "deployment.json"


class LocalProvisioner:
    """Writes what would be deployed below a folder, and makes up its outputs.

    A resource has the folder `<kind>/<name>` or `instance/<service>/<name>` with `template.yaml`, `outputs.json` and
    `tags.json` of its last good deployment, and `deployment.json` saying how the last one ended. That one is written
    last: a deployment whose id it does not have is begun again. Implements the `Provisioner` port.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def begin(self, plan: Plan) -> str:
        """Do all the work and return its handle, which names the action, the deployment and the resource."""
        place = self._place(plan.resource)
        with _translated(place):
            if plan.action is Action.DELETE:
                self._remove(place)
            elif _read(place / DEPLOYMENT).get("deployment") != plan.deployment:
                self._write(place, plan)
        return f"{plan.action}:{plan.deployment}:{plan.resource}"

    def observe(self, handle: str) -> Progress:
        """How it ended; nothing takes longer than `begin`. StalledError for a handle that `begin` never gave."""
        action, _, rest = handle.partition(":")
        deployment, _, key = rest.partition(":")
        try:
            place = self._place(parse_resource_key(key))
            wanted = Action(action)
        except (CallerError, ValueError) as fault:
            message = f"`{handle}` is no handle of the local provisioner"
            raise StalledError(message, cure="retry the deployment") from fault
        with _translated(place):
            if wanted is Action.DELETE:
                if not place.exists():
                    return Progress(ProgressState.SUCCEEDED)
                return Progress(ProgressState.FAILED, f"{place} is there again")
            ended = _read(place / DEPLOYMENT)
            if ended.get("deployment") != deployment:
                return Progress(ProgressState.FAILED, f"{place / DEPLOYMENT} does not tell of this deployment")
            if ended.get("failure"):
                return Progress(ProgressState.FAILED, str(ended["failure"]))
            return Progress(ProgressState.SUCCEEDED, outputs=_read(place / OUTPUTS))

    def _place(self, key: ResourceKey) -> Path:
        # Names are parsed once more: whatever made the key, no name may lead out of the folder.
        return self._folder.joinpath(*str(parse_resource_key(str(key))).split("/"))

    def _write(self, place: Path, plan: Plan) -> None:
        place.mkdir(parents=True, exist_ok=True)
        ended: dict[str, Any] = {"deployment": plan.deployment, "action": plan.action.value, "failure": None}
        try:
            outputs = outputs_of(plan.template_body, TEMPLATE, _stack_name(plan.resource))
        except CallerError as fault:
            ended["failure"] = str(fault)
        else:
            _replace(place / TEMPLATE, plan.template_body)
            _replace(place / OUTPUTS, _json(outputs))
            _replace(place / TAGS, _json(plan.tags))
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
