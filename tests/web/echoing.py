"""What gunicorn serves where requests themselves are tried: it tells what has arrived of one. Its configuration as
well, with shorter waits than the daemon's."""

import hashlib
from collections.abc import Callable, Iterable
from typing import Any

from upkeep.web import patience

PATIENCE_FOR = 2
graceful_timeout = 1
threads = 4


def on_starting(server: Any) -> None:
    """Shorten the wait, in that server alone."""
    patience.PATIENCE_FOR = PATIENCE_FOR


def app(environ: dict[str, Any], start: Callable[..., object]) -> Iterable[bytes]:
    """Answer with the path, and the length and digest of the body; with as many bytes as the query says, if any, or
    without looking at the body if it says `unread`."""
    query = environ["QUERY_STRING"]
    try:
        body = b"" if query == "unread" else environ["wsgi.input"].read()
    except OSError:
        body = b"cut off"
    told = f"{environ['PATH_INFO']} {len(body)} {hashlib.sha256(body).hexdigest()[:8]}".encode()
    answer = told + b" " * int(query if query.isdigit() else 0)
    start("200 OK", [("Content-Length", str(len(answer)))])
    return [answer]
