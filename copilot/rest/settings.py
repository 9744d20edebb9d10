"""What bounds the service; every figure with its unit."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RestSettings:
    """Bounds.

    Attributes:
        requests: How many requests a token may send at once (the size of its bucket).
        requests_window_s: Time in which an empty bucket fills again.
        body_bytes: Longest body that is taken.
        body_wait_s: How long a body may take to arrive.
        heartbeat_s: Longest silence of a stream.
        stall_s: How long a client of a stream may read nothing before it is let go.
        turns: Turns of one owner that may be under way.
        turn_kept_s: How long a finished turn can be read again.
        notice_poll_s: How often a stream of notices looks for new ones.
    """

    requests: int = 60
    requests_window_s: float = 10.0
    body_bytes: int = 64 * 1024
    body_wait_s: float = 20.0
    heartbeat_s: float = 15.0
    stall_s: float = 60.0
    turns: int = 8
    turn_kept_s: float = 600.0
    notice_poll_s: float = 2.0
