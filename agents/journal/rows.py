"""Between records and rows: the whole record as JSON with exact decimals."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Connection, RowMapping, insert, select, tuple_, update

from agents.journal.tables import decision_counts, decision_facts, decisions
from agents.journal.values import Decision, Fact

_DECISION = TypeAdapter(Decision)
_FACT = TypeAdapter(Fact)
_AT_ONCE = 200
"""Keys in one question: some databases bound the variables of a statement."""

Count = tuple[str, str, str, str]
"""Agent, day, strategy and code of a quiet moment."""


def insert_decisions(connection: Connection, new: Collection[Decision]) -> None:
    """Insert decisions; one whose source is known already stays as it is."""
    sources = [each.source for each in new]
    known = set(_existing(connection, select(decisions.c.source), decisions.c.source, sources))
    rows = [_decision_row(each) for each in new if each.source not in known]
    if rows:
        connection.execute(insert(decisions), rows)


def insert_facts(connection: Connection, new: Collection[Fact]) -> None:
    """Insert facts; one that is known already stays as it is."""
    table = decision_facts.c
    keys = {(each.source, each.kind.value, each.key): each for each in new}
    query = select(table.source, table.kind, table.fact_key)
    place = tuple_(table.source, table.kind, table.fact_key)
    known = {tuple(row) for row in _existing_rows(connection, query, place, list(keys))}
    rows = [_fact_row(each) for key, each in keys.items() if key not in known]
    if rows:
        connection.execute(insert(decision_facts), rows)


def add_counts(connection: Connection, counts: Mapping[Count, int]) -> None:
    """Add to the counters of quiet moments."""
    columns = decision_counts.c
    for (agent, day, strategy, code), count in sorted(counts.items()):
        same = (columns.agent == agent, columns.day == day, columns.strategy == strategy, columns.code == code)
        changed = connection.execute(update(decision_counts).where(*same).values(count=columns.count + count))
        if not changed.rowcount:
            row = {"agent": agent, "day": day, "strategy": strategy, "code": code, "count": count}
            connection.execute(insert(decision_counts).values(row))


def read_decision(row: RowMapping) -> Decision:
    """Return the decision that a row holds."""
    return _DECISION.validate_json(row["body"])


def read_fact(row: RowMapping) -> Fact:
    """Return the fact that a row holds."""
    return _FACT.validate_json(row["body"])


def dump_decision(decision: Decision) -> str:
    """Return a decision as JSON."""
    return _DECISION.dump_json(decision).decode()


def parse_decision(text: str) -> Decision:
    """Return the decision that a JSON text holds."""
    return _DECISION.validate_json(text)


def _existing(connection: Connection, query: Any, column: Any, keys: list[str]) -> Iterable[str]:
    return (row[0] for row in _existing_rows(connection, query, column, keys))


def _existing_rows(connection: Connection, query: Any, place: Any, keys: list[Any]) -> Iterator[Any]:
    for start in range(0, len(keys), _AT_ONCE):
        yield from connection.execute(query.where(place.in_(keys[start : start + _AT_ONCE])))


def _decision_row(decision: Decision) -> dict[str, object]:
    return {
        "source": decision.source,
        "entry_source": decision.entry_source,
        "agent": decision.agent,
        "strategy": decision.strategy,
        "symbol": decision.symbol,
        "kind": decision.wish.kind.value,
        "side": decision.wish.side,
        "verdict": decision.verdict.value,
        "order_id": decision.order_id,
        "at": decision.at,
        "body": dump_decision(decision),
    }


def _fact_row(fact: Fact) -> dict[str, object]:
    return {
        "source": fact.source,
        "kind": fact.kind.value,
        "fact_key": fact.key,
        "agent": fact.agent,
        "symbol": fact.symbol,
        "order_id": fact.order_id,
        "trade": fact.trade,
        "side": fact.side,
        "at": fact.at,
        "body": _FACT.dump_json(fact).decode(),
    }
