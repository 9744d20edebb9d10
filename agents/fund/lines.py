"""What a statement says, line by line, whatever it is written on: the page and the PDF differ in drawing alone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal

from agents.fund.speech import Speech, cents
from agents.fund.statement import Movement, Standing, Statement, displayed_result
from agents.fund.values import EntryKind, FeeCalculation, FundOrder

SUMMARY_HEADS = ("line", "units", "price", "money")
MOVEMENT_HEADS = ("when", "what", "money", "fees", "price", "units", "units_after")


def summary_lines(statement: Statement, say: Speech) -> Iterator[tuple[str, Decimal]]:
    """Yield what led from the opening value to the closing one, in cents that add up as they are printed."""
    opening, closing = cents(statement.opening.value), cents(statement.closing.value)
    lines = (
        (say("deposits"), statement.deposits),
        (say("withdrawals"), -statement.withdrawals),
        (say("payouts"), -statement.payouts),
        (say("performance_fees"), -statement.performance),
        (say("management_fees"), -statement.management),
        (say("result"), displayed_result(statement, opening, closing)),
    )
    return ((name, amount) for name, amount in lines if cents(amount))


def standing_line(name: str, standing: Standing, say: Speech) -> tuple[str, str, str, str]:
    """Return an account at one moment: name, units, price, value."""
    return (
        f"{name}, {say.day(standing.at)}",
        say.fixed(standing.holding.units, "1E-8"),
        say.fixed(standing.price, "1E-6"),
        say.money(standing.value),
    )


def due_line(statement: Statement, say: Speech) -> str:
    """Return the fees that are not taken yet; nothing for an account without units."""
    closing = statement.closing
    if not closing.holding.units:
        return ""
    net = closing.value - closing.fees_due
    values = {"due": closing.fees_due, "net": net, "mark": closing.holding.mark}
    return say("due", **{name: say.money(value) for name, value in values.items()})


def movement_line(movement: Movement, say: Speech) -> tuple[str, ...]:
    """Return a movement: when, what, money, fees in it, price, units, units held."""
    deal = movement.deal
    return (
        say.moment(movement.at),
        say(f"kinds.{movement.kind}"),
        say.money(-deal.amount if deal.units < 0 else deal.amount),
        say.money(deal.fees.total) if deal.fees else "",
        say.fixed(deal.price, "1E-6"),
        say.fixed(deal.units, "1E-8"),
        say.fixed(movement.units_after, "1E-8"),
    )


def charged(statement: Statement) -> Iterator[tuple[Movement, FeeCalculation]]:
    """Yield the movements in which a fee was taken, with how it was found."""
    for movement in statement.movements:
        if movement.deal.fees is not None and movement.deal.fees.total:
            yield movement, movement.deal.fees


def fee_title(movement: Movement, fees: FeeCalculation, say: Speech) -> str:
    """Return when and in what a fee was taken."""
    return f"{say.day(movement.at)} · {say(f'kinds.{movement.kind}')} · {say.money(fees.total)}"


def fee_lines(fees: FeeCalculation, say: Speech) -> list[tuple[str, str]]:
    """Return how a fee was found, with the digits that it was found with."""
    lines = [("value", fees.value), ("accrued", -fees.accrued), ("mark", -fees.mark), ("hurdle", -fees.hurdle)]
    rows = [(say(f"fee.{key}"), say.number(value)) for key, value in lines if value]
    rows.append((say("fee.profit"), say.number(fees.profit)))
    if fees.share != 1:
        rows.append((say("fee.share"), say.percent(fees.share, "0.000001")))
    rows.append((say("fee.performance", rate=say.rate(fees.rate)), say.money(fees.performance)))
    if fees.performance < fees.uncapped:
        rows.append((say("fee.uncapped"), say.money(fees.uncapped)))
    if fees.management:
        rows.append((say("fee.management"), say.money(fees.management)))
    rows.append((say("fee.mark_after"), say.number(fees.mark_after)))
    return rows


def waiting_line(order: FundOrder, say: Speech) -> str:
    """Return an order that waits for the next valuation."""
    amount = say("everything") if order.amount is None else say.money(order.amount)
    return f"{say.moment(order.taken_at)}: {say(f'kinds.{EntryKind(order.kind.value)}')}, {amount}"


def foot_lines(statement: Statement, say: Speech, made_at: datetime) -> tuple[str, str, str]:
    """Return the terms, how fees are found, and when it was made."""
    terms = statement.terms
    rates = say(
        "terms",
        performance=say.rate(terms.performance_fee),
        management=say.rate(terms.management_fee),
        hurdle=say.rate(terms.hurdle),
        crystallisation=say(f"calendars.{terms.crystallisation}"),
        payout=say("calendars.never") if terms.payout is None else say(f"calendars.{terms.payout}"),
        share=say.rate(terms.payout_share),
    )
    rounding = say("rounding", amount=say.number(statement.rounding))
    return rates, say("method"), f"{rounding} {say('made', at=say.moment(made_at))}"
