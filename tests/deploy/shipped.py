"""What is shipped in deploy/, and how its configurations are tried."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from tests.environments import ROOT
from upkeep.cli import cli
from upkeep.domain import documents

DEPLOY = ROOT / "deploy"
SECRETS = {
    "database-url": "postgresql://upkeep:secret@postgres.example.com/upkeep",
    "github-token": "github_pat_of_nobody",
    "proton-key": "0123456789abcdef0123456789abcdef",
    "webhook-secrets": "one\nanother",
}
"""Secrets as people would make them, by the names that all ways to run Upkeep give them."""


def loaded(*parts: str) -> Any:
    """A document below deploy/."""
    path = DEPLOY.joinpath(*parts)
    return documents.load(path.read_text(encoding="utf-8"), str(path)).value


def check_config(text: str, place: str, folder: Path) -> Result:
    """`upkeep check-config` with a configuration whose secrets, which it looks for in `place`, are all there."""
    for name, secret in SECRETS.items():
        (folder / name).write_text(secret)
    copy = folder / "upkeep.yaml"
    copy.write_text(text.replace(place, str(folder)))
    return CliRunner().invoke(cli, ["--config", str(copy), "check-config"])


def secrets_in(text: str, place: str) -> set[str]:
    """The names of the secrets that a configuration looks for in a place."""
    return set(re.findall(rf"^[^#\n]*_file: {re.escape(place)}/([\w-]+)$", text, re.MULTILINE))


def yaml_documents(path: Path) -> Iterator[Any]:
    """The documents of a file, which are divided by `---`."""
    for text in re.split(r"^---$", path.read_text(encoding="utf-8"), flags=re.MULTILINE):
        yield documents.load(text, str(path)).value
