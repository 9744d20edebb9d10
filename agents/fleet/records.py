"""Make the records of decisions from what they rested on. Pure."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from math import isfinite

from agents.execution.values import Execution
from agents.fleet.clockwork import bars_held
from agents.fleet.situation import Situation
from agents.fleet.values import ZERO, Leg, LegState, Wish, leg_source
from agents.journal.explanation import result_fact
from agents.journal.values import (
    Decision,
    Fact,
    FactKind,
    Inputs,
    LimitNote,
    RoundTrip,
    Verdict,
    WishKind,
    WishNote,
)
from agents.risk.values import LimitCheck
from engine.domain.market import Bars, utc_from_seconds
from engine.domain.orders import OrderRequest
from engine.domain.strategies import Enter, Exit, Protect
from engine.ledger import exact_sum

_RATIO_STEP = Decimal("0.00000001")
_HUNDRED = Decimal(100)


def decide_record(
    situation: Situation, wish: Wish, verdict: Verdict, reasons: tuple[str, ...], leg: Leg | None
) -> Decision:
    """Return the record of one wish.

    Args:
        situation: The moment.
        wish: What was wanted.
        verdict: What became of it.
        reasons: Stable codes.
        leg: What stood in the slot, or the new entry.
    """
    card = situation.cards[wish.strategy]
    source = leg_source(situation.agent, wish.slot, situation.closed_at)
    is_entry = isinstance(wish.intent, Enter)
    return Decision(
        source if is_entry else f"{source}#{note_wish(wish).kind.value}",
        source if is_entry or leg is None else leg.source,
        situation.agent,
        wish.strategy,
        card.version,
        card.parameters_hash,
        wish.intent.symbol,
        wish.intent.tag,
        wish.timeframe,
        situation.closed_at,
        situation.at,
        verdict,
        reasons,
        note_wish(wish),
        note_inputs(situation, wish.bars, leg if leg is not None and leg.held else None, wish.strategy),
        venue=situation.venue,
    )


def time_record(situation: Situation, leg: Leg, reason: str) -> Decision:
    """Return the record that a leg is closed by a rule of the agent, not by a wish of its strategy."""
    card = situation.cards.get(leg.strategy)
    return Decision(
        f"{leg_source(situation.agent, leg.slot, situation.closed_at)}#{reason}",
        leg.source,
        situation.agent,
        leg.strategy,
        card.version if card else "",
        card.parameters_hash if card else "",
        leg.symbol,
        leg.tag,
        leg.timeframe,
        situation.closed_at,
        situation.at,
        Verdict.TAKEN,
        (reason,),
        WishNote(WishKind.EXIT, leg.side.opposite.value, "market"),
        note_inputs(situation, situation.bars.get(leg.symbol), leg, leg.strategy),
        venue=situation.venue,
    )


def note_wish(wish: Wish) -> WishNote:
    """Return what a strategy asked for."""
    intent = wish.intent
    if isinstance(intent, Exit):
        return WishNote(WishKind.EXIT)
    if isinstance(intent, Protect):
        return WishNote(WishKind.PROTECT, stop=intent.stop, target=intent.target)
    return WishNote(
        WishKind.ENTER,
        intent.side.value,
        intent.order_type.value,
        intent.price,
        intent.stop,
        intent.target,
        intent.size_bps,
        intent.valid_bars,
        intent.max_bars,
    )


def note_inputs(situation: Situation, bars: Bars | None, held: Leg | None, strategy: str) -> Inputs:
    """Return what was seen."""
    seen = Inputs(equity=situation.book.equity, cash=situation.book.cash)
    if bars is not None and len(bars):
        figures = situation.figures.get((strategy, bars.symbol), {})
        seen = replace(
            seen,
            bars=len(bars),
            first_bar_at=utc_from_seconds(int(bars.time[0])),
            last_bar_at=utc_from_seconds(int(bars.time[-1])),
            close=float(bars.close[-1]),
            bars_hash=hash_bars(bars),
            figures={name: value for name, value in figures.items() if isfinite(value)},
        )
    if held is None:
        return seen
    return replace(
        seen,
        held_side=held.side.sign,
        held_quantity=held.held,
        entry_price=None if held.entry_price is None else float(held.entry_price),
        bars_held=bars_held(held, situation.bars.get(held.symbol), situation.closed_at),
    )


def note_limit(check: LimitCheck) -> LimitNote:
    """Return one limit of the risk gate."""
    return LimitNote(check.name, check.unit, check.limit, check.before, check.after, check.is_ok)


def hash_bars(bars: Bars) -> str:
    """Return a short hash of bars' times and prices."""
    digest = hashlib.sha256(bars.time.tobytes())
    for column in (bars.open, bars.high, bars.low, bars.close, bars.volume):
        digest.update(column.tobytes())
    return digest.hexdigest()[:16]


