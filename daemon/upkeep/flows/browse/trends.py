"""Trends: which versions run, and how lag came and went with each published version."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from upkeep.domain.names import TemplateName, Version
from upkeep.domain.tallies import Tally
from upkeep.domain.versions import Template
from upkeep.flows.ports import Unit

SHOWN_FOR = timedelta(days=90)
"""How far back a chart looks."""

VERSIONS_SHOWN = 12
"""Versions of which a distribution tells each by itself: those that most run."""

TEMPLATES_SHOWN = 8

PUBLISHES_SHOWN = 20
"""Publishes marked in a chart: the latest."""


@dataclass(frozen=True, slots=True)
class Share:
    """How many resources run one version; `version` is None for all others together."""

    version: Version | None
    resources: int
    recommended: bool = False


@dataclass(frozen=True, slots=True)
class Publish:
    """A version that was published, and of which template."""

    at: datetime
    template: str
    version: str


@dataclass(frozen=True, slots=True)
class History:
    """How a template, or the whole fleet, stood from `since` to `until`. Each tally holds from its time to the
    next one's, the last up to `until`; the first may be older than `since`."""

    since: datetime
    until: datetime
    tallies: tuple[Tally, ...]
    publishes: tuple[Publish, ...]


def distribution(family: Template, in_use: Mapping[Version, int]) -> tuple[Share, ...]:
    """How many resources run each version, newest first."""
    most = sorted(in_use, key=lambda version: (version == family.recommended, in_use[version], version), reverse=True)
    shown = sorted(most[:VERSIONS_SHOWN], reverse=True)
    shares = [Share(version, in_use[version], version == family.recommended) for version in shown]
    others = sum(in_use[version] for version in most[VERSIONS_SHOWN:])
    return (*shares, Share(None, others)) if others else tuple(shares)


def most_behind(unit: Unit) -> tuple[Tally, ...]:
    """The templates with most resources behind, as far as is written down."""
    return tuple(tally for tally in unit.tallies.worst(TEMPLATES_SHOWN) if tally.counters.behind)


def history(unit: Unit, template: TemplateName, now: datetime) -> History:
    """How a template stood of late up to the minute, WHOLE_FLEET for all; it ends with what is written down, not with
    the present."""
    until = now.replace(second=0, microsecond=0)
    since = until - SHOWN_FOR
    tallies = tuple(unit.tallies.of(template, since))
    if tallies and tallies[0].at > since:
        since = tallies[0].at
    subject = f"template/{template}" if template else None
    entries = unit.journal.entries(PUBLISHES_SHOWN, subject=subject, kind="version_published", since=since)
    publishes = tuple(
        Publish(entry.at, entry.subject.partition("/")[2], entry.facts["version"]) for entry in reversed(entries)
    )
    return History(since, until, tallies, publishes)
