"""Chat models on any server that speaks OpenAI's protocol: vLLM, llama.cpp, text-generation-webui and others.

Servers differ in what they take for structured output; the first one that refuses `json_schema` is asked for
`json_object` from then on, and one that refuses this too is asked in words alone: the reply is validated anyway.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import openai
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from copilot.chat_models.local import Abilities, TimeLimits

SEED = 7


@dataclass
class OpenAIServer:
    """A model on an OpenAI-compatible server.

    Attributes:
        model: Name that the server knows; servers with one model take any.
        url: Base URL, usually ending in `/v1`.
        key: Bearer token, for servers that want one.
        num_predict: Longest reply in tokens.
        form: Structured output that the server takes: `json_schema`, `json_object` or `none`.
    """

    model: str
    url: str
    num_predict: int
    limits: TimeLimits
    key: str = ""
    form: str = field(default="json_schema")

    @property
    def name(self) -> str:
        """Return the model's name."""
        return self.model

    @cached_property
    def chat(self) -> ChatOpenAI:
        """Return the model behind LangChain."""
        return ChatOpenAI(
            model=self.model,
            base_url=self.url,
            api_key=SecretStr(self.key or "none"),
            temperature=0,
            seed=SEED,
            max_tokens=self.num_predict,  # type: ignore[call-arg]  # its alias is what the type checker knows
            max_retries=0,
            stream_usage=True,
            timeout=self._timeout,
            http_async_client=self._client,
        )

    async def preload(self) -> None:
        """See that the server is there; it holds its model from its start."""
        timeout = openai.Timeout(self.limits.idle_s, connect=self.limits.connect_s)
        async with openai.AsyncOpenAI(
            base_url=self.url,
            api_key=self.key or "none",
            max_retries=0,
            timeout=timeout,
            http_client=openai.DefaultAsyncHttpxClient(timeout=timeout, trust_env=False),
        ) as client:
            await client.models.list()

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def examine(self) -> Abilities:
        """Return nothing known: this protocol does not tell what a model can do."""
        return Abilities()

    def constrained(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments of a call whose reply must follow a JSON schema."""
        if self.form == "json_schema":
            described = {"name": "decision", "schema": schema, "strict": True}
            return {"response_format": {"type": "json_schema", "json_schema": described}}
        return {"response_format": {"type": "json_object"}} if self.form == "json_object" else {}

    @property
    def _timeout(self) -> openai.Timeout:
        # Our own limits watch over the reply.
        return openai.Timeout(None, connect=self.limits.connect_s)

    @cached_property
    def _client(self) -> openai.DefaultAsyncHttpxClient:
        return openai.DefaultAsyncHttpxClient(timeout=self._timeout, trust_env=False)

    def weaken(self) -> bool:
        """Ask for less structure from now on; return whether there was less to ask for."""
        weaker = {"json_schema": "json_object", "json_object": "none"}.get(self.form)
        if weaker is None:
            return False
        self.form = weaker
        return True
