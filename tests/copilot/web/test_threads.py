from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest

from copilot.web.tables import web_elements, web_steps, web_threads
from copilot.web.threads import MAX_NAME, Element, Step, Threads
from engine.data.database import connect_database, metadata

START = datetime(2025, 3, 14, 12, tzinfo=UTC)


@pytest.fixture
def threads(tmp_path: Path) -> Iterator[Threads]:
    database = connect_database(f"sqlite:///{tmp_path}/threads.db")
    metadata.create_all(database, tables=[web_threads, web_steps, web_elements])
    seconds = count()
    yield Threads(database, lambda: START + timedelta(seconds=next(seconds)))
    database.dispose()


def say(threads: Threads, thread_id: str, text: str, *, owner: str = "ana", step_id: str = "", tool: str = "") -> bool:
    key = step_id or f"{thread_id}-{text}"
    return threads.put_step(owner, Step(key, thread_id, {"id": key, "output": text}, START, text, tool))


def names(threads: Threads, owner: str = "ana", **options: object) -> list[str]:
    return [thread.name for thread in threads.list(owner, **{"first": 10, **options})]  # type: ignore[arg-type]


def test_conversation_is_named_by_its_first_message_and_keeps_a_given_name(threads: Threads) -> None:
    assert threads.open("ana", "t1", "")
    assert names(threads) == []
    threads.open("ana", "t1", "  signal\n for gold")
    threads.open("ana", "t1", "something else")
    assert names(threads) == ["signal for gold"]
    threads.rename("ana", "t1", "Gold")
    assert names(threads) == ["Gold"]


def test_long_first_message_is_cut(threads: Threads) -> None:
    threads.open("ana", "t1", "x" * 4000)
    (name,) = names(threads)
    assert len(name) == MAX_NAME
    assert name.endswith("…")


def test_last_used_comes_first_and_pages_do_not_overlap(threads: Threads) -> None:
    for number in range(5):
        threads.open("ana", f"t{number}", f"n{number}")
    say(threads, "t1", "again")
    assert names(threads) == ["n1", "n4", "n3", "n2", "n0"]
    assert names(threads, first=2) == ["n1", "n4"]
    assert names(threads, first=2, after="t4") == ["n3", "n2"]
    assert names(threads, after="nothing") == []


@pytest.mark.parametrize("search", ["SEÑAL", "senal", "oro", "gold day"])
def test_search_finds_names_and_messages_whatever_the_accents(threads: Threads, search: str) -> None:
    threads.open("ana", "t1", "Gold day")
    threads.open("ana", "t2", "Bitcoin")
    say(threads, "t1", "¿Qué señal da el oro?")
    assert names(threads, search=search) == ["Gold day"]


def test_signs_of_a_pattern_are_searched_as_they_are(threads: Threads) -> None:
    threads.open("ana", "t1", "up 5% today")
    threads.open("ana", "t2", "up five today")
    assert names(threads, search="5%") == ["up 5% today"]
    assert names(threads, search="up_") == []


def test_steps_come_in_the_order_of_their_beginning(threads: Threads) -> None:
    threads.open("ana", "t1", "a")
    for key, second in (("late", 3), ("early", 1), ("middle", 2)):
        threads.put_step("ana", Step(key, "t1", {"id": key}, START + timedelta(seconds=second)))
    threads.put_step("ana", Step("middle", "t1", {"id": "middle", "end": 1}, START + timedelta(seconds=2)))
    steps, _ = threads.contents("ana", "t1")
    assert [step["id"] for step in steps] == ["early", "middle", "late"]
    assert steps[1]["end"] == 1


def test_another_owner_reaches_nothing(threads: Threads) -> None:
    threads.open("ana", "t1", "mine")
    say(threads, "t1", "secret", step_id="s1")
    threads.put_element("ana", Element("e1", "t1", "s1", {"props": 1}))
    assert not threads.open("bob", "t1", "taken")
    assert not say(threads, "t1", "forged", owner="bob")
    assert not threads.put_element("bob", Element("e2", "t1", "s1", {}))
    assert threads.element("bob", "e1") is None
    assert threads.contents("bob", "t1") == ((), ())
    threads.rename("bob", "t1", "stolen")
    threads.drop_step("bob", "s1")
    threads.drop_element("bob", "e1")
    assert not threads.delete("bob", "t1")
    assert threads.forget("bob") == 0
    assert names(threads, owner="bob", search="secret") == []
    assert names(threads) == ["mine"]
    assert len(threads.contents("ana", "t1")[0]) == len(threads.contents("ana", "t1")[1]) == 1


def test_nothing_is_kept_of_a_conversation_that_was_erased(threads: Threads) -> None:
    threads.open("ana", "t1", "a")
    assert say(threads, "t1", "one")
    assert threads.delete("ana", "t1")
    assert not say(threads, "t1", "late words")
    assert threads.contents("ana", "t1") == ((), ())


def test_forgetting_an_owner_erases_all_of_theirs_and_nothing_else(threads: Threads) -> None:
    for owner in ("ana", "bob"):
        threads.open(owner, f"t-{owner}", "a")
        say(threads, f"t-{owner}", "b", owner=owner, tool="get_signal")
    assert threads.forget("ana") == 1
    assert (names(threads), names(threads, owner="bob")) == ([], ["a"])
    assert (threads.used_tools("ana"), threads.used_tools("bob")) == ((), ("get_signal",))


def test_step_that_is_taken_out_takes_its_card_along(threads: Threads) -> None:
    threads.open("ana", "t1", "a")
    say(threads, "t1", "b", step_id="s1")
    threads.put_element("ana", Element("e1", "t1", "s1", {"props": 1}))
    threads.drop_step("ana", "s1")
    assert threads.contents("ana", "t1") == ((), ())


def test_most_used_tool_comes_first(threads: Threads) -> None:
    threads.open("ana", "t1", "a")
    for number, tool in enumerate(("get_signal", "check_portfolio", "check_portfolio", "")):
        say(threads, "t1", f"b{number}", tool=tool)
    assert threads.used_tools("ana") == ("check_portfolio", "get_signal")
