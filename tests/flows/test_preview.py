from dataclasses import replace
from datetime import timedelta

import pytest

from tests import builders
from tests.builders import ENVIRONMENT_TEMPLATE, SERVICE_TEMPLATE
from tests.flows.given import environment_bundle, registered, running, service_bundle
from upkeep.adapters.jinja import JinjaRenderer
from upkeep.domain.deployments import DeploymentStatus
from upkeep.domain.errors import Conflict, Forbidden, LostLease, NotFound, TransientError
from upkeep.domain.names import Version, environment_key, instance_key, pipeline_key
from upkeep.domain.previews import PreviewGroup
from upkeep.domain.versions import VersionState
from upkeep.domain.work import WorkKind
from upkeep.flows import preview

V11 = Version(1, 1)
LEASE = timedelta(minutes=1)
FLOW_LOG = """\
  FlowLog:
    Type: AWS::EC2::FlowLog
{%- if 'prod' in environment.name %}
  Alarm:
    Type: AWS::CloudWatch::Alarm
{%- endif %}
Outputs:"""


@pytest.fixture(scope="module")
def renderer():
    with JinjaRenderer() as renderer:
        yield renderer


def environments(body=builders.ENVIRONMENT_BODY, schema=builders.ENVIRONMENT_SCHEMA):
    return builders.a_bundle(builders.environment_files(schema, body))


@pytest.fixture
def fleet(store, now):
    """Three environments on 1.0, and 1.1 drafted with a flow log, and an alarm where `prod` is in the name."""
    with store.write() as unit:
        registered(unit, ENVIRONMENT_TEMPLATE, "1.0", environment_bundle(), now, VersionState.PUBLISHED)
        drafted = environments(builders.ENVIRONMENT_BODY.replace("Outputs:", FLOW_LOG))
        registered(unit, ENVIRONMENT_TEMPLATE, "1.1", drafted, now)
        for name in ("prod", "beta", "test"):
            running(unit, environment_key(name), ENVIRONMENT_TEMPLATE, "1.0")
    return store


def claimed(store, subject, now):
    with store.write() as unit:
        unit.work.ask(WorkKind.PREVIEW, subject, now)
        claim = unit.work.claim([WorkKind.PREVIEW], now, LEASE)
    assert claim is not None
    return claim


def previewed(store, renderer, now, version=V11, template=ENVIRONMENT_TEMPLATE):
    """The groups of the preview after its work was done."""
    claim = claimed(store, preview.subject_of(template, version), now)
    preview.preview(store, renderer, claim, now=now)
    with store.read() as unit:
        assert not unit.work.list(10)
        kept = unit.registry.find_preview(template, version)
    return kept.groups if kept else None


def test_resources_that_change_in_the_same_way_are_one_group_and_the_biggest_comes_first(fleet, renderer, now):
    same, other = previewed(fleet, renderer, now)
    assert (same.resources, same.running) == (("environment/beta", "environment/test"), ("1.0", "1.0"))
    assert same.diff.splitlines() == [
        "--- network-env 1.0",
        "+++ network-env 1.1",
        "@@ -3,6 +3,8 @@",
        "     Type: AWS::EC2::VPC",
        "     Properties:",
        '       CidrBlock: "10.0.0.0/16"',
        "+  FlowLog:",
        "+    Type: AWS::EC2::FlowLog",
        " Outputs:",
        "   NetworkId:",
        "     Value: !Ref Network",
    ]
    assert other.resources == ("environment/prod",)
    assert "+  Alarm:" in other.diff


def test_lines_around_a_change_may_differ_within_a_group(fleet, renderer, now):
    with fleet.write() as unit:
        test = unit.fleet.get(environment_key("test"))
        unit.fleet.save(replace(test, inputs={"cidr": "10.7.0.0/16"}))
    same, _ = previewed(fleet, renderer, now)
    assert same.resources == ("environment/beta", "environment/test")


def test_lines_that_name_the_resource_itself_do_not_split_a_group(fleet, renderer, now):
    tagged = (
        "  Topic:\n    Type: AWS::SNS::Topic\n    Properties:\n      TopicName: {{ environment.name }}-alarms\nOutputs:"
    )
    sized = tagged + "\n  Size:\n    Value: {{ 'big' if environment.name == 'prod' else 'small' }}"
    with fleet.write() as unit:
        for number, body in (("1.2", tagged), ("1.3", sized)):
            drafted = environments(builders.ENVIRONMENT_BODY.replace("Outputs:", body))
            registered(unit, ENVIRONMENT_TEMPLATE, number, drafted, now)
    (only,) = previewed(fleet, renderer, now, Version(1, 2))
    assert only.resources == ("environment/beta", "environment/prod", "environment/test")
    assert "+      TopicName: beta-alarms" in only.diff
    same, other = previewed(fleet, renderer, now, Version(1, 3))
    assert (len(same.resources), other.resources) == (2, ("environment/prod",))


