"""Limits: how much of what others send is taken. Each has a setting, and where it is reached a sentence names it."""

from dataclasses import dataclass, field

MEGABYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class BundleLimits:
    """How large a bundle may be in bytes, how many files and folders it may hold, and the bytes of each file.

    The defaults are Proton's quotas (10 MB, and 2 MB a file), and four times the 500 files it allowed where it allowed
    most.
    """

    bytes: int = 10 * MEGABYTE
    files: int = 2_000
    file_bytes: int = 2 * MEGABYTE


@dataclass(frozen=True, slots=True)
class Limits:
    """What the flows take of what others send. `findings` are kept with one version or source, `commits` looked through
    one by one in one sync, `sources` followed."""

    bundle: BundleLimits = field(default_factory=BundleLimits)
    findings: int = 200
    commits: int = 10_000
    sources: int = 1_000


LIMITS = Limits()
"""Those that hold where nobody has set others."""


def megabytes(size: int) -> str:
    """A size for a sentence: `10 MB`, `1.5 MB`, `900 bytes`."""
    return f"{size / MEGABYTE:g} MB" if size % (MEGABYTE // 8) == 0 else f"{size:,} bytes"
