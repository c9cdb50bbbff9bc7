"""Users, sessions, tokens and kept keys in the store."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime

import sqlalchemy as sa

from upkeep.adapters.store.rows import session_of, session_values, token_of, token_values, user_of, user_values
from upkeep.adapters.store.tables import failed_sign_ins, secrets, sessions, tokens, users
from upkeep.adapters.store.transaction import Transaction
from upkeep.domain.errors import Conflict, NotFound
from upkeep.domain.guesses import COUNTED_FOR, Guesses
from upkeep.domain.people import Session, Token, User


class People:
    """The flows' PeopleBook."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def add(self, user: User) -> None:
        if not self._transaction.insert(users, user_values(user)):
            raise Conflict(f"a user `{user.name}` exists already", cure="choose another name")

    def find(self, name: str) -> User | None:
        row = self._transaction.row(self._transaction.kept(_USER), name=name)
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

    def find_vouched(self, provider: str, provider_id: str) -> User | None:
        query = sa.select(users).where(users.c.provider == provider, users.c.provider_id == provider_id)
        row = self._transaction.row(self._transaction.kept(query))
        return None if row is None else user_of(row)

    def rename(self, name: str, new: str) -> None:
        user = self.find(name)
        if user is None:
            raise _unknown(name)
        # Who refers to a user does so by name: the new row comes first, and its provider's id when the old one is gone.
        self.add(replace(user, name=new, provider_id=None))
        for table in (sessions, tokens):
            self._transaction.change(table, table.c.user == name, {"user": new})
        self.remove(name)
        self.save(replace(user, name=new))

    def add_session(self, session: Session) -> None:
        self._transaction.remove(sessions, sessions.c.expires_at <= session.created_at)
        self._transaction.connection.execute(self._transaction.inserting(sessions).values(**session_values(session)))

    def session(self, token_hash: str) -> Session | None:
        row = self._transaction.row(_SESSION, token_hash=token_hash)
        return None if row is None else session_of(row)

    def sessions(self, user: str | None = None) -> Sequence[Session]:
        query = sa.select(sessions).order_by(sessions.c.created_at, sessions.c.token_hash)
        if user is not None:
            query = query.where(sessions.c.user == user)
        return tuple(session_of(row) for row in self._transaction.rows(query))

    def note_seen(self, user: str, token_hash: str, address: str, at: datetime) -> None:
        self._transaction.change(sessions, sessions.c.token_hash == token_hash, {"seen_at": at, "address": address})
        self._transaction.change(users, users.c.name == user, {"seen_at": at})

    def remove_session(self, token_hash: str) -> None:
        self._transaction.remove(sessions, sessions.c.token_hash == token_hash)

    def remove_sessions(self, user: str, keep: str) -> int:
        return self._transaction.remove(sessions, (sessions.c.user == user) & (sessions.c.token_hash != keep))

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

    def failed_sign_ins(self, since: datetime, name: str | None = None, address: str | None = None) -> Guesses:
        counted = sa.select(sa.func.count().label("failures"), sa.func.max(failed_sign_ins.c.at).label("last_at"))
        query = counted.where(failed_sign_ins.c.at >= since, *_failed(name, address))
        row = self._transaction.connection.execute(query).one()
        return Guesses(row.failures, row.last_at)

    def note_failed_sign_in(self, name: str, address: str, at: datetime) -> None:
        self._transaction.remove(failed_sign_ins, failed_sign_ins.c.at < at - COUNTED_FOR)
        statement = self._transaction.inserting(failed_sign_ins).values(name=name, address=address, at=at)
        self._transaction.connection.execute(statement)

    def forget_failed_sign_ins(self, name: str | None = None, address: str | None = None) -> None:
        self._transaction.remove(failed_sign_ins, sa.and_(sa.true(), *_failed(name, address)))

    def secret(self, name: str, fresh: bytes) -> bytes:
        query = sa.select(secrets.c.value).where(secrets.c.name == name)
        row = self._transaction.row(query)
        if row is None:
            self._transaction.insert(secrets, {"name": name, "value": fresh})
            row = self._transaction.row(query)
        return fresh if row is None else bytes(row.value)


_USER = sa.select(users).where(users.c.name == sa.bindparam("name"))
_SESSION = sa.select(sessions).where(sessions.c.token_hash == sa.bindparam("token_hash"))


def _failed(name: str | None, address: str | None) -> Iterator[sa.ColumnElement[bool]]:
    if name is not None:
        yield failed_sign_ins.c.name == name
    if address is not None:
        yield failed_sign_ins.c.address == address


def _unknown(name: str) -> NotFound:
    return NotFound(f"there is no user `{name}`", cure="`upkeep user list` shows all")
