"""Preview: what a draft would change in every resource on its major, rendered and grouped, before anyone decides."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime

from upkeep.domain.deployments import State
from upkeep.domain.differences import Difference, difference
from upkeep.domain.errors import BundleError, CallerError, Conflict
from upkeep.domain.names import ResourceKey, TemplateName, Version, parse_template_name, parse_version
from upkeep.domain.people import Act, Actor, require
from upkeep.domain.previews import Preview, PreviewGroup
from upkeep.domain.resources import Resource
from upkeep.domain.versions import VersionState
from upkeep.domain.work import Claim, WorkKind
from upkeep.flows.compose import Composer, Composition
from upkeep.flows.ports import Renderer, Store, Unit

WHOLE_AT_MOST = 2_000_000
"""Characters of whole diffs that are kept with one preview: those of its worst and biggest groups."""

TOGETHER = 2
"""Resources that are worked out at the same time for one preview: while one is rendered, another is compared."""


def subject_of(template: TemplateName, version: Version) -> str:
    """The subject of the work that previews a version: `name@1.3`."""
    return f"{template}@{version}"


def ask_for_drafts(unit: Unit, template: TemplateName, major: int, now: datetime) -> None:
    """Ask for fresh previews of all drafts of a major: a spec or a running version on it has changed."""
    for draft in unit.registry.drafts(template):
        if draft.version.major == major:
            unit.work.ask(WorkKind.PREVIEW, subject_of(template, draft.version), now, "resources changed")


def renew(unit: Unit, template: TemplateName, version: Version, *, actor: Actor, now: datetime) -> None:
    """Ask for a fresh preview of a draft; Conflict when it is none."""
    require(actor, Act.REVIEW)
    if unit.registry.version(template, version).state is not VersionState.DRAFT:
        raise Conflict(f"{template} {version} is not a draft", cure="look at a resource's own difference instead")
    unit.work.ask(WorkKind.PREVIEW, subject_of(template, version), now, "asked for")


def preview(
    store: Store,
    renderer: Renderer,
    claim: Claim,
    *,
    now: datetime,
    then: Callable[[Unit, TemplateName, Version], None] = lambda unit, template, version: None,
) -> None:
    """Do one PREVIEW work: render the running and the drafted version for each resource and keep the groups.

    Failures come first, then the biggest groups, then the resources in which nothing changes. Nothing is kept when
    the draft was decided or deleted meanwhile. `then` is done in the transaction that keeps them.
    """
    name, _, number = claim.subject.rpartition("@")
    template, version = parse_template_name(name), parse_version(number)
    with store.read() as unit:
        pending = []
        if _is_draft(unit, template, version):
            composer = Composer(unit)
            on_major = unit.fleet.on_major(template, version.major)
            pending = [_compared(composer, resource, version) for resource in on_major]
    with ThreadPoolExecutor(TOGETHER, thread_name_prefix="preview") as pool:
        changes = list(pool.map(lambda comparison: _change(store, renderer, comparison), pending))
    groups = _grouped(template, version, changes)
    with store.write() as unit:
        # The template's row before that of the work: in this order goes whoever asks for previews.
        drafted = _is_draft(unit, template, version)
        unit.work.hold(claim)
        if drafted:
            unit.registry.save_preview(Preview(template, version, now, groups))
            then(unit, template, version)
        unit.work.done(claim)


def preview_resource(store: Store, renderer: Renderer, key: ResourceKey, to: Version) -> PreviewGroup:
    """What moving one resource to a version, with the inputs it has, would change."""
    with store.read() as unit:
        resource = unit.fleet.get(key)
        comparison = _compared(Composer(unit), resource, to)
    return _group(resource.template, to, [_change(store, renderer, comparison)])


def _is_draft(unit: Unit, template: TemplateName, version: Version) -> bool:
    found = unit.registry.find_version(template, version)
    return found is not None and found.state is VersionState.DRAFT


@dataclass(frozen=True, slots=True)
class _Comparison:
    """What is rendered to compare two versions in one resource. `drafted` is a text when it says why nothing can be
    rendered, and None when there is nothing to render."""

    resource: Resource
    running: Composition | None
    drafted: Composition | str | None


@dataclass(frozen=True, slots=True)
class _Change:
    """What becomes of one resource, or why that cannot be said."""

    resource: Resource
    difference: Difference
    failure: str | None = None


def _compared(composer: Composer, resource: Resource, to: Version) -> _Comparison:
    running = None
    try:
        if composer.is_customer_managed(resource, to):
            return _Comparison(resource, None, None)
        if resource.version is not None:
            with suppress(BundleError, CallerError):
                running = composer.compose(resource, State(resource.version, resource.inputs))
        return _Comparison(resource, running, composer.compose(resource, State(to, resource.inputs)))
    except (BundleError, CallerError) as fault:
        return _Comparison(resource, running, str(fault))


def _change(store: Store, renderer: Renderer, comparison: _Comparison) -> _Change:
    drafted = comparison.drafted
    if drafted is None:
        return _Change(comparison.resource, Difference())
    if isinstance(drafted, str):
        return _Change(comparison.resource, Difference(), failure=drafted)
    asked = [composition for composition in (drafted, comparison.running) if composition is not None]
    after, *before = renderer.render_each([(each.template, each.namespace) for each in asked])
    if not isinstance(after, str):
        return _Change(comparison.resource, Difference(), failure=str(after))
    running = before[0] if before and isinstance(before[0], str) else _as_deployed(store, comparison.resource)
    return _Change(comparison.resource, difference(running, after))


def _as_deployed(store: Store, resource: Resource) -> str:
    """What was rendered when it was deployed, which stands in for what cannot be rendered anew."""
    with store.read() as unit:
        return unit.deployments.rendered(resource.last_succeeded_deployment or "") or ""


def _grouped(template: TemplateName, version: Version, changes: Iterable[_Change]) -> tuple[PreviewGroup, ...]:
    """One group for each failure and for each set of changed lines, in which the resources' own names do not count.
    The diff shown is that of its first resource."""
    alike: dict[tuple[str | None, tuple[str, ...]], list[_Change]] = {}
    for change in changes:
        alike.setdefault((change.failure, _without_own_names(change)), []).append(change)
    groups = sorted((_group(template, version, members) for members in alike.values()), key=_badness)
    return tuple(_within(groups, WHOLE_AT_MOST))


def _within(groups: Iterable[PreviewGroup], room: int) -> Iterator[PreviewGroup]:
    """The groups, without the whole diffs for which there is no room."""
    for group in groups:
        fits = len(group.whole) <= room
        room -= len(group.whole) if fits else 0
        yield group if fits else replace(group, whole="")


def _without_own_names(change: _Change) -> tuple[str, ...]:
    """The changed lines with a mark where the resource, its service or its environment is named."""
    text = "\n".join(change.difference.changed)
    key = change.resource.key
    names = {str(name) for name in (key.name, key.service, change.resource.environment) if name and name in text}
    for name in sorted(names, key=len, reverse=True):
        text = _marked(text, name)
    return tuple(text.split("\n"))


def _marked(text: str, name: str) -> str:
    """The text with a mark wherever the name stands by itself. By hand, because each resource has names of its own, and
    to compile a pattern of them takes longer than everything else that is done for it."""
    pieces, begun, at = [], 0, text.find(name)
    while at >= 0:
        end = at + len(name)
        alone = not (_in_word(text[max(0, at - 1) : at]) or _in_word(text[end : end + 1]))
        if alone:
            pieces += [text[begun:at], "\0"]
            begun = end
        at = text.find(name, end if alone else at + 1)
    return "".join((*pieces, text[begun:]))


def _in_word(character: str) -> bool:
    return character.isascii() and character.isalnum()


def _group(template: TemplateName, version: Version, members: list[_Change]) -> PreviewGroup:
    running = [str(member.resource.version) if member.resource.version else "" for member in members]
    known = sorted({member.resource.version for member in members if member.resource.version})
    before = f"{template} {', '.join(map(str, known))}" if known else "/dev/null"
    return PreviewGroup(
        resources=tuple(str(member.resource.key) for member in members),
        running=tuple(running),
        diff=members[0].difference.unified(before, f"{template} {version}"),
        failure=members[0].failure,
        whole=members[0].difference.whole,
    )


def _badness(group: PreviewGroup) -> tuple[bool, bool, int, str]:
    return (group.failure is None, not group.diff, -len(group.resources), group.resources[0])
