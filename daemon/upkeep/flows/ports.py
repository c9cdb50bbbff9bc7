"""What the flows need from the outside: a store, repositories, a renderer, a provisioner, channels.

Every method raises only UpkeepErrors. What is looked up by name and does not exist is NotFound.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol

from upkeep.domain.annotations import Annotation
from upkeep.domain.answers import KeptAnswer
from upkeep.domain.bundles import Bundle, Part, TemplateFile
from upkeep.domain.changes import Step
from upkeep.domain.changesets import Drift, Proposal, StackEvent
from upkeep.domain.deliveries import Delivery, DeliveryStatus
from upkeep.domain.deployments import Action, Deployment, DeploymentStatus, Progress
from upkeep.domain.errors import BundleError, CallerError
from upkeep.domain.events import Event, JournalEntry
from upkeep.domain.findings import Finding
from upkeep.domain.gauges import Gauges
from upkeep.domain.guesses import Guesses
from upkeep.domain.lag import Lag, PublishedVersion, Standing
from upkeep.domain.names import ResourceKey, ResourceKind, ResourceName, SourceName, TemplateName, Version
from upkeep.domain.notices import Notice, OwedNotice
from upkeep.domain.people import Actor, Session, Token, User, Via, Vouched
from upkeep.domain.plans import Plan
from upkeep.domain.previews import Preview
from upkeep.domain.records import Records
from upkeep.domain.resources import Counters, Listed, Placement, Resource, Service
from upkeep.domain.rollouts import Rollout, RolloutStatus, Turn
from upkeep.domain.sources import Credential, Source
from upkeep.domain.tallies import Tally
from upkeep.domain.uploads import Upload
from upkeep.domain.versions import Commit, Major, Template, TemplateKind, TemplateVersion, VersionKey, VersionState
from upkeep.domain.work import Claim, DueWork, WorkKind

# ---------------------------------------------------------------------------------------------- the store


class Store(Protocol):
    """Rows, in transactions. Times that come back are aware and in UTC."""

    def write(self, *, durable: bool = True) -> AbstractContextManager["Unit"]:
        """One transaction that may write: committed when the block ends, undone when it raises.

        One that need not be `durable` may be undone later by a failure of the power, which ends every process that
        knew of it; what a durable one has seen of it stays.
        """

    def read(self) -> AbstractContextManager["Unit"]:
        """One transaction that sees a single state and writes nothing."""

    def now(self) -> datetime:
        """The present, by the one clock that all hosts on this store go by."""

    def check(self) -> None:
        """Raise an UpkeepError saying what is wrong unless rows of the expected schema can be read and written."""

    def ring(self) -> None:
        """Wake workers that wait for work, in this process or another, on this host or another."""

    def wait(self, at_most: timedelta) -> None:
        """Sleep until somebody rings, or for `at_most`. A ring between two waits is not lost."""


class Unit(Protocol):
    """One transaction: the books of the store as they stand in it."""

    @property
    def sources(self) -> "SourceBook": ...
    @property
    def deliveries(self) -> "DeliveryBook": ...
    @property
    def registry(self) -> "RegistryBook": ...
    @property
    def fleet(self) -> "FleetBook": ...
    @property
    def deployments(self) -> "DeploymentBook": ...
    @property
    def plans(self) -> "PlanBook": ...
    @property
    def rollouts(self) -> "RolloutBook": ...
    @property
    def tallies(self) -> "TallyBook": ...
    @property
    def journal(self) -> "JournalBook": ...
    @property
    def records(self) -> "RecordBook": ...
    @property
    def outbox(self) -> "OutboxBook": ...
    @property
    def work(self) -> "WorkBook": ...
    @property
    def people(self) -> "PeopleBook": ...
    @property
    def annotations(self) -> "AnnotationBook": ...
    @property
    def listings(self) -> "ListingBook": ...
    @property
    def uploads(self) -> "UploadBook": ...
    @property
    def answers(self) -> "AnswerBook": ...
    @property
    def gauges(self) -> "GaugeBook": ...


@dataclass(frozen=True, slots=True)
class SourcesHealth:
    """How all sources are, in numbers counted up to some limit: how many there are, how many of them are stalled, are
    failing though not stalled, and were not heard from yet. Of the others the one heard from longest ago answered at
    `heard_at`."""

    total: int
    stalled: int
    failing: int
    waiting: int
    heard_at: datetime | None


class SourceBook(Protocol):
    """Which repositories are read, and how far."""

    def add(self, source: Source) -> None:
        """Raises Conflict when the name is taken."""

    def get(self, name: str) -> Source: ...
    def list(self) -> Sequence[Source]:
        """All, by name."""

    def page(self, after: str, limit: int) -> Sequence[Source]:
        """By name, those whose names come after `after`."""

    def troubled(self, limit: int) -> Sequence[Source]:
        """Those that are stalled, by name, then those that are failing."""

    def health(self, at_most: int) -> SourcesHealth: ...
    def edition(self) -> int:
        """A number that is another one whenever a source came, went, or reads something else by other secrets."""

    def named(self, names: Collection[str]) -> Sequence[Source]:
        """Those of these names that there are, by name."""

    def save(self, source: Source) -> None: ...
    def put_off(self, until: Mapping[SourceName, datetime]) -> None:
        """Set when each of these is to be polled next."""

    def heard(self, answered: Sequence[Source], at: datetime) -> None:
        """Note that these answered and had nothing new. One that reads something else by now, or came to read more,
        stalled or failed, is left as it is."""

    def remove(self, name: SourceName) -> None:
        """Its templates stay and belong to no source any more."""

    def due(self, now: datetime, limit: int) -> Sequence[Source]:
        """Sources that are not stalled and whose `next_poll_at` has come, longest due first. On PostgreSQL rows
        that another transaction holds are skipped."""


class DeliveryBook(Protocol):
    """Webhook deliveries and what became of them."""

    def find(self, delivery_id: str) -> Delivery | None: ...
    def found(self, delivery_ids: Sequence[str]) -> Mapping[str, Delivery]:
        """Those of these ids that there are."""

    def save(self, *deliveries: Delivery) -> None:
        """Add each, or replace the one with its id."""

    def settle(self, deliveries: Iterable[Delivery]) -> None:
        """Write down what became of these, and nothing else of them."""

    def recent(
        self,
        limit: int,
        source: SourceName | None = None,
        status: DeliveryStatus | None = None,
        before: tuple[datetime, str] | None = None,
    ) -> Sequence[Delivery]:
        """Newest first, those before a time of receipt and, at that time, an id."""

    def open(self, source: SourceName, before: datetime) -> Sequence[Delivery]:
        """Those that a sync of the source which began at `before` settles: received for it not later, and still
        RECEIVED, or FAILED by a sync before."""


@dataclass(frozen=True, slots=True)
class TemplateFilter:
    """Which templates are listed; every field narrows it further. `search` is a part of the name, `waiting` leaves
    those with a draft, `recommended` those with a recommended version."""

    search: str = ""
    kind: TemplateKind | None = None
    source: str = ""
    waiting: bool = False
    recommended: bool = False


class RegistryBook(Protocol):
    """Templates, majors, versions, their bundles and previews."""

    def add_template(self, template: Template) -> None:
        """Raises Conflict when the name is taken."""

    def template(self, name: str) -> Template: ...
    def find_template(self, name: str) -> Template | None: ...
    def templates(self, source: SourceName | None = None) -> Sequence[Template]:
        """All, or those of one source, by name."""

    def page(self, wanted: TemplateFilter, after: str, limit: int) -> Sequence[Template]:
        """By name, those whose names come after `after`."""

    def count_templates(self, names: Collection[SourceName]) -> Mapping[SourceName, int]:
        """How many each of the sources gives that gives any."""

    def offers(self, names: Collection[TemplateName]) -> Mapping[tuple[TemplateName, int], Version]:
        """The version that what runs a major of one of the templates should take, if any: the template's recommended
        one, or its major's when the template's pointer stands on a lower major."""

    def names(self, at_most: int) -> Sequence[TemplateName]:
        """The first of the templates, by name."""

    def newest(self, names: Collection[TemplateName]) -> Mapping[TemplateName, tuple[Version, VersionState]]:
        """The version of each of the templates that has the highest number."""

    def save_template(self, template: Template) -> None: ...
    def remove_template(self, name: TemplateName) -> None: ...

    def majors(self, template: TemplateName) -> Sequence[Major]:
        """By number."""

    def majors_of_source(self, source: SourceName) -> Sequence[Major]: ...
    def find_major(self, template: TemplateName, major: int) -> Major | None: ...
    def save_major(self, major: Major) -> None:
        """Add it, or replace the one with its template and number."""

    def add_version(self, version: TemplateVersion) -> None: ...
    def version(self, template: TemplateName, version: Version) -> TemplateVersion: ...
    def find_version(self, template: TemplateName, version: Version) -> TemplateVersion | None: ...
    def versions(
        self,
        template: TemplateName,
        major: int | None = None,
        *,
        state: VersionState | None = None,
        below: Version | None = None,
        limit: int | None = None,
    ) -> Sequence[TemplateVersion]:
        """Newest number first."""

    def count_versions(self, template: TemplateName) -> int: ...

    def latest(
        self,
        template: TemplateName,
        major: int,
        states: Iterable[VersionState] = tuple(VersionState),
    ) -> TemplateVersion | None:
        """The one with the highest minor among those in one of the states."""

    def published(self, template: TemplateName) -> Sequence[PublishedVersion]:
        """Versions that are PUBLISHED, lowest first."""

    def drafts(self, template: TemplateName | None = None, limit: int | None = None) -> Sequence[VersionKey]:
        """Those of a template, or all, that wait for a review, oldest first."""

    def drafts_of(self, names: Collection[TemplateName]) -> Mapping[TemplateName, Sequence[Version]]:
        """Those of some templates that wait for a review, highest first."""

    def save_version(self, version: TemplateVersion) -> None: ...
    def remove_version(self, template: TemplateName, version: Version) -> None:
        """Its preview goes with it; its bundle when no other version has the same tree."""

    def in_use(self, template: TemplateName) -> Mapping[Version, int]:
        """How many resources run each version or are being moved to it."""

    def keep_bundle(self, bundle: Bundle) -> None:
        """Store it under its tree id, once."""

    def bundle(self, tree: str) -> Bundle: ...

    def save_preview(self, preview: Preview) -> None: ...
    def find_preview(self, template: TemplateName, version: Version) -> Preview | None: ...
    def previewed_at(self, template: TemplateName, version: Version) -> datetime | None:
        """When its preview was made; None while there is none."""


class FleetOrder(StrEnum):
    """How fleet pages are sorted. WORST: failed first, then what its update would replace, then most majors, most
    minors, oldest, and what is snoozed below that. AGE: longest behind first."""

    WORST = "worst"
    NAME = "name"
    TEMPLATE = "template"
    OWNER = "owner"
    AGE = "age"


@dataclass(frozen=True, slots=True)
class FleetFilter:
    """What a fleet page shows; every field narrows it further. `search` is a part of the name or key, `environment`
    the one that instances live in."""

    search: str = ""
    template: str = ""
    owner: str = ""
    environment: str = ""
    kind: ResourceKind | None = None
    standing: Standing | None = None
    failed: bool = False
    behind: bool = False


@dataclass(frozen=True, slots=True)
class ServiceFilter:
    """Which services are listed; every field narrows it further. `search` is a part of the name."""

    search: str = ""
    template: str = ""
    owner: str = ""


@dataclass(frozen=True, slots=True)
class FleetPage:
    """Resources of one page, and the cursor of the next, None on the last."""

    resources: tuple[Resource, ...]
    next: str | None


@dataclass(frozen=True, slots=True)
class ListedPage:
    """The same of resources as lists tell them."""

    resources: tuple[Listed, ...]
    next: str | None


class FleetBook(Protocol):
    """Services and resources."""

    def add_service(self, service: Service) -> None:
        """Raises Conflict when the name is taken."""

    def service(self, name: str) -> Service: ...
    def services(
        self, wanted: ServiceFilter | None = None, after: str = "", limit: int | None = None
    ) -> Sequence[Service]:
        """By name, those whose names come after `after`."""

    def save_service(self, service: Service) -> None: ...
    def remove_service(self, name: ResourceName) -> None: ...

    def add(self, resource: Resource) -> None:
        """Raises Conflict when the key is taken. The environment it lives in is not removed before the end."""

    def get(self, key: ResourceKey, *, kept: bool = True) -> Resource: ...
    def find(self, key: ResourceKey, *, kept: bool = True) -> Resource | None:
        """In a writing unit nobody else changes it before the end, if it is `kept`. What is only looked at is not:
        whoever holds several waits for whoever holds them in another order."""

    def save(self, resource: Resource) -> None: ...
    def remove(self, key: ResourceKey) -> None: ...
    def of_services(self, names: Collection[ResourceName]) -> Sequence[Listed]:
        """The instances and pipelines of some services, by key."""

    def of_service(self, name: ResourceName) -> Sequence[Resource]:
        """Its instances by name, then its pipeline."""

    def in_environment(self, name: ResourceName) -> Sequence[Resource]:
        """What lives in it. In a writing unit nothing is added there before the end."""

    def on_major(self, template: TemplateName, major: int) -> Sequence[Resource]:
        """Those that run a version of it, by key."""

    def behind(self, template: TemplateName) -> Sequence[Resource]:
        """Those of the template with a lag, worst first."""

    def page(
        self, wanted: FleetFilter, order: FleetOrder, cursor: str | None, limit: int, *, backwards: bool = False
    ) -> FleetPage: ...
    def listed(
        self, wanted: FleetFilter, order: FleetOrder, cursor: str | None, limit: int, *, backwards: bool = False
    ) -> ListedPage:
        """The same page, with no more of each resource than a list tells."""

    def count(self, wanted: FleetFilter, at_most: int) -> int:
        """How many match, counted up to `at_most`."""

    def uncompared(self, since: datetime, limit: int) -> Sequence[Resource]:
        """Those with a stack that were neither deployed nor compared for drift after `since`, longest first, without
        those for which a comparison is asked already or a deployment is under way."""

    def counters(self, template: str | None = None) -> Counters: ...
    def counters_of(self, templates: Collection[TemplateName] | None = None) -> Mapping[TemplateName, Counters]:
        """Those of each of the templates, or of all, that have resources."""

    def scattered(self) -> bool:
        """Whether what counters are added up from has grown since it was gathered."""

    def gather(self) -> None:
        """Bring what counters are added up from to its fewest rows."""

    def owners(self, at_most: int) -> Sequence[str]:
        """The first of those who own something, by name."""

    def set_lag(self, template: TemplateName, running: Version, lag: Lag) -> int:
        """Write one lag on all resources of a template that run one version, and that nobody knows what an update
        would replace in them; returns how many there are."""

    def warn(self, keys: Collection[ResourceKey]) -> None:
        """Write on those that are behind that their update replaces something."""

    def end_snoozes(self, template: TemplateName, running: Version, due: Version) -> None:
        """Wake the resources that run a version and were snoozed for one lower than `due`. Their lag is set after."""

    def overslept(self, now: datetime) -> bool:
        """Whether there are snoozes whose time is over."""

    def wake(self, now: datetime) -> int:
        """End the snoozes whose time is over; returns how many these were."""

    def running_versions(self, template: TemplateName) -> Sequence[Version]: ...


class DeploymentBook(Protocol):
    """Attempts to move resources: what was rendered and proposed for them, and what their stacks told."""

    def add(self, deployment: Deployment) -> None:
        """Raises Conflict, naming the other, when one is under way on the resource."""

    def get(self, deployment_id: str, *, kept: bool = True) -> Deployment:
        """In a writing unit nobody else changes it before the end, if it is `kept`."""

    def save(self, deployment: Deployment) -> None: ...
    def of_resource(self, key: ResourceKey, limit: int, before: str | None = None) -> Sequence[Deployment]:
        """Newest first, those older than the one with the id `before`; none when there is none of that id."""

    def recent(
        self,
        limit: int,
        status: DeploymentStatus | None = None,
        resource: ResourceKey | None = None,
        before: str | None = None,
        *,
        called: str = "",
        template: str = "",
        asked_by: str = "",
        stalled: bool = False,
    ) -> Sequence[Deployment]:
        """Newest first, those asked for before the one of that id; NotFound when there is none. `called` is the short
        name of the resource; `stalled` leaves those that wait for a person."""

    def under_way(self, key: ResourceKey) -> Deployment | None:
        """The deployment under way, as it was committed last. Whoever changes it reads it by its id first."""

    def keep_rendered(self, deployment_id: str, rendered: str) -> None: ...
    def rendered(self, deployment_id: str) -> str | None: ...
    def keep_proposal(self, deployment_id: str, proposal: Proposal) -> None: ...
    def proposal(self, deployment_id: str) -> Proposal | None:
        """What was kept; None while it is not worked out."""

    def keep_events(self, deployment_id: str, events: Iterable[StackEvent]) -> int:
        """Add those whose ids are not there yet; returns how many these were."""

    def told(self, deployment_id: str) -> int:
        """How many events its stack told so far."""

    def stack_events(self, deployment_id: str, limit: int) -> Sequence[StackEvent]:
        """The last ones, oldest first."""

    def remove(self, deployment_id: str) -> None:
        """With what was rendered, proposed and told for it."""

    def last_succeeded(self, key: ResourceKey, version: Version) -> Deployment | None:
        """The last deployment that brought the resource to a version, or deployed it there again."""


class RolloutBook(Protocol):
    """Updates of many resources together."""

    def add(self, rollout: Rollout) -> None:
        """Raises Conflict when it is automatic and another automatic one of its template is open."""

    def get(self, rollout_id: str) -> Rollout: ...
    def save(self, rollout: Rollout) -> None:
        """Its members are those it was added with, in their order."""

    def recent(self, limit: int, before: str | None = None) -> Sequence[Rollout]:
        """Newest first, those begun before the one of that id; NotFound when there is none."""

    def counted(
        self, limit: int, before: str | None = None, *, template: str = "", status: RolloutStatus | None = None
    ) -> Sequence[tuple[Rollout, Mapping[Turn, int]]]:
        """The same without their members, and how many of these stand where."""

    def last_automatic(self, template: TemplateName) -> Rollout | None:
        """The newest automatic rollout of a template. Only it can be open."""


class PlanBook(Protocol):
    """What updates would change, worked out before they are approved."""

    def add(self, plan: Plan) -> None:
        """Takes the place of plans made for the same resource and version that nobody approved."""

    def find(self, plan_id: str) -> Plan | None: ...
    def save(self, plan: Plan) -> None: ...
    def keep_rendered(self, plan_id: str, rendered: str) -> None: ...
    def rendered(self, plan_id: str) -> str | None: ...
    def approved_by(self, deployment_id: str) -> Plan | None:
        """The plan that was approved with a deployment."""

    def latest(self, template: TemplateName, version: Version) -> Mapping[ResourceKey, Plan]:
        """The last one made or asked for to move each resource to a version."""

    def standing(self, template: TemplateName, version: Version) -> tuple[int, int]:
        """A number that grows with each plan asked for to move a resource to a version, and how many are made."""

    def last(self, key: ResourceKey, version: Version) -> Plan | None:
        """The last one of a resource and the version it was to move to."""

    def outlooks(self, keys: Collection[ResourceKey]) -> Mapping[tuple[ResourceKey, Version], Proposal | None]:
        """What the last one of each of these resources and each version it was to move to said would change; None when
        there is nothing to see, it was approved, or what it was made from has changed since."""


class TallyBook(Protocol):
    """How resources stood over time."""

    def keep(self, *kept: Tally) -> None:
        """Write each over the one of its span; it is the last of its template now. Of one template only one."""

    def last(self) -> Mapping[TemplateName, Tally]:
        """The last one of each template, and of the whole fleet."""

    def worst(self, limit: int) -> Sequence[Tally]:
        """The last ones of the templates with most behind, a major before any number of minors."""

    def of(self, template: TemplateName, since: datetime) -> Sequence[Tally]:
        """Oldest first, beginning with the one that stood at `since`."""

    def thin(self, before: datetime, gone: datetime) -> int:
        """Keep of each day before `before` the last one only, and none before `gone`; returns how many went."""


class RecordBook(Protocol):
    """Old records that nobody needs any more. `before` is the time that they are older than."""

    def count(self, records: Records, before: datetime) -> int: ...
    def past(
        self, records: Records, before: datetime, limit: int, after: tuple[Any, ...] | None = None
    ) -> Sequence[tuple[Any, ...]]:
        """The names of the first of them, behind the one called `after`."""

    def remove(self, records: Records, before: datetime, keys: Sequence[tuple[Any, ...]]) -> int:
        """Let those go that may still go; returns how many went."""


class JournalBook(Protocol):
    """The audit trail. It only grows, until its old entries may go."""

    def record(self, event: Event, actor: Actor, at: datetime) -> int:
        """Write the audit row; returns its id."""

    def entries(
        self,
        limit: int,
        before: int | None = None,
        subject: str | None = None,
        kind: str | None = None,
        actor: str | None = None,
        via: Via | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Sequence[JournalEntry]:
        """Newest first, those with an id below `before`."""


class OutboxBook(Protocol):
    """Notices, owed until their channel took them."""

    def owe(self, notice: Notice, at: datetime) -> bool:
        """Owe it and ask for its channel to be relayed; False when its key is already there for the channel."""

    def unsent(self, channel: str, limit: int) -> Sequence[OwedNotice]:
        """Those neither sent nor given up, oldest first."""

    def save(self, owed: OwedNotice) -> None: ...
    def receipt(self, channel: str, thread: str) -> str | None:
        """The receipt of the first message sent in a thread."""

    def recent(self, limit: int) -> Sequence[OwedNotice]: ...


class WorkBook(Protocol):
    """The queue. One row for each (kind, subject); asking while it runs makes it run once more."""

    def alone(self, errand: str) -> bool:
        """Whether this writing transaction is the only one on that errand now, on any host, and sees all that those
        before it have done. False: leave it to the other."""

    def ask(self, kind: WorkKind, subject: str, due_at: datetime, cause: str = "") -> None:
        """Make it due at `due_at`, or sooner if it already was; the last cause stays."""

    def claim(self, kinds: Iterable[WorkKind], now: datetime, lease_for: timedelta) -> Claim | None:
        """The longest due work nobody has a lease on, leased and with a fresh token."""

    def hold(self, claim: Claim) -> None:
        """Raise LostLease unless the claim is still the latest. In a writing transaction it stays so until its end."""

    def renew(self, claim: Claim, leased_until: datetime) -> bool:
        """Prolong the lease; False when it was lost."""

    def done(self, claim: Claim, again_at: datetime | None = None) -> None:
        """The work ended well: the row goes, unless it was asked for again meanwhile or `again_at` is given."""

    def retry(self, claim: Claim, due_at: datetime, failure: str) -> None:
        """It did not end well: due again then, its attempts kept."""

    def next_due_at(self, kinds: Iterable[WorkKind] = tuple(WorkKind)) -> datetime | None:
        """When the earliest unleased work of these kinds is due, or the earliest lease ends."""

    def find(self, kind: WorkKind, subject: str) -> DueWork | None: ...
    def list(self, limit: int) -> Sequence[DueWork]: ...


class PeopleBook(Protocol):
    """Users, their sessions and tokens, and the random keys of this installation."""

    def add(self, user: User) -> None:
        """Raises Conflict when the name is taken."""

    def find(self, name: str) -> User | None: ...
    def list(self) -> Sequence[User]: ...
    def save(self, user: User) -> None: ...
    def remove(self, name: str) -> None:
        """Their sessions and tokens go with them."""

    def find_vouched(self, provider: str, provider_id: str) -> User | None:
        """Whom a provider vouches for under its own id."""

    def rename(self, name: str, new: str) -> None:
        """Their sessions and tokens stay theirs. Conflict when the new name is taken."""

    def add_session(self, session: Session) -> None: ...
    def session(self, token_hash: str) -> Session | None: ...
    def sessions(self, user: str | None = None) -> Sequence[Session]:
        """All, or those of one user; some may have ended."""

    def note_seen(self, user: str, token_hash: str, address: str, at: datetime) -> None:
        """Keep when and from where a session was used last, with it and with its user."""

    def remove_session(self, token_hash: str) -> None: ...
    def remove_sessions(self, user: str, keep: str) -> int:
        """All of a user but the one with the hash `keep`. Returns how many there were."""

    def add_token(self, token: Token) -> None: ...
    def find_token(self, token_hash: str) -> Token | None: ...
    def tokens(self, user: str | None = None) -> Sequence[Token]:
        """All, or those of one user, oldest first."""

    def note_token_used(self, token_id: str, at: datetime) -> None: ...
    def remove_token(self, token_id: str) -> None: ...
    def failed_sign_ins(self, since: datetime, name: str | None = None, address: str | None = None) -> Guesses:
        """Those for a name, from an address, or both."""

    def note_failed_sign_in(self, name: str, address: str, at: datetime) -> None: ...
    def forget_failed_sign_ins(self, name: str | None = None, address: str | None = None) -> None: ...
    def secret(self, name: str, fresh: bytes) -> bytes:
        """The stored random key of that name; `fresh` is kept and returned the first time."""


class InstanceOrder(StrEnum):
    """How service instances are listed, in Proton's words (ListServiceInstancesSortBy)."""

    NAME = "name"
    STATUS = "deploymentStatus"
    TEMPLATE = "templateName"
    SERVICE = "serviceName"
    ENVIRONMENT = "environmentName"
    ATTEMPTED = "lastDeploymentAttemptedAt"
    CREATED = "createdAt"

    @property
    def is_time(self) -> bool:
        """Whether it is a point in time that orders them."""
        return self in (InstanceOrder.ATTEMPTED, InstanceOrder.CREATED)


