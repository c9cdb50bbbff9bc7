"""The configuration: what is read, where faults stand, and what is never shown."""

from collections.abc import Mapping
from datetime import time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from upkeep import settings
from upkeep.domain.errors import CallerError, SettingsError
from upkeep.domain.policies import Day, Policies, Policy, UpdateMode, Window
from upkeep.domain.records import Records
from upkeep.domain.resources import Placement
from upkeep.domain.rollouts import Stage
from upkeep.domain.sources import Credential, CredentialKind, Drafts, Origin
from upkeep.settings import Settings, parse_duration, write_duration

FOLDER = Path("/etc/upkeep")


def read(text: str, environ: Mapping[str, str] | None = None) -> Settings:
    return settings.read(text, "upkeep.yaml", folder=FOLDER, environ=environ or {})


def faults(text: str, environ: Mapping[str, str] | None = None) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        read(text, environ)
    return caught.value.faults


def test_policies_of_updates_are_read_with_their_windows_and_stages() -> None:
    found = read(
        """\
updates:
  stages:
    - {name: test, soak: 1d}
    - name: production
  policies:
    - environments: ["test*"]
      update: minor_automatically
      stage: test
    - owners: [shop]
      update: minor_automatically
      stage: production
      windows:
        - {days: [monday], opens: "22:00", closes: "04:00", time_zone: Europe/Berlin}
        - {opens: "10:00", closes: "11:00"}
"""
    )
    night = Window(frozenset({Day.MONDAY}), time(22), time(4), ZoneInfo("Europe/Berlin"))
    daily = Window(frozenset(Day), time(10), time(11), ZoneInfo("UTC"))
    assert found.updates.as_policies == Policies(
        (
            Policy(UpdateMode.MINOR_AUTOMATICALLY, environments=("test*",)),
            Policy(UpdateMode.MINOR_AUTOMATICALLY, owners=("shop",), windows=(night, daily), stage=1),
        ),
        (Stage("test", timedelta(days=1)), Stage("production")),
    )
    assert settings.shown(found)["updates"]["policies"][1]["windows"][0]["days"] == ["monday"]
    assert not read("").updates.as_policies.automatic


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("web:\n  prot: 1\n", "upkeep.yaml:2: unknown setting `web.prot` (did you mean `port`?)"),
        ("wev:\n  port: 1\n", "upkeep.yaml:1: unknown setting `wev` (did you mean `web`?)"),
        ("log:\n  colour: no\n", "upkeep.yaml:2: unknown setting `log.colour` (known here: level, format)"),
        ("web:\n  port: high\n", "upkeep.yaml:2: `web.port` is not a whole number (write a whole number)"),
        ("web:\n  port: 70000\n", "upkeep.yaml:2: `web.port` is too large (write at most 65535)"),
        ("web:\n  threads: true\n", "upkeep.yaml:2: `web.threads` is not a whole number (write a whole number)"),
        ("limits:\n  request: 0\n", "upkeep.yaml:2: `limits.request` is too small (write at least 16KB)"),
        ("limits:\n  findings: yes\n", "upkeep.yaml:2: `limits.findings` is not a whole number (write a whole number)"),
        ("web:\n  threads: 0\n", "upkeep.yaml:2: `web.threads` is too small (write at least 1)"),
        ("web: 8080\n", "upkeep.yaml:1: `web` is not a mapping (write its settings below it, indented)"),
        (
            "web:\n  public_url: upkeep\n",
            "upkeep.yaml:2: web.public_url: `upkeep` is not an http address (write it as https://upkeep.example.com)",
        ),
        (
            "web:\n  public_url: https://infra.example.com/upkeep/\n",
            "upkeep.yaml:2: web.public_url: `https://infra.example.com/upkeep` leads to a folder of its host "
            "(give Upkeep a host name of its own)",
        ),
        (
            "git:\n  timeout: 90\n",
            "upkeep.yaml:2: git.timeout: `90` is not a duration "
            "(write a number and its unit, for example 30s, 5m, 1h30m or 2d)",
        ),
        (
            "retention:\n  deliveries: 1000000d\n",
            "upkeep.yaml:2: retention.deliveries: `1000000d` is too long (write at most 36500d)",
        ),
        ("git:\n  timeout: 30d\n", "upkeep.yaml:2: git.timeout: `30d` is too long (write at most 7d)"),
        (
            "limits:\n  commits: 99999999999999999999\n",
            "upkeep.yaml:2: `limits.commits` is too large (write at most 1000000000)",
        ),
        (
            "rendering:\n  memory: 99999999999GB\n",
            "upkeep.yaml:2: `rendering.memory` is too large (write at most 1048576GB)",
        ),
        ("worker:\n  lease: 1s\n", "upkeep.yaml:2: worker.lease: `1s` is too short (write at least 3s)"),
        (
            "git:\n  allow_local: maybe\n",
            "upkeep.yaml:2: `git.allow_local` is not `true` or `false` (write `true` or `false`)",
        ),
        ("log:\n  level: loud\n", "upkeep.yaml:2: `log.level` cannot be `loud` (write debug, info, warning or error)"),
        (
            "rendering:\n  memory: lots\n",
            "upkeep.yaml:2: rendering.memory: `lots` is not a size (write a number and its unit, for example 512MB)",
        ),
        (
            'updates:\n  policies:\n    - windows:\n        - {opens: 17:00, closes: "18:00"}\n',
            "upkeep.yaml:4: `updates.policies[0].windows[0].opens` is not a text (put it into quotes)",
        ),
        (
            'updates:\n  policies:\n    - windows:\n        - {opens: "25:00", closes: "18:00"}\n',
            "upkeep.yaml:4: updates.policies[0].windows[0].opens: `25:00` is no time of the day "
            '(write it like "09:30", in quotes)',
        ),
        (
            'updates:\n  policies:\n    - windows:\n        - {opens: "09:00", closes: "18:00", time_zone: Atlantis}\n',
            "upkeep.yaml:4: updates.policies[0].windows[0].time_zone: `Atlantis` is no time zone "
            "(write it like Europe/Berlin, or UTC)",
        ),
        (
            "updates:\n  policies:\n    - update: always\n",
            "upkeep.yaml:3: `updates.policies[0].update` cannot be `always` (write manual or minor_automatically)",
        ),
        (
            "updates:\n  stages: [{name: test}]\n  policies:\n    - stage: tset\n",
            "upkeep.yaml:1: updates: there is no stage `tset` (did you mean `test`?)",
        ),
        (
            "updates:\n  stages: [{name: test}]\n  policies:\n    - update: minor_automatically\n",
            "upkeep.yaml:1: updates: a policy names no stage (write `stage:` and one of test)",
        ),
        (
            "updates:\n  stages: [{name: test}, {name: test}]\n",
            "upkeep.yaml:1: updates: two stages have the same name (rename one)",
        ),
        ("sources: here\n", "upkeep.yaml:1: `sources` is not a list (write its entries below it, each after `- `)"),
        ("sources:\n  - name: a\n", "upkeep.yaml:2: `url` is missing in `sources[0]` (add `url: …`)"),
        (
            "sources:\n  - name: a b\n    url: https://x/y\n",
            "upkeep.yaml:2: sources[0].name: `a b` is not a source name "
            "(use 1 to 100 letters, digits, `_` and `-`, starting with a letter or digit)",
        ),
        (
            "sources:\n  - name: a\n    url: https://me:secret@example.com/x\n",
            "upkeep.yaml:3: sources[0].url: the address of the repository holds a password "
            "(leave it out and give the source a credential, which is kept out of the database and logs)",
        ),
        (
            "sources:\n  - name: a\n    url: ext::sh\n",
            "upkeep.yaml:3: sources[0].url: `ext::sh` is not a repository address that is accepted "
            "(write https://HOST/PATH, ssh://USER@HOST/PATH or USER@HOST:PATH)",
        ),
        (
            "sources:\n  - name: a\n    url: /srv/templates.git\n",
            "upkeep.yaml:3: `/srv/templates.git` is a place on this machine, which is not allowed here "
            "(use the address it is served at, or allow local repositories in the configuration)",
        ),
        (
            "sources:\n  - name: a\n    url: https://x/y\n    branch: -main\n",
            "upkeep.yaml:4: sources[0].branch: `-main` is not a branch name "
            "(write it as `git branch` shows it, for example main)",
        ),
        (
            "sources:\n  - name: a\n    url: https://x/y\n    subdirectory: ../up\n",
            "upkeep.yaml:4: sources[0].subdirectory: `../up` is not a folder of a repository "
            "(write it from the root without `./` and final slash, for example platform/templates)",
        ),
        (
            "sources:\n  - name: a\n    url: https://x/y\n    token_file: f\n    token_env: E\n",
            "upkeep.yaml:2: sources[0]: `token_file` and `token_env` are given together (keep one of them)",
        ),
        (
            "sources:\n  - {name: a, url: https://x/y}\n  - {name: a, url: https://y/z}\n",
            "upkeep.yaml:3: the name `a` is used twice (rename one)",
        ),
        (
            "sources:\n  - {name: a, url: https://x/y}\n  - {name: b, url: https://x/y}\n",
            "upkeep.yaml:3: `b` reads the same branch and folder as `a` (remove one of them)",
        ),
        ("notices:\n  default: consoel\n", "upkeep.yaml:2: there is no channel `consoel` (did you mean `console`?)"),
        (
            "notices:\n  owners:\n    payments: pay\n",
            "upkeep.yaml:3: there is no channel `pay` (describe it under `notices.channels`)",
        ),
        (
            "notices:\n  default: pay\n  channels:\n    pay: {kind: console}\n",
            "upkeep.yaml:1: there is no channel `console` "
            "(describe it under `notices.channels`, or name another as `notices.operators`)",
        ),
        (
            "notices:\n  channels:\n    console: {kind: console}\n    pay: {kind: pigeon}\n",
            "upkeep.yaml:4: `notices.channels.pay` has no kind that is known "
            "(write `kind:` and one of `console`, `slack_webhook`, `slack_bot`)",
        ),
        (
            "notices:\n  channels:\n    console: {kind: console}\n    pay: {kind: slack_bot, channel: C1}\n",
            "upkeep.yaml:4: notices.channels.pay: none of `token`, `token_file`, `token_env` is given "
            "(give one of them)",
        ),
        (
            "notices:\n  channels:\n    console: {kind: console, chanel: x}\n",
            "upkeep.yaml:3: unknown setting `notices.channels.console.chanel` (known here: kind)",
        ),
        (
            "web:\n  host: ${NOPE}\n",
            "upkeep.yaml:2: environment variable NOPE is not set "
            "(set it, or write ${NOPE:-default})",
        ),
        ("web:\n  host: ${NO PE}\n", "upkeep.yaml:2: `${NO PE}` is no reference (write ${NAME} or ${NAME:-default})"),
        (
            "webhooks:\n  secrets: ['']\n",
            "upkeep.yaml:1: webhooks: a webhook secret is empty "
            "(write the secret or remove the line)",
        ),
        (
            "database:\n  url_env: A-B\n",
            "upkeep.yaml:2: `database.url_env` is not the name of an environment variable "
            "(use letters, digits and `_`)",
        ),
        (
            "proton:\n  host: https://proton.example.com\n",
            "upkeep.yaml:1: proton: `https://proton.example.com` is not a host name "
            "(write the bare name, without `https://` and port)",
        ),
        (
            "proton:\n  region: Ireland\n",
            "upkeep.yaml:1: proton: `Ireland` is not a region of AWS (write it like eu-west-1)",
        ),
        (
            "proton:\n  key_file: a\n  key_env: B\n",
            "upkeep.yaml:1: proton: `key_file` and `key_env` are given together (keep one of them)",
        ),
        (
            "cloudformation:\n  region: Ireland\n",
            "upkeep.yaml:1: cloudformation: `Ireland` is not a region of AWS (write it like eu-west-1)",
        ),
        (
            "cloudformation:\n  template_bucket: s3://templates\n",
            "upkeep.yaml:1: cloudformation: `s3://templates` is not the name of a bucket "
            "(write the bucket's bare name)",
        ),
        (
            "cloudformation:\n  tags: {'aws:team': a}\n",
            "upkeep.yaml:1: cloudformation: the tag `aws:team` is not yours to set "
            "(choose a key with another beginning)",
        ),
        (
            "cloudformation:\n  pipelines:\n    role_arn: upkeep\n",
            "upkeep.yaml:2: cloudformation.pipelines: `upkeep` is not a role "
            "(write it as arn:aws:iam::123456789012:role/NAME)",
        ),
        (
            "cloudformation:\n  pipelines: {external_id: a}\n",
            "upkeep.yaml:2: cloudformation.pipelines: `external_id` is given without `role_arn` "
            "(name the role that asks for it)",
        ),
        (
            "provisioner: terraform\n",
            "upkeep.yaml:1: `provisioner` cannot be `terraform` (write local or cloudformation)",
        ),
        ("- web\n", "upkeep.yaml:1: the file is not a mapping of settings (write `section:` lines)"),
    ],
)  # fmt: skip
def test_a_fault_is_told_with_its_place_and_cure(text: str, fault: str) -> None:
    assert faults(text) == (fault,)


