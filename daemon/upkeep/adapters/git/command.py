"""The one module that imports GitPython, and of it the command layer only: git processes in a closed environment.

GitPython's objects keep processes and descriptors until they are collected. Here each process lives in a `with`
block, leads a process group of its own, and is killed with that group when the block ends or its time is up.
"""

import contextlib
import os
import re
import resource
import select
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

from upkeep import watch
from upkeep.domain.errors import StalledError, TransientError

# GitPython asks `git version` while it is imported and raises ImportError without git; we say it when git is needed.
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")

import git

_CHUNK = 1 << 16
_MOST_COMPLAINTS = 1 << 14
_MOST_PRINTED = 1 << 24

_KEPT_VARIABLES = re.compile(
    r"PATH|HOME|USER|LOGNAME|SHELL|PWD|OLDPWD|SHLVL|TERM|TZ|TMPDIR|HOSTNAME|LANG|LANGUAGE|LC_\w+|LD_LIBRARY_PATH|_"
    r"|(?i:https?|all|no)_(?i:proxy)|SSL_CERT_(?:FILE|DIR)|CURL_CA_BUNDLE|SSH_AUTH_SOCK"
    r"|GIT_(?:EXEC_PATH|SSL_CAINFO|SSL_CAPATH|PYTHON_\w+)|INVOCATION_ID|JOURNAL_STREAM|SYSTEMD_EXEC_PID|UPKEEP_CONFIG"
)
"""What git and ssh are told of our environment: where things are installed and how the network is reached. The rest may
hold secrets, or aim git elsewhere, such as GIT_DIR when we are called from a hook."""

_CLOSED = {
    "HOME": os.devnull,
    "XDG_CONFIG_HOME": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_SYSTEM": os.devnull,
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "",
    "SSH_ASKPASS": "",
    "SSH_ASKPASS_REQUIRE": "never",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_GRAFT_FILE": f"{os.devnull}/none",  # about one that can be read git gives a hint
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_LITERAL_PATHSPECS": "1",
    "GIT_PROTOCOL_FROM_USER": "0",
}

# A repository's own configuration may name programs and change what is printed: each such setting is taken back.
_SETTINGS = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.askPass=",
    "core.commitGraph=true",
    "credential.helper=",
    "safe.directory=*",
    "gc.auto=0",
    "maintenance.auto=false",
    "fetch.recurseSubmodules=false",
    "fetch.writeCommitGraph=false",
    # Whatever is larger is streamed, and not held as a whole.
    "core.bigFileThreshold=8m",
    "pack.windowMemory=128m",
    "log.showSignature=false",
    "log.showRoot=true",
    "log.follow=false",
    "log.mailmap=false",
    "diff.orderFile=/dev/null",
    "diff.ignoreSubmodules=none",
    "i18n.logOutputEncoding=UTF-8",
)
_TAKEN_BACK = tuple(part for setting in _SETTINGS for part in ("-c", setting))


Begin = Callable[[bytes], Iterator[bytes]]
"""Tells a command that waits what it is to do, once; what it prints comes back in chunks."""


class CommandFailed(TransientError):
    """A git command ended with an error. `complaint` is what it wrote, to be translated by who asked."""

    slug = "git"

    def __init__(self, command: str, complaint: str) -> None:
        super().__init__(f"git {command} failed: {complaint.strip() or 'without a word'}")
        self.complaint = complaint


class CommandTimedOut(TransientError):
    """A git command was killed because its time was up."""

    slug = "git-timeout"

    def __init__(self, command: str, what: str) -> None:
        super().__init__(f"git {command} {what}", cure="look at the server and the way to it, or raise `git.timeout`")


