"""The host: git, the configuration file, the state folder and its disk, and whether templates can be rendered."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from upkeep.cli.doctor.verdicts import FAIL, OK, WARN, Verdict, failed
from upkeep.domain.errors import BundleError, UpkeepError

if TYPE_CHECKING:
    from upkeep.settings import Settings

_OLDEST_GIT = (2, 31)
"""Settings that no list of processes shows, by `GIT_CONFIG_COUNT`, came with it: https://git-scm.com/docs/git-config#ENVIRONMENT"""
_FULL_BELOW = 64 << 20
_NEARLY_FULL_BELOW = 1 << 30
"""Bytes. An SQLite database and its log grow together, and a mirror is as large as its repository."""


def git() -> Verdict:
    """Whether there is a git that knows what it is asked for."""
    program = shutil.which("git")
    if program is None:
        return Verdict(FAIL, "git", "there is no git in PATH", "install git")
    answer = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10, check=False)  # noqa: S603  (git, by its whole path)
    found = answer.stdout.strip().removeprefix("git version ")
    numbers = tuple(int(part) for part in found.split(".")[:2] if part.isdigit())
    if numbers < _OLDEST_GIT:
        return Verdict(FAIL, "git", f"{found or 'its version'} is too old", "install git 2.31 or newer")
    return Verdict(OK, "git", found)


def config(path: Path | None, settings: "Settings") -> Verdict:
    """Whether the configuration file tells its secrets to everybody on this host."""
    if path is None:
        return Verdict(OK, "config", "the defaults, no file")
    text = path.read_text(encoding="utf-8")
    if path.stat().st_mode & 0o004 and any(secret in text for secret in _secrets(settings)):
        return Verdict(
            FAIL,
            "config file",
            f"{path} holds a secret, and everybody on this host can read it",
            f"chmod 640 {path}, or move the secret into a file of its own (`…_file`); then replace the secret",
        )
    return Verdict(OK, "config", str(path))


def _secrets(settings: "Settings") -> set[str]:
    """What stands in the settings themselves. An address is one when it has a password."""
    from upkeep.settings import ConsoleNotices, without_password

    channels = [each.kept for each in settings.notices.channels.values() if not isinstance(each, ConsoleNotices)]
    github = [settings.access.github.kept] if settings.access.github else []
    others = (settings.proton.kept, settings.metrics.kept)
    given = [kept.value for kept in (*channels, *github, *others) if kept is not None]
    found = {value.get_secret_value() for value in (*given, *settings.webhooks.secrets) if value is not None}
    addresses = [settings.database.url.get_secret_value() if settings.database.url else "", settings.tracing.endpoint]
    return (found | {url for url in addresses if url != without_password(url)}) - {""}


def somebody_elses(state: Path) -> Verdict | None:
    """Whether the state folder is that of a user other than the one who asks, who is not bound by its permissions."""
    if not state.is_dir() or os.geteuid() != 0 or state.stat().st_uid == 0:
        return None
    owner = _name_of(state.stat().st_uid)
    return Verdict(
        FAIL,
        "state",
        f"{state} belongs to {owner}, and you are root: what you do here leaves files that {owner} cannot write",
        f"become that user for every command: sudo -u {owner} upkeep doctor",
    )


def state(settings: "Settings") -> Iterator[Verdict]:
    """Whether the state folder can be written, is on a disk of this host, and has room."""
    from upkeep import wiring

    folder = settings.state
    try:
        wiring.make_state(settings)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"x")
    except UpkeepError as error:
        yield failed("state", error)
        return
    except OSError as error:
        reason = f"{folder} cannot be written: {error.strerror}"
        yield Verdict(FAIL, "state", reason, "make room there, or give it to the user that Upkeep runs as")
        return
    strangers = sorted(path.name for path in folder.iterdir() if path.stat().st_uid != folder.stat().st_uid)
    free = shutil.disk_usage(folder).free
    if strangers:
        owner = _name_of(folder.stat().st_uid)
        reason = f"{', '.join(strangers[:3])} in {folder} belongs to another user than the folder, {owner}"
        yield Verdict(FAIL, "state", reason, f"chown -R {owner} {folder}, and become {owner} for every command")
    elif doubt := wiring.doubt_of_database(settings):
        yield failed("state", doubt)
    elif free < _NEARLY_FULL_BELOW:
        level = FAIL if free < _FULL_BELOW else WARN
        reason = f"only {free >> 20} MB are free on the disk of {folder}"
        yield Verdict(level, "disk", reason, "make room: the database and the mirrors of repositories grow there")
    else:
        yield Verdict(OK, "state", f"{folder} can be written, {free >> 30} GB are free")


def renderer(settings: "Settings", stack: ExitStack) -> Verdict:
    """Whether a template's process can be started, and is ended when it takes more memory than it may."""
    from upkeep import wiring
    from upkeep.domain.bundles import TemplateFile

    limit = settings.rendering.memory
    rendering = wiring.open_renderer(settings, stack)
    try:
        rendering.render(TemplateFile("a try", f"{{{{ ('x' * {limit})|length }}}}"), {})
    except BundleError:
        return Verdict(OK, "renderer", f"templates are rendered, within {limit >> 20} MB each")
    except UpkeepError as error:
        cure = "let the service start processes that limit themselves (setrlimit), and give them `rendering.memory`"
        return Verdict(FAIL, "renderer", error.message, error.cure or cure)
    return Verdict(
        FAIL,
        "renderer",
        f"a template took {limit >> 20} MB and was not stopped: this system does not limit address spaces",
        "run Upkeep where RLIMIT_AS holds, or let nobody you do not trust write templates",
    )


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
