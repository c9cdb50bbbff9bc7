"""The story, step by step. Every step says what it does, does it as a person would, and looks at what came of it."""

import functools
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from upkeep.demo import edits, repository, webhook
from upkeep.demo.browser import Browser, Page
from upkeep.demo.edits import ENVIRONMENT_TEMPLATE, SERVICE_TEMPLATE, Change
from upkeep.demo.expect import eventually, expect
from upkeep.demo.stage import Stage, write_templates
from upkeep.domain import documents
from upkeep.domain.people import Role

ENVIRONMENTS = ("test", "production")
SERVICE = "storefront"
INSTANCES = ("test", "prod")

CONNECTION = "arn:aws:codestar-connections:eu-west-1:111122223333:connection/7b3a4f0e-5c1d-4e2f-9a68-0d1e2f3a4b5c"
"""A connection to the application's repository, as AWS would name one."""

UPDATE = "Update to recommended version"

_DEPLOYMENT = re.compile(r"/deployments/[0-9a-f-]{36}$")


class Story:
    """One telling. `first_half` ends where a person decides; `second_half` decides for them."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._daemon = stage.daemon
        self._tell = stage.narrator

    # ------------------------------------------------------------------------------------ the first half

    def first_half(self) -> None:
        """Everything up to the two drafts that wait for a review."""
        self.open_house()
        self.publish_first_versions()
        self.enroll()
        self.push_change(edits.FLOW_LOGS)
        self.push_change(edits.APPROVAL_AND_EXEC)
        self.expect_counters(up_to_date=5, behind=0)

    def open_house(self) -> None:
        """Push the templates, let people in, start the daemon."""
        clone = self._stage.clone
        self._tell.step("A repository with two templates")
        write_templates(clone.folder)
        clone.commit("Add a network and a service to run in it")
        clone.push()
        self._tell.table(
            (ENVIRONMENT_TEMPLATE, "environment template: a network, an ECS cluster, a topic for alarms"),
            (SERVICE_TEMPLATE, "service template: containers behind a load balancer, with a pipeline"),
        )
        self._tell.line(f"pushed to {clone.remote}")
        self._tell.step("The daemon")
        for person in self._stage.people.values():
            typed = f"{person.password}\n"
            # A developer updates what their teams own.
            teams = ("--team", "platform", "--team", "shop") if person.role is Role.DEVELOPER else ()
            self._daemon.run("user", "add", person.name, "--role", person.role, *teams, "--password-stdin", typed=typed)
        self._daemon.start()
        self._tell.line(f"upkeep serve answers at {self._daemon.address}")

    def publish_first_versions(self) -> None:
        """Both templates were found, as drafts; publish them on the command line."""
        self._tell.step("The first version of each template")
        for template in (ENVIRONMENT_TEMPLATE, SERVICE_TEMPLATE):
            self.await_version(template, "1.0", "draft")
            self._daemon.run("version", "publish", template, "1.0")
            self._tell.line(f"{template} 1.0 was found as a draft and is published now")

    def enroll(self) -> None:
        """Create the environments and the service on the command line and wait until they run."""
        specs = self._stage.specs
        self._tell.step("What runs them")
        for name in ENVIRONMENTS:
            self._daemon.run(
                *("environment", "create", name, "--template", ENVIRONMENT_TEMPLATE),
                *("--spec", str(specs / f"{name}.yaml"), "--owner", "platform", "--wait"),
            )
        self._daemon.run(
            *("service", "create", SERVICE, "--template", SERVICE_TEMPLATE),
            *("--spec", str(specs / f"{SERVICE}.yaml"), "--owner", "shop", "--wait"),
            *("--repository-id", f"acme/{SERVICE}", "--repository-branch", "main"),
            *("--repository-connection-arn", CONNECTION),
        )
        self._tell.table(
            *((f"environment {name}", f"{ENVIRONMENT_TEMPLATE} 1.0") for name in ENVIRONMENTS),
            (f"service {SERVICE}", f"{SERVICE_TEMPLATE} 1.0 in {' and '.join(INSTANCES)}, and its pipeline"),
        )
        self.expect_counters(up_to_date=5, behind=0)

    def push_change(self, change: Change) -> None:
        """Change a template, push the commit and see it become the draft 1.1."""
        clone = self._stage.clone
        self._tell.step(f"A push: “{change.subject}”")
        edits.apply(change, clone.folder)
        before = clone.head()
        commit = clone.commit(change.message)
        self.push(before)
        page = self.await_version(change.template, "1.1", "draft")
        expect(f"{change.template} 1.1 names the commit {commit}", True, commit in page.text)
        self.await_notice(f"{change.template} 1.1 is ready to review")
        self._tell.line(f"commit {commit[:7]} became the draft {change.template} 1.1; nothing runs it yet")

    def push(self, before: str) -> None:
        """Push what was committed since `before`, and announce it as GitHub would where the stage has webhooks."""
        clone = self._stage.clone
        clone.push()
        if self._stage.webhook_secret is not None:
            webhook.announce(
                self._daemon.address,
                self._stage.webhook_secret,
                repository=clone.remote,
                branch=repository.BRANCH,
                before=before,
                after=clone.head(),
            )

    # ----------------------------------------------------------------------------------- the second half

    def second_half(self) -> None:
        """What the first half leaves to a person: review, publish, update."""
        self.look_only()
        self.roll_out_flow_logs()
        self.roll_out_approval()
        counters = self._daemon.ask("lag", "--exit-code")["counters"]
        expect("the counters of `upkeep lag`", (5, 5), (counters["total"], counters["up_to_date"]))
        self._tell.line("all five resources are up to date")

    def look_only(self) -> None:
        """A viewer sees the draft and cannot publish it."""
        self._tell.step("A viewer looks")
        page = self.browser(Role.VIEWER).open(review_path(ENVIRONMENT_TEMPLATE))
        expect("a viewer's Publish button", (200, False), (page.status, page.has_button("Publish 1.1")))
        self._tell.line("the draft can be read, and there is no button to publish it")

    def roll_out_flow_logs(self) -> None:
        """An admin publishes the new environment version, and both environments follow, one after the other."""
        self._tell.step("Flow logs, from the draft to both environments")
        for name in ENVIRONMENTS:
            expect(f"flow logs of {name} at 1.0", 0, self.count(f"environment/{name}", "AWS::EC2::FlowLog"))
        self.publish(edits.FLOW_LOGS, shows=("AWS::EC2::FlowLog", *ENVIRONMENTS))
        self.expect_counters(up_to_date=3, behind=2)
        self._tell.line("published; 2 of 5 resources are behind now, and their owners were told")

        self.update_in_browser("environment/test", Role.ADMIN)
        expect("flow logs of test at 1.1", 1, self.count("environment/test", "AWS::EC2::FlowLog"))
        expect("flow logs of production, still at 1.0", 0, self.count("environment/production", "AWS::EC2::FlowLog"))
        self._tell.line("updated in the browser, test has flow logs now; production has not")

        self.update_on_command_line("environment/production")
        expect("flow logs of production at 1.1", 1, self.count("environment/production", "AWS::EC2::FlowLog"))
        self.expect_counters(up_to_date=5, behind=0)
        self._tell.line("updated on the command line, production has them too")

    def roll_out_approval(self) -> None:
        """The service's new version: a developer updates the pipeline and each instance."""
        self._tell.step("An approval before production and a shell in test, from the draft to the service")
        expect("the stages at 1.0", ["Source", "Build", "Deploy-test", "Deploy-prod"], self.pipeline_stages())
        self.publish(edits.APPROVAL_AND_EXEC, shows=("Preproduction_Approval", "EnableExecuteCommand"))
        self.expect_counters(up_to_date=2, behind=3)
        self._tell.line("published; the pipeline and both instances are behind now")

        self.update_in_browser(f"pipeline/{SERVICE}", Role.DEVELOPER)
        gated = ["Source", "Build", "Deploy-test", "Preproduction_Approval", "Deploy-prod"]
        expect("the stages at 1.1", gated, self.pipeline_stages())
        self._tell.line("the pipeline waits for a person before Deploy-prod, and only there")

        self.update_in_browser(f"instance/{SERVICE}/test", Role.DEVELOPER)
        self.expect_counters(up_to_date=4, behind=1)
        self.update_on_command_line(f"instance/{SERVICE}/prod")
        expect("ECS exec in test and prod", (True, False), (self.exec_enabled("test"), self.exec_enabled("prod")))
        self._tell.line("a shell can be opened in test, and not in prod")
        self.expect_counters(up_to_date=5, behind=0)

    def publish(self, change: Change, shows: tuple[str, ...]) -> None:
        """Open the review of the draft of a change, read the rendered difference, press Publish."""
        admin = self.browser(Role.ADMIN)
        page = eventually(
            f"the review of {change.template} 1.1 shows {shows!r}",
            lambda: admin.open(review_path(change.template)),
            lambda page: all(text in page.text for text in (change.subject, *shows)),
        )
        page = admin.press(page, "Publish 1.1")
        expect(f"the page after publishing {change.template} 1.1", 200, page.status)
        self.await_version(change.template, "1.1", "published")
        self.await_notice(f"{change.template} 1.1 is now recommended")

    def update_in_browser(self, key: str, role: Role) -> None:
        """Open the resource, follow "Update to recommended version", press it, and wait until it runs 1.1."""
        browser = self.browser(role)
        page = browser.open(resource_path(key))
        behind = "You are not using the latest minor version"
        expect(f"{key} says {behind!r}", True, behind in page.text)
        page = browser.press(browser.open(page.link(UPDATE)), UPDATE)
        moved = "1.0 → 1.1 succeeded"
        deployment = urlsplit(page.url).path
        eventually(f"{key} {moved}", lambda: browser.open(deployment), lambda page: moved in page.text)
        self.expect_updated(key)

    def update_on_command_line(self, key: str) -> None:
        """The same with `upkeep … update`."""
        kind, _, name = key.partition("/")
        self._daemon.run(kind, "update", name, "--wait")
        self.expect_updated(key)

    # ------------------------------------------------------------------------------------------- looking

    @functools.cache  # noqa: B019  (a story lives as long as its process or test)
    def browser(self, role: Role) -> Browser:
        """The browser of a person, signed in."""
        person = self._stage.people[role]
        browser = Browser(self._daemon.address)
        page = browser.press(browser.open("/"), "Sign in", {"name": person.name, "password": person.password})
        expect(f"the page after {person.name} signed in", (200, False), (page.status, page.has_button("Sign in")))
        return browser

    def await_version(self, template: str, version: str, state: str) -> Page:
        """Wait until a template has a version in a state, and return the version's page."""
        heading = f"{template} {version} {state}"
        return eventually(
            heading,
            lambda: self.browser(Role.VIEWER).open(f"/templates/{template}/{version}"),
            lambda page: heading in page.text,
        )

    def expect_updated(self, key: str) -> None:
        """The page of a resource says that it runs 1.1, and its owner has been told so."""
        page = self.browser(Role.VIEWER).open(resource_path(key))
        expect(f"{key} runs the recommended 1.1", True, "Version 1.1 recommended" in page.text)
        kind, _, name = key.partition("/")
        self.await_notice(f"{name}{' pipeline' if kind == 'pipeline' else ''} now runs")

    def await_notice(self, headline: str) -> None:
        """Wait until the console channel has told something."""
        eventually(
            f"the notice {headline!r}",
            lambda: list(self._daemon.notices),
            lambda lines: any(headline in line for line in lines),
        )

    def expect_counters(self, *, up_to_date: int, behind: int) -> None:
        """Look at the five counters of the fleet page: nothing failed, and no newer major is published."""
        expected = [
            f"{up_to_date + behind} resources",
            f"{up_to_date} up to date",
            f"{behind} behind, minor",
            "0 behind, major",
            "0 failed",
        ]
        labels = [label for label, _ in self.browser(Role.VIEWER).open("/").links]
        seen = [label for label in labels if any(label.endswith(each.partition(" ")[2]) for each in expected)]
        expect("the counters of the fleet page", expected, seen[: len(expected)])

    def deployed(self, key: str) -> Mapping[str, Any]:
        """The resources in the rendered template of the last deployment, as its page offers it."""
        browser = self.browser(Role.VIEWER)
        page = browser.open(resource_path(key))
        latest = next((target for _, target in page.links if _DEPLOYMENT.search(target)), None)
        expect(f"the page of {key} has a deployment", True, latest is not None)
        page = browser.open(f"{latest}/template")
        expect(f"the rendered template of {key}", 200, page.status)
        resources: Mapping[str, Any] = documents.load_template(page.body, key).value["Resources"]
        return resources

    def count(self, key: str, resource_type: str) -> int:
        """How many resources of a type are deployed."""
        return [each["Type"] for each in self.deployed(key).values()].count(resource_type)

    def pipeline_stages(self) -> list[str]:
        """The stages of the deployed pipeline, in order."""
        pipeline = self.deployed(f"pipeline/{SERVICE}")["Pipeline"]
        return [each["Name"] for each in pipeline["Properties"]["Stages"]]

    def exec_enabled(self, instance: str) -> bool:
        """Whether a shell can be opened in the containers of an instance."""
        service = self.deployed(f"instance/{SERVICE}/{instance}")["Service"]
        return service["Properties"].get("EnableExecuteCommand", False) is True


def review_path(template: str) -> str:
    """The page where version 1.1 is reviewed."""
    return f"/templates/{template}/1.1/review"


def resource_path(key: str) -> str:
    """The page of a resource."""
    match key.split("/"):
        case ["environment", name]:
            return f"/environments/{name}"
        case ["instance", service, name]:
            return f"/services/{service}/instances/{name}"
        case ["pipeline", service]:
            return f"/services/{service}/pipeline"
    raise ValueError(f"{key} is not the key of a resource")
