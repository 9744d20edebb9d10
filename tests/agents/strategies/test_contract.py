"""Every strategy keeps the contract: no look-ahead, batch as bar by bar, flat before warm-up, no size of its own."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, dataclass, fields, replace

import numpy as np
import pytest

from agents.strategies import AGENT_PLANS, STRATEGY_NAMES, TableStrategy, build_strategy, is_altcoin
from agents.strategies.trend_following import TrendFollowing
from engine.domain.market import Bars
from engine.domain.strategies import Decisions
from engine.domain.symbols import Timeframe
from tests.agents.strategies.checks import check_strategy
from tests.agents.strategies.markets import make_listing

SYMBOLS = {"altcoin_rotation": ("ETH/USDT", "SOL/USDT", "BNB/USDT", "XRP/USDT", "ADA/USDT")}
TIMEFRAME: dict[str, Timeframe] = {"momentum": "4h", "altcoin_rotation": "4h"}
"""A longer bar keeps a warm-up of weeks short; the rule is the same."""


def strategies() -> list[TableStrategy]:
    made = []
    for name in STRATEGY_NAMES:
        timeframe = TIMEFRAME.get(name, "1h")
        made.append(build_strategy(name, SYMBOLS.get(name, ("BTC/USDT", "ETH/USDT")), timeframe))
        if name not in ("grid", "altcoin_rotation"):
            made.append(build_strategy(name, ("XAUUSD",), timeframe, shorts=True))
    return made


@pytest.mark.parametrize("strategy", strategies(), ids=lambda each: f"{each.name}-{each.symbols[0]}")
def test_every_strategy_keeps_the_contract(strategy: TableStrategy) -> None:
    scale = 0.002 if strategy.symbols == ("XAUUSD",) else 0.01
    bars = strategy.warmup + 420
    check_strategy(
        strategy,
        [
            make_listing(symbol, strategy.timeframe, bars, seed=number + 1, scale=scale)
            for number, symbol in enumerate(strategy.symbols)
        ],
    )


@dataclass(frozen=True, slots=True)
class Peeking(TrendFollowing):
    """Breaks one rule of the contract: knows the next close, trades at once, or sizes by itself."""

    fault: str = ""

    def decide_all(self, bars: Bars) -> Decisions:
        honest = TrendFollowing.decide_all(self, bars)
        if self.fault == "later":
            return replace(honest, action=np.append(honest.action[1:], np.int8(0)))
        if self.fault == "early":
            return replace(honest, action=np.where(np.arange(len(bars)) < 3, np.int8(1), honest.action))
        if self.fault == "size":
            return replace(honest, size_bps=np.full(len(bars), 5_000, np.int16))
        return honest


@pytest.mark.parametrize("fault", ["later", "early", "size"])
def test_the_check_finds_who_breaks_the_contract(fault: str) -> None:
    listing = make_listing("BTC/USDT", "1h", 500, seed=1)
    check_strategy(Peeking(("BTC/USDT",)), [listing])
    with pytest.raises(AssertionError):
        check_strategy(Peeking(("BTC/USDT",), fault=fault), [listing])


@pytest.mark.parametrize("name", STRATEGY_NAMES)
def test_a_history_shorter_than_the_warmup_decides_nothing(name: str) -> None:
    strategy = build_strategy(name, ("ETH/USDT",), "1h")
    for n in (0, 1, strategy.warmup - 1):
        bars = make_listing("ETH/USDT", "1h", max(n, 1) * 2, seed=3).bars[:n]
        assert not any(table.decisions.action.any() for table in strategy.decide_tables({"ETH/USDT": bars}))


@pytest.mark.parametrize("name", STRATEGY_NAMES)
def test_parameters_are_frozen_and_nonsense_is_refused(name: str) -> None:
    parameters = build_strategy(name, ("ETH/USDT",), "1h").parameters  # type: ignore[attr-defined]  # each has its own
    first = fields(parameters)[0].name
    with pytest.raises(FrozenInstanceError):
        setattr(parameters, first, 3)
    with pytest.raises(ValueError, match=r"above 0|between 0 and 1|must be"):
        replace(parameters, **{first: -1})


def test_an_unknown_strategy_is_named_with_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"astrology.*mean_reversion"):
        build_strategy("astrology", ("BTC/USDT",), "1h")


def test_agents_trade_strategies_that_exist() -> None:
    assert {name for plan in AGENT_PLANS.values() for name in plan.strategies} == set(STRATEGY_NAMES)
    assert [is_altcoin(symbol) for symbol in ("BTC/USDT", "ETH/USDT", "XAUUSD")] == [False, True, False]
