"""Admit: who may come in. Users, sign-in, sessions and tokens."""

import hashlib
import secrets
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from upkeep.domain import events, guesses
from upkeep.domain.errors import CallerError, Conflict, Forbidden, NotFound, SignedOut, TooManyRequests
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
    Vouched,
    a_role,
    is_user_name,
    may,
    require,
    scopes_of,
)
from upkeep.flows.ports import Store, Unit


@dataclass(frozen=True, slots=True)
class Spans:
    """How long a sign-in lasts: in all, and unused."""

    session_for: timedelta = timedelta(hours=12)
    idle_for: timedelta = timedelta(hours=2)


SPANS = Spans()

SHORTEST_PASSWORD = 10

TOKEN_PREFIX = "upkeep_"  # noqa: S105  (known to everybody)
"""What secrets of tokens begin with, so that people and secret scanners recognise a leaked one."""

ACCESS_KEY_PREFIX = "UPKEEP"
"""What access keys begin with; AWS's own begin otherwise. They have twenty letters like those."""

_ACCESS_KEY_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"

LONGEST_LABEL = 60

NOTED_EVERY_FOR = timedelta(minutes=1)
"""How exactly is known when somebody was here last: reading must not write each time."""

_LONGEST_AGENT = 300


class Passwords(Protocol):
    """A password hash that is slow on purpose."""

    def hash(self, password: str) -> str:
        """An encoded hash with its own salt and parameters."""

    def verify(self, encoded: str | None, password: str) -> bool:
        """Whether it is the password. Takes as long for None, so that unknown names cannot be told by time."""

    def outdated(self, encoded: str) -> bool:
        """Whether it was made with other parameters than hashes are made with now."""


# ---------------------------------------------------------------------------------------------------- users


def add_user(
    unit: Unit,
    passwords: Passwords,
    name: str,
    role: Role,
    password: str,
    *,
    email: str | None,
    teams: Collection[str] = (),
    actor: Actor,
    now: datetime,
) -> User:
    """Let a person in under a name and role."""
    require(actor, Act.ADMIT)
    if not is_user_name(name):
        raise CallerError(f"`{name}` is not a user name", cure="use letters, digits and `_-.+@`")
    _require_long(password)
    user = User(name, role, passwords.hash(password), now, email, teams=frozenset(teams))
    unit.people.add(user)
    unit.journal.record(events.UserAdded(f"user/{name}", role), actor, now)
    return user


def change_user(
    unit: Unit,
    name: str,
    *,
    role: Role | None = None,
    teams: Collection[str] | None = None,
    email: str | None = None,
    actor: Actor,
    now: datetime,
) -> User:
    """Change what is given: a role, all teams, an address (empty for none). The last admin stays one."""
    require(actor, Act.ADMIT)
    user = _user(unit, name)
    if user.provider is not None:
        raise Conflict(
            f"role, teams and address of {name} come from {user.provider}, anew at each sign-in",
            cure=f"change them there, or what the setting `access.{user.provider}` makes of them",
        )
    if role is not None and role is not Role.ADMIN:
        _require_other_admin(unit, name)
    changed = replace(
        user,
        role=user.role if role is None else role,
        teams=user.teams if teams is None else frozenset(teams),
        email=user.email if email is None else email or None,
    )
    _save(unit, user, changed, actor, now)
    return changed


def remove_user(unit: Unit, name: str, *, actor: Actor, now: datetime) -> None:
    """Let a person in no longer; their sessions and tokens end now. The last admin stays."""
    require(actor, Act.ADMIT)
    _require_other_admin(unit, name)
    unit.people.remove(name)
    unit.journal.record(events.UserRemoved(f"user/{name}"), actor, now)


def set_password(unit: Unit, passwords: Passwords, name: str, password: str, *, actor: Actor, now: datetime) -> None:
    """Give a user another password, which ends all their sessions."""
    require(actor, Act.ADMIT)
    user = _user(unit, name)
    _require_own_password(user)
    _require_long(password)
    _new_password(unit, user, passwords.hash(password), "", actor, now)


def change_password(
    store: Store, passwords: Passwords, old: str, new: str, *, address: str, keep: str, actor: Actor, now: datetime
) -> bool:
    """Change one's own password; all sessions but `keep`, a hash, end. False when the old one is wrong.

    Wrong ones count like those of a sign-in, because somebody may have found an open browser.
    """
    require(actor, Act.SETTLE_IN)
    _require_long(new)
    with store.read() as unit:
        _refuse_impatient(unit, actor.name, address, now)
        user = _user(unit, actor.name)
    _require_own_password(user)
    right = passwords.verify(user.password_hash, old)
    encoded = passwords.hash(new) if right else ""
    with store.write() as unit:
        _refuse_impatient(unit, actor.name, address, now)
        if not right or _user(unit, actor.name).password_hash != user.password_hash:
            unit.people.note_failed_sign_in(actor.name, guesses.origin(address), now)
            return False
        _new_password(unit, _user(unit, actor.name), encoded, keep, actor, now)
        return True


