"""The OpenAPI document, made from the operations. `docs/openapi.json` is its copy, which a test compares."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from dreamd.page.api.operations.operation import Answer, Operation
from dreamd.page.problems import PROBLEM_TYPE, Problem

JsonValue = str | int | float | bool | None | dict[str, "JsonValue"] | list["JsonValue"]
"""A value of JSON."""

_VERSION = "1.0"
"""The version of the API: the first number is that of its addresses, the second counts what was added."""

_SCHEMAS = "#/components/schemas/{model}"
"""Where the document keeps its schemas."""

_COMMON_PROBLEMS = {
    401: "A token is needed, or the one that was shown is wrong.",
    403: "This token may not do that, or a browser asks for a page of another site.",
    422: "A parameter is unknown, missing or wrong.",
    500: "A fault of dreamd's own, or of a disk; its log says more.",
}
"""What may come of any operation, beside its own problems."""


def openapi(operations: Sequence[Operation]) -> dict[str, JsonValue]:
    """Make the document."""
    paths: dict[str, JsonValue] = {}
    for each in operations:
        methods = paths.setdefault(each.path, {})
        assert isinstance(methods, dict)
        methods[each.method.lower()] = _operation(each)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "dreamd",
            "version": _VERSION,
            "description": "Post pictures, wait for their dreams, fetch them. `docs/api.md` has examples.",
        },
        "servers": [{"url": "./"}],
        "security": [{"token": []}, {}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A token of `status.tokens`, or the page's own. None is needed where none is set.",
                }
            },
            "schemas": _schemas(operations),
        },
    }


def _operation(each: Operation) -> JsonValue:
    rights = " or ".join(f"`{right}`" for right in sorted(each.needs))
    told: dict[str, JsonValue] = {
        "operationId": each.name,
        "summary": each.summary,
        "description": f"The token may {rights}.",
        "parameters": _parameters(each),
        "responses": _responses(each),
    }
    if each.body is not None:
        content: dict[str, JsonValue] = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
        told["requestBody"] = {"description": each.body, "required": True, "content": content}
    if each.takes is not None:
        of_json: dict[str, JsonValue] = {"application/json": {"schema": _reference(each.takes)}}
        told["requestBody"] = {"description": inspect.getdoc(each.takes) or "", "required": True, "content": of_json}
    return told


def _parameters(each: Operation) -> list[JsonValue]:
    in_path: list[JsonValue] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"{(\w+)}", each.path)
    ]
    schema = each.query.model_json_schema()
    in_query: list[JsonValue] = [
        {
            "name": name,
            "in": "query",
            "required": name in schema.get("required", ()),
            "description": field.pop("description", ""),
            "schema": field,
        }
        for name, field in schema["properties"].items()
    ]
    in_head: list[JsonValue] = [
        {"name": header.name, "in": "header", "description": header.words, "schema": {"type": "string"}}
        for header in each.headers
    ]
    return [*in_path, *in_query, *in_head]


def _responses(each: Operation) -> dict[str, JsonValue]:
    problems = {**_COMMON_PROBLEMS, **each.problems}
    answers: dict[str, JsonValue] = {str(code): _response(answer) for code, answer in each.answers.items()}
    refusals: dict[str, JsonValue] = {
        str(code): {"description": problems[code], "content": {PROBLEM_TYPE: {"schema": _reference(Problem)}}}
        for code in sorted(problems)
    }
    return answers | refusals


def _response(answer: Answer) -> JsonValue:
    is_json = answer.media_type == "application/json"
    schema: JsonValue = {"type": "object"} if is_json else {"type": "string"}
    if answer.model is not None:
        schema = _reference(answer.model)
    return {"description": answer.words, "content": {answer.media_type: {"schema": schema}}}


def _reference(model: type[BaseModel]) -> JsonValue:
    return {"$ref": _SCHEMAS.format(model=model.__name__)}


def _schemas(operations: Sequence[Operation]) -> JsonValue:
    models: dict[type[BaseModel], None] = {Problem: None}
    models |= {answer.model: None for each in operations for answer in each.answers.values() if answer.model}
    models |= {each.takes: None for each in operations if each.takes}
    _, document = models_json_schema([(model, "serialization") for model in models], ref_template=_SCHEMAS, title=None)
    schemas: JsonValue = document["$defs"]
    return schemas
