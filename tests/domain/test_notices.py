from dataclasses import replace
from datetime import timedelta

import pytest

from tests.builders import (
    NOON,
    SERVICE_TEMPLATE,
    a_commit,
    a_deployment,
    a_finding,
    a_pipeline,
    a_source,
    a_version,
    an_environment,
    an_instance,
)
from upkeep.domain.deployments import Action, DeploymentStatus
from upkeep.domain.findings import Severity
from upkeep.domain.lag import Lag, Standing
from upkeep.domain.names import SourceName
from upkeep.domain.notices import (
    APART_AT_MOST,
    LINES_AT_MOST,
    Link,
    Notice,
    OwedNotice,
    Routing,
    as_sent,
    deployment_settled,
    deployment_stalled,
    draft_ready,
    now_behind,
    registered,
    registration_failed,
    source_stalled,
)
from upkeep.domain.sources import Stall
from upkeep.domain.versions import VersionState

COMMIT = a_commit("Make ALB internal by default (#212)\n\nBecause.", id="9bbe60b" + "0" * 33, author_name="Dana")
DRAFT = a_version("lb-fargate-svc", "1.6", commit=COMMIT)
FAILED = replace(DRAFT, state=VersionState.REGISTRATION_FAILED, findings=(a_finding(),))
PUBLISHED = replace(
    DRAFT, state=VersionState.PUBLISHED, published_at=NOON, published_by="dana", note="Make ALB internal by default"
)


def lag(minors=0, majors=0):
    return Lag(Standing.BEHIND_MAJOR if majors else Standing.BEHIND_MINOR, minors, majors, NOON)


def words(notice):
    return "\n".join([notice.headline, *notice.lines])


def test_a_draft_names_its_commit_author_and_review_page():
    assert draft_ready("platform", DRAFT) == Notice(
        key="draft-ready/lb-fargate-svc/1.6/9bbe60b00000",
        channel="platform",
        headline="lb-fargate-svc 1.6 is ready to review",
        lines=("9bbe60b “Make ALB internal by default (#212)” · Dana",),
        links=(Link("Review 1.6", "/templates/lb-fargate-svc/1.6/review"),),
    )


def test_a_draft_lists_its_warnings_and_nothing_milder():
    findings = (
        a_finding("`engine` is an old key", severity=Severity.WARNING),
        a_finding("could be shorter", severity=Severity.ADVICE),
    )
    assert draft_ready("platform", replace(DRAFT, findings=findings)).lines[1:] == (
        "1 warning:",
        "• lb-fargate-svc/v1/schema/schema.yaml:3: `engine` is an old key — add `types:`",
    )


def test_a_failed_registration_tells_its_author_where_and_what_to_do():
    notice = registration_failed("platform", FAILED)
    assert notice.headline == "lb-fargate-svc 1.6 could not be registered"
    assert notice.lines == (
        "Dana, your commit 9bbe60b “Make ALB internal by default (#212)” has 1 error:",
        "• lb-fargate-svc/v1/schema/schema.yaml:3: the schema has no types — add `types:`",
        "Push a mended commit: it becomes the next minor. 1.6 stays unused.",
    )
    assert notice.links == (Link("See lb-fargate-svc", "/templates/lb-fargate-svc"),)


def test_a_few_versions_of_one_commit_are_told_one_by_one():
    versions = [a_version(f"env-{n}") for n in range(APART_AT_MOST)]
    assert registered("platform", SourceName("templates"), versions) == tuple(
        draft_ready("platform", version) for version in versions
    )


def test_many_versions_of_one_commit_are_told_together_failures_first():
    versions = [a_version(f"env-{n}") for n in range(30)]
    versions.append(a_version("broken", state=VersionState.REGISTRATION_FAILED))
    (notice,) = registered("platform", SourceName("templates"), versions)
    assert notice.headline == "templates: 30 drafts to review and 1 registration failed"
    assert notice.lines[1:3] == ("• broken 1.0 could not be registered", "• env-0 1.0")
    assert notice.lines[-1] == "• and 20 more"


def test_many_findings_are_cut_and_counted():
    many = replace(FAILED, findings=tuple(a_finding(f"fault {number}") for number in range(30)))
    lines = registration_failed("platform", many).lines
    assert "has 30 errors" in lines[0]
    assert len(lines) == LINES_AT_MOST + 3
    assert lines[-2] == "• and 20 more"


