"""Notices through a Slack that is down for an hour, overrun, in trouble, or hangs up after it took a message.

Most of it runs on a clock of its own, so that hours take no time; the channel, its client, the sockets and the store
are real. In between the process dies before or after a send, and a second worker takes over from one whose lease ran
out. Every eighth round has a real worker, a real Slack webhook, and kills.
"""

import os
import random
import signal
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from tests.builders import NOON
from tests.fakeslack import HANGS_UP_AFTER, HANGS_UP_BEFORE, TOKEN, Answer, FakeSlack, error, too_many
from tests.trials.installation import eventually, free_port, installed
from tests.trials.trial import Outcome, Promise, Rounds, Trial, chance
from upkeep.adapters.channels import NamedChannels
from upkeep.adapters.clock import now as clock
from upkeep.adapters.slack import SlackBotChannel
from upkeep.adapters.store import open_store
from upkeep.domain.notices import Notice, OwedNotice
from upkeep.domain.sources import Credential, CredentialKind
from upkeep.domain.work import WorkKind
from upkeep.flows.ports import Store
from upkeep.flows.relay import relay

LEASE = timedelta(minutes=1)
REAL_EVERY = 8


class Killed(BaseException):
    """The process ends here."""


class _Token:
    def reveal(self, credential: Credential) -> str | None:
        return TOKEN


@dataclass
class Weather:
    """A Slack channel on a bad day. `at` is the time it is; it notes when it may be asked again."""

    slack: FakeSlack
    dice: random.Random
    down: tuple[datetime, datetime]
    at: datetime = NOON
    pace: timedelta = timedelta()
    not_before: datetime = NOON
    repeatable: int = 0
    seen: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)
    _closed: int = field(default_factory=free_port)

    def send(self, owed: OwedNotice, thread_receipt: str | None) -> str | None:
        if self.at < self.not_before:
            self.broken.append(f"asked at {self.at}, and Slack had said not before {self.not_before}")
        if self.down[0] <= self.at < self.down[1]:
            self.seen["down"] += 1
            return self._channel(f"http://127.0.0.1:{self._closed}/api/").send(owed, thread_receipt)
        if self.dice.random() < 0.05:
            self.seen["killed before"] += 1
            raise Killed
        self._script()
        receipt = self._channel(self.slack.api_url).send(owed, thread_receipt)
        if self.dice.random() < 0.05:
            self.seen["killed after"] += 1
            self.repeatable += 1
            raise Killed
        return receipt

    def _script(self) -> None:
        drawn = self.dice.random()
        if drawn < 0.10:
            wait = self.dice.randint(1, 90)
            self.slack.answer_next(too_many(wait))
            self.not_before = self.at + timedelta(seconds=wait)
            self.seen["429"] += 1
        elif drawn < 0.20:
            self.slack.answer_next(self.dice.choice([Answer(500, "oops"), Answer(503, ""), error("internal_error")]))
            self.seen["500"] += 1
        elif drawn < 0.25:
            self.slack.answer_next(HANGS_UP_BEFORE)
            self.seen["hung up before"] += 1
        elif drawn < 0.32:
            self.slack.answer_next(HANGS_UP_AFTER)
            self.seen["hung up after"] += 1
            self.repeatable += 1

    def _channel(self, api_url: str) -> SlackBotChannel:
        return SlackBotChannel(
            Credential(CredentialKind.TOKEN_FILE, "token"), "platform", _Token(), "http://upkeep.example", api_url
        )


