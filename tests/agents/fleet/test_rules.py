"""The pure rules of an agent: signals, sizes, whose fill it was, results beside targets."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.execution.desk import client_order_id
from agents.execution.values import Performance, SettledFill
from agents.fleet.attribution import attribute
from agents.fleet.records import round_trip
from agents.fleet.report import curve_times, deepest_fall, make_report
from agents.fleet.signals import judge_signal
from agents.fleet.sizing import entries_per_symbol, room_for, usual_share
from agents.fleet.values import BookView, Leg, LegState
from agents.journal.values import RoundTrip
from agents.profiles import PACKAGED, SignalFilter, apply_changes, build_strategies, load_profiles
from engine.domain.orders import Fill, OrderRequest, OrderType, Side
from engine.domain.signals import Direction, ExpectedRange, Phase, PhaseEvidence, Signal
from engine.ledger import EquityPoint
from tests.agents.fleet.stage import make_instrument

D = Decimal
AT = datetime(2026, 1, 5, tzinfo=UTC)
A = "AAA/USDT"


def signal(
    direction: Direction = Direction.LONG, *, probability: float = 0.6, value: float = 0.2, phase: Phase = Phase.NEUTRAL
) -> Signal:
    target = 90.0 if direction is Direction.SHORT else 110.0
    evidence = PhaseEvidence(phase, 1.0, None, None, None, None)
    reach = ExpectedRange((1.0, 2.0, 3.0), (1.0, 2.0, 3.0))
    figures = (100.0, 100.0, 95.0, target, 2.0, probability, 0.4, value, "edge")
    return Signal(A, "1h", direction, *figures, evidence, reach, 24, (), "m1", AT, AT, AT, True)


CASES = [
    ({"mode": "off"}, signal(Direction.SHORT), "off", "1"),
    ({"mode": "filter"}, signal(), "passed", "1"),
    ({"mode": "filter"}, signal(Direction.NONE), "passed", "1"),
    ({"mode": "filter"}, signal(Direction.SHORT), "signal_side", "0"),
    ({"mode": "filter", "min_probability": "0.7"}, signal(), "signal_probability", "0"),
    ({"mode": "filter", "min_probability": "0.55"}, signal(), "passed", "1"),
    ({"mode": "filter", "min_expected_value": "0.3"}, signal(), "signal_value", "0"),
    ({"mode": "filter", "phases": ["accumulation"]}, signal(), "signal_phase", "0"),
    ({"mode": "filter"}, None, "signal_missing", "1"),
    ({"mode": "filter", "when_missing": "refuse"}, None, "signal_missing", "0"),
    ({"mode": "weight"}, signal(probability=0.6), "weighted", "1"),
    ({"mode": "weight"}, signal(probability=0.5), "weighted", "0.75"),
    ({"mode": "weight"}, signal(probability=0.3), "weighted", "0.5"),
    ({"mode": "weight"}, signal(Direction.SHORT, probability=0.9), "weighted", "0.5"),
    ({"mode": "weight", "least_weight": "0"}, signal(Direction.SHORT), "weighted", "0"),
]


@pytest.mark.parametrize(("rules", "told", "effect", "factor"), CASES)
def test_a_signal_does_to_a_buy_what_the_profile_says(
    rules: dict[str, object], told: Signal | None, effect: str, factor: str
) -> None:
    note = judge_signal(SignalFilter.model_validate(rules), told, Side.BUY)
    assert (note.effect, note.factor) == (effect, D(factor))


@given(st.floats(0, 1), st.floats(0, 1))
def test_a_more_probable_entry_is_never_smaller(one: float, other: float) -> None:
    rules = SignalFilter.model_validate({"mode": "weight"})
    low, high = sorted((one, other))
    first, second = (judge_signal(rules, signal(probability=each), Side.BUY).factor for each in (low, high))
    assert D("0.5") <= first <= second <= 1


def test_all_entries_of_an_agent_in_one_symbol_stay_below_its_position_size() -> None:
    for profile in load_profiles(PACKAGED).values():
        strategies = build_strategies(profile, ["BTC/USDT", "ETH/USDT"])
        whole = sum(usual_share(profile, each) * entries_per_symbol(each) for each in strategies)
        assert whole < profile.limits.position_ratio


def leg(source: str = "agent:vega/grid/AAA/USDT/0/x", **changes: object) -> Leg:
    request = OrderRequest(client_order_id(source), A, Side.BUY, OrderType.MARKET, D(4), None, D(90), D(120))
    made = Leg(source, "vega", "grid", "0", "1h", request, AT, state=LegState.OPEN)
    return replace(made, **changes)  # type: ignore[arg-type]


def fill(number: int, order_id: str, side: Side, quantity: str, price: str, **changes: object) -> SettledFill:
    at = AT + timedelta(hours=number)
    made = Fill(f"F{number}", order_id, A, side, D(quantity), D(price), D("0.4"), False, at)
    return SettledFill(number, replace(made, **changes), D(0), "vega", "vega")  # type: ignore[arg-type]


def test_the_room_is_what_the_limit_leaves_after_all_that_stands() -> None:
    book = BookView(D(10_000), {}, {A: D(100)})
    held = leg(entered_quantity=D(4), filled=D(4), is_entry_final=True)
    waiting = leg("b")
    full = room_for(D("0.2"), make_instrument(A), book, [], D(100))
    assert full == D("19.9")
    assert room_for(D("0.2"), make_instrument(A), book, [held, waiting], D(100)) == full - 8
    assert room_for(D("0.2"), make_instrument(A), book, [replace(held, exit_reason="exit")], D(100)) == full
    assert room_for(D("0.01"), make_instrument(A), book, [held], D(100)) == 0


def test_fills_go_to_the_leg_whose_order_or_protection_it_was() -> None:
    one, two = leg("one"), leg("two")
    fills = [
        fill(1, one.order_id, Side.BUY, "4", "100"),
        fill(2, two.order_id, Side.BUY, "1", "100"),
        fill(3, f"{one.order_id}-sl2", Side.SELL, "4", "90"),
        fill(4, "tc-somebody", Side.SELL, "0.5", "95"),
    ]
    told = attribute([one, two], reversed(fills))
    first, second = told.legs
    assert (first.held, first.last_exit, second.held, second.last_exit) == (0, "stop", D("0.5"), "outside")
    assert [fact.codes["role"] for fact in told.facts] == ["entry", "entry", "stop", "outside"]
    trip = round_trip(replace(first, state=LegState.CLOSED))
    assert (trip.realised, trip.r_multiple, trip.exit_reason) == (D("-40.8"), D("-1.02"), "stop")


def test_a_fee_taken_in_kind_lessens_what_is_held_and_counts_once() -> None:
    bought = fill(1, leg().order_id, Side.BUY, "4", "100", fee=D("0.4"), fee_asset="AAA", fee_quantity=D("0.004"))
    sold = fill(2, f"{leg().order_id}-tp", Side.SELL, "3.996", "120", fee=D("0.48"))
    (after,) = attribute([leg()], [bought, sold]).legs
    assert (after.filled, after.entered_quantity, after.held) == (D(4), D("3.996"), 0)
    cash = D("3.996") * 120 - D("0.48") - 400
    assert round_trip(replace(after, state=LegState.CLOSED)).realised == cash


@given(st.lists(st.tuples(st.integers(1, 9), st.booleans()), max_size=12))
def test_what_legs_hold_is_what_the_fills_come_to(moves: list[tuple[int, bool]]) -> None:
    one, two = leg("one"), leg("two")
    fills, held = [], 0
    for number, (quantity, is_buy) in enumerate(moves, start=1):
        quantity = quantity if is_buy else min(quantity, held)
        if quantity:
            order = (one if number % 2 else two).order_id if is_buy else "tc-person"
            fills.append(fill(number, order, Side.BUY if is_buy else Side.SELL, str(quantity), "100"))
            held += quantity if is_buy else -quantity
    told = attribute([one, two], fills)
    assert sum(each.held for each in told.legs) == held
    assert min(each.held for each in told.legs) >= 0


def test_a_report_shows_targets_beside_results() -> None:
    profile = load_profiles(PACKAGED)["atlas"]
    now = AT + timedelta(days=30)
    performance = Performance("30d", AT, D(1000), D(1040), D(0), D(45), D(5), D(40), D(4), D(0), D(0))
    curve = [EquityPoint(AT, D(1000), D(1000), D(0), D(0)), EquityPoint(now, D(950), D(1000), D(-50), D(0))]
    prices = (D(1), D(100), D(110), D(1))
    won = RoundTrip("a", "atlas", "grid", A, "", "buy", *prices, D(9), D(9), D("1.5"), "target", AT, now)
    lost = replace(won, source="b", realised=D(-3), r_multiple=D("-0.5"))
    report = make_report("atlas", profile, performance, curve, [won, won, lost], now)
    assert report.target_monthly_pct == (D(3), D(5))
    assert report.monthly_pct is not None
    assert abs(report.monthly_pct - D("4.06")) < D("0.01")
    assert (report.round_trips, report.profit_factor, report.best, report.worst) == (3, D(6), D(9), D(-3))
    assert report.win_rate_pct is not None
    assert round(report.win_rate_pct, 2) == D("66.67")
    assert (report.drawdown_pct, report.drawdown_limit_pct) == (D(5), D(5))
    empty = make_report("atlas", profile, replace(performance, since=now), curve, [], now)
    assert (empty.monthly_pct, empty.win_rate_pct, empty.average_r) == (None, None, None)


def test_payments_in_and_out_are_no_drawdown() -> None:
    worth = [(1000, 1000), (1100, 1000), (600, 500), (550, 500)]
    curve = [
        EquityPoint(AT + timedelta(days=day), D(equity), D(paid), D(equity - paid), D(0))
        for day, (equity, paid) in enumerate(worth)
    ]
    assert round(deepest_fall(curve), 2) == D("8.33")
    assert deepest_fall([]) == 0


def test_a_curve_has_a_point_a_day_and_the_present() -> None:
    times = curve_times(AT, AT + timedelta(days=3, hours=5))
    assert [each - AT for each in times] == [timedelta(days=day) for day in range(4)] + [timedelta(days=3, hours=5)]
    assert len(curve_times(AT, AT + timedelta(days=4000))) <= 402
    assert apply_changes(load_profiles(PACKAGED)["atlas"], {}) == load_profiles(PACKAGED)["atlas"]
