"""Users, sessions, tokens and kept keys in the store."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa

from upkeep.adapters.store.rows import session_of, session_values, token_of, token_values, user_of, user_values
from upkeep.adapters.store.tables import failed_sign_ins, secrets, sessions, tokens, users
from upkeep.adapters.store.transaction import Transaction
from upkeep.domain.errors import Conflict, NotFound
from upkeep.domain.people import Session, Token, User

FAILURES_KEPT_FOR = timedelta(days=1)
"""Failed sign-ins are forgotten after this; nobody asks for older ones."""


class People:
    """The flows' PeopleBook."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def add(self, user: User) -> None:
        if not self._transaction.insert(users, user_values(user)):
            raise Conflict(f"a user `{user.name}` exists already", cure="choose another name")

    def find(self, name: str) -> User | None:
        row = self._transaction.row(self._transaction.kept(sa.select(users).where(users.c.name == name)))
        return None if row is None else user_of(row)

    def list(self) -> Sequence[User]:
        query = self._transaction.kept(sa.select(users).order_by(users.c.name))
        return tuple(user_of(row) for row in self._transaction.rows(query))

    def save(self, user: User) -> None:
        if not self._transaction.change(users, users.c.name == user.name, user_values(user)):
            raise _unknown(user.name)

    def remove(self, name: str) -> None:
        if not self._transaction.remove(users, users.c.name == name):
            raise _unknown(name)

    def add_session(self, session: Session) -> None:
        self._transaction.remove(sessions, sessions.c.expires_at <= session.created_at)
        self._transaction.connection.execute(self._transaction.inserting(sessions).values(**session_values(session)))

    def session(self, token_hash: str) -> Session | None:
        row = self._transaction.row(sa.select(sessions).where(sessions.c.token_hash == token_hash))
        return None if row is None else session_of(row)

    def remove_session(self, token_hash: str) -> None:
        self._transaction.remove(sessions, sessions.c.token_hash == token_hash)

    def add_token(self, token: Token) -> None:
        self._transaction.connection.execute(self._transaction.inserting(tokens).values(**token_values(token)))

    def find_token(self, token_hash: str) -> Token | None:
        row = self._transaction.row(sa.select(tokens).where(tokens.c.token_hash == token_hash))
        return None if row is None else token_of(row)

    def tokens(self, user: str | None = None) -> Sequence[Token]:
        query = sa.select(tokens).order_by(tokens.c.created_at, tokens.c.id)
        if user is not None:
            query = query.where(tokens.c.user == user)
        return tuple(token_of(row) for row in self._transaction.rows(query))

    def note_token_used(self, token_id: str, at: datetime) -> None:
        self._transaction.change(tokens, tokens.c.id == token_id, {"used_at": at})

    def remove_token(self, token_id: str) -> None:
        self._transaction.remove(tokens, tokens.c.id == token_id)

    def failed_sign_ins(self, name: str, since: datetime) -> int:
        query = sa.select(sa.func.count()).where(failed_sign_ins.c.name == name, failed_sign_ins.c.at >= since)
        return int(self._transaction.connection.execute(query).scalar_one())

    def note_failed_sign_in(self, name: str, at: datetime) -> None:
        self._transaction.remove(failed_sign_ins, failed_sign_ins.c.at < at - FAILURES_KEPT_FOR)
        self._transaction.connection.execute(self._transaction.inserting(failed_sign_ins).values(name=name, at=at))

    def secret(self, name: str, fresh: bytes) -> bytes:
        query = sa.select(secrets.c.value).where(secrets.c.name == name)
        row = self._transaction.row(query)
        if row is None:
            self._transaction.insert(secrets, {"name": name, "value": fresh})
            row = self._transaction.row(query)
        return fresh if row is None else bytes(row.value)


def _unknown(name: str) -> NotFound:
    return NotFound(f"there is no user `{name}`", cure="`upkeep user list` shows all")
