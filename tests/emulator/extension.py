"""What the emulator lacks: resource types that templates use, and a service to read pipelines back from.

It is loaded into the emulator's process by `launcher.py` and imports nothing of Upkeep. A type does as little as it
can and still be honest: what EC2 knows of is kept in the emulator's own EC2, pipelines are kept for CodePipeline's
GetPipeline, and what nobody reads back has only an identity. A property that is required and absent fails the stack.
"""

import json
import re
import sys
import time
import uuid
from collections.abc import Callable
from types import ModuleType
from typing import Any

from ministack import app
from ministack.core import router
from ministack.core.responses import AccountRegionScopedDict, get_account_id, get_region
from ministack.services import ec2, ecs, s3, ssm
from ministack.services.cloudformation import provisioners

Properties = dict[str, Any]
Made = tuple[str, dict[str, Any]]
"""A physical id, and what Fn::GetAtt gives."""

_pipelines: Any = AccountRegionScopedDict()


def install() -> None:
    """Teach the emulator of this process."""
    provisioners._RESOURCE_HANDLERS.update(
        {
            "AWS::EC2::FlowLog": {
                "create": _create_flow_log,
                "update": _replaced(_create_flow_log, _delete_flow_log),
                "delete": _delete_flow_log,
            },
            "AWS::EC2::EIP": {"create": _create_address, "update": _kept, "delete": _delete_address},
            "AWS::EC2::NatGateway": {"create": _create_nat, "update": _kept, "delete": _delete_nat},
            "AWS::EC2::SecurityGroupIngress": _rule("IpPermissions"),
            "AWS::EC2::SecurityGroupEgress": _rule("IpPermissionsEgress"),
            "AWS::ApplicationAutoScaling::ScalableTarget": _remembered(_scalable_target),
            "AWS::ApplicationAutoScaling::ScalingPolicy": _remembered(_scaling_policy),
            "AWS::AppRunner::Service": _remembered(_app_runner_service),
            "AWS::AppRunner::VpcConnector": _remembered(_vpc_connector),
            "AWS::CodePipeline::Pipeline": {
                "create": _create_pipeline,
                "update": _update_pipeline,
                "delete": lambda name, _: _pipelines.pop(name, None),
            },
        }
    )
    provisioners._RESOURCE_HANDLERS["AWS::S3::Bucket"]["delete"] = _delete_bucket
    networks = provisioners._RESOURCE_HANDLERS["AWS::EC2::VPC"]
    networks["create"], networks["update"] = _with_cidr(networks["create"]), _with_cidr(networks["update"])
    services = provisioners._RESOURCE_HANDLERS["AWS::ECS::Service"]
    services["create"], services["update"] = _typed_creation(services["create"]), _typed_update(services["update"])
    ssm.resolve_parameter_value = _public_or(ssm.resolve_parameter_value)
    service: Any = ModuleType("ministack.services.codepipeline")
    service.handle_request = _codepipeline
    service.reset = _pipelines.clear
    sys.modules[service.__name__] = service
    app._loaded_modules["codepipeline"] = service
    app.SERVICE_REGISTRY["codepipeline"] = {"module": "codepipeline"}
    app.SERVICE_HANDLERS["codepipeline"] = _codepipeline
    router.SERVICE_PATTERNS["codepipeline"] = {"target_prefixes": ["CodePipeline_20150709."]}


# ---------------------------------------------------------------------------------------------------- EC2


def _with_cidr(act: Callable[..., Made]) -> Callable[..., Made]:
    """A network's own block of addresses is one of its attributes."""

    def acted(*given: Any) -> Made:
        made, attributes = act(*given)
        return made, {**attributes, "CidrBlock": ec2._vpcs[made]["CidrBlock"]}

    return acted