def test_every_fault_is_listed_at_once_in_the_order_of_the_file() -> None:
    text = "web:\n  port: high\n  prot: 1\nlog: {level: loud}\nstate: a\nstate: b\n"
    assert [fault.partition(": ")[0] for fault in faults(text)] == [
        "upkeep.yaml:2",
        "upkeep.yaml:3",
        "upkeep.yaml:4",
        "upkeep.yaml:6",
    ]


def test_a_file_that_is_no_yaml_is_told_with_its_line() -> None:
    assert faults("web:\n  port: [1\n")[0].startswith("upkeep.yaml:")


def test_without_a_file_everything_has_a_default() -> None:
    found = read("")
    assert found == read("# nothing\n")
    assert found.state == FOLDER / "upkeep-state"
    assert found.public_url == "http://127.0.0.1:8080"
    assert found.notices.routing.of_owner("anybody") == "console"


def test_an_empty_setting_means_its_default() -> None:
    assert read("web:\n  port:\nsources:\nlog:\n") == read("")


def test_what_is_kept_for_ever_does_not_go_at_its_default() -> None:
    text = "retention:\n  deliveries: null\n  notices:\n  renderings: 10d\n  previews: '${KEPT}'\n"
    found = read(text, {"UPKEEP_RETENTION__PLANS": "null", "KEPT": "null"})
    assert found.retention.spans == {Records.RENDERINGS: timedelta(days=10)}
    assert settings.shown(found)["retention"] == {
        "deliveries": None,
        "notices": None,
        "renderings": "10d",
        "previews": None,
        "plans": None,
    }
    assert read("retention:\n") == read("")


