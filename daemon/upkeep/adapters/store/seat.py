"""The seat of an SQLite database: the one host whose programs may use it.

What SQLite's programs share, memory and locks, ends at the host: https://sqlite.org/wal.html and
https://sqlite.org/useovernet.html. Two hosts on one file damage it sooner or later, and neither notices. So a file
beside the database says which host has the seat, and changes every few seconds while somebody there has the database
open. Another host takes the seat only after it has watched the file for a while and seen no change: no clocks are
compared.

A host is a running kernel. The containers of a machine share it, whatever they are called; after a restart it is
another one, which has to wait that once.
"""

import errno
import json
import logging
import os
import platform
import secrets
import threading
import time
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from upkeep.domain.errors import SettingsError, TransientError

BEAT_EVERY = timedelta(seconds=2)
"""How often a process that has the database open looks whether its host was shown, and else shows it."""

SILENT_FOR = timedelta(seconds=10)
"""A host that has not shown itself for so long has lost the seat to who wants it."""

_LOOK_EVERY = 0.25
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_MOUNTS = Path("/proc/self/mountinfo")
_SIZE = 256
_SHARED = {
    *("nfs", "nfs4", "cifs", "smb3", "ceph", "lustre", "glusterfs", "afs", "gfs2", "ocfs2", "beegfs", "9p"),
    *("sshfs", "s3fs"),
}
"""Types of file systems that come from other hosts, or are shared with them; those in user space say `fuse.TYPE`."""

_log = logging.getLogger("upkeep.store")


class Seat:
    """This host's hold on the seat of one database, in one process. `kernel` and `host` say which host this is."""

    def __init__(
        self,
        database: Path,
        *,
        kernel: str | None = None,
        host: str | None = None,
        beat_every_for: timedelta = BEAT_EVERY,
        silent_for: timedelta = SILENT_FOR,
    ) -> None:
        self._database = database
        self._file = database.with_name(f"{database.name}.seat")
        self._kernel = kernel or _running_kernel()
        self._host = host or platform.node()
        self._beat_every_for = beat_every_for
        self._silent_for = silent_for
        self._closed = threading.Event()
        self._taking = threading.Lock()
        self._taken = False

    def take(self) -> None:
        """Take the seat, and show until `close` that it is taken. Waits when another host had it last; SettingsError
        when that one still shows itself."""
        if self._taken:
            return
        with self._taking:
            if self._taken:
                return
            found = self._read()
            if self._holder(found)[0] == self._kernel:
                self._show()
            else:
                self._outwait(found)
            threading.Thread(target=self._beat, name="upkeep-seat", daemon=True).start()
            self._taken = True

    def require(self) -> None:
        """TransientError when another host has taken the seat meanwhile, because this one was silent for too long."""
        kernel, host = self._holder(self._read())
        if kernel != self._kernel:
            raise TransientError(
                "another host has begun to use the database",
                where=f"{self._database}, used by {host}",
                cure=f"stop Upkeep there or here and start it again: {_CURE}",
            )

    def close(self) -> None:
        """Show it no longer."""
        self._closed.set()

    def _outwait(self, found: bytes) -> None:
        host = self._holder(found)[1]
        seconds = self._silent_for.total_seconds()
        _log.warning(
            "%s was used by another host last, %s: watched for %.0f s whether it still is",
            self._database,
            host,
            seconds,
        )
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            time.sleep(_LOOK_EVERY)
            seen = self._read()
            if seen != found and self._holder(seen)[0] == self._kernel:
                # Another process of this host has waited as well.
                return
            if seen != found:
                raise SettingsError(
                    [f"{self._database} is in use by another host, {host}, and SQLite serves one host only: {_CURE}"]
                )
        self._show()
        # Whoever waited beside us has written as well by then, and one of both was the last.
        time.sleep(_LOOK_EVERY)
        self.require()

    def _beat(self) -> None:
        seen = b""
        while not self._closed.wait(self._beat_every_for.total_seconds()):
            # What is wrong is told to whoever writes.
            with suppress(TransientError):
                self.require()
                if self._read() == seen:
                    self._show()
                seen = self._read()

    def _read(self) -> bytes:
        try:
            return self._file.read_bytes()
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise self._unusable(error) from error

    def _show(self) -> None:
        """Write a line that differs from the last, in place: who reads it meanwhile sees the old or the new."""
        line = json.dumps({"kernel": self._kernel, "host": self._host[:64], "beat": secrets.token_hex(4)})
        try:
            file = os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.pwrite(file, line.ljust(_SIZE - 1).encode() + b"\n", 0)
            finally:
                os.close(file)
        except OSError as error:
            # A full disk or one that was mounted read-only is told by the database itself.
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
                raise self._unusable(error) from error

    def _holder(self, found: bytes) -> tuple[str, str]:
        """Kernel and name of the host that a line names; our own when it names none."""
        try:
            line = json.loads(found)
            return str(line["kernel"]), str(line["host"])
        except (ValueError, KeyError, TypeError):
            return self._kernel, self._host

    def _unusable(self, error: OSError) -> TransientError:
        return TransientError(
            f"the file beside the database that says which host uses it cannot be used: {error.strerror}",
            where=str(self._file),
            cure="look at the rights of the folder, and at its disk",
        )


_CURE = "give all hosts one database of PostgreSQL (database.url), or run Upkeep on one host"


def network_file_system(path: Path) -> str | None:
    """The type of the file system a file lies on if that is one of a network, else None."""
    try:
        mounts = _MOUNTS.read_text(encoding="utf-8", errors="replace")
        device = path.stat().st_dev
    except OSError:
        return None
    kind = type_of_mount(mounts, device)
    return kind if kind.removeprefix("fuse.") in _SHARED else None


def type_of_mount(mounts: str, device: int) -> str:
    """The type of the file system with this device number, by the text of /proc/self/mountinfo; "" when that has none.

    https://www.kernel.org/doc/html/latest/filesystems/proc.html#proc-pid-mountinfo-information-about-mounts
    """
    wanted = f"{os.major(device)}:{os.minor(device)}"
    for mount in mounts.splitlines():
        before, _, behind = mount.partition(" - ")
        if before.split()[2] == wanted and behind:
            return behind.split()[0]
    return ""


def _running_kernel() -> str:
    try:
        return _BOOT.read_text(encoding="ascii").strip()
    except OSError:
        # Not Linux: its name is all that is known of a host.
        return platform.node()
