"""The manifests of apps at GitHub and Slack: they name addresses that are served, and ask for what the code uses."""

import ast
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from flask import Flask

from tests.deploy.shipped import DEPLOY, loaded
from tests.web.page import Page
from upkeep.adapters import github, slack
from upkeep.web import hooks, identity

SCOPES = {
    "auth_test": set(),
    "chat_postMessage": {"chat:write"},
}
"""What each method of Slack takes a bot: https://docs.slack.dev/reference/methods/auth.test and
https://docs.slack.dev/reference/methods/chat.postMessage."""

PERMISSIONS = {
    "/user": {},
    "/user/emails": {"email_addresses": "read"},
    "/user/memberships/orgs": {"members": "read"},
    "/user/teams": {"members": "read"},
}
"""What each question asks of a GitHub App, by
https://docs.github.com/en/rest/authentication/permissions-required-for-github-apps."""

EVENTS = {"push": {"contents": "read"}}
"""What each event asks of a GitHub App: https://docs.github.com/en/webhooks/webhook-events-and-payloads."""


def manifest(name: str) -> Any:
    return json.loads((DEPLOY / "github" / f"{name}.json").read_text(encoding="utf-8"))


def served(application, url: str, method: str) -> str:
    """The endpoint that answers at an address."""
    return application.url_map.bind("upkeep.example.com").match(urlsplit(url).path, method)[0]


@pytest.fixture
def application() -> Flask:
    """The routes that GitHub uses."""
    made = Flask(__name__)
    for blueprint in (hooks.blueprint, identity.blueprint):
        made.register_blueprint(blueprint)
    return made


def test_webhooks_are_sent_where_they_are_received_and_in_the_form_that_is_read(application):
    app, hook = manifest("app-manifest"), manifest("webhook")
    for url in (app["hook_attributes"]["url"], hook["config"]["url"]):
        assert served(application, url, "POST") == "hooks.github"
    assert hook["config"]["content_type"] == "json"
    assert hook["config"]["insecure_ssl"] == "0"
    assert hook["events"] == app["default_events"] == list(EVENTS)


def test_people_come_back_from_github_to_where_they_are_awaited(application):
    app, oauth = manifest("app-manifest"), manifest("oauth-app")
    for url in (*app["callback_urls"], oauth["Authorization callback URL"]):
        assert served(application, url, "GET") == "identity.github_back"


def test_the_github_app_may_do_what_is_asked_of_it_and_nothing_else():
    asked = set(re.findall(r'"(?:\{self\._api\})?(/user[/\w]*)', Path(github.__file__).read_text(encoding="utf-8")))
    assert asked == PERMISSIONS.keys()
    needed = {"metadata": "read"}
    for each in (*PERMISSIONS.values(), *EVENTS.values()):
        needed |= each
    app = manifest("app-manifest")
    assert app["default_permissions"] == needed
    assert app["public"] is False


def test_the_manifest_has_the_fields_that_github_knows():
    """https://docs.github.com/en/apps/sharing-github-apps/registering-a-github-app-from-a-manifest#github-app-manifest-parameters"""
    known = {
        "name", "url", "hook_attributes", "redirect_url", "callback_urls", "setup_url", "description", "public",
        "default_events", "default_permissions", "request_oauth_on_install", "setup_on_update",
    }  # fmt: skip
    assert manifest("app-manifest").keys() <= known


def test_the_page_that_takes_the_manifest_to_github_sends_what_github_reads():
    page = Page((DEPLOY / "github" / "new-app.html").read_text(encoding="utf-8"))
    form = page.form("Take it to GitHub")
    assert (form.action, form.method.lower()) == ("https://github.com/settings/apps/new", "post")
    assert "manifest" in form.fields


def test_the_slack_app_has_the_scopes_of_the_methods_that_are_called_and_no_others():
    tree = ast.parse(Path(slack.__file__).read_text(encoding="utf-8"))
    called = {
        node.func.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "client"
        and node.func.attr != "send"
    }
    assert called <= SCOPES.keys()
    needed = set().union(*(SCOPES[name] for name in called))
    app = loaded("slack", "app-manifest.yaml")
    assert app["oauth_config"] == {"scopes": {"bot": sorted(needed)}}
    assert app["settings"]["socket_mode_enabled"] is False
    assert "event_subscriptions" not in app["settings"]
