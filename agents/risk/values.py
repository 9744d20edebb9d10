"""What the risk gate reads and answers; plain frozen values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from decimal import Decimal, InvalidOperation
from typing import Literal

from engine.domain.errors import ConfigError
from engine.domain.orders import Position, VenueOrder

LimitUnit = Literal["money", "pct", "count"]


@dataclass(frozen=True, slots=True)
class RiskLimits:
    """Limits of one account or book. Ratios are fractions (0–1) of its equity unless the name says otherwise.

    Attributes:
        position_ratio: Largest notional of one symbol.
        gross_exposure_ratio: Largest sum of absolute notionals.
        max_positions: Most symbols held at once.
        daily_loss_ratio: Loss since the start of the UTC day at which nothing that adds risk passes.
        drawdown_ratio: Fall from the highest equity at which nothing that adds risk passes.
        order_notional: Fat-finger bound of one order, in account currency.
        price_band_ratio: Farthest a limit or stop price may lie from the mid.
        orders_per_minute: Most orders handed over in any minute.
        max_quote_age_s: Oldest quote of an open market to act on.
        group_exposure_ratio: Largest sum of absolute notionals of one group of correlated symbols; None for no bound.
        leverage: Largest sum of absolute notionals as a multiple of equity, whatever `gross_exposure_ratio` allows;
            None for no bound.
    """

    position_ratio: Decimal = Decimal("0.25")
    gross_exposure_ratio: Decimal = Decimal("1.5")
    max_positions: int = 10
    daily_loss_ratio: Decimal = Decimal("0.05")
    drawdown_ratio: Decimal = Decimal("0.20")
    order_notional: Decimal = Decimal("50000")
    price_band_ratio: Decimal = Decimal("0.20")
    orders_per_minute: int = 30
    max_quote_age_s: int = 120
    group_exposure_ratio: Decimal | None = None
    leverage: Decimal | None = None

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if value is None and each.name in _MAY_LACK:
                continue
            wanted = int if each.name in _WHOLE else Decimal
            if type(value) is not wanted:
                raise ConfigError(f"the risk limit {each.name} must be {wanted.__name__}, got {value!r}")
            if not (Decimal(value).is_finite() and value >= 0):
                raise ConfigError(f"the risk limit {each.name} must be a number not below 0, got {value}")


_WHOLE = frozenset({"max_positions", "orders_per_minute", "max_quote_age_s"})
_MAY_LACK = frozenset({"group_exposure_ratio", "leverage"})


def read_limits(settings: Mapping[str, object]) -> RiskLimits:
    """Return limits from their names and written figures; names left out keep their defaults.

    Raises:
        ConfigError: A name that the gate does not know, or a figure that is none.
    """
    known = {each.name for each in fields(RiskLimits)}
    unknown = sorted(set(settings) - known)
    if unknown:
        raise ConfigError(f"unknown risk limits {', '.join(unknown)}; there are {', '.join(sorted(known))}")
    read: dict[str, object] = {}
    for name, value in settings.items():
        try:
            read[name] = None if value is None else int(str(value)) if name in _WHOLE else Decimal(str(value))
        except (ValueError, InvalidOperation) as error:
            raise ConfigError(f"the risk limit {name} must be a number, got {value!r}") from error
    return RiskLimits(**read)  # type: ignore[arg-type]  # its own check refuses a wrong type


@dataclass(frozen=True, slots=True)
class AccountState:
    """An account at one moment, marked to market; money in account currency.

    Attributes:
        positions: Open ones only, by symbol.
        marks: Mid price of every held symbol; a missing one makes the gate refuse.
        equity: Cash plus marked positions.
        day_start_equity: Equity at the start of the UTC day.
        peak_equity: Highest equity seen.
        open_orders: Orders resting at the venue.
        recent_orders: Orders handed over in the last minute.
    """

    cash: Decimal
    positions: Mapping[str, Position]
    marks: Mapping[str, Decimal]
    equity: Decimal
    day_start_equity: Decimal
    peak_equity: Decimal
    open_orders: Sequence[VenueOrder]
    recent_orders: int

    @property
    def exposure(self) -> Decimal:
        """Return the sum of absolute notionals at the marks."""
        return sum((abs(p.quantity) * self.marks[s] for s, p in self.positions.items()), Decimal(0))


@dataclass(frozen=True, slots=True)
class LimitCheck:
    """One limit with what the order does to it.

    Attributes:
        name: Stable code: `position`, `exposure`, `positions`, `daily_loss`, `drawdown`, `order_notional`,
            `price_band`, `order_rate`, `cash`, `short`, `group_exposure`, `leverage`.
        limit, before, after: In `unit` (`pct` is 0–100).
        is_ok: Whether the order passes this limit. An order that lowers risk passes even beyond it.
        book: Whose limit it is; empty for the whole account's.
    """

    name: str
    unit: LimitUnit
    limit: Decimal
    before: Decimal
    after: Decimal
    is_ok: bool
    book: str = ""

    @property
    def room(self) -> Decimal:
        """Return what is left after the order, not below 0."""
        return max(self.limit - self.after, Decimal(0))


@dataclass(frozen=True, slots=True)
class RiskReport:
    """The gate's answer: every limit looked at, and the names of those that refuse the order.

    Attributes:
        reasons: Codes of refusal; the names of failed checks, or `no_quote` (none, or too old), `market_closed`,
            `no_account` (unreadable, or a holding without a mark), `symbol` (not tradable), `unreconciled` (ledger and
            venue differ), `halted` and `reducing` (trading states), `no_limits` (a book that nobody gave limits),
            `position_closed` (a reduce-only order with nothing to reduce); before any of them, codes of the venue's
            rules (`validate_order`).
    """

    checks: tuple[LimitCheck, ...]
    reasons: tuple[str, ...]

    @property
    def is_allowed(self) -> bool:
        """Return whether the order may go."""
        return not self.reasons
