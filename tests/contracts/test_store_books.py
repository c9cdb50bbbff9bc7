"""Every book of the store keeps what it is given, on every database."""

from collections.abc import Callable
from dataclasses import MISSING, Field, fields, replace
from datetime import UTC, datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest

from tests.builders import (
    ADMIN,
    NOON,
    a_bundle,
    a_commit,
    a_deployment,
    a_finding,
    a_major,
    a_pipeline,
    a_service,
    a_source,
    a_template,
    a_user,
    a_version,
    an_environment,
    an_instance,
)
from upkeep.adapters.store import SqlStore
from upkeep.adapters.store.rows import preview_of
from upkeep.domain import events
from upkeep.domain.bundles import Bundle, BundleFile
from upkeep.domain.changesets import Drift, DriftState, Proposal, ProposalState, StackChange, StackEvent
from upkeep.domain.deliveries import Delivery, DeliveryStatus
from upkeep.domain.deployments import Action, Deployment, DeploymentStatus, State
from upkeep.domain.errors import CallerError, Conflict, NotFound, TransientError
from upkeep.domain.findings import Severity
from upkeep.domain.guesses import Guesses
from upkeep.domain.lag import Lag, PublishedVersion, Standing
from upkeep.domain.names import SourceName, TemplateName, Version, environment_key
from upkeep.domain.notices import Link, Notice
from upkeep.domain.people import Role, Scope, Session, Token, User
from upkeep.domain.previews import Preview, PreviewGroup
from upkeep.domain.resources import Repository, Resource, Service
from upkeep.domain.snoozes import Snooze
from upkeep.domain.sources import Credential, CredentialKind, Drafts, Origin, Source, Stall
from upkeep.domain.versions import (
    CompatibleEnvironment,
    Major,
    Template,
    TemplateKind,
    TemplateVersion,
    VersionState,
)
from upkeep.domain.work import WorkKind
from upkeep.flows.ports import Unit

LATER = NOON + timedelta(minutes=5, microseconds=1)
ODD = "ünïcode \U0001f600 % _ ' \" \\ \n tab\t"
TEMPLATE = TemplateName("network-env")
FINDINGS = (a_finding(), replace(a_finding(ODD), severity=Severity.WARNING, line=None, cure=None, path="a\udcffb"))
INPUTS = {"z": 1, "a": [1.5, None, True, {"deep": ODD}], "nul": "\x00", "half": "\ud800", "big": 2**70}

