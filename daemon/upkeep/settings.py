"""Settings: the configuration file, read once at start and checked as a whole.

A file in YAML, in which texts may refer to environment variables as `${NAME}` or `${NAME:-default}` (`$${` writes
a plain `${`); then environment variables named `UPKEEP_SECTION__KEY`, which win over the file. Every fault found is
reported at once, with its place. `config/upkeep.yaml` in the source documents each setting.
"""

import dataclasses
import difflib
import re
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from datetime import time, timedelta
from enum import StrEnum
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    SecretStr,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic.dataclasses import dataclass
from pydantic_core import ErrorDetails, PydanticCustomError

from upkeep.domain import documents
from upkeep.domain.addresses import check_address, check_branch, check_subdirectory
from upkeep.domain.documents import Document
from upkeep.domain.errors import CallerError, SettingsError, UpkeepError
from upkeep.domain.findings import Finding
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

ENVIRONMENT_PREFIX = "UPKEEP_"
CONFIG_VARIABLE = "UPKEEP_CONFIG"
"""The environment variable that names the configuration file."""

SYSTEM_FILE = Path("/etc/upkeep/upkeep.yaml")
LOCAL_FILE = Path("upkeep.yaml")

_STRICT = ConfigDict(extra="forbid", validate_default=True)

# ------------------------------------------------------------------------------------- durations and sizes