def test_texts_refer_to_environment_variables() -> None:
    text = "web: {host: '${HOST:-0.0.0.0}', port: '${PORT}', public_url: 'http://${NAME:-a}.example.com/'}\n"
    found = read(text, {"PORT": "9000", "NAME": "b"})
    assert (found.web.host, found.web.port, found.public_url) == ("0.0.0.0", 9000, "http://b.example.com")


def test_a_doubled_dollar_writes_a_plain_one() -> None:
    assert read("web: {host: 'a$${b}$c'}\n").web.host == "a${b}$c"


def test_what_an_environment_variable_holds_is_not_read_as_yaml_or_as_a_reference() -> None:
    assert read("web: {host: '${HOST}'}\n", {"HOST": "${X}: [1"}).web.host == "${X}: [1"


def test_the_environment_wins_over_the_file() -> None:
    environ = {"UPKEEP_WEB__PORT": "9000", "UPKEEP_STATE": "/srv/upkeep", "UPKEEP_GIT__ALLOW_LOCAL": "true"}
    found = read("web: {port: 1, host: a}\nstate: here\n", environ)
    assert (found.web.port, found.web.host, found.state, found.git.allow_local) == (
        9000,
        "a",
        Path("/srv/upkeep"),
        True,
    )


def test_lists_and_mappings_come_from_the_environment_as_yaml() -> None:
    environ = {"UPKEEP_SOURCES": "[{name: a, url: https://x/y}]", "UPKEEP_NOTICES__OWNERS": "{pay: console}"}
    found = read("sources: [{name: b, url: https://y/z}]\n", environ)
    assert [source.name for source in found.sources] == ["a"]
    assert found.notices.owners == {"pay": "console"}