SOURCE = Source(
    name=SourceName("platform"),
    url="ssh://git@git.example.com:2222/platform.git",
    branch="höhe",
    subdirectory="a/b\udcff",
    credential=Credential(CredentialKind.SSH_KEY_FILE, "/keys/platform"),
    webhook_secret=Credential(CredentialKind.TOKEN_ENV, "SECRET"),
    drafts=Drafts.PER_PUSH,
    poll_every_for=timedelta(seconds=90, microseconds=7),
    origin=Origin.CONFIG,
    synced_commit="1" * 40,
    synced_at=NOON,
    checked_at=LATER,
    next_poll_at=LATER + timedelta(hours=1),
    failures=3,
    failure="it did not answer",
    stall=Stall("the branch is gone", "name another branch", LATER),
    findings=FINDINGS,
)
DELIVERY = Delivery(
    id="72d3162e-cc78-11e3-81ab-4c9367dc0958",
    event="push",
    received_at=NOON,
    status=DeliveryStatus.FAILED,
    reason="it did not answer",
    repository="https://git.example.com/platform.git",
    ref="refs/heads/main",
    after="2" * 40,
    sources=(SourceName("z"), SourceName("a")),
    settled_at=LATER,
    attempts=2,
)
KEPT_TEMPLATE = Template(TEMPLATE, TemplateKind.SERVICE, SourceName("platform"), "x/\udcfe", NOON, Version(1, 2), True)
MAJOR = Major(TEMPLATE, 3, "x/\udcfe/v3", 7, 5, LATER)
VERSION = TemplateVersion(
    template=TEMPLATE,
    version=Version(3, 6),
    state=VersionState.WITHDRAWN,
    tree="3" * 40,
    commit=a_commit(ODD, author_name="Åse", at=datetime(1969, 1, 1, tzinfo=timezone(timedelta(hours=9)))),
    path="x/\udcfe/v3",
    created_at=NOON,
    findings=FINDINGS,
    schema="schema: {}",
    has_pipeline=True,
    compatible_environments=(CompatibleEnvironment(TemplateName("z"), 2), CompatibleEnvironment(TemplateName("a"), 1)),
    published_at=NOON,
    published_by="ada",
    withdrawn_at=LATER,
    note=ODD,
)
PREVIEW = Preview(
    TEMPLATE,
    Version(3, 6),
    NOON,
    (PreviewGroup(("environment/a",), ("1.0",), ODD, whole=ODD), PreviewGroup((), (), "", "no")),
)
SERVICE = Service(a_service().name, TEMPLATE, ODD, NOON, "team-a", Repository("main", "org/app", "arn:aws:x"))
INSTANCE = Resource(
    key=an_instance().key,
    template=TEMPLATE,
    status=DeploymentStatus.DELETE_FAILED,
    created_at=NOON,
    version=Version(1, 2),
    inputs=INPUTS,
    outputs={"Url": ODD},
    owner="team-a",
    environment=an_environment().key.name,
    account_id="123456789012",
    lag=Lag(Standing.BEHIND_MAJOR, 2, 1, NOON),
    last_deployment="d2",
    last_succeeded_deployment="d1",
    deployed_at=LATER,
    region="eu-west-1",
    role_arn="arn:aws:iam::123456789012:role/upkeep",
    external_id="agreed",
    stack="arn:aws:cloudformation:eu-west-1:123456789012:stack/s/1",
    tags={"team": "shop"},
    drift=Drift(DriftState.DRIFTED, ("Network", "Bucket"), ODD),
    drift_checked_at=LATER,
    drift_handle="detection-1",
    snooze=Snooze(NOON, "dev", NOON + timedelta(days=7), Version(1, 4)),
    replaces=True,
    id=1,
)
DEPLOYMENT = Deployment(
    id="d2",
    resource=INSTANCE.key,
    action=Action.DELETE,
    status=DeploymentStatus.DELETE_FAILED,
    target=State(Version(2, 0), INPUTS),
    asked_by="dev",
    created_at=NOON,
    initial=State(Version(1, 2), {}),
    begun_at=NOON,
    handle="stack/1",
    message="access denied",
    outputs={"Url": "https://"},
    completed_at=LATER,
    proposed_at=NOON,
    executed_at=NOON,
    accepted_at=LATER,
    cancelled_at=LATER,
    deadline_at=LATER,
    stack="arn:aws:cloudformation:eu-west-1:123456789012:stack/s/1",
    stack_status="DELETE_FAILED",
    stall=Stall("gone", "act", LATER),
    replaces="arn:aws:cloudformation:eu-west-1:123456789012:stack/s/0",
    replaced_at=LATER,
    continue_token="d2-1",
)
USER = User(
    "ada", Role.ADMIN, "$argon2id$", NOON, "ada@example.com", "github", "583231", frozenset({"payments", "höhe"}), LATER
)
SESSION = Session("f" * 64, "ada", NOON, LATER, NOON, "2001:db8::1", ODD)
TOKEN = Token("0a1b", "e" * 64, "ada", ODD, frozenset({Scope.READ, Scope.REVIEW}), NOON, LATER, NOON)
NOTICE = Notice("k", "platform", ODD, ("one", "two"), (Link("See", "/?a=b"),), "thread")


def _keep_version(unit: Unit) -> None:
    unit.registry.add_template(a_template())
    unit.registry.add_version(VERSION)


def _keep_preview(unit: Unit) -> None:
    _keep_version(unit)
    unit.registry.save_preview(PREVIEW)


def _keep_session(unit: Unit) -> None:
    unit.people.add(USER)
    unit.people.add_session(SESSION)


def _keep_sent(unit: Unit) -> None:
    unit.outbox.owe(NOTICE, NOON)
    (owed,) = unit.outbox.recent(1)
    unit.outbox.save(_sent(owed))


def _sent(owed: Any) -> Any:
    told = {"sent_at": LATER, "receipt": "1.2", "failure": "slow", "not_before": LATER, "given_up_at": LATER}
    return replace(owed, attempts=2, **told)


WHOLE: dict[str, tuple[Callable[[Unit], Any], Callable[[Unit], Any], Any]] = {
    "source": (lambda u: u.sources.add(SOURCE), lambda u: u.sources.get("platform"), SOURCE),
    "delivery": (lambda u: u.deliveries.save(DELIVERY), lambda u: u.deliveries.find(DELIVERY.id), DELIVERY),
    "template": (
        lambda u: u.registry.add_template(KEPT_TEMPLATE),
        lambda u: u.registry.template(TEMPLATE),
        KEPT_TEMPLATE,
    ),
    "major": (
        lambda u: (u.registry.add_template(a_template()), u.registry.save_major(MAJOR)),
        lambda u: u.registry.find_major(TEMPLATE, 3),
        MAJOR,
    ),
    "version": (_keep_version, lambda u: u.registry.version(TEMPLATE, Version(3, 6)), VERSION),
    "preview": (_keep_preview, lambda u: u.registry.find_preview(TEMPLATE, Version(3, 6)), PREVIEW),
    "service": (lambda u: u.fleet.add_service(SERVICE), lambda u: u.fleet.service("checkout"), SERVICE),
    "resource": (lambda u: u.fleet.add(INSTANCE), lambda u: u.fleet.get(INSTANCE.key), INSTANCE),
    "deployment": (lambda u: u.deployments.add(DEPLOYMENT), lambda u: u.deployments.get("d2"), DEPLOYMENT),
    "user": (lambda u: u.people.add(USER), lambda u: u.people.find("ada"), USER),
    "token": (
        lambda u: (u.people.add(USER), u.people.add_token(TOKEN)),
        lambda u: u.people.find_token("e" * 64),
        TOKEN,
    ),
    "session": (_keep_session, lambda u: u.people.session("f" * 64), SESSION),
}


