"""Which market a start takes: the one that the owner set, else Binance when it can be reached, else the simulated one.

The decision is pure; looking whether an address answers is apart from it, and bounded in time even where names are
resolved slowly.
"""

from __future__ import annotations

import http.client
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from engine.data.live.networks import SPOT

MarketKind = Literal["binance", "simulated", "replay"]
REACH_S = 3.0
_BLOCKED = (403, 451)


@dataclass(frozen=True, slots=True)
class Reach:
    """Whether an address answers.

    Attributes:
        reason: `reachable`, or why not: `no_name`, `refused`, `timed_out`, `blocked` (it answers, but not from here),
            `server_error`, `no_network`.
    """

    is_reachable: bool
    reason: str


@dataclass(frozen=True, slots=True)
class MarketChoice:
    """What a start takes, and why.

    Attributes:
        reason: `set` when the owner chose it, else the reason of `Reach`.
    """

    kind: MarketKind
    reason: str


def choose_market(
    setting: Literal["auto", "binance", "simulated", "replay"], look: Callable[[], Reach]
) -> MarketChoice:
    """Return which market to open.

    Args:
        setting: What the owner set; `auto` leaves it to the network.
        look: Tells whether the exchange can be reached; asked only when it matters.
    """
    if setting != "auto":
        return MarketChoice(setting, "set")
    reach = look()
    return MarketChoice("binance" if reach.is_reachable else "simulated", reach.reason)


def reachable(url: str = SPOT.ping_url(), timeout_s: float = REACH_S) -> Reach:
    """Return whether an exchange answers a ping within a time, through the proxy that the system names."""
    found: list[Reach] = []
    # Names are resolved without a time limit of their own: a thread that nobody waits for bounds it all.
    asking = threading.Thread(target=lambda: found.append(_ask(url, timeout_s)), daemon=True)
    asking.start()
    asking.join(timeout_s)
    return found[0] if found else Reach(False, "timed_out")


def _ask(url: str, timeout_s: float) -> Reach:
    if urlsplit(url).scheme not in ("http", "https"):
        return Reach(False, "no_name")
    try:
        with urllib.request.urlopen(url, timeout=timeout_s) as answer:
            is_right = answer.status == 200 and answer.read(64).strip() == b"{}"
        return Reach(is_right, "reachable" if is_right else "server_error")
    except urllib.error.HTTPError as error:
        return Reach(False, "blocked" if error.code in _BLOCKED else "server_error")
    except urllib.error.URLError as error:
        return Reach(False, _why(error.reason))
    except (OSError, http.client.HTTPException, ValueError) as error:
        return Reach(False, _why(error))


def _why(error: object) -> str:
    if isinstance(error, TimeoutError):
        return "timed_out"
    if isinstance(error, socket.gaierror | ValueError):
        return "no_name"
    if isinstance(error, ConnectionRefusedError):
        return "refused"
    return "server_error" if isinstance(error, http.client.HTTPException) else "no_network"