def lift_waits(unit: Unit, *, name: str | None = None, address: str | None = None, actor: Actor, now: datetime) -> None:
    """Forget the wrong passwords for a name, or from an address, so that nobody waits because of them."""
    require(actor, Act.ADMIT)
    unit.people.forget_failed_sign_ins(name, None if address is None else guesses.origin(address))
    unit.journal.record(events.WaitsLifted(f"user/{name}" if name else f"address/{address}"), actor, now)


# -------------------------------------------------------------------------------------------------- sign-in


def sign_in(
    store: Store,
    passwords: Passwords,
    name: str,
    password: str,
    *,
    address: str = "",
    agent: str = "",
    spans: Spans = SPANS,
    now: datetime,
) -> str | None:
    """Open a session and return its secret, which is stored nowhere; None when name or password are wrong.

    The password is verified between two transactions, because that is slow on purpose. The refusal is a value and
    not an error, because its transaction has to keep the failed attempt. Raises TooManyRequests, also for the right
    password, when the name or the client's address failed too often lately.
    """
    with store.read() as unit:
        _refuse_impatient(unit, name, address, now)
        user = unit.people.find(name) if is_user_name(name) else None
    encoded = user.password_hash if user else None
    right = passwords.verify(encoded, password)
    renewed = passwords.hash(password) if right and encoded and passwords.outdated(encoded) else encoded
    if not is_user_name(name):
        # Nobody is called so, and looking at the password cost as much as any: it counts for the address alone.
        with store.write() as unit:
            unit.people.note_failed_sign_in("", guesses.origin(address), now)
        return None
    with store.write() as unit:
        # Again: many may have been tried at once while this one was verified.
        _refuse_impatient(unit, name, address, now)
        user = unit.people.find(name)
        if not right or user is None or user.password_hash != encoded:
            unit.people.note_failed_sign_in(name, guesses.origin(address), now)
            visitor = Actor(name, Role.VIEWER, Via.WEB)
            unit.journal.record(events.SignInRefused(f"user/{name}", address), visitor, now)
            return None
        unit.people.forget_failed_sign_ins(name, guesses.origin(address))
        unit.people.save(replace(user, password_hash=renewed, seen_at=now))
        return _open_session(unit, user, address, agent, spans, now)


def sign_in_vouched(
    store: Store,
    vouched: Vouched,
    role: Role | None,
    *,
    address: str = "",
    agent: str = "",
    spans: Spans = SPANS,
    now: datetime,
) -> str:
    """Open a session for somebody a provider vouches for, in the role that the configuration gives them now.

    Returns its secret. They become a user at first sight and follow changes of name, address and teams later. Raises
    Forbidden when there is no role for them, or when somebody else has their name here.
    """
    try:
        with store.write() as unit:
            user = _welcome(unit, vouched, role, now)
            return _open_session(unit, user, address, agent, spans, now)
    except Forbidden:
        with store.write() as unit:
            visitor = Actor(vouched.name, Role.VIEWER, Via.WEB)
            unit.journal.record(events.SignInRefused(f"user/{vouched.name}", address), visitor, now)
        raise


def recognise_vouched(
    store: Store, vouched: Vouched, role: Role | None, *, now: datetime, rules: Rules | None
) -> Actor:
    """Who asks, as somebody in front of us vouches with each request. Nothing is written while all is known.

    Raises Forbidden as `sign_in_vouched` does.
    """
    with store.read() as unit:
        user = unit.people.find_vouched(vouched.provider, vouched.id)
    if user is None or role is None or _as_vouched(user, vouched, role) != user or _unnoted(user.seen_at, now):
        try:
            with store.write() as unit:
                user = _welcome(unit, vouched, role, now)
        except Conflict:
            # Somebody's first page asks for several things at once, and one of the requests was quicker.
            with store.write() as unit:
                user = _welcome(unit, vouched, role, now)
    return _actor(user, Via.WEB, rules)


