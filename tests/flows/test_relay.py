from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise

import pytest

from tests.builders import a_version
from tests.fakeslack import HANGS_UP_AFTER, TOKEN, Answer, FakeSlack, error, too_many
from upkeep.adapters.channels import NamedChannels
from upkeep.adapters.console import ConsoleChannel
from upkeep.adapters.slack import SlackBotChannel
from upkeep.domain.errors import CallerError, LostLease, StalledError, TransientError
from upkeep.domain.notices import APART_AT_MOST, Notice, OwedNotice, draft_ready
from upkeep.domain.sources import Credential, CredentialKind
from upkeep.domain.work import WorkKind
from upkeep.flows.relay import (
    FIRST_RETRY_AFTER,
    GATHERED_FOR,
    LONGEST_RETRY_AFTER,
    REFUSALS_AT_MOST,
    SENT_AT_MOST,
    relay,
    resume,
)

LEASE = timedelta(seconds=60)
SECOND = timedelta(seconds=1)


class Killed(BaseException):
    """The process ends here."""


@dataclass
class Wall:
    """A channel that remembers what it took; `meets` is called before each message and may raise."""

    pace: timedelta = timedelta()
    meets: Callable[[OwedNotice], None] = lambda owed: None
    took: list[str] = field(default_factory=list)
    parents: list[str | None] = field(default_factory=list)

    def send(self, owed: OwedNotice, thread_receipt: str | None) -> str | None:
        self.meets(owed)
        self.took.append(owed.notice.key)
        self.parents.append(thread_receipt)
        return f"receipt-{len(self.took)}"


@dataclass(frozen=True)
class Token:
    """Secrets that know one token."""

    token: str = TOKEN

    def reveal(self, credential: Credential) -> str | None:
        return self.token


def raising(*failures):
    """A channel that fails so often, then takes everything."""
    waiting = list(failures)

    def meets(owed):
        if waiting:
            raise waiting.pop(0)

    return Wall(meets=meets)


def owe(store, at, *keys, channel="platform", thread=None):
    with store.write() as unit:
        for key in keys:
            unit.outbox.owe(Notice(key, channel, f"about {key}", thread=thread), at)


def claimed(store, at):
    with store.write() as unit:
        return unit.work.claim([WorkKind.RELAY], at, LEASE)


def run(store, channels, at):
    """What a worker does at a moment: take the work that is due, one after the other. Returns how many there were."""
    for turns in range(200):
        claim = claimed(store, at)
        if claim is None:
            return turns
        relay(store, channels, claim, now=at)
    raise AssertionError("the work never ends")


def due_at(store):
    with store.read() as unit:
        return unit.work.next_due_at()


def notices(store):
    with store.read() as unit:
        return sorted(unit.outbox.recent(1000), key=lambda owed: owed.id)


def on(channel):
    return NamedChannels({"platform": channel})


def bot(slack):
    return SlackBotChannel(
        Credential(CredentialKind.TOKEN_FILE, "token"), "platform", Token(), "http://upkeep.example", slack.api_url
    )


@pytest.fixture
def slack():
    with FakeSlack() as fake:
        yield fake
        assert fake.faults == []


def test_what_is_owed_is_sent_oldest_first_and_once(store, now):
    wall = Wall()
    owe(store, now, "a", "b", "c")
    run(store, on(wall), now)
    run(store, on(wall), now + SECOND)
    assert wall.took == ["a", "b", "c"]
    assert [(owed.sent_at, owed.receipt) for owed in notices(store)] == [
        (now, "receipt-1"),
        (now, "receipt-2"),
        (now, "receipt-3"),
    ]
    assert due_at(store) is None


def drafts_owed(store, at, count, template="web-svc"):
    with store.write() as unit:
        for minor in range(count):
            unit.outbox.owe(draft_ready("platform", a_version(template, f"1.{minor}")), at)


