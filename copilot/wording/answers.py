"""Answers: each typed result as short Markdown, tables where there are rows."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from agents.risk.values import LimitCheck
from copilot.wording.agents import AGENT_RENDERERS
from copilot.wording.agents_names import agent_name
from copilot.wording.formats import (
    escape,
    format_duration,
    format_float,
    format_money,
    format_number,
    format_percent,
    format_price,
    format_time,
)
from copilot.wording.messages import render_code, render_condition, render_reasons
from engine.domain.signals import Direction, SignalDriver
from prompts import load_words
from tools.results import (
    AlertList,
    AlertsCancelled,
    AlertSet,
    AlertView,
    BacktestResult,
    ChartResult,
    OrdersCancelled,
    PortfolioResult,
    ProfileResult,
    SignalResult,
    SizingView,
    TicketRefused,
    TicketTerms,
    TicketView,
    ToolResult,
    Unavailable,
)

Language = Literal["en", "es"]
Words = Mapping[str, Any]
_DRIVERS_TOLD = 3
_HUNDRED = Decimal(100)
_CANCELLED = {"cancelled": "some", "filled": "filled_before", "rejected": "some"}
"""How a cancel is told, by where the order ended: one that filled first was not cancelled."""
_SPANS = re.compile(r"_(\d+)(?:_\d+)*$")
"""The bars that a feature's name ends in; the first is the one that people are told."""


def render_answer(results: Sequence[ToolResult], language: Language) -> str:
    """Return all results in words, in order, as Markdown."""
    words = load_words(language, "answers")
    return "\n\n".join(_RENDERERS[result.kind](result, words, language) for result in results)


def render_ticket(ticket: TicketView, language: Language) -> str:
    """Return a ticket as plain lines for a terminal: exact terms, limits with their room, expiry."""
    words = load_words(language, "answers")
    fields, terms = words["card"]["fields"], ticket.terms

    def money(value: Decimal) -> str:
        return format_money(value, terms.currency, language)

    def change(before: str, after: str) -> str:
        return str(words["card"]["arrow"]).format(before=before, after=after)

    rows = [
        ("order", _line(ticket, words, language)),
        ("expected", format_price(terms.expected_price, language)),
        ("repriced", None if ticket.repriced_from is None else format_price(ticket.repriced_from, language)),
        ("drift", format_percent(Decimal(terms.max_drift_bps) / _HUNDRED, language, None)),
        ("value", money(terms.notional)),
        ("fee", money(terms.fee)),
        ("stop", None if terms.stop_loss is None else format_price(terms.stop_loss, language)),
        ("target", None if terms.take_profit is None else format_price(terms.take_profit, language)),
        ("cash", change(money(terms.cash_before), money(terms.cash_after))),
        ("exposure", change(money(terms.exposure_before), money(terms.exposure_after))),
        ("position", change(*(format_number(q, language) for q in (terms.position_before, terms.position_after)))),
        ("venue", _venue(terms.venue, words) + (f", {words['simulated_mark']}" if terms.is_simulated else "")),
        ("quote", format_time(terms.quote_at, language)),
        ("expires", format_time(ticket.expires_at, language)),
    ]
    width = max(len(fields[name]) for name, _ in rows)
    lines = [words["ticket"]["title"].format(ticket_id=ticket.ticket_id)]
    lines += [f"  {fields[name]:<{width}}  {value}" for name, value in rows if value is not None]
    if terms.sizing is not None:
        lines.append("  " + _sizing(terms.sizing, words, language))
    lines.append(f"  {fields['limits']}:")
    lines += ["  " + _limit_line(check, words, language) for check in terms.limits]
    return "\n".join(lines)


