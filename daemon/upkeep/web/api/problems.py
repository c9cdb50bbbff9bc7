"""Problems: every refusal of the API as a problem document (RFC 9457), with the facts that programs decide by.

https://www.rfc-editor.org/rfc/rfc9457
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from http import HTTPStatus
from typing import Any

from flask import Response, g, request
from pydantic import BaseModel, ConfigDict
from werkzeug.exceptions import HTTPException

from upkeep.domain.errors import CallerError, SignedOut, UpkeepError
from upkeep.domain.limits import megabytes
from upkeep.web.rooms import rooms

MEDIA_TYPE = "application/problem+json"

_HTTP_SLUGS = {
    404: "not-found",
    405: "method-not-allowed",
    406: "not-acceptable",
    413: "too-large",
    415: "unsupported-media-type",
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that does not fit. `pointer` is where in the body it is (RFC 6901, as a URI fragment), `parameter` the
    name of a parameter or header."""

    message: str
    pointer: str | None = None
    parameter: str | None = None
    cure: str | None = None


class Unfit(CallerError):
    """A request that is not what the operation takes. Carries every fault that was found. Its slug is another one for a
    body that is wrong before its meaning is looked at, or holds what no database here would keep."""

    slug = "unfit"

    def __init__(self, faults: Sequence[Fault], *, slug: str = slug) -> None:
        first = faults[0]
        where = first.pointer if first.pointer is not None else first.parameter
        said = first.message if len(faults) == 1 else f"{len(faults)} things in this request do not fit"
        super().__init__(said, where=where if len(faults) == 1 else None, cure=first.cure or "mend what `errors` names")
        self.faults = tuple(faults)
        self.slug = slug


class FaultFacts(BaseModel):
    """One thing in a request that does not fit."""

    model_config = ConfigDict(extra="forbid", defer_build=True)

    message: str
    """What is wrong with it."""
    pointer: str | None = None
    """Where in the body it is: a JSON pointer as a URI fragment."""
    parameter: str | None = None
    """Which parameter of the address, or which header, it is."""
    cure: str | None = None
    """What to do about it."""


class Problem(BaseModel):
    """Why a request was refused. Nothing was changed."""

    model_config = ConfigDict(extra="forbid", defer_build=True)

    type: str
    """The slug as an address: the page of this API that tells of it."""
    title: str
    """What HTTP calls the status."""
    status: int
    """The HTTP status."""
    detail: str
    """What happened, in one sentence for people."""
    slug: str
    """What happened, for programs: a word that does not change."""
    where: str | None = None
    """Where it happened."""
    cure: str | None = None
    """What to do about it."""
    errors: list[FaultFacts] | None = None
    """Everything that does not fit, when it is the request itself."""
    request_id: str
    """What the log calls this request."""


MEANINGS = {
    "unfit": "A parameter, header or member of the body is not what the operation takes; `errors` has all of them.",
    "unreadable": "The body is no JSON, or holds what cannot be kept.",
    "invalid": "What was asked makes no sense, as `detail` says.",
    "signed-out": "There is no token, or it is unknown, revoked or expired.",
    "forbidden": "The role of the token's user, its scopes, or who owns the resource do not allow this.",
    "not-found": "What was named does not exist.",
    "method-not-allowed": "The address does not take this method; the header `Allow` has those it takes.",
    "not-acceptable": "JSON is not accepted.",
    "conflict": "It does not fit the present state, such as a draft that moved since it was seen.",
    "stalled": "It does not go on until a person acts.",
    "too-large": "The body is larger than the setting `limits.request` allows: 1 MB, if nobody changed it.",
    "unsupported-media-type": "The body is not said to be JSON.",
    "key-reused": "The idempotency key came with another request before.",
    "bundle": "A version of a template cannot be used.",
    "too-many-requests": "Wait as long as `Retry-After` says.",
    "transient": "It may work later.",
    "error": "Something in the daemon is broken; its log has the `request_id`.",
}
"""Every slug, and what it means."""


def answer(error: UpkeepError, status: int) -> Response:
    """The problem document of an error."""
    body: dict[str, Any] = {
        "type": f"/api#{error.slug}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": error.message,
        "slug": error.slug,
        "where": error.where,
        "cure": error.cure,
        "errors": [_told(asdict(fault)) for fault in error.faults] if isinstance(error, Unfit) else None,
        "request_id": g.get("request_id", ""),
    }
    response = Response(json.dumps(_told(body)), status, content_type=MEDIA_TYPE)
    if isinstance(error, SignedOut):
        # https://www.rfc-editor.org/rfc/rfc6750#section-3
        response.headers["WWW-Authenticate"] = 'Bearer realm="upkeep"'
    return response


def of_http(error: HTTPException) -> UpkeepError:
    """What HTTP itself refuses, as one of our errors."""
    code = error.code or 500
    said = _SAID.get(code, HTTPStatus(code).phrase)
    fault = CallerError(
        said.format(largest=megabytes(rooms().bounds.request)),
        where=f"{request.method} {request.path}",
        cure=_CURES.get(code),
    )
    fault.slug = _HTTP_SLUGS.get(code, "invalid")
    return fault


_SAID = {
    404: "there is no such operation",
    405: "this address does not take this method",
    406: "this API answers in JSON only",
    413: "what was sent is larger than {largest}",
    415: "what was sent is not said to be JSON",
}

_CURES = {
    404: "look for it in /api/v1/openapi.json",
    405: "use one of those in the header `Allow`",
    406: "accept application/json",
    413: "send less, or raise `limits.request`",
    415: "send JSON, with the header `Content-Type: application/json`",
}


def _told(facts: dict[str, Any]) -> dict[str, Any]:
    return {name: fact for name, fact in facts.items() if fact is not None}