def _bad_day(dice: random.Random, folder: Path) -> tuple[int, Weather, list[str]]:
    """One day on a clock of its own; returns how many notices were owed, and what the day was like."""
    store = open_store("sqlite://", state=folder)
    broken: list[str] = []
    with FakeSlack() as slack:
        begins = NOON + timedelta(minutes=dice.randint(0, 30))
        weather = Weather(slack, dice, (begins, begins + timedelta(hours=1)))
        keys = [f"n{number:03}" for number in range(dice.randint(5, 40))]
        waiting = [(NOON + timedelta(seconds=dice.randint(0, 5400)), key) for key in keys]
        waiting.sort()
        at = NOON
        for _ in range(20_000):
            with store.read() as unit:
                due_at = unit.work.next_due_at()
            if not waiting and due_at is None:
                break
            at = max(at, min(moment for moment in (due_at, waiting[0][0] if waiting else None) if moment is not None))
            while waiting and waiting[0][0] <= at:
                with store.write() as unit:
                    unit.outbox.owe(Notice(waiting[0][1], "platform", f"about {waiting.pop(0)[1]}"), at)
            _work(store, weather, at)
        else:
            broken.append("the day never ends")
        broken += weather.broken + slack.faults
        took = [message.body["text"].removeprefix("about ") for message in slack.posted]
    store.close()
    if lost := set(keys) - set(took):
        broken.append(f"{len(lost)} notices were never sent: {sorted(lost)[:3]}")
    if len(took) - len(set(took)) > weather.repeatable:
        broken.append(f"{len(took) - len(set(took))} repeats, and only {weather.repeatable} sends went unrecorded")
    return len(keys), weather, broken


def _work(store: Store, weather: Weather, at: datetime) -> None:
    weather.at = at
    with store.write() as unit:
        claim = unit.work.claim([WorkKind.RELAY], at, LEASE)
    if claim is not None:
        try:
            relay(store, NamedChannels({"platform": weather}), claim, now=at)
        except Killed:
            # The lease runs out, and whoever comes then goes on.
            return


def _real(dice: random.Random, folder: Path) -> tuple[int, Counter[str], list[str]]:
    """A real worker that is killed while it sends to a webhook that has its own troubles."""
    keys = [f"real{number}" for number in range(4)]
    kills = 0
    with FakeSlack() as slack:
        slack.answer_next(*dice.sample([too_many(2), Answer(500, "oops"), HANGS_UP_AFTER], 2))
        channels = {"hook": {"kind": "slack_webhook", "url": slack.hook_url}, "console": {"kind": "console"}}
        configuration = {"notices": {"channels": channels}, "worker": {"lease": "5s"}}
        with installed(folder, "sqlite", configuration) as here, here.store() as store:
            with store.write() as unit:
                for key in keys:
                    unit.outbox.owe(Notice(key, "hook", f"about {key}"), clock())

            def left() -> int:
                with store.read() as unit:
                    return len(unit.outbox.unsent("hook", 100))

            while left():
                asked = slack.asked
                here.start("worker")
                eventually("Slack is asked", lambda asked=asked: slack.asked > asked or not left(), here.last_words)
                if kills < 2:
                    time.sleep(dice.uniform(0, 0.1))
                    for pid in here.processes():
                        os.kill(pid, signal.SIGKILL)
                    kills += 1
                else:
                    eventually("all is sent", lambda: not left(), here.last_words)
                here.kill_all()
        took = {message.body["text"].removeprefix("about ") for message in slack.posted}
    lost = set(keys) - took
    return len(keys), Counter({"worker killed": kills}), [f"a real worker lost {sorted(lost)}"] if lost else []


def run(seed: int, rounds: int, folder: Path) -> Outcome:
    """So many bad days."""
    owed, seen, broken, repeats = 0, Counter[str](), [], 0
    for number in range(rounds):
        dice = chance(seed, "notices", number)
        here = folder / str(number)
        if number % REAL_EVERY == REAL_EVERY - 1:
            count, met, faults = _real(dice, here)
        else:
            count, weather, faults = _bad_day(dice, here)
            met, repeats = weather.seen, repeats + weather.repeatable
        owed, seen = owed + count, seen + met
        broken += [f"round {number}: {fault}" for fault in faults]
    met_all = ", ".join(f"{what} {count}" for what, count in sorted(seen.items()))
    return Outcome(
        f"{rounds} bad days, {owed:,} notices",
        f"each was sent, at most {repeats} twice (a hang-up or a kill between send and record); met: {met_all}",
        tuple(broken),
    )


TRIAL = Trial("notices", Promise.NOTICES, Rounds(4, 16, 1000), run)
