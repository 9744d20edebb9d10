"""The stream's messages, both ways; its whole contract stands here.

A client begins with `start` and gets `welcome`, then one `snapshot`, then `changes` (`set` maps keys to values; null
means that the entry went away). With `resume` of the same stream it gets `changes` since then in place of the snapshot.
Every `snapshot` and `changes` is answered with `ack` of its `sequence` once it is taken in: a client that leaves some
unanswered is sent nothing more until it answers, then the newest state at once; one that does not answer for long is
closed with the reason `slow_client`. When nothing changes, `heartbeat` comes.

Sequence numbers grow; between two frames numbers are left out, because entries that changed again are told once, and
charts that one does not look at not at all.
"""

from __future__ import annotations

import json
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from engine.domain.symbols import Timeframe

_MAX_SEQUENCE = 2**53
"""Numbers above this are not exact in JavaScript."""
Word = Annotated[str, Field(min_length=1, max_length=64)]


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Resume(_Asked):
    """Where a client that comes back stopped."""

    stream: Word
    after: int = Field(ge=0, le=_MAX_SEQUENCE)


class Chart(_Asked):
    """Looks at a chart from now on, and at no other."""

    type: Literal["chart"] = "chart"
    symbol: Word
    timeframe: Timeframe


class Start(_Asked):
    """Begins a connection."""

    type: Literal["start"]
    resume: Resume | None = None
    chart: Chart | None = None


class Ack(_Asked):
    """Says that a frame was taken in."""

    type: Literal["ack"]
    sequence: int = Field(ge=0, le=_MAX_SEQUENCE)


class Ping(_Asked):
    """Asks for a sign of life."""

    type: Literal["ping"]


class _TypedChart(Chart):
    type: Literal["chart"]


REQUESTS: TypeAdapter[Start | _TypedChart | Ack | Ping] = TypeAdapter(
    Annotated[Start | _TypedChart | Ack | Ping, Field(discriminator="type")]
)


class Ending(StrEnum):
    """Why the server closes a connection: the close frame's reason, the same words as the engine's other stream."""

    SLOW_CLIENT = "slow_client"
    BAD_MESSAGES = "too_many_bad_messages"
    INTERNAL_ERROR = "internal_error"

    @property
    def code(self) -> int:
        """The close frame's code; those of 4000 and above are this program's own."""
        return _CLOSE_CODES[self]


_CLOSE_CODES = {Ending.SLOW_CLIENT: 4008, Ending.BAD_MESSAGES: 4400, Ending.INTERNAL_ERROR: 1011}


def welcome(stream: str, sequence: int, heartbeat_s: float, window: int) -> str:
    """Return the first frame of a connection."""
    return _frame("welcome", stream=stream, sequence=sequence, heartbeat_s=heartbeat_s, window=window)


def heartbeat(sequence: int, at: datetime) -> str:
    """Return the frame that says: nothing changed up to this number, and this is the market's present."""
    return _frame("heartbeat", sequence=sequence, at=round(at.timestamp() * 1000))


def pong(sequence: int) -> str:
    """Return the answer to `ping`."""
    return _frame("pong", sequence=sequence)


def error(code: str, detail: str) -> str:
    """Return the frame that says: a message was refused, the connection goes on."""
    return _frame("error", code=code, detail=detail)


def _frame(kind: str, **values: object) -> str:
    return json.dumps({"type": kind, **values}, ensure_ascii=False)
