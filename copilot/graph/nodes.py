"""The nodes of a turn: context → plan → read → propose → gate → execute → answer.

Each is a small function from state to update. A resumed node runs again from its first line, so the gate holds
nothing but `interrupt`, and `execute` is harmless when repeated: it reads the ticket's state from the database and
claims it there, once. What the interrupt is resumed with is ignored: only the database can approve.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from itertools import groupby
from typing import Any, Literal, Protocol

from langgraph.config import get_stream_writer
from langgraph.runtime import Runtime
from langgraph.types import interrupt
from pydantic import TypeAdapter

from copilot.brain.values import OFFLINE, Brain, Heard, Spoken, Voice, Withdrawn, Words
from copilot.events import (
    AnswerToken,
    AnswerWithdrawn,
    TicketClosed,
    TicketOpened,
    ToolFinished,
    ToolProgressed,
    ToolStarted,
)
from copilot.graph.state import PlannedCall, Said, TurnContext, TurnState
from copilot.offline.values import Turn
from engine.domain.errors import CopilotError, InvalidRequest
from tools.agent_results import AgentsChanged
from tools.decisions import Asked
from tools.registry import Toolbox, ToolContext, ToolKind
from tools.results import TicketView, ToolResult, Unavailable

_PROGRESS_STEP = 0.05
"""Share of a tool's work that is worth a word."""
RESULT: TypeAdapter[ToolResult] = TypeAdapter(ToolResult)


class TicketDesk(Protocol):
    """What the graph needs of tickets and proposals: to look at one and to carry out an approved one."""

    def view(self, ticket_id: int, owner: str) -> Asked | None:
        """Return what the owner was asked as it stands, or None when nothing of theirs has that number."""
        ...

    async def execute(self, ticket_id: int) -> Asked:
        """Carry out an approved ticket at most once and return what became of it; harmless when repeated."""
        ...


class Nodes:
    """The nodes, bound to a brain, the tools and the tickets."""

    def __init__(self, brain: Brain, toolbox: Toolbox, tickets: TicketDesk) -> None:
        self._brain = brain
        self._toolbox = toolbox
        self._tickets = tickets

    async def context(self, state: TurnState, runtime: Runtime[TurnContext]) -> TurnState:
        """Start a turn clean: condense a history that has grown too long, and forget what the last turn planned."""
        heard = _heard({**state, "text": ""}, runtime.context)
        kept, summary = await self._brain.condense(heard)
        history = state.get("history", [])
        return {
            "history": history[len(history) - len(kept) :],
            "summary": summary,
            "language": runtime.context.language or state.get("language", runtime.context.fallback),
            "calls": [],
            "queue": [],
            "results": [],
            "worded": 0,
            "ticket_id": state.get("decided"),
            "answer": "",
            "talk": None,
            "brain": OFFLINE,
            "trouble": None,
            "prompt": "",
        }

    async def plan(self, state: TurnState, runtime: Runtime[TurnContext]) -> TurnState:
        """Ask the brain what the words call for; without calls, its words are the answer."""
        plan = await self._brain.plan(_heard(state, runtime.context), get_stream_writer())
        calls = [
            PlannedCall(id=f"call-{n}", tool=call.tool, args=_plain(dict(call.args)))
            for n, call in enumerate(plan.calls)
        ]
        queue = [call for call in calls if self._kind(call) == "propose"]
        return {
            "language": plan.language,
            "calls": calls,
            "queue": queue,
            "answer": plan.words,
            "talk": plan.talk,
            **_spoken_by(plan.voice),
        }

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
            for result in found:
                if isinstance(result, AgentsChanged) and result.proposal is not None:
                    get_stream_writer()(TicketOpened(result.proposal))
            results.extend(RESULT.dump_json(result).decode() for result in found)
        return {"results": results}

    async def propose(self, state: TurnState, runtime: Runtime[TurnContext]) -> TurnState:
        """Turn the next trade asked for into a ticket, and say so; nothing is sent."""
        call, *rest = state["queue"]
        result = await self._run(call, state, runtime)
        update = await self._word(state, [*state["results"], RESULT.dump_json(result).decode()], runtime)
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
        update = await self._word(state, state["results"], runtime)
        if not state["results"] and state["answer"]:
            update = await self._converse(state, runtime)
        return {**update, **_remember(state, update), "decided": None}

    async def _converse(self, state: TurnState, runtime: Runtime[TurnContext]) -> TurnState:
        """Say plain words, or let the brain say them in its own."""
        if state["talk"] is None:
            _stream_text(state["answer"])
            return {}
        heard = _heard(state, runtime.context)
        spoken = self._brain.talk(heard, state["talk"], state["language"], get_stream_writer())
        return await _listen(spoken, "")

    def _kind(self, call: PlannedCall) -> ToolKind:
        """Return what a call may do; a tool that does not exist is run like a reading one, and answers so."""
        return self._toolbox.kind(call["tool"]) if call["tool"] in self._toolbox else "read"

    async def _run(self, call: PlannedCall, state: TurnState, runtime: Runtime[TurnContext]) -> ToolResult:
        write = get_stream_writer()
        write(ToolStarted(call["id"], call["tool"], dict(call["args"])))
        progress = _progress_of(call, write)
        context = ToolContext(runtime.context.owner, runtime.context.conversation_id, state["language"], progress)
        try:
            result = await self._toolbox.run(call["tool"], call["args"], context)
        except InvalidRequest as error:
            params = {key: str(value) for key, value in error.params.items()}
            result = Unavailable(tool=call["tool"], code=error.code, params=params)
        except CopilotError as error:
            result = Unavailable(tool=call["tool"], code="no_data", params={"detail": str(error)})
        write(ToolFinished(call["id"], call["tool"], result))
        return result

    async def _word(self, state: TurnState, results: Sequence[str], runtime: Runtime[TurnContext]) -> TurnState:
        fresh = [RESULT.validate_json(result) for result in results[state["worded"] :]]
        if not fresh:
            return {}
        before = state["answer"] + ("\n\n" if state["answer"] else "")
        if state["answer"]:
            get_stream_writer()(AnswerToken("\n\n"))
        heard = _heard(state, runtime.context)
        spoken = self._brain.word(heard, fresh, state["language"], get_stream_writer())
        return {"results": list(results), "worded": len(results), **await _listen(spoken, before)}


