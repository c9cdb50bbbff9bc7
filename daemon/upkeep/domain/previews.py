"""A preview: what a draft would change in the resources that could take it."""

from dataclasses import dataclass
from datetime import datetime

from upkeep.domain.differences import Block, read_hunks
from upkeep.domain.names import TemplateName, Version


@dataclass(frozen=True, slots=True)
class PreviewGroup:
    """Resources whose rendered template changes in the same way.

    `diff` is a unified diff of the rendered templates, empty when nothing changes, and cut off when it is very long;
    `whole` is one with every line in it, empty when there was no room to keep it. `failure` says why the draft cannot
    be rendered for them. `resources` are keys as text, the first of them the one the diffs are of, `running` the
    versions they run now.
    """

    resources: tuple[str, ...]
    running: tuple[str, ...]
    diff: str = ""
    failure: str | None = None
    whole: str = ""

    @property
    def blocks(self) -> tuple[Block, ...]:
        """What differs, with every unchanged line if those are kept."""
        return read_hunks(self.whole or self.diff)


@dataclass(frozen=True, slots=True)
class Preview:
    """The rendered differences of one version for every resource on its major, grouped."""

    template: TemplateName
    version: Version
    at: datetime
    groups: tuple[PreviewGroup, ...]
