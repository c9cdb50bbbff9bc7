"""Hooks: what GitHub sends. Proved first, read then, stored before it is answered.

https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
"""

import hmac
import logging
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qs

from flask import Blueprint, jsonify, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import RequestEntityTooLarge

from upkeep import watch
from upkeep.domain.deliveries import Push, parse_push
from upkeep.domain.errors import CallerError, NotFound, SignedOut, StalledError, TooLarge, TransientError
from upkeep.domain.limits import megabytes
from upkeep.domain.names import SourceName
from upkeep.domain.sources import Source
from upkeep.flows.receive import Arrival
from upkeep.web.payloads import read_payload
from upkeep.web.rooms import Rooms, rooms

blueprint = Blueprint("hooks", __name__, url_prefix="/hooks")
logger = logging.getLogger("upkeep.web")

_SIGNATURE = re.compile(r"sha256=([0-9a-f]{64})")
_DELIVERY_ID = re.compile(r"[0-9A-Za-z._\-]{1,100}")
_LONGEST_TEXT = 2000
_MOST_HASHED = 256 << 20
"""Bytes, over all secrets, that are hashed to find out who signed one delivery."""
_EVENT = re.compile(r"[a-z_]{1,100}")


@blueprint.post("/github")
def github() -> ResponseReturnValue:
    """One delivery for whatever sources read its repository."""
    here = rooms()
    body, signature = _signed_body(here)
    if _fits(here.webhook_secrets, body, signature):
        return _answer(here, body, None)
    with here.store.read() as unit:
        sources = unit.sources.list()
    return _answer(here, body, _signers(here, sources, body, signature))


@blueprint.post("/github/<source>")
def github_source(source: str) -> ResponseReturnValue:
    """One delivery for one source, which is then the only one asked to sync."""
    here = rooms()
    body, signature = _signed_body(here)
    with here.store.read() as unit:
        sources = [found for found in unit.sources.list() if found.name == source]
    if not _fits(here.webhook_secrets, body, signature):
        _signers(here, sources, body, signature)
    if not sources:
        raise NotFound(f"there is no source `{source}`", cure="send to /hooks/github, or add the source first")
    return _answer(here, body, frozenset({SourceName(source)}))


def _signed_body(here: Rooms) -> tuple[bytes, str]:
    """The body, and the signature it claims, which is asked for first so that an unsigned one costs nothing."""
    _refuse_declared_length(here.bounds.delivery)
    signature = _claimed_signature()
    body = _body(here.bounds.delivery)
    _refuse_costly(len(here.webhook_secrets), len(body))
    return body, signature


def _answer(here: Rooms, body: bytes, scope: frozenset[SourceName] | None) -> ResponseReturnValue:
    delivery_id, event = _header("X-GitHub-Delivery", _DELIVERY_ID), _header("X-GitHub-Event", _EVENT)
    payload = _payload(body)
    push = _storable(parse_push(payload)) if event == "push" else None
    delivery = here.intake.receive(Arrival(delivery_id, event, push, scope, here.clock()))
    watch.happened("delivery", delivery.status)
    said = {"delivery": delivery.id, "status": str(delivery.status), "sources": list(delivery.sources)}
    if delivery.reason:
        said["reason"] = delivery.reason
    if event == "ping":
        return jsonify(said | {"message": "pong"}), 200
    return jsonify(said), 202


def _claimed_signature() -> str:
    """The signature the sender claims; asked for before the body, so that an unsigned one costs nothing."""
    given = request.headers.get("X-Hub-Signature-256", "")
    if not given:
        raise SignedOut(
            "the delivery is not signed", where="X-Hub-Signature-256", cure="set a secret in GitHub's webhook"
        )
    found = _SIGNATURE.fullmatch(given.strip())
    if not found:
        raise SignedOut(
            "the signature is malformed", where="X-Hub-Signature-256", cure="send `sha256=` and 64 hexadecimal digits"
        )
    return found[1]


def _refuse_declared_length(largest: int) -> None:
    if request.content_length is not None and request.content_length > largest:
        raise _too_large(largest)


def _body(largest: int) -> bytes:
    """All bytes of the body. Where no length was declared, the reading itself stops: one byte late, because Werkzeug
    does not tell a body that ends at its limit from one that goes on."""
    request.max_content_length = largest + 1
    try:
        body = request.get_data(cache=False)
    except RequestEntityTooLarge as error:
        raise _too_large(largest) from error
    if len(body) > largest:
        raise _too_large(largest)
    return body


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
            where="X-Hub-Signature-256",
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


def _header(name: str, shape: re.Pattern[str]) -> str:
    given = request.headers.get(name, "")
    if not shape.fullmatch(given):
        state = "misshapen" if given else "missing"
        raise CallerError(f"the header {name} is {state}", where=name, cure="send what GitHub sends")
    return given


def _payload(body: bytes) -> Mapping[str, Any]:
    """The payload as an object, from a JSON body or from the `payload` field of a form."""
    text: str | bytes = body
    if request.mimetype == "application/x-www-form-urlencoded":
        try:
            fields = parse_qs(body.decode(), strict_parsing=True, max_num_fields=10)
        except ValueError as error:
            raise CallerError("the form cannot be read", cure="send the payload in one field `payload`") from error
        if len(fields.get("payload", ())) != 1:
            raise CallerError("the form has no field `payload`", cure="send what GitHub sends")
        text = fields["payload"][0]
    elif request.mimetype != "application/json":
        raise CallerError(
            f"the content type is {request.mimetype or 'missing'}",
            where="Content-Type",
            cure="choose application/json in GitHub's webhook",
        )
    return read_payload(text)
