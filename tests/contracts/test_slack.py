import json
import logging
import socket
import threading
import time
from datetime import timedelta

import pytest

from tests.builders import NOON
from tests.fakeslack import CHANNELS, HANGS_UP_AFTER, HANGS_UP_BEFORE, TOKEN, Answer, FakeSlack, error, too_many
from upkeep.adapters.slack import SlackBotChannel, SlackWebhookChannel
from upkeep.domain.errors import CallerError, StalledError, TransientError
from upkeep.domain.notices import Link, Notice, OwedNotice
from upkeep.domain.sources import Credential, CredentialKind

PUBLIC_URL = "https://upkeep.example.com/"


class Kept:
    """Secrets by reference."""

    def __init__(self, **secrets: str) -> None:
        self.secrets = secrets

    def reveal(self, credential: Credential) -> str | None:
        return self.secrets.get(credential.reference)


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def slack():
    with FakeSlack() as fake:
        yield fake
        assert fake.faults == []


def hook(slack, url=None):
    return SlackWebhookChannel(
        Credential(CredentialKind.TOKEN_ENV, "HOOK"), Kept(HOOK=url or slack.hook_url), PUBLIC_URL
    )


def bot(slack, channel="platform", token=TOKEN):
    reference = Credential(CredentialKind.TOKEN_FILE, "token")
    return SlackBotChannel(reference, channel, Kept(token=token), PUBLIC_URL, api_url=slack.api_url)


WAYS = pytest.mark.parametrize("way", [hook, bot])


def owed(headline="web-svc 1.6 is ready to review", lines=("9bbe60b · Dana",), links=None):
    links = (Link("Review 1.6", "/templates/web-svc/1.6/review"),) if links is None else links
    return OwedNotice(1, Notice("draft-ready/web-svc/1.6", "platform", headline, lines, links), NOON)


@WAYS
def test_a_notice_arrives_with_its_lines_and_links(slack, way):
    way(slack).send(owed(), None)
    assert slack.posted[0].text == (
        "*web-svc 1.6 is ready to review*\n"
        "9bbe60b · Dana\n"
        "<https://upkeep.example.com/templates/web-svc/1.6/review|Review 1.6>"
    )
    assert slack.posted[0].body["text"] == "web-svc 1.6 is ready to review\n9bbe60b · Dana"


def test_a_bot_posts_to_its_channel_and_returns_the_receipt(slack):
    receipt = bot(slack, "owners").send(owed(), None)
    assert slack.posted[0].channel == CHANNELS["owners"]
    assert receipt == slack.posted[0].ts


def test_a_webhook_has_no_receipt_and_no_threads(slack):
    assert hook(slack).send(owed(), "1700000000.000000") is None
    assert "thread_ts" not in slack.posted[0].body


def test_an_answer_goes_into_the_thread_of_its_receipt(slack):
    channel = bot(slack)
    parent = channel.send(owed(), None)
    channel.send(owed("test now runs web-svc 1.6"), parent)
    assert slack.posted[1].body["thread_ts"] == parent


def test_an_answer_to_a_deleted_message_goes_to_the_channel_itself(slack):
    bot(slack).send(owed(), "1699999999.000000")
    assert [message.body.get("thread_ts") for message in slack.posted] == [None]


@WAYS
def test_texts_of_others_make_no_mention_link_or_command(slack, way):
    hostile = "<!channel> <@U123> <#C1> <https://evil.example|click> &lt;!here&gt; @channel a & b > c"
    way(slack).send(owed(hostile, (hostile,)), None)
    body = slack.posted[0].body
    assert "&lt;!channel&gt; &lt;@U123&gt;" in slack.posted[0].text
    assert "&amp;lt;!here&amp;gt;" in body["text"]
    assert not body.get("link_names")
    assert all(block["text"].get("verbatim") for block in body["blocks"])
    assert (body["unfurl_links"], body["unfurl_media"]) == (False, False)


@WAYS
@pytest.mark.parametrize(
    ("headline", "lines"),
    [
        ("h" * 5000, ("x" * 9000,)),
        ("&" * 3000, ("&" * 2999, "<" * 700, "a" * 2995 + "&&&")),
        ("one", tuple(f"line {number} " + "y" * 2800 for number in range(80))),
        ("one", tuple("z" * 100 for _ in range(400))),
        ("😀" * 4000, ("😀&" * 2000,)),
    ],
)
def test_no_notice_breaks_a_limit_of_slack(slack, way, headline, lines):
    way(slack).send(owed(headline, lines), None)
    assert len(slack.posted[0].body["blocks"]) <= 50
    assert slack.posted[0].text.endswith("|Review 1.6>")


@WAYS
def test_a_link_cannot_break_out_of_its_markup(slack, way):
    way(slack).send(owed(links=(Link("a > b", "/?owner=a%26b|<!channel>&template=web"),)), None)
    assert slack.posted[0].text.splitlines()[-1] == (
        "<https://upkeep.example.com/?owner=a%26b%7C%3C!channel%3E&amp;template=web|a &gt; b>"
    )


