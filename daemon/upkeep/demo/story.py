"""The story, step by step. Every step says what it does, does it as a person would, and looks at what came of it."""

from collections.abc import Mapping
from typing import Any

from upkeep.demo import edits, repository, webhook
from upkeep.demo.browser import Browser
from upkeep.demo.edits import ENVIRONMENT_TEMPLATE, SERVICE_TEMPLATE, Change
from upkeep.demo.expect import eventually, expect
from upkeep.demo.stage import Stage, write_templates
from upkeep.domain import documents
from upkeep.domain.people import Role

ENVIRONMENTS = ("test", "production")
SERVICE = "storefront"
INSTANCES = {"test": "test", "prod": "production"}
"""The instances of the service and the environments they live in, in the order of the spec."""

UPDATE = "Update to recommended version"


# ------------------------------------------------------------------------------------------- the first half


def open_house(stage: Stage) -> None:
    """Push the templates, start the daemon, let the people in."""
    tell = stage.narrator
    tell.step("A repository with two templates")
    write_templates(stage.clone.folder)
    stage.clone.commit("Add a network and a service to run in it")
    stage.clone.push()
    tell.table(
        (ENVIRONMENT_TEMPLATE, "environment template: a network, an ECS cluster, a topic for alarms"),
        (SERVICE_TEMPLATE, "service template: containers behind a load balancer, with a pipeline"),
    )
    tell.line(f"pushed to {stage.clone.remote}")
    tell.step("The daemon")
    for person in stage.people.values():
        stage.daemon.run("user", "add", person.name, "--role", person.role, typed=f"{person.password}\n")
    stage.daemon.start()
    tell.line(f"upkeep serve answers at {stage.daemon.address}")


def publish_first_versions(stage: Stage) -> None:
    """Both templates were found, as drafts; publish them on the command line."""
    stage.narrator.step("The first version of each template")
    for template in (ENVIRONMENT_TEMPLATE, SERVICE_TEMPLATE):
        await_version(stage, template, "1.0", "DRAFT")
        stage.daemon.run("version", "publish", template, "1.0")
        await_version(stage, template, "1.0", "PUBLISHED")
        stage.narrator.line(f"{template} 1.0 was found as a draft and is published now")


def enroll(stage: Stage) -> None:
    """Create the environments and the service on the command line and wait until they run."""
    tell = stage.narrator
    tell.step("What runs them")
    for name in ENVIRONMENTS:
        spec = str(stage.specs / f"{name}.yaml")
        stage.daemon.run(
            "environment", "create", name, "--template", ENVIRONMENT_TEMPLATE, "--spec", spec, "--owner", "platform"
        )
    for name in ENVIRONMENTS:
        await_running(stage, f"environment/{name}", "1.0")
    stage.daemon.run(
        *("service", "create", SERVICE, "--template", SERVICE_TEMPLATE, "--spec", str(stage.specs / f"{SERVICE}.yaml")),
        *("--owner", "shop", "--repository", "acme/storefront", "--branch", "main"),
    )
    for key in service_keys():
        await_running(stage, key, "1.0")
    tell.table(
        *((f"environment {name}", f"{ENVIRONMENT_TEMPLATE} 1.0") for name in ENVIRONMENTS),
        (f"service {SERVICE}", f"{SERVICE_TEMPLATE} 1.0 in {' and '.join(INSTANCES)}, and its pipeline"),
    )
    expect_counters(stage, total=5, up_to_date=5)


def push_change(stage: Stage, change: Change) -> None:
    """Change a template, push the commit and see it become the draft 1.1."""
    stage.narrator.step(f"A push: “{change.message.partition(chr(10))[0]}”")
    edits.apply(change, stage.clone.folder)
    before = stage.clone.head()
    commit = stage.clone.commit(change.message)
    push(stage, before)
    drafted = await_version(stage, change.template, "1.1", "DRAFT")
    expect(f"the commit of {change.template} 1.1", commit, drafted["commit"])
    await_notice(stage, f"{change.template} 1.1 is ready to review")
    stage.narrator.line(f"commit {commit[:7]} became the draft {change.template} 1.1; nothing runs it yet")


def push(stage: Stage, before: str) -> None:
    """Push what was committed, and announce it as GitHub would where the stage has webhooks."""
    stage.clone.push()
    if stage.webhook_secret is not None:
        webhook.announce(
            stage.daemon.address,
            stage.webhook_secret,
            repository=stage.clone.remote,
            branch=repository.BRANCH,
            before=before,
            after=stage.clone.head(),
        )


