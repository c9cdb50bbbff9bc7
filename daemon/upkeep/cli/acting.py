"""Acting: how commands reach the store, as whom, and how they follow a deployment to its end."""

import getpass
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from upkeep.domain.errors import CallerError
from upkeep.domain.people import Actor, Role, Via

if TYPE_CHECKING:
    from upkeep.domain.deployments import Deployment, DeploymentStatus
    from upkeep.domain.names import Version
    from upkeep.flows.ports import Store, Unit
    from upkeep.settings import Settings

_LOOK_EVERY = timedelta(milliseconds=200)

_HINT_AFTER = timedelta(seconds=15)


class Desk:
    """What a command works at: settings, store and actor, each made when first used."""

    def __init__(self, config: Path | None, quiet: bool) -> None:
        self._config = config
        self._quiet = quiet
        self._stack = ExitStack()

    @cached_property
    def config_path(self) -> Path | None:
        """The configuration file in use, None for the defaults."""
        from upkeep import settings

        return settings.find(self._config, os.environ, Path())

    @cached_property
    def settings(self) -> "Settings":
        """The configuration; SettingsError when it has faults."""
        from upkeep import settings

        return settings.load(self.config_path, os.environ)

    @cached_property
    def store(self) -> "Store":
        """The store of the configuration. Closed when the command ends."""
        from upkeep import wiring

        click.get_current_context().call_on_close(self._stack.close)
        wiring.migrate(self.settings)
        return wiring.open_store(self.settings, self._stack)

    @cached_property
    def actor(self) -> Actor:
        """The user of the operating system, as an admin."""
        try:
            name = getpass.getuser()
        except (OSError, KeyError):
            name = str(os.getuid())
        return Actor(name, Role.ADMIN, Via.CLI)

    @property
    def now(self) -> datetime:
        """The present, as the store has it."""
        return self.store.now()

    @contextmanager
    def reading(self) -> Iterator["Unit"]:
        """One transaction that only reads."""
        with self.store.read() as unit:
            yield unit

    @contextmanager
    def writing(self) -> Iterator["Unit"]:
        """One transaction that writes; workers are woken after it."""
        with self.store.write() as unit:
            yield unit
        self.store.ring()

    def say(self, line: str) -> None:
        """Print one line of progress, unless quiet."""
        if not self._quiet:
            click.echo(line)

    def follow(self, *deployments: "Deployment", wanted: "DeploymentStatus | None" = None) -> None:
        """Follow deployments to their end, one line a phase. CallerError when one of them did not succeed, or did not
        end as wanted."""
        from upkeep.domain.deployments import DeploymentStatus

        good = (wanted,) if wanted else (DeploymentStatus.SUCCEEDED, DeploymentStatus.DELETE_COMPLETE)
        said: dict[str, str] = {}
        waiting = {deployment.id: deployment for deployment in deployments}
        since = time.monotonic()
        failed: list[str] = []
        told: list[str] = []
        while waiting:
            with self.reading() as unit:
                looked = [unit.deployments.get(deployment_id) for deployment_id in waiting]
            for deployment in looked:
                phase = phase_of(deployment)
                if said.get(deployment.id) != phase:
                    said[deployment.id] = phase
                    since = time.monotonic()
                    self.say(f"{deployment.resource.short}: {phase}")
                if deployment.stall is not None:
                    del waiting[deployment.id]
                    failed.append(deployment.id)
                    told.append(f"{deployment.resource.short}: {phase}")
                elif not deployment.status.under_way:
                    del waiting[deployment.id]
                    if deployment.status not in good:
                        failed.append(deployment.id)
                        told.append(f"{deployment.resource.short}: {phase}")
            if waiting and time.monotonic() - since > _HINT_AFTER.total_seconds():
                since = time.monotonic()
                self.say("nothing has moved for a while; does a worker run? (upkeep doctor)")
            if waiting:
                time.sleep(_LOOK_EVERY.total_seconds())
        if failed:
            looks = " and ".join(f"`upkeep deployment get {deployment_id}`" for deployment_id in failed)
            raise CallerError("\n".join(told), cure=f"see {looks}")


def phase_of(deployment: "Deployment") -> str:
    """How far a deployment is, in a few words."""
    status = deployment.status.replace("_", " ").lower()
    if deployment.stall is not None:
        return f"waits for a person: {deployment.stall.reason} ({deployment.stall.cure})"
    if deployment.status.under_way:
        if deployment.begun_at is None:
            return f"waiting: {deployment.message}" if deployment.message else "asked for"
        return f"{status}: {deployment.action} to {deployment.target.version}, {deployment.phase}"
    return f"{status}: {deployment.message}" if deployment.message else f"{status}, {deployment.target.version}"


pass_desk = click.make_pass_decorator(Desk)


def wait_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--wait`: follow what was asked for to its end."""
    return click.option("--wait", is_flag=True, help="Follow it to its end; fail when it fails.")(command)


def version_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--version 1.3`, parsed."""
    text = "The template version, for example 1.3. Otherwise the recommended one."
    return click.option("--version", "to", callback=_parsed_version, metavar="MAJOR.MINOR", help=text)(command)


def _parsed_version(context: click.Context, parameter: click.Parameter, text: str | None) -> "Version | None":
    from upkeep.domain.names import parse_version

    return None if text is None else parse_version(text)


def spec_text(path: Path, at_most: int) -> str:
    """The text of a spec file of so many bytes."""
    from upkeep.domain import documents
    from upkeep.domain.limits import megabytes

    try:
        with path.open("rb") as file:
            content = file.read(at_most + 1)
    except OSError as error:
        raise CallerError(f"the spec cannot be read: {error.strerror}", where=str(path)) from error
    if len(content) > at_most:
        raise CallerError(
            f"the spec is longer than {megabytes(at_most)}",
            where=str(path),
            cure="name a spec file, or raise `limits.request`",
        )
    return documents.decode(content, str(path))


@contextmanager
def spec_at(path: Path) -> Iterator[None]:
    """Faults of a spec are told with the file it came from."""
    try:
        yield
    except CallerError as error:
        if error.where == "spec" or (error.where or "").startswith("spec:"):
            error.where = f"{path}{(error.where or '').removeprefix('spec')}"
        error.message = re.sub("^spec(?=:)", lambda _: str(path), error.message, flags=re.MULTILINE)
        raise
