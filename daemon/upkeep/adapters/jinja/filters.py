"""Proton's own filters.

Source: AWS Proton user guide, page "Parameter filters for CloudFormation IaC files".
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from jinja2 import Undefined
from jinja2.exceptions import FilterArgumentError

_HARMLESS = re.compile(r"[a-zA-Z0-9_-]*")
_POLICY_ARN = re.compile(r"arn:[a-zA-Z-]+:iam::\d{12}:policy/")
_ARN = re.compile(r"arn:[a-zA-Z-]+:[a-zA-Z0-9-]+:[a-zA-Z0-9-]*:(?:\d{12}|aws)?:[a-zA-Z0-9_+=,.@:/*~$%-]+")
_PLAIN = re.compile(r"(?![-.0-9])[a-zA-Z0-9_./-]+(?:::?[a-zA-Z0-9_./-]+)*")
_UNPRINTABLE = re.compile(r"[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")
_NOT_TEXT_IN_YAML = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}


class Lines(str):
    """YAML of possibly several lines, which takes the indentation of the place it is put in."""

    __slots__ = ()

    def __str__(self) -> str:
        # Output is turned into text before it is laid out; a plain text would have lost what it is.
        return self


def ecs_environment(value: Any, raw: bool = True) -> Lines:
    """`proton_cfn_ecs_task_definition_formatted_env_vars`: a map as a YAML list of `Name` and `Value`."""
    texts = _texts(value, raw)
    return Lines("\n".join(f"- Name: {_scalar(name)}\n  Value: {_scalar(text)}" for name, text in texts.items()))


def lambda_environment(value: Any, raw: bool = True) -> Lines:
    """`proton_cfn_lambda_function_formatted_env_vars`: a map as a YAML map of texts."""
    return Lines("\n".join(f"{_scalar(name)}: {_scalar(text)}" for name, text in _texts(value, raw).items()))


def policy_arns(value: Any) -> Lines:
    """`proton_cfn_iam_policy_arns`: the values of a map that are ARNs of IAM policies, as a YAML list."""
    texts = [text for text in _map(value).values() if isinstance(text, str)]
    return Lines("\n".join(f"- {_scalar(text)}" for text in texts if _POLICY_ARN.match(text)))


def sanitize(value: Any) -> Any:
    """`proton_cfn_sanitize`: the value itself when it is harmless or an ARN, else an error."""
    text = str(value)
    if not (_HARMLESS.fullmatch(text) or _ARN.fullmatch(text)):
        raise FilterArgumentError(
            f'Illegal character(s) detected in "{text}". Must match regex ^[a-zA-Z0-9_-]*$ or be a valid ARN'
        )
    return value


def _map(value: Any) -> Mapping[Any, Any]:
    if isinstance(value, Undefined):
        str(value)  # raises the error that names it
    if not isinstance(value, Mapping):
        raise FilterArgumentError(f"the filter takes a map, not a {type(value).__name__}")
    return value


def _texts(value: Any, raw: bool) -> dict[str, str]:
    texts = {str(name): _text(str(name), item) for name, item in _map(value).items()}
    for name, text in texts.items():
        if not raw and not _HARMLESS.fullmatch(text):
            raise FilterArgumentError(f'Illegal character(s) detected in "{text}" of {name}: use only a-zA-Z0-9_-')
    return texts


def _text(name: str, value: Any) -> str:
    if value is None:
        raise FilterArgumentError(f"`{name}` has no value")
    return value if isinstance(value, str) else json.dumps(value)


def _scalar(text: str) -> str:
    """A text as a YAML scalar that is read back as this text: plain where that is safe, else quoted."""
    if _PLAIN.fullmatch(text) and text.lower() not in _NOT_TEXT_IN_YAML:
        return text
    quoted = json.dumps(text, ensure_ascii=False)
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", quoted)


FILTERS: Mapping[str, Callable[..., Any]] = {
    "proton_cfn_ecs_task_definition_formatted_env_vars": ecs_environment,
    "proton_cfn_lambda_function_formatted_env_vars": lambda_environment,
    "proton_cfn_iam_policy_arns": policy_arns,
    "proton_cfn_sanitize": sanitize,
}
