"""What an agent achieved beside what is hoped for. Targets are shown, never enforced and never promised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from agents.execution.values import Performance
from agents.fleet.values import ZERO
from agents.journal.values import RoundTrip
from agents.profiles import Profile
from engine.ledger import EquityPoint, exact_sum

_HUNDRED = Decimal(100)
_MONTH_DAYS = Decimal("30.4375")
_SHORTEST_DAYS = 7
"""A result of fewer days is not brought to a month: it would say nothing."""
_MOST_POINTS = 400


@dataclass(frozen=True, slots=True)
class AgentReport:
    """Results of a period with the targets beside them; None where there is nothing to measure.

    Attributes:
        monthly_pct: The period's return brought to a month; None for less than a week.
        target_monthly_pct: Lowest and highest hoped for; None for no upper end.
        win_rate_pct: Share of round trips with a net profit.
        drawdown_pct: Deepest fall of the daily equity curve from its peak, payments in and out apart.
        drawdown_limit_pct: At which it is halted.
        profit_factor: Gains over losses; None without losses.
        average_r: Mean profit as a multiple of the first stop's risk.
    """

    agent: str
    period: str
    since: datetime
    until: datetime
    start_equity: Decimal
    equity: Decimal
    pnl: Decimal
    return_pct: Decimal
    monthly_pct: Decimal | None
    target_monthly_pct: tuple[Decimal, Decimal | None]
    round_trips: int
    win_rate_pct: Decimal | None
    target_win_rate_pct: Decimal
    drawdown_pct: Decimal
    drawdown_limit_pct: Decimal
    fees: Decimal
    profit_factor: Decimal | None
    average_r: Decimal | None
    best: Decimal | None
    worst: Decimal | None


def make_report(
    agent: str,
    profile: Profile,
    performance: Performance,
    curve: Sequence[EquityPoint],
    trips: Sequence[RoundTrip],
    until: datetime,
) -> AgentReport:
    """Return the report of a period.

    Args:
        agent: Whose.
        profile: Its targets and limits.
        performance: Of its book in the period.
        curve: Equity of the book over the period, oldest first.
        trips: Round trips that ended in the period.
        until: The present.
    """
    results = [trip.realised for trip in trips]
    gains = exact_sum(each for each in results if each > 0)
    losses = exact_sum(each.copy_negate() for each in results if each < 0)
    multiples = [trip.r_multiple for trip in trips if trip.r_multiple is not None]
    wins = sum(each > 0 for each in results)
    return AgentReport(
        agent,
        performance.period,
        performance.since,
        until,
        performance.start_equity,
        performance.equity,
        performance.pnl,
        performance.pnl_pct,
        _monthly(performance, until),
        profile.targets.monthly_pct,
        len(trips),
        _HUNDRED * wins / len(results) if results else None,
        profile.targets.win_rate_pct,
        deepest_fall(curve),
        profile.limits.max_drawdown_pct,
        performance.fees,
        gains / losses if losses else None,
        sum(multiples, ZERO) / len(multiples) if multiples else None,
        max(results, default=None),
        min(results, default=None),
    )


def curve_times(since: datetime, until: datetime) -> list[datetime]:
    """Return the moments of a daily curve from a start to the present, at most a few hundred."""
    days = max((until - since).days, 1)
    step = timedelta(days=max(-(-days // _MOST_POINTS), 1))
    times = [since + number * step for number in range(days // step.days + 1)]
    return [*(at for at in times if at < until), until]


def deepest_fall(curve: Sequence[EquityPoint]) -> Decimal:
    """Return the deepest fall of the result from its peak, in percent of what the peak was worth."""
    deepest, peak = ZERO, None
    for point in curve:
        result = point.equity - point.deposits
        peak = result if peak is None else max(peak, result)
        worth = point.deposits + peak
        if worth > 0:
            deepest = max(deepest, (peak - result) / worth * _HUNDRED)
    return deepest


def _monthly(performance: Performance, until: datetime) -> Decimal | None:
    days = Decimal((until - performance.since).total_seconds()) / 86400
    if days < _SHORTEST_DAYS or performance.start_equity <= 0:
        return None
    growth = float(1 + performance.pnl_pct / _HUNDRED)
    if growth <= 0:
        return -_HUNDRED
    return Decimal(repr(round((growth ** float(_MONTH_DAYS / days) - 1) * 100, 4)))
