"""The desk: one order for one source, settled once, and an account that agrees with the venue."""

import asyncio
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, update

from agents.execution.claims import process_token
from agents.execution.desk import Desk, client_order_id
from agents.execution.journal import Journal
from agents.execution.paper import PaperVenue
from agents.execution.tables import order_intents, paper_balances
from agents.execution.values import Discrepancy, Execution, IntentState
from agents.risk.values import RiskLimits
from engine.domain.errors import DataUnavailable, InvalidRequest, OrderRejected, VenueUnavailable
from engine.domain.orders import OrderRequest, OrderStatus, VenueOrder
from engine.domain.protocols import Venue
from engine.ledger import replay
from engine.sim.matching import MatchingSettings
from tests.agents.execution.fakes import CASH, WIDE, D, FakeMarket, FaultyVenue, intent, open_database, request

EXACT = MatchingSettings(slippage_bps=D(0), participation_ratio=D("0.5"))


class Place:
    """A database with a market and a venue, on which desks open."""

    def __init__(self, path: Path) -> None:
        self.market = FakeMarket()
        self.database = open_database(path)
        self.venue = PaperVenue(self.database, self.market, starting_cash=CASH, settings=EXACT)

    async def desk(self, venue: Venue | None = None, limits: RiskLimits = WIDE) -> Desk:
        desk = Desk(self.database, venue or self.venue, self.market, limits, starting_cash=CASH)
        await desk.start()
        return desk


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "desk.db")


def books(database: Engine) -> tuple[dict[str, Decimal], Decimal]:
    journal = Journal(database, "paper")
    snapshot = journal.snapshot(FakeMarket().now())
    assert snapshot.books.imbalance() == 0
    return replay(journal.entries()), snapshot.books.cash


async def send(desk: Desk, order: OrderRequest, source: str = "ticket:1") -> Execution:
    return await desk.execute(intent(order, source))


def test_the_id_of_a_source_is_short_and_for_ever_the_same() -> None:
    assert client_order_id("ticket:1") == "tc-ts4ob262weehv7iup625dgya7y"
    assert client_order_id("ticket:1") != client_order_id("ticket:11")
    assert len(client_order_id("mandate:" + "9" * 100) + "-sl") <= 36


async def test_an_order_is_sent_settled_and_in_the_account(place: Place) -> None:
    desk = await place.desk()
    done = await send(desk, request(quantity="2", stop_loss="90", take_profit="120"))
    assert done.state is IntentState.DONE
    assert done.order is not None
    assert done.order.status is OrderStatus.FILLED
    assert [(fill.quantity, fill.price) for fill in done.fills] == [(D(2), D("100.1"))]
    account = await desk.account()
    assert account.cash == CASH - D("200.2") - D("0.2002")
    assert account.equity == account.cash + 200
    assert (account.day_start_equity, account.peak_equity, account.recent_orders) == (CASH, CASH, 1)
    [position] = await desk.positions()
    assert (position.stop_loss, position.take_profit, position.unrealised) == (D(90), D(120), D("-0.2"))
    assert [order.parent_id for order in await desk.open_orders()] == [done.intent.request.client_order_id] * 2
    balances, cash = books(place.database)
    assert balances["cash"] == cash


async def test_the_same_source_never_sends_twice(place: Place) -> None:
    desk = await place.desk()
    first = await send(desk, request())
    assert await send(desk, request()) == first
    assert len(await place.venue.fills(0)) == 1


async def test_a_hundred_at_once_are_one_order(place: Place) -> None:
    watched = FaultyVenue(place.venue, 0, 0)
    desks = [await place.desk(watched) for _ in range(4)]
    answers = await asyncio.gather(*(send(desks[n % 4], request()) for n in range(100)))
    assert len(watched.submits) == 1
    assert {answer.state for answer in answers} == {IntentState.DONE}
    assert len(await desks[0].trades()) == 1


async def test_a_source_with_other_terms_is_refused(place: Place) -> None:
    desk = await place.desk()
    await send(desk, request())
    with pytest.raises(InvalidRequest, match="intent_conflict"):
        await send(desk, request(quantity="3"))
    with pytest.raises(InvalidRequest, match="client_order_id"):
        await send(desk, replace(request(), client_order_id="mine"))
    assert len(await place.venue.fills(0)) == 1