@pytest.mark.parametrize("what", WHOLE)
def test_every_field_comes_back_as_it_was_kept(each_store: SqlStore, what: str) -> None:
    keep, read, value = WHOLE[what]
    for field in fields(value):
        assert getattr(value, field.name) != _default(field), f"give {what}.{field.name} something to lose"
    with each_store.write() as unit:
        keep(unit)
    with each_store.read() as unit:
        assert read(unit) == value


def _default(field: "Field[Any]") -> Any:
    return field.default_factory() if field.default_factory is not MISSING else field.default


def test_the_order_of_inputs_is_kept(each_store: SqlStore) -> None:
    with each_store.write() as unit:
        unit.fleet.add(INSTANCE)
    with each_store.read() as unit:
        assert list(unit.fleet.get(INSTANCE.key).inputs) == list(INPUTS)


def test_times_come_back_in_utc(each_store: SqlStore) -> None:
    with each_store.write() as unit:
        unit.registry.add_template(a_template())
        unit.registry.add_version(VERSION)
    with each_store.read() as unit:
        assert unit.registry.version(TEMPLATE, VERSION.version).commit.at.tzinfo is UTC


def test_a_time_without_zone_is_refused(each_store: SqlStore) -> None:
    with pytest.raises(Exception, match="no time zone"), each_store.write() as unit:
        unit.work.ask(WorkKind.SYNC, "a", datetime(2026, 1, 1))  # noqa: DTZ001


def test_what_no_database_keeps_in_a_text_is_replaced_and_harms_no_search(each_store: SqlStore) -> None:
    with each_store.write() as unit:
        unit.sources.add(a_source(failure="a\x00b\udcff"))
    with each_store.read() as unit:
        assert unit.sources.get("templates").failure == "a\ufffdb\ufffd"
        assert unit.registry.find_template("a\x00\ud800") is None


# ------------------------------------------------------------------------------------------------- sources


def test_a_source_name_is_taken_once(each_store: SqlStore) -> None:
    with each_store.write() as unit:
        unit.sources.add(a_source())
        with pytest.raises(Conflict):
            unit.sources.add(a_source(branch="other"))
        assert unit.sources.get("templates").branch == "main"


def test_what_is_not_there_is_not_found(each_store: SqlStore) -> None:
    with each_store.write() as unit:
        for missing in (
            lambda: unit.sources.get("x"),
            lambda: unit.sources.save(a_source()),
            lambda: unit.sources.remove(SourceName("x")),
            lambda: unit.registry.template("x"),
            lambda: unit.registry.save_template(a_template()),
            lambda: unit.registry.version(TEMPLATE, Version(1, 0)),
            lambda: unit.registry.save_version(a_version()),
            lambda: unit.registry.remove_version(TEMPLATE, Version(1, 0)),
            lambda: unit.registry.bundle("0" * 40),
            lambda: unit.fleet.service("x"),
            lambda: unit.fleet.get(environment_key("x")),
            lambda: unit.fleet.save(an_environment()),
            lambda: unit.fleet.remove(environment_key("x")),
            lambda: unit.deployments.get("x"),
            lambda: unit.deployments.save(DEPLOYMENT),
            lambda: unit.people.save(USER),
            lambda: unit.people.remove("x"),
        ):
            with pytest.raises(NotFound):
                missing()


def test_sources_are_listed_by_name(each_store: SqlStore) -> None:
    with each_store.write() as unit:
        for name in ("b", "B", "a", "_"[:0] + "0"):
            unit.sources.add(a_source(name))
        assert [source.name for source in unit.sources.list()] == ["0", "B", "a", "b"]


def test_a_removed_source_leaves_its_templates_to_nobody_and_its_sync_loses_the_claim(each_store: SqlStore) -> None:
    with each_store.write() as unit:
        unit.sources.add(a_source())
        unit.registry.add_template(a_template())
        unit.work.ask(WorkKind.SYNC, "templates", NOON)
        claim = unit.work.claim([WorkKind.SYNC], NOON, timedelta(minutes=1))
        assert claim is not None
        unit.sources.remove(SourceName("templates"))
        assert unit.registry.template(TEMPLATE).source is None
        assert not unit.work.renew(claim, LATER)


def test_sources_are_due_when_their_time_has_come_and_nothing_stalls_them(each_store: SqlStore) -> None:
    with each_store.write() as unit:
        unit.sources.add(a_source("just", next_poll_at=NOON))
        unit.sources.add(a_source("long", next_poll_at=NOON - timedelta(hours=1)))
        unit.sources.add(a_source("later", next_poll_at=NOON + timedelta(microseconds=1)))
        unit.sources.add(a_source("stalled", next_poll_at=NOON, stall=Stall("gone", "act", NOON)))
        unit.sources.add(a_source("never"))
        assert [source.name for source in unit.sources.due(NOON, 10)] == ["never", "long", "just"]
        assert [source.name for source in unit.sources.due(NOON, 2)] == ["never", "long"]


