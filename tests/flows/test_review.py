from dataclasses import replace
from datetime import timedelta

import pytest

from tests.builders import ADMIN, DEVELOPER
from tests.flows.given import environment_bundle, registered, running
from upkeep.domain.errors import Conflict, Forbidden, NotFound
from upkeep.domain.lag import Standing
from upkeep.domain.names import TemplateName, Version, environment_key
from upkeep.domain.notices import Routing
from upkeep.domain.people import Rules
from upkeep.domain.versions import VersionState
from upkeep.flows import review

VPC = TemplateName("vpc")
ROUTING = Routing(default="platform", owners={"shop": "shop-channel"})


@pytest.fixture
def drafts(store, now):
    """A template with five drafts."""
    with store.write() as unit:
        for minor in range(5):
            registered(unit, "vpc", f"1.{minor}", environment_bundle(), now)
    return store


def publish(store, text, now, **changes):
    with store.write() as unit:
        arguments = {"seen_tree": None, "note": None, "routing": ROUTING, "actor": ADMIN, "now": now} | changes
        return review.publish(unit, VPC, Version(*map(int, text.split("."))), **arguments)


def recommended(store):
    with store.read() as unit:
        family = unit.registry.template("vpc")
        major = unit.registry.find_major(VPC, 1)
        return str(family.recommended), major.recommended_minor


def test_a_published_draft_becomes_the_recommended_version(drafts, now):
    outcome = publish(drafts, "1.0", now, note="first")
    assert outcome.recommended == Version(1, 0)
    assert recommended(drafts) == ("1.0", 0)
    with drafts.read() as unit:
        found = unit.registry.version(VPC, Version(1, 0))
        assert (found.state, found.published_by, found.note) == (VersionState.PUBLISHED, "ada", "first")
        kinds = [entry.kind for entry in unit.journal.entries(10)]
    assert kinds.count("version_published") == 1
    assert kinds.count("recommended_moved") == 2


def test_publishing_twice_publishes_once(drafts, now):
    publish(drafts, "1.0", now)
    publish(drafts, "1.0", now + timedelta(days=1), note="again")
    with drafts.read() as unit:
        assert unit.registry.version(VPC, Version(1, 0)).published_at == now
        assert [entry.kind for entry in unit.journal.entries(10)].count("version_published") == 1


def test_publishing_an_older_draft_late_does_not_move_the_recommended_version(drafts, now):
    publish(drafts, "1.3", now)
    publish(drafts, "1.2", now)
    assert recommended(drafts) == ("1.3", 3)


def test_a_new_minor_of_an_older_major_moves_only_that_major(drafts, now):
    with drafts.write() as unit:
        registered(unit, "vpc", "2.0", environment_bundle(), now)
    publish(drafts, "1.0", now)
    publish(drafts, "2.0", now)
    publish(drafts, "1.4", now)
    assert recommended(drafts) == ("2.0", 4)


def test_an_approval_of_what_has_changed_since_is_refused(drafts, now):
    with pytest.raises(Conflict, match="changed since you opened it"):
        publish(drafts, "1.0", now, seen_tree="0" * 40)
    with drafts.read() as unit:
        assert unit.registry.version(VPC, Version(1, 0)).state is VersionState.DRAFT


def test_only_admins_publish(drafts, now):
    with pytest.raises(Forbidden):
        publish(drafts, "1.0", now, actor=DEVELOPER)


def test_a_failed_registration_cannot_be_published(store, now):
    with store.write() as unit:
        registered(unit, "vpc", "1.0", environment_bundle(), now, VersionState.REGISTRATION_FAILED)
    with pytest.raises(Conflict, match="REGISTRATION_FAILED"):
        publish(store, "1.0", now)


def test_publishing_marks_older_resources_behind_and_tells_each_owner_once(drafts, now):
    publish(drafts, "1.0", now)
    with drafts.write() as unit:
        running(unit, environment_key("test"), "vpc", "1.0", owner="shop")
        running(unit, environment_key("stage"), "vpc", "1.0", owner="shop")
        running(unit, environment_key("prod"), "vpc", "1.0")
    outcome = publish(drafts, "1.2", now + timedelta(days=1))
    assert outcome.behind == 3
    with drafts.read() as unit:
        lag = unit.fleet.get(environment_key("test")).lag
        assert (lag.standing, lag.minors, lag.since) == (Standing.BEHIND_MINOR, 1, now + timedelta(days=1))
        assert len(unit.outbox.unsent("shop-channel", 10)) == 1
        assert len(unit.outbox.unsent("platform", 10)) == 1


