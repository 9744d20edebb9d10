"""The owner's profile: what may be kept, and that nothing else is."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domain.errors import InvalidRequest
from tests.tools.world import HERE, OWNER, STRANGER, World, open_fast
from tools.profile import MAX_RISK_PCT, Profile, ProfileTool
from tools.results import ProfileResult


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    database = open_fast(tmp_path / "copilot.db")
    yield World(database)
    database.dispose()


async def change(world: World, setting: str, value: object) -> ProfileResult:
    told = await world.toolbox.run("update_profile", {"setting": setting, "value": value}, HERE)
    assert isinstance(told, ProfileResult)
    return told


@pytest.mark.parametrize(
    ("setting", "value", "kept"),
    [
        ("language", "es", "es"),
        ("risk_per_trade_pct", 0.5, Decimal("0.5")),
        ("risk_per_trade_pct", "2", Decimal(2)),
        ("risk_per_trade_pct", 5, Decimal(5)),
        ("base_currency", "eur", "EUR"),
        ("favourites", ["XAUUSD", "BTC/USDT", "XAUUSD"], ("XAUUSD", "BTC/USDT")),
        ("favourites", "XAUUSD", ("XAUUSD",)),
        ("favourites", [], ()),
        ("name", "  José Ñ  ", "José Ñ"),
    ],
)
async def test_setting_is_kept(world: World, setting: str, value: object, kept: object) -> None:
    told = await change(world, setting, value)
    assert told.changed == setting
    assert getattr(told, setting) == kept
    assert getattr(world.again().profiles.get(OWNER), setting) == kept


@pytest.mark.parametrize(
    ("setting", "value", "code"),
    [
        ("language", "fr", "bad_language"),
        ("risk_per_trade_pct", "5.01", "bad_risk"),
        ("risk_per_trade_pct", "0", "bad_risk"),
        ("risk_per_trade_pct", "-1", "bad_risk"),
        ("risk_per_trade_pct", "NaN", "bad_risk"),
        ("risk_per_trade_pct", "1e-9", "bad_risk"),
        ("risk_per_trade_pct", "much", "bad_risk"),
        ("risk_per_trade_pct", ["1"], "bad_risk"),
        ("base_currency", "€", "bad_currency"),
        ("base_currency", "DOLLARS", "bad_currency"),
        ("favourites", ["XAUUSD", "ABC"], "unknown_instrument"),
        ("name", " ", "bad_name"),
        ("name", "x" * 41, "bad_name"),
        ("name", "a\nb", "bad_name"),
        ("colour", "red", "bad_argument"),
        ("name", None, "bad_argument"),
    ],
)
async def test_bad_value_changes_nothing(world: World, setting: str, value: object, code: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        await change(world, setting, value)
    assert raised.value.code == code
    assert world.profiles.get(OWNER) == Profile()


async def test_one_setting_leaves_the_others(world: World) -> None:
    await change(world, "name", "Ana")
    await change(world, "risk_per_trade_pct", "2")
    world.profiles.set_language(OWNER, "es")
    assert world.profiles.get(OWNER) == Profile("es", Decimal(2), "USD", (), "Ana")


async def test_profiles_are_their_owners_alone(world: World) -> None:
    await change(world, "name", "Ana")
    await world.toolbox.run("update_profile", {"setting": "name", "value": "Eve"}, STRANGER)
    assert world.profiles.get(OWNER).name == "Ana"


@given(value=st.text() | st.decimals() | st.floats() | st.lists(st.text()).map(tuple))
def test_risk_is_a_sound_share_or_refused(value: Any) -> None:
    tool = ProfileTool(None, {}, "en")  # type: ignore[arg-type]  # nothing is kept here
    with contextlib.suppress(InvalidRequest):
        assert 0 < tool._checked("risk_per_trade_pct", value) <= MAX_RISK_PCT
