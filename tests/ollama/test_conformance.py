"""The scripted server against the real one: the same requests get the same statuses, types, fields and words."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.ollama.server import MODEL
from tests.servers.ollama import FakeModel, FakeOllama
from tests.servers.replies import always

pytestmark = pytest.mark.ollama

HELLO = {"messages": [{"role": "user", "content": "hello"}]}
SHORT = {"options": {"num_ctx": 1024, "num_predict": 2, "temperature": 0}}
TOOL = {"type": "function", "function": {"name": "price", "description": "", "parameters": {"type": "object"}}}

REQUESTS: dict[str, tuple[str, str, Any]] = {
    "root": ("GET", "/", None),
    "version": ("GET", "/api/version", None),
    "tags": ("GET", "/api/tags", None),
    "show": ("POST", "/api/show", {"model": MODEL}),
    "show an unknown model": ("POST", "/api/show", {"model": "nope:8b"}),
    "an unknown page": ("GET", "/nope", None),
    "stream": ("POST", "/api/chat", {"model": MODEL} | HELLO | SHORT),
    "one body": ("POST", "/api/chat", {"model": MODEL, "stream": False} | HELLO | SHORT),
    "generate": ("POST", "/api/generate", {"model": MODEL, "prompt": "hello", "stream": False} | SHORT),
    "load": ("POST", "/api/chat", {"model": MODEL, "messages": []} | SHORT),
    "ps": ("GET", "/api/ps", None),
    "unload": ("POST", "/api/chat", {"model": MODEL, "messages": [], "keep_alive": 0}),
    "an unknown model": ("POST", "/api/chat", {"model": "nope:8b"} | HELLO),
    "generate with an unknown model": ("POST", "/api/generate", {"model": "nope:8b", "prompt": "hello"}),
    "no model": ("POST", "/api/chat", HELLO),
    "tools": ("POST", "/api/chat", {"model": MODEL, "tools": [TOOL]} | HELLO),
    "thinking": ("POST", "/api/chat", {"model": MODEL, "think": True} | HELLO),
    "a wrong format, streamed": ("POST", "/api/chat", {"model": MODEL, "format": "xml"} | HELLO | SHORT),
    "a wrong format": ("POST", "/api/chat", {"model": MODEL, "format": "xml", "stream": False} | HELLO | SHORT),
}

NOT_IMITATED = {"tensors", "context", "size_vram", "license", "parameters", "done_reason"}
"""Fields that no client of ours reads, that depend on the model's file, or (the last) that are compared by value."""


@pytest.fixture(scope="module")
def fake_ollama() -> Iterator[str]:
    model = FakeModel(f"{MODEL}:latest", ("completion",), 32_768, family="gemma3")
    with FakeOllama(always("Hello. How are you?"), models=[model]) as fake:
        yield fake.url


@pytest.mark.parametrize("name", REQUESTS)
def test_both_servers_answer_alike(name: str, real_ollama: str, fake_ollama: str) -> None:
    assert described(fake_ollama, name) == described(real_ollama, name)


def described(url: str, name: str) -> dict[str, Any]:
    """Reduce an answer to what a client depends on."""
    method, path, body = REQUESTS[name]
    answer = httpx.request(method, url + path, json=body, timeout=120)
    told: dict[str, Any] = {"status": answer.status_code, "type": answer.headers["content-type"]}
    if "json" not in told["type"]:
        return told | {"text": answer.text.strip()}
    lines = [json.loads(line) for line in answer.text.splitlines()]
    told |= {
        "error": without_host(lines[0].get("error")),
        "reason": lines[-1].get("done_reason"),
        "done": lines[-1].get("done"),
    }
    return told | {"first": fields(lines[0]), "last": fields(lines[-1])}


def without_host(error: str | None) -> str | None:
    """Return an error without the host of the model library, which the scripted server leaves out."""
    return None if error is None else re.sub(r"\S+/(?=library/)", "", error)


def fields(line: dict[str, Any]) -> set[str]:
    """Return the names of an object's fields, one level deep in lists and messages too."""
    names = set(line) - NOT_IMITATED
    for key in ("message", "details"):
        names |= {f"{key}.{name}" for name in line.get(key, {})}
    for row in (line.get("models") or [])[:1]:
        names |= {f"models.{name}" for name in row} - {f"models.{name}" for name in NOT_IMITATED}
    return names
