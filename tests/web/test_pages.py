from dataclasses import replace

import pytest

from tests.builders import a_commit, a_source, an_environment, object_id
from tests.flows.given import environment_bundle, registered
from tests.web.furnished import DONE, FAILED, WAITING
from tests.web.page import Page
from upkeep.domain import events
from upkeep.domain.findings import error
from upkeep.domain.names import SourceName
from upkeep.domain.people import DAEMON
from upkeep.domain.previews import Preview, PreviewGroup
from upkeep.domain.sources import Stall

EMPTY = ["/", "/templates", "/environments", "/services", "/deployments", "/sources", "/activity"]

FULL = [
    *EMPTY,
    "/?status=failed",
    "/?status=behind_minor&kind=environment&template=network-env&owner=platform&search=te",
    "/?search=nothing+like+this",
    "/templates/network-env",
    "/templates/web-svc",
    "/templates/network-env/1.0",
    "/templates/network-env/1.1",
    "/templates/network-env/1.2",
    "/templates/network-env/1.3",
    "/templates/network-env/1.2/review",
    "/templates/network-env/1.2/review?compare=1.0",
    "/templates/network-env/1.1/review",
    "/templates/network-env/1.3/review",
    "/templates/network-env/1.2/review?view=split&context=all&find=o&long=yes",
    "/templates/network-env/1.2/compare",
    "/templates/network-env/1.0/compare",
    "/templates/network-env/1.0/compare?with=1.2&view=split",
    "/templates/network-env/1.2/compare?with=1.0&file=schema/schema.yaml&find=type",
    "/templates/network-env/1.2/files/schema/schema.yaml",
    "/templates/network-env/1.2/files/schema/schema.yaml?find=type",
    "/templates/network-env/1.2/rendered/environment/test",
    "/templates/network-env/1.2/rendered/environment/production",
    "/environments/test/diff",
    "/environments/test/diff?to=1.2",
    "/environments/test/diff?view=split&find=cidr",
    "/environments/test/diff?show=after",
    "/environments/test/diff?to=1.0",
    "/environments/empty/diff",
    "/services/checkout/instances/test/diff",
    "/services/checkout/pipeline/diff",
    f"/deployments/{DONE}/template",
    "/templates/web-svc/1.0/review",
    "/environments/test",
    "/environments/production",
    "/environments/empty",
    "/environments/new?template=network-env",
    "/environments/test?before=none",
    "/services/new",
    "/services/checkout/instances/new",
    "/environments/test/update",
    "/environments/test/update?to=1.2",
    "/environments/test/update?to=1.0",
    "/environments/empty/update",
    "/services/checkout",
    "/services/checkout/instances/test",
    "/services/checkout/instances/test/update",
    "/services/checkout/pipeline",
    "/services/checkout/pipeline/update",
    f"/deployments/{DONE}",
    f"/deployments/{FAILED}",
    f"/deployments/{WAITING}",
    "/deployments?status=FAILED",
    "/sources?status=ignored",
    "/sources/templates",
    "/sources/gone",
    "/activity?kind=version_published&actor=ada&subject=template/network-env",
]


PEOPLE = ["/account", "/people", "/people/leaver"]
"""What offers an admin more than others, and a viewer more than signing out."""


def faults_of(page: Page) -> list[str]:
    """What a strict policy would not run, tags left open, fields without label, forms without token, ids twice."""
    faults = page.inline + page.unclosed + page.unlabelled
    faults += ["no heading"] * (not page.headings) + ["None on the page"] * ("None" in page.text)
    faults += [f"id {name} twice" for name in set(page.ids) if page.ids.count(name) > 1]
    faults += [f"token of {form}" for form in page.forms if (form.method == "post") != ("csrf_token" in form.fields)]
    return faults


def test_an_empty_store_is_met_with_what_to_do_first(visit):
    admin = visit("admin")
    hints = ("upkeep source add", "Nothing was deployed yet", "Nothing was delivered yet", "Nothing has happened yet")
    for path in EMPTY:
        page = admin.page(path)
        assert faults_of(page) == [], path
        assert any(hint in page.text for hint in hints), path


@pytest.mark.usefixtures("furnished")
def test_every_page_is_well_made(visit):
    admin = visit("admin")
    faulty = {path: faults for path in FULL + PEOPLE if (faults := faults_of(admin.page(path)))}
    assert faulty == {}