@dataclass(frozen=True, slots=True)
class InstanceFilter:
    """Which service instances are listed; every field that is not None narrows it further."""

    name: str | None = None
    service: str | None = None
    template: str | None = None
    environment: str | None = None
    status: DeploymentStatus | None = None
    standing: Standing | None = None
    attempted_before: datetime | None = None
    attempted_after: datetime | None = None
    created_before: datetime | None = None
    created_after: datetime | None = None


class ListingBook(Protocol):
    """Pages in the orders of Proton's API."""

    def instances(
        self, wanted: InstanceFilter, order: InstanceOrder, *, descending: bool, cursor: str | None, limit: int
    ) -> FleetPage:
        """The instances behind the cursor; CallerError for a cursor that this order did not give."""

    def deployments(
        self, keys: Collection[ResourceKey] | None, before: int | None, limit: int
    ) -> tuple[Sequence[Deployment], int | None]:
        """Newest first, of some resources or of all that are there, those before a number; and the number that the
        next page is before, None on the last."""


class UploadBook(Protocol):
    """Bundles in S3 that are to become versions."""

    def add(self, upload: Upload) -> None: ...
    def find(self, template: TemplateName, version: Version) -> Upload | None: ...
    def of_template(self, template: TemplateName) -> Sequence[Upload]:
        """By number."""

    def remove(self, template: TemplateName, version: Version) -> None: ...


