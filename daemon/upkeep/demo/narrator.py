"""The voice of the demonstration: numbered steps, short lines, and notices as they come."""

import threading
from typing import TextIO

_MARGIN = "    "


class Narrator:
    """Tells a story on a stream; `current` names the step it is at. Notices come from another thread, so a line is
    written whole."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self._steps = 0
        self.current = "before the first step"

    def title(self, text: str) -> None:
        """A line of its own, before the first step or after the last."""
        self._write(f"\n{text}")

    def step(self, text: str) -> None:
        """Begin the next numbered step."""
        self._steps += 1
        self.current = f"step {self._steps} ({text})"
        self._write(f"\n{self._steps:2}. {text}")

    def line(self, text: str = "") -> None:
        """Something that happened in this step."""
        self._write(f"{_MARGIN}{text}".rstrip())

    def table(self, *rows: tuple[str, ...]) -> None:
        """Lines with their columns set under each other."""
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            self.line("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)))

    def notice(self, text: str) -> None:
        """A line of a notice that the daemon sent."""
        self._write(f"{_MARGIN}| {text}")

    def _write(self, text: str) -> None:
        with self._lock:
            print(text, file=self._stream, flush=True)