def _create_flow_log(logical_id: str, props: Properties, stack: str) -> Made:
    _require(props, "ResourceId", "ResourceType")
    asked = {
        name: [str(props[name])] for name in ("ResourceType", "TrafficType", "LogDestinationType") if name in props
    }
    asked["ResourceId.1"] = [str(props["ResourceId"])]
    destination = props.get("LogDestination") or props.get("LogGroupName")
    if not destination:
        raise ValueError("LogDestination or LogGroupName must be provided")
    if not props.get("LogDestination") and not props.get("DeliverLogsPermissionArn"):
        raise ValueError("DeliverLogsPermissionArn must be provided with LogGroupName")
    asked["LogDestination"] = [str(destination)]
    made = _found("fl-[0-9a-fA-F]+", ec2._create_flow_logs(asked))
    provisioners._ec2_apply_tags(made, props)
    return made, {"Id": made}


def _delete_flow_log(physical_id: str, props: Properties) -> None:
    ec2._delete_flow_logs({"FlowLogId.1": [physical_id]})


def _create_address(logical_id: str, props: Properties, stack: str) -> Made:
    allocation = _found("eipalloc-[0-9a-f]+", ec2._allocate_address({"Domain": [str(props.get("Domain", "vpc"))]}))
    provisioners._ec2_apply_tags(allocation, props)
    address = ec2._addresses[allocation]["PublicIp"]
    return address, {"AllocationId": allocation, "PublicIp": address}


def _delete_address(physical_id: str, props: Properties) -> None:
    for allocation in [key for key, one in ec2._addresses.items() if one["PublicIp"] == physical_id]:
        ec2._release_address({"AllocationId": [allocation]})


def _create_nat(logical_id: str, props: Properties, stack: str) -> Made:
    _require(props, "SubnetId")
    asked = {name: [str(props[name])] for name in ("SubnetId", "AllocationId", "ConnectivityType") if name in props}
    made = _found("nat-[0-9a-fA-F]+", ec2._create_nat_gateway(asked))
    provisioners._ec2_apply_tags(made, props)
    return made, {"NatGatewayId": made}


def _delete_nat(physical_id: str, props: Properties) -> None:
    ec2._nat_gateways.pop(physical_id, None)
    ec2._tags.pop(physical_id, None)


def _rule(side: str) -> dict[str, Any]:
    """A rule of a security group that stands as a resource of its own."""

    def create(logical_id: str, props: Properties, stack: str) -> Made:
        _require(props, "GroupId", "IpProtocol")
        group = ec2._security_groups.get(props["GroupId"])
        if group is None:
            raise ValueError(f"The security group '{props['GroupId']}' does not exist")
        group[side].extend(provisioners._ec2_sg_permissions([props]))
        made = "sgr-" + uuid.uuid4().hex[:17]
        return made, {"Id": made}

    def delete(physical_id: str, props: Properties) -> None:
        group = ec2._security_groups.get(props.get("GroupId", ""))
        for permission in provisioners._ec2_sg_permissions([props]):
            if group is not None and permission in group[side]:
                group[side].remove(permission)

    return {"create": create, "update": _replaced(create, delete), "delete": delete}


# ------------------------------------------------------------------------------------------------------ S3


def _delete_bucket(physical_id: str, props: Properties) -> None:
    """The emulator's own deletion takes what is in the bucket with it. CloudFormation fails, in these words."""
    bucket = s3._buckets.get(physical_id)
    if bucket is not None and (bucket["objects"] or s3._bucket_has_versions(physical_id)):
        raise ValueError(
            "The bucket you tried to delete is not empty (Service: S3, Status Code: 409, Request ID: 0, "
            "HandlerErrorCode: GeneralServiceException)"
        )
    provisioners._s3_delete(physical_id, props)


# --------------------------------------------------------------------------------------------- ECS and SSM

_NUMBERS = ("Base", "ContainerPort", "DesiredCount", "HealthCheckGracePeriodSeconds", "MaximumPercent",
            "MinimumHealthyPercent", "Weight")  # fmt: skip
_TRUTHS = ("Enable", "EnableECSManagedTags", "EnableExecuteCommand", "Rollback")


