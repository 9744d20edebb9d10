"""One chat model on one local server, behind LangChain: the only door to it, with limits that no server can pass.

Every call streams. A call ends in a whole, finished reply or in `ModelUnavailable`: a stream that just stops, a cut
reply, silence, a flood and a prompt that the server shortened without a word are failures here, although the client
libraries take them for answers. Nothing is retried: the copilot answers with the offline model instead.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage

from copilot.chat_models.failures import explain
from engine.domain.errors import ModelUnavailable

log = logging.getLogger(__name__)

LONGEST_REPLY = 12_000
"""Characters after which a reply is given up: far beyond every reply that we ask for."""
_FINISHED = ("stop", "tool_calls", "eos", "end_turn")
_CHARACTERS_A_TOKEN = 6.0
"""No tokenizer packs more characters of our prompts into a token, on average; fewer tokens mean a shortened prompt."""


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """How long a person waits at most, in seconds.

    Attributes:
        connect_s: For a connection.
        first_token_s: From the request to the first word; a model may have to be loaded.
        idle_s: Between two pieces of a reply.
        turn_s: For everything that a model does in one call.
    """

    connect_s: float = 2.0
    first_token_s: float = 30.0
    idle_s: float = 10.0
    turn_s: float = 90.0


@dataclass(frozen=True, slots=True)
class Abilities:
    """What a server tells about a model.

    Attributes:
        has_tools: Whether its template takes tools; None when the server does not tell.
        families: Names of its architecture, as far as told.
    """

    has_tools: bool | None = None
    families: tuple[str, ...] = ()


@dataclass(slots=True)
class Reply:
    """A finished reply."""

    message: AIMessage
    prompt_tokens: int | None


class ChatServer(Protocol):
    """What differs between servers."""

    @property
    def name(self) -> str:
        """Return the model's name, as a person knows it."""
        ...

    @property
    def chat(self) -> BaseChatModel:
        """Return the model behind LangChain; nothing is opened before it is asked."""
        ...

    async def examine(self) -> Abilities:
        """Return what the model can do.

        Raises:
            Exception: Whatever the client library raises when the server or the model is not there.
        """
        ...

    async def preload(self) -> None:
        """Have the model loaded, where the server loads on demand.

        Raises:
            Exception: Whatever the client library raises.
        """
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...

    def constrained(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments of a call whose reply must follow a JSON schema."""
        ...

    def weaken(self) -> bool:
        """Ask for less structure from now on; return whether there was less to ask for."""
        ...


@dataclass(slots=True)
class LocalModel:
    """A chat model that answers within limits or says that it cannot."""

    server: ChatServer
    limits: TimeLimits = field(default_factory=TimeLimits)
    clock: Callable[[], float] = time.monotonic

    @property
    def name(self) -> str:
        """Return the model's name."""
        return self.server.name

    async def examine(self) -> Abilities:
        """Return what the model can do.

        Raises:
            ModelUnavailable: The server or the model is not there.
        """
        try:
            async with asyncio.timeout(self.limits.connect_s + self.limits.idle_s):
                return await self.server.examine()
        except Exception as error:
            raise explain(error) from error

    async def preload(self) -> bool:
        """Have the model loaded before anybody asks and return whether it is; why not shows when somebody does."""
        try:
            async with asyncio.timeout(self.limits.turn_s):
                await self.server.preload()
        except Exception as error:
            log.info("%s could not be loaded ahead: %s", self.name, explain(error))
            return False
        return True

    async def ask(self, messages: Sequence[BaseMessage], **bound: Any) -> Reply:
        """Return the whole reply.

        Raises:
            ModelUnavailable: There is no whole reply.
        """
        gathered: list[AIMessageChunk] = []
        async with aclosing(self._chunks(messages, bound)) as chunks:
            async for chunk in chunks:
                gathered.append(chunk)
        return self._finished(gathered, messages)

    async def stream(self, messages: Sequence[BaseMessage], **bound: Any) -> AsyncGenerator[str, None]:
        """Yield the reply's text as it comes; the end is checked before the iteration ends.

        Raises:
            ModelUnavailable: The reply does not come, or does not come to its end.
        """
        gathered: list[AIMessageChunk] = []
        async with aclosing(self._chunks(messages, bound)) as chunks:
            async for chunk in chunks:
                gathered.append(chunk)
                if text := str(chunk.text):
                    yield text
        reply = self._finished(gathered, messages)
        if not str(reply.message.text).strip():
            raise ModelUnavailable("empty")

    @staticmethod
    def _finished(chunks: Sequence[AIMessageChunk], messages: Sequence[BaseMessage]) -> Reply:
        if not chunks:
            raise ModelUnavailable("empty")
        whole = chunks[0]
        for chunk in chunks[1:]:
            whole = whole + chunk
        _check_end(whole.response_metadata)
        tokens = None if whole.usage_metadata is None else whole.usage_metadata["input_tokens"]
        _check_prompt(tokens, messages)
        message = AIMessage(
            content=whole.content, tool_calls=whole.tool_calls, invalid_tool_calls=whole.invalid_tool_calls
        )
        return Reply(message, tokens)

    async def _chunks(
        self, messages: Sequence[BaseMessage], bound: dict[str, Any]
    ) -> AsyncGenerator[AIMessageChunk, None]:
        began = self.clock()
        has_spoken, length = False, 0
        stream = cast(AsyncGenerator[AIMessageChunk, None], self.server.chat.astream(list(messages), **bound))
        try:
            while True:
                left = began + self.limits.turn_s - self.clock()
                patience = self.limits.idle_s if has_spoken else began + self.limits.first_token_s - self.clock()
                chunk = await _next(stream, min(left, patience), "stalled" if has_spoken else "no_first_token")
                if chunk is None:
                    return
                has_spoken = has_spoken or bool(chunk.text) or bool(chunk.tool_call_chunks)
                length += len(chunk.text)
                if length > LONGEST_REPLY:
                    raise ModelUnavailable("endless", f"more than {LONGEST_REPLY} characters")
                yield chunk
        finally:
            await _close(stream)


async def _next(stream: AsyncIterator[AIMessageChunk], patience_s: float, code: str) -> AIMessageChunk | None:
    try:
        async with asyncio.timeout(max(patience_s, 0)):
            return await anext(stream)
    except StopAsyncIteration:
        return None
    except TimeoutError as error:
        raise ModelUnavailable(code, "the time limit passed") from error
    except Exception as error:
        raise explain(error) from error


async def _close(stream: AsyncGenerator[AIMessageChunk, None]) -> None:
    """Let go of the connection, so that the server stops working; what it says to that does not matter any more."""
    try:
        async with asyncio.timeout(1):
            await stream.aclose()
    except Exception:
        return


def _check_end(metadata: dict[str, Any]) -> None:
    """See that the reply came to its own end: `done` from Ollama, a finish reason from others."""
    reason = metadata.get("done_reason") or metadata.get("finish_reason")
    if reason == "length":
        raise ModelUnavailable("truncated", "the reply was cut at its longest length")
    is_done = metadata.get("done") is True or reason in _FINISHED
    if not is_done:
        raise ModelUnavailable("cut", "the stream ended before the reply did")


def _check_prompt(tokens: int | None, messages: Sequence[BaseMessage]) -> None:
    """See that the server read all of the prompt: far fewer tokens than such text needs mean that it did not."""
    if not tokens:
        return
    characters = sum(len(str(message.text)) for message in messages)
    if characters / tokens > _CHARACTERS_A_TOKEN:
        raise ModelUnavailable("prompt_cut", f"the server read {tokens} tokens of a prompt of {characters} characters")
