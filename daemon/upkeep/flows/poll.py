"""Poll: ask repositories whose time has come whether anything is new, some of them under one claim.

Most of the time nothing is, and that is written down for all of them together: what it costs beside git is shared. Any
other answer is left to a sync of that source, which reads what is new or says what is wrong. Nothing is read here, so
that a poll that was killed, undone or done twice has changed nothing but when its sources were last heard from.
"""

from datetime import datetime

from upkeep.domain.errors import UpkeepError
from upkeep.domain.sources import Cause, Source
from upkeep.domain.work import Claim, WorkKind
from upkeep.flows.ports import Repositories, Store
from upkeep.flows.sync import unsettled


def poll(store: Store, repositories: Repositories, claim: Claim, *, now: datetime) -> None:
    """Do one POLL work: its subject names the sources, with a space between two names.

    The others of a source that does not answer are left to syncs as well, so that nobody waits for more than one.
    """
    with store.read() as unit:
        waiting = [source for source in unit.sources.named(claim.subject.split(" ")) if source.stall is None]
    quiet: list[Source] = []
    while waiting:
        source = waiting.pop(0)
        try:
            if _may_be_quiet(source) and repositories.head(source) == source.synced_commit:
                quiet.append(source)
                continue
            asked = [source]
        except UpkeepError:
            asked, waiting = [source, *waiting], []
        with store.write() as unit:
            unit.work.hold(claim)
            for each in asked:
                unit.work.ask(WorkKind.SYNC, each.name, now, Cause.POLL)
    with store.write(durable=False) as unit:
        # Sources first, as where polls are asked for: in two orders, each would wait for the other.
        unit.sources.heard(quiet, now)
        unit.work.done(claim)


def _may_be_quiet(source: Source) -> bool:
    """Whether there is nothing to do for a source whose head is where it was."""
    return source.synced_commit is not None and not source.failures and not unsettled(source)
