"""An emulator of AWS for tests: ministack with our extension, in a process and a virtual environment of its own.

The environment is made on first use below `.cache/` of the repository, or below the folder that UPKEEP_CACHE names.
"""

import fcntl
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
import venv
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

PACKAGES = ("ministack==1.5.33", "aws-sam-translator==1.115.0")
"""The emulator, and what it applies AWS SAM's transform with."""

ROOT = Path(__file__).resolve().parents[2]
STARTS_WITHIN = 60.0

KEY, SECRET = "test", "test"
ACCOUNT = "000000000000"
"""The account that the emulator takes this key for."""

REGION = "eu-west-1"


_SESSION = boto3.session.Session()


class CannotRun(Exception):
    """The emulator cannot be installed or started here."""


class Emulator:
    """A running emulator. Everything in it is forgotten by `reset`."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self._log = folder / "emulator.log"
        environ = {
            "PATH": os.environ.get("PATH", ""),
            "HOME": str(folder),
            "TMPDIR": str(folder),
            "BIND_HOST": "127.0.0.1",
            "MINISTACK_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(port),
            "S3_DATA_DIR": str(folder / "s3"),
            "LOG_LEVEL": "ERROR",
        }
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [_python(), Path(__file__).with_name("launcher.py")],
                env=environ,
                cwd=folder,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self._wait()

    def reset(self) -> None:
        """Forget everything."""
        urllib.request.urlopen(
            urllib.request.Request(f"{self.url}/_ministack/reset", method="POST"), timeout=30
        ).close()

    def client(self, service: str, region: str = REGION, key: str = KEY) -> Any:
        """A client of the emulator; a key of twelve digits speaks for the account of that number."""
        return _SESSION.client(
            service,
            region_name=region,
            endpoint_url=self.url,
            aws_access_key_id=key,
            aws_secret_access_key=SECRET,
            config=Config(s3={"addressing_style": "path"}),
        )

    def stop(self) -> None:
        """End it, whatever it is doing."""
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _wait(self) -> None:
        deadline = time.monotonic() + STARTS_WITHIN
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            try:
                urllib.request.urlopen(f"{self.url}/_ministack/health", timeout=5).close()
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                time.sleep(0.05)
            else:
                return
        self.stop()
        raise CannotRun(f"the emulator did not start: {self._log.read_text(errors='replace')[-2000:]}")


def _python() -> Path:
    """The interpreter of the emulator's environment, which is made when there is none. Several may ask at once."""
    cache = Path(os.environ.get("UPKEEP_CACHE", ROOT / ".cache"))
    home = cache / "-".join(["emulator", *(package.partition("==")[2] for package in PACKAGES)])
    python, ready = home / "bin" / "python", home / "ready"
    if ready.exists():
        return python
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with home.with_name(f"{home.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not ready.exists():
                shutil.rmtree(home, ignore_errors=True)
                venv.create(home, with_pip=True)
                _run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PACKAGES)
                ready.touch()
    except (OSError, subprocess.SubprocessError) as fault:
        raise CannotRun(f"{' '.join(PACKAGES)} cannot be installed in {home}: {fault}") from fault
    return python


def _run(*command: object) -> None:
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False, timeout=600)
    if done.returncode != 0:
        raise subprocess.SubprocessError(done.stderr.strip()[-500:] or f"exit status {done.returncode}")
