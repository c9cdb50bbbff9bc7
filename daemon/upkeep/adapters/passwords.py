"""Passwords by argon2id, with the parameters argon2-cffi takes from RFC 9106, section 4."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from threading import BoundedSemaphore

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from upkeep.domain.errors import TransientError

_AT_ONCE = 2
"""Each takes 64 MB while it is looked at, and strangers choose how many are sent."""


class Argon2Passwords:
    """Implements `flows.admit.Passwords`. An unknown name costs the same time as a known one. Few are looked at at a
    time; who has not had a turn after `wait_for` gets a TransientError."""

    def __init__(self, wait_for: timedelta = timedelta(seconds=5)) -> None:
        self._wait_for = wait_for
        self._places = BoundedSemaphore(_AT_ONCE)
        self._hasher = PasswordHasher()
        self._nobody = self._hasher.hash("the password of nobody")

    def hash(self, password: str) -> str:
        with self._place():
            return self._hasher.hash(password)

    def verify(self, encoded: str | None, password: str) -> bool:
        try:
            with self._place():
                matches = self._hasher.verify(encoded or self._nobody, password)
        except (VerificationError, InvalidHashError):
            return False
        return matches and encoded is not None

    def outdated(self, encoded: str) -> bool:
        return self._hasher.check_needs_rehash(encoded)

    @contextmanager
    def _place(self) -> Iterator[None]:
        """One of few places to hash at; TransientError when none is free for too long."""
        if not self._places.acquire(timeout=self._wait_for.total_seconds()):
            raise TransientError(
                "too many passwords are looked at just now", cure="try again in a moment", retry_after=self._wait_for
            )
        try:
            yield
        finally:
            self._places.release()
