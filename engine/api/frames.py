"""The stream's messages, both ways. The stream's whole contract stands here; the OpenAPI document repeats it.

A client sends `subscribe`, `unsubscribe` and `ping`; the server sends the rest. Events (`bar`, `bars_missed`, `signal`,
`no_signal`) carry a sequence number that only grows. It counts all events of this run of the program, so a client that
subscribed to some of them sees numbers left out; what it lost is told by `gap` and by nothing else. Numbers belong to
the `stream` that `welcome` names: after a restart both begin anew.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from engine.api import examples
from engine.api.views import BarView, Moment, NoSignal, SignalView, View
from engine.domain.symbols import Timeframe

MAX_LISTED = 256
"""Most symbols or timeframes of one message."""
_MAX_WORD = 64
_MAX_SEQUENCE = 2**53
"""Numbers above this are not exact in JavaScript."""

Word = Annotated[str, Field(min_length=1, max_length=_MAX_WORD)]


class Kind(StrEnum):
    """What may be subscribed to."""

    BARS = "bars"
    SIGNALS = "signals"


class Asked(BaseModel):
    """Base of what a client sends; `id` comes back in the answer."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Word | None = None


class Resume(BaseModel):
    """Where a client that comes back stopped: the stream's name and the last sequence number that it has seen."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    stream: Word
    after: int = Field(ge=0, le=_MAX_SEQUENCE)


class Choice(Asked):
    """Which events are meant; what is left out means all that are streamed."""

    kinds: list[Kind] = Field(default=list(Kind), min_length=1, max_length=len(Kind))
    symbols: list[Word] | None = Field(default=None, min_length=1, max_length=MAX_LISTED)
    timeframes: list[Timeframe] | None = Field(default=None, min_length=1, max_length=MAX_LISTED)


class Subscribe(Choice):
    """Asks for events from now on, and with `resume` for those since; the first subscription alone can resume."""

    op: Literal["subscribe"]
    resume: Resume | None = None


class Unsubscribe(Choice):
    """Asks for no more of some events."""

    op: Literal["unsubscribe"]


class Ping(Asked):
    """Asks for a sign of life."""

    op: Literal["ping"]


Request = Annotated[Subscribe | Unsubscribe | Ping, Field(discriminator="op")]
REQUESTS: TypeAdapter[Subscribe | Unsubscribe | Ping] = TypeAdapter(Request)


class TopicView(View):
    """One thing to subscribe to."""

    kind: Kind
    symbol: str
    timeframe: Timeframe


class Welcome(View):
    """First frame of a connection."""

    type: Literal["welcome"] = "welcome"
    stream: str
    sequence: int = Field(description="Of the newest event.")
    oldest: int = Field(description="Of the oldest event that can still be resumed from.")
    heartbeat_s: float
    symbols: list[str]
    bar_timeframes: list[Timeframe]
    signal_timeframes: list[Timeframe]


class Subscribed(View):
    """What a connection is subscribed to now, after `subscribe` and `unsubscribe`."""

    type: Literal["subscribed"] = "subscribed"
    id: str | None
    sequence: int
    topics: list[TopicView]


class Gap(View):
    """Events were lost to a client that came back; ask for the present over REST."""

    type: Literal["gap"] = "gap"
    id: str | None
    reason: Literal["expired", "other_stream"] = Field(
        description="`expired`: they are no longer kept; `other_stream`: the program was started anew since."
    )
    after: int = Field(description="Last sequence number that the client had.")
    next: int = Field(description="Sequence number from which nothing is missing.")
    lost: int | None = Field(description="Events of all kinds between them; null after a restart, when nobody knows.")


class BarEvent(View):
    """A bar closed."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"type": "bar", "sequence": 1204, "symbol": "BTC/USDT", "timeframe": "1h", "bar": examples.BAR},
            ]
        }
    )

    type: Literal["bar"] = "bar"
    sequence: int
    symbol: str
    timeframe: Timeframe
    bar: BarView


class BarsMissed(View):
    """Bars closed while the program slept, more than are caught up with: they are in the market's history only."""

    type: Literal["bars_missed"] = "bars_missed"
    sequence: int
    symbol: str
    timeframe: Timeframe
    after: Moment = Field(description="Open time of the last bar that was streamed.")
    before: Moment = Field(description="Open time of the next one.")


class SignalEvent(View):
    """A bar closed, and this is what the engine says about it."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"type": "signal", "sequence": 1205, "signal": examples.SIGNAL}]}
    )

    type: Literal["signal"] = "signal"
    sequence: int
    signal: SignalView


class NoSignalEvent(View):
    """A bar closed, and the engine has no signal for it."""

    type: Literal["no_signal"] = "no_signal"
    sequence: int
    without: NoSignal


class Heartbeat(View):
    """Nothing happened; all events up to `sequence` that were asked for have been sent."""

    type: Literal["heartbeat"] = "heartbeat"
    sequence: int
    at: Moment = Field(description="The market's present.")


class Pong(View):
    """Answer to `ping`."""

    type: Literal["pong"] = "pong"
    id: str | None
    sequence: int


class ErrorFrame(View):
    """A message was refused; the connection goes on."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"type": "error", "id": None, "code": "bad_message", "detail": "op: Input should be 'ping'"},
            ]
        }
    )

    type: Literal["error"] = "error"
    id: str | None
    code: str
    detail: str


Answer = Annotated[
    Welcome | Subscribed | Gap | BarEvent | BarsMissed | SignalEvent | NoSignalEvent | Heartbeat | Pong | ErrorFrame,
    Field(discriminator="type"),
]
ANSWERS: TypeAdapter[object] = TypeAdapter(Answer)


class Ending(StrEnum):
    """Why the server closes a connection: the close frame's reason."""

    SLOW_CLIENT = "slow_client"
    BAD_MESSAGES = "too_many_bad_messages"
    ACCESS_CHANGED = "access_changed"
    SHUTTING_DOWN = "shutting_down"
    INTERNAL_ERROR = "internal_error"

    @property
    def code(self) -> int:
        """The close frame's code; those of 4000 and above are this program's own."""
        return _CLOSE_CODES[self]


_CLOSE_CODES = {
    Ending.SLOW_CLIENT: 4008,
    Ending.BAD_MESSAGES: 4400,
    Ending.ACCESS_CHANGED: 4401,
    Ending.SHUTTING_DOWN: 1001,
    Ending.INTERNAL_ERROR: 1011,
}
