"""Showing: settings for people to read, without their secrets."""

import dataclasses
import re
import typing
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from upkeep.settings.sections import Settings
from upkeep.settings.values import is_size, write_duration, write_size


def shown(settings: Settings) -> dict[str, Any]:
    """The settings as a tree of plain values for people to read; secrets are replaced by `********`."""
    tree = _shown(settings)
    if settings.database.url is not None:
        tree["database"]["url"] = without_password(settings.database.url.get_secret_value())
    return typing.cast(dict[str, Any], tree)


def without_password(url: str) -> str:
    """An address that may be shown. What is no address at all may be a password in the wrong place."""
    if "://" not in url:
        return _HIDDEN
    return _PASSWORDS.sub(lambda found: f"{found[1]}{_HIDDEN}@" if found[1] else f"{found[2]}{_HIDDEN}", url)


_HIDDEN = "********"
_PASSWORDS = re.compile(r"(://[^:/?#@]*:).*@|([?&][^=&]*pass[^=&]*=)[^&]*", re.IGNORECASE | re.DOTALL)
"""In an address, up to its last `@`: whoever wrote it may have left some characters as they are."""


def _shown(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        hints = typing.get_type_hints(type(value), include_extras=True)
        return {
            each.name: write_size(inner) if is_size(hints[each.name]) else _shown(inner)
            for each in dataclasses.fields(value)
            if (inner := getattr(value, each.name)) is not None or each.default is not None
        }
    match value:
        case SecretStr():
            return _HIDDEN
        case str() if "://" in value:
            return without_password(value)
        case timedelta():
            return write_duration(value)
        case Path():
            return str(value)
        case tuple():
            return [_shown(each) for each in value]
        case dict():
            return {str(name): _shown(each) for name, each in value.items()}
        case StrEnum():
            return value.value
    return value
