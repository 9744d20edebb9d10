"""What stands behind the commands that train models and take them back."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime

from copilot.commands import Progress, read_timeframe
from copilot.markets import held_market
from copilot.places import market_name, open_registry, prepare_data_dir
from copilot.settings import Settings
from engine.data.simulated_cache import ParquetChunkStore
from engine.domain.errors import ConfigError
from engine.ml.device import choose_device
from engine.ml.registry import Manifest, Offer
from engine.ml.spread import open_spread
from engine.ml.training import train_on_market


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
    prepare_data_dir(settings)
    # Auto looks for a device on this machine, which says nothing about the workers of a cluster.
    device = choose_device("cpu" if dask is not None and settings.device == "auto" else settings.device)
    unfinished = settings.data_dir / "models" / market_name(settings) / ".unfinished"
    with open_spread(dask) as spread, held_market(settings, lambda done: progress(0.2 * done, "market")) as market:
        wanted = read_timeframe(timeframe)
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
    return open_registry(settings).roll_back(read_timeframe(timeframe), symbol)
