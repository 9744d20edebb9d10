"""Route messages without carrying anything out: what the command line shows and scores, for any chat model.

The same brain decides as in a conversation, with the same referee; only the situation is left out, because there is no
account behind a file of utterances.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Literal, Self, cast

from copilot.brain.opening import find_installed, open_brain
from copilot.brain.values import Brain, Heard, Plan
from copilot.events import Event
from copilot.offline.values import Language, Turn
from copilot.settings import Settings

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
        """Open the brain and read its vocabulary, outside of what is timed."""
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
        return "" if self._brain is None else self._brain.name

    def route(self, text: str, history: Sequence[Mapping[str, str]]) -> Routed:
        """Return what a message would call."""
        plan = self._runner.run(self._plan(text, history))
        if plan.voice.trouble is not None:
            self.troubles[plan.voice.trouble] += 1
        calls = [{"tool": call.tool, "args": dict(call.args)} for call in plan.calls]
        return {"calls": calls, "ask": plan.words if plan.is_question else None}

    async def _open(self) -> Brain:
        chat_model = self._chat_model
        if chat_model == "auto" and await find_installed(self._settings.ollama_url) is None:
            chat_model = "offline"
        brain = await open_brain(self._settings, _no_situation, chat_model)
        await (await open_brain(self._settings, _no_situation, "offline")).plan(Heard("hello"), _ignore)
        return brain

    async def _plan(self, text: str, history: Sequence[Mapping[str, str]]) -> Plan:
        assert self._brain is not None, "enter the router first"
        turns = tuple(Turn(cast(Literal["user", "assistant"], turn["role"]), turn["text"]) for turn in history)
        return await self._brain.plan(Heard(text, turns, fallback=self._settings.language), _ignore)


async def _no_situation(owner: str, language: Language) -> str:
    return "-"


def _ignore(event: Event) -> None:
    return None
