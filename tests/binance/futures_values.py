"""What the futures exchange keeps of accounts: positions, income, conditional orders, settings; and its contracts."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal

from tests.binance.orders import Order
from tests.binance.rules import SymbolRules

ZERO = Decimal(0)
EIGHT = Decimal("0.00000001")
ASSET = "USDT"
MAINTENANCE = Decimal("0.004")
MAX_ALGO = 10

DEFAULT_FUTURES = tuple(
    SymbolRules(
        symbol,
        symbol.removesuffix(ASSET),
        ASSET,
        Decimal(tick),
        Decimal(step),
        Decimal(step),
        max_quantity=Decimal(most),
        max_market_quantity=Decimal(most) / 10,
        min_notional=Decimal(least),
        multiplier_up=Decimal("1.05"),
        multiplier_down=Decimal("0.95"),
        is_contract=True,
    )
    for symbol, tick, step, most, least in (
        ("BTCUSDT", "0.1", "0.001", 1000, 50),
        ("ETHUSDT", "0.01", "0.001", 10_000, 20),
        ("BNBUSDT", "0.01", "0.01", 100_000, 5),
        ("SOLUSDT", "0.01", "0.01", 1_000_000, 5),
        ("XRPUSDT", "0.0001", "0.1", 10_000_000, 5),
        ("ADAUSDT", "0.0001", "1", 10_000_000, 5),
    )
)


@dataclass(slots=True)
class Position:
    """What one account holds of one symbol; negative when short."""

    symbol: str
    side: str = "BOTH"
    quantity: Decimal = ZERO
    entry: Decimal = ZERO
    realized: Decimal = ZERO
    updated_ms: int = 0

    def take(self, signed: Decimal, price: Decimal) -> Decimal:
        """Add a signed quantity and return the profit it realised."""
        held = self.quantity
        if held * signed >= 0:
            total = held + signed
            self.entry = (held * self.entry + signed * price) / total
            self.quantity = total
            return ZERO
        closed = min(abs(signed), abs(held))
        profit = ((price - self.entry) * (closed if held > 0 else -closed)).quantize(EIGHT)
        self.quantity = held + signed
        if self.quantity == 0:
            self.entry = ZERO
        elif (self.quantity > 0) != (held > 0):
            self.entry = price
        self.realized += profit
        return profit

    def unrealized(self, mark: Decimal) -> Decimal:
        """Return the profit that closing at a price would realise."""
        return (mark - self.entry) * self.quantity


@dataclass(slots=True)
class Income:
    """One change of a wallet."""

    account: str
    symbol: str
    kind: str
    amount: Decimal
    time_ms: int
    number: int
    trade_id: int = 0


@dataclass(slots=True, eq=False)
class Algo:
    """A conditional order: a plain order that is sent to the market when its price comes."""

    algo_id: int
    client_id: str
    order: Order
    created_ms: int
    updated_ms: int
    status: str = "NEW"
    trigger_ms: int = 0
    actual: Order | None = None
    reason: str = ""


@dataclass(slots=True)
class Settings:
    """What an account chose."""

    is_dual: bool = False
    leverage: defaultdict[str, int] = field(default_factory=lambda: defaultdict(lambda: 20))
    margin_type: defaultdict[str, str] = field(default_factory=lambda: defaultdict(lambda: "cross"))
