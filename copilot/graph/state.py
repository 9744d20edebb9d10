"""What a turn carries from node to node: plain types only, so that a checkpoint never needs pickle.

The ticket is not here, only its number: its terms and its state live in our own database, which is the source of
truth. A checkpoint that is lost, repeated or replayed can therefore never send an order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NotRequired, TypedDict

Language = Literal["en", "es"]


class Said(TypedDict):
    """One line of the conversation.

    Attributes:
        brain: Chat model that said it, where it was not the offline one.
        prompt: First digits of the hash of the prompt files behind it.
    """

    role: Literal["user", "assistant"]
    text: str
    brain: NotRequired[str]
    prompt: NotRequired[str]


class PlannedCall(TypedDict):
    """One tool call that the words ask for; `args` as JSON, numbers as text."""

    id: str
    tool: str
    args: dict[str, Any]


class TurnState(TypedDict, total=False):
    """State of one conversation.

    Attributes:
        text: What the person says this turn; empty when the turn only carries a decision on a ticket.
        decided: Ticket decided on a surface while no pause of this conversation was waiting for it.
        history: Earlier lines, oldest first, bounded.
        summary: What older lines, left out of the history, held; empty when nothing was left out.
        language: Language of this turn's answer.
        calls: Everything the plan asks for, in the order spoken.
        queue: Trades that still have to be proposed, in the order spoken.
        results: Tool results of this turn as JSON text; `worded` of them have been put into words already.
        ticket_id: Ticket that waits at the gate or has just been decided.
        answer: Words of this turn so far.
        talk: Code of talk that the chat model may answer in its own words; the answer stands where it does not.
        brain: Chat model that spoke last in this turn.
        trouble: Code of what kept the chosen chat model from answering.
        prompt: First digits of the hash of the prompt files behind the words.
    """

    text: str
    decided: int | None
    history: list[Said]
    summary: str
    language: Language
    calls: list[PlannedCall]
    queue: list[PlannedCall]
    results: list[str]
    worded: int
    ticket_id: int | None
    answer: str
    talk: str | None
    brain: str
    trouble: str | None
    prompt: str


@dataclass(frozen=True, slots=True)
class TurnContext:
    """Who speaks, where; never part of a checkpoint.

    Attributes:
        language: The language the person has chosen, or None to follow their words.
        fallback: Language when neither the choice nor the words tell.
    """

    owner: str
    conversation_id: str
    language: Language | None
    fallback: Language
