"""Refusals in Proton's words: which of its errors says what, and why some operations do nothing here.

https://docs.aws.amazon.com/proton/latest/APIReference/CommonErrors.html
"""

from upkeep.domain.errors import (
    BundleError,
    CallerError,
    Conflict,
    Forbidden,
    NotFound,
    SignedOut,
    StalledError,
    TooManyRequests,
    UpkeepError,
)

BROKEN = "InternalServerException"

_NAMES: tuple[tuple[type[UpkeepError], str], ...] = (
    (NotFound, "ResourceNotFoundException"),
    (Conflict, "ConflictException"),
    (StalledError, "ConflictException"),
    (Forbidden, "AccessDeniedException"),
    (SignedOut, "UnrecognizedClientException"),
    (TooManyRequests, "ThrottlingException"),
    (CallerError, "ValidationException"),
    (BundleError, "ValidationException"),
)


class Refusal(CallerError):
    """A refusal under a name of AWS's own, which clients and their retries go by."""

    slug = "refused"

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


def name_of(error: UpkeepError) -> str:
    """What Proton calls an error. What may work later is the service's own fault: clients try it again."""
    if isinstance(error, Refusal):
        return error.name
    return next((name for kind, name in _NAMES if isinstance(error, kind)), BROKEN)
