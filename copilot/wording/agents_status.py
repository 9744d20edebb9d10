"""How agents stand, in words: one line each, and beside it the figures that a surface with cards draws instead."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Literal

from copilot.wording.agents_names import pairs_told, render_agent_reasons, strategy_told, venue_told
from copilot.wording.formats import (
    escape,
    format_money,
    format_number,
    format_percent,
    format_price,
    format_time,
)
from prompts import load_words
from tools.agent_results import AgentStatusResult, AgentView, MandateView

Language = Literal["en", "es"]
Words = Mapping[str, Any]


def render_status(result: AgentStatusResult, language: Language) -> str:
    """Return how each agent stands, in one line: its state, what it is worth, and what its owner should know."""
    words = load_words(language, "agents")
    lines = [_line(view, result, words, language) for view in result.agents]
    told = lines[0] if len(lines) == 1 else "\n".join(f"- {line}" for line in lines)
    return f"{told}\n\n_{words['simulated_mark']}_" if result.is_simulated else told


def render_status_details(result: AgentStatusResult, language: Language) -> str:
    """Return money, risk, record and positions of each agent, for surfaces that draw no cards."""
    words = load_words(language, "agents")
    return "\n\n".join(_details(view, result, words, language) for view in result.agents)


def _line(view: AgentView, result: AgentStatusResult, words: Words, language: Language) -> str:
    told = words["status"]
    parts = [
        told["title"].format(
            agent=escape(view.title or view.agent),
            temperament=words["temperaments"].get(view.temperament, escape(view.temperament)),
            state=words["states"][view.state],
            since="" if view.since is None else told["since"].format(at=format_time(view.since, language)),
        )
    ]
    if view.reason and view.state in ("paused", "stopped", "halted"):
        reason = render_agent_reasons([view.reason], language).rstrip(".")
        parts.append(told["because"].format(reason=reason))
    if view.is_alive is False and view.state in ("running", "paused", "halted"):
        parts.append(told["lost"])
    if view.budget or view.equity:
        pnl_pct = format_percent(view.pnl_pct, language, signed=True)
        worth = format_money(view.equity, result.currency, language)
        parts.append(
            told["worth"].format(equity=worth, pnl_pct=pnl_pct, period=told["periods"][result.period or "all"])
        )
    else:
        parts.append(told["empty"])
    if result.venue != "paper":
        parts.append(_mandate(view.mandate, result, told, language))
    return " · ".join(parts)


def _details(view: AgentView, result: AgentStatusResult, words: Words, language: Language) -> str:
    told = words["status"]
    strategies = ", ".join(strategy_told(name, language) for name in view.strategies)
    lines = _money_lines(view, result, told, language) if view.budget or view.equity else []
    lines.append(told["trades"].format(pairs=pairs_told(view.pairs, language), strategies=strategies))
    text = "\n".join([f"**{escape(view.title or view.agent)}**", "", *(f"- {line}" for line in lines)])
    return text if not view.positions else f"{text}\n\n{_positions(view, result, words, language)}"


def _money_lines(view: AgentView, result: AgentStatusResult, told: Words, language: Language) -> list[str]:
    def money(value: Decimal) -> str:
        return format_money(value, result.currency, language)

    period = result.period or "all"
    lines = [
        told["money"].format(equity=money(view.equity), budget=money(view.budget), cash=money(view.cash)),
        told["result"].format(
            period=told["periods"][period],
            pnl=money(view.pnl),
            pnl_pct=format_percent(view.pnl_pct, language, signed=True),
            realised=money(view.realised),
            fees=money(view.fees),
        ),
        told["risk"].format(
            drawdown=format_percent(view.drawdown_pct, language, 1),
            max_drawdown=format_percent(view.max_drawdown_pct, language, None),
            exposure=format_percent(view.exposure_pct, language, 1),
            held=len(view.positions),
            max_positions=view.max_positions,
            size=format_percent(view.position_size_pct, language, None),
        ),
    ]
    if view.trades and view.win_rate_pct is not None:
        lines.append(
            told["record"].format(
                trades=view.trades,
                win_rate=format_percent(view.win_rate_pct, language, 1),
                target=format_percent(view.target_win_rate_pct, language, None),
            )
        )
    else:
        lines.append(told["no_trades"].format(period=told["within"][period]))
    if view.month_pct is not None:
        month = format_percent(view.month_pct, language, 1, signed=True)
        lines.append(told["month"].format(month=month, target=_target(view, told, language)))
    return lines


def _target(view: AgentView, told: Words, language: Language) -> str:
    low, high = view.target_month_pct
    name = "target_open" if high is None else "target_range"
    high_told = "" if high is None else format_percent(high, language, None)
    return str(told[name].format(low=format_percent(low, language, None), high=high_told))


def _mandate(mandate: MandateView | None, result: AgentStatusResult, told: Words, language: Language) -> str:
    venue = venue_told(result.venue, language)
    if mandate is None:
        return str(told["no_mandate"].format(venue=venue))

    def money(value: Decimal) -> str:
        return format_money(value, result.currency, language)

    return str(
        told["mandate"].format(
            venue=venue,
            used=money(mandate.used_today),
            daily=money(mandate.daily_notional),
            order=money(mandate.max_order_notional),
            until=format_time(mandate.expires_at, language),
        )
    )


def _positions(view: AgentView, result: AgentStatusResult, words: Words, language: Language) -> str:
    def price(value: Decimal | None, symbol: str) -> str:
        return "—" if value is None else format_price(value, language, symbol)

    rows = [
        (
            position.symbol,
            format_number(position.quantity, language),
            price(position.average_price, position.symbol),
            price(position.mark, position.symbol),
            f"{format_money(position.unrealised, result.currency, language)} "
            f"({format_percent(position.unrealised_pct, language, signed=True)})",
            price(position.stop_loss, position.symbol),
            price(position.take_profit, position.symbol),
        )
        for position in view.positions
    ]
    head = words["status"]["positions_head"]
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([head, "|" + "---|" * (head.count("|") - 1), *lines])
