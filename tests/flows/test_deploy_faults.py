"""What becomes of a deployment when workers are killed and AWS does not answer as one would like."""

from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.builders import ADMIN, DEVELOPER, ENVIRONMENT_SPEC
from tests.flows.given import environment_bundle, registered
from tests.flows.stacks import ROUTING, DyingStore, Killed, Stacks, Texts, fail_with, work
from upkeep.domain.changesets import Proposal, ProposalState, StackChange, StackEvent
from upkeep.domain.deployments import DeploymentStatus, Phase, ProgressState
from upkeep.domain.errors import CallerError, Conflict, LostLease, NotFound, StalledError, TransientError
from upkeep.domain.names import TemplateName, Version, environment_key
from upkeep.domain.notices import Routing
from upkeep.domain.sources import Stall
from upkeep.domain.work import WorkKind
from upkeep.flows import deploy, enroll, review, settle

ENV, TEST = TemplateName("network-env"), environment_key("test")
GONE = StalledError("the stack of test is gone", cure="forget test with `upkeep environment forget test`")
DENIED = StalledError("access denied to cloudformation:DescribeStacks", cure="give the role that permission")
THROTTLED = TransientError("AWS throttles us: Rate exceeded", retry_after=timedelta(seconds=5))
BROKEN = TransientError("AWS answered 500")


@pytest.fixture
def stacks(now):
    return Stacks(events=(StackEvent("e-1", now, "Network", "AWS::EC2::VPC", "UPDATE_COMPLETE"),))


@pytest.fixture
def running(any_store, stacks, now):
    """A store in which `test` runs 1.0 and could be updated to 1.1."""
    with any_store.write() as unit:
        for minor in (0, 1):
            registered(unit, ENV, f"1.{minor}", environment_bundle(), now)
        publish(unit, 0, now)
        enroll.create_environment(unit, "test", ENV, ENVIRONMENT_SPEC, actor=DEVELOPER, now=now)
    work(any_store, stacks, now)
    with any_store.write() as unit:
        publish(unit, 1, now)
    stacks.calls.clear()
    stacks.executed.clear()
    stacks.proposed.clear()
    return any_store


@pytest.fixture
def empty(any_store, now):
    """A store in which nothing runs yet."""
    with any_store.write() as unit:
        registered(unit, ENV, "1.0", environment_bundle(), now)
        publish(unit, 0, now)
    return any_store


def publish(unit, minor, now):
    review.publish(unit, ENV, Version(1, minor), seen_tree=None, note=None, routing=Routing(), actor=ADMIN, now=now)


def ask_update(store, now, **wanted):
    with store.write() as unit:
        return deploy.update(unit, TEST, actor=DEVELOPER, now=now, **wanted)


def ask_create(store, now):
    with store.write() as unit:
        return enroll.create_environment(unit, "test", ENV, ENVIRONMENT_SPEC, actor=DEVELOPER, now=now)


def found(store, asked):
    with store.read() as unit:
        return unit.deployments.get(asked.id)


def environment(store):
    with store.read() as unit:
        return unit.fleet.get(TEST)


def claimed(store, at):
    with store.write() as unit:
        return unit.work.claim([WorkKind.DEPLOY], at, timedelta(minutes=1))


def once(store, stacks, at, renderer=None, terms=None):
    """One worker, one claim."""
    claim = claimed(store, at)
    assert claim is not None
    settle.settle(store, renderer or Texts(), stacks, claim, routing=ROUTING, now=at, terms=terms)


def killed(store, stacks, at, dying=None, renderer=None):
    """A worker that does not live to the end of its work; its lease runs out a minute later."""
    claim = claimed(store, at)
    with pytest.raises(Killed):
        settle.settle(dying or store, renderer or Texts(), stacks, claim, routing=ROUTING, now=at)
    stacks.before.clear()
    stacks.after.clear()
    return at + timedelta(minutes=2)


def told(store, kind):
    with store.read() as unit:
        return [entry for entry in unit.journal.entries(50, kind=kind) if entry.subject == str(TEST)]