# ---------------------------------------------------------------------------------------------- deliveries


def _delivery(number: int, **changes: Any) -> Delivery:
    at = NOON + timedelta(seconds=number)
    return replace(Delivery(f"id-{number}", "push", at, DeliveryStatus.RECEIVED), **changes)


def test_deliveries_are_listed_newest_first_for_a_source_or_a_status(each_store: SqlStore) -> None:
    a, b = SourceName("a"), SourceName("b")
    with each_store.write() as unit:
        unit.deliveries.save(_delivery(1, sources=(a, b)))
        unit.deliveries.save(_delivery(3, sources=(b,), status=DeliveryStatus.WORKED))
        unit.deliveries.save(_delivery(2, sources=(a,)))
        unit.deliveries.save(_delivery(4, status=DeliveryStatus.IGNORED))

        def ids(*args: Any) -> list[str]:
            return [delivery.id for delivery in unit.deliveries.recent(*args)]

        assert ids(9) == ["id-4", "id-3", "id-2", "id-1"]
        assert ids(2) == ["id-4", "id-3"]
        assert ids(9, a) == ["id-2", "id-1"]
        assert ids(9, b, DeliveryStatus.WORKED) == ["id-3"]
        assert ids(9, None, DeliveryStatus.RECEIVED) == ["id-2", "id-1"]


def test_a_sync_settles_what_came_before_it_and_was_not_worked(each_store: SqlStore) -> None:
    source = SourceName("a")
    with each_store.write() as unit:
        unit.deliveries.save(_delivery(1, sources=(source,)))
        unit.deliveries.save(_delivery(2, sources=(source,), status=DeliveryStatus.FAILED))
        unit.deliveries.save(_delivery(3, sources=(source,), status=DeliveryStatus.WORKED))
        unit.deliveries.save(_delivery(4, sources=(source,)))
        unit.deliveries.save(_delivery(5, sources=(source,)))
        unit.deliveries.save(_delivery(1, id="other", sources=(SourceName("b"),)))
        before = NOON + timedelta(seconds=4)
        assert [delivery.id for delivery in unit.deliveries.open(source, before)] == ["id-1", "id-2", "id-4"]


def test_what_became_of_deliveries_is_written_and_nothing_else_of_them(each_store: SqlStore) -> None:
    source = SourceName("a")
    first, second, third = (_delivery(number, sources=(source,), attempts=2) for number in (1, 2, 3))
    became = {"status": DeliveryStatus.FAILED, "reason": "no answer", "settled_at": NOON}
    with each_store.write() as unit:
        unit.deliveries.save(first, second, third)
        unit.deliveries.settle(replace(each, attempts=9, sources=(), **became) for each in (second, first))
    with each_store.read() as unit:
        known = unit.deliveries.found(["id-1", "id-2", "id-3"])
        assert known == {
            "id-1": replace(first, **became),
            "id-2": replace(second, **became),
            "id-3": third,
        }
        assert len(unit.deliveries.open(source, NOON + timedelta(minutes=1))) == 3


def test_a_delivery_saved_again_replaces_the_one_with_its_id(each_store: SqlStore) -> None:
    a, b = SourceName("a"), SourceName("b")
    with each_store.write() as unit:
        assert unit.deliveries.find("id-1") is None
        unit.deliveries.save(_delivery(1, sources=(a,)))
        unit.deliveries.save(_delivery(2, id="id-1", sources=(b,), attempts=2))
        assert unit.deliveries.recent(9, a) == ()
        assert [delivery.attempts for delivery in unit.deliveries.recent(9, b)] == [2]


# ------------------------------------------------------------------------------------------------ registry


def test_versions_are_listed_by_number_and_not_by_text(each_store: SqlStore) -> None:
    with each_store.write() as unit:
        unit.registry.add_template(a_template())
        for number in ("1.2", "1.10", "2.0", "1.9"):
            unit.registry.add_version(a_version(version=number))
        assert [str(v.version) for v in unit.registry.versions(TEMPLATE)] == ["2.0", "1.10", "1.9", "1.2"]
        assert [str(v.version) for v in unit.registry.versions(TEMPLATE, 1)] == ["1.10", "1.9", "1.2"]


def test_the_latest_version_is_looked_for_among_states(each_store: SqlStore) -> None:
    with each_store.write() as unit:
        unit.registry.add_template(a_template())
        unit.registry.add_version(a_version(version="1.9", state=VersionState.PUBLISHED))
        unit.registry.add_version(a_version(version="1.10", state=VersionState.REGISTRATION_FAILED))
        unit.registry.add_version(a_version(version="2.0"))
        latest = unit.registry.latest(TEMPLATE, 1)
        assert latest is not None and latest.version == Version(1, 10)
        sound = unit.registry.latest(TEMPLATE, 1, [VersionState.DRAFT, VersionState.PUBLISHED])
        assert sound is not None and sound.version == Version(1, 9)
        assert unit.registry.latest(TEMPLATE, 3) is None
        assert unit.registry.published(TEMPLATE) == (PublishedVersion(Version(1, 9), NOON + timedelta(hours=9)),)


