"""Choose the brain that the settings name; nothing is asked of a server but, for `auto`, which models it holds."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from functools import partial

from copilot.brain.access import Breaker, Line
from copilot.brain.model import ModelBrain, Situation
from copilot.brain.offline import OfflineBrain
from copilot.brain.prompter import Prompter
from copilot.brain.values import Brain
from copilot.chat_models import OfflineChatModel
from copilot.chat_models.failures import explain
from copilot.chat_models.local import ChatServer, LocalModel, TimeLimits
from copilot.chat_models.ollama import OllamaServer, installed_models
from copilot.offline.combined import decide
from copilot.settings import Settings

log = logging.getLogger(__name__)

DEFAULT_MODEL = "llama3.1:8b"
PREFERRED = ("llama3.1", "llama3", "qwen3", "gpt-oss", "mistral", "llama3.2", "phi3", "codellama")
"""Families that `auto` takes, best first."""
PROBE_S = 0.5


async def open_brain(
    settings: Settings, situation: Situation, chat_model: str | None = None, *, agents: Sequence[str] = ()
) -> Brain:
    """Return the brain.

    Args:
        settings: Where servers are, and the limits.
        situation: What changes from turn to turn, for the prompts.
        chat_model: Instead of the setting of that name.
        agents: The owner's own agents, beside the three of the program.
    """
    kind, _, name = (chat_model or settings.chat_model).partition(":")
    if kind == "offline":
        return OfflineBrain(OfflineChatModel(agents=tuple(agents)))
    if kind == "auto":
        name = await find_installed(settings.ollama_url) or DEFAULT_MODEL
    limits = TimeLimits(
        settings.model_connect_s, settings.model_first_token_s, settings.model_idle_s, settings.model_turn_s
    )
    return ModelBrain(
        LocalModel(_server(kind, name or DEFAULT_MODEL, settings, limits), limits),
        Prompter(settings.language, context_tokens=settings.model_context, reply_tokens=settings.model_reply),
        situation,
        Breaker(time.monotonic),
        Line(at_once=settings.model_at_once, longest=settings.model_line),
        mode=settings.model_routing,
        asks_when_certain=settings.model_always_asked,
        read=partial(decide, agents=tuple(agents)),
        is_optional=kind == "auto",
        agents=agents,
    )


async def find_installed(url: str) -> str | None:
    """Return the best model that an Ollama server holds, or None when there is no server or none that we know."""
    try:
        installed = await installed_models(url, PROBE_S)
    except Exception as error:
        log.info("no Ollama at %s: %s", url, explain(error))
        return None
    return choose_installed(installed)


def choose_installed(installed: Sequence[str]) -> str | None:
    """Return the best of the installed models that we know, or None."""
    for family in PREFERRED:
        held = sorted(name for name in installed if name.partition(":")[0] == family)
        if held:
            return DEFAULT_MODEL if DEFAULT_MODEL in held else held[0]
    return None


def _server(kind: str, name: str, settings: Settings, limits: TimeLimits) -> ChatServer:
    if kind == "openai":
        # Its client library takes half a second to load, which nobody else should wait for.
        from copilot.chat_models.openai_compatible import OpenAIServer

        key = settings.openai_key.get_secret_value()
        return OpenAIServer(name, settings.openai_url, settings.model_reply, limits, key)
    return OllamaServer(
        name,
        settings.ollama_url,
        settings.model_context,
        settings.model_reply,
        limits,
        settings.model_keep_alive,
    )
