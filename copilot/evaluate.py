"""What stands behind `trading-copilot evaluate`: a file of bars in, forecasts and their honest figures out.

The file's six columns of bars are all that is read: whatever else it holds may know the future, and is named in the
report and left alone. Rows that are no bars are left out and counted; nothing is repaired in silence. Finished folds
stay in the output folder, so an interrupted run goes on where it stopped.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from time import perf_counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from engine.data.files import write_atomically
from engine.data.naming import parse_file_name
from engine.data.quality import QualityReport, RawBars, clean
from engine.data.simulated_cache import ParquetChunkStore
from engine.data.times import read_times
from engine.domain.errors import ConfigError, DataUnavailable
from engine.domain.market import Bars, FloatArray, utc_from_seconds
from engine.domain.symbols import TIMEFRAME_S, TIMEFRAMES, find_timeframe
from engine.ml.dataset import hash_bars
from engine.ml.evaluation import Evaluation, evaluate
from engine.ml.forward import HORIZONS
from engine.ml.scores import measure
from engine.ml.spread import open_spread

Report = Callable[[float, str], None]

PREDICTIONS = "predictions.parquet"
METRICS = "metrics.json"
FOLDS = "folds"
_PRICES = ("open", "high", "low", "close")
_COLUMNS = ("time", *_PRICES, "volume")
_QUANTILES = ("q10", "q50", "q90")
_MOST_BAD_RATIO = 0.5
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Summary:
    """What an evaluation found.

    Attributes:
        file: Of the bars.
        quality: What was wrong with its rows.
        ignored: Columns that were not read.
        out: Folder of the results.
        metrics: As they stand in `metrics.json`.
    """

    file: Path
    quality: QualityReport
    ignored: tuple[str, ...]
    out: Path
    metrics: Mapping[str, object]

    def as_dict(self) -> dict[str, object]:
        """Return the metrics."""
        return dict(self.metrics)

    def lines(self) -> list[str]:
        """Return the report for a terminal."""
        run, signals, honesty = (_tree(self.metrics[name]) for name in ("run", "signals", "honesty"))
        quality = self.quality.lines()[:-1]  # the last line tells of a store, and there is none
        ignored = [f"  not read    {', '.join(self.ignored)} (columns that are no bars)"] if self.ignored else []
        return [
            *quality,
            *ignored,
            f"test part {run['test_from']} to {run['test_to']}: {run['test_bars']:,} bars, {run['folds']} fits, "
            f"{run['seconds']} s, {run['reused']} parts kept from before",
            "",
            "horizon  pinball below HAR / HAR with hour of week / rolling   covered 10-90 up / down (80 % wanted)",
            *(self._range_line(str(horizon)) for horizon in HORIZONS),
            "",
            "reward:risk   AUC   within volatility   Brier skill   calibration error (noise)",
            *(_target_line(ratio, _tree(target)) for ratio, target in _tree(self.metrics["targets"]).items()),
            "",
            f"signals on {_percent(signals['share_of_bars'])} of bars; mean {_number(signals['mean'])} of the risk, "
            f"{_number(signals['mean_costs_doubled'])} with costs doubled (costs {_percent(signals['cost_ratio'])} a "
            f"round trip)",
            f"random entries earn {_number(signals['random_entry_mean'])} of the risk each; "
            f"buy and hold {_percent(signals['buy_and_hold_return'])}",
            f"best of {honesty['trials']} candidates: deflated Sharpe {_number(honesty['deflated_sharpe'])} "
            f"(0.95 wanted), probability of overfitting {_number(honesty['backtest_overfitting'])} (0.2 at most)",
            f"verdict: {self.metrics['verdict']}",
            f"written: {self.out / PREDICTIONS}, {self.out / METRICS}",
        ]

    def _range_line(self, horizon: str) -> str:
        one = _tree(_tree(self.metrics["ranges"])[horizon])
        if not one["rows"]:
            return f"{horizon:>7}  no outcome is known yet"
        gains = " / ".join(_percent(one.get(f"gain_over_{name}")) for name in ("har", "har_week", "rolling"))
        return f"{horizon:>7}  {gains:<50} {_percent(one['coverage_up'])} / {_percent(one['coverage_down'])}"


def evaluate_bars(
    file: Path, timeframe: str, out: Path, *, test_from: date | None, report: Report, dask: str | None = None
) -> Summary:
    """Evaluate the engine on a Parquet file of bars and write `predictions.parquet` and `metrics.json`.

    Args:
        file: Columns `time open high low close`, `volume` if there is one; times without a zone are UTC.
        timeframe: Of the bars.
        out: Folder for the results; made when missing. Finished folds are kept below it.
        test_from: First day of the test part (UTC); None for the last two fifths of the bars.
        report: Told a fraction (0-1) and what is being done.
        dask: Address of a Dask scheduler whose workers fit; None fits here.

    Raises:
        ConfigError: The timeframe is not known, or is not that of the file, or no scheduler answers.
        DataUnavailable: The file cannot be read, lacks a column, or holds too few bars.
    """
    started = perf_counter()
    report(0.0, "reading")
    bars, quality, ignored = read_bars(file, timeframe)
    begin = None if test_from is None else int(datetime(*test_from.timetuple()[:3], tzinfo=UTC).timestamp())
    store = ParquetChunkStore(out / FOLDS)
    with open_spread(dask) as spread:
        result = evaluate(bars, test_from=begin, cost_ratio=None, store=store, progress=report, spread=spread)
    report(0.97, "figures")
    metrics = {
        "format": _FORMAT,
        "run": {
            **_describe(result, file, ignored, quality),
            "seconds": round(perf_counter() - started, 1),
        },
        **measure(result),
    }
    report(0.99, "writing")
    out.mkdir(parents=True, exist_ok=True)
    table = predictions_table(result)
    write_atomically(out / PREDICTIONS, lambda path: pq.write_table(table, path, compression="zstd"), is_private=False)
    text = json.dumps(metrics, indent=1, allow_nan=False)
    write_atomically(out / METRICS, lambda path: path.write_text(text, encoding="utf-8"), is_private=False)
    report(1.0, "done")
    return Summary(file, quality, ignored, out, metrics)


def read_bars(file: Path, timeframe: str) -> tuple[Bars, QualityReport, tuple[str, ...]]:
    """Return the good bars of a Parquet file, what was found, and the columns that were not read.

    Raises:
        ConfigError: The timeframe is not known, or is not that of the file.
        DataUnavailable: The file cannot be read, lacks a column, or most of its rows are no bars.
    """
    known = find_timeframe(timeframe)
    if known is None:
        raise ConfigError(f"--timeframe {timeframe!r} is not known; use one of {', '.join(TIMEFRAMES)}")
    table, ignored = _read_columns(file)
    symbol = parse_file_name(file.stem)[0] or file.stem.upper()
    bars, quality = clean(_to_raw(file, table), file.name, symbol, known)
    if quality is None or quality.bad_count > _MOST_BAD_RATIO * quality.rows_read:
        reasons = ", ".join(f"{kind.reason} {kind.count}" for kind in quality.bad) if quality else "no row is one"
        raise DataUnavailable(f"{file} holds {len(bars)} bars in {table.num_rows} rows ({reasons})")
    step = float(np.median(np.diff(bars.time))) if len(bars) > 1 else TIMEFRAME_S[known]
    if step != TIMEFRAME_S[known]:
        raise ConfigError(f"--timeframe {timeframe} is not that of {file.name}: its bars are {step:.0f} s apart")
    return bars, quality, ignored


def predictions_table(result: Evaluation) -> pa.Table:
    """Return one row per bar of the test part, horizon, side and reward:risk, in that order."""
    targets = list(result.probability)
    m, per_horizon = len(result.rows), len(targets)
    per_bar = per_horizon * len(HORIZONS)
    time = result.bars.time[result.rows]

    def spread(by_horizon: Mapping[int, FloatArray], q: int) -> FloatArray:
        return np.repeat(np.stack([by_horizon[h][:, q] for h in HORIZONS], axis=1).ravel(), per_horizon)

    probability = np.full((m, len(HORIZONS), per_horizon), np.nan)
    signal = np.zeros((m, len(HORIZONS), per_horizon), dtype=np.int8)
    for k, (side, ratio) in enumerate(targets):
        probability[:, -1, k] = result.probability[side, ratio]
        is_chosen = (result.decisions.side == side) & (result.decisions.reward_risk == ratio)
        signal[:, -1, k] = np.where(is_chosen, side, 0)
    columns: dict[str, pa.Array] = {
        "time": pa.array(np.repeat(time, per_bar) * 1_000_000).cast(pa.timestamp("us", "UTC")),
        "horizon": pa.array(np.tile(np.repeat(np.array(HORIZONS, dtype=np.int32), per_horizon), m)),
    }
    for name, by_horizon in (("up", result.up), ("down", result.down)):
        columns |= {f"{name}_{q}": pa.array(spread(by_horizon, k)) for k, q in enumerate(_QUANTILES)}
    columns |= {
        "side": pa.array(np.tile(np.array([side for side, _ in targets], dtype=np.int8), m * len(HORIZONS))),
        "reward_risk": pa.array(np.tile(np.array([ratio for _, ratio in targets]), m * len(HORIZONS))),
        "stop_fraction": pa.array(np.repeat(result.stop, per_bar)),
        "p_target": pa.array(probability.ravel()),
        "signal": pa.array(signal.ravel()),
        "phase": pa.array(np.repeat(np.array([str(phase) for phase in result.phase]), per_bar)),
    }
    return pa.table(columns)


def _read_columns(file: Path) -> tuple[pa.Table, tuple[str, ...]]:
    """Return the columns of bars by our names, and the names of the others."""
    try:
        with pq.ParquetFile(file) as parquet:
            available = parquet.schema_arrow.names
            missing = [name for name in _COLUMNS[:-1] if name not in available]
            if missing:
                raise DataUnavailable(
                    f"{file} lacks {', '.join(missing)}; it has {', '.join(available) or 'no columns'}; "
                    f"wanted are {', '.join(_COLUMNS)}"
                )
            table = parquet.read([name for name in _COLUMNS if name in available])
    except (OSError, pa.ArrowException) as error:
        raise DataUnavailable(f"{file} cannot be read as Parquet: {error}") from error
    return table, tuple(name for name in available if name not in _COLUMNS)


def _to_raw(file: Path, table: pa.Table) -> RawBars:
    try:
        time, has_time = read_times(table["time"], UTC, None)
        open_, high, low, close = (_numbers(table, name) for name in _PRICES)
        volume = _numbers(table, "volume") if "volume" in table.column_names else np.zeros(table.num_rows)
    except (ValueError, pa.ArrowException) as error:
        raise DataUnavailable(f"{file} cannot be read: {error}") from error
    return RawBars(
        row=np.arange(1, table.num_rows + 1, dtype=np.int64),
        time=time,
        has_time=has_time,
        open=open_,
        high=high,
        low=low,
        close=close,
        volume=np.nan_to_num(volume, nan=0.0),
        text=lambda row, column: str(table[column][row - 1].as_py()),
        rows_read=table.num_rows,
    )


def _numbers(table: pa.Table, name: str) -> FloatArray:
    return np.asarray(table[name].cast(pa.float64(), safe=False).to_numpy(), dtype=np.float64)


def _describe(result: Evaluation, file: Path, ignored: Sequence[str], quality: QualityReport) -> dict[str, object]:
    rows, time = result.rows, result.bars.time
    return {
        "file": file.name,
        "symbol": result.bars.symbol,
        "timeframe": result.bars.timeframe,
        "data_hash": hash_bars({result.bars.symbol: result.bars}),
        "bars": len(result.bars),
        "rows_left_out": quality.bad_count,
        "duplicates": quality.duplicates,
        "rows_out_of_order": quality.unsorted,
        "columns_ignored": list(ignored),
        "test_from": f"{utc_from_seconds(int(time[rows[0]])):%Y-%m-%d %H:%M}",
        "test_to": f"{utc_from_seconds(int(time[rows[-1]])):%Y-%m-%d %H:%M}",
        "test_bars": len(rows),
        "horizons": list(HORIZONS),
        "folds": len(result.folds),
        "fold_begins": [f"{utc_from_seconds(int(time[fold.begin])):%Y-%m-%d}" for fold in result.folds],
        "reused": result.reused,
    }


def _target_line(ratio: str, target: Mapping[str, object]) -> str:
    if not target["rows"]:
        return f"{ratio:>11}   no outcome is known yet"
    return (
        f"{ratio:>11}   {_number(target['auc'])}   {_number(target['auc_within_volatility']):>17}   "
        f"{_percent(target['brier_skill']):>11}   {_number(target['calibration_error'])} "
        f"({_number(target['calibration_noise'])})"
    )


def _tree(value: object) -> Mapping[str, object]:
    assert isinstance(value, Mapping)
    return value


def _number(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, int | float) else "unknown"


def _percent(value: object) -> str:
    return f"{100 * value:.2f} %" if isinstance(value, int | float) else "unknown"
