"""The journal of decisions: written once, searched by index, explained from what was written.

Nothing here changes a record. `prune` deletes whole days that are older than the owner wants to keep, and nothing that
belongs to a round trip which is still open.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, Select, delete, select

from agents.execution.rows import changing, reading
from agents.journal.explanation import explain_chain, read_result
from agents.journal.rows import (
    Count,
    add_counts,
    insert_decisions,
    insert_facts,
    read_decision,
    read_fact,
)
from agents.journal.tables import decision_counts, decision_facts, decisions
from agents.journal.values import (
    Decision,
    DecisionQuery,
    Explanation,
    Fact,
    FactKind,
    QuietCount,
    RoundTrip,
    Verdict,
    WishKind,
)


class DecisionJournal:
    """Every decision of the agents, with what followed.

    Args:
        database: Where it lives.
    """

    def __init__(self, database: Engine) -> None:
        self._database = database

    def write(
        self,
        new_decisions: Collection[Decision] = (),
        facts: Collection[Fact] = (),
        counts: Mapping[Count, int] | None = None,
    ) -> None:
        """Write records that belong together; what is known already stays as it is, only counts add up.

        Raises:
            DatabaseFailed: The database did not answer.
        """
        with changing(self._database) as connection:
            insert_decisions(connection, new_decisions)
            insert_facts(connection, facts)
            add_counts(connection, counts or {})

    def decisions(self, query: DecisionQuery, limit: int = 100) -> tuple[Decision, ...]:
        """Return the decisions that are meant, newest first."""
        wanted = self._narrow(select(decisions.c.body), query).order_by(decisions.c.at.desc(), decisions.c.id.desc())
        with reading(self._database) as connection:
            return tuple(read_decision(row) for row in connection.execute(wanted.limit(limit)).mappings())

    def decision(self, source: str) -> Decision | None:
        """Return the decision of a source."""
        with reading(self._database) as connection:
            query = select(decisions.c.body).where(decisions.c.source == source)
            row = connection.execute(query).mappings().first()
        return None if row is None else read_decision(row)

    def facts(self, source: str) -> tuple[Fact, ...]:
        """Return what followed a decision, oldest first."""
        query = select(decision_facts.c.body).where(decision_facts.c.source == source).order_by(decision_facts.c.id)
        with reading(self._database) as connection:
            return tuple(read_fact(row) for row in connection.execute(query).mappings())

    def round_trips(
        self, agent: str = "", *, symbol: str = "", since: datetime | None = None, limit: int | None = None
    ) -> tuple[RoundTrip, ...]:
        """Return finished round trips, newest first."""
        columns = decision_facts.c
        query = select(columns.body).where(columns.kind == FactKind.RESULT.value)
        for column, value in ((columns.agent, agent), (columns.symbol, symbol)):
            query = query.where(column == value) if value else query
        query = query if since is None else query.where(columns.at >= since)
        with reading(self._database) as connection:
            rows = connection.execute(query.order_by(columns.at.desc(), columns.id.desc()).limit(limit)).mappings()
            return tuple(read_result(read_fact(row)) for row in rows)

    def quiet(self, agent: str, since_day: str = "") -> tuple[QuietCount, ...]:
        """Return the counters of an agent from a UTC day on (`2026-01-05`), oldest first."""
        columns = decision_counts.c
        query = select(decision_counts).where(columns.agent == agent, columns.day >= since_day)
        with reading(self._database) as connection:
            rows = connection.execute(query.order_by(columns.day, columns.strategy, columns.code)).mappings()
            return tuple(QuietCount(**row) for row in rows)

    def explain(self, query: DecisionQuery) -> Explanation | None:
        """Return why what is meant was done, or not: the latest that fits. None when there is no record of it.

        With a side, it is the latest fill on that side ("why did it sell?"), be it of an entry or of an exit; if
        nothing was filled there, the latest wish on that side.
        """
        entry = self._find_entry(query)
        if entry is None:
            return None
        root = entry if entry.source == entry.entry_source else self.decision(entry.entry_source) or entry
        return explain_chain(root, self._later(root), self.facts(root.source))

    def prune(self, before: datetime) -> int:
        """Delete records older than a moment, those of open round trips apart; return how many decisions went."""
        old_sources = select(decisions.c.source).where(
            decisions.c.at < before, decisions.c.kind == WishKind.ENTER.value
        )
        with changing(self._database) as connection:
            old = set(connection.scalars(old_sources))
            kept = self._still_open(connection, before) & old
            gone = sorted(old - kept)
            for start in range(0, len(gone), 200):
                part = gone[start : start + 200]
                connection.execute(delete(decision_facts).where(decision_facts.c.source.in_(part)))
                connection.execute(delete(decisions).where(decisions.c.source.in_(part)))
            rest = delete(decisions).where(decisions.c.at < before, decisions.c.kind != WishKind.ENTER.value)
            others = connection.execute(rest.where(decisions.c.entry_source.not_in(sorted(kept)))).rowcount
            connection.execute(delete(decision_counts).where(decision_counts.c.day < f"{before:%Y-%m-%d}"))
        return len(gone) + others

    def _still_open(self, connection: Any, before: datetime) -> set[str]:
        """Return the taken entries of which something happened since, or whose end is not on record."""
        columns = decision_facts.c
        recent = set(connection.scalars(select(columns.source).where(columns.at >= before)))
        taken = select(decisions.c.source).where(
            decisions.c.at < before, decisions.c.kind == WishKind.ENTER.value, decisions.c.verdict != "refused"
        )
        over = select(columns.source).where(columns.kind.in_((FactKind.RESULT.value, FactKind.VOID.value)))
        return recent | (set(connection.scalars(taken)) - set(connection.scalars(over)))

    def _find_entry(self, query: DecisionQuery) -> Decision | None:
        if query.order_id or query.trade or query.side:
            source = self._source_of_fact(query)
            if source:
                return self.decision(source)
        narrowed = self.decisions(query, limit=1)
        if narrowed or query.verdict is not None:
            return narrowed[0] if narrowed else None
        return None

    def _source_of_fact(self, query: DecisionQuery) -> str:
        columns = decision_facts.c
        wanted = select(columns.source)
        pairs: Sequence[tuple[Any, object]] = (
            (columns.order_id, query.order_id),
            (columns.trade, query.trade),
            (columns.agent, query.agent),
            (columns.symbol, query.symbol),
            (columns.side, query.side),
        )
        for column, value in pairs:
            wanted = wanted.where(column == value) if value else wanted
        wanted = wanted if query.since is None else wanted.where(columns.at >= query.since)
        wanted = wanted if query.until is None else wanted.where(columns.at < query.until)
        with reading(self._database) as connection:
            return connection.scalar(wanted.order_by(columns.at.desc(), columns.id.desc()).limit(1)) or ""

    def _later(self, root: Decision) -> tuple[Decision, ...]:
        query = select(decisions.c.body).where(
            decisions.c.entry_source == root.source, decisions.c.source != root.source
        )
        with reading(self._database) as connection:
            return tuple(read_decision(row) for row in connection.execute(query.order_by(decisions.c.id)).mappings())

    def _narrow(self, wanted: Select[Any], query: DecisionQuery) -> Select[Any]:
        columns = decisions.c
        kind = query.kind.value if query.kind else ""
        verdict = query.verdict.value if isinstance(query.verdict, Verdict) else ""
        pairs: Sequence[tuple[Any, str]] = (
            (columns.agent, query.agent),
            (columns.symbol, query.symbol),
            (columns.strategy, query.strategy),
            (columns.order_id, query.order_id),
            (columns.verdict, verdict),
            (columns.kind, kind),
            (columns.side, query.side),
        )
        for column, value in pairs:
            wanted = wanted.where(column == value) if value else wanted
        if query.trade:
            wanted = wanted.where(columns.source == self._source_of_fact(query))
        wanted = wanted if query.since is None else wanted.where(columns.at >= query.since)
        return wanted if query.until is None else wanted.where(columns.at < query.until)
