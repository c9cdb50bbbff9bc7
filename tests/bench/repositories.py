"""Repositories of templates, as many as are wanted, and pushes to them; what git alone would do with a push."""

import os
import sqlite3
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import upkeep.demo

TEMPLATE = Path(upkeep.demo.__file__).parent / "templates" / "vpc-ecs-env" / "v1"
BODY = "infrastructure/cloudformation.yaml"


def files() -> dict[str, str]:
    """The files of an environment template as one writes it: 7 KB."""
    return {str(path.relative_to(TEMPLATE)): path.read_text() for path in TEMPLATE.rglob("*") if path.is_file()}


@dataclass(slots=True)
class Remote:
    """A bare repository that is pushed to."""

    folder: Path
    head: str = ""
    _last: int = 0
    _bundle: Mapping[str, str] = field(default_factory=files)

    @property
    def url(self) -> str:
        """Where it is fetched from."""
        return f"file://{self.folder}"

    def fill(self, templates: int, below: str = "") -> None:
        """Make it, with so many templates in one commit, each within a folder called `below` and its number."""
        subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", self.folder], check=True)
        changed = {
            f"{self.home(number, below)}/{path}": text
            for number in range(templates)
            for path, text in self._bundle.items()
        }
        self._commit(changed)

    def home(self, number: int, below: str = "") -> str:
        """The version folder of a template."""
        return f"{f'{below}{number:05}/' if below else ''}env-{number:05}/v1"

    def push(self, number: int, below: str = "") -> str:
        """Change one template's body; returns the new head."""
        body = f"# change {self._last}\n{self._bundle[BODY]}"
        return self._commit({f"{self.home(number, below)}/{BODY}": body})

    def history(self, commits: int, templates: int) -> None:
        """Make it, with a history in which each commit changes one of these templates."""
        self.fill(templates)
        stream = b"".join(
            self._written({f"{self.home(number % templates)}/{BODY}": f"# {number}\n{self._bundle[BODY]}"}, number == 0)
            for number in range(commits)
        )
        self._import(stream)

    def _commit(self, changed: Mapping[str, str]) -> str:
        self._import(self._written(changed, bool(self.head)))
        return self.head

    def _written(self, changed: Mapping[str, str], behind_head: bool) -> bytes:
        self._last += 1
        at = 1_700_000_000 + 60 * self._last
        message = f"Change {self._last}\n"
        parts = [f"commit refs/heads/main\ncommitter Carl Committer <carl@example.com> {at} +0000\n"]
        parts.append(f"data {len(message)}\n{message}")
        if behind_head:
            parts.append(f"from {self.head}\n")
        parts += [f"M 100644 inline {path}\ndata {len(text.encode())}\n{text}\n" for path, text in changed.items()]
        return "".join(parts).encode()

    def _import(self, stream: bytes) -> None:
        git = ["git", f"--git-dir={self.folder}"]
        subprocess.run([*git, "fast-import", "--quiet"], input=stream, check=True)
        self.head = subprocess.run([*git, "rev-parse", "main"], capture_output=True, check=True).stdout.decode().strip()


@dataclass(slots=True)
class Floor:
    """The least that anybody does with a push, with git's own commands and one durable insert of each file."""

    remote: Remote
    mirror: Path
    database: Path
    last: str = ""
    fetched: float = 0.0
    """Seconds that the last fetch took."""

    def begin(self) -> None:
        """Make the mirror and the database."""
        self._git("init", "--quiet", "--bare", str(self.mirror), bare=False)
        connection = sqlite3.connect(self.database)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE IF NOT EXISTS files (id TEXT, path TEXT, content BLOB)")
        connection.close()
        self.fetch()
        self.last = self.remote.head

    def fetch(self) -> None:
        """Git's own fetch."""
        began = time.perf_counter()
        self._git(
            *(
                "fetch",
                "--quiet",
                "--no-tags",
                "--no-write-fetch-head",
                self.remote.url,
                "+refs/heads/main:refs/heads/main",
            )
        )
        self.fetched = time.perf_counter() - began

    def bring_up(self) -> None:
        """Fetch, find the folder that changed, read its files, and keep them."""
        self.fetch()
        head = self._git("rev-parse", "refs/heads/main").decode().strip()
        rows = self._git("diff-tree", "-r", "-t", "-z", "--raw", "--no-renames", self.last, head).split(b"\0")
        homes = [
            (path.decode(), meta.split(b" ")[3].decode())
            for meta, path in zip(rows[0::2], rows[1::2], strict=False)
            if meta.split(b" ")[1] == b"040000" and path.endswith(b"/v1")
        ]
        entries = [
            (f"{home}/{line.partition(chr(9))[2]}", line.split()[2])
            for home, tree in homes
            for line in self._git("ls-tree", "-r", tree).decode().splitlines()
        ]
        asked = "".join(f"{number}\n" for _, number in entries).encode()
        contents = self._git("cat-file", "--batch", fed=asked)
        connection = sqlite3.connect(self.database)
        connection.execute("PRAGMA synchronous=FULL")
        connection.executemany("INSERT INTO files VALUES (?, ?, ?)", [(i, path, contents) for path, i in entries])
        connection.commit()
        connection.close()
        self.last = head

    def _git(self, *arguments: str, bare: bool = True, fed: bytes | None = None) -> bytes:
        where = [f"--git-dir={self.mirror}"] if bare else []
        command = ["git", *where, "-c", "gc.auto=0", "-c", "maintenance.auto=false", *arguments]
        environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
        return subprocess.run(command, input=fed, capture_output=True, check=True, env=environment).stdout
