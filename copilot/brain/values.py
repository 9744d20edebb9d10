"""What a brain is told of a turn and what it gives back. Frozen, so that a turn can be logged and repeated."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from copilot.events import Event
from copilot.offline import Call
from copilot.offline.values import Language, Turn
from tools.results import ToolResult

OFFLINE = "offline"
"""Name of the brain that is always there."""
AUTO = "auto"
"""Name of the choice that leaves the chat model to what is installed."""

Tell = Callable[[Event], None]
"""Shows an event to the person while a brain works."""


@dataclass(frozen=True, slots=True)
class ChatModels:
    """What may answer.

    Attributes:
        chosen: What is in use, named as the setting names it: `auto`, `offline`, `ollama:NAME`, `openai:NAME`.
        offered: What may be chosen now, the chosen one included whether its server is there or not.
    """

    chosen: str
    offered: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Heard:
    """What the person said, with what came before.

    Attributes:
        text: The message.
        history: Earlier lines, oldest first.
        summary: What older lines that were left out held; empty when nothing was.
        chosen: Language the person has chosen, or None to follow their words.
        fallback: Language when neither the choice nor the words tell.
        owner: Who speaks.
    """

    text: str
    history: tuple[Turn, ...] = ()
    summary: str = ""
    chosen: Language | None = None
    fallback: Language = "en"
    owner: str = ""


@dataclass(frozen=True, slots=True)
class Voice:
    """Who spoke, and what stood behind it.

    Attributes:
        brain: Name of the chat model whose words or decision these are.
        trouble: Code of what kept the language model from it, or None.
        prompt: First digits of the prompt texts' hash; empty for the offline model.
    """

    brain: str = OFFLINE
    trouble: str | None = None
    prompt: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a message calls for: calls, or words.

    Attributes:
        calls: In the order spoken.
        words: What to say when there are no calls: a question, or plain talk.
        is_question: Whether the words ask for something that is needed.
        talk: Code of plain talk (`copilot.offline.values.TALK`) that a language model may answer in its own words, or
            None: then the words stand as they are.
        language: Language of the person's words.
        voice: Who decided.
    """

    calls: tuple[Call, ...]
    words: str
    is_question: bool
    talk: str | None
    language: Language
    voice: Voice


@dataclass(frozen=True, slots=True)
class Words:
    """The next piece of an answer's Markdown."""

    text: str


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """Everything said of this answer so far does not stand; other words follow."""


Spoken = Words | Withdrawn | Voice
"""What wording an answer yields; one `Voice` comes last."""


class Brain(Protocol):
    """Decides what words call for, and puts results into words. Neither may ever raise for a failing model."""

    @property
    def name(self) -> str:
        """Return the name of the chat model in use."""
        ...

    @property
    def speaker(self) -> str:
        """Return the name of the chat model that would answer now: the offline one while the other does not."""
        ...

    async def plan(self, heard: Heard, tell: Tell) -> Plan:
        """Return what a message calls for."""
        ...

    def word(
        self, heard: Heard, results: Sequence[ToolResult], language: Language, tell: Tell
    ) -> AsyncIterator[Spoken]:
        """Put tool results into words."""
        ...

    def talk(self, heard: Heard, code: str, language: Language, tell: Tell) -> AsyncIterator[Spoken]:
        """Answer a message that calls for no tool."""
        ...

    async def condense(self, heard: Heard) -> tuple[tuple[Turn, ...], str]:
        """Return the history and summary that stay, when the conversation has grown beyond its budget."""
        ...

    async def warm_up(self) -> None:
        """Get the chat model ready; never raises."""
        ...

    async def close(self) -> None:
        """Let go of the chat model."""
        ...
