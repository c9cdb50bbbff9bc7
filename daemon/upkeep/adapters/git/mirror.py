"""Reading a repository: one `git log` streamed for its history, one `cat-file` kept open for its contents."""

import contextlib
import re
from collections import OrderedDict
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path

from upkeep.adapters.git.command import Begin, CommandFailed, Conversation, GitCommand
from upkeep.domain.bundles import Bundle, BundleFile
from upkeep.domain.changes import FolderChange, Step
from upkeep.domain.errors import BundleError, CallerError, NotFound, StalledError
from upkeep.domain.limits import LIMITS, BundleLimits, megabytes
from upkeep.domain.versions import Commit

MOST_FOLDERS = 500_000
"""More folders than this in one tree, or changed by one commit, are not looked through."""

LONGEST_MESSAGE = 1 << 16

_LARGEST_STRUCTURE = 2 << 20
"""Bytes of a tree or a commit; more are not read."""

_FOLDER_MODE = b"040000"
_PLAIN_MODES = (b"100644", b"100755", b"100664")
_FIELDS = 6
_FORMAT = "%x01%H%x00%P%x00%an%x00%ae%x00%ct%x00%B"
_LOG = (
    "--stdin",
    "--first-parent",
    "-m",
    "--reverse",
    # Commits that change nothing below a subdirectory stay, so that the line has no gaps.
    "--sparse",
    "--raw",
    "-r",
    "-t",
    "-z",
    "--no-renames",
    "--no-abbrev",
    "--no-color",
    "--no-decorate",
    "--no-notes",
    "--no-ext-diff",
    "--encoding=UTF-8",
    f"--format={_FORMAT}",
)
_ASKED_AT_ONCE = 256
_KEPT_OBJECTS = 8_192
_KEPT_BYTES = 32 * 1024 * 1024
_OBJECT_ID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_IDENTITY = re.compile(rb"(?P<name>[^<]*)<(?P<email>[^>]*)>\s*(?P<at>-?\d+)?")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_SECOND = int(datetime(9999, 12, 31, tzinfo=UTC).timestamp())


