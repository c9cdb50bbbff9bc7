"""The AWS command line, as it comes from PyPI, against a running daemon."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.environments import CannotRun, bin_of

PACKAGE = "awscli==1.46.3"


class AwsCli:
    """`aws` with an endpoint, a region and a key pair in its environment, and nothing else of anybody's AWS."""

    def __init__(self, folder: Path, endpoint: str, region: str, key: str, secret: str) -> None:
        try:
            self._bin = bin_of("awscli", PACKAGE)
        except CannotRun as fault:
            if os.environ.get("CI"):
                raise
            pytest.skip(str(fault))
        self.folder = folder
        if shutil.which("jq") is None:
            self._stand_in_for_jq()
        self.environment = {
            "PATH": f"{self._bin}:{os.environ['PATH']}",
            "HOME": str(folder),
            "AWS_ENDPOINT_URL_PROTON": endpoint,
            "AWS_DEFAULT_REGION": region,
            "AWS_ACCESS_KEY_ID": key,
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_PAGER": "",
            "LC_ALL": "C.UTF-8",
        }

    def _stand_in_for_jq(self) -> None:
        """`jq -r .a.b`, which is all that the commands of pipelines need, on machines that have none."""
        place = self._bin / "jq"
        place.write_text(
            f"#!{sys.executable}\nimport functools, json, sys\n"
            "steps = sys.argv[2].strip('.').split('.')\n"
            "print(functools.reduce(lambda value, step: value[step], steps, json.load(sys.stdin)))\n"
        )
        place.chmod(0o755)

    def shell(self, command: str, **environment: str) -> str:
        """Run a line of a build in a shell; what it prints. AssertionError when it fails."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            cwd=self.folder,
            env=self.environment | environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout

    def proton(self, *words: str) -> Any:
        """What `aws proton` answers; None for nothing."""
        done = self.run(*words)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout.strip() else None

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """`aws proton` with these words, however that ends."""
        return subprocess.run(
            [self._bin / "aws", "proton", *words],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )
