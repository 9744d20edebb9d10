"""The start: first and later, damaged files, and the whole conversation on real bars played back."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NoReturn

import pytest

from copilot.bootstrap import open_runtime
from copilot.commands import ingest_files
from copilot.markets import held_market
from copilot.places import open_registry
from copilot.settings import Settings
from engine.domain.errors import ConfigError, DataUnavailable
from engine.domain.protocols import MarketData
from tests.copilot.conftest import settings_for
from tests.copilot.runtime_talk import OWNER, approve, quiet, say
from tests.parts import real_bars


async def test_a_later_start_remembers_positions_and_trains_nothing(data_dir: Path) -> None:
    settings = settings_for(data_dir)
    models = [manifest.id for manifest in open_registry(settings).manifests()]
    async with await open_runtime(settings, quiet) as runtime:
        _, ticket = await say(runtime, "buy 0.05 bitcoin with a 2% stop")
        assert ticket is not None
        await approve(runtime, ticket)
    async with await open_runtime(settings, quiet) as runtime:
        answer, _ = await say(runtime, "show my positions")
    assert "| BTC/USDT | 0.05 |" in answer
    assert [manifest.id for manifest in open_registry(settings).manifests()] == models


async def test_a_ticket_is_still_open_after_a_restart(data_dir: Path) -> None:
    settings = settings_for(data_dir)
    async with await open_runtime(settings, quiet) as runtime:
        _, ticket = await say(runtime, "buy 0.05 bitcoin with a 2% stop")
        assert ticket is not None
    async with await open_runtime(settings, quiet) as runtime:
        assert [open_.ticket_id for open_ in runtime.copilot.open_tickets(OWNER)] == [ticket.ticket_id]


async def test_a_damaged_model_is_trained_again(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_for(data_dir)
    (damaged,) = open_registry(settings).manifests()
    (data_dir / "models" / "simulated" / damaged.id / "range_up.ubj").write_bytes(b"damaged")
    trained = []

    def refuse(_market: MarketData, timeframe: str, **_others: object) -> NoReturn:
        trained.append(timeframe)
        raise DataUnavailable("too few bars")

    monkeypatch.setattr("engine.ml.live.train_on_market", refuse)
    async with await open_runtime(settings, quiet) as runtime:
        answer, _ = await say(runtime, "signal for gold")
    assert trained == ["1h"]
    assert f"{damaged.id} is damaged" in answer.replace("\\", "")


async def test_a_damaged_database_stops_with_one_line(data_dir: Path) -> None:
    for name in ("copilot.db-wal", "copilot.db-shm"):
        (data_dir / name).unlink(missing_ok=True)
    (data_dir / "copilot.db").write_bytes(b"damaged" * 1000)
    with pytest.raises(ConfigError, match=r"copilot\.db"):
        await open_runtime(settings_for(data_dir), quiet)


def replay_settings(data_dir: Path, **others: object) -> Settings:
    return settings_for(data_dir, market="replay", replay_source="real", **others)


@pytest.fixture(scope="session")
def replay_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data folder with real bars."""
    folder = tmp_path_factory.mktemp("replay")
    files = [real_bars("BINANCE_SPOT/BTCUSDT_1h.parquet"), real_bars("MT5/XAUUSD_1h.parquet")]
    reports = ingest_files(
        replay_settings(folder),
        files,
        "real",
        symbol=None,
        timeframe=None,
        columns=None,
        time_zone="UTC",
        progress=quiet,
    )
    assert [report.symbol for report in reports] == ["BTC/USDT", "XAUUSD"]
    return folder


async def test_the_whole_conversation_on_real_bars(replay_dir: Path) -> None:
    settings = replay_settings(replay_dir, replay_speed=60)
    async with await open_runtime(settings, quiet) as runtime:
        assert "real bars" in runtime.copilot.banner("en")
        signal, _ = await say(runtime, "signal for gold")
        chart, _ = await say(runtime, "bitcoin 4h chart with rsi")
        _, ticket = await say(runtime, "compra 0,05 bitcoin con un stop del 2%")
        assert ticket is not None
        done = await approve(runtime, ticket)
        before = runtime.market.now()
        wall = datetime.now(UTC)
    assert "XAUUSD" in signal
    assert "BTC/USDT" in chart
    assert "0,05" in done
    async with await open_runtime(settings, quiet) as runtime:
        passed = runtime.market.now() - before
        position, _ = await say(runtime, "show my positions")
        assert abs(passed - (datetime.now(UTC) - wall) * 60) < timedelta(minutes=30)
    assert "| BTC/USDT | 0.05 |" in position

    over = replay_settings(replay_dir, replay_start="2100-01-01T00:00:00Z")
    async with await open_runtime(over, quiet) as runtime:
        for text in ("signal for gold", "buy 0.05 bitcoin with a 2% stop", "show my positions"):
            answer, ticket = await say(runtime, text)
            assert answer
            assert ticket is None
            assert "Something went wrong" not in answer


def _open(settings: Settings) -> None:
    with held_market(settings, lambda _done: None):
        pass


def test_a_damaged_replay_clock_stops_with_one_line(replay_dir: Path) -> None:
    settings = replay_settings(replay_dir)
    clock = replay_dir / "replay.json"
    for content in ("{", "[]", json.dumps({"settings": [], "wall_at": "2024-01-01", "market_at": "x"})):
        clock.write_text(content)
        with pytest.raises(ConfigError, match=r"replay\.json is damaged"):
            _open(settings)
    clock.unlink()


def test_a_replay_without_bars_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="trading-copilot ingest --source real"):
        _open(replay_settings(tmp_path))


def test_a_replay_time_that_cannot_be_read_is_named(replay_dir: Path) -> None:
    with pytest.raises(ConfigError, match="COPILOT_REPLAY_START is 'soon'"):
        _open(replay_settings(replay_dir, replay_start="soon"))
