"""What Upkeep asks of AWS, and what its policies in deploy/aws allow."""

import json
from typing import Any

import boto3
import botocore.session

from tests.environments import ROOT

POLICIES = ROOT / "deploy" / "aws"

WITHOUT_PERMISSION = {"sts:GetCallerIdentity"}
"""No policy has to allow it. https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html"""

IN_OUR_NAME = {"s3:GetObject"}
"""What CloudFormation does with the permissions of whoever asks it: it fetches large templates."""

_DESCRIPTIONS = botocore.session.Session().get_component("data_loader")


class Calls:
    """Listens to what boto3 is asked for, in sessions that it makes."""

    def __init__(self) -> None:
        self._made: list[tuple[str, dict[str, Any]]] = []

    def session(self) -> Any:
        """A session with boto3's own chain of credentials."""
        session = botocore.session.Session()
        # Reading the descriptions of the services is most of the work of a new session.
        session.register_component("data_loader", _DESCRIPTIONS)
        session.register("provide-client-params.*.*", self._heard)
        return boto3.session.Session(botocore_session=session)

    @property
    def actions(self) -> set[str]:
        """By the names that IAM gives them."""
        return {action for action, _ in self._made} - WITHOUT_PERMISSION

    def given(self, action: str) -> list[dict[str, Any]]:
        """What came with each call of an action."""
        return [given for made, given in self._made if made == action]

    def _heard(self, params: dict[str, Any], model: Any, **_: Any) -> None:
        self._made.append((f"{model.service_model.service_name}:{model.name}", dict(params)))


def policy(name: str) -> list[dict[str, Any]]:
    """The statements of one of the policies in deploy/aws."""
    statements: list[dict[str, Any]] = json.loads((POLICIES / f"{name}.json").read_text(encoding="utf-8"))["Statement"]
    return statements


def allowed() -> set[str]:
    """Every action that the worker's own policy, or that of a role it enters, allows."""
    return {
        action
        for statement in [*policy("worker-policy"), *policy("deploys-policy")]
        for action in ([statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"])
    }
