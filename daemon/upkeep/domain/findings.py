"""What an inspection has to say about a file: what is wrong, where, and its cure."""

from collections.abc import Iterable, Sequence
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


def bounded(findings: Sequence[Finding], at_most: int) -> tuple[Finding, ...]:
    """So many of the findings, errors before the rest, and one more that says how many were left out."""
    if len(findings) <= at_most:
        return tuple(findings)
    worst_first = sorted(findings, key=lambda finding: list(Severity).index(finding.severity))
    kept, left = worst_first[:at_most], worst_first[at_most:]
    more = f"and {len(left):,} more finding{'' if len(left) == 1 else 's'}, not kept"
    return (*kept, Finding(left[0].severity, "more", more, cure="mend these first, or raise `limits.findings`"))


def has_errors(findings: Iterable[Finding]) -> bool:
    """Whether any of them fails a registration."""
    return any(finding.severity is Severity.ERROR for finding in findings)