@WAYS
def test_too_many_requests_are_repeated_when_slack_says(slack, way):
    slack.answer_next(too_many(37))
    with pytest.raises(TransientError) as failure:
        way(slack).send(owed(), None)
    assert failure.value.retry_after == timedelta(seconds=37)
    assert slack.asked == 1


@WAYS
@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_broken_slack_is_asked_again(slack, way, status):
    slack.answer_next(Answer(status, "<html>oh no</html>"))
    with pytest.raises(TransientError, match=str(status)):
        way(slack).send(owed(), None)
    assert slack.asked == 1


@WAYS
@pytest.mark.parametrize(("answer", "arrived"), [(HANGS_UP_BEFORE, 0), (HANGS_UP_AFTER, 1)])
def test_a_socket_that_closes_without_an_answer_is_asked_again(slack, way, answer, arrived):
    slack.answer_next(answer)
    with pytest.raises(TransientError, match="did not answer"):
        way(slack).send(owed(), None)
    assert len(slack.posted) == arrived


@WAYS
def test_an_answer_that_is_not_slacks_is_asked_again(slack, way):
    slack.answer_next(Answer(200, "<html>Please sign in to the guest network</html>"))
    with pytest.raises(TransientError, match="not Slack"):
        way(slack).send(owed(), None)


def test_an_answer_that_is_not_even_http_is_asked_again_and_not_quoted():
    with socket.create_server(("127.0.0.1", 0)) as stranger:

        def mumble():
            connection, _ = stranger.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"services/T0001 kept-in mind\r\n\r\n")

        thread = threading.Thread(target=mumble)
        thread.start()
        url = f"http://127.0.0.1:{stranger.getsockname()[1]}/services/T/B/x"
        channel = SlackWebhookChannel(Credential(CredentialKind.TOKEN_ENV, "HOOK"), Kept(HOOK=url), PUBLIC_URL)
        with pytest.raises(TransientError, match="did not answer: BadStatusLine"):
            channel.send(owed(), None)
        thread.join()


def test_a_host_that_is_not_there_is_asked_again(slack):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
    with pytest.raises(TransientError, match="did not answer"):
        hook(slack, f"http://127.0.0.1:{port}/services/T/B/x").send(owed(), None)


@pytest.mark.parametrize("code", ["internal_error", "fatal_error", "service_unavailable", "ratelimited"])
def test_errors_of_slack_that_pass_are_transient(slack, code):
    slack.answer_next(error(code))
    with pytest.raises(TransientError, match=code):
        bot(slack).send(owed(), None)


@pytest.mark.parametrize(
    ("code", "cure"),
    [
        ("invalid_auth", "token"),
        ("token_revoked", "token"),
        ("not_in_channel", "/invite"),
        ("channel_not_found", "name or id"),
        ("is_archived", "unarchive"),
        ("missing_scope", "chat:write"),
        ("something_new", "docs.slack.dev"),
    ],
)
def test_errors_that_need_a_person_name_the_cure(slack, code, cure):
    slack.answer_next(error(code))
    with pytest.raises(StalledError, match=code) as failure:
        bot(slack).send(owed(), None)
    assert cure in (failure.value.cure or "")


@pytest.mark.parametrize(
    ("status", "code", "cure"),
    [
        (403, "action_prohibited", "admin"),
        (404, "no_service", "again"),
        (403, "invalid_token", "again"),
        (404, "channel_not_found", "name or id"),
        (410, "channel_is_archived", "unarchive"),
    ],
)
def test_errors_of_a_webhook_that_need_a_person_name_the_cure(slack, status, code, cure):
    slack.answer_next(Answer(status, code))
    with pytest.raises(StalledError, match=code) as failure:
        hook(slack).send(owed(), None)
    assert cure in (failure.value.cure or "")


def test_a_webhook_that_was_taken_back_needs_a_person(slack):
    with pytest.raises(StalledError, match="no_service"):
        hook(slack, f"{slack.url}/services/T0001/B0001/another").send(owed(), None)


def test_a_wrong_token_or_channel_needs_a_person(slack):
    with pytest.raises(StalledError, match="invalid_auth"):
        bot(slack, token="xoxb-wrong").send(owed(), None)
    with pytest.raises(StalledError, match="channel_not_found"):
        bot(slack, channel="nowhere").send(owed(), None)


