"""When a failed worker is tried again."""

from __future__ import annotations

from random import Random

import pytest

from agents.supervisor import SupervisorSettings
from agents.supervisor.restarts import Restarts
from engine.domain.errors import ConfigError

STEADY = SupervisorSettings(jitter_ratio=0.0, give_up_after=5, backoff_s=1, backoff_max_s=60, rare_s=600)


def restarts(settings: SupervisorSettings = STEADY, seed: int = 1) -> Restarts:
    return Restarts(settings, Random(seed))


def test_pauses_double_up_to_the_longest() -> None:
    settings = SupervisorSettings(jitter_ratio=0.0, give_up_after=20, window_s=1e9)
    each = restarts(settings)
    assert [each.fail(at, 0).pause_s for at in range(9)] == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_too_many_failures_within_the_window_are_given_up_once_and_tried_rarely() -> None:
    each = restarts()
    verdicts = [each.fail(10.0 * n, 1) for n in range(8)]
    assert [v.is_given_up for v in verdicts] == [False] * 4 + [True] * 4
    assert [v.is_news for v in verdicts] == [False] * 4 + [True] + [False] * 3
    assert [v.pause_s for v in verdicts[4:]] == [600] * 4


def test_failures_far_apart_are_never_given_up() -> None:
    each = restarts()
    assert not any(each.fail(200.0 * n, 10).is_given_up for n in range(100))


def test_failures_that_left_the_window_do_not_count() -> None:
    each = restarts()
    for at in (0, 1, 2, 3):
        each.fail(at, 0)
    assert each.fail(602.5, 0).failures == 2


def test_given_up_stays_so_although_the_rare_tries_leave_the_window() -> None:
    each = restarts()
    for at in range(5):
        each.fail(at, 0)
    assert all(each.fail(5 + 700 * n, 0).is_given_up for n in range(1, 10))


def test_a_long_run_wipes_the_slate() -> None:
    each = restarts()
    for at in range(4):
        each.fail(at, 0)
    verdict = each.fail(500, STEADY.stable_s)
    assert (verdict.failures, verdict.pause_s, verdict.is_given_up) == (1, 1, False)


def test_recovery_is_told_only_after_giving_up() -> None:
    each = restarts()
    each.fail(0, 0)
    assert not each.recover()
    for at in range(5):
        each.fail(at, 0)
    assert each.recover()
    assert each.failures == 0


def test_jitter_stays_within_its_bounds_and_comes_from_the_chance_given() -> None:
    settings = SupervisorSettings(jitter_ratio=0.2, give_up_after=1000, window_s=1e9, backoff_max_s=10)
    pauses = [restarts(settings, seed).fail(0, 0).pause_s for seed in range(200)]
    assert min(pauses) >= 0.8
    assert max(pauses) <= 1.2
    assert len(set(pauses)) > 100
    assert pauses[7] == restarts(settings, 7).fail(0, 0).pause_s


@pytest.mark.parametrize(
    "wrong",
    [
        {"renew_s": 0},
        {"skew_s": -1},
        {"jitter_ratio": 1.0},
        {"give_up_after": 0},
        {"grace_s": 10, "margin_s": 10},
        {"lease_s": 15, "margin_s": 10, "renew_s": 5},
    ],
)
def test_times_that_break_the_promise_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        SupervisorSettings(**wrong)  # type: ignore[arg-type]  # the point is what a wrong setting does
