"""Outside: the public address and the proxy behind it, channels, and AWS."""

import http.client
import json
import ssl
from collections.abc import Iterator
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from upkeep.cli.doctor.verdicts import FAIL, OK, WARN, Verdict, failed
from upkeep.domain.errors import UpkeepError

if TYPE_CHECKING:
    from upkeep.flows.ports import Store
    from upkeep.settings import Settings

_ANSWERS_WITHIN_S = 5
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
        return
    try:
        status, body = _asked(url, "/healthz")
        ours = status == HTTPStatus.OK and json.loads(body) == {"status": "alive"}
        public = ours and parts.scheme == "https" and _asked(url, "/readyz")[0] != HTTPStatus.NOT_FOUND
    except (OSError, http.client.HTTPException, ValueError) as error:
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


def _asked(url: str, path: str) -> tuple[int, bytes]:
    parts = urlsplit(url)
    made = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = made(parts.netloc, timeout=_ANSWERS_WITHIN_S)
    try:
        connection.request("GET", parts.path.rstrip("/") + path)
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
