"""Creating by form, as a person does it in a browser without JavaScript."""

import pytest

from tests import builders
from tests.flows.given import registered
from tests.web.page import Page
from upkeep.domain import specs
from upkeep.domain.names import ResourceKey, Version, environment_key, instance_key, pipeline_key
from upkeep.domain.notices import Routing
from upkeep.domain.resources import Placement, Repository
from upkeep.flows import review

RICH = """\
schema:
  format: {openapi: "3.0.0"}
  environment_input_type: Rich
  types:
    Rich:
      type: object
      required: [name, rules]
      properties:
        name: {type: string, title: "Network name", description: "How it is called", pattern: "^[a-z]{2,8}$"}
        size: {type: integer, minimum: 2, maximum: 10, multipleOf: 2, default: 4}
        ratio: {type: number}
        tier: {type: string, enum: [small, large]}
        logs: {type: boolean, default: true}
        note: {type: string, nullable: true}
        rules:
          type: array
          minItems: 1
          items:
            type: object
            required: [port]
            properties:
              port: {type: integer}
              from: {type: array, items: {type: string}}
        extra: {type: object, additionalProperties: {type: string}}
"""
NEW = "/environments/new"
CREATE = "Create environment"


@pytest.fixture
def rich(store, now):
    with store.write() as unit:
        files = builders.environment_files(RICH, "Resources: {}\n")
        registered(unit, "rich-env", "1.0", builders.a_bundle(files), now)
        review.publish(
            unit, "rich-env", Version(1, 0), seen_tree=None, note=None, routing=Routing(), actor=builders.ADMIN, now=now
        )


@pytest.fixture
def offered(furnished, store, now):
    """`web-svc` is published, and the environment `test` can be lived in."""


def made(store, key: ResourceKey):
    with store.read() as unit:
        return unit.fleet.get(key), unit.deployments.of_resource(key, 1)[0]


def pressed(visitor, page, button, typed, **kept):
    answer = visitor.press(page, button, typed, **kept)
    assert answer.status_code == 200, answer.text
    return Page(answer.text)


@pytest.mark.usefixtures("rich")
def test_an_environment_is_created_field_by_field(visit, store):
    developer = visit("developer")
    page = developer.page(NEW)
    assert "Where it lives" in page.text
    typed = {"name": "blue", "owner": "platform", "region": "eu-west-1", "tags": "team=a\r\ncost=1\r\n"}
    page = pressed(developer, page, CREATE, typed | {"input.name": "main", "change": "add:input.rules"})
    assert page.form(CREATE).fields["name"] == "blue"
    page = pressed(developer, page, CREATE, {"input.rules.0.port": "80", "change": "add:input.rules.0.from"})
    answer = developer.press(
        page,
        CREATE,
        {"do": "create", "input.rules.0.from.0": "::/0", "input.ratio": "0.5", "input.extra": "a: b"},
    )
    assert answer.status_code == 303, answer.text
    resource, deployment = made(store, environment_key("blue"))
    assert answer.headers["Location"] == f"/deployments/{deployment.id}"
    assert deployment.target.inputs == {
        "name": "main", "rules": [{"port": 80, "from": ["::/0"]}], "ratio": 0.5, "extra": {"a": "b"}
    }  # fmt: skip
    assert (resource.owner, resource.placement, resource.tags) == (
        "platform",
        Placement(region="eu-west-1"),
        {"team": "a", "cost": "1"},
    )


@pytest.mark.usefixtures("rich")
def test_everything_that_is_wrong_is_said_at_its_field_and_linked_from_the_top(visit, store):
    developer = visit("developer")
    typed = {
        "name": "no spaces", "region": "Europe", "account_id": "a b", "external_id": "x1", "tags": "odd",
        "input.name": "TOO LONG", "input.size": "3", "input.tier": "huge", "do": "create",
    }  # fmt: skip
    answer = developer.press(developer.page(NEW), CREATE, typed)
    assert answer.status_code == 400
    page = Page(answer.text)
    assert "Nothing was created; what you typed is kept." in page.text
    linked = {target for target in page.links.values() if target.startswith("#")}
    assert linked == {
        "#content", "#name", "#region", "#account_id", "#external_id", "#tags", "#input.tier"
    }  # fmt: skip
    assert page.form(CREATE).fields["name"] == "no spaces"
    assert page.form(CREATE).fields["input.name"] == "TOO LONG"
    answer = developer.press(page, CREATE, {"input.tier": "small", "name": "blue", "do": "create"})
    page = Page(answer.text)
    assert page.links["Network name"] == "#input.name"
    assert page.links["size"] == "#input.size"
    assert "This is 3, not a multiple of 2: give a multiple of it." in page.text
    assert "This has 0 items, fewer than 1" in page.text
    with store.read() as unit:
        assert unit.fleet.find(environment_key("blue")) is None


