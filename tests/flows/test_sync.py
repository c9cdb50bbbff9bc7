"""Commits become versions: sync over real repositories and a real store."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.builders import (
    ADMIN,
    ENVIRONMENT_BODY,
    ENVIRONMENT_SCHEMA,
    a_bundle,
    a_source,
    environment_files,
    service_files,
    under,
)
from tests.histories import History, Merge, Symlink, Tree, a_repository
from upkeep.adapters.git import GitRepositories, open_local
from upkeep.adapters.jinja import JinjaRenderer
from upkeep.adapters.store import SqlStore, open_store
from upkeep.domain.bundles import Part, TemplateFile
from upkeep.domain.deliveries import Delivery, DeliveryStatus
from upkeep.domain.errors import Conflict, LostLease, TransientError
from upkeep.domain.findings import Finding, Severity
from upkeep.domain.limits import LIMITS, BundleLimits, Limits
from upkeep.domain.names import SourceName, TemplateName, parse_version
from upkeep.domain.notices import Routing
from upkeep.domain.sources import Cause, Credential, Drafts, Source
from upkeep.domain.versions import TemplateKind
from upkeep.domain.work import Claim, WorkKind
from upkeep.flows import follow, register, review
from upkeep.flows.ports import Rendered, Renderer, Rendering, Store, Unit
from upkeep.flows.replay import replay
from upkeep.flows.sync import sync

ROUTING = Routing(default="platform", operators="operators")
LEASE = timedelta(minutes=1)


class NoSecrets:
    def reveal(self, credential: Credential) -> str | None:
        return None


@pytest.fixture(scope="module")
def renderer() -> Iterator[JinjaRenderer]:
    with JinjaRenderer() as started:
        yield started


def net(path: str = "net/v1", note: str = "", schema: str = ENVIRONMENT_SCHEMA) -> dict[str, Any]:
    """A good environment bundle; another note is another content."""
    return under(path, environment_files(schema, f"# {note}\n{ENVIRONMENT_BODY}"))


def web(path: str = "web/v1", note: str = "") -> dict[str, Any]:
    """A good service bundle."""
    return under(path, {**service_files(compatible="net:1"), "README.md": note})


@dataclass
class Stage:
    """A source, its repository and everything a sync needs."""

    store: SqlStore
    repositories: GitRepositories
    renderer: Renderer
    history: History
    now: datetime
    name: str = "templates"

    def source(self) -> Source:
        with self.store.read() as unit:
            return unit.sources.get(self.name)

    def push(self, *trees: Tree | Merge) -> list[str]:
        head = self.history.git("for-each-ref", "--format=%(objectname)", "refs/heads/main")
        return self.history.write(trees, onto=head or None)

    def rewrite(self, *trees: Tree, onto: str | None = None) -> list[str]:
        return self.history.write(trees, onto=onto)

    def claim(self, cause: str = Cause.WEBHOOK) -> Claim:
        self.now += timedelta(minutes=5)
        with self.store.write() as unit:
            if cause == Cause.PERSON:
                follow.ask(unit, self.name, actor=ADMIN, now=self.now)
            else:
                unit.work.ask(WorkKind.SYNC, self.name, self.now, cause)
            claim = unit.work.claim([WorkKind.SYNC], self.now, LEASE)
        assert claim is not None and claim.subject == self.name
        return claim

    def sync(self, cause: str = Cause.WEBHOOK, store: Store | None = None, limits: Limits = LIMITS) -> None:
        claim = self.claim(cause)
        sync(
            store or self.store,
            self.repositories,
            self.renderer,
            claim,
            routing=ROUTING,
            limits=limits,
            now=self.now,
        )

    def upload(self, template: str, major: int, files: dict[str, str | bytes]) -> None:
        with self.store.write() as unit:
            family = unit.registry.template(template)
            register.ask(unit, family, "bucket", "key", major=major, actor=ADMIN, now=self.now)
            claim = unit.work.claim([WorkKind.REGISTER], self.now, LEASE)
        assert claim is not None
        bundle = a_bundle(files)
        register.register(self.store, lambda *_: bundle, self.renderer, claim, routing=ROUTING, now=self.now)

    def versions(self) -> dict[str, list[str]]:
        """`template -> ["1.0 DRAFT", …]`, oldest number first."""
        with self.store.read() as unit:
            return {
                template.name: [
                    f"{version.version} {version.state}"
                    for version in sorted(unit.registry.versions(template.name), key=lambda version: version.version)
                ]
                for template in unit.registry.templates()
            }

    def numbers(self) -> list[tuple[str, str, str, str]]:
        """Folder, number, commit and tree of every version."""
        with self.store.read() as unit:
            return sorted(
                (version.path, str(version.version), version.commit.id, version.tree)
                for template in unit.registry.templates()
                for version in unit.registry.versions(template.name)
            )

    def slugs(self, template: str, version: str) -> list[str]:
        with self.store.read() as unit:
            found = unit.registry.version(TemplateName(template), parse_version(version))
        return [finding.slug for finding in found.findings]

    def events(self, kind: str) -> list[dict[str, Any]]:
        with self.store.read() as unit:
            return [{"subject": entry.subject, **entry.facts} for entry in unit.journal.entries(500, kind=kind)][::-1]

    def notices(self) -> list[tuple[str, str]]:
        with self.store.read() as unit:
            return sorted((owed.notice.channel, owed.notice.key) for owed in unit.outbox.recent(500))

    def work(self) -> set[str]:
        with self.store.read() as unit:
            return {f"{due.kind} {due.subject}" for due in unit.work.list(500)}

    def delete(self, template: str, version: str) -> None:
        with self.store.write() as unit:
            review.delete(unit, TemplateName(template), parse_version(version), actor=ADMIN, now=self.now)

    def deliver(self, delivery_id: str) -> None:
        delivery = Delivery(
            delivery_id, "push", self.now, DeliveryStatus.RECEIVED, sources=(SourceName(self.name),), after="f" * 40
        )
        with self.store.write() as unit:
            unit.deliveries.save(delivery)

    def delivery(self, delivery_id: str) -> tuple[DeliveryStatus, str | None]:
        with self.store.read() as unit:
            found = unit.deliveries.find(delivery_id)
        assert found is not None
        return found.status, found.reason


@pytest.fixture
def stage(tmp_path: Path, store: SqlStore, renderer: JinjaRenderer, now: datetime) -> Stage:
    return staged(tmp_path, store, renderer, now)


def staged(folder: Path, store: SqlStore, renderer: JinjaRenderer, now: datetime, **changes: Any) -> Stage:
    """A followed source whose repository is still empty."""
    history = a_repository(folder / "served.git")
    repositories = GitRepositories(folder / "mirrors", NoSecrets(), timeout_for=timedelta(seconds=20), allow_local=True)
    follow_source(store, a_source("templates", **{"url": str(history.git_dir), **changes}), now)
    return Stage(store, repositories, renderer, history, now)


def follow_source(store: SqlStore, source: Source, now: datetime) -> None:
    with store.write() as unit:
        follow.add(unit, source, actor=ADMIN, now=now)
        claim = unit.work.claim([WorkKind.SYNC], now, LEASE)
        assert claim is not None
        unit.work.done(claim)


# -------------------------------------------------------------------------------------------- numbering


def test_the_first_sync_registers_every_folder_as_it_is_at_the_head(stage: Stage) -> None:
    *_, head = stage.push(net(note="old"), {**net(), **web()})
    stage.sync()
    assert stage.versions() == {"net": ["1.0 DRAFT"], "web": ["1.0 DRAFT"]}
    assert [commit for _, _, commit, _ in stage.numbers()] == [head, head]
    source = stage.source()
    assert (source.synced_commit, source.synced_at, source.checked_at) == (head, stage.now, stage.now)
    assert stage.events("source_synced") == [
        {"subject": "source/templates", "before": None, "after": head, "registered": 2}
    ]


def test_a_version_keeps_what_is_known_of_its_commit(stage: Stage) -> None:
    (head,) = stage.push({**net(), **web()})
    stage.sync()
    with stage.store.read() as unit:
        version = unit.registry.version(TemplateName("web"), parse_version("1.0"))
        bundle = unit.registry.bundle(version.tree)
        template = unit.registry.template("web")
    assert version.commit.id == head
    assert (version.commit.author_name, version.commit.subject) == ("Paula Platform", "change 0")
    assert (version.path, version.has_pipeline) == ("web/v1", True)
    assert [str(environment) for environment in version.compatible_environments] == ["net:1"]
    assert version.schema
    assert (template.kind, template.source, template.path) == (TemplateKind.SERVICE, "templates", "web")
    assert "schema/schema.yaml" in {file.path for file in bundle.files}
    assert version.tree == bundle.tree == stage.history.git("rev-parse", "main:web/v1")


def test_each_commit_that_changes_a_folder_makes_the_next_minor_also_back_to_an_earlier_content(stage: Stage) -> None:
    stage.push(net())
    stage.sync()
    pushed = stage.push(net(note="2"), {**net(note="2"), "README": "x"}, net(), Merge(net(note="4")))
    stage.sync()
    assert stage.versions() == {"net": [f"1.{minor} DRAFT" for minor in range(4)]}
    assert [commit for _, _, commit, _ in stage.numbers()][1:] == [pushed[0], pushed[2], pushed[3]]
    assert stage.source().synced_commit == pushed[-1]


def test_a_commit_that_touches_no_version_folder_makes_nothing(stage: Stage) -> None:
    stage.push(net())
    stage.sync()
    (head,) = stage.push({**net(), "docs/x": "1"})
    stage.sync()
    assert stage.versions() == {"net": ["1.0 DRAFT"]}
    assert stage.source().synced_commit == head


def test_new_templates_and_majors_begin_at_zero(stage: Stage) -> None:
    stage.push(net())
    stage.sync()
    stage.push({**net(), **net("net/v2")}, {**net(), **net("net/v2"), **web("group/web/v1")})
    stage.sync()
    assert stage.versions() == {"net": ["1.0 DRAFT", "2.0 DRAFT"], "web": ["1.0 DRAFT"]}


def test_drafts_per_push_come_of_the_head_only(
    tmp_path: Path, store: SqlStore, renderer: JinjaRenderer, now: datetime
) -> None:
    stage = staged(tmp_path, store, renderer, now, drafts=Drafts.PER_PUSH)
    stage.push(net())
    stage.sync()
    *_, head = stage.push(net(note="2"), net(note="3"), {**net(note="3"), **web()})
    stage.sync()
    assert stage.versions() == {"net": ["1.0 DRAFT", "1.1 DRAFT"], "web": ["1.0 DRAFT"]}
    assert {commit for path, number, commit, _ in stage.numbers() if number != "1.0"} == {head}
    stage.push(net(note="4"), {**net(note="3"), **web()})
    stage.sync()
    assert len(stage.numbers()) == 3


def test_a_folder_that_goes_keeps_its_versions_and_returns_as_the_next_minor(stage: Stage) -> None:
    stage.push(net())
    stage.sync()
    (gone,) = stage.push({"README": "empty"})
    stage.sync()
    with stage.store.read() as unit:
        major = unit.registry.find_major(TemplateName("net"), 1)
    assert major is not None and major.removed_at == stage.now
    assert stage.versions() == {"net": ["1.0 DRAFT"]}
    assert stage.events("major_removed") == [{"subject": "template/net", "major": 1, "commit": gone}]
    (back,) = stage.push(net())
    stage.sync()
    assert stage.versions() == {"net": ["1.0 DRAFT", "1.1 DRAFT"]}
    assert stage.events("major_returned") == [{"subject": "template/net", "major": 1, "commit": back}]
    with stage.store.read() as unit:
        major = unit.registry.find_major(TemplateName("net"), 1)
    assert major is not None and major.removed_at is None


def test_a_folder_that_moves_with_its_content_makes_no_version(stage: Stage) -> None:
    stage.push(net())
    stage.sync()
    stage.push(net("moved/net/v1"), net("moved/net/v1", note="2"))
    stage.sync()
    assert [(path, number) for path, number, _, _ in stage.numbers()] == [("moved/net/v1", "1.1"), ("net/v1", "1.0")]
    with stage.store.read() as unit:
        assert unit.registry.template("net").path == "moved/net"
        major = unit.registry.find_major(TemplateName("net"), 1)
    assert major is not None and (major.path, major.removed_at) == ("moved/net/v1", None)


def test_a_rewritten_history_is_compared_and_makes_at_most_one_minor_for_each_folder(stage: Stage) -> None:
    stage.push({**net(), **net("same/v1"), **net("going/v1")})
    stage.sync()
    stage.push({**net(note="2"), **net("same/v1"), **net("going/v1")})
    stage.sync()
    *_, head = stage.rewrite({"README": "1"}, net(note="a"), {**net(note="b"), **net("same/v1"), **net("fresh/v1")})
    stage.sync()
    assert stage.versions() == {
        "fresh": ["1.0 DRAFT"],
        "going": ["1.0 DRAFT"],
        "net": ["1.0 DRAFT", "1.1 DRAFT", "1.2 DRAFT"],
        "same": ["1.0 DRAFT"],
    }
    assert stage.source().synced_commit == head
    assert [event["subject"] for event in stage.events("major_removed")] == ["template/going"]


def test_a_history_whose_old_commits_are_lost_is_compared_with_the_registry(stage: Stage, tmp_path: Path) -> None:
    stage.push({**net(), **net("same/v1")})
    stage.sync()
    shutil.rmtree(tmp_path / "mirrors")
    stage.rewrite({**net(note="2"), **net("same/v1")})
    stage.history.git("reflog", "expire", "--expire=now", "--all")
    stage.history.git("gc", "--quiet", "--prune=now")
    stage.sync()
    assert stage.versions() == {"net": ["1.0 DRAFT", "1.1 DRAFT"], "same": ["1.0 DRAFT"]}


def test_going_back_to_an_earlier_commit_is_a_rewritten_history(stage: Stage) -> None:
    first, _ = stage.push(net(), net(note="2"))
    stage.sync()
    stage.rewrite(onto=first)
    stage.sync()
    assert stage.versions() == {"net": ["1.0 DRAFT", "1.1 DRAFT"]}
    assert stage.source().synced_commit == first


def test_a_draft_that_was_discarded_stays_away_until_a_person_asks(stage: Stage) -> None:
    stage.push(net())
    stage.sync()
    stage.push(net(note="2"))
    stage.sync()
    stage.delete("net", "1.1")
    stage.push({**net(note="2"), "README": "x"})
    stage.sync()
    stage.sync(Cause.POLL)
    stage.rewrite({**net(note="2"), "README": "y"})
    stage.sync()
    assert stage.versions() == {"net": ["1.0 DRAFT"]}
    stage.sync(Cause.PERSON)
    assert stage.versions() == {"net": ["1.0 DRAFT", "1.2 DRAFT"]}
    stage.sync(Cause.PERSON)
    assert stage.versions() == {"net": ["1.0 DRAFT", "1.2 DRAFT"]}


def test_a_template_that_was_deleted_is_registered_again_when_a_person_asks(stage: Stage) -> None:
    stage.push(net())
    stage.sync()
    stage.delete("net", "1.0")
    with stage.store.write() as unit:
        review.delete_template(unit, TemplateName("net"), actor=ADMIN, now=stage.now)
    stage.sync()
    assert stage.versions() == {}
    stage.sync(Cause.PERSON)
    assert stage.versions() == {"net": ["1.0 DRAFT"]}


def test_an_upload_in_between_makes_nothing_of_a_folder_that_did_not_change(stage: Stage) -> None:
    stage.push(net())
    stage.sync()
    stage.upload("net", 1, environment_files(ENVIRONMENT_SCHEMA, f"# uploaded\n{ENVIRONMENT_BODY}"))
    stage.sync(Cause.PERSON)
    assert stage.versions() == {"net": ["1.0 DRAFT", "1.1 DRAFT"]}
    stage.push(net(note="2"))
    stage.sync()
    stage.sync(Cause.PERSON)
    assert stage.versions() == {"net": ["1.0 DRAFT", "1.1 DRAFT", "1.2 DRAFT"]}


def test_only_the_subdirectory_is_read(tmp_path: Path, store: SqlStore, renderer: JinjaRenderer, now: datetime) -> None:
    stage = staged(tmp_path, store, renderer, now, subdirectory="team")
    stage.push({**net("team/net/v1"), **net("other/v1")})
    stage.sync()
    stage.push({**net("team/net/v1"), **net("other/v1", note="2")}, {**net("team/net/v1", note="2"), **net("other/v1")})
    stage.sync()
    assert stage.versions() == {"net": ["1.0 DRAFT", "1.1 DRAFT"]}


def test_another_subdirectory_is_read_from_the_start(stage: Stage) -> None:
    stage.push({**net("a/net/v1"), **net("b/other/v1")})
    declared = replace(stage.source(), name=SourceName("declared"), subdirectory="a")
    for subdirectory in ("a", "b", "a"):
        with stage.store.write() as unit:
            if subdirectory == "a" and stage.name == "templates":
                follow.remove(unit, "templates", actor=ADMIN, now=stage.now)
            follow.declare(unit, [replace(declared, subdirectory=subdirectory)], now=stage.now)
        stage.name = "declared"
        stage.sync(Cause.START)
    assert stage.versions() == {"net": ["1.0 DRAFT", "1.1 DRAFT"], "other": ["1.0 DRAFT"]}
    assert [event["subject"] for event in stage.events("major_removed")] == ["template/net", "template/other"]


# -------------------------------------------------------------------------------------- broken and claimed


def test_a_broken_bundle_is_registered_as_failed_uses_its_number_and_blocks_nobody(stage: Stage) -> None:
    broken = under("broken/v1", {"schema/schema.yaml": "schema: [", "infrastructure/manifest.yaml": ""})
    stage.push({**net(), **broken})
    stage.sync()
    assert stage.versions() == {"broken": ["1.0 REGISTRATION_FAILED"], "net": ["1.0 DRAFT"]}
    stage.push({**net(), **net("broken/v1")})
    stage.sync()
    assert stage.versions() == {"broken": ["1.0 REGISTRATION_FAILED", "1.1 DRAFT"], "net": ["1.0 DRAFT"]}
    keys = [key.partition("/")[0] for _, key in stage.notices()]
    assert sorted(keys) == ["draft-ready", "draft-ready", "registration-failed"]


def test_a_broken_template_is_told_with_its_line(stage: Stage) -> None:
    files = net()
    files["net/v1/infrastructure/cloudformation.yaml"] = (
        "Resources:\n  A: {{ environment.inputs.nothing }}\n  B: {% if %}\n"
    )
    stage.push(files)
    stage.sync()
    assert stage.versions() == {"net": ["1.0 REGISTRATION_FAILED"]}
    with stage.store.read() as unit:
        found = unit.registry.version(TemplateName("net"), parse_version("1.0")).findings
    assert {finding.where for finding in found} == {"infrastructure/cloudformation.yaml:3"}


def test_a_schema_that_breaks_the_version_before_it_fails(stage: Stage) -> None:
    stage.push(net())
    stage.sync()
    other = ENVIRONMENT_SCHEMA.replace("cidr:", "range:")
    stage.push(net(schema=other), net(note="back"), net(schema=other, note="again"))
    stage.sync()
    assert stage.versions() == {"net": ["1.0 DRAFT", "1.1 REGISTRATION_FAILED", "1.2 DRAFT", "1.3 REGISTRATION_FAILED"]}


def test_the_kind_of_a_template_is_the_kind_of_its_first_good_version(stage: Stage) -> None:
    stage.push(under("web/v1", {"schema/schema.yaml": "nothing"}))
    stage.sync()
    stage.push({**web(), **net()})
    stage.sync()
    with stage.store.read() as unit:
        assert unit.registry.template("web").kind is TemplateKind.SERVICE
    stage.push({**web(), **net(), **net("web/v2")})
    stage.sync()
    assert stage.versions()["web"] == ["1.0 REGISTRATION_FAILED", "1.1 DRAFT", "2.0 REGISTRATION_FAILED"]
    assert "other-kind" in stage.slugs("web", "2.0")
    assert [finding.slug for finding in stage.source().findings] == ["majors-of-two-kinds"]


def test_a_folder_that_is_no_bundle_at_all_is_registered_as_failed(stage: Stage) -> None:
    stage.push({f"net/v1/schema/{number}": "" for number in range(2_100)}, net())
    stage.rewrite({f"net/v1/schema/{number}": "" for number in range(2_100)})
    stage.sync()
    assert stage.versions() == {"net": ["1.0 REGISTRATION_FAILED"]}
    assert stage.slugs("net", "1.0") == ["bundle-unreadable"]


def test_files_with_names_that_are_not_utf_8_are_told(stage: Stage) -> None:
    stage.push({**net(), "net/v1/infrastructure/caf\udce9": "x"}, {**net(), "caf\udce9/web/v1/schema/schema.yaml": "x"})
    stage.sync()
    assert list(stage.versions()) == ["net"]
    assert [finding.slug for finding in stage.source().findings] == ["folder-name-encoding"]
    stage.push({**net(), "net/v1/infrastructure/caf\udce9": "y"})
    stage.sync()
    with stage.store.read() as unit:
        found = unit.registry.version(TemplateName("net"), parse_version("1.1"))
        assert {file.path for file in unit.registry.bundle(found.tree).files} >= {"infrastructure/caf\udce9"}
    assert any("caf" in finding.where for finding in found.findings)


class Stumbling:
    """A renderer that has a bug for some templates."""

    def __init__(self, renderer: Renderer) -> None:
        self._renderer = renderer

    def check(self, template: TemplateFile, part: Part, declared: Any = None) -> Sequence[Finding]:
        if "stumble" in template.text:
            raise RecursionError
        return self._renderer.check(template, part, declared)

    def render(self, template: TemplateFile, namespace: Any) -> str:
        return self._renderer.render(template, namespace)

    def render_each(self, asked: Sequence[Rendering]) -> Sequence[Rendered]:
        return self._renderer.render_each(asked)


def test_a_bundle_that_upkeep_stumbles_over_blocks_nobody(stage: Stage) -> None:
    stage.push({**net(), **net("other/v1", note="stumble")})
    stumbling = replace(stage, renderer=Stumbling(stage.renderer))
    stumbling.sync()
    assert stage.versions() == {"net": ["1.0 DRAFT"], "other": ["1.0 REGISTRATION_FAILED"]}


def test_two_folders_with_one_name_are_reported_until_one_goes(stage: Stage) -> None:
    stage.push({**net("a/net/v1"), **net("b/net/v1"), **web()})
    stage.sync()
    assert stage.versions() == {"web": ["1.0 DRAFT"]}
    assert [finding.path for finding in stage.source().findings] == ["a/net/v1", "b/net/v1"]
    stage.push({**net("a/net/v1", note="2"), **net("b/net/v1"), **web()})
    stage.sync()
    assert "net" not in stage.versions()
    stage.push({**net("a/net/v1", note="2"), **web()})
    stage.sync()
    assert stage.versions() == {"net": ["1.0 DRAFT"], "web": ["1.0 DRAFT"]}
    assert stage.source().findings == ()


def test_a_name_belongs_to_the_source_that_had_it_first_until_that_goes(stage: Stage, tmp_path: Path) -> None:
    stage.push(net())
    stage.sync()
    other = a_repository(tmp_path / "other.git", [{**net(), **web()}])
    follow_source(stage.store, a_source("second", url=str(other.git_dir)), stage.now)
    second = replace(stage, history=other, name="second", now=stage.now)
    second.sync()
    assert [finding.slug for finding in second.source().findings] == ["template-of-another-source"]
    assert second.versions() == {"net": ["1.0 DRAFT"], "web": ["1.0 DRAFT"]}
    with stage.store.write() as unit:
        follow.remove(unit, "templates", actor=ADMIN, now=second.now)
    second.sync(Cause.POLL)
    assert second.source().findings == ()
    assert second.versions() == {"net": ["1.0 DRAFT"], "web": ["1.0 DRAFT"]}
    with stage.store.read() as unit:
        assert unit.registry.template("net").source == "second"
    second.push({**net(note="2"), **web()})
    second.sync()
    assert second.versions()["net"] == ["1.0 DRAFT", "1.1 DRAFT"]


# ------------------------------------------------------------------------------------- causes and outcomes


def test_a_draft_asks_for_its_preview_and_tells_its_channel_once(stage: Stage) -> None:
    stage.push(net())
    stage.sync()
    assert {"preview net@1.0"} <= stage.work()
    assert [channel for channel, _ in stage.notices()] == ["platform"]
    stage.sync()
    stage.sync(Cause.PERSON)
    assert len(stage.notices()) == 1
    assert not any(work.startswith("sync") for work in stage.work())


def test_deliveries_are_worked_by_the_sync_they_asked_for(stage: Stage) -> None:
    stage.push(net())
    stage.deliver("early")
    stage.sync()
    assert stage.delivery("early") == (DeliveryStatus.WORKED, None)
    claim = stage.claim()
    stage.now += timedelta(seconds=1)
    stage.deliver("late")
    sync(stage.store, stage.repositories, stage.renderer, claim, routing=ROUTING, now=claim.leased_until - LEASE)
    assert stage.delivery("late") == (DeliveryStatus.RECEIVED, None)


def test_a_source_that_does_not_answer_is_failed_now_and_worked_later(stage: Stage, tmp_path: Path) -> None:
    stage.push(net())
    stage.sync()
    stage.deliver("one")
    down = replace(stage.repositories, allow_local=True, timeout_for=timedelta(0))
    with pytest.raises(TransientError):
        sync(stage.store, down, stage.renderer, stage.claim(), routing=ROUTING, now=stage.now)
    failed = stage.source()
    assert failed.failures == 1 and failed.failure
    assert failed.next_poll_at is not None and failed.next_poll_at > stage.now
    assert stage.delivery("one") == (DeliveryStatus.FAILED, failed.failure)
    assert [event["failures"] for event in stage.events("source_failed")] == [1]
    stage.sync()
    mended = stage.source()
    assert (mended.failures, mended.failure) == (0, None)
    assert stage.delivery("one") == (DeliveryStatus.WORKED, None)


def test_a_source_that_is_gone_stalls_with_one_notice_until_a_person_asks(stage: Stage, tmp_path: Path) -> None:
    stage.push(net())
    stage.sync()
    stage.deliver("one")
    away = stage.history.git_dir.rename(tmp_path / "away.git")
    stage.sync()
    stage.sync()
    stall = stage.source().stall
    assert stall is not None and stall.cure
    assert stage.delivery("one")[0] is DeliveryStatus.FAILED
    assert len(stage.events("source_stalled")) == 1
    assert [channel for channel, _ in stage.notices()] == ["operators", "platform"]
    assert not any(work.startswith("sync") for work in stage.work())
    with stage.store.read() as unit:
        assert not unit.sources.due(stage.now + timedelta(days=1), 10)
    stage.sync(Cause.POLL)
    away.rename(stage.history.git_dir)
    assert stage.source().stall == stall
    stage.sync(Cause.PERSON)
    assert stage.source().stall is None
    assert len(stage.events("source_resumed")) == 1


def test_a_branch_that_is_deleted_stalls_its_source_and_a_push_to_it_resumes(stage: Stage) -> None:
    (head,) = stage.push(net())
    stage.sync()
    stage.history.git("update-ref", "-d", "refs/heads/main")
    stage.sync(Cause.POLL)
    stall = stage.source().stall
    assert stall is not None and "no branch `main`" in stall.reason
    stage.rewrite(net(note="2"), onto=head)
    stage.sync(Cause.WEBHOOK)
    assert stage.source().stall is None
    assert stage.versions() == {"net": ["1.0 DRAFT", "1.1 DRAFT"]}


def test_a_source_that_was_removed_is_not_synced(stage: Stage) -> None:
    claim = stage.claim()
    with stage.store.write() as unit:
        follow.remove(unit, stage.name, actor=ADMIN, now=stage.now)
    with pytest.raises(LostLease):
        sync(stage.store, stage.repositories, stage.renderer, claim, routing=ROUTING, now=stage.now)
    assert (stage.work(), stage.versions()) == (set(), {})


def test_who_lost_the_claim_writes_nothing(stage: Stage) -> None:
    stage.push(net())
    stage.sync()
    stage.push(net(note="2"), net(note="3"))
    old = stage.claim()
    with stage.store.write() as unit:
        assert unit.work.claim([WorkKind.SYNC], stage.now + 2 * LEASE, LEASE) is not None
    with pytest.raises(LostLease):
        sync(stage.store, stage.repositories, stage.renderer, old, routing=ROUTING, now=stage.now)
    assert stage.versions() == {"net": ["1.0 DRAFT"]}
    assert stage.source().failures == 0


class Switching:
    """A store that points the source elsewhere before the nth write."""

    def __init__(self, store: SqlStore, at: int, url: str) -> None:
        self._store, self._left, self._url = store, at, url

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def write(self) -> AbstractContextManager[Unit]:
        self._left -= 1
        if self._left == 0:
            with self._store.write() as unit:
                unit.sources.save(replace(unit.sources.get("templates"), url=self._url))
                unit.work.ask(WorkKind.SYNC, "templates", unit.sources.get("templates").next_poll_at or LATER, "start")
        return self._store.write()


LATER = datetime.fromisoformat("2026-03-02T13:00:00+00:00")


def test_a_source_that_changes_while_it_is_read_is_read_again_from_its_new_place(stage: Stage, tmp_path: Path) -> None:
    stage.push(net())
    other = a_repository(tmp_path / "other.git", [web()])
    stage.sync(store=Switching(stage.store, 1, str(other.git_dir)))
    assert stage.versions() == {}
    assert stage.work() == {"sync templates"}
    stage.sync()
    assert stage.versions() == {"web": ["1.0 DRAFT"]}


# --------------------------------------------------------------------------------------------- kill -9


class Killed(BaseException):
    """The process is no more."""


@dataclass
class Mortal:
    """A store under a process that is killed before or after its nth commit."""

    store: SqlStore
    at: int
    after: bool
    commits: int = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)

    @contextmanager
    def write(self) -> Iterator[Unit]:
        with self.store.write() as unit:
            yield unit
            self.commits += 1
            if self.commits == self.at and not self.after:
                raise Killed
        if self.commits == self.at:
            raise Killed


_PUSHES: list[list[Tree]] = [
    [{**net(), **web()}],
    [{**net(note="2"), **web()}, {**net(note="2"), **web(), "x": "1"}, web(), {**net(note="2"), **web()}],
    [{**net(note="2"), **web(note="1"), **net("net/v2")}],
]


def _outcome(stage: Stage) -> tuple[Any, ...]:
    told = [entry for entry in _entries(stage) if entry.kind.startswith(("version", "major"))]
    events = [(entry.kind, entry.subject, entry.facts) for entry in told]
    return stage.numbers(), events, stage.notices(), stage.source().synced_commit, stage.work()


def _entries(stage: Stage) -> Sequence[Any]:
    with stage.store.read() as unit:
        return unit.journal.entries(500)


def test_a_sync_that_is_killed_anywhere_goes_on_and_registers_nothing_twice(
    tmp_path: Path, renderer: JinjaRenderer, now: datetime
) -> None:
    history = a_repository(tmp_path / "all.git")
    heads: list[str] = []
    for push in _PUSHES:
        heads += history.write(push, onto=heads[-1] if heads else None)[-1:]

    def played(kill: int, after: bool) -> tuple[tuple[Any, ...], int]:
        folder = tmp_path / f"{kill}-{after}"
        folder.mkdir()
        store = open_store("sqlite://", state=folder)
        mortal = Mortal(store, kill, after)
        stage = staged(folder, store, renderer, now, url=str(history.git_dir))
        for head in heads:
            (history.git_dir / "refs/heads/main").write_text(f"{head}\n")
            try:
                stage.sync(store=mortal)
            except Killed:
                stage.now += 2 * LEASE
                stage.sync()
        outcome = _outcome(stage)
        store.close()
        return outcome, mortal.commits

    expected, commits = played(0, after=False)
    assert commits >= len(heads) + 2
    for kill in range(1, commits + 1):
        assert played(kill, after=False)[0] == expected
        assert played(kill, after=True)[0] == expected


# ------------------------------------------------------------------------------------------------- laws

_STATES: list[Tree] = [
    {"README": "nothing"},
    net(),
    net(note="2"),
    {**net(), **web()},
    {**net(note="2"), **net("net/v2")},
    {**web(note="1"), **under("net/v1", {"schema/schema.yaml": "broken"})},
    {**net(note="3"), "README": "x"},
]


@given(
    history=st.lists(st.sampled_from(range(len(_STATES))), min_size=1, max_size=7),
    cuts=st.sets(st.integers(1, 6)),
    merges=st.booleans(),
)
@settings(max_examples=7, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_pushes_of_any_size_give_the_numbers_of_a_replay(
    tmp_path_factory: pytest.TempPathFactory,
    renderer: JinjaRenderer,
    history: list[int],
    cuts: set[int],
    merges: bool,
) -> None:
    folder = tmp_path_factory.mktemp("law")
    store = open_store("sqlite://", state=folder)
    stage = staged(folder, store, renderer, LATER)
    # The first sync takes the head: begin it where nothing is.
    (start,) = stage.push({"LICENSE": "none"})
    stage.sync()
    trees: list[Tree | Merge] = [Merge(_STATES[n]) if merges and n % 2 else _STATES[n] for n in history]
    ends = sorted({0, len(trees), *(cut for cut in cuts if cut < len(trees))})
    for begin, end in pairwise(ends):
        stage.push(*trees[begin:end])
        stage.sync(Cause.POLL if begin % 2 else Cause.WEBHOOK)
    with open_local(stage.history.git_dir) as mirror:
        replayed = replay(mirror, renderer, until=mirror.head, since=start)
    assert stage.numbers() == sorted((v.path, str(v.version), v.commit, v.tree) for v in replayed)
    with store.read() as unit:
        kept = [version for t in unit.registry.templates() for version in unit.registry.versions(t.name)]
    states = {(version.path, version.version): version.state for version in kept}
    assert states == {(v.path, v.version): v.state for v in replayed}
    store.close()


def test_the_same_story_ends_alike_on_each_database(
    tmp_path: Path, any_store: SqlStore, store: SqlStore, renderer: JinjaRenderer, now: datetime
) -> None:
    outcomes = []
    for number, kept in enumerate((any_store, store)):
        folder = tmp_path / str(number)
        folder.mkdir()
        stage = staged(folder, kept, renderer, now)
        for push in _PUSHES:
            stage.push(*push)
            stage.sync()
        outcomes.append(_outcome(stage))
    assert outcomes[0] == outcomes[1]


def test_the_samples_of_the_tutorial_sync_as_they_are(stage: Stage, samples: Path) -> None:
    files = {
        str(path.relative_to(samples / "tutorial")): path.read_bytes()
        for path in (samples / "tutorial").rglob("*")
        if path.is_file()
    }
    stage.push(files)
    stage.sync()
    assert stage.versions() == {"lb-fargate-svc": ["1.0 DRAFT"], "vpc-ecscluster-env": ["1.0 DRAFT"]}
    assert stage.source().findings == ()


# ------------------------------------------------------------------------------------------------ limits


def test_more_commits_than_are_read_one_by_one_make_one_draft_and_say_so(stage: Stage) -> None:
    stage.push(net())
    stage.sync()
    few = Limits(commits=3)
    stage.push(*(net(note=str(number)) for number in range(3)))
    stage.sync(limits=few)
    assert stage.versions() == {"net": [f"1.{minor} DRAFT" for minor in range(4)]}
    assert stage.source().findings == ()
    *_, head = stage.push(*(net(note=f"more {number}") for number in range(4)))
    stage.sync(limits=few)
    assert stage.versions() == {"net": [f"1.{minor} DRAFT" for minor in range(5)]}
    (finding,) = stage.source().findings
    assert "4 commits came at once, more than 3" in finding.message
    assert "`limits.commits`" in (finding.cure or "")
    assert stage.source().synced_commit == head
    stage.push(net(note="one more"))
    stage.sync(limits=few)
    assert stage.source().findings == ()


def test_of_many_findings_the_worst_are_kept_with_the_number_of_the_rest(stage: Stage) -> None:
    # Links beside the bundle's own folders are warnings, those within it errors.
    links = {f"net/v1/docs/{number}": Symlink("x") for number in range(6)}
    stage.push({**net(), **links, "net/v1/schema/link": Symlink("x")})
    stage.sync(limits=Limits(findings=3))
    with stage.store.read() as unit:
        findings = unit.registry.version(TemplateName("net"), parse_version("1.0")).findings
    assert findings[0].severity is Severity.ERROR
    assert len(findings) == 4
    assert findings[-1].message == "and 4 more findings, not kept"
    assert "`limits.findings`" in (findings[-1].cure or "")


def test_a_folder_beyond_the_limits_of_a_bundle_fails_by_the_settings_name(stage: Stage) -> None:
    small = Limits(bundle=BundleLimits(bytes=20_000, files=20, file_bytes=6_000))
    stage.repositories = replace(stage.repositories, limits=small.bundle)
    stage.push(
        net()
        | net("many/v1")
        | {f"many/v1/docs/{number}": "" for number in range(20)}
        | net("heavy/v1")
        | {f"heavy/v1/docs/{number}": f"{number}" * 5_000 for number in range(7)}
        | net("large/v1", schema=ENVIRONMENT_SCHEMA + "#" * 6_000)
    )
    stage.sync(limits=small)
    with stage.store.read() as unit:
        cures = {
            template.name: [finding.cure or "" for finding in unit.registry.versions(template.name)[0].findings]
            for template in unit.registry.templates()
        }
    assert cures["net"] == []
    for template, setting in (("many", "bundle_files"), ("heavy", "bundle"), ("large", "bundle_file")):
        assert any(f"`limits.{setting}`" in cure for cure in cures[template]), (template, cures[template])
    # What was registered while more was allowed goes on being read.
    stage.repositories = replace(stage.repositories, limits=LIMITS.bundle)
    stage.push(net("large/v1", note="2", schema=ENVIRONMENT_SCHEMA + "#" * 6_000))
    stage.sync()
    assert stage.versions()["large"][-1] == "1.1 DRAFT"


def test_only_so_many_sources_are_followed(store: SqlStore, now: datetime) -> None:
    with store.write() as unit:
        follow.add(unit, a_source("one"), at_most=1, actor=ADMIN, now=now)
        with pytest.raises(Conflict, match="1 sources are followed already") as refused:
            follow.add(unit, a_source("two", branch="other"), at_most=1, actor=ADMIN, now=now)
    assert "`limits.sources`" in (refused.value.cure or "")
