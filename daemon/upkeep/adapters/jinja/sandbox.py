"""The environment templates run in: Jinja's defaults, nothing to load, nothing to change, no name that is missing."""

import difflib
import json
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

from jinja2 import FunctionLoader, Template, Undefined, UndefinedError
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import missing

from upkeep.adapters.jinja.filters import FILTERS, Lines
from upkeep.domain.namespaces import absent_cure


class TooLong(Exception):
    """The text grew beyond its limit while `line` of the template was written, as far as that is known."""

    line: int | None = None


class MissingName(UndefinedError):
    """A value was taken from a name that is not there."""

    def __init__(self, message: str, name: "Missing") -> None:
        super().__init__(message)
        self.name = name


class Missing(Undefined):
    """A name that is not there. It may be asked about (`is defined`, `default`), also for names behind it;
    any other use is an error that can say which name it was."""

    __slots__ = ("chain",)

    def __init__(
        self, hint: str | None = None, obj: Any = missing, name: str | None = None, exc: Any = UndefinedError
    ) -> None:
        super().__init__(hint, obj, name, self._missing_name if exc is UndefinedError else exc)  # type: ignore[arg-type]
        self.chain: tuple[Any, ...] = ()

    def _missing_name(self, message: str) -> MissingName:
        return MissingName(message, self)

    def _behind(self, name: Any) -> "Missing":
        known = (UndefinedError,) if self._undefined_exception == self._missing_name else (self._undefined_exception,)
        behind = Missing(self._undefined_hint, self._undefined_obj, self._undefined_name, *known)
        behind.chain = (*self.chain, name)
        return behind

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)  # Python asks for these by itself
        return self._behind(name)

    def __getitem__(self, name: Any) -> Any:
        return self._behind(name)

    def _refuse(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        self._fail_with_undefined_error()

    __iter__ = __str__ = __repr__ = __len__ = __bool__ = __contains__ = _refuse
    __eq__ = __ne__ = __hash__ = _refuse

    def explain(self, namespace: Mapping[str, Any]) -> tuple[str, str | None]:
        """What is missing, as a sentence with its whole path, and a cure if there is one."""
        name, holder = self._undefined_name, self._undefined_obj
        if self._undefined_hint:
            return self._undefined_hint, None
        if holder is missing:
            place, known = "", list(namespace)
        elif isinstance(holder, Mapping | list):
            place = _path_of(holder, namespace) or "this value"
            known = [key for key in holder if isinstance(key, str)] if isinstance(holder, Mapping) else []
        else:
            return f"a value of type {type(holder).__name__} has no `{name}`", None
        path = join_path(place, name)
        whole = path
        for step in self.chain:
            whole = join_path(whole, step)
        sentence = f"`{whole}` is not defined"
        if whole != path:
            sentence += f": there is no `{path}`"
        near = difflib.get_close_matches(str(name), known, 1)
        if near:
            return sentence, f"did you mean `{join_path(place, near[0])}`?"
        return sentence, absent_cure(path) or f"give it a value, or a default: `{path} | default(...)`"


def join_path(place: str, step: Any) -> str:
    """A dotted path with one more step."""
    if not isinstance(step, str):
        return f"{place}[{step if isinstance(step, int) else '…'}]"
    return f"{place}.{step}" if place else step


def _path_of(wanted: Any, within: Any, path: str = "") -> str | None:
    """Where an object stands in a namespace, found by identity. Paths are only needed once something is wrong."""
    if wanted is within:
        return path
    steps: Iterable[tuple[Any, Any]] = ()
    if isinstance(within, AbsentComponent):
        steps = (("outputs", within.outputs),)
    elif isinstance(within, Mapping):
        steps = within.items()
    elif isinstance(within, list):
        steps = enumerate(within)
    for step, value in steps:
        if isinstance(value, Mapping | list):
            found = _path_of(wanted, value, join_path(path, step))
            if found is not None:
                return found
    return None


class AbsentComponent(dict[str, Any]):
    """The component that is not attached: an empty map, and so are its outputs.

    Source: AWS Proton user guide, "Component CloudFormation IaC file parameter details": a reference to the whole
    object or to its outputs gives `{}`, one to a name or to a single output fails.
    """

    def __init__(self) -> None:
        super().__init__()
        self.outputs: dict[str, Any] = {}


class Sandbox(ImmutableSandboxedEnvironment):
    """Jinja with its defaults for white space, so that a text comes out byte for byte as Proton's did.

    What a filter gives back in several lines is indented to the column its placeholder stands at, whatever
    stands before it on the line: spaces, or `- `, behind which a map stays one item of the list. The first line
    stays where it is. Passed on to another filter, or joined with `~`, the result is a plain text.
    """

    def __init__(self, output_bytes: int) -> None:
        super().__init__(undefined=Missing, cache_size=0, autoescape=False, loader=FunctionLoader(lambda _name: None))
        self.filters.update(FILTERS)
        self.policies["json.dumps_function"] = _dumps
        self.output_bytes = output_bytes
        self.concat = self.lay_out  # type: ignore[method-assign]

    def getattr(self, obj: Any, attribute: str) -> Any:
        # An input may be called `values`: what a map holds comes before what it can do.
        if isinstance(obj, dict) and attribute in obj:
            return obj[attribute]
        # Behind what is not there is nothing either, whatever our own class can do.
        if isinstance(obj, Missing):
            return obj[attribute]
        return super().getattr(obj, attribute)

    def is_safe_callable(self, obj: Any) -> bool:
        # Calling what is not there is the error that names it; asking it for marks would be one about the mark.
        return isinstance(obj, Missing) or super().is_safe_callable(obj)

    def lay_out(self, pieces: Iterable[str]) -> str:
        """Join what a template puts out. Raises TooLong before the text exceeds its limit."""
        done: list[str] = []
        room = self.output_bytes
        for piece in pieces:
            text = _indented(piece, _column(done)) if type(piece) is Lines else piece
            room -= len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
            if room < 0:
                raise TooLong
            done.append(text)
        return "".join(done)

    def run(self, template: Template, namespace: dict[str, Any]) -> str:
        """Render a compiled template. Raises whatever the template does wrong."""
        furnished = _furnished(namespace)
        context: Context = template.new_context(furnished, shared=False)
        pieces = template.root_render_func(context)
        try:
            return self.lay_out(pieces)
        except TooLong as fault:
            frame = getattr(pieces, "gi_frame", None)
            fault.line = template.get_corresponding_lineno(frame.f_lineno) if frame else None
            raise


def _dumps(value: Any, **options: Any) -> str:
    """What `tojson` writes with, so that a missing name within the value is told by its name."""
    return json.dumps(value, default=_unwritable, **options)


def _unwritable(value: Any) -> NoReturn:
    if isinstance(value, Missing):
        str(value)  # raises the error that names it
    raise TypeError(f"a value of type {type(value).__name__} cannot be written as JSON")


def _furnished(namespace: dict[str, Any]) -> dict[str, Any]:
    match namespace:
        case {"service_instance": {"components": {"default": {**inside}} as components}} if not inside:
            components["default"] = AbsentComponent()
    return namespace


def _column(done: list[str]) -> int:
    column = 0
    for text in reversed(done):
        newline = text.rfind("\n")
        if newline >= 0:
            return column + len(text) - newline - 1
        column += len(text)
    return column


def _indented(lines: Lines, column: int) -> str:
    return lines.replace("\n", "\n" + " " * column)
