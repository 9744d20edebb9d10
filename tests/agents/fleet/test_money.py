"""What an agent can give back: never so much that it stops standing as it stands."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from agents.fleet.money import is_empty, spare_cash
from agents.risk.values import AccountState
from engine.domain.orders import OrderRequest, OrderStatus, OrderType, Position, Side, VenueOrder
from tests.agents.execution.fakes import START, D

TEN_PERCENT = D("0.1")


def book(cash: str, *, peak: str | None = None, equity: str | None = None, **more: Any) -> AccountState:
    worth = D(equity or cash)
    return AccountState(
        cash=D(cash),
        positions=more.get("positions", {}),
        marks=more.get("marks", {}),
        equity=worth,
        day_start_equity=worth,
        peak_equity=D(peak or cash),
        open_orders=more.get("orders", ()),
        recent_orders=0,
    )


def buy(quantity: str, price: str, *, filled: str = "0", is_reduce_only: bool = False) -> VenueOrder:
    request = OrderRequest(
        "x", "BTC/USDT", Side.BUY, OrderType.LIMIT, D(quantity), D(price), is_reduce_only=is_reduce_only
    )
    return VenueOrder(request, "1", OrderStatus.OPEN, D(filled), None, START, START)


def test_an_agent_without_losses_can_give_all_its_cash() -> None:
    assert spare_cash(book("1000.005"), TEN_PERCENT, is_at_rest=False) == D("1000.00")


def test_what_resting_buys_wait_for_stays() -> None:
    waiting = book("1000", orders=(buy("2", "100", filled="1"), buy("5", "100", is_reduce_only=True)))
    assert spare_cash(waiting, TEN_PERCENT, is_at_rest=False) == D(900)
    assert not is_empty(waiting)


def test_what_buys_a_short_position_back_stays() -> None:
    short = book(
        "1500",
        equity="1000",
        peak="1000",
        positions={"BTC/USDT": Position("BTC/USDT", D("-5"), D(100), D(0), D(0))},
        marks={"BTC/USDT": D(100)},
    )
    assert spare_cash(short, TEN_PERCENT, is_at_rest=False) == D(1000)


@pytest.mark.parametrize(("equity", "spare"), [("950", "499.99"), ("901", "9.99"), ("900", "0.00"), ("850", "0.00")])
def test_a_loss_keeps_enough_that_it_stays_below_the_drawdown(equity: str, spare: str) -> None:
    found = spare_cash(book(equity, peak="1000"), TEN_PERCENT, is_at_rest=False)
    assert found == D(spare)
    peak, left = D(1000) - found, D(equity) - found
    assert found == 0 or (peak - left) / peak < TEN_PERCENT


def test_an_agent_at_rest_gives_all_whatever_it_lost() -> None:
    assert spare_cash(book("850", peak="1000"), TEN_PERCENT, is_at_rest=True) == Decimal(850)
