"""Whatever is asked, the answer is one that the document tells of, and never an error of our own.

Questions are made from the document's parameters, right ones and wrong ones mixed, and from bytes that no client sends.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, unquote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.types import Message, Scope

from engine.api import Broadcaster, StreamSettings, create_api
from tests.engine.api.fakes import SYMBOLS, FakeMarket, FakeShelf, FakeSignals
from tests.engine.api.test_document import Json, check_against, make_document

DOCUMENT = make_document()
OPERATIONS = sorted(DOCUMENT["paths"])
KNOWN_WORDS = (*SYMBOLS, *(symbol.replace("/", "-") for symbol in SYMBOLS), "m1", "m2")
QUICK = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

anything = st.one_of(
    st.text(max_size=80),
    st.integers().map(str),
    st.floats().map(str),
    st.sampled_from(["", " ", "\0", "null", "[]", "../../etc/passwd", "%00", "1e9", "²", "١", "\ud7ff", "💥"]),
)


def _values(schema: Json) -> st.SearchStrategy[Any]:
    """Return values for a parameter: such as its schema allows, and others."""
    allowed: st.SearchStrategy[Any] = st.sampled_from(KNOWN_WORDS)
    if "anyOf" in schema:
        return st.one_of([_values(each) for each in schema["anyOf"]])
    if "enum" in schema:
        allowed = st.sampled_from(schema["enum"])
    elif schema.get("type") == "integer":
        allowed = st.integers(schema["minimum"], schema["maximum"])
    elif schema.get("type") == "array":
        allowed = st.lists(st.one_of(allowed, anything), max_size=4)
    return st.one_of(allowed, allowed, anything)


@st.composite
def questions(draw: st.DrawFn) -> tuple[str, str, list[tuple[str, str]]]:
    """Return an operation's path, the path to ask for, and the query."""
    template = draw(st.sampled_from(OPERATIONS))
    path, query = template, []
    for parameter in DOCUMENT["paths"][template]["get"].get("parameters", ()):
        value = draw(_values(parameter["schema"]))
        if parameter["in"] == "path":
            path = path.replace(f"{{{parameter['name']}}}", quote(str(value), safe=""))
        elif draw(st.booleans()):
            query += [(parameter["name"], str(each)) for each in (value if isinstance(value, list) else [value])]
    if draw(st.integers(0, 9)) == 0:
        query.append((draw(st.text(max_size=10)), draw(anything)))
    return template, path, query


class Harness:
    """A service in this process, with a loop of its own."""

    def __init__(self, runner: asyncio.Runner) -> None:
        market = FakeMarket()
        self.broadcaster = Broadcaster(market, FakeSignals(market), StreamSettings(poll_s=0.01))
        self.app = create_api(self.broadcaster, FakeShelf())
        self.runner = runner
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://here")

    def get(self, path: str, query: list[tuple[str, str]]) -> httpx.Response:
        return self.runner.run(self.client.get(path, params=httpx.QueryParams(tuple(query))))

    def send_raw(self, path: bytes, query: bytes, headers: list[tuple[bytes, bytes]], method: str) -> tuple[int, bytes]:
        """Ask with bytes that no HTTP client would send."""
        scope: Scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote(path.decode("latin-1")),
            "raw_path": path,
            "root_path": "",
            "query_string": query,
            "headers": headers,
            "server": ("here", 80),
            "client": ("there", 1),
        }
        sent: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Message) -> None:
            sent.append(message)

        self.runner.run(self.app(scope, receive, send))
        return sent[0]["status"], b"".join(each.get("body", b"") for each in sent[1:])


@pytest.fixture(scope="module")
def harness() -> Iterator[Harness]:
    with asyncio.Runner() as runner:
        yield Harness(runner)


@QUICK
@given(question=questions())
def test_every_answer_is_one_that_the_document_tells_of(
    harness: Harness, question: tuple[str, str, list[tuple[str, str]]]
) -> None:
    template, path, query = question
    response = harness.get(path, query)
    body = json.loads(response.content, parse_constant=pytest.fail)
    told = DOCUMENT["paths"][template]["get"]["responses"]
    assert response.status_code != 500
    if response.status_code in (404, 405) and str(response.status_code) not in told:
        # The path was not this operation's any more: an empty value, or one with a slash.
        told = DOCUMENT["paths"]["/bars/{symbol}"]["get"]["responses"]
    content = told[str(response.status_code)]["content"]
    media_type = response.headers["content-type"]
    assert media_type in content
    check_against(DOCUMENT, content[media_type]["schema"], body)


@QUICK
@given(
    path=st.binary(max_size=40).map(lambda raw: b"/" + raw),
    prefix=st.sampled_from([b"", b"/bars", b"/signals", b"/models", b"/reports"]),
    query=st.binary(max_size=60),
    header=st.tuples(st.sampled_from([b"authorization", b"host", b"accept", b"origin"]), st.binary(max_size=40)),
    method=st.sampled_from(["GET", "HEAD", "POST", "OPTIONS", "PROPFIND"]),
)
def test_bytes_that_no_client_sends_do_no_harm(
    harness: Harness, path: bytes, prefix: bytes, query: bytes, header: tuple[bytes, bytes], method: str
) -> None:
    status, body = harness.send_raw(prefix + path, query, [header], method)
    assert 200 <= status < 500, body
    if status >= 400:
        check_against(DOCUMENT, {"$ref": "#/components/schemas/Problem"}, json.loads(body))
