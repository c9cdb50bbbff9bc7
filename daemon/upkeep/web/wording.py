"""Wording: how facts are said on a page. Filters and globals of the templates."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Protocol
from urllib.parse import urlencode

from flask import Flask, current_app, g, request, url_for
from markupsafe import Markup

from upkeep.domain.ages import age
from upkeep.domain.deployments import DeploymentStatus
from upkeep.domain.errors import CallerError, Forbidden
from upkeep.domain.forms import written
from upkeep.domain.names import ResourceKey, parse_resource_key
from upkeep.domain.people import Act, may, why_not_publish
from upkeep.domain.resources import Resource
from upkeep.domain.snoozes import Snooze
from upkeep.flows.browse.fleet import how_far
from upkeep.flows.browse.sources import SyncState
from upkeep.web import identity
from upkeep.web.rooms import rooms

_STATUS: Mapping[DeploymentStatus, str] = {
    DeploymentStatus.IN_PROGRESS: "in progress",
    DeploymentStatus.FAILED: "failed",
    DeploymentStatus.SUCCEEDED: "succeeded",
    DeploymentStatus.DELETE_IN_PROGRESS: "being deleted",
    DeploymentStatus.DELETE_FAILED: "delete failed",
    DeploymentStatus.DELETE_COMPLETE: "deleted",
    DeploymentStatus.CANCELLING: "being cancelled",
    DeploymentStatus.CANCELLED: "cancelled",
}

_TONES: Mapping[str, str] = {
    "DRAFT": "wait",
    "PUBLISHED": "good",
    "REGISTRATION_FAILED": "bad",
    "WITHDRAWN": "quiet",
    "SUCCEEDED": "good",
    "DELETE_COMPLETE": "quiet",
    "FAILED": "bad",
    "DELETE_FAILED": "bad",
    "CANCELLED": "quiet",
    "Not checked": "quiet",
    "In place": "good",
    "May replace": "wait",
    "Replaces": "bad",
    "RUNNING": "wait",
    "PAUSED": "bad",
    "STOPPED": "quiet",
    "COMPLETED": "good",
    "left out": "quiet",
    "skipped": "quiet",
    "succeeded": "good",
    "worked": "good",
    "failed": "bad",
    "ignored": "quiet",
    "received": "wait",
    "up_to_date": "good",
    "ahead": "quiet",
    "behind_minor": "wait",
    "behind_major": "wait",
    "undeployed": "quiet",
    "error": "bad",
    "warning": "wait",
    "advice": "quiet",
}


class Owned(Protocol):
    """A resource or a service: what can have an owner."""

    @property
    def owner(self) -> str | None: ...


def install(app: Flask) -> None:
    """Teach the templates to speak."""
    for name, told in _FILTERS.items():
        app.add_template_filter(told, name)
    for name, answered in _GLOBALS.items():
        app.add_template_global(answered, name)


def short(commit: str) -> str:
    """The first digits of an object id, enough to find it."""
    return commit[:7]


def status(found: DeploymentStatus) -> str:
    """A deployment's status in words."""
    return _STATUS[found]


def tone(word: object) -> str:
    """Whether a state is `good`, `bad`, to be waited for (`wait`) or of no interest (`quiet`)."""
    return _TONES.get(str(word), "wait")


def may_act(act: str, of: Owned | None = None) -> bool:
    """Whether the one who looks may do this, to that resource or service if one is meant, so that a page does not
    offer what a flow would refuse."""
    return may(identity.actor(), Act[act], None if of is None else of.owner)


def not_theirs(act: str, of: Owned) -> str | None:
    """Whom to ask, for somebody who may do this elsewhere; None when they may here, or nowhere."""
    if may_act(act, of) or not may_act(act):
        return None
    return f"It belongs to {of.owner}: ask them or an admin to change it."


def unpublishable(author_email: str) -> Forbidden | None:
    """Why the one who looks may not publish a change of this author; None when they may."""
    return why_not_publish(identity.actor(), author_email)


def seen_sync_state() -> SyncState | None:
    """The line about all sources; None before somebody has signed in."""
    found: SyncState | None = g.get("sync_state")
    return found


def _age(at: datetime) -> str:
    return age(at, rooms().clock())


def ago(at: datetime | None) -> Markup:
    """How long ago it was, with the moment in UTC in the title."""
    if at is None:
        return Markup("never")
    just_now = rooms().clock() - at < timedelta(minutes=1)
    return _time(at, "just now" if just_now else f"{_age(at)} ago")


def behind_for(since: datetime, lasts: str) -> Markup:
    """How long a lag lasts, with the moment it began in the title."""
    moment = since.isoformat(" ", "seconds").partition("+")[0]
    iso = f"{moment.replace(' ', 'T')}Z"
    return Markup(f'<time datetime="{iso}" title="since {moment} UTC">{lasts}</time>')  # noqa: S704  (times only)


def clock(at: datetime | None) -> Markup:
    """The moment. A script, where one runs, puts it into the reader's zone."""
    if at is None:
        return Markup("—")
    return _time(at, at.strftime("%Y-%m-%d %H:%M UTC"), "local")


