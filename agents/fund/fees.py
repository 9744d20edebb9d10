"""Fees of one account, pure: what accrues by days, and what is taken when.

The method is one high-water mark per account, in money, with fees paid by redeeming the account's own units. All
accounts deal at one price, before performance fees; what an account owes is found from its own mark alone, so that
who joins late starts at what was paid in and owes nothing for earlier profit, and who was there owes in full. Series
of units would need a roll-up, and equalisation credits a second set of units; both exist to make one price net of
everyone's fees, which an account that pays in its own units does not need. A mark in money also joins deposits made
at different prices: what counts is whether the account as a whole has gained.

Rules of the mark:
- A deposit raises it by what was paid in. A withdrawal takes along its share of the account, fee and mark included.
- A fee is a rate of `value − management fee − mark − hurdle`, when that is above zero; below the mark there is none.
- A fee raises the mark by the profit that it paid for (`fee / rate`) less the fee: the mark is net of fees. What a cap
  or the rounding to cents left uncharged stays above the mark and can be charged later, and what was charged cannot.
- The hurdle adds up until it is exceeded; then that profit is passed over for good, and the hurdle starts again.
- A payout lowers the mark by what is paid out: it takes profit away, not the memory of a loss.

Rounding is for the account: fees go down to the cent, marks and hurdles up to a trillionth.
"""

from __future__ import annotations

from decimal import Decimal

from agents.fund.arithmetic import CENT, MEMO_STEP, ZERO, difference, divided, stepped
from agents.fund.terms import FundTerms
from agents.fund.values import FeeCalculation, Holding
from engine.ledger import exact_product, exact_sum

YEAR_DAYS = Decimal(365)


def accrue_management(holding: Holding, price: Decimal, terms: FundTerms, days: int) -> Decimal:
    """Return the management fee of some days on the value at a price."""
    yearly = exact_product(holding.value(price), terms.management_fee)
    return divided(exact_product(yearly, Decimal(days)), YEAR_DAYS, MEMO_STEP)


def accrue_hurdle(holding: Holding, terms: FundTerms, days: int) -> Decimal:
    """Return by how much the hurdle rises in some days."""
    yearly = exact_product(holding.mark, terms.hurdle)
    return divided(exact_product(yearly, Decimal(days)), YEAR_DAYS, MEMO_STEP, is_up=True)


def calculate_fees(
    holding: Holding, price: Decimal, terms: FundTerms, leaving: Decimal | None = None
) -> FeeCalculation:
    """Return the fees of an account at a price.

    Args:
        holding: With units.
        price: Of a unit, above 0.
        terms: Of the fund.
        leaving: Units that are withdrawn; their share of the fees is due, and takes its share of the mark along.
            None takes the fees on everything, and everything stays.
    """
    value = holding.value(price)
    profit = max(ZERO, difference(value, holding.accrued, holding.mark, holding.hurdle))
    part = holding.units if leaving is None else leaving
    uncapped = _part(exact_product(profit, terms.performance_fee), part, holding.units)
    performance = uncapped
    if terms.performance_fee_cap is not None:
        performance = min(uncapped, _part(exact_product(value, terms.performance_fee_cap), part, holding.units))
    management = min(_part(holding.accrued, part, holding.units), _part(value, part, holding.units))
    mark_after, hurdle_after = (
        _marks_after_fee(holding, performance, terms) if leaving is None else _marks_after_leaving(holding, leaving)
    )
    return FeeCalculation(
        value=value,
        accrued=holding.accrued,
        mark=holding.mark,
        hurdle=holding.hurdle,
        profit=profit,
        share=divided(part, holding.units, MEMO_STEP),
        rate=terms.performance_fee,
        uncapped=uncapped,
        management=management,
        performance=performance,
        mark_after=mark_after,
        hurdle_after=hurdle_after,
    )


def _part(amount: Decimal, part: Decimal, units: Decimal) -> Decimal:
    """Return a part of an amount, down to the cent."""
    return divided(exact_product(amount, part), units, CENT)


def _marks_after_fee(holding: Holding, fee: Decimal, terms: FundTerms) -> tuple[Decimal, Decimal]:
    if not fee:
        return holding.mark, holding.hurdle
    charged = divided(fee, terms.performance_fee, MEMO_STEP, is_up=True)
    return difference(exact_sum((holding.mark, holding.hurdle, charged)), fee), ZERO


def _marks_after_leaving(holding: Holding, leaving: Decimal) -> tuple[Decimal, Decimal]:
    """Return what stays of mark and hurdle when units leave, rounded up."""
    staying = difference(holding.units, leaving)
    return (
        divided(exact_product(holding.mark, staying), holding.units, MEMO_STEP, is_up=True),
        divided(exact_product(holding.hurdle, staying), holding.units, MEMO_STEP, is_up=True),
    )


def payout_of(holding: Holding, price: Decimal, terms: FundTerms) -> Decimal:
    """Return what a payout shares out: a part of the gain on the basis, down to the cent; 0 without a gain.

    The basis is what the account was worth after the last payout with a gain, moved by deposits and withdrawals. So a
    loss is made good before anything is paid again, and capital is never paid out as profit.
    """
    gain = difference(holding.value(price), holding.accrued, holding.basis)
    return stepped(exact_product(gain, terms.payout_share), CENT) if gain > 0 else ZERO
