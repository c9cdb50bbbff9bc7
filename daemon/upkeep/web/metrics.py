"""Metrics: every request is told to whoever watches; the page that Prometheus reads is given to scrapers only."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from flask import Blueprint, Flask, Response, g, request

from upkeep import watch
from upkeep.domain.errors import Forbidden, NotFound
from upkeep.domain.gauges import Scrapers
from upkeep.web.peers import client_address
from upkeep.web.rooms import rooms

blueprint = Blueprint("metrics", __name__)

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_DELIVERY = re.compile(r"[0-9A-Za-z._-]{1,100}")

ABOUT = "upkeep.about"
"""Where the web server finds, in the environment of a request, what its line of the access log is about."""


@dataclass(frozen=True, slots=True)
class MetricsPage:
    """Who may read the metrics, what they are given, and as what."""

    scrapers: Scrapers
    text: Callable[[], bytes]
    content_type: str


@blueprint.get("/metrics")
def read() -> Response:
    """All numbers of this web server and of the rows, for Prometheus."""
    page = rooms().metrics
    if page is None:
        raise NotFound("there are no metrics here", cure="give `metrics: networks` or a token in the configuration")
    if not page.scrapers.admit(client_address(), request.headers.get("Authorization", "")):
        raise Forbidden(
            "the metrics are not for you",
            cure="ask from one of the `metrics: networks` of the configuration, or with its token",
        )
    return Response(page.text(), content_type=page.content_type)


def install(app: Flask) -> None:
    """Tell of every request while it lasts. To be installed before whatever else looks at requests."""
    app.before_request(_begin)
    app.after_request(_note)
    app.teardown_request(_end)


def _begin() -> None:
    rule = request.url_rule.rule if request.url_rule is not None else "none"
    method = request.method if request.method in _METHODS else "other"
    about = {"request_id": g.request_id}
    delivery = request.headers.get("X-GitHub-Delivery", "")
    if request.blueprint == "hooks" and _DELIVERY.fullmatch(delivery):
        about["delivery"] = delivery
    g.block = watch.stretch("request", f"{method} {rule}", about)
    g.stretch = g.block.__enter__()
    request.environ[ABOUT] = g.stretch.about


def _note(response: Response) -> Response:
    g.stretch.outcome = str(response.status_code)
    if request.blueprint == "hooks" and response.status_code >= 400:
        watch.happened("delivery", "refused" if response.status_code < 500 else "failed")
    return response


def _end(error: BaseException | None) -> None:
    if "block" in g:
        g.pop("block").__exit__(None, None, None)
