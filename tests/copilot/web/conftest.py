"""One served page for the whole folder: starting it is the slow part."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.copilot.web.running import Running, signed_in, start


@pytest.fixture(scope="session")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Serve the page from an empty working directory."""
    folder = tmp_path_factory.mktemp("elsewhere")
    running = start(tmp_path_factory.mktemp("data"), folder, "--password")
    yield running
    assert running.stop() == 0
    assert list(folder.iterdir()) == [], "the page left something in the working directory"


@pytest.fixture(scope="session")
def visitor(page: Running) -> httpx.Client:
    """Return the owner's signed-in client."""
    return signed_in(page)
