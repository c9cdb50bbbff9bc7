"""Every noun of the command line over a real SQLite file, with a real worker where something is deployed."""

import json
import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog
from click.testing import CliRunner, Result

from tests import builders
from tests.databases import Databases
from tests.emulator.harness import Emulator
from tests.flows import given
from upkeep import logs, settings, wiring
from upkeep.cli import cli
from upkeep.demo.expect import eventually
from upkeep.domain import findings
from upkeep.domain.deliveries import Delivery, DeliveryStatus
from upkeep.domain.names import environment_key
from upkeep.domain.sources import Origin, Stall
from upkeep.domain.versions import VersionState
from upkeep.flows.measure import measure
from upkeep.flows.ports import Unit

ENVIRONMENT, SERVICE = builders.ENVIRONMENT_TEMPLATE, builders.SERVICE_TEMPLATE


@dataclass
class Shell:
    """A configuration, and a prompt where `upkeep` is typed."""

    folder: Path
    configuration: Path

    def type(self, *arguments: str, typed: str | None = None) -> Result:
        """Run a command, whatever comes of it."""
        return CliRunner().invoke(cli, ["--config", str(self.configuration), *arguments], input=typed)

    def run(self, *arguments: str, typed: str | None = None) -> str:
        """The output of a command that ends well."""
        result = self.type(*arguments, typed=typed)
        assert result.exit_code == 0, f"{arguments}: {result.output}"
        return result.stdout

    def ask(self, *arguments: str) -> Any:
        """The answer of a command as data."""
        return json.loads(self.run(*arguments, "-o", "json"))

    def refused(self, *arguments: str, code: int, typed: str | None = None) -> str:
        """What a command says that is refused, without a trace of its insides."""
        result = self.type(*arguments, typed=typed)
        assert result.exit_code == code, f"{arguments}: {result.exit_code} {result.output}"
        assert "Traceback" not in result.output
        return result.stderr

    def spec(self, name: str, text: str) -> str:
        path = self.folder / name
        path.write_text(text)
        return str(path)

    @contextmanager
    def store(self) -> Iterator[Unit]:
        """One writing transaction in the store of the configuration."""
        loaded = settings.load(self.configuration, {})
        wiring.migrate(loaded)
        with ExitStack() as stack, wiring.open_store(loaded, stack).write() as unit:
            yield unit

    @contextmanager
    def worker(self) -> Iterator[None]:
        """A worker at work while the block lasts."""
        loaded = settings.load(self.configuration, {})
        logs.configure("error", "json")
        with ExitStack() as stack:
            stack.callback(structlog.reset_defaults)
            wiring.prepare(loaded)
            crew = wiring.open_worker(loaded, stack)
            thread = threading.Thread(target=crew.worker.run)
            thread.start()
            try:
                yield
            finally:
                crew.worker.stop()
                thread.join(15)


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    for name in [name for name in os.environ if name.startswith("UPKEEP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("LOGNAME", "olga")
    configuration = tmp_path / "upkeep.yaml"
    configuration.write_text("state: state\ngit: {allow_local: true}\nnotices: {default: console, operators: ''}\n")
    return Shell(tmp_path, configuration)


def register(shell: Shell, template: str, *versions: tuple[str, VersionState]) -> None:
    bundle = given.environment_bundle() if template == ENVIRONMENT else given.service_bundle()
    with shell.store() as unit:
        for number, state in versions:
            given.registered(unit, template, number, bundle, builders.NOON, state)


PUBLISHED, DRAFT = VersionState.PUBLISHED, VersionState.DRAFT


def offered(shell: Shell) -> None:
    """Both templates at 1.0, published by command."""
    for template in (ENVIRONMENT, SERVICE):
        register(shell, template, ("1.0", DRAFT))
        shell.run("version", "publish", template, "1.0")


def test_the_help_names_every_command(shell: Shell) -> None:
    said = shell.run("--help")
    for noun in ("serve", "source", "template", "version", "environment", "deployment", "lag", "user", "doctor"):
        assert f"\n  {noun} " in said


@pytest.mark.parametrize("noun", list(cli.list_commands(None)))  # type: ignore[arg-type]
def test_every_command_explains_itself(shell: Shell, noun: str) -> None:
    assert f"Usage: upkeep {noun}" in shell.run(noun, "--help")


def test_it_says_its_own_version(shell: Shell) -> None:
    assert shell.run("version") == shell.run("--version")


def test_a_shell_learns_to_complete_commands(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "_UPKEEP_COMPLETE=bash_complete" in shell.run("completion", "bash")
    monkeypatch.setenv("_UPKEEP_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "upkeep sou")
    monkeypatch.setenv("COMP_CWORD", "1")
    assert CliRunner().invoke(cli, []).output == "plain,source\n"


def test_a_wrong_use_ends_with_1_and_an_unknown_command_too(shell: Shell) -> None:
    assert "No such command" in shell.refused("sorce", code=1)
    assert "Missing argument" in shell.refused("source", "get", code=1)


def test_a_misplaced_option_and_a_misspelled_command_are_put_right(shell: Shell) -> None:
    said = shell.refused("check-config", "--config", "upkeep.yaml", code=1)
    assert "Write --config before the command" in said
    assert "No such option" in shell.refused("check-config", "--confg", "upkeep.yaml", code=1)
    assert "Did you mean 'version'?" in shell.refused("versio", code=1)


def test_what_does_not_exist_is_told_with_a_cure(shell: Shell) -> None:
    said = shell.refused("source", "get", "nobody", code=1)
    assert said.startswith("error: there is no source `nobody`\nfix: ")


def test_a_source_is_added_shown_asked_and_removed(shell: Shell) -> None:
    assert "No sources yet" in shell.type("source", "list").output
    shell.run("source", "add", "templates", "/srv/git/templates.git", "--branch", "trunk", "--poll-every", "1h")
    [row] = shell.ask("source", "list")
    assert (row["name"], row["branch"], row["state"], row["origin"]) == ("templates", "trunk", "new", "added")
    assert shell.ask("source", "get", "templates")["poll_every_seconds"] == 3600
    assert "templates" in shell.run("source", "list", "-o", "wide")
    assert shell.run("source", "list", "-o", "name") == "templates\n"
    assert "asked for" in shell.run("source", "sync", "templates")
    assert "reads this branch and folder already" in shell.refused(
        "source", "add", "again", "/srv/git/templates.git", "--branch", "trunk", code=5
    )
    assert "is not a duration" in shell.refused("source", "add", "x", "/x", "--poll-every", "soon", code=1)
    shell.run("source", "remove", "templates")
    assert shell.ask("source", "list") == []


def test_the_limits_of_the_configuration_hold_here_as_well(shell: Shell) -> None:
    with shell.configuration.open("a") as configuration:
        configuration.write("limits: {sources: 1, request: 16KB}\n")
    shell.run("source", "add", "one", "https://git.example.com/one.git")
    said = shell.refused("source", "add", "two", "https://git.example.com/two.git", code=5)
    assert "1 sources are followed already" in said and "`limits.sources`" in said
    register(shell, ENVIRONMENT, ("1.0", PUBLISHED))
    long = shell.spec("long.yaml", builders.ENVIRONMENT_SPEC + "#" * (16 << 10))
    said = shell.refused("environment", "create", "test", "--template", ENVIRONMENT, "--spec", long, code=1)
    assert "longer than 16,384 bytes" in said and "`limits.request`" in said


def test_a_source_of_the_configuration_is_not_removed_behind_its_back(shell: Shell) -> None:
    with shell.store() as unit:
        unit.sources.add(builders.a_source(origin=Origin.CONFIG))
    assert "is declared in the configuration" in shell.refused("source", "remove", "templates", code=5)
    assert shell.run("source", "list", "-o", "name") == "templates\n"


def test_findings_of_a_source_are_sentences(shell: Shell) -> None:
    unusual = findings.warning("unusual", "the folder is called `1`", "svc/1", cure="rename it")
    with shell.store() as unit:
        unit.sources.add(builders.a_source(findings=(unusual,)))
    assert str(unusual) in shell.run("source", "get", "templates")
    assert shell.ask("source", "get", "templates")["findings"][0]["slug"] == "unusual"


def test_a_table_names_the_newest_drafts_and_counts_the_others(shell: Shell) -> None:
    register(shell, ENVIRONMENT, *((f"1.{minor}", DRAFT) for minor in range(12)))
    assert "1.11, 1.10, 1.9 and 9 more" in shell.run("template", "list")
    assert len(shell.ask("template", "list")[0]["drafts"]) == 12


def test_a_stalled_source_is_resumed_by_asking_for_it(shell: Shell) -> None:
    with shell.store() as unit:
        stall = Stall("the branch is gone", "name another branch", builders.NOON)
        unit.sources.add(builders.a_source(stall=stall, failures=3))
    assert shell.ask("source", "list")[0]["state"] == "stalled"
    assert "[fail] source templates: the branch is gone" in shell.type("doctor").output
    shell.run("source", "sync", "templates")
    assert shell.ask("source", "get", "templates")["reason"] is None


def test_deliveries_are_listed_with_their_outcome(shell: Shell) -> None:
    assert shell.ask("source", "deliveries") == []
    assert "there is no source" in shell.refused("source", "deliveries", "nobody", code=1)


def test_versions_are_published_recommended_withdrawn_and_deleted(shell: Shell) -> None:
    register(shell, ENVIRONMENT, ("1.0", DRAFT), ("1.1", DRAFT), ("1.2", DRAFT))
    assert "0 resources are being checked" in shell.run("version", "check", ENVIRONMENT, "1.0")
    assert "Recommended: 1.0; 0 resources are behind" in shell.run("version", "publish", ENVIRONMENT, "1.0")
    assert "is not a draft" in shell.refused("version", "check", ENVIRONMENT, "1.0", code=5)
    shell.run("version", "publish", ENVIRONMENT, "1.1", "--note", "flow logs")
    assert shell.ask("version", "get", ENVIRONMENT, "1.1")["note"] == "flow logs"
    assert shell.ask("template", "get", ENVIRONMENT)["recommended"] == "1.1"
    shell.run("version", "recommend", ENVIRONMENT, "1.0")
    shell.run("version", "withdraw", ENVIRONMENT, "1.1", "--reason", "it broke")
    assert "is the recommended version" in shell.refused("version", "delete", ENVIRONMENT, "1.0", code=5)
    shell.run("version", "delete", ENVIRONMENT, "1.2")
    listed = [(row["version"], row["state"], row["recommended"]) for row in shell.ask("version", "list", ENVIRONMENT)]
    assert listed == [("1.1", "WITHDRAWN", False), ("1.0", "PUBLISHED", True)]
    assert "is not a version" in shell.refused("version", "get", ENVIRONMENT, "one", code=1)
    with shell.store() as unit:
        assert {entry.actor for entry in unit.journal.entries(50)} == {"olga"}


def test_the_difference_of_two_versions_is_shown_as_a_diff(shell: Shell) -> None:
    files = builders.environment_files()
    with shell.store() as unit:
        given.registered(unit, ENVIRONMENT, "1.0", builders.a_bundle(files), builders.NOON, PUBLISHED)
        changed = files | {"infrastructure/cloudformation.yaml": builders.ENVIRONMENT_BODY + "# more\n"}
        given.registered(unit, ENVIRONMENT, "1.1", builders.a_bundle(changed), builders.NOON, DRAFT)
    said = shell.run("version", "diff", ENVIRONMENT, "1.1").splitlines()
    assert said[:2] == ["--- infrastructure/cloudformation.yaml", "+++ infrastructure/cloudformation.yaml"]
    assert said[-1] == "+# more"
    assert shell.run("version", "diff", ENVIRONMENT, "1.0", "--against", "1.1").splitlines()[-1] == "-# more"


def test_environments_and_services_are_created_updated_and_deleted_to_the_end(shell: Shell) -> None:
    offered(shell)
    environment_spec = shell.spec("environment.yaml", builders.ENVIRONMENT_SPEC)
    service_spec = shell.spec("service.yaml", builders.SERVICE_SPEC)
    with shell.worker():
        created = shell.run(
            "environment", "create", "test", "--template", ENVIRONMENT, "--spec", environment_spec, "--owner", "net",
            "--wait",
        )  # fmt: skip
        assert created.splitlines()[-1] == "test: succeeded, 1.0"
        assert "NetworkId" in shell.ask("environment", "outputs", "test")
        shell.run("service", "create", "checkout", "--template", SERVICE, "--spec", service_spec, "--wait")
        assert shell.ask("service", "get", "checkout")["instances"] == ["test"]
        assert shell.ask("pipeline", "get", "checkout")["version"] == "1.0"
        assert "give --spec, a --repository option, or both" in shell.type("service", "update", "checkout").output
        assert "see the repository" in shell.run("service", "update", "checkout", "--repository-id", "shop/checkout")
        given = ["checkout: belongs to shop", "checkout/test: belongs to shop", "checkout pipeline: belongs to shop"]
        assert sorted(shell.run("service", "give", "checkout", "--owner", "shop").splitlines()) == sorted(given)
        assert shell.run("instance", "give", "checkout/test", "--owner", "") == "checkout/test: belongs to nobody\n"
        assert shell.run("pipeline", "give", "checkout", "--owner", "ci") == "checkout pipeline: belongs to ci\n"
        assert shell.run("environment", "give", "test", "--owner", "net") == "test: belongs to net\n"

        register(shell, ENVIRONMENT, ("1.1", DRAFT))
        assert "1 resource is behind" in shell.run("version", "publish", ENVIRONMENT, "1.1")
        behind = shell.type("lag", "--exit-code")
        assert behind.exit_code == 2
        assert "1 minor behind" in behind.output
        assert shell.run("lag", "--owner", "nobody", "--exit-code", "-o", "name") == ""
        assert shell.ask("lag", "--template", ENVIRONMENT)["counters"]["behind_minor"] == 1

        assert "succeeded, 1.1" in shell.run("environment", "update", "test", "--wait")
        assert shell.type("lag", "--exit-code").exit_code == 0
        shell.run("instance", "update", "checkout/test", "--spec", service_spec, "--wait")
        shell.run("pipeline", "update", "checkout", "--version", "1.0", "--wait")

        history = shell.ask("deployment", "list", "--resource", "environment/test")
        assert [(row["from"], row["to"], row["status"]) for row in history] == [
            ("1.0", "1.1", "SUCCEEDED"),
            (None, "1.0", "SUCCEEDED"),
        ]
        assert "AWS::EC2::VPC" in shell.run("deployment", "template", history[0]["id"])
        assert "cannot be deleted while" in shell.refused("environment", "delete", "test", code=5)
        assert "only failed or cancelled" in shell.refused("deployment", "retry", history[0]["id"], code=5)
        shell.run("service", "delete", "checkout", "--wait")
        shell.run("environment", "delete", "test", "--wait")
    assert shell.ask("environment", "list") == shell.ask("service", "list") == shell.ask("instance", "list") == []


def test_what_a_deployment_changes_and_tells_is_printed_and_the_way_back_takes_the_inputs_of_then(
    shell: Shell,
) -> None:
    offered(shell)
    first = shell.spec("first.yaml", builders.ENVIRONMENT_SPEC)
    second = shell.spec("second.yaml", builders.ENVIRONMENT_SPEC.replace("10.1.0.0/16", "10.2.0.0/16"))
    with shell.worker():
        shell.run(
            "environment", "create", "test", "--template", ENVIRONMENT, "--spec", first, "--region", "eu-west-1",
            "--account-id", "123456789012", "--role-arn", "arn:aws:iam::123456789012:role/upkeep",
            "--external-id", "agreed", "--tag", "team=net", "--tag", "cost=42", "--wait",
        )  # fmt: skip
        found = shell.ask("environment", "get", "test")
        assert (found["region"], found["external_id"], found["tags"]) == (
            "eu-west-1",
            "agreed",
            {"team": "net", "cost": "42"},
        )
        register(shell, ENVIRONMENT, ("1.1", DRAFT))
        shell.run("version", "publish", ENVIRONMENT, "1.1")
        shell.run("environment", "update", "test", "--spec", second, "--wait")
        [updated, _] = shell.ask("deployment", "list", "--resource", "environment/test")
        told = shell.ask("deployment", "get", updated["id"])
        assert [(one["action"], one["resource"], one["causes"]) for one in told["changes"]] == [
            ("Modify", "Network", ["CidrBlock"])
        ]
        assert "Not checked: Modify Network (AWS::EC2::VPC)" in shell.run("deployment", "get", updated["id"])
        assert shell.ask("deployment", "logs", updated["id"]) == told["events"] == []
        shell.run("environment", "update", "test", "--version", "1.0", "--inputs-of-then", "--wait")
        assert shell.ask("environment", "get", "test")["inputs"] == {"cidr": "10.1.0.0/16"}
    assert "does not wait for a rollback" in shell.refused("deployment", "continue", updated["id"], code=5)
    assert "is not a tag" in shell.refused(
        "environment", "create", "x", "--template", ENVIRONMENT, "--spec", first, "--tag", "team", code=1
    )


def test_what_is_forgotten_leaves_the_books_and_keeps_its_stack(shell: Shell) -> None:
    offered(shell)
    with shell.worker():
        for name in ("test", "live"):
            spec = shell.spec("environment.yaml", builders.ENVIRONMENT_SPEC)
            shell.run("environment", "create", name, "--template", ENVIRONMENT, "--spec", spec, "--wait")
        spec = shell.spec("service.yaml", builders.SERVICE_SPEC)
        shell.run("service", "create", "checkout", "--template", SERVICE, "--spec", spec, "--wait")
    assert shell.type("environment", "forget", "live", typed="n\n").exit_code != 0
    assert "live: forgotten; its stack environment/live stays as it is" in shell.run(
        "environment", "forget", "live", typed="y\n"
    )
    assert "live in it" in shell.refused("environment", "forget", "test", "--yes", code=5)
    assert "last instance" in shell.refused("instance", "forget", "checkout/test", "--yes", code=5)
    assert "checkout pipeline: forgotten" in shell.run("service", "forget", "checkout", "--yes")
    assert [row["name"] for row in shell.ask("environment", "list")] == ["test"]
    assert (shell.folder / "state/local/environment/live/template.yaml").is_file()


def test_what_is_behind_is_snoozed_and_woken(shell: Shell) -> None:
    register(shell, ENVIRONMENT, ("1.0", DRAFT), ("1.1", DRAFT))
    for number in ("1.0", "1.1"):
        shell.run("version", "publish", ENVIRONMENT, number)
    with shell.store() as unit:
        given.running(unit, environment_key("test"), ENVIRONMENT, "1.0")
        measure(unit, ENVIRONMENT)
    assert "test: snoozed until 2" in shell.run("environment", "snooze", "test", "--for", "30d")
    said = shell.run("environment", "snooze", "test", "--for", "version")
    assert "test: snoozed until something newer than 1.1 is recommended" in said
    row = shell.ask("environment", "get", "test")
    assert (row["snoozed_by"], row["snoozed_for"], row["snoozed_until"]) == ("olga", "1.1", None)
    assert "test: not snoozed" in shell.run("environment", "wake", "test")
    assert shell.ask("environment", "get", "test")["snoozed_by"] is None
    assert "exists already" not in shell.refused("instance", "snooze", "checkout/test", code=1)
    assert "pipeline" in shell.refused("pipeline", "wake", "checkout", code=1)


def test_many_resources_are_updated_together_and_a_rollout_is_paused_resumed_and_stopped(shell: Shell) -> None:
    register(shell, ENVIRONMENT, ("1.0", DRAFT), ("1.1", DRAFT))
    shell.run("version", "publish", ENVIRONMENT, "1.0")
    spec = shell.spec("environment.yaml", builders.ENVIRONMENT_SPEC)
    with shell.worker():
        for name in ("blue", "green"):
            shell.run("environment", "create", name, "--template", ENVIRONMENT, "--spec", spec, "--wait")
    shell.run("version", "publish", ENVIRONMENT, "1.1")
    rehearsed = shell.ask("update", "--template", ENVIRONMENT, "--environment", "blue", "--dry-run")
    assert [(row["resource"], row["from"], row["to"], row["turn"]) for row in rehearsed] == [
        ("environment/blue", "1.0", "1.1", "waiting")
    ]
    assert shell.ask("rollout", "list") == []
    shell.run("update", "--template", ENVIRONMENT, "--to", "1.1", "--max-parallel", "1")
    (begun,) = shell.ask("rollout", "list")
    assert (begun["waiting"], begun["to"], begun["asked_by"]) == (2, "1.1", "olga")
    shell.run("rollout", "pause", begun["id"])
    shell.refused("rollout", "pause", begun["id"], code=5)
    with shell.worker():
        said = shell.run("rollout", "resume", begun["id"], "--wait")
    assert "blue: succeeded" in said and "green: succeeded" in said
    ended = shell.ask("rollout", "get", begun["id"])
    assert (ended["status"], ended["succeeded"]) == ("COMPLETED", 2)
    assert "environment/blue: 1.0 → 1.1, succeeded" in shell.run("rollout", "get", begun["id"])
    assert shell.type("lag", "--exit-code").exit_code == 0
    shell.refused("rollout", "stop", begun["id"], code=5)
    assert "no resource of" in shell.refused("update", "--template", ENVIRONMENT, code=5)
    assert "is not a version" in shell.refused("update", "--template", ENVIRONMENT, "--to", "newest", code=1)


def test_a_rollout_that_fails_says_so_and_ends_with_1(shell: Shell) -> None:
    register(shell, ENVIRONMENT, ("1.0", DRAFT))
    shell.run("version", "publish", ENVIRONMENT, "1.0")
    spec = shell.spec("environment.yaml", builders.ENVIRONMENT_SPEC)
    with shell.worker():
        shell.run("environment", "create", "blue", "--template", ENVIRONMENT, "--spec", spec, "--wait")
    broken = builders.environment_files(body=builders.ENVIRONMENT_BODY.replace("cidr }}", "cidr.a.b }}"))
    with shell.store() as unit:
        given.registered(unit, ENVIRONMENT, "1.1", builders.a_bundle(broken), builders.NOON, DRAFT)
    shell.run("version", "publish", ENVIRONMENT, "1.1")
    with shell.worker():
        said = shell.refused("update", "--template", ENVIRONMENT, "--wait", code=1)
    assert "is PAUSED: 1 update did not succeed" in said
    (paused,) = shell.ask("rollout", "list")
    shell.run("rollout", "stop", paused["id"])
    assert shell.ask("rollout", "get", paused["id"])["status"] == "STOPPED"


def test_a_spec_that_does_not_fit_is_told_with_its_file_and_line(shell: Shell) -> None:
    offered(shell)
    wrong = shell.spec("wrong.yaml", "proton: EnvironmentSpec\nspec:\n  cidr: 5\n  cidr: 6\n")
    said = shell.refused("environment", "create", "test", "--template", ENVIRONMENT, "--spec", wrong, code=1)
    assert f"where: {wrong}:4" in said
    unfit = shell.spec("unfit.yaml", "proton: EnvironmentSpec\nspec:\n\n  cidr: 5\n")
    said = shell.refused("environment", "create", "test", "--template", ENVIRONMENT, "--spec", unfit, code=1)
    assert f"where: {unfit}:4" in said
    two = "proton: ServiceSpec\ninstances:\n- {name: 1, environment: x}\n- {name: b, environment: 2}\n"
    said = shell.refused("service", "create", "s", "--template", SERVICE, "--spec", shell.spec("two.yaml", two), code=1)
    assert f"{shell.folder}/two.yaml:3: " in said
    assert f"\n{shell.folder}/two.yaml:4: " in said
    assert shell.ask("environment", "list") == []


def test_an_input_that_the_schema_does_not_know_is_told(shell: Shell) -> None:
    offered(shell)
    misspelled = shell.spec("misspelled.yaml", builders.ENVIRONMENT_SPEC + "  cidrs: x\n")
    result = shell.type("environment", "create", "test", "--template", ENVIRONMENT, "--spec", misspelled)
    assert result.exit_code == 0
    assert f"warning: test: {ENVIRONMENT} 1.0 has no input `cidrs`; did you mean `cidr`?" in result.stderr


def test_a_deployment_that_waits_is_cancelled(shell: Shell) -> None:
    offered(shell)
    spec = shell.spec("environment.yaml", builders.ENVIRONMENT_SPEC)
    shell.run("environment", "create", "test", "--template", ENVIRONMENT, "--spec", spec)
    [row] = shell.ask("deployment", "list", "--status", "in_progress")
    assert "is cancelled" in shell.run("deployment", "cancel", row["id"])
    assert shell.ask("deployment", "get", row["id"])["status"] == "CANCELLED"
    assert "is no state of a deployment" in shell.refused("deployment", "list", "--status", "odd", code=1)


def test_users_get_their_password_from_a_file_or_from_standard_input(shell: Shell) -> None:
    secret = shell.folder / "password"
    secret.write_text("correct horse battery\n")
    shell.run("user", "add", "ada", "--role", "admin", "--password-file", str(secret), "--email", "ada@example.com")
    shell.run("user", "add", "vic", "--password-stdin", typed="correct horse battery\n")
    assert "shorter than" in shell.refused("user", "add", "eve", "--password-stdin", typed="short", code=1)
    assert "no terminal" in shell.refused("user", "add", "eve", code=1)
    assert [(row["name"], row["role"]) for row in shell.ask("user", "list")] == [("ada", "admin"), ("vic", "viewer")]
    assert "is the last admin" in shell.refused("user", "remove", "ada", code=5)
    shell.run("user", "remove", "vic")
    with shell.store() as unit:
        found = unit.people.find("ada")
    assert found is not None
    assert wiring.open_passwords().verify(found.password_hash, "correct horse battery")


def test_users_get_roles_teams_passwords_and_another_try(shell: Shell) -> None:
    for name, role in (("ada", "admin"), ("vic", "viewer")):
        shell.run("user", "add", name, "--role", role, "--password-stdin", typed="correct horse battery")
    shell.run("user", "change", "vic", "--role", "developer", "--team", "shop", "--team", "web", "--email", "v@x.org")
    row = shell.ask("user", "list")[1]
    assert (row["role"], row["teams"], row["email"], row["provider"]) == (
        "developer",
        "shop, web",
        "v@x.org",
        "password",
    )
    shell.run("user", "change", "vic", "--no-teams", "--email", "")
    row = shell.ask("user", "list")[1]
    assert (row["role"], row["teams"], row["email"]) == ("developer", "", None)
    assert "last admin" in shell.refused("user", "change", "ada", "--role", "viewer", code=5)
    assert "no user `eve`" in shell.refused("user", "change", "eve", "--role", "viewer", code=1)
    shell.run("user", "password", "vic", "--password-stdin", typed="another long one")
    assert "shorter than" in shell.refused("user", "password", "vic", "--password-stdin", typed="short", code=1)
    shell.run("user", "end-sessions", "vic")
    shell.run("user", "unlock", "vic")
    shell.run("user", "unlock", "--address", "203.0.113.9")
    assert "whose wait" in shell.refused("user", "unlock", code=1)


def test_a_token_is_created_listed_without_its_secret_and_revoked(shell: Shell) -> None:
    assert "no user `ada`" in shell.refused("token", "create", "ci", "--user", "ada", code=1)
    shell.run("user", "add", "ada", "--role", "developer", "--password-stdin", typed="correct horse battery")
    secret = shell.run("token", "create", "ci", "--user", "ada", "--scope", "update", "--expires-in", "30d").strip()
    assert secret.startswith("upkeep_")
    listed = shell.run("token", "list", "-o", "json")
    assert secret not in listed
    (row,) = json.loads(listed)
    assert (row["user"], row["label"], row["scopes"], row["used_at"]) == ("ada", "ci", "update", None)
    assert "cannot do more" in shell.refused("token", "create", "x", "--user", "ada", "--scope", "admin", code=5)
    assert "not a duration" in shell.refused("token", "create", "x", "--user", "ada", "--expires-in", "soon", code=1)
    shell.run("token", "revoke", row["id"])
    assert shell.ask("token", "list") == []
    assert "no token" in shell.refused("token", "revoke", row["id"], code=1)


def test_a_password_that_cannot_be_read_is_told_in_words(shell: Shell) -> None:
    said = shell.refused("user", "add", "ada", "--password-file", "/nowhere", code=1)
    assert "cannot be read: No such file or directory\nwhere: /nowhere\nfix: " in said


def test_a_test_notice_reaches_the_channels_and_a_broken_one_is_told(shell: Shell) -> None:
    assert "[console] This is a test of the channel" in shell.run("notify", "test")
    assert "there is no channel `pager`" in shell.refused("notify", "test", "pager", code=1)


def test_check_config_shows_what_is_in_force_and_no_secret(shell: Shell) -> None:
    shell.configuration.write_text("webhooks: {secrets: [hidden-one]}\ndatabase: {url: 'postgresql://u:hidden@h/d'}\n")
    result = shell.type("check-config")
    assert result.exit_code == 0
    assert "hidden" not in result.output
    assert f"# {shell.configuration}" in result.stderr


def test_check_config_lists_every_fault_and_ends_with_2(shell: Shell) -> None:
    shell.configuration.write_text("web: {prot: 1}\nlog: {level: loud}\nwebhooks: {}\n")
    said = shell.refused("check-config", code=2)
    assert [line.partition("unknown")[0].partition("`log")[0] for line in said.splitlines()] == [
        f"error: {shell.configuration}:1: ",
        f"error: {shell.configuration}:2: ",
    ]
    shell.configuration.write_text("webhooks: {secrets_file: nowhere}\nproton: {key: short}\n")
    said = shell.refused("check-config", code=2)
    assert [line.partition(":")[2].partition(":")[0] for line in said.splitlines()] == [
        " webhooks.secrets_file",
        " proton.key",
    ]


def test_doctor_says_what_is_wrong_and_how_to_mend_it(shell: Shell) -> None:
    said = shell.refused("doctor", code=1) + shell.type("doctor").stdout
    assert "[fail] database" in said
    assert "fix: upkeep migrate" in said
    shell.run("migrate")
    healthy = shell.run("doctor")
    assert "[ok] database" in healthy
    assert "[warn] users: nobody can sign in" in healthy


def test_key_pairs_are_issued_listed_looked_at_and_revoked(shell: Shell) -> None:
    shell.run("user", "add", "delivery", "--role", "developer", "--password-stdin", typed="a long password\n")
    issued = shell.run("token", "create", "storefront", "--user", "delivery", "--scope", "update", "--aws")
    pair = dict(line.split("=", 1) for line in issued.splitlines())
    key = pair["AWS_ACCESS_KEY_ID"]
    assert re.fullmatch(r"UPKEEP[A-Z2-7]{14}", key)
    assert pair["AWS_SECRET_ACCESS_KEY"].startswith("upkeep_")
    (listed,) = shell.ask("token", "list")
    assert (listed["id"], listed["user"], listed["scopes"]) == (key, "delivery", "update")
    assert "[ok] key pairs: 1" in shell.type("doctor").stdout
    (shell.folder / "state" / "proton.key").write_text("another key, which is long enough to be one")
    assert "[fail] key pairs: 1 of 1 were issued under another key" in shell.type("doctor").stdout
    shell.run("token", "revoke", key)
    assert shell.ask("token", "list") == []
    assert "key pairs" not in shell.type("doctor").stdout


def test_doctor_enters_every_place_where_stacks_live(shell: Shell, emulator: Emulator) -> None:
    with shell.store() as unit:
        given.running(
            unit, environment_key("test"), ENVIRONMENT, "1.0", account_id="222222222222", region="eu-north-1",
            role_arn="arn:aws:iam::222222222222:role/upkeep",
        )  # fmt: skip
        given.running(unit, environment_key("lost"), ENVIRONMENT, "1.0", account_id="333333333333")
    aws = f"cloudformation: {{region: eu-west-1, endpoint_url: '{emulator.url}'}}\n"
    shell.configuration.write_text(shell.configuration.read_text() + "provisioner: cloudformation\n" + aws)
    said = shell.type("doctor").output
    assert "[ok] aws: entered as arn:aws:iam::000000000000:" in said
    assert "[ok] aws eu-north-1 222222222222: entered as arn:aws:sts::222222222222:assumed-role/upkeep/" in said
    assert "[fail] aws 333333333333: Upkeep reaches account 000000000000" in said
    assert "fix: give the environment a role of account 333333333333" in said


def test_quiet_prints_results_only(shell: Shell) -> None:
    assert shell.run("--quiet", "source", "add", "templates", "/srv/git/templates.git") == ""
    assert shell.run("--quiet", "source", "list", "-o", "name") == "templates\n"


def test_a_published_version_that_resources_run_counts_them(shell: Shell) -> None:
    register(shell, ENVIRONMENT, ("1.0", PUBLISHED))
    with shell.store() as unit:
        given.running(unit, environment_key("test"), ENVIRONMENT, "1.0")
    assert shell.ask("version", "list", ENVIRONMENT)[0]["in_use"] == 1
    assert shell.ask("template", "list")[0]["resources"] == 1


def test_an_installation_moves_to_another_database_and_goes_on_with_its_work(
    shell: Shell, databases: Databases, tmp_path: Path
) -> None:
    offered(shell)
    with shell.worker():
        shell.run(
            "environment", "create", "first", "--template", ENVIRONMENT, "--spec",
            shell.spec("environment.yaml", builders.ENVIRONMENT_SPEC), "--wait",
        )  # fmt: skip
    shell.run("environment", "create", "test", "--template", ENVIRONMENT, "--spec", str(tmp_path / "environment.yaml"))
    said = shell.run("backup", str(tmp_path / "a.backup"))
    assert re.search(r"a\.backup: [\d.]+ KB, \d+ rows of \d+ tables and [4-9] files, read again and found whole", said)
    assert "choose a name that is free" in shell.refused("backup", str(tmp_path / "a.backup"), code=5)
    with databases.fresh("postgresql") as url:
        new = tmp_path / "new"
        new.mkdir()
        moved = Shell(new, new / "upkeep.yaml")
        moved.configuration.write_text(f"database: {{url: '{url}'}}\nstate: state\n")
        assert "has no tables yet: run `upkeep migrate`" in moved.refused("migrate", "--check", code=2)
        assert "Restored what was there at" in moved.run("restore", str(tmp_path / "a.backup"))
        assert "up to date" in moved.run("migrate", "--check")
        (waiting,) = moved.ask("deployment", "list", "--resource", "environment/test")
        assert waiting["status"] == "IN_PROGRESS"
        with moved.worker():
            moved.run("environment", "update", "first", "--wait")
            eventually("the deployment", lambda: moved.ask("deployment", "get", waiting["id"]), has_succeeded)
        assert "--replace" in moved.refused("restore", str(tmp_path / "a.backup"), code=5)


def has_succeeded(deployment: Any) -> bool:
    return bool(deployment["status"] == "SUCCEEDED")


def test_what_is_known_is_exported_and_imported_as_text(shell: Shell, tmp_path: Path) -> None:
    offered(shell)
    told = shell.run("export")
    assert json.loads(told.splitlines()[0])["upkeep"] == 1
    shell.run("export", str(tmp_path / "export.yaml"), "-o", "yaml")
    new = tmp_path / "new"
    new.mkdir()
    copied = Shell(new, new / "upkeep.yaml")
    copied.configuration.write_text("state: state\n")
    assert "rows were taken over" in copied.run("import", str(tmp_path / "export.yaml"))
    assert copied.run("export") == told
    assert copied.ask("template", "list") == shell.ask("template", "list")
    (tmp_path / "bad.json").write_text(told.replace('"kind":"environment"', '"kind":7'))
    assert re.search(r"bad\.json:\d+", copied.refused("import", str(tmp_path / "bad.json"), code=5)) is None
    (new / "state" / "upkeep.db").unlink()
    assert re.search(r"bad\.json:\d+", copied.refused("import", str(tmp_path / "bad.json"), code=1))
    assert copied.type("import", str(tmp_path / "nowhere")).exit_code == 1


def test_old_records_are_counted_and_let_go_when_asked(shell: Shell) -> None:
    with shell.store() as unit:
        unit.deliveries.save(Delivery("d", "push", builders.NOON - timedelta(days=900), DeliveryStatus.WORKED))
    rows = shell.ask("prune", "--dry-run")
    assert {row["records"]: row["old"] for row in rows}["deliveries"] == 1
    assert next(row["kept_for"] for row in rows if row["records"] == "journal") == "ever"
    with shell.worker():
        shell.ask("prune")
        eventually("the old records", lambda: shell.ask("prune", "--dry-run")[0]["old"], lambda old: old == 0)
    with shell.store() as unit:
        assert [entry.kind for entry in unit.journal.entries(9)] == ["records_pruned"]


def test_a_bug_is_told_without_its_trace(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> Callable[[], None]:
        raise RuntimeError("a wire is loose")

    monkeypatch.setattr(wiring, "open_channels", broken)
    assert "a bug in upkeep: RuntimeError: a wire is loose" in shell.refused("notify", "test", code=1)