def test_faults_of_the_environment_name_the_variable() -> None:
    assert faults("", {"UPKEEP_WEB__PORT": "high", "UPKEEP_WEB__PROT": "1", "UPKEEP_SOURCES": "[{}]"}) == (
        "environment variable UPKEEP_SOURCES: `name` is missing in `sources[0]` (add `name: …`)",
        "environment variable UPKEEP_SOURCES: `url` is missing in `sources[0]` (add `url: …`)",
        "environment variable UPKEEP_WEB__PORT: `web.port` is not a whole number (write a whole number)",
        "environment variable UPKEEP_WEB__PROT: names no setting (did you mean `UPKEEP_WEB__PORT`?)",
    )


def test_what_kubernetes_puts_into_the_environment_is_ignored() -> None:
    environ = {"UPKEEP_PORT": "tcp://10.0.0.1:80", "UPKEEP_SERVICE_HOST": "10.0.0.1", "UPKEEP_PORT_80_TCP": "x"}
    assert read("", environ) == read("")


def test_pipelines_live_in_the_account_of_their_role() -> None:
    role = "arn:aws:iam::123456789012:role/upkeep"
    text = f"cloudformation: {{pipelines: {{region: eu-west-1, role_arn: '{role}', external_id: a1}}}}\n"
    assert read(text).cloudformation.pipelines.placement == Placement("123456789012", "eu-west-1", role, "a1")
    assert read("").cloudformation.pipelines.placement == Placement()


