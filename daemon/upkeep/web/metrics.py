"""Metrics: every request is told to whoever watches; the page that Prometheus reads is given to scrapers only."""

from collections.abc import Callable
from dataclasses import dataclass

from flask import Blueprint, Flask, Response, g, request

from upkeep.domain.errors import Forbidden, NotFound
from upkeep.domain.gauges import Scrapers
from upkeep.web import passage
from upkeep.web.peers import client_address
from upkeep.web.rooms import rooms

blueprint = Blueprint("metrics", __name__)


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
    route = request.url_rule.rule if request.url_rule is not None else "none"
    g.block = passage.told(request.environ, route, g.request_id)
    g.stretch = g.block.__enter__()


def _note(response: Response) -> Response:
    g.stretch.outcome = str(response.status_code)
    return response


def _end(error: BaseException | None) -> None:
    if "block" in g:
        g.pop("block").__exit__(None, None, None)
