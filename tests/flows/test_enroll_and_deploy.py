from datetime import timedelta

import pytest

from tests.builders import ADMIN, DEVELOPER, ENVIRONMENT_SPEC, SERVICE_SPEC, VIEWER
from tests.flows.given import environment_bundle, registered, service_bundle
from tests.flows.stacks import ROUTING, Stacks, Texts, fail_with, work
from upkeep.domain.deployments import Action, DeploymentStatus, ProgressState, State
from upkeep.domain.errors import CallerError, Conflict, Forbidden, LostLease, NotFound, TransientError
from upkeep.domain.lag import Standing
from upkeep.domain.names import TemplateName, Version, environment_key, instance_key, pipeline_key
from upkeep.domain.notices import Routing
from upkeep.domain.resources import Placement, Repository
from upkeep.domain.specs import InstanceSpec
from upkeep.domain.versions import VersionState
from upkeep.domain.work import WorkKind
from upkeep.flows import deploy, enroll, review, settle
from upkeep.flows.compose import compose

ENV, SVC = TemplateName("network-env"), TemplateName("web-svc")
TEST, INSTANCE, PIPELINE = environment_key("test"), instance_key("checkout", "test"), pipeline_key("checkout")
TWO_INSTANCES = SERVICE_SPEC + '  - name: "prod"\n    environment: "test"\n    spec: {}\n'


@pytest.fixture
def stacks():
    return Stacks()


@pytest.fixture
def offered(store, now):
    """A store with both templates published at 1.0."""
    with store.write() as unit:
        registered(unit, ENV, "1.0", environment_bundle(), now)
        registered(unit, SVC, "1.0", service_bundle(), now)
        for name in (ENV, SVC):
            review.publish(
                unit, name, Version(1, 0), seen_tree=None, note=None, routing=Routing(), actor=ADMIN, now=now
            )
    return store


def with_environment(store, stacks, now):
    with store.write() as unit:
        enroll.create_environment(unit, "test", ENV, ENVIRONMENT_SPEC, actor=DEVELOPER, now=now)
    work(store, stacks, now)


def with_service(store, stacks, now, spec=SERVICE_SPEC):
    with_environment(store, stacks, now)
    with store.write() as unit:
        enroll.create_service(unit, "checkout", SVC, spec, actor=DEVELOPER, now=now)
    work(store, stacks, now)


def get(store, key):
    with store.read() as unit:
        return unit.fleet.get(key)


def publish_minor(store, now, minor=1):
    with store.write() as unit:
        registered(unit, ENV, f"1.{minor}", environment_bundle(), now)
        version = Version(1, minor)
        review.publish(unit, ENV, version, seen_tree=None, note=None, routing=Routing(), actor=ADMIN, now=now)


def test_an_environment_is_created_at_the_recommended_version(offered, stacks, now):
    with_environment(offered, stacks, now)
    resource = get(offered, TEST)
    assert (resource.status, str(resource.version)) == (DeploymentStatus.SUCCEEDED, "1.0")
    assert resource.inputs == {"cidr": "10.1.0.0/16"}
    assert resource.outputs == {"NetworkId": "vpc-1"}
    assert resource.lag.standing is Standing.UP_TO_DATE
    plan = next(iter(stacks.executed.values()))
    assert plan.tags == {
        "upkeep:resource": "environment/test",
        "upkeep:template": "network-env",
        "upkeep:version": "1.0",
        "proton:template": "arn:aws:proton:::environment-template/network-env",
        "proton:environment": "arn:aws:proton:::environment/test",
    }


def test_a_viewer_may_neither_create_nor_update(offered, stacks, now):
    with pytest.raises(Forbidden), offered.write() as unit:
        enroll.create_environment(unit, "test", ENV, ENVIRONMENT_SPEC, actor=VIEWER, now=now)
    with_environment(offered, stacks, now)
    with pytest.raises(Forbidden), offered.write() as unit:
        deploy.update(unit, TEST, actor=VIEWER, now=now)


