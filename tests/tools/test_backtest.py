"""`run_backtest`: what runs on which symbols, over which period, held against what, and what is said when it cannot."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from agents.profiles import PACKAGED, Profile, load_profiles
from agents.strategies import STRATEGY_NAMES
from engine.domain.errors import DataUnavailable, InvalidRequest
from engine.domain.instruments import build_instrument
from engine.domain.market import Bars, Instrument, Quote, utc_from_seconds
from engine.domain.symbols import SYMBOLS, TIMEFRAME_S, Timeframe
from engine.ml.history import LEAST_LEARNED
from tests.agents.strategies.markets import START, make_bars
from tests.engine.ml.test_history import tidal_bars
from tools import backtest as module
from tools import backtest_plans
from tools.backtest import LEAST_BARS, MOST_POINTS, BacktestTool
from tools.registry import ToolContext
from tools.results import BacktestResult
from tools.schema import RunBacktest

ANA, BEN = (ToolContext(name, "talk", "en") for name in ("ana", "ben"))
HOURS = 24 * 150


class StoredMarket:
    """Bars as a test made them; the present is the close of the last hour."""

    name = "stored"
    is_simulated = True

    def __init__(
        self, symbols: tuple[str, ...], hours: int = HOURS, bend: Callable[[Bars], Bars] | None = None
    ) -> None:
        self._hours = hours
        self._bend = bend or (lambda bars: bars)
        self._instruments = {symbol: build_instrument(symbol) for symbol in symbols}
        self.asked: list[tuple[str, Timeframe, int]] = []
        self.thread: int | None = None

    def now(self) -> datetime:
        return utc_from_seconds(START + self._hours * 3600)

    def instruments(self) -> Mapping[str, Instrument]:
        return self._instruments

    def quote(self, symbol: str) -> Quote:
        raise DataUnavailable("nobody quotes the past")

    def bars(self, symbol: str, timeframe: Timeframe, limit: int) -> Bars:
        self.asked.append((symbol, timeframe, limit))
        self.thread = threading.get_ident()
        n = self._hours * 3600 // TIMEFRAME_S[timeframe]
        return self._bend(make_bars(symbol, timeframe, n, seed=sum(map(ord, symbol))))[-limit:]

    def bars_between(self, symbol: str, start: datetime, end: datetime) -> Bars:
        raise DataUnavailable("there is nothing between")


async def run(tool: BacktestTool, target: str, context: ToolContext = ANA, **more: object) -> BacktestResult:
    arguments = {"target": target, "days": 60, **more}
    result = await tool(RunBacktest.model_validate(arguments), context)
    assert isinstance(result, BacktestResult)
    return result


@pytest.mark.parametrize("target", STRATEGY_NAMES)
async def test_every_strategy_runs_over_the_days_asked_for(target: str) -> None:
    market = StoredMarket(SYMBOLS)
    result = await run(BacktestTool(market), target)
    assert (result.strategies, result.left_out, result.shortened_by) == ((target,), (), None)
    assert result.end == market.now()
    assert timedelta(days=59, hours=20) < result.end - result.start <= timedelta(days=60)
    assert result.days == result.days_asked == 60
    coins = tuple(symbol for symbol in SYMBOLS if symbol.endswith("USDT") and symbol != "BTC/USDT")
    assert result.symbols == (coins if target == "altcoin_rotation" else ("BTC/USDT",))
    assert result.trades > 0
    assert result.costs_doubled_pct < result.return_pct
    assert result.is_long_only
    assert result.random_pct is not None


async def test_the_curve_ends_at_the_figures_and_is_small() -> None:
    result = await run(BacktestTool(StoredMarket(SYMBOLS)), "scalping", days=120)
    assert result.curve.strategy_pct[-1] == pytest.approx(result.return_pct, abs=0.001)
    assert result.curve.held_pct[-1] == pytest.approx(result.held_pct, abs=0.001)
    assert len(result.curve.time) == len(result.curve.strategy_pct) == len(result.curve.held_pct) <= MOST_POINTS
    assert list(result.curve.time) == sorted(set(result.curve.time))


async def test_buying_and_holding_is_what_the_bars_did_less_costs() -> None:
    market = StoredMarket(("BTC/USDT",))
    result = await run(BacktestTool(market), "breakout")
    bars = market.bars("BTC/USDT", "1h", 10_000)
    inside = bars[int(np.searchsorted(bars.time, result.start.timestamp())) :]
    assert result.bars == len(inside)
    raw = 100 * (inside.close[-1] / inside.open[1] - 1)
    assert result.held_pct == pytest.approx(0.99 * raw, abs=0.3)
    assert result.held_pct < 0.99 * raw


@pytest.mark.parametrize(
    ("agent", "strategies", "count"),
    [
        ("atlas", ("mean_reversion", "grid"), 2),
        ("orion", ("trend_following", "breakout"), 10),
        ("nova", ("momentum", "scalping", "altcoin_rotation"), 13),
    ],
)
async def test_an_agent_is_its_strategies_on_its_symbols(agent: str, strategies: tuple[str, ...], count: int) -> None:
    result = await run(BacktestTool(StoredMarket(SYMBOLS)), agent)
    assert result.strategies == strategies
    assert len(result.symbols) == count


async def test_equal_parts_give_the_mean_of_what_the_strategies_give_alone() -> None:
    tool = BacktestTool(StoredMarket(("BTC/USDT",)))
    alone = [await run(tool, name, symbol="BTC/USDT") for name in ("mean_reversion", "grid")]
    both = await run(tool, "atlas")
    assert both.return_pct == pytest.approx(np.mean([each.return_pct for each in alone]), abs=0.02)
    assert both.costs_doubled_pct == pytest.approx(np.mean([each.costs_doubled_pct for each in alone]), abs=0.02)
    assert both.trades == sum(each.trades for each in alone)
    assert both.held_pct == pytest.approx(alone[0].held_pct)


async def test_an_agent_on_one_symbol_leaves_the_rotation_out() -> None:
    result = await run(BacktestTool(StoredMarket(SYMBOLS)), "nova", symbol="XAUUSD")
    assert (result.strategies, result.left_out) == (("momentum", "scalping"), ("altcoin_rotation",))
    assert (result.symbols, result.is_long_only) == (("XAUUSD",), False)


async def test_a_grid_never_sells_short_though_the_symbol_could_be() -> None:
    tool = BacktestTool(StoredMarket(SYMBOLS))
    results = [await run(tool, name, symbol="EURUSD") for name in ("grid", "momentum")]
    assert [each.is_long_only for each in results] == [True, False]


async def test_without_bitcoin_the_first_symbol_stands_in() -> None:
    result = await run(BacktestTool(StoredMarket(("EURUSD", "GBPUSD"))), "breakout")
    assert result.symbols == ("EURUSD",)


async def test_the_same_question_gets_the_same_answer_and_counts_once() -> None:
    tool = BacktestTool(StoredMarket(SYMBOLS))
    first = await run(tool, "breakout")
    assert await run(tool, "breakout") == first
    assert first.trials == 1


async def test_every_further_try_lowers_the_trust_in_a_result() -> None:
    tool = BacktestTool(StoredMarket(SYMBOLS))
    alone = await run(tool, "grid")
    for target in ("breakout", "momentum", "scalping"):
        await run(tool, target)
    later = await run(tool, "grid")
    assert later.trials == 4
    assert alone.deflated_sharpe is not None
    assert later.deflated_sharpe is not None
    assert later.deflated_sharpe < alone.deflated_sharpe
    assert (await run(tool, "grid", BEN)).deflated_sharpe == alone.deflated_sharpe


async def test_a_history_that_is_too_short_is_told() -> None:
    result = await run(BacktestTool(StoredMarket(SYMBOLS)), "grid", days=400)
    assert result.shortened_by == "history"
    assert 140 < result.days < 150


async def test_a_period_of_too_many_bars_is_shortened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_BARS", 24 * 20 * len(SYMBOLS))
    market = StoredMarket(SYMBOLS)
    result = await run(BacktestTool(market), "nova")
    assert (result.days, result.shortened_by) == (20, "limit")


@pytest.mark.parametrize(
    ("symbols", "hours", "arguments", "code"),
    [
        (SYMBOLS, 60, {"target": "breakout"}, "too_few_bars"),
        (SYMBOLS, HOURS, {"target": "breakout", "timeframe": "1d", "days": LEAST_BARS - 1}, "period_too_short"),
        (("BTC/USDT", "ETH/USDT"), HOURS, {"target": "altcoin_rotation"}, "too_few_symbols"),
        (("XAUUSD",), HOURS, {"target": "atlas"}, "too_few_symbols"),
        (("XAUUSD",), 3_000, {"target": "signal"}, "too_few_bars"),
    ],
)
async def test_what_cannot_be_run_says_why(
    symbols: tuple[str, ...], hours: int, arguments: dict[str, object], code: str
) -> None:
    with pytest.raises(DataUnavailable) as caught:
        await BacktestTool(StoredMarket(symbols, hours))(RunBacktest.model_validate(arguments), ANA)
    assert caught.value.code == code


async def test_the_signal_is_forecast_from_earlier_bars_and_held_against_the_same_things() -> None:
    hours, told = LEAST_LEARNED + 1 + 24 * 14, list[float]()
    market = StoredMarket(("BTC/USDT", "ETH/USDT"), hours, lambda bars: tidal_bars(len(bars)))
    result = await run(BacktestTool(market), "signal", replace(ANA, progress=told.append))
    assert (result.strategies, result.symbols) == (("signal",), ("BTC/USDT",))
    assert (result.learned_bars, result.shortened_by) == (LEAST_LEARNED, "history")
    assert 12 <= result.days <= 14
    assert result.trades > 0
    assert result.costs_doubled_pct < result.return_pct
    assert result.random_pct is not None
    assert told == sorted(told)
    assert {0.0, 1.0} <= {round(done, 1) for done in told}


async def test_a_cancelled_backtest_ends_its_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    began, ended = threading.Event(), threading.Event()

    def work(bars: Bars, *, progress: Callable[[float], None], **_more: object) -> None:
        try:
            for _ in range(2_000):
                began.set()
                progress(0.5)
                threading.Event().wait(0.005)
        finally:
            ended.set()

    monkeypatch.setattr(backtest_plans, "signal_history", work)
    tool = BacktestTool(StoredMarket(("BTC/USDT",), LEAST_LEARNED + 500))
    task = asyncio.create_task(run(tool, "signal"))
    await asyncio.to_thread(began.wait, 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(ended.wait, 5)


async def test_an_owners_own_agent_is_what_its_profile_says() -> None:
    plans = [
        {"name": "breakout", "weight": 0.3, "parameters": {"entry_bars": 30, "exit_bars": 15}, "exclude": ["ETH/USDT"]},
        {"name": "altcoin_rotation", "weight": 0.3},
        {"name": "grid", "weight": 0.3},
    ]
    atlas = load_profiles(PACKAGED)["atlas"].model_dump(mode="json")
    own = {"name": "vega", "pairs": ["BTC/USDT", "ETH/USDT"], "shorts": True, "strategies": plans}
    vega = Profile.model_validate({**atlas, **own})
    tool = BacktestTool(StoredMarket(SYMBOLS), {"vega": vega})
    result = await run(tool, "vega")
    assert (result.strategies, result.left_out) == (("breakout", "grid"), ("altcoin_rotation",))
    assert result.symbols == ("BTC/USDT", "ETH/USDT")
    assert result.trades > 0
    usual = await run(BacktestTool(StoredMarket(SYMBOLS)), "breakout", symbol="BTC/USDT")
    plain = Profile.model_validate({**atlas, **own, "shorts": False, "strategies": plans[:1]})
    alone = await run(BacktestTool(StoredMarket(SYMBOLS), {"vega": plain}), "vega", symbol="BTC/USDT")
    assert alone.return_pct != usual.return_pct, "its own parameters count"


async def test_an_unknown_symbol_is_refused() -> None:
    with pytest.raises(InvalidRequest) as caught:
        await run(BacktestTool(StoredMarket(SYMBOLS)), "grid", symbol="PEPE/USDT")
    assert caught.value.code == "unknown_instrument"


async def test_the_loop_stays_free_while_it_runs() -> None:
    market = StoredMarket(SYMBOLS)
    task = asyncio.create_task(run(BacktestTool(market), "nova"))
    beats = 0
    while not task.done():
        await asyncio.sleep(0.005)
        beats += 1
    assert (await task).trades > 0
    assert market.thread != threading.get_ident()
    assert beats > 5


async def test_a_market_that_stands_still_never_trades() -> None:
    def still(bars: Bars) -> Bars:
        flat = np.full(len(bars), 100.0)
        return replace(bars, open=flat, high=flat, low=flat, close=flat)

    result = await run(BacktestTool(StoredMarket(("BTC/USDT",), bend=still)), "breakout")
    assert (result.verdict, result.trades, result.return_pct) == ("no_trades", 0, 0.0)
    assert (result.win_rate_pct, result.random_pct, result.sharpe) == (None, None, None)


async def test_a_result_comes_back_from_json_as_it_was() -> None:
    result = await run(BacktestTool(StoredMarket(SYMBOLS)), "atlas", timeframe="4h")
    assert BacktestResult.model_validate_json(result.model_dump_json()) == result
    assert result.start.tzinfo is UTC or result.start.utcoffset() == timedelta(0)
