"""The bot against a server that speaks the Bot API, through the real library: who may talk, turns, tickets, pushes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from html import unescape
from pathlib import Path

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from copilot.service import Copilot
from copilot.telegram import bot as bot_module
from copilot.telegram.bot import TelegramBot, TelegramOptions
from copilot.telegram.store import CODE_TTL, TelegramStore
from engine.domain.errors import ConfigError
from tests.agents.execution.fakes import D
from tests.copilot.talk import approve, build_copilot, say
from tests.servers.telegram import TOKEN, BotApi, Person, Shown, serve_bot_api
from tests.tools.world import OWNER, STRANGER, World, open_fast

ANA, EVE = 11, 66


class NoPulse:
    """The pulse of a bot that nobody supervises."""

    fence = 0

    def beat(self) -> None:
        """Nobody listens."""

    def require_term(self) -> None:
        """Nobody else runs it."""


@dataclass
class Desk:
    """A copilot with its bot and the server."""

    world: World
    copilot: Copilot
    store: TelegramStore
    api: BotApi
    running: list[asyncio.Task[None]] = field(default_factory=list)

    def start(self, *, token: str = TOKEN, allowed: tuple[int, ...] = (ANA,)) -> asyncio.Task[None]:
        options = TelegramOptions(token, frozenset(allowed), self.api.url)
        task = asyncio.create_task(TelegramBot(self.copilot, self.store, options, "en").run(NoPulse()))
        self.running.append(task)
        return task

    async def stop(self) -> None:
        for task in self.running:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        self.running.clear()

    async def linked(self, user_id: int = ANA, language: str = "en") -> Person:
        person = self.api.person(user_id, language)
        person.write(f"/link {self.store.new_code(OWNER)}")
        await person.hears("Linked" if language == "en" else "Vinculada")
        return person


@asynccontextmanager
async def desk_at(path: Path) -> AsyncIterator[Desk]:
    database = open_fast(path / "copilot.db")
    world = World(database)
    await world.desk.start()
    memory = InMemorySaver(serde=JsonPlusSerializer(pickle_fallback=False, allowed_msgpack_modules=None))
    async with serve_bot_api() as api:
        desk = Desk(world, build_copilot(world, memory), TelegramStore(database, world.clock.now), api)
        try:
            yield desk
        finally:
            await desk.stop()
            database.dispose()


@pytest.fixture
async def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    monkeypatch.setattr(bot_module, "PUSH_EVERY_S", 0.05)
    async with desk_at(tmp_path) as desk:
        yield desk


def plain(message: Shown) -> str:
    return unescape(message.text)


def is_card(message: Shown) -> bool:
    return any(data.startswith("a:") for _, data in message.buttons)


async def test_account_is_linked_by_a_code_and_talks(desk: Desk) -> None:
    desk.start()
    ana = desk.api.person(ANA)
    ana.write("portfolio")
    await ana.hears("not linked yet")
    code = desk.store.new_code(OWNER)
    ana.write(f"/start {code.lower()}")
    await ana.hears("Linked")
    ana.write("portfolio")
    assert "100,000" in plain(await ana.hears("100,000"))
    ana.write(f"/link {code}")
    await ana.hears("not good")


async def test_code_ends_by_time_and_by_the_next(desk: Desk) -> None:
    desk.start()
    ana = desk.api.person(ANA)
    first, second = desk.store.new_code(OWNER), desk.store.new_code(OWNER)
    ana.write(f"/link {first}")
    await ana.hears("not good")
    desk.world.clock.wait(CODE_TTL.total_seconds() + 1)
    ana.write(f"/link {second}")
    await ana.hears(lambda _: len([m for m in ana.messages if "not good" in m.text]) == 2)
    assert desk.store.links() == ()


async def test_codes_cannot_be_tried_without_end(desk: Desk) -> None:
    desk.start()
    ana = desk.api.person(ANA)
    for n in range(6):
        ana.write(f"/link AAAAAAAA{n}")
    await ana.hears("Too many")
    ana.write(f"/link {desk.store.new_code(OWNER)}")
    await ana.hears(lambda _: len([m for m in ana.messages if "Too many" in m.text]) == 2)
    assert desk.store.links() == ()


async def test_who_is_not_on_the_list_hears_nothing_and_groups_are_left(desk: Desk) -> None:
    desk.start()
    ana, eve = await desk.linked(), desk.api.person(EVE)
    eve.write(f"/link {desk.store.new_code(OWNER)}")
    eve.write("buy")
    ana.write_in_group("buy", group_id=-42)
    ana.write("portfolio")
    await ana.hears("100,000")
    assert eve.messages == []
    assert desk.api.left == [-42]
    assert desk.copilot.open_tickets(OWNER) == ()


async def test_ticket_is_approved_by_its_button_and_once(desk: Desk) -> None:
    desk.start()
    ana = await desk.linked()
    ana.write("buy")
    card = await ana.hears(is_card)
    assert "Buy 1 BTC/USDT" in plain(card)
    for n in range(5):
        ana.press(card, "Approve", f"q{n}")
    await ana.hears("executed")
    assert await desk.world.orders() == 1
    await ana.hears(lambda message: message.message_id == card.message_id and message.buttons == [])
    assert len([m for m in ana.messages if is_card(m)]) == 0


async def test_words_never_approve(desk: Desk) -> None:
    desk.start()
    ana = await desk.linked()
    ana.write("buy")
    await ana.hears(is_card)
    for words in ("yes", "approve", "a:1:x"):
        ana.write(words)
        await ana.hears(f"you said {words}")
    assert await desk.world.orders() == 0


async def test_forwarded_and_quoted_words_are_not_acted_on(desk: Desk) -> None:
    desk.start()
    ana = await desk.linked()
    ana.forward("buy")
    await ana.hears("not your own words")
    ana.write("buy", quote={"text": "buy", "position": 0})
    await ana.hears(lambda _: len([m for m in ana.messages if "not your own words" in m.text]) == 2)
    assert desk.copilot.open_tickets(OWNER) == ()


@pytest.mark.parametrize("data", ["a:1:wrong", "a:999:x", "z:1:x", "a:1:", "f:1:x:owner", "a:1:x\na:1:y"])
async def test_tampered_button_changes_nothing(desk: Desk, data: str) -> None:
    desk.start()
    ana = await desk.linked()
    ana.write("buy")
    card = await ana.hears(is_card)
    ana.press_data(card, data, "tampered")
    ana.write("portfolio")
    await ana.hears("100,000")
    await ana.hears(lambda _: "tampered" in desk.api.answered)
    assert await desk.world.orders() == 0
    assert len(desk.copilot.open_tickets(OWNER)) == 1


async def test_number_of_a_ticket_is_changed_by_a_reply(desk: Desk) -> None:
    desk.start()
    ana = await desk.linked()
    ana.write("buy")
    card = await ana.hears(is_card)
    ana.press(card, "Change")
    await ana.hears(lambda message: any("uantity" in label for label, _ in message.buttons))
    ana.press(card, "uantity")
    question = await ana.hears("New quantity for ticket 1")
    ana.reply(question, "2")
    await ana.hears(lambda message: is_card(message) and "Buy 2 BTC/USDT" in plain(message))
    (ticket,) = desk.copilot.open_tickets(OWNER)
    assert ticket.terms.quantity == D(2)
    card = await ana.hears(is_card)
    ana.press(card, "Approve")
    await ana.hears("executed")
    assert (await desk.world.desk.account()).positions["BTC/USDT"].quantity == 2


async def test_ticket_of_another_place_is_shown_and_answered_here(desk: Desk) -> None:
    desk.start()
    ana = await desk.linked()
    await say(desk.copilot, "buy")
    card = await ana.hears(is_card)
    ana.press(card, "Reject")
    await ana.hears("rejected")
    assert desk.copilot.open_tickets(OWNER) == ()


async def test_ticket_answered_elsewhere_is_closed_here(desk: Desk) -> None:
    desk.start()
    ana = await desk.linked()
    ana.write("buy")
    card = await ana.hears(is_card)
    data = dict(card.buttons)
    (ticket,) = desk.copilot.open_tickets(OWNER)
    await approve(desk.copilot, ticket)
    await ana.hears(lambda message: message.message_id == card.message_id and "executed" in message.text)
    ana.press_data(card, next(iter(data.values())))
    await ana.hears("executed")
    assert await desk.world.orders() == 1


async def test_card_of_before_a_restart_is_closed_after_it(desk: Desk) -> None:
    desk.start()
    ana = await desk.linked()
    ana.write("buy")
    card = await ana.hears(is_card)
    await desk.stop()
    (ticket,) = desk.copilot.open_tickets(OWNER)
    await approve(desk.copilot, ticket)
    desk.start()
    await ana.hears(lambda message: message.message_id == card.message_id and message.buttons == [])


async def test_update_that_comes_again_is_not_handled_again(desk: Desk) -> None:
    desk.api.is_repeating = True
    desk.start()
    ana = await desk.linked()
    ana.write("buy")
    card = await ana.hears(is_card)
    ana.press(card, "Approve")
    await ana.hears("executed")
    await asyncio.sleep(0.3)
    await desk.stop()
    desk.start()
    await asyncio.sleep(0.3)
    assert await desk.world.orders() == 1
    assert len([m for m in ana.messages if "Linked" in m.text]) == 1


async def test_alerts_come_by_themselves_once_and_old_ones_not(desk: Desk) -> None:
    desk.world.notices.notify(OWNER, "ticket_unfilled", {"ticket_id": "7"})
    desk.start()
    ana = await desk.linked()
    told = len(ana.messages)
    desk.world.notices.notify(OWNER, "ticket_unfilled", {"ticket_id": "8"})
    await ana.hears("8")
    await asyncio.sleep(0.3)
    assert len(ana.messages) == told + 1


async def test_notice_that_could_not_be_sent_comes_later(desk: Desk) -> None:
    desk.start()
    ana = await desk.linked()
    await asyncio.sleep(0.1)
    desk.api.fail("sendMessage", "error", "cut_before")
    desk.world.notices.notify(OWNER, "ticket_unfilled", {"ticket_id": "8"})
    await ana.hears("8")
    await asyncio.sleep(0.3)
    assert len([m for m in ana.messages if "8" in m.text]) == 1


async def test_flood_control_delays_and_loses_nothing(desk: Desk) -> None:
    desk.start()
    ana = await desk.linked()
    desk.api.fail("sendMessage", "flood")
    ana.write("portfolio")
    await ana.hears("100,000")


async def test_charts_come_as_pictures(desk: Desk) -> None:
    for n in range(80):
        price = str(100 + n % 7)
        desk.world.market.minute(price, price, price, price, "5")
    desk.start()
    ana = await desk.linked()
    ana.write("chart")
    picture = await ana.hears(lambda message: message.is_photo)
    assert picture.photo.startswith(b"\x89PNG")


async def test_stop_stops_everything_at_once(desk: Desk) -> None:
    desk.start()
    ana = await desk.linked()
    ana.write("/stop")
    await ana.hears("All trading is stopped")
    assert desk.world.halted == [(OWNER, "telegram")]


@pytest.mark.parametrize(
    ("command", "words"), [("/help", "ticket"), ("/status", "simulated"), ("/nonsense", "/unlink")]
)
async def test_commands_answer(desk: Desk, command: str, words: str) -> None:
    desk.start()
    ana = await desk.linked()
    ana.write(command)
    await ana.hears(words)


async def test_speaks_the_language_of_the_account(desk: Desk) -> None:
    desk.start()
    ana = await desk.linked(language="es")
    ana.write("/help")
    await ana.hears("Háblame")


async def test_link_can_be_ended(desk: Desk) -> None:
    desk.start()
    ana = await desk.linked()
    ana.write("/unlink")
    await ana.hears("no longer linked")
    desk.world.notices.notify(OWNER, "ticket_unfilled", {"ticket_id": "8"})
    await asyncio.sleep(0.3)
    assert [m for m in ana.messages if "8" in m.text] == []


async def test_nobody_reads_what_belongs_to_another_owner(desk: Desk) -> None:
    desk.start()
    ana = await desk.linked()
    await say(desk.copilot, "buy", owner=STRANGER.owner, chat="elsewhere")
    desk.world.notices.notify(STRANGER.owner, "ticket_unfilled", {"ticket_id": "9"})
    await asyncio.sleep(0.3)
    assert [m for m in ana.messages if is_card(m) or "9" in m.text] == []


async def test_slow_answer_does_not_delay_a_button(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.start()
    ana = await desk.linked()
    ana.write("buy")
    card = await ana.hears(is_card)
    reached, go_on = asyncio.Event(), asyncio.Event()
    plain_send = desk.copilot._run

    def slow(*args: object, **named: object) -> AsyncIterator[object]:
        async def run() -> AsyncIterator[object]:
            if not reached.is_set():
                reached.set()
                await go_on.wait()
            async for event in plain_send(*args, **named):  # type: ignore[arg-type]
                yield event

        return run()

    monkeypatch.setattr(desk.copilot, "_run", slow)
    ana.write("tell me a long story")
    await reached.wait()
    ana.press(card, "Approve")
    await ana.hears("executed")
    assert not go_on.is_set()
    assert await desk.world.orders() == 1
    go_on.set()
    await ana.hears("you said tell me a long story")


async def test_wrong_token_stops_with_a_clear_line(desk: Desk) -> None:
    with pytest.raises(ConfigError, match="COPILOT_TELEGRAM_TOKEN"):
        await desk.start(token="1:wrong")
    desk.running.clear()


def test_token_is_not_shown() -> None:
    assert "secret" not in repr(TelegramOptions("1:secret", frozenset({ANA})))


async def test_update_numbers_are_kept_for_days_only(desk: Desk) -> None:
    assert desk.store.take_in(1)
    assert not desk.store.take_in(1)
    desk.world.clock.wait(timedelta(days=4).total_seconds())
    assert desk.store.take_in(2)
    assert desk.store.take_in(1)
