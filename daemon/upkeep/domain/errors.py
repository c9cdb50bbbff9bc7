"""One root, five families. The family says who has to react, and `reaction` says how."""

from dataclasses import dataclass
from datetime import timedelta


class UpkeepError(Exception):
    """Something a person can act on: what happened, where, and what to do about it.

    `message` is one sentence without a final stop, `where` a place such as `schema/schema.yaml:12`,
    `cure` the next step in the imperative, and `slug` a stable machine-readable name.
    """

    slug = "error"

    def __init__(self, message: str, *, where: str | None = None, cure: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.cure = cure

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        advice = f" ({self.cure})" if self.cure else ""
        return f"{place}{self.message}{advice}"


class CallerError(UpkeepError):
    """The request is wrong: it is refused and nothing changes."""

    slug = "invalid"


class NotFound(CallerError):
    """What was named does not exist."""

    slug = "not-found"


class Conflict(CallerError):
    """The request does not fit the present state, for example a draft that moved since it was seen."""

    slug = "conflict"


class SignedOut(CallerError):
    """Nobody is signed in, or the session has ended."""

    slug = "signed-out"


class Forbidden(CallerError):
    """The one who asks may not do this."""

    slug = "forbidden"


class Reused(CallerError):
    """A key that stands for one request came with another."""

    slug = "key-reused"


class TooLarge(CallerError):
    """The request is bigger than what is accepted."""

    slug = "too-large"


class TooManyRequests(CallerError):
    """The one who asks has to wait, for `retry_after`."""

    slug = "too-many-requests"

    def __init__(self, message: str, *, cure: str, retry_after: timedelta) -> None:
        super().__init__(message, cure=cure)
        self.retry_after = retry_after


class BundleError(UpkeepError):
    """A commit holds something that cannot be used: recorded on the version, told to its author."""

    slug = "bundle"


class TransientError(UpkeepError):
    """It may work later: tried again, not before `retry_after` when that is known."""

    slug = "transient"

    def __init__(
        self,
        message: str,
        *,
        where: str | None = None,
        cure: str | None = None,
        retry_after: timedelta | None = None,
    ) -> None:
        super().__init__(message, where=where, cure=cure)
        self.retry_after = retry_after


class LostLease(TransientError):
    """The work was claimed by another worker meanwhile: whoever notices stops without writing."""

    slug = "lost-lease"


class StalledError(UpkeepError):
    """It will not work until a person acts: stopped, told once, visible until resumed."""

    slug = "stalled"


class SettingsError(UpkeepError):
    """The configuration cannot be used. Carries every fault that was found, one a line."""

    slug = "settings"

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = tuple(faults)


@dataclass(frozen=True, slots=True)
class Reaction:
    """What an entry point does with an error: HTTP status, CLI exit code, retry, log level."""

    status: int
    exit_code: int
    retries: bool
    level: str


_REACTIONS: dict[type[UpkeepError], Reaction] = {
    SignedOut: Reaction(401, 4, False, "info"),
    Forbidden: Reaction(403, 5, False, "warning"),
    NotFound: Reaction(404, 1, False, "info"),
    Conflict: Reaction(409, 5, False, "info"),
    Reused: Reaction(422, 5, False, "info"),
    TooLarge: Reaction(413, 1, False, "warning"),
    TooManyRequests: Reaction(429, 1, False, "warning"),
    CallerError: Reaction(400, 1, False, "info"),
    BundleError: Reaction(422, 1, False, "info"),
    TransientError: Reaction(503, 1, True, "warning"),
    StalledError: Reaction(409, 1, False, "error"),
    SettingsError: Reaction(500, 2, False, "error"),
}


def reaction(error: BaseException) -> Reaction:
    """The reaction an error asks for. What is not an UpkeepError is a bug: 500, never retried, logged whole."""
    for kind in type(error).__mro__:
        if kind in _REACTIONS:
            return _REACTIONS[kind]
    return Reaction(500, 1, False, "critical")