def test_a_declared_source_is_known_to_the_flows() -> None:
    [source] = read(
        "sources:\n  - {name: a, url: ' https://x/y ', subdirectory: /sub/, token_file: token, "
        "webhook_secret_env: HOOK, drafts: per_push, poll_every_for: 1h30m}\n"
    ).declared
    assert (source.url, source.branch, source.subdirectory) == ("https://x/y", "main", "sub")
    assert source.credential == Credential(CredentialKind.TOKEN_FILE, "/etc/upkeep/token")
    assert source.webhook_secret == Credential(CredentialKind.TOKEN_ENV, "HOOK")
    assert (source.drafts, source.poll_every_for) == (Drafts.PER_PUSH, timedelta(minutes=90))
    assert source.origin is Origin.CONFIG


def test_a_source_typed_by_hand_is_checked_like_one_of_the_file() -> None:
    with pytest.raises(CallerError) as caught:
        settings.declare_source(name="a b", url="x", poll_every_for="soon")
    assert "`soon` is not a duration" in caught.value.message


def test_what_is_shown_holds_no_secret() -> None:
    text = (
        "database: {url: 'postgresql://me:hidden@db/upkeep'}\nwebhooks: {secrets: [hidden]}\n"
        "notices: {channels: {console: {kind: console}, a: {kind: slack_webhook, url: 'https://hidden'},"
        " b: {kind: slack_bot, channel: C1, token: hidden}}}\n"
    )
    found = read(text)
    assert "hidden" not in str(settings.shown(found))
    assert "hidden" not in repr(found)
    assert settings.shown(found)["database"]["url"] == "postgresql://me:********@db/upkeep"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:hid/den@db/upkeep", "postgresql://me:********@db/upkeep"),
        ("postgresql://me:hid#den?@db:5433/upkeep", "postgresql://me:********@db:5433/upkeep"),
        ("postgresql+psycopg://me:hid@den@db/upkeep", "postgresql+psycopg://me:********@db/upkeep"),
        ("postgresql://db/upkeep?user=me&password=hidden&x=1", "postgresql://db/upkeep?user=me&password=********&x=1"),
        ("postgresql://me:hidden@db:port/upkeep", "postgresql://me:********@db:port/upkeep"),
        ("postgresql://me@db/upkeep", "postgresql://me@db/upkeep"),
        ("sqlite:////srv/upkeep.db", "sqlite:////srv/upkeep.db"),
        ("hidden", "********"),
    ],
)
def test_an_address_of_a_database_is_shown_without_its_password_however_it_is_written(url: str, shown: str) -> None:
    assert settings.shown(read(f"database: {{url: '{url}'}}"))["database"]["url"] == shown


