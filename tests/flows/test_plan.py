"""What an update would change is worked out before, and what was approved is what runs."""

from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from tests.builders import ADMIN, DEVELOPER, ENVIRONMENT_SPEC, VIEWER
from tests.flows.given import environment_bundle, registered
from tests.flows.stacks import CHANGED, ROUTING, Killed, Stacks, fail_with, work
from upkeep.domain.changesets import Proposal, ProposalState, Risk, StackChange
from upkeep.domain.deployments import DeploymentStatus, ProgressState
from upkeep.domain.errors import CallerError, Conflict, Forbidden, LostLease, StalledError, TransientError
from upkeep.domain.names import TemplateName, Version, environment_key
from upkeep.domain.notices import Routing
from upkeep.domain.plans import Plan, digest_of, same_changes
from upkeep.domain.policies import Policies
from upkeep.domain.stateful import endangered
from upkeep.domain.work import WorkKind
from upkeep.flows import deploy, enroll, plan, preview, review, settle
from upkeep.flows.foresee import WITHIN, foresee
from upkeep.worker.works import works

ENV, TEST = TemplateName("network-env"), environment_key("test")
SUCCEEDED = DeploymentStatus.SUCCEEDED
MINUTE = timedelta(minutes=1)
TABLE = StackChange("Modify", "Table", "AWS::DynamoDB::Table", "t-1", "True", ("Properties",), ("KeySchema",))


@dataclass
class Written:
    """A renderer that writes one text, which can be changed."""

    text: str = "Resources: {}"

    def check(self, template, part):
        return ()

    def render(self, template, namespace):
        return self.text

    def render_each(self, asked):
        return [self.text for _ in asked]


@pytest.fixture
def stacks():
    return Stacks()


@pytest.fixture
def running(any_store, stacks, now):
    """A store in which `test` runs 1.0, 1.1 is published and 1.2 a draft."""
    with any_store.write() as unit:
        for minor in (0, 1, 2):
            registered(unit, ENV, f"1.{minor}", environment_bundle(), now)
        publish(unit, 0, now)
        enroll.create_environment(unit, "test", ENV, ENVIRONMENT_SPEC, actor=DEVELOPER, now=now)
    work(any_store, stacks, now)
    with any_store.write() as unit:
        publish(unit, 1, now)
    for calls in (stacks.calls, stacks.executed, stacks.proposed):
        calls.clear()
    return any_store


def publish(unit, minor, now):
    review.publish(unit, ENV, Version(1, minor), seen_tree=None, note=None, routing=Routing(), actor=ADMIN, now=now)


def asked(store, now, **wanted):
    with store.write() as unit:
        return plan.ask(unit, TEST, **{"to": Version(1, 1), "inputs": None, "actor": DEVELOPER, "now": now, **wanted})


def looked_ahead(store, stacks, now, renderer=None):
    """Do what PLAN work is due."""
    while True:
        with store.write() as unit:
            claim = unit.work.claim([WorkKind.PLAN], now, MINUTE)
        if claim is None:
            return
        foresee(store, renderer or Written(), stacks, claim, now=now)


def planned(store, stacks, now, **wanted):
    made = asked(store, now, **wanted)
    looked_ahead(store, stacks, now)
    return found(store, made)


def found(store, made):
    with store.read() as unit:
        return unit.plans.find(made.id)


def approve(store, made, now, confirmed=()):
    with store.write() as unit:
        return deploy.update(unit, TEST, plan=made.id, confirmed=confirmed, actor=DEVELOPER, now=now)


def settled(store, stacks, deployment, now, renderer=None):
    """Do what DEPLOY work is due, until the deployment has ended."""
    for turn in range(20):
        at = now + MINUTE * turn
        with store.write() as unit:
            claim = unit.work.claim([WorkKind.DEPLOY], at, MINUTE)
        if claim is not None:
            settle.settle(store, renderer or Written(), stacks, claim, routing=ROUTING, now=at)
        with store.read() as unit:
            ended = unit.deployments.get(deployment.id)
        if not ended.status.under_way:
            return ended
    raise AssertionError("it has not ended")


def test_a_plan_shows_the_changes_of_a_change_set_that_is_discarded_unexecuted(running, stacks, now):
    made = planned(running, stacks, now)
    assert made.usable
    assert made.made_at == now
    assert made.changes == (CHANGED,)
    assert made.risk is Risk.REPLACES
    assert (stacks.executed, stacks.discarded) == ({}, [made.handle])
    (request,) = stacks.proposed.values()
    assert (request.template_body, request.tags["upkeep:version"]) == ("Resources: {}", "1.1")
    with running.read() as unit:
        assert not [row for row in unit.work.list(9) if row.kind is WorkKind.PLAN]
        assert unit.fleet.get(TEST).version == Version(1, 0)