class AnnotationBook(Protocol):
    """What was said about things beyond what Upkeep itself keeps of them."""

    def find(self, subject: str) -> Annotation | None: ...
    def save(self, annotation: Annotation) -> None:
        """Add it, or replace the one of its subject."""

    def remove(self, subject: str) -> None: ...
    def list(self, kind: str) -> Sequence[Annotation]:
        """Those whose subjects begin with `KIND/`, by subject."""


class AnswerBook(Protocol):
    """What requests with a key were answered."""

    def reserve(self, actor: str, key: str) -> None:
        """Let nobody else answer under this key until the transaction ends; Conflict when somebody does now."""

    def find(self, actor: str, key: str) -> KeptAnswer | None: ...
    def save(self, answer: KeptAnswer) -> None:
        """Add it, or replace the one with its actor and key."""

    def remove_before(self, at: datetime) -> None:
        """Let go of those that are as old as this or older."""


class GaugeBook(Protocol):
    """How everything stands, for those who watch from outside."""

    def read(self, now: datetime) -> Gauges:
        """Some ten statements; all but what is behind is counted from indexes of what is counted."""


# ------------------------------------------------------------------------------------------ sign-in elsewhere


@dataclass(frozen=True, slots=True)
class Errand:
    """A sign-in elsewhere that has begun: where the browser is sent, and what only that browser's session keeps."""

    url: str
    state: str
    verifier: str