def _signal(result: SignalResult, words: Words, language: Language) -> str:
    signal, told = result.signal, words["signal"]

    def price(value: float | Decimal) -> str:
        return format_price(value, language, signal.symbol)

    def share(value: float) -> str:
        return format_percent(100 * value, language, 1)

    better = "long" if signal.target >= signal.entry else "short"
    direction = signal.direction.value
    why = ""
    if signal.direction is Direction.NONE:
        name = signal.reason if signal.reason in told["why"] else "no_edge"
        if name == "no_edge" and signal.probability >= signal.breakeven_probability:
            name = "weak_edge"
        why = told["why"][name].format(
            side=words["side"][better],
            probability=share(signal.probability),
            breakeven=share(signal.breakeven_probability),
        )
    says_both = signal.direction is Direction.NONE and signal.reason == "no_edge"
    lines = [
        told["title"].format(symbol=_name(signal.symbol, words), timeframe=signal.timeframe)
        + _simulated(result.is_simulated, words),
        told[direction].format(
            entry=price(signal.entry),
            stop=price(signal.stop),
            target=price(signal.target),
            reward_risk=format_number(Decimal(repr(round(signal.reward_risk, 2))), language),
            why=why,
        ),
        told["value" if says_both else "probability"].format(
            probability=share(signal.probability),
            breakeven=share(signal.breakeven_probability),
            value=format_percent(100 * signal.expected_value_ratio, language, 1, signed=True),
        ),
        _phase(result, words, language),
        told["range"].format(
            bars=signal.horizon_bars, low=price(signal.expected_range.down[2]), high=price(signal.expected_range.up[2])
        ),
    ]
    if signal.drivers:
        names = "; ".join(_driver(driver, words) for driver in signal.drivers[:_DRIVERS_TOLD])
        lines.append(told["drivers"].format(drivers=names))
    lines.append(
        told["price"].format(
            bid=price(result.quote.bid),
            ask=price(result.quote.ask),
            session=words["yes_open"] if result.quote.is_open else words["closed"],
            age=format_duration(result.age_s),
            model=escape(signal.model_version),
        )
    )
    return _bullets(lines)


def _driver(driver: SignalDriver, words: Words) -> str:
    """Return an input of the model in plain words; one without words keeps its name, as code."""
    names, spans = words["features"], _SPANS.search(driver.feature)
    stem, bars = (driver.feature, "") if spans is None else (driver.feature[: spans.start()], spans[1])
    name = names.get(driver.feature) or names.get(stem, f"`{driver.feature}`").format(bars=bars)
    return str(words["push"]["for" if driver.contribution >= 0 else "against"].format(feature=name))


def _phase(result: SignalResult, words: Words, language: Language) -> str:
    evidence = result.signal.phase
    text = str(
        words["signal"]["phase"].format(
            phase=words["phase"][evidence.phase.value], score=format_float(evidence.score, language)
        )
    )
    if evidence.swept_level is not None:
        text += " " + words["signal"]["swept"].format(
            level=format_price(evidence.swept_level, language, result.signal.symbol)
        )
    return text


def _chart(result: ChartResult, words: Words, language: Language) -> str:
    told = words["chart"]

    def levels(prices: Sequence[float]) -> str:
        return " · ".join(format_price(price, language, result.symbol) for price in prices)

    lines = [
        told["title"].format(
            symbol=_name(result.symbol, words),
            timeframe=result.timeframe,
            close=format_price(result.close, language, result.symbol),
            change=format_percent(result.change_pct, language, signed=True),
        )
        + _simulated(result.is_simulated, words),
        told["trend"].format(
            trend=told["trends"][result.trend],
            strength=format_float(result.trend_strength, language, 0),
            momentum=told["momenta"][result.momentum],
            rsi=format_float(result.rsi, language, 0),
            volatility=told["volatilities"][result.volatility],
            atr=format_percent(result.atr_pct, language),
        ),
    ]
    if result.supports:
        lines.append(told["supports"].format(levels=levels(result.supports)))
    if result.resistances:
        lines.append(told["resistances"].format(levels=levels(result.resistances)))
    if result.patterns:
        lines.append(
            told["patterns"].format(patterns=", ".join(words["patterns"].get(p, f"`{p}`") for p in result.patterns))
        )
    if result.readings:
        readings = ", ".join(
            f"{words['lines'].get(name, name)} {_reading(name, value, result.symbol, language)}"
            for name, value in result.readings.items()
        )
        lines.append(told["readings"].format(readings=readings))
    return _bullets(lines)