def no_work_left(store):
    with store.read() as unit:
        return not [due for due in unit.work.list(10) if due.kind is WorkKind.DEPLOY]


CALLS = ("propose", "proposal", "execute", "observe")
WRITES = ("begun", "executed", "settled")
POINTS = [
    *((f"{when} {call}", call, when) for call in CALLS for when in ("before", "after")),
    *((f"{when} the row that says {name} was written", turn, when)
      for turn, name in enumerate(WRITES, 1) for when in ("before", "after")),
]  # fmt: skip


@pytest.mark.parametrize(("where", "when"), [point[1:] for point in POINTS], ids=[point[0] for point in POINTS])
def test_an_update_whose_worker_is_killed_is_done_once_by_the_next(running, stacks, now, where, when):
    asked = ask_update(running, now)
    dying = None
    if isinstance(where, str):
        getattr(stacks, when)[where] = fail_with(Killed())
    else:
        dying = DyingStore(running, where, committed=when == "after")
    later = killed(running, stacks, now, dying)
    work(running, stacks, later)
    ended, resource = found(running, asked), environment(running)
    assert (ended.status, str(resource.version)) == (DeploymentStatus.SUCCEEDED, "1.1")
    assert list(stacks.executed) == [asked.id]
    assert list(stacks.proposed) == [f"update/{asked.id}"]
    assert len(told(running, "deployment_settled")) == 2  # the creation, and this
    with running.read() as unit:
        assert unit.deployments.stack_events(asked.id, 9) == stacks.events
        assert unit.deployments.proposal(asked.id) == stacks.proposes
        assert len([owed for owed in unit.outbox.unsent("platform", 10) if asked.id in owed.notice.key]) == 1
    assert no_work_left(running)


@pytest.mark.parametrize("call", CALLS)
def test_a_worker_that_slept_through_its_lease_writes_nothing_over_its_successor(running, stacks, now, call):
    asked = ask_update(running, now)
    claim = claimed(running, now)

    successors = []

    def sleep():
        stacks.after.clear()
        work(running, stacks, now + timedelta(minutes=2))
        successors.append(found(running, asked))

    stacks.after[call] = sleep
    with pytest.raises(LostLease):
        settle.settle(running, Texts(), stacks, claim, routing=ROUTING, now=now)
    assert [found(running, asked)] == successors
    assert successors[0].status is DeploymentStatus.SUCCEEDED
    assert stacks.calls.count("execute") == (2 if call in ("execute", "observe") else 1)
    assert list(stacks.executed) == [asked.id]
    assert len(told(running, "deployment_settled")) == 2


def test_a_worker_killed_while_it_renders_has_done_nothing(running, stacks, now):
    class Dying(Texts):
        def render(self, template, namespace):
            raise Killed

    asked = ask_update(running, now)
    later = killed(running, stacks, now, renderer=Dying())
    assert (found(running, asked).begun_at, stacks.calls) == (None, [])
    work(running, stacks, later)
    assert found(running, asked).status is DeploymentStatus.SUCCEEDED


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("call", ["propose", "discard"])
def test_a_cancelled_update_whose_worker_is_killed_is_never_executed(running, stacks, now, call, when):
    asked = ask_update(running, now)
    stacks.proposes = Proposal(ProposalState.WORKING)
    once(running, stacks, now) if call == "discard" else killed_at(running, stacks, now, "propose", when)
    with running.write() as unit:
        cancelling = deploy.cancel(unit, asked.id, actor=DEVELOPER, now=now)
    assert cancelling.status is DeploymentStatus.CANCELLING
    later = now + timedelta(minutes=2)
    if call == "discard":
        getattr(stacks, when)["discard"] = fail_with(Killed())
        later = killed(running, stacks, later)
    work(running, stacks, later)
    assert found(running, asked).status is DeploymentStatus.CANCELLED
    assert (stacks.executed, set(stacks.discarded)) == ({}, {f"update/{asked.id}"})
    assert (str(environment(running).version), environment(running).status) == ("1.0", DeploymentStatus.CANCELLED)


