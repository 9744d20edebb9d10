"""One served page for the whole folder: starting it is the slow part."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.copilot.web.running import Running, start


@pytest.fixture(scope="session")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Serve the page from an empty working directory."""
    folder = tmp_path_factory.mktemp("elsewhere")
    running = start(tmp_path_factory.mktemp("data"), folder, "--password")
    yield running
    assert running.stop() == 0
    assert list(folder.iterdir()) == [], "the page left something in the working directory"