def _reading(name: str, value: float, symbol: str, language: Language) -> str:
    """Return an indicator's value: those that run from 0 to 100 are no prices."""
    is_index = name.startswith(("rsi", "adx", "stochastic"))
    return format_float(value, language, 1) if is_index else format_price(value, language, symbol)


def _portfolio(result: PortfolioResult, words: Words, language: Language) -> str:
    told = words["portfolio"]

    def money(value: Decimal) -> str:
        return format_money(value, result.currency, language)

    parts = [
        told["title"].format(
            venue=_venue(result.venue, words),
            market=words["market"].get(result.market, result.market),
            at=format_time(result.at, language),
        )
    ]
    if result.view in ("summary", "positions"):
        parts.append(
            told["summary"].format(
                equity=money(result.equity),
                cash=money(result.cash),
                exposure=money(result.exposure),
                unrealised=money(result.unrealised),
                realised=money(result.realised),
                fees=money(result.fees),
            )
        )
    if result.view == "pnl" or result.period is not None:
        parts.append(
            told["pnl"].format(
                period=told["periods"][result.period or "all"],
                pnl=money(result.pnl),
                pnl_pct=format_percent(result.pnl_pct, language, signed=True),
                realised=money(result.realised),
                fees=money(result.fees),
                unrealised=money(result.unrealised),
            )
        )
    if result.view in ("summary", "positions"):
        parts.append(_positions(result, words, language))
    if result.view == "orders" or (result.view == "summary" and result.orders):
        parts.append(_orders(result, words, language))
    if result.view == "trades" or (result.view == "pnl" and result.trades):
        parts.append(_trades(result, words, language))
    if result.view == "risk":
        parts.append(_limits(result.limits, words, language))
    return "\n\n".join(parts)


def _positions(result: PortfolioResult, words: Words, language: Language) -> str:
    if not result.positions:
        return str(words["portfolio"]["no_positions"])
    rows = [
        (
            position.symbol,
            format_number(position.quantity, language),
            format_price(position.average_price, language, position.symbol),
            format_price(position.mark, language, position.symbol),
            format_money(position.notional, result.currency, language),
            f"{format_money(position.unrealised, result.currency, language)} "
            f"({format_percent(position.unrealised_pct, language, signed=True)})",
            _price_or_none(position.stop_loss, words, language),
            _price_or_none(position.take_profit, words, language),
        )
        for position in result.positions
    ]
    return _table(words["portfolio"]["positions_head"], rows)


def _orders(result: PortfolioResult, words: Words, language: Language) -> str:
    if not result.orders:
        return str(words["portfolio"]["no_orders"])
    rows = [
        (
            order.order_id,
            order.symbol,
            words["side"][order.side],
            format_number(order.quantity, language),
            format_number(order.filled_quantity, language),
            _price_or_none(order.price, words, language),
            words["role"][order.role],
        )
        for order in result.orders
    ]
    return _table(words["portfolio"]["orders_head"], rows)


def _trades(result: PortfolioResult, words: Words, language: Language) -> str:
    if not result.trades:
        period = words["portfolio"]["within"][result.period or "all"]
        return str(words["portfolio"]["no_trades"].format(period=period))
    rows = [
        (
            trade.trade_id,
            format_time(trade.at, language),
            trade.symbol,
            words["side"][trade.side],
            format_number(trade.quantity, language),
            format_price(trade.price, language),
            format_money(trade.fee, result.currency, language),
            format_money(trade.realised, result.currency, language),
        )
        for trade in result.trades
    ]
    return _table(words["portfolio"]["trades_head"], rows)


def _limits(limits: Sequence[LimitCheck], words: Words, language: Language) -> str:
    rows = [
        (
            words["limits"].get(check.name, check.name),
            *(_limit_value(v, check, language) for v in (check.after, check.limit, check.room)),
        )
        for check in limits
    ]
    return _table(words["portfolio"]["limits_head"], rows)


def _limit_line(check: LimitCheck, words: Words, language: Language) -> str:
    values = {name: _limit_value(getattr(check, name), check, language) for name in ("after", "limit", "room")}
    return str(words["card"]["limit"].format(name=words["limits"].get(check.name, check.name), **values))


