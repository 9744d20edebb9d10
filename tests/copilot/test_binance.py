"""The whole program at a local server that speaks Binance's protocol: prices, orders, and the way to real money."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from agents.execution.binance import Incident, fingerprint_of
from agents.execution.binance.access import CONFIRMATION
from copilot.bootstrap import open_runtime
from copilot.cli import app
from copilot.markets import held_market, settle_market
from copilot.settings import Settings, load_settings
from copilot.venues import keep_confirmation
from copilot.wording.messages import render_notice
from engine.domain.errors import ConfigError
from tests.binance.clock import SystemClock
from tests.binance.server import KEY, SECRET, BinanceServer
from tests.conftest import free_port
from tests.copilot.runtime_talk import approve, quiet, say
from tests.engine.data.live.exchange import minutes_of

MINUTES = 2_000
WORDS = f"{CONFIRMATION} {fingerprint_of(KEY)}"


def settings_at(server: BinanceServer, folder: Path, **changed: Any) -> Settings:
    return load_settings(
        data_dir=folder,
        chat_model="offline",
        market=changed.pop("market", "auto"),
        binance_url=server.rest_url,
        binance_stream_url=server.ws_url,
        binance_key=KEY,
        binance_secret=SECRET,
        **changed,
    )


@pytest.fixture
async def server() -> Any:
    """Run an exchange with some history up to now and ten thousand dollars."""
    exchange = BinanceServer(clock=SystemClock(), balances={"USDT": 10_000}, prices={"BTCUSDT": 60_000})
    start_s = int(time.time()) // 60 * 60 - MINUTES * 60
    for engine in (exchange.spot, exchange.futures):
        for seed, (symbol_id, tape) in enumerate(engine.tapes.items()):
            tape.seed({"1m": minutes_of(start_s, MINUTES, float(engine.last(symbol_id)), seed)})
    async with exchange:
        yield exchange


@pytest.mark.parametrize("venue", ["binance-testnet", "binance-futures-demo"])
async def test_a_ticket_becomes_one_order_with_its_stop_and_a_restart_sends_nothing(
    server: BinanceServer, tmp_path: Path, venue: str
) -> None:
    server.futures.deposit(server.account, 10_000)
    settings = settings_at(server, tmp_path, venue=venue)
    async with await open_runtime(settings, quiet) as runtime:
        assert "play money" in runtime.copilot.banner("en")
        answer, ticket = await say(runtime, "buy 0.01 bitcoin with a 2% stop")
        assert ticket is not None, answer
        assert ticket.terms.venue == venue
        assert "Done" in await approve(runtime, ticket)
    sent = dict(server.orders_by_client_id())
    assert len(sent) == 2
    async with await open_runtime(settings, quiet) as runtime:
        await runtime.desk.reconcile()
        answer, _ = await say(runtime, "show my positions")
        assert "BTC/USDT" in answer
        assert runtime.desk.discrepancies() == ()
    assert server.orders_by_client_id() == sent


async def test_real_money_needs_words_for_this_key(server: BinanceServer, tmp_path: Path) -> None:
    settings = settings_at(server, tmp_path, venue="binance")
    with pytest.raises(ConfigError, match="typed confirmation"):
        await open_runtime(settings, quiet)
    keep_confirmation(settings, f"{CONFIRMATION} 00000000")
    with pytest.raises(ConfigError, match="for this key"):
        await open_runtime(settings, quiet)
    keep_confirmation(settings, f"  {WORDS} ")
    async with await open_runtime(settings, quiet) as runtime:
        assert "Real money" in runtime.copilot.banner("en")
    assert not server.orders_by_client_id()


async def test_a_key_that_can_take_money_out_is_refused_whatever_was_typed(
    server: BinanceServer, tmp_path: Path
) -> None:
    server.add_account("careless", "a" * 64, "b" * 64, {"USDT": 100}, can_withdraw=True)
    settings = settings_at(server, tmp_path, venue="binance").model_copy(
        update={"binance_key": load_settings(binance_key="a" * 64).binance_key}
    )
    keep_confirmation(settings, f"{CONFIRMATION} {fingerprint_of('a' * 64)}")
    settings = settings.model_copy(update={"binance_secret": load_settings(binance_secret="b" * 64).binance_secret})
    with pytest.raises(ConfigError, match="withdraw"):
        await open_runtime(settings, quiet)


async def test_where_binance_answers_its_prices_are_taken_and_else_a_world_of_its_own(
    server: BinanceServer, tmp_path: Path
) -> None:
    settings = settings_at(server, tmp_path, market_proxies="XAUUSD=BNB/USDT")
    async with await open_runtime(settings, quiet) as runtime:
        banner = runtime.copilot.banner("es")
        assert "los de Binance, en vivo" in banner
        assert "XAUUSD se muestra con BNB/USDT de binance" in banner
        assert "Sin precios para" in banner
        assert "EURUSD" in banner
        answer, _ = await say(runtime, "¿qué señal hay en el euro?")
        assert "COPILOT_MARKET_SOURCE" in answer
        _, ticket = await say(runtime, "compra 0,01 bitcoin")
        assert ticket is not None
        await approve(runtime, ticket)
    assert not server.orders_by_client_id(), "paper orders stay here"
    await server.kill()
    settled = settle_market(settings)
    assert (settled.settings.market, settled.reason) == ("simulated", "refused")
    assert settled.settings.database != settings_at(server, tmp_path, market="binance").database
    with pytest.raises(ConfigError, match="cannot be read"):
        await open_runtime(settings_at(server, tmp_path, market="binance"), quiet)


async def test_a_database_holds_one_world(server: BinanceServer, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'one.db'}"
    async with await open_runtime(settings_at(server, tmp_path, database_url=url), quiet):
        pass
    with pytest.raises(ConfigError, match=r"'binance-paper'.*'binance-testnet'"):
        await open_runtime(settings_at(server, tmp_path, database_url=url, venue="binance-testnet"), quiet)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"venue": "binance-testnet", "market": "replay", "binance_key": KEY, "binance_secret": SECRET}, "own prices"),
        ({"venue": "binance"}, "COPILOT_BINANCE_KEY"),
        ({"venue": "kraken"}, "COPILOT_VENUE"),
        ({"market_proxies": "gold"}, "XAUUSD=PAXG/USDT"),
        ({"binance_url": "localhost"}, "COPILOT_BINANCE_URL"),
    ],
)
def test_settings_that_cannot_be_are_named(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        load_settings(**{"market": "auto"} | settings)


@pytest.mark.parametrize("incident", Incident)
@pytest.mark.parametrize("language", ["en", "es"])
def test_every_trouble_at_the_venue_has_words(incident: Incident, language: Any) -> None:
    params = {"symbol": "BTC/USDT", "order": "tc-1", "figures": ""}
    told = render_notice(f"incident_{incident}", params, language)
    assert incident not in told
    assert "…" not in told


@pytest.fixture(scope="module")
def apart() -> Iterator[str]:
    """Run an exchange as a program of its own, for commands that hold no event loop; yield its address."""
    port = free_port()
    with subprocess.Popen(
        [sys.executable, "-m", "tests.binance", "--port", str(port), "--market", "still", "--balance", "USDT=10000"],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["rest"]
        process.terminate()


def test_the_command_asks_for_words_and_keeps_nothing_else(
    apart: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"DATA_DIR": tmp_path, "MARKET": "auto", "VENUE": "binance"}.items():
        monkeypatch.setenv(f"COPILOT_{name}", str(value))
    for name, value in {"BINANCE_URL": apart, "BINANCE_KEY": KEY, "BINANCE_SECRET": SECRET}.items():
        monkeypatch.setenv(f"COPILOT_{name}", value)
    kept = tmp_path / "binance" / "confirmation"
    refused = CliRunner().invoke(app, ["live"], input="yes\n")
    assert (refused.exit_code, kept.exists()) == (1, False)
    allowed = CliRunner().invoke(app, ["live"], input=f"{WORDS}\n")
    assert allowed.exit_code == 0, allowed.output
    assert (kept.read_text(), kept.stat().st_mode & 0o777) == (WORDS, 0o600)
    assert SECRET not in allowed.output
    assert CliRunner().invoke(app, ["live", "--revoke"]).exit_code == 0
    assert not kept.exists()


def test_code_without_an_event_loop_reads_the_running_market(apart: str, tmp_path: Path) -> None:
    settings = load_settings(data_dir=tmp_path, market="binance", binance_url=apart)
    settings = settings.model_copy(update={"binance_stream_url": apart.replace("http", "ws")})
    with held_market(settings, lambda _done: None) as market:
        assert market.quote("BTC/USDT").mid > 0
        assert not market.is_simulated
