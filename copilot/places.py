"""Where things lie in the data folder; a heavy library is imported by what needs it, so that light commands stay so."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING

from copilot.settings import Settings
from engine.data.live.networks import NETWORKS, Network
from engine.domain.errors import ConfigError

if TYPE_CHECKING:
    from engine.data.store import BarStore
    from engine.ml.registry import ModelRegistry

KILL_FILE = "STOP"
"""A file of this name in `data_dir` stops all trading."""


def prepare_data_dir(settings: Settings) -> None:
    """Make the data folder and see that it can be written.

    Raises:
        ConfigError: It cannot.
    """
    folder = settings.data_dir
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ConfigError(
            f"COPILOT_DATA_DIR is {str(folder)!r}: nothing can be written there ({error.strerror}); "
            "choose a folder that this account may write"
        ) from error


def open_bar_store(settings: Settings) -> BarStore:
    """Return the columnar store of bars."""
    from engine.data.store import BarStore

    return BarStore(settings.data_dir / "bars")


def open_registry(settings: Settings) -> ModelRegistry:
    """Return the store of trained models; each market has its own, so that invented prices never teach real trades."""
    from engine.ml.registry import ModelRegistry

    return ModelRegistry(settings.data_dir / "models" / market_name(settings))


def network_of(settings: Settings) -> Network:
    """Return the market of Binance that the settings look at: the one that orders go to, or the real one."""
    return NETWORKS["binance" if settings.venue == "paper" else settings.venue]


def market_name(settings: Settings) -> str:
    """Return the name of the market that the settings look at, under which its models are kept."""
    kind = settings.market_kind
    return {"simulated": "simulated", "binance": network_of(settings).name}.get(
        kind, f"replay-{settings.replay_source}"
    )
