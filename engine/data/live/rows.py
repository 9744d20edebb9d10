"""Read what Binance writes: bars and rules of symbols. What cannot be read whole is not read at all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

import numpy as np

from engine.domain.instruments import CRYPTO_MAKER_FEE, CRYPTO_TAKER_FEE, FUTURES_FEES
from engine.domain.market import Bars, Instrument
from engine.domain.resampling import bucket_start
from engine.domain.symbols import Timeframe

_MS = 1000
_COLUMNS = 5


def read_bars(symbol: str, timeframe: Timeframe, rows: Sequence[Sequence[Any]]) -> Bars:
    """Return rows of klines as bars, repeated and unordered ones put right (the last of a time counts).

    Raises:
        ValueError: A row is no bar: cut off, not on the grid, or its prices contradict each other.
    """
    by_time = {int(row[0]) // _MS: row[1 : 1 + _COLUMNS] for row in rows}
    times = np.array(sorted(by_time), dtype=np.int64)
    values = np.array([[float(cell) for cell in by_time[int(time)]] for time in times], dtype=np.float64)
    values = values.reshape(len(times), _COLUMNS)
    bars = Bars(symbol, timeframe, times, *(np.ascontiguousarray(values[:, column]) for column in range(_COLUMNS)))
    _check(bars)
    return bars


def _check(bars: Bars) -> None:
    if np.any(bucket_start(bars.time, bars.timeframe) != bars.time):
        raise ValueError(f"bars of {bars.symbol} are not on the grid of {bars.timeframe}")
    low, high = np.minimum(bars.open, bars.close), np.maximum(bars.open, bars.close)
    # Written so that NaN fails.
    is_right = (bars.low > 0) & (bars.low <= low) & (bars.high >= high) & (bars.volume >= 0) & np.isfinite(bars.high)
    if not np.all(is_right):
        raise ValueError(f"a bar of {bars.symbol} contradicts itself")


def read_instruments(
    rows: Iterable[Mapping[str, Any]], *, is_futures: bool = False
) -> tuple[dict[str, Instrument], dict[str, str]]:
    """Return the rules of the symbols that trade now, and the exchange's name of each, by our symbol.

    Of futures only the perpetual contracts count: the others end.

    A symbol whose rules cannot be read is left out: no order in it could be right.
    """
    instruments, ids = {}, {}
    for row in rows:
        instrument = _read_instrument(row, is_futures=is_futures)
        if instrument is not None:
            instruments[instrument.symbol] = instrument
            ids[instrument.symbol] = str(row["symbol"])
    return instruments, ids


def _read_instrument(row: Mapping[str, Any], *, is_futures: bool) -> Instrument | None:
    is_kind = row.get("contractType") == "PERPETUAL" if is_futures else row.get("isSpotTradingAllowed", True)
    if row.get("status") != "TRADING" or not is_kind:
        return None
    taker, maker = FUTURES_FEES if is_futures else (CRYPTO_TAKER_FEE, CRYPTO_MAKER_FEE)
    try:
        filters = {each["filterType"]: each for each in row["filters"]}
        price, lot = filters["PRICE_FILTER"], filters["LOT_SIZE"]
        notional = filters.get("NOTIONAL") or filters.get("MIN_NOTIONAL") or {}
        instrument = Instrument(
            symbol=f"{row['baseAsset']}/{row['quoteAsset']}",
            base=row["baseAsset"],
            quote=row["quoteAsset"],
            tick_size=Decimal(price["tickSize"]).normalize(),
            lot_size=Decimal(lot["stepSize"]).normalize(),
            min_quantity=Decimal(lot["minQty"]).normalize(),
            min_notional=Decimal(notional.get("minNotional") or notional.get("notional") or "0").normalize(),
            taker_fee_ratio=taker,
            maker_fee_ratio=maker,
            is_shortable=is_futures,
        )
    except (KeyError, TypeError, InvalidOperation):
        return None
    has_steps = instrument.tick_size > 0 and instrument.lot_size > 0
    return instrument if has_steps and instrument.base.isalnum() and instrument.base.isascii() else None
