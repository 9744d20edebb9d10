"""What the service and its stream allow themselves: limits with their reasons.

Every limit bounds something that a client could otherwise make grow: memory, threads, waiting.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from engine.domain.errors import ConfigError
from engine.domain.symbols import TIMEFRAMES, Timeframe

MAX_BARS = 5000
"""Most bars of one answer, about 700 kB of JSON."""
DEFAULT_BARS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamSettings:
    """How the stream behaves.

    Attributes:
        bar_timeframes: Timeframes whose closed bars are streamed.
        signal_timeframes: Timeframes whose signals are streamed; each among `bar_timeframes`. A signal is computed for
            every symbol at each close, whether or not somebody listens, so that a resumed client finds it.
        ring_size: Events kept for clients that come back.
        queue_size: Frames that may wait for one client before it counts as slow.
        max_clients: Clients at one time.
        max_bad_messages: Messages that cannot be understood before a client is closed.
        max_message_characters: Length of the longest message that is read.
        heartbeat_s: Seconds of silence after which a heartbeat is sent; a token is checked again as often.
        poll_s: Seconds between two looks at the market.
        send_timeout_s: Seconds that one frame may take to be accepted by the network before the client counts as slow.
        linger_s: Seconds that a closed client is given to read the reason.
    """

    bar_timeframes: tuple[Timeframe, ...] = ("1m", "5m", "15m", "30m", "1h", "4h", "1d")
    signal_timeframes: tuple[Timeframe, ...] = ("1h",)
    ring_size: int = 10_000
    queue_size: int = 256
    max_clients: int = 256
    max_bad_messages: int = 20
    max_message_characters: int = 16_384
    heartbeat_s: float = 15.0
    poll_s: float = 1.0
    send_timeout_s: float = 30.0
    linger_s: float = 10.0

    def __post_init__(self) -> None:
        unknown = [each for each in self.bar_timeframes if each not in TIMEFRAMES]
        if unknown:
            raise ConfigError(f"bar_timeframes has {unknown}: choose among {', '.join(get_args(Timeframe))}")
        silent = [each for each in self.signal_timeframes if each not in self.bar_timeframes]
        if silent:
            raise ConfigError(
                f"signal_timeframes has {silent}, whose bars are not streamed: add them to bar_timeframes"
            )
        for name in self.__slots__:
            value = getattr(self, name)
            if not isinstance(value, tuple) and value <= 0:
                raise ConfigError(f"{name} is {value!r}: it must be above zero")
