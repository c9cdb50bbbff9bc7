"""Looking at differences as a person does in a browser: reviews, comparisons, files, what an update would change."""

import re
import time
from dataclasses import replace
from datetime import timedelta

import pytest

from tests import builders
from tests.flows.given import registered
from tests.web.furnished import CHANGES, DONE, ENV, STACK
from tests.web.large import ENVIRONMENTS, body, furnish_large
from tests.web.page import Page
from tests.web.test_pages import faults_of
from upkeep.domain.changesets import Proposal, ProposalState, StackChange
from upkeep.domain.differences import difference
from upkeep.domain.findings import error
from upkeep.domain.names import Version, environment_key
from upkeep.domain.outlines import section_changes
from upkeep.domain.plans import Plan
from upkeep.domain.previews import Preview, PreviewGroup
from upkeep.domain.versions import VersionState
from upkeep.domain.work import WorkKind
from upkeep.flows import plan as plans

REVIEW = "/templates/network-env/1.2/review"
LARGE = "/templates/large-env/1.1/review"
WHOLE = "/templates/large-env/1.1/rendered/environment/large-0"

furnished = pytest.mark.usefixtures("furnished")


DRAFT = Version(1, 2)


def checked(store, now, changes=CHANGES, name="test", template=ENV, version=DRAFT):
    """What a change set of the draft said of one environment."""
    with store.write() as unit:
        key = environment_key(name)
        unit.fleet.save(replace(unit.fleet.get(key), stack=STACK, owner="platform"))
        found = unit.fleet.get(key)
        digest = plans.digest(unit, found, unit.registry.version(template, version), found.inputs)
        plan_id = f"00000000-0000-4000-8000-{builders.object_id(name, len(changes))[:12]}"
        proposal = Proposal(ProposalState.READY, changes, stack=STACK)
        unit.plans.add(
            Plan(plan_id, key, template, version, found.inputs, "ada", now, digest, proposal=proposal, made_at=now)
        )


@furnished
def test_what_would_be_replaced_is_named_at_the_top_with_whose_it_is(visit, store, now):
    checked(store, now)
    page = visit("admin").page(REVIEW)
    worst = "Replaces Subnet AWS::EC2::Subnet in test, owned by platform"
    other = "May replace Table AWS::DynamoDB::Table in test, owned by platform: what it holds can be lost"
    assert page.text.index(worst) < page.text.index(other) < page.text.index("Commit")
    assert page.text.index("RiskReplaces") < page.text.index("Commit")
    assert "VPC in test" not in page.text
    assert faults_of(page) == []


@furnished
def test_of_what_is_replaced_what_holds_data_comes_first(visit, store, now):
    gone = StackChange("Remove", "Vault", "AWS::Backup::BackupVault")
    checked(store, now, (*CHANGES, StackChange("Remove", "Alarm", "AWS::CloudWatch::Alarm"), gone))
    text = visit("viewer").page(REVIEW).text
    assert text.index("Replaces Vault") < text.index("Replaces Alarm") < text.index("May replace Table")


@furnished
def test_an_approval_that_saw_other_change_sets_is_shown_the_new_ones_and_keeps_the_note(visit, store, now):
    admin = visit("admin")
    page = admin.page(REVIEW)
    checked(store, now)
    answer = admin.press(page, "Publish 1.2", {"note": "half a novel"})
    assert answer.status_code == 409
    again = Page(answer.text)
    assert "was worked out anew since you opened it" in again.text
    assert again.form("Publish 1.2").fields["note"] == "half a novel"
    assert "acknowledged" not in again.form("Publish 1.2").fields
    assert faults_of(again) == []
    answer = admin.press(again, "Publish 1.2", {"acknowledged": "yes"})
    assert answer.status_code == 303


@furnished
def test_an_approval_that_saw_another_preview_is_asked_again_but_not_for_the_same_worked_out_later(visit, store, now):
    admin = visit("admin")
    page = admin.page(REVIEW)
    with store.write() as unit:
        seen = unit.registry.find_preview(ENV, Version(1, 2))
        unit.registry.save_preview(replace(seen, at=now + timedelta(minutes=5)))
    same = admin.page(REVIEW).form("Publish 1.2").fields["evidence"]
    assert same == page.form("Publish 1.2").fields["evidence"]
    with store.write() as unit:
        unit.registry.save_preview(replace(seen, groups=seen.groups[:1]))
    answer = admin.press(page, "Publish 1.2")
    assert answer.status_code == 409
    with store.read() as unit:
        assert unit.registry.version(ENV, Version(1, 2)).state is VersionState.DRAFT