def _limit_value(value: Decimal, check: LimitCheck, language: Language) -> str:
    match check.unit:
        case "money":
            return format_money(value, "USD", language)
        case "pct":
            return format_percent(value, language, 1)
        case "count":
            return format_number(value, language)


def _ticket(ticket: TicketView, words: Words, language: Language) -> str:
    told = words["ticket"]
    line = _line(ticket, words, language)
    if ticket.state == "pending":
        return _opened(ticket, line, words, language)
    fill = ticket.fill
    price = None if fill is None else fill.average_price
    text = str(
        told[_ending(ticket)].format(
            ticket_id=ticket.ticket_id,
            line=line,
            filled="" if fill is None else format_number(fill.filled_quantity, language),
            price="" if price is None else format_price(price, language, ticket.terms.symbol),
            fee="" if fill is None else format_money(fill.fee, ticket.terms.currency, language),
            order_id="" if fill is None else escape(fill.order_id),
            reasons=_capital(render_reasons(ticket.reasons, language, symbol=ticket.terms.symbol)),
        )
    )
    if ticket.state == "executed" and price is not None:
        text += " " + _slippage(ticket.terms, price, words, language)
    return text


def _ending(ticket: TicketView) -> str:
    """Return how the ticket's end is told: an order can be over without having filled, wholly or at all."""
    fill = ticket.fill
    if ticket.state != "executed" or fill is None or fill.filled_quantity >= ticket.terms.quantity:
        return ticket.state
    return "executed_partly" if fill.filled_quantity > 0 else "executed_nothing"


def _slippage(terms: TicketTerms, price: Decimal, words: Words, language: Language) -> str:
    """Return how the fill compares with the price that the owner approved."""
    worse = (price - terms.expected_price) * (1 if terms.side == "buy" else -1)
    share = format_percent(abs(worse) * _HUNDRED / terms.expected_price, language, 3)
    name = "none" if worse == 0 else "worse" if worse > 0 else "better"
    return str(words["ticket"]["slippage"][name].format(slippage=share))


def _opened(ticket: TicketView, line: str, words: Words, language: Language) -> str:
    told, terms = words["ticket"], ticket.terms
    parts = [
        told["opened"].format(
            line=line,
            ticket_id=ticket.ticket_id,
            notional=format_money(terms.notional, terms.currency, language),
            fee=format_money(terms.fee, terms.currency, language),
        )
    ]
    names = {(True, True): "protection", (True, False): "protection_stop", (False, True): "protection_target"}
    name = names.get((terms.stop_loss is not None, terms.take_profit is not None))
    if name is not None:
        stop, target = (_price_or_none(price, words, language) for price in (terms.stop_loss, terms.take_profit))
        parts.append(told[name].format(stop=stop, target=target))
    if terms.sizing is not None:
        parts.append(_sizing(terms.sizing, words, language))
    return " ".join(parts) + _simulated(terms.is_simulated, words)


def _sizing(sizing: SizingView, words: Words, language: Language) -> str:
    told = words["ticket"]
    bound = sizing.bounded_by
    text = told["sizing_rounded" if bound is None else "sizing_bounded"].format(
        risk_pct=format_percent(sizing.risk_pct, language, None),
        equity=format_money(sizing.equity, "USD", language),
        risk_money=format_money(sizing.risk_money, "USD", language),
        distance=format_price(_short(sizing.stop_distance), language),
        raw=format_number(sizing.raw_quantity, language, 6),
        quantity=format_number(sizing.quantity, language),
        limit="" if bound is None else words["limits"].get(bound, bound),
    )
    return str(text + " " + told["stop_from"][sizing.stop_from])


def _line(ticket: TicketView, words: Words, language: Language) -> str:
    terms = ticket.terms
    name = "line" if terms.price is None else "line_price"
    text = str(
        words["ticket"][name].format(
            side=words["side"][terms.side],
            quantity=format_number(terms.quantity, language),
            symbol=_name(terms.symbol, words),
            order_type=words["order_type"][terms.order_type],
            price="" if terms.price is None else format_price(terms.price, language),
        )
    )
    if not terms.is_close:
        return text
    return text + str(words["ticket"]["closes" if terms.position_after == 0 else "reduces"])


