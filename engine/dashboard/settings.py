"""What the dashboard allows itself: limits with their reasons."""

from __future__ import annotations

from dataclasses import dataclass

from engine.domain.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class DashboardSettings:
    """How the page and its stream behave.

    Attributes:
        frame_every_s: Seconds between two frames to one client; what changes in between is told once, at its newest.
        quotes_every_s: Seconds between two looks at the prices.
        facts_every_s: Seconds between two questions for everything else.
        curves_every_s: Seconds between two tellings of a long curve; its last point is in the figures anyway.
        heartbeat_s: Seconds of silence after which a heartbeat is sent.
        window: Frames that a client may leave unacknowledged before it is sent no more.
        patience_s: Seconds that a client may leave a frame unacknowledged, or the network may refuse one, before the
            client is let go as slow.
        max_clients: Clients at one time.
        max_bad_messages: Messages that cannot be understood before a client is closed.
        max_message_characters: Length of the longest message that is read.
        max_forgotten: Entries that went away of which it is still known that they did; a client that was gone for
            longer gets a new snapshot.
        chart_bars: Bars of a chart.
        token_life_s: How long a person may think before confirming the kill switch.
        halt_patience_s: How long the page waits for a halt to be carried out; it goes on without the page.
    """

    frame_every_s: float = 0.1
    quotes_every_s: float = 0.1
    facts_every_s: float = 1.0
    curves_every_s: float = 15.0
    heartbeat_s: float = 10.0
    window: int = 3
    patience_s: float = 20.0
    max_clients: int = 32
    max_bad_messages: int = 20
    max_message_characters: int = 4096
    max_forgotten: int = 2000
    chart_bars: int = 300
    token_life_s: float = 60.0
    halt_patience_s: float = 15.0

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if getattr(self, name) <= 0:
                raise ConfigError(f"{name} is {getattr(self, name)!r}: it must be above zero")
