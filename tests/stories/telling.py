"""The tutorial's story with a real daemon, told in several ways that must end alike."""

import io
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.gitserver import GitServer
from upkeep.adapters.store import open_store
from upkeep.demo import edits, repository, stage
from upkeep.demo.edits import APPROVAL_AND_EXEC, ENVIRONMENT_TEMPLATE, FLOW_LOGS, SERVICE_TEMPLATE, Change, Edit
from upkeep.demo.expect import eventually
from upkeep.demo.narrator import Narrator
from upkeep.demo.repository import Clone
from upkeep.demo.stage import Stage, Wishes
from upkeep.demo.story import Story
from upkeep.domain.names import TemplateName

BUSY_COMMITS = 24
"""Commits of the push in whose middle a worker may be killed."""

HOUR = 3600

VersionRow = tuple[str, str, str, str]
"""Template, version, tree and state."""


@dataclass(frozen=True, slots=True)
class Telling:
    """A story under way. `database` is the address of its rows."""

    stage: Stage
    story: Story
    database: str

    def whole(self, during: Callable[[], None] = lambda: None) -> list[VersionRow]:
        """Tell all of it, with a busy push before people decide, and return every version there is at the end.
        `during` runs right after the busy push."""
        self.story.first_half()
        before = self.stage.clone.head()
        for change in busy_changes():
            edits.apply(change, self.stage.clone.folder)
            self.stage.clone.commit(change.message)
        self.story.push(before)
        during()
        self.story.await_version(ENVIRONMENT_TEMPLATE, f"1.{1 + BUSY_COMMITS}", "draft")
        self.story.await_version(SERVICE_TEMPLATE, "1.2", "draft")
        self.story.second_half()
        return self.versions()

    def versions(self) -> list[VersionRow]:
        """Every version in the registry."""
        store = open_store(self.database, state=self.stage.state)
        try:
            with store.read() as unit:
                return sorted(
                    (found.template, str(found.version), found.tree, found.state.value)
                    for template in unit.registry.templates()
                    for found in unit.registry.versions(template.name)
                )
        finally:
            store.close()

    def kill_worker_in_the_middle(self) -> None:
        """Stop the worker when the busy push has brought its first version, see that it was not the last, kill -9."""
        worker = self.pid_of("worker")
        assert worker is not None
        store = open_store(self.database, state=self.stage.state)

        def brought() -> int:
            with store.read() as unit:
                return len(unit.registry.versions(TemplateName(ENVIRONMENT_TEMPLATE))) - 2

        try:
            while not brought():
                continue
            os.kill(worker, signal.SIGSTOP)
            done = brought()
        finally:
            os.kill(worker, signal.SIGKILL)
            store.close()
        assert done < BUSY_COMMITS, "the worker was to be killed in the middle, and had done all"
        eventually("another worker", lambda: self.pid_of("worker"), lambda pid: pid not in (None, worker))

    def pid_of(self, command: str) -> int | None:
        """The daemon's child that runs `upkeep COMMAND`."""
        assert self.stage.daemon.process is not None
        return next((pid for pid in children(self.stage.daemon.process.pid) if command in command_of(pid)), None)


@contextmanager
def telling(
    folder: Path, *, database: str | None = None, webhooks: bool = True, poll_every: int = HOUR, lease: int = 60
) -> Iterator[Telling]:
    """A stage whose repository is reached over HTTP. When the test fails, what the daemon said is printed; when it
    ends, nothing of the daemon is left."""
    folder.mkdir(parents=True, exist_ok=True)
    address = database or f"sqlite:///{folder}/stage/state/upkeep.db"
    voice = io.StringIO()
    with GitServer(folder / "remote") as server:
        server.create("templates")
        wishes = Wishes(0, server.url("templates"), address, webhooks, poll_every, lease)
        (folder / "stage").mkdir()
        built = stage.build(folder / "stage", Narrator(voice), wishes)
        try:
            yield Telling(built, Story(built), address)
        except BaseException:
            print(voice.getvalue())
            print(built.daemon.last_words())
            raise
        finally:
            built.daemon.stop()


def busy_changes() -> Iterator[Change]:
    """Commits that each change the environment template; the last one changes the service template as well."""
    environment = f"{ENVIRONMENT_TEMPLATE}/v1/infrastructure/cloudformation.yaml"
    instance = f"{SERVICE_TEMPLATE}/v1/instance_infrastructure/cloudformation.yaml"
    for number in range(1, BUSY_COMMITS + 1):
        days = 7 + number
        places = [Edit(environment, f"RetentionInDays: {days - 1}\n", f"RetentionInDays: {days}\n")]
        if number == BUSY_COMMITS:
            places.append(Edit(instance, "RetentionInDays: 30\n", "RetentionInDays: 60\n"))
        yield Change(ENVIRONMENT_TEMPLATE, f"Keep flow logs for {days} days", tuple(places))


def expected_versions(folder: Path) -> list[VersionRow]:
    """What every telling must end with, from git alone: each commit's tree of each folder that it changed."""
    clone = repository.start(folder, "nowhere")
    stage.write_templates(folder)
    clone.commit("Add the templates")
    trees = {template: [_tree(clone, template)] for template in (ENVIRONMENT_TEMPLATE, SERVICE_TEMPLATE)}
    for change in (FLOW_LOGS, APPROVAL_AND_EXEC, *busy_changes()):
        edits.apply(change, folder)
        clone.commit(change.message)
        for template, known in trees.items():
            if (tree := _tree(clone, template)) != known[-1]:
                known.append(tree)
    return sorted(
        (template, f"1.{minor}", tree, "PUBLISHED" if minor < 2 else "DRAFT")
        for template, known in trees.items()
        for minor, tree in enumerate(known)
    )


def children(pid: int) -> list[int]:
    """The processes that a process has started and that are still there."""
    listed = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in listed.read_text().split()] if listed.exists() else []


def command_of(pid: int) -> list[str]:
    """The words of a process's command line; none when it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except FileNotFoundError:
        return []


def _tree(clone: Clone, template: str) -> str:
    return repository.git("rev-parse", f"HEAD:{template}/v1", within=clone.folder)
