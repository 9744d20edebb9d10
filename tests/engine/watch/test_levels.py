"""Levels against the rule told plainly, one level at a time."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.watch.levels import Crossing, Level, Levels


def feed(levels: Levels, *values: float, series: int = 0, start: float = 0.0) -> list[tuple[int, int]]:
    at = start + np.arange(len(values), dtype=float)
    return [tuple(each) for each in levels.feed([series] * len(values), np.array(values), at)]


def test_each_side_fires_at_its_level_and_once() -> None:
    levels = Levels(1)
    levels.add([Level(1, 0, 110, is_rising=True), Level(2, 0, 90, is_rising=False)])
    assert feed(levels, 100, 109.9, 110, 111, 90, 89, 110) == [(2, 1), (4, 2)]


def test_a_repeating_level_arms_again_beyond_itself() -> None:
    levels = Levels(1)
    levels.add([Level(1, 0, 110, is_rising=True, once=False)])
    assert feed(levels, 110, 110, 111, 110, 109.9, 110) == [(0, 1), (5, 1)]


def test_rest_swallows_what_comes_too_soon() -> None:
    levels = Levels(1)
    levels.add([Level(1, 0, 110, is_rising=True, once=False, rest_s=10)])
    assert feed(levels, 110, 109, 110, 109) == [(0, 1)]
    assert feed(levels, 110, start=9.9) == []
    assert feed(levels, 109, 110, start=20) == [(1, 1)]


def test_rest_goes_on_after_a_restart() -> None:
    levels = Levels(1)
    levels.add([Level(1, 0, 110, is_rising=True, once=False, rest_s=10, told_at=100.0)])
    assert feed(levels, 111, start=105) == []
    assert feed(levels, 100, 111, start=111) == [(1, 1)]


def test_what_was_reached_before_waits_until_it_was_left() -> None:
    levels = Levels(1)
    levels.add([Level(1, 0, 110, is_rising=True, is_armed=False)])
    assert feed(levels, 115) == []
    assert levels.reached(0) == {1}
    assert feed(levels, 109, 110) == [(1, 1)]


def test_one_jump_over_everything_tells_all_in_the_order_met() -> None:
    levels = Levels(2)
    levels.add(Level(n, 0, 100 + n, is_rising=True) for n in reversed(range(9000)))
    levels.add([Level(9999, 1, 0, is_rising=True)])
    assert feed(levels, 99, 1e9) == [(1, n) for n in range(9000)]


def test_unknown_series_and_endless_value_are_refused() -> None:
    with pytest.raises(ValueError, match="1 series, and level 7 names 1"):
        Levels(1).add([Level(7, 1, 1.0, is_rising=True)])
    with pytest.raises(ValueError, match="level 7 has the value nan"):
        Levels(1).add([Level(7, 0, float("nan"), is_rising=True)])


def test_series_can_be_added() -> None:
    levels = Levels(0)
    levels.grow(1)
    levels.add([Level(1, 0, 110, is_rising=True)])
    levels.grow(3)
    assert [levels.has(n) for n in range(3)] == [True, False, False]
    levels.add([Level(2, 2, 5, is_rising=False)])
    assert feed(levels, 110) == [(0, 1)]
    assert feed(levels, 5, series=2) == [(0, 2)]


@dataclass
class Plain:
    """One level, as the module's text says it."""

    level: Level
    armed: bool = field(init=False)
    quiet_until: float = field(init=False)

    def __post_init__(self) -> None:
        self.armed, self.quiet_until = self.level.is_armed, self.level.told_at + self.level.rest_s

    def tick(self, value: float, at: float) -> bool:
        is_reached = value >= self.level.value if self.level.is_rising else value <= self.level.value
        if not is_reached:
            self.armed = True
            return False
        was_armed, self.armed = self.armed, False
        if not was_armed or at < self.quiet_until:
            return False
        self.quiet_until = np.inf if self.level.once else at + self.level.rest_s
        return True


VALUES = st.integers(0, 12).map(float)
LEVELS = st.builds(
    Level,
    key=st.just(0),
    series=st.integers(0, 1),
    value=VALUES,
    is_rising=st.booleans(),
    once=st.booleans(),
    rest_s=st.sampled_from([0.0, 3.0, 7.0]),
    told_at=st.sampled_from([-np.inf, -2.0]),
    is_armed=st.booleans(),
)
STEPS = st.one_of(
    st.tuples(st.just("add"), st.lists(LEVELS, max_size=5)),
    st.tuples(st.just("remove"), st.integers(0, 20)),
    st.tuples(st.just("ticks"), st.lists(st.tuples(st.integers(0, 1), VALUES), max_size=8)),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(STEPS, max_size=12))
def test_levels_agree_with_the_plain_rule(steps: list[tuple[str, object]]) -> None:
    levels, plain, next_key, now = Levels(2), dict[int, Plain](), 0, 0.0
    for step in steps:
        match step:
            case ("add", list(new)):
                made = [
                    Level(next_key + n, *(getattr(each, f) for f in Level.__slots__[1:])) for n, each in enumerate(new)
                ]
                next_key += len(made)
                levels.add(made)
                plain |= {each.key: Plain(each) for each in made}
            case ("remove", int(key)):
                levels.remove([key])
                plain.pop(key, None)
            case ("ticks", list(ticks)):
                at = now + np.arange(len(ticks), dtype=float)
                now += len(ticks)
                told = levels.feed([s for s, _ in ticks], np.array([v for _, v in ticks]), at)
                expected = {
                    Crossing(n, key)
                    for n, (series, value) in enumerate(ticks)
                    for key, each in plain.items()
                    if each.level.series == series and each.tick(value, at[n])
                }
                assert set(told) == expected
                assert len(told) == len(expected)
                assert [each.tick for each in told] == sorted(each.tick for each in told)
