"""The events of a USD-M user data stream."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tests.binance.futures_values import ASSET, EIGHT, Algo, Position
from tests.binance.orders import Order, Trade
from tests.binance.rules import short

ZERO = Decimal(0)


def order_event(order: Order, execution: str, trade: Trade | None, now_ms: int) -> dict[str, Any]:
    """Return an order's update."""
    average = order.executed_quote / order.executed if order.executed else ZERO
    body: dict[str, Any] = {
        "s": order.symbol,
        "c": order.client_id,
        "S": order.side,
        "o": order.type,
        "f": order.tif,
        "q": short(order.quantity),
        "p": short(order.price),
        "ap": short(average.quantize(EIGHT)),
        "sp": short(order.stop_price),
        "x": execution,
        "X": order.status,
        "i": order.order_id,
        "l": short(trade.quantity if trade else ZERO),
        "z": short(order.executed),
        "L": short(trade.price if trade else ZERO),
        "T": trade.time_ms if trade else order.updated_ms,
        "t": trade.trade_id if trade else 0,
        "b": "0",
        "a": "0",
        "m": trade.is_maker if trade else False,
        "R": order.reduce_only,
        "wt": order.working_type,
        "ot": order.original_type or order.type,
        "ps": order.position_side,
        "cp": order.close_position,
        "rp": short(trade.realized if trade else ZERO),
        "pP": False,
        "V": order.stp,
        "pm": "NONE",
        "gtd": order.good_till_ms,
    }
    if trade:
        body |= {"N": trade.fee_asset, "n": short(trade.fee)}
    return {"e": "ORDER_TRADE_UPDATE", "E": now_ms, "T": now_ms, "o": body}


def algo_event(algo: Algo, now_ms: int) -> dict[str, Any]:
    """Return a conditional order's update."""
    order, actual = algo.order, algo.actual
    average = actual.executed_quote / actual.executed if actual and actual.executed else ZERO
    body = {
        "caid": algo.client_id,
        "aid": algo.algo_id,
        "at": "CONDITIONAL",
        "o": order.original_type or order.type,
        "s": order.symbol,
        "S": order.side,
        "ps": order.position_side,
        "f": order.tif,
        "q": short(order.quantity),
        "X": algo.status,
        "ai": str(actual.order_id) if actual else "",
        "ap": short(average.quantize(EIGHT)),
        "aq": short(actual.executed if actual else ZERO),
        "act": actual.type if actual else "",
        "tp": short(order.stop_price),
        "p": short(order.price),
        "V": order.stp,
        "wt": order.working_type,
        "pm": "NONE",
        "cp": order.close_position,
        "pP": False,
        "R": order.reduce_only,
        "tt": algo.trigger_ms,
        "gtd": order.good_till_ms,
        "rm": algo.reason,
    }
    return {"e": "ALGO_UPDATE", "T": now_ms, "E": now_ms, "o": body}


def position_row(position: Position, mark: Decimal, margin_type: str) -> dict[str, str]:
    """Return a position as account updates list it."""
    return {
        "s": position.symbol,
        "pa": short(position.quantity),
        "ep": short(position.entry.quantize(EIGHT)),
        "bep": short(position.entry.quantize(EIGHT)),
        "cr": short(position.realized),
        "up": short(position.unrealized(mark).quantize(EIGHT)),
        "mt": margin_type,
        "iw": "0",
        "ps": position.side,
        "ma": ASSET,
    }


def account_event(reason: str, wallet: Decimal, rows: list[dict[str, str]], now_ms: int) -> dict[str, Any]:
    """Return an account update."""
    balance = {"a": ASSET, "wb": short(wallet), "cw": short(wallet), "bc": "0"}
    return {"e": "ACCOUNT_UPDATE", "E": now_ms, "T": now_ms, "a": {"m": reason, "B": [balance], "P": rows}}
