"""How the API refuses: with a problem document that programs can decide by, and everything that is wrong at once."""

import json

import pytest

from tests.web.furnished import DONE
from upkeep.web.api.reading import DEEPEST

pytestmark = pytest.mark.usefixtures("furnished")

UPDATE = "/environments/test/update"


def refused(program, status, method, path, headers=None, **kept):
    answer = program.ask(method, path, headers, **kept)
    assert answer.status_code == status, answer.text
    assert answer.content_type == "application/problem+json"
    assert answer.json["status"] == status
    assert answer.headers["X-Request-Id"] == answer.json["request_id"]
    return answer.json


def raw(program, text, status=400, **headers):
    body = text if isinstance(text, bytes) else text.encode()
    return refused(program, status, "POST", UPDATE, {"Content-Type": "application/json"} | headers, data=body)


def test_a_refusal_says_what_happened_and_what_to_do(program):
    problem = refused(program("viewer"), 404, "GET", "/environments/nowhere")
    del problem["request_id"]
    assert problem == {
        "type": "/api#not-found",
        "title": "Not Found",
        "status": 404,
        "detail": "there is no environment/nowhere",
        "slug": "not-found",
        "cure": "`upkeep environment list` shows all",
    }


def test_everything_that_does_not_fit_is_told_at_once_with_its_place(program):
    body = {"versoin": "1.1", "recreate": "yes", "confirmed": ["Table", 7], "plan": "x"}
    problem = refused(program("developer"), 400, "POST", UPDATE, json=body)
    assert problem["slug"] == "unfit"
    told = {error["pointer"]: error for error in problem["errors"]}
    assert told.keys() == {"#/versoin", "#/recreate", "#/confirmed/1", "#/plan"}
    assert told["#/versoin"]["cure"] == "did you mean `version`?"


def test_parameters_are_told_by_name(program):
    problem = refused(program("viewer"), 400, "GET", "/resources?limit=0&kind=odd&serach=x&failed=1&behind=true")
    told = {error["parameter"]: error for error in problem["errors"]}
    assert told.keys() == {"limit", "kind", "serach", "failed"}
    assert told["serach"]["cure"] == "did you mean `search`?"
    twice = refused(program("viewer"), 400, "GET", "/resources?limit=1&limit=2")
    assert twice["errors"] == [{"message": "is given more than once", "parameter": "limit"}]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "the body is not JSON"),
        ("[]", "this is not an object"),
        ('"x"', "this is not an object"),
        ('{"inputs": {"a": 1, "a": 2}}', "twice"),
        ('{"inputs": {"a": NaN}}', "NaN"),
        ('{"inputs": {"a": -Infinity}}', "Infinity"),
        ('{"inputs": {"a": 1e999}}', "too large"),
        ('{"inputs": {"a": ' + "9" * 5000 + "}}", "the body is not JSON"),
        ('{"inputs": {"a": "\\u0000"}}', "NUL"),
        ('{"inputs": {"\\ud800": 1}}', "half a character"),
        (b'{"inputs": "\xff"}', "UTF-8"),
        ('{"inputs": {"a": ' + "[" * DEEPEST + "]" * DEEPEST + "}}", "levels deep"),
        ("[" * 100_000, "levels deep"),
    ],
)
def test_json_that_readers_disagree_about_is_refused(program, text, said):
    problem = raw(program("developer"), text)
    assert said in problem["detail"]
    assert problem["errors"]


def test_only_json_is_read_and_only_json_is_answered(program):
    developer = program("developer")
    assert refused(developer, 415, "POST", UPDATE, data="version=1.1")["slug"] == "unsupported-media-type"
    text = {"Content-Type": "text/plain"}
    assert refused(developer, 415, "POST", UPDATE, text, data="{}")["slug"] == "unsupported-media-type"
    html = {"Accept": "text/html"}
    assert refused(developer, 406, "GET", "/me", html)["slug"] == "not-acceptable"
    assert developer.ask("GET", "/me", {"Accept": "*/*"}).status_code == 200


def test_more_than_a_megabyte_is_not_read(program):
    problem = raw(program("developer"), '{"inputs": "' + "x" * (1 << 20) + '"}', 413)
    assert problem["slug"] == "too-large"


def test_what_takes_no_body_says_so(program):
    problem = refused(program("developer"), 400, "POST", "/sources/templates/sync", json={})
    assert problem["detail"] == "this operation takes no body"


def test_addresses_and_methods_that_there_are_not(program):
    viewer = program("viewer")
    assert refused(viewer, 404, "GET", "/nowhere")["slug"] == "not-found"
    assert refused(program(), 404, "GET", "/environments/a/b/c")["slug"] == "not-found"
    answer = viewer.ask("PATCH", "/environments/test")
    assert (answer.status_code, answer.json["slug"]) == (405, "method-not-allowed")
    assert answer.headers["Allow"] == "DELETE, GET, HEAD"


def test_a_token_that_is_none_is_refused_with_a_challenge(program):
    stranger = program()
    for value in ("upkeep_unknown", "Basic YTpi", "Bearer", "Bearer a b", "Bearer upkeep_unknown"):
        answer = stranger.ask("GET", "/me", {"Authorization": value})
        assert answer.status_code == 401, value
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="upkeep"'


def test_a_bug_tells_its_number_and_nothing_else(program, app, caplog):
    @app.before_request
    def broken() -> None:
        raise RuntimeError("secret")

    answer = program("viewer").ask("GET", "/me")
    assert (answer.status_code, answer.content_type) == (500, "application/problem+json")
    assert "secret" not in answer.text
    assert answer.json["request_id"] in caplog.text


def test_names_that_cannot_be_are_refused_before_anything_is_looked_for(program):
    for path in ("/environments/%00", "/environments/%ED%A0%80", "/environments/a%20b", f"/deployments/{DONE}x"):
        assert program("viewer").ask("GET", path).status_code == 400, path


def test_a_document_is_answered_as_json(program):
    answer = program().ask("GET", "/openapi.json")
    assert (answer.status_code, answer.content_type) == (200, "application/json")
    assert json.loads(answer.text)["openapi"] == "3.1.0"
