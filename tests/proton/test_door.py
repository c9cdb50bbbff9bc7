"""The door itself: protocol, keys, hosts, limits, and what it says when it is closed."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from botocore.loaders import Loader
from flask.testing import FlaskClient

from tests.proton.conftest import ROOT, Served, secret_of
from tests.web.furnished import DONE
from upkeep import settings, wiring
from upkeep.adapters import servicemodel
from upkeep.adapters.clock import now as present
from upkeep.adapters.keypairs import DerivedSecrets, kept_master
from upkeep.domain.errors import SettingsError, StalledError
from upkeep.domain.names import TemplateName
from upkeep.domain.people import Scope
from upkeep.domain.versions import TemplateKind
from upkeep.flows import register
from upkeep.flows.admit import revoke_token
from upkeep.web.app import Rooms, create_app
from upkeep.web.proton.protocol import CLOSED
from upkeep.web.rooms import Bounds
from upkeep.web.throttle import Throttle

TARGET = "AwsProton20200720"


def sent(served: Served, body: bytes, operation: str = "ListServices", url: str = "http://localhost/proton"):
    """A request with this body as it goes over the wire."""
    key, secret = served.key_pair("admin")
    headers = {"X-Amz-Target": f"{TARGET}.{operation}", "Content-Type": "application/x-amz-json-1.0"}
    request = AWSRequest("POST", url, headers, body)
    SigV4Auth(Credentials(key, secret), "proton", "eu-west-1").add_auth(request)
    return dict(request.headers.items())


@pytest.fixture
def web(proton_rooms: Rooms) -> FlaskClient:
    return create_app(proton_rooms).test_client()


def told(answer, status: int, error: str) -> str:
    assert answer.status_code == status, answer.text
    assert answer.headers["x-amzn-ErrorType"] == error
    body = json.loads(answer.text)
    assert body["__type"] == error
    return body["message"]


def test_an_answer_is_json_with_a_request_id(served: Served, web: FlaskClient) -> None:
    answer = web.post("/proton", data=b"{}", headers=sent(served, b"{}"))
    assert (answer.status_code, json.loads(answer.text)) == (200, {"services": []})
    assert answer.headers["Content-Type"] == "application/x-amz-json-1.0"
    assert len(answer.headers["x-amzn-RequestId"]) == 36


def test_an_empty_body_has_no_parameters(served: Served, web: FlaskClient) -> None:
    assert web.post("/proton/", data=b"", headers=sent(served, b"", url="http://localhost/proton/")).status_code == 200


def test_a_parameter_that_is_null_was_left_out(served: Served, web: FlaskClient) -> None:
    body = b'{"maxResults": null}'
    assert web.post("/proton", data=body, headers=sent(served, body)).status_code == 200


@pytest.mark.parametrize("body", [b"[]", b"{", b'"x"', b"\xff", b"[" * 100_000, b'{"a":' * 800 + b"1" + b"}" * 800])
def test_what_is_no_json_object_is_refused(served: Served, web: FlaskClient, body: bytes) -> None:
    told(web.post("/proton", data=body, headers=sent(served, body)), 400, "SerializationException")


def test_a_body_that_ends_early_is_refused(served: Served, web: FlaskClient) -> None:
    longer = {"CONTENT_LENGTH": "3"}
    answer = web.post("/proton", data=b"{}", headers=sent(served, b"{}"), environ_overrides=longer)
    told(answer, 400, "SerializationException")


@pytest.mark.parametrize("target", [f"{TARGET}.Nothing", f"{TARGET}.", "Other.ListServices", ""])
def test_an_operation_that_is_none_is_refused(served: Served, web: FlaskClient, target: str) -> None:
    key, secret = served.key_pair("admin")
    request = AWSRequest("POST", "http://localhost/proton", {"X-Amz-Target": target}, b"{}")
    SigV4Auth(Credentials(key, secret), "proton", "eu-west-1").add_auth(request)
    answer = web.post("/proton", data=b"{}", headers=dict(request.headers.items()))
    told(answer, 400, "UnknownOperationException")


def test_a_body_larger_than_any_request_is_refused(served: Served, web: FlaskClient) -> None:
    body = b'{"name": "' + b"a" * (1 << 20) + b'"}'
    said = told(web.post("/proton", data=body, headers=sent(served, body)), 413, "ValidationException")
    assert "larger than 1 MB" in said and "`limits.request`" in said


def test_an_unsigned_request_is_told_how_to_sign(web: FlaskClient) -> None:
    said = told(web.post("/proton", data=b"{}"), 400, "MissingAuthenticationTokenException")
    assert "upkeep token create --aws" in said


def test_at_its_own_host_the_api_is_at_the_root(proton_rooms: Rooms, served: Served) -> None:
    named = replace(proton_rooms, proton=replace(proton_rooms.proton, host="proton.example.com"))
    web = create_app(named).test_client()
    headers = sent(served, b"{}", url="http://proton.example.com/")
    there = web.post("/", data=b"{}", headers=headers, base_url="http://proton.example.com")
    assert there.status_code == 200
    assert web.post("/", data=b"{}", headers=headers, base_url="http://upkeep.example.com").status_code == 405


def test_a_closed_door_says_why_and_the_pages_go_on(proton_rooms: Rooms) -> None:
    with pytest.raises(StalledError) as missing:
        servicemodel.load(Loader(include_default_search_paths=False))
    closed = replace(proton_rooms, proton=replace(CLOSED, closed=str(missing.value)))
    web = create_app(closed).test_client()
    said = told(web.post("/proton", data=b"{}"), 503, "ServiceUnavailableException")
    assert "no usable service model of AWS Proton" in said
    assert web.get("/healthz").status_code == 200


# ------------------------------------------------------------------------------------------------------ keys


def refusal(client, code: str) -> str:
    with pytest.raises(ClientError) as caught:
        client.list_services()
    assert caught.value.response["Error"]["Code"] == code
    return caught.value.response["Error"]["Message"]


def test_a_key_pair_acts_as_its_user_within_its_scopes(furnished: Served) -> None:
    reader = furnished.client("admin", Scope.READ)
    assert len(reader.list_services()["services"]) == 1
    with pytest.raises(ClientError) as caught:
        reader.delete_service(name="checkout")
    assert caught.value.response["Error"]["Code"] == "AccessDeniedException"
    assert "lacks the scope `enroll`" in caught.value.response["Error"]["Message"]


def test_what_is_done_by_a_key_stands_in_the_journal(served: Served) -> None:
    served.client("admin").create_service_template(name="web")
    with served.store.read() as unit:
        (entry,) = unit.journal.entries(10, kind="template_added")
    assert (entry.actor, entry.via, entry.subject) == ("admin", "api", "template/web")
    assert entry.facts["token"] == "a key of admin"


def test_a_key_that_was_revoked_is_worth_nothing(served: Served) -> None:
    key, secret = served.key_pair("admin")
    client = served.client("admin", aws_access_key_id=key, aws_secret_access_key=secret)
    client.list_services()
    with served.store.write() as unit:
        revoke_token(unit, key, actor=ROOT, now=present())
    assert "revoked" in refusal(client, "UnrecognizedClientException")


def test_a_key_of_awss_own_is_told_what_to_do(served: Served) -> None:
    client = served.client("admin", aws_access_key_id="AKIAIOSFODNN7EXAMPLE", aws_secret_access_key="x")
    assert "upkeep token create --aws" in refusal(client, "UnrecognizedClientException")


def test_a_session_of_aws_is_told_what_to_do(served: Served) -> None:
    client = served.client("admin", aws_session_token="FwoGZXIvYXdzEXAMPLE")
    assert "session tokens of AWS cannot be verified here" in refusal(client, "UnrecognizedClientException")


def test_a_wrong_secret_is_a_wrong_signature(served: Served) -> None:
    assert "does not match" in refusal(served.client("admin", aws_secret_access_key="x"), "InvalidSignatureException")


def test_a_key_that_nobody_issued_cannot_be_told_from_a_wrong_secret(served: Served) -> None:
    client = served.client("admin", aws_access_key_id="UPKEEPAAAAAAAAAAAAAA", aws_secret_access_key="x")
    assert "does not match" in refusal(client, "InvalidSignatureException")
    # With the secret that would be its own, it is still no key.
    client = served.client(
        "admin", aws_access_key_id="UPKEEPAAAAAAAAAAAAAA", aws_secret_access_key=secret_of("UPKEEPAAAAAAAAAAAAAA")
    )
    refusal(client, "UnrecognizedClientException")


def test_no_secret_stands_in_the_database(served: Served) -> None:
    _, secret = served.key_pair("admin")
    kept = b"".join(file.read_bytes() for file in served.folder.glob("state/upkeep.db*"))
    assert secret.encode() not in kept
    assert b"a master key for tests" not in kept


def test_the_master_key_is_made_once_and_is_ours_alone(tmp_path: Path) -> None:
    file = tmp_path / "proton.key"
    first = kept_master(file)
    assert (len(first), kept_master(file)) == (64, first)
    assert file.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in tmp_path.iterdir() if entry.name.startswith(".")] == []
    assert DerivedSecrets(first)("UPKEEPA") != DerivedSecrets(b"other")("UPKEEPA")


def test_too_many_calls_are_throttled_and_time_lets_them_in_again() -> None:
    throttle, now, none = Throttle(3), present(), timedelta()
    assert [throttle.wait("one", now) for _ in range(3)] == [none] * 3
    assert throttle.wait("one", now) == timedelta(seconds=20)
    assert throttle.wait("another", now) == none
    # Whoever goes on asking is let in as soon as others are.
    assert throttle.wait("one", now + timedelta(seconds=15)) == timedelta(seconds=5)
    assert throttle.wait("one", now + timedelta(seconds=20)) == none


def test_a_client_that_is_throttled_hears_it_in_protons_words(proton_rooms: Rooms, served: Served) -> None:
    slow = replace(proton_rooms, bounds=Bounds(requests=Throttle(1)))
    web = create_app(slow).test_client()
    headers = sent(served, b"{}")
    assert web.post("/proton", data=b"{}", headers=headers).status_code == 200
    told(web.post("/proton", data=b"{}", headers=headers), 400, "ThrottlingException")


def test_only_so_many_repositories_are_read_by_this_door_too(proton_rooms: Rooms, served: Served) -> None:
    web = create_app(replace(proton_rooms, bounds=Bounds(sources=0))).test_client()
    with served.store.write() as unit:
        register.add_template(unit, TemplateName("net"), TemplateKind.ENVIRONMENT, actor=ROOT, now=present())

    def call(operation: str, **given: str) -> Any:
        body = json.dumps(given).encode()
        return web.post("/proton", data=body, headers=sent(served, body, operation))

    connection = "arn:aws:codestar-connections:eu-west-1:123456789012:connection/1f2e"
    repository = {"repositoryName": "acme/templates", "repositoryProvider": "GITHUB"}
    linked = call("CreateRepository", name="acme/templates", provider="GITHUB", connectionArn=connection)
    assert linked.status_code == 200, linked.text
    answer = call(
        "CreateTemplateSyncConfig", **repository, branch="main", templateName="net", templateType="ENVIRONMENT"
    )
    assert "`limits.sources`" in told(answer, 400, "ConflictException")


def test_a_master_key_that_can_be_guessed_is_refused(tmp_path: Path) -> None:
    short = settings.read("proton: {key: secret}", "upkeep.yaml", folder=tmp_path, environ={})
    with pytest.raises(SettingsError, match="shorter than 32 letters"):
        wiring.open_key_pairs(short)
    long = settings.read(f"proton: {{key: {'k' * 32}}}", "upkeep.yaml", folder=tmp_path, environ={})
    assert wiring.open_key_pairs(long)("UPKEEPA") == DerivedSecrets(b"k" * 32)("UPKEEPA")
    assert not (tmp_path / "upkeep-state").exists()


def test_the_door_stands_under_the_names_of_the_configuration(tmp_path: Path) -> None:
    text = "proton: {account_id: '123456789012'}\ncloudformation: {region: cn-north-1}\n"
    door = wiring.open_proton(settings.read(text, "upkeep.yaml", folder=tmp_path, environ={}))
    assert door.names.service("checkout") == "arn:aws-cn:proton:cn-north-1:123456789012:service/checkout"
    assert (door.closed, (tmp_path / "upkeep-state" / "proton.key").exists()) == ("", True)


@pytest.mark.parametrize("user", ["viewer", "outsider"])
def test_nobody_changes_what_is_not_theirs_even_without_a_deployment(furnished: Served, user: str) -> None:
    client = furnished.client(user)
    arn = "arn:aws:proton:eu-west-1:123456789012:"
    tags = [{"key": "a", "value": "b"}]
    for method, given in (
        ("update_environment", {"name": "test", "deploymentType": "NONE", "description": "mine"}),
        ("update_service_instance", {"serviceName": "checkout", "name": "test", "deploymentType": "NONE"}),
        ("update_service", {"name": "checkout", "description": "mine"}),
        ("tag_resource", {"resourceArn": f"{arn}environment/test", "tags": tags}),
        ("tag_resource", {"resourceArn": f"{arn}service/checkout", "tags": tags}),
        ("untag_resource", {"resourceArn": f"{arn}service/checkout/service-instance/test", "tagKeys": ["a"]}),
        ("notify_resource_deployment_status_change", {"resourceArn": f"{arn}environment/test", "status": "SUCCEEDED"}),
        ("delete_deployment", {"id": DONE}),
    ):
        with pytest.raises(ClientError) as caught:
            getattr(client, method)(**given)
        assert caught.value.response["Error"]["Code"] == "AccessDeniedException", method
    assert "description" not in client.get_environment(name="test")["environment"]
