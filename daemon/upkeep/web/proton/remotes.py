"""Repositories as Proton speaks of them, by provider and `owner/name`, and as sources have them, by their address."""

import re

from upkeep.domain.errors import CallerError
from upkeep.domain.sources import Source

_HOSTS = {"GITHUB": "github.com", "BITBUCKET": "bitbucket.org"}
_ENTERPRISE = "GITHUB_ENTERPRISE"
_ADDRESS = re.compile(r"(?:\w+://)?(?:[^@/]*@)?([^/:]*)(?::\d+)?[:/](.*)")


def provider_of(url: str) -> str:
    """The provider of a repository. A host of one's own is taken for GitHub Enterprise, for which Proton had a word."""
    found = _ADDRESS.fullmatch(url)
    host = found[1].lower() if found else ""
    return next((provider for provider, known in _HOSTS.items() if host == known), _ENTERPRISE)


def name_of(url: str) -> str:
    """`owner/name`, the last two steps of the address."""
    found = _ADDRESS.fullmatch(url)
    steps = [step for step in (found[2] if found else url).removesuffix(".git").split("/") if step]
    return "/".join(["git", *steps][-2:])


def is_of(source: Source, provider: str, name: str) -> bool:
    """Whether a source reads the repository that Proton would name so."""
    return (provider_of(source.url), name_of(source.url)) == (provider, name)


def address_of(provider: str, name: str) -> str:
    """Where a repository is. CallerError for a host of one's own, which Proton's parameters do not name."""
    host = _HOSTS.get(provider)
    if host is None:
        raise CallerError(
            f"no source reads the repository {name}, and its provider does not say at which host it is",
            cure="add it with `upkeep source add`, which takes any address",
        )
    return f"https://{host}/{name}.git"
