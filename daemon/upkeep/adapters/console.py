"""A channel that writes notices to a terminal or a file."""

from dataclasses import dataclass
from datetime import timedelta
from typing import TextIO
from urllib.parse import urljoin

from upkeep.domain.errors import TransientError
from upkeep.domain.notices import OwedNotice
from upkeep.domain.terminals import one_line


@dataclass(frozen=True, slots=True)
class ConsoleChannel:
    """Notices as paragraphs of text on a stream. `public_url` is where people reach the pages."""

    stream: TextIO
    public_url: str = ""
    pace: timedelta = timedelta()

    def check(self) -> str:
        """A stream is there or it is not."""
        return "it writes to the worker's output"

    def send(self, owed: OwedNotice, thread_receipt: str | None) -> str | None:
        """Write one notice at once; a stream has no threads and no receipts."""
        notice = owed.notice
        lines = [
            f"[{notice.channel}] {one_line(notice.headline)}",
            *(f"    {one_line(line)}" for line in notice.lines),
            *(f"    {one_line(link.label)}: {urljoin(self.public_url, link.path)}" for link in notice.links),
        ]
        encoding = getattr(self.stream, "encoding", None) or "utf-8"
        text = ("\n".join(lines) + "\n").encode(encoding, "replace").decode(encoding)
        try:
            self.stream.write(text)
            self.stream.flush()
        except (OSError, ValueError) as failure:
            raise TransientError(f"the console cannot be written to: {failure}") from failure
        return None
