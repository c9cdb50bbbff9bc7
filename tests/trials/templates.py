"""Templates that want out of their box, or want all of the host: known ways, and ways made up from their parts.

Each is checked and rendered by the real worker under its limits. It ends as a text or an error in time, the worker
never takes more memory than it may, and afterwards an honest template renders as before. What a render gives back never
holds anything of the host: the environment, files, or the insides of Python.
"""

import os
import re
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path
from random import Random

from tests.contracts.test_renderer import BOMBS, ESCAPES, INSTANCE, PATH
from tests.trials import garbage
from tests.trials.installation import children, command_of
from tests.trials.trial import Outcome, Promise, Rounds, Trial, chance
from upkeep.adapters.jinja import JinjaRenderer
from upkeep.domain.bundles import TemplateFile
from upkeep.domain.errors import UpkeepError
from upkeep.domain.parts import Part

TIME_FOR = timedelta(milliseconds=300)
MEMORY = 128 << 20
OUTPUT = 100_000
ENDS_WITHIN = 15.0
"""Seconds. The limit counts processor time, and the machine may be busy with other things."""

MARK = "a-secret-of-the-host-3f9c"
_LEAKS = re.compile(rf"{MARK}|<(class|function|module|built-in|frame|code|generator) |root:x:0|object at 0x")

OBJECTS = [
    "lipsum", "cycler", "joiner", "namespace", "range", "dict", "self", "loop", "caller", "service", "environment",
    "''", "()", "{}", "[]", "1", "1.5", "none", "true", "service_instance.inputs.names", "service_instance.inputs",
    "(lipsum|string)", "request", "config", "get_flashed_messages", "url_for", "undefined_thing", "varargs", "kwargs",
    "self._TemplateReference__context",
]  # fmt: skip
NAMES = [
    "__class__", "__mro__", "__base__", "__bases__", "__subclasses__", "__globals__", "__builtins__", "__init__",
    "__import__", "__getattribute__", "__dict__", "__code__", "func_globals", "gi_frame", "gi_code", "cr_frame",
    "tb_frame", "f_globals", "mro", "os", "popen", "system", "sys", "modules", "environ", "eval", "exec", "open",
    "read", "format", "format_map", "__format__", "__reduce_ex__", "_module", "loader", "environment", "filters",
    "globals", "eval_ctx", "parent", "name", "blocks", "vars", "append", "extend", "pop", "update", "clear",
    "setdefault", "sort", "encode", "decode", "translate", "maketrans",
]  # fmt: skip
CALLS = ["('id')", "()", "(0)", "(1000000)", "('/etc/passwd')", "(['a'], **{'x': 1})", "('os')", "[0]", "['__class__']"]
FILTERS = [
    "attr('{name}')", "map(attribute='{name}')|list", "map('attr', '{name}')|list", "selectattr('{name}')|list",
    "groupby('{name}')", "string", "list", "join", "format(1)", "safe", "e", "tojson", "pprint", "xmlattr", "urlize",
    "indent(99999999)", "center(10**8)", "batch(10**7)|list", "wordwrap(1)", "random", "sum(start='')", "reverse",
    "sort(attribute='{name}')", "truncate(10**9)", "replace('', 'a'*9999)", "proton_cfn_sanitize", "first", "last",
    "slice(10**7)|list", "round(10**9)", "filesizeformat", "unique",
]  # fmt: skip
GROWTH = [
    "'a' * {n}", "[1] * {n}", "'%{n}d' | format(1)", "'a'.center({n})", "'a'.ljust({n})", "'{{:>{n}}}'.format(1)",
    "{n} ** {n}", "10 ** {n}", "range({n}) | list", "range({n}) | sum", "lipsum(n={n})",
    "('a,' * 9999).split(',') * {n}", "'a'.replace('a', 'a' * {n})", "'a'.zfill({n})", "'a'.expandtabs({n})",
    "'\\t' .expandtabs({n})", "(1,) * {n}", "dict(a='x' * {n})", "'a'.join(['b'] * {n})", "'\\xe9'.encode() * {n}",
    "1 << {n}", "'x'.encode().hex() * {n}", "{n} | string * 9", "'%.{n}f' | format(1.1)",
]  # fmt: skip


