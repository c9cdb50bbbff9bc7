"""Secrets where they stand: in files and environment variables, read again each time so that they can be rotated."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from upkeep.domain.errors import StalledError
from upkeep.domain.sources import Credential, CredentialKind

_LONGEST = 64 << 10


class KeptSecrets:
    """Implements `flows.ports.Secrets`. One line end at the end of a file or variable does not belong to the secret."""

    def reveal(self, credential: Credential) -> str | None:
        """The secret a reference leads to, None for kind `none`. StalledError when it is missing, empty or no text."""
        match credential.kind:
            case CredentialKind.NONE:
                return None
            case CredentialKind.TOKEN_ENV:
                name = credential.reference
                secret, where = os.environ.get(name), f"environment variable {name}"
                if secret is None:
                    raise StalledError(
                        "the environment variable is not set", where=where, cure=f"set {name} and restart"
                    )
            case CredentialKind.TOKEN_FILE | CredentialKind.SSH_KEY_FILE:
                secret, where = _content(Path(credential.reference)), credential.reference
        if not (kept := secret.removesuffix("\n").removesuffix("\r")):
            raise StalledError("the secret is empty", where=where, cure="write the secret there")
        return kept


def _content(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(_LONGEST + 1)
    except OSError as error:
        cure = "create the file and make it readable for the user Upkeep runs as"
        raise StalledError(f"the secret cannot be read: {error.strerror}", where=str(path), cure=cure) from error
    if len(content) > _LONGEST:
        raise StalledError(
            "the secret is longer than 64 KB", where=str(path), cure="name the file that holds the secret"
        )
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        cure = "name the file that holds the secret, as text"
        raise StalledError("the secret is not UTF-8 text", where=str(path), cure=cure) from error


@dataclass(frozen=True, slots=True)
class GivenSecret:
    """Implements `flows.ports.Secrets` with one secret that the configuration itself holds."""

    text: str = field(repr=False)

    def reveal(self, credential: Credential) -> str | None:
        """The secret, whatever the reference."""
        return self.text
