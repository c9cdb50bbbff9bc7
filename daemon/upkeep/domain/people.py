"""Who acts, and what each role may do."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from upkeep.domain.errors import Forbidden, SignedOut


class Role(StrEnum):
    """Admins decide about versions and sources, developers update resources, viewers look."""

    ADMIN = "admin"
    DEVELOPER = "developer"
    VIEWER = "viewer"


class Act(StrEnum):
    """Everything a role is asked for, in words that fit into "may not …"."""

    LOOK = "look at this"
    SYNC = "ask a source to sync"
    UPDATE = "update resources"
    ENROLL = "create or delete resources"
    REVIEW = "publish, withdraw, recommend or delete versions"
    FOLLOW = "add or remove sources"
    ADMIT = "manage users"
    SETTLE_IN = "change their own password, sessions and tokens"


_MAY: dict[Role, frozenset[Act]] = {
    Role.VIEWER: frozenset({Act.LOOK, Act.SETTLE_IN}),
    Role.DEVELOPER: frozenset({Act.LOOK, Act.SYNC, Act.UPDATE, Act.ENROLL, Act.SETTLE_IN}),
    Role.ADMIN: frozenset(Act),
}


class Scope(StrEnum):
    """What an API token may be used for. It narrows its user's role and never widens it.

    `read` looks. `update` also syncs and updates resources, `enroll` also creates and deletes them, `review` decides
    about versions. Only `admin`, which is everything, touches sources, users, and the user's own keys: a token that
    could make tokens would have no scope at all.
    """

    READ = "read"
    UPDATE = "update"
    ENROLL = "enroll"
    REVIEW = "review"
    ADMIN = "admin"

    @property
    def acts(self) -> frozenset[Act]:
        """What it allows."""
        return _ALLOWS[self]


_ALLOWS: dict[Scope, frozenset[Act]] = {
    Scope.READ: frozenset({Act.LOOK}),
    Scope.UPDATE: frozenset({Act.LOOK, Act.SYNC, Act.UPDATE}),
    Scope.ENROLL: frozenset({Act.LOOK, Act.SYNC, Act.UPDATE, Act.ENROLL}),
    Scope.REVIEW: frozenset({Act.LOOK, Act.SYNC, Act.REVIEW}),
    Scope.ADMIN: frozenset(Act),
}


def scopes_of(role: Role) -> tuple[Scope, ...]:
    """The scopes that a token of somebody in this role can have."""
    return tuple(scope for scope in Scope if scope.acts <= _MAY[role])


_USER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@+-]{0,99}")


def is_user_name(text: str) -> bool:
    """Whether people may be called so: letters, digits, `_`, `-`, `.`, `+` and `@`, as in addresses of mail."""
    return _USER_NAME.fullmatch(text) is not None


def role_among(groups: Collection[str], roles: Mapping[str, Role], otherwise: Role | None = None) -> Role | None:
    """The highest role that one of the groups has, in whatever case they are written; `otherwise` without any."""
    held = {group.casefold() for group in groups}
    found = {role for group, role in roles.items() if group.casefold() in held}
    return next((role for role in Role if role in found), otherwise)


class Via(StrEnum):
    """The door an act came through."""

    WEB = "web"
    CLI = "cli"
    GIT = "git"
    SLACK = "slack"
    API = "api"
    DAEMON = "daemon"


@dataclass(frozen=True, slots=True)
class Rules:
    """What binds people beyond their roles. `owners_only` lets developers touch only what is theirs or nobody's;
    `authors_may_publish` lets the author of a change publish it."""

    owners_only: bool = True
    authors_may_publish: bool = True


@dataclass(frozen=True, slots=True)
class Actor:
    """The one who acts, as the audit trail names them.

    `teams` own resources together with them, `email` is compared with commit authors, and `rules` bind them beyond
    their role; None, for the daemon and the command line, binds by none. `scopes` are those of the API token whose
    label is `token`; None, without a token, narrows nothing.
    """

    name: str
    role: Role
    via: Via
    teams: frozenset[str] = frozenset()
    email: str | None = None
    rules: Rules | None = None
    scopes: frozenset[Scope] | None = None
    token: str | None = None


DAEMON = Actor("upkeep", Role.ADMIN, Via.DAEMON)
"""The daemon acting by itself: polls, syncs, relays."""

NOBODY = Actor("", Role.VIEWER, Via.WEB)
"""A visitor who has not signed in."""


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who may come in. `email` matches commit authors, `teams` what they own together with others.

    `password_hash` is an argon2 encoded hash; None for those whom a `provider` vouches for, under its `provider_id`.
    """

    name: str
    role: Role
    password_hash: str | None
    created_at: datetime
    email: str | None = None
    provider: str | None = None
    provider_id: str | None = None
    teams: frozenset[str] = frozenset()
    seen_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Vouched:
    """Somebody as a provider knows them. `id` never changes there, `name` and `email` may. `groups` are what roles are
    given for, `teams` what owns resources."""

    provider: str
    id: str
    name: str
    email: str | None = None
    groups: frozenset[str] = frozenset()
    teams: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Session:
    """A signed-in browser. Only the SHA-256 of its secret is kept; by `address` and `agent` its holder knows it."""

    token_hash: str
    user: str
    created_at: datetime
    expires_at: datetime
    seen_at: datetime | None = None
    address: str | None = None
    agent: str | None = None