def test_an_address_that_spans_go_to_is_shown_without_its_password() -> None:
    found = read("tracing: {endpoint: 'http://me:hidden@collector:4318'}")
    assert settings.shown(found)["tracing"]["endpoint"] == "http://me:********@collector:4318"


@pytest.mark.parametrize("secret", ["!hidden", "*hidden", "!!hidden x"])
def test_a_secret_that_yaml_takes_for_something_else_is_not_repeated(secret: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read(f"proton:\n  key: {secret}\n")
    assert "hidden" not in str(caught.value)
    assert "put it into quotes" in str(caught.value)


@pytest.mark.parametrize(("text", "seconds"), [("30s", 30), ("5m", 300), ("1h30m", 5400), ("2d", 172800), ("0s", 0)])
def test_a_duration_is_written_as_it_is_read(text: str, seconds: int) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)
    assert write_duration(timedelta(seconds=seconds)) == text


@pytest.mark.parametrize("text", ["", "5", "m", "5 m", "1m1h", "-5m", 5, None, "9" * 30 + "d", "36501d"])
def test_what_is_no_duration_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match=r"duration|too long"):
        parse_duration(text)


def test_the_file_is_searched_in_a_fixed_order(tmp_path: Path) -> None:
    named, variable, local = (tmp_path / name for name in ("named.yaml", "variable.yaml", "upkeep.yaml"))
    environ = {"UPKEEP_CONFIG": str(variable)}
    assert settings.find(named, environ, tmp_path) == named
    assert settings.find(None, environ, tmp_path) == variable
    local.write_text("")
    assert settings.find(None, {}, tmp_path) == local


def test_a_named_file_has_to_exist(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read: No such file"):
        settings.load(tmp_path / "none.yaml", {})


def test_metrics_are_for_somebody_or_not_counted() -> None:
    assert not read("").metrics.readable
    assert read("metrics: {networks: [10.0.0.0/8]}").metrics.readable
    assert read("", {"UPKEEP_METRICS__TOKEN": "x"}).metrics.readable
    assert "nobody may read there" in faults("metrics: {worker_port: 9464}")[0]
    assert "given together" in faults("metrics: {token: a, token_env: B}")[0]
    assert "is no address and no network" in faults("metrics: {networks: [everywhere]}")[0]
    assert settings.shown(read("metrics: {token: a}"))["metrics"]["token"] == "********"


def test_traces_go_to_an_address() -> None:
    assert read("tracing: {endpoint: 'http://collector:4318/'}").tracing.endpoint == "http://collector:4318"
    assert "is not an http address" in faults("tracing: {endpoint: 'collector:4317'}")[0]