@pytest.mark.usefixtures("furnished")
def test_a_viewer_is_offered_no_button_but_sign_out(visit):
    viewer = visit("viewer")
    for path in FULL:
        buttons = {button for form in viewer.page(path).forms if form.method == "post" for button in form.buttons}
        assert buttons == {"Sign out"}, path


@pytest.mark.usefixtures("furnished")
def test_the_fleet_counts_and_shows_the_worst_first(visit):
    page = visit("viewer").page("/")
    assert "5 resources" in page.text
    assert "3 behind, minor" in page.text or "2 behind, minor" in page.text
    rows = [label for label in page.links if label in ("production", "test", "checkout/test", "empty")]
    assert rows.index("production") < rows.index("test")
    assert "1.0 → 1.1 (1 behind)" in page.text


@pytest.mark.usefixtures("furnished")
def test_the_fleet_says_which_drafts_wait(visit):
    page = visit("admin").page("/")
    assert "1 draft waits for a review: network-env 1.2" in page.text
    assert page.links["network-env 1.2"] == "/templates/network-env/1.2/review"


@pytest.mark.usefixtures("furnished")
def test_the_filter_stands_in_the_address_and_in_the_form(visit):
    page = visit("viewer").page("/?template=web-svc&kind=pipeline&search=check")
    (form,) = [form for form in page.forms if "Filter" in form.buttons]
    chosen = {name: value for name, value in form.fields.items() if value}
    assert chosen == {"search": "check", "template": "web-svc", "kind": "pipeline", "size": "50"}
    assert {"owner", "environment", "status"} <= form.fields.keys()
    assert "checkout pipeline" in page.links
    assert "checkout/test" not in page.links


@pytest.mark.usefixtures("furnished")
def test_a_filter_that_cannot_be_read_is_refused_with_the_choices(visit):
    page = visit("viewer").page("/?status=sideways", 400)
    assert "choose one of" in page.text


def test_pages_of_a_large_fleet_follow_one_another(visit, store, now):

    with store.write() as unit:
        registered(unit, "network-env", "1.0", environment_bundle(), now)
        for number in range(120):
            unit.fleet.add(an_environment(f"env-{number:03}"))
    viewer = visit("viewer")
    seen, path = [], "/"
    while path:
        page = viewer.page(path)
        assert "120 resources" in page.text
        seen += [label for label in page.links if label.startswith("env-")]
        path = page.links.get("Next page")
    assert len(seen) == len(set(seen)) == 120


@pytest.mark.usefixtures("furnished")
def test_a_draft_that_waits_is_announced_on_its_template(visit):
    page = visit("admin").page("/templates/network-env")
    assert "Draft 1.2 waits for a review" in page.text
    assert page.links["Review 1.2"] == "/templates/network-env/1.2/review"
    assert "schema/schema.yaml:12" in page.text


@pytest.mark.usefixtures("furnished")
def test_a_review_says_the_consequence_and_shows_three_differences(visit):
    page = visit("admin").page("/templates/network-env/1.2/review")
    assert "Publishing 1.2 makes it the recommended version" in page.text
    assert "It deploys nothing." in page.text
    assert "renders for 1 of 2 resources" in page.text
    assert "- removed old" in page.text
    assert "+ added new" in page.text
    assert "infrastructure/cloudformation.yaml" in page.text
    assert "flow_logs is new: a boolean, false unless given." in page.text
    assert page.form("Publish 1.2").fields["note"] == "network-env 1.2"
    assert page.form("Publish 1.2").fields["seen"]


@pytest.mark.usefixtures("furnished")
def test_a_resource_that_is_behind_says_so_and_since_when(visit):
    page = visit("developer").page("/environments/test")
    assert "You are not using the latest minor version." in page.text
    assert "1.0 → 1.1 (1 behind, for" in page.text
    assert "note of 1.1" in page.text
    assert page.links["Update to recommended version"] == "/environments/test/update"


@pytest.mark.usefixtures("furnished")
def test_a_deployment_gives_its_reason_first(visit):
    page = visit("viewer").page(f"/deployments/{FAILED}")
    assert "It failed: no memory left" in page.text