@dataclass(slots=True)
class GitMirror:
    """A bare or other repository, opened for reading. Implements flows.ports.Mirror. Close it.

    Of more than `at_most` commits at once, `steps` tells nothing.
    """

    command: GitCommand
    head_revision: str
    limits: BundleLimits = LIMITS.bundle
    at_most: int | None = None
    _open: ExitStack = field(default_factory=ExitStack, repr=False)
    _objects: "_Objects | None" = None
    _ready: Begin | None = None
    _head: str | None = None

    def prepare(self) -> None:
        """Start what reads contents and steps, so that it is ready by the time there is something to read."""
        self._contents()
        self._ready = self._stepping()

    def close(self) -> None:
        """End its processes."""
        self._objects = self._ready = None
        self._open.close()

    @property
    def head(self) -> str:
        if self._head is None:
            try:
                self._head = self.resolve(self.head_revision)
            except NotFound as fault:
                raise self._headless() from fault
        return self._head

    def _headless(self) -> NotFound:
        listed = self.command.run("for-each-ref", "--count=6", "--format=%(refname:lstrip=2)", "refs/heads/")
        branches = [f"`{_text(name)}`" for name in listed.split()]
        if not branches:
            return NotFound("the repository has no commit yet", cure="commit something, or name another repository")
        return NotFound(
            f"`{self.head_revision}` of the repository leads to no commit",
            cure=f"name one of its branches: {', '.join(branches[:5])}{', …' if len(branches) > 5 else ''}",
        )

    @property
    def shallow(self) -> bool:
        """Whether it is a clone that was cut off, so that its oldest commits are not the first ones."""
        return self.command.run("rev-parse", "--is-shallow-repository").strip() == b"true"

    def resolve(self, revision: str) -> str:
        """The full id of the commit that an id, its beginning, a branch or a tag names; NotFound without one."""
        if not revision or re.search(r"[\x00-\x20\x7f]", revision):
            raise NotFound(f"the repository has no commit `{revision}`", cure="name a branch or a commit id")
        found = self._contents().header(f"{revision}^{{commit}}")
        if found is None:
            raise NotFound(f"the repository has no commit `{revision}`", cure="name a branch or a commit id it has")
        return found

    def branch(self, name: str) -> str:
        """The full id of the commit at a branch's head, in a clone also of a branch that was never checked out."""
        short = name.removeprefix("refs/heads/")
        for reference in (f"refs/heads/{short}", f"refs/remotes/origin/{short}"):
            with contextlib.suppress(NotFound):
                return self.resolve(reference)
        raise NotFound(f"the repository has no branch `{name}`", cure="`git branch --all` shows those it has")

    def commit(self, commit_id: str) -> Commit:
        full = self.resolve(commit_id)
        kind, content = self._contents().one(full)
        if kind != b"commit" or content is None:
            raise NotFound(f"the repository has no commit `{commit_id}`")
        return _parse_commit(full, content)

    def steps(self, after: str, until: str, subdirectory: str) -> Iterator[Step] | None:
        try:
            base, last = self.resolve(after), self.resolve(until)
        except NotFound:
            return None
        if base == last:
            return iter(())
        begin, self._ready = self._ready or self._stepping(), None
        steps = self._log(begin, f"{base}..{last}", subdirectory)
        # Behind `..` stand the commits of the first-parent line that `after` does not reach. The oldest of them has
        # `after` as its first parent exactly when `after` is on the line, and git left out no older one.
        oldest = next(steps, None)
        if oldest is None or oldest[1] != base:
            steps.close()
            return None
        return (step for step, _ in chain([oldest], steps))

    def distance(self, after: str, until: str) -> int:
        try:
            base, last = self.resolve(after), self.resolve(until)
        except NotFound:
            return 0
        if self.command.run("rev-list", "--max-count=1", base, f"^{last}", "--"):
            return 0
        return int(self.command.run("rev-list", "--count", "--first-parent", f"{base}..{last}", "--"))

    def history(self, until: str, subdirectory: str) -> Iterator[Step]:
        return (step for step, _ in self._log(self._logging(), self.resolve(until), subdirectory))

    def folders(self, commit_id: str, subdirectory: str) -> Mapping[str, str]:
        below = ("--", f"{subdirectory}/") if subdirectory else ()
        found: dict[str, str] = {}
        with self.command.stream("ls-tree", "-d", "-r", "-z", "--full-tree", self.resolve(commit_id), *below) as chunks:
            for row in _tokens(chunks):
                meta, _, path = row.partition(b"\t")
                mode, _, rest = meta.partition(b" ")
                if mode == _FOLDER_MODE and (folder := _text(path)).startswith(subdirectory and f"{subdirectory}/"):
                    found[folder] = rest.rpartition(b" ")[2].decode("ascii")
                if len(found) > MOST_FOLDERS:
                    raise _too_many_folders(commit_id)
        return found

    def bundle(self, tree: str) -> Bundle:
        """The files below a tree, by path. BundleError when there are more than a bundle can have."""
        if not _OBJECT_ID.fullmatch(tree):
            raise CallerError(f"`{tree}` is no tree id")
        return self._contents().bundle(tree)

    def _contents(self) -> "_Objects":
        if self._objects is None:
            self._objects = _Objects(
                self._open.enter_context(self.command.converse("cat-file", "--batch")), self.limits
            )
        return self._objects

    def _stepping(self) -> Begin:
        return self._logging(*([] if self.at_most is None else [f"--max-count={self.at_most}"]))

    def _logging(self, *options: str) -> Begin:
        """A `git log` that waits to be told of which commits."""
        return self._open.enter_context(self.command.ready("log", *_LOG, *options))

    def _log(self, begin: Begin, commits: str, subdirectory: str) -> "_Log":
        told = f"{commits}\n--\n" + (f"{subdirectory}\n" if subdirectory else "")
        printed = begin(told.encode("utf-8", "surrogateescape"))
        log = _parse_log(_tokens(printed), f"{subdirectory}/" if subdirectory else "")
        # A reader that stops halfway leaves the process to be ended with the mirror.
        self._open.callback(log.close)
        return log


@contextmanager
def open_local(git_dir: Path) -> Iterator[GitMirror]:
    """Open a repository on this machine, bare or not, for reading; its head is what HEAD names.

    Raises CallerError when there is none. Nothing is written, and no setting of the repository runs a program.
    """
    found = _git_dir(git_dir.absolute())
    mirror = GitMirror(GitCommand(found, 60.0, found), "HEAD")
    try:
        yield mirror
    except CommandFailed as failed:
        partial = "promisor" in failed.complaint or "lazy fetch" in failed.complaint
        raise CallerError(
            f"{git_dir} cannot be read: {failed.complaint.strip() or failed.message}",
            cure="this is a partial clone, make a full one" if partial else "check it with `git fsck`",
        ) from failed
    finally:
        mirror.close()


