"""Charts and tickets with round numbers, for tests that read what is drawn from them."""

from __future__ import annotations

import math
import secrets
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from agents.risk.values import LimitCheck
from copilot.events import (
    Language,
)
from tools.results import ChartData, ChartLevel, ChartLine, ChartResult, SizingView, TicketTerms, TicketView

NOW = datetime(2025, 3, 14, 12, 0, tzinfo=UTC)
BARS = 120


def make_chart(symbol: str = "BTC/USDT", timeframe: str = "4h", step: int = 14_400) -> ChartData:
    """Return bars that wave, with one overlay and one pane."""
    start = int(NOW.timestamp()) // step * step - BARS * step
    close = [60_000 + 1500 * math.sin(n / 9) + 12 * n for n in range(BARS)]
    opened = [close[max(n - 1, 0)] for n in range(BARS)]
    return ChartData(
        symbol=symbol,
        timeframe=timeframe,
        time=tuple(start + n * step for n in range(BARS)),
        open=tuple(opened),
        high=tuple(max(pair) + 120 for pair in zip(opened, close, strict=True)),
        low=tuple(min(pair) - 120 for pair in zip(opened, close, strict=True)),
        close=tuple(close),
        volume=tuple(800 + 300 * math.cos(n / 5) for n in range(BARS)),
        lines=(
            ChartLine(
                name="ema_20", pane="price", values=tuple(None if n < 20 else c - 150 for n, c in enumerate(close))
            ),
            ChartLine(name="rsi", pane="rsi", values=tuple(50 + 20 * math.sin(n / 9) for n in range(BARS))),
        ),
        levels=(
            ChartLevel(kind="support", price=59_400.0),
            ChartLevel(kind="entry", price=61_500.0),
            ChartLevel(kind="stop", price=60_200.0),
            ChartLevel(kind="target", price=63_900.0),
        ),
    )


def make_chart_result() -> ChartResult:
    """Return a chart as `analyze_chart` tells it."""
    chart = make_chart()
    return ChartResult(
        symbol=chart.symbol,
        timeframe=chart.timeframe,
        close=chart.close[-1],
        change_pct=0.4,
        trend="up",
        trend_strength=27.0,
        momentum="rising",
        rsi=58.0,
        volatility="normal",
        atr_pct=1.1,
        supports=(59_400.0,),
        resistances=(),
        patterns=("hammer",),
        readings={"rsi": 58.0},
        chart=chart,
        bar_at=NOW,
        price_at=NOW,
        market="simulated",
        is_simulated=True,
    )


def make_terms(**changes: Any) -> TicketTerms:
    """Return terms of a purchase at market, sized from risk."""
    return TicketTerms(
        **{
            "symbol": "BTC/USDT",
            "side": "buy",
            "is_close": False,
            "order_type": "market",
            "quantity": Decimal("0.05"),
            "price": None,
            "expected_price": Decimal("64250.50"),
            "notional": Decimal("3212.525"),
            "fee": Decimal("3.212525"),
            "currency": "USD",
            "stop_loss": Decimal("62965.49"),
            "take_profit": None,
            "cash_before": Decimal("100000"),
            "cash_after": Decimal("96784.262475"),
            "exposure_before": Decimal("0"),
            "exposure_after": Decimal("3212.525"),
            "position_before": Decimal("0"),
            "position_after": Decimal("0.05"),
            "limits": (
                LimitCheck("position", "money", Decimal(25000), Decimal(0), Decimal("3212.525"), True),
                LimitCheck("exposure", "money", Decimal(150000), Decimal(0), Decimal("3212.525"), True),
                LimitCheck("daily_loss", "pct", Decimal(5), Decimal(0), Decimal(0), True),
                LimitCheck("positions", "count", Decimal(10), Decimal(0), Decimal(1), True),
            ),
            "sizing": SizingView(
                equity=Decimal(100000),
                risk_pct=Decimal("0.5"),
                risk_money=Decimal(500),
                stop_distance=Decimal("1285.01"),
                raw_quantity=Decimal("0.38910203"),
                quantity=Decimal("0.05"),
                bounded_by="position",
                stop_from="person",
            ),
            "venue": "paper",
            "is_simulated": True,
            "quote_at": NOW,
            "max_drift_bps": 30,
            **changes,
        }
    )


def make_ticket(ticket_id: int = 7, *, owner: str = "owner", language: Language = "en", **changes: Any) -> TicketView:
    """Return a pending ticket."""
    now = datetime.now(UTC)
    return TicketView(
        **{
            "ticket_id": ticket_id,
            "version": 1,
            "nonce": secrets.token_urlsafe(8),
            "owner": owner,
            "conversation_id": "c",
            "language": language,
            "state": "pending",
            "terms": make_terms(),
            "terms_hash": "0" * 64,
            "created_at": now,
            "expires_at": now + timedelta(minutes=2),
            **changes,
        }
    )