def killed_at(store, stacks, now, call, when):
    getattr(stacks, when)[call] = fail_with(Killed())
    return killed(store, stacks, now)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("fault", [THROTTLED, BROKEN], ids=["throttled", "500"])
def test_what_may_work_later_is_said_and_tried_again_without_doing_anything_twice(running, stacks, now, call, fault):
    asked = ask_update(running, now)
    stacks.before[call] = fail_with(fault)
    with pytest.raises(TransientError, match=fault.message):
        once(running, stacks, now)
    waiting = found(running, asked)
    assert (waiting.status, waiting.message) == (DeploymentStatus.IN_PROGRESS, f"is tried again: {fault.message}")
    stacks.before.clear()
    work(running, stacks, now + timedelta(minutes=2))
    assert (found(running, asked).status, found(running, asked).message) == (DeploymentStatus.SUCCEEDED, None)
    assert list(stacks.executed) == [asked.id]


def test_a_slow_stack_is_looked_at_ever_more_seldom_until_it_has_ended(running, stacks, now):
    asked = ask_update(running, now)
    stacks.answer = ProgressState.RUNNING
    at, looks = now, 0
    while at < now + timedelta(minutes=10):
        once(running, stacks, at)
        looks += 1
        with running.read() as unit:
            at = next(due.due_at for due in unit.work.list(10) if due.kind is WorkKind.DEPLOY)
    assert found(running, asked).phase is Phase.EXECUTING
    assert 30 < looks < 60
    stacks.answer = ProgressState.SUCCEEDED
    once(running, stacks, at)
    assert found(running, asked).status is DeploymentStatus.SUCCEEDED


@pytest.mark.parametrize("call", CALLS)
def test_access_denied_stalls_the_deployment_until_a_person_put_it_right(running, stacks, now, call):
    asked = ask_update(running, now)
    stacks.before[call] = fail_with(DENIED)
    work(running, stacks, now)
    stalled = found(running, asked)
    assert (stalled.status, stalled.phase) == (DeploymentStatus.IN_PROGRESS, Phase.STALLED)
    assert (stalled.stall.reason, stalled.stall.cure) == (DENIED.message, DENIED.cure)
    assert no_work_left(running)
    with running.read() as unit:
        (owed,) = unit.outbox.unsent("operators", 10)
    assert (owed.notice.headline, owed.notice.lines[1]) == (
        "The deployment of test waits for a person",
        f"To mend it: {DENIED.cure}",
    )
    with pytest.raises(Conflict, match="waits for a person: access denied"):
        ask_update(running, now)
    stacks.before.clear()
    with running.write() as unit:
        assert deploy.retry(unit, asked.id, actor=DEVELOPER, now=now).id == asked.id
    work(running, stacks, now)
    assert found(running, asked).status is DeploymentStatus.SUCCEEDED
    assert list(stacks.executed) == [asked.id]
    assert len(told(running, "deployment_stalled")) == len(told(running, "deployment_resumed")) == 1


def test_who_retries_what_stalled_before_it_began_in_the_middle_of_a_look_is_heard(running, stacks, now):
    asked = ask_update(running, now)
    with running.write() as unit:
        unit.deployments.save(replace(asked, stall=Stall(DENIED.message, DENIED.cure, now)))
    claim = claimed(running, now)

    class Retried:
        """The store of a worker, whose looks are followed by a person who retries."""

        write = running.write

        @contextmanager
        def read(self):
            with running.read() as unit:
                yield unit
            with running.write() as unit:
                deploy.retry(unit, asked.id, actor=DEVELOPER, now=now)

    settle.settle(Retried(), Texts(), stacks, claim, routing=ROUTING, now=now)
    assert found(running, asked).begun_at is None
    work(running, stacks, now)
    assert found(running, asked).status is DeploymentStatus.SUCCEEDED
    with running.read() as unit:
        assert unit.deployments.rendered(asked.id)


