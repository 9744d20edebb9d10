"""What a turn tells a surface, in order. Surfaces render these and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tools.decisions import Asked
from tools.results import ToolResult

Language = Literal["en", "es"]


@dataclass(frozen=True, slots=True)
class ToolStarted:
    """A tool began; `arguments` as the person's words filled them."""

    call_id: str
    tool: str
    arguments: dict[str, object]


@dataclass(frozen=True, slots=True)
class ToolProgressed:
    """A tool that takes long is `done` by so much (0-1, only growing); short tools never say it."""

    call_id: str
    tool: str
    done: float


@dataclass(frozen=True, slots=True)
class ToolFinished:
    """A tool ended with a typed result."""

    call_id: str
    tool: str
    result: ToolResult


@dataclass(frozen=True, slots=True)
class AnswerToken:
    """The next piece of the answer's Markdown."""

    text: str


@dataclass(frozen=True, slots=True)
class AnswerWithdrawn:
    """What was told of this turn's answer since `kept` characters does not stand; other words follow."""

    kept: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """The chat model is busy with others; `ahead` of them come first (0: you are next)."""

    ahead: int


@dataclass(frozen=True, slots=True)
class TicketOpened:
    """A ticket waits for the owner's decision (or an old one was priced again: same id, new version and nonce)."""

    ticket: Asked


@dataclass(frozen=True, slots=True)
class TicketClosed:
    """A ticket reached an end: executed, working, failed, unsent, rejected, expired or replaced."""

    ticket: Asked


@dataclass(frozen=True, slots=True)
class TurnEnded:
    """The turn is over.

    Attributes:
        answer: The whole text, as it stands.
        language: Language of the answer.
        brain: Name of the chat model that spoke.
        trouble: Code of what kept the chosen chat model from answering, or None.
    """

    answer: str
    language: Language
    brain: str
    trouble: str | None = None


Event = (
    ToolStarted
    | ToolProgressed
    | ToolFinished
    | AnswerToken
    | AnswerWithdrawn
    | Waiting
    | TicketOpened
    | TicketClosed
    | TurnEnded
)
