"""Slack, by incoming webhook or by bot token: the only module that knows its blocks, its markup and its errors.

Limits and escaping: https://docs.slack.dev/reference/block-kit/blocks/ and
https://docs.slack.dev/messaging/formatting-message-text#escaping
"""

import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from http.client import HTTPException
from typing import Any
from urllib.parse import quote

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.webhook import WebhookClient, WebhookResponse

from upkeep.domain.errors import CallerError, StalledError, TransientError, UpkeepError
from upkeep.domain.notices import Link, Notice, OwedNotice
from upkeep.domain.sources import Credential
from upkeep.flows.ports import Secrets

PACE = timedelta(seconds=1)
"""Slack takes about one message a second for a channel (https://docs.slack.dev/apis/web-api/rate-limits)."""

API_URL = "https://slack.com/api/"

_SCOPE = "chat:write"
_TEXTLESS = ("no_text", "invalid_payload")

_SECTION_AT_MOST = 3000
_BLOCKS_AT_MOST = 50
_ANSWERS_WITHIN_S = 10

# Slack's SDK writes whole requests, webhook addresses included, to its logger. It gets one that is silent.
_SILENT = logging.Logger("slack", logging.CRITICAL + 1)

# The SDK would send plain HTTP through HTTPS_PROXY and the reverse. urllib keeps them apart, as git and curl do.
_AS_URLLIB_FINDS_IT = None

_PASSING = frozenset(
    {
        "fatal_error",
        "internal_error",
        "message_limit_exceeded",
        "ratelimited",
        "rate_limited",
        "request_timeout",
        "rollup_error",
        "service_unavailable",
        "team_added_to_org",
    }
)
_REFUSED = frozenset(
    {
        "invalid_arg_name",
        "invalid_arguments",
        "invalid_array_arg",
        "invalid_blocks",
        "invalid_blocks_format",
        "invalid_charset",
        "invalid_form_data",
        "invalid_json",
        "invalid_payload",
        "invalid_post_type",
        "json_not_object",
        "metadata_too_large",
        "msg_blocks_too_long",
        "msg_too_long",
        "no_text",
        "too_many_attachments",
    }
)
_THREAD_GONE = frozenset(
    {
        "cannot_reply_to_message",
        "invalid_thread_ts",
        "message_not_found",
        "restricted_action_thread_locked",
        "restricted_action_thread_only_channel",
        "thread_not_found",
    }
)
_CURES = dict.fromkeys(
    ["account_inactive", "invalid_auth", "not_allowed_token_type", "not_authed", "token_expired", "token_revoked"],
    "give this channel a valid bot token (`xoxb-…`)",
) | {
    "action_prohibited": "ask a Slack admin to allow posting to this channel",
    "channel_is_archived": "unarchive the channel in Slack, or configure another one",
    "channel_not_found": "check the channel's name or id; a private channel has to invite the app first",
    "invalid_token": "create the incoming webhook again and configure its new address",
    "is_archived": "unarchive the channel in Slack, or configure another one",
    "missing_scope": "give the Slack app the scope `chat:write` and install it again",
    "no_service": "create the incoming webhook again and configure its new address",
    "no_service_id": "create the incoming webhook again and configure its new address",
    "no_team": "create the incoming webhook again and configure its new address",
    "not_in_channel": "invite the Slack app into the channel with `/invite`",
}
_CODE = re.compile(r"[a-z][a-z0-9_]{1,60}")


