"""A notice: a message that a person reads, owed to a channel until it is delivered."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from upkeep.domain.deployments import Deployment
from upkeep.domain.names import TemplateName
from upkeep.domain.resources import Resource
from upkeep.domain.sources import Source
from upkeep.domain.versions import TemplateVersion


@dataclass(frozen=True, slots=True)
class Link:
    """A labelled way to a page; `path` starts with `/` and is joined to the public address when sent."""

    label: str
    path: str


@dataclass(frozen=True, slots=True)
class Notice:
    """What is owed. `key` is its identity: owing the same key to the same channel twice owes it once.

    `headline` is one sentence, `lines` are more, in plain text without any channel's markup; `thread` names the
    conversation it belongs to, so that a channel which has threads can keep them together.
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
    `not_before` is the earliest time the channel accepts another try, when it said so. `given_up_at` is set when
    the channel refused this very message too often: it is not sent any more.
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


def draft_ready(channel: str, draft: TemplateVersion) -> Notice:
    """For a template's channel: a draft waits for its review."""
    raise NotImplementedError


def registration_failed(channel: str, failed: TemplateVersion) -> Notice:
    """For a template's channel, naming the commit's author: a commit could not be registered, and why."""
    raise NotImplementedError


def now_behind(channel: str, published: TemplateVersion, behind: Sequence[Resource]) -> Notice:
    """For an owners' channel: a version is recommended now and these of theirs are behind it."""
    raise NotImplementedError


def deployment_settled(channel: str, deployment: Deployment, resource: Resource) -> Notice:
    """For the owner's channel: an update is done or failed, and why."""
    raise NotImplementedError


def source_stalled(channel: str, source: Source) -> Notice:
    """For the operators: a source is not synced any more until a person acts."""
    raise NotImplementedError
