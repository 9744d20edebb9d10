"""What a scripted chat server was asked: the request, the prompt as the model would see it, and its reusable part."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

JsonObject = dict[str, Any]
CHARACTERS_A_TOKEN = 4


def count_tokens(text: str) -> int:
    """Estimate the tokens of a text: one for four characters, rounded up."""
    return math.ceil(len(text) / CHARACTERS_A_TOKEN)


def shared_prefix(left: bytes, right: bytes) -> int:
    """Count the leading bytes that two prompts have in common."""
    limit = min(len(left), len(right))
    low, high = 0, limit
    while low < high:
        middle = (low + high + 1) // 2
        if left[:middle] == right[:middle]:
            low = middle
        else:
            high = middle - 1
    return low


@dataclass(slots=True)
class Asked:
    """One request for an answer, and what became of it.

    Attributes:
        number: 1 for the first request of this server.
        path: The address within the server.
        body: The decoded request.
        prompt: The whole text that the model sees, after any truncation.
        prompt_tokens: Its estimated tokens.
        dropped: Messages that did not fit the context and were left out in silence.
        cut_tokens: Tokens cut out of the middle because even the last message did not fit.
        reusable_bytes: Leading bytes equal to the previous prompt of this model; 0 after a load.
        loaded: Whether the model had to be loaded for it: the first time, or with other load-time options.
        load_s: Seconds that this load took.
        headers: The request's headers.
        outcome: "open", then "answered", "client left", or the name of the fault.
    """

    number: int
    path: str
    body: JsonObject
    prompt: str = ""
    prompt_tokens: int = 0
    dropped: int = 0
    cut_tokens: int = 0
    reusable_bytes: int = 0
    loaded: bool = False
    load_s: float = 0.0
    headers: dict[str, str] = field(default_factory=dict)
    outcome: str = "open"

    @property
    def model(self) -> str:
        """Return the model's name as sent."""
        return str(self.body.get("model", ""))

    @property
    def messages(self) -> list[JsonObject]:
        """Return the messages as sent."""
        return list(self.body.get("messages") or [])

    @property
    def last(self) -> str:
        """Return the content of the last message, or the plain prompt."""
        return content(self.messages[-1]) if self.messages else str(self.body.get("prompt", ""))

    @property
    def system(self) -> str:
        """Return the content of every system message, in order."""
        return "\n\n".join(content(message) for message in self.messages if message.get("role") == "system")

    @property
    def tool_names(self) -> list[str]:
        """Return the names of the offered tools."""
        return [str(tool["function"]["name"]) for tool in self.body.get("tools") or []]

    @property
    def schema(self) -> JsonObject | None:
        """Return the JSON schema that the answer must fit, whichever field carries it."""
        wanted = self.body.get("format")
        if isinstance(wanted, dict):
            return wanted
        response_format = self.body.get("response_format") or {}
        schema = response_format.get("json_schema", {}).get("schema")
        return schema if isinstance(schema, dict) else None

    @property
    def options(self) -> JsonObject:
        """Return Ollama's options."""
        return dict(self.body.get("options") or {})

    @property
    def prompt_bytes(self) -> int:
        """Return the prompt's length in bytes."""
        return len(self.prompt.encode())

    @property
    def reuse_ratio(self) -> float:
        """Return the reusable part of the prompt, from 0 to 1."""
        return self.reusable_bytes / self.prompt_bytes if self.prompt else 0.0


def content(message: JsonObject) -> str:
    """Return a message's text, also where it comes as a list of parts."""
    text = message.get("content")
    if isinstance(text, list):
        return "".join(str(part.get("text", "")) for part in text)
    return "" if text is None else str(text)
