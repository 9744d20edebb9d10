"""`get_signal`: the ML engine's present signal beside the present price."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from engine.domain.market import Quote
from engine.domain.protocols import MarketData
from tools.chart import BARS_NEEDED, BARS_SHOWN, FillSource, draw, mark_fills
from tools.instruments import check_symbol
from tools.registry import ToolContext
from tools.results import QuoteView, SignalResult
from tools.schema import GetSignal
from tools.trading import SignalSource


@dataclass(frozen=True, slots=True)
class SignalTool:
    """Reads a signal; the age is that of the last closed bar."""

    market: MarketData
    signals: SignalSource
    fills: FillSource | None = None

    async def __call__(self, arguments: GetSignal, context: ToolContext) -> SignalResult:
        """Return the signal of one symbol and timeframe."""
        check_symbol(self.market, arguments.symbol)
        quote = self.market.quote(arguments.symbol)
        signal = await asyncio.to_thread(self.signals.signal, arguments.symbol, arguments.timeframe)
        bars = self.market.bars(arguments.symbol, arguments.timeframe, BARS_SHOWN + BARS_NEEDED)
        return SignalResult(
            signal=signal,
            quote=quote_view(quote),
            age_s=max((self.market.now() - signal.price_at).total_seconds(), 0.0),
            market=self.market.name,
            is_simulated=self.market.is_simulated,
            chart=await mark_fills(draw(bars), self.fills),
        )


def quote_view(quote: Quote) -> QuoteView:
    """Return a quote as a result."""
    return QuoteView(symbol=quote.symbol, bid=quote.bid, ask=quote.ask, at=quote.at, is_open=quote.is_open)
