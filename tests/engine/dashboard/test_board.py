"""The board: what a client is told, whatever it had before."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from engine.dashboard.board import Board, Watcher


def told(board: Board, watcher: Watcher) -> dict[str, Any]:
    frame: dict[str, Any] = json.loads(board.take(watcher).text())
    return frame


def watching(board: Board) -> Watcher:
    watcher = Watcher()
    board.watchers.add(watcher)
    return watcher


def test_first_frame_is_a_snapshot_and_the_next_has_only_what_changed() -> None:
    board = Board(10)
    board.put({"a": 1, "b": 2})
    watcher = watching(board)
    assert told(board, watcher) == {"type": "snapshot", "sequence": 2, "set": {"a": 1, "b": 2}}
    assert not board.has_news(watcher)
    board.put({"a": 1, "b": 3})
    assert told(board, watcher) == {"type": "changes", "sequence": 3, "set": {"b": 3}}


def test_snapshot_of_an_empty_board_is_one_and_only_the_first_is() -> None:
    board = Board(10)
    watcher = watching(board)
    assert told(board, watcher) == {"type": "snapshot", "sequence": 0, "set": {}}
    board.put({"a": 1})
    assert told(board, watcher) == {"type": "changes", "sequence": 1, "set": {"a": 1}}


def test_entry_that_changed_often_is_told_once_at_its_newest() -> None:
    board = Board(10)
    watcher = watching(board)
    board.take(watcher)
    for price in range(1000):
        board.put({"quote/X": price})
    assert told(board, watcher) == {"type": "changes", "sequence": 1000, "set": {"quote/X": 999}}


def test_entry_that_went_away_is_told_as_null_and_is_in_no_snapshot() -> None:
    board = Board(10)
    board.put({"order/1": 1, "order/2": 2, "other": 3})
    watcher = watching(board)
    board.take(watcher)
    board.replace(("order/",), {"order/2": 2})
    assert told(board, watcher)["set"] == {"order/1": None}
    assert told(board, watching(board))["set"] == {"order/2": 2, "other": 3}


def test_only_those_who_look_at_a_chart_are_told_of_it() -> None:
    board = Board(10)
    looking, other = watching(board), watching(board)
    board.take(looking), board.take(other)
    board.choose_chart(looking, "chart/1h/X")
    board.put({"chart/1h/X": [1], "chart/5m/X": [2]})
    assert told(board, looking)["set"] == {"chart/1h/X": [1]}
    assert told(board, other)["set"] == {}


def test_chart_that_was_there_before_it_was_chosen_is_told_once() -> None:
    board = Board(10)
    watcher = watching(board)
    board.put({"chart/1h/X": [1]})
    assert told(board, watcher)["set"] == {}
    board.choose_chart(watcher, "chart/1h/X")
    assert board.has_news(watcher)
    assert told(board, watcher)["set"] == {"chart/1h/X": [1]}
    assert not board.has_news(watcher)


def test_resuming_is_refused_to_another_stream_and_beyond_what_is_known() -> None:
    board = Board(4, stream="here")
    board.put({f"order/{number}": number for number in range(20)})
    assert board.resumes("here", 20)
    assert board.resumes("here", 3)
    assert not board.resumes("here", 21)
    assert not board.resumes("there", 3)
    board.replace(("order/",), {})
    assert not board.resumes("here", 3)
    assert board.resumes("here", board.sequence)


def test_what_went_away_is_forgotten_after_a_while() -> None:
    board = Board(8)
    for number in range(5000):
        board.replace(("order/",), {f"order/{number}": 1})
    assert len(board._entries) < 20


KEYS = st.sampled_from(["order/1", "order/2", "order/3", "quote/X", "quote/Y"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), KEYS, st.integers(0, 3)),
        st.tuples(st.just("keep"), st.sets(KEYS), st.just(0)),
        st.tuples(st.just("read"), st.just(""), st.just(0)),
        st.tuples(st.just("leave"), st.just(""), st.just(0)),
    ),
    max_size=60,
)


@given(STEPS)
def test_client_that_reads_leaves_and_resumes_knows_what_the_board_knows(steps: list[tuple[str, Any, int]]) -> None:
    board = Board(2)
    watcher = watching(board)
    truth: dict[str, int] = {}
    known: dict[str, Any] = {}
    sequence = 0

    def read() -> None:
        nonlocal sequence
        frame = told(board, watcher)
        if frame["type"] == "snapshot":
            known.clear()
        known.update(frame["set"])
        for key in [key for key, value in known.items() if value is None]:
            del known[key]
        sequence = frame["sequence"]

    for act, what, value in [*steps, ("read", "", 0)]:
        if act == "put":
            board.put({what: value})
            truth[what] = value
        elif act == "keep":
            board.replace(("order/",), {key: truth[key] for key in what if key in truth and key.startswith("order/")})
            truth = {key: held for key, held in truth.items() if key in what or not key.startswith("order/")}
        elif act == "leave":
            board.watchers.discard(watcher)
            watcher = watching(board)
            if board.resumes(board.stream, sequence):
                watcher.is_new, watcher.sent = False, sequence
        else:
            read()
    assert known == truth