def test_a_refused_look_at_the_stack_ends_nothing(running, stacks, now):
    asked = ask_update(running, now)
    stacks.before["observe"] = fail_with(CallerError("ValidationError: stack name is too long"))
    work(running, stacks, now)
    assert found(running, asked).stall.reason == "ValidationError: stack name is too long"


def test_an_execution_that_is_refused_fails_with_its_sentence(running, stacks, now):
    asked = ask_update(running, now)
    stacks.before["execute"] = fail_with(CallerError("ValidationError: no such bucket", cure="name another"))
    work(running, stacks, now)
    assert found(running, asked).status is DeploymentStatus.FAILED
    assert found(running, asked).message == "ValidationError: no such bucket (name another)"


@pytest.mark.parametrize("call", ["proposal", "execute"])
def test_when_the_stack_has_moved_since_it_is_proposed_anew_and_shown(running, stacks, now, call):
    asked = ask_update(running, now)
    stacks.before[call] = fail_with(Conflict("the change set is obsolete", cure="propose it anew"))
    once(running, stacks, now)
    again = found(running, asked)
    assert (again.phase, again.executed_at, stacks.executed) == (Phase.PROPOSING, None, {})
    stacks.before.clear()
    stacks.proposes = Proposal(ProposalState.READY, (StackChange("Add", "Log", "AWS::Logs::LogGroup"),))
    work(running, stacks, now + timedelta(minutes=1))
    assert found(running, asked).status is DeploymentStatus.SUCCEEDED
    with running.read() as unit:
        assert unit.deployments.proposal(asked.id) == stacks.proposes


def test_when_no_updates_are_to_be_performed_it_has_succeeded_without_being_executed(running, stacks, now):
    asked = ask_update(running, now)
    stacks.proposes = Proposal(ProposalState.EMPTY)
    stacks.outputs = {"NetworkId": "vpc-1", "New": "read"}
    work(running, stacks, now)
    ended = found(running, asked)
    assert (ended.status, ended.message) == (DeploymentStatus.SUCCEEDED, "nothing had to change in the stack")
    assert (stacks.executed, ended.executed_at) == ({}, None)
    assert stacks.calls.index("observe") < stacks.calls.index("discard")
    assert stacks.discarded == [f"update/{asked.id}"]
    assert (str(environment(running).version), environment(running).outputs) == ("1.1", stacks.outputs)


def test_when_nothing_changes_in_a_stack_that_was_rolled_back_before_its_outputs_stay(running, stacks, now):
    ask_update(running, now)
    stacks.proposes, stacks.answer = Proposal(ProposalState.EMPTY), ProgressState.FAILED
    work(running, stacks, now)
    resource = environment(running)
    assert (resource.status, resource.outputs) == (DeploymentStatus.SUCCEEDED, {"NetworkId": "vpc-1"})


def test_a_change_set_that_fails_is_the_reason_and_nothing_is_executed(running, stacks, now):
    asked = ask_update(running, now)
    stacks.proposes = Proposal(ProposalState.FAILED, reason="Template error: resource Netwrok does not exist")
    work(running, stacks, now)
    ended = found(running, asked)
    assert (ended.status, ended.message) == (
        DeploymentStatus.FAILED,
        "Template error: resource Netwrok does not exist",
    )
    assert (stacks.executed, stacks.discarded) == ({}, [f"update/{asked.id}"])


def test_a_stack_that_is_gone_stalls_and_can_be_forgotten(running, stacks, now):
    asked = ask_update(running, now)
    stacks.before["observe"] = fail_with(GONE)
    work(running, stacks, now)
    assert found(running, asked).stall.reason == GONE.message
    with running.write() as unit:
        enroll.forget(unit, TEST, actor=DEVELOPER, now=now)
    ended = found(running, asked)
    assert (ended.status, ended.message) == (
        DeploymentStatus.CANCELLED,
        "test was forgotten by dev; the stack stays as it is",
    )
    with pytest.raises(NotFound):
        environment(running)
    (forgotten,) = told(running, "resource_forgotten")
    assert forgotten.facts["stack"] == "arn:aws:cloudformation:eu-west-1:123456789012:stack/test/1"


