"""Route messages without carrying anything out: what the command line shows and scores, for any chat model.

The same brain decides as in a conversation, with the same referee; only the situation is left out, because there is no
account behind a file of utterances. What a language model needs is imported when there is one, so that the offline
model answers at once.
"""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Literal, Self, cast
from urllib.parse import urlsplit

from copilot.offline import routing as offline
from copilot.offline.values import Language, Turn
from copilot.settings import Settings
from tools.schema import contract_arguments

if TYPE_CHECKING:
    from copilot.brain.values import Brain, Plan
    from copilot.events import Event

OFFLINE = "offline"
_PROBE_S = 0.5
_PORTS = {"http": 80, "https": 443}

Routed = dict[str, Any]
"""`calls`, each with `tool` and `args` (numbers as `Decimal`), and `ask`: the worded question or `None`."""


class Router(AbstractContextManager["Router"]):
    """Routes one message after the other with a brain of its own; what kept it from its model is counted.

    Attributes:
        troubles: How often each trouble kept the language model from deciding.
    """

    def __init__(self, settings: Settings, chat_model: str | None = None) -> None:
        self._settings = settings
        self._chat_model = chat_model or settings.chat_model
        self._runner = asyncio.Runner()
        self._brain: Brain | None = None
        self.troubles: Counter[str] = Counter()

    def __enter__(self) -> Self:
        """Open the brain and read the vocabulary, outside of what is timed."""
        if self._chat_model == "auto" and not _listens(self._settings.ollama_url):
            self._chat_model = OFFLINE
        offline.route("hello", [])
        if self._chat_model != OFFLINE:
            self._brain = self._runner.run(self._open())
        return self

    def __exit__(self, *exc: object) -> None:
        """Close the brain and its event loop."""
        if self._brain is not None:
            self._runner.run(self._brain.close())
        self._runner.close()

    @property
    def name(self) -> str:
        """Return the name of the chat model in use."""
        return OFFLINE if self._brain is None else self._brain.name

    def route(self, text: str, history: list[dict[str, str]]) -> Routed:
        """Return what a message would call."""
        if self._brain is None:
            return offline.route(text, history)
        plan = self._runner.run(self._plan(self._brain, text, history))
        if plan.voice.trouble is not None:
            self.troubles[plan.voice.trouble] += 1
        calls = [{"tool": call.tool, "args": contract_arguments(call.tool, call.args)} for call in plan.calls]
        return {"calls": calls, "ask": plan.words if plan.is_question else None}

    async def _open(self) -> Brain:
        from copilot.brain.opening import find_installed, open_brain

        chat_model = self._chat_model
        if chat_model == "auto" and await find_installed(self._settings.ollama_url) is None:
            chat_model = OFFLINE
        return await open_brain(self._settings, _no_situation, chat_model)

    async def _plan(self, brain: Brain, text: str, history: Sequence[Mapping[str, str]]) -> Plan:
        from copilot.brain.values import Heard

        turns = tuple(Turn(cast(Literal["user", "assistant"], turn["role"]), turn["text"]) for turn in history)
        return await brain.plan(Heard(text, turns, fallback=self._settings.language), _ignore)


def _listens(url: str) -> bool:
    """Tell whether anything listens at an address, before a client library is loaded for it."""
    parts = urlsplit(url)
    try:
        with socket.create_connection((parts.hostname or "", parts.port or _PORTS[parts.scheme]), _PROBE_S):
            return True
    except OSError:
        return False


async def _no_situation(owner: str, language: Language) -> str:
    return "-"


def _ignore(event: Event) -> None:
    return None