def test_a_number_is_given_once(each_store: SqlStore) -> None:
    with each_store.write() as unit:
        unit.registry.add_template(a_template())
        unit.registry.add_version(a_version())
        with pytest.raises(Conflict):
            unit.registry.add_version(a_version(tree="9" * 40))
        with pytest.raises(Conflict):
            unit.registry.add_template(a_template(path="elsewhere"))


def test_drafts_wait_oldest_first(each_store: SqlStore) -> None:
    with each_store.write() as unit:
        unit.registry.add_template(a_template())
        unit.registry.add_version(a_version(version="1.1", created_at=LATER))
        unit.registry.add_version(a_version(version="1.2", created_at=NOON))
        unit.registry.add_version(a_version(version="1.3", state=VersionState.PUBLISHED))
        assert [str(draft.version) for draft in unit.registry.drafts()] == ["1.2", "1.1"]


def test_majors_are_found_by_template_and_by_source(each_store: SqlStore) -> None:
    with each_store.write() as unit:
        unit.registry.add_template(a_template())
        unit.registry.add_template(a_template("other", source=None))
        for major in (a_major(major=2), a_major(major=1), a_major("other", 1)):
            unit.registry.save_major(major)
        unit.registry.save_major(a_major(major=1, next_minor=4))
        assert [m.next_minor for m in unit.registry.majors(TEMPLATE)] == [4, 0]
        assert [(m.template, m.major) for m in unit.registry.majors_of_source(SourceName("templates"))] == [
            (TEMPLATE, 1),
            (TEMPLATE, 2),
        ]
        assert [t.name for t in unit.registry.templates()] == [TEMPLATE, "other"]
        assert [t.name for t in unit.registry.templates(SourceName("templates"))] == [TEMPLATE]


def test_a_template_goes_with_its_majors(each_store: SqlStore) -> None:
    with each_store.write() as unit:
        unit.registry.add_template(a_template())
        unit.registry.save_major(a_major())
        unit.registry.remove_template(TEMPLATE)
        assert unit.registry.find_major(TEMPLATE, 1) is None


def test_a_version_without_a_template_is_not_kept(each_store: SqlStore) -> None:
    with pytest.raises(TransientError), each_store.write() as unit:
        unit.registry.add_version(a_version())


def test_a_bundle_comes_back_byte_for_byte(each_store: SqlStore) -> None:
    bundle = Bundle(
        "4" * 40,
        (
            BundleFile("z\udcff\udc80.bin", "100755", "a" * 40, 256, bytes(range(256))),
            BundleFile("a", "100644", "b" * 40, 0, b""),
            BundleFile("link", "120000", "c" * 40, 3, None),
            BundleFile("same", "100644", "a" * 40, 256, bytes(range(256))),
            BundleFile("huge", "100644", "a" * 40, 2**40, None),
        ),
    )
    with each_store.write() as unit:
        unit.registry.keep_bundle(bundle)
        unit.registry.keep_bundle(replace(bundle, files=()))
        unit.registry.keep_bundle(Bundle("5" * 40, ()))
    with each_store.read() as unit:
        assert unit.registry.bundle("4" * 40) == bundle
        assert unit.registry.bundle("5" * 40).files == ()


def test_a_bundle_goes_with_the_last_version_that_has_its_tree(each_store: SqlStore) -> None:
    shared, own = a_bundle({"a": "shared", "b": "own"}), a_bundle({"a": "shared"})
    with each_store.write() as unit:
        unit.registry.add_template(a_template())
        for bundle in (shared, own):
            unit.registry.keep_bundle(bundle)
        for number, bundle in (("1.0", shared), ("1.1", shared), ("1.2", own)):
            unit.registry.add_version(a_version(version=number, tree=bundle.tree))
        unit.registry.save_preview(Preview(TEMPLATE, Version(1, 0), NOON, ()))
        unit.registry.remove_version(TEMPLATE, Version(1, 0))
        assert unit.registry.bundle(shared.tree) == shared
        assert unit.registry.find_preview(TEMPLATE, Version(1, 0)) is None
        unit.registry.remove_version(TEMPLATE, Version(1, 1))
        with pytest.raises(NotFound):
            unit.registry.bundle(shared.tree)
        assert unit.registry.bundle(own.tree) == own


def test_in_use_counts_who_runs_a_version_and_who_is_moved_to_it(each_store: SqlStore) -> None:
    with each_store.write() as unit:
        for name, version in (("a", "1.0"), ("b", "1.0"), ("c", None), ("d", "1.1")):
            moving = {"status": DeploymentStatus.IN_PROGRESS} if name in "bcd" else {}
            resource = an_environment(name, version, **moving)
            unit.fleet.add(resource)
            if moving:
                unit.deployments.add(a_deployment(resource, "1.1"))
        unit.fleet.add(an_instance())
        assert unit.registry.in_use(TEMPLATE) == {Version(1, 0): 2, Version(1, 1): 3}


