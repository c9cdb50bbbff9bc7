"""A small world to look at: every kind of thing a page can show, in every state it can be in."""

from dataclasses import replace
from datetime import datetime, timedelta

from tests import builders
from tests.flows.given import registered
from upkeep.domain import events
from upkeep.domain.changesets import Proposal, ProposalState, StackChange, StackEvent
from upkeep.domain.deliveries import Delivery, DeliveryStatus
from upkeep.domain.deployments import DeploymentStatus
from upkeep.domain.findings import error, warning
from upkeep.domain.names import SourceName, TemplateName, environment_key, parse_version
from upkeep.domain.notices import Routing
from upkeep.domain.people import DAEMON, Role
from upkeep.domain.previews import Preview, PreviewGroup
from upkeep.domain.rollouts import Member, Rollout, RolloutStatus, Stage, Turn
from upkeep.domain.snoozes import Snooze
from upkeep.domain.sources import Stall
from upkeep.domain.versions import VersionState
from upkeep.domain.work import WorkKind
from upkeep.flows import review
from upkeep.flows.measure import measure
from upkeep.flows.ports import Store, Unit

ENV = builders.ENVIRONMENT_TEMPLATE
SVC = builders.SERVICE_TEMPLATE

FAILED = "00000000-0000-4000-8000-00000000fa11"
WAITING = "00000000-0000-4000-8000-000000000a17"
DONE = "00000000-0000-4000-8000-00000000d0e0"

NEW_INPUT = """\
        flow_logs:
          type: boolean
          description: "Whether to keep flow logs"
          default: false
        days:
          type: integer
          title: "Days to keep"
          description: "How long"
          minimum: 1
        tier:
          type: string
          enum: ["small", "large"]
          default: "small"
        zones:
          type: array
          items:
            type: string
      required: [days]
"""

ROLLOUT = "00000000-0000-4000-8000-000000b01100"
PAUSED = "00000000-0000-4000-8000-0000009a05ed"

STACK = "arn:aws:cloudformation:eu-west-1:123456789012:stack/upkeep-environment-test/1f2e"

CHANGES = (
    StackChange("Add", "Log", "AWS::Logs::LogGroup"),
    StackChange("Modify", "Network", "AWS::EC2::VPC", "vpc-1", "False", ("Tags",)),
    StackChange("Modify", "Subnet", "AWS::EC2::Subnet", "subnet-1", "True", ("Properties",), ("CidrBlock",)),
    StackChange("Modify", "Table", "AWS::DynamoDB::Table", "t-1", "Conditional", ("Properties",), ("KeySchema",)),
)


def people(unit: Unit) -> None:
    """One of each role, named after it; the developer's teams own all that has an owner. Nobody knows their passwords.

    `outsider` is a developer too, whose team owns nothing; `leaver` looks, and leaves.
    """
    for role in Role:
        unit.people.add(builders.a_user(str(role), role))
    unit.people.save(replace(builders.a_user("developer", Role.DEVELOPER), teams=frozenset({"platform", "shop"})))
    unit.people.add(replace(builders.a_user("outsider", Role.DEVELOPER), teams=frozenset({"elsewhere"})))
    unit.people.add(builders.a_user("leaver", Role.VIEWER))


def furnish(store: Store, now: datetime) -> None:
    """Fill the store. `test` runs 1.0 of 1.1, `production` failed, `checkout/test` is under way."""
    with store.write() as unit:
        unit.sources.add(
            replace(
                builders.a_source(),
                synced_commit=builders.object_id("head"),
                synced_at=now - timedelta(minutes=2),
                checked_at=now - timedelta(minutes=2),
            )
        )
        unit.sources.add(
            replace(
                builders.a_source("gone"),
                branch="release",
                stall=Stall("the branch `release` is gone", "create it again", now - timedelta(days=1)),
                findings=(error("two-folders", "two folders claim `warehouse`", "a/warehouse", None, "rename one"),),
            )
        )
    _templates(store, now)
    _resources(store, now)
    with store.write() as unit:
        _deliveries(unit, now)


def _templates(store: Store, now: datetime) -> None:
    month_ago = now - timedelta(days=30)
    schema = builders.ENVIRONMENT_SCHEMA
    bodies = [builders.ENVIRONMENT_BODY + f"# {minor}\n" for minor in range(4)]
    with store.write() as unit:
        for minor in range(3):
            files = builders.environment_files(schema + NEW_INPUT if minor == 2 else schema, bodies[minor])
            registered(unit, ENV, f"1.{minor}", builders.a_bundle(files), month_ago + timedelta(days=minor))
        broken = registered(unit, ENV, "1.3", builders.a_bundle(builders.environment_files(schema, bodies[3])), now)
        unit.registry.save_version(
            replace(
                broken,
                state=VersionState.REGISTRATION_FAILED,
                findings=(
                    error("removed-input", "input `cidr` was removed", "schema/schema.yaml", 12, "make this v2"),
                    warning("engine", "`engine` is an old name", "infrastructure/manifest.yaml", 4),
                ),
            )
        )
        registered(unit, SVC, "1.0", builders.a_bundle(builders.service_files()), month_ago)
        for name in (ENV, SVC):
            unit.registry.save_template(replace(unit.registry.template(name), source=SourceName("templates")))
    for name, version, at in ((ENV, "1.0", 29), (SVC, "1.0", 29), (ENV, "1.1", 20)):
        with store.write() as unit:
            review.publish(
                unit,
                TemplateName(name),
                parse_version(version),
                seen_tree=None,
                note=f"note of {version}",
                routing=Routing(),
                actor=builders.ADMIN,
                now=now - timedelta(days=at),
            )


