"""Every operation of the model: what is missing, wrong, too long or unknown in a request is refused before anything is
done, and what does not exist here says so."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.proton.conftest import Served, opened, serve
from tests.web.furnished import furnish
from upkeep.adapters import servicemodel
from upkeep.adapters.clock import now as present
from upkeep.domain.people import Role
from upkeep.web.proton.operations import OPERATIONS, REFUSED
from upkeep.web.proton.protocol import READS, WRITES

MODEL = servicemodel.load()
SHAPES = MODEL._shapes  # the test generates requests from the model itself

WORDS = {
    "Arn": "arn:aws:iam::123456789012:role/x",
    "AwsAccountId": "123456789012",
    "ComponentArn": "arn:aws:proton:eu-west-1:123456789012:component/x",
    "EmptyNextToken": "",
    "DeploymentId": "00000000-0000-4000-8000-000000000001",
    "EnvironmentAccountConnectionId": "00000000-0000-4000-8000-000000000001",
    "RepositoryName": "acme/templates",
    "RoleArn": "arn:aws:iam::123456789012:role/x",
    "RoleArnOrEmptyString": "arn:aws:iam::123456789012:role/x",
    "S3Bucket": "bundles",
    "TemplateVersionPart": "1",
}
"""Values for patterns that one letter does not fit."""


def _input(operation: str) -> Any:
    return SHAPES.operation_model(operation).input_shape


def valid(shape: Any) -> Any:
    """A value that the model accepts, with all members."""
    match shape.type_name:
        case "structure":
            return {name: valid(member) for name, member in shape.members.items()}
        case "list":
            return [valid(shape.member)]
        case "string":
            return shape.enum[0] if shape.enum else WORDS.get(shape.name, "a")
        case "integer":
            return 1
        case "boolean":
            return True
    raise AssertionError(shape.type_name)


def wrong(shape: Any, value: Any) -> Iterator[tuple[str, Any]]:
    """Values that the model does not accept in place of one, each with what is wrong."""
    limits = shape.metadata
    yield (
        "the wrong type",
        {"string": 7, "integer": "1", "boolean": "yes", "structure": "x", "list": "x"}[shape.type_name],
    )
    if shape.type_name == "string":
        if shape.enum:
            yield "not of the enumeration", "SOMETHING_ELSE"
        elif "max" in limits:
            yield "too long", "a" * (limits["max"] + 1)
        if limits.get("min", 0) > 0:
            yield "too short", ""
        if "pattern" in limits:
            yield "not of the pattern", "ä ö\\n"[: limits.get("max", 9)]
    elif shape.type_name == "integer" and "max" in limits:
        yield "too high", limits["max"] + 1
        yield "too low", limits["min"] - 1
    elif shape.type_name == "list":
        if "max" in limits:
            yield "too many", value * (limits["max"] + 1)
        for what, other in wrong(shape.member, value[0]):
            yield f"{what} within", [other]
    elif shape.type_name == "structure":
        for name in shape.required_members:
            yield f"without {name}", {key: member for key, member in value.items() if key != name}
        for name, member in shape.members.items():
            for what, other in wrong(member, value[name]):
                yield f"{what} within", value | {name: other}


def variants(operation: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Requests of an operation that the model does not accept."""
    shape = SHAPES.operation_model(operation).input_shape
    value = valid(shape)
    yield "an unknown member", value | {"surprise": "x"}
    for what, other in wrong(shape, value):
        if isinstance(other, dict):
            yield what, other


def test_every_operation_of_the_model_works_or_is_refused_and_no_other() -> None:
    assert set(OPERATIONS) | set(REFUSED) == set(MODEL.operations)
    assert set(OPERATIONS) & set(REFUSED) == set()
    assert set(READS) & set(WRITES) == set()
    assert len(MODEL.operations) == 87


@pytest.mark.parametrize("operation", sorted(MODEL.operations))
def test_what_the_model_accepts_is_no_fault_and_all_else_is_one(operation: str) -> None:
    assert MODEL.faults(operation, valid(SHAPES.operation_model(operation).input_shape)) == []
    for what, request in variants(operation):
        assert MODEL.faults(operation, request), f"{what}: {request}"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """An API over a store in which there is something of everything, and stays."""
    folder = tmp_path_factory.mktemp("house")
    with opened(folder) as rooms:
        furnish(rooms.store, present().replace(microsecond=0))
        yield from serve(rooms, folder)


