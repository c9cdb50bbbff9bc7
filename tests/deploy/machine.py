"""A machine that is thrown away, in namespaces: where systemd can be process 1, or a root file system be read-only.

Only root can make one, on Linux. What happens in it happens in memory; `state` is the one folder that is shared.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.house.rooms import PACKAGE

SCRIPT = Path(__file__).with_name("machine.sh")
SYSTEMD = Path("/lib/systemd/systemd")
_UNSHARED = ("--mount", "--pid", "--fork", "--kill-child", "--uts", "--ipc", "--cgroup")


def require_machines(*, systemd: bool = False) -> None:
    """Skip the test where no such machine can be made; where root integrates continuously, fail it."""
    if os.geteuid() != 0:
        pytest.skip("only root can make a machine of namespaces")
    lacks = _lacks(systemd)
    if lacks and os.environ.get("CI"):
        pytest.fail(lacks)
    if lacks:
        pytest.skip(lacks)


def _lacks(systemd: bool) -> str | None:
    if "overlay" not in Path("/proc/filesystems").read_text():
        return "this kernel has no overlay file systems"
    if _cgroups() is None:
        return "no unified hierarchy of cgroups is mounted here"
    for program in ("unshare", "setpriv", "pivot_root"):
        if shutil.which(program) is None:
            return f"there is no {program} here"
    if systemd and not SYSTEMD.exists():
        return "there is no systemd here: on Debian, apt-get install systemd"
    return None


def _cgroups() -> Path | None:
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        place, _, kind = line.partition(" - ")
        if kind.startswith("cgroup2 "):
            return Path(place.split()[4])
    return None


def install(folder: Path) -> Path:
    """Upkeep in an environment as it will stand in /opt/upkeep, over the libraries of the tests. That its wheel holds
    the same is another test's affair."""
    home = folder / "upkeep"
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = home / "lib" / version / "site-packages"
    shutil.copytree(PACKAGE, packages / "upkeep", ignore=shutil.ignore_patterns("__pycache__"))
    (packages / "libraries.pth").write_text("/opt/libraries\n")
    # Nothing can compile it later, because nobody may write there.
    subprocess.run(
        [sys.executable, "-m", "compileall", "-q", "-s", home, "-p", "/opt/upkeep", packages / "upkeep"], check=True
    )
    (home / "pyvenv.cfg").write_text("home = /opt/python/bin\n")
    (home / "bin").mkdir()
    (home / "bin" / "python").symlink_to(f"/opt/python/bin/{version}")
    script = home / "bin" / "upkeep"
    script.write_text("#!/opt/upkeep/bin/python\nfrom upkeep.__main__ import main\n\nmain()\n")
    script.chmod(0o755)
    return home


@contextmanager
def machine(
    command: Sequence[str | Path],
    *,
    upkeep: Path,
    folder: Path,
    etc: Path,
    environment: Mapping[str, str] | None = None,
    read_only: bool = False,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command as process 1 of a machine while the block lasts; then nothing of it is left.

    `folder` gets what it says (`said`) and is what it keeps in /var/lib/upkeep (`state`), `etc` is laid over /etc.
    """
    stage, state = folder / "stage", folder / "state"
    for each in (stage, state):
        each.mkdir(exist_ok=True)
    cgroup = (_cgroups() or Path()) / f"upkeep-tests-{os.getpid()}"
    cgroup.mkdir()
    given = [stage, sys.base_prefix, sysconfig.get_path("purelib"), upkeep, state, etc, "ro" if read_only else "rw"]
    inside = ["bash", SCRIPT, *given, *command]
    # In a cgroup of its own before it is unshared, which is then the root of all that it can see; gone with the tests.
    entered = ["sh", "-c", 'echo $$ >"$0/cgroup.procs" && exec "$@"', cgroup]
    with (folder / "said").open("ab") as said:
        process = subprocess.Popen(
            [str(part) for part in [*entered, "setpriv", "--pdeathsig=KILL", "unshare", *_UNSHARED, *inside]],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **(environment or {})},
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()
            _remove(cgroup)


def eventually(true: Callable[[], bool], machine: subprocess.Popen[bytes], said: Path, within: float = 90.0) -> None:
    """Wait for something; what the machine said is shown when it does not come."""
    until = time.monotonic() + within
    while not true():
        told = said.read_text(errors="replace") if said.exists() else ""
        assert machine.poll() is None, f"it ended with {machine.returncode}:\n{told}"
        assert time.monotonic() < until, f"it does not come:\n{told}"
        time.sleep(0.1)


def _remove(cgroup: Path) -> None:
    """A cgroup can be removed once the kernel has buried what was in it."""
    with suppress(OSError):
        (cgroup / "cgroup.kill").write_text("1")
    until = time.monotonic() + 10
    while cgroup.exists() and time.monotonic() < until:
        for folder, _, _ in os.walk(cgroup, topdown=False):
            with suppress(OSError):
                Path(folder).rmdir()
        time.sleep(0.02)
