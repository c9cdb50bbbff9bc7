"""Virtual environments for programs that tests drive and that must not share ours, because they pin what we use.

Each is made on first use below `.cache/` of the repository, or below the folder that UPKEEP_CACHE names.
"""

import fcntl
import os
import shutil
import subprocess
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


class CannotRun(Exception):
    """The program cannot be installed or started here."""


def bin_of(name: str, *packages: str) -> Path:
    """The `bin` folder of an environment with these packages, each pinned. Several may ask at once."""
    cache = Path(os.environ.get("UPKEEP_CACHE", ROOT / ".cache"))
    home = cache / "-".join([name, *(package.partition("==")[2] for package in packages)])
    ready = home / "ready"
    if ready.exists():
        return home / "bin"
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with home.with_name(f"{home.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not ready.exists():
                shutil.rmtree(home, ignore_errors=True)
                venv.create(home, with_pip=True)
                pip = [home / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
                _run(*pip, *packages)
                ready.touch()
    except (OSError, subprocess.SubprocessError) as fault:
        raise CannotRun(f"{' '.join(packages)} cannot be installed in {home}: {fault}") from fault
    return home / "bin"


def _run(*command: object) -> None:
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False, timeout=600)
    if done.returncode != 0:
        raise subprocess.SubprocessError(done.stderr.strip()[-500:] or f"exit status {done.returncode}")