def _refused(result: TicketRefused, words: Words, language: Language) -> str:
    text = words["ticket"]["refused"].format(reasons=render_reasons(result.reasons, language, symbol=result.symbol))
    broken = [check for check in result.limits if not check.is_ok]
    return str(text) if not broken else f"{text}\n\n{_limits(broken, words, language)}"


def _orders_cancelled(result: OrdersCancelled, words: Words, language: Language) -> str:
    told = words["cancelled"]
    if not result.orders:
        return str(told["none"])
    outcomes: dict[str, list[str]] = {}
    for order in result.orders:
        text = told["order"].format(
            side=words["side_word"][order.side],
            quantity=format_number(order.quantity, language),
            symbol=_name(order.symbol, words),
            order_id=escape(order.order_id),
        )
        if order.status == "cancelled" and order.filled_quantity > 0:
            text += told["filled"].format(quantity=format_number(order.filled_quantity, language))
        outcomes.setdefault(_CANCELLED.get(order.status, "unsure"), []).append(text)
    return " ".join(told[outcome].format(orders=", ".join(orders)) for outcome, orders in outcomes.items())


def _what(alert: AlertView, language: Language) -> str:
    told = {"value": alert.value, "timeframe": alert.timeframe}
    known = {name: str(value) for name, value in told.items() if value is not None}
    return render_condition({"symbol": alert.symbol, "condition": alert.condition, **known}, language)


def _alert_set(result: AlertSet, words: Words, language: Language) -> str:
    return str(
        words["alert"]["set"].format(
            what=_what(result.alert, language),
            price=format_price(result.price, language, result.alert.symbol),
            alert_id=result.alert.alert_id,
        )
    )


def _alert_list(result: AlertList, words: Words, language: Language) -> str:
    told = words["alert"]
    if not result.alerts:
        return str(told["list_none"])
    items = [
        told["item"].format(alert_id=alert.alert_id, what=_what(alert, language)) + (told["repeats"] * alert.repeats)
        for alert in result.alerts
    ]
    return "\n".join([told["list_title"], *items])


def _alerts_cancelled(result: AlertsCancelled, words: Words, language: Language) -> str:
    told = words["alert"]
    if not result.alerts:
        return str(told["cancelled_none"])
    return str(
        told["cancelled"].format(
            alerts="; ".join(
                told["inline"].format(alert_id=escape(alert.alert_id), what=_what(alert, language))
                for alert in result.alerts
            )
        )
    )


def _profile(result: ProfileResult, words: Words, language: Language) -> str:
    told = words["profile"]
    return str(
        told["changed"].format(
            language=told["languages"][result.language],
            risk=format_percent(result.risk_per_trade_pct, language, None),
            currency=result.base_currency,
            favourites=", ".join(result.favourites) or words["none"],
            name=words["none"] if result.name is None else escape(result.name),
        )
    )