# --------------------------------------------------------------------------------------------- deployments


def test_one_deployment_is_under_way_on_a_resource(each_store: SqlStore) -> None:
    resource = an_environment()
    first, second = a_deployment(resource, "1.1"), a_deployment(resource, "1.2")
    with each_store.write() as unit:
        unit.deployments.add(first)
        with pytest.raises(Conflict, match=first.id):
            unit.deployments.add(second)
        assert unit.deployments.under_way(resource.key) == first
        ended = replace(first, status=DeploymentStatus.SUCCEEDED, completed_at=LATER)
        unit.deployments.save(ended)
        assert unit.deployments.under_way(resource.key) is None
        unit.deployments.add(second)
        assert unit.deployments.of_resource(resource.key, 9) == (second, ended)
        assert unit.deployments.of_resource(resource.key, 1) == (second,)
        assert unit.deployments.recent(9, DeploymentStatus.SUCCEEDED) == (ended,)
        with pytest.raises(Conflict):
            unit.deployments.add(replace(second, resource=a_pipeline().key))


def test_what_was_rendered_is_kept_beside_the_deployment(each_store: SqlStore) -> None:
    deployment = a_deployment(an_environment())
    with each_store.write() as unit:
        unit.deployments.add(deployment)
        assert unit.deployments.rendered(deployment.id) is None
        unit.deployments.keep_rendered(deployment.id, "first")
        unit.deployments.keep_rendered(deployment.id, ODD)
        assert unit.deployments.rendered(deployment.id) == ODD


def test_what_was_proposed_is_kept_beside_the_deployment(each_store: SqlStore) -> None:
    deployment = a_deployment(an_environment())
    change = StackChange("Modify", ODD, "AWS::EC2::VPC", "vpc-1", "Conditional", ("Properties",), ("CidrBlock", "Tags"))
    bare = StackChange("Add", "Log", "AWS::Logs::LogGroup")
    with each_store.write() as unit:
        unit.deployments.add(deployment)
        assert unit.deployments.proposal(deployment.id) is None
        unit.deployments.keep_proposal(deployment.id, Proposal(ProposalState.FAILED, reason=ODD))
        kept = Proposal(ProposalState.READY, (change, bare), stack="arn:aws:x")
        unit.deployments.keep_proposal(deployment.id, kept)
        assert unit.deployments.proposal(deployment.id) == kept


def test_an_event_of_a_stack_is_kept_once_and_read_in_its_order(each_store: SqlStore) -> None:
    deployment, other = a_deployment(an_environment()), a_deployment(an_environment("live"))
    told = [StackEvent(f"e-{n}", NOON, "Network", "AWS::EC2::VPC", "UPDATE_COMPLETE", ODD) for n in (3, 1, 2)]
    late = StackEvent("e-0", LATER, "Network", "AWS::EC2::VPC", "UPDATE_IN_PROGRESS")
    with each_store.write() as unit:
        unit.deployments.add(deployment)
        unit.deployments.add(other)
        assert unit.deployments.keep_events(deployment.id, [late]) == 1
        assert unit.deployments.keep_events(deployment.id, [*told, late, told[0]]) == 3
        assert unit.deployments.keep_events(other.id, told[:1]) == 1
    with each_store.read() as unit:
        assert unit.deployments.stack_events(deployment.id, 9) == (*told, late)
        assert unit.deployments.stack_events(deployment.id, 2) == (told[2], late)


def test_the_last_success_at_a_version_is_found(each_store: SqlStore) -> None:
    resource = an_environment()
    with each_store.write() as unit:
        for number, (to, status) in enumerate(
            (("1.1", DeploymentStatus.SUCCEEDED), ("1.1", DeploymentStatus.FAILED), ("1.2", DeploymentStatus.SUCCEEDED))
        ):
            unit.deployments.add(a_deployment(resource, to, f"d-{number}", status=status))
        found = unit.deployments.last_succeeded(resource.key, Version(1, 1))
        assert found is not None and found.id == "d-0"
        assert unit.deployments.last_succeeded(resource.key, Version(1, 3)) is None


# --------------------------------------------------------------------------------------- journal and outbox


def test_the_journal_is_read_backwards_and_narrowed(each_store: SqlStore) -> None:
    with each_store.write() as unit:
        first = unit.journal.record(events.SourceAdded("source/a", "https://", "main"), ADMIN, NOON)
        second = unit.journal.record(events.SyncAsked("source/b", "poll"), replace(ADMIN, name="bob"), LATER)
    with each_store.read() as unit:
        newest, oldest = unit.journal.entries(9)
        assert (newest.id, oldest.id) == (second, first)
        assert (oldest.kind, oldest.subject, oldest.actor, oldest.via) == ("source_added", "source/a", "ada", ADMIN.via)
        assert (oldest.facts, oldest.at) == ({"url": "https://", "branch": "main"}, NOON)
        assert unit.journal.entries(1) == (newest,)
        assert unit.journal.entries(9, before=second) == (oldest,)
        for narrowed in ({"subject": "source/b"}, {"kind": "sync_asked"}, {"actor": "bob"}):
            assert unit.journal.entries(9, **narrowed) == (newest,)


