"""A notice: a message that a person reads, owed to a channel until it is delivered."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from urllib.parse import urlencode

from upkeep.domain.deployments import Action, Deployment, DeploymentStatus
from upkeep.domain.findings import Finding, Severity
from upkeep.domain.lag import Lag
from upkeep.domain.names import ResourceKind, SourceName, TemplateName, Version
from upkeep.domain.resources import Resource
from upkeep.domain.rollouts import Rollout, RolloutStatus, Turn
from upkeep.domain.sources import Source
from upkeep.domain.versions import TemplateVersion, VersionState

LINES_AT_MOST = 10
"""How many findings or resources a notice lists before it says how many more there are."""

APART_AT_MOST = 3
"""How many versions of one commit are told one by one. A first sync or a sweeping commit makes many at once."""

_DRAFT_READY = "draft-ready"
_NO_DRAFT = ("", "")
_TEXT_AT_MOST = 500
_SUBJECT_AT_MOST = 120
_LATE_AFTER = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Link:
    """A labelled way to a page; `path` starts with `/` and is joined to the public address when sent."""

    label: str
    path: str


@dataclass(frozen=True, slots=True)
class Notice:
    """What is owed. `key` is its identity: owing the same key to the same channel twice owes it once.

    `headline` is one sentence, `lines` are more, in plain text without any channel's markup. `thread` names
    the conversation this one belongs to, so that a channel which has threads can keep them together; the notice
    whose key begins with it opens it. What must be seen by everybody answers to no thread.
    """

    key: str
    channel: str
    headline: str
    lines: tuple[str, ...] = ()
    links: tuple[Link, ...] = ()
    thread: str | None = None


@dataclass(frozen=True, slots=True)
class OwedNotice:
    """A notice in the outbox.

    `receipt` is the channel's own id of the sent message, `attempts` and `failure` tell of sends that failed.
    `not_before` is the earliest time of the next try: the channel said so, or others may come to go with it.
    `given_up_at` is set when the channel refused this very message too often: it is not sent any more.
    """

    id: int
    notice: Notice
    owed_at: datetime
    attempts: int = 0
    sent_at: datetime | None = None
    receipt: str | None = None
    failure: str | None = None
    not_before: datetime | None = None
    given_up_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Routing:
    """Which channel hears of what. Templates and owners without a channel of their own use `default`.

    `default` and `operators` may be empty: then such notices are not owed at all.
    """

    default: str = ""
    operators: str = ""
    templates: Mapping[str, str] = field(default_factory=dict)
    owners: Mapping[str, str] = field(default_factory=dict)

    def of_template(self, template: TemplateName) -> str:
        """The channel of those who look after a template."""
        return self.templates.get(template, self.default)

    def of_owner(self, owner: str | None) -> str:
        """The channel of those who own a resource."""
        return self.owners.get(owner or "", self.default)


def registered(channel: str, source: SourceName, versions: Sequence[TemplateVersion]) -> tuple[Notice, ...]:
    """For a templates' channel: what one commit of a source made of its version folders."""
    if len(versions) <= APART_AT_MOST:
        return tuple(
            draft_ready(channel, version)
            if version.state is VersionState.DRAFT
            else registration_failed(channel, version)
            for version in versions
        )
    commit = versions[0].commit
    drafts = [version for version in versions if version.state is VersionState.DRAFT]
    failed = [version for version in versions if version.state is not VersionState.DRAFT]
    told = [f"{_count(len(drafts), 'draft')} to review"] if drafts else []
    told += [f"{_count(len(failed), 'registration')} failed"] if failed else []
    return (
        Notice(
            key=f"registered/{source}/{commit.id[:12]}",
            channel=channel,
            headline=f"{source}: {' and '.join(told)}",
            lines=(
                f"{_commit(versions[0])} · {_text(commit.author_name, _SUBJECT_AT_MOST)}",
                *_listed(f"{version.template} {version.version} could not be registered" for version in failed),
                *_listed(f"{version.template} {version.version}" for version in drafts),
            ),
            links=(Link("See the templates", "/templates"),),
        ),
    )


