"""What an agent can give back of its money and stand as it stands; pure.

Cash that resting buys wait for, or that buys short positions back, stays. And the same loss of less money is a larger
one: an agent that trades or holds something keeps so much that its drawdown stays below its limit, so that taking money
out never halts it.
"""

from __future__ import annotations

from decimal import ROUND_DOWN, Decimal

from agents.risk.values import AccountState

_CENT = Decimal("0.01")
_ZERO = Decimal(0)


def spare_cash(book: AccountState, max_drawdown_ratio: Decimal, *, is_at_rest: bool) -> Decimal:
    """Return the most that can leave a book, in whole cents and at least 0.

    Args:
        book: Of the agent, marked to market.
        max_drawdown_ratio: Fall from its peak (0–1) at which it is halted.
        is_at_rest: Whether it neither trades nor holds anything, so that no drawdown can do any harm.
    """
    free = _free(book)
    loss = max(book.peak_equity - book.equity, _ZERO)
    if loss and not is_at_rest:
        free = min(free, book.peak_equity - loss / max_drawdown_ratio - _CENT)
    return max(free, _ZERO).quantize(_CENT, rounding=ROUND_DOWN)


def is_empty(book: AccountState) -> bool:
    """Tell whether a book holds nothing but cash, with nothing resting."""
    return not book.positions and not book.open_orders


def _free(book: AccountState) -> Decimal:
    owed = sum(
        (-each.quantity * book.marks[symbol] for symbol, each in book.positions.items() if each.quantity < 0), _ZERO
    )
    reserved = sum(
        (
            (order.request.quantity - order.filled_quantity) * (order.request.price or book.marks[order.request.symbol])
            for order in book.open_orders
            if order.request.side.sign > 0 and not order.request.is_reduce_only
        ),
        _ZERO,
    )
    return book.cash - owed - reserved
