"""The service model of AWS Proton that botocore carries: operations, shapes and their limits, read once at start.

Requests are checked against it and answers are shaped by it, so that no shape is written down a second time. Only the
reading half of botocore is loaded: no session, no client, no credentials. JSON as the protocol has it:
https://smithy.io/2.0/aws/protocols/aws-json-1_0-protocol.html
"""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import cache
from typing import Any

from botocore.exceptions import BotoCoreError
from botocore.loaders import Loader, create_loader
from botocore.model import ServiceModel as Shapes
from botocore.validate import ParamValidator

from upkeep.domain.errors import StalledError

SERVICE = "proton"

_LONGEST_FAULT = 300
"""botocore repeats the values that it finds wrong, however long."""

_FAULT, _REFUSAL = 500, 400
"""HTTP statuses of errors: the model marks those that are the service's own fault."""


class ServiceModel:
    """Implements `web.proton.protocol.Model`. One model serves all threads: it is only read."""

    def __init__(self, content: Mapping[str, Any]) -> None:
        self._shapes = Shapes(content, SERVICE)
        self.target = str(self._shapes.metadata["targetPrefix"])
        self.operations = frozenset(self._shapes.operation_names)

    def faults(self, operation: str, given: Mapping[str, Any]) -> list[str]:
        """What is wrong with the input of an operation, in sentences for the one who sent it."""
        shape = self._shapes.operation_model(operation).input_shape
        report = ParamValidator().validate(given, shape)
        first = report.generate_report().splitlines() if report.has_errors() else []
        return [fault[:_LONGEST_FAULT] for fault in first] + [*_beyond(given, shape, "")]

    def answer(self, operation: str, values: Mapping[str, Any]) -> dict[str, Any]:
        """Shape what an operation answers: members without a value left out, times as seconds since 1970.

        What the model does not know or misses is our mistake, and a ValueError.
        """
        answered: dict[str, Any] = _shaped(values, self._shapes.operation_model(operation).output_shape, operation)
        return answered

    def status(self, error: str) -> int:
        """The HTTP status of an error of the model, or of one that all AWS services have."""
        if error not in self._shapes.shape_names:
            return _REFUSAL
        return _FAULT if self._shapes.shape_for(error).metadata.get("fault") else _REFUSAL


def load(loader: Loader | None = None) -> ServiceModel:
    """Read the newest model of the installed SDK. StalledError when it has none, or one that cannot be read."""
    try:
        return ServiceModel((loader or create_loader()).load_service_model(SERVICE, "service-2"))
    except (BotoCoreError, KeyError, OSError, ValueError) as error:
        raise StalledError(
            f"the installed botocore has no usable service model of AWS Proton: {error}",
            where="botocore",
            cure="install a version of boto3 that has it; everything else works without",
        ) from error


def _beyond(value: Any, shape: Any, place: str) -> Iterator[str]:
    """What botocore leaves to the service: longest and highest, patterns, and the values of an enumeration."""
    limits = shape.metadata
    match shape.type_name, value:
        case "structure", dict():
            for name, member in value.items():
                if name in shape.members:
                    yield from _beyond(member, shape.members[name], f"{place}.{name}".removeprefix("."))
        case "list", list():
            if len(value) > limits.get("max", len(value)):
                yield f"`{place}` has more than {limits['max']} members"
                return
            for position, member in enumerate(value):
                yield from _beyond(member, shape.member, f"{place}[{position}]")
        case "string", str():
            if len(value) > limits.get("max", len(value)):
                yield f"`{place}` is longer than {limits['max']} characters"
            elif shape.enum and value not in shape.enum:
                yield f"`{place}` is none of {', '.join(shape.enum)}"
            elif "pattern" in limits and not _pattern(limits["pattern"]).fullmatch(value):
                yield f"`{place}` does not match {limits['pattern']}"
        case "integer", bool():
            yield f"`{place}` is of the wrong type"
        case "integer", int() if value > limits.get("max", value):
            yield f"`{place}` is higher than {limits['max']}"


@cache
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text, re.ASCII)


def _shaped(value: Any, shape: Any, place: str) -> Any:
    match shape.type_name:
        case "structure":
            known = {name: member for name, member in value.items() if member is not None}
            wrong = set(known) - set(shape.members) | set(shape.required_members) - set(known)
            if wrong:
                raise ValueError(f"{place} is answered with other members than the model has: {sorted(wrong)}")
            return {name: _shaped(member, shape.members[name], f"{place}.{name}") for name, member in known.items()}
        case "list":
            return [_shaped(member, shape.member, place) for member in value]
        case "timestamp" if isinstance(value, datetime):
            return value.timestamp()
        case "string":
            return str(value)
    return value
