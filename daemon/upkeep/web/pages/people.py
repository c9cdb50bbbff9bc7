"""People: one's own account, and for admins everybody's."""

from datetime import timedelta

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from upkeep.domain.errors import CallerError
from upkeep.domain.people import Role, Scope, Session, Token, scopes_of
from upkeep.flows import admit
from upkeep.flows.browse import people as browse
from upkeep.web.identity import actor, present_session
from upkeep.web.peers import client_address
from upkeep.web.rooms import rooms

blueprint = Blueprint("people", __name__)

_TOKEN_DAYS = (7, 30, 90, 365)

_BROWSERS = (("Edg", "Edge"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Safari/", "Safari"))
_SYSTEMS = (
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("Mac OS", "macOS"),
    ("Linux", "Linux"),
)


@blueprint.get("/account")
def account() -> ResponseReturnValue:
    """One's own sessions, tokens and password."""
    return _account()


@blueprint.post("/account/password")
def change_password() -> ResponseReturnValue:
    """Change one's password, with the old one."""
    here = rooms()
    new = request.form.get("new_password", "")
    if new != request.form.get("again_password", ""):
        return _account(refusal=CallerError("the new password was typed in two ways", cure="type it again")), 400
    changed = admit.change_password(
        here.store,
        here.passwords,
        request.form.get("old_password", ""),
        new,
        address=client_address(),
        keep=_here(),
        actor=actor(),
        now=here.clock(),
    )
    if not changed:
        return _account(refusal=CallerError("the old password is another one", cure="type it again")), 400
    flash("Your password is changed, and your other sessions have ended.")
    return redirect(url_for(".account"), 303)


@blueprint.post("/account/sessions/end")
def end_session() -> ResponseReturnValue:
    """End one session, which may be this one."""
    here = rooms()
    with here.store.write() as unit:
        admit.end_session(unit, request.form.get("session", ""), actor=actor(), now=here.clock())
    flash("That session has ended.")
    return redirect(url_for(".account"), 303)


@blueprint.post("/account/sessions/end-others")
def end_other_sessions() -> ResponseReturnValue:
    """End all sessions but this one."""
    here = rooms()
    with here.store.write() as unit:
        ended = admit.end_sessions(unit, keep=_here(), actor=actor(), now=here.clock())
    flash(f"{ended} other session{'' if ended == 1 else 's'} ended.")
    return redirect(url_for(".account"), 303)


@blueprint.post("/account/tokens")
def create_token() -> ResponseReturnValue:
    """Make a token. Its secret is in this answer and nowhere else."""
    here = rooms()
    now = here.clock()
    chosen = request.form.getlist("scope")
    if unknown := [scope for scope in chosen if scope not in list(Scope)]:
        raise CallerError(f"`{unknown[0]}` is no scope", cure=f"choose among {', '.join(Scope)}")
    days = request.form.get("days", "")
    if days and days not in [str(each) for each in _TOKEN_DAYS]:
        raise CallerError(f"`{days}` is no choice of days", cure="choose one of those offered")
    label = request.form.get("label", "")
    try:
        with here.store.write() as unit:
            token, secret = admit.create_token(
                unit,
                label,
                [Scope(scope) for scope in chosen],
                expires_at=now + timedelta(days=int(days)) if days else None,
                actor=actor(),
                now=now,
            )
    except CallerError as error:
        if type(error) is not CallerError:
            raise
        return _account(token_refusal=error, label=label, chosen=chosen), 400
    return _account(made=token, secret=secret), 201


@blueprint.post("/account/tokens/<token_id>/revoke")
def revoke_token(token_id: str) -> ResponseReturnValue:
    """End a token."""
    here = rooms()
    with here.store.write() as unit:
        token = admit.revoke_token(unit, token_id, actor=actor(), now=here.clock())
    flash(f"The token “{token.label}” is worth nothing any more.")
    return redirect(url_for(".account" if token.user == actor().name else ".person", name=token.user), 303)


@blueprint.get("/people")
def people() -> ResponseReturnValue:
    """Everybody who may come in."""
    return _people()


@blueprint.post("/people")
def add() -> ResponseReturnValue:
    """Let somebody in."""
    here = rooms()
    name = request.form.get("name", "").strip()
    try:
        with here.store.write() as unit:
            admit.add_user(
                unit,
                here.passwords,
                name,
                _role(),
                request.form.get("password", ""),
                email=request.form.get("email", "").strip() or None,
                teams=_teams(),
                actor=actor(),
                now=here.clock(),
            )
    except CallerError as error:
        if type(error) is not CallerError:
            raise
        return _people(refusal=error), 400
    flash(f"{name} may sign in. Give them the password in a way nobody else reads.")
    return redirect(url_for(".people"), 303)


@blueprint.get("/people/<name>")
def person(name: str) -> ResponseReturnValue:
    """One user."""
    here = rooms()
    with here.store.read() as unit:
        view = browse.person(unit, name, actor=actor(), now=here.clock())
    return render_template("person.html", view=view, user=view.user, roles=list(Role), browser_of=browser_of)


@blueprint.post("/people/<name>/change")
def change(name: str) -> ResponseReturnValue:
    """Change somebody's role, teams and address."""
    here = rooms()
    with here.store.write() as unit:
        admit.change_user(
            unit,
            name,
            role=_role(),
            teams=_teams(),
            email=request.form.get("email", "").strip(),
            actor=actor(),
            now=here.clock(),
        )
    flash(f"{name} is changed, from their next click on.")
    return redirect(url_for(".person", name=name), 303)


@blueprint.post("/people/<name>/password")
def set_password(name: str) -> ResponseReturnValue:
    """Give somebody another password."""
    here = rooms()
    with here.store.write() as unit:
        admit.set_password(
            unit, here.passwords, name, request.form.get("password", ""), actor=actor(), now=here.clock()
        )
    flash(f"{name} has another password, and no session any more.")
    return redirect(url_for(".person", name=name), 303)


@blueprint.post("/people/<name>/sessions/end")
def end_sessions(name: str) -> ResponseReturnValue:
    """End all sessions of somebody."""
    here = rooms()
    with here.store.write() as unit:
        ended = admit.end_sessions(unit, name, actor=actor(), now=here.clock())
    flash(f"{ended} session{'' if ended == 1 else 's'} of {name} ended.")
    return redirect(url_for(".person", name=name), 303)


@blueprint.post("/people/<name>/unlock")
def unlock(name: str) -> ResponseReturnValue:
    """Let somebody try at once who gave too many wrong passwords."""
    here = rooms()
    with here.store.write() as unit:
        admit.lift_waits(unit, name=name, actor=actor(), now=here.clock())
    flash(f"{name} may try again at once.")
    return redirect(url_for(".person", name=name), 303)


@blueprint.post("/people/<name>/remove")
def remove(name: str) -> ResponseReturnValue:
    """Let somebody in no longer."""
    here = rooms()
    if request.form.get("sure") != "yes":
        raise CallerError("nobody is removed by one click", cure="go back and tick the box first")
    with here.store.write() as unit:
        admit.remove_user(unit, name, actor=actor(), now=here.clock())
    flash(f"{name} may come in no longer.")
    return redirect(url_for(".people"), 303)


def browser_of(session: Session) -> str:
    """What a session's browser calls itself, in a few words."""
    agent = session.agent or ""
    browser = next((name for mark, name in _BROWSERS if mark in agent), "")
    system = next((name for mark, name in _SYSTEMS if mark in agent), "")
    if not browser and not system:
        return agent[:40] or "an unknown browser"
    return f"{browser or 'a browser'} on {system}" if system else browser


def _account(
    refusal: CallerError | None = None,
    token_refusal: CallerError | None = None,
    made: Token | None = None,
    secret: str | None = None,
    label: str = "",
    chosen: list[str] | None = None,
) -> str:
    here = rooms()
    now = here.clock()
    with here.store.read() as unit:
        return render_template(
            "account.html",
            user=unit.people.find(actor().name),
            sessions=admit.sessions_of(unit, actor=actor(), now=now),
            tokens=admit.tokens_of(unit, actor=actor()),
            here=_here(),
            scopes=scopes_of(actor().role),
            days=_TOKEN_DAYS,
            refusal=refusal,
            token_refusal=token_refusal,
            made=made,
            secret=secret,
            label=label,
            chosen=chosen or ["read"],
            browser_of=browser_of,
            now=now,
        )


def _people(refusal: CallerError | None = None) -> str:
    here = rooms()
    with here.store.read() as unit:
        rows = browse.people(unit, actor=actor(), now=here.clock())
    return render_template("people.html", rows=rows, roles=list(Role), refusal=refusal, typed=request.form)


def _here() -> str:
    found = present_session()
    return found.token_hash if found else ""


def _role() -> Role:
    role = request.form.get("role", "")
    if role not in list(Role):
        raise CallerError(f"`{role}` is no role", cure=f"choose one of {', '.join(Role)}")
    return Role(role)


def _teams() -> list[str]:
    return [team.strip() for team in request.form.get("teams", "").split(",") if team.strip()]
