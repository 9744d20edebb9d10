"""The risk gate on a busy account: what one judgement costs, in processor time, beside one insert in memory."""

import sqlite3
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from agents.risk.gate import Scope, assess_scopes
from agents.risk.values import AccountState, RiskLimits
from engine.domain.instruments import build_instrument
from engine.domain.market import Quote
from engine.domain.orders import OrderRequest, OrderStatus, OrderType, Position, Side, VenueOrder

D = Decimal
NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
SYMBOLS = [f"{base}/USDT" for base in ["BTC", "ETH", "SOL", "BNB", "XRP", "ADA", "DOGE", "AVAX", "LTC", "LINK"]]
ROUNDS = 3000
WIDE = RiskLimits(
    position_ratio=D(5),
    gross_exposure_ratio=D(50),
    order_notional=D(10**7),
    orders_per_minute=10**6,
    max_positions=50,
    group_exposure_ratio=D(50),
    leverage=D(50),
)


def account(orders: int) -> AccountState:
    positions = {symbol: Position(symbol, D("1.5"), D(100), D(0), D(0)) for symbol in SYMBOLS}
    marks = {symbol: D("101.25") for symbol in SYMBOLS}
    resting = [
        VenueOrder(
            OrderRequest(f"o{n}", SYMBOLS[n % 10], Side.BUY, OrderType.LIMIT, D(1), D(99)),
            str(n),
            OrderStatus.OPEN,
            D(0),
            None,
            NOW,
            NOW,
        )
        for n in range(orders)
    ]
    return AccountState(D(500000), positions, marks, D(501000), D(501000), D(501000), tuple(resting), 3)


def percentile(times: list[float], share: float) -> float:
    return sorted(times)[int(len(times) * share)]


def clock(work: Callable[[], object]) -> list[float]:
    times = []
    for _ in range(ROUNDS):
        begun = time.thread_time()
        work()
        times.append(time.thread_time() - begun)
    return times


@pytest.mark.benchmark
def test_a_judgement_beside_an_insert(capsys: pytest.CaptureFixture[str]) -> None:
    order = OrderRequest("x", "BTC/USDT", Side.BUY, OrderType.LIMIT, D(1), D(100), D(90), D(120))
    instrument = replace(build_instrument("BTC/USDT"))
    quote = Quote("BTC/USDT", D("101.2"), D("101.3"), NOW)
    scopes = [Scope("atlas", account(20), WIDE), Scope("", account(50), WIDE)]
    groups = dict.fromkeys(SYMBOLS, "crypto")
    report = assess_scopes(order, instrument, quote, scopes, NOW, groups=groups)
    assert report.is_allowed, report.reasons
    gate = clock(lambda: assess_scopes(order, instrument, quote, scopes, NOW, groups=groups))
    database = sqlite3.connect(":memory:")
    database.execute("create table t (a integer, b text)")
    inserts = clock(lambda: database.execute("insert into t values (1, 'x')"))
    with capsys.disabled():
        print(  # noqa: T201  # a benchmark speaks to whoever runs it
            f"\nrisk gate, 10 positions, 20 + 50 resting orders: p50 {percentile(gate, 0.5) * 1e3:.3f} ms, "
            f"p99 {percentile(gate, 0.99) * 1e3:.3f} ms; {percentile(gate, 0.5) / percentile(inserts, 0.5):.0f} inserts"
        )