@furnished
def test_a_preview_older_than_the_newest_deployment_says_so_and_is_renewed(visit, store, now):
    admin = visit("admin")
    assert "Out of date:" not in admin.page(REVIEW).text
    with store.write() as unit:
        unit.registry.save_preview(
            replace(unit.registry.find_preview(ENV, Version(1, 2)), at=now - timedelta(days=300))
        )
    page = admin.page(REVIEW)
    assert "Out of date: something was deployed" in page.text
    assert admin.press(page, "Work it out again").status_code == 303
    with store.read() as unit:
        assert [row.subject for row in unit.work.list(9) if row.kind is WorkKind.PREVIEW] == ["network-env@1.2"]
    again = admin.page(REVIEW)
    assert "a fresh one is on its way" in again.text
    assert not again.has_button("Work it out again")
    assert admin.post("/templates/network-env/1.1/preview").status_code == 409


@furnished
def test_an_incompatible_schema_disables_publishing_and_says_the_way_out(visit, store):
    found = error(
        "incompatible-removed",
        "the input `port` was removed",
        "schema/schema.yaml",
        8,
        "make this v2, or restore `port`",
    )
    with store.write() as unit:
        broken = unit.registry.version(ENV, Version(1, 3))
        unit.registry.save_version(replace(broken, findings=(found,)))
    answer = visit("admin").get("/templates/network-env/1.3/review")
    page = Page(answer.text)
    assert "1.3 cannot be published, because its schema is not compatible with the version before it" in page.text
    assert "The way out: make this v2, or restore port, and push again." in page.text
    assert '<button type="button" disabled aria-describedby="why-not">Publish 1.3</button>' in answer.text
    assert not page.has_button("Publish 1.3")
    assert page.links["schema/schema.yaml:8"] == "/templates/network-env/1.3/files/schema/schema.yaml?line=8#L8"


@furnished
def test_who_is_affected_comes_worst_first(visit, store, now):
    checked(store, now)
    page = visit("viewer").page(REVIEW)
    text = page.text[page.text.index("2 resources on major 1, those that fare worst first") :]
    assert text.index("production environment — 1.0 → 1.2 cannot be rendered") < text.index("test environment platform")
    assert "test environment platform 1.0 → 1.2 changes Replaces" in text


@furnished
def test_a_preview_of_an_earlier_release_is_still_readable(visit, store):
    page = visit("viewer").page("/templates/network-env/1.2/rendered/environment/test")
    assert "Only the lines around each change were kept" in page.text
    assert "- removed old" in page.text


def test_a_missing_bundle_is_said_and_nothing_else_is_lost(visit, store, now):
    with store.write() as unit:
        made = registered(unit, ENV, "1.0", builders.a_bundle(builders.environment_files()), now)
        unit.registry.save_version(replace(made, tree="e" * 40))
    admin = visit("admin")
    page = admin.page("/templates/network-env/1.0/review")
    assert "The source cannot be compared: there is no bundle with tree" in page.text
    assert "It is the first of its major" in page.text
    assert page.has_button("Publish 1.0")
    assert "are not in the store" in admin.page("/templates/network-env/1.0").text
    assert admin.get("/templates/network-env/1.0/files/schema/schema.yaml").status_code == 404


# ------------------------------------------------------------------------------------------- thousands of lines


@pytest.fixture
def large(store, renderer, now):
    furnish_large(store, renderer, now)


