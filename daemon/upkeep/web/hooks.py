"""Hooks: what GitHub sends. Proved first, read then, stored before it is answered.

https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
"""

import hmac
import json
import logging
import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from flask import Blueprint
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge
from werkzeug.wsgi import get_content_length

from upkeep import watch
from upkeep.domain.deliveries import Push, parse_push
from upkeep.domain.errors import CallerError, NotFound, SignedOut, StalledError, TooLarge, TransientError, UpkeepError
from upkeep.domain.limits import megabytes
from upkeep.domain.names import SourceName
from upkeep.domain.sources import Source
from upkeep.flows.receive import Arrival
from upkeep.web import faults, passage
from upkeep.web.payloads import read_payload
from upkeep.web.rooms import Rooms

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

blueprint = Blueprint("hooks", __name__, url_prefix="/hooks")
"""The addresses of hooks, to be named and for other methods than POST: what is posted to them goes to the door."""
blueprint.add_url_rule("/github", "github", methods=["POST"])
blueprint.add_url_rule("/github/<source>", "github_source", methods=["POST"])

logger = logging.getLogger("upkeep.web")

_ADDRESS = re.compile(r"/hooks/github(?:/([^/]+))?")
SIGNATURE = "X-Hub-Signature-256"
"""The header that GitHub signs a delivery in."""
UNSIGNED = "the delivery is not signed"
"""What is said of one that has no signature at all."""
_SIGNATURE = re.compile(r"sha256=([0-9a-f]{64})")
_DELIVERY_ID = re.compile(r"[0-9A-Za-z._\-]{1,100}")
_LONGEST_TEXT = 2000
_MOST_HASHED = 256 << 20
"""Bytes, over all secrets, that are hashed to find out who signed one delivery."""
_EVENT = re.compile(r"[a-z_]{1,100}")


_Answer = tuple[int, Mapping[str, Any], Iterable[tuple[str, str]]]
"""A status, what is said, and headers besides those of every answer."""


class Door:
    """Answers what is posted to hooks, and lets everything else through to another application."""

    def __init__(self, here: Rooms, guards: Iterable[tuple[str, str]], others: "WSGIApplication") -> None:
        self._here = here
        self._headers = (("Content-Type", "application/json"), passage.UNKEPT, *guards)
        self._others = others

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        address = _ADDRESS.fullmatch(environ["PATH_INFO"]) if environ["REQUEST_METHOD"] == "POST" else None
        if address is None:
            return self._others(environ, start_response)
        # As PEP 3333 has it, what came as UTF-8 stands there as Latin-1.
        source = None if address[1] is None else address[1].encode("latin-1").decode(errors="replace")
        status, said, more = self._answered(environ, source)
        body = json.dumps(said, separators=(",", ":"), sort_keys=True).encode() + b"\n"
        headers = [*self._headers, ("Content-Length", str(len(body))), *more]
        start_response(f"{status} {HTTPStatus(status).phrase}", headers)
        return (body,)

    def _answered(self, environ: "WSGIEnvironment", source: str | None) -> _Answer:
        number, delivery = passage.new_number(), environ.get("HTTP_X_GITHUB_DELIVERY", "")
        about = {"delivery": delivery} if _DELIVERY_ID.fullmatch(delivery) else {}
        route = "/hooks/github" if source is None else "/hooks/github/<source>"
        with passage.told(environ, route, number, **about) as stretch:
            status, said, more = self._refusing(environ, source, number)
            stretch.outcome = str(status)
            if status >= 400:
                watch.happened("delivery", "refused" if status < 500 else "failed")
            return status, said, more

    def _refusing(self, environ: "WSGIEnvironment", source: str | None, number: str) -> _Answer:
        """The answer of a delivery, or of what is wrong with it."""
        path = environ["PATH_INFO"]
        try:
            status, said = _taken(self._here, environ) if source is None else _taken_for(self._here, environ, source)
        except UpkeepError as error:
            status = faults.noted(error, "POST", path, stranger=True).status
            wait = faults.wait_of(error)
            return status, faults.words(error), () if wait is None else (passage.retry_after(wait),)
        except Exception as error:
            return 500, faults.words(faults.bug(error, number, "POST", path), number), ()
        return status, said, ()


