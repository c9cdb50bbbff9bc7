"""gunicorn's hooks in a test. As in the daemon, what every process needs is imported once, before the first is made."""

import importlib
from typing import Any


def on_starting(server: Any) -> None:
    """Import what the processes share."""
    for name in ("upkeep.web.app", "upkeep.adapters.store", "upkeep.adapters.jinja", "upkeep.adapters.passwords"):
        importlib.import_module(name)
