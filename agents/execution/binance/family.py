"""What an entry's protection needs next: a pure decision from what is known of the entry, its children and its legs.

One entry, its protective children and all that stands for them at the venue are a *family*. The rules:

- What is held of an entry, down to the lot, is covered by legs at the prices that are wanted now; a leg counts once
  the venue told of it, and it must be read back.
- New fills get a list of their own where the venue allows it, so that nothing that is covered is uncovered; where the
  piece is too small or the lists are too many, all are taken away and placed again as one.
- What cannot be covered and confirmed in time is closed at the market; the rest of its entry is cancelled first.
- A stop that was reached ends the rest of its entry. When nothing is held, nothing is left standing.
- While a request is in doubt its outcome is asked for, and nothing else is sent for the same quantity until the
  venue would no longer take it, or the time is up.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from agents.execution.binance.rules import Rules
from agents.execution.binance.values import Leg, Position, Role, Tracked
from engine.domain.orders import OrderType

PROTECT_WITHIN = timedelta(seconds=5)
"""Bound between a fill and confirmed protection, or the close."""
EXIT_AFTER = timedelta(seconds=2.5)
"""After the fill the close begins, so that it ends within the bound."""
GRACE = timedelta(seconds=1.2)
"""So long after a fill was noticed its protection is tried first, however long ago the fill was."""
ZERO = Decimal(0)


class Do(StrEnum):
    """What to do next for a family."""

    NOTHING = "nothing"
    RESOLVE = "resolve"
    """Ask for a leg in doubt."""
    CONFIRM = "confirm"
    """Read a leg back."""
    CANCEL = "cancel"
    """Cancel a leg (and its partner)."""
    PLACE = "place"
    """Place protection for a quantity."""
    EXIT = "exit"
    """Close a quantity at the market."""
    WAIT = "wait"
    """Nothing can be sent now; look again soon."""


@dataclass(frozen=True, slots=True)
class Step:
    """The next thing to do.

    Attributes:
        reason: Written to the leg that is cancelled.
    """

    do: Do
    leg: Leg | None = None
    quantity: Decimal = ZERO
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Family:
    """An entry and all that protects it.

    Attributes:
        legs: The entry's own first, then of its children, oldest first.
    """

    entry: Tracked
    children: tuple[Tracked, ...]
    legs: tuple[Leg, ...]
    position: Position
    rules: Rules

    @property
    def stop(self) -> Tracked | None:
        """Return the child whose stop is wanted now."""
        return self._wanted(OrderType.STOP)

    @property
    def target(self) -> Tracked | None:
        """Return the child whose target is wanted now."""
        return self._wanted(OrderType.LIMIT)

    @property
    def own(self) -> Leg | None:
        """Return the entry's own leg."""
        return next((leg for leg in self.legs if leg.role is Role.ENTRY), None)

    @property
    def protecting(self) -> tuple[Leg, ...]:
        """Return the legs that protect, or close what could not be protected."""
        return tuple(leg for leg in self.legs if leg.role is not Role.ENTRY)

    @property
    def held(self) -> Decimal:
        """Return what is held, down to the lot."""
        return self.rules.instrument.round_quantity(self.position.held)

    @property
    def dust(self) -> Decimal:
        """Return what is held beyond the lot, which no order can take."""
        return self.position.held - self.held

    @property
    def leader(self) -> Role:
        """Return which role covers: the stop, or the target of a position without one."""
        return Role.STOP if self.stop is not None else Role.TARGET

    def is_wanted(self, leg: Leg) -> bool:
        """Return whether a protecting leg is what should stand now."""
        child = self.stop if leg.role is Role.STOP else self.target if leg.role is Role.TARGET else None
        if child is None or child.request.client_order_id != leg.client_order_id or child.request.price != leg.price:
            return False
        if leg.list_id is None:
            return True
        return self.stop is not None and self.target is not None

    def covered(self, *, confirmed: bool = False) -> Decimal:
        """Return how much is covered by wanted legs; only by those that were read back when asked so."""
        good = [leg for leg in self.protecting if leg.role is self.leader and leg.is_live and self.is_wanted(leg)]
        return sum((leg.left for leg in good if leg.is_confirmed or not confirmed), ZERO)

    def _wanted(self, kind: OrderType) -> Tracked | None:
        found = [each for each in self.children if each.is_current and each.request.order_type is kind]
        return found[-1] if found else None


def next_step(family: Family, now: datetime, noticed_at: datetime, *, pairs: bool, algo_orders: int) -> Step:
    """Return what to do next.

    Args:
        family: As last known.
        now: The venue's present.
        noticed_at: Since when we know that something of it is uncovered.
        pairs: Whether stop and target stand as one list, and lock what they would sell.
        algo_orders: Stops that rest in the symbol now, this family's included.
    """
    doubtful = [leg for leg in family.legs if leg.is_doubtful]
    if doubtful and doubtful[0].role in (Role.ENTRY, Role.EXIT):
        return Step(Do.RESOLVE, doubtful[0])
    wants = family.stop is not None or family.target is not None
    if family.held <= 0 or not wants:
        return _stand_down(family, doubtful)
    if _is_stopped(family):
        return Step(Do.CANCEL, family.own, reason="stop_triggered")
    is_late = _is_late(family, now, noticed_at)
    if doubtful and not is_late:
        return Step(Do.RESOLVE, doubtful[0])
    misfit = _misfit(family, pairs=pairs)
    if misfit is not None:
        return Step(Do.CANCEL, misfit, reason="replaced")
    if is_late:
        return _close(family, doubtful)
    return _cover(family, pairs=pairs, algo_orders=algo_orders)


