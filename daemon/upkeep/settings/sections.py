"""Sections: what can be set, with defaults; each a frozen dataclass that pydantic checks."""

from collections.abc import Mapping
from dataclasses import field
from datetime import time, timedelta
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, SecretStr, model_validator
from pydantic.dataclasses import dataclass

from upkeep.domain.addresses import check_branch, check_subdirectory
from upkeep.domain.errors import CallerError
from upkeep.domain.limits import LIMITS, BundleLimits
from upkeep.domain.limits import Limits as FlowLimits
from upkeep.domain.names import SourceName, parse_source_name
from upkeep.domain.notices import Routing
from upkeep.domain.people import Role, Rules
from upkeep.domain.policies import WEEK, Day, Policies, Policy, UpdateMode, Window
from upkeep.domain.records import Records
from upkeep.domain.resources import Placement
from upkeep.domain.rollouts import Stage
from upkeep.domain.sources import Credential, CredentialKind, Drafts, Origin, Source
from upkeep.domain.tags import parse_tags
from upkeep.domain.work import WorkKind
from upkeep.settings.values import (
    BUCKET,
    HOST,
    ROLE,
    STRICT,
    AtOnce,
    Count,
    Duration,
    FilePath,
    HeaderName,
    Hour,
    HttpUrl,
    Network,
    Patience,
    Size,
    Span,
    TimeZone,
    VariableName,
    Whole,
    at_least,
    check_form,
    check_group,
    check_region,
    check_root,
    checked,
    fault,
    suggestion,
    trimmed,
)


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class KeptText:
    """A secret where it stands: written here, in a file, or in an environment variable; exactly one of them."""

    value: SecretStr | None = None
    file: FilePath | None = None
    env: VariableName | None = None

    @property
    def credential(self) -> Credential:
        """The reference to follow; of kind `none` when the value stands in the configuration itself."""
        return _credential(self.file, self.env)


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class Migration:
    """How long changing the tables may take: waiting for another process that does so, for whoever works on a table,
    and one statement."""

    wait: Patience = timedelta(minutes=5)
    lock_timeout: Patience = timedelta(seconds=10)
    statement_timeout: Patience = timedelta(minutes=15)


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class Database:
    """Where rows are kept. Without any of the three, an SQLite file in the state folder."""

    url: SecretStr | None = None
    url_file: FilePath | None = None
    url_env: VariableName | None = None
    migration: Migration = field(default_factory=Migration)

    @model_validator(mode="after")
    def _at_most_one(self) -> "Database":
        _at_most_one(url=self.url, url_file=self.url_file, url_env=self.url_env)
        return self

    @property
    def kept(self) -> KeptText | None:
        """Where the address stands, None for the default."""
        return _kept(self.url, self.url_file, self.url_env)


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class Web:
    """The web server. `public_url` is how people and GitHub reach it, if not at its host and port."""

    host: str = "127.0.0.1"
    port: Annotated[Whole, Field(ge=0, le=65535)] = 8080
    workers: Annotated[Whole, Field(ge=1, le=64)] = 2
    threads: Annotated[Whole, Field(ge=1, le=256)] = 16
    public_url: Annotated[HttpUrl, AfterValidator(check_root)] = ""


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class Work:
    """The worker. `concurrency` counts for each kind of work by itself, so that no kind starves another; `at_once` says
    it for single kinds."""

    concurrency: AtOnce = 4
    at_once: dict[WorkKind, AtOnce] = field(default_factory=dict)
    lease: Annotated[Duration, AfterValidator(at_least(timedelta(seconds=3)))] = timedelta(seconds=60)


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class Git:
    """How repositories are read. `memory` bounds what each process of git holds, `fetch` what one fetch may bring.
    `allow_local` accepts `file:` addresses and paths; with `known_hosts_file` no other SSH host is trusted."""

    timeout: Patience = timedelta(minutes=2)
    memory: Annotated[Size, Field(ge=64 << 20)] = 1 << 30
    fetch: Annotated[Size, Field(ge=1 << 20)] = 2 << 30
    allow_local: bool = False
    known_hosts_file: FilePath | None = None


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class DeclaredSource:
    """One repository, branch and folder that templates are read from."""

    name: Annotated[str, checked(parse_source_name)]
    url: Annotated[str, BeforeValidator(trimmed(" ")), checked(check_form)]
    branch: Annotated[str, checked(check_branch)] = "main"
    subdirectory: Annotated[str, BeforeValidator(trimmed("/")), checked(check_subdirectory)] = ""
    token_file: FilePath | None = None
    token_env: VariableName | None = None
    ssh_key_file: FilePath | None = None
    webhook_secret_file: FilePath | None = None
    webhook_secret_env: VariableName | None = None
    drafts: Drafts = Drafts.PER_COMMIT
    poll_every_for: Span = timedelta(minutes=5)

    @model_validator(mode="after")
    def _fits(self) -> "DeclaredSource":
        _at_most_one(token_file=self.token_file, token_env=self.token_env, ssh_key_file=self.ssh_key_file)
        _at_most_one(webhook_secret_file=self.webhook_secret_file, webhook_secret_env=self.webhook_secret_env)
        return self

    @property
    def source(self) -> Source:
        """As the flows know it."""
        credential = (
            Credential(CredentialKind.SSH_KEY_FILE, str(self.ssh_key_file))
            if self.ssh_key_file
            else _credential(self.token_file, self.token_env)
        )
        return Source(
            name=SourceName(self.name),
            url=self.url,
            branch=self.branch,
            subdirectory=self.subdirectory,
            credential=credential,
            webhook_secret=_credential(self.webhook_secret_file, self.webhook_secret_env),
            drafts=self.drafts,
            poll_every_for=self.poll_every_for,
            origin=Origin.CONFIG,
        )


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class Webhooks:
    """Secrets that sign webhooks of any source; several while they are rotated. A file holds one a line."""

    secrets: tuple[SecretStr, ...] = ()
    secrets_file: FilePath | None = None
    secrets_env: VariableName | None = None

    @model_validator(mode="after")
    def _not_empty(self) -> "Webhooks":
        if any(not secret.get_secret_value().strip() for secret in self.secrets):
            raise fault("a webhook secret is empty", "write the secret or remove the line")
        return self


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class Rendering:
    """The limits of one rendering, and how many each process of the daemon has at a time."""

    time: Patience = timedelta(seconds=3)
    memory: Annotated[Size, Field(ge=64 << 20)] = 512 << 20
    output: Annotated[Size, Field(ge=1)] = 2 << 20
    at_once: AtOnce = 2


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class Limits:
    """How much of what others send is taken. Rates count in each web process by itself."""

    request: Annotated[Size, Field(ge=16 << 10, le=1 << 30)] = 1 << 20
    delivery: Annotated[Size, Field(ge=16 << 10, le=1 << 30)] = 25 << 20
    requests_per_minute: Count = 3_000
    deliveries_per_minute: Count = 120
    bundle: Annotated[Size, Field(ge=1)] = LIMITS.bundle.bytes
    bundle_file: Annotated[Size, Field(ge=1)] = LIMITS.bundle.file_bytes
    bundle_files: Count = LIMITS.bundle.files
    findings: Count = LIMITS.findings
    commits: Count = LIMITS.commits
    sources: Count = LIMITS.sources
    exported_rows: Count = 1_000_000

    @property
    def of_flows(self) -> FlowLimits:
        """As the flows know them."""
        bundle = BundleLimits(self.bundle, self.bundle_files, self.bundle_file)
        return FlowLimits(bundle, self.findings, self.commits, self.sources)


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class Pipelines:
    """Where the stacks of pipelines live. `external_id` is what the role's trust policy asks for; it is no secret."""

    region: str = ""
    role_arn: str = ""
    external_id: str = ""

    @model_validator(mode="after")
    def _fits(self) -> "Pipelines":
        check_region(self.region)
        if self.role_arn and not ROLE.fullmatch(self.role_arn):
            raise fault(f"`{self.role_arn}` is not a role", "write it as arn:aws:iam::123456789012:role/NAME")
        if self.external_id and not self.role_arn:
            raise fault("`external_id` is given without `role_arn`", "name the role that asks for it")
        return self

    @property
    def placement(self) -> Placement:
        """As the flows know it. The account is the role's."""
        account = self.role_arn.split(":")[4] if self.role_arn else ""
        return Placement(account, self.region, self.role_arn, self.external_id)


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class Local:
    """Where the local provisioner writes its stacks. Without a folder, it is `local` in the state folder."""

    folder: FilePath | None = None


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class CloudFormation:
    """How stacks are made in AWS. Credentials are not among this: they come from where every AWS tool finds them."""

    region: str = ""
    endpoint_url: HttpUrl = ""
    template_bucket: str = ""
    pipelines: Pipelines = field(default_factory=Pipelines)
    tags: dict[str, str] = field(default_factory=dict)

    @model_validator(mode="after")
    def _fits(self) -> "CloudFormation":
        check_region(self.region)
        if self.template_bucket and not BUCKET.fullmatch(self.template_bucket):
            raise fault(f"`{self.template_bucket}` is not the name of a bucket", "write the bucket's bare name")
        try:
            parse_tags(f"{key}={value}" for key, value in self.tags.items())
        except CallerError as error:
            raise fault(error.message, error.cure or "") from None
        return self


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class Proton:
    """The API that AWS Proton had. `region` and `account_id` stand in the ARNs that it gives, `host` is a host name at
    which it is served at `/`, and the key derives the secrets of key pairs; without one, it is a file in the state
    folder."""

    host: str = ""
    region: str = ""
    account_id: Annotated[str, Field(pattern=r"^\d{12}$")] = "000000000000"
    key: SecretStr | None = None
    key_file: FilePath | None = None
    key_env: VariableName | None = None

    @model_validator(mode="after")
    def _fits(self) -> "Proton":
        check_region(self.region)
        if not HOST.fullmatch(self.host):
            raise fault(f"`{self.host}` is not a host name", "write the bare name, without `https://` and port")
        _at_most_one(key=self.key, key_file=self.key_file, key_env=self.key_env)
        return self

    @property
    def kept(self) -> KeptText | None:
        """Where the key stands, None for the default."""
        return _kept(self.key, self.key_file, self.key_env)


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class Previews:
    """Whether drafts are checked with change sets only when somebody asks, or always."""

    change_sets: Literal["on_demand", "always"] = "on_demand"


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class Drift:
    """How often every resource is compared with what was deployed; None for only when somebody asks."""

    every_for: Annotated[Duration, AfterValidator(at_least(timedelta(hours=1)))] | None = None


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class Retention:
    """How long old records are kept; None for ever."""

    deliveries: Annotated[Duration, AfterValidator(at_least(timedelta(days=7)))] | None = timedelta(days=90)
    notices: Annotated[Duration, AfterValidator(at_least(timedelta(days=1)))] | None = timedelta(days=90)
    renderings: Annotated[Duration, AfterValidator(at_least(timedelta(days=1)))] | None = timedelta(days=365)
    previews: Annotated[Duration, AfterValidator(at_least(timedelta(days=1)))] | None = timedelta(days=365)
    plans: Annotated[Duration, AfterValidator(at_least(timedelta(days=1)))] | None = timedelta(days=30)
    journal: Annotated[Duration, AfterValidator(at_least(timedelta(days=90)))] | None = None

    @property
    def spans(self) -> Mapping[Records, timedelta]:
        """Those that are not kept for ever."""
        chosen = {records: getattr(self, records) for records in Records}
        return {records: span for records, span in chosen.items() if span is not None}


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class ConsoleNotices:
    """Notices written into the worker's own output."""

    kind: Literal["console"]


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class SlackWebhook:
    """Notices posted to a Slack incoming webhook, whose address is the secret."""

    kind: Literal["slack_webhook"]
    url: SecretStr | None = None
    url_file: FilePath | None = None
    url_env: VariableName | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> "SlackWebhook":
        _exactly_one(url=self.url, url_file=self.url_file, url_env=self.url_env)
        return self

    @property
    def kept(self) -> KeptText:
        """Where the address stands."""
        return KeptText(value=self.url, file=self.url_file, env=self.url_env)


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class SlackBot:
    """Notices posted to a Slack channel by a bot, in threads. `channel` is its id (`C…`) or `#name`."""

    kind: Literal["slack_bot"]
    channel: Annotated[str, Field(min_length=1)]
    token: SecretStr | None = None
    token_file: FilePath | None = None
    token_env: VariableName | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> "SlackBot":
        _exactly_one(token=self.token, token_file=self.token_file, token_env=self.token_env)
        return self

    @property
    def kept(self) -> KeptText:
        """Where the token stands."""
        return KeptText(value=self.token, file=self.token_file, env=self.token_env)


