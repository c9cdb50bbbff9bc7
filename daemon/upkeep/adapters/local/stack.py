"""A stack that is not made: what CloudFormation would refuse in its template, and what stands in for its outputs."""

import base64
import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from upkeep.domain import documents
from upkeep.domain.changesets import StackChange
from upkeep.domain.documents import Document
from upkeep.domain.errors import CallerError

REGION = "local-1"
ACCOUNT = "000000000000"

_LARGEST = 1_000_000
"""Characters and values that may come up while the outputs of one stack are worked out."""

_LONGEST_OUTPUT = 4_096
"""Characters kept of one output."""

_VARIABLE = re.compile(r"\$\{(!?)([^${}]*)\}")


def outputs_of(text: str, path: str, stack: str) -> dict[str, str]:
    """A readable stand-in for each output of a template, the same for the same template and stack name.

    Raises CallerError, naming the line, for a template that CloudFormation would refuse: one that is no YAML, has
    no resources, holds a null or an output without value. Resources are not looked into.
    """
    document = documents.load_template(text, path)
    if not isinstance(document.value, dict):
        raise CallerError("the template is no mapping", where=document.where(), cure="give it `Resources`")
    _refuse_nulls(document, document.value, ())
    resources = document.value.get("Resources")
    if not isinstance(resources, dict) or not resources:
        raise CallerError(
            "At least one Resources member must be defined", where=document.where("Resources"), cure="add a resource"
        )
    outputs = document.value.get("Outputs", {})
    if not isinstance(outputs, dict):
        raise CallerError("`Outputs` is no mapping", where=document.where("Outputs"), cure="write `NAME:` lines below")
    worth = _Stack(document.value, stack)
    found = {}
    for name, output in outputs.items():
        if not isinstance(output, dict) or "Value" not in output:
            message = "Every Outputs member must contain a Value object"
            raise CallerError(message, where=document.where("Outputs", name), cure="give it a `Value`")
        try:
            if worth.holds(output.get("Condition")):
                found[name] = worth.text(output["Value"])[:_LONGEST_OUTPUT]
        except (_TooMuch, RecursionError):
            message = f"the value of output `{name}` is too large, or depends on itself"
            raise CallerError(message, where=document.where("Outputs", name), cure="make it simpler") from None
    return found


def changes_between(before: str | None, after: str) -> Iterator[StackChange]:
    """What differs between the resources of two templates, by logical id. Whether a change replaces a resource is not
    known here. A template of before that cannot be read counts as none."""
    old, new = {} if before is None else _resources_of(before), _resources_of(after)
    for name in sorted({*old, *new}):
        if name not in old:
            yield StackChange("Add", name, _type(new[name]))
        elif name not in new:
            yield StackChange("Remove", name, _type(old[name]))
        elif old[name] != new[name]:
            was, becomes = (_mapping(_mapping(one[name]).get("Properties")) for one in (old, new))
            causes = tuple(sorted(str(key) for key in {*was, *becomes} if was.get(key) != becomes.get(key)))
            yield StackChange("Modify", name, _type(new[name]), causes=causes)


def _resources_of(text: str) -> dict[str, Any]:
    try:
        document = documents.load_template(text, "template")
    except CallerError:
        return {}
    return {str(name): resource for name, resource in _mapping(_mapping(document.value).get("Resources")).items()}


def _type(resource: Any) -> str:
    return str(_mapping(resource).get("Type", ""))


def _refuse_nulls(document: Document, value: Any, keys: tuple[str | int, ...]) -> None:
    if value is None:
        place = "/" + "/".join(map(str, keys))
        # CloudFormation's own sentence.
        message = f"[{place}] 'null' values are not allowed in templates"
        raise CallerError(message, where=document.where(*keys), cure="give it a value, or remove it")
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, member in members:
        _refuse_nulls(document, member, (*keys, key))


class _TooMuch(Exception):
    """Working out a value took more than it may."""


class _Absent:
    """What `AWS::NoValue` stands for."""


_ABSENT = _Absent()