def test_what_is_behind_is_listed_as_it_comes_with_its_distance():
    behind = [
        an_instance("checkout", "prod", "0.9", lag=lag(majors=1), owner="shop"),
        an_instance("checkout", "staging", "1.2", lag=lag(minors=3), owner="shop"),
        a_pipeline("checkout", "0.8", lag=lag(minors=2, majors=2), owner="shop"),
    ]
    notice = now_behind("shop-channel", PUBLISHED, behind)
    assert notice.headline == "lb-fargate-svc 1.6 is now recommended"
    assert notice.lines == (
        "Published by dana — “Make ALB internal by default”",
        "3 of yours are behind:",
        "• checkout/prod: 0.9 → 1.6 (1 major version behind)",
        "• checkout/staging: 1.2 → 1.6 (3 behind)",
        "• checkout pipeline: 0.8 → 1.6 (2 major versions and 2 behind)",
    )
    assert notice.links == (Link("Review updates", "/?template=lb-fargate-svc&status=behind&owner=shop"),)


def test_one_resource_behind_is_spoken_of_as_one():
    lines = now_behind("c", replace(PUBLISHED, note=None), [an_environment("test", "1.5", lag=lag(minors=1))]).lines
    assert lines == ("Published by dana", "1 of yours is behind:", "• test: 1.5 → 1.6 (1 behind)")


@pytest.mark.parametrize(
    ("owners", "path"),
    [
        (["a&b team", "a&b team"], "/?template=lb-fargate-svc&status=behind&owner=a%26b+team"),
        (["one", "two"], "/?template=lb-fargate-svc&status=behind"),
        ([None], "/?template=lb-fargate-svc&status=behind"),
    ],
)
def test_the_fleet_is_filtered_by_owner_when_there_is_only_one(owners, path):
    behind = [an_environment(f"e{n}", "1.5", lag=lag(minors=1), owner=owner) for n, owner in enumerate(owners)]
    assert now_behind("c", PUBLISHED, behind).links[0].path == path


@pytest.mark.parametrize(
    ("count", "last"), [(1000, "• and 990 more"), (11, "• and 1 more"), (10, "• e9: 1.5 → 1.6 (1 behind)")]
)
def test_a_long_list_of_resources_is_cut_and_counted(count, last):
    behind = [an_environment(f"e{number}", "1.5", lag=lag(minors=1)) for number in range(count)]
    lines = now_behind("c", PUBLISHED, behind).lines
    assert lines[1] == f"{count} of yours are behind:"
    assert lines[-1] == last
    assert len(lines) == 2 + LINES_AT_MOST + (count > LINES_AT_MOST)


def test_an_update_that_worked_answers_in_the_thread_of_its_version():
    resource = an_instance("checkout", "prod", "1.1")
    before = an_instance("checkout", "prod", "1.0")
    settled = a_deployment(before, "1.1", "d-1", status=DeploymentStatus.SUCCEEDED)
    notice = deployment_settled("shop", settled, resource)
    assert notice.headline == f"checkout/prod now runs {SERVICE_TEMPLATE} 1.1"
    assert notice.lines == ("It was on 1.0 before", "Asked for by dev")
    assert notice.links == (Link("See the deployment", "/deployments/d-1"),)
    opener = now_behind("shop", a_version(SERVICE_TEMPLATE, "1.1", VersionState.PUBLISHED), [before])
    assert notice.thread == opener.thread
    assert opener.key.startswith(opener.thread)
    assert not notice.key.startswith(notice.thread)


def test_an_update_that_failed_gives_the_reason_in_the_channel_itself():
    resource = an_instance("checkout", "prod", "1.0")
    failed = a_deployment(resource, "1.1", status=DeploymentStatus.FAILED, message="port 80\n is taken")
    notice = deployment_settled("shop", failed, resource)
    assert notice.headline == f"The update of checkout/prod to {SERVICE_TEMPLATE} 1.1 failed"
    assert notice.lines == ("port 80 is taken", "The last version that worked is 1.0", "Asked for by dev")
    assert notice.thread is None