def test_an_update_that_was_rolled_back_says_which_stack_resource_failed_first_and_can_be_deployed_again(
    running, stacks, now
):
    asked = ask_update(running, now)
    stacks.answer, stacks.reason = ProgressState.FAILED, None
    stacks.events = tuple(
        StackEvent(f"f-{number}", now, name, "AWS::EC2::FlowLog", "CREATE_FAILED", reason)
        for number, (name, reason) in enumerate(
            [("Other", "Resource creation cancelled"), ("Log", "limit exceeded"), ("Late", "too")]
        )
    )
    work(running, stacks, now)
    ended = found(running, asked)
    assert (ended.status, ended.message, ended.stack_status) == (
        DeploymentStatus.FAILED,
        "Log (AWS::EC2::FlowLog) failed: limit exceeded",
        "UPDATE_ROLLBACK_COMPLETE",
    )
    stacks.answer = ProgressState.SUCCEEDED
    ask_update(running, now)
    work(running, stacks, now)
    assert str(environment(running).version) == "1.1"


def test_a_rollback_that_failed_waits_for_a_person_and_is_continued_to_its_end(running, stacks, now):
    asked = ask_update(running, now)
    stacks.answer, stacks.status, stacks.reason = ProgressState.FAILED, "UPDATE_ROLLBACK_FAILED", "Log is in use"
    work(running, stacks, now)
    stalled = found(running, asked)
    assert stalled.rollback_failed
    assert stalled.stall.reason == "the update failed and its rollback failed too: Log is in use"
    assert f"`upkeep deployment continue {asked.id}`" in stalled.stall.cure
    with pytest.raises(Conflict, match="UPDATE_ROLLBACK_FAILED"), running.write() as unit:
        deploy.retry(unit, asked.id, actor=DEVELOPER, now=now)
    with running.write() as unit:
        deploy.continue_rollback(unit, asked.id, actor=DEVELOPER, now=now)
    assert found(running, asked).phase is Phase.GOING_BACK
    stacks.answer, stacks.status = ProgressState.RUNNING, "UPDATE_ROLLBACK_IN_PROGRESS"
    stacks.after["continue_rollback"] = fail_with(Killed())
    later = killed(running, stacks, now)
    once(running, stacks, later)
    assert len(stacks.continued) == 2 and len(set(stacks.continued)) == 1
    stacks.answer, stacks.status = ProgressState.FAILED, "UPDATE_ROLLBACK_COMPLETE"
    work(running, stacks, later + timedelta(minutes=2))
    assert len(stacks.continued) == 2
    assert (found(running, asked).status, found(running, asked).message) == (DeploymentStatus.FAILED, "Log is in use")
    assert str(environment(running).version) == "1.0"


def test_only_a_failed_rollback_is_continued(running, stacks, now):
    asked = ask_update(running, now)
    with pytest.raises(Conflict, match="does not wait for a rollback"), running.write() as unit:
        deploy.continue_rollback(unit, asked.id, actor=DEVELOPER, now=now)


def test_after_the_deadline_the_waiting_ends_and_nothing_is_claimed_about_the_stack(running, stacks, now):
    asked = ask_update(running, now)
    stacks.answer = ProgressState.RUNNING
    once(running, stacks, now)
    late = now + settle.SETTLED_WITHIN
    once(running, stacks, late)
    stalled = found(running, asked)
    assert stalled.status is DeploymentStatus.IN_PROGRESS
    assert stalled.stall.reason == "the stack is still UPDATE_IN_PROGRESS after 6 h"
    with running.write() as unit:
        deploy.retry(unit, asked.id, actor=DEVELOPER, now=late)
    once(running, stacks, late)
    assert found(running, asked).deadline_at == late + settle.SETTLED_WITHIN
    stacks.answer = ProgressState.SUCCEEDED
    work(running, stacks, late + timedelta(minutes=1))
    assert found(running, asked).status is DeploymentStatus.SUCCEEDED