def can_stand(family: Family, quantity: Decimal) -> bool:
    """Return whether the venue takes an order for a quantity at the family's lowest price."""
    instrument = family.rules.instrument
    prices = [each.request.price for each in (family.stop, family.target) if each is not None and each.request.price]
    worth = quantity * min(prices, default=ZERO)
    return quantity >= instrument.min_quantity and (instrument.is_shortable or worth >= instrument.min_notional)


def _stand_down(family: Family, doubtful: list[Leg]) -> Step:
    if doubtful:
        return Step(Do.RESOLVE, doubtful[0])
    live = next((leg for leg in family.protecting if leg.is_live), None)
    return Step(Do.NOTHING) if live is None else Step(Do.CANCEL, live, reason=_ending(family))


def _ending(family: Family) -> str:
    if any(leg.filled_quantity > 0 for leg in family.protecting):
        return "other_filled"
    return "position_closed" if family.position.received > 0 else "parent_cancelled"


def _is_stopped(family: Family) -> bool:
    """Return whether a stop was reached (or a close was needed) while the entry still works."""
    own = family.own
    if own is None or not own.is_live:
        return False
    return any(leg.filled_quantity > 0 for leg in family.protecting if leg.role in (Role.STOP, Role.EXIT))


def _is_late(family: Family, now: datetime, noticed_at: datetime) -> bool:
    """Return whether something is neither covered nor confirmed although its time is up; only a stop is that urgent."""
    if family.stop is None or not can_stand(family, family.held):
        return False
    since = family.position.uncovered_since(family.covered(confirmed=True) + family.dust)
    return since is not None and now - since >= EXIT_AFTER and now - noticed_at >= GRACE


def _misfit(family: Family, *, pairs: bool) -> Leg | None:
    """Return a live leg that should not stand.

    Where quantity is locked it must go first; elsewhere the new one is placed first.
    """
    live = [leg for leg in family.protecting if leg.is_live and leg.role is not Role.EXIT]
    wrong = next((leg for leg in live if not family.is_wanted(leg)), None)
    if wrong is not None and (pairs or family.covered() >= family.held):
        return wrong
    if family.covered() > family.held:
        return next(leg for leg in live if leg.role is family.leader and family.is_wanted(leg))
    if pairs and wrong is None:
        return _lonely(family, live)
    return None


def _lonely(family: Family, live: list[Leg]) -> Leg | None:
    """Return a target that stands without its stop: the venue ends the stop of a list whose target filled in part."""
    if family.stop is None or family.target is None:
        return None
    paired = {leg.list_id for leg in live if leg.role is Role.STOP and leg.list_id is not None}
    return next((leg for leg in live if leg.role is Role.TARGET and leg.list_id not in paired), None) or next(
        (leg for leg in live if leg.list_id is None), None
    )


def _close(family: Family, doubtful: list[Leg]) -> Step:
    """Close what is not covered and confirmed: first the rest of the entry goes, then what may stand in the way."""
    if family.own is not None and family.own.is_live:
        return Step(Do.CANCEL, family.own, reason="unprotected")
    weak = next((leg for leg in family.protecting if leg.is_live and not leg.is_confirmed), None)
    if weak is not None:
        return Step(Do.CANCEL, weak, reason="unconfirmed")
    quantity = family.held - family.covered(confirmed=True)
    if quantity <= 0:
        return Step(Do.WAIT)
    if not can_stand(family, quantity) and family.covered() > 0:
        standing = next(leg for leg in family.protecting if leg.is_live)
        return Step(Do.CANCEL, standing, reason="unprotected")
    return Step(Do.EXIT, doubtful[0] if doubtful else None, quantity)


def _cover(family: Family, *, pairs: bool, algo_orders: int) -> Step:
    """Cover what is not covered yet, then read back what is."""
    missing = family.held - family.covered()
    if missing > 0:
        live = [leg for leg in family.protecting if leg.is_live and leg.role is family.leader]
        has_room = algo_orders < family.rules.max_algo_orders - 1 or not live
        if can_stand(family, missing) and has_room:
            return Step(Do.PLACE, quantity=missing)
        if pairs and live and can_stand(family, family.held):
            return Step(Do.CANCEL, live[0], reason="merged")
        if not live or not pairs:
            return Step(Do.PLACE, quantity=missing) if can_stand(family, missing) else Step(Do.NOTHING)
    weak = next((leg for leg in family.protecting if leg.is_live and not leg.is_confirmed), None)
    if weak is not None:
        return Step(Do.CONFIRM, weak)
    return _second(family, pairs=pairs)


def _second(family: Family, *, pairs: bool) -> Step:
    """Place the target beside a stop where both stand on their own."""
    if pairs or family.stop is None or family.target is None:
        return Step(Do.NOTHING)
    targets = [leg for leg in family.protecting if leg.role is Role.TARGET and leg.is_live and family.is_wanted(leg)]
    missing = family.held - sum((leg.left for leg in targets), ZERO)
    return Step(Do.PLACE, quantity=missing) if missing > 0 and can_stand(family, missing) else Step(Do.NOTHING)