Channel = Annotated[ConsoleNotices | SlackWebhook | SlackBot, Discriminator("kind")]


def _console() -> dict[str, Channel]:
    return {"console": ConsoleNotices(kind="console")}


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class Notices:
    """Which channel hears of what. An empty name means that nobody is told."""

    default: str = "console"
    operators: str = "console"
    templates: dict[str, str] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)
    channels: dict[str, Channel] = field(default_factory=_console)

    @property
    def routing(self) -> Routing:
        """As the flows know it."""
        return Routing(self.default, self.operators, self.templates, self.owners)


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class UpdateWindow:
    """Hours of some days of every week in which updates may begin by themselves; without days, of all."""

    days: tuple[Day, ...] = ()
    opens: Hour
    closes: Hour
    time_zone: TimeZone = "UTC"

    @property
    def window(self) -> Window:
        """As the flows know it."""
        hours = time.fromisoformat(self.opens), time.fromisoformat(self.closes)
        return Window(frozenset(self.days or WEEK), *hours, ZoneInfo(self.time_zone))


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class UpdatePolicy:
    """How the environments it fits are updated. Names and owners may be patterns with `*`; none of them fits all."""

    environments: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()
    update: UpdateMode = UpdateMode.MANUAL
    stage: str = ""
    windows: tuple[UpdateWindow, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class UpdateStage:
    """A stage of automatic updates, and for how long the next one waits after the last update in it."""

    name: Annotated[str, Field(min_length=1)]
    soak: Duration = timedelta()


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class Updates:
    """What is updated without anybody asking: nothing, unless a policy says so. The first that fits holds."""

    stages: tuple[UpdateStage, ...] = ()
    policies: tuple[UpdatePolicy, ...] = ()

    @model_validator(mode="after")
    def _fits(self) -> "Updates":
        names = [stage.name for stage in self.stages]
        if len(set(names)) < len(names):
            raise fault("two stages have the same name", "rename one")
        for policy in self.policies:
            if policy.stage and policy.stage not in names:
                cure = suggestion(policy.stage, names) or "name it under `updates.stages`"
                raise fault(f"there is no stage `{policy.stage}`", cure)
            if names and not policy.stage and policy.update is not UpdateMode.MANUAL:
                raise fault("a policy names no stage", f"write `stage:` and one of {', '.join(names)}")
        return self

    @property
    def as_policies(self) -> Policies:
        """As the flows know it."""
        names = [stage.name for stage in self.stages]
        stages = tuple(Stage(stage.name, stage.soak) for stage in self.stages)
        policies = tuple(
            Policy(
                each.update,
                each.environments,
                each.owners,
                tuple(window.window for window in each.windows),
                names.index(each.stage) if each.stage else 0,
            )
            for each in self.policies
        )
        return Policies(policies, stages) if stages else Policies(policies)


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class GitHub:
    """Sign-in with GitHub. `roles` are by `organisation` or `organisation/team`; whoever is in none is refused."""

    client_id: Annotated[str, Field(min_length=1)]
    client_secret: SecretStr | None = None
    client_secret_file: FilePath | None = None
    client_secret_env: VariableName | None = None
    url: HttpUrl = "https://github.com"
    roles: dict[Annotated[str, AfterValidator(check_group)], Role]

    @model_validator(mode="after")
    def _fits(self) -> "GitHub":
        _exactly_one(
            client_secret=self.client_secret,
            client_secret_file=self.client_secret_file,
            client_secret_env=self.client_secret_env,
        )
        if not self.roles:
            raise fault("`roles` is empty, so that nobody could sign in", "name an organisation or a team")
        return self

    @property
    def kept(self) -> KeptText:
        """Where the secret stands."""
        return KeptText(value=self.client_secret, file=self.client_secret_file, env=self.client_secret_env)


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class Proxy:
    """Users named by a proxy in front, in the headers of each request. `otherwise` is the role of those in no group
    of `roles`; without it they are refused."""

    user_header: HeaderName
    email_header: HeaderName | None = None
    groups_header: HeaderName | None = None
    roles: dict[str, Role] = field(default_factory=dict)
    otherwise: Role | None = None

    @model_validator(mode="after")
    def _fits(self) -> "Proxy":
        if self.roles and not self.groups_header:
            raise fault("`roles` are given without `groups_header`", "name the header that lists a user's groups")
        if not self.roles and self.otherwise is None:
            raise fault("there is no role for anybody", "give `roles` by group, or one for all as `otherwise`")
        return self


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class Access:
    """Who comes in and how, for how long, and what binds them beyond their roles."""

    passwords: bool = True
    session_for: Annotated[Duration, AfterValidator(at_least(timedelta(minutes=1)))] = timedelta(hours=12)
    idle_for: Annotated[Duration, AfterValidator(at_least(timedelta(minutes=1)))] = timedelta(hours=2)
    owners_only: bool = True
    authors_may_publish: bool = True
    trusted_proxies: tuple[Network, ...] = ()
    github: GitHub | None = None
    proxy: Proxy | None = None

    @model_validator(mode="after")
    def _fits(self) -> "Access":
        if self.proxy is not None and not self.trusted_proxies:
            raise fault("`proxy` is given without `trusted_proxies`", "name the addresses that it asks from")
        if not self.passwords and self.github is None and self.proxy is None:
            raise fault("nobody could sign in", "allow passwords, GitHub or a proxy")
        return self

    @property
    def rules(self) -> Rules:
        """As the flows know them."""
        return Rules(owners_only=self.owners_only, authors_may_publish=self.authors_may_publish)


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class Log:
    """What is logged, and how: JSON lines, a console's coloured lines, or whichever fits where it goes."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "console"] = "auto"


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class Metrics:
    """Who may read the metrics: nobody, and then nothing is counted, unless networks or a token are given. A worker
    that runs by itself answers at `worker_port`."""

    networks: tuple[Network, ...] = ()
    token: SecretStr | None = None
    token_file: FilePath | None = None
    token_env: VariableName | None = None
    worker_host: str = "127.0.0.1"
    worker_port: Annotated[Whole, Field(ge=0, le=65535)] | None = None

    @model_validator(mode="after")
    def _fits(self) -> "Metrics":
        _at_most_one(token=self.token, token_file=self.token_file, token_env=self.token_env)
        if self.worker_port is not None and not self.readable:
            raise fault("`worker_port` is given, and nobody may read there", "give `networks` or a token")
        return self

    @property
    def readable(self) -> bool:
        """Whether anybody may read them."""
        return bool(self.networks or self.kept)

    @property
    def kept(self) -> KeptText | None:
        """Where the token stands, if there is one."""
        return _kept(self.token, self.token_file, self.token_env)


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class Tracing:
    """The address of a collector of traces, that takes OTLP over HTTP. Without one, nothing is traced."""

    endpoint: HttpUrl = ""


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class Settings:
    """All settings, checked. Paths are absolute."""

    state: FilePath = Path("upkeep-state")
    database: Database = field(default_factory=Database)
    web: Web = field(default_factory=Web)
    worker: Work = field(default_factory=Work)
    git: Git = field(default_factory=Git)
    sources: tuple[DeclaredSource, ...] = ()
    webhooks: Webhooks = field(default_factory=Webhooks)
    rendering: Rendering = field(default_factory=Rendering)
    limits: Limits = field(default_factory=Limits)
    provisioner: Literal["local", "cloudformation"] = "local"
    local: Local = field(default_factory=Local)
    cloudformation: CloudFormation = field(default_factory=CloudFormation)
    proton: Proton = field(default_factory=Proton)
    previews: Previews = field(default_factory=Previews)
    drift: Drift = field(default_factory=Drift)
    notices: Notices = field(default_factory=Notices)
    updates: Updates = field(default_factory=Updates)
    access: Access = field(default_factory=Access)
    retention: Retention = field(default_factory=Retention)
    log: Log = field(default_factory=Log)
    metrics: Metrics = field(default_factory=Metrics)
    tracing: Tracing = field(default_factory=Tracing)

    @property
    def stacks(self) -> Path:
        """The folder of the local provisioner."""
        return self.local.folder or self.state / "local"

    @property
    def public_url(self) -> str:
        """How people reach the web server, without a final slash."""
        host = "localhost" if self.web.host in ("", "0.0.0.0", "::") else self.web.host  # noqa: S104  (compared only)
        if ":" in host:
            host = f"[{host}]"
        return self.web.public_url or f"http://{host}:{self.web.port}"

    @property
    def declared(self) -> tuple[Source, ...]:
        """The sources of the file, as the flows know them."""
        return tuple(declared.source for declared in self.sources)


def _kept(value: SecretStr | None, file: Path | None, env: str | None) -> KeptText | None:
    return KeptText(value=value, file=file, env=env) if value or file or env else None


def _credential(file: Path | None, env: str | None) -> Credential:
    if file:
        return Credential(CredentialKind.TOKEN_FILE, str(file))
    return Credential(CredentialKind.TOKEN_ENV, env) if env else Credential()


def _at_most_one(**given: object) -> None:
    named = [f"`{name}`" for name, value in given.items() if value]
    if len(named) > 1:
        raise fault(f"{' and '.join(named)} are given together", "keep one of them")


def _exactly_one(**given: object) -> None:
    if not any(given.values()):
        raise fault(f"none of {', '.join(f'`{name}`' for name in given)} is given", "give one of them")
    _at_most_one(**given)