@dataclass(frozen=True, slots=True)
class GitCommand:
    """Git aimed at one folder. `seconds` bounds a whole `run`, and each silence of a `stream` or `converse`.

    `protocols` are the transports it may use, `extra` more environment variables, which is where secrets go because
    other users cannot read them there; `held` are descriptors that its processes keep open. `memory_bytes` bounds what
    each process may hold beside the files it maps, `file_bytes` each file it writes; only Linux knows how.

    What a command is told on its standard input, it is told once its bounds stand. A fetch gets to know in this way
    what to fetch, so that whatever it starts for that is bounded as well.
    """

    folder: Path
    seconds: float
    git_dir: Path | None = None
    protocols: tuple[str, ...] = ()
    extra: Mapping[str, str] = field(default_factory=dict, repr=False)
    held: tuple[int, ...] = ()
    memory_bytes: int | None = None
    file_bytes: int | None = None

    def run(self, *arguments: str, told: bytes = b"", meanwhile: Callable[[], None] = lambda: None) -> bytes:
        """Everything the command prints. Raises CommandFailed, also when that is far too much, or CommandTimedOut.
        `meanwhile` is done while it works."""
        deadline = monotonic() + self.seconds
        printed = bytearray()
        # By the command's name alone: what follows it holds addresses and paths.
        with watch.stretch("git", arguments[0]), self._started(arguments) as process:
            _tell(process, told)
            meanwhile()
            for chunk in self._output(process, arguments[0], deadline):
                printed += chunk
                if len(printed) > _MOST_PRINTED:
                    raise CommandFailed(arguments[0], f"it printed more than {_MOST_PRINTED:,} bytes")
        return bytes(printed)

    @contextmanager
    def stream(self, *arguments: str) -> Iterator[Iterator[bytes]]:
        """What the command prints, in chunks as they come; iterating raises like `run`. Leaving early ends it."""
        with self.ready(*arguments) as begin:
            yield begin(b"")

    @contextmanager
    def ready(self, *arguments: str) -> Iterator["Begin"]:
        """A command that has started and waits, as long as the block lasts, for what it is to be told. Telling it
        gives what it prints, as `stream` does."""

        def begin(told: bytes) -> Iterator[bytes]:
            with watch.stretch("git", arguments[0]):
                _tell(process, told)
                yield from self._output(process, arguments[0], None)

        with self._started(arguments) as process:
            yield begin

    @contextmanager
    def converse(self, *arguments: str) -> Iterator["Conversation"]:
        """A command that answers what is written to it, until the block ends."""
        with self._started(arguments) as process:
            yield Conversation(process, arguments[0], self.seconds)

    @contextmanager
    def _started(self, arguments: Sequence[str]) -> Iterator["subprocess.Popen[bytes]"]:
        # Without a repository no configuration is read at all, so that there is nothing to take back.
        repository = [f"--git-dir={self.git_dir}", *_TAKEN_BACK] if self.git_dir else []
        environment = {
            **_CLOSED,
            "GIT_CEILING_DIRECTORIES": str(self.folder.parent),
            "GIT_ALLOW_PROTOCOL": ":".join(self.protocols) or "none",
            **self.extra,
        }
        prefix, emptied = _forgetting(environment)
        try:
            started = git.Git(self.folder).execute(
                [*prefix, "git", "--no-pager", *repository, *arguments],
                istream=subprocess.PIPE,
                as_process=True,
                env={**emptied, **environment},
                start_new_session=True,
                pass_fds=self.held,
            )
        except (git.GitCommandNotFound, PermissionError) as missing:
            raise StalledError("git cannot be run", cure="install git 2.31 or newer, within PATH") from missing
        except OSError as refused:
            raise TransientError(f"git could not be started: {refused.strerror}") from refused
        process = started.proc
        assert process is not None
        try:
            self._bound(process.pid)
            yield process
        finally:
            _end(process)

    def _bound(self, process: int) -> None:
        """Bound what has started and waits to be told what to do. To start it bounded would take a fork of this
        process, which has threads, or a program in between, which takes as long as git itself."""
        bounds = {resource.RLIMIT_DATA: self.memory_bytes, resource.RLIMIT_FSIZE: self.file_bytes}
        given = {which: most for which, most in bounds.items() if most is not None}
        if not given or not hasattr(resource, "prlimit"):
            return
        try:
            for which, most in (given | {resource.RLIMIT_CORE: 0}).items():
                # Where we are bounded more narrowly ourselves, git was from its start.
                inherited = resource.getrlimit(which)[1]
                bound = most if inherited == resource.RLIM_INFINITY else min(most, inherited)
                resource.prlimit(process, which, (bound, bound))
        except OSError as refused:
            raise TransientError(f"git's memory could not be bounded: {refused.strerror}") from refused

    def _output(self, process: "subprocess.Popen[bytes]", name: str, deadline: float | None) -> Iterator[bytes]:
        assert process.stdout is not None and process.stderr is not None
        out, err = process.stdout.fileno(), process.stderr.fileno()
        complaint = bytearray()
        poll = select.poll()
        poll.register(out, select.POLLIN)
        poll.register(err, select.POLLIN)
        waiting = {out, err}
        while waiting:
            patience = self.seconds if deadline is None else deadline - monotonic()
            for descriptor, _ in poll.poll(max(patience, 0) * 1000) or [(-1, 0)]:
                if descriptor == -1:
                    raise CommandTimedOut(name, f"was stopped after {self.seconds:g} s without an end")
                chunk = os.read(descriptor, _CHUNK)
                if not chunk:
                    poll.unregister(descriptor)
                    waiting.discard(descriptor)
                elif descriptor == out:
                    yield chunk
                elif len(complaint) < _MOST_COMPLAINTS:
                    complaint += chunk
        if process.wait() != 0:
            raise CommandFailed(name, complaint.decode("utf-8", "replace"))


