"""Garbage: bytes, texts and values as nobody should send them, drawn from dice.

Most of it is something good that was damaged a little, because what is wrong from its first letter reaches nobody.
"""

import json
import random
from collections.abc import Sequence
from typing import Any

CANARY = "upkeep-trial-canary"
"""The name of the file that every attack wants to make."""

TOKENS: Sequence[str] = (
    "\0", "\x1b[2J", "\ud800", "\u202e", "\ufeff", "\r", "\n", "\t", "é", "💙", " ", "'", '"', "`", "\\", "/", "//",
    "..", "../..", "/etc/passwd", "-", "--", f"--upload-pack=touch {CANARY}", f"--output={CANARY}",
    f"ext::sh -c touch% {CANARY}", f"ext::touch {CANARY}", "file:///etc", "fd::17/foo", "ssh://-oProxyCommand=x/y",
    f"$(touch {CANARY})", f"; touch {CANARY};", f"|touch {CANARY}", "%s%n", "%00", "%2e%2e%2f", "&a [*a]", "*a", "&a",
    "!!python/object/apply:os.system ['x']", "!!binary x", "!Ref x", "!!map", "<<: *a", "? x", "---", "...", "%YAML 9",
    "[" * 80, "{" * 80, "- " * 60, "{a: " * 60, "}", "]", ":", ",", "#", "{{ ''.__class__ }}",
    "{% for x in range(99999999) %}", "{{ x.__init__.__globals__ }}", "{% include 'x' %}", "{{", "}}", "{%",
    "1e999", "-0", "0x7fffffffffffffff", "9" * 400, "NaN", ".inf", "1_000", "0o17", "2001-01-01", "null", "~", "true",
    "yes", "<script>alert(1)</script>", "<!@channel>", "' OR 1=1 --", "__proto__", "constructor", "${HOME}", "$ref",
    "#/", "allOf", "type: object", "properties:", "default:", "pattern: '(a+)+$'", "(a|a)*b", "refs/heads/",
    "refs/tags/x", "@{", "HEAD", "~1", "^{}", "v1", "v0", "v99999999999999999999", "1.0", "1.99999999999999999999",
    "Ⅷ", "\u0661", "latest",
)  # fmt: skip


def a_token(dice: random.Random) -> str:
    """One of them, or some letters."""
    return dice.choice(TOKENS) if dice.random() < 0.8 else "".join(map(chr, dice.choices(range(1, 0x2FF), k=8)))


def damaged(dice: random.Random, text: str, blows: int = 6) -> str:
    """A text after some blows: pieces cut out, doubled, moved, replaced, or a token put in."""
    for _ in range(dice.randint(1, blows)):
        at = dice.randint(0, len(text))
        to = min(len(text), at + dice.choice([1, 1, 4, 16, 64]))
        match dice.randrange(5):
            case 0:
                text = text[:at] + text[to:]
            case 1:
                text = text[:to] + text[at:to] * dice.choice([1, 2, 30]) + text[to:]
            case 2:
                text = text[:at] + a_token(dice) + text[at:]
            case 3:
                text = text[:at] + a_token(dice) + text[to:]
            case _:
                other = dice.randint(0, len(text))
                text = text[:at] + text[other : other + 20] + text[at:]
    return text[:200_000]


def damaged_bytes(dice: random.Random, content: bytes) -> bytes:
    """The same for bytes, which need not be a text afterwards."""
    if dice.random() < 0.5:
        return damaged(dice, content.decode("utf-8", "replace")).encode("utf-8", "surrogatepass")
    changed = bytearray(content)
    for _ in range(dice.randint(1, 8)):
        at = dice.randint(0, len(changed))
        to = min(len(changed), at + dice.choice([1, 1, 8, 64]))
        if dice.random() < 0.4:
            del changed[at:to]
        else:
            changed[at : at + dice.choice([0, 1, 4])] = dice.randbytes(dice.randint(1, 4))
    return bytes(changed)


def a_value(dice: random.Random, depth: int = 4) -> Any:
    """A JSON value of any shape."""
    match dice.randrange(9 if depth else 6):
        case 0:
            return None
        case 1:
            return dice.choice([True, False])
        case 2:
            return dice.choice([0, -1, 1, 2**31, 2**63, -(2**63), 10**30, 1.5, 1e308, -0.0])
        case 3 | 4 | 5:
            return a_token(dice) * dice.choice([1, 1, 1, 2, 500])
        case 6 | 7:
            return {a_token(dice)[:50]: a_value(dice, depth - 1) for _ in range(dice.randint(0, 4))}
        case _:
            return [a_value(dice, depth - 1) for _ in range(dice.randint(0, 4))]


def damaged_value(dice: random.Random, value: Any) -> Any:
    """A JSON value with one part of it replaced, left out or added."""
    if isinstance(value, dict) and value and dice.random() < 0.8:
        key = dice.choice(sorted(value))
        changed = dict(value)
        match dice.randrange(4):
            case 0:
                del changed[key]
            case 1:
                changed[a_token(dice)] = a_value(dice)
            case _:
                changed[key] = damaged_value(dice, value[key])
        return changed
    if isinstance(value, list) and value and dice.random() < 0.8:
        at = dice.randrange(len(value))
        return [*value[:at], damaged_value(dice, value[at]), *value[at + dice.randint(0, 1) :]]
    if isinstance(value, str) and dice.random() < 0.6:
        return damaged(dice, value, 2)
    return a_value(dice)


def as_body(dice: random.Random, value: Any) -> bytes:
    """The JSON of a value, sometimes damaged as a text as well."""
    text = json.dumps(value)
    if dice.random() < 0.2:
        return damaged_bytes(dice, text.encode())
    return text.encode("utf-8", "surrogatepass")
