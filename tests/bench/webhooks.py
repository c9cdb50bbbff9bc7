"""Webhooks as GitHub sends them: signed pushes of the size that they usually have."""

import hashlib
import hmac
import json
from typing import Any

from tests.bench.floors import SECRET

USUAL = 8800
"""Bytes of a push of three commits."""


def push(url: str, size: int = USUAL, after: str = "b" * 40, branch: str = "main") -> bytes:
    """The body of a push to a repository, with as many commits as fill so many bytes."""
    payload: dict[str, Any] = {
        "ref": f"refs/heads/{branch}",
        "before": "a" * 40,
        "after": after,
        "deleted": False,
        "repository": {
            "id": 1296269,
            "name": "templates",
            "full_name": "acme/templates",
            "private": True,
            "html_url": url.removesuffix(".git"),
            "clone_url": url,
            "owner": {f"{name}_url": f"https://api.github.com/users/acme/{name}" for name in _LINKS},
            **{f"{name}_url": f"https://api.github.com/repos/acme/templates/{name}" for name in _LINKS},
        },
        "pusher": {"name": "paula", "email": "paula@example.com"},
        "head_commit": _commit(0),
        "commits": [],
    }
    one = len(json.dumps(_commit(10**6))) + 2
    payload["commits"] = [_commit(number) for number in range(max(1, (size - len(json.dumps(payload))) // one))]
    payload["compare"] = ""
    payload["compare"] = "x" * (size - len(json.dumps(payload)))
    return json.dumps(payload).encode()


_LINKS = (
    *("archive", "assignees", "blobs", "branches", "collaborators", "comments", "commits", "compare", "contents"),
    *("contributors", "deployments", "downloads", "events", "forks", "git_commits", "git_refs", "git_tags", "hooks"),
    *("issue_comment", "issue_events", "issues", "keys", "labels", "languages", "merges", "milestones", "pulls"),
)


def _commit(number: int) -> dict[str, Any]:
    person = {"name": "Paula Platform", "email": "paula@example.com", "username": "paula"}
    return {
        "id": f"{number:040x}",
        "tree_id": "c" * 40,
        "distinct": True,
        "message": f"Change the template, for the {number}th time",
        "timestamp": "2026-03-02T12:00:00+01:00",
        "url": f"https://github.com/acme/templates/commit/{number:040x}",
        "author": person,
        "committer": person,
        "added": [],
        "removed": [],
        "modified": [f"network-env/v1/infrastructure/part-{number}.yaml", "network-env/v1/schema/schema.yaml"],
    }


def around(body: bytes, *, signed: bool = True, path: str = "/hooks/github") -> tuple[bytes, bytes]:
    """What stands before and behind the delivery's id in a request with this body."""
    signature = hmac.new(SECRET, body, hashlib.sha256).hexdigest()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: upkeep.example.com\r\nUser-Agent: GitHub-Hookshot/1\r\nAccept: */*\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nX-GitHub-Event: push\r\n"
        + (f"X-Hub-Signature-256: sha256={signature}\r\n" if signed else "")
        + "X-GitHub-Delivery: "
    )
    return head.encode(), b"\r\n\r\n" + body