class _Stack:
    """Works out values of one template, as CloudFormation's intrinsic functions would with made-up resources.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/intrinsic-function-reference.html
    """

    def __init__(self, template: Mapping[str, Any], name: str) -> None:
        self._name = name
        self._parameters = _mapping(template.get("Parameters"))
        self._mappings = _mapping(template.get("Mappings"))
        self._conditions = _mapping(template.get("Conditions"))
        self._room = _LARGEST
        self._pseudo: Mapping[str, Any] = {
            "AWS::AccountId": ACCOUNT,
            "AWS::NoValue": _ABSENT,
            "AWS::NotificationARNs": [],
            "AWS::Partition": "aws",
            "AWS::Region": REGION,
            "AWS::StackId": f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/{name}",
            "AWS::StackName": name,
            "AWS::URLSuffix": "amazonaws.com",
        }
        self._functions: Mapping[str, Callable[[Any], Any]] = {
            "Ref": self._ref,
            "Condition": self.holds,
            "Fn::And": lambda given: all(self._true(one) for one in _list(given)),
            "Fn::Base64": lambda given: base64.b64encode(self.text(given).encode()).decode(),
            "Fn::Equals": self._equals,
            "Fn::FindInMap": self._find_in_map,
            "Fn::GetAtt": self._get_att,
            "Fn::GetAZs": lambda _: [f"{REGION}{zone}" for zone in "abc"],
            "Fn::If": self._if,
            "Fn::ImportValue": lambda given: f"local-import-{self.text(given)}",
            "Fn::Join": self._join,
            "Fn::Length": lambda given: len(_list(self.value(given))),
            "Fn::Not": lambda given: not all(self._true(one) for one in _list(given)),
            "Fn::Or": lambda given: any(self._true(one) for one in _list(given)),
            "Fn::Select": self._select,
            "Fn::Split": self._split,
            "Fn::Sub": self._sub,
            "Fn::ToJsonString": lambda given: json.dumps(self.value(given)),
        }

    def text(self, given: Any) -> str:
        """A value as CloudFormation gives outputs back: as a text."""
        value = self.value(given)
        if isinstance(value, str):
            return value
        return "" if value is _ABSENT else self._spent(json.dumps(value, default=str))

    def value(self, given: Any) -> Any:
        """A value with its functions worked out."""
        self._spend(1)
        if isinstance(given, str):
            return self._spent(given)
        if isinstance(given, list):
            return [value for value in map(self.value, given) if value is not _ABSENT]
        if not isinstance(given, dict):
            return given
        if len(given) == 1:
            (name, argument), *_ = given.items()
            if name in self._functions:
                value = self._functions[name](argument)
                return self._spent(value) if isinstance(value, str) else value
            if name.startswith("Fn::"):
                return self._made_up(name.removeprefix("Fn::"))
        return {key: value for key, member in given.items() if (value := self.value(member)) is not _ABSENT}

    def holds(self, condition: Any) -> bool:
        """Whether a named condition holds; no condition always does."""
        self._spend(1)
        return condition is None or self._true(self._conditions.get(str(condition), True))

    def _true(self, given: Any) -> bool:
        value = self.value(given)
        return value is True or value == "true"

    def _spend(self, amount: int) -> None:
        self._room -= amount
        if self._room < 0:
            raise _TooMuch

    def _spent(self, text: str) -> str:
        self._spend(len(text))
        return text

    def _made_up(self, *names: str) -> str:
        return "-".join(("local", self._name, *names))

    def _ref(self, given: Any) -> Any:
        name = str(given)
        if name in self._pseudo:
            return self._pseudo[name]
        default = _mapping(self._parameters.get(name)).get("Default")
        return self._made_up(name) if default is None else default

    def _get_att(self, given: Any) -> str:
        name, attribute = (*map(self.text, _list(given)), "", "")[:2]
        if attribute.endswith("Arn"):
            return f"arn:aws:local:{REGION}:{ACCOUNT}:{self._name}/{name}"
        return self._made_up(name, *attribute.split("."))

    def _sub(self, given: Any) -> str:
        pattern, values = (given, {}) if isinstance(given, str) else (*_list(given), "", {})[:2]

        def replaced(found: re.Match[str]) -> str:
            literal, name = found[1], found[2].strip()
            if literal:
                return f"${{{name}}}"
            if name in _mapping(values):
                return self.text(values[name])
            place, dot, attribute = name.partition(".")
            return self.text({"Fn::GetAtt": [place, attribute]} if dot else {"Ref": name})

        return _VARIABLE.sub(replaced, str(pattern))

    def _join(self, given: Any) -> str:
        delimiter, pieces = (*_list(given), "", [])[:2]
        texts = [self.text(piece) for piece in _list(self.value(pieces))]
        self._spend(len(str(delimiter)) * len(texts))
        return str(delimiter).join(texts)

    def _split(self, given: Any) -> list[str]:
        delimiter, text = (*_list(given), "", "")[:2]
        whole = self.text(text)
        self._spend(len(whole))
        return whole.split(str(delimiter)) if delimiter else [whole]

    def _select(self, given: Any) -> Any:
        position, choices = (*_list(given), 0, [])[:2]
        values, wanted = _list(self.value(choices)), self.text(position)
        inside = wanted.isascii() and wanted.isdigit() and len(wanted) < 9 and int(wanted) < len(values)
        return values[int(wanted)] if inside else self._made_up("Select", wanted)

    def _find_in_map(self, given: Any) -> Any:
        keys = [self.text(key) for key in _list(given)[:3]]
        found: Any = self._mappings
        for key in keys:
            found = _mapping(found).get(key)
        return self._made_up("FindInMap", *keys) if found is None else self.value(found)

    def _equals(self, given: Any) -> bool:
        one, other = (*_list(given), "", "")[:2]
        return self.text(one) == self.text(other)

    def _if(self, given: Any) -> Any:
        condition, then, otherwise = (*_list(given), "", "", "")[:3]
        return self.value(then if self.holds(condition) else otherwise)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
