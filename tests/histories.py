"""Git histories for tests, written by `git fast-import` in one process however long they are."""

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

Files = Mapping[str, str | bytes]


@dataclass(frozen=True, slots=True)
class Symlink:
    """A symbolic link in a tree."""

    target: str


@dataclass(frozen=True, slots=True)
class Submodule:
    """A submodule in a tree."""

    commit: str = "1" * 40


Tree = Mapping[str, str | bytes | Symlink | Submodule]
"""All files of a commit, by path. A path may hold surrogate escapes for bytes that are not UTF-8."""


@dataclass(frozen=True, slots=True)
class Merge:
    """A commit whose second parent is a side branch of one commit with the same tree."""

    tree: Tree


@dataclass(frozen=True, slots=True)
class History:
    """A bare repository and how to write into it."""

    git_dir: Path

    def write(self, trees: Sequence[Tree | Merge], branch: str = "main", onto: str | None = None) -> list[str]:
        """Add a commit for each whole tree to a branch, behind `onto` or as a new root; returns their ids."""
        stream = bytearray()
        marks: list[int] = []
        mark = 0

        def commit(tree: Tree, message: str, parents: Sequence[str], ref: str) -> str:
            nonlocal mark
            mark += 1
            at = 1_700_000_000 + 60 * mark
            stream.extend(
                f"commit {ref}\nmark :{mark}\nauthor Paula Platform <paula@example.com> {at} +0000\n".encode()
            )
            stream.extend(f"committer Carl Committer <carl@example.com> {at + 5} +0000\n".encode())
            stream.extend(f"data {len(message.encode())}\n{message}\n".encode())
            for keyword, parent in zip(["from", *["merge"] * 9], parents, strict=False):
                stream.extend(f"{keyword} {parent}\n".encode())
            stream.extend(b"deleteall\n")
            for path, content in tree.items():
                stream.extend(_modify(path, content))
            return f":{mark}"

        last = onto
        stream.extend(b"" if onto else f"reset refs/heads/{branch}\n".encode())
        for number, entry in enumerate(trees):
            parents = [last] if last else []
            if isinstance(entry, Merge):
                parents.append(commit(entry.tree, f"side of {number}\n", parents, f"refs/heads/{branch}-side"))
                last = commit(entry.tree, f"merge {number}\n", parents, f"refs/heads/{branch}")
            else:
                last = commit(entry, f"change {number}\n", parents, f"refs/heads/{branch}")
            marks.append(mark)
        if not trees and onto:
            stream.extend(f"reset refs/heads/{branch}\nfrom {onto}\n\n".encode())
        for wanted in marks:
            stream.extend(f"get-mark :{wanted}\n".encode())
        written = subprocess.run(
            ["git", f"--git-dir={self.git_dir}", "fast-import", "--quiet", "--force"],
            input=bytes(stream),
            capture_output=True,
            check=True,
        )
        return written.stdout.decode().split()

    def git(self, *arguments: str) -> str:
        """What a git command says about the repository."""
        done = subprocess.run(
            ["git", f"--git-dir={self.git_dir}", *arguments], capture_output=True, check=True, text=True
        )
        return done.stdout.strip()


def a_repository(git_dir: Path, trees: Sequence[Tree | Merge] = (), branch: str = "main") -> History:
    """A new bare repository with one commit for each tree."""
    subprocess.run(["git", "init", "--quiet", "--bare", f"--initial-branch={branch}", git_dir], check=True)
    history = History(git_dir)
    if trees:
        history.write(trees, branch)
    return history


def _modify(path: str, content: str | bytes | Symlink | Submodule) -> bytes:
    raw = path.encode("utf-8", "surrogateescape")
    quoted = (
        b'"'
        + b"".join(b"\\%03o" % byte if byte < 32 or byte > 126 or byte in b'"\\' else bytes([byte]) for byte in raw)
        + b'"'
    )
    match content:
        case Submodule(commit=commit):
            return b"M 160000 " + commit.encode() + b" " + quoted + b"\n"
        case Symlink(target=target):
            mode, data = b"120000", target.encode()
        case _:
            mode, data = b"100644", content.encode() if isinstance(content, str) else content
    return b"M " + mode + b" inline " + quoted + b"\ndata %d\n" % len(data) + data + b"\n"
