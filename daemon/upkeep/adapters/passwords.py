"""Passwords by argon2id, with the parameters argon2-cffi takes from RFC 9106, section 4."""

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError


class Argon2Passwords:
    """Implements `flows.admit.Passwords`. An unknown name costs the same time as a known one."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher()
        self._nobody = self._hasher.hash("the password of nobody")

    def hash(self, password: str) -> str:
        return self._hasher.hash(password)

    def verify(self, encoded: str | None, password: str) -> bool:
        try:
            matches = self._hasher.verify(encoded or self._nobody, password)
        except (VerificationError, InvalidHashError):
            return False
        return matches and encoded is not None

    def outdated(self, encoded: str) -> bool:
        return self._hasher.check_needs_rehash(encoded)
