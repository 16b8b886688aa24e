"""The service's description of itself: everything is shown by example, and examples fit."""

import json
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
from conftest import Service

from serving.errors import STATUS

PROBLEM = "application/problem+json"
LINES = "application/x-ndjson"
EDGE_CODES = {"too_slow": 408, "headers_too_large": 431, "method_not_allowed": 405}
"""Codes that no domain error has."""

Document = dict[str, Any]


@pytest.fixture(scope="module")
def description(shop_service: Service) -> Document:
    with shop_service.client() as client:
        return dict(client.get("/openapi.json").json())


def operations(description: Document) -> Iterator[tuple[str, Document]]:
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def examples_of(description: Document, content: Document) -> list[Any]:
    """The examples of one kind of body, or of a parameter."""
    if "example" in content:
        return [content["example"]]
    kept = description["components"]["examples"]
    named = [
        kept[one["$ref"].rpartition("/")[2]] if "$ref" in one else one
        for one in content.get("examples", {}).values()
    ]
    return [one["value"] for one in named] or content.get("schema", {}).get("examples", [])


def misfits(description: Document, schema: Document, value: Any) -> list[str]:
    """Why a value does not fit a schema of the description."""
    whole = {**schema, "components": description["components"]}
    return [str(error) for error in jsonschema_rs.Draft202012Validator(whole).iter_errors(value)]


def faults(description: Document, place: str, kinds: Document) -> list[str]:
    """Kinds of bodies without an example, and examples that do not fit their schema."""
    found = []
    for kind, content in kinds.items():
        shown = examples_of(description, content)
        if not shown:
            found.append(f"{place}: {kind} has no example")
        for value in shown:
            read = [value]
            if kind == LINES:
                read = [json.loads(line) for line in value.splitlines()]
            schema = content.get("schema", {})
            if kind == LINES and schema.get("type") == "string":
                schema = {}
            found += [
                f"{place}: {why}" for one in read for why in misfits(description, schema, one)
            ]
    return found


def test_every_request_is_shown_by_an_example_that_fits(description: Document) -> None:
    """Every kind of body, and every parameter that can't be left out."""
    found = []
    for name, operation in operations(description):
        found += faults(description, name, operation.get("requestBody", {}).get("content", {}))
        for parameter in operation.get("parameters", []):
            shown = examples_of(description, parameter)
            if parameter["required"] and not shown:
                found.append(f"{name}: {parameter['name']} has no example")
            for value in shown:
                found += misfits(description, parameter["schema"], value)
    assert [] == found


def test_every_answer_is_shown_by_an_example_that_fits(description: Document) -> None:
    """Each status but those without a body, for each kind of body."""
    found = []
    for name, operation in operations(description):
        for status, answer in operation["responses"].items():
            if status in ("202", "204"):
                assert "content" not in answer, name
                continue
            if not answer.get("content"):
                found.append(f"{name} {status}: no content")
            found += faults(description, f"{name} {status}", answer.get("content", {}))
    assert [] == found


def test_every_error_is_a_problem_document_of_its_status(description: Document) -> None:
    """With a code that the service has for that status."""
    seen = set()
    for name, operation in operations(description):
        for status, answer in operation["responses"].items():
            if int(status) < 400:
                continue
            shown = answer["content"][PROBLEM]["example"]
            expected = 404 if shown["code"].endswith("_unknown") else None
            expected = expected or {**STATUS, **EDGE_CODES}[shown["code"]]
            assert int(status) == shown["status"] == expected, name
            assert f"urn:milepost:problem:{shown['code']}" == shown["type"]
            seen.add(int(status))
    assert {400, 401, 403, 404, 405, 408, 409, 410, 413, 415, 422, 429, 431, 503} == seen


def test_what_answers_without_a_key_says_so(description: Document) -> None:
    """Health alone; all else names the two ways to send a key."""
    open_ = [name for name, operation in operations(description) if operation.get("security") == []]
    assert ["GET /livez", "GET /readyz"] == sorted(open_)
    assert [{"key": []}, {"basic": []}] == description["security"]


def test_a_wrong_method_is_told_all_right_ones(shop_service: Service) -> None:
    """405 lists the methods of every route of the path."""
    with shop_service.client() as client:
        for path, allowed in (
            ("/v1/webhooks", "GET, POST"), ("/v1/webhooks/x", "DELETE, GET"),
            ("/v1/scores/batch", "POST"), ("/v1/problems", "GET"),
        ):  # fmt: skip
            refused = client.request("PATCH", path)
            assert (405, allowed) == (refused.status_code, refused.headers["allow"])