async def test_a_denied_order_never_reaches_the_venue_and_stays_denied(place: Place) -> None:
    watched = FaultyVenue(place.venue, 0, 0)
    desk = await place.desk(watched, replace(WIDE, order_notional=D(100)))
    denied = await send(desk, request(quantity="2"))
    assert (denied.state, denied.reasons) == (IntentState.DENIED, ("order_notional",))
    relaxed = await place.desk(watched)
    assert (await send(relaxed, request(quantity="2"))).state is IntentState.DENIED
    assert watched.submits == []


async def test_rules_of_the_venue_are_judged_before_sending(place: Place) -> None:
    desk = await place.desk()
    assert (await desk.assess(request(quantity="0.155"))).reasons == ("lot",)
    assert (await desk.assess(request(symbol="PEPE/USDT"))).reasons == ("symbol", "no_quote")
    place.market.silent.add("BTC/USDT")
    assert "no_quote" in (await desk.assess(request())).reasons


async def test_a_cancelled_caller_does_not_cancel_the_sending(place: Place) -> None:
    desk = await place.desk(FaultyVenue(place.venue, 0, 0))
    caller = asyncio.create_task(send(desk, request()))
    await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert (await send(desk, request())).state is IntentState.DONE
    assert len(await place.venue.fills(0)) == 1


class Silent(FaultyVenue):
    """A venue whose answers to some calls are lost."""

    def __init__(self, venue: Venue, *, reaches: bool, error: type[Exception]) -> None:
        super().__init__(venue, 0, 0)
        self.reaches, self.error, self.is_deaf = reaches, error, False

    async def submit(self, order: OrderRequest) -> VenueOrder:
        if self.reaches:
            await super().submit(order)
        else:
            self.submits.append(order.client_order_id)
        raise self.error("lost")

    async def fetch_order(self, client_order_id: str) -> VenueOrder | None:
        if self.is_deaf:
            raise VenueUnavailable("deaf")
        return await super().fetch_order(client_order_id)


@pytest.mark.parametrize(
    ("reaches", "state"), [(True, IntentState.DONE), (False, IntentState.UNSENT)], ids=["accepted", "lost"]
)
async def test_a_timeout_is_looked_up_and_never_sent_again(place: Place, reaches: bool, state: IntentState) -> None:
    venue = Silent(place.venue, reaches=reaches, error=TimeoutError)
    desk = await place.desk(venue)
    assert (await send(desk, request())).state is state
    assert (await send(desk, request())).state is state
    assert len(venue.submits) == 1
    assert len(await place.venue.fills(0)) == reaches


async def test_a_doubt_stays_until_the_venue_answers(place: Place) -> None:
    venue = Silent(place.venue, reaches=True, error=TimeoutError)
    desk = await place.desk(venue)
    venue.is_deaf = True
    doubtful = await send(desk, request())
    assert (doubtful.state, doubtful.reasons) == (IntentState.SENT, ("uncertain",))
    assert [each.state for each in await desk.reconcile()] == [IntentState.SENT]
    venue.is_deaf = False
    assert [each.state for each in await desk.reconcile()] == [IntentState.DONE]
    assert await desk.reconcile() == ()
    assert len(venue.submits) == 1


async def test_a_rejection_is_final_with_its_codes(place: Place) -> None:
    class Refusing(FaultyVenue):
        async def submit(self, order: OrderRequest) -> VenueOrder:
            raise OrderRejected("max_orders")

    desk = await place.desk(Refusing(place.venue, 0, 0))
    refused = await send(desk, request())
    assert (refused.state, refused.reasons) == (IntentState.REJECTED, ("max_orders",))


async def test_another_process_that_may_still_send_is_not_declared_unsent(place: Place) -> None:
    desk = await place.desk()
    claimed = Desk(place.database, place.venue, place.market, WIDE, starting_cash=CASH, checkpoint=_stop_at("claimed"))
    with pytest.raises(_Stopped):
        await send(claimed, request())
    assert [each.state for each in await desk.reconcile()] == [IntentState.SENT]  # its claimer is alive
    gone = "|".join((*process_token().split("|")[:2], "999999", "1", "1"))
    with place.database.begin() as connection:
        connection.execute(update(order_intents).values(claimed_by=gone))
    assert [each.state for each in await desk.reconcile()] == [IntentState.UNSENT]
    assert (await send(desk, request())).reasons == ("not_sent",)
    assert await place.venue.fills(0) == []


