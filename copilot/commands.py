"""What stands behind the commands that prepare data and models."""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from copilot.places import market_name, open_bar_store, open_registry, prepare_data_dir
from copilot.settings import Settings
from engine.data.ingest import ingest_file
from engine.data.quality import QualityReport
from engine.data.simulated_cache import ParquetChunkStore
from engine.domain.errors import ConfigError
from engine.domain.symbols import TIMEFRAMES, Timeframe, find_timeframe

if TYPE_CHECKING:
    from engine.ml.registry import Manifest, Offer

Progress = Callable[[float, str], None]


def ingest_files(
    settings: Settings,
    files: Sequence[Path],
    source: str,
    *,
    symbol: str | None,
    timeframe: str | None,
    columns: str | None,
    time_zone: str,
    progress: Progress,
) -> Iterator[QualityReport]:
    """Read files into the bar store, one after the other, and yield each quality report once its bars are stored.

    Raises:
        ConfigError: The mapping or the timeframe cannot be understood.
        InvalidRequest: A file does not fit; the ones before it are stored.
        DataUnavailable: A file holds no usable bars.
    """
    prepare_data_dir(settings)
    store = open_bar_store(settings)
    mapping = None if columns is None else _mapping(columns)
    wanted = None if timeframe is None else _timeframe(timeframe)
    for number, path in enumerate(files):

        def tell(done: float, number: int = number, path: Path = path) -> None:
            progress((number + done) / len(files), path.name)

        yield ingest_file(
            path,
            store,
            source=source,
            symbol=symbol,
            timeframe=wanted,
            columns=mapping,
            time_zone=time_zone,
            progress=tell,
        )


def train_model(
    settings: Settings, symbol: str | None, timeframe: str, progress: Progress, *, dask: str | None = None
) -> Offer:
    """Train on the market at hand and register the model; it is used only if it beats the one in use.

    What was fitted before an interruption is used again where bars and code are the same.

    Args:
        settings: Which market, and where models are kept.
        symbol: One, or None for a model of all together.
        timeframe: Of the bars.
        progress: Told the share that is done, and what is being done.
        dask: Address of a Dask scheduler whose workers fit; None fits here.

    Raises:
        ConfigError: The timeframe or the symbol is unknown, no scheduler answers, or CUDA is wanted and not there.
        DataUnavailable: There are too few bars.
    """
    from copilot.markets import held_market
    from engine.ml.device import choose_device
    from engine.ml.spread import open_spread
    from engine.ml.training import train_on_market

    prepare_data_dir(settings)
    # Auto looks for a device on this machine, which says nothing about the workers of a cluster.
    device = choose_device("cpu" if dask is not None and settings.device == "auto" else settings.device)
    unfinished = settings.data_dir / "models" / market_name(settings) / ".unfinished"
    with open_spread(dask) as spread, held_market(settings, lambda done: progress(0.2 * done, "market")) as market:
        wanted = _timeframe(timeframe)
        if symbol is not None and symbol not in market.instruments():
            raise ConfigError(f"--symbol {symbol!r} is not on this market; it lists {', '.join(market.instruments())}")
        model = train_on_market(
            market,
            wanted,
            symbols=None if symbol is None else (symbol,),
            created_at=datetime.now(UTC),
            progress=lambda done, what: progress(0.2 + 0.8 * done, what),
            spread=spread,
            device=device,
            store=ParquetChunkStore(unfinished),
        )
    offer = open_registry(settings).offer(model)
    shutil.rmtree(unfinished, ignore_errors=True)
    return offer


def roll_back_model(settings: Settings, symbol: str, timeframe: str) -> Manifest | None:
    """Take the model in use for a symbol out of use and return the one before it; None means that there is none.

    Raises:
        ConfigError: The timeframe is unknown.
        DataUnavailable: The symbol has no model.
    """
    return open_registry(settings).roll_back(_timeframe(timeframe), symbol)


def to_json(value: object, indent: int | None = 2) -> str:
    """Return any report as JSON; decimals and times as text, and what is no finite number as null."""
    return json.dumps(_plain(value), ensure_ascii=False, indent=indent, allow_nan=False)


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {name.name: _plain(getattr(value, name.name)) for name in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, Decimal | Path):
        return str(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value.isoformat() if isinstance(value, datetime) else value


def _timeframe(text: str) -> Timeframe:
    timeframe = find_timeframe(text)
    if timeframe is None:
        raise ConfigError(f"--timeframe {text!r} is not known; choose one of {', '.join(TIMEFRAMES)}")
    return timeframe


def _mapping(text: str) -> dict[str, str]:
    pairs = [pair.partition("=") for pair in text.split(",")]
    if any(not name.strip() or not equals or not theirs.strip() for name, equals, theirs in pairs):
        raise ConfigError(f"--columns {text!r} must read like time=date,open=o,high=h,low=l,close=c,volume=v")
    return {name.strip(): theirs.strip() for name, _, theirs in pairs}
