"""Fees in whatever asset the exchange takes them: the desk's books hold what the exchange holds."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import numpy as np
import pytest

from agents.execution.desk import Desk
from agents.execution.values import IntentState, OrderIntent
from engine.domain.market import Bars
from tests.agents.execution.binance.places import BNB, BTC, CASH, DEEP
from tests.agents.execution.binance.schedules import SYMBOLS, ExchangeMarket
from tests.agents.execution.binance.simulation import Bench, memory_database, request, run
from tests.agents.execution.fakes import WIDE
from tests.agents.execution.place import books_of

D = Decimal


class QuietMarket(ExchangeMarket):
    """A market whose last price stood for an hour."""

    def bars_between(self, symbol: str, start: datetime, end: datetime) -> Bars:
        """Return an hour of the last price."""
        until = int(end.timestamp()) // 60 * 60
        times = np.arange(until - 3600, until, 60, dtype=np.int64)
        price = np.full(60, float(self.bench.server.spot.last(SYMBOLS[symbol])))
        return Bars(symbol, "1m", times, price, price, price, price, np.ones(60))


@pytest.mark.parametrize("asset", ["BNB", "received", "quote"])
def test_books_agree_with_the_exchange_whatever_fees_are_taken_in(asset: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SYMBOLS, "BNB/USDT", "BNBUSDT")

    async def trade() -> None:
        bench = Bench(
            symbols=(BTC, BNB),
            prices={"BTCUSDT": 100, "BNBUSDT": 600},
            balances={"USDT": CASH, "BNB": D(3)},
            liquidity=DEEP,
            database=memory_database(everything=True),
        )
        bench.server.account.fee_asset = asset
        async with bench:
            market = QuietMarket(bench)
            desk = Desk(bench.database, bench.venue, market, WIDE, starting_cash=None, wall_clock=bench.clock.now)
            await desk.start()
            assert (await desk.account()).equity == CASH + 3 * 600
            bought = await desk.execute(OrderIntent("ana", "ticket:1", request(quantity="2", stop_loss="90")))
            assert bought.state is IntentState.DONE
            await desk.close("main", "BTC/USDT", "ticket:2")
            await desk.reconcile()
            assert desk.discrepancies() == ()
            paid = [each.fill.fee for each in await desk.trades()]
            assert len(paid) == 2
            assert D("0.25") < sum(paid) < D("0.5")
            books = books_of(desk)
            await desk.reconcile()
            assert books_of(desk) == books
            assert desk.discrepancies() == ()

    run(trade())
