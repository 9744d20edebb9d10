"""The evaluation of a file: its two results, whatever is wrong with the file, and no view of the future."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from copilot.evaluate import METRICS, PREDICTIONS, Summary, evaluate_bars
from engine.data.files import write_atomically
from engine.domain.errors import ConfigError, DataUnavailable
from engine.domain.market import Bars
from tests.engine.ml.bars import random_walk

COLUMNS = [
    "time", "horizon", "up_q10", "up_q50", "up_q90", "down_q10", "down_q50", "down_q90", "side", "reward_risk",
    "stop_fraction", "p_target", "signal", "phase",
]  # fmt: skip
N = 2600
BARS = random_walk(N, seed=21)
TEST_FROM = date(2020, 12, 1)
TEST_BARS = int(np.sum(BARS.time >= datetime(2020, 12, 1, tzinfo=UTC).timestamp()))


def frame(bars: Bars) -> pd.DataFrame:
    names = ("open", "high", "low", "close", "volume")
    time = pd.to_datetime(bars.time, unit="s", utc=True)
    return pd.DataFrame({"time": time, **{name: getattr(bars, name) for name in names}})


def write(path: Path, table: pd.DataFrame) -> Path:
    pq.write_table(pa.Table.from_pandas(table, preserve_index=False), path)
    return path


def run(file: Path, out: Path) -> tuple[Summary, pd.DataFrame]:
    summary = evaluate_bars(file, "1h", out, test_from=TEST_FROM, report=lambda _done, _what: None)
    return summary, pq.read_table(out / PREDICTIONS).to_pandas()


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> tuple[Summary, pd.DataFrame]:
    folder = tmp_path_factory.mktemp("plain")
    return run(write(folder / "BTCUSDT_1h.parquet", frame(BARS)), folder / "out")


def test_one_row_per_bar_horizon_side_and_reward_risk(plain: tuple[Summary, pd.DataFrame]) -> None:
    table = plain[1]
    assert list(table.columns) == COLUMNS
    assert len(table) == TEST_BARS * 4 * 2 * 3
    assert not table.duplicated(["time", "horizon", "side", "reward_risk"]).any()
    assert set(table.horizon) == {1, 4, 12, 24}
    assert set(table.reward_risk) == {1, 2, 3}
    assert table.time.min() == pd.Timestamp("2020-12-01", tz="UTC")
    assert table.time.max() == frame(BARS).time.max()


def test_quantiles_are_positive_fractions_that_do_not_cross(plain: tuple[Summary, pd.DataFrame]) -> None:
    table = plain[1]
    for side in ("up", "down"):
        quantiles = table[[f"{side}_q10", f"{side}_q50", f"{side}_q90"]].to_numpy()
        assert quantiles.min() >= 0
        assert quantiles.max() < 1
        assert (np.diff(quantiles, axis=1) >= 0).all()
    groups = table.groupby(["time", "horizon"])
    assert (groups.up_q90.nunique() == 1).all()
    assert (groups.down_q10.nunique() == 1).all()


def test_probabilities_are_given_for_the_longest_horizon(plain: tuple[Summary, pd.DataFrame]) -> None:
    table = plain[1]
    known = table[table.horizon == 24]
    assert known.p_target.between(0, 1).all()
    assert table[table.horizon != 24].p_target.isna().all()
    assert (known.groupby("reward_risk").p_target.mean().diff().dropna() < 0).all()
    assert (table.stop_fraction > 0).all()


def test_random_walk_has_no_signal_and_the_verdict_says_so(plain: tuple[Summary, pd.DataFrame]) -> None:
    summary, table = plain
    assert (table.signal != 0).mean() <= 0.001
    assert set(table.phase) <= {"accumulation", "manipulation", "distribution", "neutral"}
    assert "no edge" in "\n".join(summary.lines())


def test_metrics_are_plain_json_with_the_figures_of_honesty(plain: tuple[Summary, pd.DataFrame]) -> None:
    summary = plain[0]
    metrics = json.loads((summary.out / METRICS).read_text())
    assert metrics == summary.as_dict()
    assert metrics["run"]["test_bars"] == TEST_BARS
    assert metrics["honesty"]["trials"] == 18
    assert 0 <= metrics["honesty"]["deflated_sharpe"] < 0.95
    assert set(metrics["by_volatility"]) == {"calm", "middle", "wild"}
    assert abs(metrics["ranges"]["4"]["coverage_up"] - 0.8) < 0.06
    assert metrics["ranges"]["24"]["crossing"] == 0


def test_spoiled_file_with_a_leak_gives_the_same_predictions(
    plain: tuple[Summary, pd.DataFrame], tmp_path: Path
) -> None:
    """A column that knows the future, rows out of order, twice or broken, and times without a zone change nothing."""
    spoiled = frame(BARS)
    spoiled["time"] = spoiled["time"].dt.tz_localize(None)
    spoiled["next_close"] = spoiled["close"].shift(-24)
    broken = spoiled.iloc[[5]].assign(time=pd.Timestamp("2031-01-01"), high=-1.0)
    spoiled = pd.concat([spoiled, spoiled.iloc[[100, 200]], broken]).sample(frac=1, random_state=1)
    summary, table = run(write(tmp_path / "BTCUSDT_1h.parquet", spoiled), tmp_path / "out")
    pd.testing.assert_frame_equal(table, plain[1])
    text = "\n".join(summary.lines())
    assert "not read    next_close" in text
    assert "bad rows    1 left out" in text
    assert "duplicates  2 (0 with other values" in text


def test_later_bars_change_no_earlier_prediction(plain: tuple[Summary, pd.DataFrame], tmp_path: Path) -> None:
    cut = frame(BARS)[:-150]
    _, table = run(write(tmp_path / "BTCUSDT_1h.parquet", cut), tmp_path / "out")
    pd.testing.assert_frame_equal(table, plain[1][: len(table)])


def test_interrupted_run_goes_on_where_it_stopped(plain: tuple[Summary, pd.DataFrame], tmp_path: Path) -> None:
    file, out = write(tmp_path / "BTCUSDT_1h.parquet", frame(BARS)), tmp_path / "out"

    def stop(done: float, _what: str) -> None:
        if 0.5 < done < 0.9:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate_bars(file, "1h", out, test_from=TEST_FROM, report=stop)
    assert not (out / METRICS).exists()
    summary, table = run(file, out)
    run_figures = summary.as_dict()["run"]
    assert isinstance(run_figures, dict)
    assert run_figures["reused"] >= 4
    pd.testing.assert_frame_equal(table, plain[1])


def test_file_without_volume_and_with_gaps_is_evaluated(tmp_path: Path) -> None:
    gappy = frame(BARS).drop(columns="volume").drop(index=range(700, 760))
    _, table = run(write(tmp_path / "sealed-7.parquet", gappy), tmp_path / "out")
    assert np.isfinite(table.up_q90).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(columns=["low"]), "lacks low"),
        (lambda t: t[:900], "too few to learn from|no bar lies in the test part"),
        (lambda t: t[:0], "holds 0 bars"),
        (lambda t: t.assign(open=np.nan), "holds 0 bars"),
        (lambda t: t.assign(open=9.0, high=9.0, low=9.0, close=9.0), "do not move"),
    ],
)
def test_file_that_cannot_be_used_is_refused_in_one_sentence(tmp_path: Path, change, message) -> None:  # type: ignore[no-untyped-def]  # two lambdas
    file = write(tmp_path / "x.parquet", change(frame(BARS)))
    with pytest.raises(DataUnavailable, match=message):
        run(file, tmp_path / "out")


def test_file_that_is_no_parquet_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "x.parquet"
    file.write_text("time,open")
    with pytest.raises(DataUnavailable, match="cannot be read as Parquet"):
        run(file, tmp_path / "out")


def test_other_timeframe_than_the_files_is_refused(tmp_path: Path) -> None:
    file = write(tmp_path / "x.parquet", frame(BARS))
    with pytest.raises(ConfigError, match="its bars are 3600 s apart"):
        evaluate_bars(file, "4h", tmp_path / "out", test_from=None, report=lambda _done, _what: None)
    with pytest.raises(ConfigError, match="'7m' is not known"):
        evaluate_bars(file, "7m", tmp_path / "out", test_from=None, report=lambda _done, _what: None)


def test_results_can_be_read_by_others_and_kept_files_cannot(tmp_path: Path) -> None:
    shared, private = tmp_path / "shared.txt", tmp_path / "private.txt"
    write_atomically(shared, lambda path: path.write_text("figures"), is_private=False)
    write_atomically(private, lambda path: path.write_text("mine"))
    fresh = tmp_path / "fresh.txt"
    fresh.write_text("new")
    assert shared.stat().st_mode == fresh.stat().st_mode
    assert private.stat().st_mode & 0o077 == 0