@pytest.mark.usefixtures("large")
def test_a_large_template_is_shown_by_its_stack_resources_and_once_for_all_that_change_alike(visit):
    page = visit("viewer").page(LARGE)
    assert f"The same change in {ENVIRONMENTS}." in page.text
    for told in (
        "Queue050 AWS::SQS::Queue changed Not" not in page.text,
        "Queue050 AWS::SQS::Queue changed +1 lines added -1 lines removed Properties.Size" in page.text,
        "Alarm AWS::CloudWatch::Alarm added +2" in page.text,
        "Queue000 AWS::SQS::Queue removed" in page.text,
        "Queue051" not in page.text,
    ):
        assert told
    assert faults_of(page) == []


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize("view", ["unified", "split"])
def test_a_large_difference_is_folded_and_every_fold_opens_where_it_was(visit, view):
    viewer = visit("viewer")
    answer = viewer.get(f"{WHOLE}?view={view}")
    page = Page(answer.text)
    assert "Show 993 unchanged lines" in page.links
    assert len(answer.data) < 60_000
    link = page.links["Show 993 unchanged lines"]
    address, _, anchor = link.partition("#")
    opened = viewer.get(address)
    assert f'id="{anchor}"' in opened.text or "Rows after these" in opened.text
    assert "Show 993 unchanged lines" not in opened.text
    assert ("view=split" in link) == (view == "split")


@pytest.mark.usefixtures("large")
def test_all_lines_come_in_steps_that_are_bounded_and_miss_nothing(visit):
    viewer = visit("viewer")
    path, new, steps = f"{WHOLE}?context=all", [], 0
    while path:
        answer = viewer.get(path)
        assert len(answer.data) < 400_000
        page = Page(answer.text)
        assert faults_of(page) == []
        new += [int(found[1]) for name in page.ids if (found := re.fullmatch(r"d\w{10}R(\d+)", name))]
        path, steps = page.links.get("Rows after these"), steps + 1
    assert new == list(range(1, 2_998))
    assert steps == 4


@pytest.mark.usefixtures("large")
def test_what_is_looked_for_is_counted_marked_and_led_to_wherever_it_stands(visit):
    viewer = visit("viewer")
    answer = viewer.get(f"{WHOLE}?find=queue123")
    page = Page(answer.text)
    assert "1 line holds “queue123”" in page.text
    assert answer.text.count("<mark>Queue123</mark>") == 1
    (target,) = [link for label, link in page.links.items() if label.endswith("line 1223")]
    assert target.startswith("#")
    assert target[1:] in page.ids
    assert "No line holds “nothing of that”" in viewer.page(f"{WHOLE}?find=nothing+of+that").text
    everywhere = viewer.page(f"{WHOLE}?context=all&find=queue-290-")
    (far,) = [link for label, link in everywhere.links.items() if label.endswith("line 2896")]
    address, _, anchor = far.partition("#")
    assert anchor in viewer.page(address).ids


@pytest.mark.usefixtures("large")
def test_a_line_of_a_large_file_is_linked_wherever_it_stands(visit):
    viewer = visit("viewer")
    path = "/templates/large-env/1.1/files/infrastructure/cloudformation.yaml"
    assert "L2500" not in viewer.page(path).ids
    far = viewer.page(f"{path}?line=2500#L2500")
    assert "L2500" in far.ids
    assert "Lines before these" in far.links
    raw = viewer.get("/templates/large-env/1.1/raw/infrastructure/cloudformation.yaml")
    assert raw.text.count("\n") == 2_997
    assert raw.headers["Content-Disposition"] == "attachment; filename=cloudformation.yaml"


@pytest.mark.usefixtures("large")
def test_a_review_of_thousands_of_lines_stays_small(visit):
    viewer = visit("viewer")
    assert len(viewer.get(LARGE).data) < 150_000
    assert len(viewer.get(f"{LARGE}?context=all&view=split").data) < 400_000


def seconds(ask):
    """The processor time of the cheapest of five runs."""
    took = []
    for _ in range(5):
        began = time.process_time()
        ask()
        took.append(time.process_time() - began)
    return min(took)


@pytest.mark.usefixtures("large")
def test_a_large_difference_costs_little_more_than_finding_it(visit, renderer):
    viewer = visit("viewer")
    before, after = body(300), body(300, changed=True)
    floor = seconds(lambda: section_changes(difference(before, after).blocks)) + seconds(
        lambda: viewer.get("/templates")
    )
    for path in (WHOLE, LARGE, f"{WHOLE}?view=split&find=queue"):
        took = seconds(lambda path=path: viewer.get(path))
        assert took < 12 * floor, path