class SignInProvider(Protocol):
    """Somebody who vouches for people: they sign in there, and come back with a code."""

    def begin(self, back: str) -> Errand:
        """A fresh errand that leads back to this address of ours."""

    def finish(self, code: str, verifier: str, back: str) -> Vouched:
        """Whose code it is. CallerError when it is not accepted, TransientError when the provider does not answer,
        StalledError when it refuses us and an operator must act."""


# ------------------------------------------------------------------------------------------- repositories


class Repositories(Protocol):
    """Mirrors of the sources' repositories."""

    def head(self, source: Source) -> str:
        """The commit at the branch's head, asked of the remote. TransientError when it does not answer,
        StalledError when it is gone, forbidden, or has no such branch."""

    def fetch(self, source: Source, at_most: int | None = None) -> AbstractContextManager["Mirror"]:
        """Bring the mirror up to the branch's head and open it. Of more than `at_most` commits at once, `steps` tells
        nothing. Errors as for `head`."""


class Mirror(Protocol):
    """A fetched repository. Paths and folders count from the repository's root."""

    @property
    def head(self) -> str:
        """The commit at the branch's head."""

    def commit(self, commit_id: str) -> Commit:
        """NotFound when the repository does not have it."""

    def steps(self, after: str, until: str, subdirectory: str) -> Iterator[Step] | None:
        """The first-parent commits behind `after` up to `until`, oldest first, one git process for all.

        None when `after` is not on the first-parent line of `until`, or more commits behind than were to be told at
        once: then only trees can be compared.
        """

    def distance(self, after: str, until: str) -> int:
        """How many first-parent commits lie behind `after` up to `until`; 0 when `after` is none of its ancestors."""

    def history(self, until: str, subdirectory: str) -> Iterator[Step]:
        """The same from the first commit on, which is compared with nothing."""

    def folders(self, commit_id: str, subdirectory: str) -> Mapping[str, str]:
        """All folders at a commit below the subdirectory, with their tree ids."""

    def bundle(self, tree: str) -> Bundle:
        """The files below a tree."""


