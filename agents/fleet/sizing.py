"""How large an entry is: arithmetic that the backtest's own function does, and the room that the limit leaves.

The position size of a profile is what all entries in one symbol come to together. A strategy gets its weight of it,
divided by the entries that it may have there at once (a grid has one per line). Entries aim a little below the limit,
so that a price that moves between the close and the order does not carry them over it.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from math import ceil

from agents.fleet.values import ZERO, BookView, Leg
from agents.profiles import Profile
from agents.strategies.tables import TableStrategy
from engine.backtest import AccountSettings, SizeRule
from engine.backtest.exact import size_entry
from engine.domain.market import Instrument

HEADROOM = Decimal("0.98")
"""Share of the position limit that an entry aims at: the rest is for costs and for the way from close to order."""
LADDER_HEADROOM = Decimal("0.9")
"""The same for several entries at once: they wait below the market, and the gate counts them at the market."""
_FULL = Decimal("0.995")
"""Share of the position limit up to which there is room."""


def entries_per_symbol(strategy: TableStrategy) -> int:
    """Return how many entries a strategy may have in one symbol at once."""
    return max(ceil(strategy.most_entries / max(len(strategy.symbols), 1)), 1)


def usual_share(profile: Profile, strategy: TableStrategy) -> Decimal:
    """Return the share of equity that a strategy's usual entry is worth."""
    weight = next(plan.weight for plan in profile.strategies if plan.name == strategy.name)
    entries = entries_per_symbol(strategy)
    headroom = HEADROOM if entries == 1 else LADDER_HEADROOM
    return profile.limits.position_ratio * headroom * weight / entries


def size_leg(
    share: Decimal, instrument: Instrument, book: BookView, price: Decimal, stop: Decimal | None, size_bps: int
) -> Decimal:
    """Return the quantity of an entry on the lot grid, 0 when it is less than a lot.

    Args:
        share: Of the book's equity.
        instrument: Its lots.
        book: At the closes of the moment.
        price: Where it is expected.
        stop: Of the entry.
        size_bps: Share of the usual size that the strategy wants.
    """
    if share <= 0 or book.equity <= 0:
        return ZERO
    account = AccountSettings(book.equity, SizeRule("equity", share))
    return size_entry(account, instrument, book.equity, price, stop, size_bps)


def room_for(
    limit_ratio: Decimal, instrument: Instrument, book: BookView, legs: Iterable[Leg], price: Decimal
) -> Decimal:
    """Return the quantity that still fits below the position limit of a symbol, at least 0.

    Args:
        limit_ratio: Largest notional of the symbol as a fraction of equity.
        instrument: Which symbol, and its lots.
        book: At the closes of the moment.
        legs: What stands and what was just decided, in any symbol; those that are being closed or taken back apart.
        price: Of the entry.
    """
    close = max(book.closes.get(instrument.symbol, price), price)
    used = ZERO
    for leg in legs:
        if leg.symbol == instrument.symbol and not leg.exit_reason:
            waiting = leg.request.quantity - leg.filled if leg.is_waiting else ZERO
            used += (leg.held + waiting) * close
    return max(instrument.round_quantity((book.equity * limit_ratio * _FULL - used) / close), ZERO)