def test_what_was_approved_is_what_runs(running, stacks, now):
    made = planned(running, stacks, now, inputs={"cidr": "10.7.0.0/16"})
    deployment = approve(running, made, now)
    ended = settled(running, stacks, deployment, now)
    assert ended.status is DeploymentStatus.SUCCEEDED
    assert (ended.target.version, ended.target.inputs) == (Version(1, 1), {"cidr": "10.7.0.0/16"})
    assert stacks.executed[deployment.id].template_body == "Resources: {}"
    with running.read() as unit:
        assert unit.plans.approved_by(deployment.id).id == made.id


def test_a_resource_is_known_to_be_replaced_from_its_plan_until_it_is_deployed(running, stacks, now):
    def replaces():
        with running.read() as unit:
            return unit.fleet.get(TEST).replaces

    assert not replaces()
    made = planned(running, stacks, now)
    assert replaces()
    approve(running, made, now)
    assert not replaces()


def test_a_plan_that_is_not_for_the_version_it_is_due_for_says_nothing_of_its_update(running, stacks, now):
    planned(running, stacks, now, to=Version(1, 0), inputs={"cidr": "10.7.0.0/16"})
    with running.read() as unit:
        assert not unit.fleet.get(TEST).replaces


def test_a_plan_is_approved_once(running, stacks, now):
    made = planned(running, stacks, now)
    settled(running, stacks, approve(running, made, now), now)
    with pytest.raises(Conflict, match="approved before"):
        approve(running, made, now)


def test_a_plan_that_is_not_worked_out_cannot_be_approved(running, now):
    with pytest.raises(Conflict, match="still being worked out"):
        approve(running, asked(running, now), now)


@pytest.mark.parametrize("change", [{"inputs": {"cidr": "10.8.0.0/16"}}, {"stack": "another"}, {"tags": {"team": "x"}}])
def test_what_moved_since_is_worked_out_anew_with_what_was_typed(running, stacks, now, change):
    made = planned(running, stacks, now, inputs={"cidr": "10.7.0.0/16"})
    with running.write() as unit:
        assert plan.again(unit, made.id, actor=DEVELOPER, now=now) is None
        unit.fleet.save(replace(unit.fleet.get(TEST), **change))
    with pytest.raises(Conflict, match="has changed since"):
        approve(running, made, now)
    with running.write() as unit:
        fresh = plan.again(unit, made.id, actor=DEVELOPER, now=now)
    assert (fresh.inputs, fresh.version, fresh.made_at) == (made.inputs, made.version, None)
    looked_ahead(running, stacks, now)
    assert approve(running, fresh, now).target.inputs == {"cidr": "10.7.0.0/16"}


def test_a_deployment_in_between_makes_a_plan_stale(running, stacks, now):
    made = planned(running, stacks, now)
    with running.write() as unit:
        other = deploy.update(unit, TEST, to=Version(1, 0), actor=DEVELOPER, now=now)
    settled(running, stacks, other, now)
    with pytest.raises(Conflict, match="has changed since"):
        approve(running, made, now)


def test_a_template_that_renders_otherwise_is_not_deployed(running, stacks, now):
    deployment = approve(running, planned(running, stacks, now), now)
    ended = settled(running, stacks, deployment, now, Written("Resources: {Other: {}}"))
    assert ended.status is DeploymentStatus.FAILED
    assert "not what was approved" in ended.message
    assert "Nothing was changed" in ended.message
    assert stacks.executed == {}


def test_what_is_retried_is_still_what_was_approved(running, stacks, now):
    deployment = approve(running, planned(running, stacks, now), now)
    settled(running, stacks, deployment, now, Written("Resources: {Other: {}}"))
    for text, status in (("Resources: {Other: {}}", DeploymentStatus.FAILED), ("Resources: {}", SUCCEEDED)):
        with running.write() as unit:
            deployment = deploy.retry(unit, deployment.id, actor=DEVELOPER, now=now)
        assert settled(running, stacks, deployment, now, Written(text)).status is status
    assert list(stacks.executed) == [deployment.id]


def test_a_change_set_that_says_otherwise_is_not_executed(running, stacks, now):
    deployment = approve(running, planned(running, stacks, now), now)
    stacks.proposes = Proposal(ProposalState.READY, (CHANGED, TABLE))
    ended = settled(running, stacks, deployment, now)
    assert ended.status is DeploymentStatus.FAILED
    assert "not what was approved" in ended.message
    assert stacks.executed == {}
    assert len(stacks.discarded) == 2


