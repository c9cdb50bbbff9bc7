"""Key pairs that sign requests: the secret of one is derived from its id, and stands nowhere.

A signature can only be checked by who knows the secret itself, so a digest is not enough here. Instead of keeping
secrets sealed in the database, they are made anew each time from a master key that stands outside of it.
"""

import base64
import hmac
import os
import secrets
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from upkeep.flows.admit import TOKEN_PREFIX

SHORTEST_MASTER = 32
"""Letters of a master key. Whoever guesses it has every secret."""

_BYTES = 30


@dataclass(frozen=True, slots=True)
class DerivedSecrets:
    """The secrets that belong to ids under one master key."""

    master: bytes = field(repr=False)

    def __call__(self, key_id: str) -> str:
        """What only holders of the master key can find; it begins as all secrets of tokens do."""
        derived = hmac.digest(self.master, b"upkeep key pair\0" + key_id.encode(), "sha256")
        return TOKEN_PREFIX + base64.urlsafe_b64encode(derived[:_BYTES]).decode()


def kept_master(file: Path) -> bytes:
    """The master key in a file that only we may read, made there whole the first time, whoever comes first."""
    if not file.exists():
        made = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
        with os.fdopen(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
            stream.write(secrets.token_hex(32).encode() + b"\n")
        with suppress(FileExistsError):
            os.link(made, file)
        made.unlink()
    return file.read_bytes().strip()
