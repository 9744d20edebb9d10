"""Answer "why?" from records: the chain from a wish to its result, in stable codes and figures.

Pure: a decision, the exits decided later, and the facts go in, in any order. Nothing is worked out again that was
recorded; a link that is missing in the records is missing in the chain.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from agents.journal.values import (
    Decision,
    Explanation,
    Fact,
    FactKind,
    Inputs,
    RoundTrip,
    Step,
    Verdict,
    WishKind,
    WishNote,
)
from engine.domain.symbols import TIMEFRAME_S, find_timeframe

_CHART_BARS = 40
"""Bars that a picture shows before the first and after the last moment of a chain."""
_ORDER_OF_FACTS = {kind: number for number, kind in enumerate(FactKind)}


def explain_chain(entry: Decision, later: Iterable[Decision], facts: Sequence[Fact]) -> Explanation:
    """Return the explanation of one decision.

    Args:
        entry: The decision that began it; for an exit without a known entry, the exit itself.
        later: Exits and changes of protection decided for it.
        facts: What followed.
    """
    steps = [*_decision_steps(entry)]
    moved = [(each.at, 0, step) for each in later for step in _later_steps(each)]
    moved += [(each.at, 1 + _ORDER_OF_FACTS[each.kind], _fact_step(each)) for each in facts]
    steps += [step for _, _, step in sorted(moved, key=lambda each: each[:2])]
    result = next((read_result(each) for each in facts if each.kind is FactKind.RESULT), None)
    ends = [step.at for step in steps]
    margin = timedelta(seconds=_CHART_BARS * TIMEFRAME_S[find_timeframe(entry.timeframe) or "1h"])
    return Explanation(
        entry.source,
        entry.agent,
        entry.strategy,
        entry.symbol,
        entry.timeframe,
        entry.wish.side,
        entry.verdict,
        tuple(steps),
        result,
        is_open=_is_open(entry, facts),
        chart_from=min([entry.closed_at, *ends]) - margin,
        chart_to=max(ends) + margin,
    )


def result_fact(trip: RoundTrip) -> Fact:
    """Return the fact that a round trip is over."""
    codes = {name: getattr(trip, name) for name in ("strategy", "tag", "side", "exit_reason")}
    figures: dict[str, Decimal] = {
        each.name: value for each in fields(trip) if isinstance(value := getattr(trip, each.name), Decimal)
    }
    codes["entered_at"], codes["exited_at"] = trip.entered_at.isoformat(), trip.exited_at.isoformat()
    return Fact(trip.source, FactKind.RESULT, "", trip.agent, trip.symbol, trip.exited_at, codes=codes, figures=figures)


def read_result(fact: Fact) -> RoundTrip:
    """Return the round trip that a fact tells."""
    codes, figures = fact.codes, fact.figures
    return RoundTrip(
        fact.source,
        fact.agent,
        codes["strategy"],
        fact.symbol,
        codes["tag"],
        codes["side"],
        figures["quantity"],
        figures["entry_price"],
        figures["exit_price"],
        figures["fees"],
        figures["realised"],
        figures["realised_pct"],
        figures.get("r_multiple"),
        codes["exit_reason"],
        datetime.fromisoformat(codes["entered_at"]),
        datetime.fromisoformat(codes["exited_at"]),
    )


def _decision_steps(decision: Decision) -> Iterable[Step]:
    at = decision.at
    yield Step("inputs", decision.closed_at, _input_codes(decision), _input_figures(decision.inputs))
    yield Step("wish", at, _wish_codes(decision), _numbers(decision.wish))
    if decision.signal is not None:
        signal = decision.signal
        names = ("effect", "model_version", "direction", "phase", "bar_at")
        codes = {name: value for name in names if (value := getattr(signal, name))}
        yield Step("signal", at, codes, _numbers(signal))
    if decision.quantity:
        sizes = {"share": decision.share, "quantity": decision.quantity, "notional": decision.notional}
        yield Step("size", at, {}, {**sizes, **decision.prices})
    for limit in decision.limits:
        codes = {"name": limit.name, "unit": limit.unit, "ok": "yes" if limit.is_ok else "no"}
        yield Step("limit", at, codes, {"limit": limit.limit, "before": limit.before, "after": limit.after})
    if decision.permission:
        codes = {"answer": decision.permission, "mandate": decision.mandate_id}
        yield Step("permission", at, {key: value for key, value in codes.items() if value})
    yield Step("verdict", at, {"verdict": decision.verdict.value, "reasons": ",".join(decision.reasons)})


def _later_steps(decision: Decision) -> Iterable[Step]:
    if decision.wish.kind is WishKind.ENTER:
        return
    codes = {"reasons": ",".join(decision.reasons), "verdict": decision.verdict.value, "strategy": decision.strategy}
    figures = {**_input_figures(decision.inputs), **decision.prices}
    yield Step(decision.wish.kind.value, decision.at, codes, figures)


def _fact_step(fact: Fact) -> Step:
    codes = {**fact.codes}
    if fact.order_id:
        codes["order_id"] = fact.order_id
    if fact.side:
        codes["side"] = fact.side
    figures: dict[str, Decimal | float] = {**fact.figures}
    if fact.trade:
        figures["trade"] = Decimal(fact.trade)
    return Step(fact.kind.value, fact.at, codes, figures)


def _input_codes(decision: Decision) -> Mapping[str, str]:
    inputs = decision.inputs
    codes = {
        "strategy": decision.strategy,
        "strategy_version": decision.strategy_version,
        "parameters_hash": decision.parameters_hash,
        "timeframe": decision.timeframe,
        "bars_hash": inputs.bars_hash,
    }
    if inputs.last_bar_at is not None:
        codes["last_bar_at"] = inputs.last_bar_at.isoformat()
    return codes


def _wish_codes(decision: Decision) -> Mapping[str, str]:
    wish = decision.wish
    codes = {"kind": wish.kind.value, "side": wish.side, "order_type": wish.order_type, "tag": decision.tag}
    return {key: value for key, value in codes.items() if value}


def _input_figures(inputs: Inputs) -> dict[str, Decimal | float]:
    return {**_numbers(inputs), **inputs.figures}


def _numbers(note: Inputs | WishNote | Any) -> dict[str, Decimal | float]:
    """Return the numeric fields of a note that say something."""
    found = {}
    for each in fields(note):
        value = getattr(note, each.name)
        if isinstance(value, Decimal | float | int) and not isinstance(value, bool) and value != 0:
            found[each.name] = value
    return found


def _is_open(entry: Decision, facts: Sequence[Fact]) -> bool:
    if entry.verdict is Verdict.REFUSED:
        return False
    return not any(each.kind in (FactKind.RESULT, FactKind.VOID) for each in facts)