def test_an_outage_beyond_the_deadline_is_told_to_a_person(running, stacks, now):
    asked = ask_update(running, now)
    stacks.before["observe"] = fail_with(BROKEN)
    with pytest.raises(TransientError):
        once(running, stacks, now, terms=settle.Terms(settled_within=timedelta(hours=1)))
    once(running, stacks, now + timedelta(hours=1))
    assert found(running, asked).stall.reason == "until its deadline there was no answer: AWS answered 500"


# ------------------------------------------------------------------------------------------------- cancelling


@pytest.mark.parametrize(
    ("answer", "status", "becomes", "version"),
    [
        (ProgressState.FAILED, "UPDATE_ROLLBACK_COMPLETE", DeploymentStatus.CANCELLED, "1.0"),
        (ProgressState.SUCCEEDED, "UPDATE_COMPLETE", DeploymentStatus.SUCCEEDED, "1.1"),
        (ProgressState.FAILED, "UPDATE_FAILED", DeploymentStatus.FAILED, "1.0"),
    ],
)
def test_an_update_that_is_cancelled_while_it_runs_ends_as_its_stack_does(
    running, stacks, now, answer, status, becomes, version
):
    asked = ask_update(running, now)
    stacks.answer = ProgressState.RUNNING
    once(running, stacks, now)
    with running.write() as unit:
        deploy.cancel(unit, asked.id, actor=DEVELOPER, now=now)
    assert environment(running).status is DeploymentStatus.CANCELLING
    stacks.after["cancel"] = fail_with(Killed())
    later = killed(running, stacks, now + timedelta(minutes=1))
    once(running, stacks, later)
    assert found(running, asked).phase is Phase.GOING_BACK
    stacks.answer, stacks.status = answer, status
    work(running, stacks, later + timedelta(minutes=1))
    ended = found(running, asked)
    assert (ended.status, str(environment(running).version)) == (becomes, version)
    if becomes is DeploymentStatus.CANCELLED:
        assert ended.message == "cancelled by dev; the stack is as it was before"


def test_what_ended_before_it_could_be_cancelled_is_told_as_it_ended(running, stacks, now):
    asked = ask_update(running, now)
    stacks.answer = ProgressState.RUNNING
    once(running, stacks, now)
    with running.write() as unit:
        deploy.cancel(unit, asked.id, actor=DEVELOPER, now=now)
    stacks.answer = ProgressState.SUCCEEDED  # the provisioner refuses to cancel it
    work(running, stacks, now + timedelta(minutes=1))
    assert (found(running, asked).status, stacks.cancelled) == (DeploymentStatus.SUCCEEDED, [])


def test_a_person_who_cancels_while_the_change_set_is_looked_at_comes_first(running, stacks, now):
    asked = ask_update(running, now)

    def cancel():
        with running.write() as unit:
            deploy.cancel(unit, asked.id, actor=DEVELOPER, now=now)

    stacks.after["proposal"] = cancel
    work(running, stacks, now)
    assert (found(running, asked).status, stacks.executed) == (DeploymentStatus.CANCELLED, {})


def test_a_person_who_cancels_while_it_stalls_is_heard(running, stacks, now):
    asked = ask_update(running, now)

    def cancel_and_deny():
        stacks.before.clear()
        with running.write() as unit:
            deploy.cancel(unit, asked.id, actor=DEVELOPER, now=now)
        raise DENIED

    stacks.before["proposal"] = cancel_and_deny
    work(running, stacks, now)
    assert (found(running, asked).status, stacks.executed) == (DeploymentStatus.CANCELLED, {})


def test_what_stalled_before_it_could_be_proposed_is_cancelled_all_the_same(running, stacks, now):
    asked = ask_update(running, now)
    stacks.before["propose"] = fail_with(DENIED)
    work(running, stacks, now)
    with running.write() as unit:
        deploy.cancel(unit, asked.id, actor=DEVELOPER, now=now)
    work(running, stacks, now)
    assert (found(running, asked).status, found(running, asked).message) == (
        DeploymentStatus.CANCELLED,
        "cancelled by dev",
    )


