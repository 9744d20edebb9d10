"""Splits: no training label touches a test row, whatever the spans."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.ml.walkforward import expanding_splits


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**31), st.integers(20, 400), st.integers(1, 8), st.integers(0, 50), st.integers(0, 30))
def test_no_span_of_training_meets_the_test(seed: int, rows: int, folds: int, embargo: int, longest: int) -> None:
    rng = np.random.default_rng(seed)
    start = rng.integers(0, 1000, rows)
    end = start + rng.integers(0, longest + 1, rows)
    tested = []
    for split in expanding_splits(start, end, folds=folds, embargo=embargo):
        assert end[split.train].max() + embargo < start[split.test].min()
        tested.extend(split.test.tolist())
    assert len(tested) == len(set(tested))


def test_every_late_row_is_tested_once_and_training_grows() -> None:
    start = np.arange(1000)
    splits = list(expanding_splits(start, start + 5, folds=4, first_share=0.4))
    assert len(splits) == 4
    assert sorted(np.concatenate([split.test for split in splits])) == list(range(400, 1000))
    sizes = [len(split.train) for split in splits]
    assert sizes == sorted(sizes)


@pytest.mark.parametrize("bad", [{"folds": 0}, {"folds": 3, "first_share": 1.0}, {"folds": 3, "embargo": -1}])
def test_bad_arguments_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="out of range"):
        list(expanding_splits(np.arange(10), np.arange(10), **bad))  # type: ignore[arg-type]
