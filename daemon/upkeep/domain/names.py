"""Names, parsed once at the edge and trusted afterwards."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import NewType

from upkeep.domain.errors import CallerError

TemplateName = NewType("TemplateName", str)
"""Name of a template, unique among all sources. Proton's ResourceName rule."""

ResourceName = NewType("ResourceName", str)
"""Name of an environment, a service or an instance. Proton's ResourceName rule."""

SourceName = NewType("SourceName", str)
"""Name a source is spoken of by; the same rule as the other names."""

_NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z_\-]{0,99}")
_VERSION = re.compile(r"(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})")
_MAJOR_FOLDER = re.compile(r"(v?)(0|[1-9]\d{0,8})")


@dataclass(frozen=True, order=True, slots=True)
class Version:
    """A template version, written `major.minor`; ordered by number."""

    major: int
    minor: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"


def parse_version(text: str) -> Version:
    """Read `"1.3"`; raises CallerError for anything else."""
    found = _VERSION.fullmatch(text)
    if not found:
        raise CallerError(f"`{text}` is not a version", cure="write it as MAJOR.MINOR, for example 1.3")
    return Version(int(found[1]), int(found[2]))


def is_name(text: str) -> bool:
    """Whether the text satisfies Proton's ResourceName rule: letters, digits, `_` and `-`, 1 to 100 of them."""
    return _NAME.fullmatch(text) is not None


def parse_template_name(text: str) -> TemplateName:
    """Accept a template name or raise CallerError."""
    return TemplateName(_parsed(text, "template name"))


def parse_resource_name(text: str) -> ResourceName:
    """Accept the name of an environment, service or instance or raise CallerError."""
    return ResourceName(_parsed(text, "name"))


def parse_source_name(text: str) -> SourceName:
    """Accept a source name or raise CallerError."""
    return SourceName(_parsed(text, "source name"))


def _parsed(text: str, what: str) -> str:
    if not is_name(text):
        raise CallerError(
            f"`{text}` is not a {what}",
            cure="use 1 to 100 letters, digits, `_` and `-`, starting with a letter or digit",
        )
    return text


@dataclass(frozen=True, slots=True)
class MajorFolder:
    """What the name of a version folder says: its major and whether it is the usual `v<major>`."""

    major: int
    usual: bool


def parse_major_folder(folder: str) -> MajorFolder | None:
    """Read `v1` (usual) or `1` (unusual); None when the folder's name is no major."""
    found = _MAJOR_FOLDER.fullmatch(folder)
    return MajorFolder(int(found[2]), found[1] == "v") if found else None


class ResourceKind(StrEnum):
    """The three kinds that are deployed. A service as such is not."""

    ENVIRONMENT = "environment"
    INSTANCE = "instance"
    PIPELINE = "pipeline"


@dataclass(frozen=True, order=True, slots=True)
class ResourceKey:
    """What a resource is known by: `environment/test`, `instance/checkout/prod`, `pipeline/checkout`."""

    kind: ResourceKind
    name: ResourceName
    """The environment's or the instance's name; for a pipeline its service's."""
    service: ResourceName | None = None

    def __str__(self) -> str:
        if self.kind is ResourceKind.INSTANCE:
            return f"{self.kind}/{self.service}/{self.name}"
        return f"{self.kind}/{self.name}"

    @property
    def short(self) -> str:
        """How people speak of it: `test`, `checkout/prod`, `checkout pipeline`."""
        if self.kind is ResourceKind.INSTANCE:
            return f"{self.service}/{self.name}"
        return f"{self.name} pipeline" if self.kind is ResourceKind.PIPELINE else self.name


def environment_key(name: str) -> ResourceKey:
    """The key of an environment; raises CallerError when the name is not one."""
    return ResourceKey(ResourceKind.ENVIRONMENT, parse_resource_name(name))


def instance_key(service: str, name: str) -> ResourceKey:
    """The key of a service instance; raises CallerError when a name is not one."""
    return ResourceKey(ResourceKind.INSTANCE, parse_resource_name(name), parse_resource_name(service))


def pipeline_key(service: str) -> ResourceKey:
    """The key of a service's pipeline; raises CallerError when the name is not one."""
    name = parse_resource_name(service)
    return ResourceKey(ResourceKind.PIPELINE, name, name)


def parse_resource_key(text: str) -> ResourceKey:
    """Read what `str(key)` wrote; raises CallerError for anything else."""
    match text.split("/"):
        case ["environment", name]:
            return environment_key(name)
        case ["instance", service, name]:
            return instance_key(service, name)
        case ["pipeline", service]:
            return pipeline_key(service)
    raise CallerError(
        f"`{text}` is not a resource",
        cure="write environment/NAME, instance/SERVICE/NAME or pipeline/SERVICE",
    )
