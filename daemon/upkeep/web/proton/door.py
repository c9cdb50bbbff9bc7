"""The door: Proton's API as its clients speak it, AWS JSON 1.0 on `POST /proton`.

https://smithy.io/2.0/aws/protocols/aws-json-1_0-protocol.html
"""

import json
import logging
import re
from functools import partial
from typing import Any
from uuid import uuid4

from flask import Blueprint, Response, abort, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge

from upkeep.domain.errors import CallerError, SignedOut, TransientError, UpkeepError, reaction
from upkeep.domain.limits import megabytes
from upkeep.domain.people import Act, Actor, require
from upkeep.flows.admit import ACCESS_KEY_PREFIX, recognise_token
from upkeep.web.pace import admit_known, admit_stranger
from upkeep.web.proton.operations import OPERATIONS, REFUSED
from upkeep.web.proton.protocol import WRITES, Call, Model, ProtonDoor
from upkeep.web.proton.refusals import BROKEN, Refusal, name_of
from upkeep.web.proton.repeats import once
from upkeep.web.proton.signature import Asked, claimed, verify
from upkeep.web.rooms import Rooms, rooms

blueprint = Blueprint("proton", __name__)
logger = logging.getLogger("upkeep.web")

_HALF = re.compile("[\ud800-\udfff]")
_MEDIA_TYPE = "application/x-amz-json-1.0"


@blueprint.post("/proton", strict_slashes=False)
def call() -> ResponseReturnValue:
    """One call, at the address that clients are given as endpoint."""
    return _answered(rooms())


@blueprint.post("/")
def call_at_host() -> ResponseReturnValue:
    """One call, at a host name of the API's own."""
    host = rooms().proton.host
    if not host or request.host.partition(":")[0].lower() != host.lower():
        abort(405, valid_methods=["GET"])
    return _answered(rooms())


def _answered(here: Rooms) -> Response:
    number = str(uuid4())
    status, error, body = 200, "", {}
    try:
        body = _done(here)
    except UpkeepError as refused:
        error = name_of(refused)
        status = here.proton.model.status(error) if here.proton.model else 503
        level = logging.getLevelNamesMapping()[reaction(refused).level.upper()]
        logger.log(level, "proton %s: %s", _target(), refused)
        if isinstance(refused, TransientError):
            # The log says which database of which host is away.
            refused.where = None
        body = {"__type": error, "message": str(refused)}
    except RequestEntityTooLarge:
        status, error = 413, "ValidationException"
        said = f"the request is larger than {megabytes(here.bounds.request)} (send less, or raise `limits.request`)"
        body = {"__type": error, "message": said}
    except Exception as bug:
        logger.critical("error %s at proton %s", number, _target(), exc_info=bug)
        status, error = 500, BROKEN
        body = {"__type": error, "message": f"something here is broken; the log has it as error {number}"}
    response = Response(json.dumps(body), status, content_type=_MEDIA_TYPE)
    response.headers["x-amzn-RequestId"] = number
    if error:
        response.headers["x-amzn-ErrorType"] = error
    return response


def _done(here: Rooms) -> dict[str, Any]:
    door = here.proton
    if door.model is None:
        raise Refusal("ServiceUnavailableException", door.closed)
    actor = _actor(here, door)
    operation = _operation(door.model)
    given = _given()
    if faults := door.model.faults(operation, given):
        raise CallerError("; ".join(faults))
    if operation in REFUSED:
        raise CallerError(f"{operation} does nothing here: {REFUSED[operation]}")
    writes = operation in WRITES
    with here.store.write() if writes else here.store.read() as unit:
        require(actor, Act.LOOK)
        asked = Call(operation, given, unit, actor, here.clock(), door, here.routing)
        answer = once(asked, partial(_shaped, door.model, asked))
    if writes:
        here.store.ring()
    return answer


def _shaped(model: Model, asked: Call) -> dict[str, Any]:
    return model.answer(asked.operation, OPERATIONS[asked.operation](asked))


def _actor(here: Rooms, door: ProtonDoor) -> Actor:
    """Who signed the request."""
    raw = request.environ.get("RAW_URI") or request.environ.get("REQUEST_URI") or request.full_path
    path, _, query = str(raw).partition("?")
    try:
        body = request.get_data(cache=True)
    except ClientDisconnected as error:
        raise Refusal("SerializationException", "the body ends before it is whole") from error
    asked = Asked(request.method, path, query, tuple(request.headers.items()), body)
    now = here.clock()
    claim = claimed(asked, now)
    if not claim.access_key.startswith(ACCESS_KEY_PREFIX):
        raise Refusal(
            "UnrecognizedClientException",
            f"the access key {claim.access_key} is none of Upkeep's: sign with a key pair that "
            "`upkeep token create --aws` issues",
        )
    secret = door.secret_of(claim.access_key)
    try:
        verify(asked, claim, secret)
        actor = recognise_token(here.store, secret, now=now, rules=here.rules)
    except (Refusal, SignedOut):
        admit_stranger(now)
        raise
    admit_known(f"key pair {claim.access_key}", now)
    return actor


def _operation(model: Model) -> str:
    prefix, _, operation = _target().partition(".")
    if prefix != model.target or operation not in model.operations:
        raise Refusal("UnknownOperationException", f"X-Amz-Target names no operation of {model.target}")
    return operation


def _given() -> dict[str, Any]:
    """The parameters. A member that is null is one that was left out."""
    try:
        given = json.loads(request.get_data(cache=True) or b"{}")
        storable = _storable(given)
    except (ValueError, RecursionError):
        given, storable = None, False
    if not isinstance(given, dict):
        raise Refusal("SerializationException", "the body is no JSON object")
    if not storable:
        raise CallerError("a text holds a NUL character or half of a pair", cure="send texts that can be read")
    return {name: value for name, value in given.items() if value is not None}


def _storable(value: Any) -> bool:
    """Whether its texts can be kept by any database: JSON may hold NUL and halves of surrogate pairs."""
    match value:
        case str():
            return "\0" not in value and not _HALF.search(value)
        case dict():
            return all(_storable(name) and _storable(member) for name, member in value.items())
        case list():
            return all(map(_storable, value))
    return True


def _target() -> str:
    return request.headers.get("X-Amz-Target", "")