async def test_a_claimer_on_another_machine_is_given_its_window(place: Place) -> None:
    await place.desk()
    claimed = Desk(place.database, place.venue, place.market, WIDE, starting_cash=CASH, checkpoint=_stop_at("claimed"))
    with pytest.raises(_Stopped):
        await send(claimed, request())
    with place.database.begin() as connection:
        connection.execute(update(order_intents).values(claimed_by="elsewhere|boot|1|1|1"))
    desk = await place.desk()
    assert [each.state for each in await desk.reconcile()] == [IntentState.SENT]
    old = datetime.now(UTC) - timedelta(seconds=61)
    with place.database.begin() as connection:
        connection.execute(update(order_intents).values(claimed_at=old))
    assert [each.state for each in await desk.reconcile()] == [IntentState.UNSENT]


class _Stopped(Exception):
    pass


def _stop_at(step: str):  # type: ignore[no-untyped-def]  # a callable for the checkpoint
    def stop(name: str) -> None:
        if name == step:
            raise _Stopped(name)

    return stop


async def test_an_abandoned_intent_is_never_sent(place: Place) -> None:
    watched = FaultyVenue(place.venue, 0, 0)
    desk = await place.desk(watched)
    for _ in range(2):
        abandoned = await desk.abandon(intent(request()))
        assert (abandoned.state, abandoned.reasons) == (IntentState.UNSENT, ("interrupted",))
    assert (await send(desk, request())).state is IntentState.UNSENT
    assert watched.submits == []


async def test_abandoning_what_was_sent_tells_what_became_of_it(place: Place) -> None:
    desk = await place.desk(FaultyVenue(place.venue, 0, 0))
    sending = asyncio.create_task(send(desk, request()))
    await asyncio.sleep(0)
    assert (await desk.abandon(intent(request()))).state is IntentState.DONE
    assert (await desk.abandon(intent(request()))) == await sending


async def test_resting_orders_and_children_are_settled_by_reconcile(place: Place) -> None:
    desk = await place.desk()
    waiting = await send(desk, request(kind="limit", price="95", stop_loss="90", take_profit="110"))
    assert waiting.state is IntentState.WORKING
    place.market.minute("100", "100", "94", "96")
    [filled] = await desk.reconcile()
    assert (filled.state, len(filled.fills)) == (IntentState.DONE, 1)
    place.market.minute("96", "97", "89", "90")
    assert await desk.reconcile() == ()
    newest, oldest = await desk.trades()
    assert (oldest.fill.price, newest.fill.price, newest.realised, newest.owner) == (D(95), D(90), D(-5), "ana")
    assert (await desk.account()).positions == {}
    balances, cash = books(place.database)
    assert balances["cash"] == cash
    assert await desk.open_orders() == ()


async def test_a_second_reconcile_changes_nothing(place: Place) -> None:
    desk = await place.desk()
    await send(desk, request(stop_loss="90"))
    await send(desk, request(kind="limit", price="95", source="ticket:2"), "ticket:2")
    first = await desk.reconcile()
    with place.database.connect() as connection:
        before = "\n".join(connection.connection.driver_connection.iterdump())  # type: ignore[union-attr]  # sqlite3
    assert await desk.reconcile() == first
    with place.database.connect() as connection:
        after = "\n".join(connection.connection.driver_connection.iterdump())  # type: ignore[union-attr]  # sqlite3
    assert before == after


async def test_cancel_is_settled_and_harmless_when_repeated(place: Place) -> None:
    desk = await place.desk()
    waiting = await send(desk, request(kind="limit", price="95"))
    assert waiting.order is not None
    found = await desk.find_order(waiting.order.venue_order_id)
    assert found == waiting.order
    for _ in range(2):
        answer = await desk.cancel(found.request.client_order_id)
        assert answer.status is OrderStatus.CANCELLED
    ended = await desk.execution(found.request.client_order_id)
    assert ended is not None
    assert (ended.state, ended.reasons, ended.fills) == (IntentState.DONE, ("cancelled",), ())
    assert await desk.find_order(waiting.order.venue_order_id) is None