def draft_ready(channel: str, draft: TemplateVersion) -> Notice:
    """For a template's channel: a draft waits for its review."""
    remarks = [finding for finding in draft.findings if finding.severity is Severity.WARNING]
    return Notice(
        key=_key(_DRAFT_READY, draft),
        channel=channel,
        headline=f"{draft.template} {draft.version} is ready to review",
        lines=(
            f"{_commit(draft)} · {_text(draft.commit.author_name, _SUBJECT_AT_MOST)}",
            *([f"{_count(len(remarks), 'warning')}:", *_findings(draft, remarks)] if remarks else []),
        ),
        links=(Link(f"Review {draft.version}", f"/templates/{draft.template}/{draft.version}/review"),),
    )


def registration_failed(channel: str, failed: TemplateVersion) -> Notice:
    """For a template's channel, naming the commit's author: a commit could not be registered, and why."""
    faults = [finding for finding in failed.findings if finding.severity is Severity.ERROR]
    author = _text(failed.commit.author_name, _SUBJECT_AT_MOST)
    return Notice(
        key=_key("registration-failed", failed),
        channel=channel,
        headline=f"{failed.template} {failed.version} could not be registered",
        lines=(
            f"{author}, your commit {_commit(failed)} has {_count(len(faults), 'error')}:",
            *_findings(failed, faults),
            f"Push a mended commit: it becomes the next minor. {failed.version} stays unused.",
        ),
        links=(Link(f"See {failed.template}", f"/templates/{failed.template}"),),
    )


def now_behind(channel: str, published: TemplateVersion, behind: Sequence[Resource]) -> Notice:
    """For an owners' channel: a version is recommended now and these of theirs are behind it, worst first."""
    owners = {resource.owner for resource in behind}
    owner = next(iter(owners)) if len(owners) == 1 else None
    wanted = {"template": published.template, "status": "behind"} | ({"owner": owner} if owner else {})
    note = f" — “{_text(published.note)}”" if published.note else ""
    return Notice(
        key=_key("now-behind", published),
        channel=channel,
        headline=f"{published.template} {published.version} is now recommended",
        lines=(
            f"Published by {published.published_by}{note}",
            f"{len(behind)} of yours {'is' if len(behind) == 1 else 'are'} behind:",
            *_listed(f"{r.key.short}: {r.version} → {published.version} ({_distance(r.lag)})" for r in behind),
        ),
        links=(Link("Review updates", f"/?{urlencode(wanted)}"),),
        thread=_thread(published.template, published.version),
    )


def deployment_settled(channel: str, deployment: Deployment, resource: Resource) -> Notice:
    """For the owner's channel: an update is done or failed, and why.

    A success goes into the thread of the version it brought; a failure is for everybody to see.
    """
    name, target = resource.key.short, f"{resource.template} {deployment.target.version}"
    before = deployment.initial.version if deployment.initial else None
    attempt = {
        Action.CREATE: f"The creation of {name} with {target}",
        Action.UPDATE: f"The update of {name} to {target}",
        Action.DELETE: f"The deletion of {name}",
    }[deployment.action]
    match deployment.status:
        case DeploymentStatus.SUCCEEDED if deployment.action is Action.CREATE:
            headline = f"{name} was created with {target}"
        case DeploymentStatus.SUCCEEDED if before == deployment.target.version:
            headline = f"{name} was updated and still runs {target}"
        case DeploymentStatus.SUCCEEDED:
            headline = f"{name} now runs {target}"
        case DeploymentStatus.DELETE_COMPLETE:
            headline = f"{name} was deleted"
        case DeploymentStatus.CANCELLED:
            headline = f"{attempt} was cancelled"
        case _:
            headline = f"{attempt} failed"
    succeeded = deployment.status is DeploymentStatus.SUCCEEDED
    lines = [
        _text(deployment.message) if deployment.message and not succeeded else "",
        f"It was on {before} before" if before and succeeded and before != deployment.target.version else "",
        f"The last version that worked is {resource.version}" if resource.version and not succeeded else "",
        f"Asked for by {deployment.asked_by}",
    ]
    return Notice(
        key=f"deployment/{deployment.id}/{deployment.status}",
        channel=channel,
        headline=headline,
        lines=tuple(line for line in lines if line),
        links=(Link("See the deployment", f"/deployments/{deployment.id}"),),
        thread=_thread(resource.template, deployment.target.version) if succeeded else None,
    )