def _typed(value: Any, name: str = "") -> Any:
    """A service's properties with the types of their schema, into which CloudFormation turns texts."""
    if isinstance(value, list):
        return [_typed(one) for one in value]
    if isinstance(value, dict):
        return {key: _typed(one, key) for key, one in value.items()}
    if isinstance(value, str) and name in _NUMBERS:
        return int(value)
    return value == "true" if isinstance(value, str) and name in _TRUTHS else value


def _typed_creation(create: Callable[..., Made]) -> Callable[..., Made]:
    """The emulator's creation of a service, which forgets whether commands may be executed in it."""

    def created(logical_id: str, props: Properties, stack: str) -> Made:
        typed = _typed(props)
        made = create(logical_id, typed, stack)
        asked = {"cluster": typed.get("Cluster", "default"), "service": made[1]["Name"]}
        ecs._update_service({**asked, "enableExecuteCommand": bool(typed.get("EnableExecuteCommand"))})
        return made

    return created


def _typed_update(update: Callable[..., Made]) -> Callable[..., Made]:
    return lambda physical_id, old, new, stack: update(physical_id, _typed(old), _typed(new), stack)


def _public_or(resolve: Callable[[str], str | None]) -> Callable[[str], str | None]:
    """Every account can read the parameters that AWS publishes, for example the newest machine images."""

    def resolved(name: str) -> str | None:
        return "ami-0abcdef1234567890" if name.startswith("/aws/service/") else resolve(name)

    return resolved


# ------------------------------------------------------------------------------------- only an identity


def _scalable_target(logical_id: str, props: Properties, stack: str) -> Made:
    _require(props, "MaxCapacity", "MinCapacity", "ResourceId", "ScalableDimension", "ServiceNamespace")
    made = "|".join(str(props[name]) for name in ("ResourceId", "ScalableDimension", "ServiceNamespace"))
    return made, {"Id": made}


def _scaling_policy(logical_id: str, props: Properties, stack: str) -> Made:
    _require(props, "PolicyName", "PolicyType")
    if not props.get("ScalingTargetId"):
        _require(props, "ResourceId", "ScalableDimension", "ServiceNamespace")
    made = _arn("autoscaling", f"scalingPolicy:{uuid.uuid4()}:policyName/{props['PolicyName']}")
    return made, {"Arn": made}


def _app_runner_service(logical_id: str, props: Properties, stack: str) -> Made:
    _require(props, "SourceConfiguration")
    number = uuid.uuid4().hex
    made = _arn("apprunner", f"service/{props.get('ServiceName', f'{stack}-{logical_id}')}/{number}")
    url = f"{number[:10]}.{get_region()}.awsapprunner.com"
    return made, {"ServiceArn": made, "ServiceId": number, "ServiceUrl": url, "Status": "RUNNING"}


def _vpc_connector(logical_id: str, props: Properties, stack: str) -> Made:
    _require(props, "Subnets")
    made = _arn(
        "apprunner", f"vpcconnector/{props.get('VpcConnectorName', f'{stack}-{logical_id}')}/1/{uuid.uuid4().hex}"
    )
    return made, {"VpcConnectorArn": made, "VpcConnectorRevision": 1}


def _remembered(create: Callable[[str, Properties, str], Made]) -> dict[str, Any]:
    return {"create": create, "update": _kept, "delete": lambda physical_id, props: None}


def _kept(physical_id: str, old: Properties, new: Properties, stack: str) -> tuple[str, dict[str, Any] | None]:
    """Changed in place: the identity and its attributes stay."""
    return physical_id, None


def _replaced(create: Callable[..., Made], delete: Callable[[str, Properties], None]) -> Callable[..., Made]:
    def update(physical_id: str, old: Properties, new: Properties, stack: str) -> Made:
        delete(physical_id, old)
        return create("", new, stack)

    return update


# ------------------------------------------------------------------------------------------ CodePipeline


def _create_pipeline(logical_id: str, props: Properties, stack: str) -> Made:
    _require(props, "RoleArn", "Stages")
    name = str(props.get("Name") or f"{stack}-{logical_id}-{uuid.uuid4().hex[:12].upper()}")
    if name in _pipelines:
        raise ValueError(f"A pipeline with the name '{name}' already exists in account '{get_account_id()}'")
    _keep_pipeline(name, props, version=1)
    return name, {"Version": "1"}


