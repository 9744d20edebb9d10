"""Whatever bars, clocks and listeners do: no bar is lost, none is told twice, time never goes back."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.feeds.values import Subscription
from tests.agents.feeds.stage import START, ScriptedMarket, Stage, make_feed

SYMBOLS = ("AAA/USDT", "BBB/USDT", "CCC/USDT")
MINUTES = 8


@dataclass(frozen=True)
class Case:
    """Delays of bars in seconds (None: no such bar), jumps of the clock, and how slow the listener is."""

    delays: tuple[tuple[int | None, ...], ...]
    jumps: tuple[tuple[int, int], ...]
    wait_s: float
    after: int | None
    speed: float


_delay = st.one_of(st.just(0), st.just(0), st.integers(1, 15), st.integers(16, 200), st.none())
_cases = st.builds(
    Case,
    st.tuples(*(st.tuples(*(_delay for _ in range(MINUTES))) for _ in SYMBOLS)),
    st.lists(st.tuples(st.integers(1, MINUTES * 60), st.integers(-300, 300)), max_size=3).map(tuple),
    st.sampled_from([0.0, 0.0, 0.3, 20.0, 90.0]),
    st.sampled_from([None, -3, -1, 0]),
    st.sampled_from([1.0, 100.0]),
)


def _arrivals(delays: tuple[int | None, ...]) -> list[tuple[float, float]]:
    """Return bars as a market offers them: none before an older one."""
    found, latest = [], 0.0
    for minute, delay in enumerate(delays):
        if delay is not None:
            latest = max(latest, minute * 60.0 + delay)
            found.append((minute * 60.0, latest))
    # The market goes on: a symbol that was told at the last moment is told again at a later one.
    return found + [(minute * 60.0, minute * 60.0) for minute in range(MINUTES + 4, MINUTES + 6)]


class Checker:
    """A listener that keeps count of every bar."""

    def __init__(self, market: ScriptedMarket, stage: Stage, after_s: float) -> None:
        self._market, self._stage, self._last = market, stage, after_s
        self.taken: dict[str, list[float]] = {symbol: [] for symbol in SYMBOLS}

    async def listen(self, subscription: Subscription, wait_s: float) -> None:
        told: set[tuple[float, str]] = set()
        async for event in subscription:
            at = (event.closed_at - START).total_seconds()
            assert at >= self._last, "time went back"
            assert at % 60 == 0
            assert event.symbols == tuple(sorted(event.symbols))
            self._last = at
            for symbol in event.symbols:
                assert (at, symbol) not in told, "told twice"
                told.add((at, symbol))
                self._take(symbol, at, event.is_late)
            if wait_s:
                await self._stage.sleep(wait_s)

    def _take(self, symbol: str, at: float, is_late: bool) -> None:
        bars = self._market.bars(symbol, "1m", 1000)
        closes = [float(close) + 60 - START.timestamp() for close in bars.time]
        first = self.taken[symbol][-1] if self.taken[symbol] else -1e9
        new = [close for close in closes if first < close <= at]
        assert new or is_late, "an event on time without a bar"
        assert is_late or new[-1] == at
        self.taken[symbol] += new


async def _play(case: Case) -> None:
    stage = Stage()
    arrivals = {symbol: _arrivals(delays) for symbol, delays in zip(SYMBOLS, case.delays, strict=True)}
    market = ScriptedMarket(stage, arrivals, speed=case.speed)
    after_s = 0.0 if case.after is None else case.after * 60.0
    checker = Checker(market, stage, after_s)
    for symbol in SYMBOLS:
        checker.taken[symbol].append(after_s)
    feed = make_feed(market)
    after = None if case.after is None else START + timedelta(seconds=after_s)
    listening = asyncio.create_task(checker.listen(feed.subscribe(SYMBOLS, "1m", after=after), case.wait_s))
    passed = 0
    for at, jump_s in sorted(case.jumps):
        await stage.advance(max(0, at - passed) / case.speed)
        passed = max(passed, at)
        market.shift += timedelta(seconds=jump_s)
    # A clock that stays behind would only make the end later.
    market.shift = max(market.shift, timedelta(0))
    await stage.advance((MINUTES * 60 + 600) / case.speed + 10)
    wanted = {symbol: [close for close, _ in arrivals[symbol] if close > after_s] for symbol in SYMBOLS}
    for _ in range(2 * len(SYMBOLS) * MINUTES):
        if all(len(checker.taken[symbol]) > len(wanted[symbol]) for symbol in SYMBOLS):
            break
        await stage.advance(case.wait_s)
    if listening.done():
        listening.result()
    await feed.close()
    await stage.advance(case.wait_s)
    async with asyncio.timeout(5):
        await listening
    for symbol in SYMBOLS:
        assert checker.taken[symbol][1:] == wanted[symbol], symbol


@settings(max_examples=20, deadline=None)
@given(_cases)
def test_every_bar_is_told_once(case: Case) -> None:
    asyncio.run(_play(case))


@pytest.mark.prove
@settings(max_examples=600, deadline=None)
@given(_cases)
def test_every_bar_is_told_once_at_length(case: Case) -> None:
    asyncio.run(_play(case))
