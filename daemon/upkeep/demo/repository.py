"""A person's git: a repository to push to and a clone to work in. The only place that runs the `git` command here."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from upkeep.demo.expect import Otherwise

BRANCH = "main"


def git(*arguments: str, within: Path) -> str:
    """Run git in a folder, with no configuration but the repository's own, and return what it printed.

    Raises Otherwise with git's own words when it fails.
    """
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(within),
        "LC_ALL": "C.UTF-8",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_TERMINAL_PROMPT": "0",
    }
    command = ["git", *arguments]
    try:
        ended = subprocess.run(  # noqa: S603  (git, and our own words)
            command, cwd=within, env=environment, capture_output=True, text=True, timeout=60
        )
    except (FileNotFoundError, subprocess.TimeoutExpired) as error:
        raise Otherwise(f"`{' '.join(command)}` did not run: {error}", cure="install git and try again") from error
    if ended.returncode:
        raise Otherwise(f"`{' '.join(command)}` failed: {ended.stderr.strip() or ended.stdout.strip()}")
    return ended.stdout.strip()


def create(folder: Path) -> None:
    """Make an empty bare repository that clones can push to."""
    folder.mkdir(parents=True)
    git("init", "--quiet", "--bare", f"--initial-branch={BRANCH}", within=folder)


@dataclass(frozen=True, slots=True)
class Clone:
    """A working tree, its branch, and the address it pushes to."""

    folder: Path
    remote: str

    def commit(self, message: str) -> str:
        """Commit everything in the folder; returns the commit's id."""
        git("add", "--all", within=self.folder)
        git("commit", "--quiet", "--message", message, within=self.folder)
        return self.head()

    def push(self) -> None:
        """Send the branch to the remote, where a plain `git push` goes from then on."""
        git("push", "--quiet", "--set-upstream", "origin", BRANCH, within=self.folder)

    def head(self) -> str:
        """The id of the last commit."""
        return git("rev-parse", "HEAD", within=self.folder)


def start(folder: Path, remote: str) -> Clone:
    """Make an empty working tree that pushes to `remote`, with somebody to sign commits."""
    folder.mkdir(parents=True)
    git("init", "--quiet", f"--initial-branch={BRANCH}", within=folder)
    git("config", "user.name", "Paula Platform", within=folder)
    git("config", "user.email", "paula@example.com", within=folder)
    git("remote", "add", "origin", remote, within=folder)
    return Clone(folder, remote)
