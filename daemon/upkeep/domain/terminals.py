"""Terminals: texts that others wrote, shown where control characters act instead of being read.

They could move the cursor over what stands there, forge lines of a log, or turn the direction of a line around
(https://trojansource.codes).
"""

import re

_ACTS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_COLOURS = re.compile("(\x1b\\[[0-9;]*m)")


def harmless(text: str) -> str:
    """The text with what acts on a terminal written as escapes of JSON; line ends and tabs stay."""
    return _ACTS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def one_line(text: str) -> str:
    """The same in one line."""
    return harmless(text).replace("\n", "\\n")


def harmless_but_colours(text: str) -> str:
    """The same with colours left as they are: they change nothing but colours."""
    return "".join(part if index % 2 else harmless(part) for index, part in enumerate(_COLOURS.split(text)))