def _progress_of(call: PlannedCall, write: Callable[[ToolProgressed], None]) -> Callable[[float], None]:
    """Return what a tool tells its progress to, from whatever thread it works in; small steps are passed over."""
    loop, told = asyncio.get_running_loop(), _PROGRESS_STEP

    def tell(done: float) -> None:
        nonlocal told
        if told <= done < 1:
            told = done + _PROGRESS_STEP
            loop.call_soon_threadsafe(write, ToolProgressed(call["id"], call["tool"], round(done, 2)))

    return tell


async def _listen(spoken: AsyncIterator[Spoken], before: str) -> TurnState:
    """Pass on what a brain says and return the answer as it stands, with who said it."""
    write = get_stream_writer()
    answer, voice = before, Voice()
    async for said in spoken:
        match said:
            case Words():
                write(AnswerToken(said.text))
                answer += said.text
            case Withdrawn():
                write(AnswerWithdrawn(len(before)))
                answer = before
            case Voice():
                voice = said
    return {"answer": answer, **_spoken_by(voice)}


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


def _heard(state: TurnState, context: TurnContext) -> Heard:
    history = tuple(Turn(line["role"], line["text"]) for line in state.get("history", []))
    return Heard(
        state.get("text", ""),
        history,
        state.get("summary", ""),
        chosen=context.language,
        fallback=context.fallback,
        owner=context.owner,
    )


def _spoken_by(voice: Voice) -> TurnState:
    """Return who speaks; what kept the chosen model from it stays told until it speaks again."""
    told: TurnState = {"brain": voice.brain, "prompt": voice.prompt}
    if voice.trouble is not None or voice.brain != OFFLINE:
        told["trouble"] = voice.trouble
    return told


def _remember(state: TurnState, update: TurnState) -> TurnState:
    said = update.get("answer", state["answer"]).strip()
    lines = [Said(role="user", text=state["text"])] if state.get("text") else []
    if said:
        lines.append(_answered(said, {**state, **update}))
    return {"history": [*state["history"], *lines], "text": ""}


def _answered(said: str, state: TurnState) -> Said:
    line = Said(role="assistant", text=said)
    if state["brain"] != OFFLINE:
        line["brain"], line["prompt"] = state["brain"], state["prompt"]
    return line


def _plain(args: dict[str, Any]) -> dict[str, Any]:
    return {key: list(value) if isinstance(value, tuple) else _number(value) for key, value in args.items()}


def _number(value: Any) -> Any:
    return value if value is None or isinstance(value, str | int | list) else str(value)


def _stream_text(text: str) -> None:
    write = get_stream_writer()
    for piece in text.splitlines(keepends=True):
        write(AnswerToken(piece))
