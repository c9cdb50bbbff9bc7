"""Accounts: clients of AWS for where a stack lives, as Upkeep itself or in a role that it assumes."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
from botocore import exceptions as aws
from botocore.config import Config
from botocore.parsers import ResponseParserError

from upkeep import watch
from upkeep.adapters.cloudformation import faults
from upkeep.domain.errors import StalledError
from upkeep.domain.resources import Placement

_CONFIG = Config(
    connect_timeout=5,
    read_timeout=30,
    retries={"mode": "standard", "total_max_attempts": 3},
    user_agent_extra="upkeep",
    max_pool_connections=16,
)
"""Impatient: what fails is asked again from the row of its work, with growing pauses."""

_EARLY = timedelta(minutes=5)
"""So long before they expire, credentials are renewed."""

_KEPT = 128
"""So many identities are remembered at a time: more than there are deployments in flight, which are looked at in turns,
and each of which has an identity of its own where a role is assumed. A client takes a quarter of a megabyte."""


@dataclass(frozen=True, slots=True)
class _Identity:
    """Under whose name to speak, and where. `session` tells the deployments of one role apart in CloudTrail."""

    placement: Placement
    session: str


@dataclass(frozen=True, slots=True)
class _Entered:
    """Clients of one identity, good until its credentials expire; without a time, they renew themselves."""

    session: Any
    arguments: dict[str, str]
    until: datetime | None
    clients: dict[str, Any] = field(default_factory=dict)

    @property
    def good(self) -> bool:
        return self.until is None or datetime.now(UTC) + _EARLY < self.until


class Accounts:
    """Calls AWS where a placement says.

    Upkeep's own credentials come from boto3's chain: the environment, the shared files, the container's or the
    machine's role. A placement with a role is entered by AssumeRole; what that gives is kept in memory only, and
    renewed before it expires or once AWS says that it has. `region` is for placements that name none, `endpoint_url`
    for tests. Threads may share it.
    """

    def __init__(
        self, *, region: str = "", endpoint_url: str = "", connect: Callable[[], Any] = boto3.session.Session
    ) -> None:
        self._region = region
        self._endpoint_url = endpoint_url or None
        self._connect = connect
        self._own: Any = None
        self._entered: OrderedDict[_Identity, _Entered] = OrderedDict()
        self._lock = threading.Lock()

    def call(self, service: str, operation: str, placement: Placement, purpose: str, **given: Any) -> Any:
        """Ask one thing, for example `create_change_set` of `cloudformation`, and return the answer.

        `purpose` is what it is asked for, for example a deployment's id: its beginning names the session of an assumed
        role. Raises the errors that `faults.translated` tells of.
        """
        try:
            return self._asked(service, operation, placement, purpose, given)
        except aws.ClientError as fault:
            if faults.code_of(fault) not in faults.EXPIRED:
                raise self._translated(fault, service, operation, placement) from fault
            self._forget(self._identity(placement, purpose))
        try:
            return self._asked(service, operation, placement, purpose, given)
        except aws.ClientError as fault:
            raise self._translated(fault, service, operation, placement) from fault

    def identity(self, placement: Placement) -> str:
        """The ARN of whom AWS takes Upkeep for there. Raises what `call` raises."""
        return str(self.call("sts", "get_caller_identity", placement, "doctor")["Arn"])

    def client(self, service: str, placement: Placement, purpose: str) -> Any:
        """The client that `call` asks."""
        identity = self._identity(placement, purpose)
        with self._lock:
            entered = self._entered.get(identity)
        if entered is None or not entered.good:
            entered = self._enter(identity)
        with self._lock:
            if service not in entered.clients:
                entered.clients[service] = self._made(
                    entered.session, service, identity.placement.region, entered.arguments
                )
            self._entered[identity] = entered
            self._entered.move_to_end(identity)
            while len(self._entered) > _KEPT:
                self._entered.popitem(last=False)
            return entered.clients[service]

    def _asked(self, service: str, operation: str, placement: Placement, purpose: str, given: dict[str, Any]) -> Any:
        try:
            with watch.stretch("aws", f"{service}:{operation}"):
                return getattr(self.client(service, placement, purpose), operation)(**given)
        except (aws.BotoCoreError, ResponseParserError) as fault:
            raise self._translated(fault, service, operation, placement) from fault

    def _translated(
        self,
        fault: aws.BotoCoreError | aws.ClientError | ResponseParserError,
        service: str,
        operation: str,
        placement: Placement,
    ) -> Exception:
        # IAM names its actions as the operations are named, in capitals.
        name = "".join(word.capitalize() for word in operation.split("_"))
        return faults.translated(fault, f"{service}:{name}", self._somewhere(placement))

    def _somewhere(self, placement: Placement) -> Placement:
        return placement if placement.region else replace(placement, region=self._region)

    def _identity(self, placement: Placement, purpose: str) -> _Identity:
        return _Identity(self._somewhere(placement), f"upkeep-{purpose[:8]}" if placement.role_arn else "")

    def _forget(self, identity: _Identity) -> None:
        """What is remembered of it has expired, and maybe Upkeep's own credentials, which are looked for anew."""
        with self._lock:
            for known in [one for one in self._entered if one == identity or not one.placement.role_arn]:
                del self._entered[known]
            self._own = None

    def _session(self) -> Any:
        with self._lock:
            if self._own is None:
                self._own = self._connect()
            return self._own

    def _made(self, session: Any, service: str, region: str, arguments: dict[str, str]) -> Any:
        return session.client(
            service, region_name=region or None, endpoint_url=self._endpoint_url, config=_CONFIG, **arguments
        )

    def _enter(self, identity: _Identity) -> _Entered:
        session, placement = self._session(), identity.placement
        if not placement.role_arn and not placement.account_id:
            return _Entered(session, {}, None)
        sts = self.client("sts", Placement(region=placement.region), identity.session)
        if not placement.role_arn:
            _same_account(str(self._at_door(sts, "get_caller_identity", placement)["Account"]), placement)
            return _Entered(session, {}, None)
        _same_account("".join(placement.role_arn.split(":")[4:5]), placement)
        asked = {"RoleArn": placement.role_arn, "RoleSessionName": identity.session}
        if placement.external_id:
            asked["ExternalId"] = placement.external_id
        given = self._at_door(sts, "assume_role", placement, **asked)["Credentials"]
        arguments = {
            "aws_access_key_id": given["AccessKeyId"],
            "aws_secret_access_key": given["SecretAccessKey"],
            "aws_session_token": given["SessionToken"],
        }
        return _Entered(session, arguments, given["Expiration"])

    def _at_door(self, sts: Any, operation: str, placement: Placement, **asked: str) -> Any:
        try:
            return getattr(sts, operation)(**asked)
        except aws.ClientError as fault:
            if faults.code_of(fault) in faults.EXPIRED:
                raise
            raise self._translated(fault, "sts", operation, placement) from fault


def _same_account(reached: str, placement: Placement) -> None:
    """Nothing is ever made in another account than the one that is named."""
    if placement.account_id and placement.account_id != reached:
        raise StalledError(
            f"Upkeep reaches account {reached}, and this has to be done in account {placement.account_id}",
            cure=f"give the environment a role of account {placement.account_id}, or correct its account; then retry",
        )