def a_template(dice: Random) -> str:
    """A known attack, one of its kin, or a combination."""
    match dice.randrange(7):
        case 0:
            return dice.choice(ESCAPES)
        case 1:
            return dice.choice(BOMBS)[0]
        case 2:
            size = dice.choice(["9**9", "10**8", "10**9", "10**12", "2**31", "-1"])
            return "{{ " + dice.choice(GROWTH).replace("{n}", size) + " }}"
        case 3:
            inner = dice.choice(GROWTH).replace("{n}", str(dice.choice([10, 1000, 10**6])))
            loops = dice.randint(1, 4)
            return "{% for a in range(99999) %}" * loops + "{{ " + inner + " }}" + "{% endfor %}" * loops
        case 4:
            return garbage.damaged(dice, dice.choice([*ESCAPES, *(text for text, _ in BOMBS if len(text) < 500)]), 3)
        case _:
            return "{{ " + _reach(dice) + " }}"


def _reach(dice: Random) -> str:
    way = dice.choice(OBJECTS)
    for _ in range(dice.randint(1, 6)):
        name = dice.choice(NAMES)
        match dice.randrange(5):
            case 0:
                way += f".{name}"
            case 1:
                way += f"['{name}']"
            case 2:
                way = f"({way} | {dice.choice(FILTERS).replace('{name}', name)})"
            case 3:
                way += dice.choice(CALLS)
            case _:
                way = f"'{{0.{name}}}{{0[{name}]}}'.format({way})"
    return way


def _memory_of_workers() -> int:
    """Bytes of address space of the largest of our rendering processes, at its peak."""
    peaks = [0]
    for pid in children(os.getpid()):
        if "jinja.worker" in command_of(pid):
            try:
                status = Path(f"/proc/{pid}/status").read_text()
            except OSError:
                continue
            peaks += [int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM")]
    return max(peaks)


def run(seed: int, rounds: int, folder: Path) -> Outcome:
    """Rounds of fifty templates each."""
    dice = chance(seed, "templates")
    broken: list[str] = []
    ended: Counter[str] = Counter()
    slowest, largest = (0.0, ""), 0
    os.environ["UPKEEP_TRIAL_MARK"] = MARK
    (folder / "secret").write_text(MARK)
    honest = TemplateFile(PATH, "{{ service.name }}")
    try:
        with JinjaRenderer(workers=1, time_for=TIME_FOR, memory_bytes=MEMORY, output_bytes=OUTPUT) as renderer:
            for number in range(rounds * 50):
                text = a_template(dice)
                template = TemplateFile(PATH, text)
                for what in ("check", "render"):
                    began = time.monotonic()
                    try:
                        said = (
                            renderer.render(template, INSTANCE)
                            if what == "render"
                            else str(renderer.check(template, Part.INSTANCE))
                        )
                        ended["a text" if what == "render" else "findings"] += 1
                    except UpkeepError as error:
                        said = str(error)
                        ended["an error"] += 1
                    took = time.monotonic() - began
                    slowest = max(slowest, (took, text))
                    if took > ENDS_WITHIN:
                        broken.append(f"{what} took {took:.0f} s: {text[:300]}")
                    if len(said) > OUTPUT * 2:
                        broken.append(f"{what} gave {len(said):,} letters: {text[:300]}")
                    if (what == "render" and _LEAKS.search(said)) or MARK in said:
                        broken.append(f"{what} told of the host: {said[:200]} ({text[:300]})")
                if number % 10 == 0:
                    largest = max(largest, _memory_of_workers())
                    if renderer.render(honest, INSTANCE) != "checkout":
                        broken.append(f"an honest template renders otherwise after {text[:300]}")
            largest = max(largest, _memory_of_workers())
    finally:
        del os.environ["UPKEEP_TRIAL_MARK"]
    if largest > MEMORY:
        broken.append(f"a worker took {largest >> 20} MB of {MEMORY >> 20}")
    if strays := [str(path) for path in Path.cwd().glob(garbage.CANARY)]:
        broken.append(f"a template wrote {strays}")
    if left := [pid for pid in children(os.getpid()) if "jinja.worker" in command_of(pid)]:
        broken.append(f"workers are left: {left}")
    outcomes = ", ".join(f"{count:,} {what}" for what, count in sorted(ended.items()))
    return Outcome(
        f"{rounds * 50:,} templates, each checked and rendered: {outcomes}",
        f"slowest {slowest[0]:.1f} s under a limit of {TIME_FOR.total_seconds()} s of processor time, largest worker"
        f" {largest >> 20} MB of {MEMORY >> 20} MB, nothing of the host in any text",
        tuple(broken),
    )


TRIAL = Trial("templates", Promise.TEMPLATES, Rounds(0, 6, 400), run)
