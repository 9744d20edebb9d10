"""Alerts: each condition, told once, also for what happened while nobody watched."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from engine.domain.errors import InvalidRequest
from engine.domain.signals import Direction
from tests.agents.execution.fakes import D, FakeMarket
from tests.tools.world import HERE, OWNER, STRANGER, World, open_fast
from tools.alerts import AdjustAlert
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


async def test_repeating_alert_is_told_again_once_the_price_has_gone_back(world: World) -> None:
    alert = await watch(world, "price_above", "110")
    world.alerts.adjust(AdjustAlert(alert_id=alert, repeats=True, rest_s=60), OWNER)
    told = []
    for price in ("110", "111", "109", "111", "111"):
        for _ in range(2):
            world.market.minute(price, price, price, price)
            told.append(world.alerts.check())
    assert told == [1, 0, 0, 0, 0, 0, 1, 0, 0, 0]
    assert heard(world) == [alert, alert]
    assert await listed(world) == [alert]


async def test_repeating_alert_rests(world: World) -> None:
    alert = await watch(world, "price_above", "110")
    world.alerts.adjust(AdjustAlert(alert_id=alert, repeats=True, rest_s=600), OWNER)
    told = 0
    for n in range(40):
        price = "111" if n % 2 else "109"
        world.market.minute(price, price, price, price)
        told += world.alerts.check()
    assert told == 4


@pytest.mark.parametrize("is_restarted", [False, True])
async def test_price_that_stayed_beyond_is_not_told_again(world: World, is_restarted: bool) -> None:
    alert = await watch(world, "price_above", "110")
    world.alerts.adjust(AdjustAlert(alert_id=alert, repeats=True, rest_s=60), OWNER)
    world.market.minute("111", "111", "111", "111")
    assert world.alerts.check() == 1
    for _ in range(5):
        world.market.minute("112", "113", "111", "112")
        now = world.again() if is_restarted else world
        assert now.alerts.check() == 0
    world.market.minute("109", "109", "108", "109")
    assert world.again().alerts.check() == 0
    world.market.minute("111", "111", "111", "111")
    assert world.again().alerts.check() == 1


async def test_crossing_during_downtime_is_told_with_its_time(world: World) -> None:
    await watch(world, "price_above", "120")
    assert world.alerts.check() == 0
    world.market.minute("100", "121", "99", "100")
    crossed_at = world.market.present
    for _ in range(60):
        world.market.minute("100", "100", "100", "100")
    assert world.again().alerts.check() == 1
    (notice,) = world.notices.pending(OWNER, "test")
    assert notice.params["at"] == crossed_at.isoformat()


@pytest.mark.parametrize(("condition", "sign"), [("change_up", 1), ("change_down", -1)])
async def test_move_over_a_window_is_measured_from_one_window_before(world: World, condition: str, sign: int) -> None:
    await watch(world, condition, "5", timeframe="5m")
    told = []
    for step in (1, 2, 3, 4, 4, 4, 5, 6, 7, 7, 7, 13):  # at most 3 within five minutes, then 8
        price = str(100 + sign * step)
        world.market.minute(price, price, price, price)
        told.append(world.alerts.check())
    assert told == [0] * 11 + [1]


async def test_window_longer_than_the_history_is_silent(world: World) -> None:
    await watch(world, "change_up", "5", timeframe="1d")
    world.market.minute("100", "200", "100", "200")
    assert world.alerts.check() == 0


async def test_alert_ends_when_its_time_is_over(world: World) -> None:
    alert = await watch(world, "price_above", "120")
    end = world.market.present + timedelta(minutes=3)
    world.alerts.adjust(AdjustAlert(alert_id=alert, expires_at=end), OWNER)
    for _ in range(4):
        world.market.minute("100", "100", "100", "100")
    world.market.minute("130", "130", "130", "130")
    assert world.alerts.check() == 0
    assert await listed(world) == []
    assert [notice.kind for notice in world.notices.pending(OWNER, "test")] == ["alert_expired"]


async def test_crossing_before_the_end_counts_when_it_is_noticed_after(world: World) -> None:
    alert = await watch(world, "price_above", "120")
    end = world.market.present + timedelta(minutes=3)
    world.alerts.adjust(AdjustAlert(alert_id=alert, expires_at=end), OWNER)
    world.market.minute("100", "121", "100", "100")
    for _ in range(5):
        world.market.minute("100", "100", "100", "100")
    assert world.alerts.check() == 1


async def test_only_ones_own_alert_with_a_future_end_is_adjusted(world: World) -> None:
    alert = await watch(world, "price_above", "120")
    with pytest.raises(InvalidRequest, match="alert_not_found"):
        world.alerts.adjust(AdjustAlert(alert_id=alert, repeats=True), "eve")
    with pytest.raises(InvalidRequest, match="alert_expiry"):
        world.alerts.adjust(AdjustAlert(alert_id=alert, expires_at=world.market.present), OWNER)


async def test_signal_change_can_repeat(world: World) -> None:
    world.signals.directions["BTC/USDT"] = Direction.NONE
    alert = await watch(world, "signal_change")
    world.alerts.adjust(AdjustAlert(alert_id=alert, repeats=True, rest_s=60), OWNER)
    told = []
    for direction in (Direction.LONG, Direction.LONG, Direction.SHORT):
        world.signals.directions["BTC/USDT"] = direction
        for _ in range(2):
            world.market.minute("100", "100", "100", "100")
            told.append(world.alerts.check())
    assert told == [1, 0, 0, 0, 1, 0]


async def test_a_look_at_many_alerts_asks_the_market_once_per_series(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(200):
        await watch(world, "price_above", str(101 + n))
    asked = []
    monkeypatch.setattr(
        world.market, "bars_between", lambda *_: asked.append(1) or FakeMarket.bars_between(world.market, *_)
    )
    world.alerts.check()
    assert len(asked) == 1
