"""What stands behind the commands that prepare data; `model_commands` holds those that train, with their libraries."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from copilot.places import open_bar_store, prepare_data_dir
from copilot.settings import Settings
from engine.data.ingest import ingest_file
from engine.data.quality import QualityReport
from engine.domain.errors import ConfigError
from engine.domain.symbols import TIMEFRAMES, Timeframe, find_timeframe

if TYPE_CHECKING:
    pass

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
    wanted = None if timeframe is None else read_timeframe(timeframe)
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


def read_timeframe(text: str) -> Timeframe:
    """Return the timeframe that `--timeframe` names.

    Raises:
        ConfigError: It names none.
    """
    timeframe = find_timeframe(text)
    if timeframe is None:
        raise ConfigError(f"--timeframe {text!r} is not known; choose one of {', '.join(TIMEFRAMES)}")
    return timeframe


def _mapping(text: str) -> dict[str, str]:
    pairs = [pair.partition("=") for pair in text.split(",")]
    if any(not name.strip() or not equals or not theirs.strip() for name, equals, theirs in pairs):
        raise ConfigError(f"--columns {text!r} must read like time=date,open=o,high=h,low=l,close=c,volume=v")
    return {name.strip(): theirs.strip() for name, _, theirs in pairs}
