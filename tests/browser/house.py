"""The real daemon with a repository of templates, and short ways to what a story begins with."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests import builders
from tests.stories.telling import Telling, telling
from upkeep.adapters.clock import now
from upkeep.adapters.store import SqlStore, open_store
from upkeep.demo.expect import eventually
from upkeep.domain.deployments import Deployment, DeploymentStatus
from upkeep.domain.names import TemplateName, environment_key, parse_version
from upkeep.domain.notices import Routing
from upkeep.domain.people import Role
from upkeep.domain.versions import VersionState
from upkeep.flows import deploy, enroll, review

SCHEMA, BODY = builders.ENVIRONMENT_SCHEMA, builders.ENVIRONMENT_BODY

NEEDED = """\
        retention:
          type: integer
          title: "Days to keep logs"
          description: "How many days flow logs are kept"
          minimum: 1
      required: [retention]
"""
"""An input without a default that another major asks for; a minor may not."""


@dataclass
class House:
    """A daemon that runs, and what tests do behind its back: everything that is not the story they tell."""

    told: Telling
    store: SqlStore
    templates: list[str] = field(default_factory=list)

    @property
    def address(self) -> str:
        """Where its pages are."""
        return self.told.stage.daemon.address

    def password(self, role: Role) -> str:
        """Of the person named after a role."""
        return self.told.stage.people[role].password

    def push(self, template: str, message: str, *, schema: str = SCHEMA, body: str = BODY, draft: str) -> None:
        """Push a commit that changes a template, and wait for the draft it becomes."""
        clone = self.told.stage.clone
        before = clone.head()
        files = builders.environment_files(schema, body)
        builders.write_files(clone.folder, builders.under(f"{template}/v{draft[0]}", files))
        clone.commit(message)
        self.told.story.push(before)
        self.await_version(template, draft)

    def await_version(self, template: str, version: str) -> None:
        """Wait until a push has become a draft."""

        def state() -> VersionState | None:
            with self.store.read() as unit:
                found = unit.registry.find_version(TemplateName(template), parse_version(version))
                return found.state if found else None

        eventually(f"{template} {version}", state, lambda found: found is VersionState.DRAFT)

    def publish(self, template: str, version: str) -> None:
        """Publish a draft."""
        with self.store.write() as unit:
            review.publish(
                unit,
                TemplateName(template),
                parse_version(version),
                seen_tree=None,
                note=None,
                routing=Routing(),
                actor=builders.ADMIN,
                now=now(),
            )

    def environment(self, name: str, template: str, *, owner: str | None = None) -> None:
        """Create an environment from the recommended version and wait until it runs."""
        with self.store.write() as unit:
            asked = enroll.create_environment(
                unit, name, template, builders.ENVIRONMENT_SPEC, owner=owner, actor=builders.ADMIN, now=now()
            )
        self.await_end(asked)

    def behind(self, name: str, message: str = "Keep flow logs", *, schema: str = SCHEMA, draft: str = "1.1") -> str:
        """An environment, on the first version of a template of its own whose next version waits as a draft; returns
        the template's name."""
        template = f"{name}-env"
        self.push(template, "Add a network", draft="1.0")
        self.publish(template, "1.0")
        self.environment(name, template)
        self.push(template, message, schema=schema, body=BODY.replace("Outputs:", LOGS + "Outputs:"), draft=draft)
        return template

    def update(self, name: str, version: str) -> Deployment:
        """Ask for an environment to be moved, and do not wait."""
        with self.store.write() as unit:
            key = environment_key(name)
            return deploy.update(unit, key, to=parse_version(version), actor=builders.ADMIN, now=now())

    def await_end(self, asked: Deployment) -> None:
        """Wait until a deployment has succeeded."""

        def status() -> DeploymentStatus:
            with self.store.read() as unit:
                return unit.deployments.get(asked.id).status

        eventually(f"deployment {asked.id}", status, lambda found: found is DeploymentStatus.SUCCEEDED)

    @contextmanager
    def worker_that_dies(self) -> Iterator[None]:
        """The worker sleeps meanwhile, is killed at the end, and is started again by who watches over it."""
        worker = eventually("the worker", lambda: self.told.pid_of("worker"), lambda pid: pid is not None)
        assert worker is not None
        # Whoever holds the database while it falls asleep, it is not the worker.
        with self.store.write():
            os.kill(worker, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(worker, signal.SIGKILL)

    def end_sessions(self, name: str) -> None:
        """Let everybody of a name be signed out, as time does."""
        with self.store.write() as unit:
            user = unit.people.find(name)
            assert user is not None
            unit.people.remove(name)
            unit.people.add(user)


LOGS = """\
  Logs:
    Type: AWS::Logs::LogGroup
    Properties:
      RetentionInDays: 7
"""


@contextmanager
def house(folder: Path) -> Iterator[House]:
    """A daemon with people and a repository, and nothing else yet."""
    with telling(folder, lease=3) as told:
        told.story.open_house()
        store = open_store(told.database, state=told.stage.state)
        try:
            yield House(told, store)
        finally:
            store.close()
