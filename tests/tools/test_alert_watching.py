"""Alerts: each condition, told once, also for what happened while nobody watched."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domain.errors import InvalidRequest
from engine.domain.signals import Direction
from tests.agents.execution.fakes import D
from tests.tools.world import HERE, OWNER, STRANGER, World, open_fast
from tools.alerts import Seen, fires
from tools.results import AlertList, AlertsCancelled, AlertSet

MINUTE = timedelta(minutes=1)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    database = open_fast(tmp_path / "copilot.db")
    yield World(database)
    database.dispose()


async def watch(world: World, condition: str, value: str | None = None, **asked: Any) -> str:
    arguments = {"symbol": "BTC/USDT", "condition": condition, "value": value, **asked}
    told = await world.toolbox.run("set_alert", arguments, HERE)
    assert isinstance(told, AlertSet)
    return told.alert.alert_id


async def listed(world: World, **asked: Any) -> list[str]:
    told = await world.toolbox.run("list_alerts", asked, HERE)
    assert isinstance(told, AlertList)
    return [alert.alert_id for alert in told.alerts]


def heard(world: World) -> list[str]:
    return [n.params["alert_id"] for n in world.notices.pending(OWNER, "test") if n.kind == "alert_fired"]


@pytest.mark.parametrize(
    ("condition", "value", "before", "after"),
    [
        ("price_above", "110", "109.9", "110"),
        ("price_below", "90", "90.1", "90"),
        ("change_up", "5", "104.9", "105"),
        ("change_down", "5", "95.1", "95"),
    ],
)
async def test_price_condition_fires_at_its_price_and_once(
    world: World, condition: str, value: str, before: str, after: str
) -> None:
    alert = await watch(world, condition, value)
    world.market.mids["BTC/USDT"] = D(before)
    assert world.alerts.check() == 0
    world.market.mids["BTC/USDT"] = D(after)
    assert world.alerts.check() == 1
    assert world.alerts.check() == 0
    assert heard(world) == [alert]
    assert await listed(world) == []


async def test_crossing_during_downtime_is_told(world: World) -> None:
    above, below = await watch(world, "price_above", "120"), await watch(world, "price_below", "80")
    for prices in (("100", "101", "99", "100"), ("100", "121", "99", "100"), ("100", "101", "79", "100")):
        world.market.minute(*prices)
    for _ in range(3000):
        world.market.minute("100", "100", "100", "100")
    assert world.alerts.check() == 2
    assert heard(world) == [above, below]


async def test_spike_between_two_looks_within_one_bar_is_told(world: World) -> None:
    await watch(world, "price_above", "120")
    world.market.minute("100", "100", "100", "100")
    world.market.present += timedelta(seconds=30)
    assert world.alerts.check() == 0
    world.market.present -= timedelta(seconds=30)
    world.market.minute("100", "125", "100", "100")
    assert world.alerts.check() == 1


async def test_what_happened_before_the_alert_was_set_does_not_count(world: World) -> None:
    world.market.minute("100", "200", "50", "100")
    await watch(world, "price_above", "150")
    await watch(world, "price_below", "60")
    world.market.minute("100", "101", "99", "100")
    assert world.alerts.check() == 0


@pytest.mark.parametrize(("condition", "step"), [("rsi_above", 1), ("rsi_below", -1)])
async def test_rsi_condition_also_counts_bars_closed_during_downtime(world: World, condition: str, step: int) -> None:
    for n in range(30):
        price = str(100 + n % 2)
        world.market.minute(price, price, price, price)
    await watch(world, condition, "70" if step > 0 else "30", timeframe="1m")
    assert world.alerts.check() == 0
    for n in [*range(1, 15), *range(14, 0, -1)]:
        price = str(100 + step * n)
        world.market.minute(price, price, price, price)
    assert world.alerts.check() == 1


async def test_signal_change_fires_when_the_direction_changes(world: World) -> None:
    world.signals.directions["BTC/USDT"] = Direction.NONE
    await watch(world, "signal_change")
    assert world.alerts.check() == 0
    world.signals.directions["BTC/USDT"] = Direction.LONG
    assert world.alerts.check() == 1


async def test_market_without_data_delays_and_never_loses(world: World) -> None:
    await watch(world, "price_above", "120")
    gold = await watch(world, "price_above", "60", symbol="XAUUSD")
    world.market.silent.add("BTC/USDT")
    world.market.minute("100", "130", "100", "100")
    world.market.mids["XAUUSD"] = D(60)
    assert world.alerts.check() == 1
    assert heard(world) == [gold]
    world.market.silent.clear()
    assert world.alerts.check() == 1


async def test_notice_that_cannot_be_kept_leaves_the_alert_active(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    alert = await watch(world, "price_above", "90")

    def fail(*_: object) -> None:
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(world.notices, "add", fail)
        with pytest.raises(OSError, match="disk full"):
            world.alerts.check()
    assert await listed(world) == [alert]
    assert world.alerts.check() == 1
    assert heard(world) == [alert]


async def test_two_watchers_at_once_tell_once(world: World) -> None:
    ids = [await watch(world, "price_above", "90") for _ in range(30)]
    counts: list[int] = []
    barrier = threading.Barrier(3)

    def look(alerts: Any) -> None:
        barrier.wait()
        counts.append(alerts.check())

    threads = [threading.Thread(target=look, args=(world.again().alerts,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(counts) == len(ids)
    assert sorted(heard(world), key=int) == ids


async def test_cancelled_alerts_are_gone_and_only_ones_own(world: World) -> None:
    first, second = await watch(world, "price_above", "120"), await watch(world, "price_above", "60", symbol="XAUUSD")
    with pytest.raises(InvalidRequest, match="alert_not_found"):
        await world.toolbox.run("cancel_alert", {"alert_id": first}, STRANGER)
    for alert_id in ("", "7", "1 OR 1=1"):
        with pytest.raises(InvalidRequest, match="alert_not_found"):
            await world.toolbox.run("cancel_alert", {"alert_id": alert_id}, HERE)
    assert await listed(world) == [first, second]
    told = await world.toolbox.run("cancel_alert", {"alert_id": f"#{first}"}, HERE)
    assert isinstance(told, AlertsCancelled)
    assert [alert.alert_id for alert in told.alerts] == [first]
    world.market.mids["BTC/USDT"] = D(200)
    assert world.alerts.check() == 0
    assert await listed(world) == [second]


async def test_all_alerts_of_a_symbol_are_cancelled(world: World) -> None:
    await watch(world, "price_above", "120")
    gold = await watch(world, "price_above", "60", symbol="XAUUSD")
    assert await listed(world, symbol="XAUUSD") == [gold]
    await world.toolbox.run("cancel_alert", {"alert_id": "all", "symbol": "BTC/USDT"}, HERE)
    assert await listed(world) == [gold]
    nothing = await world.toolbox.run("cancel_alert", {"alert_id": "all", "symbol": "BTC/USDT"}, HERE)
    assert isinstance(nothing, AlertsCancelled)
    assert nothing.alerts == ()


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"condition": "price_above"}, "alert_needs_value"),
        ({"condition": "rsi_above", "value": "100"}, "bad_rsi"),
        ({"condition": "change_down", "value": "100"}, "over_hundred_percent"),
        ({"condition": "price_above", "value": "1", "symbol": "ABC"}, "unknown_instrument"),
        ({"condition": "price_above", "value": "-1"}, "bad_argument"),
        ({"condition": "price_above", "value": "1e40"}, "bad_argument"),
        ({"condition": "moon"}, "bad_argument"),
    ],
)
async def test_alert_that_can_never_fire_is_refused(world: World, asked: dict[str, Any], code: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        await world.toolbox.run("set_alert", {"symbol": "BTC/USDT", **asked}, HERE)
    assert raised.value.code == code
    assert await listed(world) == []


async def test_signal_change_without_a_model_is_told_at_once(world: World) -> None:
    told = await world.toolbox.run("set_alert", {"symbol": "BTC/USDT", "condition": "signal_change"}, HERE)
    assert told.kind == "unavailable"


prices = st.decimals("0.01", "1000000", places=2)


@given(low=prices, high=prices, value=prices)
def test_price_fires_exactly_when_the_range_reaches_it(low: Decimal, high: Decimal, value: Decimal) -> None:
    low, high = min(low, high), max(low, high)
    seen = Seen(low, high, high)
    assert fires("price_above", value, None, seen) == (value <= high)
    assert fires("price_below", value, None, seen) == (value >= low)
    assert fires("change_up", Decimal(10), str(value), seen) == (high * 10 >= value * 11)
    assert fires("change_down", Decimal(10), str(value), seen) == (low * 10 <= value * 9)


@pytest.mark.parametrize("condition", ["price_above", "change_up", "change_down", "rsi_above", "rsi_below"])
def test_nothing_fires_on_what_is_not_known(condition: str) -> None:
    assert not fires(condition, None, None, Seen(D(1), D(1000), D(1)))