def deployment_stalled(channel: str, deployment: Deployment) -> Notice:
    """For the operators: a deployment does not go on until a person acts. It must be stalled."""
    stall = deployment.stall
    if stall is None:
        raise ValueError(f"deployment `{deployment.id}` is not stalled")
    return Notice(
        key=f"deployment-stalled/{deployment.id}/{stall.at.isoformat()}",
        channel=channel,
        headline=f"The deployment of {deployment.resource.short} waits for a person",
        lines=(_text(stall.reason), f"To mend it: {_text(stall.cure)}", f"Asked for by {deployment.asked_by}"),
        links=(Link("See the deployment", f"/deployments/{deployment.id}"),),
    )


def drifted(channel: str, resource: Resource, at: datetime) -> Notice:
    """For the owner's channel: what runs is not what was deployed any more. The resource must have drifted."""
    if resource.drift is None:
        raise ValueError(f"`{resource.key}` was never compared")
    return Notice(
        key=f"drifted/{resource.key}/{at.isoformat()}",
        channel=channel,
        headline=f"{resource.key.short} has drifted: AWS differs from what was deployed",
        lines=(
            *_listed(_text(each, _SUBJECT_AT_MOST) for each in resource.drift.resources),
            *([_text(resource.drift.reason)] if resource.drift.reason else []),
            "The next update may undo what was changed by hand, or fail on it",
        ),
        links=(Link(f"See {resource.key.short}", _page(resource)),),
    )


def rollout_stopped(channel: str, rollout: Rollout, at: datetime) -> Notice:
    """For the operators: a rollout asks for nothing more, because it is done, failed too often or was stopped."""
    what = f"The {'automatic ' if rollout.automatic else ''}rollout of {rollout.template}"
    ended = {
        RolloutStatus.COMPLETED: "has ended",
        RolloutStatus.STOPPED: "was stopped",
        RolloutStatus.PAUSED: "waits for a person",
    }
    failed = [member for member in rollout.members if member.turn is Turn.FAILED or member.stalled]
    counts = [
        (len(rollout.of(Turn.SUCCEEDED)), "updated"),
        (len(failed), "failed"),
        (len(rollout.of(Turn.WAITING, Turn.SKIPPED)), "not updated"),
        (len(rollout.of(Turn.UNDER_WAY)), "under way"),
    ]
    return Notice(
        key=f"rollout/{rollout.id}/{rollout.status}/{at.isoformat()}",
        channel=channel,
        headline=f"{what} {ended.get(rollout.status, 'goes on')}",
        lines=(
            *([_text(rollout.message)] if rollout.message else []),
            ", ".join(f"{number} {word}" for number, word in counts if number) or "nothing was updated",
            *_listed(f"{member.resource.short}: {_text(member.reason or 'failed')}" for member in failed),
            f"Asked for by {rollout.actor.name}",
        ),
        links=(Link("See the rollout", f"/rollouts/{rollout.id}"),),
    )


def source_stalled(channel: str, source: Source) -> Notice:
    """For the operators: a source is not synced any more until a person acts. The source must be stalled."""
    stall = source.stall
    if stall is None:
        raise ValueError(f"source `{source.name}` is not stalled")
    return Notice(
        key=f"source-stalled/{source.name}/{stall.at.isoformat()}",
        channel=channel,
        headline=f"Source {source.name} is not synced any more",
        lines=(_text(stall.reason), f"To mend it: {_text(stall.cure)}"),
        links=(Link(f"See {source.name}", f"/sources/{source.name}"),),
    )