@dataclass(frozen=True, slots=True)
class Token:
    """A key for programs, which act as its user within its scopes. Only the SHA-256 of its secret is kept; it is for
    ever without `expires_at`."""

    id: str
    token_hash: str
    user: str
    label: str
    scopes: frozenset[Scope]
    created_at: datetime
    expires_at: datetime | None = None
    used_at: datetime | None = None


def may(actor: Actor, act: Act, owner: str | None = None) -> bool:
    """Whether the actor's role and the scopes of their token allow the act, on what belongs to the owner if any."""
    return actor != NOBODY and act in _MAY[actor.role] and _within(actor, act) and _theirs(actor, owner)


def require(actor: Actor, act: Act, owner: str | None = None, what: str = "this") -> None:
    """Raise SignedOut or Forbidden unless the actor's role and the scopes of their token allow the act, and, when
    owners alone may act, what belongs to the owner is theirs; `what` names it. What nobody owns is everybody's."""
    if actor == NOBODY:
        raise SignedOut("you are not signed in", cure="sign in and try again")
    if act not in _MAY[actor.role]:
        raise Forbidden(
            f"{actor.name} is {a_role(actor.role)} and may not {act}",
            cure="ask an admin to do it or to change your role",
        )
    if not _within(actor, act):
        missing = next(scope for scope in Scope if act in scope.acts)
        raise Forbidden(
            f"the token “{actor.token}” of {actor.name} may not {act}: it lacks the scope `{missing}`",
            cure=f"use a token that has the scope `{missing}`",
        )
    if not _theirs(actor, owner):
        raise Forbidden(
            f"{what} belongs to {owner}, and {actor.name} may {act} only where they or their teams own them",
            cure=f"ask {owner} or an admin to do it, or to give it to you or to one of your teams",
        )


def why_not_publish(actor: Actor, author_email: str) -> Forbidden | None:
    """Why the actor may not publish a change of this author, None when they may: authors may be bound to leave that
    to somebody else. Addresses are compared without regard to case."""
    if actor.rules is None or actor.rules.authors_may_publish:
        return None
    if actor.email is None:
        return Forbidden(
            f"authors may not publish their own changes, and the address of {actor.name} is not known to compare",
            cure=f"ask an admin to note it: `upkeep user change {actor.name} --email ADDRESS`",
        )
    if actor.email.casefold() == author_email.strip().casefold():
        return Forbidden(
            f"{actor.name} wrote this change, and authors may not publish their own",
            cure="ask another admin to review and publish it",
        )
    return None


def a_role(role: Role) -> str:
    """The role with its article, for sentences."""
    return f"an {role}" if role is Role.ADMIN else f"a {role}"


def bound_to_own(actor: Actor) -> bool:
    """Whether it matters to the actor who owns what."""
    return actor.rules is not None and actor.rules.owners_only and actor.role is not Role.ADMIN


def _theirs(actor: Actor, owner: str | None) -> bool:
    return not bound_to_own(actor) or owner is None or owner == actor.name or owner in actor.teams


def _within(actor: Actor, act: Act) -> bool:
    return actor.scopes is None or any(act in scope.acts for scope in actor.scopes)