@pytest.fixture(scope="module")
def empty_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("empty")
    with opened(folder) as rooms:
        yield from serve(rooms, folder)


@pytest.fixture(scope="module")
def unchecked(house: Served) -> Any:
    """A client that sends what it is given."""
    settings = Config(parameter_validation=False, retries={"total_max_attempts": 1})
    return house.client("admin", config=settings)


@pytest.fixture(scope="module")
def newcomer(empty_house: Served) -> Any:
    return empty_house.client("admin")


@pytest.fixture(scope="module")
def viewer(house: Served) -> Any:
    return house.client(Role.VIEWER.value)


def refusal(client: Any, operation: str, request: Mapping[str, Any]) -> ClientError:
    with pytest.raises(ClientError) as caught:
        getattr(client, _method(client, operation))(**request)
    return caught.value


def _method(client: Any, operation: str) -> str:
    return next(name for name, called in client.meta.method_to_api_mapping.items() if called == operation)


@pytest.mark.parametrize("operation", sorted(op for op in MODEL.operations if _input(op).members))
def test_a_faulty_request_is_a_validation_exception_and_changes_nothing(
    operation: str, unchecked: Any, house: Served
) -> None:
    # botocore writes no JSON of what is of another type, whatever it is told; one of each other kind is enough here.
    kinds = {what: request for what, request in variants(operation) if not what.startswith(_UNWRITABLE)}
    before = everything(house)
    for what, request in kinds.items():
        error = refusal(unchecked, operation, request)
        assert error.response["Error"]["Code"] == "ValidationException", f"{what}: {error}"
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 400
        assert error.response["ResponseMetadata"]["RequestId"]
    assert everything(house) == before


_UNWRITABLE = ("the wrong type", "an unknown", "without")


@pytest.mark.parametrize("operation", sorted(REFUSED))
def test_what_does_not_exist_here_says_so(operation: str, unchecked: Any) -> None:
    error = refusal(unchecked, operation, valid(SHAPES.operation_model(operation).input_shape))
    assert error.response["Error"]["Code"] == "ValidationException"
    assert REFUSED[operation] in error.response["Error"]["Message"]


OTHERWISE = {
    "CreateEnvironment": "ValidationException",
    "GetAccountSettings": None,
    "GetResourcesSummary": None,
    "ListDeployments": "ValidationException",
    "ListEnvironments": None,
    "ListEnvironmentTemplates": None,
    "ListRepositories": None,
    "ListRepositorySyncDefinitions": None,
    "ListServiceInstances": None,
    "ListServices": None,
    "ListServiceTemplates": None,
    "ListTagsForResource": "ValidationException",
    "NotifyResourceDeploymentStatusChange": "ValidationException",
    "TagResource": "ValidationException",
    "UntagResource": "ValidationException",
    "UpdateAccountSettings": "ValidationException",
    "UpdateEnvironment": "ValidationException",
    "UpdateServicePipeline": "ValidationException",
}
"""What comes of a whole request in an empty house, where it is not ResourceNotFoundException."""


@pytest.mark.parametrize(
    "operation", sorted(set(OPERATIONS) - {"CreateRepository", "CreateEnvironmentTemplate", "CreateServiceTemplate"})
)
def test_an_empty_house_has_nothing_to_find(operation: str, newcomer: Any) -> None:
    given = {name: value for name, value in valid(_input(operation)).items() if name not in ("nextToken", "filters")}
    code = OTHERWISE.get(operation, "ResourceNotFoundException")
    if code is None:
        getattr(newcomer, _method(newcomer, operation))(**given)
    else:
        assert refusal(newcomer, operation, given).response["Error"]["Code"] == code


@pytest.mark.parametrize("operation", sorted(WRITES))
def test_a_viewer_changes_nothing_and_is_told_why(operation: str, house: Served, viewer: Any) -> None:
    """Whatever a viewer asks of the furnished house by this door, nothing of it is different afterwards."""
    given = valid(_input(operation)) | _there(operation)
    optional = set(_input(operation).members) - set(_input(operation).required_members)
    left_out = {"environmentAccountConnectionId", "provisioningRepository", "spec", "templateMajorVersion"} & optional
    given = {name: value for name, value in given.items() if name in _input(operation).members and name not in left_out}
    before = everything(house)
    code = refusal(viewer, operation, given).response["Error"]["Code"]
    assert everything(house) == before
    allowed = ("AccessDeniedException",) if operation in DENIED else _IN_THE_WAY
    assert code in allowed


