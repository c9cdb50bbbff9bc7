"""What an inspection has to say about a file: what is wrong, where, and its cure."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum


class Severity(StrEnum):
    """ERROR fails a registration, WARNING is shown with it, ADVICE is shown when asked for."""

    ERROR = "error"
    WARNING = "warning"
    ADVICE = "advice"


@dataclass(frozen=True, slots=True)
class Finding:
    """One remark. `slug` is stable, `path` relative to what was inspected, `line` counted from 1."""

    severity: Severity
    slug: str
    message: str
    path: str = ""
    line: int | None = None
    cure: str | None = None

    @property
    def where(self) -> str:
        """The place as `path:line`, `path`, or an empty text."""
        return f"{self.path}:{self.line}" if self.line is not None else self.path

    def under(self, folder: str) -> "Finding":
        """The same finding with its path counted from outside `folder`."""
        return replace(self, path="/".join(part for part in (folder, self.path) if part))

    def __str__(self) -> str:
        place = f"{self.where}: " if self.path else ""
        advice = f" — {self.cure}" if self.cure else ""
        return f"{place}{self.severity}: {self.message}{advice}"


def error(slug: str, message: str, path: str = "", line: int | None = None, cure: str | None = None) -> Finding:
    """A finding that fails a registration."""
    return Finding(Severity.ERROR, slug, message, path, line, cure)


def warning(slug: str, message: str, path: str = "", line: int | None = None, cure: str | None = None) -> Finding:
    """A finding that is shown and stops nothing."""
    return Finding(Severity.WARNING, slug, message, path, line, cure)


def has_errors(findings: Iterable[Finding]) -> bool:
    """Whether any of them fails a registration."""
    return any(finding.severity is Severity.ERROR for finding in findings)