def test_a_draft_is_deployed_by_admins_only(offered, now):
    with offered.write() as unit:
        registered(unit, ENV, "1.1", environment_bundle(), now)
    arguments = {"version": Version(1, 1), "now": now}
    with pytest.raises(Forbidden, match="is a draft"), offered.write() as unit:
        enroll.create_environment(unit, "test", ENV, ENVIRONMENT_SPEC, actor=DEVELOPER, **arguments)
    with offered.write() as unit:
        enroll.create_environment(unit, "test", ENV, ENVIRONMENT_SPEC, actor=ADMIN, **arguments)


def test_without_a_published_version_nothing_is_created(store, now):
    with store.write() as unit:
        registered(unit, ENV, "1.0", environment_bundle(), now)
    with pytest.raises(Conflict, match="no version of network-env is published yet"), store.write() as unit:
        enroll.create_environment(unit, "test", ENV, ENVIRONMENT_SPEC, actor=ADMIN, now=now)


def test_inputs_that_do_not_fit_the_schema_are_refused_and_leave_nothing(offered, now):
    with pytest.raises(CallerError, match="cidr"), offered.write() as unit:
        enroll.create_environment(unit, "test", ENV, "proton: EnvironmentSpec\nspec: {cidr: 7}\n", actor=ADMIN, now=now)
    with pytest.raises(NotFound):
        get(offered, TEST)


def test_a_pipeline_is_deployed_after_the_instances_it_reads(offered, stacks, now):
    with_service(offered, stacks, now, TWO_INSTANCES)
    order = [plan.resource for plan in stacks.executed.values()]
    assert order == [TEST, INSTANCE, instance_key("checkout", "prod"), PIPELINE]
    assert get(offered, PIPELINE).status is DeploymentStatus.SUCCEEDED


def test_a_failed_instance_cancels_the_pipeline_in_protons_words(offered, stacks, now):
    with_environment(offered, stacks, now)
    stacks.answer = ProgressState.FAILED
    with offered.write() as unit:
        enroll.create_service(unit, "checkout", SVC, SERVICE_SPEC, actor=DEVELOPER, now=now)
    work(offered, stacks, now)
    with offered.read() as unit:
        (attempt,) = unit.deployments.of_resource(PIPELINE, 5)
    assert attempt.status is DeploymentStatus.CANCELLED
    assert attempt.message == "Service Instance(s): [checkout/test] failed to deploy - canceling pipeline deployment"


def test_a_service_waits_for_an_environment_that_is_being_created(offered, stacks, now):
    with offered.write() as unit:
        enroll.create_environment(unit, "test", ENV, ENVIRONMENT_SPEC, actor=DEVELOPER, now=now)
        enroll.create_service(unit, "checkout", SVC, SERVICE_SPEC, actor=DEVELOPER, now=now)
    work(offered, stacks, now)
    assert [plan.resource for plan in stacks.executed.values()] == [TEST, INSTANCE, PIPELINE]


def test_an_instance_needs_a_compatible_environment(offered, stacks, now):
    with_environment(offered, stacks, now)
    with offered.write() as unit:
        registered(unit, TemplateName("other-env"), "1.0", environment_bundle(), now)
        other = environment_key("other")
        enroll.create_environment(
            unit, "other", "other-env", ENVIRONMENT_SPEC, version=Version(1, 0), actor=ADMIN, now=now
        )
    spec = SERVICE_SPEC.replace('environment: "test"', f'environment: "{other.name}"')
    with pytest.raises(Conflict, match="cannot run in `other`"), offered.write() as unit:
        enroll.create_service(unit, "checkout", SVC, spec, actor=DEVELOPER, now=now)


def test_an_update_moves_the_resource_and_its_lag_goes(offered, stacks, now):
    with_environment(offered, stacks, now)
    publish_minor(offered, now)
    assert get(offered, TEST).lag.standing is Standing.BEHIND_MINOR
    with offered.write() as unit:
        asked = deploy.update(unit, TEST, actor=DEVELOPER, now=now)
    assert (asked.action, str(asked.initial.version), str(asked.target.version)) == (Action.UPDATE, "1.0", "1.1")
    work(offered, stacks, now)
    resource = get(offered, TEST)
    assert (str(resource.version), resource.lag.standing) == ("1.1", Standing.UP_TO_DATE)
    with offered.read() as unit:
        assert [owed.notice.key for owed in unit.outbox.unsent("platform", 10)] == [f"deployment/{asked.id}/SUCCEEDED"]


