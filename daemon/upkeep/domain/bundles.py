"""A bundle: the files of one version folder. Reading it says what it is, or file:line what is wrong."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from upkeep.domain.findings import Finding
from upkeep.domain.versions import CompatibleEnvironment, TemplateKind


class Part(StrEnum):
    """A part of a template that is rendered and deployed by itself."""

    ENVIRONMENT = "environment"
    INSTANCE = "instance"
    PIPELINE = "pipeline"

    @property
    def folder(self) -> str:
        """The folder of the bundle that holds it."""
        return {"environment": "infrastructure"}.get(self.value, f"{self.value}_infrastructure")


@dataclass(frozen=True, slots=True)
class BundleFile:
    """A file of a bundle. `path` is relative to the version folder, `mode` git's (`100644`, `120000` a symlink,
    `160000` a submodule), `blob` its git object id. `content` is None when it was not read: it is no plain
    file, or larger than a file may be.
    """

    path: str
    mode: str
    blob: str
    size: int
    content: bytes | None


@dataclass(frozen=True, slots=True)
class Bundle:
    """All files of a version folder under the git tree id that names their content."""

    tree: str
    files: tuple[BundleFile, ...]


@dataclass(frozen=True, slots=True)
class TemplateFile:
    """An infrastructure template as text, with its path in the bundle."""

    path: str
    text: str


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a bundle was found to be. With error findings the other fields hold what could still be read."""

    kind: TemplateKind | None
    findings: tuple[Finding, ...]
    schema: str | None = None
    templates: Mapping[Part, TemplateFile] = field(default_factory=dict)
    compatible_environments: tuple[CompatibleEnvironment, ...] = ()
    supported_component_sources: tuple[str, ...] = ()
