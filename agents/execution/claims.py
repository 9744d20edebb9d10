"""Which process handles an intent, and whether it has surely ended.

An intent that was claimed but is unknown to the venue may be declared unsent only when its claimer can no longer
send it. A process of this machine is known by its id and its start, so that a reused id is not taken for it; of a
process elsewhere nothing is known, and the caller waits until the time in which it might still send is over.
"""

from __future__ import annotations

import itertools
import os
import socket
from pathlib import Path

from engine.domain.errors import CopilotError

_PROC = Path("/proc")
_numbers = itertools.count(1)


class NotLeading(CopilotError):
    """This process no longer leads, or will not before long: nothing may be done on behalf of the agents."""


def process_token() -> str:
    """Return a new identity within this process: host, boot, process id, its start and a number, parted by `|`."""
    start = _start(os.getpid()) or "?"
    return "|".join((socket.gethostname(), _boot(), str(os.getpid()), start, str(next(_numbers))))


def has_ended(token: str) -> bool:
    """Return whether the process of a token has surely ended; False when that cannot be known."""
    host, boot, pid, start, _ = token.split("|")
    if host != socket.gethostname():
        return False
    if boot != _boot():
        return True
    if start != "?":
        return _start(int(pid)) != start
    return os.name == "posix" and not _is_alive(int(pid))


def _boot() -> str:
    try:
        return (_PROC / "sys/kernel/random/boot_id").read_text().strip()[:8]
    except OSError:
        return "?"


def _start(pid: int) -> str | None:
    """Return when a process started, in clock ticks since boot; None when it is over or unknown."""
    try:
        fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    state, start = fields[0], fields[19]
    return None if state in "ZX" else start


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