@pytest.mark.parametrize(
    ("action", "status", "running", "target", "headline"),
    [
        (Action.CREATE, DeploymentStatus.SUCCEEDED, None, "1.0", "test was created with network-env 1.0"),
        (Action.CREATE, DeploymentStatus.FAILED, None, "1.0", "The creation of test with network-env 1.0 failed"),
        (Action.UPDATE, DeploymentStatus.SUCCEEDED, "1.0", "1.0", "test was updated and still runs network-env 1.0"),
        (
            Action.UPDATE,
            DeploymentStatus.CANCELLED,
            "1.0",
            "1.1",
            "The update of test to network-env 1.1 was cancelled",
        ),
        (Action.DELETE, DeploymentStatus.DELETE_COMPLETE, "1.0", "1.0", "test was deleted"),
        (Action.DELETE, DeploymentStatus.DELETE_FAILED, "1.0", "1.0", "The deletion of test failed"),
    ],
)
def test_every_outcome_has_its_sentence(action, status, running, target, headline):
    resource = an_environment("test", running)
    assert deployment_settled("c", a_deployment(resource, target, action=action, status=status), resource).headline == (
        headline
    )


def test_a_stalled_source_says_why_and_what_to_do():
    stalled = a_source("platform", stall=Stall("branch `main` is gone", "create it, or name another", NOON))
    notice = source_stalled("ops", stalled)
    assert notice.headline == "Source platform is not synced any more"
    assert notice.lines == ("branch `main` is gone", "To mend it: create it, or name another")
    again = replace(stalled, stall=Stall("gone again", "create it", NOON + timedelta(hours=1)))
    assert source_stalled("ops", again).key != notice.key


def test_each_notice_has_its_own_key():
    resource = an_environment("test", "1.0", lag=lag(minors=1))
    deployment = a_deployment(resource)
    keys = [
        draft_ready("c", DRAFT).key,
        draft_ready("c", replace(DRAFT, commit=a_commit("the template came back"))).key,
        registration_failed("c", FAILED).key,
        now_behind("c", PUBLISHED, [resource]).key,
        deployment_settled("c", replace(deployment, status=DeploymentStatus.FAILED), resource).key,
        deployment_settled("c", replace(deployment, status=DeploymentStatus.CANCELLED), resource).key,
    ]
    assert len(set(keys)) == len(keys)
    assert draft_ready("c", DRAFT).key == keys[0]


def test_what_others_wrote_becomes_one_bounded_printable_line():
    hostile = a_commit("\x1b[31mred\x07\u202eoverride\t" + "x" * 5000, author_name="Eve\nFrom: root" + "y" * 5000)
    text = words(draft_ready("c", replace(DRAFT, commit=hostile)))
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "Eve From: root" in text
    assert text.count("\n") == 1
    assert len(text) < 400


@pytest.mark.parametrize(
    ("late_for", "remark"),
    [
        (timedelta(hours=24), None),
        (timedelta(hours=25), "1 day late: this happened on 2026-03-02 at 12:00 UTC"),
        (timedelta(days=2, hours=23), "2 days late: this happened on 2026-03-02 at 12:00 UTC"),
    ],
)
def test_a_notice_says_when_it_is_more_than_a_day_late(late_for, remark):
    owed = OwedNotice(1, draft_ready("c", DRAFT), NOON)
    sent = as_sent(owed, NOON + late_for)
    assert sent.notice.lines == ((remark,) if remark else ()) + owed.notice.lines


def test_templates_and_owners_without_a_channel_use_the_default():
    routing = Routing(default="all", templates={"vpc": "network"}, owners={"shop": "shop-channel"})
    assert (routing.of_template("vpc"), routing.of_template("other")) == ("network", "all")
    assert (routing.of_owner("shop"), routing.of_owner("other"), routing.of_owner(None)) == (
        "shop-channel",
        "all",
        "all",
    )


def test_operators_hear_what_a_deployment_waits_for_once_each_time():
    stalled = a_deployment(an_instance(), "1.1", "d-1", stall=Stall("access denied", "give the role a right", NOON))
    notice = deployment_stalled("ops", stalled)
    assert notice.headline == "The deployment of checkout/test waits for a person"
    assert notice.lines == ("access denied", "To mend it: give the role a right", "Asked for by dev")
    assert notice.links == (Link("See the deployment", "/deployments/d-1"),)
    again = replace(stalled, stall=Stall("access denied", "give the role a right", NOON + timedelta(hours=1)))
    assert deployment_stalled("ops", again).key != notice.key
    with pytest.raises(ValueError, match="is not stalled"):
        deployment_stalled("ops", replace(stalled, stall=None))
