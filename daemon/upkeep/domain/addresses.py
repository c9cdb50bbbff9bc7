"""Which repository addresses and branch names are accepted, before git sees them."""

import re
from urllib.parse import urlsplit

from upkeep.domain.errors import CallerError

_HOST = r"(?:[0-9A-Za-z](?:[0-9A-Za-z.-]*[0-9A-Za-z])?|\[[0-9A-Fa-f:.]+\])"
_USER = r"[0-9A-Za-z_.][0-9A-Za-z_.+-]*"
_PATH = r"[^\s\x00-\x1f\x7f]"
_WEB = re.compile(rf"https?://(?:{_USER}@)?{_HOST}(?::\d{{1,5}})?/{_PATH}+", re.I)
_SSH = re.compile(rf"ssh://(?:{_USER}@)?{_HOST}(?::\d{{1,5}})?/(?!-){_PATH}+", re.I)
_SCP = re.compile(rf"(?!(?:file|https?|ssh|git|ftps?):)(?:{_USER}@)?{_HOST}:(?!//|:|-){_PATH}+", re.I)
"""A host that is called like a scheme is a slip: `https:/HOST/PATH` would be asked of the host `https`, by ssh."""
_SECRET_USER = re.compile(
    r"https?://(?:gh[pousr]_|github_pat_|glpat-|xox[a-z]-|AKIA|ATBB|[0-9A-Za-z_-]{36,}@)[^/]*", re.I
)
"""What stands for a user and is a token of GitHub, GitLab, Bitbucket or another, or as long as one."""
_LOCAL = re.compile(r"(?:file://)?/[^\x00-\x1f\x7f]*")
_FORBIDDEN_IN_REF = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/\.|\.$|\.lock(?:/|$)|^[./-]|/$")


def check_address(url: str, *, allow_local: bool) -> None:
    """Raise CallerError unless it is an https, http or ssh address, or a place on this machine where those are allowed.

    An allow-list, because git takes other forms for helper programs (`ext::`) or options (`--upload-pack=`).
    """
    if _has_password(url):
        raise CallerError(
            "the address of the repository holds a password",
            cure="leave it out and give the source a credential, which is kept out of the database and logs",
        )
    if _SECRET_USER.match(url):
        raise CallerError(
            "the address of the repository holds a token",
            cure="leave it out and give the source a credential, which is kept out of the database and logs",
        )
    if any(form.fullmatch(url) for form in (_WEB, _SSH, _SCP)):
        return
    if _LOCAL.fullmatch(url):
        if allow_local:
            return
        raise CallerError(
            f"`{url}` is a place on this machine, which is not allowed here",
            cure="use the address it is served at, or allow local repositories in the configuration",
        )
    raise CallerError(
        f"`{url}` is not a repository address that is accepted",
        cure="write https://HOST/PATH, ssh://USER@HOST/PATH or USER@HOST:PATH",
    )


def check_branch(name: str) -> None:
    """Raise CallerError unless git accepts it as a branch, see https://git-scm.com/docs/git-check-ref-format."""
    if not name or name == "@" or len(name) > 200 or _FORBIDDEN_IN_REF.search(name):
        raise CallerError(f"`{name}` is not a branch name", cure="write it as `git branch` shows it, for example main")


def check_subdirectory(path: str) -> None:
    """Raise CallerError unless it is a folder inside the repository, written from its root; empty is the root."""
    parts = path.split("/")
    if path and (any(part in ("", ".", "..") for part in parts) or not path.isprintable()):
        raise CallerError(
            f"`{path}` is not a folder of a repository",
            cure="write it from the root without `./` and final slash, for example platform/templates",
        )


def _has_password(url: str) -> bool:
    try:
        return "://" in url and urlsplit(url).password is not None
    except ValueError:
        return False
