"""Publishing and what else is decided about a version, as a person does it in a browser."""

from dataclasses import replace

import pytest

from tests.web.furnished import ENV
from tests.web.page import Page
from upkeep.domain.names import Version, parse_version
from upkeep.domain.versions import VersionState

pytestmark = pytest.mark.usefixtures("furnished")

REVIEW = "/templates/network-env/1.2/review"


def version(store, text):
    with store.read() as unit:
        return unit.registry.find_version(ENV, parse_version(text))


def recommended(store):
    with store.read() as unit:
        return unit.registry.template(ENV).recommended


def test_a_draft_is_published_with_the_note_that_was_typed(visit, store):
    admin = visit("admin")
    answer = admin.press(admin.page(REVIEW), "Publish 1.2", {"note": "Flow logs for everybody"})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/templates/network-env")
    page = admin.page("/templates/network-env")
    assert "network-env 1.2 is published and is the recommended version now." in page.text
    assert version(store, "1.2").note == "Flow logs for everybody"
    assert recommended(store) == Version(1, 2)
    assert "is published" not in admin.page("/templates/network-env").text


def test_what_the_review_promises_is_what_publishing_does(visit, store):
    admin = visit("admin")
    page = admin.page(REVIEW)
    with store.read() as unit:
        before = len(unit.fleet.behind(ENV))
    admin.press(page, "Publish 1.2")
    with store.read() as unit:
        after = len(unit.fleet.behind(ENV))
    words = f"{after - before} more resource" if before else f"{after} resource"
    assert words in page.text


def test_a_draft_that_changed_since_it_was_seen_is_not_published_and_the_note_is_kept(visit, store):
    admin = visit("admin")
    page = admin.page(REVIEW)
    with store.write() as unit:
        unit.registry.save_version(replace(unit.registry.version(ENV, Version(1, 2)), tree="f" * 40))
    answer = admin.press(page, "Publish 1.2", {"note": "half a <novel>"})
    assert answer.status_code == 409
    again = Page(answer.text)
    assert "changed since you opened it" in again.text
    assert "your note is kept" in again.text
    form = again.form("Publish 1.2")
    assert form.fields["note"] == "half a <novel>"
    assert form.fields["seen"] == "f" * 40
    assert version(store, "1.2").state is VersionState.DRAFT
    assert admin.press(again, "Publish 1.2", {"note": form.fields["note"]}).status_code == 303
    assert version(store, "1.2").note == "half a <novel>"


def test_an_approval_that_names_nothing_seen_is_refused(visit, store):
    answer = visit("admin").post("/templates/network-env/1.2/publish", {"note": "blind"})
    assert answer.status_code == 409
    assert version(store, "1.2").state is VersionState.DRAFT


def test_publishing_what_was_withdrawn_meanwhile_says_so(visit, store, now):
    admin = visit("admin")
    page = admin.page(REVIEW)
    with store.write() as unit:
        draft = unit.registry.version(ENV, Version(1, 2))
        unit.registry.save_version(replace(draft, state=VersionState.WITHDRAWN, withdrawn_at=now))
    answer = admin.press(page, "Publish 1.2")
    assert answer.status_code == 409
    assert "cannot be published" in answer.text
    assert not Page(answer.text).has_button("Publish 1.2")


def test_a_viewer_who_publishes_gets_a_page_that_says_why_not(visit, store):
    answer = visit("viewer").post("/templates/network-env/1.2/publish", {"seen": version(store, "1.2").tree})
    assert answer.status_code == 403
    assert "may not publish" in Page(answer.text).text
    assert version(store, "1.2").state is VersionState.DRAFT


def test_a_draft_is_discarded(visit, store):
    admin = visit("admin")
    assert admin.press(admin.page(REVIEW), "Discard draft").status_code == 303
    assert version(store, "1.2") is None


def test_a_version_is_withdrawn_with_its_reason(visit, store):
    admin = visit("admin")
    page = admin.page("/templates/network-env/1.1")
    assert admin.press(page, "Withdraw 1.1", {"reason": "leaks"}).status_code == 303
    assert version(store, "1.1").state is VersionState.WITHDRAWN
    assert recommended(store) == Version(1, 0)
    assert "because “leaks”" in admin.page("/activity").text


def test_an_older_version_is_recommended_as_the_way_back(visit, store):
    admin = visit("admin")
    assert admin.press(admin.page("/templates/network-env/1.0"), "Recommend 1.0").status_code == 303
    assert recommended(store) == Version(1, 0)
    assert "chosen by an admin, not the newest" in admin.page("/templates/network-env").text


def test_a_version_in_use_offers_no_deletion(visit):
    page = visit("admin").page("/templates/network-env/1.0")
    assert not page.has_button("Delete 1.0")
    assert "cannot be deleted while" in page.text


def test_a_failed_registration_is_deleted(visit, store):
    admin = visit("admin")
    assert admin.press(admin.page("/templates/network-env/1.3"), "Delete 1.3").status_code == 303
    assert version(store, "1.3") is None


def test_sync_now_asks_the_worker_and_comes_back(visit, store):
    admin = visit("admin")
    answer = admin.press(admin.page("/templates/network-env"), "Sync now")
    assert answer.headers["Location"] == "/templates/network-env"
    with store.read() as unit:
        assert any(entry.kind == "sync_asked" for entry in unit.journal.entries(5))


def test_sync_now_never_leads_off_the_site(visit):
    answer = visit("admin").post("/sources/templates/sync", {"next": "//evil.example/"})
    assert answer.headers["Location"] == "/"


def test_syncing_a_stalled_source_resumes_it(visit, store):
    admin = visit("admin")
    admin.press(admin.page("/sources/gone"), "Sync now")
    with store.read() as unit:
        assert unit.sources.get("gone").stall is None