def test_a_version_that_does_not_become_recommended_tells_nobody(drafts, now):
    publish(drafts, "1.3", now)
    with drafts.write() as unit:
        running(unit, environment_key("test"), "vpc", "1.0")
    publish(drafts, "1.2", now)
    with drafts.read() as unit:
        assert not unit.outbox.unsent("platform", 10)


def test_a_minor_of_an_older_major_is_told_to_those_on_that_major_only(drafts, now):
    with drafts.write() as unit:
        registered(unit, "vpc", "2.0", environment_bundle(), now)
        registered(unit, "vpc", "0.1", environment_bundle(), now)
        for key, version in (("one", "1.0"), ("none", "0.1")):
            running(unit, environment_key(key), "vpc", version, owner="shop")
    publish(drafts, "2.0", now)
    publish(drafts, "1.1", now)
    with drafts.read() as unit:
        first, second = (owed.notice for owed in unit.outbox.unsent("shop-channel", 10))
    assert "2 of yours are behind:" in first.lines
    assert "1 of yours is behind:" in second.lines


def test_withdrawing_the_recommended_version_falls_back_to_the_one_below(drafts, now):
    for text in ("1.0", "1.1", "1.2"):
        publish(drafts, text, now)
    with drafts.write() as unit:
        assert review.withdraw(unit, VPC, Version(1, 2), reason="broken", actor=ADMIN, now=now) == Version(1, 1)
    assert recommended(drafts) == ("1.1", 1)


def test_withdrawing_the_only_version_recommends_nothing(drafts, now):
    publish(drafts, "1.0", now)
    with drafts.write() as unit:
        assert review.withdraw(unit, VPC, Version(1, 0), reason="", actor=ADMIN, now=now) is None
    assert recommended(drafts) == ("None", None)


def test_an_older_version_can_be_recommended_and_the_next_publish_moves_on(drafts, now):
    for text in ("1.0", "1.1", "1.2"):
        publish(drafts, text, now)
    with drafts.write() as unit:
        running(unit, environment_key("test"), "vpc", "1.2")
        review.recommend(unit, VPC, Version(1, 1), actor=ADMIN, now=now)
    with drafts.read() as unit:
        assert unit.registry.template("vpc").pinned
        assert unit.fleet.get(environment_key("test")).lag.standing is Standing.AHEAD
    assert recommended(drafts) == ("1.1", 1)
    publish(drafts, "1.3", now)
    assert recommended(drafts) == ("1.3", 3)
    with drafts.read() as unit:
        assert not unit.registry.template("vpc").pinned


def test_a_version_in_use_is_not_deleted(drafts, now):
    publish(drafts, "1.0", now)
    publish(drafts, "1.1", now)
    with drafts.write() as unit:
        running(unit, environment_key("test"), "vpc", "1.0")
    with pytest.raises(Conflict, match="in use by 1 resource"), drafts.write() as unit:
        review.delete(unit, VPC, Version(1, 0), actor=ADMIN, now=now)


def test_the_recommended_version_is_not_deleted_while_others_exist(drafts, now):
    publish(drafts, "1.4", now)
    with pytest.raises(Conflict, match="is the recommended version"), drafts.write() as unit:
        review.delete(unit, VPC, Version(1, 4), actor=ADMIN, now=now)


def test_the_last_version_can_be_deleted_and_leaves_no_pointer_behind(store, now):
    with store.write() as unit:
        registered(unit, "vpc", "1.0", environment_bundle(), now)
    publish(store, "1.0", now)
    with store.write() as unit:
        review.delete(unit, VPC, Version(1, 0), actor=ADMIN, now=now)
    assert recommended(store) == ("None", None)
    with store.write() as unit:
        review.delete_template(unit, VPC, actor=ADMIN, now=now)
    with pytest.raises(NotFound), store.read() as unit:
        unit.registry.template("vpc")


def test_a_template_with_versions_is_not_deleted(drafts, now):
    with pytest.raises(Exception, match="still has versions"), drafts.write() as unit:
        review.delete_template(unit, VPC, actor=ADMIN, now=now)


def test_an_author_may_not_publish_their_own_change_when_the_rule_says_so(drafts, now):
    with drafts.read() as unit:
        author = unit.registry.version(VPC, Version(1, 0)).commit.author_email
    strict = replace(ADMIN, rules=Rules(authors_may_publish=False))
    with pytest.raises(Forbidden, match="authors may not publish their own"):
        publish(drafts, "1.0", now, actor=replace(strict, email=author.upper()))
    with pytest.raises(Forbidden, match="is not known to compare"):
        publish(drafts, "1.0", now, actor=strict)
    publish(drafts, "1.0", now, actor=replace(strict, email="somebody.else@example.com"))
    publish(drafts, "1.1", now, actor=replace(ADMIN, email=author))
