"""Trailing stops: where a stop should stand as the price moves, and never back.

Pure: the stop follows the best price since it was set, at a fixed share of it, once the price has reached the
activation. It only ever moves in the position's favour, whatever order the prices come in.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from engine.domain.errors import InvalidRequest
from engine.domain.market import Instrument
from engine.domain.orders import Side


@dataclass(frozen=True, slots=True)
class TrailingStop:
    """A stop that follows the price.

    Attributes:
        distance: Share of the best price (0–1) that it stays away.
        activation: Price that must be reached first; None to follow at once.
        best: Best price seen since it was set, None before the first.
        stop: Where it stands now, on the tick; None before the activation.
    """

    distance: Decimal
    activation: Decimal | None = None
    best: Decimal | None = None
    stop: Decimal | None = None

    def __post_init__(self) -> None:
        if not (self.distance.is_finite() and 0 < self.distance < 1):
            raise InvalidRequest("trailing_distance", distance=self.distance)
        if self.activation is not None and not (self.activation.is_finite() and self.activation > 0):
            raise InvalidRequest("trailing_activation", activation=self.activation)


def follow(trail: TrailingStop, side: Side, price: Decimal, instrument: Instrument) -> TrailingStop:
    """Return the trailing stop after a price that the position could be closed at.

    Args:
        trail: As it stands.
        side: Of the entry: `buy` for a long position.
        price: The bid for a long position, the ask for a short one, or a bar's extreme in the position's favour.
        instrument: Its ticks.
    """
    best = price if trail.best is None else _better(side, trail.best, price)
    if trail.activation is not None and (best - trail.activation) * side.sign < 0:
        return replace(trail, best=best)
    raw = best * (1 - trail.distance * side.sign)
    rounding = ROUND_FLOOR if side is Side.BUY else ROUND_CEILING
    stop = (raw / instrument.tick_size).to_integral_value(rounding) * instrument.tick_size
    return replace(trail, best=best, stop=stop if trail.stop is None else _better(side, trail.stop, stop))


def _better(side: Side, one: Decimal, other: Decimal) -> Decimal:
    return max(one, other) if side is Side.BUY else min(one, other)
