"""The gate over a book and the account: both limits count, states are obeyed, and what is missing refuses."""

from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.risk.gate import Scope, assess_scopes, has_fallen
from agents.risk.groups import correlated_groups
from agents.risk.states import TradingState, state_refusal, stricter
from agents.risk.trailing import TrailingStop, follow
from agents.risk.values import RiskLimits, RiskReport, read_limits
from engine.domain.errors import ConfigError
from engine.domain.orders import OrderRequest, Side
from tests.agents.risk.test_gate import BTC, GOLD, LIMITS, NOW, QUOTES, D, account, check, order

WIDE = replace(LIMITS, position_ratio=D(1), gross_exposure_ratio=D(2))


def assess(request: OrderRequest, *scopes: Scope, **more: object) -> RiskReport:
    traded = BTC if request.symbol == "BTC/USDT" else GOLD
    return assess_scopes(request, traded, QUOTES[request.symbol], scopes, NOW, **more)  # type: ignore[arg-type]


def test_the_tighter_of_book_and_account_is_shown_and_either_refuses() -> None:
    whole = Scope("", account(), WIDE)
    small = Scope("atlas", account("1000"), LIMITS)
    report = assess(order("buy", "3"), small, whole)
    assert report.reasons == ("position",)
    assert check(report, "position").book == "atlas"
    assert len({each.name for each in report.checks}) == len(report.checks)
    assert assess(order("buy", "2"), small, whole).is_allowed
    assert (
        "position" in assess(order("buy", "300"), Scope("atlas", account(), WIDE), Scope("", account(), LIMITS)).reasons
    )


def test_a_book_may_leave_what_it_holds_whatever_the_account_holds_beside_it() -> None:
    own, whole = account("0", {"XAUUSD": "2000"}), account("0", {"XAUUSD": "-4000"})
    report = assess(order("sell", "2000", "XAUUSD"), Scope("atlas", own, LIMITS), Scope("", whole, LIMITS))
    assert report.is_allowed


@pytest.mark.parametrize(
    ("scopes", "reason"),
    [
        ((), "no_account"),
        ((Scope("atlas", None, LIMITS),), "no_account"),
        ((Scope("atlas", account(), None), Scope("", account(), LIMITS)), "no_limits"),
        ((Scope("atlas", account(), LIMITS), Scope("", None, LIMITS)), "no_account"),
        ((Scope("atlas", account(), LIMITS, TradingState.HALTED), Scope("", account(), LIMITS)), "halted"),
        ((Scope("atlas", account(), LIMITS), Scope("", account(), LIMITS, TradingState.REDUCING)), "reducing"),
    ],
)
def test_what_is_missing_or_stopped_refuses(scopes: tuple[Scope, ...], reason: str) -> None:
    assert reason in assess(order("buy", "1"), *scopes).reasons


def test_a_reduce_only_order_without_a_position_of_its_book_is_refused() -> None:
    own, whole = Scope("atlas", account(), LIMITS), Scope("", account(held={"BTC/USDT": "5"}), LIMITS)
    assert assess(order("sell", "1", reduce=True), own, whole).reasons == ("position_closed",)


def test_a_group_has_an_exposure_of_its_own() -> None:
    limits = replace(WIDE, group_exposure_ratio=D("0.3"))
    held = account("80000", {"ETH/USDT": "2000"})
    together = {"BTC/USDT": "coins", "ETH/USDT": "coins"}
    assert assess(order("buy", "150"), Scope("", held, limits), groups=together).reasons == ("group_exposure",)
    assert assess(order("buy", "150"), Scope("", held, limits), groups={}).is_allowed
    assert assess(order("buy", "90"), Scope("", held, limits), groups=together).is_allowed


def test_leverage_is_bounded_beside_exposure() -> None:
    limits = replace(WIDE, leverage=D(1), gross_exposure_ratio=D(5), position_ratio=D(5), order_notional=D(10**7))
    report = assess(order("buy", "2100", "XAUUSD"), Scope("", account(), limits))
    assert report.reasons == ("leverage",)


def test_the_drawdown_that_halts_is_the_limit_itself() -> None:
    fallen = account("80000", peak_equity=D(100000))
    assert has_fallen(fallen, replace(LIMITS, drawdown_ratio=D("0.2")))
    assert not has_fallen(fallen, replace(LIMITS, drawdown_ratio=D("0.21")))


@given(st.lists(st.sampled_from(list(TradingState)), min_size=1, max_size=3), st.booleans(), st.booleans())
def test_a_stricter_state_never_lets_more_pass(states: list[TradingState], lowers: bool, halts: bool) -> None:
    worst = states[0]
    for each in states:
        worst = stricter(worst, each)
    together = state_refusal(tuple(states), lowers_risk=lowers, is_halt=halts)
    assert together == state_refusal((worst,), lowers_risk=lowers, is_halt=halts)
    if TradingState.HALTED in states:
        assert (together is None) == halts


@pytest.mark.parametrize(
    "settings",
    [
        {"max_loss": "3"},
        {"position_ratio": "lots"},
        {"position_ratio": "-1"},
        {"position_ratio": "NaN"},
        {"max_positions": "2.5"},
        {"max_positions": None},
    ],
)
def test_an_unknown_or_senseless_limit_is_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        read_limits(settings)


def test_limits_are_read_as_they_are_written() -> None:
    limits = replace(LIMITS, group_exposure_ratio=D("0.4"))
    written = {each.name: getattr(limits, each.name) for each in fields(RiskLimits)}
    assert read_limits({name: None if value is None else str(value) for name, value in written.items()}) == limits
    with pytest.raises(ConfigError, match="position_ratio"):
        RiskLimits(position_ratio=0.05)  # type: ignore[arg-type]  # floats are no money


def test_symbols_that_move_together_are_one_group_through_others_too() -> None:
    base = [((n * 37) % 101 - 50) / 1000 for n in range(100)]
    wild = [((n * 53 + 17) % 89 - 44) / 1000 for n in range(100)]
    near = [value + other / 4 for value, other in zip(base, wild, strict=True)]
    groups = correlated_groups({"C": near, "A": base, "B": [-value for value in base], "D": wild, "E": base[:5]})
    assert groups == {"A": "A", "B": "A", "C": "A", "D": "D", "E": "E"}
    assert correlated_groups({"A": [0.0] * 50, "B": [0.0] * 50}) == {"A": "A", "B": "B"}


@given(
    st.sampled_from(list(Side)), st.lists(st.integers(1000, 90000).map(lambda n: D(n) / 100), min_size=1, max_size=30)
)
def test_a_trailing_stop_never_moves_back_and_keeps_its_distance(side: Side, prices: list[object]) -> None:
    trail = TrailingStop(D("0.1"))
    for price in prices:
        before = trail
        trail = follow(trail, side, price, BTC)  # type: ignore[arg-type]  # decimals
        assert trail.stop is not None
        assert trail.best is not None
        assert before.stop is None or (trail.stop - before.stop) * side.sign >= 0
        exact = trail.best * (1 - D("0.1") * side.sign)
        assert 0 <= (exact - trail.stop) * side.sign < BTC.tick_size


def test_a_trailing_stop_waits_for_its_activation() -> None:
    trail = follow(TrailingStop(D("0.1"), activation=D(110)), Side.BUY, D(105), BTC)
    assert (trail.best, trail.stop) == (D(105), None)
    assert follow(trail, Side.BUY, D(110), BTC).stop == 99