def first_half(stage: Stage) -> None:
    """Everything up to the two drafts that wait for a review."""
    open_house(stage)
    publish_first_versions(stage)
    enroll(stage)
    push_change(stage, edits.FLOW_LOGS)
    push_change(stage, edits.APPROVAL_AND_EXEC)
    expect_counters(stage, total=5, up_to_date=5)


# ------------------------------------------------------------------------------------------ the second half


def second_half(stage: Stage) -> None:
    """What the first half leaves to a person: review, publish, update; and look at what came of it."""
    look_only(stage)
    roll_out_flow_logs(stage)
    roll_out_approval(stage)
    expect_counters(stage, total=5, up_to_date=5)
    stage.daemon.run("lag", "--exit-code")
    stage.narrator.line("all five resources are up to date")


def look_only(stage: Stage) -> None:
    """A viewer sees the draft and cannot publish it."""
    stage.narrator.step("A viewer looks")
    viewer = sign_in(stage, Role.VIEWER)
    page = viewer.open(review_path(ENVIRONMENT_TEMPLATE))
    expect("a viewer's Publish button", False, page.has_button("Publish 1.1"))
    stage.narrator.line("the draft can be read, and there is no button to publish it")


def roll_out_flow_logs(stage: Stage) -> None:
    """An admin publishes the new environment version, and both environments follow, one after the other."""
    tell = stage.narrator
    tell.step("Flow logs, from the draft to both environments")
    admin = sign_in(stage, Role.ADMIN)
    for name in ENVIRONMENTS:
        expect_resource_types(stage, admin, f"environment/{name}", {"AWS::EC2::FlowLog": 0})
    publish(stage, admin, edits.FLOW_LOGS, shows=("AWS::EC2::FlowLog", "test", "production"))
    expect_counters(stage, total=5, up_to_date=3, behind_minor=2)
    await_notice(stage, f"{ENVIRONMENT_TEMPLATE} 1.1 is now recommended")
    tell.line("published; 2 of 5 resources are behind now, and their owners were told")

    update_in_browser(stage, admin, "environment/test")
    expect_resource_types(stage, admin, "environment/test", {"AWS::EC2::FlowLog": 1})
    expect_resource_types(stage, admin, "environment/production", {"AWS::EC2::FlowLog": 0})
    tell.line("test has flow logs now, production has not")

    update_on_command_line(stage, "environment/production")
    expect_resource_types(stage, admin, "environment/production", {"AWS::EC2::FlowLog": 1})
    expect_counters(stage, total=5, up_to_date=5)
    tell.line("production has them too")


def roll_out_approval(stage: Stage) -> None:
    """The service's new version: a developer updates the pipeline and each instance."""
    tell = stage.narrator
    tell.step("An approval before production and a shell in test, from the draft to the service")
    admin, developer = sign_in(stage, Role.ADMIN), sign_in(stage, Role.DEVELOPER)
    pipeline = f"pipeline/{SERVICE}"
    expect("the stages before", stages(approved=False), pipeline_stages(stage, developer))
    publish(stage, admin, edits.APPROVAL_AND_EXEC, shows=("Preproduction_Approval", "EnableExecuteCommand"))
    expect_counters(stage, total=5, up_to_date=2, behind_minor=3)
    await_notice(stage, f"{SERVICE_TEMPLATE} 1.1 is now recommended")
    tell.line("published; the pipeline and both instances are behind now")

    update_in_browser(stage, developer, pipeline)
    expect("the stages after", stages(approved=True), pipeline_stages(stage, developer))
    tell.line("the pipeline waits for a person before Deploy-prod, and only there")

    update_in_browser(stage, developer, f"instance/{SERVICE}/test")
    expect_counters(stage, total=5, up_to_date=4, behind_minor=1)
    update_on_command_line(stage, f"instance/{SERVICE}/prod")
    expect("ECS exec in test", True, exec_enabled(stage, developer, "test"))
    expect("ECS exec in prod", False, exec_enabled(stage, developer, "prod"))
    tell.line("a shell can be opened in test, and not in prod")


def sign_in(stage: Stage, role: Role) -> Browser:
    """The browser of a person who has just signed in."""
    person = stage.people[role]
    browser = Browser(stage.daemon.address)
    page = browser.open("/")
    page = browser.press(page, "Sign in", {"name": person.name, "password": person.password})
    expect(f"the page after {person.name} signed in", (200, False), (page.status, page.has_button("Sign in")))
    return browser


