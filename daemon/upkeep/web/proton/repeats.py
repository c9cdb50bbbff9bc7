"""Repeats: the same request twice acts once, told by a client token or by the name of what it makes.

https://docs.aws.amazon.com/proton/latest/APIReference/API_CreateService.html
"""

import hashlib
import json
from collections.abc import Callable
from datetime import datetime, timedelta

from upkeep.domain import events
from upkeep.domain.annotations import Annotation
from upkeep.domain.answers import KeptAnswer
from upkeep.domain.errors import Conflict
from upkeep.flows.repeat import keep
from upkeep.web.proton.protocol import Answer, Call
from upkeep.web.proton.refusals import Refusal
from upkeep.web.proton.words import facts

TOKENS_LAST_FOR = timedelta(hours=8)


def once(call: Call, act: Callable[[], Answer]) -> Answer:
    """Act, or answer what was answered when the same client token came with the same parameters."""
    token = call.text("clientToken")
    if not token:
        return act()
    actor, key = call.actor.name, f"{call.operation} {token}"
    call.unit.answers.reserve(actor, key)
    before = call.unit.answers.find(actor, key)
    if before is not None and before.at > call.now - TOKENS_LAST_FOR:
        if before.request != request_of(call):
            raise _mismatch("this client token came with other parameters before")
        kept: Answer = json.loads(before.body)
        return kept
    answer = act()
    keep(call.unit, KeptAnswer(actor, key, request_of(call), 200, {}, json.dumps(answer), call.now))
    return answer


def made_before(call: Call, subject: str, since: datetime, *, untouched: bool = True) -> None:
    """Accept that this very request made what is there since then. Proton's rule for what is known by its name: with
    other parameters the request is refused, and so it is once the original was changed."""
    said = facts(call, subject, since)
    if said.get("request") == request_of(call):
        if untouched and "modifiedAt" not in said:
            return
        raise Conflict(
            f"{subject} exists and was changed since this request made it", cure="look at it, then update it"
        )
    if "request" in said:
        raise _mismatch(f"{subject} exists, made with other parameters")
    raise Conflict(f"{subject} exists already", cure="choose another name, or update it")


def request_of(call: Call) -> str:
    """A digest of the parameters, without the token."""
    given = {name: value for name, value in call.given.items() if name != "clientToken"}
    return hashlib.sha256(json.dumps(given, sort_keys=True).encode()).hexdigest()


def remember(call: Call, subject: str, *names: str) -> None:
    """Keep what this request says of a thing that it makes, under these names of parameters."""
    kept = {name: call.given[name] for name in names if name in call.given}
    call.unit.annotations.save(Annotation(subject, call.now, {"request": request_of(call), **kept}))


def amend(call: Call, subject: str, since: datetime, *names: str) -> None:
    """Keep what this request says of a thing that is there since then, beside what was said before."""
    kept = {name: call.given[name] for name in names if name in call.given}
    said = {**facts(call, subject, since), **kept, "modifiedAt": call.now.isoformat()}
    call.unit.annotations.save(Annotation(subject, call.now, said))
    if kept.keys() - {"clientToken"}:
        told = events.DescriptionChanged(subject, ", ".join(sorted(kept)))
        call.unit.journal.record(told, call.actor, call.now)


def _mismatch(message: str) -> Refusal:
    return Refusal("ValidationException", f"IdempotentParameterMismatch: {message}")
