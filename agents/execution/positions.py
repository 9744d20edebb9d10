"""Open positions as people see them: at the present mark, with the protection that stands at the venue."""

from __future__ import annotations

from decimal import Decimal

from agents.execution.values import PositionStatus
from agents.risk.values import AccountState
from engine.domain.orders import OrderStatus, OrderType, Position
from engine.ledger import Books, Holding

_ZERO = Decimal(0)
_HUNDRED = Decimal(100)


def position_statuses(account: AccountState, books: Books) -> tuple[PositionStatus, ...]:
    """Return the open positions of a book or the account, by symbol."""
    holdings = books.open_holdings()
    return tuple(_status(position, account, holdings[symbol]) for symbol, position in sorted(account.positions.items()))


def _status(position: Position, account: AccountState, holding: Holding) -> PositionStatus:
    mark, is_long = account.marks[position.symbol], position.quantity > 0
    unrealised = holding.unrealised(mark)
    protection = [
        (order.request.order_type, order.request.price)
        for order in account.open_orders
        if order.parent_id is not None
        and order.request.symbol == position.symbol
        and order.status is not OrderStatus.WAITING
        and order.request.side.sign * position.quantity < 0
    ]
    stops = [price for kind, price in protection if kind is OrderType.STOP and price is not None]
    targets = [price for kind, price in protection if kind is OrderType.LIMIT and price is not None]
    return PositionStatus(
        position=position,
        mark=mark,
        notional=abs(position.quantity) * mark,
        unrealised=unrealised,
        unrealised_pct=unrealised / abs(holding.cost) * _HUNDRED if holding.cost else _ZERO,
        stop_loss=(max(stops) if is_long else min(stops)) if stops else None,
        take_profit=(min(targets) if is_long else max(targets)) if targets else None,
    )
