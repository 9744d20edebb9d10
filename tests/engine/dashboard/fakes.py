"""A market of many symbols over the simulated one, and a program behind the page that a test puts where it wants it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np

from engine.dashboard.view import (
    Account,
    Agent,
    Alert,
    CurvePoint,
    Execution,
    Facts,
    FeedHealth,
    Holding,
    ModelHealth,
    Order,
    SignalMark,
    Trading,
)
from engine.domain.errors import DataUnavailable
from engine.domain.market import Bars, FloatArray, Instrument, Quote
from engine.domain.orders import OrderStatus, OrderType, Side
from engine.domain.protocols import Clock
from engine.domain.signals import Direction
from engine.domain.symbols import CRYPTO_SYMBOLS, Timeframe
from engine.sim.market import SimulatedMarket

_WIGGLES_S = 0.1
HISTORY_DAYS = 40


class KeptChunks:
    """Prepared chunks of the market, kept for the other tests of this process."""

    def __init__(self) -> None:
        self._kept: dict[str, Mapping[str, FloatArray]] = {}

    def load(self, name: str) -> Mapping[str, FloatArray] | None:
        return self._kept.get(name)

    def save(self, name: str, arrays: Mapping[str, FloatArray]) -> None:
        self._kept[name] = arrays


CHUNKS = KeptChunks()


class WallClock:
    """The present of this machine."""

    def now(self) -> datetime:
        return datetime.now(UTC)


class HandClock:
    """A present that a test moves."""

    def __init__(self) -> None:
        self.at = datetime(2026, 3, 4, 12, 0, 30, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at

    def advance(self, **time: float) -> None:
        self.at += timedelta(**time)


class ManySymbols:
    """As many symbols as asked for, each moving ten times a second; those beyond the simulated ones are copies."""

    name = "simulated"
    is_simulated = True

    def __init__(self, clock: Clock, count: int = 13) -> None:
        self._clock = clock
        self.below = SimulatedMarket(7, clock, history_days=HISTORY_DAYS, chunk_store=CHUNKS)
        self.failure: Exception | None = None
        self.without: set[str] = set()
        """Timeframes that it does not have."""
        known = list(self.below.instruments())
        copies = {f"C{number:02d}/USDT": CRYPTO_SYMBOLS[number % 10] for number in range(count - len(known))}
        self._original = {symbol: symbol for symbol in known[:count]} | copies

    def now(self) -> datetime:
        return self._clock.now()

    def instruments(self) -> Mapping[str, Instrument]:
        below = self.below.instruments()
        return {symbol: replace(below[original], symbol=symbol) for symbol, original in self._original.items()}

    def quote(self, symbol: str) -> Quote:
        self._fail()
        quote = self.below.quote(self._known(symbol))
        moment = math.floor(self.now().timestamp() / _WIGGLES_S)
        place = list(self._original).index(symbol)
        ticks = round(4 * math.sin(moment / 7 + place)) + (moment + place) % 3
        move = ticks * self.below.instruments()[quote.symbol].tick_size
        return Quote(symbol, quote.bid + move, quote.ask + move, quote.at, quote.is_open)

    def bars(self, symbol: str, timeframe: Timeframe, limit: int) -> Bars:
        self._fail()
        if timeframe in self.without:
            raise DataUnavailable(f"no {timeframe} bars")
        return replace(self.below.bars(self._known(symbol), timeframe, limit), symbol=symbol)

    def bars_between(self, symbol: str, start: datetime, end: datetime) -> Bars:
        self._fail()
        return replace(self.below.bars_between(self._known(symbol), start, end), symbol=symbol)

    def _known(self, symbol: str) -> str:
        if symbol not in self._original:
            raise DataUnavailable(f"no {symbol}")
        return self._original[symbol]

    def _fail(self) -> None:
        if self.failure is not None:
            raise self.failure


class FakeView:
    """Three agents with everything that a page can show, and a switch that remembers who pressed it."""

    def __init__(self, market: ManySymbols) -> None:
        self.market = market
        self.halted_by: list[str] = []
        self.asked = 0
        self.failure: Exception | None = None
        self.halt_failure: Exception | None = None
        self.trading = Trading("active", "", "", None, True, "paper", True)
        self.without: set[str] = set()
        """Names of facts that are left empty."""
        self._curves = {name: make_curve(market.now(), seed) for seed, name in enumerate(("atlas", "orion", "nova"))}
        self._signals = make_signals(market)
        self._executions = make_executions(market)

    async def facts(self) -> Facts:
        self.asked += 1
        if self.failure is not None:
            raise self.failure
        facts = Facts(
            trading=self.trading,
            account=self._account(),
            agents=self._agents(),
            positions=self._positions(),
            orders=make_orders(self.market),
            executions=self._executions,
            signals=self._signals,
            alerts=make_alerts(self.market.now()),
            models=make_models(self.market.now()),
            feeds=self._feeds(),
        )
        return replace(facts, **{name: type(getattr(facts, name))() for name in self.without})

    async def halt(self, by: str) -> Trading:
        self.halted_by.append(by)
        if self.halt_failure is not None:
            raise self.halt_failure
        self.trading = Trading("halted", by, "switch", self.market.now(), True, "paper", True)
        return self.trading

    def _account(self) -> Account:
        equity = sum((each.equity for each in self._agents()), Decimal("40000"))
        return Account(
            "USDT", equity, Decimal("61240.18"), Decimal("31877.42"), Decimal("412.07"), Decimal("1.8"), Decimal(25)
        )

    def _agents(self) -> tuple[Agent, ...]:
        rows = (
            ("atlas", "Atlas", "conservative", "running", (2, 5), 65, 5, 2, 3),
            ("orion", "Orion", "moderate", "running", (5, 10), 60, 10, 4, 5),
            ("nova", "Nova", "aggressive", "paused", (10, None), 55, 20, 7, 10),
        )
        return tuple(self._agent(*row) for row in rows)

    def _agent(
        self,
        name: str,
        title: str,
        temperament: str,
        state: str,
        month: tuple[int, int | None],
        win_rate: int,
        limit: int,
        held: int,
        most: int,
    ) -> Agent:
        curve = self._curves[name]
        last = curve[-1]
        wobble = Decimal(self.market.now().second % 20 - 10)
        pnl = last.equity + wobble - 10_000
        return Agent(
            name=name,
            title=title,
            temperament=temperament,
            state=state,
            reason="",
            equity=last.equity + wobble,
            pnl=pnl,
            return_pct=pnl / 100,
            monthly_pct=pnl / 200,
            target_monthly_pct=(Decimal(month[0]), None if month[1] is None else Decimal(month[1])),
            round_trips=34,
            win_rate_pct=Decimal("58.8"),
            target_win_rate_pct=Decimal(win_rate),
            drawdown_pct=last.drawdown_pct,
            drawdown_limit_pct=Decimal(limit),
            held=held,
            max_positions=most,
            curve=curve,
        )

    def _positions(self) -> tuple[Holding, ...]:
        rows = (
            ("main", "XAUUSD", "1.5", "0.997"),
            ("atlas", "BTC/USDT", "0.0321", "0.991"),
            ("orion", "ETH/USDT", "1.204", "1.006"),
            ("orion", "SOL/USDT", "18.4", "0.985"),
            ("nova", "AVAX/USDT", "-42", "0.994"),
            ("nova", "DOGE/USDT", "9100", "1.012"),
        )
        known = self.market.instruments()
        return tuple(self._holding(*row) for row in rows if row[1] in known)

    def _holding(self, book: str, symbol: str, quantity: str, entry: str) -> Holding:
        instrument = self.market.instruments()[symbol]
        mark = self.market.quote(symbol).mid
        held, average = Decimal(quantity), instrument.round_price(self.market.below.quote(symbol).mid * Decimal(entry))
        unrealised = (mark - average) * held
        return Holding(
            book,
            symbol,
            held,
            average,
            mark,
            abs(mark * held),
            unrealised,
            unrealised / abs(average * held) * 100,
            instrument.round_price(average * Decimal("0.98" if held > 0 else "1.02")),
            None,
        )

    def _feeds(self) -> tuple[FeedHealth, ...]:
        now = self.market.now()
        symbols = list(self.market.instruments())
        return tuple(
            FeedHealth(symbol, now, now.replace(second=0, microsecond=0), place == 8, "old_quote" if place == 8 else "")
            for place, symbol in enumerate(symbols)
        )


def make_curve(now: datetime, seed: int) -> tuple[CurvePoint, ...]:
    """Return ninety days of an account that begins with 10,000."""
    steps = np.random.default_rng(seed + 3).normal(0.0012, 0.004 * (seed + 1), 90)
    equity = 10_000 * np.exp(np.cumsum(steps))
    peak = np.maximum.accumulate(equity)
    return tuple(
        CurvePoint(
            now - timedelta(days=90 - day),
            Decimal(f"{equity[day]:.2f}"),
            Decimal(f"{(1 - equity[day] / peak[day]) * 100:.3f}"),
        )
        for day in range(90)
    )


def make_signals(market: ManySymbols) -> tuple[SignalMark, ...]:
    """Return a few past signals of each symbol, and one that holds."""
    return tuple(
        signal
        for symbol in market.instruments()
        for timeframe, age_bars, direction in (
            ("1h", 9, Direction.LONG),
            ("1h", 31, Direction.SHORT),
            ("1h", 58, Direction.LONG),
            ("1h", 84, Direction.SHORT),
            ("15m", 12, Direction.LONG),
        )
        for signal in [make_signal(market, symbol, timeframe, age_bars, direction)]
    )


def make_signal(market: ManySymbols, symbol: str, timeframe: str, age_bars: int, direction: Direction) -> SignalMark:
    bars = market.bars(symbol, "1h" if timeframe == "1h" else "15m", age_bars)
    at, close = datetime.fromtimestamp(int(bars.time[0]), UTC), float(bars.close[0])
    reach = float((bars.high - bars.low).mean()) * 2.2
    sign = 1 if direction is Direction.LONG else -1
    return SignalMark(
        symbol, timeframe, direction, close, close - sign * reach, close + 1.8 * sign * reach, 0.58, "edge",
        at, at + timedelta(hours=14),
    )  # fmt: skip


def make_executions(market: ManySymbols) -> tuple[Execution, ...]:
    """Return fills of the last days."""
    found = []
    for place, symbol in enumerate(list(market.instruments())[:20]):
        bars, tick = market.bars(symbol, "1h", 100), market.instruments()[symbol]
        for number, age in enumerate((6, 22, 45, 70)):
            side = Side.BUY if number % 2 else Side.SELL
            price = tick.round_price(Decimal(repr(float((bars.high[-age] + bars.low[-age]) / 2))))
            at = datetime.fromtimestamp(int(bars.time[-age]), UTC) + timedelta(minutes=7 + place)
            book = ("main", "atlas", "orion", "nova")[(place + number) % 4]
            found.append(
                Execution(f"f{place}-{number}", book, symbol, side, Decimal("0.25"), price, Decimal("0.1834"), at)
            )
    return tuple(found)


def make_orders(market: ManySymbols) -> tuple[Order, ...]:
    made = market.now().replace(minute=0, second=0, microsecond=0) - timedelta(hours=3)
    rows = (
        ("A12", "atlas", "BTC/USDT", Side.BUY, OrderType.LIMIT, "entry", OrderStatus.OPEN, "0.981"),
        ("A13", "orion", "ETH/USDT", Side.SELL, OrderType.STOP, "stop_loss", OrderStatus.OPEN, "0.97"),
        ("A14", "orion", "ETH/USDT", Side.SELL, OrderType.LIMIT, "take_profit", OrderStatus.PARTIAL, "1.05"),
        ("A15", "main", "XAUUSD", Side.SELL, OrderType.STOP, "stop_loss", OrderStatus.WAITING, "0.985"),
    )
    known = market.instruments()
    return tuple(
        Order(
            order_id, book, symbol, side, order_type, role, status, Decimal("0.5"), Decimal("0.1"),
            known[symbol].round_price(last_close(market, symbol) * Decimal(share)), made,
        )
        for order_id, book, symbol, side, order_type, role, status, share in rows
        if symbol in known
    )  # fmt: skip


def last_close(market: ManySymbols, symbol: str) -> Decimal:
    return Decimal(repr(float(market.bars(symbol, "1h", 1).close[0])))


def make_alerts(now: datetime) -> tuple[Alert, ...]:
    set_at = now.replace(minute=0, second=0, microsecond=0) - timedelta(days=1)
    return (
        Alert("1", "BTC/USDT", "price_above", Decimal("72000"), None, set_at, None, False),
        Alert("2", "XAUUSD", "rsi_below", Decimal(30), "1h", set_at, None, True),
        Alert("3", "ETH/USDT", "change_down", Decimal(5), "4h", set_at, set_at + timedelta(hours=4), True),
        Alert("4", "EURUSD", "signal_change", None, "1h", set_at, None, True),
    )


def make_models(now: datetime) -> tuple[ModelHealth, ...]:
    trained = now.replace(minute=0, second=0, microsecond=0) - timedelta(days=6)
    return (
        ModelHealth("m1", "BTC/USDT", "1h", "good", "", trained, 3.4, 218),
        ModelHealth("m2", "ETH/USDT", "1h", "watch", "drifting", trained, 0.6, 143),
        ModelHealth("m3", "XAUUSD", "1h", "good", "", trained, 2.1, 190),
        ModelHealth("m4", "EURUSD", "1h", "bad", "no_skill", trained, -1.2, 96),
    )
