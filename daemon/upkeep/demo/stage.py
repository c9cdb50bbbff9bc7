"""The stage of the story: a throw-away folder with a repository, a clone, people and a configured daemon."""

import json
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path

from upkeep.demo import repository
from upkeep.demo.daemon import Daemon
from upkeep.demo.narrator import Narrator
from upkeep.demo.repository import Clone
from upkeep.domain.people import Role

SOURCE = "templates"


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who may sign in. The name is the role's."""

    role: Role
    password: str

    @property
    def name(self) -> str:
        """What they sign in with."""
        return self.role.value


@dataclass(frozen=True, slots=True)
class Stage:
    """Everything a story needs. `webhook_secret` is None when nobody announces pushes and only polling finds them."""

    folder: Path
    daemon: Daemon
    clone: Clone
    people: Mapping[Role, Person]
    narrator: Narrator
    webhook_secret: str | None

    @property
    def specs(self) -> Path:
        """The folder of the specs that resources are created from."""
        return self.folder / "specs"

    @property
    def state(self) -> Path:
        """The daemon's own folder."""
        return self.folder / "state"


@dataclass(frozen=True, slots=True)
class Wishes:
    """How a stage differs from the usual one. `port` 0 takes a free one; `remote` is the repository's address, one in
    the folder when None; `database` an address for rows, the default when None; `poll_every` seconds between two
    looks at the remote, `lease` seconds of a lease on work."""

    port: int = 0
    remote: str | None = None
    database: str | None = None
    webhooks: bool = True
    poll_every: int = 10
    lease: int = 60


def build(folder: Path, narrator: Narrator, wishes: Wishes) -> Stage:
    """Lay out the folder and write the configuration. Nothing runs yet."""
    remote = wishes.remote
    if remote is None:
        bare = folder / "templates.git"
        repository.create(bare)
        remote = bare.as_uri()
    _copy("specs", folder / "specs")
    secret = secrets.token_urlsafe(24)
    (folder / "webhook-secret").write_text(secret)
    configuration = folder / "upkeep.yaml"
    configuration.write_text(_configuration(remote, wishes))
    return Stage(
        folder=folder,
        daemon=Daemon(configuration, folder / "daemon.log", narrator),
        clone=repository.start(folder / "clone", remote),
        people={role: Person(role, secrets.token_urlsafe(9)) for role in Role},
        narrator=narrator,
        webhook_secret=secret if wishes.webhooks else None,
    )


def write_templates(folder: Path) -> None:
    """Put the sample templates into a working tree."""
    _copy("templates", folder)


def _copy(name: str, to: Path) -> None:
    with as_file(files("upkeep.demo") / name) as folder:
        shutil.copytree(folder, to, dirs_exist_ok=True)


def _configuration(remote: str, wishes: Wishes) -> str:
    """The configuration file. JSON is YAML, and quotes every text as it must be."""
    settings = {
        "state": "state",
        "web": {"host": "127.0.0.1", "port": wishes.port},
        "worker": {"lease": f"{wishes.lease}s"},
        "git": {"allow_local": True},
        "sources": [
            {
                "name": SOURCE,
                "url": remote,
                "branch": repository.BRANCH,
                "poll_every_for": f"{wishes.poll_every}s",
            }
        ],
        "webhooks": {"secrets_file": "webhook-secret"},
        "provisioner": "local",
        "notices": {"default": "console", "operators": "console", "channels": {"console": {"kind": "console"}}},
    }
    if wishes.database is not None:
        settings["database"] = {"url": wishes.database}
    return json.dumps(settings, indent=2) + "\n"
