"""Payloads: what is looked at of the JSON that GitHub sends."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from upkeep.domain.errors import CallerError


class _Repository(BaseModel):
    """The addresses of a repository."""

    clone_url: Any = None
    ssh_url: Any = None
    git_url: Any = None
    html_url: Any = None
    svn_url: Any = None


class _Payload(BaseModel):
    """What of a payload is looked at."""

    repository: Annotated[_Repository | Any, Field(union_mode="left_to_right")] = None
    ref: Any = None
    after: Any = None
    deleted: Any = None


_READER: TypeAdapter[_Payload | Any] = TypeAdapter(Annotated[_Payload | Any, Field(union_mode="left_to_right")])


def read_payload(text: str | bytes) -> Mapping[str, Any]:
    """The fields that are looked at. All of the text is read, but nothing else becomes a value: a push tells of
    thousands of commits. Raises CallerError when it is no JSON object."""
    try:
        payload = _READER.validate_json(text)
    except ValidationError as error:
        raise CallerError("the payload is not JSON", cure="send what GitHub sends") from error
    if not isinstance(payload, _Payload):
        raise CallerError("the payload is not a JSON object", cure="send what GitHub sends")
    return payload.model_dump(exclude_unset=True)