_IN_THE_WAY = ("AccessDeniedException", "ValidationException", "ConflictException", "ResourceNotFoundException")


DENIED = {
    "CancelServiceInstanceDeployment",
    "CreateEnvironmentTemplateVersion",
    "CreateRepository",
    "CreateServiceTemplateVersion",
    "DeleteDeployment",
    "DeleteEnvironment",
    "DeleteEnvironmentTemplate",
    "DeleteEnvironmentTemplateVersion",
    "DeleteRepository",
    "DeleteService",
    "DeleteServiceTemplate",
    "DeleteServiceTemplateVersion",
    "DeleteTemplateSyncConfig",
    "TagResource",
    "UntagResource",
    "UpdateEnvironmentTemplate",
    "UpdateServiceTemplate",
    "UpdateTemplateSyncConfig",
}
"""Where nothing else is in the way of the refusal."""


def _there(operation: str) -> dict[str, Any]:
    """Names of what is in the furnished house, for the parameters of an operation."""
    service = "Service" in operation
    template = "web-svc" if service else "network-env"
    name = template if "Template" in operation else "checkout" if service and "Instance" not in operation else "test"
    if operation.startswith("Create"):
        name = f"new-{name}"
    return {
        "name": "acme/templates" if "Repository" in operation else name,
        "id": "00000000-0000-4000-8000-00000000d0e0",
        "environmentName": "test",
        "serviceName": "checkout",
        "serviceInstanceName": "test",
        "templateName": template,
        "templateType": "ENVIRONMENT",
        "majorVersion": "1",
        "minorVersion": "0",
        "resourceArn": "arn:aws:proton:eu-west-1:123456789012:environment/test",
        "status": "PUBLISHED" if "TemplateVersion" in operation else "SUCCEEDED",
        "deploymentType": "CURRENT_VERSION",
        "spec": "proton: ServiceSpec\npipeline: {}\ninstances: [{name: test, environment: test, spec: {}}]\n"
        if service
        else "proton: EnvironmentSpec\nspec: {}\n",
        "deploymentId": "00000000-0000-4000-8000-00000000d0e0",
        "protonServiceRoleArn": "arn:aws:iam::123456789012:role/x",
    }


def everything(served: Served) -> list[str]:
    with served.store.read() as unit:
        return [
            repr(found)
            for found in (
                unit.registry.templates(),
                [unit.registry.versions(template.name) for template in unit.registry.templates()],
                unit.fleet.services(),
                unit.fleet.of_service("checkout"),
                unit.fleet.in_environment("test"),
                unit.deployments.recent(100),
                unit.sources.list(),
                unit.annotations.list("repository"),
                [entry for entry in unit.journal.entries(100) if not entry.kind.startswith("token")],
                unit.work.list(100),
            )
        ]


ODD = ["\0", "a\0b", "\ud800", "9" * 20, "0", "\U0001f600", "' OR 1=1 --", "../..", "a" * 60, "-", "{{ 7 }}"]


@pytest.mark.parametrize("operation", sorted(OPERATIONS))
def test_no_request_breaks_anything(operation: str, unchecked: Any) -> None:
    """Odd texts in every place a text can stand in: answered or refused, and never a fault of ours."""
    for value in (valid(_input(operation)), valid(_input(operation)) | _there(operation)):
        given = {name: member for name, member in value.items() if name in _input(operation).members}
        for request in odd(given):
            try:
                getattr(unchecked, _method(unchecked, operation))(**request)
            except ClientError as error:
                assert error.response["ResponseMetadata"]["HTTPStatusCode"] < 500, request
            except UnicodeEncodeError:
                continue


def odd(value: Any) -> Iterator[Any]:
    """The same value with one odd text in it, for each place and each oddity in turn."""
    if isinstance(value, str):
        yield from ODD
    elif isinstance(value, dict):
        for position, (name, member) in enumerate(value.items()):
            for count, other in enumerate(odd(member)):
                if (count + position) % 4 == 0:
                    yield value | {name: other}
    elif isinstance(value, list):
        yield from ([other] for each in value for other in odd(each))
