"""Faults: every error becomes an answer that says what happened, where, and what to do; a bug says only its id."""

import logging
from datetime import timedelta

from flask import Flask, Response, g, jsonify, make_response, render_template, request
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge
from werkzeug.wrappers import Response as AnyResponse

from upkeep.domain.errors import (
    CallerError,
    NotFound,
    Reaction,
    SignedOut,
    StalledError,
    TooLarge,
    TooManyRequests,
    TransientError,
    UpkeepError,
    reaction,
)
from upkeep.domain.limits import megabytes
from upkeep.domain.people import NOBODY
from upkeep.web import api
from upkeep.web.api import problems
from upkeep.web.identity import actor, send_to_door
from upkeep.web.places import back
from upkeep.web.rooms import rooms

logger = logging.getLogger("upkeep.web")


def install(app: Flask) -> None:
    """Answer every error of the application here."""
    app.register_error_handler(UpkeepError, _refused)
    app.register_error_handler(CSRFError, _unsigned_form)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(Exception, _bug)


def wants_json() -> bool:
    """Whether the one who asks is a program: a hook, a probe, or someone who says so."""
    if request.path.startswith("/hooks/"):
        return True
    offered = request.accept_mimetypes
    return offered.best_match(["text/html", "application/json"], default="text/html") == "application/json"


def _refused(error: UpkeepError) -> AnyResponse:
    if isinstance(error, SignedOut) and not (api.asked_for() or wants_json()):
        return make_response(send_to_door(back() if request.method == "POST" else _here()))
    answer = noted(error, request.method, request.path, stranger=actor() == NOBODY)
    g.retry_after = wait_of(error)
    return _answer(error, answer.status)


def noted(error: UpkeepError, method: str, path: str, *, stranger: bool) -> Reaction:
    """Write down that a request was refused: the reaction that the error asks for. A stranger is told less of it."""
    answer = reaction(error)
    logger.log(logging.getLevelNamesMapping()[answer.level.upper()], "%s %s: %s", method, path, error)
    if isinstance(error, TransientError | StalledError) and stranger:
        # The log has it. Strangers need not know which database of which host is away.
        error.where = None
    return answer


def wait_of(error: UpkeepError) -> timedelta | None:
    """For how long whoever is refused shall wait, if that is known."""
    return error.retry_after if isinstance(error, TransientError | TooManyRequests) else None


def bug(error: Exception, number: str, method: str, path: str) -> UpkeepError:
    """Write down that a request found something broken, and tell of it without a word about what."""
    logger.critical("error %s at %s %s", number, method, path, exc_info=error)
    return UpkeepError(
        "something here is broken, and it is not your doing",
        cure=f"tell whoever runs this daemon; the log has it as error {number}",
    )


def words(error: UpkeepError, number: str | None = None) -> dict[str, str]:
    """An error as programs are told it."""
    told = {"error": error.slug, "message": error.message, "where": error.where, "cure": error.cure, "id": number}
    return {name: value for name, value in told.items() if value is not None}


def _unsigned_form(_: CSRFError) -> AnyResponse:
    return _answer(
        CallerError(
            "this form was not opened in your present session, so nothing was changed",
            cure="go back, load the page again and repeat what you did",
        ),
        400,
    )


def _http(error: HTTPException) -> AnyResponse:
    if error.code is not None and error.code < 400:
        return error.get_response()
    if api.asked_for():
        response = problems.answer(problems.of_http(error), error.code or 500)
        return _with_methods(error, response)
    if isinstance(error, RequestEntityTooLarge):
        return _answer(_too_large(), 413)
    if error.code == 404:
        fault = NotFound("there is no such page", where=request.path, cure="start from the fleet page")
        return _answer(fault, 404)
    response = _answer(CallerError(f"{error.name}", where=f"{request.method} {request.path}"), error.code or 500)
    return _with_methods(error, response)


def _with_methods(error: HTTPException, response: Response) -> Response:
    """The answer with the methods that the address does take (RFC 9110, section 15.5.6)."""
    if allowed := getattr(error, "valid_methods", None):
        response.headers["Allow"] = ", ".join(sorted(allowed))
    return response


def _bug(error: Exception) -> AnyResponse:
    return _answer(bug(error, g.request_id, request.method, request.path), 500, g.request_id)


def _answer(error: UpkeepError, status: int, number: str | None = None) -> Response:
    if api.asked_for():
        return problems.answer(error, status)
    if wants_json():
        return make_response(jsonify(words(error, number)), status)
    return make_response(render_template("fault.html", error=error, status=status), status)


def _too_large() -> TooLarge:
    said = f"what was sent is larger than {megabytes(rooms().bounds.request)}"
    return TooLarge(said, cure="send less, or raise `limits.request`")


def _here() -> str:
    return request.full_path if request.query_string else request.path