class Conversation:
    """Questions written to a git process, answers read from it."""

    def __init__(self, process: "subprocess.Popen[bytes]", name: str, seconds: float) -> None:
        assert process.stdin is not None and process.stdout is not None
        self._process = process
        self._name = name
        self._seconds = seconds
        self._stdin, self._stdout = process.stdin.fileno(), process.stdout.fileno()
        self._poll = select.poll()
        self._poll.register(self._stdout, select.POLLIN)
        self._read = bytearray()

    def ask(self, question: bytes) -> None:
        """Write it. Keep what is asked and not yet answered below a pipe's 64 KiB, or both sides wait forever."""
        try:
            while question:
                question = question[os.write(self._stdin, question) :]
        except OSError as closed:
            raise self._ended() from closed

    def line(self) -> bytes:
        """The next line of the answer, without its end."""
        start = 0
        while (end := self._read.find(b"\n", start)) < 0:
            start = len(self._read)
            self._more()
        line = bytes(self._read[:end])
        del self._read[: end + 1]
        return line

    def take(self, size: int) -> bytes:
        """The next `size` bytes of the answer."""
        while len(self._read) < size:
            self._more()
        taken = bytes(self._read[:size])
        del self._read[:size]
        return taken

    def skip(self, size: int) -> None:
        """Pass over `size` bytes of the answer without keeping them."""
        while size > 0:
            if not self._read:
                self._more()
            passed = min(size, len(self._read))
            del self._read[:passed]
            size -= passed

    def _more(self) -> None:
        if not self._poll.poll(self._seconds * 1000):
            raise CommandTimedOut(self._name, f"gave no answer within {self._seconds:g} s")
        chunk = os.read(self._stdout, _CHUNK)
        if not chunk:
            raise self._ended()
        self._read += chunk

    def _ended(self) -> CommandFailed:
        assert self._process.stderr is not None
        _kill(self._process)
        complaint = self._process.stderr.read(_MOST_COMPLAINTS)
        return CommandFailed(self._name, complaint.decode("utf-8", "replace"))


def _tell(process: "subprocess.Popen[bytes]", told: bytes) -> None:
    """Tell a command all that it is told. One that has ended already says why with its last words."""
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError), process.stdin:
        process.stdin.write(told)


def _forgetting(environment: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
    """How git gets to know nothing of the inherited variables that it has no business with: its own are dropped by a
    prefix, because empty ones mean something to it, and the others are made empty, which costs nothing."""
    stray = sorted(name for name in os.environ if not _KEPT_VARIABLES.fullmatch(name) and name not in environment)
    own = [part for name in stray if name.startswith("GIT_") for part in ("-u", name)]
    return (["env", *own] if own else []), {name: "" for name in stray if not name.startswith("GIT_")}


def _kill(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _end(process: "subprocess.Popen[bytes]") -> None:
    _kill(process)
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
