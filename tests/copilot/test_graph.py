"""Turns through the graph and the service: what words can do, what only a decision can, and that every turn ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.types import Command

from agents.execution.values import Execution, OrderIntent
from copilot.brain.offline import OfflineBrain
from copilot.brain.values import Heard, Plan, Tell
from copilot.events import AnswerToken, Event, ToolFinished, ToolProgressed, TurnEnded
from copilot.graph import Nodes, TurnContext, build_graph
from copilot.service import MESSAGE_LIMIT, Copilot
from engine.domain.errors import OrderRejected
from engine.domain.orders import OrderRequest, VenueOrder
from tests.agents.execution.fakes import D
from tests.copilot.talk import (
    CHAT,
    ScriptedModel,
    answer,
    approve,
    build_copilot,
    closed,
    finished,
    listen,
    opened,
    reject,
    say,
)
from tests.tools.world import OWNER, TTL, World, open_fast
from tools.registry import Tool, Toolbox, ToolContext
from tools.results import PortfolioResult, ToolResult, Unavailable


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    database = open_fast(tmp_path / "copilot.db")
    world = World(database)
    await world.desk.start()
    yield world
    database.dispose()


@pytest.fixture
def memory() -> InMemorySaver:
    return InMemorySaver(serde=JsonPlusSerializer(pickle_fallback=False, allowed_msgpack_modules=None))


@pytest.fixture
def copilot(world: World, memory: InMemorySaver) -> Copilot:
    return build_copilot(world, memory)


def kinds(events: list[Event]) -> list[str]:
    return [type(event).__name__ for event in events if not isinstance(event, AnswerToken)]


async def test_reads_run_and_are_worded(copilot: Copilot) -> None:
    told = await say(copilot, "portfolio")
    assert kinds(told) == ["ToolStarted", "ToolFinished", "TurnEnded"]
    assert isinstance(finished(told)["check_portfolio"], PortfolioResult)
    assert answer(told) == "".join(event.text for event in told if isinstance(event, AnswerToken))
    assert "100,000" in answer(told)


async def test_a_long_tool_tells_its_progress_from_its_thread_in_order(world: World, memory: InMemorySaver) -> None:
    async def slow(_asked: object, context: ToolContext) -> ToolResult:
        def work() -> None:
            for done in (0.0, 0.01, 0.2, 0.21, 0.9, 1.0):
                context.progress(done)

        await asyncio.to_thread(work)
        return await world.toolbox.run("check_portfolio", {}, context)

    toolbox = Toolbox([Tool("check_portfolio", "read", slow)])
    nodes = Nodes(OfflineBrain(ScriptedModel(), "scripted"), toolbox, world.decisions)
    copilot = Copilot(
        build_graph(nodes, memory), world.decisions, world.profiles, world.notices, world.market,
        fallback_language="en", halt=world.halt,
    )  # fmt: skip
    told = await say(copilot, "portfolio")
    assert kinds(told) == ["ToolStarted", "ToolProgressed", "ToolProgressed", "ToolFinished", "TurnEnded"]
    assert [event.done for event in told if isinstance(event, ToolProgressed)] == [0.2, 0.9]


async def test_plain_words_are_the_answer(copilot: Copilot) -> None:
    told = await say(copilot, "hello")
    assert answer(told) == "you said hello"
    assert kinds(told) == ["TurnEnded"]


async def test_trade_opens_a_ticket_and_waits(copilot: Copilot, world: World) -> None:
    told = await say(copilot, "buy")
    assert kinds(told) == ["ToolStarted", "ToolFinished", "TicketOpened", "TurnEnded"]
    assert copilot.open_tickets(OWNER) == (opened(told),)
    assert await world.orders() == 0


async def test_approval_carries_the_ticket_out_once(copilot: Copilot, world: World) -> None:
    ticket = opened(await say(copilot, "buy"))
    told = await approve(copilot, ticket)
    assert [each.state for each in closed(told)] == ["executed"]
    assert answer(told)
    again = await approve(copilot, ticket)
    assert [each.state for each in closed(again)] == ["executed"]
    assert await world.orders() == 1
    assert len(await world.desk.trades()) == 1
    assert copilot.open_tickets(OWNER) == ()


@pytest.mark.parametrize("text", ["yes", "sí", "approve", "approve ticket 1", "ok do it", "nonsense", ""])
async def test_words_never_approve(copilot: Copilot, world: World, text: str) -> None:
    ticket = opened(await say(copilot, "buy"))
    await say(copilot, text)
    assert copilot.open_tickets(OWNER) == (ticket,)
    assert await world.orders() == 0
    assert [each.state for each in closed(await approve(copilot, ticket))] == ["executed"]


async def test_nonce_in_the_text_is_only_text(copilot: Copilot, world: World) -> None:
    ticket = opened(await say(copilot, "buy"))
    await say(copilot, f"approve {ticket.ticket_id} {ticket.nonce}")
    assert copilot.open_tickets(OWNER) == (ticket,)
    assert await world.orders() == 0


async def test_message_while_a_ticket_waits_leaves_it_approvable(copilot: Copilot, world: World) -> None:
    ticket = opened(await say(copilot, "buy"))
    assert isinstance(finished(await say(copilot, "portfolio"))["check_portfolio"], PortfolioResult)
    assert [each.ticket_id for each in copilot.open_tickets(OWNER)] == [ticket.ticket_id]
    assert [each.state for each in closed(await approve(copilot, ticket))] == ["executed"]
    assert await world.orders() == 1


async def test_newer_ticket_for_the_symbol_replaces_the_older(copilot: Copilot, world: World) -> None:
    first, second = opened(await say(copilot, "buy")), opened(await say(copilot, "buy two"))
    assert [each.state for each in closed(await approve(copilot, first))] == ["replaced"]
    assert [each.state for each in closed(await approve(copilot, second))] == ["executed"]
    account = await world.desk.account()
    assert account.positions["BTC/USDT"].quantity == 2


async def test_hundred_decisions_at_once_are_one_order(copilot: Copilot, world: World) -> None:
    ticket = opened(await say(copilot, "buy"))
    told = await asyncio.gather(*(approve(copilot, ticket) for _ in range(100)))
    assert {each.state for events in told for each in closed(events)} == {"executed"}
    assert all(answer(events) for events in told)
    assert await world.orders() == 1


async def test_decisions_of_two_programs_are_one_order(copilot: Copilot, world: World, memory: InMemorySaver) -> None:
    ticket = opened(await say(copilot, "buy"))
    others = [build_copilot(world.again(), memory) for _ in range(3)]
    await asyncio.gather(*(approve(each, ticket) for each in [copilot, *others] * 5))
    assert await world.orders() == 1


async def test_rejection_ends_the_ticket_in_words(copilot: Copilot, world: World) -> None:
    ticket = opened(await say(copilot, "buy"))
    told = await reject(copilot, ticket)
    assert [each.state for each in closed(told)] == ["rejected"]
    assert answer(told)
    assert [each.state for each in closed(await approve(copilot, ticket))] == ["rejected"]
    assert await world.orders() == 0


async def test_two_trades_in_one_message_are_asked_one_after_the_other(copilot: Copilot, world: World) -> None:
    first = opened(await say(copilot, "buy both"))
    assert first.terms.symbol == "BTC/USDT"
    assert len(copilot.open_tickets(OWNER)) == 1
    told = await approve(copilot, first)
    second = opened(told)
    assert [each.state for each in closed(told)] == ["executed"]
    assert second.terms.symbol == "XAUUSD"
    assert second.terms.cash_before == first.terms.cash_after
    assert [each.state for each in closed(await approve(copilot, second))] == ["executed"]
    assert await world.orders() == 2


@pytest.mark.parametrize("end", ["reject", "fail"])
async def test_second_trade_is_asked_however_the_first_ended(copilot: Copilot, world: World, end: str) -> None:
    first = opened(await say(copilot, "buy both"))
    if end == "reject":
        told = await reject(copilot, first)
    else:
        world.clock.wait(TTL.total_seconds() + 1)
        world.market.closed.add("BTC/USDT")
        told = await approve(copilot, first)
    assert [each.state for each in closed(told)] == [{"reject": "rejected", "fail": "failed"}[end]]
    assert opened(told).terms.symbol == "XAUUSD"


async def test_refused_trade_makes_room_for_the_next(copilot: Copilot) -> None:
    told = await say(copilot, "buy too much and gold")
    assert opened(told).terms.symbol == "XAUUSD"
    assert kinds(told).count("ToolFinished") == 2


async def test_reads_beside_a_trade_run_before_it(copilot: Copilot) -> None:
    told = await say(copilot, "look and buy")
    assert [event.tool for event in told if isinstance(event, ToolFinished)] == [
        "check_portfolio",
        "list_alerts",
        "execute_trade",
    ]
    assert "100,000" in answer(told)


async def test_expired_ticket_is_asked_again_and_then_executes(copilot: Copilot, world: World) -> None:
    ticket = opened(await say(copilot, "buy"))
    world.clock.wait(TTL.total_seconds() + 1)
    told = await approve(copilot, ticket)
    fresh = opened(told)
    assert (fresh.ticket_id, fresh.version) == (ticket.ticket_id, 2)
    assert answer(told)
    assert await world.orders() == 0
    stale = await approve(copilot, ticket)
    assert opened(stale) == fresh
    assert closed(stale) == []
    assert [each.state for each in closed(await approve(copilot, fresh))] == ["executed"]


async def test_stop_that_the_market_passed_is_told_with_its_figures(copilot: Copilot, world: World) -> None:
    ticket = await world.propose(order_type="stop", price="105")
    world.market.mids["BTC/USDT"] = D(106)
    told = answer(await approve(copilot, ticket))
    assert "105" in told
    assert "106.1" in told
    assert "…" not in told


async def test_edit_asks_again_and_a_bad_one_says_why(copilot: Copilot, world: World) -> None:
    ticket = opened(await say(copilot, "buy"))
    bad = await listen(copilot.edit(OWNER, ticket.ticket_id, ticket.nonce, {"quantity": "x"}, "test"))
    assert kinds(bad) == ["TurnEnded"]
    refused = await listen(copilot.edit(OWNER, ticket.ticket_id, ticket.nonce, {"quantity": "5000"}, "test"))
    assert kinds(refused) == ["TurnEnded"]
    edited = opened(await listen(copilot.edit(OWNER, ticket.ticket_id, ticket.nonce, {"quantity": "3"}, "test")))
    assert [each.state for each in closed(await approve(copilot, edited))] == ["executed"]
    account = await world.desk.account()
    assert account.positions["BTC/USDT"].quantity == 3


async def test_strangers_see_and_decide_nothing(copilot: Copilot, world: World) -> None:
    ticket = opened(await say(copilot, "buy"))
    for told in (await approve(copilot, ticket, "eve"), await reject(copilot, ticket, "eve")):
        assert kinds(told) == ["TurnEnded"]
        assert "BTC" not in answer(told)
    edited = await listen(copilot.edit("eve", ticket.ticket_id, ticket.nonce, {"quantity": "2"}, "test"))
    assert kinds(edited) == ["TurnEnded"]
    assert copilot.open_tickets("eve") == ()
    assert copilot.open_tickets(OWNER) == (ticket,)
    assert await world.orders() == 0


async def test_message_too_long_is_refused_whole(copilot: Copilot) -> None:
    told = await say(copilot, "buy" * MESSAGE_LIMIT)
    assert kinds(told) == ["TurnEnded"]
    assert "12,000" in answer(told)
    assert kinds(await say(copilot, "x" * MESSAGE_LIMIT)) == ["TurnEnded"]


@pytest.mark.parametrize("text", ["bad", "nonsense", "signal"])
async def test_wrong_or_missing_is_told_in_words(copilot: Copilot, text: str) -> None:
    told = await say(copilot, text)
    (result,) = finished(told).values()
    assert isinstance(result, Unavailable)
    assert answer(told)


async def test_failing_model_ends_the_turn_in_words(copilot: Copilot) -> None:
    assert "went wrong" in answer(await say(copilot, "explode"))
    assert answer(await say(copilot, "hello")) == "you said hello"


@pytest.mark.parametrize(
    ("error", "words"), [(RuntimeError("broken"), "went wrong"), (OrderRejected("lot"), "missing")]
)
async def test_failing_tool_ends_the_turn_in_words(
    copilot: Copilot, world: World, monkeypatch: pytest.MonkeyPatch, error: Exception, words: str
) -> None:
    async def fail() -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(world.desk, "account", fail)
        told = await say(copilot, "portfolio")
    assert words in answer(told)
    assert kinds(await say(copilot, "portfolio")) == ["ToolStarted", "ToolFinished", "TurnEnded"]


async def test_database_that_fails_ends_every_turn_in_words(
    copilot: Copilot, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticket = opened(await say(copilot, "buy"))

    def fail(*_: object) -> None:
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(world.profiles, "get", fail)
        patch.setattr(world.tickets, "_check", fail)
        assert "went wrong" in answer(await say(copilot, "hello"))
        assert "went wrong" in answer(await approve(copilot, ticket))
        edited = await listen(copilot.edit(OWNER, ticket.ticket_id, ticket.nonce, {"quantity": "2"}, "test"))
        assert "went wrong" in answer(edited)
    assert [each.state for each in closed(await approve(copilot, ticket))] == ["executed"]


async def test_approved_ticket_is_carried_out_although_memory_fails(
    copilot: Copilot, world: World, memory: InMemorySaver, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticket = opened(await say(copilot, "buy"))

    async def fail(*_: object, **__: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(memory, "aput", fail)
    monkeypatch.setattr(memory, "aput_writes", fail)
    told = await approve(copilot, ticket)
    assert [each.state for each in closed(told)] == ["executed"]
    assert answer(told)
    assert await world.orders() == 1


async def test_page_that_goes_away_does_not_stop_an_approved_ticket(
    copilot: Copilot, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticket = opened(await say(copilot, "buy"))
    entered, go_on, submit = asyncio.Event(), asyncio.Event(), world.venue.submit

    async def slow(order: OrderRequest) -> VenueOrder:
        entered.set()
        await go_on.wait()
        return await submit(order)

    monkeypatch.setattr(world.venue, "submit", slow)
    turn = asyncio.create_task(approve(copilot, ticket))
    await entered.wait()
    turn.cancel()
    with pytest.raises(asyncio.CancelledError):
        await turn
    go_on.set()
    assert (await world.tickets.execute(ticket.ticket_id)).state == "executed"
    assert len(copilot.notices(OWNER, "web")) == 1
    assert copilot.notices(OWNER, "web") == ()
    assert kinds(await say(copilot, "portfolio")) == ["ToolStarted", "ToolFinished", "TurnEnded"]


async def test_page_that_goes_away_before_the_order_does_not_stop_it(copilot: Copilot, world: World) -> None:
    ticket = opened(await say(copilot, "buy"))
    graph = copilot._graph

    asked = asyncio.Event()

    class Stuck:
        async def aget_state(self, config: object) -> None:
            asked.set()
            await asyncio.Event().wait()

    copilot._graph = Stuck()  # type: ignore[assignment]  # a graph that never answers
    turn = asyncio.create_task(approve(copilot, ticket))
    await asked.wait()
    turn.cancel()
    with pytest.raises(asyncio.CancelledError):
        await turn
    copilot._graph = graph
    assert (await world.tickets.execute(ticket.ticket_id)).state == "executed"
    assert await world.orders() == 1


async def test_uncertain_order_stays_claimed_and_is_never_sent_again(
    copilot: Copilot, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticket = opened(await say(copilot, "buy"))
    sent = 0

    async def execute(intent: OrderIntent) -> Execution:
        nonlocal sent
        sent += 1
        raise RuntimeError("killed in between")

    monkeypatch.setattr(world.desk, "execute", execute)
    for _ in range(3):
        told = await approve(copilot, ticket)
        assert answer(told)
    assert sent == 1
    view = world.tickets.view(ticket.ticket_id, OWNER)
    assert view is not None
    assert view.state == "claimed"


async def test_ticket_survives_a_restart_of_program_and_memory(copilot: Copilot, world: World) -> None:
    ticket = opened(await say(copilot, "buy"))
    restarted = build_copilot(world.again(), InMemorySaver())
    assert restarted.open_tickets(OWNER) == (ticket,)
    told = await approve(restarted, ticket)
    assert [each.state for each in closed(told)] == ["executed"]
    assert answer(told)


async def test_history_is_bounded_and_kept_in_order(copilot: Copilot, memory: InMemorySaver) -> None:
    for n in range(60):
        await say(copilot, f"line {n}")
    saved = await memory.aget({"configurable": {"thread_id": CHAT}})
    assert saved is not None
    history = saved["channel_values"]["history"]
    assert len(history) <= 42
    assert history[-2:] == [
        {"role": "user", "text": "line 59"},
        {"role": "assistant", "text": "you said line 59", "brain": "scripted", "prompt": ""},
    ]


async def test_button_does_not_wait_for_a_slow_model(world: World, memory: InMemorySaver) -> None:
    ticket = opened(await say(build_copilot(world, memory), "buy"))
    reached, go_on = asyncio.Event(), asyncio.Event()

    class Slow(OfflineBrain):
        async def plan(self, heard: Heard, tell: Tell) -> Plan:
            reached.set()
            await go_on.wait()
            return await super().plan(heard, tell)

    graph = build_graph(Nodes(Slow(ScriptedModel(), "scripted"), world.toolbox, world.decisions), memory)
    copilot = Copilot(
        graph, world.tickets, world.profiles, world.notices, world.market, fallback_language="en", halt=world.halt
    )
    talking = asyncio.create_task(say(copilot, "hello there"))
    await reached.wait()
    told = await approve(copilot, ticket)
    assert [each.state for each in closed(told)] == ["executed"]
    assert answer(told)
    assert not talking.done()
    go_on.set()
    assert answer(await talking) == "you said hello there"
    assert await world.orders() == 1
    assert answer(await say(copilot, "and now")) == "you said and now"
    history = (await graph.aget_state({"configurable": {"thread_id": CHAT, "owner": OWNER}})).values["history"]
    assert [answer(told) in str(line) for line in history].count(True) == 1


async def test_conversations_do_not_wait_for_each_other(copilot: Copilot) -> None:
    told = await asyncio.gather(*(say(copilot, "portfolio", chat=f"chat-{n % 5}") for n in range(25)))
    assert all(answer(events) for events in told)


async def test_language_chosen_speaks_from_then_on(copilot: Copilot) -> None:
    await say(copilot, "language")
    ended = (await say(copilot, "portfolio"))[-1]
    assert isinstance(ended, TurnEnded)
    assert ended.language == "es"
    assert copilot.language(OWNER, "en") == "es"


async def test_ticket_with_only_the_graph_resumed_is_not_approved(world: World, memory: InMemorySaver) -> None:
    """Whoever resumes the pause without a decision finds the gate again: only the database approves."""
    copilot = build_copilot(world, memory)
    ticket = opened(await say(copilot, "buy"))
    graph = build_graph(Nodes(OfflineBrain(ScriptedModel()), world.toolbox, world.decisions), memory)
    context = TurnContext(OWNER, CHAT, "en", "en")
    for word in ("approved", {"ticket_id": ticket.ticket_id}, True):
        await graph.ainvoke(Command(resume=word), {"configurable": {"thread_id": CHAT}}, context=context)
    assert await world.orders() == 0
    assert copilot.open_tickets(OWNER) == (ticket,)
    assert [each.state for each in closed(await approve(copilot, ticket))] == ["executed"]
