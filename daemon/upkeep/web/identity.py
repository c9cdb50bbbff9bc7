"""Identity: who asks. Sign-in pages, and the session or proxy behind every other page."""

import hmac
import logging
from collections.abc import Sequence

from flask import Blueprint, g, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue

from upkeep.domain.errors import (
    CallerError,
    Conflict,
    Forbidden,
    NotFound,
    SignedOut,
    StalledError,
    TooManyRequests,
    TransientError,
    UpkeepError,
    reaction,
)
from upkeep.domain.people import NOBODY, Act, Actor, Session, Via, Vouched, require, role_among
from upkeep.flows import admit as admission
from upkeep.flows.browse import sources
from upkeep.web import api
from upkeep.web.pace import admit_known
from upkeep.web.peers import believed, client_address
from upkeep.web.places import inside
from upkeep.web.rooms import Entrance, Headers, rooms

logger = logging.getLogger("upkeep.web")

blueprint = Blueprint("identity", __name__)

OPEN = frozenset(
    {
        "static",
        "identity.sign_in",
        "identity.github",
        "identity.github_back",
        # Asks for a network or a token of its own.
        "metrics.read",
        "health.live",
        "health.ready",
        "hooks.github",
        "hooks.github_source",
        "proton.call",
        "proton.call_at_host",
    }
)
"""Endpoints that ask for no session: what comes before one, and what is known by its signature instead."""

_SECRET = "secret"  # noqa: S105  (names the place in the cookie)
_ERRAND = "errand"
_ENDED = "ended"

_NOT_SHOWN = ("password", "secret", "csrf_token", "next", "seen", "evidence")
"""Parts of the names of form fields that nobody typed, or nobody should see."""


def actor() -> Actor:
    """Who asks; NOBODY before they signed in."""
    found: Actor = g.get("actor", NOBODY)
    return found


def present_session() -> Session | None:
    """The session of who asks; None for those whom a proxy names."""
    found: Session | None = g.get("session")
    return found


def asked_again() -> bool:
    """Whether a page that is open looks for news (see `live`), and no person came to it."""
    return bool(request.if_none_match)


def admit() -> None:
    """Before every request: recognise who asks, and let nobody pass who has no session."""
    if request.endpoint in OPEN or api.asked_for():
        # Operations of the API ask for a token themselves.
        return
    try:
        _recognise()
    except SignedOut:
        if request.endpoint is None:
            return
        raise
    require(g.actor, Act.LOOK)
    admit_known(f"user {g.actor.name}", rooms().clock())


def _recognise() -> None:
    """Find who asks, and what every page says to them of the sources; SignedOut without a session."""
    here = rooms()
    now = here.clock()
    if here.proxy is not None and believed() and request.headers.get(here.proxy.user):
        vouched = _named_by(here.proxy)
        role = role_among(vouched.groups, here.proxy.roles, here.proxy.otherwise)
        g.actor = admission.recognise_vouched(here.store, vouched, role, now=now, rules=here.rules)
        with here.store.read() as unit:
            g.sync_state = sources.sync_state(unit, now)
        return
    with here.store.read() as unit:
        secret = session.get(_SECRET, "")
        g.actor, g.session = admission.recognise(unit, secret, via=Via.WEB, now=now, rules=here.rules, spans=here.spans)
        g.sync_state = sources.sync_state(unit, now)
    if asked_again():
        # A session that nobody uses shall end, also while a page of it stays open.
        return
    try:
        admission.note_seen(here.store, g.session, client_address(), now=now)
    except TransientError as error:
        # Whoever only reads can go on while nothing can be written.
        logger.warning("the use of a session was not kept: %s", error)


def _named_by(headers: Headers) -> Vouched:
    name = request.headers[headers.user].strip()
    email = request.headers.get(headers.email, "") if headers.email else ""
    listed = request.headers.get(headers.groups, "") if headers.groups else ""
    groups = frozenset(group.strip() for group in listed.split(",") if group.strip())
    return Vouched("proxy", name, name, email.strip() or None, groups, groups)


