"""The exact driver: a live strategy object, bar by bar, through `engine.sim` and `engine.ledger`, in `Decimal`.

It is slow and plain on purpose: it is what the compiled pass is measured against, and it drives what the compiled pass
cannot (several entries at once in one symbol, strategies that look at what they hold). Order of events in a bar:

1. funding at the opening on what is held, then the close that was decided, then a new entry's arrival at the venue,
   judged by the venue's rules and matched against the opening quote;
2. the bar itself: entries that stand, then the stop and the target of each position;
3. at the close of the bar, of all symbols alike: the account is marked, and the strategy decides.

Left out on purpose: a bound by traded volume. Fills that a bar could not have borne are counted by
`Trades.exceeds_volume`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal

import numpy as np

from engine.backtest import columns as at
from engine.backtest.result import ClosedTrade, Run, Trades
from engine.backtest.settings import MIN_DIGITS, AccountSettings, Listing, SizeRule, money_digits, to_quanta
from engine.domain.market import FloatArray, Instrument, Quote, decimal_price, utc_from_seconds
from engine.domain.orders import Fill, OrderRequest, OrderType, Side
from engine.domain.strategies import FULL_SIZE_BPS, Enter, Exit, Intent, Protect, Standing, Strategy
from engine.ledger import Books, exact_product, exact_sum, post_deposit, post_fill
from engine.sim.matching import (
    FEE_QUANTUM,
    MarketFill,
    PriceBar,
    RestingOrder,
    match_bar,
    match_pair,
    match_quote,
    validate_order,
)

ZERO = Decimal(0)
FUNDING_QUANTUM = Decimal("1E-8")
"""Grid of a funding rate and of a payment."""


@dataclass(frozen=True, slots=True)
class ExactRun:
    """What the driver gives back.

    Attributes:
        time: Open times of the bars of all symbols together.
        equity: The account's worth at each of those closes, marked at prices on the tick.
        books: The ledger at the end; `funding` is kept beside it.
        refused: Entries refused, by code.
        bars_held: Closes within whose bar something was held.
    """

    time: tuple[int, ...]
    equity: tuple[Decimal, ...]
    trades: tuple[ClosedTrade, ...]
    fills: tuple[Fill, ...]
    books: Books
    funding: Decimal
    refused: Mapping[str, int]
    bars_held: int

    @property
    def cash(self) -> Decimal:
        """Return the cash at the end, funding included."""
        return self.books.cash - self.funding


@dataclass(slots=True)
class _Leg:
    """What stands in one symbol under one tag."""

    enter: Enter | None = None
    quantity: Decimal = ZERO
    price: Decimal | None = None
    entry_stop: Decimal | None = None
    entry_target: Decimal | None = None
    waited: int = 0
    decided: int = 0
    held: ClosedTrade | None = None
    stop: Decimal | None = None
    target: Decimal | None = None
    age: int = 0
    last_age: int = 0
    closing: str = ""


@dataclass(slots=True)
class _Desk:
    """The account and all legs of one symbol."""

    listing: Listing
    legs: dict[str, _Leg] = field(default_factory=dict)
    mark: Decimal | None = None


def run_strategy(strategy: Strategy, listings: Sequence[Listing], account: AccountSettings) -> ExactRun:
    """Drive a strategy over all bars and return what became of the account.

    Args:
        strategy: Asked after each bar at which a symbol has its warm-up.
        listings: One per symbol that it trades, all of its timeframe.
        account: Cash, size and leverage.
    """
    return _Driver(strategy, listings, account).run()


def as_run(exact: ExactRun, listings: Sequence[Listing], account: AccountSettings) -> Run:
    """Return an exact run in the columns of the compiled one, to be measured and reported alike.

    Args:
        exact: Of these listings and this account.
        listings: In the order in which the driver got them.
        account: The account.
    """
    digits = money_digits([each.instrument for each in listings])
    places = {each.bars.symbol: number for number, each in enumerate(listings)}
    rows = [_trade_row(trade, places[trade.symbol], listings[places[trade.symbol]]) for trade in exact.trades]
    equity = np.array([float(value) for value in exact.equity])
    return Run(
        tuple(listings),
        account,
        np.array(exact.time, np.int64),
        equity,
        Trades(np.array(rows, np.int64).reshape(-1, at.TRADE), tuple(listings)),
        dict(exact.refused),
        _sum_up(equity, float(account.starting_cash), exact.bars_held),
        to_quanta(exact.cash, digits),
        digits,
    )


def _trade_row(trade: ClosedTrade, symbol: int, listing: Listing) -> list[int]:
    instrument = listing.instrument
    exit_price = trade.exit_price if trade.exited >= 0 else decimal_price(float(listing.bars.close[-1]), instrument)
    row = [0] * at.TRADE
    row[at.T_SYMBOL] = symbol
    row[at.T_LOTS] = int(trade.quantity / instrument.lot_size) * trade.side.sign
    row[at.T_DECIDED], row[at.T_ENTERED], row[at.T_EXITED] = trade.decided, trade.entered, trade.exited
    row[at.T_ENTRY] = int(trade.entry_price / instrument.tick_size)
    row[at.T_EXIT] = int(exit_price / instrument.tick_size)
    fees = (trade.entry_fee, trade.exit_fee, trade.funding)
    row[at.T_ENTRY_FEE], row[at.T_EXIT_FEE], row[at.T_FUNDING] = (int(fee.scaleb(MIN_DIGITS)) for fee in fees)
    row[at.T_REASON] = at.REASONS.index(trade.reason)
    row[at.T_FLAGS] = at.MAKER_ENTRY * trade.is_entry_maker | at.MAKER_EXIT * trade.is_exit_maker
    return row


def _sum_up(equity: FloatArray, start: float, bars_held: int) -> FloatArray:
    sums = np.zeros(at.SUMS)
    sums[at.LAST] = sums[at.PEAK] = start
    if len(equity):
        whole = np.concatenate([[start], equity])
        changes, peaks = whole[1:] / whole[:-1] - 1, np.maximum.accumulate(whole)
        sums[at.SUM_RETURN], sums[at.SUM_SQUARE] = changes.sum(), (changes**2).sum()
        sums[at.PEAK], sums[at.DRAWDOWN], sums[at.LAST] = peaks[-1], np.max(1 - whole / peaks), equity[-1]
    sums[at.BARS_HELD] = bars_held
    return sums


class _Driver:
    def __init__(self, strategy: Strategy, listings: Sequence[Listing], account: AccountSettings) -> None:
        wrong = [each.bars.symbol for each in listings if each.bars.timeframe != strategy.timeframe]
        if wrong:
            raise ValueError(f"{strategy.name} trades {strategy.timeframe} bars; {', '.join(wrong)} has others")
        self._strategy, self._account = strategy, account
        self._desks = {each.bars.symbol: _Desk(each) for each in listings}
        self._books, _ = post_deposit(Books(), account.starting_cash, "start")
        self._funding = ZERO
        self._trades: list[ClosedTrade] = []
        self._fills: list[Fill] = []
        self._refused: dict[str, int] = {}
        self._bars_held = 0

    def run(self) -> ExactRun:
        times, equity = [], []
        for time, rows in _timeline([desk.listing for desk in self._desks.values()]):
            was_held, closed = self._is_held(), len(self._trades)
            for symbol, row in rows.items():
                self._meet_bar(self._desks[symbol], row)
            self._bars_held += was_held or self._is_held() or len(self._trades) > closed
            for intent in self._ask(rows):
                self._take(intent, rows[intent.symbol])
            times.append(time)
            equity.append(self._equity())
        open_trades = [leg.held for desk in self._desks.values() for leg in desk.legs.values() if leg.held]
        return ExactRun(
            tuple(times),
            tuple(equity),
            (*self._trades, *open_trades),
            tuple(self._fills),
            self._books,
            self._funding,
            self._refused,
            self._bars_held,
        )

    def _ask(self, rows: Mapping[str, int]) -> Sequence[Intent]:
        need = self._strategy.warmup
        windows = {
            symbol: self._desks[symbol].listing.bars[row + 1 - need : row + 1]
            for symbol, row in rows.items()
            if row + 1 >= need
        }
        return self._strategy.decide(windows, tuple(self._standings())) if windows else ()

    def _standings(self) -> Iterator[Standing]:
        for symbol, desk in self._desks.items():
            for tag, leg in desk.legs.items():
                if leg.held or leg.enter:
                    yield Standing(
                        symbol,
                        tag,
                        leg.held.side.sign if leg.held else 0,
                        float(leg.held.entry_price) if leg.held else None,
                        leg.age if leg.held else 0,
                        None if leg.stop is None else float(leg.stop),
                        None if leg.target is None else float(leg.target),
                        leg.enter is not None,
                    )

    def _is_held(self) -> bool:
        return any(leg.held for desk in self._desks.values() for leg in desk.legs.values())

    def _equity(self) -> Decimal:
        marks = {symbol: desk.mark for symbol, desk in self._desks.items() if desk.mark is not None}
        return self._books.equity(marks) - self._funding

    # What a bar does.

    def _meet_bar(self, desk: _Desk, row: int) -> None:
        bar = _price_bar(desk.listing, row)
        half = desk.listing.half_spread(bar.open)
        self._pay_funding(desk, bar, row)
        for tag, leg in desk.legs.items():
            if leg.closing:
                self._close_now(desk, leg, bar, half, row)
            inside = self._meet_entry(desk, tag, leg, bar, half, row) if leg.enter else False
            if leg.held and (leg.stop is not None or leg.target is not None):
                self._meet_protection(desk, leg, bar, half, row, inside)
            _grow_older(leg)
        desk.mark = bar.close

    def _pay_funding(self, desk: _Desk, bar: PriceBar, row: int) -> None:
        if desk.listing.funding is None:
            return
        rate = Decimal(repr(float(desk.listing.funding[row]))).quantize(FUNDING_QUANTUM)
        for leg in desk.legs.values():
            if leg.held:
                value = exact_product(leg.held.quantity, bar.open, rate, Decimal(leg.held.side.sign))
                paid = value.quantize(FUNDING_QUANTUM, ROUND_HALF_UP)
                leg.held = replace(leg.held, funding=leg.held.funding + paid)
                self._funding += paid

    def _close_now(self, desk: _Desk, leg: _Leg, bar: PriceBar, half: Decimal, row: int) -> None:
        assert leg.held is not None, "only what is held closes"
        order = RestingOrder(leg.held.side.opposite, OrderType.MARKET, leg.held.quantity)
        quote = _opening_quote(desk, bar, half)
        fill = match_quote(order, quote, desk.listing.instrument, self._account.matching).fill
        assert fill is not None, "the opening quote bears any quantity"
        self._close(desk, leg, fill, bar, row, leg.closing)

    def _meet_entry(self, desk: _Desk, tag: str, leg: _Leg, bar: PriceBar, half: Decimal, row: int) -> bool:
        """Match the entry that works; return whether it filled after the opening."""
        assert leg.enter is not None, "an entry works"
        instrument, matching = desk.listing.instrument, self._account.matching
        order = RestingOrder(leg.enter.side, leg.enter.order_type, leg.quantity, leg.price)
        fill = None
        if leg.waited == 0:
            quote = _opening_quote(desk, bar, half)
            codes = validate_order(_request(leg, tag), instrument, quote)
            if codes:
                self._refuse(codes[0])
                leg.enter = None
                return False
            fill = match_quote(order, quote, instrument, matching).fill
        leg.waited += 1
        if fill is None:
            fill = match_bar(order, bar, instrument, matching, spread=2 * half).fill
        return fill is not None and self._open(desk, tag, leg, fill, bar, row) and not fill.is_at_open

    def _meet_protection(self, desk: _Desk, leg: _Leg, bar: PriceBar, half: Decimal, row: int, is_inside: bool) -> None:
        assert leg.held is not None, "only what is held is protected"
        instrument, matching = desk.listing.instrument, self._account.matching
        out, quantity = leg.held.side.opposite, leg.held.quantity
        stop = RestingOrder(out, OrderType.STOP, quantity, leg.stop) if leg.stop is not None else None
        target = RestingOrder(out, OrderType.LIMIT, quantity, leg.target) if leg.target is not None else None
        if stop and target:
            answer = match_pair(stop, target, bar, instrument, matching, spread=2 * half, has_entered_inside=is_inside)
            if answer and answer[1].fill:
                self._close(desk, leg, answer[1].fill, bar, row, answer[0])
            return
        alone = stop or target
        if alone is None or (alone is target and is_inside):
            return
        fill = match_bar(alone, bar, instrument, matching, spread=2 * half, has_entered_inside=is_inside).fill
        if fill:
            self._close(desk, leg, fill, bar, row, "stop" if stop else "target")

    def _open(self, desk: _Desk, tag: str, leg: _Leg, fill: MarketFill, bar: PriceBar, row: int) -> bool:
        enter, instrument = leg.enter, desk.listing.instrument
        assert enter is not None, "an entry fills"
        leg.enter = None
        paid = exact_sum((exact_product(fill.quantity, fill.price, Decimal(enter.side.sign)), fill.fee))
        if not instrument.is_shortable and paid > self._books.cash - self._funding:
            self._refuse("insufficient_balance")
            return False
        self._book(instrument, enter.side, fill, bar.at)
        leg.held = ClosedTrade(
            instrument.symbol,
            tag,
            enter.side,
            fill.quantity,
            leg.decided,
            row,
            fill.price,
            fill.fee,
            fill.is_maker,
        )
        leg.stop, leg.target = leg.entry_stop, leg.entry_target
        leg.age, leg.last_age, leg.closing = 0, enter.max_bars, ""
        return True

    def _close(self, desk: _Desk, leg: _Leg, fill: MarketFill, bar: PriceBar, row: int, reason: str) -> None:
        assert leg.held is not None, "only what is held closes"
        self._book(desk.listing.instrument, leg.held.side.opposite, fill, bar.at)
        self._trades.append(
            replace(
                leg.held,
                exited=row,
                exit_price=fill.price,
                exit_fee=fill.fee,
                is_exit_maker=fill.is_maker,
                reason=reason,
            )
        )
        leg.held, leg.stop, leg.target, leg.closing = None, None, None, ""

    def _book(self, instrument: Instrument, side: Side, fill: MarketFill, at: datetime) -> None:
        name = f"B{len(self._fills) + 1}"
        booked = Fill(name, name, instrument.symbol, side, fill.quantity, fill.price, fill.fee, fill.is_maker, at)
        self._books, _ = post_fill(self._books, booked)
        self._fills.append(booked)

    # What a decision does.

    def _take(self, intent: Intent, row: int) -> None:
        desk = self._desks[intent.symbol]
        leg = desk.legs.setdefault(intent.tag, _Leg())
        if isinstance(intent, Exit):
            leg.enter = None
            if leg.held:
                leg.closing = "exit"
        elif isinstance(intent, Protect):
            self._protect(desk, leg, intent)
        else:
            self._enter(desk, leg, intent, row)

    def _protect(self, desk: _Desk, leg: _Leg, intent: Protect) -> None:
        stop, target = _level(intent.stop, desk), _level(intent.target, desk)
        if any(level is not None and level <= 0 for level in (stop, target)):
            self._refuse("tick")
        elif leg.held:
            leg.stop, leg.target = stop, target

    def _enter(self, desk: _Desk, leg: _Leg, intent: Enter, row: int) -> None:
        if leg.held and leg.held.side is intent.side and not leg.closing:
            return
        if leg.held and leg.held.side is not intent.side:
            leg.closing = "reverse"
        leg.enter = None
        if intent.side is Side.SELL and not desk.listing.instrument.is_shortable:
            self._refuse("not_shortable")
            return
        price, stop, target = (_level(level, desk) for level in (intent.price, intent.stop, intent.target))
        meets = desk.mark if price is None else price
        if meets is None or any(level is not None and level <= 0 for level in (meets, stop, target)):
            self._refuse("tick")
            return
        quantity = self._size(desk.listing.instrument, meets, stop, intent.size_bps)
        if quantity <= 0:
            return
        leg.enter, leg.quantity, leg.price, leg.entry_stop, leg.entry_target = intent, quantity, price, stop, target
        leg.waited, leg.decided = 0, row

    def _size(self, instrument: Instrument, price: Decimal, stop: Decimal | None, bps: int) -> Decimal:
        """Return the quantity of an entry; 0, and the refusal counted, when there is none."""
        if self._account.size.kind == "risk" and stop is None:
            self._refuse("risk_without_stop")
            return ZERO
        quantity = size_entry(self._account, instrument, self._equity(), price, stop, bps)
        if quantity <= 0:
            self._refuse("quantity")
        return quantity

    def _refuse(self, code: str) -> None:
        self._refused[code] = self._refused.get(code, 0) + 1


def size_entry(
    account: AccountSettings, instrument: Instrument, equity: Decimal, price: Decimal, stop: Decimal | None, bps: int
) -> Decimal:
    """Return the quantity of an entry on the lot grid, at least 0.

    Args:
        account: Whose size and leverage count.
        instrument: Its lots.
        equity: The account's worth at the deciding close.
        price: Where the entry is expected: its own price, or the close.
        stop: Needed when the size is by risk.
        bps: Share of the usual size.
    """
    worth = max(_fine(equity), ZERO)
    most = _fine(exact_product(worth, account.max_leverage)) // (price * instrument.lot_size) * instrument.lot_size
    return max(min(_wanted(account.size, instrument, worth, price, stop, bps), most), ZERO)


def _wanted(
    rule: SizeRule, instrument: Instrument, worth: Decimal, price: Decimal, stop: Decimal | None, bps: int
) -> Decimal:
    part = Decimal(bps) / FULL_SIZE_BPS
    if rule.kind == "fixed":
        return instrument.round_quantity(exact_product(rule.amount, part))
    base = _fine(rule.amount) if rule.kind == "notional" else _fine(exact_product(worth, rule.amount))
    per_unit = price
    if rule.kind == "risk" and stop is not None:
        per_unit = max((price - stop).copy_abs(), instrument.tick_size)
    return _fine(exact_product(base, part)) // (per_unit * instrument.lot_size) * instrument.lot_size


def _fine(amount: Decimal) -> Decimal:
    return amount.quantize(FEE_QUANTUM, ROUND_DOWN)


def _grow_older(leg: _Leg) -> None:
    if leg.held:
        leg.age += 1
        if leg.last_age and leg.age >= leg.last_age:
            leg.closing = "time"
    if leg.enter and leg.enter.valid_bars and leg.waited >= leg.enter.valid_bars:
        leg.enter = None


def _level(price: float | None, desk: _Desk) -> Decimal | None:
    return None if price is None else decimal_price(price, desk.listing.instrument)


def _opening_quote(desk: _Desk, bar: PriceBar, half: Decimal) -> Quote:
    return Quote(desk.listing.bars.symbol, bar.open - half, bar.open + half, bar.at)


def _price_bar(listing: Listing, row: int) -> PriceBar:
    bars = listing.bars
    columns = (bars.open, bars.high, bars.low, bars.close)
    prices = (decimal_price(float(column[row]), listing.instrument) for column in columns)
    return PriceBar(utc_from_seconds(int(bars.time[row])), *prices)


def _request(leg: _Leg, tag: str) -> OrderRequest:
    assert leg.enter is not None, "an entry works"
    enter = leg.enter
    return OrderRequest(
        tag, enter.symbol, enter.side, enter.order_type, leg.quantity, leg.price, leg.entry_stop, leg.entry_target
    )


def _timeline(listings: Sequence[Listing]) -> Iterator[tuple[int, dict[str, int]]]:
    """Yield each open time with the row that every symbol has there."""
    every = np.unique(np.concatenate([each.bars.time for each in listings]))
    places = {each.bars.symbol: 0 for each in listings}
    for time in every.tolist():
        rows = {}
        for each in listings:
            place = places[each.bars.symbol]
            if place < len(each.bars) and each.bars.time[place] == time:
                rows[each.bars.symbol] = place
                places[each.bars.symbol] = place + 1
        yield time, rows