def test_a_stalled_update_is_cancelled_by_going_back(running, stacks, now):
    asked = ask_update(running, now)
    stacks.answer = ProgressState.RUNNING
    stacks.after["observe"] = fail_with(DENIED)
    once(running, stacks, now)
    stacks.after.clear()
    with running.write() as unit:
        deploy.cancel(unit, asked.id, actor=DEVELOPER, now=now)
    stacks.answer, stacks.status = ProgressState.RUNNING, "UPDATE_ROLLBACK_IN_PROGRESS"
    once(running, stacks, now)
    assert stacks.cancelled == [f"update/{asked.id}"]


def test_a_creation_under_way_is_not_cancelled_but_one_that_is_only_proposed_is(empty, stacks, now):
    asked = ask_create(empty, now)
    stacks.proposes = Proposal(ProposalState.WORKING)
    once(empty, stacks, now)
    assert found(empty, asked).phase is Phase.PROPOSING
    with empty.write() as unit:
        deploy.cancel(unit, asked.id, actor=DEVELOPER, now=now)
    work(empty, stacks, now)
    assert found(empty, asked).status is DeploymentStatus.CANCELLED
    stacks.proposes = Proposal(ProposalState.READY, (StackChange("Add", "Network", "AWS::EC2::VPC"),))
    stacks.answer = ProgressState.RUNNING
    with empty.write() as unit:
        again = deploy.retry(unit, asked.id, actor=DEVELOPER, now=now)
    once(empty, stacks, now)
    with pytest.raises(Conflict, match="creates a stack, which cannot be cancelled"), empty.write() as unit:
        deploy.cancel(unit, again.id, actor=DEVELOPER, now=now)


# --------------------------------------------------------------------------------- what failed creations leave


def failed_creation(store, stacks, now):
    asked = ask_create(store, now)
    stacks.answer = ProgressState.FAILED
    work(store, stacks, now)
    stacks.answer = ProgressState.SUCCEEDED
    assert found(store, asked).stack_status == "ROLLBACK_COMPLETE"
    stacks.executed.clear()
    return asked


@pytest.mark.parametrize("how", ["retry", "update"])
def test_what_a_failed_creation_left_is_deleted_after_a_yes_and_created_anew(empty, stacks, now, how):
    before = failed_creation(empty, stacks, now)

    def again(**said):
        with empty.write() as unit:
            if how == "retry":
                return deploy.retry(unit, before.id, actor=DEVELOPER, now=now, **said)
            return deploy.update(unit, TEST, inputs={"cidr": "10.9.0.0/16"}, actor=DEVELOPER, now=now, **said)

    with pytest.raises(Conflict, match="left a stack that can only be deleted") as refused:
        again()
    assert "--recreate" in refused.value.cure
    asked = again(recreate=True)
    work(empty, stacks, now)
    clearing, creating = stacks.executed.values()
    assert (clearing.action, clearing.stack, clearing.deployment) == (
        "delete",
        found(empty, before).stack,
        f"{asked.id}-clear",
    )
    assert (creating.action, creating.stack) == ("create", None)
    assert stacks.calls.count("execute") == 3  # the failed creation, and each of these once
    assert (environment(empty).status, str(environment(empty).version)) == (DeploymentStatus.SUCCEEDED, "1.0")


@pytest.mark.parametrize(("call", "when"), [(c, w) for c in CALLS for w in ("before", "after")])
def test_a_recreation_whose_worker_is_killed_is_done_once_by_the_next(empty, stacks, now, call, when):
    before = failed_creation(empty, stacks, now)
    with empty.write() as unit:
        asked = deploy.retry(unit, before.id, recreate=True, actor=DEVELOPER, now=now)
    later = killed_at(empty, stacks, now, call, when)
    work(empty, stacks, later)
    assert list(stacks.executed) == [f"{asked.id}-clear", asked.id]
    assert found(empty, asked).status is DeploymentStatus.SUCCEEDED


