"""Features against TA-Lib on the share that it has, one new bar, and many symbols; ratios of one run, taken in turns.

Printed, and judged only for what no busy machine explains: the columns must be TA-Lib's own numbers.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from statistics import median

import numpy as np
import pytest

from engine.features.catalogue import CATALOGUE
from engine.features.definitions import FeatureStream, feature_matrix
from engine.features.drivers import Bar, ColumnStream, ColumnStreams, compute_columns
from tests.benchmarks.test_features_columns import minute_bars, ours, theirs
from tests.engine.features.bars import row

pytestmark = pytest.mark.benchmark

TEN_YEARS = 3_700_000
ROUNDS = 5
SYMBOLS = 1000
SIXTY = tuple(name for name in CATALOGUE if CATALOGUE[name].group in ("returns", "volatility", "trend", "structure"))[
    :60
]


def cpu_s(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def in_turns(*works: Callable[[], object]) -> list[float]:
    """Return the median CPU time of each, measured one after the other so that a busy moment hits all."""
    taken = [[cpu_s(work) for work in works] for _ in range(ROUNDS)]
    return [median(each) for each in zip(*taken, strict=True)]


def test_thirty_columns_of_ten_years_against_talib() -> None:
    bars, columns = minute_bars(TEN_YEARS), ours()
    got = compute_columns(bars[:50_000], list(columns.values()))[0]
    for number, (name, expected) in enumerate(theirs(bars[:50_000]).items()):
        mine, known = got[3000:, number], expected[3000:]
        if name == "on_balance":
            mine, known = np.diff(mine), np.diff(known)
        scale = np.abs(known).mean()
        np.testing.assert_allclose(mine, known, rtol=0, atol=1e-6 * scale, err_msg=name)
    mine_s, talib_s = in_turns(lambda: compute_columns(bars, list(columns.values())), lambda: theirs(bars))
    print(f"\n30 columns of {TEN_YEARS:,} bars: {mine_s:.3f} s, {mine_s / talib_s:.2f} of TA-Lib's {talib_s:.3f} s")  # noqa: T201


def test_sixty_features_of_ten_years() -> None:
    bars = minute_bars(TEN_YEARS)
    assert len(SIXTY) == 60
    sixty_s, talib_s = in_turns(lambda: feature_matrix(bars, SIXTY), lambda: theirs(bars))
    print(f"\n60 features of {TEN_YEARS:,} bars: {sixty_s:.2f} s, {sixty_s / talib_s:.2f} of TA-Lib's 30 columns")  # noqa: T201


def test_one_new_bar_and_many_symbols() -> None:
    bars, columns = minute_bars(300 * SYMBOLS), list(ours().values())
    stream, streams = ColumnStream(columns, "1m"), ColumnStreams(columns, "1m", SYMBOLS)
    sixty = FeatureStream("1m", SIXTY)
    rows = [Bar(*row(bars, at)) for at in range(20_000)]
    groups = [bars[at * SYMBOLS : (at + 1) * SYMBOLS] for at in range(200)]

    def run_one() -> None:
        for each in rows:
            stream.update(each)

    def run_sixty() -> None:
        for each in rows:
            sixty.update(each)

    def run_many() -> None:
        for each in groups:
            streams.update(each)

    one, sixty_s, many = in_turns(run_one, run_sixty, run_many)
    print(  # noqa: T201
        f"\none new bar from Python: 30 columns {one / len(rows) * 1e6:.2f} us (wanted 1), "
        f"60 features {sixty_s / len(rows) * 1e6:.2f} us; "
        f"{SYMBOLS} symbols together: {many / len(groups) / SYMBOLS * 1e6:.3f} us each (wanted 0.15)"
    )


def test_first_use_with_compiled_code_kept() -> None:
    load = "from engine.features.machine import load_machine; load_machine()"
    script = f"import time; s = time.process_time(); {load}; print(time.process_time() - s)"
    feature_matrix(minute_bars(1000))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    print(f"\nfirst use in a new process, code kept: {float(done.stdout):.2f} s of CPU")  # noqa: T201
