"""Signatures of requests, as AWS's clients make them (Signature Version 4).

https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html
"""

import hashlib
import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, unquote

from upkeep.web.proton.refusals import Refusal

ALGORITHM = "AWS4-HMAC-SHA256"
SERVICE = "proton"

CLOCKS_APART_FOR = timedelta(minutes=15)
"""How far the clocks of client and server may be apart, as at AWS."""

_ACCESS_KEY = re.compile(r"\w{16,128}", re.ASCII)
_SIGNATURE = re.compile(r"[0-9a-f]{64}")
_MOMENT = "%Y%m%dT%H%M%SZ"
_SIGN_AGAIN = "check that the clock is right and that a proxy passes host, path and headers on unchanged"


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it was sent: `path` and `query` are still encoded, header names may have any case."""

    method: str
    path: str
    query: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str:
        """The values of a header, as one; empty when it was not sent."""
        return ",".join(value for sent, value in self.headers if sent.lower() == name)


@dataclass(frozen=True, slots=True)
class Claim:
    """What a request says about who signed it, and how."""

    access_key: str
    scope: tuple[str, str, str, str]
    signed: tuple[str, ...]
    signature: str
    at: datetime


def claimed(asked: Asked, now: datetime) -> Claim:
    """Who claims to have signed the request. Refuses what no secret could make good: no or another kind of signature,
    one for another service, outside the clock window, or that leaves out what the request's meaning hangs on."""
    authorization = asked.header("authorization")
    if not authorization:
        raise Refusal(
            "MissingAuthenticationTokenException",
            "the request is not signed: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to a key pair of Upkeep, which "
            "`upkeep token create --aws` issues",
        )
    if asked.header("x-amz-security-token"):
        raise Refusal(
            "UnrecognizedClientException",
            "session tokens of AWS cannot be verified here: unset AWS_SESSION_TOKEN and sign with a key pair of "
            "Upkeep, which `upkeep token create --aws` issues",
        )
    algorithm, _, rest = authorization.partition(" ")
    fields = dict(field.strip().partition("=")[::2] for field in rest.split(","))
    if algorithm != ALGORITHM or set(fields) != {"Credential", "SignedHeaders", "Signature"}:
        raise _incomplete(f"the Authorization header is none of {ALGORITHM}")
    access_key, *scope = fields["Credential"].rsplit("/", 4)
    if len(scope) != 4 or not _ACCESS_KEY.fullmatch(access_key) or not _SIGNATURE.fullmatch(fields["Signature"]):
        raise _incomplete("the credential or the signature is misshapen")
    day, region, service, end = scope
    moment = asked.header("x-amz-date")
    try:
        at = datetime.strptime(moment, _MOMENT).replace(tzinfo=UTC)
    except ValueError:
        raise _incomplete("the header X-Amz-Date is missing or no time") from None
    if (day, service, end) != (moment[:8], SERVICE, "aws4_request"):
        raise _mismatch(f"the request is signed for {'/'.join(scope)}, not for {moment[:8]}/…/{SERVICE}/aws4_request")
    if abs(now - at) > CLOCKS_APART_FOR:
        old = "Signature expired" if at < now else "Signature not yet current"
        raise _mismatch(f"{old}: it was made at {moment}, and here it is {now:{_MOMENT}}")
    signed = tuple(fields["SignedHeaders"].split(";"))
    needed = {"host", *(name.lower() for name, _ in asked.headers if name.lower().startswith("x-amz-"))}
    if missing := sorted(needed - set(signed)):
        raise _mismatch(f"the signature does not cover {', '.join(missing)}")
    return Claim(access_key, (day, region, service, end), signed, fields["Signature"], at)


def verify(asked: Asked, claim: Claim, secret: str) -> None:
    """Refuse the request unless it was signed with the secret; how long that takes tells nothing."""
    digest = hashlib.sha256(asked.body).hexdigest()
    stated = asked.header("x-amz-content-sha256")
    if stated and not hmac.compare_digest(stated.encode(), digest.encode()):
        raise _mismatch("the body is not the one that X-Amz-Content-Sha256 names")
    expected = signature(canonical(asked, claim.signed, digest), claim.scope, claim.at, secret)
    if not hmac.compare_digest(expected, claim.signature):
        raise _mismatch("The request signature we calculated does not match the signature you provided")


def canonical(asked: Asked, signed: Iterable[str], digest: str) -> str:
    """The request in the one form that both sides sign."""
    headers = {name: [value for sent, value in asked.headers if sent.lower() == name] for name in signed}
    lines = [f"{name}:{','.join(' '.join(value.split()) for value in headers[name])}" for name in sorted(headers)]
    path = quote(_normal(asked.path), safe="/-_.~")
    pairs = [pair.partition("=") for pair in asked.query.split("&") if pair]
    query = "&".join(f"{name}={value}" for name, value in sorted((_encoded(n), _encoded(v)) for n, _, v in pairs))
    return "\n".join((asked.method, path, query, *lines, "", ";".join(sorted(headers)), digest))


def signature(request: str, scope: tuple[str, str, str, str], at: datetime, secret: str) -> str:
    """The signature of a request in its canonical form, in hexadecimal digits."""
    digest = hashlib.sha256(request.encode()).hexdigest()
    to_sign = "\n".join((ALGORITHM, at.strftime(_MOMENT), "/".join(scope), digest))
    key = f"AWS4{secret}".encode()
    for step in scope:
        key = hmac.digest(key, step.encode(), "sha256")
    return hmac.digest(key, to_sign.encode(), "sha256").hex()


def _normal(path: str) -> str:
    """A path without `.`, `..` and empty steps: services other than S3 sign it so."""
    kept: list[str] = []
    for step in path.split("/"):
        if step == ".." and kept:
            kept.pop()
        elif step not in ("", ".", ".."):
            kept.append(step)
    end = "/" if kept and path.endswith("/") else ""
    return f"/{'/'.join(kept)}{end}"


def _encoded(text: str) -> str:
    return quote(unquote(text), safe="-_.~")


def _incomplete(message: str) -> Refusal:
    return Refusal("IncompleteSignatureException", f"{message}; {_SIGN_AGAIN}")


def _mismatch(message: str) -> Refusal:
    return Refusal("InvalidSignatureException", f"{message}; {_SIGN_AGAIN}")