def test_replacing_something_stateful_asks_for_its_name(running, stacks, now):
    stacks.proposes = Proposal(ProposalState.READY, (CHANGED, TABLE))
    made = planned(running, stacks, now)
    for confirmed in ((), ("Network",), ("table",)):
        with pytest.raises(CallerError, match="Table"):
            approve(running, made, now, confirmed)
    assert settled(running, stacks, approve(running, made, now, ["Table"]), now).status is DeploymentStatus.SUCCEEDED


def test_a_worker_that_dies_after_proposing_leaves_a_plan_that_another_finishes(running, stacks, now):
    made = asked(running, now)
    stacks.after["propose"] = fail_with(Killed())
    with pytest.raises(Killed):
        looked_ahead(running, stacks, now)
    del stacks.after["propose"]
    looked_ahead(running, stacks, now + 2 * MINUTE, Written("rendered anew"))
    assert found(running, made).usable
    (request,) = stacks.proposed.values()
    assert request.template_body == "Resources: {}"


def test_a_worker_that_lost_its_lease_writes_nothing(running, stacks, now):
    made = asked(running, now)
    with running.write() as unit:
        claim = unit.work.claim([WorkKind.PLAN], now, MINUTE)
    with running.write() as unit:
        unit.work.claim([WorkKind.PLAN], now + 2 * MINUTE, MINUTE)
    with pytest.raises(LostLease):
        foresee(running, Written(), stacks, claim, now=now)
    assert found(running, made).digest is None


def test_a_change_set_that_takes_its_time_is_looked_at_again(running, stacks, now):
    ready, stacks.proposes = stacks.proposes, Proposal(ProposalState.WORKING)
    made = asked(running, now)
    looked_ahead(running, stacks, now)
    assert found(running, made).made_at is None
    stacks.proposes = ready
    looked_ahead(running, stacks, now + MINUTE)
    assert found(running, made).usable


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (StalledError("access denied", cure="give the role that permission"), "access denied"),
        (CallerError("the template is no template"), "no template"),
        (Conflict("the change set is gone"), "gone"),
    ],
)
def test_what_cannot_be_worked_out_says_why_and_is_not_approved(running, stacks, now, fault, said):
    stacks.before["proposal"] = fail_with(fault)
    made = planned(running, stacks, now)
    assert said in made.failure
    with pytest.raises(CallerError, match=said):
        approve(running, made, now)


def test_an_outage_is_waited_out_but_not_for_ever(running, stacks, now):
    made = asked(running, now)
    stacks.before["propose"] = fail_with(TransientError("AWS answered 500"))
    with pytest.raises(TransientError):
        looked_ahead(running, stacks, now)
    looked_ahead(running, stacks, now + WITHIN)
    assert "AWS answered 500" in found(running, made).failure


def test_a_refused_change_set_is_told_and_not_approved(running, stacks, now):
    stacks.proposes = Proposal(ProposalState.FAILED, reason="Template format error")
    made = planned(running, stacks, now)
    assert (made.failure, made.risk) == ("Template format error", Risk.NOT_CHECKED)
    with pytest.raises(CallerError, match="Template format error"):
        approve(running, made, now)


def test_a_plan_is_refused_as_the_update_would_be(running, stacks, now):
    with pytest.raises(Forbidden):
        asked(running, now, actor=VIEWER)
    with pytest.raises(Forbidden):
        asked(running, now, to=Version(1, 2))
    with pytest.raises(CallerError):
        asked(running, now, inputs={"cidr": 5})
    with running.write() as unit:
        deploy.update(unit, TEST, actor=DEVELOPER, now=now)
    with pytest.raises(Conflict, match="under way"):
        asked(running, now)


def test_a_draft_is_planned_for_everything_on_its_major(running, stacks, now):
    with running.write() as unit:
        assert plan.ask_for_draft(unit, ENV, Version(1, 2), "ada", now) == 1
        assert plan.ask_for_draft(unit, ENV, Version(1, 2), "ada", now) == 0
        with pytest.raises(Conflict, match="not a draft"):
            plan.check_draft(unit, ENV, Version(1, 1), actor=ADMIN, now=now)
        with pytest.raises(Forbidden):
            plan.check_draft(unit, ENV, Version(1, 2), actor=DEVELOPER, now=now)
    looked_ahead(running, stacks, now)
    with running.write() as unit:
        (made,) = unit.plans.latest(ENV, Version(1, 2)).values()
        assert (made.resource, made.risk, plan.moved(unit, made)) == (TEST, Risk.REPLACES, False)
        assert plan.replaced_by(unit, ENV, Version(1, 2)) == (made,)
        assert plan.ask_for_draft(unit, ENV, Version(1, 2), "ada", now, only_moved=True) == 0
        unit.fleet.save(replace(unit.fleet.get(TEST), inputs={"cidr": "10.8.0.0/16"}))
        assert plan.moved(unit, made)
        assert plan.replaced_by(unit, ENV, Version(1, 2)) == ()
        assert plan.ask_for_draft(unit, ENV, Version(1, 2), "ada", now, only_moved=True) == 1
        assert len(unit.plans.latest(ENV, Version(1, 2))) == 1
        assert unit.plans.find(made.id) is None