@dataclass(frozen=True, slots=True)
class SlackWebhookChannel:
    """A Slack channel behind an incoming webhook. Webhooks know neither threads nor receipts.

    `url` says where the webhook's address is kept, which is a secret; it is looked up for every message, so that
    it may be changed while the daemon runs. `public_url` is where people reach the pages.
    """

    url: Credential
    secrets: Secrets
    public_url: str
    pace: timedelta = PACE

    def check(self) -> str:
        """Post a message without a text, which Slack refuses for that reason when the address is good.

        https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks#handling_errors
        """
        answer = self._sent(text="")
        if answer.body.strip() not in _TEXTLESS:
            raise _refusal(answer.status_code, answer.body.strip(), answer.headers)
        return "Slack knows the address"

    def send(self, owed: OwedNotice, thread_receipt: str | None) -> str | None:
        """Post one notice."""
        answer = self._sent(**_message(owed.notice, self.public_url))
        if answer.status_code != 200 or answer.body.strip() != "ok":
            raise _refusal(answer.status_code, answer.body.strip(), answer.headers)
        return None

    def _sent(self, **message: Any) -> WebhookResponse:
        url = _revealed(self.secrets, self.url, "the address of the incoming webhook")
        if not re.fullmatch(r"https?://[\w.-]+(:\d{1,5})?/[!-~]+", url):
            raise StalledError(
                "the address of the incoming webhook is not a URL",
                cure="copy it from the Slack app's page “Incoming Webhooks”",
            )
        client = WebhookClient(url, timeout=_ANSWERS_WITHIN_S, logger=_SILENT, retry_handlers=[])
        client.proxy = _AS_URLLIB_FINDS_IT
        try:
            return client.send(**message)
        except (OSError, HTTPException, ValueError, LookupError) as failure:
            raise _unreachable(failure) from failure


@dataclass(frozen=True, slots=True)
class SlackBotChannel:
    """A Slack channel that a bot posts to; replies go into threads.

    `token` says where the bot token is kept, looked up for every message. `channel` is the channel's id or name,
    `public_url` where people reach the pages.
    """

    token: Credential
    channel: str
    secrets: Secrets
    public_url: str
    api_url: str = API_URL
    pace: timedelta = PACE

    def check(self) -> str:
        """Ask Slack whose the token is, and whether it has the scope to post. Whether the bot is in the channel shows
        when it posts: asking for that would take scopes that it needs for nothing else.

        https://docs.slack.dev/reference/methods/auth.test
        """
        client = self._client()
        try:
            answer = client.auth_test()
        except SlackApiError as failure:
            raise _translated(failure) from failure
        except (OSError, HTTPException, ValueError, LookupError) as failure:
            raise _unreachable(failure) from failure
        scopes = {name.lower(): value for name, value in dict(answer.headers).items()}.get("x-oauth-scopes")
        if scopes is not None and _SCOPE not in re.split(r"[\s,]+", str(scopes)):
            raise _refusal(200, "missing_scope", answer.headers)
        return f"Slack knows the token as {answer.get('user')} of {answer.get('team')}; a test notice shows the rest"

    def send(self, owed: OwedNotice, thread_receipt: str | None) -> str | None:
        """Post one notice and return Slack's `ts` of it. A thread that is gone is done without."""
        client = self._client()
        try:
            return self._post(client, owed.notice, thread_receipt)
        except SlackApiError as failure:
            if thread_receipt is None or failure.response.get("error") not in _THREAD_GONE:
                raise _translated(failure) from failure
        try:
            return self._post(client, owed.notice, None)
        except SlackApiError as failure:
            raise _translated(failure) from failure

    def _client(self) -> WebClient:
        token = _revealed(self.secrets, self.token, "the bot token")
        client = WebClient(token, base_url=self.api_url, timeout=_ANSWERS_WITHIN_S, logger=_SILENT, retry_handlers=[])
        client.proxy = _AS_URLLIB_FINDS_IT
        return client

    def _post(self, client: WebClient, notice: Notice, thread_receipt: str | None) -> str | None:
        try:
            answer = client.chat_postMessage(
                channel=self.channel,
                thread_ts=thread_receipt,
                link_names=False,
                **_message(notice, self.public_url),
            )
        except (OSError, HTTPException, ValueError, LookupError) as failure:
            raise _unreachable(failure) from failure
        receipt = answer.get("ts")
        return receipt if isinstance(receipt, str) else None