def test_a_recreation_that_was_cancelled_before_it_began_still_needs_the_yes(empty, stacks, now):
    before = failed_creation(empty, stacks, now)
    with empty.write() as unit:
        asked = deploy.retry(unit, before.id, recreate=True, actor=DEVELOPER, now=now)
        deploy.cancel(unit, asked.id, actor=DEVELOPER, now=now)
    with pytest.raises(Conflict, match="left a stack"), empty.write() as unit:
        deploy.retry(unit, asked.id, actor=DEVELOPER, now=now)


def test_a_creation_whose_change_set_failed_is_simply_tried_again(empty, stacks, now):
    asked = ask_create(empty, now)
    stacks.proposes = Proposal(ProposalState.FAILED, reason="no such type")
    work(empty, stacks, now)
    stacks.proposes = Proposal(ProposalState.READY)
    with empty.write() as unit:
        deploy.retry(unit, asked.id, actor=DEVELOPER, now=now)
    work(empty, stacks, now)
    assert environment(empty).status is DeploymentStatus.SUCCEEDED


# --------------------------------------------------------------------------------------- deleting, forgetting


def test_a_deletion_that_failed_names_what_is_left_and_is_retried(running, stacks, now):
    with running.write() as unit:
        asked = enroll.delete_resource(unit, TEST, actor=DEVELOPER, now=now)
    stacks.answer, stacks.reason = ProgressState.FAILED, "The following resource(s) failed to delete: [Bucket]."
    stacks.events = (
        StackEvent("d-1", now, "Bucket", "AWS::S3::Bucket", "DELETE_FAILED", "the bucket is not empty"),
        StackEvent("d-2", now, "test", "AWS::CloudFormation::Stack", "DELETE_FAILED", "see above"),
    )
    work(running, stacks, now)
    ended = found(running, asked)
    assert (ended.status, ended.message) == (
        DeploymentStatus.DELETE_FAILED,
        "The following resource(s) failed to delete: [Bucket].; Bucket (AWS::S3::Bucket): the bucket is not empty",
    )
    stacks.answer = ProgressState.SUCCEEDED
    with running.write() as unit:
        deploy.retry(unit, asked.id, actor=DEVELOPER, now=now)
    work(running, stacks, now)
    with pytest.raises(NotFound):
        environment(running)
    assert "proposal" not in stacks.calls


@pytest.mark.parametrize("turn", range(1, len(WRITES) + 1))
def test_a_deletion_whose_worker_is_killed_is_done_once_by_the_next(running, stacks, now, turn):
    with running.write() as unit:
        asked = enroll.delete_resource(unit, TEST, actor=DEVELOPER, now=now)
    later = killed(running, stacks, now, DyingStore(running, turn, committed=False))
    work(running, stacks, later)
    assert found(running, asked).status is DeploymentStatus.DELETE_COMPLETE
    assert list(stacks.executed) == [asked.id]
    assert len(told(running, "resource_deleted")) == 1


def test_a_resource_is_not_forgotten_while_a_deployment_is_under_way(running, stacks, now):
    ask_update(running, now)
    with pytest.raises(Conflict, match="is under way"), running.write() as unit:
        enroll.forget(unit, TEST, actor=DEVELOPER, now=now)


# ---------------------------------------------------------------------------------------------- the way back


def test_the_way_back_takes_the_inputs_of_that_time(running, stacks, now):
    ask_update(running, now, inputs={"cidr": "10.9.0.0/16"})
    work(running, stacks, now)
    asked = ask_update(running, now, to=Version(1, 0), inputs_then=True)
    assert asked.target.inputs == {"cidr": "10.1.0.0/16"}
    work(running, stacks, now)
    assert (str(environment(running).version), environment(running).inputs) == ("1.0", {"cidr": "10.1.0.0/16"})


def test_inputs_of_then_need_a_version_it_ran_and_no_others(running, stacks, now):
    for wanted, said in (
        ({}, "of which version"),
        ({"to": Version(1, 1)}, "never ran 1.1"),
        ({"to": Version(1, 0), "inputs": {}}, "both"),
    ):
        with pytest.raises(CallerError, match=said):
            ask_update(running, now, inputs_then=True, **wanted)
