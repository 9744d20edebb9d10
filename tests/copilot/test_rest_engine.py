"""The signals service as a program: who may reach it, and that it answers from the real engine."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import httpx
import pytest

from copilot.rest_engine import serve_engine
from engine.domain.errors import ConfigError
from tests.copilot.conftest import settings_for

TOKEN = "a-token-of-enough-length"


async def answers(data_dir: Path, **others: object) -> list[tuple[int, str]]:
    """Serve, ask a few things in order, stop, and return status and body of each."""
    said: asyncio.Queue[str] = asyncio.Queue()
    settings = settings_for(data_dir, api_port=0, **others)
    serving = asyncio.create_task(serve_engine(settings, lambda done, what: None, said.put_nowait))
    url = re.sub("/docs$", "", await said.get())
    got = []
    async with httpx.AsyncClient(base_url=url, timeout=60, trust_env=False) as client:
        for path, headers in (
            ("/health", {}),
            ("/signals/BTC-USDT", {}),
            ("/signals/BTC-USDT", {"Authorization": f"Bearer {TOKEN}"}),
            ("/health", {"Host": "evil.example"}),
        ):
            got.append(await ask(client, path, headers))
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving
    return got


async def ask(client: httpx.AsyncClient, path: str, headers: dict[str, str]) -> tuple[int, str]:
    """Ask until the service has read its first bars: until then it says that it is starting."""
    for _ in range(300):
        answer = await client.get(path, headers=headers)
        if answer.status_code != 503:
            break
        await asyncio.sleep(0.2)
    return answer.status_code, answer.text


async def test_this_machine_alone_needs_no_token_and_no_other_name_works(data_dir: Path) -> None:
    health, signal, _, foreign = await answers(data_dir)
    assert health[0] == 200
    assert signal[0] == 200
    assert "BTC/USDT" in signal[1]
    assert foreign[0] == 400


async def test_a_token_is_wanted_where_one_is_set(data_dir: Path) -> None:
    health, without, with_token, _ = await answers(data_dir, api_token=TOKEN)
    assert (health[0], without[0], with_token[0]) == (200, 401, 200)


async def test_other_machines_need_a_token(data_dir: Path) -> None:
    with pytest.raises(ConfigError, match="COPILOT_API_TOKEN"):
        await serve_engine(settings_for(data_dir, host="0.0.0.0"), lambda done, what: None, print)


def test_a_short_token_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="COPILOT_API_TOKEN"):
        settings_for(tmp_path, api_token="short")