def _git_dir(folder: Path) -> Path:
    inner = folder / ".git"
    if inner.is_file() and (text := inner.read_text(errors="replace")).startswith("gitdir:"):
        inner = (folder / text.removeprefix("gitdir:").strip()).resolve()
    for place in (inner, folder):
        if (place / "HEAD").exists() and ((place / "objects").is_dir() or (place / "commondir").exists()):
            return place
    raise CallerError(f"{folder} is not a git repository", cure="name the folder of a clone or of a bare repository")


# ------------------------------------------------------------------------------------------------ history

_Log = Generator[tuple[Step, str], None, None]
"""Steps, each with the id of its first parent, empty for a root."""


def _parse_log(tokens: Iterator[bytes], below: str) -> _Log:
    """What `_FORMAT` with `--raw -z` prints: six fields, then a pair `:modes and ids`, `path` for each change."""
    token = next(tokens, b"")
    while token:
        header = [token[1:], *(next(tokens) for _ in range(_FIELDS - 1))]
        changes: list[FolderChange] = []
        token = next(tokens, b"")
        while token and not token.startswith(b"\x01"):
            meta, path = token.lstrip(b"\n"), next(tokens)
            before, after = meta[1:7] == _FOLDER_MODE, meta[8:14] == _FOLDER_MODE
            if (before or after) and (folder := _text(path)).startswith(below):
                _, _, old, new, _ = meta.split(b" ")
                changes.append(
                    FolderChange(
                        folder, old.decode("ascii") if before else None, new.decode("ascii") if after else None
                    )
                )
                if len(changes) > MOST_FOLDERS:
                    raise _too_many_folders(_text(header[0]))
            token = next(tokens, b"")
        full, parents, name, email, at, message = header
        commit = Commit(
            full.decode("ascii"), _shown(name), _shown(email), _moment(at), _shown(message[:LONGEST_MESSAGE])
        )
        yield Step(commit, tuple(changes)), parents.decode("ascii").partition(" ")[0]