def test_drafts_of_one_template_that_wait_together_are_told_as_one(store, now):
    sent = []
    wall = Wall(meets=sent.append)
    owe(store, now, "a")
    drafts_owed(store, now, 30)
    drafts_owed(store, now, APART_AT_MOST, "network-env")
    owe(store, now, "b")
    run(store, on(wall), now)
    assert len(sent) == 1
    assert due_at(store) == now + GATHERED_FOR
    drafts_owed(store, now, 1, "late-svc")
    run(store, on(wall), now + SECOND)
    assert len(sent) == 1
    run(store, on(wall), now + GATHERED_FOR)
    drafts = sent[1].notice
    assert drafts.headline == "web-svc 1.29 and 29 drafts before it are ready to review"
    assert drafts.lines[0].startswith("• 1.29 ")
    assert drafts.lines[-1] == "• and 20 more"
    assert [link.path for link in drafts.links] == ["/templates/web-svc/1.29/review"]
    assert len(sent) == 1 + 1 + APART_AT_MOST + 1
    run(store, on(wall), now + GATHERED_FOR * 2)
    assert sent[-1].notice.headline == "late-svc 1.0 is ready to review"
    assert all(owed.sent_at for owed in notices(store))


def test_a_message_of_many_drafts_that_failed_loses_none_of_them(store, now):
    wall = raising(TransientError("it does not answer"))
    drafts_owed(store, now, 10)
    for at in (now, now + GATHERED_FOR):
        run(store, on(wall), at)
        assert [owed.sent_at for owed in notices(store)] == [None] * 10
    run(store, on(wall), now + GATHERED_FOR + FIRST_RETRY_AFTER)
    assert len(wall.took) == 2
    assert all(owed.sent_at for owed in notices(store))


def test_owing_the_same_key_twice_sends_it_once(store, now):
    wall = Wall()
    owe(store, now, "a")
    run(store, on(wall), now)
    owe(store, now + SECOND, "a")
    run(store, on(wall), now + SECOND)
    assert wall.took == ["a"]


def test_the_same_key_goes_to_each_channel_it_is_owed_to(store, now):
    walls = {"platform": Wall(), "owners": Wall()}
    owe(store, now, "a")
    owe(store, now, "a", channel="owners")
    run(store, NamedChannels(walls), now)
    assert [wall.took for wall in walls.values()] == [["a"], ["a"]]


def test_more_than_one_claims_worth_is_sent_under_several(store, now):
    wall = Wall()
    keys = [f"key-{number:03}" for number in range(SENT_AT_MOST + 5)]
    owe(store, now, *keys)
    assert run(store, on(wall), now) == 2
    assert wall.took == keys


def test_a_channel_with_a_pace_gets_one_message_for_each_of_its_spans(store, now):
    wall = Wall(pace=SECOND)
    owe(store, now, "a", "b", "c")
    run(store, on(wall), now)
    assert wall.took == ["a"]
    run(store, on(wall), now + SECOND / 2)
    assert wall.took == ["a"]
    run(store, on(wall), now + SECOND)
    run(store, on(wall), now + SECOND * 2)
    run(store, on(wall), now + SECOND * 3)
    assert wall.took == ["a", "b", "c"]
    assert due_at(store) is None


def test_a_notice_owed_while_the_channel_is_relayed_is_sent_too(store, now):
    def owe_another(owed):
        if owed.notice.key == "a":
            owe(store, now, "b")

    wall = Wall(meets=owe_another)
    owe(store, now, "a")
    run(store, on(wall), now)
    assert wall.took == ["a", "b"]


def test_answers_name_the_message_that_opened_their_thread(store, now):
    wall = Wall()
    owe(
        store,
        now,
        "now-behind/web/1.1/abc",
        "deployment/1/SUCCEEDED",
        "deployment/2/SUCCEEDED",
        thread="now-behind/web/1.1",
    )
    owe(store, now, "draft-ready/web/1.2/def")
    for at in (now, now + GATHERED_FOR):
        run(store, on(wall), at)
    assert wall.parents == [None, "receipt-1", "receipt-1", None]


def test_a_notice_that_opens_a_thread_stays_in_sight_though_an_answer_came_before(store, now):
    wall = Wall()
    owe(store, now, "deployment/1/SUCCEEDED", "now-behind/web/1.1/abc", thread="now-behind/web/1.1")
    run(store, on(wall), now)
    assert wall.parents == [None, None]


