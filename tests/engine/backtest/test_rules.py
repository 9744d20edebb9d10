"""Small bar tables with the trades that they must give, worked out by hand."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import numpy as np
import pytest

from engine.backtest import AccountSettings, Listing, Run, SizeRule, funding_at, run_decisions, run_portfolio
from engine.backtest import fast as compiled
from engine.backtest.columns import REASONS
from engine.domain.market import Bars, FloatArray, Instrument
from engine.domain.strategies import Action, Decisions
from engine.sim.matching import MatchingSettings
from tests.engine.backtest.markets import INSTRUMENTS, random_account, random_decisions, random_listing

D = Decimal
GOLD = Instrument("XAUUSD", "XAU", "USD", D("0.1"), D("0.01"), D("0.01"), D(10), D("0.001"), D("0.0005"), True)
PLAIN = MatchingSettings(slippage_bps=D(0))
TWO = AccountSettings(D(10_000), SizeRule("fixed", D(2)), D(10), PLAIN)
NAN = float("nan")
NONE: Mapping[int, float] = {}
Row = tuple[float, float, float, float]
FLAT: Row = (100, 100.5, 99.5, 100)


def bars_of(*rows: Row) -> Bars:
    table = np.array(rows)
    time = np.arange(len(rows), dtype=np.int64) * 3600
    opens, highs, lows, closes = (table[:, place].copy() for place in range(4))
    return Bars("XAUUSD", "1h", time, opens, highs, lows, closes, np.zeros(len(rows)))


Levels = Mapping[int, float]


def column(n: int, values: Levels) -> FloatArray:
    levels = np.full(n, NAN)
    for row, value in values.items():
        levels[row] = value
    return levels


def decide(
    n: int, action: Mapping[int, int], price: Levels = NONE, stop: Levels = NONE, target: Levels = NONE
) -> Decisions:
    codes = np.zeros(n, np.int8)
    for row, code in action.items():
        codes[row] = code
    return Decisions(codes, column(n, price), column(n, stop), column(n, target))


def run(
    rows: list[Row],
    account: AccountSettings = TWO,
    spread_bps: str = "0",
    *,
    action: Mapping[int, int],
    price: Levels = NONE,
    stop: Levels = NONE,
    target: Levels = NONE,
) -> Run:
    bars = bars_of(*rows)
    return run_decisions(Listing(bars, GOLD, D(spread_bps)), decide(len(bars), action, price, stop, target), account)


def outcome(found: Run) -> tuple[float, float, str]:
    assert len(found.trades) == 1
    return (
        round(float(found.trades.entry_price[0]), 6),
        round(float(found.trades.exit_price[0]), 6),
        REASONS[found.trades.reason[0]],
    )


# A long of a market order at 100 with stop 98 and target 103; what the next bars make of it.
BRACKETS: list[tuple[str, list[Row], tuple[float, float, str]]] = [
    ("only the stop", [(100, 102, 97, 101)], (100, 98, "stop")),
    ("only the target", [(100, 104, 99, 101)], (100, 103, "target")),
    ("both in one bar count as the stop", [(100, 104, 97, 101)], (100, 98, "stop")),
    ("a gap over the stop fills at the opening", [FLAT, (95, 96, 94, 95)], (100, 95, "stop")),
    ("a gap over the target fills at the opening", [FLAT, (105, 106, 97, 105)], (100, 105, "target")),
    ("neither", [FLAT, FLAT], (100, 100, "open")),
]


@pytest.mark.parametrize(("rows", "expected"), [case[1:] for case in BRACKETS], ids=[case[0] for case in BRACKETS])
def test_stop_and_target_of_a_long(rows: list[Row], expected: tuple[float, float, str]) -> None:
    found = run([FLAT, *rows], action={0: Action.ENTER_MARKET}, stop={0: 98}, target={0: 103})
    assert outcome(found) == expected


@pytest.mark.parametrize(("rows", "expected"), [case[1:] for case in BRACKETS], ids=[case[0] for case in BRACKETS])
def test_a_short_is_the_mirror_of_a_long(rows: list[Row], expected: tuple[float, float, str]) -> None:
    mirrored = [(200 - first, 200 - low, 200 - high, 200 - last) for first, high, low, last in [FLAT, *rows]]
    found = run(mirrored, action={0: -Action.ENTER_MARKET}, stop={0: 102}, target={0: 97})
    assert outcome(found) == (expected[0], 200 - expected[1], expected[2])


def test_an_entry_at_a_limit_inside_a_bar_counts_the_stop_of_that_bar_and_not_its_target() -> None:
    dips: Row = (100, 104, 97, 103)

    def enter(rows: list[Row], stop: float) -> tuple[float, float, str]:
        limit = {0: int(Action.ENTER_LIMIT)}
        return outcome(run([FLAT, *rows], action=limit, price={0: 99}, target={0: 103}, stop={0: stop}))

    assert enter([dips], 98) == (99, 98, "stop")
    assert enter([dips], 96) == (99, 103, "open")
    assert enter([dips, (103, 104, 102, 103)], 96) == (99, 103, "target")


def test_a_stop_entry_fills_at_its_price_or_at_a_worse_opening() -> None:
    bars: list[Row] = [(100, 102, 99, 101), (104, 105, 103, 104)]
    found = [run([FLAT, FLAT, last], action={0: Action.ENTER_STOP}, price={0: 101}) for last in bars]
    assert [outcome(one)[0] for one in found] == [101, 104]


def test_entries_that_the_venue_would_refuse_are_counted_and_not_made() -> None:
    refused = [
        run([FLAT, (97, 98, 96, 97)], action={0: Action.ENTER_MARKET}, stop={0: 98}),
        run([FLAT, (102, 103, 101, 102)], action={0: Action.ENTER_STOP}, price={0: 101}),
        run([FLAT, FLAT], action={0: Action.ENTER_MARKET}, stop={0: 0.01}),
        run([FLAT, FLAT], AccountSettings(D(10), SizeRule("equity", D("0.5")), D(1), PLAIN), action={0: 1}),
    ]
    assert [one.refused for one in refused] == [
        {"protection_side": 1},
        {"price_side": 1},
        {"tick": 1},
        {"min_notional": 1},
    ]
    assert all(len(one.trades) == 0 for one in refused)


def test_fees_spread_and_slippage_come_out_of_cash_to_the_last_digit() -> None:
    account = AccountSettings(D(10_000), SizeRule("fixed", D(2)), D(10), MatchingSettings(slippage_bps=D(10)))
    found = run([FLAT, FLAT, FLAT, FLAT], account, "20", action={0: Action.ENTER_MARKET, 2: Action.EXIT})
    # Ask 100.1, slipped to 100.2001 and on to 100.3; bid 99.9, slipped to 99.8001 and on to 99.8.
    assert outcome(found) == (100.3, 99.8, "exit")
    fees = 2 * (D("100.3") + D("99.8")) * D("0.001")
    assert found.cash == 10_000 - 2 * (D("100.3") - D("99.8")) - fees
    assert found.trades.profit[0] == pytest.approx(float(found.cash - 10_000), abs=1e-9)


def test_an_opposite_entry_closes_at_the_opening_and_turns() -> None:
    found = run([FLAT, FLAT, (101, 102, 100, 101), FLAT], action={0: Action.ENTER_MARKET, 1: -Action.ENTER_MARKET})
    assert found.trades.exit_price[0] == found.trades.entry_price[1] == 101
    assert found.trades.side.tolist() == [1, -1]
    assert REASONS[found.trades.reason[0]] == "reverse"


def test_funding_is_paid_by_longs_and_received_by_shorts() -> None:
    bars = bars_of(*[FLAT] * 20)
    rates = funding_at(bars.time, D("0.001"))
    assert np.flatnonzero(rates).tolist() == [0, 8, 16]
    for sign in (1, -1):
        found = run_decisions(
            Listing(bars, GOLD, funding=rates), decide(20, action={0: sign * Action.ENTER_MARKET}), TWO
        )
        assert found.trades.exact(0).funding == sign * 2 * 2 * 100 * D("0.001")


def test_a_position_ends_after_its_bars_and_an_entry_after_its_wait() -> None:
    action = np.zeros(8, np.int8)
    action[0] = Action.ENTER_MARKET
    listing = Listing(bars_of(*[FLAT] * 8), GOLD)
    trade = run_decisions(listing, Decisions(action, max_bars=3), TWO).trades
    assert (trade.entered[0], trade.exited[0], REASONS[trade.reason[0]]) == (1, 4, "time")
    rows = [FLAT, FLAT, FLAT, (100, 100, 90, 95), FLAT]
    action = np.array([Action.ENTER_LIMIT, 0, 0, 0, 0], np.int8)
    price = np.full(5, 95.0)
    waits = [
        len(run_decisions(Listing(bars_of(*rows), GOLD), Decisions(action, price, valid_bars=bars), TWO).trades)
        for bars in (2, 3)
    ]
    assert waits == [0, 1]


def test_sizes_follow_equity_risk_and_leverage() -> None:
    def quantity(size: SizeRule, leverage: str = "10") -> float:
        account = AccountSettings(D(10_000), size, D(leverage), PLAIN)
        return float(run([FLAT, FLAT], account, action={0: Action.ENTER_MARKET}, stop={0: 98}).trades.quantity[0])

    assert quantity(SizeRule("equity", D("0.5"))) == 50
    assert quantity(SizeRule("notional", D(1234))) == 12.34
    assert quantity(SizeRule("risk", D("0.01"))) == 50  # 100 at 2 a unit
    assert quantity(SizeRule("risk", D("0.01")), "0.2") == 20  # no more than 2,000


def test_more_trades_than_there_was_room_for_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    listing = random_listing(rng, INSTRUMENTS[0], 3000)
    decisions, account = random_decisions(rng, listing.bars), random_account(rng)
    roomy = run_decisions(listing, decisions, account), run_portfolio([listing], [decisions], account)
    monkeypatch.setattr(compiled, "_FIRST_TRADES", 4)
    tight = run_decisions(listing, decisions, account), run_portfolio([listing], [decisions], account)
    assert len(roomy[0].trades) > 100
    for one, other in zip(roomy, tight, strict=True):
        np.testing.assert_array_equal(one.trades.table, other.trades.table)
        np.testing.assert_array_equal(one.equity, other.equity)
        np.testing.assert_array_equal(one.sums, other.sums)


def test_amounts_that_cannot_be_counted_exactly_are_an_error() -> None:
    huge = AccountSettings(D(900_000_000), SizeRule("equity", D(1)), D(100), PLAIN)
    with pytest.raises(ValueError, match="too large"):
        run([FLAT, FLAT], AccountSettings(D(10**10), SizeRule("equity", D(1)), D(1), PLAIN), action={0: 1})
    with pytest.raises(ValueError, match="too large"):
        run([FLAT, FLAT], AccountSettings(huge.starting_cash, SizeRule("equity", D(99)), D(100), PLAIN), action={0: 1})