def _tokens(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """What stands before each NUL."""
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\0")
        yield from whole


def _parse_commit(full: str, content: bytes) -> Commit:
    header, _, message = content.partition(b"\n\n")
    values = dict(
        (name, value)
        for name, _, value in (line.partition(b" ") for line in reversed(header.split(b"\n")))
        if name in (b"author", b"committer", b"encoding")
    )
    encoding = values.get(b"encoding", b"utf-8").decode("ascii", "replace")
    author, committer = (_IDENTITY.match(values.get(name, b"")) for name in (b"author", b"committer"))
    return Commit(
        full,
        _shown(author["name"].strip(), encoding) if author else "",
        _shown(author["email"], encoding) if author else "",
        _moment((committer["at"] if committer else None) or b"0"),
        _shown(message[:LONGEST_MESSAGE], encoding),
    )


def _moment(seconds: bytes) -> datetime:
    # Whoever makes a commit writes its date, also one that no calendar has.
    known = int(seconds) if re.fullmatch(rb"-?\d{1,18}", seconds) else 0
    return _EPOCH + timedelta(seconds=max(0, min(known, _LAST_SECOND)))


def _text(path: bytes) -> str:
    return path.decode("utf-8", "surrogateescape")


def _shown(text: bytes, encoding: str = "utf-8") -> str:
    try:
        return text.decode(encoding, "replace").replace("\0", "")
    except LookupError:
        return text.decode("utf-8", "replace").replace("\0", "")


def _too_many_folders(commit: str) -> StalledError:
    return StalledError(
        f"commit {commit[:12]} has or changes more than {MOST_FOLDERS} folders",
        cure="narrow the source to a subdirectory",
    )


# ----------------------------------------------------------------------------------------------- contents


@dataclass(frozen=True, slots=True)
class _Object:
    """An object as `cat-file` gave it; `content` is None when it is larger than is read."""

    kind: bytes
    size: int
    content: bytes | None


@dataclass(frozen=True, slots=True)
class _Entry:
    """A row of a tree."""

    path: str
    mode: bytes
    id: str


class _Objects:
    """A conversation with `git cat-file --batch`, and the objects that were read lately."""

    def __init__(self, conversation: Conversation, limits: BundleLimits) -> None:
        self._conversation = conversation
        self._limits = limits
        self._kept: OrderedDict[str, _Object] = OrderedDict()
        self._kept_bytes = 0

    def header(self, revision: str) -> str | None:
        """The id of the commit that a revision names."""
        self._conversation.ask(revision.encode("utf-8", "surrogateescape") + b"\n")
        full, found = self._answer()
        return full if found is not None and found.kind == b"commit" else None

    def one(self, object_id: str) -> tuple[bytes, bytes | None]:
        """Kind and content of an object."""
        found = self._read([object_id])[object_id]
        return found.kind, found.content

    def bundle(self, tree: str) -> Bundle:
        files: list[_Entry] = []
        folders = [_Entry("", b"40000", tree)]
        seen = 0
        while folders:
            read = self._read([folder.id for folder in folders])
            below: list[_Entry] = []
            for folder in folders:
                entries = _entries(folder.path, read[folder.id], len(tree) // 2)
                seen += len(entries)
                if seen > self._limits.files:
                    # A few bytes can hold billions of files: trees that name one tree many times.
                    raise BundleError(
                        f"the folder holds more than {self._limits.files:,} files and folders",
                        cure="keep only the files of the template in it, or raise `limits.bundle_files`",
                    )
                for entry in entries:
                    (below if entry.mode == b"40000" else files).append(entry)
            folders = below
        # What is somewhat too large is read all the same, so that its findings say what it is and by how much.
        readable = self._limits.bytes * 8 // 5
        contents = self._read([entry.id for entry in files if entry.mode in _PLAIN_MODES], readable)
        return Bundle(tree, tuple(sorted((_file(entry, contents) for entry in files), key=lambda file: file.path)))

    def _read(self, wanted: Sequence[str], at_most: int | None = None) -> dict[str, _Object]:
        found = {object_id: kept for object_id in wanted if (kept := self._kept.get(object_id)) is not None}
        missing = [object_id for object_id in dict.fromkeys(wanted) if object_id not in found]
        total = sum(len(known.content or b"") for known in found.values())
        for start in range(0, len(missing), _ASKED_AT_ONCE):
            asked = missing[start : start + _ASKED_AT_ONCE]
            self._conversation.ask("".join(f"{object_id}\n" for object_id in asked).encode("ascii"))
            for object_id in asked:
                _, answer = self._answer()
                if answer is None:
                    raise CommandFailed("cat-file", f"fatal: missing object {object_id}, bad object")
                total += len(answer.content or b"")
                if at_most is None or total <= at_most:
                    found[object_id] = answer
                    self._keep(object_id, answer)
        if at_most is not None and total > at_most:
            raise BundleError(
                f"the folder holds more than {megabytes(at_most)}",
                cure="keep only the template's files in it, or raise `limits.bundle`",
            )
        return found

    def _answer(self) -> tuple[str, _Object | None]:
        parts = self._conversation.line().rsplit(b" ", 2)
        if len(parts) < 3 or not parts[2].isdigit():
            return "", None
        full, kind, size = parts[0].decode("ascii", "replace"), parts[1], int(parts[2])
        content: bytes | None = None
        if size > (self._limits.file_bytes if kind == b"blob" else _LARGEST_STRUCTURE):
            self._conversation.skip(size)
        else:
            content = self._conversation.take(size)
        self._conversation.skip(1)
        return full, _Object(kind, size, content)

    def _keep(self, object_id: str, known: _Object) -> None:
        self._kept[object_id] = known
        self._kept_bytes += len(known.content or b"")
        while self._kept_bytes > _KEPT_BYTES or len(self._kept) > _KEPT_OBJECTS:
            _, dropped = self._kept.popitem(last=False)
            self._kept_bytes -= len(dropped.content or b"")


def _entries(folder: str, tree: _Object, id_bytes: int) -> list[_Entry]:
    if tree.kind != b"tree" or tree.content is None:
        raise BundleError("the folder is no readable git tree", cure="check the repository with `git fsck`")
    entries, at, content = [], 0, tree.content
    while at < len(content):
        space, end = content.index(b" ", at), content.index(b"\0", at)
        name, object_id = content[space + 1 : end], content[end + 1 : end + 1 + id_bytes]
        path = f"{folder}/{_text(name)}" if folder else _text(name)
        entries.append(_Entry(path, content[at:space], object_id.hex()))
        at = end + 1 + id_bytes
    return entries


def _file(entry: _Entry, contents: Mapping[str, _Object]) -> BundleFile:
    mode = entry.mode.decode("ascii").rjust(6, "0")
    if entry.mode not in _PLAIN_MODES:
        return BundleFile(entry.path, mode, entry.id, 0, None)
    found = contents[entry.id]
    return BundleFile(entry.path, mode, entry.id, found.size, found.content)
