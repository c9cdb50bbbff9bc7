"""The numbering of a history, told from its repository alone."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.builders import ENVIRONMENT_BODY, ENVIRONMENT_SCHEMA, environment_files, service_files, under
from tests.histories import History, Merge, Tree, a_repository
from upkeep.adapters.git import open_local
from upkeep.adapters.jinja import JinjaRenderer
from upkeep.cli import cli
from upkeep.domain.errors import CallerError, NotFound
from upkeep.flows.replay import Replayed, misplaced, replay


@pytest.fixture(scope="module")
def renderer() -> Iterator[JinjaRenderer]:
    with JinjaRenderer() as started:
        yield started


@pytest.fixture
def history(tmp_path: Path) -> History:
    return a_repository(tmp_path / "templates.git")


def net(path: str = "net/v1", note: str = "", schema: str = ENVIRONMENT_SCHEMA) -> dict[str, Any]:
    return under(path, environment_files(schema, f"# {note}\n{ENVIRONMENT_BODY}"))


def told(history: History, renderer: JinjaRenderer, **wanted: Any) -> tuple[Replayed, ...]:
    with open_local(history.git_dir) as mirror:
        return replay(mirror, renderer, until=wanted.pop("until", mirror.head), **wanted)


def brief(versions: tuple[Replayed, ...]) -> list[str]:
    return [f"{version.path} {version.version} {version.state}" for version in versions]


def expected(history: History, path: str, *commits: str) -> list[tuple[str, str, str]]:
    """What git itself says: a number for each of these commits."""
    return [(f"1.{minor}", c, history.git("rev-parse", f"{c}:{path}")) for minor, c in enumerate(commits)]


def numbered(versions: tuple[Replayed, ...]) -> list[tuple[str, str, str]]:
    return [(str(version.version), version.commit, version.tree) for version in versions]


def test_each_first_parent_commit_that_changes_the_folder_is_a_minor(history: History, renderer: JinjaRenderer) -> None:
    readme: Tree = {"README": "1"}
    made = history.write(
        [readme, net(), {**net(), **readme}, net(note="2"), net(), readme, net(), Merge(net(note="3")), net(note="3")]
    )
    versions = told(history, renderer, path="net/v1")
    assert numbered(versions) == expected(history, "net/v1", made[1], made[3], made[4], made[6], made[7])
    assert {version.state for version in versions} == {"DRAFT"}


def test_the_folder_as_a_commit_has_it_is_the_first_number(history: History, renderer: JinjaRenderer) -> None:
    made = history.write([net(), net(note="2"), {**net(note="2"), "x": "1"}, net(note="3")])
    assert numbered(told(history, renderer, path="net/v1", since=made[2])) == expected(
        history, "net/v1", made[2], made[3]
    )
    assert numbered(told(history, renderer, path="net/v1", since=made[0], until=made[1])) == expected(
        history, "net/v1", made[0], made[1]
    )
    assert numbered(told(history, renderer, path="net/v1", since=made[3])) == expected(history, "net/v1", made[3])


def test_a_folder_that_comes_later_begins_when_it_comes(history: History, renderer: JinjaRenderer) -> None:
    made = history.write([{"README": "1"}, net(), net(note="2")])
    assert numbered(told(history, renderer, path="net/v1", since=made[0])) == expected(
        history, "net/v1", made[1], made[2]
    )


def test_without_a_path_every_version_folder_is_told(history: History, renderer: JinjaRenderer) -> None:
    service = under("group/web/v2", service_files())
    history.write(
        [
            {"net/v1/README": "not yet a bundle", "docs/v1/page": "1"},
            {**net(), "docs/v1/page": "2"},
            {**net(), **service, **net("twice/v1"), **net("b/twice/v1"), **net("web/v2/v1"), **net("my net/v1")},
        ]
    )
    assert brief(told(history, renderer)) == [
        "b/twice/v1 1.0 DRAFT",
        "group/web/v2 2.0 DRAFT",
        "net/v1 1.0 REGISTRATION_FAILED",
        "net/v1 1.1 DRAFT",
        "twice/v1 1.0 DRAFT",
    ]
    assert brief(told(history, renderer, path="./net/v1/")) == ["net/v1 1.0 REGISTRATION_FAILED", "net/v1 1.1 DRAFT"]
    with open_local(history.git_dir) as mirror:
        found = [(finding.slug, finding.path) for finding in misplaced(mirror, mirror.head)]
    assert found == [
        ("template-name-twice", "b/twice/v1"),
        ("template-name", "my net/v1"),
        ("template-name-twice", "twice/v1"),
        ("nested-major", "web/v2/v1"),
    ]


def test_schemas_are_compared_with_the_last_good_version(history: History, renderer: JinjaRenderer) -> None:
    other = ENVIRONMENT_SCHEMA.replace("cidr:", "range:")
    body = ENVIRONMENT_BODY.replace("cidr", "range")
    changed = under("net/v1", environment_files(other, body))
    history.write([net(), changed, net(schema="schema: ["), net(note="2"), {**changed, "net/v1/x": "1"}])
    versions = told(history, renderer, path="net/v1")
    states = [version.state.value for version in versions]
    assert states == ["DRAFT", "REGISTRATION_FAILED", "REGISTRATION_FAILED", "DRAFT", "REGISTRATION_FAILED"]
    assert [finding.slug for finding in versions[1].findings] == [finding.slug for finding in versions[4].findings]
    assert versions[2].findings[0].where.startswith("schema/schema.yaml:")


def test_a_start_beside_the_line_is_compared_with_the_end_as_a_whole(history: History, renderer: JinjaRenderer) -> None:
    old = history.write([net(), net(note="changed")])[-1]
    made = history.write([net(note="anew"), net(note="once more"), net(note="at last")])
    assert numbered(told(history, renderer, path="net/v1", since=old)) == expected(history, "net/v1", old, made[-1])
    same = history.write([net(note="another root"), net(note="changed")])[-1]
    assert numbered(told(history, renderer, path="net/v1", since=old, until=same)) == expected(history, "net/v1", old)


def test_templates_that_cannot_be_rendered_fail(history: History, renderer: JinjaRenderer) -> None:
    history.write([under("net/v1", environment_files(body="A: {{ nothing.here }}\n"))])
    (version,) = told(history, renderer, path="net/v1")
    assert version.state == "REGISTRATION_FAILED"
    assert version.findings[0].where == "infrastructure/cloudformation.yaml:1"


@pytest.mark.parametrize(
    ("wanted", "error", "words"),
    [
        ({"path": "web/v1"}, NotFound, "no commit holds"),
        ({"path": "net"}, CallerError, "not a version folder"),
        ({"path": ""}, CallerError, "not a version folder"),
        ({"since": "f" * 40}, NotFound, "ffffffffffff"),
    ],
)
def test_what_cannot_be_followed_is_said(
    history: History, renderer: JinjaRenderer, wanted: dict[str, str], error: type[CallerError], words: str
) -> None:
    history.write([net()])
    with pytest.raises(error, match=words) as raised:
        told(history, renderer, **wanted)
    assert raised.value.cure


def _replay(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, ["template", "replay", *map(str, arguments)])


def test_the_command_prints_the_list_that_others_rely_on(history: History) -> None:
    made = history.write([net(), net(note="2", schema="schema: [")])
    history.write([net(note="side")], branch="side", onto=made[0])
    done = _replay(history.git_dir, "--path", "net/v1", "-o", "json")
    assert done.exit_code == 0, done.stderr
    first, second = json.loads(done.stdout)
    tree = history.git("rev-parse", f"{made[0]}:net/v1")
    assert first == {"version": "1.0", "commit": made[0], "tree": tree, "status": "DRAFT", "findings": []}
    assert (second["version"], second["status"]) == ("1.1", "REGISTRATION_FAILED")
    assert second["findings"][0]["severity"] == "error"
    for options, versions in (
        (["--branch", "side"], ["1.0", "1.1"]),
        (["--branch", "refs/heads/side"], ["1.0", "1.1"]),
        (["--until", made[0][:10]], ["1.0"]),
        (["--since", made[1]], ["1.0"]),
    ):
        rows = json.loads(_replay(history.git_dir, *options, "-o", "json").stdout)
        assert [(row["path"], row["version"]) for row in rows] == [("net/v1", version) for version in versions]


@pytest.mark.parametrize("path", ["net/v1/", "/net/v1", "./net/v1", "net//v1", "net/./v1"])
def test_a_path_may_be_written_in_any_way(history: History, path: str) -> None:
    history.write([net()])
    rows = json.loads(_replay(history.git_dir, "--path", path, "-o", "json").stdout)
    assert [row["version"] for row in rows] == ["1.0"]


def test_a_head_that_leads_nowhere_is_told_with_the_branches_there_are(history: History) -> None:
    empty = _replay(history.git_dir)
    assert (empty.exit_code, empty.stdout) == (1, "")
    assert "has no commit yet" in empty.stderr
    history.write([net()])
    history.git("symbolic-ref", "HEAD", "refs/heads/master")
    done = _replay(history.git_dir)
    assert (done.exit_code, done.stdout) == (1, "")
    assert "name one of its branches: `main`" in done.stderr


def test_a_clone_that_was_cut_off_is_numbered_with_a_warning(history: History, tmp_path: Path) -> None:
    history.write([net(), net(note="2"), net(note="3")])
    history.git("clone", "-q", "--bare", "--depth", "2", f"file://{history.git_dir}", str(tmp_path / "cut.git"))
    done = _replay(tmp_path / "cut.git", "-o", "json")
    assert [row["version"] for row in json.loads(done.stdout)] == ["1.0", "1.1"]
    assert done.stderr.startswith("warning: this is a shallow clone")
    assert _replay(history.git_dir, "-o", "json").stderr == ""


def test_a_clone_without_contents_is_told_from_a_damaged_one(history: History, tmp_path: Path) -> None:
    history.write([net()])
    history.git("config", "uploadpack.allowFilter", "true")
    partial = tmp_path / "partial.git"
    history.git("clone", "-q", "--bare", "--filter=blob:none", f"file://{history.git_dir}", str(partial))
    done = _replay(partial, "-o", "json")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "make a full one" in done.stderr


def test_grafts_and_replacements_of_this_machine_change_no_number(history: History) -> None:
    made = history.write([net(), net(note="2"), net(note="3")])
    (history.git_dir / "info").mkdir(exist_ok=True)
    (history.git_dir / "info" / "grafts").write_text(f"{made[2]}\n")
    history.git("replace", made[1], made[0])
    rows = json.loads(_replay(history.git_dir, "-o", "json").stdout)
    assert [row["commit"] for row in rows] == made
    with pytest.raises(CallerError) as raised, open_local(history.git_dir) as mirror:
        mirror.command.run("merge-base", "HEAD~1", "gone")
    assert "hint" not in str(raised.value)


def test_the_command_says_what_is_wrong_and_exits_with_1(history: History, tmp_path: Path) -> None:
    history.write([net()])
    for arguments, words in (
        ([tmp_path], "is not a git repository"),
        ([history.git_dir, "--branch", "gone"], "no branch `gone`"),
        ([history.git_dir, "--until", "f" * 40], "no commit"),
        ([history.git_dir, "--until", ""], "no commit"),
        ([history.git_dir, "--path", "web/v1"], "no commit holds the folder `web/v1`"),
        ([history.git_dir, "--branch", "main", "--until", "main"], "not both"),
    ):
        done = _replay(*arguments)
        assert (done.exit_code, done.stdout) == (1, "")
        assert words in done.stderr
    table = _replay(history.git_dir)
    assert table.exit_code == 0
    assert "net/v1  1.0      " in table.stdout
