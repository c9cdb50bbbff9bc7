"""Words: what the parameters and members of requests are made of."""

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field

ORDER = ConfigDict(extra="forbid", strict=True, frozen=True, defer_build=True)
"""Of what is asked for in a body: nothing is guessed, and what is not known is refused."""

QUERY = ConfigDict(extra="forbid", frozen=True, defer_build=True)
"""Of parameters, which come as texts."""

ANSWER = ConfigDict(extra="forbid", frozen=True, defer_build=True)
"""Of what is answered: it has every member that it is said to have, and no other."""

_WHOLE = re.compile(r"-?(0|[1-9][0-9]{0,17})")


def _flag(text: Any) -> Any:
    if text not in ("true", "false"):
        raise ValueError("this is neither `true` nor `false`")
    return text == "true"


def _number(text: Any) -> Any:
    if not isinstance(text, str) or not _WHOLE.fullmatch(text):
        raise ValueError("this is not a whole number")
    return int(text)


def _counted(number: Any) -> Any:
    return int(number) if isinstance(number, float) and number.is_integer() else number


Name = Annotated[str, Field(pattern=r"^[0-9A-Za-z][0-9A-Za-z_\-]{0,99}$", max_length=100)]
"""The name of a template, source, environment, service or instance."""

UserName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.@+\-]{0,99}$", max_length=100)]
"""The name of a user."""

Number = Annotated[str, Field(pattern=r"^(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})$", examples=["1.3"])]
"""A template version."""

Key = Annotated[
    str,
    Field(
        pattern=r"^(environment|pipeline|instance/[0-9A-Za-z][0-9A-Za-z_\-]{0,99})/[0-9A-Za-z][0-9A-Za-z_\-]{0,99}$",
        examples=["environment/test", "instance/checkout/prod", "pipeline/checkout"],
    ),
]
"""What a resource is known by."""

Id = Annotated[str, Field(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
"""What a deployment, a plan or a rollout is known by: a UUID."""

Owner = Annotated[str, Field(min_length=1, max_length=100)]
"""A team, or a user."""

Sentence = Annotated[str, Field(max_length=2000)]
"""A few words for people."""

Flag = Annotated[bool, BeforeValidator(_flag)]
"""A parameter that is `true` or `false`."""

Count = Annotated[int, BeforeValidator(_counted)]
"""A whole number in a body. JSON Schema counts 5.0 as one (2020-12, section 6.1.1 of its validation)."""

Whole = Annotated[int, BeforeValidator(_number)]
"""A parameter that is a whole number."""
