"""The OpenAPI document, made from the declared operations.

https://spec.openapis.org/oas/v3.1.1.html; its schemas are JSON Schema 2020-12, which is what pydantic writes.
"""

import ast
import inspect
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib.metadata import version
from itertools import pairwise
from typing import Any, Literal

from flask import Response
from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, models_json_schema

from upkeep.domain.people import Act, Scope
from upkeep.web.api import problems
from upkeep.web.api.operations import NOUNS, OPERATIONS, PREFIX, Operation, blueprint
from upkeep.web.api.problems import Problem

_REF = "#/components/schemas/{model}"

_Schema = dict[str, Any]
_Mode = Literal["validation", "serialization"]
_Names = Mapping[Any, str]

_REFUSALS: Mapping[int, tuple[str, str]] = {
    400: ("Refused", "What was asked does not fit, or cannot be done. `errors` lists what does not fit."),
    401: ("SignedOut", "There is no token, or it is unknown, revoked or expired."),
    403: ("Forbidden", "The role of the token's user, or its scopes, do not allow this."),
    404: ("NotFound", "What was named does not exist."),
    406: ("NotAcceptable", "JSON is not accepted."),
    409: ("Conflict", "It does not fit the present state, or the same request is under way."),
    413: ("TooLarge", "The body is larger than the setting `limits.request` allows, 1 MB by default."),
    415: ("UnsupportedMediaType", "The body is not said to be JSON."),
    422: ("Unprocessable", "The idempotency key came with another request, or a bundle cannot be used."),
    429: ("TooManyRequests", "Wait as long as `Retry-After` says."),
    503: ("Unavailable", "It may work later; `Retry-After` says when, if that is known."),
}


class _Plain(GenerateJsonSchema):
    """Schemas without titles that only repeat the names, and with what stands below each member in the code.

    pydantic can read that itself, when a class is made; for all of these it takes a second of every start.
    """

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def model_schema(self, schema: Any) -> _Schema:
        described = super().model_schema(schema)
        model: type[BaseModel] = schema["cls"]
        for name, said in _said_of(model.__pydantic_generic_metadata__["origin"] or model).items():
            field = model.model_fields[name]
            described["properties"][field.alias or name].setdefault("description", said)
        return described


def _said_of(model: type) -> Mapping[str, str]:
    """The texts that stand below the members of a class. Parameters of a path have no class that was written."""
    return _said_in(model.__module__).get(model.__name__, {})


@cache
def _said_in(module: str) -> Mapping[str, Mapping[str, str]]:
    """The same of all classes of a module, which is read once."""
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    return {node.name: dict(_said(node.body)) for node in tree.body if isinstance(node, ast.ClassDef)}


def _said(body: Sequence[ast.stmt]) -> Iterator[tuple[str, str]]:
    for member, text in pairwise(body):
        if not (isinstance(member, ast.AnnAssign) and isinstance(member.target, ast.Name)):
            continue
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant) and isinstance(text.value.value, str):
            yield member.target.id, " ".join(text.value.value.split())


@blueprint.get("/openapi.json")
def openapi() -> Response:
    """This document. It holds nothing that the source code does not, and asks for no token."""
    return Response(_written(), content_type="application/json")


@cache
def _written() -> str:
    return json.dumps(document())


def document() -> _Schema:
    """The whole document."""
    names, schemas = _schemas(OPERATIONS)
    paths: dict[str, _Schema] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, names, schemas)
    looked_up = {names[model] for each in OPERATIONS for model in (each.parameters, each.query) if model is not None}
    shown = {name: schema for name, schema in schemas.items() if name not in looked_up}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Upkeep",
            "version": version("upkeep"),
            "summary": "Keeps deployed infrastructure up to date with its templates.",
            "license": {"name": "See the repository"},
        },
        "servers": [{"url": PREFIX}],
        "security": [{"token": []}],
        "tags": [{"name": name, "description": meaning} for name, meaning in NOUNS.items()],
        "paths": paths,
        "components": {
            "schemas": shown,
            "responses": {name: _refusal(meaning) for name, meaning in _REFUSALS.values()},
            "parameters": {"IdempotencyKey": _IDEMPOTENCY_KEY},
            "headers": {"RequestId": _REQUEST_ID, "Link": _LINK},
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A token of a user, made on their account page or with `upkeep token create`.",
                }
            },
        },
    }


_IDEMPOTENCY_KEY: _Schema = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "Names this request, so that repeating it within a day repeats the answer and not the act.",
    "schema": {"type": "string", "pattern": "^[!#-~]{1,255}$", "examples": ["8e03978e-40d5-43dd-bc93-6894a57f9324"]},
}

