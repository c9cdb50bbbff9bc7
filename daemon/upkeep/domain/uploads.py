"""Uploads: bundles that a person put into S3 instead of git, on their way to becoming versions."""

from dataclasses import dataclass
from datetime import datetime

from upkeep.domain.names import TemplateName, Version
from upkeep.domain.versions import CompatibleEnvironment


@dataclass(frozen=True, slots=True)
class Upload:
    """A bundle in S3 and the number it was given when it was asked for. `compatible_environments` stand in the request,
    not in the bundle; `message` is what it was described by."""

    template: TemplateName
    version: Version
    bucket: str
    key: str
    asked_by: str
    asked_at: datetime
    compatible_environments: tuple[CompatibleEnvironment, ...] = ()
    message: str = ""

    @property
    def place(self) -> str:
        """The object as people write it."""
        return f"s3://{self.bucket}/{self.key}"
