"""The tags of everything a deployment makes: whose it is, in Upkeep's keys and in Proton's."""

import re
from collections.abc import Iterable, Mapping

from upkeep.domain.errors import CallerError
from upkeep.domain.names import ResourceKind, Version
from upkeep.domain.resources import Placement, Resource

_KEY = re.compile(r"[\w +\-=.:/@]{1,128}")
_VALUE = re.compile(r"[\w +\-=.:/@]{0,256}")
_LONGEST_VALUE = 256


def parse_tags(texts: Iterable[str]) -> dict[str, str]:
    """Read `KEY=VALUE` texts; CallerError for what AWS refuses as a tag, and for keys that are Upkeep's own.

    https://docs.aws.amazon.com/tag-editor/latest/userguide/best-practices-and-strats.html
    """
    found: dict[str, str] = {}
    for text in texts:
        key, sign, value = text.partition("=")
        if not sign:
            raise CallerError(f"`{text}` is not a tag", cure="write it as KEY=VALUE")
        found[key] = value
    return check_tags(found)


def check_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """The tags; CallerError for what AWS refuses as one, and for keys that are Upkeep's own."""
    for key, value in tags.items():
        if not _KEY.fullmatch(key) or not _VALUE.fullmatch(value):
            raise CallerError(
                f"`{key}={value}` is not a tag AWS accepts",
                cure="use letters, digits, spaces and `_ . : / = + - @`, 128 in a key and 256 in a value",
            )
        if key.lower().startswith(("aws:", "upkeep:", "proton:")):
            raise CallerError(f"the tag `{key}` is not yours to set", cure="choose a key with another beginning")
    return dict(tags)


def stack_tags(resource: Resource, version: Version, placement: Placement, own: Mapping[str, str]) -> dict[str, str]:
    """All tags of a resource's stack: the customer's `own`, those of Upkeep, and those Proton would have put there.

    Proton's tags name account, template, environment, service and service instance; a value that AWS would find too
    long loses its end. See "AWS Proton resources and tagging" in Proton's administrator guide.
    """
    return {
        **own,
        **resource.tags,
        "upkeep:resource": str(resource.key),
        "upkeep:template": resource.template,
        "upkeep:version": str(version),
        **{key: value[:_LONGEST_VALUE] for key, value in _protons(resource, placement).items()},
    }


def _protons(resource: Resource, placement: Placement) -> dict[str, str]:
    key = resource.key
    start = f"arn:{_partition(placement.region)}:proton:{placement.region}:{placement.account_id}:"
    tags = {"proton:account": placement.account_id} if placement.account_id else {}
    if key.kind is ResourceKind.ENVIRONMENT:
        return tags | {
            "proton:template": f"{start}environment-template/{resource.template}",
            "proton:environment": f"{start}environment/{key.name}",
        }
    tags |= {
        "proton:template": f"{start}service-template/{resource.template}",
        "proton:service": f"{start}service/{key.service}",
    }
    if resource.environment is not None:
        tags["proton:environment"] = f"{start}environment/{resource.environment}"
    if key.kind is ResourceKind.INSTANCE:
        tags["proton:service-instance"] = f"{start}service/{key.service}/service-instance/{key.name}"
    return tags


def _partition(region: str) -> str:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html"""
    for beginning, partition in (("cn-", "aws-cn"), ("us-gov-", "aws-us-gov")):
        if region.startswith(beginning):
            return partition
    return "aws"