@pytest.mark.usefixtures("furnished")
def test_only_a_deployment_under_way_loads_itself_again(visit):
    viewer = visit("viewer")
    assert 'http-equiv="refresh"' in viewer.get(f"/deployments/{WAITING}").text
    assert 'http-equiv="refresh"' not in viewer.get(f"/deployments/{FAILED}").text


@pytest.mark.usefixtures("furnished")
def test_a_rendered_template_is_a_file(visit):
    viewer = visit("viewer")
    answer = viewer.get(f"/deployments/{DONE}/template.yaml")
    assert answer.text == "Resources: {}\n"
    assert answer.mimetype == "text/plain"
    assert answer.headers["Content-Disposition"] == "attachment; filename=test-1.0.yaml"
    assert viewer.get(f"/deployments/{FAILED}/template.yaml").status_code == 404
    assert viewer.page(f"/deployments/{DONE}/template").ids == ["sync-state", "content", "L1"]
    assert viewer.get(f"/deployments/{FAILED}/template").status_code == 404


@pytest.mark.usefixtures("furnished")
def test_a_stalled_source_says_its_cure(visit):
    page = visit("admin").page("/sources/gone")
    assert "It is not synced any more: the branch release is gone" in page.text
    assert "What to do: create it again." in page.text
    assert "1 of 2 sources stalled" in page.text


@pytest.mark.usefixtures("furnished")
def test_deliveries_are_shown_with_their_outcome(visit):
    text = visit("viewer").page("/sources/templates").text
    assert "received asked templates to sync" in text
    assert "failed reason" in text


@pytest.mark.usefixtures("furnished")
def test_activity_speaks_in_sentences(visit):
    text = visit("viewer").page("/activity").text
    assert "published network-env 1.1, saying “note of 1.1”" in text
    assert "gave test from nobody to platform" in text


@pytest.mark.usefixtures("furnished")
def test_activity_leads_to_whatever_it_is_about(visit, store, now):
    about = ["template/web-svc", "source/templates", "environment/test", "service/checkout", "user/viewer"]
    with store.write() as unit:
        for subject in about:
            unit.journal.record(events.RepositoryChanged(subject, "acme/shop", "main"), DAEMON, now)
    visitor = visit("admin")
    links = visitor.page("/activity").links
    assert {visitor.get(links[subject]).status_code for subject in about} == {200}


HOSTILE = '<script>alert(1)</script>"><b onmouseover=x>'


def test_hostile_words_stay_words(visit, store, now):

    with store.write() as unit:
        stall = Stall(HOSTILE, HOSTILE, now)
        unit.sources.add(replace(a_source(), url=HOSTILE, branch=HOSTILE, subdirectory=HOSTILE, stall=stall))
        for text in ("1.0", "1.1"):
            draft = registered(unit, "network-env", text, environment_bundle(), now)
            commit = replace(a_commit(HOSTILE), author_name=HOSTILE, author_email=HOSTILE)
            found = error("x", f"`{HOSTILE}`", HOSTILE, 1, HOSTILE)
            unit.registry.save_version(
                replace(
                    draft,
                    commit=commit,
                    findings=(found,),
                    note=HOSTILE,
                    path=HOSTILE,
                    schema=HOSTILE,
                    tree=object_id(text),
                )
            )
        family = unit.registry.template("network-env")
        unit.registry.save_template(replace(family, source=SourceName("templates")))
        unit.fleet.add(an_environment("test", owner=HOSTILE, inputs={HOSTILE: HOSTILE}, outputs={HOSTILE: HOSTILE}))
        group = PreviewGroup(("environment/test",), ("1.0",), diff=f"--- a\n+++ b\n@@ -1 +1 @@\n+{HOSTILE}")
        unit.registry.save_preview(Preview(family.name, draft.version, now, (group,)))
    admin = visit("admin")
    for path in (
        "/",
        f"/?search={HOSTILE}",
        "/templates/network-env",
        "/templates/network-env/1.1",
        "/templates/network-env/1.1/review",
        "/environments/test",
        "/environments/test/update",
        "/sources",
        "/sources/templates",
        f"/activity?subject={HOSTILE}",
    ):
        answer = admin.get(path)
        assert answer.status_code == 200, path
        assert "<script>alert" not in answer.text, path
        assert "<b onmouseover" not in answer.text, path
    assert "<script>alert" not in admin.get(f"/{HOSTILE}").text
    assert "<script>alert" not in admin.get(f"/templates/{HOSTILE}").text
