"""Whatever is asked, the answer is one that the document tells of, and never an error of our own.

Schemathesis asks from the document; what no client sends is made of bytes here.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import unquote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.types import Message, Scope

from tests.copilot.rest.place import Place, fill_history, place_at
from tests.copilot.rest.serving import Service, serve
from tests.parts import missing

QUICK = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serve(tmp_path_factory.mktemp("rest")) as running:
        yield running


def schemathesis(service: Service, phases: str, examples: int, *others: str) -> None:
    """Run the tool as anybody would, and fail with what it says."""
    words = [sys.executable, "-m", "schemathesis.cli", "run", f"{service.url}/openapi.json"]
    words += ["--header", f"Authorization: Bearer {service.secret}", "--phases", phases, "--no-color"]
    words += ["--max-examples", str(examples), "--exclude-path", "/stop", *others]
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=folder)
    if "No module named" in done.stderr:
        missing("schemathesis", "pip install schemathesis")
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


def test_schemathesis_finds_nothing_quickly(service: Service) -> None:
    schemathesis(service, "examples,fuzzing", 2, "--generation-deterministic")


@pytest.mark.prove
def test_schemathesis_finds_nothing(service: Service) -> None:
    schemathesis(service, "examples,coverage,fuzzing,stateful", 60)


class Harness:
    """A service in this process, with a loop of its own."""

    def __init__(self, runner: asyncio.Runner, path: Path) -> None:
        self.runner = runner
        self._stack = AsyncExitStack()
        self.place: Place = runner.run(self._stack.enter_async_context(place_at(path)))
        fill_history(self.place.world)
        self.secret = self.place.secret()

    def close(self) -> None:
        self.runner.run(self._stack.aclose())

    def send_raw(
        self, path: bytes, query: bytes, headers: list[tuple[bytes, bytes]], method: str, body: bytes
    ) -> tuple[int, bytes]:
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
        is_told = False

        async def receive() -> Message:
            nonlocal is_told
            if is_told:
                return {"type": "http.disconnect"}
            is_told = True
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Message) -> None:
            sent.append(message)

        self.runner.run(self.place.app(scope, receive, send))
        return sent[0]["status"], b"".join(each.get("body", b"") for each in sent[1:])


@pytest.fixture(scope="module")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
    with asyncio.Runner() as runner:
        made = Harness(runner, tmp_path_factory.mktemp("raw"))
        yield made
        made.close()


@QUICK
@given(
    prefix=st.sampled_from(
        [b"", b"/chat", b"/tickets", b"/tickets/1", b"/charts", b"/alerts", b"/orders", b"/agents/nova", b"/backtests"]
    ),
    path=st.binary(max_size=40),
    query=st.binary(max_size=60),
    header=st.tuples(
        st.sampled_from([b"host", b"accept", b"origin", b"content-length", b"last-event-id", b"content-type"]),
        st.binary(max_size=40),
    ),
    method=st.sampled_from(["GET", "HEAD", "POST", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "\xff"]),
    body=st.one_of(
        st.binary(max_size=80),
        st.recursive(st.none() | st.booleans() | st.text(), st.lists).map(
            lambda value: json.dumps({"message": value, "nonce": value}).encode()
        ),
    ),
    has_token=st.sampled_from([True, True, True, False]),
)
def test_bytes_that_no_client_sends_do_no_harm(
    harness: Harness,
    prefix: bytes,
    path: bytes,
    query: bytes,
    header: tuple[bytes, bytes],
    method: str,
    body: bytes,
    has_token: bool,
) -> None:
    headers = [(b"content-type", b"application/json"), header]
    if has_token:
        headers.append((b"authorization", b"Bearer " + harness.secret.encode()))
    status, answer = harness.send_raw(prefix + b"/" + path, query, headers, method, body)
    assert 200 <= status < 500, answer
    if not has_token:
        assert status == 401 or (prefix + b"/" + path) in (b"/health", b"/openapi.json", b"/docs"), status
    if status >= 400:
        problem = json.loads(answer)
        assert problem["status"] == status
        assert problem["code"]


@QUICK
@given(secret=st.one_of(st.binary(max_size=80), st.text(max_size=60).map(lambda text: text.encode("utf-8"))))
def test_no_guess_is_a_token(harness: Harness, secret: bytes) -> None:
    headers = [(b"authorization", b"Bearer " + secret)]
    assert harness.send_raw(b"/tickets", b"", headers, "GET", b"")[0] == 401
