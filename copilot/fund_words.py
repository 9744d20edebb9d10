"""What the commands of funds tell: lines in the owner's language, and plain values for JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agents.fund import AccountStatus, FundOrder, FundStatus, RunReport, Statement


def fund_lines(fund: FundStatus, words: Mapping[str, Any]) -> Iterator[str]:
    """Yield a fund as lines."""
    yield words["fund"].format(
        fund=fund.record.name,
        units=plain(fund.units),
        price=plain(fund.price),
        owned=money(fund.owned),
        accounts=fund.accounts,
        at=moment(fund.record.valued_at),
    )
    if fund.payable:
        yield words["payable"].format(amount=money(fund.payable))
    for order in fund.waiting:
        yield words["waiting"].format(
            kind=words["kinds"][order.kind],
            amount=words["everything"] if order.amount is None else money(order.amount),
            account=order.account,
            source=order.source,
        )


def account_line(account: AccountStatus, words: Mapping[str, Any]) -> str:
    """Return an account as a line."""
    return str(words["account"]).format(
        account=account.record.account,
        holder=account.record.holder,
        units=plain(account.holding.units),
        value=money(account.value),
        net=money(account.net_value),
        mark=money(account.holding.mark),
        payouts=words["payouts"][account.record.payouts],
    )


def order_line(order: FundOrder, words: Mapping[str, Any]) -> str:
    """Return what became of an order as a line."""
    return str(words["order"][order.state]).format(
        kind=words["kinds"][order.kind],
        amount=words["everything"] if order.amount is None else money(order.amount),
        account=order.account,
        source=order.source,
        at="" if order.dealt_at is None else moment(order.dealt_at),
        reason=words["reasons"].get(order.reason, order.reason),
    )


def run_line(report: RunReport, words: Mapping[str, Any]) -> str:
    """Return what a valuation did as a line."""
    from agents.fund import EntryKind

    return str(words["run"]).format(
        fund=report.fund,
        at=moment(report.at),
        price=plain(report.valuation.price),
        net=money(report.valuation.net_assets),
        fees=money(report.fees),
        payouts=money(report.total(EntryKind.PAYOUT) + report.total(EntryKind.REINVESTMENT)),
        deposits=money(report.total(EntryKind.DEPOSIT)),
        withdrawals=money(report.total(EntryKind.WITHDRAWAL)),
    )


def fund_content(fund: FundStatus) -> dict[str, object]:
    """Return a fund as plain values for JSON, every digit kept."""
    record = fund.record
    told = {each.name: getattr(fund, each.name) for each in fields(fund) if each.name != "record"}
    times = {"opened_at": record.opened_at, "valued_at": record.valued_at}
    return {"fund": record.name, **times, **told, "terms": record.terms.model_dump(mode="json")}


def statement_content(statement: Statement) -> dict[str, object]:
    """Return a statement as plain values for JSON, every digit kept."""
    content = {each.name: getattr(statement, each.name) for each in fields(statement)}
    return content | {"terms": statement.terms.model_dump(mode="json"), "fees": statement.fees}


def money(amount: Decimal) -> str:
    """Write money in cents."""
    return f"{amount.quantize(Decimal('0.01'), ROUND_HALF_EVEN) + 0:,f}"


def plain(value: Decimal) -> str:
    """Write a number with all its digits."""
    return f"{value.normalize() + 0:f}"


def moment(at: datetime) -> str:
    """Write a time to the minute."""
    return f"{at:%Y-%m-%d %H:%M}"
