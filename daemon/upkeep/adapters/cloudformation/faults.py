"""What AWS answers when it does not do what it was asked, in the families of our errors."""

import re
from datetime import timedelta

from botocore import exceptions as aws
from botocore.parsers import ResponseParserError

from upkeep.domain.errors import CallerError, StalledError, TransientError, UpkeepError
from upkeep.domain.resources import Placement

_BUSY = frozenset(
    {
        "BandwidthLimitExceeded", "InternalError", "InternalFailure", "InternalServerError", "LimitExceeded",
        "PriorRequestNotComplete", "RequestLimitExceeded", "RequestThrottled", "RequestThrottledException",
        "RequestTimeout", "RequestTimeoutException", "ServiceUnavailable", "ServiceUnavailableException", "SlowDown",
        "Throttling", "ThrottlingException", "TooManyRequestsException",
    }
)  # fmt: skip

_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "AuthorizationError", "UnauthorizedOperation"})

EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"})
"""Codes for credentials that were good once. New ones may be at hand."""

_STRANGERS = frozenset(
    {
        "AuthFailure", "IncompleteSignature", "InvalidAccessKeyId", "InvalidClientTokenId",
        "MissingAuthenticationToken", "NotSignedUp", "OptInRequired", "RegionDisabledException", "RequestExpired",
        "SignatureDoesNotMatch", "UnrecognizedClientException",
    }
)  # fmt: skip

_UNKNOWN_IDENTITY = (
    aws.NoCredentialsError,
    aws.PartialCredentialsError,
    aws.CredentialRetrievalError,
    aws.MetadataRetrievalError,
    aws.ProfileNotFound,
    aws.ConfigNotFound,
    aws.ConfigParseError,
    aws.SSOError,
    aws.TokenRetrievalError,
)

_CREDENTIALS_CURE = "give the worker credentials that AWS knows, as the AWS CLI takes them, then retry"

_UNDER_WAY = re.compile(r"\b[A-Z_]+_IN_PROGRESS\b")


class Refusal(CallerError):
    """AWS understood the request and will not do it. `code` is its own word for why."""

    slug = "aws-refused"

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code

    @property
    def unknown_stack(self) -> bool:
        """Whether there is no stack of the name that was asked for."""
        return self.code == "ValidationError" and "does not exist" in self.message

    @property
    def too_early(self) -> bool:
        """Whether something else is still at work on the stack."""
        return bool(_UNDER_WAY.search(self.message)) or self.code == "OperationInProgressException"


def code_of(fault: aws.ClientError) -> str:
    """AWS's own word for what went wrong."""
    return str(fault.response.get("Error", {}).get("Code", ""))


def translated(
    fault: aws.BotoCoreError | aws.ClientError | ResponseParserError, operation: str, placement: Placement
) -> UpkeepError:
    """The error of ours that a fault of AWS is. `operation` is named as IAM names it: `cloudformation:CreateChangeSet`.

    Outages and throttling are TransientErrors; whom AWS does not know or does not let is told so in a StalledError;
    what is left is a Refusal with AWS's own sentence.
    """
    where = _spelled(placement)
    if isinstance(fault, aws.ClientError):
        return _answered(fault, operation, where, placement)
    if isinstance(fault, _UNKNOWN_IDENTITY):
        return StalledError(f"there are no credentials for AWS: {fault}", cure=_CREDENTIALS_CURE)
    if isinstance(fault, aws.NoRegionError | aws.InvalidRegionError):
        return StalledError(
            f"it is not known in which region to call {operation}: {fault}",
            cure="give the environment a region, or set `cloudformation.region`",
        )
    if isinstance(fault, ResponseParserError):
        # It quotes what answered, which may have quoted what was sent.
        return TransientError(
            f"what answered {operation}{where} is not AWS",
            cure="look at `cloudformation.endpoint_url`, and at proxies on the way",
        )
    if isinstance(fault, aws.ParamValidationError):
        return Refusal("ParamValidation", str(fault))
    return TransientError(f"AWS did not answer {operation}{where}: {fault}")


def _answered(fault: aws.ClientError, operation: str, where: str, placement: Placement) -> UpkeepError:
    code = code_of(fault)
    message = " ".join(str(fault.response.get("Error", {}).get("Message") or code).split())
    meta = fault.response.get("ResponseMetadata", {})
    if code in _BUSY or int(meta.get("HTTPStatusCode") or 0) >= 500:
        return TransientError(f"AWS put off {operation}{where}: {message}", retry_after=_retry_after(meta))
    if code in _DENIED:
        return _denied(operation, message, where, placement)
    if code in EXPIRED:
        return StalledError(f"the credentials for AWS have expired: {message}", cure=_CREDENTIALS_CURE)
    if code in _STRANGERS:
        return StalledError(
            f"AWS does not accept the credentials for {operation}{where}: {message}", cure=_CREDENTIALS_CURE
        )
    if code == "LimitExceededException":
        return StalledError(
            f"a quota of the account is used up{where}: {message}",
            cure="delete stacks or change sets that nobody needs, or ask AWS for a higher quota; then retry",
        )
    return Refusal(code, message)


def _denied(operation: str, message: str, where: str, placement: Placement) -> StalledError:
    if operation == "sts:AssumeRole":
        return StalledError(
            f"the role {placement.role_arn} cannot be assumed: {message}",
            cure="check that it exists, and that its trust policy names Upkeep's own identity"
            + (f" and the external id {placement.external_id}" if placement.external_id else "")
            + "; then retry",
        )
    whom = f"the role {placement.role_arn}" if placement.role_arn else "Upkeep's own identity"
    return StalledError(f"AWS denies {operation}{where}: {message}", cure=f"allow {whom} {operation}, then retry")


def _spelled(placement: Placement) -> str:
    return f" in {placement.region}" if placement.region else ""


def _retry_after(meta: dict[str, object]) -> timedelta | None:
    headers = meta.get("HTTPHeaders")
    told = str(headers.get("retry-after", "")) if isinstance(headers, dict) else ""
    return timedelta(seconds=int(told)) if told.isdigit() else None
