"""The OpenAPI document: sound by itself, and true of what the service answers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.openapi.models import OpenAPI
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # it has no annotations

from engine.api import Broadcaster, create_api
from engine.api.page import write_page
from tests.engine.api.fakes import FakeMarket, FakeShelf, FakeSignals

Json = dict[str, Any]
ROUTES = {
    "/signals",
    "/signals/{symbol}",
    "/bars/{symbol}",
    "/models",
    "/models/{model_id}",
    "/reports/{model_id}",
    "/health",
    "/stream",
}


def make_document(*, has_tokens: bool = False) -> Json:
    market = FakeMarket()
    authenticate = (lambda token: None) if has_tokens else None
    document: Json = create_api(
        Broadcaster(market, FakeSignals(market)), FakeShelf(), authenticate=authenticate
    ).openapi()
    copied: Json = json.loads(json.dumps(document, allow_nan=False))
    return copied


def _objects(value: Any) -> Iterator[Json]:
    """Yield every object inside a document."""
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _objects(inner)


def _resolve(document: Json, reference: str) -> Any:
    found: Any = document
    for name in reference.removeprefix("#/").split("/"):
        found = found[name]
    return found


def check_against(document: Json, schema: Json, value: Any) -> None:
    """Validate a value against a schema of the document."""
    Draft202012Validator({**schema, "components": document["components"]}).validate(value)


@pytest.fixture(scope="module")
def document() -> Json:
    return make_document(has_tokens=True)


def test_document_is_openapi_3_1_with_every_route(document: Json) -> None:
    assert document["openapi"].startswith("3.1")
    assert set(document["paths"]) == ROUTES
    OpenAPI.model_validate(document)


def test_every_reference_leads_somewhere(document: Json) -> None:
    references = [each["$ref"] for each in _objects(document) if isinstance(each.get("$ref"), str)]
    assert references
    for reference in references:
        assert reference.startswith("#/components/"), reference
        assert isinstance(_resolve(document, reference), dict)


def test_every_schema_is_json_schema(document: Json) -> None:
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    for item in document["paths"].values():
        for parameter in item["get"].get("parameters", ()):
            Draft202012Validator.check_schema(parameter["schema"])


def test_operations_are_named_once_and_described(document: Json) -> None:
    operations = [item["get"] for item in document["paths"].values()]
    names = [operation["operationId"] for operation in operations]
    assert len(set(names)) == len(names)
    for operation in operations:
        assert operation["summary"]
        assert operation["description"]
        assert all(response["description"] for response in operation["responses"].values())


def test_parameters_of_a_path_are_declared_and_needed(document: Json) -> None:
    for path, item in document["paths"].items():
        parameters = item["get"].get("parameters", [])
        in_path = {each["name"] for each in parameters if each["in"] == "path" and each["required"]}
        assert in_path == set(re.findall(r"{(\w+)}", path))
        places = [(each["name"], each["in"]) for each in parameters]
        assert len(set(places)) == len(places)


def test_every_answer_has_an_example_that_fits_its_schema(document: Json) -> None:
    for path, item in document["paths"].items():
        for status, response in item["get"]["responses"].items():
            if status == "101":
                continue
            ((_, content),) = response["content"].items()
            examples = _resolve(document, content["schema"]["$ref"])["examples"]
            assert examples, (path, status)
            for example in examples:
                check_against(document, content["schema"], example)


def test_every_example_fits_its_schema(document: Json) -> None:
    for name, schema in document["components"]["schemas"].items():
        for example in schema.get("examples", ()):
            check_against(document, {"$ref": f"#/components/schemas/{name}"}, example)


def test_failures_are_problems(document: Json) -> None:
    for path, item in document["paths"].items():
        failures = {status: each for status, each in item["get"]["responses"].items() if status >= "400"}
        assert "500" in failures, path
        for response in failures.values():
            assert set(response["content"]) == {"application/problem+json"}
    assert "HTTPValidationError" not in document["components"]["schemas"]


def test_messages_of_the_stream_are_among_the_schemas(document: Json) -> None:
    told = document["paths"]["/stream"]["get"]["description"]
    for name in ("Welcome", "Subscribe", "Unsubscribe", "Ping", "Subscribed", "Pong", "ErrorFrame", "Gap", "Heartbeat"):
        assert name in document["components"]["schemas"]
        assert f"`{name}`" in told


def test_without_tokens_none_is_documented() -> None:
    document = make_document()
    assert "securitySchemes" not in document["components"]
    assert all("security" not in item["get"] for item in document["paths"].values())
    assert all("401" not in item["get"]["responses"] for item in document["paths"].values())


def test_page_shows_every_route_and_escapes_what_it_shows(document: Json) -> None:
    page = write_page({**document, "info": {**document["info"], "description": "<script>alert(1)</script>"}})
    assert "<script>" not in page
    for path in ROUTES:
        assert f"GET {path}</code>" in page
