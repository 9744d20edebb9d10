"""Whose fill it was: from the fills of a book to its legs. Pure, and the same whenever it is done again.

An entry, its protection and its closing orders carry ids that lead to one leg. A fill under any other id closed
something from outside (a person, a halt): it is taken off the oldest legs that it can have closed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from agents.execution.desk import client_order_id
from agents.execution.values import SettledFill
from agents.fleet.values import ZERO, Leg
from agents.journal.values import Fact, FactKind
from engine.ledger import exact_product, exact_sum

ENTRY, STOP, TARGET, EXIT, OUTSIDE = "entry", "stop", "target", "exit", "outside"
_CHILD = re.compile(r"^(?P<entry>.+)-(?P<role>sl|tp)\d*$")
_ROLES = {"sl": STOP, "tp": TARGET}


@dataclass(frozen=True, slots=True)
class Attributed:
    """Legs after some fills, and the facts that tell it."""

    legs: tuple[Leg, ...]
    facts: tuple[Fact, ...]


@dataclass(frozen=True, slots=True)
class _Part:
    source: str
    role: str
    quantity: Decimal


def attribute(legs: Sequence[Leg], fills: Iterable[SettledFill]) -> Attributed:
    """Return the legs after some fills, oldest fill first.

    Args:
        legs: All that are not final, oldest first.
        fills: New ones of the agent's book, in any order.
    """
    known = {leg.source: leg for leg in legs}
    facts: list[Fact] = []
    for settled in sorted(fills, key=lambda each: each.number):
        for part in _parts(settled, known):
            leg = known[part.source]
            known[part.source] = _after(leg, settled, part)
            facts.append(_fact(leg, settled, part))
    return Attributed(tuple(known.values()), tuple(facts))


def order_ids(leg: Leg) -> tuple[str, ...]:
    """Return the ids of a leg's own orders: its entry and every closing order."""
    return (leg.order_id, *(client_order_id(f"{leg.source}/exit/{number}") for number in range(1, leg.exits + 1)))


def _parts(settled: SettledFill, legs: Mapping[str, Leg]) -> list[_Part]:
    fill = settled.fill
    child = _CHILD.match(fill.client_order_id)
    for leg in legs.values():
        if fill.client_order_id == leg.order_id:
            return [_Part(leg.source, ENTRY, fill.quantity)]
        if child is not None and child["entry"] == leg.order_id:
            return [_Part(leg.source, _ROLES[child["role"]], fill.quantity)]
        if leg.exits and fill.client_order_id in order_ids(leg)[1:]:
            return [_Part(leg.source, EXIT, fill.quantity)]
    return _outside(settled, legs)


def _outside(settled: SettledFill, legs: Mapping[str, Leg]) -> list[_Part]:
    fill, left, parts = settled.fill, settled.fill.quantity, []
    for leg in sorted(legs.values(), key=lambda each: (each.decided_at, each.source)):
        part = min(left, leg.held)
        if leg.symbol == fill.symbol and leg.side is not fill.side and part > 0:
            parts.append(_Part(leg.source, OUTSIDE, part))
            left -= part
    return parts


def _after(leg: Leg, settled: SettledFill, part: _Part) -> Leg:
    fill = settled.fill
    fees = exact_sum((leg.fees, _share(fill.fee, part.quantity, fill.quantity)))
    if part.role == ENTRY:
        # A fee taken in what was bought leaves less to hold; its worth is among the fees, not in the price.
        in_kind = fill.fee_quantity if fill.fee_asset == leg.symbol.partition("/")[0] else ZERO
        kept = part.quantity - in_kind
        return replace(
            leg,
            filled=exact_sum((leg.filled, part.quantity)),
            entered_quantity=exact_sum((leg.entered_quantity, kept)),
            entered_notional=exact_sum((leg.entered_notional, exact_product(kept, fill.price))),
            fees=fees,
            entered_at=leg.entered_at or fill.at,
        )
    return replace(
        leg,
        exited_quantity=exact_sum((leg.exited_quantity, part.quantity)),
        exited_notional=exact_sum((leg.exited_notional, exact_product(part.quantity, fill.price))),
        fees=fees,
        exited_at=fill.at,
        last_exit=part.role,
    )


def _share(fee: Decimal, part: Decimal, whole: Decimal) -> Decimal:
    return fee if part == whole else fee * part / whole


def _fact(leg: Leg, settled: SettledFill, part: _Part) -> Fact:
    fill = settled.fill
    return Fact(
        leg.source,
        FactKind.FILL,
        str(settled.number),
        leg.agent,
        leg.symbol,
        fill.at,
        fill.client_order_id,
        settled.number,
        fill.side.value,
        {"role": part.role, "reason": leg.exit_reason if part.role == EXIT else ""},
        {"quantity": part.quantity, "price": fill.price, "fee": _share(fill.fee, part.quantity, fill.quantity)},
    )