def test_failures_come_first_and_resources_without_change_last(fleet, renderer, now):
    body = "{% if environment.name == 'test' %}{{ environment.inputs.gone }}{% endif %}" + builders.ENVIRONMENT_BODY
    body += "{% if environment.name == 'beta' %}# more{% endif %}"
    with fleet.write() as unit:
        registered(unit, ENVIRONMENT_TEMPLATE, "1.2", environments(body), now)
        running(unit, environment_key("zeta"), ENVIRONMENT_TEMPLATE, "1.0")
    failed, changed, unchanged = previewed(fleet, renderer, now, Version(1, 2))
    assert failed.resources == ("environment/test",)
    assert failed.failure.startswith("infrastructure/cloudformation.yaml:1: `environment.inputs.gone` is not defined")
    assert failed.diff == ""
    assert changed.resources == ("environment/beta",)
    assert unchanged == PreviewGroup(("environment/prod", "environment/zeta"), ("1.0", "1.0"))


def test_inputs_that_do_not_fit_the_drafts_schema_are_a_failure(fleet, renderer, now):
    schema = builders.ENVIRONMENT_SCHEMA.replace("type: string", "type: string\n          maxLength: 5").replace(
        '"10.0.0.0/16"', '"10"'
    )
    with fleet.write() as unit:
        registered(unit, ENVIRONMENT_TEMPLATE, "1.2", environments(schema=schema), now)
        test = unit.fleet.get(environment_key("test"))
        unit.fleet.save(replace(test, inputs={"cidr": "10.7.0.0/16"}))
    failed, *_ = previewed(fleet, renderer, now, Version(1, 2))
    assert failed.resources == ("environment/test",)
    assert "cidr" in failed.failure


def test_a_running_version_that_no_longer_renders_is_compared_by_what_was_deployed(fleet, renderer, now):
    with fleet.write() as unit:
        broken = environments("{{ environment.inputs.gone }}")
        registered(unit, ENVIRONMENT_TEMPLATE, "1.2", broken, now, VersionState.PUBLISHED)
        prod = unit.fleet.get(environment_key("prod"))
        deployment = builders.a_deployment(prod, to="1.2", status=DeploymentStatus.SUCCEEDED)
        unit.deployments.add(deployment)
        unit.deployments.keep_rendered(deployment.id, "Resources: {}\n")
        unit.fleet.save(replace(prod, version=Version(1, 2), last_succeeded_deployment=deployment.id))
    group = preview.preview_resource(fleet, renderer, environment_key("prod"), V11)
    assert group.failure is None
    assert "-Resources: {}" in group.diff and "+  FlowLog:" in group.diff


def test_a_draft_that_was_decided_meanwhile_gets_no_preview(fleet, renderer, now):
    with fleet.write() as unit:
        draft = unit.registry.version(ENVIRONMENT_TEMPLATE, V11)
        unit.registry.save_version(replace(draft, state=VersionState.PUBLISHED, published_at=now))
    assert previewed(fleet, renderer, now) is None


def test_a_draft_that_is_gone_ends_its_work_quietly(fleet, renderer, now):
    assert previewed(fleet, renderer, now, Version(1, 9)) is None


def test_a_draft_nobody_runs_has_an_empty_preview(store, renderer, now):
    with store.write() as unit:
        registered(unit, ENVIRONMENT_TEMPLATE, "1.1", environment_bundle(), now)
    assert previewed(store, renderer, now) == ()


def test_whoever_lost_the_claim_keeps_nothing(fleet, renderer, now):
    lost = claimed(fleet, preview.subject_of(ENVIRONMENT_TEMPLATE, V11), now)
    with fleet.write() as unit:
        assert unit.work.claim([WorkKind.PREVIEW], now + 2 * LEASE, LEASE) is not None
    with pytest.raises(LostLease):
        preview.preview(fleet, renderer, lost, now=now)
    with fleet.read() as unit:
        assert unit.registry.find_preview(ENVIRONMENT_TEMPLATE, V11) is None


def test_a_renderer_that_is_out_of_order_leaves_the_work_to_be_tried_again(fleet, now):
    class OutOfOrder:
        def render_each(self, asked):
            raise TransientError("no worker could be started")

    with pytest.raises(TransientError):
        previewed(fleet, OutOfOrder(), now)
    with fleet.read() as unit:
        assert len(unit.work.list(10)) == 1


