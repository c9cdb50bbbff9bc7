"""Signatures, against AWS's own signer and against the rules of its published test suite."""

from datetime import UTC, datetime, timedelta

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from upkeep.web.proton import signature
from upkeep.web.proton.refusals import Refusal
from upkeep.web.proton.signature import Asked, canonical, claimed, verify

KEY, SECRET = "UPKEEPABCDEFGHIJKLMN", "upkeep_wJalrXUtnFEMI-K7MDENG+bPxRfiCYEXAMPLEKEY"
URL = "http://upkeep.example.com/proton"
TARGET = {"X-Amz-Target": "AwsProton20200720.GetService", "Content-Type": "application/x-amz-json-1.0"}
BODY = b'{"name": "checkout"}'


def signed(
    url: str = URL, body: bytes = BODY, *, service: str = "proton", token: str | None = None, **headers: str
) -> Asked:
    """A request as botocore signs it, as a server receives it."""
    sent = AWSRequest("POST", url, TARGET | headers, body)
    SigV4Auth(Credentials(KEY, SECRET, token), service, "eu-west-1").add_auth(sent)
    rest = url.partition("://")[2].partition("/")
    path, _, query = f"/{rest[2]}".partition("?")
    return Asked("POST", path, query, (("Host", rest[0]), *sent.headers.items()), body)


def changed(asked: Asked, **parts: object) -> Asked:
    kept = {name: getattr(asked, name) for name in ("method", "path", "query", "headers", "body")}
    return Asked(**(kept | parts))  # type: ignore[arg-type]


def with_header(asked: Asked, name: str, value: str) -> Asked:
    others = [pair for pair in asked.headers if pair[0].lower() != name.lower()]
    return changed(asked, headers=(*others, (name, value)))


def check(asked: Asked, secret: str = SECRET, *, apart: timedelta = timedelta(0)) -> str:
    claim = claimed(asked, datetime.now(UTC) + apart)
    verify(asked, claim, secret)
    return claim.access_key


def refusal(asked: Asked, secret: str = SECRET, *, apart: timedelta = timedelta(0)) -> Refusal:
    with pytest.raises(Refusal) as caught:
        check(asked, secret, apart=apart)
    return caught.value


@pytest.mark.parametrize(
    "url",
    [
        URL,
        f"{URL}/",
        "http://upkeep.example.com/",
        "http://upkeep.example.com:8080/proton",
        f"{URL}?Param2=value2&Param1=value1",
        f"{URL}?Param1=value2&Param1=Value1&Param1=value1",
        f"{URL}?Param-3=Value3&Param=Value2&%E1%88%B4=bar",
        f"{URL}?empty=&q=a%20b%2Fc",
        "http://upkeep.example.com/a/%E1%88%B4/b",
        "http://upkeep.example.com/a//b/./c/../d",
    ],
)
def test_what_awss_own_signer_signs_is_accepted(url: str) -> None:
    assert check(signed(url)) == KEY


@pytest.mark.parametrize(
    ("header", "value"),
    [("X-Amz-Meta", " value1  and   more "), ("My-Header2", '"a   b   c"'), ("X-Amz-Content-SHA256", "")],
)
def test_headers_are_signed_trimmed(header: str, value: str) -> None:
    import hashlib

    assert check(signed(**{header: value or hashlib.sha256(BODY).hexdigest()})) == KEY


