"""What an agent may do without asking."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import update

from agents.execution.values import Execution, IntentState, OrderIntent
from agents.mandates import Allowed, AskTicket, Permission, Refused
from agents.mandates.tables import mandates
from engine.domain.orders import OrderRequest, OrderType, Side
from tests.agents.mandates.world import NOON, OWNER, TERMS, D, World, assert_books_agree


def test_on_paper_everything_is_allowed_without_a_mandate(world: World) -> None:
    paper = Permission(world.database, "paper")
    assert paper.may_trade("atlas", "X", D("1e9"), NOON, source="a", drawdown_ratio=None) == Allowed(None)


@pytest.mark.parametrize("venue", ["binance", "binance-testnet"])
def test_without_a_mandate_a_real_venue_asks(venue: str, world: World) -> None:
    real = Permission(world.database, venue)
    answer = real.may_trade("atlas", "BTC/USDT", D(1), NOON, source="a", drawdown_ratio=D(0))
    assert answer == AskTicket("no_mandate")


def test_a_proposal_is_no_mandate(world: World) -> None:
    world.mandates.propose(TERMS, OWNER)
    assert world.ask() == AskTicket("no_mandate")


def test_within_the_mandate_an_order_is_allowed_and_reserved(world: World) -> None:
    mandate = world.confirmed()
    assert world.ask("123.45") == Allowed(mandate.id)
    assert world.reserved() == D("123.45")


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({"symbol": "SOL/USDT"}, "mandate_pair"),
        ({"notional": "400.01"}, "mandate_order_notional"),
        ({"drawdown_ratio": D("0.05")}, "mandate_drawdown"),
        ({"at": TERMS.expires_at}, "mandate_expired"),
        ({"agent": "orion"}, "no_mandate"),
    ],
)
def test_beyond_the_mandate_it_asks_and_reserves_nothing(asked: dict[str, Any], reason: str, world: World) -> None:
    world.confirmed()
    answer = world.ask(**asked)
    assert isinstance(answer, AskTicket)
    assert answer.reason == reason
    assert not any(assert_books_agree(world.database).values())


def test_exactly_the_limits_are_allowed(world: World) -> None:
    mandate = world.confirmed()
    last = TERMS.expires_at - timedelta(microseconds=1)
    assert world.ask("400", drawdown_ratio=D("0.049999"), at=last) == Allowed(mandate.id)


def test_the_notional_of_a_day_is_not_exceeded_by_a_cent(world: World) -> None:
    mandate = world.confirmed()
    assert [world.ask("400"), world.ask("400"), world.ask("200")] == [Allowed(mandate.id)] * 3
    assert world.ask("0.01") == AskTicket("mandate_daily_notional", mandate.id, D(0))


def test_the_room_that_is_left_is_told(world: World) -> None:
    mandate = world.confirmed()
    for _ in range(2):
        world.ask("400")
    assert world.ask("250") == AskTicket("mandate_daily_notional", mandate.id, D(200))


def test_a_new_day_begins_at_midnight_utc(world: World) -> None:
    mandate = world.confirmed(max_order_notional=D(1000))
    assert world.ask("1000") == Allowed(mandate.id)
    midnight = NOON.replace(hour=0) + timedelta(days=1)
    assert isinstance(world.ask("1", at=midnight - timedelta(microseconds=1)), AskTicket)
    assert world.ask("1000", at=midnight) == Allowed(mandate.id)


def test_a_new_mandate_does_not_begin_the_days_count_again(world: World) -> None:
    world.confirmed()
    world.ask("400")
    world.ask("400")
    again = world.confirmed()
    assert world.ask("250") == AskTicket("mandate_daily_notional", again.id, D(200))


def test_what_lowers_risk_is_always_allowed(world: World) -> None:
    assert world.ask("99999", lowers_risk=True, drawdown_ratio=None) == Allowed(None)
    assert world.reserved() == 0


@pytest.mark.parametrize("notional", ["0", "-1", "NaN", "Infinity"])
def test_a_notional_that_is_none_is_refused(notional: str, world: World) -> None:
    world.confirmed()
    assert world.ask(notional) == Refused("bad_notional")


def test_without_a_known_drawdown_nothing_is_allowed(world: World) -> None:
    world.confirmed()
    assert world.ask(drawdown_ratio=None) == Refused("drawdown_unknown")
    assert world.ask(drawdown_ratio=D("NaN")) == Refused("drawdown_unknown")


def test_asking_again_for_one_order_reserves_once(world: World) -> None:
    mandate = world.confirmed()
    assert {world.ask("300", source="mandate:x") for _ in range(5)} == {Allowed(mandate.id)}
    assert world.reserved() == 300


def test_a_source_cannot_be_used_for_another_order(world: World) -> None:
    world.confirmed()
    world.ask("300", source="mandate:x")
    assert world.ask("301", source="mandate:x") == Refused("source_conflict")
    assert world.ask("300", symbol="ETH/USDT", source="mandate:x") == Refused("source_conflict")
    assert world.reserved() == 300


def test_what_was_surely_not_sent_is_given_back_once(world: World) -> None:
    world.confirmed()
    world.ask("300", source="mandate:x")
    world.ask("100", source="mandate:y")
    assert [world.permission.release("mandate:x") for _ in range(3)] == [True, False, False]
    assert world.reserved() == 100
    assert world.permission.held(NOON) == ("mandate:y",)
    assert world.permission.held(NOON + timedelta(seconds=1)) == ()
    assert not world.permission.release("mandate:unknown")


def test_a_released_source_is_spent(world: World) -> None:
    world.confirmed()
    world.ask("300", source="mandate:x")
    world.permission.release("mandate:x")
    assert world.ask("300", source="mandate:x") == Refused("source_closed")
    assert world.reserved() == 0


def test_released_after_midnight_it_is_given_back_to_its_own_day(world: World) -> None:
    world.confirmed()
    world.ask("300", source="mandate:x")
    world.wait(days=1)
    world.ask("200")
    world.permission.release("mandate:x")
    assert world.reserved() == 200
    assert world.permission.reserved("atlas", NOON) == 0


def test_revoking_acts_at_once_also_on_an_order_that_was_reserved(world: World) -> None:
    mandate = world.confirmed()
    world.ask("300", source="mandate:x")
    world.mandates.revoke(mandate.id, OWNER)
    assert world.ask("300", source="mandate:x") == AskTicket("no_mandate")
    assert world.ask("1") == AskTicket("no_mandate")
    assert world.reserved() == 300


def test_a_mandate_that_another_replaced_allows_nothing_more(world: World) -> None:
    world.confirmed()
    world.ask("300", source="mandate:x")
    world.confirmed()
    assert world.ask("300", source="mandate:x") == AskTicket("no_mandate")


def test_terms_that_were_changed_in_the_database_allow_nothing(world: World) -> None:
    mandate = world.confirmed()
    with world.database.begin() as connection:
        connection.execute(update(mandates).values(daily_notional=D("1000000"), max_order_notional=D("1000000")))
    assert world.ask("5000") == AskTicket("no_mandate", mandate.id)


@pytest.mark.parametrize(
    ("state", "is_released"),
    [
        (IntentState.UNSENT, True),
        (IntentState.DENIED, True),
        (IntentState.REJECTED, True),
        (IntentState.STORED, False),
        (IntentState.SENT, False),
        (IntentState.WORKING, False),
        (IntentState.DONE, False),
    ],
)
def test_only_the_desks_proof_gives_room_back(state: IntentState, is_released: bool, world: World) -> None:
    world.confirmed()
    world.ask("300", source="mandate:x")
    assert world.permission.settle([execution("mandate:x", state)]) == is_released
    assert world.reserved() == (0 if is_released else 300)


def execution(source: str, state: IntentState) -> Execution:
    request = OrderRequest("tc-1", "BTC/USDT", Side.BUY, OrderType.MARKET, Decimal(1))
    return Execution(OrderIntent("atlas", source, request), state, None, (), (), NOON)


def test_agents_count_each_for_themselves(world: World) -> None:
    one = world.confirmed(max_order_notional=D(1000))
    two = world.confirmed(agent="orion", max_order_notional=D(1000))
    assert world.ask("1000") == Allowed(one.id)
    assert world.ask("1000", agent="orion") == Allowed(two.id)


def test_the_day_is_that_of_utc_whatever_zone_a_time_is_told_in(world: World) -> None:
    world.confirmed()
    world.ask("300", at=datetime.fromisoformat("2026-03-03T01:00:00+09:00"))
    assert world.permission.reserved("atlas", NOON) == 300
