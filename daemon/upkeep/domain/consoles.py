"""Where people look at a stack by themselves: the AWS console."""

import re
from urllib.parse import quote

_STACK = re.compile(r"arn:(aws[a-z-]*):cloudformation:([a-z0-9-]+):\d{12}:stack/[A-Za-z0-9-]+/[A-Za-z0-9-]+")
_HOSTS = {"aws-cn": "console.amazonaws.cn", "aws-us-gov": "console.amazonaws-us-gov.com"}


def console_url(stack: str | None) -> str | None:
    """The page of a stack, given its id; None for what is no stack of AWS.

    https://docs.aws.amazon.com/awsconsolehelpdocs/latest/gsg/select-region.html
    """
    found = _STACK.fullmatch(stack or "")
    if found is None:
        return None
    partition, region = found.groups()
    host = _HOSTS.get(partition, "console.aws.amazon.com")
    return f"https://{region}.{host}/cloudformation/home?region={region}#/stacks/events?stackId={quote(found[0], '')}"
