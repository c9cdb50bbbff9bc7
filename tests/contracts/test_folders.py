"""Bundles on disk: read as git would keep them, and nothing outside their folder."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.builders import environment_files, service_files, under, write_files
from upkeep.adapters.folders import find_bundles, read_bundle
from upkeep.domain.bundles import inspect
from upkeep.domain.errors import CallerError, NotFound
from upkeep.domain.limits import LIMITS


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.com")
    done = subprocess.run(["git", *identity, "-C", folder, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_ids_and_modes_are_those_of_git(tmp_path):
    folder = write_files(tmp_path / "r", {**service_files(), "a/b": "x", "a.b": "y", "a0": "z", "läuft/ß": "ä"})
    write_files(folder, {"run.sh": "#!/bin/sh\n"})
    (folder / "run.sh").chmod(0o755)
    (folder / "link").symlink_to("a/b")
    (folder / "empty").mkdir()
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    bundle = read_bundle(folder)
    assert bundle.tree == git(folder, "write-tree")
    rows = git(folder, "-c", "core.quotePath=false", "ls-files", "-s").splitlines()
    assert {(file.mode, file.blob, file.path) for file in bundle.files} == {
        (mode, blob, path) for mode, blob, path in (row.replace(" 0\t", " ").split(" ", 2) for row in rows)
    }


def test_contents_are_read(tmp_path):
    bundle = read_bundle(write_files(tmp_path, environment_files()))
    assert {file.path: file.content.decode() for file in bundle.files} == environment_files()
    assert inspect(bundle).findings == ()


def test_links_are_not_followed(tmp_path):
    write_files(tmp_path, {"secret": "s", "folder/file": "x", "bundle/schema/schema.yaml": "a"})
    (tmp_path / "bundle" / "file").symlink_to("../secret")
    (tmp_path / "bundle" / "folder").symlink_to("../folder", target_is_directory=True)
    bundle = read_bundle(tmp_path / "bundle")
    assert [(file.path, file.mode, file.content) for file in bundle.files if file.path != "schema/schema.yaml"] == [
        ("file", "120000", None),
        ("folder", "120000", None),
    ]


def test_a_repository_inside_is_a_submodule_and_git_itself_is_left_out(tmp_path):
    write_files(tmp_path, {".git/config": "x", "a": "b", "vendor/.git": "gitdir: elsewhere", "vendor/file": "x"})
    files = read_bundle(tmp_path).files
    assert [(file.path, file.mode) for file in files] == [("a", "100644"), ("vendor", "160000")]


def test_files_that_are_too_large_are_not_kept_in_memory(tmp_path):
    write_files(tmp_path, {"big": b"x" * (LIMITS.bundle.file_bytes + 1), "fits": b"x" * LIMITS.bundle.file_bytes})
    big, fits = read_bundle(tmp_path).files
    assert (big.size, big.content) == (LIMITS.bundle.file_bytes + 1, None)
    assert fits.content is not None
    assert big.blob == git(tmp_path, "hash-object", "big")


def test_reading_stops_keeping_contents_when_the_bundle_is_too_large(tmp_path):
    count = LIMITS.bundle.bytes // LIMITS.bundle.file_bytes + 2
    write_files(tmp_path, {f"{number}": b"x" * LIMITS.bundle.file_bytes for number in range(count)})
    bundle = read_bundle(tmp_path)
    assert sum(file.content is not None for file in bundle.files) == count - 2
    assert "too-large" in [finding.slug for finding in inspect(bundle).findings]


def test_what_git_would_not_keep_is_left_out(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    write_files(tmp_path, {"a": "b"})
    assert [file.path for file in read_bundle(tmp_path).files] == ["a"]


def test_names_that_are_not_utf_8_are_kept(tmp_path):
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xe4")).write_text("x")
    (file,) = read_bundle(tmp_path).files
    assert os.fsencode(file.path) == b"\xe4"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("act", [read_bundle, find_bundles])
@pytest.mark.parametrize("closed", ["schema", "spec", "other"])
def test_a_folder_that_may_not_be_read_is_told(tmp_path, act, closed):
    (tmp_path / closed).mkdir(mode=0)
    with pytest.raises(CallerError, match=f"{closed}.*cannot be read"):
        act(tmp_path)


@pytest.mark.parametrize("act", [read_bundle, find_bundles])
def test_folders_without_end_are_told(tmp_path, act):
    (tmp_path / "/".join(["d"] * 600)).mkdir(parents=True)
    with pytest.raises(CallerError, match="nest deeper") as raised:
        act(tmp_path)
    assert raised.value.where == "d/d/d/…"


@pytest.mark.parametrize("act", [read_bundle, find_bundles])
def test_a_folder_that_is_not_there_is_told(tmp_path, act):
    with pytest.raises(NotFound):
        act(tmp_path / "gone")


def test_bundles_are_found_with_and_without_version_folders(tmp_path):
    write_files(
        tmp_path,
        {
            **under("one/v1", environment_files()),
            **under("one/v2", environment_files()),
            **under("group/deeper/two/3", service_files()),
            **under("loose", environment_files()),
            **under("misspelt/v1", {"Schema/schema.yaml": "x"}),
            **under("forgotten", {"spec/spec.yaml": "# ours\nproton: ServiceSpec\n"}),
            **under("docs/v1", {"index.md": "x"}),
            **under("src", {"schema/table.sql": "x", "infrastructure/main.tf": "x"}),
            **under("component", {"manifest.yaml": "x", "cloudformation.yaml": "x"}),
            **under("one", {"spec/spec.yaml": "proton: EnvironmentSpec\n"}),
            **under(".hidden/v1", environment_files()),
        },
    )
    assert find_bundles(tmp_path) == (
        "forgotten",
        "group/deeper/two/3",
        "loose",
        "misspelt/v1",
        "one/v1",
        "one/v2",
    )


def test_the_folder_itself_may_be_the_bundle(tmp_path):
    write_files(tmp_path, under("x/v1", environment_files()))
    assert find_bundles(tmp_path / "x" / "v1") == (".",)
    assert find_bundles(tmp_path / "x" / "v1" / "infrastructure") == ()


def test_a_bundle_inside_a_bundle_is_found_when_it_is_a_version_folder(tmp_path):
    write_files(tmp_path, {**under("x/v2", environment_files()), **under("x/v2/v1", environment_files())})
    assert find_bundles(tmp_path) == ("x/v2", "x/v2/v1")


def test_links_are_not_searched(tmp_path):
    write_files(tmp_path, under("elsewhere/x/v1", environment_files()))
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "link").symlink_to("../elsewhere", target_is_directory=True)
    assert find_bundles(tmp_path / "here") == ()
