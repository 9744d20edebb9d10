"""An agent on paper and the backtest's exact driver, over the same bars: the same decisions, the same fills.

One thing differs, by the rules of the paper venue: a resting limit that an opening has passed is the maker at its own
price there, because the venue has seen the opening quote; the driver gives it the better opening. Such a fill is a
little worse on paper, and the sizes after it differ by as much as that.
"""

from decimal import Decimal
from itertools import groupby
from pathlib import Path

import pytest

from agents.fleet.sizing import usual_share
from agents.profiles import Profile, build_strategies
from engine.backtest import AccountSettings, Listing, SizeRule
from engine.backtest.exact import run_strategy
from engine.domain.market import Bars
from engine.domain.orders import Fill, Side
from engine.domain.symbols import TIMEFRAME_S, Timeframe
from tests.agents.fleet.stage import MATCHING, SPREAD_BPS, Stage, Tape, make_instrument, make_profile, walk

BUDGET = Decimal(50_000)
AT_MARKET = {
    "mean_reversion": "{band_bars: 10, trend_bars: 40, max_bars: 12, deviations: 1.2}",
    "trend_following": "{fast: 5, slow: 20}",
    "breakout": "{entry_bars: 20, exit_bars: 10, range_bars: 10}",
    "momentum": "{lookback_days: 3}",
    "altcoin_rotation": "{lookback_days: 4, held: 1}",
}
RESTING = {
    "scalping": "{strength_bars: 2, oversold: 30, trend_bars: 20, range_bars: 10}",
    "grid": "{efficiency_bars: 12, most_efficiency: 0.5, levels: 3, stop_steps: 4}",
}
WEEKLY = ("momentum", "altcoin_rotation")
SYMBOLS = ["AAA/USDT", "BBB/USDT"]


async def run_both(path: Path, strategy: str, parameters: str, count: int) -> tuple[list[Fill], list[Fill]]:
    """Return the fills of the agent and of the driver, oldest first."""
    timeframe: Timeframe = "4h" if strategy in WEEKLY else "1h"
    bars = [walk("AAA/USDT", count, 3, timeframe), walk("BBB/USDT", count, 4, timeframe)]
    profile = make_profile(f"[{{name: {strategy}, timeframe: {timeframe}, parameters: {parameters}}}]")
    stage = Stage(path, Tape(bars), profile)
    await stage.open(BUDGET)
    await stage.play(SYMBOLS, count - 1, timeframe)
    live = [each.fill for each in reversed(await stage.desk.trades("all", limit=10_000, book="vega"))]
    return live, [each for each in drive(profile, bars) if each.at <= stage.market.present]


def drive(profile: Profile, bars: list[Bars]) -> list[Fill]:
    (built,) = build_strategies(profile, SYMBOLS)
    listings = [Listing(each, make_instrument(each.symbol), SPREAD_BPS) for each in bars]
    account = AccountSettings(BUDGET, SizeRule("equity", usual_share(profile, built)), matching=MATCHING)
    return list(run_strategy(built, listings, account).fills)


@pytest.mark.parametrize("strategy", AT_MARKET)
async def test_orders_at_the_market_fill_like_the_exact_driver(tmp_path: Path, strategy: str) -> None:
    live, expected = await run_both(tmp_path / "a.db", strategy, AT_MARKET[strategy], 200)
    key = lambda each: (each.symbol, each.side, each.quantity, each.price, each.fee, each.is_maker)  # noqa: E731
    assert len(expected) >= 3
    assert sorted(map(key, live)) == sorted(map(key, expected))


async def check_resting(path: Path, strategy: str, count: int) -> int:
    live, expected = await run_both(path, strategy, RESTING[strategy], count)
    for symbol in SYMBOLS:
        pairs = list(zip(_of(symbol, live), _of(symbol, expected), strict=False))
        assert len(pairs) >= 3
        assert 0 <= len(_of(symbol, expected)) - len(_of(symbol, live)) <= 3  # of the bar that is not over yet
        for mine, theirs in pairs:
            check_alike(mine, theirs)
    return len(live)


def check_alike(mine: Fill, theirs: Fill) -> None:
    """A fill has the same side and kind in the same bar; its price is the same, or that of the limit at a gap."""
    assert (mine.symbol, mine.side, mine.is_maker) == (theirs.symbol, theirs.side, theirs.is_maker)
    assert abs(mine.quantity - theirs.quantity) <= theirs.quantity * Decimal("0.01")
    assert abs((mine.at - theirs.at).total_seconds()) <= TIMEFRAME_S["1h"]
    is_worse = mine.price < theirs.price if mine.side is Side.SELL else mine.price > theirs.price
    assert mine.price == theirs.price or (mine.is_maker and is_worse)


@pytest.mark.parametrize("strategy", RESTING)
async def test_resting_orders_fill_like_the_exact_driver_but_for_gaps(tmp_path: Path, strategy: str) -> None:
    assert await check_resting(tmp_path / "a.db", strategy, 100 if strategy == "scalping" else 26) >= 8


@pytest.mark.prove
@pytest.mark.parametrize("strategy", RESTING)
async def test_resting_orders_over_a_long_time(tmp_path: Path, strategy: str) -> None:
    assert await check_resting(tmp_path / "a.db", strategy, 500) >= 40


def _of(symbol: str, fills: list[Fill]) -> list[Fill]:
    """Return the fills of a symbol in order; those of one side and moment by their price."""
    runs = groupby((each for each in fills if each.symbol == symbol), key=lambda each: (each.at, each.side))
    return [each for _, run in runs for each in sorted(run, key=lambda each: each.price)]