def test_what_never_ran_takes_only_what_is_offered(offered, stacks, now):
    stacks.answer = ProgressState.FAILED
    with_environment(offered, stacks, now)
    publish_minor(offered, now)
    with offered.write() as unit:
        registered(unit, ENV, "1.2", environment_bundle(), now)
        registered(unit, ENV, "1.3", environment_bundle(), now, VersionState.REGISTRATION_FAILED)
    for named, refusal in ((Version(1, 2), Forbidden), (Version(1, 3), Conflict)):
        with pytest.raises(refusal), offered.write() as unit:
            deploy.update(unit, TEST, to=named, actor=DEVELOPER, now=now)
    stacks.answer = ProgressState.SUCCEEDED
    with offered.write() as unit:
        deploy.update(unit, TEST, recreate=True, actor=DEVELOPER, now=now)
    work(offered, stacks, now)
    resource = get(offered, TEST)
    assert (str(resource.version), resource.inputs) == ("1.1", {"cidr": "10.1.0.0/16"})


def test_a_second_update_is_refused_naming_the_first(offered, stacks, now):
    with_environment(offered, stacks, now)
    publish_minor(offered, now)
    with offered.write() as unit:
        first = deploy.update(unit, TEST, actor=DEVELOPER, now=now)
    with pytest.raises(Conflict, match=first.id), offered.write() as unit:
        deploy.update(unit, TEST, actor=DEVELOPER, now=now)


def test_a_failed_update_leaves_the_resource_where_it_was_and_says_why(offered, stacks, now):
    with_environment(offered, stacks, now)
    publish_minor(offered, now)
    stacks.answer = ProgressState.FAILED
    with offered.write() as unit:
        asked = deploy.update(unit, TEST, inputs={"cidr": "10.9.0.0/16"}, actor=DEVELOPER, now=now)
    work(offered, stacks, now)
    resource = get(offered, TEST)
    assert (str(resource.version), resource.inputs, resource.status) == (
        "1.0",
        {"cidr": "10.1.0.0/16"},
        DeploymentStatus.FAILED,
    )
    with offered.read() as unit:
        assert unit.deployments.get(asked.id).message == "Resource VPC failed: limit exceeded"
    stacks.answer = ProgressState.SUCCEEDED
    with offered.write() as unit:
        deploy.retry(unit, asked.id, actor=DEVELOPER, now=now)
    work(offered, stacks, now)
    assert get(offered, TEST).inputs == {"cidr": "10.9.0.0/16"}


def test_an_update_to_an_older_minor_is_the_way_back_and_to_a_lower_major_is_refused(offered, stacks, now):
    publish_minor(offered, now)
    with_environment(offered, stacks, now)
    assert str(get(offered, TEST).version) == "1.1"
    with offered.write() as unit:
        deploy.update(unit, TEST, to=Version(1, 0), actor=DEVELOPER, now=now)
    work(offered, stacks, now)
    assert str(get(offered, TEST).version) == "1.0"
    with offered.write() as unit:
        registered(unit, ENV, "0.1", environment_bundle(), now, VersionState.PUBLISHED)
    with pytest.raises(Conflict, match="cannot go back to major 0"), offered.write() as unit:
        deploy.update(unit, TEST, to=Version(0, 1), actor=ADMIN, now=now)


def test_current_val_keeps_a_stored_input(offered, stacks, now):
    with_environment(offered, stacks, now)
    with offered.write() as unit:
        asked = deploy.update(
            unit, TEST, to=Version(1, 0), inputs={"cidr": "${Proton::CURRENT_VAL}"}, actor=DEVELOPER, now=now
        )
    assert asked.target.inputs == {"cidr": "10.1.0.0/16"}


def test_what_has_not_begun_can_be_cancelled_and_retried(offered, stacks, now):
    with_environment(offered, stacks, now)
    publish_minor(offered, now)
    with offered.write() as unit:
        asked = deploy.update(unit, TEST, actor=DEVELOPER, now=now)
        deploy.cancel(unit, asked.id, actor=DEVELOPER, now=now)
    work(offered, stacks, now)
    assert (str(get(offered, TEST).version), get(offered, TEST).status) == ("1.0", DeploymentStatus.CANCELLED)
    assert len(stacks.executed) == 1
    with offered.write() as unit:
        deploy.retry(unit, asked.id, actor=DEVELOPER, now=now)
    work(offered, stacks, now)
    assert str(get(offered, TEST).version) == "1.1"


