"""Repositories, tried with real git over HTTP and in folders."""

import logging
import os
import random
import resource
import shutil
import stat
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.builders import a_source, environment_files, under
from tests.gitserver import GitServer
from tests.histories import History, Merge, Submodule, Symlink, a_repository
from upkeep.adapters.git import GitMirror, GitRepositories, open_local
from upkeep.domain.changes import FolderChange, Step
from upkeep.domain.errors import BundleError, CallerError, NotFound, StalledError, TransientError, UpkeepError
from upkeep.domain.limits import LIMITS
from upkeep.domain.sources import Credential, CredentialKind, Source


@dataclass(frozen=True, slots=True)
class OneSecret:
    """Secrets that know one."""

    value: str | None = None

    def reveal(self, credential: Credential) -> str | None:
        return self.value if credential.kind is not CredentialKind.NONE else None


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GitServer]:
    with GitServer(tmp_path / "served") as running:
        yield running


@pytest.fixture
def history(server: GitServer) -> History:
    """A served repository with two commits."""
    made = History(server.create("templates"))
    made.write([{"web/v1/schema/schema.yaml": "one"}, {"web/v1/schema/schema.yaml": "two"}])
    return made


@pytest.fixture
def source(server: GitServer) -> Source:
    return a_source("templates", url=server.url("templates"))


@pytest.fixture
def repositories(tmp_path: Path) -> GitRepositories:
    return _repositories(tmp_path)


def _repositories(tmp_path: Path, token: str | None = None, seconds: float = 20) -> GitRepositories:
    return GitRepositories(
        tmp_path / "mirrors", OneSecret(token), timeout_for=timedelta(seconds=seconds), allow_local=True
    )


