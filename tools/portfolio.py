"""`check_portfolio`: the account as one view asks for it."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from agents.execution.desk import Desk
from agents.execution.values import PositionStatus, SettledFill
from engine.domain.orders import OrderType, VenueOrder
from engine.ledger import ACCOUNT_CURRENCY
from tools.registry import ToolContext
from tools.results import FillView, OrderView, PortfolioResult, PositionView
from tools.schema import CheckPortfolio

_TRADES_SHOWN = 20


@dataclass(frozen=True, slots=True)
class PortfolioTool:
    """Reads the account through the desk; every figure is of one moment."""

    desk: Desk

    async def __call__(self, arguments: CheckPortfolio, context: ToolContext) -> PortfolioResult:
        """Return positions, orders, cash, profit and limits, as far as the view shows them."""
        desk, market = self.desk, self.desk.market
        period = arguments.period or "all"
        account = await desk.account()
        positions = await desk.positions()
        performance = await desk.performance(period)
        shows_trades = arguments.view in ("trades", "pnl")
        trades = await desk.trades(period, limit=_TRADES_SHOWN) if shows_trades else ()
        return PortfolioResult(
            view=arguments.view,
            period=arguments.period,
            venue=desk.venue_name,
            market=market.name,
            currency=ACCOUNT_CURRENCY,
            cash=account.cash,
            equity=account.equity,
            exposure=account.exposure,
            unrealised=sum((status.unrealised for status in positions), Decimal(0)),
            realised=performance.realised,
            fees=performance.fees,
            pnl=performance.pnl,
            pnl_pct=performance.pnl_pct,
            positions=tuple(_position_view(status) for status in positions),
            orders=tuple(order_view(order) for order in await desk.open_orders()),
            trades=tuple(_fill_view(settled) for settled in trades),
            limits=await desk.limits(),
            at=market.now(),
            is_simulated=market.is_simulated,
        )


def order_view(order: VenueOrder) -> OrderView:
    """Return an order as a result, under the short id that people say."""
    request = order.request
    role: Literal["entry", "stop_loss", "take_profit"] = "entry"
    if order.parent_id is not None:
        role = "stop_loss" if request.order_type is OrderType.STOP else "take_profit"
    return OrderView(
        order_id=order.venue_order_id,
        symbol=request.symbol,
        side=request.side.value,
        order_type=request.order_type.value,
        role=role,
        quantity=request.quantity,
        filled_quantity=order.filled_quantity,
        price=request.price,
        status=order.status.value,
        created_at=order.created_at,
    )


def _position_view(status: PositionStatus) -> PositionView:
    return PositionView(
        symbol=status.position.symbol,
        quantity=status.position.quantity,
        average_price=status.position.average_price,
        mark=status.mark,
        notional=status.notional,
        unrealised=status.unrealised,
        unrealised_pct=status.unrealised_pct,
        stop_loss=status.stop_loss,
        take_profit=status.take_profit,
    )


def _fill_view(settled: SettledFill) -> FillView:
    fill = settled.fill
    return FillView(
        trade_id=str(settled.number),
        symbol=fill.symbol,
        side=fill.side.value,
        quantity=fill.quantity,
        price=fill.price,
        fee=fill.fee,
        realised=settled.realised,
        at=fill.at,
    )