async def test_a_difference_to_the_venue_stops_new_risk_until_it_is_gone(place: Place) -> None:
    desk = await place.desk()
    await send(desk, request(quantity="2"))
    here = paper_balances.c.asset == "BTC"
    with place.database.begin() as connection:
        connection.execute(update(paper_balances).where(here).values(quantity=D(3)))
    await desk.reconcile()
    assert desk.discrepancies() == (Discrepancy("BTC", D(3), D(2)),)
    assert (await desk.assess(request(source="ticket:2"))).reasons == ("unreconciled",)
    assert (await desk.assess(request("sell", source="ticket:2"))).is_allowed
    with place.database.begin() as connection:
        connection.execute(update(paper_balances).where(here).values(quantity=D(2)))
    await desk.reconcile()
    assert desk.discrepancies() == ()
    assert (await desk.assess(request(source="ticket:2"))).is_allowed


async def test_the_starting_cash_is_deposited_once(place: Place) -> None:
    for _ in range(3):
        await place.desk()
    assert (await (await place.desk()).account()).cash == CASH


async def test_unresolved_intents_count_against_the_limits(place: Place) -> None:
    limits = replace(WIDE, position_ratio=D("0.25"))
    stopped = Desk(
        place.database, place.venue, place.market, limits, starting_cash=CASH, checkpoint=_stop_at("claimed")
    )
    await stopped.start()
    with pytest.raises(_Stopped):
        await send(stopped, request(quantity="150"))
    other = await place.desk(limits=limits)
    assert (await send(other, request(quantity="150", source="ticket:2"), "ticket:2")).reasons == ("position",)


async def test_orders_at_once_cannot_pass_a_limit_together(place: Place) -> None:
    limits = replace(WIDE, position_ratio=D("0.25"))
    desks = [await place.desk(FaultyVenue(place.venue, 0, 0), limits) for _ in range(3)]
    orders = [request(quantity="100", source=f"ticket:{n}") for n in range(9)]
    answers = await asyncio.gather(*(send(desks[n % 3], orders[n], f"ticket:{n}") for n in range(9)))
    states = [answer.state for answer in answers]
    assert states.count(IntentState.DONE) == 2
    assert states.count(IntentState.DENIED) == 7
    account = await desks[0].account()
    assert account.exposure <= account.equity / 4


async def test_an_assessment_does_not_outlive_a_change_of_the_account(place: Place) -> None:
    limits = replace(WIDE, position_ratio=D("0.25"))
    other = await place.desk(limits=limits)
    left = [request(quantity="150", source="ticket:2")]

    def trade_elsewhere(name: str) -> None:
        if name == "assessed" and left:
            rival = threading.Thread(target=lambda: asyncio.run(send(other, left.pop(), "ticket:2")))
            rival.start()
            rival.join()

    desk = Desk(place.database, place.venue, place.market, limits, starting_cash=CASH, checkpoint=trade_elsewhere)
    assert (await send(desk, request(quantity="150"))).reasons == ("position",)
    assert [trade.fill.client_order_id for trade in await desk.trades()] == [client_order_id("ticket:2")]


async def test_a_fill_during_the_comparison_is_no_difference(place: Place) -> None:
    class Busy(FaultyVenue):
        left = 3

        async def balances(self) -> Mapping[str, Decimal]:
            told = await super().balances()
            if self.left:
                self.left -= 1
                await place.venue.submit(request(source=f"ticket:{self.left}"))
            return told

    desk = await place.desk(Busy(place.venue, 0, 0))
    await desk.reconcile()
    assert desk.discrepancies() == ()
    assert len(await desk.trades()) == 3


async def test_performance_by_period_and_equity_at_a_past_time(place: Place) -> None:
    desk = await place.desk()
    await send(desk, request(quantity="10"))
    place.market.minute("100", "110", "100", "110")
    bought = place.market.present
    place.market.present += timedelta(days=2)
    place.market.minute("110", "120", "110", "120")
    await send(desk, request("sell", "4", source="ticket:2"), "ticket:2")
    cost = D("1001") + D("1.001")
    assert await desk.equity_at(bought) == CASH - cost + 1100
    today, everything = await desk.performance("today"), await desk.performance("all")
    assert (today.start_equity, today.deposits) == (CASH - cost + 1100, D(0))
    assert today.realised == everything.realised == 4 * (D("119.9") - D("100.1"))
    assert everything.start_equity == CASH
    assert everything.pnl == everything.equity - CASH
    assert everything.fees == D("1.001") + D("0.4796")
    assert everything.pnl == everything.realised + 6 * (120 - D("100.1")) - everything.fees
    week = await desk.performance("7d")
    assert (week.since, week.pnl) == (everything.since, everything.pnl)
    assert [trade.number for trade in await desk.trades("today")] == [2]


