"""The journal: written once, found by every handle, explained in order, pruned without losing what is open."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import Engine, event, text

from agents.journal import (
    Decision,
    DecisionJournal,
    DecisionQuery,
    Fact,
    FactKind,
    Inputs,
    LimitNote,
    RoundTrip,
    SignalNote,
    Verdict,
    WishKind,
    WishNote,
)
from agents.journal.explanation import read_result, result_fact
from engine.data.database import connect_database, metadata

D = Decimal
AT = datetime(2026, 1, 5, 12, tzinfo=UTC)


def decision(number: int, **changes: object) -> Decision:
    at = AT + timedelta(hours=number)
    made = Decision(
        f"agent:nova/momentum/ETH/USDT//{number}",
        f"agent:nova/momentum/ETH/USDT//{number}",
        "nova",
        "momentum",
        "v1",
        "p1",
        "ETH/USDT",
        "",
        "1h",
        at,
        at,
        Verdict.TAKEN,
        (),
        WishNote(WishKind.ENTER, "buy", "market", stop=90.5),
        Inputs(700, at, at, 101.25, "hash", {"change": 0.0125}, equity=D("50000.10")),
        SignalNote("weighted", D("0.75"), "m7", "long", 0.61, 0.5, 0.2, "accumulation", "2026"),
        (LimitNote("position", "pct", D(5), D(0), D("1.96"), True),),
        D("0.0196"),
        D("9.7"),
        D("982.125"),
        {"stop": D("90.5")},
        "allowed",
        "m1",
        f"tc-{number}",
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def fill(number: int, trade: int, side: str, price: str, hours: float = 0) -> Fact:
    at = AT + timedelta(hours=number + hours)
    source = f"agent:nova/momentum/ETH/USDT//{number}"
    role = {"role": "entry" if side == "buy" else "stop"}
    figures = {"quantity": D("9.7"), "price": D(price), "fee": D("0.98")}
    order = f"tc-{number}" if side == "buy" else f"tc-{number}-sl"
    return Fact(source, FactKind.FILL, str(trade), "nova", "ETH/USDT", at, order, trade, side, role, figures)


def trip(number: int, hours: float = 5) -> RoundTrip:
    at = AT + timedelta(hours=number)
    prices = (D("9.7"), D("101.25"), D("90.5"), D("1.86"), D("-106.135"), D("-10.8"), D("-1.02"))
    source = f"agent:nova/momentum/ETH/USDT//{number}"
    end = at + timedelta(hours=hours)
    return RoundTrip(source, "nova", "momentum", "ETH/USDT", "", "buy", *prices, "stop", at, end)


@pytest.fixture
def database(tmp_path: Path) -> Engine:
    made = connect_database(f"sqlite:///{tmp_path}/j.db")
    metadata.create_all(made)
    return made


@pytest.fixture
def journal(database: Engine) -> DecisionJournal:
    return DecisionJournal(database)


def test_a_record_comes_back_whole_to_the_last_digit(journal: DecisionJournal) -> None:
    journal.write([decision(1)])
    assert journal.decision(decision(1).source) == decision(1)
    assert read_result(result_fact(trip(1))) == trip(1)


def test_a_record_is_never_changed(journal: DecisionJournal, database: Engine) -> None:
    statements: list[str] = []
    event.listen(database, "before_cursor_execute", lambda *args: statements.append(args[2]))
    journal.write([decision(1)], [fill(1, 1, "buy", "101.25")])
    journal.write([decision(1, reasons=("changed",))], [fill(1, 1, "buy", "7")])
    assert journal.decision(decision(1).source) == decision(1)
    assert journal.facts(decision(1).source) == (fill(1, 1, "buy", "101.25"),)
    assert not [each for each in statements if each.startswith(("UPDATE decision", "DELETE"))]


QUERIES: list[tuple[DecisionQuery, list[int]]] = [
    (DecisionQuery(), [3, 2, 1]),
    (DecisionQuery(agent="nova"), [3, 2]),
    (DecisionQuery(symbol="BTC/USDT"), [1]),
    (DecisionQuery(verdict=Verdict.REFUSED), [3]),
    (DecisionQuery(side="sell"), [3]),
    (DecisionQuery(order_id="tc-2"), [2]),
    (DecisionQuery(since=AT + timedelta(hours=2)), [3, 2]),
    (DecisionQuery(until=AT + timedelta(hours=2)), [1]),
    (DecisionQuery(trade=7), [2]),
    (DecisionQuery(agent="nova", kind=WishKind.EXIT), []),
    (DecisionQuery(strategy="momentum", agent="atlas"), [1]),
]


@pytest.mark.parametrize(("query", "expected"), QUERIES)
def test_decisions_are_found_by_any_of_their_handles(
    journal: DecisionJournal, query: DecisionQuery, expected: list[int]
) -> None:
    sold = decision(3, verdict=Verdict.REFUSED, wish=WishNote(WishKind.ENTER, "sell"), order_id="")
    journal.write([decision(1, agent="atlas", symbol="BTC/USDT"), decision(2), sold], [fill(2, 7, "buy", "101.25")])
    found = journal.decisions(query)
    assert [int(each.source.rsplit("/", 1)[1]) for each in found] == expected


HANDLES: list[Callable[[], DecisionQuery]] = [
    lambda: DecisionQuery(agent="nova", symbol="ETH/USDT", side="sell"),
    lambda: DecisionQuery(trade=2),
    lambda: DecisionQuery(order_id="tc-1-sl"),
    lambda: DecisionQuery(order_id="tc-1"),
]


@pytest.mark.parametrize("query", HANDLES)
def test_why_is_answered_from_wish_to_result(journal: DecisionJournal, query: Callable[[], DecisionQuery]) -> None:
    moved = decision(1, source="x#protect", at=AT + timedelta(hours=3), wish=WishNote(WishKind.PROTECT, stop=95.0))
    facts = [fill(1, 2, "sell", "90.5", 5), fill(1, 1, "buy", "101.25"), result_fact(trip(1))]
    journal.write([decision(1), moved], facts)
    why = journal.explain(query())
    assert why is not None
    expected = [
        "inputs",
        "wish",
        "signal",
        "size",
        "limit",
        "permission",
        "verdict",
        "fill",
        "protect",
        "fill",
        "result",
    ]
    assert [step.code for step in why.steps] == expected
    assert (why.result, why.is_open, why.agent, why.side) == (trip(1), False, "nova", "buy")
    assert why.steps[0].figures["change"] == 0.0125
    assert why.steps[2].codes["model_version"] == "m7"
    assert why.steps[4].figures == {"limit": D(5), "before": D(0), "after": D("1.96")}
    assert why.chart_from < AT < AT + timedelta(hours=6) < why.chart_to


def test_a_refusal_is_explained_too_and_nothing_is_invented(journal: DecisionJournal) -> None:
    journal.write([decision(1, verdict=Verdict.REFUSED, reasons=("positions",), order_id="")])
    why = journal.explain(DecisionQuery(agent="nova", symbol="ETH/USDT"))
    assert why is not None
    assert why.steps[-1].codes == {"verdict": "refused", "reasons": "positions"}
    assert not why.is_open
    assert journal.explain(DecisionQuery(agent="atlas")) is None
    assert journal.explain(DecisionQuery(trade=99)) is None


def test_quiet_moments_are_counted_by_day(journal: DecisionJournal) -> None:
    for _ in range(3):
        journal.write(counts={("nova", "2026-01-05", "momentum", "no_wish"): 2})
    (count,) = journal.quiet("nova")
    assert (count.code, count.count) == ("no_wish", 6)
    assert journal.quiet("nova", "2026-01-06") == ()


def test_pruning_keeps_what_is_open(journal: DecisionJournal) -> None:
    open_one, over, refused, late = decision(1), decision(2), decision(3, verdict=Verdict.REFUSED), decision(50)
    left = decision(2, source="agent:nova#exit", entry_source=over.source, wish=WishNote(WishKind.EXIT))
    facts = [fill(1, 1, "buy", "1"), fill(2, 2, "buy", "1"), result_fact(trip(2, 1))]
    journal.write([open_one, over, refused, late, left], facts, {("nova", "2026-01-01", "momentum", "no_wish"): 1})
    assert journal.prune(AT + timedelta(hours=40)) == 3
    assert {each.source for each in journal.decisions(DecisionQuery())} == {open_one.source, late.source}
    assert (journal.facts(over.source), len(journal.facts(open_one.source))) == ((), 1)
    assert journal.quiet("nova") == ()


@pytest.mark.parametrize("column", ["order_id", "trade"])
def test_a_fact_is_found_by_an_index(database: Engine, column: str) -> None:
    with database.connect() as connection:
        plan = connection.execute(text(f"EXPLAIN QUERY PLAN SELECT source FROM decision_facts WHERE {column} = '1'"))
        assert "USING INDEX" in " ".join(str(row) for row in plan)