def test_a_notice_is_owed_once_to_each_channel_and_asks_for_its_relay(each_store: SqlStore) -> None:
    with each_store.write() as unit:
        assert unit.outbox.owe(NOTICE, NOON)
        assert not unit.outbox.owe(replace(NOTICE, headline="again"), LATER)
        assert unit.outbox.owe(replace(NOTICE, channel="other"), LATER)
        assert [(w.kind, w.subject, w.due_at) for w in unit.work.list(9)] == [
            (WorkKind.RELAY, "platform", NOON),
            (WorkKind.RELAY, "other", LATER),
        ]
        (owed,) = unit.outbox.unsent("platform", 9)
        assert (owed.notice, owed.owed_at, owed.attempts, owed.sent_at) == (NOTICE, NOON, 0, None)


def test_a_notice_that_was_sent_is_not_owed_any_more_and_keeps_its_receipt(each_store: SqlStore) -> None:
    with each_store.write() as unit:
        unit.outbox.owe(NOTICE, NOON)
        unit.outbox.owe(replace(NOTICE, key="k2"), NOON)
        first, second = unit.outbox.unsent("platform", 9)
        assert unit.outbox.receipt("platform", "thread") is None
        sent = replace(_sent(first), given_up_at=None)
        unit.outbox.save(sent)
        unit.outbox.save(replace(second, attempts=1))
        assert [owed.notice.key for owed in unit.outbox.unsent("platform", 9)] == ["k2"]
        assert unit.outbox.receipt("platform", "thread") == "1.2"
        assert unit.outbox.receipt("other", "thread") is None
        assert unit.outbox.recent(9) == (replace(second, attempts=1), sent)


# -------------------------------------------------------------------------------------------------- people


def test_sessions_end_with_their_user(each_store: SqlStore) -> None:
    with each_store.write() as unit:
        unit.people.add(USER)
        with pytest.raises(Conflict):
            unit.people.add(USER)
        unit.people.add(a_user("bob", Role.VIEWER))
        unit.people.add_session(SESSION)
        assert [user.name for user in unit.people.list()] == ["ada", "bob"]
        unit.people.remove("ada")
        assert unit.people.session(SESSION.token_hash) is None


def test_ended_sessions_are_swept_when_new_ones_begin(each_store: SqlStore) -> None:
    with each_store.write() as unit:
        unit.people.add(USER)
        unit.people.add_session(SESSION)
        unit.people.add_session(Session("e" * 64, "ada", SESSION.expires_at, SESSION.expires_at + timedelta(hours=1)))
        assert unit.people.session(SESSION.token_hash) is None
        unit.people.remove_session("e" * 64)
        assert unit.people.session("e" * 64) is None


def test_failed_sign_ins_are_counted_by_name_address_and_time_and_forgotten_after_a_day(each_store: SqlStore) -> None:
    with each_store.write() as unit:
        people = unit.people
        for minutes in (0, 5, 10):
            people.note_failed_sign_in("ada", f"192.0.2.{minutes}", NOON + timedelta(minutes=minutes))
        people.note_failed_sign_in("bob", "192.0.2.10", NOON)
        assert people.failed_sign_ins(NOON + timedelta(minutes=5), "ada").count == 2
        assert people.failed_sign_ins(NOON, "ada") == Guesses(3, NOON + timedelta(minutes=10))
        assert people.failed_sign_ins(NOON, "ada", "192.0.2.5") == Guesses(1, NOON + timedelta(minutes=5))
        assert people.failed_sign_ins(NOON, None, "192.0.2.10").count == 2
        assert people.failed_sign_ins(NOON, "eve") == Guesses(0, None)
        people.forget_failed_sign_ins("ada", "192.0.2.10")
        assert people.failed_sign_ins(NOON, None, "192.0.2.10").count == 1
        people.note_failed_sign_in("bob", "", NOON + timedelta(days=1, minutes=3))
        assert people.failed_sign_ins(NOON, "ada").count == 1
        people.forget_failed_sign_ins("ada")
        assert people.failed_sign_ins(NOON, "ada").count == 0
        assert people.failed_sign_ins(NOON, "bob").count == 1