# ------------------------------------------------------------------- rendering, provisioning and channels


Rendering = tuple[TemplateFile, Mapping[str, Any]]
"""A template, and the namespace to render it with."""

Rendered = str | BundleError | CallerError
"""The text of a template, or why there is none."""


class Renderer(Protocol):
    """Jinja, behind limits of time and memory."""

    def check(
        self, template: TemplateFile, part: Part, declared: Mapping[Part, Collection[str]] | None = None
    ) -> Sequence[Finding]:
        """What is wrong with it before any value is known: syntax, names outside its part's namespace.

        `declared` are the names of the inputs the schema declares for each part; an input outside of them is a
        finding. Without it, inputs are not checked.
        """

    def render(self, template: TemplateFile, namespace: Mapping[str, Any]) -> str:
        """The text. BundleError naming file, line and cause when the template fails or breaks a limit."""

    def render_each(self, asked: Sequence[Rendering]) -> Sequence[Rendered]:
        """As `render`, for several at once: for each its text, or its error as a value. The limits are each one's."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a provisioner is asked to do.

    `deployment` is the client token: the same request twice acts once. `placement` says in which account and region,
    by which role. `stack` is the stack's name or id once it is known, None before the first deployment.
    """

    deployment: str
    resource: ResourceKey
    action: Action
    template_body: str
    tags: Mapping[str, str]
    placement: Placement
    stack: str | None = None


