"""GitHub's part: the signed POST that it sends after a push."""

import hashlib
import hmac
import json
from urllib.error import HTTPError, URLError
from urllib.parse import urljoin
from urllib.request import ProxyHandler, Request, build_opener
from uuid import uuid4

from upkeep.demo.expect import Otherwise


def announce(address: str, secret: str, *, repository: str, branch: str, before: str, after: str) -> str:
    """Tell the daemon at `address` of a push; returns the delivery's id. Raises Otherwise unless it is accepted.

    Headers and payload: https://docs.github.com/en/webhooks/webhook-events-and-payloads#push
    """
    payload = {
        "ref": f"refs/heads/{branch}",
        "before": before,
        "after": after,
        "created": False,
        "deleted": False,
        "forced": False,
        "repository": {"full_name": "platform/templates", "clone_url": repository, "default_branch": branch},
        "pusher": {"name": "paula", "email": "paula@example.com"},
        "commits": [],
    }
    body = json.dumps(payload).encode()
    delivery = str(uuid4())
    request = Request(  # noqa: S310  (the daemon's own address)
        urljoin(address, "/hooks/github"),
        body,
        {
            "Content-Type": "application/json",
            "User-Agent": "GitHub-Hookshot/upkeep-demo",
            "X-GitHub-Delivery": delivery,
            "X-GitHub-Event": "push",
            "X-Hub-Signature-256": f"sha256={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}",
        },
    )
    try:
        with build_opener(ProxyHandler({})).open(request, timeout=10):
            return delivery
    except HTTPError as error:
        with error:
            seen = f"{error.status} {error.read().decode(errors='replace')}"
        raise Otherwise(f"the webhook: expected 2xx, saw {seen}") from error
    except (URLError, TimeoutError, ConnectionError) as error:
        raise Otherwise(f"the webhook: expected an answer, saw {error}") from error
