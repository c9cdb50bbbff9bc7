"""Admit: who may come in. Users, sign-in and sessions."""

import hashlib
import secrets
from datetime import datetime, timedelta
from typing import Protocol

from upkeep.domain import events
from upkeep.domain.errors import CallerError, Conflict, SignedOut, TooManyRequests
from upkeep.domain.names import is_name
from upkeep.domain.people import Act, Actor, Role, Session, User, Via, require
from upkeep.flows.ports import Store, Unit

SESSION_FOR = timedelta(hours=12)
"""How long a sign-in lasts."""

FAILURES_ALLOWED = 5
FAILURES_WITHIN = timedelta(minutes=15)
"""After this many wrong passwords in this span a name has to wait."""

SHORTEST_PASSWORD = 10


class Passwords(Protocol):
    """A password hash that is slow on purpose."""

    def hash(self, password: str) -> str:
        """An encoded hash with its own salt and parameters."""

    def verify(self, encoded: str | None, password: str) -> bool:
        """Whether it is the password. Takes as long for None, so that unknown names cannot be told by time."""


def add_user(
    unit: Unit,
    passwords: Passwords,
    name: str,
    role: Role,
    password: str,
    *,
    email: str | None,
    actor: Actor,
    now: datetime,
) -> User:
    """Let a person in under a name and role."""
    require(actor, Act.ADMIT)
    if not is_name(name):
        raise CallerError(f"`{name}` is not a user name", cure="use letters, digits, `_` and `-`")
    if len(password) < SHORTEST_PASSWORD:
        raise CallerError(f"the password is shorter than {SHORTEST_PASSWORD} characters", cure="choose a longer one")
    user = User(name, role, passwords.hash(password), now, email)
    unit.people.add(user)
    unit.journal.record(events.UserAdded(f"user/{name}", role), actor, now)
    return user


def remove_user(unit: Unit, name: str, *, actor: Actor, now: datetime) -> None:
    """Let a person in no longer; their sessions end now. The last admin stays."""
    require(actor, Act.ADMIT)
    admins = [user.name for user in unit.people.list() if user.role is Role.ADMIN]
    if admins == [name]:
        raise Conflict(f"{name} is the last admin", cure="add another admin first")
    unit.people.remove(name)
    unit.journal.record(events.UserRemoved(f"user/{name}"), actor, now)


def sign_in(store: Store, passwords: Passwords, name: str, password: str, *, now: datetime) -> str | None:
    """Open a session and return its secret, which is stored nowhere; None when name or password are wrong.

    The password is verified between two transactions, because that is slow on purpose. The refusal is a value and
    not an error, because its transaction has to keep the failed attempt. Raises TooManyRequests, also for the right
    password, when the name failed too often lately.
    """
    with store.read() as unit:
        _refuse_too_many(unit, name, now)
        user = unit.people.find(name) if is_name(name) else None
    right = passwords.verify(user.password_hash if user else None, password)
    if not is_name(name):
        return None
    with store.write() as unit:
        # Again: many may have been tried at once while this one was verified.
        _refuse_too_many(unit, name, now)
        if not right or user is None or unit.people.find(name) != user:
            unit.people.note_failed_sign_in(name, now)
            unit.journal.record(events.SignInRefused(f"user/{name}"), Actor(name, Role.VIEWER, Via.WEB), now)
            return None
        secret = secrets.token_urlsafe(32)
        unit.people.add_session(Session(_digest(secret), user.name, now, now + SESSION_FOR))
        unit.journal.record(events.SignedIn(f"user/{name}"), Actor(name, user.role, Via.WEB), now)
        return secret


def _refuse_too_many(unit: Unit, name: str, now: datetime) -> None:
    if is_name(name) and unit.people.failed_sign_ins(name, now - FAILURES_WITHIN) >= FAILURES_ALLOWED:
        raise TooManyRequests(
            f"too many wrong passwords for {name}", cure=f"wait {FAILURES_WITHIN.seconds // 60} minutes and try again"
        )


def recognise(unit: Unit, secret: str, *, via: Via, now: datetime) -> Actor:
    """Who holds this session secret; raises SignedOut when it is unknown or has ended."""
    session = unit.people.session(_digest(secret))
    user = unit.people.find(session.user) if session and session.expires_at > now else None
    if user is None:
        raise SignedOut("your session has ended", cure="sign in again")
    return Actor(user.name, user.role, via)


def sign_out(unit: Unit, secret: str, *, actor: Actor, now: datetime) -> None:
    """End a session."""
    unit.people.remove_session(_digest(secret))
    unit.journal.record(events.SignedOut(f"user/{actor.name}"), actor, now)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
