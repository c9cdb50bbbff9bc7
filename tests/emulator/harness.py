"""An emulator of AWS for tests: ministack with our extension, in a process and a virtual environment of its own."""

import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from tests.environments import CannotRun, bin_of

PACKAGES = ("ministack==1.5.33", "aws-sam-translator==1.115.0")
"""The emulator, and what it applies AWS SAM's transform with."""

STARTS_WITHIN = 60.0

KEY, SECRET = "test", "test"
ACCOUNT = "000000000000"
"""The account that the emulator takes this key for."""

REGION = "eu-west-1"


_SESSION = boto3.session.Session()


__all__ = ["ACCOUNT", "KEY", "REGION", "SECRET", "CannotRun", "Emulator"]


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
                [bin_of("emulator", *PACKAGES) / "python", Path(__file__).with_name("launcher.py")],
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
