"""A delivery: one webhook POST, stored before it is answered."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from upkeep.domain.errors import CallerError
from upkeep.domain.names import SourceName

_URL_FIELDS = ("clone_url", "ssh_url", "git_url", "html_url", "svn_url")
_USUAL_PORT = re.compile(r":(22|80|443)$")
_SCP = re.compile(r"(?:[^@/:]+@)?(?P<host>[^/:]+):(?P<path>.+)")


class DeliveryStatus(StrEnum):
    """RECEIVED waits for its sync, WORKED and FAILED are that sync's outcome, IGNORED asked for none."""

    RECEIVED = "received"
    WORKED = "worked"
    FAILED = "failed"
    IGNORED = "ignored"


@dataclass(frozen=True, slots=True)
class Push:
    """What a GitHub `push` payload says, as far as it is trusted: where something moved, never what.

    https://docs.github.com/en/webhooks/webhook-events-and-payloads#push
    """

    repository_urls: frozenset[str]
    ref: str
    after: str
    deleted: bool


@dataclass(frozen=True, slots=True)
class Delivery:
    """One POST under GitHub's id for it. `sources` are those it asked to sync, `reason` why it asked none or failed."""

    id: str
    event: str
    received_at: datetime
    status: DeliveryStatus
    reason: str | None = None
    repository: str | None = None
    ref: str | None = None
    after: str | None = None
    sources: tuple[SourceName, ...] = ()
    settled_at: datetime | None = None
    attempts: int = 1


def parse_push(payload: Mapping[str, Any]) -> Push:
    """Read a `push` payload; raises CallerError naming the field that is missing or wrong."""
    repository = payload.get("repository")
    if not isinstance(repository, Mapping):
        raise CallerError("the payload has no `repository` object", cure="send GitHub's own push payload")
    urls = frozenset(value for field in _URL_FIELDS if isinstance(value := repository.get(field), str) and value)
    ref, after = payload.get("ref"), payload.get("after")
    if not urls or not isinstance(ref, str) or not isinstance(after, str):
        raise CallerError(
            "the payload misses a repository address, `ref` or `after`", cure="send GitHub's own push payload"
        )
    return Push(urls, ref, after, payload.get("deleted") is True)


def repository_of(url: str) -> str:
    """The repository an address names: the same for all that do, whatever their scheme, user, case, `.git` or final
    slash."""
    if "://" in url:
        # Not urlsplit: it raises on some texts, and this compares addresses that others wrote.
        place, _, path = url.partition("://")[2].partition("/")
        host = place.rpartition("@")[2]
        if _USUAL_PORT.search(host):
            host = host.rpartition(":")[0]
    elif (scp := _SCP.fullmatch(url)) is not None:
        host, path = scp["host"], scp["path"]
    else:
        host, path = "", url
    return f"{host}/{path.strip('/').removesuffix('.git')}".lower()