def test_a_channel_that_is_down_for_an_hour_loses_nothing_and_is_asked_ever_less_often(store, now):
    tries = []
    up_again = now + timedelta(hours=1)

    def meets(owed):
        tries.append(at)
        if at < up_again:
            raise TransientError("nobody answers")

    wall = Wall(meets=meets)
    owe(store, now, "a", "b")
    at = now
    while (next_at := due_at(store)) is not None:
        at = next_at
        run(store, on(wall), at)
    assert wall.took == ["a", "b"]
    waits = [later - earlier for earlier, later in pairwise(tries)]
    assert waits[:3] == [FIRST_RETRY_AFTER, FIRST_RETRY_AFTER * 2, FIRST_RETRY_AFTER * 4]
    assert len(tries) < 15
    assert tries[-1] - up_again <= timedelta(hours=1)
    assert [(owed.failure, owed.sent_at is None) for owed in notices(store)] == [(None, False), (None, False)]


def test_the_reason_of_a_failure_stands_on_the_notice_and_on_the_work(store, now):
    owe(store, now, "a")
    run(store, on(raising(TransientError("nobody answers"))), now)
    assert [(owed.attempts, owed.failure) for owed in notices(store)] == [(1, "nobody answers")]
    with store.read() as unit:
        assert [work.failure for work in unit.work.list(10)] == ["nobody answers"]


def test_the_wait_between_tries_never_exceeds_an_hour(store, now):
    owe(store, now, "a")
    at = now
    for _ in range(40):
        run(store, on(raising(TransientError("nobody answers"))), at)
        assert due_at(store) - at <= LONGEST_RETRY_AFTER
        at = due_at(store)


def test_a_channel_that_says_when_to_come_back_is_left_alone_until_then(store, now):
    wall = raising(TransientError("too many", retry_after=SECOND * 37))
    owe(store, now, "a")
    run(store, on(wall), now)
    assert due_at(store) == now + SECOND * 37
    owe(store, now + SECOND, "b")
    run(store, on(wall), now + SECOND)
    assert wall.took == []
    run(store, on(wall), now + SECOND * 36)
    assert wall.took == []
    run(store, on(wall), now + SECOND * 37)
    assert wall.took == ["a", "b"]


def test_a_channel_that_needs_a_person_keeps_its_notices_and_is_asked_hourly(store, now):
    wall = raising(*[StalledError("the token is revoked", cure="give it another")] * 30)
    owe(store, now, "a", "b")
    at = now
    for _ in range(30):
        run(store, on(wall), at)
        assert due_at(store) == at + timedelta(hours=1)
        at = due_at(store)
    assert notices(store)[0].failure == "the token is revoked (give it another)"
    run(store, on(wall), at)
    assert wall.took == ["a", "b"]


def test_a_start_of_the_daemon_tries_the_channels_again_that_failed(store, now):
    owe(store, now, "a")
    run(store, on(raising(StalledError("the token is revoked"))), now)
    owe(store, now, "b", channel="owners")
    waiting = raising(TransientError("too many", retry_after=SECOND * 90))
    run(store, NamedChannels({"owners": waiting}), now)
    with store.write() as unit:
        resume(unit, now=now + SECOND)
    wall = Wall()
    run(store, NamedChannels({"platform": wall, "owners": waiting}), now + SECOND)
    assert (wall.took, waiting.took) == (["a"], [])


def test_a_channel_nobody_configured_names_the_cure_and_loses_nothing(store, now):
    owe(store, now, "a", channel="nowhere")
    run(store, on(Wall()), now)
    assert "`nowhere` under `notices.channels`" in (notices(store)[0].failure or "")
    wall = Wall()
    run(store, NamedChannels({"nowhere": wall}), now + timedelta(hours=1))
    assert wall.took == ["a"]


def test_a_broken_channel_does_not_hold_up_the_others(store, now):
    wall = Wall()
    owe(store, now, "a", channel="nowhere")
    owe(store, now, "a")
    run(store, on(wall), now)
    assert wall.took == ["a"]


def test_a_message_that_is_refused_for_itself_is_given_up_and_the_next_one_goes(store, now):
    def refuse_a(owed):
        if owed.notice.key == "a":
            raise CallerError("invalid_blocks")

    wall = Wall(meets=refuse_a)
    owe(store, now, "a", "b")
    at = now
    while at is not None and at - now < timedelta(minutes=5):
        run(store, on(wall), at)
        at = due_at(store)
    refused, sent = notices(store)
    assert (refused.attempts, refused.failure, refused.sent_at) == (REFUSALS_AT_MOST, "invalid_blocks", None)
    assert refused.given_up_at is not None
    assert sent.sent_at is not None
    assert wall.took == ["b"]
    assert due_at(store) is None


