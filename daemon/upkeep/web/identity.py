"""Identity: who asks. Sign-in pages, and the session behind every other page."""

from flask import Blueprint, g, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue

from upkeep.domain.errors import SignedOut, TooManyRequests, reaction
from upkeep.domain.people import NOBODY, Act, Actor, Via, require
from upkeep.flows import admit as admission
from upkeep.flows.browse import sources
from upkeep.web.places import inside
from upkeep.web.rooms import rooms

blueprint = Blueprint("identity", __name__)

OPEN = frozenset(
    {
        "static",
        "identity.sign_in",
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


def actor() -> Actor:
    """Who asks; NOBODY before they signed in."""
    found: Actor = g.get("actor", NOBODY)
    return found


def admit() -> None:
    """Before every request: recognise who asks, and let nobody pass who has no session."""
    if request.endpoint in OPEN:
        return
    here = rooms()
    now = here.clock()
    with here.store.read() as unit:
        try:
            g.actor = admission.recognise(unit, session.get(_SECRET, ""), via=Via.WEB, now=now)
        except SignedOut:
            if request.endpoint is None:
                return
            raise
        g.sync_state = sources.sync_state(unit, now)
    require(g.actor, Act.LOOK)


@blueprint.route("/sign-in", methods=["GET", "POST"])
def sign_in() -> ResponseReturnValue:
    """The form, and what becomes of it."""
    target = inside(request.values.get("next"))
    if request.method == "GET":
        return redirect(target, 303) if _recognised() else render_template("sign_in.html", next=target)
    here = rooms()
    name, password = request.form.get("name", ""), request.form.get("password", "")
    try:
        secret = admission.sign_in(here.store, here.passwords, name, password, now=here.clock())
    except TooManyRequests as wait:
        page = render_template("sign_in.html", next=target, name=name, refusal=f"{wait.message}; {wait.cure}")
        return page, reaction(wait).status
    if secret is None:
        refusal = "this name and password do not belong together"
        return render_template("sign_in.html", next=target, name=name, refusal=refusal), 401
    # A fresh cookie: nothing that was in the browser before a sign-in lives on behind it.
    session.clear()
    session[_SECRET] = secret
    return redirect(target, 303)


@blueprint.post("/sign-out")
def sign_out() -> ResponseReturnValue:
    """End the session, here and in the store."""
    here = rooms()
    with here.store.write() as unit:
        admission.sign_out(unit, session.get(_SECRET, ""), actor=actor(), now=here.clock())
    session.clear()
    return redirect(url_for("identity.sign_in"), 303)


def _recognised() -> bool:
    here = rooms()
    try:
        with here.store.read() as unit:
            admission.recognise(unit, session.get(_SECRET, ""), via=Via.WEB, now=here.clock())
    except SignedOut:
        return False
    return True