def test_what_has_begun_is_followed_to_its_end(offered, stacks, now):
    with_environment(offered, stacks, now)
    publish_minor(offered, now)
    stacks.answer = ProgressState.RUNNING
    with offered.write() as unit:
        deploy.update(unit, TEST, actor=DEVELOPER, now=now)
    assert work(offered, stacks, now, rounds=3) == 3
    stacks.answer = ProgressState.SUCCEEDED
    work(offered, stacks, now + timedelta(minutes=5))
    assert str(get(offered, TEST).version) == "1.1"


def test_a_worker_that_died_before_the_provisioner_answered_is_followed_by_one_that_asks_the_same_again(
    offered, stacks, now
):
    with offered.write() as unit:
        asked = enroll.create_environment(unit, "test", ENV, ENVIRONMENT_SPEC, actor=DEVELOPER, now=now)
    with offered.write() as unit:
        claim = unit.work.claim([WorkKind.DEPLOY], now, timedelta(seconds=1))
    stacks.before["execute"] = fail_with(TransientError("the connection was lost"))
    with pytest.raises(TransientError):
        settle.settle(offered, Texts(), stacks, claim, routing=ROUTING, now=now)
    stacks.before.clear()
    later = now + timedelta(minutes=1)
    with offered.write() as unit:
        successor = unit.work.claim([WorkKind.DEPLOY], later, timedelta(minutes=1))
    settle.settle(offered, Texts(), stacks, successor, routing=ROUTING, now=later)
    assert list(stacks.executed) == [asked.id]
    assert get(offered, TEST).status is DeploymentStatus.SUCCEEDED
    with pytest.raises(LostLease):
        settle.settle(offered, Texts(), stacks, claim, routing=ROUTING, now=later)


def test_an_environment_that_something_lives_in_is_not_deleted(offered, stacks, now):
    with_service(offered, stacks, now)
    with pytest.raises(Conflict, match="checkout/test live in it"), offered.write() as unit:
        enroll.delete_resource(unit, TEST, actor=DEVELOPER, now=now)


def test_the_last_instance_and_the_pipeline_go_with_their_service(offered, stacks, now):
    with_service(offered, stacks, now)
    with pytest.raises(Conflict, match="last instance"), offered.write() as unit:
        enroll.delete_resource(unit, INSTANCE, actor=DEVELOPER, now=now)
    with pytest.raises(Conflict, match="goes with its service"), offered.write() as unit:
        enroll.delete_resource(unit, PIPELINE, actor=DEVELOPER, now=now)
    with offered.write() as unit:
        enroll.delete_service(unit, "checkout", actor=DEVELOPER, now=now)
    work(offered, stacks, now)
    with offered.read() as unit:
        assert unit.fleet.services() == ()
        assert unit.fleet.in_environment("test") == ()
    with offered.write() as unit:
        enroll.delete_resource(unit, TEST, actor=DEVELOPER, now=now)
    work(offered, stacks, now)
    with pytest.raises(NotFound):
        get(offered, TEST)


def test_a_service_follows_the_instances_its_spec_lists(offered, stacks, now):
    with_service(offered, stacks, now)
    with offered.write() as unit:
        enroll.update_service(unit, "checkout", TWO_INSTANCES, actor=DEVELOPER, now=now)
    work(offered, stacks, now)
    assert get(offered, instance_key("checkout", "prod")).status is DeploymentStatus.SUCCEEDED
    with offered.write() as unit:
        enroll.update_service(unit, "checkout", SERVICE_SPEC, actor=DEVELOPER, now=now)
    work(offered, stacks, now)
    with pytest.raises(NotFound):
        get(offered, instance_key("checkout", "prod"))


