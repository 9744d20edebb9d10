"""What the ML signal does to an entry, by the agent's own filter. Pure.

A signal speaks for the side of its better trade, whether or not that trade has an edge; it *advises* a side only when
it has one. `filter` refuses what goes against advice, and with thresholds also what is not good enough. `weight` makes
an entry smaller the less speaks for it. Phases count in both.
"""

from __future__ import annotations

from decimal import ROUND_DOWN, Decimal
from typing import assert_never

from agents.journal.values import SignalNote
from agents.profiles import SignalFilter, SignalMode
from engine.domain.orders import Side
from engine.domain.signals import Direction, Signal

_ONE, _NONE = Decimal(1), Decimal(0)
_STEP = Decimal("0.0001")
"""Grid of a factor: what a probability is good for."""


def judge_signal(rules: SignalFilter, signal: Signal | None, side: Side) -> SignalNote:
    """Return what a signal says of an entry and what share of the size it leaves; 0 refuses it.

    Args:
        rules: The agent's filter.
        signal: None when there is none.
        side: Of the entry.
    """
    if rules.mode is SignalMode.OFF:
        return SignalNote("off")
    if signal is None:
        return SignalNote("signal_missing", _ONE if rules.when_missing == "pass" else _NONE)
    if signal.phase.phase not in rules.phases:
        return _note(signal, "signal_phase", _NONE)
    match rules.mode:
        case SignalMode.FILTER:
            refusal = _refusal(rules, signal, side)
            return _note(signal, refusal or "passed", _NONE if refusal else _ONE)
        case SignalMode.WEIGHT:
            return _note(signal, "weighted", _weight(rules, signal, side))
        case _:
            assert_never(rules.mode)


def better_side(signal: Signal) -> Side:
    """Return the side whose trade the signal's figures are about."""
    return Side.BUY if signal.target >= signal.entry else Side.SELL


def _refusal(rules: SignalFilter, signal: Signal, side: Side) -> str:
    advised = {Direction.LONG: Side.BUY, Direction.SHORT: Side.SELL}.get(signal.direction)
    is_bound = rules.min_probability is not None or rules.min_expected_value is not None
    if advised is side.opposite or (is_bound and better_side(signal) is not side):
        return "signal_side"
    if rules.min_probability is not None and signal.probability < rules.min_probability:
        return "signal_probability"
    if rules.min_expected_value is not None and signal.expected_value_ratio < rules.min_expected_value:
        return "signal_value"
    return ""


def _weight(rules: SignalFilter, signal: Signal, side: Side) -> Decimal:
    """Return the share of the size: all of it at the full probability, the least at break-even and below."""
    if better_side(signal) is not side:
        return rules.least_weight
    above = signal.probability - signal.breakeven_probability
    room = float(rules.full_probability) - signal.breakeven_probability
    reached = 1.0 if room <= 0 else min(max(above / room, 0.0), 1.0)
    share = rules.least_weight + (_ONE - rules.least_weight) * Decimal(repr(reached))
    return share.quantize(_STEP, ROUND_DOWN)


def _note(signal: Signal, effect: str, factor: Decimal) -> SignalNote:
    return SignalNote(
        effect,
        factor,
        signal.model_version,
        signal.direction.value,
        signal.probability,
        signal.breakeven_probability,
        signal.expected_value_ratio,
        signal.phase.phase.value,
        signal.bar_at.isoformat(),
    )
