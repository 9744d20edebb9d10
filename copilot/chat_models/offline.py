"""The offline chat model: deterministic, bilingual, behind LangChain's `BaseChatModel`.

It does two things and says plainly what it cannot do. Asked with a person's message last, it routes: tool calls, or
a question when something is missing, or plain talk. Asked with tool results last, it words them. It never guesses a
trade, and it reads nothing but the messages: the language to answer in travels in the system message's
`additional_kwargs["language"]`; without it, the person's own language is used.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, cast

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolCall,
    ToolMessage,
)
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import TypeAdapter

from copilot.offline import Call, Turn
from copilot.offline.combined import decide
from copilot.wording import render_answer, render_question, render_talk
from tools.results import ToolResult

Language = Literal["en", "es"]
BRAIN = "offline"

_RESULT: TypeAdapter[ToolResult] = TypeAdapter(ToolResult)
_WORDS_PER_PIECE = 4


class OfflineChatModel(BaseChatModel):
    """Route and word without any server.

    Attributes:
        agents: The owner's own agents, beside the three of the program.
    """

    agents: tuple[str, ...] = ()

    @property
    def _llm_type(self) -> str:
        return BRAIN

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=_respond(messages, self.agents))])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        message = _respond(messages, self.agents)
        for piece in _pieces(str(message.content)):
            yield ChatGenerationChunk(message=AIMessageChunk(content=piece))
        yield ChatGenerationChunk(
            message=AIMessageChunk(
                content="",
                tool_call_chunks=[],
                tool_calls=message.tool_calls,
                response_metadata=message.response_metadata,
                chunk_position="last",
            )
        )


def _respond(messages: Sequence[BaseMessage], agents: Sequence[str]) -> AIMessage:
    language = _language(messages)
    results = _trailing_results(messages)
    if results:
        return AIMessage(render_answer(results, language or "en"), response_metadata={"language": language or "en"})
    return _route(messages, language, agents)


def _route(messages: Sequence[BaseMessage], language: Language | None, agents: Sequence[str]) -> AIMessage:
    *earlier, last = [m for m in messages if isinstance(m, HumanMessage | AIMessage)]
    history = [Turn("user" if isinstance(m, HumanMessage) else "assistant", str(m.content)) for m in earlier]
    decision = decide(str(last.content), history, agents=agents)
    spoken = language or decision.language
    metadata: dict[str, Any] = {"language": decision.language}
    if decision.calls:
        return AIMessage(
            "", tool_calls=[_tool_call(c, n) for n, c in enumerate(decision.calls)], response_metadata=metadata
        )
    if decision.question is not None:
        metadata["ask"] = decision.question.code
        return AIMessage(render_question(decision.question, spoken, agents), response_metadata=metadata)
    return AIMessage(render_talk(decision.talk or "help", spoken), response_metadata=metadata)


def _tool_call(call: Call, position: int) -> ToolCall:
    return ToolCall(name=call.tool, args=dict(call.args), id=f"call-{position}")


def _trailing_results(messages: Sequence[BaseMessage]) -> list[ToolResult]:
    results: list[ToolResult] = []
    for message in reversed(messages):
        if not isinstance(message, ToolMessage):
            break
        results.insert(0, _RESULT.validate_json(str(message.content)))
    return results


def _language(messages: Sequence[BaseMessage]) -> Language | None:
    for message in messages:
        if isinstance(message, SystemMessage) and "language" in message.additional_kwargs:
            return cast(Language, message.additional_kwargs["language"])
    return None


def _pieces(text: str) -> Iterator[str]:
    words = text.split(" ")
    for start in range(0, len(words), _WORDS_PER_PIECE):
        piece = " ".join(words[start : start + _WORDS_PER_PIECE])
        yield piece if start + _WORDS_PER_PIECE >= len(words) else piece + " "
