"""Values come back as they went in, and nothing else comes back at all."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langgraph.checkpoint.base import empty_checkpoint

from copilot.memory import MemorySaver
from tests.copilot.memory.scripted import conversation

VALUES = st.one_of(
    st.decimals(allow_nan=False),
    st.datetimes(timezones=st.just(UTC)).map(lambda moment: moment.replace(fold=0)),
    st.dates(),
    st.text(alphabet=st.characters(exclude_categories=["Cs"])),
    st.binary(max_size=50),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False),
    st.none(),
    st.lists(st.decimals(allow_nan=False), max_size=3),
)


async def _round_trip(memory: MemorySaver, value: Any) -> Any:
    checkpoint = {**empty_checkpoint(), "channel_values": {"value": value}, "channel_versions": {"value": 1}}
    stored = await memory.aput(conversation("web-1"), checkpoint, {}, {"value": 1})  # type: ignore[arg-type]  # a plain dict of its shape
    await memory.aput_writes(stored, [("value", value)], "task")
    found = await memory.aget_tuple(conversation("web-1"))
    assert found is not None
    assert found.pending_writes is not None
    assert repr(found.pending_writes[0][2]) == repr(found.checkpoint["channel_values"]["value"])
    return found.checkpoint["channel_values"]["value"]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=VALUES)
async def test_any_plain_value_comes_back_exact(memory: MemorySaver, value: Any) -> None:
    back = await _round_trip(memory, value)
    assert type(back) is type(value)
    assert repr(back) == repr(value)


@pytest.mark.parametrize(
    "value",
    [
        Decimal("0.1000000000000000000000000001"),
        Decimal("1E-18"),
        Decimal("-0.00"),
        datetime(2026, 3, 29, 1, 59, 59, 999999, UTC),
        datetime(2026, 3, 29, 1, 59, tzinfo=timezone(timedelta(hours=5, minutes=30))),
        date(2026, 2, 28),
        "ñandú €\0🙂",
    ],
)
async def test_money_times_and_words_come_back_exact(memory: MemorySaver, value: Any) -> None:
    assert repr(await _round_trip(memory, value)) == repr(value)


@dataclass
class Danger:
    name: str


async def test_a_class_named_by_the_data_is_not_revived(memory: MemorySaver) -> None:
    assert not isinstance(await _round_trip(memory, Danger("x")), Danger)


async def test_what_only_pickle_could_store_is_refused(memory: MemorySaver) -> None:
    with pytest.raises(TypeError):
        await _round_trip(memory, lambda: None)
    assert await memory.aget_tuple(conversation("web-1")) is None