def _backtest(result: BacktestResult, words: Words, language: Language) -> str:
    told = words["backtest"]

    def percent(value: float | None, places: int = 1) -> str:
        return str(words["none"]) if value is None else format_percent(value, language, places, signed=True)

    def share(value: float | None, places: int = 0) -> str:
        return str(words["none"]) if value is None else format_percent(value, language, places)

    title = told["title"].format(
        target=target_told(result.target, language),
        symbols=", ".join(_name(symbol, words) for symbol in result.symbols),
        timeframe=result.timeframe,
        start=_date(result.start, language),
        end=_date(result.end, language),
        days=result.days,
        market=words["market"].get(result.market, escape(result.market)),
    ) + _simulated(result.is_simulated, words)
    is_silent = result.learned_bars is not None and result.verdict == "no_trades"
    lines = [title, told["verdicts"]["no_signals" if is_silent else result.verdict]]
    if is_silent:
        lines.append(told["held_alone"].format(held=percent(result.held_pct), fall=share(result.held_drawdown_pct, 1)))
    if result.trades:
        lines += [
            told["returns"].format(
                own=percent(result.return_pct), held=percent(result.held_pct), random=percent(result.random_pct)
            ),
            told["luck"].format(as_good=share(100 * result.random_as_good)),
            told["costs"].format(doubled=percent(result.costs_doubled_pct)),
            told["risk"].format(own=share(result.max_drawdown_pct, 1), held=share(result.held_drawdown_pct, 1)),
            told["trades"].format(trades=result.trades, win_rate=share(result.win_rate_pct)),
            told["sharpe"].format(
                sharpe=words["none"] if result.sharpe is None else format_float(result.sharpe, language),
                real=share(None if result.deflated_sharpe is None else 100 * result.deflated_sharpe),
                trials=told["first_trial" if result.trials == 1 else "trials"].format(trials=result.trials),
            ),
        ]
    lines += _backtest_notes(result, told, language)
    return _bullets(lines) + "\n\n" + str(told["caution"])


def target_told(target: str, language: Language) -> str:
    """Return what was backtested as people call it; an owner's own agent by its name."""
    return str(load_words(language, "answers")["backtest"]["targets"].get(target, agent_name(target)))


def _backtest_notes(result: BacktestResult, told: Words, language: Language) -> list[str]:
    """Return what was assumed, and what differs from what was asked."""

    def names(strategies: Sequence[str]) -> str:
        return ", ".join(told["targets"][name] for name in strategies)

    notes = []
    if result.learned_bars is not None:
        notes.append(told["foretold"].format(learned=format_number(Decimal(result.learned_bars), language)))
    if len(result.strategies) > 1:
        notes.append(told["equal_parts"].format(strategies=names(result.strategies)))
    if result.left_out:
        notes.append(told["left_out"].format(strategies=names(result.left_out)))
    if result.shortened_by is not None:
        notes.append(told["shortened"][result.shortened_by].format(asked=result.days_asked, days=result.days))
    notes.append(told["assumed_long" if result.is_long_only else "assumed"])
    return notes


def _date(at: datetime, language: Language) -> str:
    return at.strftime("%Y-%m-%d" if language == "en" else "%d/%m/%Y")


def _unavailable(result: Unavailable, words: Words, language: Language) -> str:
    return render_code(result.code, result.params, language)


def _simulated(is_simulated: bool, words: Words) -> str:
    return f" · _{words['simulated_mark']}_" if is_simulated else ""


def _name(symbol: str, words: Words) -> str:
    """Return an instrument as people call it, with its symbol."""
    return f"{words['names'][symbol]} ({symbol})" if symbol in words["names"] else symbol


def _venue(venue: str, words: Words) -> str:
    return str(words["venue"].get(venue, escape(venue)))


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _price_or_none(price: Decimal | None, words: Words, language: Language) -> str:
    return str(words["none"]) if price is None else format_price(price, language)


def _short(price: Decimal) -> Decimal:
    """Return a derived price (an average, a middle) with the places that a reader can use."""
    places = 2 if abs(price) >= _HUNDRED else 5
    return round(price, places) if -int(price.as_tuple().exponent) > places else price


def _bullets(lines: Sequence[str]) -> str:
    title, *points = lines
    return "\n".join([title, "", *(f"- {point}" for point in points)])


def _table(head: str, rows: Sequence[Sequence[str]]) -> str:
    columns = head.count("|") - 1
    return "\n".join([head, "|" + "---|" * columns, *("| " + " | ".join(row) + " |" for row in rows)])


_RENDERERS: dict[str, Callable[[Any, Words, Language], str]] = {
    "signal": _signal,
    "chart": _chart,
    "portfolio": _portfolio,
    "ticket": _ticket,
    "ticket_refused": _refused,
    "orders_cancelled": _orders_cancelled,
    "alert_set": _alert_set,
    "alert_list": _alert_list,
    "alerts_cancelled": _alerts_cancelled,
    "profile": _profile,
    "backtest": _backtest,
    **AGENT_RENDERERS,
    "unavailable": _unavailable,
}