def _taken(here: Rooms, environ: "WSGIEnvironment") -> tuple[int, Mapping[str, Any]]:
    """One delivery for whatever sources read its repository."""
    body, signature = _signed_body(here, environ)
    if _fits(here.webhook_secrets, body, signature):
        return _kept(here, environ, body, None)
    with here.store.read() as unit:
        sources = unit.sources.list()
    return _kept(here, environ, body, _signers(here, sources, body, signature))


def _taken_for(here: Rooms, environ: "WSGIEnvironment", source: str) -> tuple[int, Mapping[str, Any]]:
    """One delivery for one source, which is then the only one asked to sync."""
    body, signature = _signed_body(here, environ)
    with here.store.read() as unit:
        sources = [found for found in unit.sources.list() if found.name == source]
    if not _fits(here.webhook_secrets, body, signature):
        _signers(here, sources, body, signature)
    if not sources:
        raise NotFound(f"there is no source `{source}`", cure="send to /hooks/github, or add the source first")
    return _kept(here, environ, body, frozenset({SourceName(source)}))


def _signed_body(here: Rooms, environ: "WSGIEnvironment") -> tuple[bytes, str]:
    """The body, and the signature it claims, which is asked for first so that an unsigned one costs nothing."""
    _refuse_declared_length(environ, here.bounds.delivery)
    signature = _claimed_signature(environ)
    body = _body(environ, here.bounds.delivery)
    _refuse_costly(len(here.webhook_secrets), len(body))
    return body, signature


def _kept(
    here: Rooms, environ: "WSGIEnvironment", body: bytes, scope: frozenset[SourceName] | None
) -> tuple[int, Mapping[str, Any]]:
    delivery_id = _header(environ, "X-GitHub-Delivery", _DELIVERY_ID)
    event = _header(environ, "X-GitHub-Event", _EVENT)
    payload = _payload(environ, body)
    push = _storable(parse_push(payload)) if event == "push" else None
    delivery = here.intake.receive(Arrival(delivery_id, event, push, scope, here.clock()))
    watch.happened("delivery", delivery.status)
    said = {"delivery": delivery.id, "status": str(delivery.status), "sources": list(delivery.sources)}
    if delivery.reason:
        said["reason"] = delivery.reason
    if event == "ping":
        return 200, said | {"message": "pong"}
    return 202, said


def _claimed_signature(environ: "WSGIEnvironment") -> str:
    """The signature the sender claims; asked for before the body, so that an unsigned one costs nothing."""
    given = environ.get("HTTP_X_HUB_SIGNATURE_256", "")
    if not given:
        raise SignedOut(UNSIGNED, where=SIGNATURE, cure="set a secret in GitHub's webhook")
    found = _SIGNATURE.fullmatch(given.strip())
    if not found:
        raise SignedOut("the signature is malformed", where=SIGNATURE, cure="send `sha256=` and 64 hexadecimal digits")
    return found[1]


def _refuse_declared_length(environ: "WSGIEnvironment", largest: int) -> None:
    declared = get_content_length(environ)
    if declared is not None and declared > largest:
        raise _too_large(largest)


def _body(environ: "WSGIEnvironment", largest: int) -> bytes:
    """All bytes of the body."""
    try:
        return passage.whole_body(environ, largest)
    except RequestEntityTooLarge as error:
        raise _too_large(largest) from error
    except ClientDisconnected as error:
        raise CallerError("the body ends before it is whole", cure="send all of it") from error


