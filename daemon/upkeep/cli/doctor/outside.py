"""Outside: the public address and the proxy behind it, channels, and AWS."""

import http.client
import json
import ssl
from collections.abc import Iterator, Mapping
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from upkeep.cli.doctor.verdicts import FAIL, OK, WARN, Verdict, failed
from upkeep.domain.errors import UpkeepError

if TYPE_CHECKING:
    from upkeep.flows.ports import Store
    from upkeep.settings import Settings

_ANSWERS_WITHIN_S = 5
_LARGE = 2 << 20
"""Bytes that a delivery tries whether bodies get through: more than nginx takes unless it is told to."""
_LOCAL = ("localhost", "127.0.0.1", "::1")


def public_address(settings: "Settings") -> Iterator[Verdict]:
    """Whether the address that people and GitHub are given leads here, and not too far in."""
    url = settings.public_url
    parts = urlsplit(url)
    if parts.hostname in _LOCAL:
        yield Verdict(
            WARN, "public address", f"{url} is reached from this machine only, not by GitHub", "set `web.public_url`"
        )
    elif parts.scheme != "https":
        yield Verdict(
            WARN,
            "public address",
            f"{url} is not https: passwords and sessions can be read on the way",
            "put a proxy with TLS in front (deploy/proxy) and write https:// in `web.public_url`",
        )
    if not settings.web.public_url:
        yield from _own_address(settings)
        return
    try:
        status, body = _asked(url, "/healthz")
        ours = _alive(status, body)
        public = ours and parts.scheme == "https" and _asked(url, "/readyz")[0] != HTTPStatus.NOT_FOUND
    except (OSError, http.client.HTTPException) as error:
        reason = error.verify_message if isinstance(error, ssl.SSLCertVerificationError) else str(error)
        yield Verdict(
            FAIL,
            "public address",
            f"{url} does not answer as Upkeep: {reason or type(error).__name__}",
            "is Upkeep running? do the name, the certificate and the proxy in front lead to it? then correct "
            "`web.public_url`",
        )
        return
    if not ours:
        reason = f"at {url} somebody else answers: HTTP {status} for /healthz"
        yield Verdict(FAIL, "public address", reason, "correct `web.public_url`, or where the proxy there leads")
        return
    if public:
        cure = "answer /readyz and /metrics with 404 in the proxy (deploy/proxy)"
        yield Verdict(WARN, "public address", f"everybody can read {url}/readyz", cure)
    else:
        yield Verdict(OK, "public address", f"{url} leads here")
    yield _deliveries(url, min(_LARGE, settings.limits.delivery))


def _own_address(settings: "Settings") -> Iterator[Verdict]:
    """Whether it is Upkeep that answers where the web server listens, if anybody does."""
    url = settings.public_url
    if not settings.web.port:
        return
    try:
        status, body = _asked(url, "/healthz")
    except (OSError, http.client.HTTPException) as error:
        yield Verdict(WARN, "web server", f"nobody answers at {url}: {error}", "start one: upkeep serve, or upkeep web")
        return
    if _alive(status, body):
        yield Verdict(OK, "web server", f"it answers at {url}")
    else:
        cure = "end what listens there, or set `web.port` to another port"
        yield Verdict(FAIL, "web server", f"at {url} somebody else answers: HTTP {status} for /healthz", cure)


def _deliveries(url: str, size: int) -> Verdict:
    """Whether a delivery of GitHub gets through whole, told by the words in which one is refused that nobody signed:
    nothing is kept of it."""
    from upkeep.web.hooks import SIGNATURE, UNSIGNED

    place = f"{url}/hooks/github"
    signed = {
        "Content-Type": "application/json",
        "X-GitHub-Event": "ping",
        "X-GitHub-Delivery": "doctor",
        SIGNATURE: f"sha256={'0' * 64}",
    }
    try:
        status, body = _asked(url, "/hooks/github", b" " * size, signed)
    except (OSError, http.client.HTTPException) as error:
        reason = f"a delivery of {size >> 20} MB does not get through to {place}: {error or type(error).__name__}"
        return Verdict(FAIL, "deliveries", reason, "let the proxy take bodies of 25 MB (deploy/proxy)")
    try:
        said = json.loads(body)["message"]
    except (ValueError, LookupError, TypeError):
        said = None
    if status == HTTPStatus.UNAUTHORIZED and said == UNSIGNED:
        cure = "let the proxy hand on what GitHub sends (deploy/proxy)"
        return Verdict(FAIL, "deliveries", f"the header {SIGNATURE} is lost on the way to {place}", cure)
    if said and status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.SERVICE_UNAVAILABLE):
        return Verdict(OK, "deliveries", f"they get through to {place}")
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        reason = f"somebody on the way to {place} takes no delivery of {size >> 20} MB"
        return Verdict(FAIL, "deliveries", reason, "let the proxy take bodies of 25 MB (deploy/proxy)")
    return Verdict(
        FAIL,
        "deliveries",
        f"somebody on the way to {place} answers them with HTTP {status}",
        "let the proxy hand on POST /hooks/github to Upkeep, without a sign-in: GitHub signs what it sends",
    )


