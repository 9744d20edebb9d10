"""Signals over a past period, as they could have been given then: what a backtest of the ML signal runs on.

A model that is kept has learned from all of the past, the period included; a backtest over it would show what it
remembers. So the walk-forward of the evaluation is done anew for the one question that a trade asks: does the target
come before the stop? Every row's probabilities come from a fit on outcomes that had ended before its fold, their
calibration from outcomes known by then, and a target is acted on only where acting on it had paid until its fold began.

Left out on purpose: expected ranges, phases and drift. They only take trades away from the live signal.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass

import numpy as np

from engine.domain.errors import DataUnavailable
from engine.domain.market import Bars, FloatArray
from engine.domain.strategies import Action, Decisions
from engine.ml.barriers import barrier_inputs, forecast_barriers
from engine.ml.dataset import SIDES
from engine.ml.decisions import decide
from engine.ml.evaluation import calibrate_forward
from engine.ml.folds import Fold, plan_folds
from engine.ml.forward import Forward, Outcomes
from engine.ml.labels import HORIZON, REWARD_RISKS, label_barriers, stop_fraction
from engine.ml.spread import WORKERS
from engine.ml.volatility import describe_volatility

LEAST_LEARNED = 3_400
"""Bars before the period: half of them teach the first fit, the other half how far its forecasts can be believed."""
MOST_LEARNED = 30_000
"""Bars before the period that are learned from: more than three years of hours, some ten seconds of work."""
_PREPARED = 0.15


@dataclass(frozen=True, slots=True, eq=False)
class SignalHistory:
    """The signals of a period as decisions over all bars.

    Attributes:
        decisions: One row per bar; `KEEP` before the period and wherever the answer is "no trade".
        learned: Bars before the period.
        signals: Rows with a trade.
    """

    decisions: Decisions
    learned: int
    signals: int


def signal_history(
    bars: Bars, *, start_s: int, cost_ratio: float, shorts: bool, progress: Callable[[float], None]
) -> SignalHistory:
    """Return what the engine would have signalled from a moment on.

    Args:
        bars: Closed, oldest first, those learned from included.
        start_s: First open time of the period.
        cost_ratio: Of a round trip, as a fraction of the price.
        shorts: Whether short signals can be traded; without them they are left out.
        progress: Told the share that is done (0-1), from this thread; what it raises ends the work.

    Raises:
        DataUnavailable: Too few bars lie before the period, or the bars do not move.
    """
    learned = int(np.searchsorted(bars.time, start_s))
    stop = stop_fraction(bars)
    _check(bars, stop, learned)
    progress(0.0)
    forward, outcomes = _forecast(bars, start_s, progress)
    rows = np.arange(forward.begin, len(bars))
    with np.errstate(divide="ignore"):
        cost = np.where(stop[rows] > 0, cost_ratio / stop[rows], np.inf)
    sides = SIDES if shorts else (1,)
    decided = decide(
        {target: p for target, p in calibrate_forward(forward, outcomes).items() if target[0] in sides},
        {target: labels.payoff[rows] for target, labels in outcomes.barriers.items()},
        cost,
        folds=forward.folds,
        time=bars.time[rows],
    )
    side, reward_risk = np.zeros(len(bars), np.int8), np.zeros(len(bars))
    side[rows], reward_risk[rows] = decided.side, decided.reward_risk
    side[:learned] = 0
    distance = np.where(side != 0, stop * bars.close, np.nan)
    progress(1.0)
    return SignalHistory(
        Decisions(
            np.asarray(side * int(Action.ENTER_MARKET), np.int8),
            stop=bars.close - side * distance,
            target=bars.close + side * distance * reward_risk,
            max_bars=HORIZON,
        ),
        learned,
        int(np.count_nonzero(side)),
    )


def _check(bars: Bars, stop: FloatArray, learned: int) -> None:
    if learned < LEAST_LEARNED:
        raise DataUnavailable(
            f"{learned} {bars.timeframe} bars of {bars.symbol} lie before the period; {LEAST_LEARNED} are needed",
            code="too_few_bars",
            symbol=bars.symbol,
            timeframe=bars.timeframe,
            count=len(bars),
            needed=LEAST_LEARNED + len(bars) - learned,
        )
    if not np.mean(stop > 0) > 0.5:
        raise DataUnavailable(
            f"the {bars.timeframe} bars of {bars.symbol} do not move; there is nothing to forecast",
            code="no_movement",
            symbol=bars.symbol,
            timeframe=bars.timeframe,
        )


def _forecast(bars: Bars, start_s: int, progress: Callable[[float], None]) -> tuple[Forward, Outcomes]:
    """Return the log-odds of all folds; an error or a stop of `progress` begins no further fold."""
    barriers = {
        (side, ratio): label_barriers(bars, side=side, reward_risk=ratio) for side in SIDES for ratio in REWARD_RISKS
    }
    hits = {target: labels.hit for target, labels in barriers.items()}
    folds = plan_folds(bars.time, start_s)
    inputs = barrier_inputs(bars, describe_volatility(bars))
    progress(_PREPARED)

    def fit(fold: Fold) -> dict[float, FloatArray]:
        return forecast_barriers(inputs, hits, train=fold.train(HORIZON), rows=fold.rows)

    pool = ThreadPoolExecutor(WORKERS)
    try:
        waiting = [pool.submit(fit, fold) for fold in folds]
        for done, _ in enumerate(as_completed(waiting), 1):
            progress(_PREPARED + (0.99 - _PREPARED) * done / len(folds))
        fitted = [each.result() for each in waiting]
    finally:
        pool.shutdown(cancel_futures=True)
    odds = {ratio: np.concatenate([each[ratio] for each in fitted], axis=2) for ratio in REWARD_RISKS}
    return Forward(folds[0].begin, folds, {}, odds, {}, reused=0), Outcomes({}, barriers)
