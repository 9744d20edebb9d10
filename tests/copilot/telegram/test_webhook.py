"""Updates that Telegram brings: behind a secret, taken in once, by the same bot that polling feeds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from copilot.settings import load_settings
from copilot.telegram import bot as bot_module
from copilot.telegram.bot import TelegramBot, TelegramOptions
from copilot.telegram.webhook import LONGEST_UPDATE, SECRET_HEADER, WebhookOptions
from engine.domain.errors import ConfigError
from tests.conftest import free_port
from tests.copilot.telegram.test_bot import ANA, Desk, NoPulse, desk_at, is_card
from tests.servers.telegram import TOKEN
from tests.tools.world import OWNER

PUBLIC = "https://copilot.example.org/telegram"


@dataclass
class Hooked:
    """A bot that listens, and where a proxy would reach it."""

    desk: Desk
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/telegram"

    @property
    def secret(self) -> str:
        assert self.desk.api.webhook is not None, "Telegram was told of no webhook"
        return str(self.desk.api.webhook["secret_token"])

    def start(self) -> asyncio.Task[None]:
        webhook = WebhookOptions(PUBLIC, "127.0.0.1", self.port)
        options = TelegramOptions(TOKEN, frozenset({ANA}), self.desk.api.url, webhook)
        task = asyncio.create_task(TelegramBot(self.desk.copilot, self.desk.store, options, "en").run(NoPulse()))
        self.desk.running.append(task)
        return task

    async def started(self) -> None:
        self.start()
        await until(lambda: self.desk.api.webhook is not None)


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not is_so():  # noqa: ASYNC110  # what is waited for has no event
            await asyncio.sleep(0.01)


@pytest.fixture
async def hooked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Hooked]:
    monkeypatch.setattr(bot_module, "PUSH_EVERY_S", 0.05)
    async with desk_at(tmp_path) as desk:
        yield Hooked(desk, free_port())


async def test_what_is_brought_is_handled_once(hooked: Hooked) -> None:
    await hooked.started()
    assert hooked.desk.api.webhook is not None
    assert hooked.desk.api.webhook["url"] == PUBLIC
    ana = hooked.desk.api.person(ANA)
    ana.write(f"/link {hooked.desk.store.new_code(OWNER)}")
    assert await hooked.desk.api.bring(hooked.url, times=2) == [200, 200]
    await ana.hears("Linked")
    ana.write("buy")
    await hooked.desk.api.bring(hooked.url, times=3)
    card = await ana.hears(is_card)
    ana.press(card, "Approve")
    await hooked.desk.api.bring(hooked.url, times=3)
    await ana.hears("executed")
    assert await hooked.desk.world.orders() == 1
    assert len([m for m in ana.messages if "Linked" in m.text]) == 1
    assert [name for name, _ in hooked.desk.api.calls if name == "getUpdates"] == []


async def test_nobody_without_the_secret_is_let_in(hooked: Hooked) -> None:
    await hooked.started()
    ana = hooked.desk.api.person(ANA)
    ana.write(f"/link {hooked.desk.store.new_code(OWNER)}")
    assert await hooked.desk.api.bring(hooked.url, secret="guessed") == [403]
    assert hooked.desk.store.links() == ()
    async with httpx.AsyncClient() as client:
        assert (await client.post(hooked.url, json={"update_id": 1})).status_code == 403
        assert (await client.post(hooked.url + "/else", json={"update_id": 1})).status_code == 404
        assert (await client.get(hooked.url)).status_code == 405
    assert await hooked.desk.api.bring(hooked.url) == [200]
    await ana.hears("Linked")


NO_UPDATES = [
    (b"no json", 400),
    (b"[" * 100_000, 400),
    (b"[1, 2]", 400),
    (b'{"message": 5}', 400),
    (b" " * (LONGEST_UPDATE + 1), 413),
]


async def test_what_is_no_update_is_refused_and_the_next_is_taken(hooked: Hooked) -> None:
    await hooked.started()
    headers = {SECRET_HEADER: hooked.secret}
    async with httpx.AsyncClient() as client:
        for body, status in [*NO_UPDATES, (b'{"update_id": 1}', 200)]:
            assert (await client.post(hooked.url, content=body, headers=headers)).status_code == status, body[:20]


async def test_secret_is_another_after_a_restart_and_the_old_one_is_worthless(hooked: Hooked) -> None:
    await hooked.started()
    old = hooked.secret
    await hooked.desk.stop()
    hooked.desk.api.webhook = None
    await hooked.started()
    assert hooked.secret != old
    hooked.desk.api.person(ANA).write("portfolio")
    assert await hooked.desk.api.bring(hooked.url, secret=old) == [403]


async def test_polling_takes_over_from_a_webhook(hooked: Hooked) -> None:
    await hooked.started()
    await hooked.desk.stop()
    assert hooked.desk.api.webhook is not None
    hooked.desk.start()
    await hooked.desk.linked()
    assert hooked.desk.api.webhook is None


async def test_address_that_is_taken_is_told_and_nothing_is_set(hooked: Hooked) -> None:
    await hooked.started()
    hooked.desk.api.webhook = None
    with pytest.raises(OSError, match="in use"):
        await hooked.start()
    hooked.desk.running.pop()
    assert hooked.desk.api.webhook is None


@pytest.mark.parametrize(
    "url", ["http://a.example.org/x", "https://a.example.org", "https://a.example.org/", "https://"]
)
def test_address_without_tls_or_path_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="COPILOT_TELEGRAM_WEBHOOK_URL"):
        load_settings(telegram_webhook_url=url)