def _alive(status: int, body: bytes) -> bool:
    """Whether this is what Upkeep says of its health."""
    try:
        return status == HTTPStatus.OK and json.loads(body) == {"status": "alive"}
    except ValueError:
        return False


def _asked(
    url: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> tuple[int, bytes]:
    """The answer to a GET, or to a POST if there is a body."""
    parts = urlsplit(url)
    made = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = made(parts.netloc, timeout=_ANSWERS_WITHIN_S)
    try:
        # Who refuses a body may not care to take it in, and still says why.
        with suppress(BrokenPipeError, ConnectionResetError, ssl.SSLEOFError):
            connection.request("GET" if body is None else "POST", path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read(1 << 16)
    finally:
        connection.close()


def proxy(settings: "Settings") -> Iterator[Verdict]:
    """Whether the proxy that has to be there is believed when it says where a client is."""
    if not settings.public_url.startswith("https://"):
        return
    if settings.access.trusted_proxies:
        yield Verdict(OK, "proxy", f"believed from {', '.join(settings.access.trusted_proxies)}")
        return
    yield Verdict(
        FAIL,
        "proxy",
        "https needs a proxy in front, and none is trusted: all clients seem to come from it, so that one who guesses "
        "passwords makes everybody wait",
        "name its address in `access.trusted_proxies`, and let it set X-Forwarded-For",
    )


def channels(settings: "Settings") -> Iterator[Verdict]:
    """Whether the channels' tokens and addresses are good. Nothing is posted."""
    from upkeep import wiring

    opened = wiring.open_channels(settings)
    for name in settings.notices.channels:
        try:
            known = opened.check(name)
        except UpkeepError as error:
            yield failed(f"channel {name}", error)
        else:
            yield Verdict(OK, f"channel {name}", known)


def aws(settings: "Settings", store: "Store") -> Iterator[Verdict]:
    """Whether every place can be entered where stacks live, and the bucket of large templates be written, with the
    credentials of whoever asks."""
    from upkeep import wiring
    from upkeep.domain.names import ResourceKind
    from upkeep.domain.resources import Placement
    from upkeep.flows.ports import FleetFilter, FleetOrder

    if settings.provisioner != "cloudformation":
        return
    accounts = wiring.open_accounts(settings)
    places, cursor, more = {Placement(): None, settings.cloudformation.pipelines.placement: None}, None, True
    with store.read() as unit:
        while more:
            page = unit.fleet.page(FleetFilter(kind=ResourceKind.ENVIRONMENT), FleetOrder.NAME, cursor, 200)
            places |= {resource.placement: None for resource in page.resources}
            cursor, more = page.next, page.next is not None
    for place in places:
        thing = " ".join(filter(None, ("aws", place.region, place.account_id)))
        try:
            yield Verdict(OK, thing, f"entered as {accounts.identity(place)}")
        except UpkeepError as error:
            yield failed(thing, error)
    bucket = settings.cloudformation.template_bucket
    if bucket:
        try:
            accounts.call("s3", "put_object", Placement(), "doctor", Bucket=bucket, Key="upkeep/doctor", Body=b"")
        except UpkeepError as error:
            cure = error.cure or "make the bucket, or correct `cloudformation.template_bucket`"
            yield Verdict(FAIL, f"bucket {bucket}", error.message, cure)
        else:
            yield Verdict(OK, f"bucket {bucket}", "it can be written, at upkeep/doctor")