@pytest.mark.usefixtures("rich")
def test_a_form_becomes_a_spec_and_a_pasted_spec_a_form(visit, store):
    developer = visit("developer")
    page = pressed(
        developer, developer.page(NEW), CREATE, {"name": "blue", "input.name": "main", "input.size": "6", "do": "spec"}
    )
    text = page.form(CREATE).fields["spec"]
    assert specs.parse_environment_spec(text).inputs == {"name": "main", "size": 6, "rules": []}
    pasted = "# mine\nproton: EnvironmentSpec\nspec:\n  name: other\n  rules: [{port: 1, more: true}]\n  odd: 1\n"
    page = pressed(developer, page, CREATE, {"spec": pasted.replace("\n", "\r\n"), "do": "form"})
    fields = page.form(CREATE).fields
    assert (fields["name"], fields["input.name"], fields["input.rules.0.port"]) == ("blue", "other", "1")
    assert "1.0 does not know odd, which the spec gives: ignored." in page.text
    again = pressed(developer, page, CREATE, {"do": "spec"})
    assert again.form(CREATE).fields["spec"] == pasted
    changed = pressed(developer, page, CREATE, {"input.rules.0.port": "2", "do": "spec"})
    assert specs.parse_environment_spec(changed.form(CREATE).fields["spec"]).inputs == {
        "name": "other", "rules": [{"port": 2, "more": True}], "odd": 1
    }  # fmt: skip
    assert developer.press(again, CREATE, {"do": "create"}).status_code == 303
    assert made(store, environment_key("blue"))[1].target.inputs["rules"] == [{"port": 1, "more": True}]


@pytest.mark.usefixtures("rich")
@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ("", "This is no spec"),
        ("- a", "This is no spec"),
        ("proton: EnvironmentSpec\nspec:\n  name: [", "This is not YAML"),
        ("proton: EnvironmentSpec\nspec: {name: main, rules: []}\n", "has 0 items"),
    ],
)
def test_a_spec_that_cannot_be_read_is_refused_and_kept(visit, spec, sentence):
    developer = visit("developer")
    page = pressed(developer, developer.page(NEW), CREATE, {"name": "blue", "do": "spec"})
    answer = developer.press(page, CREATE, {"spec": spec, "do": "create"})
    assert answer.status_code == 400
    again = Page(answer.text)
    assert sentence in again.text
    assert again.form(CREATE).fields["spec"] == spec
    assert again.form(CREATE).fields["name"] == "blue"


@pytest.mark.usefixtures("rich", "offered")
def test_another_template_keeps_what_was_typed_beside_it(visit):
    developer = visit("developer")
    page = developer.page(NEW)
    assert page.form("Go on").fields["template"] == ""
    page = pressed(developer, page, "Go on", {"template": "rich-env", "do": "choose"})
    typed = {"name": "blue", "template": "network-env", "do": "choose"}
    page = pressed(developer, page, CREATE, typed)
    fields = page.form(CREATE).fields
    assert (fields["name"], fields["of"], fields["version"]) == ("blue", "network-env", "1.1")
    assert "input.cidr" in fields
    assert "input.size" not in fields


@pytest.mark.usefixtures("offered")
def test_drafts_are_offered_to_admins_only_and_refused_to_others(visit):
    developer = visit("developer")
    for visitor, offered_too in ((visit("admin"), True), (developer, False)):
        text = visitor.get(f"{NEW}?template=network-env").text
        assert ('<option value="1.2"' in text) is offered_too
    page = developer.page(f"{NEW}?template=network-env")
    answer = developer.press(page, CREATE, {"name": "blue", "version": "1.2", "do": "create", "input.days": "1"})
    assert answer.status_code == 403


@pytest.mark.usefixtures("offered")
def test_a_name_that_is_taken_is_said_at_the_name(visit):
    developer = visit("developer")
    page = developer.page(f"{NEW}?template=network-env")
    answer = developer.press(page, CREATE, {"name": "test", "do": "create"})
    assert answer.status_code == 400
    assert "An environment `test` exists already" in answer.text.replace("<code>", "`").replace("</code>", "`")
    answer = developer.press(page, CREATE, {"name": "new", "do": "create"})
    assert "Nothing can be called" in answer.text


@pytest.mark.usefixtures("offered")
def test_a_service_is_created_with_its_instances_pipeline_and_repository(visit, store):
    developer = visit("developer")
    page = developer.page("/services/new")
    assert "test" in page.text
    page = pressed(developer, page, "Create service", {"name": "shop", "owner": "team", "change": "add:instances"})
    typed = {
        "instances.0~name": "staging",
        "instances.0~environment": "test",
        "instances.0.port": "8080",
        "instances.1~name": "prod",
        "instances.1~environment": "production",
        "pipeline.command": "make all",
        "repository_id": "shop/shop",
        "branch_name": "main",
        "do": "create",
    }
    answer = developer.press(page, "Create service", typed)
    assert answer.status_code == 303, answer.text
    assert answer.headers["Location"] == "/services/shop"
    assert made(store, instance_key("shop", "staging"))[1].target.inputs == {"port": 8080}
    assert made(store, instance_key("shop", "prod"))[0].environment == "production"
    assert made(store, pipeline_key("shop"))[1].target.inputs == {"command": "make all"}
    with store.read() as unit:
        service = unit.fleet.service("shop")
    assert (service.owner, service.repository) == ("team", Repository("main", "shop/shop", ""))
    assert [each.name for each in specs.parse_service_spec(service.spec).instances] == ["staging", "prod"]


