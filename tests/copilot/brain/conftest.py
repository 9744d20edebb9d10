"""Closes the connections of every brain that a test opened."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.copilot.brain.rig import OPENED


@pytest.fixture(autouse=True)
async def _close_brains() -> AsyncIterator[None]:
    yield
    while OPENED:
        await OPENED.pop().close()