def _time(at: datetime, text: str, kind: str = "age") -> Markup:
    # Times, ages and our own words: nothing that would have to be escaped, and pages are full of them.
    moment = at.astimezone(UTC).isoformat(" ", "seconds").partition("+")[0]
    iso = f"{moment.replace(' ', 'T')}Z"
    return Markup(f'<time class="{kind}" datetime="{iso}" title="{moment} UTC">{text}</time>')  # noqa: S704  (our own words)


def count(number: int, one: str, many: str | None = None) -> str:
    """`1 resource`, `2 resources`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def ticks(text: str) -> Markup:
    """A sentence in which `names` between back ticks stand as code."""
    parts = text.split("`")
    if len(parts) % 2 == 0:
        return Markup("{}").format(text)
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if position % 2 else part for position, part in enumerate(parts)
    )


def starting(text: str) -> str:
    """A sentence with a capital letter at its start and everything else as it is."""
    return text[:1].upper() + text[1:]


def said(value: object) -> str:
    """A value of an input the way it would stand in a spec."""
    return written(value)


def asleep(resource: Resource) -> Markup | None:
    """Until when a resource is snoozed, and by whom; None when it is not."""
    if resource.snooze is None or not resource.asleep(rooms().clock()):
        return None
    return snoozed(resource.snooze)


def snoozed(snooze: Snooze) -> Markup:
    """Until when, and by whom."""
    by = Markup(' <span class="quiet">by {}</span>').format(snooze.by)
    if snooze.until is None:
        return Markup("until something newer than {} is recommended").format(snooze.version) + by
    moment = snooze.until
    return Markup("until {}").format(_time(moment, moment.strftime("%Y-%m-%d"), "day")) + by


def address(endpoint: str, **values: Any) -> str:
    """What `url_for` gives inside of a page, put together once. A layout has twenty of these, always the same."""
    return _address(request.environ["SCRIPT_NAME"], endpoint, **values)


@lru_cache(maxsize=4096)
def _address(_root: str, endpoint: str, **values: Any) -> str:
    # The root is part of what `url_for` says.
    return url_for(endpoint, **values)


def resource_url(key: ResourceKey | str, page: str = "show") -> str:
    """The page of a resource, with `update` the form that moves it, with `diff` what that would change."""
    found = parse_resource_key(key) if isinstance(key, str) else key
    ending = "" if page == "show" else f"_{page}"
    return path_to(f"resources.{found.kind}{ending}", found.service or found.name, found.name)


def path_to(endpoint: str, first: str, second: str = "") -> str:
    """What `url_for` gives for an endpoint and the one or two names in its path, which need no quoting. Lists have
    hundreds of these, and building one costs more than the row around it."""
    before, between, after = _around(request.environ["SCRIPT_NAME"], endpoint)
    return f"{before}{first}{after}" if between is None else f"{before}{first}{between}{second}{after}"


@lru_cache
def _around(root: str, endpoint: str) -> tuple[str, str | None, str]:
    """The pieces of an endpoint's path around its names. The root is part of what `url_for` says."""
    (rule,) = current_app.url_map.iter_rules(endpoint)
    names = sorted(rule.arguments, key=lambda name: rule.rule.index(f"<{name}>"))
    marks = [f"upkeep-{position}-name" for position, _ in enumerate(names)]
    values: dict[str, Any] = dict(zip(names, marks, strict=True))
    path = url_for(endpoint, **values)
    before, rest = path.split(marks[0])
    if len(marks) == 1:
        return before, None, rest
    between, after = rest.split(marks[1])
    return before, between, after


def subject_url(subject: str) -> str | None:
    """The page of what an event is about; None when it has none."""
    kind, _, name = subject.partition("/")
    match kind:
        case "template":
            return url_for("registry.template", name=name)
        case "source":
            return url_for("sources.source", name=name)
        case "environment" | "instance" | "pipeline":
            try:
                return resource_url(subject)
            except CallerError:
                return None
        case "service":
            return url_for("resources.service", service=name)
        case "user" if may_act("ADMIT"):
            return url_for("people.person", name=name)
    return None


def here_with(**changes: object) -> str:
    """This page's address with some of its query changed; None takes a part out."""
    query = {name: value for name, value in request.args.items() if name not in changes and value}
    query |= {name: str(value) for name, value in changes.items() if value is not None}
    return f"{request.path}?{urlencode(query)}" if query else request.path


def with_query(path: str) -> str:
    """Another address with the filter of this one: what says which page of it is shown is left out."""
    query = {name: value for name, value in request.args.items() if name not in _PLACES and value}
    return f"{path}?{urlencode(query)}" if query else path


_PLACES = frozenset({"after", "before", "below", "sort", "dir", "size"})


_FILTERS: Mapping[str, Callable[..., Any]] = {
    "age": _age,
    "ago": ago,
    "clock": clock,
    "short": short,
    "status": status,
    "tone": tone,
    "how_far": how_far,
    "said": said,
    "asleep": asleep,
    "ticks": ticks,
    "starting": starting,
}

_GLOBALS: Mapping[str, Callable[..., Any]] = {
    "may": may_act,
    "not_theirs": not_theirs,
    "unpublishable": unpublishable,
    "actor": identity.actor,
    "sync_state": seen_sync_state,
    "url_for": address,
    "resource_url": resource_url,
    "path_to": path_to,
    "subject_url": subject_url,
    "here_with": here_with,
    "with_query": with_query,
    "count": count,
}