def price_figures(request: OrderRequest) -> dict[str, Decimal]:
    """Return the prices of an order by name."""
    pairs = (("price", request.price), ("stop", request.stop_loss), ("target", request.take_profit))
    return {name: value for name, value in pairs if value is not None}


def order_fact(leg: Leg, execution: Execution, *, is_exit: bool) -> Fact:
    """Return the fact that an order reached a state."""
    request, order = execution.intent.request, execution.order
    figures = {"quantity": request.quantity, **price_figures(request)}
    if order is not None:
        figures["filled"] = order.filled_quantity
    codes = {
        "state": execution.state.value,
        "status": "" if order is None else order.status.value,
        "venue_order_id": "" if order is None else order.venue_order_id,
        "reasons": ",".join(execution.reasons),
        "reason": leg.exit_reason if is_exit else leg.cancel_reason,
    }
    return Fact(
        leg.source,
        FactKind.EXIT_ORDER if is_exit else FactKind.ORDER,
        f"{request.client_order_id}/{codes['state']}/{codes['status']}",
        leg.agent,
        leg.symbol,
        execution.updated_at,
        request.client_order_id,
        codes={key: value for key, value in codes.items() if value},
        figures=figures,
    )


def end_fact(leg: Leg, at: datetime) -> Fact:
    """Return the fact that a final leg has ended: its result, or that nothing ever filled, as was seen at a time."""
    if leg.state is LegState.CLOSED:
        return result_fact(round_trip(leg))
    return Fact(
        leg.source,
        FactKind.VOID,
        "",
        leg.agent,
        leg.symbol,
        at,
        leg.order_id,
        codes={"reason": leg.cancel_reason or leg.exit_reason},
    )


def round_trip(leg: Leg) -> RoundTrip:
    """Return the result of a closed leg; what is left below a lot counts as kept at its entry price."""
    assert leg.entered_at is not None, "a closed leg was entered"
    assert leg.exited_at is not None, "a closed leg was left"
    entry_price = leg.entered_notional / leg.entered_quantity
    cost = entry_price * leg.exited_quantity if leg.held else leg.entered_notional
    gross = (leg.exited_notional - cost) * leg.side.sign
    realised = exact_sum((gross, leg.fees.copy_negate()))
    stop = leg.request.stop_loss
    risk = None if stop is None else abs(entry_price - stop) * leg.exited_quantity
    return RoundTrip(
        leg.source,
        leg.agent,
        leg.strategy,
        leg.symbol,
        leg.tag,
        leg.side.value,
        leg.exited_quantity,
        entry_price,
        leg.exited_notional / leg.exited_quantity,
        leg.fees,
        realised,
        (realised / cost * _HUNDRED).quantize(_RATIO_STEP) if cost else ZERO,
        (realised / risk).quantize(_RATIO_STEP) if risk else None,
        leg.exit_reason if leg.exit_reason and leg.last_exit in ("exit", "outside") else leg.last_exit,
        leg.entered_at,
        leg.exited_at,
    )