@WAYS
@pytest.mark.parametrize("code", ["invalid_blocks", "no_text"])
def test_a_message_that_is_refused_for_itself_is_the_callers_error(slack, way, code):
    slack.answer_next(Answer(400, code) if way is hook else error(code))
    with pytest.raises(CallerError, match=code):
        way(slack).send(owed(), None)


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "   ",
        "not a url",
        "ftp://hooks.example/T/B/x",
        "https://hooks.example/a b",
        "https://hooks.example:T/B/x",
        "https://hooks.example",
    ],
)
def test_a_webhook_address_that_is_none_needs_a_person_and_is_not_shown(slack, secret):
    with pytest.raises(StalledError) as failure:
        hook(slack, secret or " ").send(owed(), None)
    assert not secret.strip() or secret not in str(failure.value)


@WAYS
@pytest.mark.parametrize(
    "answer",
    [too_many(1), Answer(500, "x"), Answer(404, "no_service"), error("invalid_auth"), HANGS_UP_BEFORE, Answer(302, "")],
)
def test_no_error_and_no_log_line_tells_a_secret(slack, way, answer, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    slack.answer_next(answer)
    with pytest.raises((TransientError, StalledError)) as failure:
        way(slack).send(owed(), None)
    told = [caplog.text, *capfd.readouterr(), repr(way(slack))]
    chained: BaseException | None = failure.value
    while chained is not None:
        told += [str(chained), repr(chained)]
        chained = chained.__cause__
    assert "kept-in" not in "".join(told)


def test_a_secret_that_changed_is_used_for_the_next_message(slack):
    secrets = Kept(token="xoxb-old")
    channel = SlackBotChannel(
        Credential(CredentialKind.TOKEN_FILE, "token"), "platform", secrets, PUBLIC_URL, slack.api_url
    )
    with pytest.raises(StalledError):
        channel.send(owed(), None)
    secrets.secrets["token"] = f"{TOKEN}\n"
    assert channel.send(owed(), None)


def test_a_proxy_for_https_is_not_used_for_plain_http(slack, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    bot(slack).send(owed(), None)
    hook(slack).send(owed(), None)
    assert len(slack.posted) == 2


def test_slack_refuses_two_messages_within_a_second():
    with FakeSlack(one_a_second=True) as slack:
        channel = bot(slack)
        channel.send(owed(), None)
        with pytest.raises(TransientError) as failure:
            channel.send(owed(), None)
        assert failure.value.retry_after == timedelta(seconds=1)
        assert channel.pace >= failure.value.retry_after


def a_block(kind, text, text_kind="mrkdwn"):
    return {"type": kind, "text": {"type": text_kind, "text": text}}


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"text": "x", "blocks": [a_block("section", "<!here>")]}, "invalid_blocks"),
        ({"text": "x", "blocks": [a_block("section", "a & b")]}, "invalid_blocks"),
        ({"text": "x", "blocks": [a_block("section", "y" * 3001)]}, "invalid_blocks"),
        ({"text": "x", "blocks": [a_block("header", "y" * 151, "plain_text")]}, "invalid_blocks"),
        ({"text": "x", "blocks": [a_block("section", "y")] * 51}, "invalid_blocks"),
        ({"text": "x" * 4001}, "msg_too_long"),
        ({}, "no_text"),
    ],
)
def test_the_slack_of_these_tests_keeps_slacks_rules(fields, code):
    with FakeSlack() as fake:
        headers = {"content-type": "application/json;charset=utf-8", "authorization": f"Bearer {TOKEN}"}
        body = json.dumps({"channel": "platform"} | fields).encode()
        answer = fake.take("/api/chat.postMessage", headers, body)
        assert json.loads(answer.body) == {"ok": False, "error": code}
        assert fake.faults


def test_a_slack_that_never_answers_is_given_up_within_its_time(monkeypatch):
    monkeypatch.setattr("upkeep.adapters.slack._ANSWERS_WITHIN_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/services/T/B/x"
        channel = SlackWebhookChannel(Credential(CredentialKind.TOKEN_ENV, "HOOK"), Kept(HOOK=url), PUBLIC_URL)
        began = time.monotonic()
        with pytest.raises(TransientError, match="timed out"):
            channel.send(owed(), None)
        assert time.monotonic() - began < 5


@WAYS
def test_a_check_posts_nothing_and_says_what_it_found(slack, way):
    assert "Slack knows the " in way(slack).check()
    assert slack.posted == []


def test_a_check_finds_a_wrong_token_and_a_wrong_address(slack):
    with pytest.raises(StalledError, match="invalid_auth") as refused:
        bot(slack, token="xoxb-wrong").check()
    assert refused.value.cure == "give this channel a valid bot token (`xoxb-…`)"
    with pytest.raises(StalledError, match="no_service") as refused:
        hook(slack, f"{slack.url}/services/T0/B0/revoked").check()
    assert refused.value.cure == "create the incoming webhook again and configure its new address"


def test_a_check_finds_that_a_token_may_not_post(slack):
    slack.scopes = "channels:read,incoming-webhook"
    with pytest.raises(StalledError, match="missing_scope") as refused:
        bot(slack).check()
    assert "chat:write" in refused.value.cure
