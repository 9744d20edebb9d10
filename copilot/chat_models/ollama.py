"""Chat models on an Ollama server, through langchain-ollama.

One set of options for all calls: a changed load-time option would reload the model. `think` is always sent as false,
because a server that is not told lets a model think aloud, unseen, before each decision.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import httpx
import ollama
from langchain_ollama import ChatOllama

from copilot.chat_models.local import Abilities, TimeLimits

SEED = 7


@dataclass(frozen=True)
class OllamaServer:
    """A model on an Ollama server.

    Attributes:
        model: Name with tag, as `ollama list` shows it.
        url: Where the server listens, such as http://127.0.0.1:11434.
        num_ctx: Context in tokens, set on every call; a server's own default may be 4,096 and cuts silently.
        num_predict: Longest reply in tokens.
        keep_alive: How long the server keeps the model loaded after a call.
    """

    model: str
    url: str
    num_ctx: int
    num_predict: int
    limits: TimeLimits
    keep_alive: str = "30m"

    @property
    def name(self) -> str:
        """Return the model's name."""
        return self.model

    @cached_property
    def chat(self) -> ChatOllama:
        """Return the model behind LangChain."""
        return ChatOllama(
            model=self.model,
            base_url=self.url,
            num_ctx=self.num_ctx,
            num_predict=self.num_predict,
            temperature=0,
            seed=SEED,
            reasoning=False,
            keep_alive=self.keep_alive,
            client_kwargs=self._client_options,
            async_client_kwargs={"transport": self._transport},
        )

    async def preload(self) -> None:
        """Have the server load the model now, with the options of every later call, so that nobody waits for it."""
        chat = self.chat
        options = {
            "num_ctx": chat.num_ctx,
            "num_predict": chat.num_predict,
            "seed": chat.seed,
            "temperature": chat.temperature,
        }
        async with ollama.AsyncClient(host=self.url, **self._client_options) as client:
            await client.chat(self.model, messages=[], options=options, think=False, keep_alive=self.keep_alive)

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.aclose()

    async def examine(self) -> Abilities:
        """Ask the server what the model can do."""
        async with ollama.AsyncClient(host=self.url, **self._client_options) as client:
            shown = await client.show(self.model)
        told = None if shown.capabilities is None else "tools" in shown.capabilities
        details = shown.details
        families = () if details is None else tuple(details.families or ()) or ((details.family or ""),)
        return Abilities(told, families)

    def constrained(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments of a call whose reply must follow a JSON schema."""
        return {"format": schema}

    def weaken(self) -> bool:
        """Return False: every version of this server takes a schema."""
        return False

    @cached_property
    def _transport(self) -> httpx.AsyncHTTPTransport:
        """Our own, because LangChain keeps its client to itself and never closes it."""
        return httpx.AsyncHTTPTransport(trust_env=False)

    @property
    def _client_options(self) -> dict[str, Any]:
        # Our own limits watch over the reply; httpx alone would wait forever for a connection.
        return {"timeout": httpx.Timeout(None, connect=self.limits.connect_s), "trust_env": False}


async def installed_models(url: str, connect_s: float) -> tuple[str, ...]:
    """Return the names of the models that a server holds.

    Raises:
        Exception: Whatever the client raises when no server is there.
    """
    timeout = httpx.Timeout(connect_s)
    async with ollama.AsyncClient(host=url, timeout=timeout, trust_env=False) as client:
        listed = await client.list()
    return tuple(model.model for model in listed.models if model.model)