def _refuse_costly(secrets: int, size: int) -> None:
    """Each secret that may have signed a delivery costs a look at all of it, and who sends it is not known yet."""
    if secrets * size > _MOST_HASHED and secrets > 1:
        raise TooLarge(
            f"the payload of {megabytes(size)} cannot be tried with all {secrets:,} secrets known here",
            cure="send it to the address of its source, /hooks/github/NAME",
        )


def _too_large(largest: int) -> TooLarge:
    # https://docs.github.com/en/webhooks/webhook-events-and-payloads
    cure = "send less, or raise `limits.delivery`; GitHub sends at most 25 MB"
    return TooLarge(f"the payload is larger than {megabytes(largest)}", cure=cure)


def _fits(secrets: Iterable[str], body: bytes, signature: str) -> bool:
    """Whether one of these secrets signed it. Every one is tried, whichever fits, so that the time tells nothing."""
    fitting = [hmac.compare_digest(hmac.digest(s.encode(), body, "sha256").hex(), signature) for s in secrets if s]
    return any(fitting)


def _signers(here: Rooms, sources: Iterable[Source], body: bytes, signature: str) -> frozenset[SourceName]:
    """The sources of which a secret of their own signed it. Raises SignedOut when none did."""
    secrets = [(source.name, secret) for source in sources for secret in _own(here, source)]
    if not secrets and not any(here.webhook_secrets):
        raise TransientError(
            "no webhook secret is configured here, so no delivery can be trusted",
            cure="set `webhooks.secrets` in the configuration, and the same secret in GitHub's webhook",
        )
    distinct = {secret for _, secret in secrets}
    _refuse_costly(len(distinct) + len(here.webhook_secrets), len(body))
    fitting = {secret: _fits([secret], body, signature) for secret in distinct}
    signers = frozenset(name for name, secret in secrets if fitting[secret])
    if not signers:
        raise SignedOut(
            "the signature fits none of the secrets known here",
            where=SIGNATURE,
            cure="make the secret in GitHub's webhook and the one configured here the same",
        )
    return signers


def _own(here: Rooms, source: Source) -> list[str]:
    """The secrets a source has for itself, one a line. One that cannot be found hurts its source only."""
    try:
        revealed = here.secrets.reveal(source.webhook_secret)
    except StalledError as error:
        logger.error("the webhook secret of source %s cannot be read: %s", source.name, error)
        return []
    return [line.strip() for line in (revealed or "").splitlines() if line.strip()]


def _storable(push: Push) -> Push:
    """The push, if its texts can be kept by any database: JSON may hold NUL and halves of surrogate pairs."""
    for text in (push.ref, push.after, *push.repository_urls):
        if len(text) > _LONGEST_TEXT or not text.isprintable():
            raise CallerError("an address, `ref` or `after` is no readable text", cure="send GitHub's own push payload")
    return push


def _header(environ: "WSGIEnvironment", name: str, shape: re.Pattern[str]) -> str:
    given: str = environ.get(f"HTTP_{name.upper().replace('-', '_')}", "")
    if not shape.fullmatch(given):
        state = "misshapen" if given else "missing"
        raise CallerError(f"the header {name} is {state}", where=name, cure="send what GitHub sends")
    return given


def _payload(environ: "WSGIEnvironment", body: bytes) -> Mapping[str, Any]:
    """The payload as an object, from a JSON body or from the `payload` field of a form."""
    text: str | bytes = body
    kind = environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower()
    if kind == "application/x-www-form-urlencoded":
        try:
            fields = parse_qs(body.decode(), strict_parsing=True, max_num_fields=10)
        except ValueError as error:
            raise CallerError("the form cannot be read", cure="send the payload in one field `payload`") from error
        if len(fields.get("payload", ())) != 1:
            raise CallerError("the form has no field `payload`", cure="send what GitHub sends")
        text = fields["payload"][0]
    elif kind != "application/json":
        raise CallerError(
            f"the content type is {kind or 'missing'}",
            where="Content-Type",
            cure="choose application/json in GitHub's webhook",
        )
    return read_payload(text)
