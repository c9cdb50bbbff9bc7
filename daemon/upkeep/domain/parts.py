"""The parts of a template."""

from enum import StrEnum


class Part(StrEnum):
    """A part of a template that is rendered and deployed by itself."""

    ENVIRONMENT = "environment"
    INSTANCE = "instance"
    PIPELINE = "pipeline"

    @property
    def folder(self) -> str:
        """The folder of the bundle that holds it."""
        return {"environment": "infrastructure"}.get(self.value, f"{self.value}_infrastructure")