def test_a_service_template_is_previewed_in_instances_and_pipelines(store, renderer, now):
    instance = builders.INSTANCE_BODY.replace("Outputs:", "  More:\n    Type: AWS::SNS::Topic\nOutputs:")
    with store.write() as unit:
        registered(unit, ENVIRONMENT_TEMPLATE, "1.0", environment_bundle(), now, VersionState.PUBLISHED)
        registered(unit, SERVICE_TEMPLATE, "1.0", service_bundle(), now, VersionState.PUBLISHED)
        drafted = builders.a_bundle(builders.service_files(instance=instance))
        registered(unit, SERVICE_TEMPLATE, "1.1", drafted, now)
        running(unit, environment_key("test"), ENVIRONMENT_TEMPLATE, "1.0", outputs={"NetworkId": "vpc-1"})
        for name in ("checkout", "search"):
            unit.fleet.add_service(builders.a_service(name))
            unit.fleet.add(builders.an_instance(name))
            unit.fleet.add(builders.a_pipeline(name))
    instances, pipelines = previewed(store, renderer, now, template=SERVICE_TEMPLATE)
    assert instances.resources == ("instance/checkout/test", "instance/search/test")
    assert "+  More:" in instances.diff
    assert pipelines == PreviewGroup(("pipeline/checkout", "pipeline/search"), ("1.0", "1.0"))
    alone = preview.preview_resource(store, renderer, instance_key("search", "test"), V11)
    assert (alone.resources, alone.running) == (("instance/search/test",), ("1.0",))
    assert preview.preview_resource(store, renderer, pipeline_key("search"), V11).diff == ""


def test_an_environment_made_by_others_does_not_change(store, renderer, now):
    schema = builders.ENVIRONMENT_SCHEMA.replace('\n          default: "10.0.0.0/16"', "")
    with store.write() as unit:
        registered(unit, "by-others", "1.0", builders.a_bundle({"schema/schema.yaml": schema}), now)
        registered(unit, "by-others", "1.1", builders.a_bundle({"schema/schema.yaml": schema + "\n"}), now)
        running(unit, environment_key("theirs"), "by-others", "1.0", inputs={"cidr": "10.0.0.0/8"})
    assert previewed(store, renderer, now, template="by-others") == (PreviewGroup(("environment/theirs",), ("1.0",)),)


def test_what_was_never_deployed_is_shown_as_all_new(fleet, renderer):
    with fleet.write() as unit:
        unit.fleet.add(builders.an_environment("fresh", version=None))
    group = preview.preview_resource(fleet, renderer, environment_key("fresh"), Version(1, 0))
    assert group.diff.startswith("--- /dev/null\n+++ network-env 1.0\n@@ -0,0 +1,")
    assert group.running == ("",)


def test_asking_for_drafts_asks_for_those_of_the_major_only(fleet, now):
    with fleet.write() as unit:
        registered(unit, ENVIRONMENT_TEMPLATE, "2.0", environment_bundle(), now)
        preview.ask_for_drafts(unit, ENVIRONMENT_TEMPLATE, 1, now)
    with fleet.read() as unit:
        assert [work.subject for work in unit.work.list(10)] == ["network-env@1.1"]


def test_the_whole_of_each_difference_is_kept_as_long_as_there_is_room(fleet, renderer, now, monkeypatch):
    same, other = previewed(fleet, renderer, now)
    for group in (same, other):
        old = [line for block in group.blocks for line in block.old]
        new = [line for block in group.blocks for line in block.new]
        assert (old[0], old[-1], len(old)) == ("Resources:", "    Value: !Ref Network", 8)
        assert (new[0], new[-1]) == ("Resources:", "    Value: !Ref Network")
        assert "  FlowLog:" in new
    monkeypatch.setattr(preview, "WHOLE_AT_MOST", len(same.whole) + len(other.whole) - 1)
    bigger, smaller = previewed(fleet, renderer, now)
    assert (bigger.whole, smaller.whole) == (same.whole, "")
    assert smaller.diff == other.diff
    assert [block for block in smaller.blocks if not block.same] == [block for block in other.blocks if not block.same]


def test_a_draft_is_previewed_anew_when_an_admin_asks(fleet, now):
    with fleet.write() as unit:
        preview.renew(unit, ENVIRONMENT_TEMPLATE, V11, actor=builders.ADMIN, now=now)
        assert [work.subject for work in unit.work.list(10)] == ["network-env@1.1"]
    for version, actor, refusal in (
        (Version(1, 0), builders.ADMIN, Conflict),
        (Version(9, 0), builders.ADMIN, NotFound),
        (V11, builders.DEVELOPER, Forbidden),
    ):
        with pytest.raises(refusal), fleet.write() as unit:
            preview.renew(unit, ENVIRONMENT_TEMPLATE, version, actor=actor, now=now)
