"""Mirrors: one bare repository for each source, brought up to a branch's head and read where it lies."""

import base64
import contextlib
import fcntl
import os
import shlex
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from time import monotonic, sleep
from urllib.parse import urlsplit

from upkeep.adapters.git import faults
from upkeep.adapters.git.command import CommandFailed, GitCommand
from upkeep.adapters.git.mirror import GitMirror
from upkeep.domain.addresses import check_address, check_branch, check_subdirectory
from upkeep.domain.errors import CallerError, StalledError, TransientError
from upkeep.domain.limits import LIMITS, BundleLimits
from upkeep.domain.names import SourceName
from upkeep.domain.sources import CredentialKind, Source
from upkeep.flows.ports import Secrets

_HEAD = "refs/upkeep/head"
"""Where a mirror keeps the head it fetched, whatever the branch is called: `a` cannot stand in the way of `a/b`."""

_LOCK_WAIT = 15.0
_REMOTE = ("https", "http", "ssh")


@dataclass(frozen=True, slots=True)
class GitRepositories:
    """Mirrors below `folder`, one for each source. Implements flows.ports.Repositories.

    `timeout_for` bounds each talk with a remote. `allow_local` admits addresses on this machine, as demos and tests
    use them. Each process of git may hold `memory_bytes`, and a fetch may bring `fetch_bytes`. SSH hosts are those in
    the file `known_hosts`, or else those whose key was seen first.

    A mirror is a copy and may be deleted at any time: what is missing or damaged is fetched anew.
    """

    folder: Path
    secrets: Secrets
    timeout_for: timedelta
    allow_local: bool
    limits: BundleLimits = LIMITS.bundle
    memory_bytes: int | None = None
    fetch_bytes: int | None = None
    known_hosts: Path | None = None

    def head(self, source: Source) -> str:
        """See flows.ports.Repositories."""
        self._check(source)
        self.folder.mkdir(parents=True, exist_ok=True)
        reference = f"refs/heads/{source.branch}"
        try:
            listed = self._command(source).run("ls-remote", "--", source.url, reference)
        except CommandFailed as failed:
            raise faults.of_remote(failed, source.url, source.branch) from failed
        for line in listed.decode("utf-8", "replace").splitlines():
            commit, _, name = line.partition("\t")
            if name == reference:
                return commit
        raise faults.no_branch(source.url, source.branch)

    @contextmanager
    def fetch(self, source: Source, at_most: int | None = None) -> Iterator[GitMirror]:
        """See flows.ports.Repositories. One process at a time works on a mirror; a damaged one is fetched anew."""
        self._check(source)
        self.folder.mkdir(parents=True, exist_ok=True)
        place = self._place(source.name)
        with _alone(place.with_suffix(".lock"), min(_LOCK_WAIT, self.timeout_for.total_seconds())) as lock:
            command = self._command(source, git_dir=place, held=(lock,))
            mirror = self._fetched(source, command, place, at_most)
            try:
                yield mirror
            except CommandFailed as failed:
                shutil.rmtree(place, ignore_errors=True)
                raise TransientError(
                    f"the mirror of {source.name} was damaged and is fetched anew: {failed}"
                ) from failed
            finally:
                mirror.close()

    def discard(self, name: SourceName) -> None:
        """Delete the mirror of a source that is followed no longer."""
        place = self._place(name)
        if place.exists():
            with _alone(place.with_suffix(".lock"), _LOCK_WAIT):
                shutil.rmtree(place, ignore_errors=True)

    def tidy(self) -> None:
        """Pack what many small fetches left, in every mirror that nobody uses at the moment. For once a night."""
        for place in sorted(self.folder.glob("*.git")):
            with contextlib.suppress(TransientError), _alone(place.with_suffix(".lock"), 0.0) as lock:
                GitCommand(
                    place, self.timeout_for.total_seconds(), place, held=(lock,), memory_bytes=self.memory_bytes
                ).run("gc", "--quiet")

    def _place(self, name: SourceName) -> Path:
        return self.folder / f"{name}.git"

    def _fetched(self, source: Source, command: GitCommand, place: Path, at_most: int | None) -> GitMirror:
        for attempt in (1, 2):
            if not (place / "HEAD").exists():
                self._create(place)
            mirror = GitMirror(command, _HEAD, self.limits, at_most)
            _sweep(place, "objects/pack/tmp_*")
            try:
                # What reads the mirror is started while it is brought up, because starting takes longer than reading.
                self._bring_up(source, replace(command, file_bytes=self.fetch_bytes), mirror.prepare)
                if mirror.head:
                    return mirror
            except CommandFailed as failed:
                mirror.close()
                _sweep(place, "objects/*/tmp_*")
                if faults.is_over(failed):
                    raise faults.of_limits(source.url, self.memory_bytes, self.fetch_bytes) from failed
                if faults.is_lock(failed) and attempt == 1:
                    _unlock(place)
                elif faults.is_corruption(failed) and attempt == 1:
                    shutil.rmtree(place, ignore_errors=True)
                else:
                    raise faults.of_remote(failed, source.url, source.branch) from failed
            except BaseException:
                mirror.close()
                _sweep(place, "objects/*/tmp_*")
                raise
        raise TransientError(f"the mirror of {source.name} could not be brought up")

    def _create(self, place: Path) -> None:
        fresh = place.with_suffix(".new")
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.rmtree(place, ignore_errors=True)
        try:
            GitCommand(self.folder, self.timeout_for.total_seconds()).run(
                "init", "--bare", "--quiet", "--template=", "--", str(fresh)
            )
            fresh.rename(place)
        except OSError as refused:
            raise TransientError(
                f"the mirror {place} cannot be made: {refused.strerror}", cure="check the state folder"
            ) from refused

    def _bring_up(self, source: Source, command: GitCommand, meanwhile: Callable[[], None]) -> None:
        command.run(
            "fetch",
            "--quiet",
            "--no-tags",
            "--no-write-fetch-head",
            "--no-recurse-submodules",
            "--no-show-forced-updates",
            "--update-head-ok",
            "--stdin",
            "--",
            source.url,
            told=f"+refs/heads/{source.branch}:{_HEAD}\n".encode("utf-8", "surrogateescape"),
            meanwhile=meanwhile,
        )

    def _check(self, source: Source) -> None:
        try:
            check_address(source.url, allow_local=self.allow_local)
            check_branch(source.branch)
            check_subdirectory(source.subdirectory)
        except CallerError as wrong:
            raise StalledError(wrong.message, cure=wrong.cure) from wrong

    def _command(self, source: Source, git_dir: Path | None = None, held: tuple[int, ...] = ()) -> GitCommand:
        return GitCommand(
            git_dir or self.folder,
            self.timeout_for.total_seconds(),
            git_dir,
            (*_REMOTE, "file") if self.allow_local else _REMOTE,
            self._environment(source),
            held,
            self.memory_bytes,
        )

    def _environment(self, source: Source) -> Mapping[str, str]:
        """How the repository is entered. Nothing secret stands among the arguments, where every user can see it."""
        settings = {
            "http.lowSpeedLimit": "100",
            "http.lowSpeedTime": str(max(1, round(self.timeout_for.total_seconds()))),
            # A redirection leads wherever somebody else says, and would carry a credential there.
            "http.followRedirects": "false",
        }
        kept = self.folder.absolute() / "known_hosts"
        trusted = ("yes", self.known_hosts) if self.known_hosts else ("accept-new", kept)
        ssh = [
            *("ssh", "-o", "BatchMode=yes", "-o", f"StrictHostKeyChecking={trusted[0]}", "-o", "ControlPath=none"),
            *("-o", f"UserKnownHostsFile={trusted[1]}", "-o", "ConnectTimeout=15", "-o", "ForwardAgent=no"),
            *("-o", "PermitLocalCommand=no", "-o", "ClearAllForwardings=yes"),
        ]
        match source.credential.kind:
            case CredentialKind.SSH_KEY_FILE:
                key = Path(source.credential.reference).expanduser()
                if not key.is_file():
                    raise StalledError(
                        f"there is no SSH key at {key}", cure=f"put it there, or change the credential of {source.name}"
                    )
                ssh += ["-o", "IdentitiesOnly=yes", "-i", str(key)]
            case CredentialKind.TOKEN_FILE | CredentialKind.TOKEN_ENV:
                token = self.secrets.reveal(source.credential)
                address = urlsplit(source.url)
                if token and address.scheme in ("http", "https"):
                    if address.scheme == "http" and not _is_near(address.hostname or ""):
                        raise StalledError(
                            f"the token for {source.url} would travel where others can read it",
                            cure=f"give {source.name} an https address",
                        )
                    pair = f"{address.username or 'x-access-token'}:{token}".encode()
                    header = f"Authorization: Basic {base64.b64encode(pair).decode('ascii')}"
                    origin = f"{address.scheme}://{address.netloc.rpartition('@')[2]}/"
                    settings[f"http.{origin}.extraHeader"] = header
        environment = {"GIT_SSH_COMMAND": shlex.join(ssh), "GIT_CONFIG_COUNT": str(len(settings))}
        for number, (name, value) in enumerate(settings.items()):
            environment[f"GIT_CONFIG_KEY_{number}"] = name
            environment[f"GIT_CONFIG_VALUE_{number}"] = value
        return environment


@contextmanager
def _alone(path: Path, wait: float) -> Iterator[int]:
    """Hold a mirror's lock. Git processes inherit it, so that it is held as long as one of them lives, even when
    this process was killed; whoever holds it may therefore take any other lock in the mirror for a leftover."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        deadline = monotonic() + wait
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as held:
                if monotonic() >= deadline:
                    raise TransientError(f"another process works on {path.stem}") from held
                sleep(0.02)
        yield lock
    finally:
        os.close(lock)


def _is_near(host: str) -> bool:
    """Whether it is this machine."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _sweep(place: Path, leftovers: str) -> None:
    """Delete what a fetch left that was killed or ran into a limit; nobody else is at work here."""
    for leftover in place.glob(leftovers):
        leftover.unlink(missing_ok=True)


def _unlock(place: Path) -> None:
    for lock in (*place.glob("*.lock"), *place.glob("refs/**/*.lock"), *place.glob("objects/**/*.lock")):
        lock.unlink(missing_ok=True)
