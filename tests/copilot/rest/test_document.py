"""The OpenAPI document: sound by itself, with a scope, failures and an example for everything."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.openapi.models import OpenAPI
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # it has no annotations

from copilot.rest.access import OPEN_PATHS
from tests.copilot.rest.place import Place

Json = dict[str, Any]


@pytest.fixture
async def document(place: Place) -> Json:
    document: Json = (await place.client(secret="").get("/openapi.json")).json()
    return document


def objects(value: Any) -> Iterator[Json]:
    """Yield every object inside a document."""
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from objects(inner)


def operations(document: Json) -> Iterator[tuple[str, str, Json]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield method, path, operation


def resolve(document: Json, reference: str) -> Any:
    found: Any = document
    for name in reference.removeprefix("#/").split("/"):
        found = found[name]
    return found


def check_against(document: Json, schema: Json, value: Any) -> None:
    """Validate a value against a schema of the document."""
    Draft202012Validator({**schema, "components": document["components"]}).validate(value)


def test_document_is_openapi_3_1(document: Json) -> None:
    assert document["openapi"].startswith("3.1")
    OpenAPI.model_validate(document)
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


def test_every_reference_leads_somewhere(document: Json) -> None:
    references = [each["$ref"] for each in objects(document) if isinstance(each.get("$ref"), str)]
    assert len(references) > 100
    for reference in references:
        assert isinstance(resolve(document, reference), dict), reference


def test_every_operation_names_its_scope_and_its_failures(document: Json) -> None:
    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    for method, path, operation in operations(document):
        told = set(operation["responses"])
        if path in OPEN_PATHS:
            assert "security" not in operation
            continue
        (scopes,) = [each["bearer"] for each in operation["security"]]
        assert len(scopes) == 1, (method, path)
        assert told >= {"401", "403", "422", "429", "500", "503"}, (method, path)
        assert "requestBody" not in operation or told >= {"400", "413", "415"}, (method, path)
        assert "{" not in path or "404" in told or "422" in told
        assert operation["description"]
        for status, answer in operation["responses"].items():
            assert answer["description"]
            if status >= "400" and path != "/health":
                assert list(answer["content"]) == ["application/problem+json"], (method, path, status)


def test_every_operation_has_a_name_of_its_own_and_links_lead_to_them(document: Json) -> None:
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(names) == len(set(names))
    links = [link for each in objects(document) for link in each.get("links", {}).values() if "operationId" in link]
    assert {link["operationId"] for link in links} <= set(names)
    assert len(links) >= 10


def test_every_example_is_valid(document: Json) -> None:
    examined = 0
    for name, schema in document["components"]["schemas"].items():
        for example in schema.get("examples", ()):
            check_against(document, {"$ref": f"#/components/schemas/{name}"}, example)
            examined += 1
    assert examined > 20


def test_every_body_has_an_example(document: Json) -> None:
    for method, path, operation in operations(document):
        if "requestBody" in operation:
            schema = operation["requestBody"]["content"]["application/json"]["schema"]
            shown = [schema, *(resolve(document, each["$ref"]) for each in schema.get("oneOf", ()))]
            shown += [resolve(document, schema["$ref"])] if "$ref" in schema else []
            assert any(each.get("examples") for each in shown), (method, path)


async def test_answers_are_as_told(place: Place, document: Json) -> None:
    client = place.client()
    ticket = (await client.post("/chat", json={"message": "buy"})).json()["opened"][0]
    wrong = {"nonce": "x"}
    calls: list[tuple[str, str, str, Any]] = [
        ("post", "/chat", "/chat", {"message": "look and buy"}),
        ("get", "/tickets", "/tickets", None),
        ("get", "/tickets/{ticket_id}", f"/tickets/{ticket['ticket_id']}", None),
        ("get", "/tickets/{ticket_id}", "/tickets/999", None),
        ("post", "/tickets/{ticket_id}/approve", f"/tickets/{ticket['ticket_id']}/approve", wrong),
        ("post", "/agents/{name}/{action}", "/agents/all/start", None),
        ("get", "/agents", "/agents", None),
        ("get", "/portfolio", "/portfolio?view=pnl&period=7d", None),
        ("post", "/alerts", "/alerts", {"symbol": "BTC-USDT", "condition": "price_above", "value": "120"}),
        ("post", "/alerts", "/alerts", {"symbol": "NOPE", "condition": "price_above", "value": "120"}),
        ("get", "/alerts", "/alerts", None),
        ("post", "/backtests", "/backtests", {"target": "atlas"}),
        ("post", "/tokens", "/tokens", {"name": "more", "scopes": ["read"]}),
        ("get", "/tokens", "/tokens", None),
        ("get", "/health", "/health", None),
        ("post", "/stop", "/stop", None),
        ("post", "/lift", "/lift", None),
    ]
    for method, template, path, body in calls:
        response = await client.request(method, path, json=body)
        told = document["paths"][template][method]["responses"][str(response.status_code)]
        schema = told["content"][response.headers["content-type"]]["schema"]
        check_against(document, schema, json.loads(response.text, parse_constant=pytest.fail))
