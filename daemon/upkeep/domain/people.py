"""Who acts, and what each role may do."""

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


_MAY: dict[Role, frozenset[Act]] = {
    Role.VIEWER: frozenset({Act.LOOK}),
    Role.DEVELOPER: frozenset({Act.LOOK, Act.SYNC, Act.UPDATE, Act.ENROLL}),
    Role.ADMIN: frozenset(Act),
}


class Via(StrEnum):
    """The door an act came through."""

    WEB = "web"
    CLI = "cli"
    GIT = "git"
    SLACK = "slack"
    API = "api"
    DAEMON = "daemon"


@dataclass(frozen=True, slots=True)
class Actor:
    """The one who acts, as the audit trail names them."""

    name: str
    role: Role
    via: Via


DAEMON = Actor("upkeep", Role.ADMIN, Via.DAEMON)
"""The daemon acting by itself: polls, syncs, relays."""

NOBODY = Actor("", Role.VIEWER, Via.WEB)
"""A visitor who has not signed in."""


@dataclass(frozen=True, slots=True)
class User:
    """A named local user. `password_hash` is an argon2 encoded hash; `email` matches commit authors."""

    name: str
    role: Role
    password_hash: str
    created_at: datetime
    email: str | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """A signed-in browser. Only the SHA-256 of its secret is kept."""

    token_hash: str
    user: str
    created_at: datetime
    expires_at: datetime


def may(actor: Actor, act: Act) -> bool:
    """Whether the actor's role allows the act: what a page offers, and what a flow refuses."""
    return actor != NOBODY and act in _MAY[actor.role]


def require(actor: Actor, act: Act) -> None:
    """Raise SignedOut or Forbidden unless the actor's role allows the act."""
    if actor == NOBODY:
        raise SignedOut("you are not signed in", cure="sign in and try again")
    if not may(actor, act):
        raise Forbidden(
            f"{actor.name} is a {actor.role} and may not {act}",
            cure="ask an admin to do it or to change your role",
        )
