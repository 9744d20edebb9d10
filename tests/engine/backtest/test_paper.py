"""The same strategy object on the paper exchange, order by order, against the backtest: the same fills and money."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.execution.paper_book import PaperBook
from engine.backtest.exact import run_strategy, size_entry
from engine.backtest.fast import run_decisions
from engine.backtest.recording import record_decisions
from engine.backtest.settings import AccountSettings, Listing, SizeRule
from engine.domain.instruments import build_instrument
from engine.domain.market import Bars, Quote, decimal_price, utc_from_seconds
from engine.domain.orders import Fill, OrderRequest, OrderType, Side
from engine.domain.strategies import Enter, Exit, Intent
from engine.sim.matching import validate_order
from tests.engine.backtest.markets import INSTRUMENTS, random_listing, read_real_bars
from tests.engine.backtest.strategies import Bracket, Crossover
from tests.parts import real_bars

D = Decimal
Rule = Crossover | Bracket


class PaperTrader:
    """Drives a strategy as it is driven live: a decision at each close, its orders to the exchange, the fills back."""

    def __init__(self, strategy: Rule, listing: Listing, account: AccountSettings) -> None:
        self.strategy, self.listing, self.account = strategy, listing, account
        instrument = listing.instrument
        balances = {"USD": account.starting_cash}
        self.book = PaperBook({instrument.symbol: instrument}, account.matching, {}, balances, 0, 0)
        self.orders = 0

    def run(self) -> list[Fill]:
        bars, need = self.listing.bars, self.strategy.warmup
        wanted: list[OrderRequest] = []
        for row in range(len(bars)):
            quote = self.opening_quote(row)
            for order in wanted:
                self.submit(order, quote)
            self.book.meet_bars(bars[row : row + 1], quote.ask - quote.bid)
            wanted = []
            if row + 1 >= need:
                intents = self.strategy.decide({bars.symbol: bars[row + 1 - need : row + 1]}, ())
                wanted = self.orders_for(intents, decimal_price(float(bars.close[row]), self.listing.instrument))
        return [fill for _, fill in self.book.new_fills]

    def opening_quote(self, row: int) -> Quote:
        bars = self.listing.bars
        opening = decimal_price(float(bars.open[row]), self.listing.instrument)
        half = self.listing.half_spread(opening)
        return Quote(bars.symbol, opening - half, opening + half, utc_from_seconds(int(bars.time[row])))

    def orders_for(self, intents: Sequence[Intent], close: Decimal) -> list[OrderRequest]:
        symbol, instrument = self.listing.bars.symbol, self.listing.instrument
        held = self.book.held(symbol)
        equity = self.book.balances["USD"] + held * close
        orders = []
        for intent in intents:
            opposes = isinstance(intent, Exit) or (isinstance(intent, Enter) and held * intent.side.sign < 0)
            if held and opposes:
                side = Side.SELL if held > 0 else Side.BUY
                orders.append(OrderRequest(self.name(), symbol, side, OrderType.MARKET, abs(held), is_reduce_only=True))
            if isinstance(intent, Enter) and held * intent.side.sign <= 0:
                levels = (
                    None if each is None else decimal_price(each, instrument) for each in (intent.stop, intent.target)
                )
                stop, target = levels
                quantity = size_entry(self.account, instrument, equity, close, stop, intent.size_bps)
                orders.append(
                    OrderRequest(self.name(), symbol, intent.side, OrderType.MARKET, quantity, None, stop, target)
                )
        return orders

    def submit(self, order: OrderRequest, quote: Quote) -> None:
        if not validate_order(order, self.listing.instrument, quote):
            self.book.meet_quote(quote, quote.at, None, self.book.add(order, quote.at))

    def name(self) -> str:
        self.orders += 1
        return f"o{self.orders}"


def assert_same_on_paper(strategy: Rule, listing: Listing, account: AccountSettings) -> int:
    """Compare paper, exact driver and compiled pass; return how many fills they agree on."""
    trader = PaperTrader(strategy, listing, account)
    paper = [money_of(fill) for fill in trader.run()]
    exact = run_strategy(strategy, [listing], account)
    run = run_decisions(listing, strategy.decide_all(listing.bars), account)
    assert paper == [money_of(fill) for fill in exact.fills]
    assert trader.book.balances["USD"] == exact.cash == run.cash
    assert [run.trades.exact(row) for row in range(len(run.trades))] == list(exact.trades)
    return len(paper)


def money_of(fill: Fill) -> tuple[Side, Decimal, Decimal, Decimal, bool]:
    return fill.side, fill.quantity, fill.price, fill.fee, fill.is_maker


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_random_markets_fill_alike_on_paper(seed: int) -> None:
    rng = np.random.default_rng(seed)
    listing = random_listing(rng, INSTRUMENTS[int(rng.integers(5))], 150)
    listing = Listing(listing.bars, listing.instrument, listing.spread_bps)
    symbols = (listing.bars.symbol,)
    rules: list[Rule] = [Crossover(symbols), Crossover(symbols, shorts=True), Bracket(symbols, rise=0.0)]
    strategy = rules[int(rng.integers(3))]
    assert_same_on_paper(strategy, listing, AccountSettings(D(20_000), SizeRule("equity", D("0.8"))))


@pytest.mark.parametrize("kind", ["crossover", "bracket"])
@pytest.mark.parametrize(
    ("file", "symbol"), [("BINANCE_USDM/BTCUSDT_1m.parquet", "BTC/USDT"), ("MT5/XAUUSD_15m.parquet", "XAUUSD")]
)
def test_real_bars_fill_alike_on_paper(file: str, symbol: str, kind: str) -> None:
    bars = read_real_bars(real_bars(file), symbol, "1m" if "1m" in file else "15m", 3000)
    listing = Listing(bars, build_instrument(symbol), D(1))
    strategy: Rule = Crossover((symbol,), bars.timeframe, 10, 30, shorts=symbol == "XAUUSD")
    if kind == "bracket":
        strategy = Bracket((symbol,), bars.timeframe, rise=0.001, stop=0.002, target=0.004)
    assert assert_same_on_paper(strategy, listing, AccountSettings(size=SizeRule("equity", D("0.9")))) > 50


def test_both_forms_of_a_strategy_decide_alike() -> None:
    rng = np.random.default_rng(3)
    bars = random_listing(rng, INSTRUMENTS[0], 400).bars
    for strategy in (Crossover((bars.symbol,)), Crossover((bars.symbol,), shorts=True), Bracket((bars.symbol,))):
        assert_decides_alike(strategy, bars)


def assert_decides_alike(strategy: Rule, bars: Bars) -> None:
    said, recorded = strategy.decide_all(bars), record_decisions(strategy, bars)
    np.testing.assert_array_equal(said.action, recorded.action)
    acts = said.action > 0
    assert acts.sum() > 10
    if said.stop_ratio and recorded.stop is not None:
        np.testing.assert_array_equal(recorded.stop[acts], (bars.close * (1 - said.stop_ratio))[acts])