def _revealed(secrets: Secrets, credential: Credential, what: str) -> str:
    secret = (secrets.reveal(credential) or "").strip()
    if not secret:
        raise StalledError(f"{what} is empty", cure="say in the configuration of the channel where it is kept")
    return secret


def _message(notice: Notice, public_url: str) -> dict[str, Any]:
    """The notice as blocks, and as one text for notifications and screen readers."""
    links = " · ".join(_link(link, public_url) for link in notice.links)
    texts = [
        f"*{_fit(notice.headline, _SECTION_AT_MOST - 2)}*",
        *_paragraphs(notice.lines),
        *([links] if links else []),
    ]
    return {
        "text": _fit("\n".join([notice.headline, *notice.lines]), _SECTION_AT_MOST),
        "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": True}} for text in texts],
        "unfurl_links": False,
        "unfurl_media": False,
    }


def _paragraphs(lines: Iterable[str]) -> list[str]:
    """The lines, escaped and packed into as few sections as hold them; what goes over Slack's limit is left out."""
    paragraphs: list[str] = []
    for line in lines:
        text = _fit(line, _SECTION_AT_MOST)
        if paragraphs and len(paragraphs[-1]) + 1 + len(text) <= _SECTION_AT_MOST:
            paragraphs[-1] += f"\n{text}"
        else:
            paragraphs.append(text)
    return paragraphs[: _BLOCKS_AT_MOST - 2]


def _link(link: Link, public_url: str) -> str:
    url = quote(public_url.rstrip("/") + link.path, safe=":/?#[]@!$&()*+,;=%~")
    return f"<{_escaped(url)}|{_escaped(link.label)}>"


def _escaped(text: str) -> str:
    """Slack's three control characters as entities: without them no text makes a link, mention or command."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _fit(text: str, at_most: int) -> str:
    """The text escaped, and cut between two of its characters where it gets too long."""
    whole = _escaped(text)
    if len(whole) <= at_most:
        return whole
    kept, length = [], 0
    for piece in map(_escaped, text):
        length += len(piece)
        if length > at_most - 1:
            break
        kept.append(piece)
    return "".join(kept) + "…"


def _unreachable(failure: Exception) -> TransientError:
    # An OSError tells of hosts and sockets; the others may quote the address, which is a secret.
    reason = str(failure) if isinstance(failure, OSError) else type(failure).__name__
    return TransientError(f"Slack did not answer: {reason}")


def _translated(failure: SlackApiError) -> UpkeepError:
    response = failure.response
    return _refusal(response.status_code, str(response.get("error") or ""), response.headers)


def _refusal(status: int, answer: str, headers: Any) -> UpkeepError:
    """What Slack's answer asks of us. An answer nobody foresaw stops the channel, because it loses nothing then."""
    code = answer if _CODE.fullmatch(answer) else ""
    said = f"`{code}`" if code else f"HTTP {status}"
    if status == 429 or code in _PASSING or (status >= 500 and code not in _REFUSED):
        return TransientError(f"Slack asks to try again later: {said}", retry_after=_retry_after(headers))
    if code in _REFUSED:
        return CallerError(f"Slack takes messages, but refuses this one: {said}")
    if not code and status == 200:
        return TransientError("what answered is not Slack", cure="look for a proxy between here and Slack")
    return StalledError(
        f"Slack refuses messages to this channel: {said}",
        cure=_CURES.get(code, "look it up at https://docs.slack.dev/reference/methods/chat.postMessage#errors"),
    )


def _retry_after(headers: Any) -> timedelta | None:
    """The header `Retry-After` in seconds (https://docs.slack.dev/apis/web-api/rate-limits)."""
    for name, value in dict(headers).items():
        if name.lower() == "retry-after" and str(value).strip().isdecimal():
            return timedelta(seconds=min(int(value), 86_400))
    return None
