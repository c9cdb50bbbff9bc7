"""Kept: what macros drew last, to be shown again for as long as all that went into it is the same.

What is drawn is kept by the very values it was drawn from, so that it is never stale: whoever reads other rows, at
another time of day or as somebody else, has other values. A macro that is drawn through this looks at nothing else.
"""

from collections.abc import Callable
from functools import lru_cache

from flask import Flask, request
from markupsafe import Markup

DRAWINGS = 4000
"""Lines of tables, mostly, of 2 to 3 KB with their values: those of the pages looked at last."""


def install(app: Flask) -> None:
    """Give it to the templates."""
    app.add_template_global(kept, "kept")


def kept(draw: Callable[..., Markup], *values: object) -> Markup:
    """What the macro makes of the values, which can be hashed."""
    # The root is part of what addresses say.
    return _drawn(request.environ["SCRIPT_NAME"], draw, values)


@lru_cache(maxsize=DRAWINGS)
def _drawn(_root: str, draw: Callable[..., Markup], values: tuple[object, ...]) -> Markup:
    return draw(*values)
