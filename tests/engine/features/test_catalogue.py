"""The shared check: every feature of the catalogue passes it without a line of its own."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from engine.domain.market import Bars, FloatArray
from engine.domain.symbols import TIMEFRAME_S, TIMEFRAMES, Timeframe
from engine.features.catalogue import CATALOGUE, GROUPS, find_features
from engine.features.catalogue.feature import Group
from engine.features.definitions import FeatureStream, FeatureStreams, feature_matrix, measure_warmups
from tests.engine.features.bars import calm, perturbed, rough, row, scaled

NAMES = tuple(CATALOGUE)
WARMUPS = dict(zip(NAMES, measure_warmups(NAMES, "1h"), strict=True))
HISTORIES = {"calm": calm, "rough": rough}
CUTS = (1500, 1777, 2051, 2399)
every_feature = pytest.mark.parametrize("name", NAMES)
both_histories = pytest.mark.parametrize("history", HISTORIES)


@cache
def whole(history: str) -> FloatArray:
    return feature_matrix(HISTORIES[history](), NAMES).values


@cache
def streamed(history: str) -> FloatArray:
    bars = HISTORIES[history]()
    stream = FeatureStream("1h", NAMES)
    return np.array([stream.update(row(bars, at)).copy() for at in range(len(bars))])


@cache
def together() -> tuple[FloatArray, FloatArray]:
    """Return both histories as two of five symbols whose bars come together, the rough one's only when it has one."""
    bars, others = (calm(), rough()), len(rough())
    streams = FeatureStreams("1h", 5, NAMES)
    out = np.full((2, others, len(NAMES)), np.nan)
    for at in range(others):
        is_new = np.array([at < len(calm()), True, at % 3 > 0, False, True])
        rows = np.array([row(bars[symbol % 2], min(at, len(bars[symbol % 2]) - 1)) for symbol in range(5)]).T
        out[:, at] = streams.update(Bars("*", "1h", rows[0].astype(np.int64), *rows[1:]), is_new)[:2]
    return out[0, : len(calm())], out[1]


@cache
def cut(history: str, at: int) -> FloatArray:
    return feature_matrix(HISTORIES[history]()[:at], NAMES).values


@cache
def changed(history: str, at: int) -> FloatArray:
    return feature_matrix(perturbed(HISTORIES[history](), at), NAMES).values


@cache
def in_other_units(history: str) -> FloatArray:
    return feature_matrix(scaled(HISTORIES[history](), 10.0, 10.0), NAMES).values


@cache
def late_start(history: str, skipped: int) -> FloatArray:
    return feature_matrix(HISTORIES[history]()[skipped:], NAMES).values


def column(values: FloatArray, name: str) -> FloatArray:
    return values[:, NAMES.index(name)]


@both_histories
@every_feature
def test_stream_equals_history(name: str, history: str) -> None:
    np.testing.assert_allclose(
        column(streamed(history), name), column(whole(history), name), rtol=1e-9, atol=1e-12, equal_nan=True
    )


@pytest.mark.parametrize("symbol", [0, 1])
@every_feature
def test_many_symbols_together_equal_history(name: str, symbol: int) -> None:
    expected = column(whole(("calm", "rough")[symbol]), name)
    np.testing.assert_allclose(column(together()[symbol], name), expected, rtol=1e-9, atol=1e-12, equal_nan=True)


@both_histories
@every_feature
def test_cutting_later_bars_changes_nothing(name: str, history: str) -> None:
    for at in CUTS:
        np.testing.assert_array_equal(column(cut(history, at), name), column(whole(history), name)[:at])


@both_histories
@every_feature
def test_changing_later_bars_changes_nothing_before(name: str, history: str) -> None:
    for at in CUTS:
        np.testing.assert_array_equal(column(changed(history, at), name)[:at], column(whole(history), name)[:at])


@both_histories
@every_feature
def test_numbers_begin_exactly_after_the_warmup(name: str, history: str) -> None:
    values, warmup = column(whole(history), name), WARMUPS[name]
    assert np.isnan(values[:warmup]).all()
    assert np.isfinite(values[warmup:]).all()
    assert warmup < len(values)


@both_histories
@every_feature
def test_units_of_price_and_volume_do_not_matter(name: str, history: str) -> None:
    np.testing.assert_allclose(
        column(in_other_units(history), name), column(whole(history), name), rtol=1e-7, atol=1e-6, equal_nan=True
    )


@every_feature
def test_value_changes_with_the_market(name: str) -> None:
    """A column that never moves tells nothing."""
    values = column(whole("rough"), name)[WARMUPS[name] :]
    assert np.ptp(values) > 0


@every_feature
def test_what_lies_far_back_is_forgotten(name: str) -> None:
    """A live signal reads fewer bars than training did; both must see the same number, to a hundredth."""
    if CATALOGUE[name].group is Group.SEASON:
        pytest.skip("a profile of the week remembers for months; it settles, it does not forget")
    skipped = 700
    values = column(whole("calm"), name)[skipped + WARMUPS[name] :]
    late = column(late_start("calm", skipped), name)[WARMUPS[name] :]
    apart = np.abs(values - late)
    assert np.mean(apart > 0.01 * max(1.0, float(np.std(values)))) < 0.01


@pytest.mark.parametrize("timeframe", TIMEFRAMES)
def test_warmups_hold_on_every_timeframe(timeframe: Timeframe) -> None:
    names = tuple(name for name in NAMES if CATALOGUE[name].group is not Group.SEASON)
    warmups = measure_warmups(names, timeframe)
    shape, n = rough(), len(rough())
    time = shape.time[0] + (np.arange(n, dtype=np.int64) + np.arange(n) // 50) * TIMEFRAME_S[timeframe]
    bars = Bars("X", timeframe, time, shape.open, shape.high, shape.low, shape.close, shape.volume)
    values = feature_matrix(bars, names).values
    for number, warmup in enumerate(warmups):
        assert np.isnan(values[:warmup, number]).all(), names[number]
        assert np.isfinite(values[warmup:, number]).all(), names[number]


@every_feature
def test_feature_says_what_it_is(name: str) -> None:
    feature = CATALOGUE[name]
    assert feature.name == name
    assert feature.unit
    assert feature.source
    assert feature.definition.endswith(".")


def test_groups_hold_every_feature_once() -> None:
    assert len(NAMES) >= 60
    assert sorted(name for names in GROUPS.values() for name in names) == sorted(NAMES)
    assert all(GROUPS.values())


def test_unknown_name_is_refused() -> None:
    with pytest.raises(ValueError, match="no feature is called 'rsi_99'"):
        find_features(("rsi_14", "rsi_99"))
