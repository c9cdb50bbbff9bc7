"""Sync: bring the registry up to a branch's head, one commit after the other.

Each first-parent commit that changes a version folder makes the next minor of its major. A commit is registered in one
transaction together with the source's `synced_commit`, so a sync that was killed goes on behind the last commit
that landed and registers nothing twice. Reading git and checking templates happens outside transactions.

Where there is nothing to go on from (the first sync, a rewritten history, another branch), the folders at the head
are compared with what the registry holds: at most one new minor for each. So they are when more commits have come
than are looked through one by one, and then a finding of the source says so.

What fails is written on the source here. A TransientError is raised again, for the worker to try again later; a
StalledError is told to the operators and ends the work until somebody asks again. The deliveries that asked for a
failed sync are FAILED, so that GitHub's redelivery of one is worked, and become WORKED with the next good sync.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from upkeep.domain import events, notices
from upkeep.domain.bundles import Bundle, Inspection, Part
from upkeep.domain.changes import (
    NAME_HELD_ELSEWHERE,
    FolderChange,
    Layout,
    MajorKey,
    Move,
    fold,
    structural,
    version_folder,
)
from upkeep.domain.errors import Conflict, LostLease, NotFound, StalledError, TransientError
from upkeep.domain.findings import Finding, bounded, warning
from upkeep.domain.limits import LIMITS, Limits
from upkeep.domain.names import SourceName, Version
from upkeep.domain.notices import Routing
from upkeep.domain.people import DAEMON
from upkeep.domain.sources import Cause, Drafts, Source, Stall
from upkeep.domain.versions import Commit, Major, Template, TemplateKind, TemplateVersion
from upkeep.domain.work import Claim
from upkeep.flows import follow, receive
from upkeep.flows.examine import examine, read
from upkeep.flows.ports import Mirror, Renderer, Repositories, Store, Unit
from upkeep.flows.register import add_version

_TOO_MANY_COMMITS = "too-many-commits"


class _Overtaken(Exception):
    """The source was removed, or points elsewhere, since the sync began."""


def sync(
    store: Store,
    repositories: Repositories,
    renderer: Renderer,
    claim: Claim,
    *,
    routing: Routing,
    limits: Limits = LIMITS,
    now: datetime,
) -> None:
    """Do one SYNC work: read what is new on the source's branch and register it.

    A sync that a person asked for also puts right what does not follow from new commits: it registers version folders
    the registry lost, and makes a new minor of a folder whose last version was deleted, as AWS Proton did on every
    sync; doing that unasked would bring back each draft that somebody discards.
    """
    with store.read() as unit:
        source = _find(unit, claim.subject)
    if source is None or (source.stall is not None and claim.cause == Cause.POLL):
        with store.write() as unit:
            unit.work.done(claim)
        return
    run = _Run(store, renderer, claim, routing, source, limits, now)
    try:
        with repositories.fetch(source, limits.commits) as mirror:
            _Reading(run, mirror).bring_up()
    except LostLease:
        raise
    except _Overtaken:
        with store.write() as unit:
            unit.work.done(claim)
    except StalledError as stalled:
        run.stall(stalled)
    except TransientError as failure:
        run.fail(failure)
        raise


def _find(unit: Unit, name: str) -> Source | None:
    try:
        return unit.sources.get(name)
    except NotFound:
        return None


def unsettled(source: Source) -> bool:
    """Whether another source may have let go of a name meanwhile, which no commit of this one tells."""
    return any(finding.slug == NAME_HELD_ELSEWHERE for finding in source.findings)


# ---------------------------------------------------------------------------------------------- reading


@dataclass(frozen=True, slots=True)
class _Change:
    """A move, with the bundle it leads to and what was found in it; without one it makes no version."""

    move: Move
    bundle: Bundle | None = None
    inspection: Inspection | None = None


@dataclass(frozen=True, slots=True)
class _Registrable:
    """What a commit did to the majors, ready to be written."""

    commit: Commit
    changes: tuple[_Change, ...]


@dataclass(slots=True)
class _Reading:
    """One pass from the last synced commit to the head."""

    run: "_Run"
    mirror: Mirror
    layout: Layout | None = None
    pending: _Registrable | None = None

    def bring_up(self) -> None:
        source, head = self.run.source, self.mirror.head
        asked = self.run.claim.cause == Cause.PERSON
        steps = None
        skipped: tuple[Finding, ...] = ()
        if source.synced_commit is not None:
            limit = self.run.limits.commits
            steps = self.mirror.steps(source.synced_commit, head, source.subdirectory)
            if steps is None and (count := self.mirror.distance(source.synced_commit, head)) > limit:
                skipped = (_too_many(count, limit),)
        if steps is None:
            self._compare(head, anew=asked)
        else:
            if source.drafts is Drafts.PER_PUSH:
                folded = fold(steps)
                steps = iter(() if folded is None else (folded,))
            before = source.synced_commit or head
            for step in steps:
                self._note(step.commit, self._moves(step.folders, before))
                before = step.commit.id
            if asked or unsettled(source):
                self._compare(head, anew=asked, synced=True)
        self.run.finish(head, (*skipped, *self._findings()), self.pending)

    def _findings(self) -> tuple[Finding, ...]:
        """What is wrong with the folders; without a look at them, what was known before."""
        if self.layout is None:
            return tuple(finding for finding in self.run.source.findings if finding.slug != _TOO_MANY_COMMITS)
        # Whether another source holds a name decides about later syncs, so that it is never left out.
        first = sorted(self.layout.findings(), key=lambda finding: finding.slug != NAME_HELD_ELSEWHERE)
        return bounded(first, self.run.limits.findings)

    def _moves(self, changes: Sequence[FolderChange], before: str) -> tuple[Move, ...]:
        """What a commit did, told from the registry alone as long as no folder came or went that matters."""
        if self.layout is None and not any(structural(change) for change in changes):
            moves = self.run.known_moves(changes)
            if moves is not None:
                return moves
        if self.layout is None:
            self.layout = self._laid_out(before)
        return self.layout.follow(changes)

    def _laid_out(self, commit: str) -> Layout:
        known = self.run.registered()
        return Layout(
            dict(self.mirror.folders(commit, self.run.source.subdirectory)),
            {key: major.path for key, major in known.majors.items()},
            {name: template.path for name, template in known.templates.items()},
            known.foreign,
        )

    def _compare(self, head: str, *, anew: bool, synced: bool = False) -> None:
        """Note how the folders at the head differ from what the registry holds."""
        self._flush()
        if self.layout is None:
            self.layout = self._laid_out(head)
        layout = self.layout
        last = {} if anew else layout.folders if synced else self._synced_folders()
        self._note(self.mirror.commit(head), self.run.differences(layout, last))

    def _synced_folders(self) -> Mapping[str, str]:
        source = self.run.source
        try:
            return self.mirror.folders(source.synced_commit or "", source.subdirectory)
        except NotFound:
            return {}

    def _note(self, commit: Commit, moves: Sequence[Move]) -> None:
        if not moves:
            return
        changes = tuple(self._examined(move) for move in moves)
        self._flush()
        self.pending = _Registrable(commit, changes)

    def _flush(self) -> None:
        if self.pending is not None:
            self.run.register(self.pending)
            self.pending = None

    def _examined(self, move: Move) -> _Change:
        if move.after is None or move.before == move.after:
            return _Change(move)
        bundle, unreadable = read(self.mirror, move.after)
        return _Change(move, bundle, unreadable or examine(bundle, self.run.renderer, self.run.limits.bundle))


# -------------------------------------------------------------------------------------------- registering


@dataclass(frozen=True, slots=True)
class _Registered:
    """What the registry holds that a source's folders are measured by: its own and nobody's templates, and whose
    the other names are."""

    templates: Mapping[str, Template]
    majors: Mapping[MajorKey, Major]
    foreign: Mapping[str, SourceName]


@dataclass(slots=True)
class _Run:
    """One sync: its rows, written under its claim."""

    store: Store
    renderer: Renderer
    claim: Claim
    routing: Routing
    source: Source
    limits: Limits
    now: datetime
    count: int = 0

    def known_moves(self, changes: Sequence[FolderChange]) -> tuple[Move, ...] | None:
        """The moves of known version folders; None when a folder changed that the registry does not know so."""
        moves = []
        with self.store.read() as unit:
            for change in changes:
                folder = version_folder(change.path)
                if folder is None:
                    continue
                template = unit.registry.find_template(folder.key.template)
                major = unit.registry.find_major(folder.key.template, folder.key.major)
                if template is None or major is None:
                    return None
                if template.source != self.source.name or major.path != change.path or major.removed_at is not None:
                    return None
                moves.append(Move(folder.key, change.path, change.before, change.after))
        return tuple(sorted(moves, key=lambda move: move.key))

    def registered(self) -> _Registered:
        with self.store.read() as unit:
            everything = unit.registry.templates()
            ours: dict[str, Template] = {t.name: t for t in everything if t.source in (None, self.source.name)}
            majors = [
                *unit.registry.majors_of_source(self.source.name),
                *(major for t in ours.values() if t.source is None for major in unit.registry.majors(t.name)),
            ]
        return _Registered(
            ours,
            {MajorKey(major.template, major.major): major for major in majors},
            {t.name: t.source for t in everything if t.source is not None and t.source != self.source.name},
        )

    def differences(self, layout: Layout, last: Mapping[str, str]) -> tuple[Move, ...]:
        """How the version folders of a layout differ from the registry. `last` holds the tree ids that folders are
        compared with when their last version was deleted."""
        known = self.registered()
        moves = []
        with self.store.read() as unit:
            for key, path in layout.accepted.items():
                major, tree = known.majors.get(key), layout.tree(path)
                before = None
                if major is not None and major.removed_at is None:
                    latest = unit.registry.latest(key.template, key.major)
                    kept = latest is not None and latest.version.minor == major.next_minor - 1
                    if latest is not None and latest.uploaded:
                        own = (each for each in unit.registry.versions(key.template, key.major) if not each.uploaded)
                        latest = next(own, None)
                    before = latest.tree if latest is not None and kept else last.get(path)
                template = known.templates.get(key.template)
                homeless = template is not None and template.source is None
                if before != tree or major is None or major.path != path or homeless:
                    moves.append(Move(key, path, before, tree))
        claimed = {key.template for key in layout.accepted}
        for key, major in known.majors.items():
            ours = known.templates[key.template].source == self.source.name or key.template in claimed
            if ours and key not in layout.accepted and major.removed_at is None:
                moves.append(Move(key, major.path, None, None))
        return tuple(sorted(moves, key=lambda move: move.key))

    def register(self, registrable: _Registrable) -> None:
        """Write one commit."""
        with self.store.write() as unit:
            unit.work.hold(self.claim)
            source = self._current(unit)
            self._write(unit, registrable)
            unit.sources.save(replace(source, synced_commit=registrable.commit.id, synced_at=self.now))

    def finish(self, head: str, findings: tuple[Finding, ...], registrable: _Registrable | None) -> None:
        """Write the last commit, if there is one, and that the registry is up to the head."""
        with self.store.write() as unit:
            unit.work.done(self.claim)
            source = self._current(unit)
            if registrable is not None:
                self._write(unit, registrable)
            if source.stall is not None:
                unit.journal.record(events.SourceResumed(f"source/{source.name}"), DAEMON, self.now)
            moved = self.source.synced_commit != head
            synced = replace(
                source,
                synced_commit=head,
                synced_at=self.now if moved or self.count or source.synced_at is None else source.synced_at,
                checked_at=self.now,
                failures=0,
                failure=None,
                stall=None,
                findings=findings,
            )
            if source.failures:
                synced = replace(synced, next_poll_at=follow.next_poll_at(synced, 0.5, self.now))
            unit.sources.save(synced)
            receive.settle(unit, source.name, self.now, None, self.now)
            if moved or self.count:
                unit.journal.record(
                    events.SourceSynced(f"source/{source.name}", self.source.synced_commit, head, self.count),
                    DAEMON,
                    self.now,
                )

    def fail(self, failure: TransientError) -> None:
        """Write down that the source could not be read this time."""
        with self.store.write() as unit:
            unit.work.hold(self.claim)
            source = _find(unit, self.source.name)
            if source is None:
                return
            failed = replace(source, failures=source.failures + 1, failure=str(failure))
            unit.sources.save(replace(failed, next_poll_at=follow.next_poll_at(failed, 0.5, self.now)))
            if failed.failures == 1:
                # Once for an outage, however often it is tried again.
                unit.journal.record(events.SourceFailed(f"source/{source.name}", str(failure), 1), DAEMON, self.now)
            receive.settle(unit, source.name, self.now, str(failure), self.now)

    def stall(self, stalled: StalledError) -> None:
        """Stop following the source until a person acts, and tell the operators once."""
        with self.store.write() as unit:
            unit.work.hold(self.claim)
            source = _find(unit, self.source.name)
            if source is not None:
                cure = stalled.cure or f"put it right, then run `upkeep source sync {source.name}`"
                known = source.stall
                if known is None or known.reason != stalled.message:
                    source = replace(source, stall=Stall(stalled.message, cure, self.now))
                    unit.sources.save(replace(source, failures=source.failures + 1, failure=str(stalled)))
                    unit.journal.record(
                        events.SourceStalled(f"source/{source.name}", stalled.message, cure), DAEMON, self.now
                    )
                    if self.routing.operators:
                        unit.outbox.owe(notices.source_stalled(self.routing.operators, source), self.now)
                receive.settle(unit, source.name, self.now, str(stalled), self.now)
            unit.work.done(self.claim)

    def _current(self, unit: Unit) -> Source:
        """The source as it is now, if it still is what was read."""
        source = _find(unit, self.source.name)
        if source is None or _place(source) != _place(self.source):
            raise _Overtaken
        return source

    def _write(self, unit: Unit, registrable: _Registrable) -> None:
        try:
            written = [self._write_change(unit, registrable.commit, change) for change in registrable.changes]
        except Conflict as race:
            raise TransientError(f"another source registers the same template now: {race.message}") from race
        self._tell(unit, [version for version in written if version is not None])

    def _tell(self, unit: Unit, registered: Sequence[TemplateVersion]) -> None:
        """Owe each channel a notice of every version, or one of all when a commit made too many to read."""
        by_channel: dict[str, list[TemplateVersion]] = {}
        for version in registered:
            by_channel.setdefault(self.routing.of_template(version.template), []).append(version)
        for channel, versions in by_channel.items():
            if channel:
                for notice in notices.registered(channel, self.source.name, versions):
                    unit.outbox.owe(notice, self.now)

    def _write_change(self, unit: Unit, commit: Commit, change: _Change) -> TemplateVersion | None:
        key, subject = change.move.key, f"template/{change.move.key.template}"
        template = unit.registry.find_template(key.template)
        major = unit.registry.find_major(key.template, key.major)
        if template is not None and template.source not in (None, self.source.name):
            return None
        if template is not None and (template.source is None or template.path != _home(change.move.path)):
            template = replace(template, source=self.source.name, path=_home(change.move.path))
            unit.registry.save_template(template)
        if change.move.after is None:
            if major is not None and major.removed_at is None:
                unit.registry.save_major(replace(major, removed_at=self.now))
                unit.journal.record(events.MajorRemoved(subject, key.major, commit.id), DAEMON, self.now)
            return None
        if change.bundle is None or change.inspection is None:
            if major is not None:
                unit.registry.save_major(replace(major, path=change.move.path))
            return None
        kind = change.inspection.kind or _likely_kind(change.bundle)
        if template is None:
            template = Template(key.template, kind, self.source.name, _home(change.move.path), self.now)
            unit.registry.add_template(template)
            unit.journal.record(events.TemplateDiscovered(subject, kind, self.source.name), DAEMON, self.now)
        if major is not None and major.removed_at is not None:
            unit.journal.record(events.MajorReturned(subject, key.major, commit.id), DAEMON, self.now)
        major = replace(major or Major(key.template, key.major, change.move.path), path=change.move.path)
        return self._add_version(unit, template, major, commit, change.bundle, change.inspection)

    def _add_version(
        self, unit: Unit, template: Template, major: Major, commit: Commit, bundle: Bundle, inspection: Inspection
    ) -> TemplateVersion:
        unit.registry.save_major(replace(major, next_minor=major.next_minor + 1, removed_at=None))
        number = Version(major.major, major.next_minor)
        version = add_version(unit, template, number, major.path, commit, bundle, inspection, self.limits, self.now)
        self.count += 1
        return version


def _too_many(count: int, limit: int) -> Finding:
    return warning(
        _TOO_MANY_COMMITS,
        f"{count:,} commits came at once, more than {limit:,}, so each folder has one draft of all of them",
        cure="`upkeep template replay` shows the versions in between; `limits.commits` lets more be read one by one",
    )


def _place(source: Source) -> tuple[str, str, str]:
    return source.url, source.branch, source.subdirectory


def _home(path: str) -> str:
    return path.rpartition("/")[0]


def _likely_kind(bundle: Bundle) -> TemplateKind:
    """What a bundle that cannot be read was probably meant to be."""
    folders = {file.path.partition("/")[0] for file in bundle.files}
    service = {Part.INSTANCE.folder, Part.PIPELINE.folder}
    return TemplateKind.SERVICE if folders & service else TemplateKind.ENVIRONMENT
