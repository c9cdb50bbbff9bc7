"""Objects in S3, read with Upkeep's own credentials."""

from botocore import exceptions as aws

from upkeep.adapters.cloudformation.accounts import Accounts
from upkeep.adapters.cloudformation.faults import Refusal
from upkeep.domain.errors import BundleError, NotFound, TransientError
from upkeep.domain.limits import megabytes
from upkeep.domain.resources import Placement

_MISSING = frozenset({"NoSuchKey", "NoSuchBucket"})


def read_object(accounts: Accounts, bucket: str, key: str, at_most: int) -> bytes:
    """The content of an object. NotFound when there is none, BundleError when it is longer, TransientError when it
    breaks off, and else what `Accounts.call` raises."""
    try:
        found = accounts.call("s3", "get_object", Placement(), "register", Bucket=bucket, Key=key)
    except Refusal as refused:
        if refused.code in _MISSING:
            raise NotFound(f"there is no s3://{bucket}/{key}", cure="upload the bundle, then register it") from refused
        raise
    with found["Body"] as body:
        try:
            content: bytes = body.read(at_most + 1)
        except aws.BotoCoreError as fault:
            raise _broken_off(bucket, key) from fault
    # Where only so much is asked for, botocore does not notice that less came.
    if len(content) < min(found["ContentLength"], at_most + 1):
        raise _broken_off(bucket, key)
    if len(content) > at_most:
        raise BundleError(
            f"s3://{bucket}/{key} is longer than {megabytes(at_most)}",
            cure="leave out what is no template, or raise `limits.bundle`",
        )
    return content


def _broken_off(bucket: str, key: str) -> TransientError:
    return TransientError(f"s3://{bucket}/{key} broke off while it was read", cure="it is read again")
