"""What git's complaints mean to us: who has to act, and how."""

import re
from collections.abc import Iterable

from upkeep.adapters.git.command import CommandFailed
from upkeep.domain.errors import StalledError, TransientError, UpkeepError
from upkeep.domain.limits import megabytes

# Git has no error codes; these are pieces of its English messages (LC_ALL=C), of curl's and of OpenSSH's.
_NO_BRANCH = re.compile(r"couldn't find remote ref|no such ref was fetched", re.I)
_HOST_KEY = re.compile(r"host key verification failed|remote host identification has changed", re.I)
_CERTIFICATE = re.compile(r"ssl certificate problem|certificate verif|no alternative certificate subject name", re.I)
_FORBIDDEN = re.compile(
    r"authentication failed|could not read (username|password)|permission denied|returned error: 40[13]"
    r"|access denied|invalid (username|credentials)|terminal prompts disabled|dubious ownership",
    re.I,
)
_GONE = re.compile(
    r"repository .*not found|returned error: (404|410)|does not appear to be a git repository|not a git repository"
    r"|repository .*does not exist|project you were looking for could not be found|not valid: is this a git repository",
    re.I,
)
_MOVED = re.compile(r"unable to update url base from redirection|returned error: 30[1278]", re.I)
_REFUSED = re.compile(
    r"transport '.*' not allowed|unsupported protocol|protocol .* not supported|mismatched algorithms", re.I
)
_OVER = re.compile(
    r"out of memory|cannot allocate memory|died of signal 25|file too large"
    r"|unable to (?:create|fork).*(?:thread|demultiplexer)",
    re.I,
)
_LOCAL = re.compile(r"no space left on device|read-only file system|disk quota exceeded", re.I)
_LOCKED = re.compile(r"\.lock': file exists", re.I)
_CORRUPT = re.compile(
    r"corrupt|bad object|bad tree|bad ref|invalid object|inflate|unable to read (tree|sha1|object)|broken|pack has"
    r"|missing (blob|tree|commit)|did not receive expected object|object file .* is empty|could not parse object"
    r"|packfile .* (cannot|does not)|unresolved deltas|not a git repository: '|unknown repository extension|bad config"
    r"|index-pack died",
    re.I,
)


def is_over(failed: CommandFailed) -> bool:
    """Whether one of our own limits ended it: it held too much memory, or wrote too large a file."""
    return _OVER.search(_own(failed)) is not None


def of_limits(url: str, memory: int | None, fetch: int | None) -> StalledError:
    """The error of a fetch that ran into a limit."""
    allowed = [f"{megabytes(size)} {what}" for size, what in ((fetch, "at once"), (memory, "of memory for it")) if size]
    return StalledError(
        f"{url} brings more than is allowed here: {' and '.join(allowed)}",
        cure="raise `git.fetch` or `git.memory`, or follow a smaller repository",
    )


def of_remote(failed: CommandFailed, url: str, branch: str) -> UpkeepError:
    """The error that a failed `ls-remote` or `fetch` is to its source."""
    said = failed.complaint
    if _LOCAL.search(said):
        return TransientError(f"the mirror cannot be written: {last_words(said)}", cure="make room in the state folder")
    if _NO_BRANCH.search(said):
        return no_branch(url, branch)
    if _HOST_KEY.search(said):
        return StalledError(
            f"the SSH host key of {url} is not the one seen before",
            cure="check why it changed, then remove its line from `known_hosts` in the state folder and sync again",
        )
    if _CERTIFICATE.search(said):
        return StalledError(
            f"the certificate of {url} is not trusted: {last_words(said)}",
            cure="add its authority to the machine's certificates, or name it in GIT_SSL_CAINFO",
        )
    if _MOVED.search(said):
        return StalledError(
            f"{url} has moved to another address",
            cure="give the source its new address; some hosts want `.git` at its end",
        )
    if _FORBIDDEN.search(said):
        return StalledError(
            f"access to {url} was refused: {last_words(said)}",
            cure="check the source's credential and that it may read the repository",
        )
    if _GONE.search(said):
        return StalledError(
            f"there is no repository at {url}, or the credential may not see it",
            cure="check the source's address and credential",
        )
    if _REFUSED.search(said):
        return StalledError(f"{url} cannot be read: {last_words(said)}", cure="give the source an https or ssh address")
    return TransientError(f"{url} did not answer: {last_words(said)}")


def no_branch(url: str, branch: str) -> StalledError:
    """The branch is not there, or the repository is empty."""
    return StalledError(
        f"{url} has no branch `{branch}`", cure="push the branch, or give the source the branch that is used now"
    )


def is_lock(failed: CommandFailed) -> bool:
    """Whether another git, alive or killed, left its lock."""
    return _LOCKED.search(failed.complaint) is not None


def is_corruption(failed: CommandFailed) -> bool:
    """Whether the local repository is damaged, as far as the words tell."""
    own = _own(failed)
    return not _LOCAL.search(own) and _CORRUPT.search(own) is not None


def _own(failed: CommandFailed) -> str:
    """What our git said, without what it passed on from the other side."""
    return "\n".join(
        line for line in failed.complaint.splitlines() if not line.startswith(("remote:", "error: remote"))
    )


def last_words(complaint: str) -> str:
    """The line of a complaint that says most: the last `fatal:` or `ERROR:`, else the last one."""
    lines = [line.strip() for line in complaint.splitlines() if line.strip()]
    told = [line for line in lines if line.lower().startswith(("fatal:", "error:", "remote: error"))]
    # SSH's own reason stands before git's general "Could not read from remote repository".
    return _without_prefix((_specific(told) or _specific(lines) or told or lines or ["git gave no reason"])[-1])[:300]


def _specific(lines: Iterable[str]) -> list[str]:
    vague = (
        "could not read from remote repository",
        "please make sure",
        "and the repository exists",
        "remote end hung",
    )
    return [line for line in lines if not any(words in line.lower() for words in vague)]


def _without_prefix(line: str) -> str:
    return re.sub(r"^(fatal|error|remote):\s*", "", line, flags=re.I)