def together(waiting: Sequence[OwedNotice]) -> tuple[OwedNotice, ...]:
    """Which of the notices that wait, oldest first, go out next as one message: the oldest, and when it tells of a
    draft and there are too many to read one by one, all that tell of drafts of that template.

    One that was tried before goes alone, so that its failures are counted as its own.
    """
    first = waiting[0]
    drafts = tuple(owed for owed in waiting if not owed.attempts and _draft(owed)[0] == _draft(first)[0])
    return drafts if tells_of_draft(first) and not first.attempts and len(drafts) > APART_AT_MOST else (first,)


def tells_of_draft(owed: OwedNotice) -> bool:
    """Whether a notice tells that a draft waits for its review."""
    return _draft(owed) != _NO_DRAFT


def as_one(owed: Sequence[OwedNotice]) -> OwedNotice:
    """The one message for notices that go out together: it names the newest draft, and lists newest first."""
    first, newest = owed[0], owed[-1]
    if first is newest:
        return first
    template, version = _draft(newest)
    return replace(
        first,
        notice=replace(
            first.notice,
            headline=f"{template} {version} and {_count(len(owed) - 1, 'draft')} before it are ready to review",
            lines=tuple(_listed(f"{_draft(each)[1]} {each.notice.lines[0]}" for each in reversed(owed))),
            links=newest.notice.links,
        ),
    )


def _draft(owed: OwedNotice) -> tuple[str, str]:
    """Template and version of the draft that a notice tells of, if it does."""
    what, *parts = owed.notice.key.split("/")
    return (parts[0], parts[1]) if what == _DRAFT_READY else _NO_DRAFT


def as_sent(owed: OwedNotice, now: datetime) -> OwedNotice:
    """The notice as it goes out now: it says so when it comes more than a day late."""
    late_for = now - owed.owed_at
    if late_for <= _LATE_AFTER:
        return owed
    remark = f"{_count(late_for.days, 'day')} late: this happened on {owed.owed_at:%Y-%m-%d at %H:%M} UTC"
    return replace(owed, notice=replace(owed.notice, lines=(remark, *owed.notice.lines)))


def _key(what: str, version: TemplateVersion) -> str:
    """Unique also when a deleted template returns and its numbers begin again."""
    return f"{what}/{version.template}/{version.version}/{version.commit.id[:12]}"


def _thread(template: TemplateName, version: Version) -> str:
    return f"now-behind/{template}/{version}"


def _commit(version: TemplateVersion) -> str:
    return f"{version.commit.id[:7]} “{_text(version.commit.subject, _SUBJECT_AT_MOST)}”"


def _findings(version: TemplateVersion, findings: Iterable[Finding]) -> list[str]:
    return _listed(
        _text(": ".join(part for part in (finding.where, finding.message) if part))
        + (f" — {_text(finding.cure)}" if finding.cure else "")
        for finding in (finding.under(version.path) for finding in findings)
    )


def _page(resource: Resource) -> str:
    key = resource.key
    match key.kind:
        case ResourceKind.ENVIRONMENT:
            return f"/environments/{key.name}"
        case ResourceKind.PIPELINE:
            return f"/services/{key.name}/pipeline"
    return f"/services/{key.service}/instances/{key.name}"


def _listed(texts: Iterable[str]) -> list[str]:
    listed = [f"• {text}" for text in texts]
    more = len(listed) - LINES_AT_MOST
    return [*listed[:LINES_AT_MOST], *([f"• and {more} more"] if more > 0 else [])]


def _distance(lag: Lag) -> str:
    majors = _count(lag.majors, "major version") if lag.majors else ""
    minors = str(lag.minors) if lag.minors else ""
    return f"{' and '.join(part for part in (majors, minors) if part) or 'not'} behind"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _text(text: str, at_most: int = _TEXT_AT_MOST) -> str:
    """One printable line of a text somebody else wrote: no control characters, no marks that turn the direction."""
    line = "".join(character for character in " ".join(text.split()) if character.isprintable())
    return line if len(line) <= at_most else line[: at_most - 1].rstrip() + "…"
