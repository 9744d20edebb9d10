"""The brain in use, which its owner may exchange in the settings panel while turns are under way.

One brain serves the whole program, so the choice is the machine's: it is kept in a file beside the database and holds
at the next start too, unless a setting names a model by then. A turn that began with one brain may end with the other;
neither keeps anything of a turn, so nothing is lost. Brains out of use stay open until the end: a reply may still run.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

import httpx

from copilot.brain.opening import PROBE_S
from copilot.brain.values import AUTO, OFFLINE, Brain, ChatModels, Heard, Plan, Spoken, Tell
from copilot.chat_models.failures import explain
from copilot.chat_models.ollama import installed_models
from copilot.offline.values import Language, Turn
from copilot.settings import CHAT_MODEL, Settings
from engine.domain.errors import InvalidRequest
from tools.results import ToolResult

log = logging.getLogger(__name__)

_FILE = "chat_model"

Open = Callable[[str], Awaitable[Brain]]
"""Opens the brain of a chat model, named as the setting names it."""


class ChosenBrain:
    """A brain that stands for whichever was chosen; itself one."""

    def __init__(self, brain: Brain, chosen: str, open_brain: Open, settings: Settings) -> None:
        self._brain = brain
        self._chosen = chosen
        self._open = open_brain
        self._settings = settings
        self._opened = [brain]
        self._choosing = asyncio.Lock()

    @classmethod
    async def open(cls, open_brain: Open, settings: Settings) -> ChosenBrain:
        """Open the brain that was chosen last, or the one that the settings name."""
        chosen = kept_choice(settings)
        return cls(await open_brain(chosen), chosen, open_brain, settings)

    async def models(self) -> ChatModels:
        """Return what is in use and what may be chosen; servers that do not answer at once offer nothing."""
        held = await asyncio.gather(_on_ollama(self._settings), _on_openai(self._settings))
        offered = (AUTO, OFFLINE, *(name for names in held for name in names), self._chosen)
        return ChatModels(self._chosen, tuple(dict.fromkeys(offered)))

    async def choose(self, name: str) -> None:
        """Answer with another chat model from now on, and keep the choice.

        Raises:
            InvalidRequest: `bad_argument`: it is none that is offered.
        """
        async with self._choosing:
            if name not in (await self.models()).offered:
                raise InvalidRequest("bad_argument", argument="chat_model", value=name)
            brain = await self._open(name)
            self._opened.append(brain)
            self._brain, self._chosen = brain, name
            await asyncio.to_thread(_keep, self._settings.data_dir / _FILE, name)
        await brain.warm_up()

    @property
    def name(self) -> str:
        """Return the name of the chat model in use."""
        return self._brain.name

    @property
    def speaker(self) -> str:
        """Return the name of the chat model that would answer now."""
        return self._brain.speaker

    async def plan(self, heard: Heard, tell: Tell) -> Plan:
        """Return what a message calls for."""
        return await self._brain.plan(heard, tell)

    def word(
        self, heard: Heard, results: Sequence[ToolResult], language: Language, tell: Tell
    ) -> AsyncIterator[Spoken]:
        """Put tool results into words."""
        return self._brain.word(heard, results, language, tell)

    def talk(self, heard: Heard, code: str, language: Language, tell: Tell) -> AsyncIterator[Spoken]:
        """Answer a message that calls for no tool."""
        return self._brain.talk(heard, code, language, tell)

    async def condense(self, heard: Heard) -> tuple[tuple[Turn, ...], str]:
        """Return the history and summary that stay."""
        return await self._brain.condense(heard)

    async def warm_up(self) -> None:
        """Get the chat model ready."""
        await self._brain.warm_up()

    async def close(self) -> None:
        """Let go of every chat model that was opened."""
        for brain in self._opened:
            await brain.close()


def kept_choice(settings: Settings) -> str:
    """Return what the settings name, or, where they leave it open, what was chosen last."""
    path = settings.data_dir / _FILE
    if settings.chat_model != AUTO or not path.is_file():
        return settings.chat_model
    kept = path.read_text("utf-8").strip()
    if re.fullmatch(CHAT_MODEL, kept):
        return kept
    log.warning("%s is damaged: it names no chat model; the choice is left open", path)
    return settings.chat_model


def _keep(path: Path, name: str) -> None:
    path.write_text(name + "\n", "utf-8")


async def _on_ollama(settings: Settings) -> tuple[str, ...]:
    try:
        held = await installed_models(settings.ollama_url, PROBE_S)
    except Exception as error:
        log.info("no Ollama at %s: %s", settings.ollama_url, explain(error))
        return ()
    return tuple(f"ollama:{name}" for name in held)


async def _on_openai(settings: Settings) -> tuple[str, ...]:
    """Return what a server of the other kind lists; only one that the owner has named is asked."""
    if "openai_url" not in settings.model_fields_set and not settings.chat_model.startswith("openai:"):
        return ()
    key = settings.openai_key.get_secret_value()
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        async with httpx.AsyncClient(timeout=PROBE_S, trust_env=False) as client:
            answer = await client.get(f"{settings.openai_url.rstrip('/')}/models", headers=headers)
        return tuple(f"openai:{model['id']}" for model in answer.raise_for_status().json()["data"])
    except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
        log.info("no list of models at %s: %s", settings.openai_url, error)
        return ()
