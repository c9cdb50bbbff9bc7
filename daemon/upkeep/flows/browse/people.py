"""What the page of people shows: who may come in, and how they do."""

from dataclasses import dataclass
from datetime import datetime

from upkeep.domain import guesses
from upkeep.domain.guesses import Guesses
from upkeep.domain.people import Act, Actor, Role, Session, Token, User, require
from upkeep.flows import admit
from upkeep.flows.ports import Unit


@dataclass(frozen=True, slots=True)
class UserRow:
    """A user with the number of their open sessions and of their tokens."""

    user: User
    sessions: int
    tokens: int


@dataclass(frozen=True, slots=True)
class PersonView:
    """A user with their keys; `failed` are wrong passwords of late."""

    user: User
    sessions: tuple[Session, ...]
    tokens: tuple[Token, ...]
    failed: Guesses
    last_admin: bool


def people(unit: Unit, *, actor: Actor, now: datetime) -> tuple[UserRow, ...]:
    """All users by name, for admins."""
    require(actor, Act.ADMIT)
    sessions = [session.user for session in unit.people.sessions() if session.expires_at > now]
    tokens = [token.user for token in unit.people.tokens()]
    return tuple(UserRow(user, sessions.count(user.name), tokens.count(user.name)) for user in unit.people.list())


def person(unit: Unit, name: str, *, actor: Actor, now: datetime) -> PersonView:
    """One user, for admins. NotFound when there is none of that name."""
    require(actor, Act.ADMIT)
    sessions = admit.sessions_of(unit, name, actor=actor, now=now)
    users = unit.people.list()
    (user,) = (each for each in users if each.name == name)
    return PersonView(
        user,
        tuple(sessions),
        tuple(admit.tokens_of(unit, name, actor=actor)),
        unit.people.failed_sign_ins(now - guesses.COUNTED_FOR, name),
        [each.name for each in users if each.role is Role.ADMIN] == [name],
    )
