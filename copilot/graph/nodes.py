"""The nodes of a turn: context → plan → read → propose → gate → execute → answer.

Each is a small function from state to update. A resumed node runs again from its first line, so the gate holds
nothing but `interrupt`, and `execute` is harmless when repeated: it reads the ticket's state from the database and
claims it there, once. What the interrupt is resumed with is ignored: only the database can approve.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import groupby
from typing import Any, Literal, Protocol

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langgraph.config import get_stream_writer
from langgraph.runtime import Runtime
from langgraph.types import interrupt
from pydantic import TypeAdapter

from copilot.events import AnswerToken, TicketClosed, TicketOpened, ToolFinished, ToolStarted
from copilot.graph.state import Language, PlannedCall, Said, TurnContext, TurnState
from engine.domain.errors import CopilotError, InvalidRequest
from tools.registry import Toolbox, ToolContext, ToolKind
from tools.results import TicketView, ToolResult, Unavailable

HISTORY_LINES = 40
"""Lines kept in a conversation's state; older ones are dropped ten at a time."""
_TRIM_LINES = 10

RESULT: TypeAdapter[ToolResult] = TypeAdapter(ToolResult)


class TicketDesk(Protocol):
    """What the graph needs of tickets: to look at one and to carry out an approved one."""

    def view(self, ticket_id: int, owner: str) -> TicketView | None:
        """Return the owner's ticket as it stands, or None when they have no such ticket."""
        ...

    async def execute(self, ticket_id: int) -> TicketView:
        """Carry out an approved ticket at most once and return what became of it; harmless when repeated."""
        ...


class Nodes:
    """The nodes, bound to a chat model, the tools and the tickets."""

    def __init__(self, model: BaseChatModel, toolbox: Toolbox, tickets: TicketDesk) -> None:
        self._model = model
        self._toolbox = toolbox
        self._tickets = tickets

    async def context(self, state: TurnState, runtime: Runtime[TurnContext]) -> TurnState:
        """Start a turn clean: trim the history in rare big steps and forget what the last turn planned."""
        history = list(state.get("history", []))
        if len(history) > HISTORY_LINES:
            history = history[-(HISTORY_LINES - _TRIM_LINES) :]
        decided = state.get("decided")
        return {
            "history": history,
            "language": runtime.context.language or state.get("language", runtime.context.fallback),
            "calls": [],
            "queue": [],
            "results": [],
            "worded": 0,
            "ticket_id": decided,
            "answer": "",
        }

    async def plan(self, state: TurnState, runtime: Runtime[TurnContext]) -> TurnState:
        """Ask the chat model what the words call for; without calls, its words are the answer."""
        chosen = runtime.context.language
        messages = [*_system(chosen), *_conversation(state["history"]), HumanMessage(state["text"])]
        reply = await self._model.ainvoke(messages)
        language: Language = chosen or reply.response_metadata.get("language") or runtime.context.fallback
        calls = [
            PlannedCall(id=call["id"] or str(n), tool=call["name"], args=_plain(call["args"]))
            for n, call in enumerate(reply.tool_calls)
        ]
        queue = [call for call in calls if self._kind(call) == "propose"]
        return {"language": language, "calls": calls, "queue": queue, "answer": "" if calls else str(reply.content)}

    async def read(self, state: TurnState, runtime: Runtime[TurnContext]) -> TurnState:
        """Run everything but trades, in the order spoken; neighbours that only read run together."""
        results = list(state["results"])
        waiting = [call for call in state["calls"] if self._kind(call) != "propose"]
        for is_reading, group in groupby(waiting, key=lambda call: self._kind(call) == "read"):
            calls = list(group)
            if is_reading:
                found = await asyncio.gather(*(self._run(call, state, runtime) for call in calls))
            else:
                found = [await self._run(call, state, runtime) for call in calls]
            results.extend(RESULT.dump_json(result).decode() for result in found)
        return {"results": results}

    async def propose(self, state: TurnState, runtime: Runtime[TurnContext]) -> TurnState:
        """Turn the next trade asked for into a ticket, and say so; nothing is sent."""
        call, *rest = state["queue"]
        result = await self._run(call, state, runtime)
        update = await self._word(state, [*state["results"], RESULT.dump_json(result).decode()])
        if not isinstance(result, TicketView):
            return {**update, "queue": rest, "ticket_id": None}
        get_stream_writer()(TicketOpened(result))
        return {**update, **_remember(state, update), "queue": rest, "ticket_id": result.ticket_id}

    async def gate(self, state: TurnState) -> TurnState:
        """Wait for the owner. Nothing else happens here."""
        interrupt({"ticket_id": state["ticket_id"]})
        return {}

    async def execute(self, state: TurnState, runtime: Runtime[TurnContext]) -> TurnState:
        """Carry out the decided ticket, if the database says that its owner approved it."""
        ticket_id = state["ticket_id"]
        ticket = None if ticket_id is None else self._tickets.view(ticket_id, runtime.context.owner)
        if ticket is None:
            return {"ticket_id": None, "answer": ""}
        if ticket.state in ("approved", "claimed"):
            ticket = await self._tickets.execute(ticket.ticket_id)
        if ticket.state == "pending":
            return {"ticket_id": ticket_id}
        get_stream_writer()(TicketClosed(ticket))
        return {"ticket_id": None, "answer": "", "results": [*state["results"], RESULT.dump_json(ticket).decode()]}

    async def answer(self, state: TurnState, runtime: Runtime[TurnContext]) -> TurnState:
        """Word what has not been worded yet and keep the conversation."""
        update = await self._word(state, state["results"])
        if not state["results"] and state["answer"]:
            _stream_text(state["answer"])
            update = {}
        return {**update, **_remember(state, update), "decided": None}

    def _kind(self, call: PlannedCall) -> ToolKind:
        """Return what a call may do; a tool that does not exist is run like a reading one, and answers so."""
        return self._toolbox.kind(call["tool"]) if call["tool"] in self._toolbox else "read"

    async def _run(self, call: PlannedCall, state: TurnState, runtime: Runtime[TurnContext]) -> ToolResult:
        write = get_stream_writer()
        write(ToolStarted(call["id"], call["tool"], dict(call["args"])))
        context = ToolContext(runtime.context.owner, runtime.context.conversation_id, state["language"])
        try:
            result = await self._toolbox.run(call["tool"], call["args"], context)
        except InvalidRequest as error:
            params = {key: str(value) for key, value in error.params.items()}
            result = Unavailable(tool=call["tool"], code=error.code, params=params)
        except CopilotError as error:
            result = Unavailable(tool=call["tool"], code="no_data", params={"detail": str(error)})
        write(ToolFinished(call["id"], call["tool"], result))
        return result

    async def _word(self, state: TurnState, results: Sequence[str]) -> TurnState:
        fresh = results[state["worded"] :]
        if not fresh:
            return {}
        messages: list[BaseMessage] = [*_system(state["language"]), *_tool_messages(fresh)]
        text = "\n\n" if state["answer"] else ""
        if text:
            get_stream_writer()(AnswerToken(text))
        async for chunk in self._model.astream(messages):
            piece = str(chunk.content)
            if piece:
                get_stream_writer()(AnswerToken(piece))
                text += piece
        return {"results": list(results), "worded": len(results), "answer": state["answer"] + text}


