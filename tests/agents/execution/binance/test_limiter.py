"""The shared purse of request weight, and what answers mean."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from agents.execution.binance.limiter import Limiter, Urgency, Window
from agents.execution.binance.replies import Failure, Meaning
from engine.domain.errors import VenueUnavailable

START = datetime(2026, 1, 1, tzinfo=UTC)


class HandClock:
    """A clock that sleeping moves."""

    def __init__(self) -> None:
        self.present = START
        self.slept = 0.0

    def now(self) -> datetime:
        return self.present

    async def sleep(self, seconds: float) -> None:
        self.present += timedelta(seconds=seconds)
        self.slept += seconds
        await asyncio.sleep(0)


def limiter(clock: HandClock, weight: int = 100, orders: int = 10) -> Limiter:
    return Limiter(clock, weight=Window(60, weight), orders=(Window(10, orders),), sleep=clock.sleep)


async def test_reads_wait_for_the_next_minute_before_the_limit() -> None:
    clock = HandClock()
    purse = limiter(clock)
    for _ in range(8):
        await purse.take(10)
    assert clock.slept == 0
    await purse.take(10)
    assert 60 <= clock.slept < 61


async def test_what_protects_may_use_what_reads_may_not() -> None:
    clock = HandClock()
    purse = limiter(clock)
    for _ in range(8):
        await purse.take(10)
    await purse.take(10, urgency=Urgency.PROTECTION)
    assert clock.slept == 0


async def test_an_order_does_not_wait_long_but_says_so() -> None:
    clock = HandClock()
    purse = limiter(clock)
    for _ in range(9):
        await purse.take(10, urgency=Urgency.ORDER)
    with pytest.raises(VenueUnavailable, match="nothing was sent"):
        await purse.take(10, urgency=Urgency.ORDER)


async def test_orders_are_counted_by_themselves() -> None:
    clock = HandClock()
    purse = limiter(clock, orders=4)
    clock.present += timedelta(seconds=4)
    for _ in range(3):
        await purse.take(1, orders=1, urgency=Urgency.ORDER)
    assert clock.slept == 0
    await purse.take(1, orders=1, urgency=Urgency.ORDER)
    assert 6 <= clock.slept < 7


async def test_the_exchange_s_own_count_counts_when_it_is_higher() -> None:
    clock = HandClock()
    purse = limiter(clock)
    purse.note_headers({"X-MBX-USED-WEIGHT-1M": "79", "X-MBX-ORDER-COUNT-10S": "9"})
    assert purse.used_weight() == 79
    purse.note_headers({"X-MBX-USED-WEIGHT-1M": "5"})
    assert purse.used_weight() == 79
    await purse.take(10)
    assert clock.slept >= 60


async def test_nothing_is_sent_while_told_to_stay_away() -> None:
    clock = HandClock()
    purse = limiter(clock)
    purse.stay_away(30)
    with pytest.raises(VenueUnavailable):
        await purse.take(1, urgency=Urgency.PROTECTION)
    await purse.take(1)
    assert clock.slept >= 30
    assert purse.paused_until is None


async def test_published_limits_are_taken_over() -> None:
    clock = HandClock()
    purse = limiter(clock, weight=6000)
    purse.learn(
        [{"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 20}, {"limit": 1}]
    )
    await purse.take(10)
    await purse.take(10)
    assert clock.slept >= 60


async def test_many_at_once_share_one_purse() -> None:
    clock = HandClock()
    purse = limiter(clock)
    await asyncio.gather(*(purse.take(10) for _ in range(20)))
    assert clock.slept >= 60


@pytest.mark.parametrize(
    ("failure", "meaning"),
    [
        (Failure(0, 0, "cut"), Meaning.UNKNOWN),
        (Failure(0, 0, "refused", is_connected=False), Meaning.NOT_HANDED),
        (Failure(502, 0), Meaning.UNKNOWN),
        (Failure(503, -1008), Meaning.UNKNOWN),
        (Failure(403, 0), Meaning.UNKNOWN),
        (Failure(400, 0), Meaning.UNKNOWN),
        (Failure(400, -1000), Meaning.UNKNOWN),
        (Failure(400, -1001), Meaning.UNKNOWN),
        (Failure(400, -1006), Meaning.UNKNOWN),
        (Failure(408, -1007), Meaning.UNKNOWN),
        (Failure(429, -1003), Meaning.NOT_HANDED),
        (Failure(418, -1003), Meaning.NOT_HANDED),
        (Failure(400, -1021), Meaning.NOT_HANDED),
        (Failure(400, -1015), Meaning.NOT_HANDED),
        (Failure(401, -2015), Meaning.NOT_HANDED),
        (Failure(400, -2010, "insufficient balance"), Meaning.REFUSED),
        (Failure(400, -1013, "Filter failure: LOT_SIZE"), Meaning.REFUSED),
        (Failure(400, -1121, "Invalid symbol."), Meaning.REFUSED),
        (Failure(400, -2013), Meaning.NOT_FOUND),
        (Failure(400, -2011), Meaning.NOT_FOUND),
    ],
)
def test_an_answer_means_what_the_exchange_may_have_done(failure: Failure, meaning: Meaning) -> None:
    assert failure.meaning is meaning


@pytest.mark.parametrize(
    ("code", "detail", "reason"),
    [
        (-1013, "Filter failure: LOT_SIZE", "lot"),
        (-1013, "Filter failure: PRICE_FILTER", "tick"),
        (-1013, "Filter failure: NOTIONAL", "min_notional"),
        (-1013, "Filter failure: PERCENT_PRICE_BY_SIDE", "price_band"),
        (-2010, "Account has insufficient balance for requested action.", "insufficient_balance"),
        (-2010, "Stop price would trigger immediately.", "price_side"),
        (-2010, "Something new.", "rejected"),
        (-2022, "ReduceOnly Order is rejected.", "nothing_to_reduce"),
    ],
)
def test_a_refusal_has_a_stable_code(code: int, detail: str, reason: str) -> None:
    assert Failure(400, code, detail).rejection_code() == reason


def test_a_ban_names_its_end() -> None:
    assert Failure(418, -1003, "Way too much; IP banned until 1767225720000.").banned_until_ms == 1767225720000