def _resources(store: Store, now: datetime) -> None:
    with store.write() as unit:
        test = builders.an_environment("test", "1.0", owner="platform", account_id="123456789012", stack=STACK)
        production = builders.an_environment(
            "production", "1.0", inputs={"cidr": "10.9.0.0/16"}, outputs={"Id": "vpc-1"}
        )
        asleep = Snooze(now, "developer", version=parse_version("1.0"))
        checkout = builders.an_instance("checkout", "test", "1.0", owner="shop", snooze=asleep)
        pipeline = builders.a_pipeline("checkout", "1.0", owner="shop", snooze=asleep)
        unit.fleet.add_service(builders.a_service("checkout", owner="shop"))
        for resource in (test, production, checkout, pipeline, builders.an_environment("empty", None)):
            unit.fleet.add(resource)
        done = builders.a_deployment(
            test,
            "1.0",
            DONE,
            status=DeploymentStatus.SUCCEEDED,
            outputs={"NetworkId": "vpc-1"},
            stack=STACK,
            stack_status="UPDATE_COMPLETE",
        )
        failed = builders.a_deployment(
            production, "1.1", FAILED, status=DeploymentStatus.FAILED, message="no memory left", completed_at=now
        )
        waiting = builders.a_deployment(checkout, "1.0", WAITING, message="waits for environment test")
        first = builders.a_deployment(
            builders.an_environment("empty", None), "1.1", status=DeploymentStatus.FAILED, message="no such role"
        )
        for deployment in (done, failed, waiting, first):
            unit.deployments.add(deployment)
            resource = unit.fleet.get(deployment.resource)
            unit.fleet.save(replace(resource, status=deployment.status, last_deployment=deployment.id))
        unit.deployments.keep_rendered(DONE, "Resources: {}\n")
        unit.deployments.keep_proposal(DONE, Proposal(ProposalState.READY, CHANGES, stack=STACK))
        unit.deployments.keep_events(
            DONE,
            (
                StackEvent("e-1", now, "Log", "AWS::Logs::LogGroup", "CREATE_FAILED", "Resource limit exceeded"),
                StackEvent("e-2", now, "test", "AWS::CloudFormation::Stack", "UPDATE_COMPLETE"),
            ),
        )
        members = (
            Member(test.key, parse_version("1.0"), parse_version("1.1"), stage=1),
            Member(
                production.key, parse_version("1.0"), parse_version("1.1"), Turn.FAILED, 0, FAILED, "no memory left"
            ),
            Member(checkout.key, parse_version("1.0"), None, Turn.LEFT_OUT, reason="up to date"),
        )
        stages = (Stage("first", timedelta(hours=1)), Stage("rest"))
        going = Rollout(ROLLOUT, ENV, None, builders.DEVELOPER, now, members, stop_after=2, stages=stages)
        unit.rollouts.add(going)
        unit.rollouts.add(replace(going, id=PAUSED, status=RolloutStatus.PAUSED, message="1 update did not succeed"))
        unit.work.ask(WorkKind.SYNC, "templates", now - timedelta(minutes=1), "webhook")
        measure(unit, ENV)
        measure(unit, SVC)
        diff = "--- 1.0\n+++ 1.2\n@@ -1 +1 @@\n-old\n+new\n"
        unit.registry.save_preview(
            Preview(
                ENV,
                parse_version("1.2"),
                now,
                (
                    PreviewGroup(("environment/test",), ("1.0",), diff=diff),
                    PreviewGroup(("environment/production",), ("1.0",), failure="`days` is missing"),
                ),
            )
        )
        unit.journal.record(events.SourceSynced("source/templates", None, builders.object_id("head"), 4), DAEMON, now)
        unit.journal.record(events.OwnerChanged(str(environment_key("test")), None, "platform"), builders.ADMIN, now)


def _deliveries(unit: Unit, now: datetime) -> None:
    for number, status in enumerate(DeliveryStatus):
        unit.deliveries.save(
            Delivery(
                f"d-{number}",
                "push",
                now - timedelta(minutes=number),
                status,
                reason=None if status is DeliveryStatus.RECEIVED else f"reason {number}",
                ref="refs/heads/main",
                after=builders.object_id(number),
                sources=(SourceName("templates"),),
            )
        )