def _welcome(unit: Unit, vouched: Vouched, role: Role | None, now: datetime) -> User:
    daemon = Actor(vouched.name, role or Role.VIEWER, Via.WEB)
    if role is None:
        raise Forbidden(
            f"{vouched.provider} knows {vouched.name}, but none of their groups has a role here",
            cure=f"ask an admin to give one of your groups a role, under `access.{vouched.provider}`",
        )
    if not is_user_name(vouched.name):
        raise Forbidden(f"`{vouched.name}` cannot be a user's name here", cure="letters, digits and `_-.+@` can")
    known = unit.people.find_vouched(vouched.provider, vouched.id)
    if (known is None or known.name != vouched.name) and unit.people.find(vouched.name) is not None:
        raise Forbidden(
            f"there is another user `{vouched.name}` here, whom {vouched.provider} does not vouch for",
            cure="ask an admin to remove that one first, or to rename you there",
        )
    if known is None:
        fresh = User(vouched.name, role, None, now, vouched.email, vouched.provider, vouched.id, vouched.teams, now)
        unit.people.add(fresh)
        unit.journal.record(events.UserAdded(f"user/{fresh.name}", role), daemon, now)
        return fresh
    if known.name != vouched.name:
        unit.people.rename(known.name, vouched.name)
        unit.journal.record(events.UserRenamed(f"user/{vouched.name}", known.name), daemon, now)
        known = replace(known, name=vouched.name)
    changed = replace(_as_vouched(known, vouched, role), seen_at=now)
    _save(unit, known, changed, daemon, now)
    return changed


def _as_vouched(user: User, vouched: Vouched, role: Role) -> User:
    return replace(user, name=vouched.name, role=role, email=vouched.email, teams=vouched.teams)


def _refuse_impatient(unit: Unit, name: str, address: str, now: datetime) -> None:
    since, address = now - guesses.COUNTED_FOR, guesses.origin(address)
    counts: list[tuple[guesses.Patience, str, str | None, str | None]] = []
    if address:
        counts.append((guesses.ADDRESS, f"from {address}", None, address))
    if is_user_name(name):
        counts.append((guesses.HERE, f"for {name}", name, address))
        counts.append((guesses.NAME, f"for {name}", name, None))
    for patience, what, of_name, of_address in counts:
        until = patience.until(unit.people.failed_sign_ins(since, of_name, of_address))
        if until is not None and until > now:
            raise TooManyRequests(
                f"too many wrong passwords {what}",
                cure=f"wait {_spoken(until - now)} and try again, or ask an admin: `upkeep user unlock`",
                retry_after=until - now,
            )


