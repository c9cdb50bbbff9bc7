"""Reading: what a request holds, strictly. Whatever does not fit is told at once, with its place and a cure."""

import difflib
import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn, TypeVar

from flask import Request
from pydantic import BaseModel, ValidationError
from werkzeug.exceptions import NotAcceptable, UnsupportedMediaType

from upkeep.domain.errors import SignedOut
from upkeep.web.api.problems import Fault, Unfit

DEEPEST = 32
"""How deep lists and mappings may stand in one another."""

_UNKEPT = re.compile("[\x00\ud800-\udfff]")
_BEARER = re.compile(r"Bearer +([\x21-\x7e]+)", re.IGNORECASE)
_KEY = re.compile(r'"([\x21\x23-\x7e]{1,255})"|([\x21\x23-\x7e]{1,255})')

_Read = TypeVar("_Read", bound=BaseModel)


def bearer(request: Request) -> str:
    """The secret of the token that a request carries (RFC 6750); SignedOut without one."""
    found = _BEARER.fullmatch(request.headers.get("Authorization", ""))
    if found is None:
        raise SignedOut(
            "this request carries no token",
            where="Authorization",
            cure="send `Authorization: Bearer upkeep_…`; tokens are made on your account page",
        )
    return found[1]


def require_json_accepted(request: Request) -> None:
    """Raise NotAcceptable from whoever does not take JSON."""
    accepted = request.accept_mimetypes
    if accepted and not accepted["application/json"]:
        raise NotAcceptable


def key_of(request: Request) -> str | None:
    """The idempotency key, in quotes as the draft says or without them; None when there is none."""
    text = request.headers.get("Idempotency-Key")
    if text is None:
        return None
    found = _KEY.fullmatch(text.strip())
    if found is None:
        message = "an idempotency key is 1 to 255 visible ASCII characters without quotes"
        raise Unfit([Fault(message, parameter="Idempotency-Key", cure="send for example a UUID")])
    return found[1] or found[2]


def path_of(wanted: type[_Read], given: Mapping[str, str]) -> _Read:
    """The parameters in the path of an address."""
    return _parameters(wanted, given)


def query_of(wanted: type[_Read], request: Request) -> _Read:
    """The parameters behind the question mark, each given once."""
    given = request.args.to_dict(flat=False)
    twice = [Fault("is given more than once", parameter=name) for name, texts in given.items() if len(texts) > 1]
    if twice:
        raise Unfit(twice)
    return _parameters(wanted, {name: texts[0] for name, texts in given.items()})


def body_of(wanted: type[_Read], request: Request) -> _Read:
    """The body, which is JSON and nothing else. No body at all stands for an empty object."""
    content = request.get_data(cache=False)
    if not content:
        content = b"{}"
    elif request.mimetype != "application/json":
        raise UnsupportedMediaType
    _require_plain(_parsed(content))
    try:
        return wanted.model_validate_json(content)
    except ValidationError as error:
        raise Unfit([_fault(wanted, details, in_body=True) for details in error.errors(include_url=False)]) from error


def refuse_body(request: Request) -> None:
    """Raise Unfit when there is a body where none is wanted."""
    if request.get_data(cache=False):
        raise Unfit([Fault("this operation takes no body", pointer="#", cure="send none")])


def _parameters(wanted: type[_Read], given: Mapping[str, str]) -> _Read:
    marred = [Fault("holds a character that no name has", parameter=k) for k, text in given.items() if _marred(text)]
    if marred:
        raise Unfit(marred)
    try:
        return wanted.model_validate(given)
    except ValidationError as error:
        raise Unfit([_fault(wanted, details, in_body=False) for details in error.errors(include_url=False)]) from error


def _parsed(content: bytes) -> Any:
    """JSON as RFC 8259 has it. What parsers agree on no more is refused: repeated names, and what is no number."""
    try:
        return json.loads(content.decode(), object_pairs_hook=_members, parse_constant=_no_number, parse_float=_finite)
    except Unfit:
        raise
    except RecursionError:
        raise _too_deep() from None
    except ValueError as error:
        message = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
        raise _unreadable(f"the body is not JSON: {message}", "send a JSON object") from error


def _members(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _unreadable(f"the body has `{twice}` twice in one object", "leave one of them out")
    return members


def _no_number(text: str) -> NoReturn:
    raise _unreadable(f"the body holds {text}, which is not JSON", "send a number or null")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise _unreadable(f"the number {text[:40]} is too large", "send a smaller one")
    return number


def _require_plain(document: Any) -> None:
    """Raise Unfit for what no database here would keep, and for what stands too deep."""
    level = [document]
    for _ in range(DEEPEST + 1):
        if not level:
            return
        if any(isinstance(value, str) and _marred(value) for value in level):
            raise _unreadable("a text holds NUL or half a character", "send it without that")
        members = [[*value.keys(), *value.values()] if isinstance(value, dict) else value for value in level]
        level = [item for value in members if isinstance(value, list) for item in value]
    raise _too_deep()


def _unreadable(message: str, cure: str) -> Unfit:
    return Unfit([Fault(message, pointer="#", cure=cure)], slug="unreadable")


def _too_deep() -> Unfit:
    return _unreadable(f"the body is more than {DEEPEST} levels deep", "send a flatter one")


def _marred(text: str) -> bool:
    return _UNKEPT.search(text) is not None


def _fault(wanted: type[BaseModel], details: Any, *, in_body: bool) -> Fault:
    """A complaint of pydantic in our words. https://docs.pydantic.dev/latest/errors/validation_errors/"""
    place = [str(step) for step in details["loc"]]
    name = place[-1] if place else ""
    message, cure = str(details["msg"]), None
    match details["type"]:
        case "extra_forbidden":
            known = [field.alias or name for name, field in wanted.model_fields.items()] if len(place) == 1 else []
            close = difflib.get_close_matches(name, known, n=1)
            message = f"`{name}` is not known here"
            cure = f"did you mean `{close[0]}`?" if close else "leave it out"
        case "missing":
            message, cure = f"`{name}` is missing", "give it a value"
        case "model_type" | "model_attributes_type":
            message, cure = "this is not an object", "send a JSON object"
        case "value_error":
            message = message.removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    if not in_body:
        return Fault(message, parameter=name, cure=cure)
    return Fault(message, pointer="#" + "".join(f"/{_escaped(step)}" for step in place), cure=cure)


def _escaped(step: str) -> str:
    """One step of a JSON pointer (RFC 6901)."""
    return step.replace("~", "~0").replace("/", "~1")
