"""Passage: what every request goes through, whichever room answers it. It gets a number, whoever watches is told of it
while it lasts, and its answer gets the headers that keep it to itself.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.wsgi import get_input_stream

from upkeep import watch

ABOUT = "upkeep.about"
"""Where the web server finds, in the environment of a request, what its line of the access log is about."""

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

_UNUSED = ", ".join(
    f"{feature}=()"
    for feature in ("camera", "microphone", "geolocation", "payment", "usb", "display-capture", "clipboard-read")
)
"""What browsers would lend a page, and ours never ask for: https://www.w3.org/TR/permissions-policy/."""

_HTTPS_FOR = timedelta(days=365)

_POLICY = "; ".join(
    (
        "default-src 'none'",
        "style-src 'self'",
        "script-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)

UNKEPT = ("Cache-Control", "no-store")
"""The header of an answer that nobody shall keep, which are all but files."""


def new_number() -> str:
    """The name by which the log and its answer speak of a request."""
    # No secret, and asking the kernel for it would cost each request a wait for Python's lock.
    return f"{random.getrandbits(32):08x}"


def whole_body(environ: dict[str, Any], largest: int) -> bytes:
    """All bytes of a body; RequestEntityTooLarge when there are more. Where no length was declared, one byte more is
    asked for, because Werkzeug does not tell a body that ends at its limit from one that goes on."""
    body: bytes = get_input_stream(environ, max_content_length=largest + 1).read()
    if len(body) > largest:
        raise RequestEntityTooLarge
    return body


@contextmanager
def told(environ: dict[str, Any], route: str, number: str, **about: str) -> Iterator[watch.Stretch]:
    """Tell of a request while it lasts: of its route, never of its path. Its outcome is the status it is answered."""
    method = environ["REQUEST_METHOD"]
    name = f"{method if method in _METHODS else 'other'} {route}"
    with watch.stretch("request", name, {"request_id": number, **about}) as stretch:
        environ[ABOUT] = stretch.about
        yield stretch


def guards(*, https: bool) -> tuple[tuple[str, str], ...]:
    """Headers that keep an answer to itself: https://owasp.org/www-project-secure-headers/."""
    always = (
        ("Content-Security-Policy", _POLICY),
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "same-origin"),
        ("Cross-Origin-Opener-Policy", "same-origin"),
        ("Cross-Origin-Resource-Policy", "same-origin"),
        ("Permissions-Policy", _UNUSED),
        ("X-Frame-Options", "DENY"),
    )
    if not https:
        return always
    # https://www.rfc-editor.org/rfc/rfc6797
    return (*always, ("Strict-Transport-Security", f"max-age={int(_HTTPS_FOR.total_seconds())}"))


def retry_after(wait: timedelta) -> tuple[str, str]:
    """The header that says when to come back."""
    # Whole seconds, rounded up: who comes back to the second is not refused again.
    return ("Retry-After", str(-(-wait // timedelta(seconds=1))))