def test_a_page_that_is_full_names_what_it_leaves_out_and_leads_there(visit, store, now):
    lines = [f"line {number}" for number in range(400)]
    before = "".join(f"-{line}\n" for line in lines)
    after = "".join(f"+{line}!\n" for line in lines)
    groups = []
    with store.write() as unit:
        registered(unit, ENV, "1.0", builders.a_bundle(builders.environment_files()), now)
        for number in range(20):
            name = f"env-{number:02}"
            unit.fleet.add(builders.an_environment(name))
            whole = f"@@ -1,400 +1,400 @@\n{before}{after}"
            groups.append(PreviewGroup((f"environment/{name}",), ("1.0",), whole, None, whole))
        unit.registry.save_preview(Preview(ENV, Version(1, 0), now, tuple(groups)))
    viewer = visit("viewer")
    answer = viewer.get("/templates/network-env/1.0/review")
    page = Page(answer.text)
    assert len(answer.data) < 700_000
    assert "because this page is long enough" in page.text
    own = page.links["Show the change of environment/env-19"]
    assert own == "/templates/network-env/1.0/rendered/environment/env-19"
    assert len([name for name in viewer.page(own).ids if re.fullmatch(r"d\w{10}[LR]\d+", name)]) == 800
    assert "650 more rows" in page.text


# ------------------------------------------------------------------------------ other pages, and hostile content


@furnished
def test_two_versions_are_compared_with_what_became_of_their_inputs(visit):
    viewer = visit("viewer")
    page = viewer.page("/templates/network-env/1.2/compare?with=1.0")
    assert "network-env: 1.0 → 1.2" in page.text
    assert "days is new: an integer, to be given by everybody. asks something of owners" in page.text
    assert "schema/schema.yaml changed" in page.text
    assert viewer.get("/templates/network-env/1.2/compare?with=7.0").status_code == 400
    assert viewer.get("/templates/network-env/1.2/compare?view=upside-down").status_code == 400
    assert viewer.get("/templates/network-env/1.2/compare?file=gone").status_code == 404


@furnished
def test_the_difference_of_a_resource_tells_what_lies_in_between_and_leads_to_the_update(visit, store, now):
    checked(store, now, version=Version(1, 1))
    page = visit("developer").page("/environments/test/diff")
    assert "Updating moves test from 1.0 to 1.1, the recommended version" in page.text
    assert "What its last change set said Replaces" in page.text
    assert "note of 1.1" in page.text
    assert "note of 1.0" not in page.text
    assert "+ added # 1" in page.text
    assert page.links["Update to recommended version"] == "/environments/test/update?to=1.1"
    viewer = visit("viewer")
    whole = viewer.page("/environments/test/diff?show=after")
    assert "Network: Type: AWS::EC2::VPC" in re.sub(r"\b\d+\s+", "", whole.text)
    assert "# 0" not in whole.text
    assert "Update to recommended version" not in whole.links
    assert "there is nothing else it should take" in viewer.page("/environments/test/diff?to=1.0").text
    assert viewer.get("/environments/test/diff?to=9.9").status_code == 404


@furnished
def test_a_deployed_template_is_read_in_place(visit):
    page = visit("viewer").page(f"/deployments/{DONE}/template?find=resources")
    assert page.links["Download"] == f"/deployments/{DONE}/template.yaml"
    assert "1 line holds" in page.text


def test_what_reorders_or_hides_text_is_seen_and_a_huge_line_is_cut_with_the_way_to_all_of_it(visit, store, now):
    trojan = 'access = "\u202e admin" # \u2066\0\u200b<script>alert(1)</script>'
    text = builders.ENVIRONMENT_BODY + f"# {trojan}\n# {'x' * 3_000}\n"
    with store.write() as unit:
        registered(unit, ENV, "1.0", builders.a_bundle(builders.environment_files()), now)
        registered(unit, ENV, "1.1", builders.a_bundle(builders.environment_files(body=text)), now)
    viewer = visit("viewer")
    for path in (
        "/templates/network-env/1.1/compare",
        "/templates/network-env/1.1/compare?view=split",
        "/templates/network-env/1.1/review",
        "/templates/network-env/1.1/files/infrastructure/cloudformation.yaml",
    ):
        answer = viewer.get(path)
        assert not {"\u202e", "\u2066", "\u200b", "\0"} & set(answer.text), path
        assert '<span class="odd" title="right-to-left override">U+202E</span>' in answer.text, path
        assert "<script>alert" not in answer.text
        assert "x" * 600 not in answer.text
        page = Page(answer.text)
        assert "2,502 more" in page.text
        assert "x" * 3_000 in viewer.get(page.links["Show long lines"]).text