def test_the_published_suites_get_vanilla_has_the_published_signature() -> None:
    # "get-vanilla" of AWS's Signature Version 4 test suite, for the service `service`.
    headers = (("Host", "example.amazonaws.com"), ("X-Amz-Date", "20150830T123600Z"))
    asked = Asked("GET", "/", "", headers, b"")
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    request = canonical(asked, ("host", "x-amz-date"), empty)
    assert request.splitlines() == [
        "GET",
        "/",
        "",
        "host:example.amazonaws.com",
        "x-amz-date:20150830T123600Z",
        "",
        "host;x-amz-date",
        empty,
    ]
    scope = ("20150830", "us-east-1", "service", "aws4_request")
    at = datetime(2015, 8, 30, 12, 36, tzinfo=UTC)
    made = signature.signature(request, scope, at, "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
    assert made == "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"


def test_the_headers_of_one_name_are_signed_as_one() -> None:
    headers = (("Host", "h"), ("My-Header1", " value4 "), ("My-Header1", "value1"), ("X-Amz-Date", "20150830T123600Z"))
    asked = Asked("GET", "/", "", headers, b"")
    assert "my-header1:value4,value1\n" in canonical(asked, ("host", "my-header1", "x-amz-date"), "d")


@pytest.mark.parametrize(
    "change",
    [
        lambda asked: changed(asked, body=b'{"name": "other"}'),
        lambda asked: changed(asked, path="/"),
        lambda asked: changed(asked, query="a=b"),
        lambda asked: changed(asked, method="GET"),
        lambda asked: with_header(asked, "Host", "elsewhere.example.com"),
        lambda asked: with_header(asked, "X-Amz-Target", "AwsProton20200720.DeleteService"),
        lambda asked: with_header(asked, "Content-Type", "text/plain"),
        lambda asked: with_header(asked, "X-Amz-Content-Sha256", "0" * 64),
    ],
)
def test_what_was_changed_after_signing_is_refused(change) -> None:
    assert refusal(change(signed())).name == "InvalidSignatureException"


def test_another_secret_is_refused() -> None:
    assert refusal(signed(), f"{SECRET}x").name == "InvalidSignatureException"


@pytest.mark.parametrize(("minutes", "word"), [(16, "expired"), (-16, "not yet current")])
def test_a_signature_is_good_for_a_quarter_of_an_hour(minutes: int, word: str) -> None:
    assert check(signed(), apart=timedelta(minutes=minutes) * 0.9) == KEY
    refused = refusal(signed(), apart=timedelta(minutes=minutes))
    assert refused.name == "InvalidSignatureException"
    assert word in refused.message


def test_a_header_of_amazons_that_is_not_signed_is_refused() -> None:
    # Else somebody could take a signed body and ask for another operation with it.
    asked = with_header(signed(), "X-Amz-Other", "value")
    assert "does not cover x-amz-other" in refusal(asked).message


@pytest.mark.parametrize("missing", ["host", "x-amz-date", "x-amz-target"])
def test_a_signature_covers_host_time_and_operation(missing: str) -> None:
    asked = signed()
    names = [name for name in ("content-type", "host", "x-amz-date", "x-amz-target") if name != missing]
    claim = asked.header("authorization").replace("content-type;host;x-amz-date;x-amz-target", ";".join(names))
    assert claim != asked.header("authorization")
    assert f"does not cover {missing}" in refusal(with_header(asked, "Authorization", claim)).message


def test_a_session_of_aws_is_told_what_to_do() -> None:
    refused = refusal(signed(token="FwoGZXIvYXdzEXAMPLE"))
    assert refused.name == "UnrecognizedClientException"
    assert "unset AWS_SESSION_TOKEN" in refused.message


def test_an_unsigned_request_is_told_what_to_do() -> None:
    refused = refusal(changed(signed(), headers=(("Host", "upkeep.example.com"),)))
    assert refused.name == "MissingAuthenticationTokenException"
    assert "upkeep token create --aws" in refused.message


def test_a_signature_for_another_service_is_refused() -> None:
    assert "/s3/" in refusal(signed(service="s3")).message


@pytest.mark.parametrize(
    "authorization",
    [
        "Bearer upkeep_x",
        "AWS4-HMAC-SHA256",
        "AWS4-HMAC-SHA256 Credential=a",
        "AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=x",
        "AWS4-ECDSA-P256-SHA256 Credential=UPKEEPABCDEFGHIJKLMN/20260101/eu-west-1/proton/aws4_request, "
        f"SignedHeaders=host;x-amz-date, Signature={'0' * 64}",
        f"AWS4-HMAC-SHA256 Credential=/////, SignedHeaders=host, Signature={'0' * 64}",
        f"AWS4-HMAC-SHA256 Credential={'U' * 200}/a/b/c/d, SignedHeaders=host, Signature={'0' * 64}",
        "\x00ü",
    ],
)
def test_what_is_no_signature_is_refused(authorization: str) -> None:
    asked = with_header(signed(), "Authorization", authorization)
    assert refusal(asked).name == "IncompleteSignatureException"


def test_a_time_that_is_none_is_refused() -> None:
    assert refusal(with_header(signed(), "X-Amz-Date", "yesterday")).name == "IncompleteSignatureException"
