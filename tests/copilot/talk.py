"""A copilot around a chat model that follows a script: real graph, tools, tickets and desk."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolCall, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langgraph.checkpoint.base import BaseCheckpointSaver
from pydantic import TypeAdapter

from copilot.brain.offline import OfflineBrain
from copilot.events import Event, TicketClosed, TicketOpened, ToolFinished, TurnEnded
from copilot.graph import Nodes, build_graph
from copilot.service import Copilot
from copilot.wording import render_answer
from tests.tools.world import OWNER, World
from tools.results import TicketView, ToolResult

CHAT = "chat-1"
BUY = {"symbol": "BTC/USDT", "side": "buy", "amount": "1"}
GOLD = {"symbol": "XAUUSD", "side": "buy", "amount": "2"}
SCRIPT: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "buy": [("execute_trade", BUY)],
    "buy two": [("execute_trade", {**BUY, "amount": "2"})],
    "buy both": [("execute_trade", BUY), ("execute_trade", GOLD)],
    "buy too much": [("execute_trade", {**BUY, "amount": "5000"})],
    "buy too much and gold": [("execute_trade", {**BUY, "amount": "5000"}), ("execute_trade", GOLD)],
    "rest": [("execute_trade", {**BUY, "order_type": "limit", "price": "95"})],
    "portfolio": [("check_portfolio", {})],
    "look and buy": [("check_portfolio", {}), ("execute_trade", BUY), ("list_alerts", {})],
    "signal": [("get_signal", {"symbol": "BTC/USDT"})],
    "chart": [("analyze_chart", {"symbol": "BTC/USDT", "timeframe": "1m"})],
    "nonsense": [("approve_ticket", {"ticket_id": 1})],
    "bad": [("execute_trade", {**BUY, "amount": "-1"})],
    "language": [("update_profile", {"setting": "language", "value": "es"})],
}
_RESULT: TypeAdapter[ToolResult] = TypeAdapter(ToolResult)


class ScriptedModel(BaseChatModel):
    """Calls what the script says for a text, words tool results, and echoes anything else."""

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=_reply(messages))])


def _reply(messages: Sequence[BaseMessage]) -> AIMessage:
    last = messages[-1]
    if isinstance(last, ToolMessage):
        results = [_RESULT.validate_json(str(m.content)) for m in messages if isinstance(m, ToolMessage)]
        spoken = [m.additional_kwargs["language"] for m in messages if isinstance(m, SystemMessage)]
        return AIMessage(render_answer(results, spoken[0] if spoken else "en"))
    assert isinstance(last, HumanMessage)
    text = str(last.content)
    if text == "explode":
        raise RuntimeError("the model broke")
    calls = [ToolCall(name=name, args=args, id=f"call-{n}") for n, (name, args) in enumerate(SCRIPT.get(text, ()))]
    return AIMessage("" if calls else f"you said {text}", tool_calls=calls, response_metadata={"language": "en"})


def build_copilot(world: World, memory: BaseCheckpointSaver[str]) -> Copilot:
    """Return the service around the scripted model."""
    graph = build_graph(Nodes(OfflineBrain(ScriptedModel(), "scripted"), world.toolbox, world.decisions), memory)
    return Copilot(
        graph, world.tickets, world.profiles, world.notices, world.market, fallback_language="en", halt=world.halt
    )


async def listen(events: AsyncIterator[Event]) -> list[Event]:
    """Return every event of a turn, which must end with its one `TurnEnded`."""
    told = [event async for event in events]
    assert [isinstance(event, TurnEnded) for event in told] == [False] * (len(told) - 1) + [True]
    return told


async def say(copilot: Copilot, text: str, *, owner: str = OWNER, chat: str = CHAT) -> list[Event]:
    return await listen(copilot.send(owner, chat, text))


async def approve(copilot: Copilot, ticket: TicketView, owner: str = OWNER) -> list[Event]:
    return await listen(copilot.decide(owner, ticket.ticket_id, ticket.nonce, "approve", "test"))


async def reject(copilot: Copilot, ticket: TicketView, owner: str = OWNER) -> list[Event]:
    return await listen(copilot.decide(owner, ticket.ticket_id, ticket.nonce, "reject", "test"))


def answer(events: Sequence[Event]) -> str:
    last = events[-1]
    assert isinstance(last, TurnEnded)
    return last.answer


def opened(events: Sequence[Event]) -> TicketView:
    """Return the one ticket that a turn opened."""
    (ticket,) = [event.ticket for event in events if isinstance(event, TicketOpened)]
    return ticket


def closed(events: Sequence[Event]) -> list[TicketView]:
    return [event.ticket for event in events if isinstance(event, TicketClosed)]


def finished(events: Sequence[Event]) -> Mapping[str, ToolResult]:
    return {event.tool: event.result for event in events if isinstance(event, ToolFinished)}