_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")
_HOUR = re.compile(r"([01]\d|2[0-3]):[0-5]\d")
_GITHUB_GROUP = re.compile(r"[\w-]+(/[\w.-]+)?")
_SIZE = re.compile(r"(\d+)\s*(B|KB|MB|GB)", re.IGNORECASE)
_UNITS = {"B": 1, "KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30}
_LONGEST = timedelta(days=36500)
"""A time that long ago, or that far ahead, is still one that databases can write down."""


def parse_duration(text: object) -> timedelta:
    """Read `30s`, `5m`, `1h30m` or `2d`, a hundred years at most. ValueError, with a cure, for anything else."""
    if isinstance(text, timedelta):
        return text
    found = _DURATION.fullmatch(text.strip()) if isinstance(text, str) else None
    if found is None or not any(found.groups()):
        raise _fault(f"`{text}` is not a duration", "write a number and its unit, for example 30s, 5m, 1h30m or 2d")
    days, hours, minutes, seconds = (int(group or 0) for group in found.groups())
    try:
        span = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    except OverflowError:
        span = timedelta.max
    return _within(span, str(text), _LONGEST)


def _within(span: timedelta, text: str, longest: timedelta) -> timedelta:
    if span > longest:
        raise _fault(f"`{text}` is too long", f"write at most {write_duration(longest)}")
    return span


def write_duration(span: timedelta) -> str:
    """The shortest text that `parse_duration` reads as this span; whole seconds."""
    seconds = int(span.total_seconds())
    parts = ((seconds // 86400, "d"), (seconds // 3600 % 24, "h"), (seconds // 60 % 60, "m"), (seconds % 60, "s"))
    return "".join(f"{number}{unit}" for number, unit in parts if number) or "0s"


def _parse_size(text: object) -> int:
    if isinstance(text, int) and not isinstance(text, bool):
        return text
    found = _SIZE.fullmatch(text.strip()) if isinstance(text, str) else None
    if found is None:
        raise _fault(f"`{text}` is not a size", "write a number and its unit, for example 512MB")
    return int(found[1]) * _UNITS[found[2].upper()]


def _parse_whole(number: object) -> object:
    """Python counts with true and false as well."""
    if isinstance(number, bool):
        raise PydanticCustomError("int_type", "a flag")
    return number


def _write_size(size: int) -> str:
    unit = next(unit for unit in reversed(_UNITS) if size % _UNITS[unit] == 0)
    return f"{size // _UNITS[unit]}{unit}"


def _parse_path(text: object, info: ValidationInfo) -> object:
    """Relative paths count from the folder of the configuration file."""
    if not isinstance(text, str | Path):
        return text
    if not str(text).strip():
        raise _fault("the path is empty", "name a file or folder, or leave the setting out")
    folder = (info.context or {}).get("folder", Path())
    return (Path(folder) / Path(text).expanduser()).absolute()


def _parse_url(text: object) -> object:
    if isinstance(text, str) and text:
        parts = urlsplit(text)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise _fault(f"`{text}` is not an http address", "write it as https://upkeep.example.com")
        return text.rstrip("/")
    return text


def _check_root(url: str) -> str:
    """Addresses on our pages begin at the root of their host."""
    if urlsplit(url).path:
        raise _fault(f"`{url}` leads to a folder of its host", "give Upkeep a host name of its own")
    return url


def _check_hour(text: str) -> str:
    if not _HOUR.fullmatch(text):
        raise _fault(f"`{text}` is no time of the day", 'write it like "09:30", in quotes')
    return text


def _check_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise _fault(f"`{name}` is no time zone", "write it like Europe/Berlin, or UTC") from None
    return name


def _at_least(shortest: timedelta) -> Callable[[timedelta], timedelta]:
    def check(span: timedelta) -> timedelta:
        if span < shortest:
            raise _fault(f"`{write_duration(span)}` is too short", f"write at least {write_duration(shortest)}")
        return span

    return check


def _at_most(longest: timedelta) -> Callable[[timedelta], timedelta]:
    return lambda span: _within(span, write_duration(span), longest)


def _fault(message: str, cure: str) -> PydanticCustomError:
    return PydanticCustomError("upkeep", "{message}", {"message": message, "cure": cure})


def _checked(check: Callable[[str], object]) -> AfterValidator:
    """Accept what a rule of the domain accepts, and say what it says."""

    def accept(text: str) -> str:
        try:
            check(text)
        except CallerError as error:
            raise _fault(error.message, error.cure or "") from None
        return text

    return AfterValidator(accept)


def _trimmed(ends: str) -> Callable[[object], object]:
    return lambda text: text.strip(ends) if isinstance(text, str) else text


def _check_form(url: str) -> None:
    """The form of a repository's address; whether places on this machine are allowed is another setting."""
    check_address(url, allow_local=True)


def _check_network(text: str) -> str:
    try:
        ip_network(text)
    except ValueError:
        raise _fault(f"`{text}` is no address and no network", "write it like 10.0.0.7 or 10.0.0.0/8") from None
    return text


def _check_group(text: str) -> str:
    if not _GITHUB_GROUP.fullmatch(text):
        raise _fault(f"`{text}` is no organisation and no team", "write it like acme or acme/platform")
    return text


Duration = Annotated[timedelta, BeforeValidator(parse_duration)]
Span = Annotated[Duration, AfterValidator(_at_least(timedelta(seconds=1)))]
# Git, the kernel and PostgreSQL count milliseconds in 32 bits.
Patience = Annotated[Span, AfterValidator(_at_most(timedelta(days=7)))]
Size = Annotated[int, BeforeValidator(_parse_size), Field(le=1 << 50)]
Whole = Annotated[int, BeforeValidator(_parse_whole)]
AtOnce = Annotated[Whole, Field(ge=1, le=64)]
Count = Annotated[Whole, Field(ge=1, le=1_000_000_000)]
FilePath = Annotated[Path, BeforeValidator(_parse_path)]
HttpUrl = Annotated[str, BeforeValidator(_parse_url)]
Hour = Annotated[str, AfterValidator(_check_hour)]
TimeZone = Annotated[str, AfterValidator(_check_zone)]
VariableName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]

HeaderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]+$")]
Network = Annotated[str, AfterValidator(_check_network)]

_REGION = re.compile(r"[a-z]{2,}(-[a-z]+)+-\d+")
_ROLE = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+")
_HOST = re.compile(r"[0-9A-Za-z.-]*")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


def _check_region(region: str) -> None:
    if region and not _REGION.fullmatch(region):
        raise _fault(f"`{region}` is not a region of AWS", "write it like eu-west-1")


# ------------------------------------------------------------------------------------------------ sections


@dataclass(frozen=True, slots=True, kw_only=True, config=_STRICT)
class KeptText:
    """A secret where it stands: written here, in a file, or in an environment variable; exactly one of them."""

    value: SecretStr | None = None
    file: FilePath | None = None
    env: VariableName | None = None

    @property
    def credential(self) -> Credential:
        """The reference to follow; of kind `none` when the value stands in the configuration itself."""
        return _credential(self.file, self.env)


@dataclass(frozen=True, slots=True, kw_only=True, config=_STRICT)
class Migration:
    """How long changing the tables may take: waiting for another process that does so, for whoever works on a table,
    and one statement."""

    wait: Patience = timedelta(minutes=5)
    lock_timeout: Patience = timedelta(seconds=10)
    statement_timeout: Patience = timedelta(minutes=15)


@dataclass(frozen=True, slots=True, kw_only=True, config=_STRICT)
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


@dataclass(frozen=True, slots=True, kw_only=True, config=_STRICT)
class Web:
    """The web server. `public_url` is how people and GitHub reach it, if not at its host and port."""

    host: str = "127.0.0.1"
    port: Annotated[Whole, Field(ge=0, le=65535)] = 8080
    workers: Annotated[Whole, Field(ge=1, le=64)] = 2
    threads: Annotated[Whole, Field(ge=1, le=256)] = 16
    public_url: Annotated[HttpUrl, AfterValidator(_check_root)] = ""


@dataclass(frozen=True, slots=True, kw_only=True, config=_STRICT)
class Work:
    """The worker. `concurrency` counts for each kind of work by itself, so that no kind starves another; `at_once` says
    it for single kinds."""

    concurrency: AtOnce = 4
    at_once: dict[WorkKind, AtOnce] = field(default_factory=dict)
    lease: Annotated[Duration, AfterValidator(_at_least(timedelta(seconds=3)))] = timedelta(seconds=60)


@dataclass(frozen=True, slots=True, kw_only=True, config=_STRICT)
class Git:
    """How repositories are read. `memory` bounds what each process of git holds, `fetch` what one fetch may bring.
    `allow_local` accepts `file:` addresses and paths; with `known_hosts_file` no other SSH host is trusted."""

    timeout: Patience = timedelta(minutes=2)
    memory: Annotated[Size, Field(ge=64 << 20)] = 1 << 30
    fetch: Annotated[Size, Field(ge=1 << 20)] = 2 << 30
    allow_local: bool = False
    known_hosts_file: FilePath | None = None


@dataclass(frozen=True, slots=True, kw_only=True, config=_STRICT)
class DeclaredSource:
    """One repository, branch and folder that templates are read from."""

    name: Annotated[str, _checked(parse_source_name)]
    url: Annotated[str, BeforeValidator(_trimmed(" ")), _checked(_check_form)]
    branch: Annotated[str, _checked(check_branch)] = "main"
    subdirectory: Annotated[str, BeforeValidator(_trimmed("/")), _checked(check_subdirectory)] = ""
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


@dataclass(frozen=True, slots=True, kw_only=True, config=_STRICT)
class Webhooks:
    """Secrets that sign webhooks of any source; several while they are rotated. A file holds one a line."""

    secrets: tuple[SecretStr, ...] = ()
    secrets_file: FilePath | None = None
    secrets_env: VariableName | None = None

    @model_validator(mode="after")
    def _not_empty(self) -> "Webhooks":
        if any(not secret.get_secret_value().strip() for secret in self.secrets):
            raise _fault("a webhook secret is empty", "write the secret or remove the line")
        return self


@dataclass(frozen=True, slots=True, kw_only=True, config=_STRICT)
class Rendering:
    """The limits of one rendering, and how many each process of the daemon has at a time."""

    time: Patience = timedelta(seconds=3)
    memory: Annotated[Size, Field(ge=64 << 20)] = 512 << 20
    output: Annotated[Size, Field(ge=1)] = 2 << 20
    at_once: AtOnce = 2


@dataclass(frozen=True, slots=True, kw_only=True, config=_STRICT)
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


@dataclass(frozen=True, slots=True, kw_only=True, config=_STRICT)
class Pipelines:
    """Where the stacks of pipelines live. `external_id` is what the role's trust policy asks for; it is no secret."""

    region: str = ""
    role_arn: str = ""
    external_id: str = ""

    @model_validator(mode="after")
    def _fits(self) -> "Pipelines":
        _check_region(self.region)
        if self.role_arn and not _ROLE.fullmatch(self.role_arn):
            raise _fault(f"`{self.role_arn}` is not a role", "write it as arn:aws:iam::123456789012:role/NAME")
        if self.external_id and not self.role_arn:
            raise _fault("`external_id` is given without `role_arn`", "name the role that asks for it")
        return self

    @property
    def placement(self) -> Placement:
        """As the flows know it. The account is the role's."""
        account = self.role_arn.split(":")[4] if self.role_arn else ""
        return Placement(account, self.region, self.role_arn, self.external_id)


@dataclass(frozen=True, slots=True, kw_only=True, config=_STRICT)
class Local:
    """Where the local provisioner writes its stacks. Without a folder, it is `local` in the state folder."""

    folder: FilePath | None = None


@dataclass(frozen=True, slots=True, kw_only=True, config=_STRICT)
class CloudFormation:
    """How stacks are made in AWS. Credentials are not among this: they come from where every AWS tool finds them."""

    region: str = ""
    endpoint_url: HttpUrl = ""
    template_bucket: str = ""
    pipelines: Pipelines = field(default_factory=Pipelines)
    tags: dict[str, str] = field(default_factory=dict)

    @model_validator(mode="after")
    def _fits(self) -> "CloudFormation":
        _check_region(self.region)
        if self.template_bucket and not _BUCKET.fullmatch(self.template_bucket):
            raise _fault(f"`{self.template_bucket}` is not the name of a bucket", "write the bucket's bare name")
        try:
            parse_tags(f"{key}={value}" for key, value in self.tags.items())
        except CallerError as error:
            raise _fault(error.message, error.cure or "") from None
        return self


@dataclass(frozen=True, slots=True, kw_only=True, config=_STRICT)
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
        _check_region(self.region)
        if not _HOST.fullmatch(self.host):
            raise _fault(f"`{self.host}` is not a host name", "write the bare name, without `https://` and port")
        _at_most_one(key=self.key, key_file=self.key_file, key_env=self.key_env)
        return self

    @property
    def kept(self) -> KeptText | None:
        """Where the key stands, None for the default."""
        return _kept(self.key, self.key_file, self.key_env)


@dataclass(frozen=True, slots=True, kw_only=True, config=_STRICT)
class Previews:
    """Whether drafts are checked with change sets only when somebody asks, or always."""

    change_sets: Literal["on_demand", "always"] = "on_demand"


@dataclass(frozen=True, slots=True, kw_only=True, config=_STRICT)
class Drift:
    """How often every resource is compared with what was deployed; None for only when somebody asks."""

    every_for: Annotated[Duration, AfterValidator(_at_least(timedelta(hours=1)))] | None = None


@dataclass(frozen=True, slots=True, kw_only=True, config=_STRICT)
class Retention:
    """How long old records are kept; None for ever."""

    deliveries: Annotated[Duration, AfterValidator(_at_least(timedelta(days=7)))] | None = timedelta(days=90)
    notices: Annotated[Duration, AfterValidator(_at_least(timedelta(days=1)))] | None = timedelta(days=90)
    renderings: Annotated[Duration, AfterValidator(_at_least(timedelta(days=1)))] | None = timedelta(days=365)
    previews: Annotated[Duration, AfterValidator(_at_least(timedelta(days=1)))] | None = timedelta(days=365)
    plans: Annotated[Duration, AfterValidator(_at_least(timedelta(days=1)))] | None = timedelta(days=30)
    journal: Annotated[Duration, AfterValidator(_at_least(timedelta(days=90)))] | None = None

    @property
    def spans(self) -> Mapping[Records, timedelta]:
        """Those that are not kept for ever."""
        chosen = {records: getattr(self, records) for records in Records}
        return {records: span for records, span in chosen.items() if span is not None}


@dataclass(frozen=True, slots=True, kw_only=True, config=_STRICT)
class ConsoleNotices:
    """Notices written into the worker's own output."""

    kind: Literal["console"]


@dataclass(frozen=True, slots=True, kw_only=True, config=_STRICT)
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


@dataclass(frozen=True, slots=True, kw_only=True, config=_STRICT)
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


@dataclass(frozen=True, slots=True, kw_only=True, config=_STRICT)
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


@dataclass(frozen=True, slots=True, kw_only=True, config=_STRICT)
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


@dataclass(frozen=True, slots=True, kw_only=True, config=_STRICT)
class UpdatePolicy:
    """How the environments it fits are updated. Names and owners may be patterns with `*`; none of them fits all."""

    environments: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()
    update: UpdateMode = UpdateMode.MANUAL
    stage: str = ""
    windows: tuple[UpdateWindow, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, config=_STRICT)
class UpdateStage:
    """A stage of automatic updates, and for how long the next one waits after the last update in it."""

    name: Annotated[str, Field(min_length=1)]
    soak: Duration = timedelta()


@dataclass(frozen=True, slots=True, kw_only=True, config=_STRICT)
class Updates:
    """What is updated without anybody asking: nothing, unless a policy says so. The first that fits holds."""

    stages: tuple[UpdateStage, ...] = ()
    policies: tuple[UpdatePolicy, ...] = ()

    @model_validator(mode="after")
    def _fits(self) -> "Updates":
        names = [stage.name for stage in self.stages]
        if len(set(names)) < len(names):
            raise _fault("two stages have the same name", "rename one")
        for policy in self.policies:
            if policy.stage and policy.stage not in names:
                cure = _suggestion(policy.stage, names) or "name it under `updates.stages`"
                raise _fault(f"there is no stage `{policy.stage}`", cure)
            if names and not policy.stage and policy.update is not UpdateMode.MANUAL:
                raise _fault("a policy names no stage", f"write `stage:` and one of {', '.join(names)}")
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


@dataclass(frozen=True, slots=True, kw_only=True, config=_STRICT)
class GitHub:
    """Sign-in with GitHub. `roles` are by `organisation` or `organisation/team`; whoever is in none is refused."""

    client_id: Annotated[str, Field(min_length=1)]
    client_secret: SecretStr | None = None
    client_secret_file: FilePath | None = None
    client_secret_env: VariableName | None = None
    url: HttpUrl = "https://github.com"
    roles: dict[Annotated[str, AfterValidator(_check_group)], Role]

    @model_validator(mode="after")
    def _fits(self) -> "GitHub":
        _exactly_one(
            client_secret=self.client_secret,
            client_secret_file=self.client_secret_file,
            client_secret_env=self.client_secret_env,
        )
        if not self.roles:
            raise _fault("`roles` is empty, so that nobody could sign in", "name an organisation or a team")
        return self

    @property
    def kept(self) -> KeptText:
        """Where the secret stands."""
        return KeptText(value=self.client_secret, file=self.client_secret_file, env=self.client_secret_env)


@dataclass(frozen=True, slots=True, kw_only=True, config=_STRICT)
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
            raise _fault("`roles` are given without `groups_header`", "name the header that lists a user's groups")
        if not self.roles and self.otherwise is None:
            raise _fault("there is no role for anybody", "give `roles` by group, or one for all as `otherwise`")
        return self


@dataclass(frozen=True, slots=True, kw_only=True, config=_STRICT)
class Access:
    """Who comes in and how, for how long, and what binds them beyond their roles."""

    passwords: bool = True
    session_for: Annotated[Duration, AfterValidator(_at_least(timedelta(minutes=1)))] = timedelta(hours=12)
    idle_for: Annotated[Duration, AfterValidator(_at_least(timedelta(minutes=1)))] = timedelta(hours=2)
    owners_only: bool = True
    authors_may_publish: bool = True
    trusted_proxies: tuple[Network, ...] = ()
    github: GitHub | None = None
    proxy: Proxy | None = None

    @model_validator(mode="after")
    def _fits(self) -> "Access":
        if self.proxy is not None and not self.trusted_proxies:
            raise _fault("`proxy` is given without `trusted_proxies`", "name the addresses that it asks from")
        if not self.passwords and self.github is None and self.proxy is None:
            raise _fault("nobody could sign in", "allow passwords, GitHub or a proxy")
        return self

    @property
    def rules(self) -> Rules:
        """As the flows know them."""
        return Rules(owners_only=self.owners_only, authors_may_publish=self.authors_may_publish)


@dataclass(frozen=True, slots=True, kw_only=True, config=_STRICT)
class Log:
    """What is logged, and how: JSON lines, a console's coloured lines, or whichever fits where it goes."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "console"] = "auto"


@dataclass(frozen=True, slots=True, kw_only=True, config=_STRICT)
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
            raise _fault("`worker_port` is given, and nobody may read there", "give `networks` or a token")
        return self

    @property
    def readable(self) -> bool:
        """Whether anybody may read them."""
        return bool(self.networks or self.kept)

    @property
    def kept(self) -> KeptText | None:
        """Where the token stands, if there is one."""
        return _kept(self.token, self.token_file, self.token_env)


@dataclass(frozen=True, slots=True, kw_only=True, config=_STRICT)
class Tracing:
    """The address of a collector of traces, that takes OTLP over HTTP. Without one, nothing is traced."""

    endpoint: HttpUrl = ""


@dataclass(frozen=True, slots=True, kw_only=True, config=_STRICT)
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


_SETTINGS = TypeAdapter(Settings)
_SOURCE = TypeAdapter(DeclaredSource)


def _kept(value: SecretStr | None, file: Path | None, env: str | None) -> KeptText | None:
    return KeptText(value=value, file=file, env=env) if value or file or env else None


def _credential(file: Path | None, env: str | None) -> Credential:
    if file:
        return Credential(CredentialKind.TOKEN_FILE, str(file))
    return Credential(CredentialKind.TOKEN_ENV, env) if env else Credential()


def _at_most_one(**given: object) -> None:
    named = [f"`{name}`" for name, value in given.items() if value]
    if len(named) > 1:
        raise _fault(f"{' and '.join(named)} are given together", "keep one of them")


def _exactly_one(**given: object) -> None:
    if not any(given.values()):
        raise _fault(f"none of {', '.join(f'`{name}`' for name in given)} is given", "give one of them")
    _at_most_one(**given)


# ------------------------------------------------------------------------------------------------- reading

Key = tuple[str | int, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class _Fault:
    line: int
    where: str
    what: str
    cure: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}" + (f" ({self.cure})" if self.cure else "")


_REPEATING = frozenset({"yaml-tag", "unknown-anchor", "bad-value"})
"""Findings that say what stands in a text, which may be a secret here."""


def _fault_in(found: Finding) -> _Fault:
    if found.slug in _REPEATING:
        return _Fault(found.line or 0, found.where, "YAML does not take this for a text", "put it into quotes")
    return _Fault(found.line or 0, found.where, found.message, found.cure or "")


@dataclasses.dataclass(frozen=True, slots=True)
class _Place:
    """Finds the place of a setting: in the file, or the environment variable that overrode it."""

    document: Document
    overrides: Mapping[Key, str]

    def fault(self, key: Key, what: str, cure: str = "") -> _Fault:
        for length in range(len(key), 0, -1):
            if variable := self.overrides.get(key[:length]):
                return _Fault(0, f"environment variable {variable}", what, cure)
        return _Fault(self.document.line(*key), self.document.where(*key), what, cure)


def declare_source(**given: Any) -> Source:
    """A source from settings given one by one, checked like those of a file; CallerError with every fault."""
    given = {name: value for name, value in given.items() if value is not None}
    nowhere = _Place(Document(None, ""), {})
    try:
        return _SOURCE.validate_python(given).source
    except ValidationError as error:
        faults = [_fault_of(details, given, nowhere) for details in error.errors(include_url=False)]
    cure = "; ".join(fault.cure for fault in faults if fault.cure)
    raise CallerError("\n".join(fault.what for fault in faults), cure=cure or None)


def find(named: Path | None, environ: Mapping[str, str], folder: Path) -> Path | None:
    """The configuration file: the named one, `UPKEEP_CONFIG`, `upkeep.yaml` in the folder, the system's, or none.

    A file that was named has to exist: `load` says so otherwise.
    """
    if named is not None:
        return named
    if environ.get(CONFIG_VARIABLE):
        return Path(environ[CONFIG_VARIABLE])
    return next((path for path in (folder / LOCAL_FILE, SYSTEM_FILE) if path.is_file()), None)


def load(path: Path | None, environ: Mapping[str, str]) -> Settings:
    """Read the settings: the file, if any, then the environment. Raises SettingsError with every fault."""
    text = ""
    name = "the defaults"
    if path is not None:
        name = str(path)
        try:
            text = documents.decode(path.read_bytes(), name)
        except OSError as error:
            cure = f"create it, correct --config or {CONFIG_VARIABLE}, or make it readable for you"
            raise SettingsError([f"{path}: cannot be read: {error.strerror} ({cure})"]) from error
        except UpkeepError as error:
            raise SettingsError([str(error)]) from error
    return read(text, name, folder=path.parent if path else Path(), environ=environ)


def read(text: str, name: str, *, folder: Path, environ: Mapping[str, str]) -> Settings:
    """The settings that a file's text and an environment give. Relative paths count from `folder`."""
    document, findings = documents.read(text, name)
    faults = [_fault_in(found) for found in findings]
    if document is None:
        raise SettingsError([str(fault) for fault in faults])
    given = {} if document.value is None else document.value
    if not isinstance(given, dict):
        raise SettingsError([f"{name}:1: the file is not a mapping of settings (write `section:` lines)"])
    overridden, overrides, faults_there = _overridden(given, environ)
    place = _Place(document, overrides)
    data, missing = _interpolated(overridden, (), environ, place)
    faults += faults_there + missing
    try:
        settings = _SETTINGS.validate_python(data, context={"folder": folder})
    except ValidationError as error:
        faults += [_fault_of(details, data, place) for details in error.errors(include_url=False)]
    else:
        faults += _contradictions(settings, place)
        if not faults:
            return settings
    raise SettingsError([str(fault) for fault in sorted(faults, key=lambda fault: (fault.line, fault.where))])


def _overridden(
    given: dict[Any, Any], environ: Mapping[str, str]
) -> tuple[dict[Any, Any], dict[Key, str], list[_Fault]]:
    data = {section: dict(values) if isinstance(values, dict) else values for section, values in given.items()}
    overrides: dict[Key, str] = {}
    faults = []
    known = {"__".join(key).upper(): key for key in _keys(Settings)}
    for variable in sorted(environ):
        if not variable.startswith(ENVIRONMENT_PREFIX):
            continue
        wanted = variable.removeprefix(ENVIRONMENT_PREFIX)
        if wanted not in known:
            # Kubernetes gives every container of a namespace with a service `upkeep` variables such as UPKEEP_PORT.
            if "__" in wanted:
                cure = _suggestion(wanted, known, prefix=ENVIRONMENT_PREFIX)
                faults.append(_Fault(0, f"environment variable {variable}", "names no setting", cure))
            continue
        key = known[wanted]
        value: Any = environ[variable]
        if _is_collection(key):
            document, findings = documents.read(value, f"environment variable {variable}")
            if document is None or findings:
                faults += [_fault_in(found) for found in findings]
                continue
            value = document.value
        into = data
        for section in key[:-1]:
            if not isinstance(into.get(section), dict):
                into[section] = {}
            into = into[section]
        into[key[-1]] = value
        overrides[key] = variable
    return data, overrides, faults


def _keys(section: type, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    hints = typing.get_type_hints(section)
    for each in dataclasses.fields(section):
        if dataclasses.is_dataclass(hints[each.name]):
            yield from _keys(hints[each.name], (*above, each.name))
        else:
            yield (*above, each.name)


def _is_collection(key: Sequence[str]) -> bool:
    section: Any = Settings
    for name in key:
        section = typing.get_type_hints(section)[name]
    return typing.get_origin(section) in (tuple, dict)


_EVER = {("retention", records) for records in Records}
"""Settings that `null` says something in, which is not their default."""

_REFERENCE = re.compile(r"\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}|\$\{[^}]*\}?")


def _interpolated(value: Any, key: Key, environ: Mapping[str, str], place: _Place) -> tuple[Any, list[_Fault]]:
    """The value with its references followed and everything empty left out, so that its default counts; but for what
    means something when it is empty."""
    faults: list[_Fault] = []
    if isinstance(value, dict):
        filled = {}
        for name, inner in value.items():
            found, faults_there = _interpolated(inner, (*key, name), environ, place)
            faults += faults_there
            if (*key, name) in _EVER:
                # In the environment and behind a reference it is a text.
                filled[name] = None if found == "null" else found
            elif found is not None:
                filled[name] = found
        return filled, faults
    if isinstance(value, list):
        items = [_interpolated(inner, (*key, index), environ, place) for index, inner in enumerate(value)]
        return [item for item, _ in items], [fault for _, found in items for fault in found]
    if not isinstance(value, str) or any(key[:length] in place.overrides for length in range(len(key) + 1)):
        return value, []

    def follow(found: re.Match[str]) -> str:
        if found[0] == "$${":
            return "${"
        variable, default = found[1], found[2]
        if variable is None:
            faults.append(place.fault(key, f"`{found[0]}` is no reference", "write ${NAME} or ${NAME:-default}"))
        elif environ.get(variable) or (variable in environ and default is None):
            return environ[variable]
        elif default is None:
            faults.append(
                place.fault(
                    key, f"environment variable {variable} is not set", f"set it, or write ${{{variable}:-default}}"
                )
            )
        return default or ""

    return _REFERENCE.sub(follow, value), faults


def _contradictions(settings: Settings, place: _Place) -> list[_Fault]:
    faults = []
    names: set[str] = set()
    branches: dict[tuple[str, str, str], str] = {}
    for index, source in enumerate(settings.sources):
        if source.name in names:
            faults.append(
                place.fault(("sources", index, "name"), f"the name `{source.name}` is used twice", "rename one")
            )
        names.add(source.name)
        read_by = branches.setdefault((source.url, source.branch, source.subdirectory), source.name)
        if read_by != source.name:
            what = f"`{source.name}` reads the same branch and folder as `{read_by}`"
            faults.append(place.fault(("sources", index, "url"), what, "remove one of them"))
        try:
            check_address(source.url, allow_local=settings.git.allow_local)
        except CallerError as error:
            faults.append(place.fault(("sources", index, "url"), error.message, error.cure or ""))
    if len(settings.sources) > settings.limits.sources:
        what = f"{len(settings.sources)} sources are named, more than `limits.sources` allows"
        faults.append(place.fault(("sources",), what, "raise it, or name fewer"))
    notices = settings.notices
    routes: list[tuple[Key, str]] = [(("default",), notices.default), (("operators",), notices.operators)]
    routes += [(("templates", name), channel) for name, channel in notices.templates.items()]
    routes += [(("owners", name), channel) for name, channel in notices.owners.items()]
    for key, channel in routes:
        if channel and channel not in notices.channels:
            # One that is the default stands nowhere in the file.
            other = f", or name another as `notices.{key[0]}`" if len(key) == 1 else ""
            cure = _suggestion(channel, notices.channels) or f"describe it under `notices.channels`{other}"
            faults.append(place.fault(("notices", *key), f"there is no channel `{channel}`", cure))
    return faults


# ------------------------------------------------------------------------------------ faults in our words


def _fault_of(details: ErrorDetails, data: Any, place: _Place) -> _Fault:
    key = _key_in(details["loc"], data)
    dotted = _dotted(key)
    kind, context, given = details["type"], details.get("ctx", {}), details["input"]
    if kind == "upkeep":
        return place.fault(key, f"{dotted}: {context['message']}", context["cure"])
    if kind == "unexpected_keyword_argument":
        siblings = _siblings(key, data)
        cure = _suggestion(str(key[-1]), siblings) or f"known here: {', '.join(siblings)}"
        return place.fault(key, f"unknown setting `{dotted}`", cure)
    if kind == "missing":
        missing = str(details["loc"][-1])
        return place.fault(key, f"`{missing}` is missing" + (f" in `{dotted}`" if key else ""), f"add `{missing}: …`")
    if kind in ("dataclass_type", "dict_type", "model_attributes_type"):
        return place.fault(key, f"`{dotted}` is not a mapping", "write its settings below it, indented")
    if kind == "tuple_type":
        return place.fault(key, f"`{dotted}` is not a list", "write its entries below it, each after `- `")
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        kinds = context.get("expected_tags", "'console', 'slack_webhook', 'slack_bot'").replace("'", "`")
        return place.fault(key, f"`{dotted}` has no kind that is known", f"write `kind:` and one of {kinds}")
    if kind in ("literal_error", "enum"):
        expected = str(context["expected"]).replace("'", "")
        return place.fault(key, f"`{dotted}` cannot be `{given}`", f"write {expected}")
    if kind in ("string_type", "string_sub_type"):
        return place.fault(key, f"`{dotted}` is not a text", "put it into quotes")
    if kind.startswith(("int_", "bool_")):
        what = "a whole number" if kind.startswith("int_") else "`true` or `false`"
        return place.fault(key, f"`{dotted}` is not {what}", f"write {what}")
    if kind in ("greater_than_equal", "less_than_equal"):
        limit = context["ge"] if "ge" in context else context["le"]
        if _is_size(_hint_of(key)):
            limit = _write_size(limit)
        bound = "at least" if kind == "greater_than_equal" else "at most"
        return place.fault(
            key, f"`{dotted}` is too {'small' if bound == 'at least' else 'large'}", f"write {bound} {limit}"
        )
    if kind == "string_pattern_mismatch" and key[-1:] and str(key[-1]).endswith("_header"):
        return place.fault(key, f"`{dotted}` is not the name of a header", "use letters, digits and `-`")
    if kind == "string_pattern_mismatch":
        return place.fault(key, f"`{dotted}` is not the name of an environment variable", "use letters, digits and `_`")
    return place.fault(key, f"`{dotted}`: {details['msg'][:1].lower()}{details['msg'][1:]}")


def _key_in(location: Sequence[str | int], data: Any) -> Key:
    """The key path of a pydantic location, without the names of union members that it holds besides keys."""
    key: list[str | int] = []
    for part in location:
        match data:
            case dict() if part in data:
                data = data[part]
            case list() if isinstance(part, int) and part < len(data):
                data = data[part]
            case _:
                continue
        key.append(part)
    return tuple(key)


def _siblings(key: Key, data: Any) -> list[str]:
    """The settings that are known where an unknown one stands."""
    section: Any = Settings
    for part in key[:-1]:
        data = data[part]
        if isinstance(part, int) or typing.get_origin(section) is dict:
            section = _section_within(section, data)
        else:
            section = _required(typing.get_type_hints(section)[part])
    return [each.name for each in dataclasses.fields(section)]


def _hint_of(key: Key) -> Any:
    """What is said of the type of a setting; None for what stands in a list or mapping of one's own."""
    hint: Any = Settings
    for part in key:
        if not dataclasses.is_dataclass(hint):
            return None
        hint = typing.get_type_hints(hint, include_extras=True)[str(part)]
    return hint


def _required(section: Any) -> Any:
    """What an optional section is when it is given."""
    inner = [each for each in typing.get_args(section) if each is not type(None)]
    return inner[0] if len(inner) == 1 and dataclasses.is_dataclass(inner[0]) else section


def _section_within(collection: Any, data: Any) -> Any:
    if typing.get_origin(collection) is tuple:
        return typing.get_args(collection)[0]
    of_kind = {"console": ConsoleNotices, "slack_webhook": SlackWebhook, "slack_bot": SlackBot}
    return of_kind[data["kind"]]


def _dotted(key: Key) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in key)
    return text.removeprefix(".")


def _suggestion(given: str, known: Iterable[str], prefix: str = "") -> str:
    close = difflib.get_close_matches(given, list(known), n=1, cutoff=0.6)
    return f"did you mean `{prefix}{close[0]}`?" if close else ""


# ------------------------------------------------------------------------------------------------- showing


def shown(settings: Settings) -> dict[str, Any]:
    """The settings as a tree of plain values for people to read; secrets are replaced by `********`."""
    tree = _shown(settings)
    if settings.database.url is not None:
        tree["database"]["url"] = without_password(settings.database.url.get_secret_value())
    return typing.cast(dict[str, Any], tree)


def without_password(url: str) -> str:
    """An address that may be shown. What is no address at all may be a password in the wrong place."""
    if "://" not in url:
        return _HIDDEN
    return _PASSWORDS.sub(lambda found: f"{found[1]}{_HIDDEN}@" if found[1] else f"{found[2]}{_HIDDEN}", url)


_HIDDEN = "********"
_PASSWORDS = re.compile(r"(://[^:/?#@]*:).*@|([?&][^=&]*pass[^=&]*=)[^&]*", re.IGNORECASE | re.DOTALL)
"""In an address, up to its last `@`: whoever wrote it may have left some characters as they are."""


def _is_size(hint: Any) -> bool:
    return any(getattr(extra, "func", None) is _parse_size for extra in getattr(hint, "__metadata__", ()))


def _shown(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        hints = typing.get_type_hints(type(value), include_extras=True)
        return {
            each.name: _write_size(inner) if _is_size(hints[each.name]) else _shown(inner)
            for each in dataclasses.fields(value)
            if (inner := getattr(value, each.name)) is not None or each.default is not None
        }
    match value:
        case SecretStr():
            return _HIDDEN
        case str() if "://" in value:
            return without_password(value)
        case timedelta():
            return write_duration(value)
        case Path():
            return str(value)
        case tuple():
            return [_shown(each) for each in value]
        case dict():
            return {str(name): _shown(each) for name, each in value.items()}
        case StrEnum():
            return value.value
    return value