def test_every_field_of_a_plan_comes_back_as_it_was_kept(any_store, now):
    whole = Plan(
        id="p-1",
        resource=TEST,
        template=ENV,
        version=Version(1, 1),
        inputs={"cidr": "10.0.0.0/16", "zones": ["a"]},
        asked_by="ada",
        asked_at=now,
        digest=digest_of(["facts"]),
        handle="a handle",
        proposal=Proposal(ProposalState.READY, (CHANGED, TABLE), "why", "the stack"),
        failure="a failure",
        made_at=now + MINUTE,
        deployment="d-1",
    )
    bare = Plan("p-2", TEST, ENV, Version(1, 1), {}, "ada", now)
    with any_store.write() as unit:
        for one in (whole, bare):
            unit.plans.add(one)
        unit.plans.keep_rendered("p-1", "text")
    with any_store.read() as unit:
        assert [unit.plans.find("p-1"), unit.plans.find("p-2"), unit.plans.find("p-3")] == [whole, bare, None]
        assert (unit.plans.rendered("p-1"), unit.plans.rendered("p-2")) == ("text", None)
        assert unit.plans.approved_by("d-1") == whole


def test_the_order_of_changes_and_of_mappings_does_not_matter():
    one = Proposal(ProposalState.READY, (CHANGED, TABLE))
    assert same_changes(one, Proposal(ProposalState.READY, (TABLE, CHANGED)))
    assert not same_changes(one, Proposal(ProposalState.READY, (CHANGED, replace(TABLE, replacement="False"))))
    assert not same_changes(Proposal(ProposalState.READY), Proposal(ProposalState.EMPTY))
    assert digest_of({"a": 1, "b": 2}) == digest_of({"b": 2, "a": 1}) != digest_of({"a": 1, "b": 3})


def test_only_what_holds_data_and_may_be_replaced_is_named():
    changes = (CHANGED, TABLE, replace(TABLE, replacement="False"), StackChange("Remove", "Old", "AWS::S3::Bucket"))
    assert [change.logical_id for change in endangered(changes)] == ["Table", "Old"]
    assert endangered([StackChange("Add", "New", "AWS::S3::Bucket")]) == ()


def test_an_update_without_a_plan_is_settled_as_ever(running, stacks, now):
    with running.write() as unit:
        deployment = deploy.update(unit, TEST, actor=DEVELOPER, now=now)
    stacks.answer = ProgressState.SUCCEEDED
    assert work(running, stacks, now) < 20
    with running.read() as unit:
        assert unit.deployments.get(deployment.id).status is DeploymentStatus.SUCCEEDED


def test_a_draft_that_replaces_something_is_published_once_that_is_acknowledged(running, stacks, now):
    with running.write() as unit:
        plan.check_draft(unit, ENV, Version(1, 2), actor=ADMIN, now=now)
    looked_ahead(running, stacks, now)
    wanted = {"seen_tree": None, "note": None, "routing": Routing(), "actor": ADMIN, "now": now}
    with running.write() as unit:
        with pytest.raises(Conflict, match="would replace Network of test"):
            review.publish(unit, ENV, Version(1, 2), acknowledged=False, **wanted)
        assert review.publish(unit, ENV, Version(1, 2), acknowledged=True, **wanted).recommended == Version(1, 2)


def test_a_preview_can_come_with_change_sets(running, stacks, now):
    with running.write() as unit:
        preview.ask_for_drafts(unit, ENV, 1, now)

    def work_on(kind, change_sets):
        done = works(
            running,
            None,
            Written(),
            stacks,
            None,
            None,
            routing=ROUTING,
            terms=settle.Terms(),
            policies=Policies(),
            clock=lambda: now,
            change_sets=change_sets,
        )
        with running.write() as unit:
            claim = unit.work.claim([kind], now, MINUTE)
        if claim is not None:
            done[kind](claim)

    work_on(WorkKind.PREVIEW, change_sets=False)
    with running.write() as unit:
        assert unit.plans.latest(ENV, Version(1, 2)) == {}
        preview.ask_for_drafts(unit, ENV, 1, now)
    work_on(WorkKind.PREVIEW, change_sets=True)
    work_on(WorkKind.PLAN, change_sets=True)
    with running.read() as unit:
        (made,) = unit.plans.latest(ENV, Version(1, 2)).values()
    assert made.changes == (CHANGED,)