class Provisioner(Protocol):
    """What makes stacks: local files, or CloudFormation.

    Every change is proposed, looked at, and only then executed. Handles are texts that survive restarts and name
    no secret. Throttling and outages are TransientErrors with `retry_after` when known; what a person must put right
    (access denied, a role or stack that is gone, an expired token) is a StalledError that says what to do.
    """

    def propose(self, request: Request) -> str:
        """Start working out what the request would change (a change set) and return its handle; the same handle
        when it was proposed before. Nothing is worked out to delete: its handle is given without any call.

        What would be refused is no error here: its proposal has FAILED. StalledError when the stack is gone, belongs
        to somebody else, or cannot be updated any more; TransientError while something else still changes it.
        """

    def proposal(self, handle: str) -> Proposal:
        """What would change, once it is worked out. Never asked of a request to delete. Conflict when it is gone and
        has to be proposed anew."""

    def discard(self, handle: str) -> None:
        """Forget a proposal that will not be executed. It may be gone already."""

    def execute(self, handle: str, request: Request) -> None:
        """Do what was proposed, or delete. Executing twice under one deployment id acts once. A stack to delete may
        be gone already, or never have been. Conflict when what it would change has moved since: discard it and
        propose anew."""

    def observe(self, handle: str) -> Progress:
        """How what was executed is going now, with the stack's events so far. Asked as well of a proposal that turned
        out EMPTY, for the outputs of the stack as it is."""

    def cancel(self, handle: str) -> None:
        """Ask an update under way to go back; `observe` tells how that ends. Conflict when it cannot be asked."""

    def continue_rollback(self, stack: str, placement: Placement, token: str) -> None:
        """Ask a stack whose rollback failed to try it again."""

    def ask_drift(self, stack: str, placement: Placement) -> str:
        """Start comparing a stack with what was deployed; returns the handle to look again with."""

    def drift(self, handle: str) -> Drift:
        """What the comparison found, once it has ended."""


class Uploaded(Protocol):
    """Where uploads are."""

    def __call__(self, bucket: str, key: str) -> Bundle:
        """The bundle that an object holds. NotFound, BundleError or StalledError when there is none that can be read,
        TransientError when it may be read later."""


class Channels(Protocol):
    """Where notices go, by channel name."""

    def send(self, owed: OwedNotice, thread_receipt: str | None) -> str | None:
        """Deliver one and return the channel's id of the message, if it has ids.

        TransientError (with `retry_after` when told) to try again, StalledError when a person must act, CallerError
        when the channel takes messages but not this one.
        """

    def pace(self, channel: str) -> timedelta:
        """The least time between two messages to a channel; zero when it takes them as they come."""


class Secrets(Protocol):
    """Where references to secrets are followed."""

    def reveal(self, credential: Credential) -> str | None:
        """The secret, None for a reference of kind `none`. StalledError when it stands nowhere."""
