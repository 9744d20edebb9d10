"""Put a live market together: coins from Binance, currencies and gold from what the owner names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from engine.data.live.binance import BinanceMarket, LiveLimits
from engine.data.live.composite import CompositeMarket, Part
from engine.data.live.networks import SPOT, Network
from engine.data.live.stored import StoreMarket
from engine.data.store import BarStore
from engine.domain.symbols import SYMBOLS, is_fx


def build_live_market(
    store: BarStore,
    symbols: Sequence[str] = SYMBOLS,
    *,
    network: Network = SPOT,
    proxies: Mapping[str, str] | None = None,
    stored_source: str = "",
    refresh: Callable[[], object] | None = None,
    rest_url: str | None = None,
    ws_url: str | None = None,
    limits: LiveLimits | None = None,
) -> CompositeMarket:
    """Return a live market, to be opened; it shows what has a source, and `missing` says what has none.

    Args:
        store: Where exchange history is kept, and where the owner's bars are.
        symbols: What to carry.
        network: Which market of Binance.
        proxies: Binance's symbol that stands for one of ours (`XAUUSD` → `PAXG/USDT`).
        stored_source: Source of the store for currencies and metals without a proxy; empty for none.
        refresh: Brings new bars of that source into the store.
        rest_url: Scheme, host and port instead of Binance's own.
        ws_url: The same for its streams.
        limits: How patient the exchange's part is.
    """
    stands_for = {symbol: their for symbol, their in (proxies or {}).items() if symbol in symbols}
    coins = {symbol: symbol for symbol in symbols if not is_fx(symbol) and symbol not in stands_for}
    from_exchange = {**coins, **stands_for}
    carried = list(dict.fromkeys(from_exchange.values()))
    exchange = BinanceMarket(
        store, carried, network=network, rest_url=rest_url, ws_url=ws_url, limits=limits, deep_symbols=carried
    )
    parts = [Part(exchange, from_exchange, kind="exchange", name=exchange.name)]
    kept = [symbol for symbol in symbols if is_fx(symbol) and symbol not in stands_for]
    if stored_source and kept:
        stored = StoreMarket(store, stored_source, kept, refresh=refresh)
        parts.append(Part(stored, {symbol: symbol for symbol in kept}, kind="store", name=stored_source))
    return CompositeMarket(parts, wanted=symbols)