def publish(stage: Stage, admin: Browser, change: Change, shows: tuple[str, ...]) -> None:
    """Open the review of the draft of a change, read it, press Publish."""
    subject = change.message.partition("\n")[0]
    page = eventually(
        f"the rendered difference of {change.template} 1.1",
        lambda: admin.open(review_path(change.template)),
        lambda page: all(text in page.text for text in (subject, *shows)),
    )
    page = admin.press(page, "Publish 1.1")
    expect(f"the page after publishing {change.template} 1.1", 200, page.status)
    await_version(stage, change.template, "1.1", "PUBLISHED")


def update_in_browser(stage: Stage, browser: Browser, key: str) -> None:
    """Open the resource, follow "Update to recommended version", press it, and wait until it runs 1.1."""
    page = browser.open(resource_path(key))
    expect(f"{key} says that it is behind", True, "You are not using the latest minor version" in page.text)
    if UPDATE in page.links:
        page = browser.open(page.links[UPDATE])
    page = browser.press(page, UPDATE)
    expect(f"the page after updating {key}", 200, page.status)
    await_running(stage, key, "1.1")


def update_on_command_line(stage: Stage, key: str) -> None:
    """Do the same with `upkeep … update`."""
    kind, *names = key.split("/")
    stage.daemon.run(kind, "update", *names)
    await_running(stage, key, "1.1")


# ----------------------------------------------------------------------------------------------- looking


def service_keys() -> tuple[str, ...]:
    """The instances and the pipeline of the service."""
    return (*(f"instance/{SERVICE}/{name}" for name in INSTANCES), f"pipeline/{SERVICE}")


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


def await_version(stage: Stage, template: str, version: str, state: str) -> Mapping[str, Any]:
    """Wait until a template has a version in a state, and return the version's row."""
    eventually(
        f"the template {template}",
        lambda: [row["name"] for row in stage.daemon.ask("template", "list")],
        lambda names: template in names,
    )
    found: Mapping[str, Any] = eventually(
        f"{template} {version} {state}",
        lambda: {row["version"]: row for row in stage.daemon.ask("version", "list", template)},
        lambda rows: rows.get(version, {}).get("state") == state,
    )[version]
    return found


def await_running(stage: Stage, key: str, version: str) -> None:
    """Wait until a resource's deployment has succeeded with a version."""
    expected = ("SUCCEEDED", version)
    eventually(
        f"{key} to run {version}",
        lambda: resource(stage, key),
        lambda row: (row["status"], row["version"]) == expected,
    )


def await_notice(stage: Stage, headline: str) -> None:
    """Wait until the console channel has told something."""
    eventually(
        f"the notice {headline!r}",
        lambda: list(stage.daemon.notices),
        lambda lines: any(headline in line for line in lines),
    )


def resource(stage: Stage, key: str) -> Mapping[str, Any]:
    """The row of a resource."""
    kind, *names = key.split("/")
    row: Mapping[str, Any] = stage.daemon.ask(kind, "get", "/".join(names))
    return row


def expect_counters(stage: Stage, **expected: int) -> None:
    """Look at the counters of the fleet; those not named are expected to be zero."""
    seen = stage.daemon.ask("lag")["counters"]
    expect("the counters", {**dict.fromkeys(seen, 0), **expected}, seen)


def template_of(stage: Stage, browser: Browser, key: str) -> Mapping[str, Any]:
    """The rendered template of a resource's last deployment, as its page offers it."""
    page = browser.open(f"/deployments/{resource(stage, key)['last_deployment']}/template")
    expect(f"the rendered template of {key}", 200, page.status)
    body: Mapping[str, Any] = documents.load_template(page.body, key).value
    return body


def expect_resource_types(stage: Stage, browser: Browser, key: str, expected: Mapping[str, int]) -> None:
    """Count resources of some types in what is deployed."""
    types = [each["Type"] for each in template_of(stage, browser, key)["Resources"].values()]
    expect(f"resources in the template of {key}", dict(expected), {name: types.count(name) for name in expected})


def pipeline_stages(stage: Stage, browser: Browser) -> list[str]:
    """The stages of the deployed pipeline, in order."""
    pipeline = template_of(stage, browser, f"pipeline/{SERVICE}")["Resources"]["Pipeline"]
    return [each["Name"] for each in pipeline["Properties"]["Stages"]]


def stages(*, approved: bool) -> list[str]:
    """The stages the pipeline should have."""
    gate = ["Preproduction_Approval"] if approved else []
    return ["Source", "Build", "Deploy-test", *gate, "Deploy-prod"]


def exec_enabled(stage: Stage, browser: Browser, instance: str) -> bool:
    """Whether a shell can be opened in the containers of an instance."""
    service = template_of(stage, browser, f"instance/{SERVICE}/{instance}")["Resources"]["Service"]
    return service["Properties"].get("EnableExecuteCommand", False) is True