async def test_the_account_is_not_guessed_without_prices(place: Place) -> None:
    desk = await place.desk()
    await send(desk, request())
    place.market.silent.add("BTC/USDT")
    with pytest.raises(DataUnavailable):
        await desk.account()
    assert (await desk.assess(request(symbol="XAUUSD", source="ticket:2"))).reasons == ("no_account",)


async def test_standing_limits_are_those_of_the_account(place: Place) -> None:
    desk = await place.desk()
    await send(desk, request())
    rows = {row.name: row for row in await desk.limits()}
    assert rows["positions"].after == rows["order_rate"].after == 1
    assert rows["drawdown"].after > 0


MOVES = st.lists(
    st.tuples(
        st.sampled_from(["BTC/USDT", "XAUUSD"]),
        st.sampled_from(["buy", "sell"]),
        st.integers(1, 300).map(lambda n: str(D(n) / 100)),
        st.sampled_from(["market", "limit"]),
        st.sampled_from(["again", "reconcile", "minute", "cancel"]),
    ),
    min_size=1,
    max_size=6,
)


async def _survive(path: Path, seed: int, moves: Sequence[tuple[str, str, str, str, str]]) -> None:
    place = Place(path)
    venue = FaultyVenue(place.venue, seed)
    desk = Desk(place.database, venue, place.market, WIDE, starting_cash=CASH)
    await desk.start()
    for number, (symbol, side, quantity, kind, then) in enumerate(moves):
        price = None if kind == "market" else str(place.market.mids[symbol] - 1)
        order = request(side, quantity, symbol=symbol, kind=kind, price=price, source=f"ticket:{number}")
        await send(desk, order, f"ticket:{number}")
        if then == "again":
            await send(desk, order, f"ticket:{number}")
        elif then == "reconcile":
            await desk.reconcile()
        elif then == "minute":
            place.market.minute("100", "103", "97", "100")
        elif then == "cancel":
            try:
                await desk.cancel(order.client_order_id)
            except (OrderRejected, VenueUnavailable):
                continue
    venue.is_healthy = True
    for _ in range(2):
        await desk.reconcile()
    assert len(venue.submits) == len(set(venue.submits))
    at_venue = [fill for _, fill in await place.venue.fills(0)]
    assert len({fill.fill_id for fill in at_venue}) == len(at_venue)
    assert sorted((trade.fill for trade in await desk.trades()), key=lambda fill: int(fill.fill_id[1:])) == at_venue
    assert desk.discrepancies() == ()
    balances, cash = books(place.database)
    assert balances["cash"] == cash == (await place.venue.balances())["USD"]
    for number in range(len(moves)):
        order_id = client_order_id(f"ticket:{number}")
        stands, told = await place.venue.fetch_order(order_id), await desk.execution(order_id)
        assert told is not None
        expected = (IntentState.DONE, IntentState.WORKING) if stands else (IntentState.UNSENT, IntentState.DENIED)
        assert told.state in expected
        assert told.order == stands


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32), MOVES)
def test_a_failing_venue_never_gets_two_orders_and_every_fill_is_settled_once(
    tmp_path_factory: pytest.TempPathFactory, seed: int, moves: Sequence[tuple[str, str, str, str, str]]
) -> None:
    asyncio.run(_survive(tmp_path_factory.mktemp("faults") / "desk.db", seed, moves))


@pytest.mark.prove
@settings(max_examples=1500, deadline=None)
@given(st.integers(0, 2**32), MOVES)
def test_a_failing_venue_for_long(
    tmp_path_factory: pytest.TempPathFactory, seed: int, moves: Sequence[tuple[str, str, str, str, str]]
) -> None:
    asyncio.run(_survive(tmp_path_factory.mktemp("faults") / "desk.db", seed, moves))
