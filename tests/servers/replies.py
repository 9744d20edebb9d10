"""What a scripted chat server may answer: text, a JSON object, tool calls, or a fault.

A script is any callable from the request (`Asked`) to a `Reply`. Faults are values of one class, so that a table of
cases can run every one of them against every client.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Literal

from tests.servers.asked import Asked

CHARACTERS_A_TOKEN = 4
DEFAULT_TEXT = "Bitcoin is calm today, and your portfolio is unchanged since this morning."


class FaultKind(StrEnum):
    """Everything that goes wrong with a chat server, as its client meets it."""

    GONE = "gone"
    """The server dies: this connection closes without a byte, and later ones are refused."""
    RESET = "reset"
    """This connection closes without a byte; the server lives on."""
    NOT_FOUND = "not_found"
    """404, the model is not pulled."""
    NO_TOOLS = "no_tools"
    """400, the model does not support tools."""
    BAD_REQUEST = "bad_request"
    """400, the server could not parse the grammar made of the schema."""
    NO_MEMORY = "no_memory"
    """500, out of memory; every model is unloaded."""
    BUSY = "busy"
    """503, too many requests are waiting for a load."""
    HTML = "html"
    """502, a proxy's error page."""
    SILENT = "silent"
    """Not a byte for `seconds`, then the answer."""
    NO_TOKEN = "no_token"
    """Status and headers at once, then nothing for `seconds`, then the answer."""
    STALL = "stall"
    """`after` pieces of the answer, nothing for `seconds`, then the rest."""
    DRIP = "drip"
    """Every piece of the answer comes `seconds` after the one before."""
    CUT = "cut"
    """`after` pieces, then the connection closes inside the chunked stream."""
    NO_DONE = "no_done"
    """`after` pieces, then a clean end without the closing line."""
    ERROR_LINE = "error_line"
    """`after` pieces, then an error inside the 200 stream (500 without streaming)."""
    EMPTY = "empty"
    """A complete answer without a character."""
    NOTHING = "nothing"
    """200 and a clean end without a single line."""
    LENGTH = "length"
    """Only `after` tokens, and the reason "length"."""
    INVALID_JSON = "invalid_json"
    """Content that starts like JSON and is none."""
    WRONG_SCHEMA = "wrong_schema"
    """Content that is JSON of another schema."""
    GARBAGE = "garbage"
    """`after` pieces, then bytes that are no text and no JSON."""
    ENDLESS = "endless"
    """An answer of `size` characters, the default text again and again."""
    WRONG_TYPE = "wrong_type"
    """The right answer as text/plain."""
    RELOAD = "reload"
    """The model was unloaded: `seconds` of loading before the first byte, nothing of the prompt reusable."""
    TRUNCATED = "truncated"
    """The prompt was cut in silence: a quarter of it counts in `prompt_eval_count`."""
    THINKING = "thinking"
    """The model thinks first, in a field of its own."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call that the model asks for."""

    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """A full answer; the server still cuts it at `num_predict`.

    Attributes:
        text: The content.
        tool_calls: Calls, sent in one piece before the closing line.
        thinking: What a thinking model writes first.
        done_reason: The reason in the closing line.
        prompt_ratio: The part of the prompt that the server reports as read.
    """

    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    thinking: str = ""
    done_reason: Literal["stop", "length"] = "stop"
    prompt_ratio: float = 1.0


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault, with the answer that it spoils.

    Attributes:
        kind: What goes wrong.
        answer: What a healthy server would have said: text, an object sent as JSON, or a full answer.
        after: Pieces (or tokens, for `LENGTH`) that arrive before it goes wrong.
        seconds: Length of a stall, of a load, or of the pause between two drips. A client that leaves ends it.
        size: Characters of an `ENDLESS` answer.
        message: The server's words, where the kind has words; empty for the usual ones.
    """

    kind: FaultKind
    answer: str | Mapping[str, Any] | Answer = DEFAULT_TEXT
    after: int = 2
    seconds: float = 60.0
    size: int = 200_000
    message: str = ""


Reply = str | Mapping[str, Any] | ToolCall | Sequence[ToolCall] | Answer | Fault
Script = Callable[[Asked], Reply]


def in_turn(*replies: Reply) -> Script:
    """Return a script that gives each reply once, and the last one from then on."""
    rest = itertools.chain(replies, itertools.repeat(replies[-1]))
    return lambda _asked: next(rest)


def always(reply: Reply) -> Script:
    """Return a script that gives one reply to everything."""
    return lambda _asked: reply


def as_answer(reply: Reply) -> Answer:
    """Return the full answer of a reply; a fault's is the one that it leaves of a healthy one."""
    match reply:
        case Answer():
            return reply
        case str():
            return Answer(reply)
        case ToolCall():
            return Answer(tool_calls=(reply,))
        case Mapping():
            return Answer(json.dumps(reply, ensure_ascii=False))
        case Fault():
            return _spoilt(reply)
        case _:
            return Answer(tool_calls=tuple(reply))


def _spoilt(fault: Fault) -> Answer:
    """Return what is left of the answer, for faults of the content; the others spoil the transport."""
    healthy = as_answer(fault.answer)
    match fault.kind:
        case FaultKind.EMPTY:
            return Answer()
        case FaultKind.LENGTH:
            return replace(healthy, text=healthy.text[: fault.after * CHARACTERS_A_TOKEN], done_reason="length")
        case FaultKind.INVALID_JSON:
            return Answer('{"intent": "place_order", "side": buy, quantity: "all of it')
        case FaultKind.WRONG_SCHEMA:
            return Answer('{"unexpected": [1, null, {"intent": 7}], "confidence": "very"}')
        case FaultKind.ENDLESS:
            text = healthy.text or DEFAULT_TEXT
            return Answer((text + " ") * (fault.size // (len(text) + 1) + 1))
        case FaultKind.TRUNCATED:
            return replace(healthy, prompt_ratio=0.25)
        case FaultKind.THINKING:
            return replace(healthy, thinking=healthy.thinking or "The person asks. I should answer briefly.")
        case _:
            return healthy
