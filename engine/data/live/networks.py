"""The networks of Binance whose prices can be shown: the real spot market, its test network, the demo of USD-M futures.

Each is a market of its own: an account on a test network must be judged by the prices that it trades at. Addresses are
ccxt's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

NetworkName = Literal["binance", "binance-testnet", "binance-futures-demo"]
NETWORK_NAMES: tuple[NetworkName, ...] = get_args(NetworkName)
_SPOT_PREFIX, _FUTURES_PREFIX = "/api/v3", "/fapi/v1"


@dataclass(frozen=True, slots=True)
class Network:
    """One of them.

    Attributes:
        host: Scheme and host of its REST service.
        prefix: Path in front of every public question.
        questions: Beginning of ccxt's names for them.
        rest_key, stream_key: Where ccxt keeps the addresses.
        prepare: Turns ccxt's client to this network.
    """

    name: NetworkName
    host: str
    prefix: str
    questions: str
    rest_key: str
    stream_key: str
    prepare: Callable[[Any], None]

    @property
    def is_futures(self) -> bool:
        """Return whether contracts trade there, which can be sold short."""
        return self.prefix == _FUTURES_PREFIX

    def ping_url(self, rest_url: str = "") -> str:
        """Return an address that answers `{}` while the exchange, or a mirror of it, is there."""
        return f"{rest_url.rstrip('/') or self.host}{self.prefix}/ping"

    def point(self, client: Any, rest_url: str | None) -> None:
        """Turn a client to this network, or to a mirror of it.

        Args:
            client: Of ccxt.
            rest_url: Scheme, host and port of the mirror.
        """
        self.prepare(client)
        if rest_url is not None:
            client.urls["api"] = {**client.urls["api"], self.rest_key: rest_url.rstrip("/") + self.prefix}

    def stream_url(self, client: Any) -> str:
        """Return the address of its streams."""
        return str(client.urls["api"]["ws"][self.stream_key])


def _leave(_client: Any) -> None:
    """Do nothing: a new client speaks to the real spot market."""


SPOT = Network("binance", "https://api.binance.com", _SPOT_PREFIX, "public", "public", "spot", _leave)
SPOT_TESTNET = Network(
    "binance-testnet",
    "https://testnet.binance.vision",
    _SPOT_PREFIX,
    "public",
    "public",
    "spot",
    lambda client: client.set_sandbox_mode(True),
)
FUTURES_DEMO = Network(
    "binance-futures-demo",
    "https://demo-fapi.binance.com",
    _FUTURES_PREFIX,
    "fapiPublic",
    "fapiPublic",
    "linear",
    lambda client: client.enable_demo_trading(True),
)
NETWORKS: dict[NetworkName, Network] = {each.name: each for each in (SPOT, SPOT_TESTNET, FUTURES_DEMO)}
