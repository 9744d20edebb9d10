"""Funds on a database and a desk: orders, calendar, catching up, repeats, what the desk refuses."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import Engine

from agents.fund.funds import Funds
from agents.fund.terms import FundTerms
from agents.fund.values import EntryKind, OrderState
from engine.domain.errors import DataUnavailable, InvalidRequest
from tests.agents.fund.desk import FakeDesk, at

TERMS = FundTerms(dealing="weekly", crystallisation="monthly", payout="monthly", payout_share=Decimal(1))
NO_PAYOUT = FundTerms(dealing="daily", crystallisation="monthly", payout=None)
MONTHLY = FundTerms(dealing="monthly", crystallisation="monthly", payout=None)


def fees_of(funds: Funds, account: str) -> Decimal:
    deals = [each.deal for each in funds.store.entries("nova", account) if each.deal is not None]
    return sum((deal.fees.total for deal in deals if deal.fees is not None), Decimal(0))


async def invested(funds: Funds, desk: FakeDesk, terms: FundTerms = NO_PAYOUT, **amounts: int) -> None:
    await funds.open_fund("nova", terms)
    for account, amount in amounts.items():
        await funds.deposit("nova", account, Decimal(amount), f"first-{account}")
    desk.advance(minutes=1)
    await funds.value("nova")


async def test_a_deposit_becomes_units_at_the_next_valuation_and_not_before(funds: Funds, desk: FakeDesk) -> None:
    await funds.open_fund("nova", NO_PAYOUT)
    order = await funds.deposit("nova", "maria", Decimal(1000), "s1", holder_name="María")
    assert order.state is OrderState.READY
    assert desk.equity("nova") == 1000
    assert funds.fund("nova").units == 0
    desk.advance(minutes=1)
    await funds.value("nova")
    (maria,) = funds.accounts("nova")
    assert (maria.holding.units, maria.value, maria.record.holder) == (10, 1000, "María")


async def test_an_order_at_the_moment_of_a_valuation_waits_for_the_next(funds: Funds, desk: FakeDesk) -> None:
    await funds.open_fund("nova", NO_PAYOUT)
    desk.clock = at("2026-01-02T00:00")
    order = await funds.deposit("nova", "maria", Decimal(1000), "s1")
    await funds.run_due("nova")
    assert funds.fund("nova").waiting == (order,)
    desk.advance(days=1)
    await funds.run_due("nova")
    assert funds.fund("nova").units == 10


async def test_a_cutoff_keeps_late_orders_for_the_next_dealing(funds: Funds, desk: FakeDesk) -> None:
    await funds.open_fund("nova", FundTerms(cutoff_h=6, payout=None))
    desk.clock = at("2026-01-01T20:00")
    await funds.deposit("nova", "maria", Decimal(1000), "s1")
    desk.clock = at("2026-01-02T01:00")
    await funds.run_due("nova")
    assert funds.fund("nova").units == 0
    desk.clock = at("2026-01-03T01:00")
    await funds.run_due("nova")
    assert funds.fund("nova").units == 10


async def test_a_late_joiner_pays_nothing_for_earlier_profit_and_an_early_one_in_full(
    funds: Funds, desk: FakeDesk
) -> None:
    await invested(funds, desk, MONTHLY, early=1000)
    desk.earn("nova", 500)  # a unit rises from 100 to 150
    await funds.deposit("nova", "late", Decimal(1500), "late-1")
    desk.advance(minutes=1)
    await funds.value("nova")
    assert {each.record.account: each.holding.units for each in funds.accounts("nova")} == {"early": 10, "late": 10}
    desk.clock = at("2026-02-01T00:00")
    await funds.run_due("nova")
    assert (fees_of(funds, "early"), fees_of(funds, "late")) == (100, 0)
    desk.earn("nova", 290)  # on 2,900: both gain a tenth
    desk.clock = at("2026-03-01T00:00")
    await funds.run_due("nova")
    assert fees_of(funds, "early") == Decimal("127.99")  # what a unit cannot be split into stays below the cent
    assert fees_of(funds, "late") == 30


async def test_no_fee_is_charged_again_until_the_mark_net_of_fees_is_passed(funds: Funds, desk: FakeDesk) -> None:
    await invested(funds, desk, MONTHLY, maria=1000)
    desk.earn("nova", 100)
    desk.clock = at("2026-02-01T00:00")
    await funds.run_due("nova")
    (maria,) = funds.accounts("nova")
    assert (fees_of(funds, "maria"), maria.holding.mark) == (20, 1080)
    desk.advance(hours=1)
    desk.earn("nova", -300)
    desk.clock = at("2026-03-01T00:00")
    await funds.run_due("nova")
    desk.earn("nova", 300)  # back where the fee was taken
    desk.clock = at("2026-04-01T00:00")
    await funds.run_due("nova")
    assert fees_of(funds, "maria") == 20
    desk.earn("nova", 50)
    desk.clock = at("2026-05-01T00:00")
    await funds.run_due("nova")
    assert fees_of(funds, "maria") == Decimal("29.99")  # a rounding of 1e-6 stays below the cent, for the account


async def test_a_capped_fee_leaves_the_rest_above_the_mark(funds: Funds, desk: FakeDesk) -> None:
    terms = FundTerms(dealing="monthly", crystallisation="monthly", payout=None, performance_fee_cap=Decimal("0.01"))
    await invested(funds, desk, terms, maria=1000)
    desk.earn("nova", 600)  # a fee of 120, of which a month may take 1 % of 1,600
    desk.clock = at("2026-02-01T00:00")
    await funds.run_due("nova")
    (maria,) = funds.accounts("nova")
    assert fees_of(funds, "maria") == 16
    assert maria.holding.mark == 1000 + 80 - 16
    for month in range(3, 13):
        desk.clock = at(f"2026-{month:02}-01T00:00")
        await funds.run_due("nova")
    assert Decimal("119.9") < fees_of(funds, "maria") <= 120


async def test_a_withdrawal_takes_its_share_of_the_fee_and_of_the_mark(funds: Funds, desk: FakeDesk) -> None:
    await invested(funds, desk, maria=1000)
    desk.earn("nova", 500)
    await funds.withdraw("nova", "maria", Decimal(750), "w1")
    desk.advance(minutes=1)
    await funds.value("nova")
    (maria,) = funds.accounts("nova")
    assert (maria.value, maria.holding.mark, fees_of(funds, "maria")) == (750, 500, 50)
    assert desk.moves["fund:nova:withdrawal:w1"][1:] == ("nova", "main", Decimal(700))
    assert desk.equity("nova") == 750
    desk.clock = at("2026-02-01T00:00")
    await funds.run_due("nova")
    assert fees_of(funds, "maria") == 100  # in all, as if nothing had been withdrawn


async def test_everything_withdrawn_leaves_nothing_behind_but_rounding(funds: Funds, desk: FakeDesk) -> None:
    await invested(funds, desk, maria=1000, juan=333)
    desk.earn("nova", "123.45678901")
    for account in ("maria", "juan"):
        await funds.withdraw("nova", account, None, f"all-{account}")
    desk.advance(minutes=1)
    await funds.value("nova")
    status = funds.fund("nova")
    assert (status.units, status.owned, status.payable) == (0, 0, 0)
    assert 0 <= desk.equity("nova") < Decimal("0.03")
    assert all(each.holding.mark == each.holding.basis == 0 for each in funds.accounts("nova"))
    assert funds.audit("nova") == ()


async def test_a_hurdle_is_passed_over_and_a_management_fee_comes_first(funds: Funds, desk: FakeDesk) -> None:
    terms = FundTerms(
        dealing="monthly", crystallisation="yearly", payout=None, hurdle=Decimal("0.05"), management_fee=Decimal("0.01")
    )
    await funds.open_fund("nova", terms)
    await funds.deposit("nova", "maria", Decimal(10000), "s1")
    desk.clock = at("2026-01-02T00:00")
    await funds.value("nova")
    desk.earn("nova", 1000)
    desk.clock = at("2027-01-01T00:00")
    await funds.run_due("nova")
    (fee,) = [each.deal.fees for each in funds.store.entries("nova") if each.kind is EntryKind.FEE and each.deal]
    assert fee is not None
    assert round(fee.hurdle, 2) == Decimal("498.63")  # 5 % for 364 days
    assert fee.management == Decimal("109.69")  # 1 % of 11,000 for 364 days, to the day
    assert fee.performance == Decimal("78.33")  # 20 % of 1000 − 109.698… − 498.630…


async def test_payouts_share_the_gain_once_and_wait_until_a_loss_is_made_good(funds: Funds, desk: FakeDesk) -> None:
    await invested(funds, desk, TERMS, maria=1000)
    await funds.deposit("nova", "rita", Decimal(1000), "r1", payouts="reinvest")
    desk.advance(minutes=1)
    await funds.value("nova")
    desk.earn("nova", 200)
    desk.clock = at("2026-02-01T00:00")
    (*_, report) = await funds.run_due("nova")
    assert report.periods == ("2026-01",)
    assert report.fees == 40
    shared = (report.total(EntryKind.PAYOUT), report.total(EntryKind.REINVESTMENT))
    assert shared == (Decimal("79.99"), Decimal("79.99"))  # 80, less what a unit cannot be split into
    assert [round(each.value, 2) for each in funds.accounts("nova")] == [Decimal("1000.01"), 1080]
    desk.advance(minutes=5)
    desk.earn("nova", -208)
    desk.clock = at("2026-03-01T00:00")
    assert (await funds.run_due("nova"))[-1].total(EntryKind.PAYOUT) == 0
    desk.earn("nova", 208)
    desk.clock = at("2026-04-01T00:00")
    assert (await funds.run_due("nova"))[-1].total(EntryKind.PAYOUT) == 0
    assert await funds.run_due("nova") == ()


async def test_after_downtime_every_period_is_done_in_order_at_its_own_value(
    database: Engine, desk: FakeDesk, tmp_path: object
) -> None:
    funds = Funds(database, desk)
    await invested(funds, desk, TERMS, maria=1000)
    desk.clock = at("2026-01-20T00:00")
    desk.earn("nova", 100)
    desk.clock = at("2026-02-20T00:00")
    desk.earn("nova", -50)
    desk.clock = at("2026-04-10T12:00")
    reports = await Funds(database, desk).run_due("nova")
    assert [report.at for report in reports] == sorted(report.at for report in reports)
    assert {report.periods[0]: report.fees for report in reports if report.periods} == {
        "2026-01": 20, "2026-02": 0, "2026-03": 0,
    }  # fmt: skip
    assert len([source for source in desk.moves if "payout:2026-01" in source]) == 1
    assert await funds.run_due("nova") == ()
    assert funds.audit("nova") == ()


async def test_the_same_source_deposits_once_and_other_terms_are_refused(funds: Funds, desk: FakeDesk) -> None:
    await funds.open_fund("nova", NO_PAYOUT)
    orders = [await funds.deposit("nova", "maria", Decimal(1000), "s1") for _ in range(3)]
    assert len(set(orders)) == 1
    assert desk.equity("nova") == 1000
    with pytest.raises(InvalidRequest, match="fund_order_conflict"):
        await funds.deposit("nova", "maria", Decimal(1001), "s1")
    with pytest.raises(InvalidRequest, match="fund_order_conflict"):
        await funds.withdraw("nova", "maria", Decimal(1000), "s1")


async def test_a_deposit_without_money_is_rejected_and_moves_nothing(funds: Funds, desk: FakeDesk) -> None:
    await funds.open_fund("nova", NO_PAYOUT)
    order = await funds.deposit("nova", "maria", Decimal(2_000_000), "s1")
    assert (order.state, order.reason, desk.moves) == (OrderState.REJECTED, "no_cash", {})


async def test_a_withdrawal_beyond_the_account_is_rejected(funds: Funds, desk: FakeDesk) -> None:
    await invested(funds, desk, maria=1000)
    await funds.withdraw("nova", "maria", Decimal("1000.01"), "w1")
    desk.advance(minutes=1)
    (report,) = await funds.value("nova")
    assert [order.reason for order in report.rejected] == ["more_than_held"]
    assert funds.fund("nova").owned == 1000


async def test_a_cancelled_deposit_is_given_back_and_a_dealt_one_is_not(funds: Funds, desk: FakeDesk) -> None:
    await invested(funds, desk, maria=1000)
    await funds.deposit("nova", "maria", Decimal(50), "s2")
    assert (await funds.cancel("nova", "s2")).state is OrderState.CANCELLED
    assert (await funds.cancel("nova", "s2")).state is OrderState.CANCELLED
    assert desk.equity("nova") == 1000
    assert (await funds.cancel("nova", "first-maria")).state is OrderState.DEALT
    assert funds.audit("nova") == ()


async def test_what_is_owed_waits_for_cash_while_dealing_goes_on(funds: Funds, desk: FakeDesk) -> None:
    await invested(funds, desk, maria=1000, juan=1000)
    desk.tied["nova"] = Decimal(2000)
    await funds.withdraw("nova", "maria", None, "w1")
    desk.advance(minutes=1)
    await funds.value("nova")
    assert funds.fund("nova").payable == 1000
    desk.earn("nova", 100)
    desk.advance(days=1)
    await funds.run_due("nova")
    (juan, maria) = funds.accounts("nova")
    assert (juan.value, maria.value, funds.fund("nova").payable) == (1100, 0, 1000)
    desk.tied.clear()
    await funds.settle("nova")
    assert (funds.fund("nova").payable, desk.equity("nova")) == (0, 1100)


async def test_money_moved_past_the_fund_stops_it(funds: Funds, desk: FakeDesk) -> None:
    await invested(funds, desk, maria=1000)
    await desk.transfer(Decimal(500), "main", "nova", "by hand")
    with pytest.raises(InvalidRequest, match="fund_books_differ"):
        await funds.value("nova")
    await desk.transfer(Decimal(500), "nova", "main", "by hand, back")
    desk.advance(minutes=1)
    assert len(await funds.value("nova")) == 1


async def test_what_is_in_the_book_belongs_to_its_owner(funds: Funds, desk: FakeDesk) -> None:
    await desk.transfer(Decimal(5000), "main", "nova", "budget")
    desk.earn("nova", "0.123456789123")
    await funds.open_fund("nova", NO_PAYOUT, holder_name="Ana")
    (owner,) = funds.accounts("nova")
    equity = Decimal("5000.123456789123")
    assert (owner.record.account, owner.record.holder, owner.holding.mark) == ("owner", "Ana", equity)
    assert 0 <= equity - owner.value < Decimal("1E-6")
    desk.advance(minutes=1)
    await funds.value("nova")
    assert fees_of(funds, "owner") == 0
    assert funds.audit("nova") == ()


async def test_a_fund_that_lost_everything_deals_nothing_and_comes_back(funds: Funds, desk: FakeDesk) -> None:
    await invested(funds, desk, maria=1000)
    desk.earn("nova", -1200)
    await funds.deposit("nova", "juan", Decimal(500), "s2")
    await funds.withdraw("nova", "maria", None, "w1")
    desk.advance(minutes=1)
    (report,) = await funds.value("nova")
    assert (report.valuation.price, report.valuation.net_assets) == (0, -200)
    assert len(funds.fund("nova").waiting) == 2
    desk.earn("nova", 700)
    desk.advance(minutes=1)
    await funds.value("nova")
    assert {each.record.account: each.value for each in funds.accounts("nova")} == {"juan": 500, "maria": 0}
    assert funds.audit("nova") == ()


async def test_a_desk_that_does_not_answer_leaves_the_deposit_to_be_tried_again(funds: Funds, desk: FakeDesk) -> None:
    await funds.open_fund("nova", NO_PAYOUT)
    desk.is_silent = True
    with pytest.raises(DataUnavailable):
        await funds.deposit("nova", "maria", Decimal(1000), "s1")
    desk.is_silent = False
    assert funds.fund("nova").waiting[0].state is OrderState.TAKEN
    await funds.settle("nova")
    assert funds.fund("nova").waiting[0].state is OrderState.READY
    assert desk.equity("nova") == 1000


async def test_two_processes_value_one_fund_once(database: Engine, desk: FakeDesk) -> None:
    first, second = Funds(database, desk), Funds(database, desk)
    await invested(first, desk, TERMS, maria=1000)
    desk.earn("nova", 100)
    desk.clock = at("2026-02-01T00:00")
    done = [*await first.run_due("nova"), *await second.run_due("nova")]
    assert len(done) == len({report.at for report in done}) == 5
    assert fees_of(first, "maria") == 20


@pytest.mark.parametrize("amount", ["0", "-1", "0.001", "NaN", "Infinity", "1E15"])
async def test_amounts_that_are_no_money_are_refused(funds: Funds, amount: str) -> None:
    await funds.open_fund("nova", NO_PAYOUT)
    with pytest.raises(InvalidRequest, match=r"fund_bad_amount|fund_below_minimum"):
        await funds.deposit("nova", "maria", Decimal(amount), "s1")


async def test_wrong_names_are_refused(funds: Funds, desk: FakeDesk) -> None:
    for name in ("Nova", "", "main", "a b", "x" * 25):
        with pytest.raises(InvalidRequest, match="fund_bad_name"):
            await funds.open_fund(name, NO_PAYOUT)
    with pytest.raises(InvalidRequest, match="fund_not_found"):
        await funds.value("orion")
    await invested(funds, desk, maria=1000)
    with pytest.raises(InvalidRequest, match="fund_exists"):
        await funds.open_fund("nova", TERMS)
    with pytest.raises(InvalidRequest, match="fund_account_not_found"):
        await funds.withdraw("nova", "nobody", None, "w1")
    with pytest.raises(InvalidRequest, match="fund_bad_payouts"):
        funds.change_account("nova", "maria", payouts="burn")
    assert desk.now() - at("2026-01-01T12:00") == timedelta(minutes=1)
