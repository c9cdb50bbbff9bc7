"""Admit: who may come in. Users, sign-in, sessions and tokens."""

import hashlib
import secrets
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Protocol

from upkeep.domain import events
from upkeep.domain.errors import CallerError, Conflict, Forbidden, NotFound, SignedOut, TooManyRequests
from upkeep.domain.names import is_name
from upkeep.domain.people import (
    Act,
    Actor,
    Role,
    Rules,
    Scope,
    Session,
    Token,
    User,
    Via,
    a_role,
    may,
    require,
    scopes_of,
)
from upkeep.flows.ports import Store, Unit

SESSION_FOR = timedelta(hours=12)
"""How long a sign-in lasts."""

FAILURES_ALLOWED = 5
FAILURES_WITHIN = timedelta(minutes=15)
"""After this many wrong passwords in this span a name has to wait."""

SHORTEST_PASSWORD = 10

TOKEN_PREFIX = "upkeep_"  # noqa: S105  (known to everybody)
"""What secrets of tokens begin with, so that people and secret scanners recognise a leaked one."""

ACCESS_KEY_PREFIX = "UPKEEP"
"""What access keys begin with; AWS's own begin otherwise. They have twenty letters like those."""

_ACCESS_KEY_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"

LONGEST_LABEL = 60

USE_NOTED_EVERY_FOR = timedelta(minutes=1)
"""How exactly is known when a token was used last: reading must not write each time."""


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


def recognise(unit: Unit, secret: str, *, via: Via, now: datetime, rules: Rules | None = None) -> Actor:
    """Who holds this session secret, bound by the rules; raises SignedOut when it is unknown or has ended."""
    session = unit.people.session(_digest(secret))
    user = unit.people.find(session.user) if session and session.expires_at > now else None
    if user is None:
        raise SignedOut("your session has ended", cure="sign in again")
    return _actor(user, via, rules)


def sign_out(unit: Unit, secret: str, *, actor: Actor, now: datetime) -> None:
    """End a session."""
    unit.people.remove_session(_digest(secret))
    unit.journal.record(events.SignedOut(f"user/{actor.name}"), actor, now)


def create_token(
    unit: Unit,
    label: str,
    scopes: Collection[Scope],
    *,
    user: str | None = None,
    expires_at: datetime | None = None,
    secret_of: Callable[[str], str] | None = None,
    actor: Actor,
    now: datetime,
) -> tuple[Token, str]:
    """Make a key for programs that act as the actor, or as another user when an admin makes it.

    Returns it with its secret, which is stored nowhere. It can do what one of its scopes and its user's role allow.
    With `secret_of`, which derives a secret from an id, it is a key pair that signs requests as AWS's clients do: its
    id is the access key, and its secret can be found again to check a signature.
    """
    whose = _whose(unit, user, actor)
    if not label.strip() or len(label) > LONGEST_LABEL or not label.isprintable():
        raise CallerError(
            f"a token needs a label of 1 to {LONGEST_LABEL} characters", cure="say in it what will use the token"
        )
    if not scopes:
        raise CallerError("a token without scopes could do nothing", cure="choose at least the scope `read`")
    if excess := [scope for scope in Scope if scope in scopes and scope not in scopes_of(whose.role)]:
        raise Forbidden(
            f"{whose.name} is {a_role(whose.role)}, and a token cannot do more: not `{excess[0]}`",
            cure=f"choose among {', '.join(f'`{scope}`' for scope in scopes_of(whose.role))}",
        )
    if expires_at is not None and expires_at <= now:
        raise CallerError("the token would have expired already", cure="choose a time to come")
    token_id, secret = secrets.token_hex(6), TOKEN_PREFIX + secrets.token_urlsafe(32)
    if secret_of is not None:
        token_id = ACCESS_KEY_PREFIX + "".join(secrets.choice(_ACCESS_KEY_LETTERS) for _ in range(14))
        secret = secret_of(token_id)
    made = Token(token_id, _digest(secret), whose.name, label.strip(), frozenset(scopes), now, expires_at)
    unit.people.add_token(made)
    listed = ", ".join(sorted(made.scopes))
    unit.journal.record(events.TokenCreated(f"user/{whose.name}", made.label, listed), actor, now)
    return made, secret


def revoke_token(unit: Unit, token_id: str, *, actor: Actor, now: datetime) -> Token:
    """End a token now: one's own, or any when an admin asks. Returns what it was."""
    require(actor, Act.SETTLE_IN)
    found = next((token for token in unit.people.tokens() if token.id == token_id), None)
    if found is None or (found.user != actor.name and not may(actor, Act.ADMIT)):
        raise NotFound(f"there is no token `{token_id}` of yours", cure="look at the list of your tokens")
    unit.people.remove_token(found.id)
    unit.journal.record(events.TokenRevoked(f"user/{found.user}", found.label), actor, now)
    return found


def tokens_of(unit: Unit, user: str | None = None, *, actor: Actor) -> Sequence[Token]:
    """The tokens of the actor, or of another user when an admin asks, oldest first."""
    return unit.people.tokens(_whose(unit, user, actor).name)


def recognise_token(store: Store, secret: str, *, now: datetime, rules: Rules | None = None) -> Actor:
    """Who calls with this token's secret: its user, within its scopes, bound by the rules.

    Notes that it was used, at most once in a minute. Raises SignedOut when it is unknown, revoked or has expired.
    """
    with store.read() as unit:
        token = unit.people.find_token(_digest(secret)) if secret.startswith(TOKEN_PREFIX) else None
        user = unit.people.find(token.user) if token else None
    if token is None or user is None:
        raise SignedOut("this token is unknown or was revoked", cure="use another, or create one on your account page")
    if token.expires_at is not None and token.expires_at <= now:
        raise SignedOut(
            f"the token “{token.label}” expired at {token.expires_at:%Y-%m-%d %H:%M} UTC",
            cure="create another on your account page",
        )
    if token.used_at is None or now - token.used_at >= USE_NOTED_EVERY_FOR:
        with store.write() as unit:
            unit.people.note_token_used(token.id, now)
    return replace(_actor(user, Via.API, rules), scopes=token.scopes, token=token.label)


def _whose(unit: Unit, name: str | None, actor: Actor) -> User:
    """The actor themselves, or another user if an admin asks."""
    require(actor, Act.SETTLE_IN if name is None or name == actor.name else Act.ADMIT)
    user = unit.people.find(name or actor.name)
    if user is None:
        raise NotFound(f"there is no user `{name or actor.name}`", cure="`upkeep user list` shows all")
    return user


def _actor(user: User, via: Via, rules: Rules | None) -> Actor:
    return Actor(user.name, user.role, via, user.teams, user.email, rules)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
