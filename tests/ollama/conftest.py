"""The real server as a fixture; absent, its tests skip."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NoReturn

import pytest

from tests.ollama.server import find_server, has_model, serving
from tests.parts import missing


@pytest.fixture(scope="session")
def real_ollama() -> Iterator[str]:
    """Start a real server with the tiny model, and return its address."""
    server = find_server()
    if server is None or not has_model():
        _absent()
    with serving(server) as url:
        yield url


def _absent() -> NoReturn:
    """Skip even under CI: not every runner can have Ollama; COPILOT_TEST_OLLAMA=1 says that this one must."""
    if os.environ.get("COPILOT_TEST_OLLAMA") == "1":
        missing("Ollama", "make ollama")
    pytest.skip("Ollama is not here; make ollama")