def _spoken(span: timedelta) -> str:
    seconds = -(-span // timedelta(seconds=1))
    count, unit = (seconds, "second") if seconds < 90 else (-(-seconds // 60), "minute")
    return f"{count} {unit}{'' if count == 1 else 's'}"


# ------------------------------------------------------------------------------------------------- sessions


def recognise(
    unit: Unit, secret: str, *, via: Via, now: datetime, rules: Rules | None, spans: Spans = SPANS
) -> tuple[Actor, Session]:
    """Who holds this session secret, bound by the rules; SignedOut when it is unknown, has ended or was not used."""
    session = unit.people.session(digest(secret))
    alive = session and session.expires_at > now and (session.seen_at or session.created_at) + spans.idle_for > now
    user = unit.people.find(session.user) if session and alive else None
    if session is None or user is None:
        raise SignedOut("your session has ended", cure="sign in again")
    return _actor(user, via, rules), session


def note_seen(store: Store, session: Session, address: str, *, now: datetime) -> None:
    """Keep that a session is used, and from where, at most once in a minute."""
    if _unnoted(session.seen_at, now):
        with store.write() as unit:
            unit.people.note_seen(session.user, session.token_hash, address, now)


def sign_out(unit: Unit, secret: str, *, actor: Actor, now: datetime) -> None:
    """End a session."""
    unit.people.remove_session(digest(secret))
    unit.journal.record(events.SignedOut(f"user/{actor.name}"), actor, now)


def sessions_of(unit: Unit, user: str | None = None, *, actor: Actor, now: datetime) -> Sequence[Session]:
    """The open sessions of the actor, or of another user when an admin asks, latest used first."""
    found = [each for each in unit.people.sessions(_whose(unit, user, actor).name) if each.expires_at > now]
    return sorted(found, key=lambda each: each.seen_at or each.created_at, reverse=True)


def end_session(unit: Unit, token_hash: str, *, actor: Actor, now: datetime) -> None:
    """End one of one's own sessions."""
    require(actor, Act.SETTLE_IN)
    session = unit.people.session(token_hash)
    if session is None or session.user != actor.name:
        raise NotFound("this session has ended already", cure="look at the list of your sessions")
    unit.people.remove_session(token_hash)
    unit.journal.record(events.SessionsEnded(f"user/{actor.name}", 1), actor, now)


def end_sessions(unit: Unit, user: str | None = None, *, keep: str = "", actor: Actor, now: datetime) -> int:
    """End all sessions of the actor but `keep`, a hash, or of another user when an admin asks. Returns how many."""
    whose = _whose(unit, user, actor)
    ended = unit.people.remove_sessions(whose.name, keep)
    if ended:
        unit.journal.record(events.SessionsEnded(f"user/{whose.name}", ended), actor, now)
    return ended


def digest(secret: str) -> str:
    """What is kept of a secret."""
    return hashlib.sha256(secret.encode(errors="surrogateescape")).hexdigest()


def _open_session(unit: Unit, user: User, address: str, agent: str, spans: Spans, now: datetime) -> str:
    secret = secrets.token_urlsafe(32)
    unit.people.add_session(
        Session(digest(secret), user.name, now, now + spans.session_for, now, address, agent[:_LONGEST_AGENT])
    )
    unit.journal.record(events.SignedIn(f"user/{user.name}", address), Actor(user.name, user.role, Via.WEB), now)
    return secret


# --------------------------------------------------------------------------------------------------- tokens


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
    made = Token(token_id, digest(secret), whose.name, label.strip(), frozenset(scopes), now, expires_at)
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


def recognise_token(store: Store, secret: str, *, now: datetime, rules: Rules | None) -> Actor:
    """Who calls with this token's secret: its user, within its scopes, bound by the rules.

    Notes that it was used, at most once in a minute. Raises SignedOut when it is unknown, revoked or has expired.
    """
    with store.read() as unit:
        token = unit.people.find_token(digest(secret)) if secret.startswith(TOKEN_PREFIX) else None
        user = unit.people.find(token.user) if token else None
    if token is None or user is None:
        raise SignedOut("this token is unknown or was revoked", cure="use another, or create one on your account page")
    if token.expires_at is not None and token.expires_at <= now:
        raise SignedOut(
            f"the token “{token.label}” expired at {token.expires_at:%Y-%m-%d %H:%M} UTC",
            cure="create another on your account page",
        )
    if _unnoted(token.used_at, now):
        with store.write() as unit:
            unit.people.note_token_used(token.id, now)
    return replace(_actor(user, Via.API, rules), scopes=token.scopes, token=token.label)


def _whose(unit: Unit, name: str | None, actor: Actor) -> User:
    """The actor themselves, or another user if an admin asks."""
    require(actor, Act.SETTLE_IN if name is None or name == actor.name else Act.ADMIT)
    return _user(unit, name or actor.name)


def _actor(user: User, via: Via, rules: Rules | None) -> Actor:
    return Actor(user.name, user.role, via, user.teams, user.email, rules)


def _user(unit: Unit, name: str) -> User:
    user = unit.people.find(name)
    if user is None:
        raise NotFound(f"there is no user `{name}`", cure="`upkeep user list` shows all")
    return user


def _unnoted(at: datetime | None, now: datetime) -> bool:
    return at is None or now - at >= NOTED_EVERY_FOR


def _require_other_admin(unit: Unit, name: str) -> None:
    admins = [user.name for user in unit.people.list() if user.role is Role.ADMIN]
    if admins == [name]:
        raise Conflict(f"{name} is the last admin", cure="make another user an admin first")


def _require_long(password: str) -> None:
    if len(password) < SHORTEST_PASSWORD:
        raise CallerError(f"the password is shorter than {SHORTEST_PASSWORD} characters", cure="choose a longer one")


def _require_own_password(user: User) -> None:
    if user.provider is not None:
        raise Conflict(f"{user.name} signs in through {user.provider}", cure="change the password there")


def _new_password(unit: Unit, user: User, encoded: str, keep: str, actor: Actor, now: datetime) -> None:
    unit.people.save(replace(user, password_hash=encoded))
    unit.people.remove_sessions(user.name, keep)
    unit.people.forget_failed_sign_ins(user.name, None)
    unit.journal.record(events.PasswordChanged(f"user/{user.name}"), actor, now)


def _save(unit: Unit, before: User, after: User, actor: Actor, now: datetime) -> None:
    """Keep a user, and what changed of them in the words of the audit trail."""
    unit.people.save(after)
    changes = [
        f"{what} from {old or 'none'} to {new or 'none'}"
        for what, old, new in (
            ("role", before.role, after.role),
            ("teams", ", ".join(sorted(before.teams)), ", ".join(sorted(after.teams))),
            ("address", before.email, after.email),
        )
        if old != new
    ]
    if changes:
        unit.journal.record(events.UserChanged(f"user/{after.name}", "; ".join(changes)), actor, now)