def _children() -> set[int]:
    """Processes that descend from this one, by the group that each git of ours leads or the parent it has."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == os.getpid():
                found.add(int(entry.name))
    return found


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


# --------------------------------------------------------------------------------------- heads and fetches


def test_the_head_is_asked_of_the_remote(
    server: GitServer, history: History, source: Source, repositories: GitRepositories
) -> None:
    assert repositories.head(source) == history.git("rev-parse", "main")
    assert not any(
        "git-upload-pack" in request and request.startswith("POST") and "templates" not in request
        for request in server.requests
    )


def test_a_fetch_brings_the_mirror_up_to_the_head(
    history: History, source: Source, repositories: GitRepositories
) -> None:
    with repositories.fetch(source) as mirror:
        assert mirror.head == history.git("rev-parse", "main")
    (third,) = history.write([{"web/v1/schema/schema.yaml": "three"}], onto="main")
    with repositories.fetch(source) as mirror:
        assert mirror.head == third
        assert mirror.commit(third).subject == "change 0"


def test_a_branch_may_be_called_like_a_folder_of_branches(
    history: History, source: Source, repositories: GitRepositories
) -> None:
    history.git("branch", "topic", "main")
    with repositories.fetch(replace(source, branch="topic")):
        pass
    history.git("branch", "-m", "topic", "topic/two")
    with repositories.fetch(replace(source, branch="topic/two")) as mirror:
        assert mirror.head == history.git("rev-parse", "main")


def test_a_rewritten_branch_is_fetched(history: History, source: Source, repositories: GitRepositories) -> None:
    with repositories.fetch(source) as mirror:
        before = mirror.head
    (other,) = history.write([{"web/v1/schema/schema.yaml": "rewritten"}])
    with repositories.fetch(source) as mirror:
        assert mirror.head == other
        assert mirror.steps(before, other, "") is None


def test_a_source_that_changed_its_address_is_read_at_the_new_one(
    tmp_path: Path, history: History, source: Source, repositories: GitRepositories
) -> None:
    with repositories.fetch(source) as mirror:
        before = mirror.head
    other = a_repository(tmp_path / "other.git", [{"net/v1/schema/schema.yaml": "other"}])
    with repositories.fetch(replace(source, url=str(other.git_dir))) as mirror:
        assert mirror.head == other.git("rev-parse", "main")
        assert mirror.steps(before, mirror.head, "") is None


def test_a_damaged_mirror_is_fetched_anew(
    tmp_path: Path, history: History, source: Source, repositories: GitRepositories
) -> None:
    with repositories.fetch(source):
        pass
    place = tmp_path / "mirrors" / "templates.git"
    for damage in (_empty_objects, _no_objects, _no_config):
        damage(place)
        (head,) = history.write([{"web/v1/schema/schema.yaml": damage.__name__}], onto="main")
        with repositories.fetch(source) as mirror:
            assert mirror.head == head
            assert len(list(mirror.history(head, ""))) > 2


def _empty_objects(place: Path) -> None:
    for item in (place / "objects").rglob("*"):
        if item.is_file():
            item.chmod(stat.S_IRWXU)
            item.write_bytes(b"")


def _no_objects(place: Path) -> None:
    shutil.rmtree(place / "objects")


def _no_config(place: Path) -> None:
    (place / "config").write_text("[core\n")


def test_damage_found_while_reading_is_mended_by_the_next_sync(
    tmp_path: Path, history: History, source: Source, repositories: GitRepositories
) -> None:
    with repositories.fetch(source) as mirror:
        tree = mirror.folders(mirror.head, "")["web/v1"]
    with pytest.raises(TransientError), repositories.fetch(source) as mirror:
        _lose(tmp_path / "mirrors" / "templates.git", tree)
        mirror.bundle(tree)
    with repositories.fetch(source) as mirror:
        assert mirror.bundle(tree).files


def _lose(place: Path, object_id: str) -> None:
    (place / "objects" / object_id[:2] / object_id[2:]).unlink()


def test_locks_that_a_killed_git_left_do_not_stop_a_fetch(
    tmp_path: Path, history: History, source: Source, repositories: GitRepositories
) -> None:
    with repositories.fetch(source):
        pass
    lock = tmp_path / "mirrors" / "templates.git" / "refs" / "upkeep" / "head.lock"
    lock.touch()
    (head,) = history.write([{"web/v1/schema/schema.yaml": "three"}], onto="main")
    with repositories.fetch(source) as mirror:
        assert mirror.head == head
    assert not lock.exists()


def test_a_mirror_is_packed_when_it_is_tidied(
    tmp_path: Path, history: History, source: Source, repositories: GitRepositories
) -> None:
    with repositories.fetch(source):
        pass
    repositories.tidy()
    place = tmp_path / "mirrors" / "templates.git"
    assert list((place / "objects" / "pack").glob("*.pack"))
    with repositories.fetch(source) as mirror:
        assert mirror.head == history.git("rev-parse", "main")
    repositories.discard(source.name)
    assert not place.exists()


# ------------------------------------------------------------------------------------------------- faults


def _both(repositories: GitRepositories, source: Source) -> list[UpkeepError]:
    caught = []
    for ask in (lambda: repositories.head(source), lambda: repositories.fetch(source).__enter__()):
        with pytest.raises(UpkeepError) as raised:
            ask()
        caught.append(raised.value)
    return caught


def test_a_repository_that_is_gone_stalls_its_source(
    server: GitServer, source: Source, repositories: GitRepositories
) -> None:
    for fault in _both(repositories, replace(source, url=server.url("nowhere"))):
        assert isinstance(fault, StalledError)
        assert "there is no repository" in fault.message
        assert fault.cure


def test_a_branch_that_is_gone_stalls_its_source(
    history: History, source: Source, repositories: GitRepositories
) -> None:
    for fault in _both(repositories, replace(source, branch="release")):
        assert isinstance(fault, StalledError)
        assert "no branch `release`" in fault.message


def test_an_empty_repository_has_no_branch(server: GitServer, source: Source, repositories: GitRepositories) -> None:
    server.create("templates")
    for fault in _both(repositories, source):
        assert isinstance(fault, StalledError)


def test_a_server_that_forbids_stalls_its_source(
    server: GitServer, history: History, source: Source, repositories: GitRepositories
) -> None:
    server.token = "right"
    for fault in _both(repositories, source):
        assert isinstance(fault, StalledError)
        assert "refused" in fault.message
        assert "credential" in (fault.cure or "")


@pytest.mark.parametrize("status", [500, 502, 503, 429])
def test_a_server_in_trouble_is_asked_again_later(
    server: GitServer, history: History, source: Source, repositories: GitRepositories, status: int
) -> None:
    server.fault = lambda path: (status, "in trouble")
    for fault in _both(repositories, source):
        assert isinstance(fault, TransientError)


def test_a_server_that_is_down_is_asked_again_later(history: History, repositories: GitRepositories) -> None:
    for fault in _both(repositories, a_source(url="http://127.0.0.1:9/templates.git")):
        assert isinstance(fault, TransientError)
        assert "http://127.0.0.1:9/templates.git" in fault.message


def test_a_server_that_never_answers_is_given_up_with_all_processes(
    tmp_path: Path, server: GitServer, history: History, source: Source
) -> None:
    def dawdle(path: str) -> None:
        time.sleep(3)

    server.fault = dawdle
    impatient = _repositories(tmp_path, seconds=0.5)
    before, began = _children(), time.monotonic()
    with pytest.raises(TransientError, match=r"stopped after .*raise `git.timeout`"):
        impatient.head(source)
    assert time.monotonic() - began < 2.5
    assert _children() <= before
    running = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert f"remote-http {source.url}" not in running


@pytest.mark.parametrize(
    "url",
    ["ext::sh -c touch% /tmp/upkeep-was-here", "--upload-pack=touch /tmp/upkeep-was-here", "git@-oProxyCommand=x:y"],
)
def test_an_address_that_would_run_something_never_reaches_git(repositories: GitRepositories, url: str) -> None:
    for fault in _both(repositories, a_source(url=url)):
        assert isinstance(fault, StalledError)
    assert not Path("/tmp/upkeep-was-here").exists()


def test_a_branch_that_is_an_option_never_reaches_git(source: Source, repositories: GitRepositories) -> None:
    for fault in _both(repositories, replace(source, branch="--upload-pack=x")):
        assert isinstance(fault, StalledError)


def test_a_local_repository_is_refused_where_it_is_not_allowed(tmp_path: Path, history: History) -> None:
    closed = GitRepositories(tmp_path / "mirrors", OneSecret(), timeout_for=timedelta(seconds=5), allow_local=False)
    for fault in _both(closed, a_source(url=str(history.git_dir))):
        assert isinstance(fault, StalledError)


def test_two_processes_do_not_work_on_one_mirror(
    tmp_path: Path, history: History, source: Source, repositories: GitRepositories
) -> None:
    impatient = _repositories(tmp_path, seconds=0.2)
    with repositories.fetch(source), pytest.raises(TransientError, match="another process"), impatient.fetch(source):
        pass


# ---------------------------------------------------------------------------------------------- credentials


def test_a_token_opens_the_repository_and_appears_nowhere(
    tmp_path: Path, server: GitServer, history: History, source: Source, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server.token = token = "ghp_0123456789abcdef"
    seen: list[str] = []

    def look(path: str) -> None:
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    seen.append((entry / "cmdline").read_bytes().decode("utf-8", "replace"))
                except OSError:
                    continue

    server.fault = look
    repositories = _repositories(tmp_path, token)
    entered = replace(source, credential=Credential(CredentialKind.TOKEN_ENV, "TOKEN"))
    assert repositories.head(entered) == history.git("rev-parse", "main")
    with repositories.fetch(entered):
        pass
    server.token = "another"
    told = "\n".join(str(fault) for fault in _both(repositories, entered))
    kept = b"".join(item.read_bytes() for item in (tmp_path / "mirrors").rglob("*") if item.is_file()).decode("latin-1")
    assert any("ls-remote" in line for line in seen) and any("fetch" in line for line in seen)
    assert "Popen" in caplog.text
    for text in (*seen, told, kept, caplog.text):
        assert token not in text
        assert "Authorization" not in text


def test_a_missing_ssh_key_stalls_the_source(repositories: GitRepositories) -> None:
    entered = a_source(url="git@127.0.0.1:x.git", credential=Credential(CredentialKind.SSH_KEY_FILE, "/nowhere/key"))
    with pytest.raises(StalledError, match="no SSH key"):
        repositories.head(entered)


def test_ssh_asks_nothing_and_keeps_host_keys_with_the_mirrors(
    tmp_path: Path, repositories: GitRepositories, monkeypatch: pytest.MonkeyPatch
) -> None:
    bin_folder, said = tmp_path / "bin", tmp_path / "said"
    bin_folder.mkdir()
    fake = bin_folder / "ssh"
    fake.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >{said}\necho "Host key verification failed." >&2\nexit 255\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{bin_folder}:{os.environ['PATH']}")
    key = tmp_path / "a key"
    key.write_text("key")
    entered = a_source(url="git@git.example.com:x.git", credential=Credential(CredentialKind.SSH_KEY_FILE, str(key)))
    with pytest.raises(StalledError, match="host key"):
        repositories.head(entered)
    words = said.read_text().splitlines()
    assert {"BatchMode=yes", "StrictHostKeyChecking=accept-new", "IdentitiesOnly=yes", str(key)} <= set(words)
    assert f"UserKnownHostsFile={tmp_path / 'mirrors' / 'known_hosts'}" in words


def test_only_named_hosts_are_trusted_where_they_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bin_folder, said = tmp_path / "bin", tmp_path / "said"
    bin_folder.mkdir()
    fake = bin_folder / "ssh"
    fake.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >{said}\nexit 255\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{bin_folder}:{os.environ['PATH']}")
    strict = replace(_repositories(tmp_path), known_hosts=tmp_path / "known")
    with pytest.raises(UpkeepError):
        strict.head(a_source(url="git@git.example.com:x.git"))
    words = said.read_text().splitlines()
    assert {"StrictHostKeyChecking=yes", f"UserKnownHostsFile={tmp_path / 'known'}", "ForwardAgent=no"} <= set(words)


def test_without_git_the_cure_is_to_install_it(
    source: Source, repositories: GitRepositories, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(StalledError, match="git cannot be run"):
        repositories.head(source)


# ------------------------------------------------------------------------------------------------- leaks


def test_fifty_syncs_leave_no_process_and_no_descriptor(
    history: History, source: Source, repositories: GitRepositories
) -> None:
    def once(number: int) -> None:
        repositories.head(source)
        with repositories.fetch(source) as mirror:
            steps = mirror.history(mirror.head, "")
            next(steps)
            if number % 2:
                list(steps)
            mirror.bundle(mirror.folders(mirror.head, "")["web/v1"])

    once(0)
    children, descriptors = _children(), _descriptors()
    for number in range(50):
        once(number)
    assert _children() <= children
    assert _descriptors() <= descriptors


# ------------------------------------------------------------------------------------------------ reading


@pytest.fixture
def local(tmp_path: Path) -> Iterator[tuple[History, GitMirror]]:
    """A repository to write into and a mirror that reads it in place."""
    made = a_repository(tmp_path / "local.git", [{"README": "hello"}])
    with open_local(made.git_dir) as mirror:
        yield made, mirror


def _shape(steps: Iterator[Step] | None) -> list[tuple[str, list[tuple[str, bool, bool]]]]:
    assert steps is not None
    return [
        (step.commit.id, [(c.path, c.before is not None, c.after is not None) for c in step.folders]) for step in steps
    ]


def test_steps_tell_folders_that_come_change_and_go(local: tuple[History, GitMirror]) -> None:
    history, mirror = local
    base = history.git("rev-parse", "main")
    one, two, three, four = history.write(
        [{"a/v1/s/x": "1"}, {"a/v1/s/x": "2"}, {"README": "only"}, {"a": "a file now"}], onto="main"
    )
    trees = [history.git("rev-parse", f"{commit}:a/v1") for commit in (one, two)]
    steps = mirror.steps(base, four, "")
    assert steps is not None
    taken = list(steps)
    assert _shape(iter(taken)) == [
        (one, [("a", False, True), ("a/v1", False, True), ("a/v1/s", False, True)]),
        (two, [("a", True, True), ("a/v1", True, True), ("a/v1/s", True, True)]),
        (three, [("a", True, False), ("a/v1", True, False), ("a/v1/s", True, False)]),
        (four, []),
    ]
    assert taken[1].folders[1] == FolderChange("a/v1", *trees)


def test_a_merge_counts_as_one_commit_against_its_first_parent(local: tuple[History, GitMirror]) -> None:
    history, mirror = local
    base = history.git("rev-parse", "main")
    one, merged = history.write([{"a/v1/x": "1"}, Merge({"a/v1/x": "2"})], onto="main")
    assert _shape(mirror.steps(base, merged, "")) == [
        (one, [("a", False, True), ("a/v1", False, True)]),
        (merged, [("a", True, True), ("a/v1", True, True)]),
    ]
    side = history.git("rev-parse", f"{merged}^2")
    assert mirror.steps(side, merged, "") is None


def test_there_are_no_steps_from_a_commit_off_the_line_or_unknown(local: tuple[History, GitMirror]) -> None:
    history, mirror = local
    root = history.git("rev-parse", "main")
    one, two = history.write([{"a/v1/x": "1"}, {"a/v1/x": "2"}], onto="main")
    assert mirror.steps(two, one, "") is None
    assert mirror.steps("f" * 40, two, "") is None
    assert list(mirror.steps(two, two, "") or ["none"]) == []
    assert [step.commit.id for step in mirror.steps(root, two, "nowhere") or ()] == [one, two]


def test_a_subdirectory_narrows_what_is_told_but_not_the_line(local: tuple[History, GitMirror]) -> None:
    history, mirror = local
    base = history.git("rev-parse", "main")
    one, two, three = history.write(
        [{"in/a/v1/x": "1", "out/b/v1/x": "1"}, {"in/a/v1/x": "1", "out/b/v1/x": "2"}, {"in/a/v1/x": "2"}], onto="main"
    )
    assert _shape(mirror.steps(base, three, "in")) == [
        (one, [("in/a", False, True), ("in/a/v1", False, True)]),
        (two, []),
        (three, [("in/a", True, True), ("in/a/v1", True, True)]),
    ]
    assert set(mirror.folders(three, "in")) == {"in/a", "in/a/v1"}
    assert set(mirror.folders(one, "")) == {"in", "in/a", "in/a/v1", "out", "out/b", "out/b/v1"}


def test_history_begins_with_the_first_commit(local: tuple[History, GitMirror]) -> None:
    history, mirror = local
    (one,) = history.write([{"a/v1/x": "1"}], onto="main")
    assert [step.commit.id for step in mirror.history(one, "")] == history.git("rev-list", "--reverse", one).split()


def test_a_commit_is_told_alike_by_itself_and_in_a_history(local: tuple[History, GitMirror]) -> None:
    history, mirror = local
    (one,) = history.write([{"a": "1"}], onto="main")
    *_, step = mirror.history(one, "")
    assert step.commit == mirror.commit(one)
    assert (step.commit.author_name, step.commit.author_email) == ("Paula Platform", "paula@example.com")
    assert step.commit.at == datetime.fromtimestamp(1_700_000_065, UTC)
    with pytest.raises(NotFound):
        mirror.commit("f" * 40)


@pytest.mark.parametrize(
    ("raw", "name", "message"),
    [
        (
            b"author J\xf6rg <j@example.com> 0 +0000\ncommitter X <x@example.com> 0 +0000\n"
            b"encoding ISO-8859-1\n\nGr\xfc\xdfe",
            "Jörg",
            "Grüße",
        ),
        (
            b"author \xff <j@example.com> 0 +0000\ncommitter X <x@example.com> 99999999999999 +0000\n\n\xff:\x01oops",
            "�",
            "�:\x01oops",
        ),
        (b"author  <> 0 +0000\ncommitter <> -5 +0000\n\n", "", ""),
    ],
)
def test_strange_commits_are_read(local: tuple[History, GitMirror], raw: bytes, name: str, message: str) -> None:
    history, mirror = local
    tree = history.git("rev-parse", "main^{tree}").encode()
    made = subprocess.run(
        ["git", f"--git-dir={history.git_dir}", "hash-object", "-t", "commit", "-w", "--literally", "--stdin"],
        input=b"tree " + tree + b"\n" + raw,
        capture_output=True,
        check=True,
    )
    strange = made.stdout.decode().strip()
    assert (mirror.commit(strange).author_name, mirror.commit(strange).message) == (name, message)
    (step,) = mirror.history(strange, "")
    assert (step.commit.author_name, step.commit.message) == (name, message)


def test_a_bundle_holds_every_file_and_says_what_it_is(local: tuple[History, GitMirror]) -> None:
    history, mirror = local
    large = "x" * (LIMITS.bundle.file_bytes + 1)
    history.write(
        [{
            "v1/schema/schema.yaml": "text",
            "v1/empty": "",
            "v1/link": Symlink("/etc/passwd"),
            "v1/module": Submodule(),
            "v1/caf\udce9": "latin",
            "v1/large": large,
        }],
        onto="main",
    )  # fmt: skip
    tree = mirror.folders(mirror.resolve("main"), "")["v1"]
    bundle = mirror.bundle(tree)
    assert bundle.tree == tree
    assert {file.path: (file.mode, file.size, file.content) for file in bundle.files} == {
        "schema/schema.yaml": ("100644", 4, b"text"),
        "empty": ("100644", 0, b""),
        "link": ("120000", 0, None),
        "module": ("160000", 0, None),
        "caf\udce9": ("100644", 5, b"latin"),
        "large": ("100644", len(large), None),
    }
    assert mirror.bundle(tree) == bundle


def test_a_folder_with_too_much_in_it_is_no_bundle(local: tuple[History, GitMirror]) -> None:
    history, mirror = local
    history.write(
        [{f"many/{number}": "" for number in range(2_001)}, {f"big/{n}": chr(97 + n) * 1_500_000 for n in range(12)}],
        onto="main",
    )
    for folder, commit in (("many", "main~1"), ("big", "main")):
        with pytest.raises(BundleError, match="more than"):
            mirror.bundle(history.git("rev-parse", f"{commit}:{folder}"))


def test_a_tree_that_names_itself_a_billion_times_is_given_up(local: tuple[History, GitMirror]) -> None:
    history, mirror = local
    kind, entry = "blob", history.git("rev-parse", "main:README")
    for _ in range(9):
        rows = "".join(
            f"{'100644' if kind == 'blob' else '040000'} {kind} {entry}\tf{number}\n" for number in range(10)
        )
        made = subprocess.run(
            ["git", f"--git-dir={history.git_dir}", "mktree"], input=rows.encode(), capture_output=True, check=True
        )
        kind, entry = "tree", made.stdout.decode().strip()
    with pytest.raises(BundleError, match="more than"):
        mirror.bundle(entry)


# ------------------------------------------------------------------------------------- local repositories


def test_bare_and_other_repositories_are_opened(tmp_path: Path) -> None:
    bare = a_repository(tmp_path / "bare.git", [under("web/v1", environment_files())])
    clone, linked = tmp_path / "clone", tmp_path / "linked"
    subprocess.run(["git", "clone", "--quiet", bare.git_dir, clone], check=True, capture_output=True)
    subprocess.run(["git", "-C", clone, "worktree", "add", "--quiet", linked], check=True, capture_output=True)
    for place in (bare.git_dir, clone, clone / ".git", linked):
        with open_local(place) as mirror:
            assert mirror.head == bare.git("rev-parse", "main")


def test_what_is_no_repository_is_said_to_be_none(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(CallerError, match="not a git repository"), open_local(place):
            pass


def test_variables_of_a_hook_do_not_lead_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = a_repository(tmp_path / "wanted.git", [{"a": "1"}])
    other = a_repository(tmp_path / "other.git", [{"b": "1"}])
    expected = wanted.git("rev-parse", "main")
    monkeypatch.setenv("GIT_DIR", str(other.git_dir))
    monkeypatch.setenv("GIT_OBJECT_DIRECTORY", str(other.git_dir / "objects"))
    monkeypatch.setenv("GIT_ALLOW_PROTOCOL", "ext")
    with open_local(wanted.git_dir) as mirror:
        assert mirror.head == expected


def test_settings_of_a_repository_run_nothing_and_change_nothing(tmp_path: Path) -> None:
    made = a_repository(tmp_path / "hostile.git", [{"a/v1/x": "1"}, {"a/v1/x": "2"}])
    marker = tmp_path / "ran"
    with open_local(made.git_dir) as mirror:
        plain = list(mirror.history(mirror.head, ""))
    for name, value in {
        "core.fsmonitor": f"touch {marker}",
        "core.pager": f"touch {marker}",
        "diff.external": f"touch {marker}",
        "gpg.program": f"touch {marker}",
        "log.showSignature": "true",
        "log.showRoot": "false",
        "log.decorate": "full",
        "diff.renames": "copies",
        "log.date": "relative",
        "color.ui": "always",
        "i18n.logOutputEncoding": "UTF-16",
        "diff.noprefix": "true",
    }.items():
        made.git("config", name, value)
    with open_local(made.git_dir) as mirror:
        assert list(mirror.history(mirror.head, "")) == plain
    assert not marker.exists()


def test_settings_of_a_repository_around_the_mirrors_are_not_read(
    tmp_path: Path, source: Source, repositories: GitRepositories, history: History
) -> None:
    around = a_repository(tmp_path / ".git", [{"a": "1"}])
    marker = tmp_path / "ran"
    around.git("config", f"url.file://{around.git_dir}.insteadOf", source.url)
    around.git("config", "credential.helper", f"!touch {marker}")
    assert repositories.head(source) == history.git("rev-parse", "main")
    assert not marker.exists()


# ------------------------------------------------------------------------------------------------- limits


def _noise(megabytes: int) -> dict[str, bytes]:
    """A file that no compression makes smaller."""
    return {"noise": random.Random(megabytes).randbytes(megabytes << 20)}


bounded = pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="only Linux can bound another process")


@bounded
def test_a_fetch_that_brings_more_than_is_allowed_stalls_and_leaves_nothing(
    tmp_path: Path, history: History, source: Source
) -> None:
    history.write([_noise(3)], onto="main")
    small = replace(_repositories(tmp_path), fetch_bytes=1 << 20, memory_bytes=1 << 30)
    with pytest.raises(StalledError, match="1 MB at once") as stalled, small.fetch(source):
        pass
    assert "`git.fetch`" in (stalled.value.cure or "")
    left = [file for file in (tmp_path / "mirrors").rglob("*") if file.is_file() and file.stat().st_size > 1 << 19]
    assert left == []
    with _repositories(tmp_path).fetch(source) as mirror:
        assert mirror.head == history.git("rev-parse", "main")


@bounded
def test_git_that_takes_more_memory_than_is_allowed_stalls(tmp_path: Path, history: History, source: Source) -> None:
    # Few bytes of the repository, and all of it held at once to be looked at: a commit with much to say.
    tree = history.git("rev-parse", "main^{tree}")
    talkative = f"tree {tree}\nauthor A <a@x> 0 +0000\ncommitter A <a@x> 0 +0000\n\n".encode() + b"x" * (40 << 20)
    command = ["git", f"--git-dir={history.git_dir}", "hash-object", "-t", "commit", "-w", "--stdin"]
    made = subprocess.run(command, input=talkative, capture_output=True, check=True).stdout.decode().strip()
    history.git("update-ref", "refs/heads/main", made)
    small = replace(_repositories(tmp_path), memory_bytes=32 << 20)
    with pytest.raises(StalledError, match="32 MB of memory") as stalled, small.fetch(source):
        pass
    assert "`git.memory`" in (stalled.value.cure or "")


@bounded
def test_a_fetch_is_told_what_to_fetch_only_when_all_that_it_starts_is_bounded(
    tmp_path: Path, source: Source, repositories: GitRepositories, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    with repositories.fetch(source):
        pass
    bin_folder, said = tmp_path / "bin", tmp_path / "said"
    bin_folder.mkdir()
    script = f'#!/bin/sh\ncase "$*" in *" fetch "*) cat > {said}; cat /proc/self/limits >> {said};; esac\n'
    (bin_folder / "git").write_text(script)
    (bin_folder / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{bin_folder}:{os.environ['PATH']}")
    small = replace(repositories, memory_bytes=123 << 20, fetch_bytes=45 << 20)
    with pytest.raises(UpkeepError), small.fetch(source):
        pass
    told, *limits = said.read_text().splitlines()
    assert told == "+refs/heads/main:refs/upkeep/head"
    assert [line.split()[3:5] for line in limits if line.startswith(("Max data size", "Max file size"))] == [
        [str(45 << 20)] * 2,
        [str(123 << 20)] * 2,
    ]


def test_git_is_told_nothing_of_our_environment_that_could_be_a_secret(
    tmp_path: Path, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    bin_folder, said = tmp_path / "bin", tmp_path / "said"
    bin_folder.mkdir()
    (bin_folder / "git").write_text(f"#!/bin/sh\nenv > {said}\n")
    (bin_folder / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{bin_folder}:{os.environ['PATH']}")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "planted")
    monkeypatch.setenv("UPKEEP_DATABASE__URL", "postgresql://u:planted@h/d")
    monkeypatch.setenv("GIT_DIR", "/planted")
    monkeypatch.setenv("https_proxy", "http://proxy.example.com")
    with pytest.raises(UpkeepError):
        _repositories(tmp_path).head(source)
    told = said.read_text()
    assert "planted" not in told
    assert "https_proxy=http://proxy.example.com" in told


def test_a_redirection_is_not_followed_wherever_it_leads(
    tmp_path: Path, server: GitServer, history: History, source: Source, repositories: GitRepositories
) -> None:
    elsewhere = a_source("templates", url=source.url.replace("/templates.git", "/moved.git"))
    server.redirect = ("/moved.git", source.url)
    for fault in _both(repositories, elsewhere):
        assert isinstance(fault, StalledError)
    assert not any("/templates.git" in request for request in server.requests)


def test_a_token_is_not_sent_where_others_can_read_it(tmp_path: Path) -> None:
    entered = a_source(url="http://git.example.com/x.git", credential=Credential(CredentialKind.TOKEN_ENV, "TOKEN"))
    for fault in _both(_repositories(tmp_path, "ghp_0123456789abcdef"), entered):
        assert isinstance(fault, StalledError)
        assert "https" in (fault.cure or "")