@pytest.mark.usefixtures("offered")
def test_what_is_wrong_in_an_instance_is_said_at_that_instance(visit):
    developer = visit("developer")
    page = pressed(developer, developer.page("/services/new"), "Create service", {"change": "add:instances"})
    typed = {
        "name": "checkout",
        "instances.0~name": "same",
        "instances.0~environment": "test",
        "instances.1~name": "same",
        "instances.1~environment": "",
        "instances.1.port": "much",
        "do": "create",
    }
    answer = developer.press(page, "Create service", typed)
    assert answer.status_code == 400
    for target in ("#name", "#instances.1~name", "#instances.1~environment", "#instances.1.port"):
        assert f'href="{target}"' in answer.text
    assert 'href="#instances.0' not in answer.text


@pytest.mark.usefixtures("offered")
def test_an_instance_is_added_and_listed_below_the_others_as_they_were_written(visit, store):
    developer = visit("developer")
    page = developer.page("/services/checkout/instances/new")
    typed = {"instances.0~name": "live", "instances.0~environment": "production", "do": "create"}
    answer = developer.press(page, "Add instance", typed)
    assert answer.status_code == 303, answer.text
    resource, deployment = made(store, instance_key("checkout", "live"))
    assert (resource.owner, resource.environment, deployment.target.inputs) == ("shop", "production", {})
    with store.read() as unit:
        text = unit.fleet.service("checkout").spec
    assert text.startswith(builders.SERVICE_SPEC)
    assert [each.name for each in specs.parse_service_spec(text).instances] == ["test", "live"]
    page = developer.page("/services/checkout/instances/new")
    assert developer.press(page, "Add instance", typed).status_code == 400


def test_without_any_template_the_form_says_what_to_do_first(visit):
    developer = visit("developer")
    for path in (NEW, "/services/new"):
        page = developer.page(path)
        assert "Review and publish a version of one" in page.text


@pytest.mark.usefixtures("rich")
def test_hostile_names_and_values_do_no_harm(visit):
    developer = visit("developer")
    page = developer.page(NEW)
    for typed in (
        {"input.rules~items": "0 " * 20_000},
        {"input.rules~items": "99999999999999 x -1 0"},
        {"input.rules.0.from~items": "1"},
        {"change": "add:" + "x" * 1000},
        {"change": "remove:input.rules.9"},
        {"do": "form", "as": "spec", "spec": "[" * 50_000},
        {"as": "spec", "spec": "&a [*a]", "do": "create"},
        {"input.name": '"><script>alert(1)</script>', "do": "create"},
        {"version": "9.9", "do": "create"},
        {"version": "x", "do": "create"},
        {"template": "../..", "do": "choose"},
    ):
        answer = developer.press(page, CREATE, {"name": "blue", **typed})
        assert answer.status_code in (200, 400, 404), typed
        assert "<script>alert" not in answer.text
    fields = page.form(CREATE).fields | {"instances~items": " ".join(map(str, range(500)))}
    assert developer.client.post("/services/new", data=fields).status_code in (200, 400, 404)


def test_a_template_of_ten_thousand_inputs_is_asked_for_as_one_document(visit, store, now):
    many = "".join(f"        p{n}: {{type: string}}\n" for n in range(9_990))
    schema = RICH.split("      required")[0] + "      properties:\n" + many
    with store.write() as unit:
        files = builders.environment_files(schema, "Resources: {}\n")
        registered(unit, "many-env", "1.0", builders.a_bundle(files), now)
        review.publish(
            unit, "many-env", Version(1, 0), seen_tree=None, note=None, routing=Routing(), actor=builders.ADMIN, now=now
        )
    developer = visit("developer")
    page = developer.page(NEW)
    assert "This template asks for 9,990 inputs, too many for a form." in page.text
    answer = developer.press(page, CREATE, {"name": "blue", "input": "p7: x", "do": "create"})
    assert answer.status_code == 303, answer.text
    assert made(store, environment_key("blue"))[1].target.inputs == {"p7": "x"}


@pytest.mark.usefixtures("rich")
def test_a_long_spec_is_read_whole_and_one_that_is_too_long_is_refused(visit):
    developer = visit("developer")
    page = pressed(developer, developer.page(NEW), CREATE, {"name": "blue", "do": "spec"})
    for size, status in ((600_000, 400), (1_100_000, 413)):
        text = "proton: EnvironmentSpec\nspec:\n  name: main\n  rules: []\n  note: " + "x" * size + "\n"
        assert developer.press(page, CREATE, {"spec": text, "do": "create"}).status_code == status