@blueprint.route("/sign-in", methods=["GET", "POST"])
def sign_in() -> ResponseReturnValue:
    """The form, and what becomes of it."""
    target = inside(request.values.get("next"))
    if request.method == "GET":
        return redirect(target, 303) if _recognised() else _door(target, ended=session.pop(_ENDED, None))
    here = rooms()
    if not here.passwords_open:
        raise Forbidden("passwords are not accepted here", cure="sign in the way the sign-in page offers")
    name, password = request.form.get("name", ""), request.form.get("password", "")
    try:
        secret = admission.sign_in(
            here.store,
            here.passwords,
            name,
            password,
            address=client_address(),
            agent=request.user_agent.string,
            spans=here.spans,
            now=here.clock(),
        )
    except TooManyRequests as wait:
        g.retry_after = wait.retry_after
        return _door(target, name=name, refusal=wait), reaction(wait).status
    if secret is None:
        return _door(target, name=name, refusal=CallerError("this name and password do not belong together")), 401
    return _enter(secret, target)


@blueprint.get("/sign-in/github")
def github() -> ResponseReturnValue:
    """Send the browser to GitHub, to come back with a code."""
    entrance = _github()
    errand = entrance.provider.begin(_back())
    session[_ERRAND] = {
        "state": errand.state,
        "verifier": errand.verifier,
        "next": inside(request.args.get("next")),
    }
    return redirect(errand.url, 303)


@blueprint.get("/sign-in/github/back")
def github_back() -> ResponseReturnValue:
    """The browser comes back from GitHub."""
    entrance = _github()
    errand = session.pop(_ERRAND, None)
    if errand is None or not hmac.compare_digest(errand["state"].encode(), request.args.get("state", "").encode()):
        unasked = CallerError(
            "this sign-in did not begin in this browser, or it was finished already", cure="begin it again here"
        )
        return _door("/", refusal=unasked), 400
    target = inside(errand["next"])
    if "code" not in request.args:
        declined = request.args.get("error") == "access_denied"
        said = "you did not let GitHub tell who you are" if declined else "GitHub did not accept the sign-in"
        return _door(target, refusal=CallerError(said, cure="try again, or sign in another way")), 403
    here = rooms()
    try:
        vouched = entrance.provider.finish(request.args["code"], errand["verifier"], _back())
        secret = admission.sign_in_vouched(
            here.store,
            vouched,
            role_among(vouched.groups, entrance.roles),
            address=client_address(),
            agent=request.user_agent.string,
            spans=here.spans,
            now=here.clock(),
        )
    except (CallerError, TransientError, StalledError) as refusal:
        answer = reaction(refusal)
        logger.log(logging.getLevelNamesMapping()[answer.level.upper()], "sign-in with GitHub: %s", refusal)
        return _door(target, refusal=refusal), 502 if isinstance(refusal, StalledError) else answer.status
    return _enter(secret, target)


@blueprint.post("/sign-out")
def sign_out() -> ResponseReturnValue:
    """End the session, here and in the store."""
    here = rooms()
    if present_session() is None:
        raise Conflict(
            f"the proxy in front of this site signs you in as {actor().name} with every request",
            cure="sign out there; here is nothing to end",
        )
    with here.store.write() as unit:
        admission.sign_out(unit, session.get(_SECRET, ""), actor=actor(), now=here.clock())
    session.clear()
    return redirect(url_for("identity.sign_in"), 303)


def send_to_door(target: str) -> ResponseReturnValue:
    """Where somebody goes whose session has ended. What they were sending is shown to them, because it is not kept."""
    had_one = session.pop(_SECRET, None) is not None
    typed = [
        (name, value)
        for name, value in request.form.items(multi=True)
        if value.strip() and not any(part in name for part in _NOT_SHOWN)
    ]
    if had_one and typed:
        return _door(target, ended="sending", typed=typed), 401
    if had_one:
        session[_ENDED] = "sending" if request.method == "POST" else "looking"
    return redirect(url_for("identity.sign_in", next=target), 303)


def _door(
    target: str,
    *,
    name: str = "",
    refusal: UpkeepError | None = None,
    ended: str | None = None,
    typed: Sequence[tuple[str, str]] = (),
) -> str:
    return render_template(
        "sign_in.html", next=target, name=name, refusal=refusal, ended=ended, typed=typed, here=rooms()
    )


def _enter(secret: str, target: str) -> ResponseReturnValue:
    # A fresh cookie: nothing that was in the browser before a sign-in lives on behind it.
    session.clear()
    session[_SECRET] = secret
    return redirect(target, 303)


def _github() -> Entrance:
    entrance = rooms().github
    if entrance is None:
        raise NotFound("sign-in with GitHub is not set up here", cure="sign in the way the sign-in page offers")
    return entrance


def _back() -> str:
    return rooms().public_url.rstrip("/") + url_for("identity.github_back")


def _recognised() -> bool:
    try:
        _recognise()
    except SignedOut:
        return False
    return True