_REQUEST_ID: _Schema = {"description": "What the log calls this request.", "schema": {"type": "string"}}

_LINK: _Schema = {
    "description": "The address of the next page, as RFC 8288 writes it.",
    "schema": {"type": "string"},
}


def _schemas(operations: Iterable[Operation]) -> tuple[_Names, dict[str, _Schema]]:
    """What everything that is asked and answered is called, and its schema by that name."""
    models: list[tuple[type[BaseModel], _Mode]] = [(Problem, "serialization")]
    for each in operations:
        models += [(model, "validation") for model in (each.parameters, each.query, each.body) if model is not None]
        models += [(each.answers, "serialization")] if each.answers is not None else []
    refs, found = models_json_schema(list(dict.fromkeys(models)), ref_template=_REF, schema_generator=_Plain)
    names = {model: ref["$ref"].rpartition("/")[2] for (model, _), ref in refs.items()}
    return names, found["$defs"]


def _operation(operation: Operation, names: _Names, schemas: Mapping[str, _Schema]) -> _Schema:
    more = (inspect.getdoc(operation.does) or "").partition("\n\n")[2]
    facts: _Schema = {
        "operationId": operation.id,
        "tags": [operation.noun],
        "summary": summary_of(operation),
        "description": "\n\n".join(part for part in (more, _asks_for(operation.act)) if part),
        "parameters": [
            *_parameters(operation.parameters, "path", names, schemas),
            *_parameters(operation.query, "query", names, schemas),
            *([{"$ref": "#/components/parameters/IdempotencyKey"}] if operation.writes else []),
        ],
        "responses": _responses(operation, names),
    }
    if operation.body is not None:
        needed = any(field.is_required() for field in operation.body.model_fields.values())
        facts["requestBody"] = {"required": needed, "content": _json(names[operation.body])}
    return facts


def summary_of(operation: Operation) -> str:
    """What it does, in a sentence."""
    return " ".join((inspect.getdoc(operation.does) or "").partition("\n\n")[0].split())


def _asks_for(act: Act) -> str:
    scopes = ", ".join(f"`{scope}`" for scope in Scope if act in scope.acts)
    return f"Asks for the right to {act}: a token with one of the scopes {scopes}."


def _parameters(
    model: type[BaseModel] | None, place: str, names: _Names, schemas: Mapping[str, _Schema]
) -> list[_Schema]:
    if model is None:
        return []
    schema = schemas[names[model]]
    found = []
    for name, facts in schema["properties"].items():
        facts = dict(facts)
        described = {"description": facts.pop("description")} if "description" in facts else {}
        required = name in schema.get("required", ())
        found.append({"name": name, "in": place, "required": required, **described, "schema": _given(facts)})
    return found


def _given(facts: _Schema) -> _Schema:
    """The schema of a parameter that is there: it may be left out, but it cannot be null."""
    kinds = [kind for kind in facts.get("anyOf", ()) if kind != {"type": "null"}]
    if len(kinds) == 1:
        facts = {**kinds[0], **{name: fact for name, fact in facts.items() if name != "anyOf"}}
    if facts.get("default", ...) is None:
        del facts["default"]
    return facts


def _responses(operation: Operation, names: _Names) -> _Schema:
    done: _Schema = {
        "description": "Done." if operation.status != 202 else "Asked for; the worker does it.",
        "headers": {"X-Request-Id": {"$ref": "#/components/headers/RequestId"}},
    }
    if operation.answers is not None:
        done["content"] = _json(names[operation.answers])
        if operation.query is not None and "cursor" in operation.query.model_fields:
            done["headers"]["Link"] = {"$ref": "#/components/headers/Link"}
    refused = [400, 401, 403, 404, 406, 409, 422, 429, 503] + ([413, 415] if operation.method != "GET" else [])
    return {
        str(operation.status): done,
        **{str(status): {"$ref": f"#/components/responses/{_REFUSALS[status][0]}"} for status in sorted(refused)},
    }


def _refusal(meaning: str) -> _Schema:
    return {
        "description": meaning,
        "headers": {"X-Request-Id": {"$ref": "#/components/headers/RequestId"}},
        "content": {problems.MEDIA_TYPE: {"schema": {"$ref": _REF.format(model="Problem")}}},
    }


def _json(name: str) -> _Schema:
    return {"application/json": {"schema": {"$ref": _REF.format(model=name)}}}
