"""Values: how durations, sizes, paths, addresses and names are written, and which of them are refused."""

import difflib
import re
from collections.abc import Callable, Iterable
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, ValidationInfo
from pydantic_core import PydanticCustomError

from upkeep.domain.addresses import check_address
from upkeep.domain.errors import CallerError

STRICT = ConfigDict(extra="forbid", validate_default=True)

_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")
_HOUR = re.compile(r"([01]\d|2[0-3]):[0-5]\d")
_GITHUB_GROUP = re.compile(r"[\w-]+(/[\w.-]+)?")
_SIZE = re.compile(r"(\d+)\s*(B|KB|MB|GB)", re.IGNORECASE)
_UNITS = {"B": 1, "KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30}
_LONGEST = timedelta(days=36500)
"""A time that long ago, or that far ahead, is still one that databases can write down."""


def parse_duration(text: object) -> timedelta:
    """Read `30s`, `5m`, `1h30m` or `2d`, a hundred years at most. ValueError, with a cure, for anything else."""
    if isinstance(text, timedelta):
        return text
    found = _DURATION.fullmatch(text.strip()) if isinstance(text, str) else None
    if found is None or not any(found.groups()):
        raise fault(f"`{text}` is not a duration", "write a number and its unit, for example 30s, 5m, 1h30m or 2d")
    days, hours, minutes, seconds = (int(group or 0) for group in found.groups())
    try:
        span = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    except OverflowError:
        span = timedelta.max
    return _within(span, str(text), _LONGEST)


def _within(span: timedelta, text: str, longest: timedelta) -> timedelta:
    if span > longest:
        raise fault(f"`{text}` is too long", f"write at most {write_duration(longest)}")
    return span


def write_duration(span: timedelta) -> str:
    """The shortest text that `parse_duration` reads as this span; whole seconds."""
    seconds = int(span.total_seconds())
    parts = ((seconds // 86400, "d"), (seconds // 3600 % 24, "h"), (seconds // 60 % 60, "m"), (seconds % 60, "s"))
    return "".join(f"{number}{unit}" for number, unit in parts if number) or "0s"


def parse_size(text: object) -> int:
    """Read `512MB`, or bytes. ValueError, with a cure, for anything else."""
    if isinstance(text, int) and not isinstance(text, bool):
        return text
    found = _SIZE.fullmatch(text.strip()) if isinstance(text, str) else None
    if found is None:
        raise fault(f"`{text}` is not a size", "write a number and its unit, for example 512MB")
    return int(found[1]) * _UNITS[found[2].upper()]


def _parse_whole(number: object) -> object:
    """Python counts with true and false as well."""
    if isinstance(number, bool):
        raise PydanticCustomError("int_type", "a flag")
    return number


def write_size(size: int) -> str:
    """The shortest text that is read as so many bytes."""
    unit = next(unit for unit in reversed(_UNITS) if size % _UNITS[unit] == 0)
    return f"{size // _UNITS[unit]}{unit}"


def is_size(hint: Any) -> bool:
    """Whether what is said of a setting's type makes it a size."""
    return any(getattr(extra, "func", None) is parse_size for extra in getattr(hint, "__metadata__", ()))


def _parse_path(text: object, info: ValidationInfo) -> object:
    """Relative paths count from the folder of the configuration file."""
    if not isinstance(text, str | Path):
        return text
    if not str(text).strip():
        raise fault("the path is empty", "name a file or folder, or leave the setting out")
    folder = (info.context or {}).get("folder", Path())
    return (Path(folder) / Path(text).expanduser()).absolute()


def _parse_url(text: object) -> object:
    if isinstance(text, str) and text:
        parts = urlsplit(text)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise fault(f"`{text}` is not an http address", "write it as https://upkeep.example.com")
        return text.rstrip("/")
    return text


def check_root(url: str) -> str:
    """Addresses on our pages begin at the root of their host."""
    if urlsplit(url).path:
        raise fault(f"`{url}` leads to a folder of its host", "give Upkeep a host name of its own")
    return url


def _check_hour(text: str) -> str:
    if not _HOUR.fullmatch(text):
        raise fault(f"`{text}` is no time of the day", 'write it like "09:30", in quotes')
    return text


def _check_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise fault(f"`{name}` is no time zone", "write it like Europe/Berlin, or UTC") from None
    return name


def at_least(shortest: timedelta) -> Callable[[timedelta], timedelta]:
    """Refuses spans that are shorter."""

    def check(span: timedelta) -> timedelta:
        if span < shortest:
            raise fault(f"`{write_duration(span)}` is too short", f"write at least {write_duration(shortest)}")
        return span

    return check


def _at_most(longest: timedelta) -> Callable[[timedelta], timedelta]:
    return lambda span: _within(span, write_duration(span), longest)


def fault(message: str, cure: str) -> PydanticCustomError:
    """What a check raises: a sentence about the value, and what to write instead."""
    return PydanticCustomError("upkeep", "{message}", {"message": message, "cure": cure})


def suggestion(given: str, known: Iterable[str], prefix: str = "") -> str:
    """A cure that names what was probably meant; empty when nothing known is like it."""
    close = difflib.get_close_matches(given, list(known), n=1, cutoff=0.6)
    return f"did you mean `{prefix}{close[0]}`?" if close else ""


def checked(check: Callable[[str], object]) -> AfterValidator:
    """Accept what a rule of the domain accepts, and say what it says."""

    def accept(text: str) -> str:
        try:
            check(text)
        except CallerError as error:
            raise fault(error.message, error.cure or "") from None
        return text

    return AfterValidator(accept)


def trimmed(ends: str) -> Callable[[object], object]:
    """Takes such characters off both ends of a text."""
    return lambda text: text.strip(ends) if isinstance(text, str) else text


def check_form(url: str) -> None:
    """The form of a repository's address; whether places on this machine are allowed is another setting."""
    check_address(url, allow_local=True)


def _check_network(text: str) -> str:
    try:
        ip_network(text)
    except ValueError:
        raise fault(f"`{text}` is no address and no network", "write it like 10.0.0.7 or 10.0.0.0/8") from None
    return text


def check_group(text: str) -> str:
    """An organisation at GitHub, or a team of one."""
    if not _GITHUB_GROUP.fullmatch(text):
        raise fault(f"`{text}` is no organisation and no team", "write it like acme or acme/platform")
    return text


Duration = Annotated[timedelta, BeforeValidator(parse_duration)]
Span = Annotated[Duration, AfterValidator(at_least(timedelta(seconds=1)))]
# Git, the kernel and PostgreSQL count milliseconds in 32 bits.
Patience = Annotated[Span, AfterValidator(_at_most(timedelta(days=7)))]
Size = Annotated[int, BeforeValidator(parse_size), Field(le=1 << 50)]
Whole = Annotated[int, BeforeValidator(_parse_whole)]
AtOnce = Annotated[Whole, Field(ge=1, le=64)]
Count = Annotated[Whole, Field(ge=1, le=1_000_000_000)]
FilePath = Annotated[Path, BeforeValidator(_parse_path)]
HttpUrl = Annotated[str, BeforeValidator(_parse_url)]
Hour = Annotated[str, AfterValidator(_check_hour)]
TimeZone = Annotated[str, AfterValidator(_check_zone)]
VariableName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]

HeaderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]+$")]
Network = Annotated[str, AfterValidator(_check_network)]

REGION = re.compile(r"[a-z]{2,}(-[a-z]+)+-\d+")
ROLE = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+")
HOST = re.compile(r"[0-9A-Za-z.-]*")
BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


def check_region(region: str) -> None:
    """A region of AWS, or none."""
    if region and not REGION.fullmatch(region):
        raise fault(f"`{region}` is not a region of AWS", "write it like eu-west-1")