def test_sessions_are_listed_note_their_use_and_end_together(each_store: SqlStore) -> None:
    with each_store.write() as unit:
        unit.people.add(USER)
        unit.people.add(a_user("bob", Role.VIEWER))
        for letter, user in (("f", "ada"), ("e", "ada"), ("d", "bob")):
            unit.people.add_session(replace(SESSION, token_hash=letter * 64, user=user))
        unit.people.note_seen("ada", "f" * 64, "198.51.100.7", LATER)
        assert [session.seen_at for session in unit.people.sessions("ada")] == [NOON, LATER]
        assert unit.people.sessions("ada")[1].address == "198.51.100.7"
        user = unit.people.find("ada")
        assert user is not None
        assert user.seen_at == LATER
        assert len(unit.people.sessions()) == 3
        assert unit.people.remove_sessions("ada", "f" * 64) == 1
        assert [session.token_hash for session in unit.people.sessions()] == ["d" * 64, "f" * 64]


def test_a_user_who_is_renamed_keeps_everything(each_store: SqlStore) -> None:
    with each_store.write() as unit:
        unit.people.add(USER)
        unit.people.add(a_user("bob", Role.VIEWER))
        unit.people.add_session(SESSION)
        unit.people.add_token(TOKEN)
        unit.people.rename("ada", "countess")
        assert unit.people.find_vouched("github", "583231") == replace(USER, name="countess")
        assert unit.people.session(SESSION.token_hash) == replace(SESSION, user="countess")
        assert unit.people.find_token(TOKEN.token_hash) == replace(TOKEN, user="countess")
        assert unit.people.find("ada") is None
        assert unit.people.find_vouched("proxy", "583231") is None
    with pytest.raises(Conflict), each_store.write() as unit:
        unit.people.rename("countess", "bob")
    with each_store.read() as unit:
        assert unit.people.find("countess") is not None


def test_a_random_key_is_made_up_once(each_store: SqlStore) -> None:
    with each_store.write() as unit:
        assert unit.people.secret("cookies", b"\x00\xff") == b"\x00\xff"
        assert unit.people.secret("cookies", b"other") == b"\x00\xff"
    with each_store.read() as unit:
        assert unit.people.secret("cookies", b"other") == b"\x00\xff"


def test_a_change_that_does_not_end_well_leaves_nothing(each_store: SqlStore) -> None:
    with pytest.raises(CallerError), each_store.write() as unit:
        unit.people.add(USER)
        raise CallerError("no")
    with each_store.read() as unit:
        assert unit.people.find("ada") is None


def test_a_preview_that_was_kept_before_there_were_whole_diffs_is_read():
    kept = {"resources": ["environment/a"], "running": ["1.0"], "diff": ODD, "failure": None}
    row = SimpleNamespace(template=TEMPLATE, major=3, minor=6, at=NOON, groups=[kept])
    assert preview_of(row).groups == (PreviewGroup(("environment/a",), ("1.0",), ODD),)


def test_tokens_are_listed_by_age_note_their_use_and_go_with_their_user(each_store: SqlStore) -> None:
    with each_store.write() as unit:
        unit.people.add(USER)
        unit.people.add(a_user("bob", Role.VIEWER))
        unit.people.add_token(replace(TOKEN, id="young", token_hash="d" * 64, created_at=LATER))
        unit.people.add_token(TOKEN)
        unit.people.add_token(replace(TOKEN, id="bob's", token_hash="c" * 64, user="bob"))
        assert [token.id for token in unit.people.tokens("ada")] == [TOKEN.id, "young"]
        assert len(unit.people.tokens()) == 3
        unit.people.note_token_used("young", LATER)
        assert [token.used_at for token in unit.people.tokens("ada")] == [NOON, LATER]
        unit.people.remove_token("young")
        assert [token.id for token in unit.people.tokens("ada")] == [TOKEN.id]
        unit.people.remove("ada")
        assert unit.people.find_token(TOKEN.token_hash) is None


def test_lists_go_on_behind_what_was_seen_last(any_store):
    resource = an_environment("test", "1.0")
    ids = [f"00000000-0000-4000-8000-00000000000{number}" for number in range(3)]
    deliveries = [
        Delivery(f"d-{number}", "push", NOON, DeliveryStatus.RECEIVED, sources=(SOURCE.name,)) for number in range(3)
    ]
    with any_store.write() as unit:
        unit.sources.add(SOURCE)
        unit.fleet.add(resource)
        for deployment_id in ids:
            unit.deployments.add(a_deployment(resource, "1.0", deployment_id, status=DeploymentStatus.FAILED))
        for delivery in deliveries:
            unit.deliveries.save(delivery)
    with any_store.read() as unit:
        assert [each.id for each in unit.deployments.recent(5, before=ids[2])] == [ids[1], ids[0]]
        assert [each.id for each in unit.deployments.recent(5, None, resource.key, ids[1])] == [ids[0]]
        assert unit.deployments.recent(5, None, environment_key("other")) == ()
        for source in (None, SOURCE.name):
            found = unit.deliveries.recent(5, source, before=(NOON, "d-2"))
            assert [each.id for each in found] == ["d-1", "d-0"]
            assert unit.deliveries.recent(5, source, before=(NOON - timedelta(seconds=1), "d-2")) == ()
        for book in (unit.deployments, unit.rollouts):
            with pytest.raises(NotFound):
                book.recent(5, before=ids[0].replace("0", "f"))
