"""The brain that is always there: the offline chat model, through LangChain's interface, with nothing beside it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

from copilot.brain.values import OFFLINE, Heard, Plan, Spoken, Tell, Voice, Words
from copilot.offline import Call
from copilot.offline.values import Language, Turn
from copilot.wording import render_talk
from tools.results import ToolResult

HISTORY_LINES = 40
"""Lines kept of a conversation; older ones are dropped ten at a time."""
_TRIM_LINES = 10


class OfflineBrain:
    """Decides and words with a chat model that speaks the offline model's conventions."""

    def __init__(self, chat: BaseChatModel, name: str = OFFLINE) -> None:
        self._chat = chat
        self._voice = Voice(name)

    @property
    def name(self) -> str:
        """Return the name of the chat model in use."""
        return self._voice.brain

    @property
    def speaker(self) -> str:
        """Return the same name: it always answers."""
        return self.name

    async def plan(self, heard: Heard, tell: Tell) -> Plan:
        """Return what a message calls for."""
        past = [HumanMessage(t.text) if t.role == "user" else AIMessage(t.text) for t in heard.history]
        reply = await self._chat.ainvoke([*_spoken_in(heard.chosen), *past, HumanMessage(heard.text)])
        metadata = reply.response_metadata
        calls = tuple(Call(call["name"], call["args"]) for call in reply.tool_calls)
        language: Language = heard.chosen or metadata.get("language") or heard.fallback
        return Plan(calls, "" if calls else str(reply.content), "ask" in metadata, None, language, self._voice)

    async def word(
        self, heard: Heard, results: Sequence[ToolResult], language: Language, tell: Tell
    ) -> AsyncIterator[Spoken]:
        """Put tool results into words."""
        told: list[BaseMessage] = [
            ToolMessage(result.model_dump_json(), tool_call_id=str(n)) for n, result in enumerate(results)
        ]
        async for chunk in self._chat.astream([*_spoken_in(language), *told]):
            if text := str(chunk.content):
                yield Words(text)
        yield self._voice

    async def talk(self, heard: Heard, code: str, language: Language, tell: Tell) -> AsyncIterator[Spoken]:
        """Answer a message that calls for no tool."""
        yield Words(render_talk(code, language))
        yield self._voice

    async def condense(self, heard: Heard) -> tuple[tuple[Turn, ...], str]:
        """Drop the oldest lines in one rare big step."""
        if len(heard.history) <= HISTORY_LINES:
            return heard.history, heard.summary
        return heard.history[-(HISTORY_LINES - _TRIM_LINES) :], heard.summary

    async def warm_up(self) -> None:
        """Do nothing: it is always ready."""

    async def close(self) -> None:
        """Do nothing: there is nothing to let go of."""


def _spoken_in(language: Language | None) -> list[BaseMessage]:
    return [] if language is None else [SystemMessage("", additional_kwargs={"language": language})]