def after_context(state: TurnState) -> Literal["plan", "execute"]:
    """Go to the decided ticket, or find out what the words ask for."""
    return "plan" if state["ticket_id"] is None else "execute"


def after_plan(state: TurnState) -> Literal["read", "answer"]:
    """Run tools when there are any."""
    return "read" if state["calls"] else "answer"


def after_read(state: TurnState) -> Literal["propose", "answer"]:
    """Propose the next trade, or answer."""
    return "propose" if state["queue"] else "answer"


def after_propose(state: TurnState) -> Literal["gate", "propose", "answer"]:
    """Wait for the owner when there is a ticket; a refused one makes room for the next."""
    return "gate" if state["ticket_id"] is not None else after_read(state)


def after_execute(state: TurnState) -> Literal["gate", "propose", "answer"]:
    """Wait again when nothing was decided; otherwise go on."""
    return "gate" if state["ticket_id"] is not None else after_read(state)


def _system(language: Language | None) -> list[BaseMessage]:
    return [] if language is None else [SystemMessage("", additional_kwargs={"language": language})]


def _conversation(history: Sequence[Said]) -> list[BaseMessage]:
    return [HumanMessage(line["text"]) if line["role"] == "user" else AIMessage(line["text"]) for line in history]


def _remember(state: TurnState, update: TurnState) -> TurnState:
    said = update.get("answer", state["answer"]).strip()
    lines = [Said(role="user", text=state["text"])] if state.get("text") else []
    lines += [Said(role="assistant", text=said)] if said else []
    return {"history": [*state["history"], *lines], "text": ""}


def _tool_messages(results: Sequence[str]) -> list[BaseMessage]:
    return [ToolMessage(result, tool_call_id=str(n)) for n, result in enumerate(results)]


def _plain(args: dict[str, Any]) -> dict[str, Any]:
    return {key: list(value) if isinstance(value, tuple) else _number(value) for key, value in args.items()}


def _number(value: Any) -> Any:
    return value if value is None or isinstance(value, str | int | list) else str(value)


def _stream_text(text: str) -> None:
    write = get_stream_writer()
    for piece in text.splitlines(keepends=True):
        write(AnswerToken(piece))