def test_a_repository_named_later_is_seen_by_the_next_deployment(offered, stacks, now):
    with_service(offered, stacks, now)
    repository = Repository("main", "shop/checkout", "arn:aws:codestar-connections:eu-west-1:1:connection/1")
    for _ in range(2):
        with offered.write() as unit:
            enroll.change_repository(unit, "checkout", repository, actor=DEVELOPER, now=now)
    with offered.read() as unit:
        seen = compose(unit, unit.fleet.get(PIPELINE), State(Version(1, 0), {})).namespace["service"]
        assert [entry.kind for entry in unit.journal.entries(20)].count("repository_changed") == 1
    assert (seen["repository_id"], seen["branch_name"]) == ("shop/checkout", "main")
    with pytest.raises(Forbidden), offered.write() as unit:
        enroll.change_repository(unit, "checkout", repository, actor=VIEWER, now=now)


def test_a_new_owner_is_written_down_once(offered, stacks, now):
    with_environment(offered, stacks, now)
    for _ in range(2):
        with offered.write() as unit:
            enroll.give(unit, TEST, "shop", actor=DEVELOPER, now=now)
    with offered.read() as unit:
        assert unit.fleet.get(TEST).owner == "shop"
        assert [entry.kind for entry in unit.journal.entries(20)].count("owner_changed") == 1


def test_a_service_changes_hands_with_the_parts_that_were_its_owners(offered, stacks, now):
    with_service(offered, stacks, now)
    kept, gone = PIPELINE, instance_key("checkout", "test")
    with offered.write() as unit:
        before = unit.fleet.service("checkout").owner
        enroll.give(unit, kept, "ci", actor=DEVELOPER, now=now)
    with offered.write() as unit:
        given = enroll.give_service(unit, "checkout", "shop", actor=DEVELOPER, now=now)
    assert [resource.key for resource in given] == [gone]
    with offered.write() as unit:
        assert enroll.give_service(unit, "checkout", "shop", actor=DEVELOPER, now=now) == []
        assert unit.fleet.service("checkout").owner == "shop" != before
        assert [unit.fleet.get(key).owner for key in (kept, gone)] == ["ci", "shop"]
        told = [entry for entry in unit.journal.entries(20) if entry.kind == "owner_changed"]
        assert [entry.subject for entry in told] == [str(gone), "service/checkout", str(kept)]
    with pytest.raises(Forbidden), offered.write() as unit:
        enroll.give_service(unit, "checkout", None, actor=VIEWER, now=now)


HOME = Placement("123456789012", "eu-west-1", "arn:aws:iam::123456789012:role/upkeep", "agreed")


def test_an_instance_is_deployed_where_its_environment_lives_and_a_pipeline_where_the_settings_say(
    offered, stacks, now
):
    with offered.write() as unit:
        enroll.create_environment(
            unit, "test", ENV, ENVIRONMENT_SPEC, placement=HOME, tags={"team": "net"}, actor=DEVELOPER, now=now
        )
        enroll.create_service(unit, "checkout", SVC, SERVICE_SPEC, tags={"team": "shop"}, actor=DEVELOPER, now=now)
    pipelines = Placement("", "eu-central-1")
    work(offered, stacks, now, terms=settle.Terms(pipelines, {"team": "all", "cost": "42"}))
    asked = {request.resource: request for request in stacks.executed.values()}
    assert [asked[key].placement for key in (TEST, INSTANCE, PIPELINE)] == [HOME, HOME, pipelines]
    assert [asked[key].tags["team"] for key in (TEST, INSTANCE, PIPELINE)] == ["net", "shop", "shop"]
    assert asked[INSTANCE].tags["cost"] == "42"
    assert asked[INSTANCE].tags["proton:environment"] == "arn:aws:proton:eu-west-1:123456789012:environment/test"
    assert get(offered, TEST).stack == "arn:aws:cloudformation:eu-west-1:123456789012:stack/test/1"
    with offered.write() as unit:
        enroll.update_service(unit, "checkout", TWO_INSTANCES, actor=DEVELOPER, now=now)
    work(offered, stacks, now)
    assert get(offered, instance_key("checkout", "prod")).tags == {"team": "shop"}


