"""A brain around a local server that speaks a real protocol, and a whole copilot around that brain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from copilot.brain.access import Breaker, Line
from copilot.brain.model import ModelBrain
from copilot.brain.prompter import Prompter
from copilot.brain.values import Heard, Plan, Spoken, Voice, Withdrawn, Words
from copilot.chat_models.local import ChatServer, LocalModel, TimeLimits
from copilot.chat_models.ollama import OllamaServer
from copilot.chat_models.openai_compatible import OpenAIServer
from copilot.events import Event
from copilot.graph import Nodes, build_graph
from copilot.offline import parse
from copilot.offline.values import Decision, Language, Turn
from copilot.service import Copilot
from tests.servers.model_server import ModelServer
from tests.servers.openai import FakeOpenAI
from tests.tools.world import World
from tools.results import ToolResult

QUICK = TimeLimits(connect_s=2.0, first_token_s=2.0, idle_s=1.0, turn_s=5.0)
SITUATION = "- It is 2026-01-01 00:00 UTC."
VAGUE, VAGO = "hmm gold, thoughts on the daily?", "mmm el oro, ¿cómo lo ves en diario?"
"""Words that the parser beside the model makes nothing of here, so that the model's own reading counts."""


OPENED: list[ModelBrain] = []
"""Brains to close when a test is over."""


class FakeClock:
    """Seconds that pass only when told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def read(text: str, history: Sequence[Turn], fallback: Language) -> Decision:
    """Read like the offline model, but for the vague words."""
    if text.startswith((VAGUE, VAGO)):
        return Decision((), None, "smalltalk", "es" if text.startswith(VAGO) else "en")
    return parse(text, history, fallback)


def decision(*requests: Mapping[str, Any], language: str = "en") -> dict[str, Any]:
    """Return a decision as a model would send it."""
    return {"language": language, "requests": list(requests)}


def server_of(fake: ModelServer, model: str = "llama3.1:8b", limits: TimeLimits = QUICK) -> ChatServer:
    """Return the production adapter for a fake server."""
    if isinstance(fake, FakeOpenAI):
        return OpenAIServer("local-model", f"{fake.url}/v1", 256, limits)
    return OllamaServer(model, fake.url, 8192, 256, limits)


def brain_of(
    fake: ModelServer,
    *,
    model: str = "llama3.1:8b",
    limits: TimeLimits = QUICK,
    language: Language = "en",
    clock: FakeClock | None = None,
    mode: Literal["auto", "format", "tools"] = "format",
    always_asked: bool = True,
    is_optional: bool = False,
    line: Line | None = None,
) -> ModelBrain:
    """Return the production brain on a fake server; it is asked about everything unless told otherwise."""

    async def situation(owner: str, language: Language) -> str:
        return SITUATION

    brain = ModelBrain(
        LocalModel(server_of(fake, model, limits), limits),
        Prompter(language, context_tokens=8192, reply_tokens=256),
        situation,
        Breaker(clock or FakeClock()),
        line or Line(),
        read=read,
        mode=mode,
        asks_when_certain=always_asked,
        is_optional=is_optional,
    )
    OPENED.append(brain)
    return brain


def copilot_around(brain: ModelBrain, world: World) -> Copilot:
    """Return the service around a brain, with real tools, tickets and desk."""
    memory = InMemorySaver(serde=JsonPlusSerializer(pickle_fallback=False, allowed_msgpack_modules=None))
    graph = build_graph(Nodes(brain, world.toolbox, world.decisions), memory)
    return Copilot(
        graph, world.tickets, world.profiles, world.notices, world.market, fallback_language="en", halt=world.halt
    )


async def plan(brain: ModelBrain, text: str, **heard: Any) -> Plan:
    """Return what a brain makes of a message."""
    return await brain.plan(Heard(text, **heard), ignore)


async def word(
    brain: ModelBrain, results: Sequence[ToolResult], text: str = "how is bitcoin?", language: Language = "en"
) -> tuple[str, Voice, list[Spoken]]:
    """Return the answer as it stands in the end, who spoke, and everything that was yielded."""
    said = [spoken async for spoken in brain.word(Heard(text), results, language, ignore)]
    answer, voice = "", None
    for spoken in said:
        match spoken:
            case Words():
                answer += spoken.text
            case Withdrawn():
                answer = ""
            case Voice():
                voice = spoken
    assert voice is not None
    assert said[-1] is voice
    return answer, voice, said


def ignore(event: Event) -> None:
    """Take an event and do nothing."""
