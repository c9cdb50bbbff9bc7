"""Review: a person decides what becomes of a version. Publish, discard, withdraw, recommend, delete."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby

from upkeep.domain import events, notices
from upkeep.domain.errors import CallerError, Conflict
from upkeep.domain.names import TemplateName, Version
from upkeep.domain.notices import Routing
from upkeep.domain.people import Act, Actor, require, why_not_publish
from upkeep.domain.plans import digest_of
from upkeep.domain.versions import (
    Template,
    TemplateVersion,
    VersionState,
    recommended_after_loss,
    recommended_after_publish,
)
from upkeep.flows.measure import measure
from upkeep.flows.plan import replaced_by
from upkeep.flows.ports import Unit


@dataclass(frozen=True, slots=True)
class Published:
    """What publishing did: the version, what is recommended now, how many resources are behind."""

    version: TemplateVersion
    recommended: Version | None
    behind: int


def publish(
    unit: Unit,
    template: TemplateName,
    version: Version,
    *,
    seen_tree: str | None,
    note: str | None,
    routing: Routing,
    acknowledged: bool = True,
    seen_evidence: str | None = None,
    actor: Actor,
    now: datetime,
) -> Published:
    """Offer a draft to resources. It becomes the recommended version if it is the highest published.

    `seen_tree` is the tree id the approval looked at: another one now is a Conflict; None approves unseen, as the
    command line does. `seen_evidence` is what `evidence` said then, compared in the same way. Publishing what is
    published already changes nothing. Unless it is `acknowledged`, what would replace something in a stack, as far as
    change sets were looked at, is a Conflict.
    """
    require(actor, Act.REVIEW)
    family = unit.registry.template(template)
    draft = unit.registry.version(template, version)
    if seen_tree is not None and draft.tree != seen_tree:
        raise Conflict(f"{template} {version} changed since you opened it", cure="look at it again, then publish")
    if refusal := why_not_publish(actor, draft.commit.author_email):
        raise refusal
    if draft.state is VersionState.PUBLISHED:
        return Published(draft, family.recommended, len(unit.fleet.behind(template)))
    if draft.state is not VersionState.DRAFT:
        raise Conflict(
            f"{template} {version} is {draft.state} and cannot be published",
            cure="only drafts are published; push a mended commit to get a new draft",
        )
    if seen_evidence is not None and evidence(unit, template, version) != seen_evidence:
        raise Conflict(
            f"what {version} would change in resources or in their stacks was worked out anew since you opened it",
            cure="look at what it says now, then publish",
        )
    replacing = () if acknowledged else replaced_by(unit, template, version)
    if replacing:
        named = ", ".join(f"{plan.changes[0].logical_id} of {plan.resource.short}" for plan in replacing[:3])
        more = f" and {len(replacing) - 3} more" if len(replacing) > 3 else ""
        raise Conflict(
            f"updates to {version} would replace {named}{more}", cure="tick the box that says so, then publish"
        )
    published = replace(
        draft,
        state=VersionState.PUBLISHED,
        published_at=now,
        published_by=actor.name,
        note=(note or "").strip() or None,
    )
    unit.registry.save_version(published)
    offered = [entry.version for entry in unit.registry.published(template)]
    recommended = recommended_after_publish(offered, version, family.recommended)
    if recommended != family.recommended:
        family = replace(family, pinned=False)
    _point(unit, family, recommended, actor, now)
    pointer = _major_pointer(unit, template, version.major)
    major_recommended = recommended_after_publish(_of_major(offered, version.major), version, pointer)
    _point_major(unit, template, version.major, major_recommended, actor, now)
    behind = measure(unit, template)
    unit.journal.record(
        events.VersionPublished(f"template/{template}", str(version), published.note, behind), actor, now
    )
    if major_recommended == version:
        _tell_owners(unit, published, everybody=recommended == version, routing=routing, now=now)
    return Published(published, recommended, behind)


def evidence(unit: Unit, template: TemplateName, version: Version) -> str:
    """A name for what is known of a draft's effects, from its preview and from change sets: the same as long as these
    say the same, whenever they were worked out."""
    preview = unit.registry.find_preview(template, version)
    rendered = [[group.resources, group.diff, group.failure] for group in preview.groups] if preview else None
    plans = unit.plans.latest(template, version)
    stacks = [[str(key), plans[key].failure, *map(str, plans[key].changes)] for key in sorted(plans)]
    return digest_of([rendered, stacks])


def withdraw(
    unit: Unit, template: TemplateName, version: Version, *, reason: str, actor: Actor, now: datetime
) -> Version | None:
    """Offer a published version no longer. What runs it keeps running; the pointers move to what is left.

    Returns what is recommended afterwards.
    """
    require(actor, Act.REVIEW)
    found = unit.registry.version(template, version)
    if found.state is VersionState.WITHDRAWN:
        return unit.registry.template(template).recommended
    if found.state is not VersionState.PUBLISHED:
        raise Conflict(
            f"{template} {version} is {found.state}, so there is nothing to withdraw", cure="delete it instead"
        )
    unit.registry.save_version(replace(found, state=VersionState.WITHDRAWN, withdrawn_at=now))
    recommended = _repoint_without(unit, template, version, actor, now)
    measure(unit, template)
    unit.journal.record(events.VersionWithdrawn(f"template/{template}", str(version), reason.strip()), actor, now)
    return recommended


def recommend(unit: Unit, template: TemplateName, version: Version, *, actor: Actor, now: datetime) -> int:
    """Make a published version the recommended one, also an older one: the way back from a bad release.

    Returns how many resources are behind now.
    """
    require(actor, Act.REVIEW)
    family = unit.registry.template(template)
    found = unit.registry.version(template, version)
    if found.state is not VersionState.PUBLISHED:
        raise Conflict(
            f"{template} {version} is {found.state} and cannot be recommended", cure="recommend a published version"
        )
    offered = [entry.version for entry in unit.registry.published(template)]
    _point(unit, replace(family, pinned=version != max(offered)), version, actor, now)
    _point_major(unit, template, version.major, version, actor, now)
    return measure(unit, template)


def delete(unit: Unit, template: TemplateName, version: Version, *, actor: Actor, now: datetime) -> None:
    """Delete a version nobody runs; its number is never given again. Discarding a draft is this too.

    Refused while a resource runs it or is being moved to it, and for the recommended version unless it is the
    only one the template has.
    """
    require(actor, Act.REVIEW)
    family = unit.registry.template(template)
    found = unit.registry.version(template, version)
    users = unit.registry.in_use(template).get(version, 0)
    if users:
        raise Conflict(
            f"{template} {version} is in use by {users} resource{'s' if users != 1 else ''}",
            cure="update or delete them first, or withdraw the version instead",
        )
    if family.recommended == version and len(unit.registry.versions(template)) > 1:
        raise Conflict(
            f"{template} {version} is the recommended version", cure="recommend another one first, or withdraw it"
        )
    unit.registry.remove_version(template, version)
    _repoint_without(unit, template, version, actor, now)
    measure(unit, template)
    unit.journal.record(events.VersionDeleted(f"template/{template}", str(version), found.state), actor, now)


def delete_template(unit: Unit, template: TemplateName, *, actor: Actor, now: datetime) -> None:
    """Delete a template that has no versions left, as Proton does."""
    require(actor, Act.REVIEW)
    family = unit.registry.template(template)
    if unit.registry.versions(template):
        raise CallerError(f"{template} still has versions", cure="delete its versions first")
    unit.registry.remove_template(family.name)
    unit.journal.record(events.TemplateDeleted(f"template/{template}"), actor, now)


def _repoint_without(unit: Unit, template: TemplateName, lost: Version, actor: Actor, now: datetime) -> Version | None:
    family = unit.registry.template(template)
    offered = [entry.version for entry in unit.registry.published(template)]
    recommended = family.recommended
    if recommended == lost:
        recommended = recommended_after_loss(offered, lost)
        _point(unit, replace(family, pinned=bool(offered) and recommended != max(offered)), recommended, actor, now)
    if _major_pointer(unit, template, lost.major) == lost:
        _point_major(
            unit, template, lost.major, recommended_after_loss(_of_major(offered, lost.major), lost), actor, now
        )
    return recommended


def _point(unit: Unit, family: Template, to: Version | None, actor: Actor, now: datetime) -> None:
    before = family.recommended
    unit.registry.save_template(replace(family, recommended=to))
    if before != to:
        unit.journal.record(
            events.RecommendedMoved(f"template/{family.name}", None, _text(before), _text(to)), actor, now
        )


def _point_major(
    unit: Unit, template: TemplateName, number: int, to: Version | None, actor: Actor, now: datetime
) -> None:
    major = unit.registry.find_major(template, number)
    before = _major_pointer(unit, template, number)
    if major is None or before == to:
        return
    unit.registry.save_major(replace(major, recommended_minor=None if to is None else to.minor))
    unit.journal.record(events.RecommendedMoved(f"template/{template}", number, _text(before), _text(to)), actor, now)


def _major_pointer(unit: Unit, template: TemplateName, number: int) -> Version | None:
    major = unit.registry.find_major(template, number)
    if major is None or major.recommended_minor is None:
        return None
    return Version(number, major.recommended_minor)


def _of_major(versions: Iterable[Version], number: int) -> list[Version]:
    return [version for version in versions if version.major == number]


def _text(version: Version | None) -> str | None:
    return None if version is None else str(version)


def _tell_owners(unit: Unit, published: TemplateVersion, *, everybody: bool, routing: Routing, now: datetime) -> None:
    """Owe each owners' channel one notice of what of theirs is behind the version: on its own major, or on any
    older one when `everybody` is concerned because it is the template's recommended version. What is snoozed is left
    out."""
    number = published.version
    concerned = [
        resource
        for resource in unit.fleet.behind(published.template)
        if resource.version is not None
        and resource.version < number
        and not resource.asleep(now)
        and (everybody or resource.version.major == number.major)
    ]
    by_channel = sorted(concerned, key=lambda resource: routing.of_owner(resource.owner))
    for channel, behind in groupby(by_channel, key=lambda resource: routing.of_owner(resource.owner)):
        if channel:
            unit.outbox.owe(notices.now_behind(channel, published, list(behind)), now)
