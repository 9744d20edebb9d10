"""Folds: what is learned from has ended, with an embargo, before what is forecast."""

from __future__ import annotations

import numpy as np
import pytest

from engine.domain.errors import DataUnavailable
from engine.ml.folds import MIN_TRAIN, YEAR_S, plan_folds

HOURS = np.arange(60_000, dtype=np.int64) * 3600


def test_folds_follow_each_other_and_the_test_part_is_whole() -> None:
    folds = plan_folds(HOURS, int(HOURS[40_000]))
    assert [a.end for a in folds[:-1]] == [b.begin for b in folds[1:]]
    tested = [fold for fold in folds if fold.is_test]
    assert (tested[0].begin, tested[-1].end) == (40_000, len(HOURS))
    assert all(HOURS[fold.end - 1] - HOURS[fold.begin] <= YEAR_S for fold in folds)


def test_folds_before_the_test_part_teach_the_calibration() -> None:
    folds = plan_folds(HOURS, int(HOURS[40_000]))
    assert sum(not fold.is_test for fold in folds) == 3
    assert folds[0].begin > 40_000 // 3


@pytest.mark.parametrize("horizon", [1, 24])
def test_no_training_label_reaches_into_the_fold(horizon: int) -> None:
    for fold in plan_folds(HOURS, None):
        train = fold.train(horizon)
        assert len(train) >= MIN_TRAIN
        assert train[-1] + 2 * horizon < fold.begin


def test_few_bars_are_refused_with_the_number_needed() -> None:
    with pytest.raises(DataUnavailable, match="600 bars before the test part are too few to learn from; about 800"):
        plan_folds(HOURS[:1000], None)


def test_test_part_after_the_last_bar_is_refused() -> None:
    with pytest.raises(DataUnavailable, match="no bar lies in the test part"):
        plan_folds(HOURS, int(HOURS[-1]) + 1)


def test_few_hundred_bars_of_history_still_give_folds() -> None:
    folds = plan_folds(HOURS[:2500], None)
    assert folds[0].is_test is False
    assert folds[-1].end == 2500
