"""Which market a start takes, quickly and with its reason."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from typing import NoReturn

import pytest

from engine.data.live.choice import MarketChoice, Reach, choose_market, reachable
from tests.conftest import free_port
from tests.servers.wire import Exchange, LocalServer


class Pinged(LocalServer):
    """Answers everything alike."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__()
        self.status, self.body = status, body

    def answer(self, exchange: Exchange) -> None:
        exchange.send_bytes(self.status, "application/json", self.body)


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def deaf() -> Iterator[str]:
    """Return the address of something that takes connections and says nothing."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def never() -> NoReturn:
    raise AssertionError("nobody needs to look")


@pytest.mark.parametrize("setting", ["binance", "simulated", "replay"])
def test_what_the_owner_set_is_taken_without_a_look(setting: str) -> None:
    assert choose_market(setting, never) == MarketChoice(setting, "set")  # type: ignore[arg-type]  # one of them


def test_the_network_decides_when_nothing_is_set() -> None:
    assert choose_market("auto", lambda: Reach(True, "reachable")) == MarketChoice("binance", "reachable")
    assert choose_market("auto", lambda: Reach(False, "no_name")) == MarketChoice("simulated", "no_name")


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, b"{}", Reach(True, "reachable")),
        (200, b"<html>log in to the hotel</html>", Reach(False, "server_error")),
        (451, b"{}", Reach(False, "blocked")),
        (403, b"{}", Reach(False, "blocked")),
        (503, b"{}", Reach(False, "server_error")),
    ],
)
def test_an_answer_is_judged(status: int, body: bytes, expected: Reach) -> None:
    with Pinged(status, body) as server:
        assert reachable(server.url, timeout_s=30) == expected


def test_a_closed_port_is_refused_at_once() -> None:
    begun = time.monotonic()
    assert reachable(f"http://127.0.0.1:{free_port()}") == Reach(False, "refused")
    assert time.monotonic() - begun < 10


def test_silence_is_given_up_in_time(deaf: str) -> None:
    begun = time.monotonic()
    assert reachable(deaf, timeout_s=0.3) == Reach(False, "timed_out")
    assert time.monotonic() - begun < 10


def test_an_address_that_is_none_is_no_name() -> None:
    assert reachable("nonsense") == Reach(False, "no_name")
    assert reachable("http://name.invalid", timeout_s=3.0).is_reachable is False
