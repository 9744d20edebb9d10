"""Notices: kept until each surface has shown them, once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tools.world import OWNER, World, open_fast


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    database = open_fast(tmp_path / "copilot.db")
    yield World(database)
    database.dispose()


def test_each_surface_shows_a_notice_once_and_in_order(world: World) -> None:
    for n in range(3):
        world.notices.notify(OWNER, "alert_fired", {"n": str(n), "text": "ñ € 🙂"})
    assert [notice.params["n"] for notice in world.notices.take(OWNER, "web")] == ["0", "1", "2"]
    assert world.notices.take(OWNER, "web") == ()
    world.notices.notify(OWNER, "alert_fired", {"n": "3"})
    assert [notice.params["n"] for notice in world.notices.take(OWNER, "web")] == ["3"]
    assert len(world.notices.take(OWNER, "telegram")) == 4


def test_notices_are_their_owners_alone(world: World) -> None:
    world.notices.notify(OWNER, "alert_fired", {})
    assert world.notices.take("eve", "web") == ()
    assert len(world.notices.pending(OWNER, "web")) == 1


def test_looking_does_not_take(world: World) -> None:
    world.notices.notify(OWNER, "alert_fired", {})
    (notice,) = world.notices.pending(OWNER, "web")
    assert world.notices.pending(OWNER, "web") == (notice,)
    assert world.notices.mark_delivered([notice.id], "web") == (notice.id,)
    assert world.notices.mark_delivered([notice.id], "web") == ()


def test_two_pages_that_look_at_once_show_each_notice_once(world: World) -> None:
    for n in range(20):
        world.notices.notify(OWNER, "alert_fired", {"n": str(n)})
    shown: list[str] = []
    barrier = threading.Barrier(4)

    def take() -> None:
        barrier.wait()
        shown.extend(notice.params["n"] for notice in world.again().notices.take(OWNER, "web"))

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(shown, key=int) == [str(n) for n in range(20)]


def test_notice_of_a_change_that_did_not_happen_is_not_kept(world: World) -> None:
    with world.database.connect() as connection, connection.begin() as change:
        world.notices.add(connection, OWNER, "alert_fired", {})
        change.rollback()
    assert world.notices.pending(OWNER, "web") == ()
