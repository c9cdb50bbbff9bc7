"""The review of a draft: what publishing it would do, to whom, and how sure that is."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from upkeep.domain import lag
from upkeep.domain.changesets import Risk, StackChange, worst
from upkeep.domain.errors import NotFound
from upkeep.domain.findings import Finding
from upkeep.domain.lag import PublishedVersion
from upkeep.domain.names import ResourceKey, TemplateName, Version, parse_resource_key
from upkeep.domain.previews import Preview, PreviewGroup
from upkeep.domain.resources import Resource
from upkeep.domain.stateful import endangered
from upkeep.domain.versions import Template, TemplateVersion, recommended_after_publish
from upkeep.domain.work import WorkKind
from upkeep.flows.browse.comparisons import Compared, compared_versions
from upkeep.flows.browse.plans import Checks, checks_of
from upkeep.flows.ports import Unit
from upkeep.flows.preview import subject_of
from upkeep.flows.review import evidence

WORK_SEARCHED = 500
"""Rows of the queue that are looked through for a preview that is still owed."""

_ORDER = list(Risk)


@dataclass(frozen=True, slots=True)
class Danger:
    """A stack resource that is replaced or may be, and whose it is. `stateful` says that what it holds can be lost."""

    resource: Resource
    change: StackChange
    stateful: bool


@dataclass(frozen=True, slots=True)
class Affected:
    """What becomes of one resource: the words for its rendered template, and what its change set said."""

    resource: Resource
    rendered: str
    risk: Risk


@dataclass(frozen=True, slots=True)
class Group:
    """Resources whose rendered template changes in the same way, with the worst that change sets say of them, and of
    each stack resource by its logical id."""

    preview: PreviewGroup
    keys: tuple[ResourceKey, ...]
    risk: Risk
    risks: Mapping[str, Risk]


@dataclass(frozen=True, slots=True)
class ReviewView:
    """What a person weighs before publishing a draft.

    `behind` counts the resources that will be behind once it is published, `newly` those of them that are not
    behind yet. `rendering` says that fresh rendered differences are being worked out; `deployed_since` is when
    something was deployed that the preview does not know of, None when nothing was. `newer` is a higher draft of the
    same major. `checks` is what change sets said, `dangers` the stack resources in them that people lose by. `affected`
    are all resources, those that fare worst first. `groups` come failures first, then what replaces, then by size.
    `incompatible` are the findings that make it no minor, `advice` all others. `evidence` names all this for an
    approval.
    """

    template: Template
    draft: TemplateVersion
    becomes_recommended: bool
    behind: int
    newly: int
    running: int
    compared: Compared
    preview: Preview | None
    groups: tuple[Group, ...]
    rendering: bool
    deployed_since: datetime | None
    newer: Version | None
    checks: Checks
    dangers: tuple[Danger, ...]
    affected: tuple[Affected, ...]
    incompatible: tuple[Finding, ...]
    advice: tuple[Finding, ...]
    evidence: str

    @property
    def risk(self) -> Risk:
        """The worst that is known; Not checked as long as nothing is."""
        looked = [row.risk for row in self.checks.rows if row.plan is not None and row.plan.usable and not row.stale]
        return worst(looked) if looked else Risk.NOT_CHECKED

    @property
    def failing(self) -> int:
        """How many resources it cannot be rendered for."""
        return sum(len(group.keys) for group in self.groups if group.preview.failure)

    @property
    def in_short(self) -> str:
        """What the groups come to, such as `the same change in 11, none in 3, cannot be rendered for 1`."""
        changing = [len(group.keys) for group in self.groups if group.preview.diff]
        unmoved = sum(len(group.keys) for group in self.groups if not group.preview.diff and not group.preview.failure)
        told = []
        if changing:
            told.append(
                f"the same change in {changing[0]}"
                if len(changing) == 1
                else f"changes in {sum(changing)}, of {len(changing)} kinds"
            )
        if unmoved:
            told.append(f"none in {unmoved}" if changing else f"no change in {unmoved}")
        if self.failing:
            told.append(f"cannot be rendered for {self.failing}")
        return ", ".join(told)

    @property
    def rendered(self) -> int:
        """How many resources it was tried for."""
        return sum(len(group.keys) for group in self.groups)


def review(unit: Unit, name: str, number: Version, compare_with: Version | None = None) -> ReviewView:
    """What publishing a draft would do, and how it differs from the version before it or from `compare_with`."""
    family = unit.registry.template(name)
    draft = unit.registry.version(family.name, number)
    behind, newly, running = _consequence(unit, family, draft)
    offered = [entry.version for entry in unit.registry.published(family.name)]
    drafts = [draft.version for draft in unit.registry.drafts(family.name)]
    preview = unit.registry.find_preview(family.name, number)
    checks = checks_of(unit, family.name, number)
    present = unit.fleet.on_major(family.name, number.major)
    groups = _groups(preview.groups if preview else (), checks)
    incompatible = tuple(finding for finding in draft.findings if finding.slug.startswith("incompatible-"))
    return ReviewView(
        template=family,
        draft=draft,
        becomes_recommended=recommended_after_publish([*offered, number], number, family.recommended) == number,
        behind=behind,
        newly=newly,
        running=running,
        compared=compared_versions(unit, family, draft, compare_with, lower=True),
        preview=preview,
        groups=groups,
        rendering=_owed(unit, family.name, number),
        deployed_since=_deployed_since(present, preview),
        newer=max((v for v in drafts if v.major == number.major and v > number), default=None),
        checks=checks,
        dangers=_dangers(checks),
        affected=_affected(present, groups, checks),
        incompatible=incompatible,
        advice=tuple(finding for finding in draft.findings if finding not in incompatible),
        evidence=evidence(unit, family.name, number),
    )


@dataclass(frozen=True, slots=True)
class GroupView:
    """What changes in a resource, as it was worked out for its whole group."""

    template: Template
    draft: TemplateVersion
    preview: Preview
    key: ResourceKey
    group: Group


def group_of(unit: Unit, name: str, number: Version, key: ResourceKey) -> GroupView:
    """The group of a preview that a resource is in; NotFound when it is in none."""
    family = unit.registry.template(name)
    draft = unit.registry.version(family.name, number)
    preview = unit.registry.find_preview(family.name, number)
    groups = _groups(preview.groups if preview else (), checks_of(unit, family.name, number))
    found = next((group for group in groups if key in group.keys), None)
    if preview is None or found is None:
        raise NotFound(
            f"what {family.name} {number} would change in {key.short} was not worked out",
            cure="look at the review of the version, or at the resource's own page",
        )
    return GroupView(family, draft, preview, key, found)


def _groups(groups: Iterable[PreviewGroup], checks: Checks) -> tuple[Group, ...]:
    plans = {str(row.resource.key): row.plan for row in checks.rows if row.plan is not None and not row.stale}
    found = []
    for group in groups:
        looked = [plan for key in group.resources if (plan := plans.get(key)) is not None]
        risks: dict[str, Risk] = {}
        for plan in looked:
            for change in plan.changes:
                known = risks.get(change.logical_id, change.risk)
                risks[change.logical_id] = worst((known, change.risk))
        risk = worst(plan.risk for plan in looked) if looked else Risk.NOT_CHECKED
        found.append(Group(group, tuple(parse_resource_key(key) for key in group.resources), risk, risks))
    return tuple(sorted(found, key=_badness))


def _badness(group: Group) -> tuple[bool, int, bool, int]:
    dangerous = _ORDER.index(group.risk) if group.risk in (Risk.REPLACES, Risk.MAY_REPLACE) else 0
    return (group.preview.failure is None, -dangerous, not group.preview.diff, -len(group.keys))


def _dangers(checks: Checks) -> tuple[Danger, ...]:
    found = []
    for row in checks.rows:
        if row.plan is None or row.stale:
            continue
        stateful = set(endangered(row.plan.changes))
        found += [
            Danger(row.resource, change, change in stateful)
            for change in row.plan.changes
            if change.risk in (Risk.REPLACES, Risk.MAY_REPLACE)
        ]
    return tuple(sorted(found, key=lambda danger: (not danger.stateful, -_ORDER.index(danger.change.risk))))


def _affected(present: Iterable[Resource], groups: Iterable[Group], checks: Checks) -> tuple[Affected, ...]:
    rendered = {key: _word(group.preview) for group in groups for key in group.keys}
    risks = {row.resource.key: Risk.NOT_CHECKED if row.stale else row.risk for row in checks.rows}
    rows = [
        Affected(resource, rendered.get(resource.key, "not known yet"), risks.get(resource.key, Risk.NOT_CHECKED))
        for resource in present
    ]
    return tuple(sorted(rows, key=_fares))


def _word(group: PreviewGroup) -> str:
    return "cannot be rendered" if group.failure else "changes" if group.diff else "no change"


def _fares(row: Affected) -> tuple[bool, int, bool, str]:
    return (
        row.rendered != "cannot be rendered",
        -_ORDER.index(row.risk),
        row.rendered == "no change",
        str(row.resource.key),
    )


def _deployed_since(present: Iterable[Resource], preview: Preview | None) -> datetime | None:
    if preview is None:
        return None
    newest = max((resource.deployed_at for resource in present if resource.deployed_at), default=None)
    return newest if newest is not None and newest > preview.at else None


def _consequence(unit: Unit, family: Template, draft: TemplateVersion) -> tuple[int, int, int]:
    """How many resources will be behind once the draft is published, how many of them newly, and how many there
    are: the very rule that measures after publishing, asked before."""
    offered = [entry for entry in unit.registry.published(family.name) if entry.version != draft.version]
    numbers = [*(entry.version for entry in offered), draft.version]
    after = [*offered, PublishedVersion(draft.version, draft.created_at)]
    recommended = recommended_after_publish(numbers, draft.version, family.recommended)
    behind = newly = total = 0
    for major in unit.registry.majors(family.name):
        pointer = None if major.recommended_minor is None else Version(major.major, major.recommended_minor)
        if major.major == draft.version.major:
            siblings = [number for number in numbers if number.major == major.major]
            pointer = recommended_after_publish(siblings, draft.version, pointer)
        present = unit.fleet.on_major(family.name, major.major)
        total += len(present)
        before = {resource.version: resource.lag.behind for resource in present}
        for running, count in Counter(resource.version for resource in present).items():
            if running is not None and lag.measure(running, recommended, pointer, after).behind:
                behind += count
                newly += 0 if before[running] else count
    return behind, newly, total


def _owed(unit: Unit, name: TemplateName, number: Version) -> bool:
    subject = subject_of(name, number)
    return any(row.kind is WorkKind.PREVIEW and row.subject == subject for row in unit.work.list(WORK_SEARCHED))