def _update_pipeline(physical_id: str, old: Properties, new: Properties, stack: str) -> Made:
    name = str(new.get("Name") or physical_id)
    if name != physical_id:
        _pipelines.pop(physical_id, None)
        return _create_pipeline("", new, stack)
    if name not in _pipelines:
        raise ValueError(_no_pipeline(name))
    version = _pipelines[name]["pipeline"]["version"] + 1
    _keep_pipeline(name, new, version)
    return name, {"Version": str(version)}


def _keep_pipeline(name: str, props: Properties, version: int) -> None:
    stages = props["Stages"]
    if len(stages) < 2:
        raise ValueError("Pipeline should have at least 2 stages")
    if any(not stage.get("Actions") for stage in stages):
        raise ValueError("Every stage must have at least one action")
    shown = _api_shape(
        {key: props[key] for key in ("RoleArn", "Stages", "ArtifactStore", "PipelineType") if key in props}
    )
    stamp = time.time()
    _pipelines[name] = {
        "pipeline": {"name": name, "version": version, **shown},
        "metadata": {"pipelineArn": _arn("codepipeline", name), "created": stamp, "updated": stamp},
    }


def _api_shape(value: Any) -> Any:
    """A template's properties as the API spells them. What an action is configured with stays as it is."""
    if isinstance(value, list):
        return [_api_shape(one) for one in value]
    if not isinstance(value, dict):
        return value
    shaped = {}
    for key, one in value.items():
        if key == "Configuration":
            shaped["configuration"] = {name: str(text) for name, text in one.items()}
        elif key == "RunOrder":
            shaped["runOrder"] = int(one)
        else:
            shaped[key[0].lower() + key[1:]] = _api_shape(one)
    return shaped


async def _codepipeline(method: str, path: str, headers: dict[str, str], body: bytes, query: Any) -> Any:
    """CodePipeline's CreatePipeline, DeletePipeline, GetPipeline and ListPipelines."""
    operation = headers.get("x-amz-target", "").partition(".")[2]
    asked = json.loads(body or b"{}")
    if operation == "ListPipelines":
        return _answer(200, {"pipelines": [{"name": name} for name in sorted(_pipelines)]})
    if operation == "CreatePipeline":
        name = asked["pipeline"]["name"]
        _pipelines[name] = {"pipeline": {**asked["pipeline"], "version": 1}, "metadata": {}}
        return _answer(200, {"pipeline": _pipelines[name]["pipeline"]})
    if operation == "DeletePipeline":
        _pipelines.pop(asked["name"], None)
        return _answer(200, {})
    if operation == "GetPipeline":
        found = _pipelines.get(asked.get("name", ""))
        if found is not None:
            return _answer(200, found)
        return _answer(400, {"__type": "PipelineNotFoundException", "message": _no_pipeline(asked.get("name"))})
    return _answer(400, {"__type": "InvalidAction", "message": f"the emulator does not know {operation}"})


def _no_pipeline(name: Any) -> str:
    return f"Account '{get_account_id()}' does not have a pipeline with name '{name}'"


def _answer(status: int, body: Any) -> Any:
    return status, {"Content-Type": "application/x-amz-json-1.1"}, json.dumps(body).encode()


# -------------------------------------------------------------------------------------------------- both


def _require(props: Properties, *names: str) -> None:
    absent = [name for name in names if props.get(name) in (None, "")]
    if absent:
        raise ValueError(f"Model validation failed (#: required key [{absent[0]}] not found)")


def _found(pattern: str, answer: Any) -> str:
    """The identity in an answer of the emulator's own API."""
    status, _, body = answer
    text = body.decode() if isinstance(body, bytes) else body
    match = re.search(pattern, text)
    if status != 200 or match is None:
        raise ValueError(text)
    return match[0]


def _arn(service: str, rest: str) -> str:
    return f"arn:aws:{service}:{get_region()}:{get_account_id()}:{rest}"
