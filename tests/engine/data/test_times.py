"""Clocks of zones: summer time, doubtful hours, and brokers' servers ahead of New York."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from engine.data.times import find_zone, read_times, wall_to_utc
from engine.domain.errors import InvalidRequest


def second(*date: int) -> int:
    return int(datetime(*date, tzinfo=UTC).timestamp())


def utc_of(zone: str, *wall: int) -> datetime | None:
    seconds, is_known = wall_to_utc(np.array([second(*wall)]), find_zone(zone))
    return datetime.fromtimestamp(int(seconds[0]), UTC) if is_known[0] else None


@pytest.mark.parametrize(
    ("zone", "wall", "utc"),
    [
        ("UTC", (2024, 1, 2, 3), (2024, 1, 2, 3)),
        ("Europe/Madrid", (2024, 1, 2, 3), (2024, 1, 2, 2)),
        ("Europe/Madrid", (2024, 7, 2, 3), (2024, 7, 2, 1)),
        ("Europe/Madrid", (2024, 3, 31, 2, 30), None),
        ("Europe/Madrid", (2024, 10, 27, 2, 30), None),
        ("Etc/GMT+5", (2024, 1, 2, 3), (2024, 1, 2, 8)),
        ("UTC+2", (2024, 7, 2, 3), (2024, 7, 2, 1)),
        ("UTC-5:30", (2024, 7, 2, 3), (2024, 7, 2, 8, 30)),
    ],
)
def test_a_clock_is_read_in_its_zone(zone: str, wall: tuple[int, ...], utc: tuple[int, ...] | None) -> None:
    assert utc_of(zone, *wall) == (None if utc is None else datetime(*utc, tzinfo=UTC))


@pytest.mark.parametrize("month", [1, 3, 4, 7, 10, 11])
def test_a_brokers_week_opens_at_midnight_on_its_own_clock(month: int) -> None:
    """17:00 in New York is 00:00 on such a server, also in the weeks when only one continent has changed its clocks."""
    monday = datetime(2024, month, 20, tzinfo=UTC)
    monday -= timedelta(days=monday.weekday())
    opened = utc_of("America/New_York+7", monday.year, monday.month, monday.day)
    is_winter = month in (1, 11)
    assert opened == monday - timedelta(hours=2 if is_winter else 3)


@pytest.mark.parametrize("name", ["Mars/Olympus", "Mars/Olympus+2", "", "../etc/passwd", "America/New_York+seven"])
def test_a_zone_that_does_not_exist_is_named(name: str) -> None:
    with pytest.raises(InvalidRequest, match="ingest_time_zone"):
        find_zone(name)


def test_text_and_timestamps_are_read_on_such_a_clock() -> None:
    texts = pa.chunked_array([pa.array(["2024.01.02 09:00", "2024.07.02 09:00"])])
    seconds, is_known = read_times(texts, find_zone("America/New_York+7"))
    assert is_known.all()
    assert seconds.tolist() == [second(2024, 1, 2, 7), second(2024, 7, 2, 6)]
    stamps = pa.chunked_array([pa.array([datetime(2024, 7, 2, 9)], pa.timestamp("us"))])  # noqa: DTZ001  # no zone is the case
    assert read_times(stamps, find_zone("America/New_York+7"))[0].tolist() == [second(2024, 7, 2, 6)]
