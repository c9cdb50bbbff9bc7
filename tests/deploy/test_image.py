"""The container image, as far as it can be tried where no engine runs: its file by a linter, and what it starts on a
root file system that cannot be written, as its user, with its environment and without any right."""

import json
import re
import shlex
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.deploy.machine import eventually, machine
from tests.deploy.ports import a_free_port, answer
from tests.deploy.shipped import DEPLOY, check_config
from tests.environments import ROOT

IMAGE = DEPLOY / "image"
DOCKERFILE = (IMAGE / "Dockerfile").read_text(encoding="utf-8")


def instructions() -> list[tuple[str, str]]:
    """Keyword and argument of each instruction, with its lines joined and without comments."""
    text = re.sub(r"^\s*#.*\n", "", DOCKERFILE, flags=re.MULTILINE).replace("\\\n", " ")
    return [(keyword, rest.strip()) for keyword, _, rest in (line.partition(" ") for line in text.splitlines() if line)]


def said(keyword: str) -> str:
    """The last argument of an instruction, which is the one that counts."""
    return [rest for found, rest in instructions() if found == keyword][-1]


def environment() -> dict[str, str]:
    return dict(part.split("=", 1) for part in shlex.split(said("ENV")))


def test_the_linter_finds_nothing():
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([hadolint, IMAGE / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_base_is_named_to_the_patch_and_both_stages_have_the_same():
    assert re.fullmatch(r"PYTHON=3\.\d+\.\d+-slim-\w+", said("ARG"))
    assert {rest.partition(" ")[0] for keyword, rest in instructions() if keyword == "FROM"} == {"python:${PYTHON}"}


def test_the_image_ends_as_a_numbered_user_and_not_as_root():
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", said("USER"))
    after = [keyword for keyword, _ in instructions()]
    assert "RUN" not in after[after.index("USER") :]


def test_the_build_sees_the_package_and_nothing_else():
    """The lines that let something in, and what the instructions take: neither more nor less."""
    allowed = {
        line[1:] for line in (IMAGE / "Dockerfile.dockerignore").read_text().splitlines() if line.startswith("!")
    }
    taken = [rest for keyword, rest in instructions() if keyword == "COPY" and not rest.startswith("--from")]
    assert {name for rest in taken for name in rest.split()[:-1]} == allowed
    assert all((ROOT / name).exists() for name in allowed)


def test_its_configuration_has_no_fault(tmp_path):
    done = check_config((IMAGE / "upkeep.yaml").read_text(), "/run/secrets", tmp_path)
    assert done.exit_code == 0, done.output


def test_it_serves_from_a_root_that_cannot_be_written(installed, tmp_path):
    assert json.loads(said("ENTRYPOINT")) == ["tini", "--", "upkeep"]
    port = a_free_port()
    etc, state = tmp_path / "etc" / "upkeep", tmp_path / "state"
    etc.mkdir(parents=True)
    state.mkdir()
    (etc / "upkeep.yaml").write_bytes((IMAGE / "upkeep.yaml").read_bytes())
    user = said("USER").split(":")[0]
    state.chmod(0o700)
    subprocess.run(["chown", "-R", said("USER"), state], check=True)
    nothing = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--no-new-privs"]
    nothing += ["--bounding-set=-all", "--inh-caps=-all"]
    variables = [f"{name}={value}" for name, value in environment().items()]
    given = ["env", "-i", "PATH=/opt/upkeep/bin:/usr/bin:/bin", *variables, f"UPKEEP_WEB__PORT={port}"]
    # What the image's process 1 does besides is reaping; the machine's own does not matter.
    started = [*nothing, *given, "sh", "-c", f'cd {said("WORKDIR")} && upkeep "$@"', "sh", "web"]
    with machine(started, upkeep=installed, folder=tmp_path, etc=tmp_path / "etc", read_only=True) as running:
        eventually(lambda: answer(port, "/readyz") == 200, running, tmp_path / "said")
        exec(health_check(port), {})
    with pytest.raises(urllib.error.URLError):
        exec(health_check(port), {})
    assert {path.stat().st_uid for path in state.rglob("*")} == {int(user)}


def health_check(port: int) -> str:
    """The Python that the image's HEALTHCHECK runs, for another port."""
    options, _, command = said("HEALTHCHECK").partition("CMD ")
    program, flag, code = json.loads(command)
    assert (program, flag) == ("python", "-c")
    assert "--timeout=5s" in options
    return str(code).replace(":8080", f":{port}")