@pytest.mark.parametrize(
    ("placement", "said"),
    [
        (Placement(region="Ireland"), "`Ireland` is not a region"),
        (Placement(account_id="12 34"), "`12 34` is not an AWS account"),
        (Placement(role_arn="upkeep"), "`upkeep` is not a role"),
        (Placement(role_arn=HOME.role_arn, external_id="a b"), "`a b` is not an external id"),
        (Placement(external_id="agreed"), "belongs to a role"),
    ],
)
def test_a_place_aws_does_not_know_is_refused(offered, now, placement, said):
    with pytest.raises(CallerError, match=said), offered.write() as unit:
        enroll.create_environment(unit, "test", ENV, ENVIRONMENT_SPEC, placement=placement, actor=DEVELOPER, now=now)


def test_what_is_forgotten_is_guarded_as_a_deletion_and_its_stack_stays(offered, stacks, now):
    with_service(offered, stacks, now, TWO_INSTANCES)
    executed = list(stacks.executed)
    for key, said in ((TEST, "live in it"), (PIPELINE, "goes with its service")):
        with pytest.raises(Conflict, match=said), offered.write() as unit:
            enroll.forget(unit, key, actor=DEVELOPER, now=now)
    with pytest.raises(Forbidden), offered.write() as unit:
        enroll.forget(unit, INSTANCE, actor=VIEWER, now=now)
    with offered.write() as unit:
        enroll.forget(unit, INSTANCE, actor=DEVELOPER, now=now)
    with pytest.raises(Conflict, match="last instance") as refused, offered.write() as unit:
        enroll.forget(unit, instance_key("checkout", "prod"), actor=DEVELOPER, now=now)
    assert "upkeep service forget checkout" in (refused.value.cure or "")
    with offered.write() as unit:
        gone = enroll.forget_service(unit, "checkout", actor=DEVELOPER, now=now)
        assert [resource.key.short for resource in gone] == ["checkout/prod", "checkout pipeline"]
        enroll.forget(unit, TEST, actor=DEVELOPER, now=now)
    work(offered, stacks, now)
    assert list(stacks.executed) == executed
    with offered.read() as unit:
        assert unit.fleet.services() == ()
        assert len(unit.journal.entries(20, kind="resource_forgotten")) == 4


def test_an_instance_is_added_to_a_service_and_nothing_else_is_deployed(offered, stacks, now):
    with_service(offered, stacks, now)
    before = get(offered, INSTANCE)
    with offered.write() as unit:
        wanted = InstanceSpec("live", "test", {"port": 81})
        asked = enroll.add_instance(unit, "checkout", wanted, actor=DEVELOPER, now=now)
    assert (asked.resource, asked.target) == (instance_key("checkout", "live"), State(Version(1, 0), {"port": 81}))
    assert get(offered, INSTANCE) == before
    with offered.read() as unit:
        assert unit.fleet.service("checkout").spec.startswith(SERVICE_SPEC)


@pytest.mark.parametrize(
    ("instance", "error", "sentence"),
    [
        (InstanceSpec("test", "test", {}), Conflict, "exists already"),
        (InstanceSpec("live", "nowhere", {}), NotFound, "nowhere"),
        (InstanceSpec("live", "test", {"port": "x"}), CallerError, "not a whole number"),
        (InstanceSpec("new", "test", {}), CallerError, "nothing can be called `new`"),
    ],
)
def test_an_instance_that_cannot_be_added_leaves_the_spec_as_it_was(offered, stacks, now, instance, error, sentence):
    with_service(offered, stacks, now)
    with pytest.raises(error, match=sentence), offered.write() as unit:
        enroll.add_instance(unit, "checkout", instance, actor=DEVELOPER, now=now)
    with offered.read() as unit:
        assert unit.fleet.service("checkout").spec == SERVICE_SPEC


def test_nothing_takes_the_name_that_the_forms_use(offered, now):
    with pytest.raises(CallerError, match="nothing can be called `new`"), offered.write() as unit:
        enroll.create_environment(unit, "new", ENV, ENVIRONMENT_SPEC, actor=DEVELOPER, now=now)
    with pytest.raises(CallerError, match="nothing can be called `new`"), offered.write() as unit:
        enroll.create_service(unit, "new", SVC, SERVICE_SPEC, actor=DEVELOPER, now=now)
