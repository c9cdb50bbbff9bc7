"""Where to go next on this site, and never off it."""

from urllib.parse import urlsplit

from flask import request


def inside(target: str | None) -> str:
    """The address if it is a path of this site, else `/`. Browsers read `//host` and `/\\host` as other hosts."""
    if not target or not target.startswith("/") or target[1:2] in ("/", "\\"):
        return "/"
    if any(ord(character) < 32 for character in target):
        return "/"
    parts = urlsplit(target)
    return target if not parts.scheme and not parts.netloc else "/"


def back() -> str:
    """The page a form was on, as far as its Referer tells."""
    parts = urlsplit(request.referrer or "")
    if parts.netloc != request.host:
        return "/"
    return inside(f"{parts.path}?{parts.query}" if parts.query else parts.path)