def test_a_crash_between_the_send_and_its_record_repeats_one_message_at_most(store, now):
    wall = Wall()

    def die_after_b(owed):
        if owed.notice.key == "b" and "b" not in wall.took:
            wall.took.append("b")
            raise Killed

    wall.meets = die_after_b
    owe(store, now, "a", "b", "c")
    with pytest.raises(Killed):
        run(store, on(wall), now)
    run(store, on(wall), now + LEASE - SECOND)
    assert wall.took == ["a", "b"]
    run(store, on(wall), now + LEASE)
    assert wall.took == ["a", "b", "b", "c"]


def test_a_worker_that_lost_its_lease_while_sending_writes_and_sends_nothing_more(store, now):
    other = Wall()

    def sleep_through_the_lease(owed):
        run(store, on(other), now + LEASE)

    sleeper = Wall(meets=sleep_through_the_lease)
    owe(store, now, "a", "b")
    claim = claimed(store, now)
    with pytest.raises(LostLease):
        relay(store, on(sleeper), claim, now=now)
    assert (sleeper.took, other.took) == (["a"], ["a", "b"])
    assert {owed.sent_at for owed in notices(store)} == {now + LEASE}


def test_a_worker_whose_lease_is_gone_sends_nothing_at_all(store, now):
    wall = Wall()
    owe(store, now, "a")
    late = claimed(store, now)
    claimed(store, now + LEASE)
    with pytest.raises(LostLease):
        relay(store, on(wall), late, now=now + LEASE)
    assert wall.took == []


def test_two_workers_on_one_channel_send_each_notice_once(store, now):
    wall = Wall(pace=SECOND)
    owe(store, now, "a", "b", "c")
    first = claimed(store, now)
    assert claimed(store, now) is None
    relay(store, on(wall), first, now=now)
    for seconds in range(1, 6):
        run(store, on(wall), now + SECOND * seconds)
        run(store, on(wall), now + SECOND * seconds)
    assert wall.took == ["a", "b", "c"]


def test_many_workers_side_by_side_send_each_notice_once(any_store, now):
    walls = {f"channel-{number}": Wall() for number in range(4)}
    keys = [f"key-{number:02}" for number in range(8)]
    with any_store.write() as unit:
        for channel in walls:
            for key in keys:
                unit.outbox.owe(Notice(key, channel, f"about {key}"), now)
    with ThreadPoolExecutor(4) as workers:
        list(workers.map(lambda _: run(any_store, NamedChannels(walls), now), range(4)))
    assert [wall.took for wall in walls.values()] == [keys] * 4
    assert due_at(any_store) is None


def test_a_notice_that_comes_days_late_says_so_and_is_kept_as_it_was(store, now, tmp_path):
    owe(store, now, "a")
    with (tmp_path / "console").open("w+") as stream:
        run(store, on(ConsoleChannel(stream)), now + timedelta(days=2, hours=5))
        stream.seek(0)
        assert "2 days late" in stream.read()
    assert notices(store)[0].notice.lines == ()


def test_slack_gets_each_notice_once_when_all_is_well(store, now, slack):
    owe(store, now, "a", "b", "c")
    for second in range(5):
        run(store, on(bot(slack)), now + SECOND * second)
    assert [message.body["text"] for message in slack.posted] == ["about a", "about b", "about c"]
    assert [owed.receipt for owed in notices(store)] == [message.ts for message in slack.posted]


def test_slack_that_is_overrun_fails_and_hangs_up_gets_every_notice_at_least_once(store, now, slack):
    slack.answer_next(too_many(30), Answer(500, "oops"), HANGS_UP_AFTER, error("internal_error"), Answer(503, ""))
    owe(store, now, "a", "b", "c")
    while (at := due_at(store)) is not None:
        run(store, on(bot(slack)), at)
    assert [message.body["text"] for message in slack.posted] == ["about a", "about a", "about b", "about c"]


def test_slack_is_not_asked_again_before_the_time_it_named(store, now, slack):
    slack.answer_next(too_many(30))
    owe(store, now, "a")
    run(store, on(bot(slack)), now)
    owe(store, now + SECOND * 5, "b")
    run(store, on(bot(slack)), now + SECOND * 29)
    assert slack.asked == 1
    run(store, on(bot(slack)), now + SECOND * 30)
    assert len(slack.posted) == 1
