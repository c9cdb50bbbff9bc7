"""Stacks: what they are called, and what has to be acknowledged before CloudFormation makes them."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from upkeep.domain.names import ResourceKey, ResourceKind

LONGEST_NAME = 128
"""Characters of a stack's name. https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CreateStack.html"""

LARGEST_INLINE = 51_200
"""Bytes of a template that a request may carry; larger ones are fetched from S3.
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html
"""

_STRANGE = re.compile(r"[^A-Za-z0-9-]")
_LIKE_SUFFIX = re.compile(r"-[0-9a-f]{8}\Z")


def stack_name(key: ResourceKey) -> str:
    """The name of a resource's stack: readable, and never the same for two resources.

    It ends with eight hexadecimal digits of the key's hash where its letters alone would not tell the resource:
    when it had to be cut, when a letter had to be replaced, when two names joined by a hyphen hold one themselves,
    and when it would end like that by chance.
    """
    names = [key.service, key.name] if key.kind is ResourceKind.INSTANCE else [key.name]
    given = "-".join(str(name) for name in names)
    plain = f"upkeep-{key.kind}-{_STRANGE.sub('-', given)}"
    joined = len(names) > 1 and any("-" in str(name) for name in names)
    if joined or _STRANGE.search(given) or len(plain) > LONGEST_NAME or _LIKE_SUFFIX.search(plain):
        suffix = "-" + hashlib.sha256(str(key).encode()).hexdigest()[:8]
        return plain[: LONGEST_NAME - len(suffix)].rstrip("-") + suffix
    return plain


_NAMED = {
    "AWS::IAM::Group": "GroupName",
    "AWS::IAM::InstanceProfile": "InstanceProfileName",
    "AWS::IAM::ManagedPolicy": "ManagedPolicyName",
    "AWS::IAM::Role": "RoleName",
    "AWS::IAM::User": "UserName",
}
"""The properties that give a resource of IAM a name of its own. The name of an inline policy is not one."""

_SERVERLESS = "AWS::Serverless-"
_HOSTED = ("AWS::Include", "AWS::LanguageExtensions")


def capabilities(template: Mapping[str, Any]) -> tuple[str, ...]:
    """What has to be acknowledged for a template, read by `documents.load_template`: exactly what it needs.

    CAPABILITY_IAM for resources of IAM, CAPABILITY_NAMED_IAM when one has a name of its own, CAPABILITY_AUTO_EXPAND
    for transforms, macros and nested stacks. SAM makes roles; what a macro of others or a nested stack makes is not
    known here, so that it may make named ones.
    https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CreateChangeSet.html
    """
    resources = [one for one in _mapping(template.get("Resources")).values() if isinstance(one, Mapping)]
    types = {str(one.get("Type", "")) for one in resources}
    transforms = list(_transforms(template))
    nested = "AWS::CloudFormation::Stack" in types
    unknown = nested or any(not name.startswith((_SERVERLESS, *_HOSTED)) for name in transforms)
    named = unknown or any(
        _mapping(one.get("Properties")).get(_NAMED.get(str(one.get("Type", "")), "")) is not None for one in resources
    )
    needed = []
    if named:
        needed.append("CAPABILITY_NAMED_IAM")
    elif any(name.startswith("AWS::IAM::") for name in types) or any(
        name.startswith(_SERVERLESS) for name in transforms
    ):
        needed.append("CAPABILITY_IAM")
    if transforms or nested:
        needed.append("CAPABILITY_AUTO_EXPAND")
    return tuple(needed)


def _transforms(template: Mapping[str, Any]) -> Iterator[str]:
    """The names of all macros a template calls: for the whole of it, and inside."""
    whole = template.get("Transform")
    for one in whole if isinstance(whole, list) else [whole] if whole else []:
        yield str(_mapping(one).get("Name", "")) if isinstance(one, Mapping) else str(one)
    waiting = [value for section, value in template.items() if section not in ("Transform", "Parameters")]
    while waiting:
        value = waiting.pop()
        if isinstance(value, Mapping):
            if "Fn::Transform" in value:
                yield str(_mapping(value["Fn::Transform"]).get("Name", ""))
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
