"""Regular expressions that strangers wrote: the only door to the `regex` library.

Patterns are those of OpenAPI, which are found anywhere in a text unless they are anchored (ECMA-262, RegExp.test).
A backtracking pattern can take longer than the universe has time, so a search is given a bounded time; the `regex`
library can be stopped, which Python's own `re` cannot.
"""

from functools import lru_cache

import regex

LONGEST_PATTERN = 1000
"""How long a pattern may be, in characters."""

TIME_FOR = 0.1
"""How long one search may take, in seconds."""


class TooSlow(Exception):
    """The pattern could not be decided upon in time."""


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> regex.Pattern[str]:
    # ECMA-262's \d and \w know ASCII only.
    return regex.compile(pattern, regex.ASCII | regex.V0)


def fault_of(pattern: str) -> str | None:
    """Why this is no pattern, or None."""
    if len(pattern) > LONGEST_PATTERN:
        return f"it is longer than {LONGEST_PATTERN} characters"
    try:
        _compiled(pattern)
    except RecursionError:
        return "it nests too deep"
    except (regex.error, ValueError, OverflowError) as fault:
        return str(fault)
    return None


# Literals, classes of letters and digits, and groups, each perhaps repeated.
_PLAIN = regex.compile(
    r"(?:[(|]|(?:[A-Za-z0-9_ :@]|\\[.dw/]|\[\^?(?:[A-Za-z0-9_ .:@]|(?<=[A-Za-z0-9])-(?=[A-Za-z0-9])|\\[-.dw/])+\]|\))"
    r"(?:[*+?]|\{\d+(?:,\d*)?\})?)*"
)


def browsers_agree(pattern: str) -> bool:
    """Whether an HTML `pattern` attribute lets pass all that this pattern does, and no browser stumbles over it.

    An attribute must match the whole text and is read with the `v` flag, so only what is anchored at both ends and
    plain in between can be given to it (https://html.spec.whatwg.org/multipage/input.html#attr-input-pattern).
    Alternatives have to stand in a group.
    """
    inner = pattern[1:-1]
    if (
        pattern[:1] != "^"
        or pattern[-1:] != "$"
        or inner.endswith("\\")
        or not _PLAIN.fullmatch(inner, timeout=TIME_FOR)
    ):
        return False
    depth = 0
    for character in regex.sub(r"\\.|\[[^\]]*\]", "", inner):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if depth < 0 or (character == "|" and depth == 0):
            return False
    return True


def found(pattern: str, text: str) -> bool:
    """Whether the pattern, which has no fault, is found in the text; raises TooSlow."""
    # Python's `$` also matches before a line feed that ends the text, ECMA's does not: another one takes its place.
    subject = f"{text}\n" if text.endswith("\n") else text
    try:
        return _compiled(pattern).search(subject, timeout=TIME_FOR) is not None
    except (TimeoutError, MemoryError) as fault:
        raise TooSlow(pattern) from fault
