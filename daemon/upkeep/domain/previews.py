"""A preview: what a draft would change in the resources that could take it."""

from dataclasses import dataclass
from datetime import datetime

from upkeep.domain.names import TemplateName, Version


@dataclass(frozen=True, slots=True)
class PreviewGroup:
    """Resources whose rendered template changes in the same way.

    `diff` is a unified diff of the rendered templates, empty when nothing changes; `failure` says why the draft
    cannot be rendered for them. `resources` are keys as text, `running` the versions they run now.
    """

    resources: tuple[str, ...]
    running: tuple[str, ...]
    diff: str = ""
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class Preview:
    """The rendered differences of one version for every resource on its major, grouped."""

    template: TemplateName
    version: Version
    at: datetime
    groups: tuple[PreviewGroup, ...]
