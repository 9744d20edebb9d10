"""Results as tools give them, one of each kind and state, with figures that show every format."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from agents.risk.values import LimitCheck
from engine.domain.signals import Direction, ExpectedRange, Phase, PhaseEvidence, Signal, SignalDriver
from tools.results import (
    AlertList,
    AlertsCancelled,
    AlertSet,
    AlertView,
    BacktestResult,
    ChartData,
    ChartResult,
    EquityCurve,
    FillView,
    OrdersCancelled,
    OrderView,
    PortfolioResult,
    PositionView,
    ProfileResult,
    QuoteView,
    SignalResult,
    SizingView,
    TicketFill,
    TicketRefused,
    TicketState,
    TicketTerms,
    TicketView,
    ToolResult,
    Unavailable,
)

AT = datetime(2025, 3, 5, 14, 0, tzinfo=UTC)
D = Decimal


def signal(**changes: Any) -> SignalResult:
    values: dict[str, Any] = {
        "symbol": "XAUUSD",
        "timeframe": "1h",
        "direction": Direction.NONE,
        "close": 2914.35,
        "entry": 2914.4,
        "stop": 2906.1,
        "target": 2926.85,
        "reward_risk": 1.5,
        "probability": 0.412,
        "breakeven_probability": 0.431,
        "expected_value_ratio": -0.047,
        "reason": "no_edge",
        "phase": PhaseEvidence(Phase.MANIPULATION, 0.62, 2920.0, 2905.5, 2905.5, 1.4),
        "expected_range": ExpectedRange((2916.0, 2921.5, 2931.25), (2912.0, 2907.5, 2899.75)),
        "horizon_bars": 24,
        "drivers": (
            SignalDriver("ema_distance_50", 1.2, 0.31),
            SignalDriver("return_1", -0.4, -0.22),
            SignalDriver("adx", 18.0, -0.11),
        ),
        "model_version": "all-1h-20250301",
        "bar_at": AT - timedelta(hours=2),
        "price_at": AT - timedelta(hours=1),
        "valid_until": AT + timedelta(hours=1),
        "is_simulated": True,
    }
    quote = QuoteView(symbol="XAUUSD", bid=D("2914.20"), ask=D("2914.55"), at=AT, is_open=True)
    return SignalResult(
        signal=Signal(**(values | changes)), quote=quote, age_s=1234.5, market="simulated", is_simulated=True
    )


def trade_signal(direction: Direction = Direction.LONG) -> SignalResult:
    changes: dict[str, Any] = {
        "direction": direction,
        "reason": "edge",
        "probability": 0.487,
        "breakeven_probability": 0.431,
    }
    changes |= {"expected_value_ratio": 0.14}
    if direction is Direction.SHORT:
        changes |= {"stop": 2922.7, "target": 2901.95}
    return signal(**changes)


def chart(**changes: Any) -> ChartResult:
    data = ChartData(
        symbol="EURUSD", timeframe="4h", time=(), open=(), high=(), low=(), close=(), volume=(), lines=(), levels=()
    )
    values: dict[str, Any] = {
        "symbol": "EURUSD",
        "timeframe": "4h",
        "close": 1.08345,
        "change_pct": -0.214,
        "trend": "down",
        "trend_strength": 27.4,
        "momentum": "falling",
        "rsi": 38.6,
        "volatility": "normal",
        "atr_pct": 0.312,
        "supports": (1.0801, 1.0762),
        "resistances": (1.0875,),
        "patterns": ("bearish_engulfing", "doji"),
        "readings": {"rsi": 38.62, "macd": -0.00123},
        "chart": data,
        "bar_at": AT - timedelta(hours=4),
        "price_at": AT,
        "market": "replay",
        "is_simulated": False,
    }
    return ChartResult(**(values | changes))


def limits(*, is_ok: bool = True) -> tuple[LimitCheck, ...]:
    return (
        LimitCheck("position", "pct", D(25), D("3.2"), D("6.21"), True),
        LimitCheck("positions", "count", D(10), D(2), D(3), True),
        LimitCheck("cash", "money", D("94000.5") if is_ok else D("2500"), D(0), D("3005.1"), is_ok),
    )


def position(**changes: Any) -> PositionView:
    values: dict[str, Any] = {
        "symbol": "BTC/USDT",
        "quantity": D("0.05000"),
        "average_price": D("60012.3333333333333333333333"),
        "mark": D("61010.505"),
        "notional": D("3050.52525"),
        "unrealised": D("49.908583"),
        "unrealised_pct": D("1.6633"),
        "stop_loss": D("58800.00"),
        "take_profit": None,
    }
    return PositionView(**(values | changes))


def order(**changes: Any) -> OrderView:
    values: dict[str, Any] = {
        "order_id": "12",
        "symbol": "ETH/USDT",
        "side": "buy",
        "order_type": "limit",
        "role": "entry",
        "quantity": D("1.5000"),
        "filled_quantity": D("0.2500"),
        "price": D("2950.00"),
        "status": "partial",
        "created_at": AT,
    }
    return OrderView(**(values | changes))


def fill(**changes: Any) -> FillView:
    values: dict[str, Any] = {
        "trade_id": "7",
        "symbol": "XAUUSD",
        "side": "sell",
        "quantity": D("2.00"),
        "price": D("2914.20"),
        "fee": D("0.174852"),
        "realised": D("-12.4"),
        "at": AT,
    }
    return FillView(**(values | changes))


def portfolio(view: str = "summary", period: str | None = None, **changes: Any) -> PortfolioResult:
    values: dict[str, Any] = {
        "view": view,
        "period": period,
        "venue": "paper",
        "market": "simulated",
        "currency": "USD",
        "cash": D("96949.47475"),
        "equity": D("100000.005"),
        "exposure": D("3050.52525"),
        "unrealised": D("49.908583"),
        "realised": D("-12.4"),
        "fees": D("3.17"),
        "pnl": D("34.34"),
        "pnl_pct": D("0.0343"),
        "positions": (
            position(),
            position(
                symbol="XAUUSD",
                quantity=D("-2"),
                average_price=D("2911.5"),
                mark=D("2914.375"),
                notional=D("5828.75"),
                stop_loss=None,
                unrealised=D("-5.5"),
                unrealised_pct=D("-0.09"),
            ),
        ),
        "orders": (
            order(),
            order(order_id="13", role="stop_loss", order_type="stop", side="sell", filled_quantity=D(0)),
        ),
        "trades": (fill(), fill(trade_id="6", side="buy", realised=D(0))),
        "limits": limits(),
        "at": AT,
        "is_simulated": True,
    }
    return PortfolioResult(**(values | changes))


def empty_portfolio(view: str = "summary", period: str | None = None) -> PortfolioResult:
    return portfolio(view, period, positions=(), orders=(), trades=(), cash=D(100000), equity=D(100000), exposure=D(0))


def terms(**changes: Any) -> TicketTerms:
    values: dict[str, Any] = {
        "symbol": "BTC/USDT",
        "side": "buy",
        "is_close": False,
        "order_type": "market",
        "quantity": D("0.05000"),
        "price": None,
        "expected_price": D("60000.10"),
        "notional": D("3000.0050000"),
        "fee": D("3.0000050"),
        "currency": "USD",
        "stop_loss": D("58800.10"),
        "take_profit": None,
        "cash_before": D("100000"),
        "cash_after": D("96996.994995"),
        "exposure_before": D("0"),
        "exposure_after": D("2999.9"),
        "position_before": D("0"),
        "position_after": D("0.05000"),
        "limits": limits(),
        "sizing": None,
        "venue": "paper",
        "is_simulated": True,
        "quote_at": AT,
        "max_drift_bps": 30,
    }
    return TicketTerms(**(values | changes))


def sizing(**changes: Any) -> SizingView:
    values: dict[str, Any] = {
        "equity": D("100000"),
        "risk_pct": D("1"),
        "risk_money": D("1000"),
        "stop_distance": D("1200.00"),
        "raw_quantity": D("0.8333333333333333333333333333"),
        "quantity": D("0.41250"),
        "bounded_by": "position",
        "stop_from": "atr",
    }
    return SizingView(**(values | changes))


def ticket(state: TicketState = "pending", **changes: Any) -> TicketView:
    values: dict[str, Any] = {
        "ticket_id": 17,
        "version": 1,
        "nonce": "secret-nonce",
        "owner": "owner",
        "conversation_id": "c1",
        "language": "en",
        "state": state,
        "terms": terms(),
        "terms_hash": "00",
        "created_at": AT,
        "expires_at": AT + timedelta(seconds=120),
    }
    if state == "executed":
        values["fill"] = filled(average_price=D("60006.100"))
    if state == "working":
        values["terms"] = terms(order_type="limit", price=D("59500.00"), expected_price=D("59500.00"))
        values["fill"] = filled(status="open", filled_quantity=D(0), average_price=None, fee=D(0))
    if state == "failed":
        values["reasons"] = ("cash", "position")
    if state == "unsent":
        values["reasons"] = ("interrupted",)
    return TicketView(**(values | changes))


def filled(**changes: Any) -> TicketFill:
    values: dict[str, Any] = {
        "order_id": "21",
        "status": "filled",
        "filled_quantity": D("0.05000"),
        "average_price": D("60000.10"),
        "fee": D("3.000305"),
    }
    return TicketFill(**(values | changes))


def alert(condition: str = "price_above", value: str | None = "65000", **changes: Any) -> AlertView:
    values: dict[str, Any] = {
        "alert_id": "4",
        "symbol": "BTC/USDT",
        "condition": condition,
        "value": None if value is None else D(value),
        "timeframe": None,
        "created_at": AT,
    }
    return AlertView(**(values | changes))


def profile(**changes: Any) -> ProfileResult:
    values: dict[str, Any] = {
        "changed": "risk_per_trade_pct",
        "language": "en",
        "risk_per_trade_pct": D("0.50"),
        "base_currency": "USD",
        "favourites": ("XAUUSD", "BTC/USDT"),
        "name": None,
    }
    return ProfileResult(**(values | changes))


def backtest(**changes: Any) -> BacktestResult:
    values: dict[str, Any] = {
        "target": "breakout",
        "strategies": ("breakout",),
        "left_out": (),
        "symbols": ("BTC/USDT",),
        "timeframe": "1h",
        "start": AT - timedelta(days=365),
        "end": AT,
        "bars": 8760,
        "days": 365,
        "days_asked": 365,
        "shortened_by": None,
        "is_long_only": True,
        "return_pct": 12.345,
        "held_pct": -4.5,
        "random_pct": 1.25,
        "random_as_good": 0.0846,
        "sharpe": 0.913,
        "deflated_sharpe": 0.714,
        "trials": 3,
        "max_drawdown_pct": 17.26,
        "held_drawdown_pct": 31.4,
        "trades": 48,
        "win_rate_pct": 37.5,
        "costs_doubled_pct": 6.4,
        "verdict": "too_small_to_tell",
        "curve": EquityCurve(time=(0, 86_400), strategy_pct=(0.0, 12.345), held_pct=(0.0, -4.5)),
        "market": "simulated",
        "is_simulated": True,
    }
    return BacktestResult(**(values | changes))


SNAPSHOTS: dict[str, tuple[ToolResult, ...]] = {
    "signal_none": (signal(),),
    "signal_weak": (signal(probability=0.44),),
    "signal_long": (trade_signal(),),
    "signal_short": (trade_signal(Direction.SHORT),),
    "chart": (chart(),),
    "portfolio_summary": (portfolio(),),
    "portfolio_empty": (empty_portfolio(),),
    "portfolio_pnl": (portfolio("pnl", "7d"),),
    "portfolio_risk": (portfolio("risk"),),
    "ticket_pending": (ticket(),),
    "ticket_proposed_size": (ticket(terms=terms(sizing=sizing(), quantity=D("0.41250"))),),
    "ticket_executed": (ticket("executed"),),
    "ticket_partly": (ticket("executed", fill=filled(filled_quantity=D("0.02"), status="cancelled")),),
    "ticket_nothing": (
        ticket("executed", fill=filled(filled_quantity=D(0), average_price=None, fee=D(0), status="cancelled")),
    ),
    "ticket_closing": (
        ticket(
            terms=terms(
                symbol="XAUUSD",
                side="sell",
                is_close=True,
                stop_loss=None,
                position_before=D("0.05"),
                position_after=D(0),
            )
        ),
    ),
    "ticket_working": (ticket("working"),),
    "ticket_failed": (ticket("failed"),),
    "ticket_unsent": (ticket("unsent"),),
    "ticket_refused": (TicketRefused(symbol="BTC/USDT", side="buy", reasons=("cash",), limits=limits(is_ok=False)),),
    "orders_cancelled": (
        OrdersCancelled(
            orders=(
                order(status="cancelled"),
                order(order_id="13", status="filled"),
                order(order_id="14", status="open"),
            )
        ),
    ),
    "alerts": (
        AlertSet(alert=alert(), price=D("61010.505")),
        AlertList(symbol=None, alerts=(alert(), alert("change_down", "2.5"), alert("rsi_below", "30", timeframe="4h"))),
        AlertsCancelled(alerts=()),
    ),
    "profile": (profile(),),
    "backtest": (backtest(),),
    "backtest_agent": (
        backtest(
            target="nova",
            strategies=("momentum", "scalping"),
            left_out=("altcoin_rotation",),
            symbols=("XAUUSD", "EURUSD"),
            timeframe="5m",
            days=180,
            shortened_by="limit",
            is_long_only=False,
            return_pct=-3.5,
            trials=1,
            verdict="no_edge",
            market="replay",
            is_simulated=False,
        ),
    ),
    "backtest_nothing": (
        backtest(
            days=90,
            shortened_by="history",
            return_pct=0.0,
            random_pct=None,
            sharpe=None,
            deflated_sharpe=None,
            trades=0,
            win_rate_pct=None,
            verdict="no_trades",
        ),
    ),
    "unavailable": (
        Unavailable(tool="run_backtest", code="too_few_symbols", params={"target": "signal", "found": "XAUUSD"}),
    ),
}
