"""What the fleet keeps: states with their history, changes of profiles, legs, cursors.

A moment's plan is one transaction: its decisions, its legs, its counters and the cursor stand together or not at all,
so that a moment is decided once. A step of an agent's life is taken by one conditional update, from the step that was
seen; of two at once one wins.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, insert, select, update

from agents.execution.rows import changing, insert_once, reading
from agents.fleet.leg_rows import leg_values, read_leg
from agents.fleet.lifecycle import Action, AgentState, next_state
from agents.fleet.tables import fleet_agents, fleet_changes, fleet_cursors, fleet_legs, fleet_transitions
from agents.fleet.values import Leg, LegState
from agents.journal.rows import (
    Count,
    add_counts,
    dump_decision,
    insert_decisions,
    insert_facts,
    parse_decision,
)
from agents.journal.values import Decision, Fact
from engine.domain.errors import InvalidRequest
from engine.domain.symbols import Timeframe, find_timeframe

_FINAL = tuple(state.value for state in LegState if state.is_final)
_LONGEST_REASON = 255


@dataclass(frozen=True, slots=True)
class AgentRow:
    """An agent as it stands.

    Attributes:
        must_flatten: Whether what it holds is to be closed although it does not trade.
        who, reason, at: Of the last step.
        changes: How often its profile was changed.
    """

    agent: str
    state: AgentState
    must_flatten: bool
    who: str
    reason: str
    at: datetime
    steps: int
    changes: int
    last_fill: int
    followed_halt: int


@dataclass(frozen=True, slots=True)
class Transition:
    """One step of an agent's life."""

    agent: str
    step: int
    action: Action
    from_state: AgentState
    to_state: AgentState
    who: str
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class ProfileChange:
    """One change of an agent's profile: new values by path."""

    agent: str
    number: int
    changes: Mapping[str, Any]
    raises_risk: bool
    who: str
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True, eq=False)
class Moment:
    """What a decided moment leaves behind.

    Attributes:
        drafts: New legs, each with the record that waits for permission.
        changed: Legs that are different now.
        records: Decisions that are complete.
        quiet: Counters of moments with nothing to record.
    """

    agent: str
    timeframe: Timeframe
    closed_at: datetime
    drafts: Sequence[tuple[Leg, Decision]]
    changed: Sequence[Leg]
    records: Sequence[Decision]
    quiet: Mapping[Count, int]


class FleetStore:
    """The fleet's part of the database.

    Args:
        database: Where it lives.
    """

    def __init__(self, database: Engine) -> None:
        self._database = database

    # Lives.

    def ensure(self, agent: str, at: datetime) -> AgentRow:
        """Return an agent's row; one that is new is `created`."""
        first = {"state": AgentState.CREATED.value, "who": "", "reason": "", "at": at, "must_flatten": False}
        if self.row(agent) is None:
            insert_once(
                self._database,
                insert(fleet_agents).values(agent=agent, steps=0, changes=0, last_fill=0, followed_halt=0, **first),
            )
        row = self.row(agent)
        assert row is not None, "an agent is never deleted"
        return row

    def row(self, agent: str) -> AgentRow | None:
        """Return how an agent stands; None for one that was never seen."""
        with reading(self._database) as connection:
            found = connection.execute(select(fleet_agents).where(fleet_agents.c.agent == agent)).mappings().first()
        if found is None:
            return None
        values = {**found, "state": AgentState(found["state"]), "must_flatten": bool(found["must_flatten"])}
        return AgentRow(**values)

    def step(
        self, agent: str, action: Action, who: str, reason: str, at: datetime, *, flatten: bool = False
    ) -> Transition | None:
        """Take a step of an agent's life; None when the agent is where it leads already.

        Raises:
            InvalidRequest: `agent_transition` (the action does not apply) or `agent_busy` (another step came first).
        """
        row = self.ensure(agent, at)
        after = next_state(row.state, action)
        if after is row.state and flatten == row.must_flatten:
            return None
        change = Transition(agent, row.steps + 1, action, row.state, after, who, reason[:_LONGEST_REASON], at)
        must_flatten = flatten or after is AgentState.HALTED
        with changing(self._database) as connection:
            same = (fleet_agents.c.agent == agent, fleet_agents.c.steps == row.steps)
            values = {"state": after.value, "who": who, "reason": change.reason, "at": at, "steps": change.step}
            changed = connection.execute(
                update(fleet_agents).where(*same).values(**values, must_flatten=must_flatten)
            ).rowcount
            if changed != 1:
                raise InvalidRequest("agent_busy", agent=agent)
            connection.execute(
                insert(fleet_transitions).values(
                    agent=agent,
                    step=change.step,
                    action=action.value,
                    from_state=row.state.value,
                    to_state=after.value,
                    who=who,
                    reason=change.reason,
                    at=at,
                )
            )
        return change

    def flattened(self, agent: str) -> None:
        """Note that an agent that had to close everything holds nothing."""
        with changing(self._database) as connection:
            connection.execute(update(fleet_agents).where(fleet_agents.c.agent == agent).values(must_flatten=False))

    def follow_halt(self, agent: str, number: int) -> None:
        """Note that a halt of the agent's book was followed."""
        with changing(self._database) as connection:
            same = (fleet_agents.c.agent == agent, fleet_agents.c.followed_halt < number)
            connection.execute(update(fleet_agents).where(*same).values(followed_halt=number))

    def history(self, agent: str) -> list[Transition]:
        """Return the steps of an agent's life, oldest first."""
        query = select(fleet_transitions).where(fleet_transitions.c.agent == agent).order_by(fleet_transitions.c.step)
        with reading(self._database) as connection:
            rows = connection.execute(query).mappings().all()
        return [
            Transition(
                **{
                    **row,
                    "action": Action(row["action"]),
                    "from_state": AgentState(row["from_state"]),
                    "to_state": AgentState(row["to_state"]),
                }
            )
            for row in rows
        ]

    # Changes of profiles.

    def change(
        self, agent: str, seen: int, changes: Mapping[str, Any], who: str, reason: str, at: datetime, *, raises: bool
    ) -> int:
        """Store a change of a profile and return its number.

        Args:
            agent: Whose.
            seen: Number of changes that it was made on.
            changes: New values by path.
            who: Who wants it.
            reason: Why.
            at: When.
            raises: Whether it raises risk.

        Raises:
            InvalidRequest: `agent_busy`, when another change came first.
        """
        with changing(self._database) as connection:
            same = (fleet_agents.c.agent == agent, fleet_agents.c.changes == seen)
            if connection.execute(update(fleet_agents).where(*same).values(changes=seen + 1)).rowcount != 1:
                raise InvalidRequest("agent_busy", agent=agent)
            row = {"agent": agent, "number": seen + 1, "changes": json.dumps(dict(changes), default=str)}
            connection.execute(
                insert(fleet_changes).values(**row, raises_risk=raises, who=who, reason=reason[:_LONGEST_REASON], at=at)
            )
        return seen + 1

    def changes(self, agent: str) -> list[ProfileChange]:
        """Return the changes of a profile, oldest first."""
        query = select(fleet_changes).where(fleet_changes.c.agent == agent).order_by(fleet_changes.c.number)
        with reading(self._database) as connection:
            rows = connection.execute(query).mappings().all()
        return [
            ProfileChange(**{**row, "changes": json.loads(row["changes"]), "raises_risk": bool(row["raises_risk"])})
            for row in rows
        ]

    # Moments and legs.

    def cursors(self, agent: str) -> dict[Timeframe, datetime]:
        """Return the last moment that an agent decided on, by timeframe."""
        with reading(self._database) as connection:
            rows = connection.execute(select(fleet_cursors).where(fleet_cursors.c.agent == agent)).all()
        found = {find_timeframe(row.timeframe): row.closed_at for row in rows}
        return {timeframe: closed_at for timeframe, closed_at in found.items() if timeframe is not None}

    def legs(self, agent: str) -> list[Leg]:
        """Return the legs of an agent that are not final, oldest first."""
        columns = fleet_legs.c
        query = select(fleet_legs).where(columns.agent == agent, columns.state.not_in(_FINAL))
        with reading(self._database) as connection:
            rows = connection.execute(query.order_by(columns.decided_at, columns.source)).mappings().all()
        return [read_leg(row) for row in rows]

    def leg(self, source: str) -> Leg | None:
        """Return a leg by its source, final or not."""
        with reading(self._database) as connection:
            row = connection.execute(select(fleet_legs).where(fleet_legs.c.source == source)).mappings().first()
        return None if row is None else read_leg(row)

    def draft(self, source: str) -> Decision | None:
        """Return the record that waits for permission; None when it was written, or there is no such leg."""
        with reading(self._database) as connection:
            text = connection.scalar(select(fleet_legs.c.draft).where(fleet_legs.c.source == source))
        return parse_decision(text) if text else None

    def commit(self, moment: Moment) -> None:
        """Write down everything that a moment decided, and that it was decided."""
        with changing(self._database) as connection:
            insert_decisions(connection, moment.records)
            for leg, record in moment.drafts:
                connection.execute(insert(fleet_legs).values(**leg_values(leg), draft=dump_decision(record)))
            _update_legs(connection, moment.changed)
            add_counts(connection, moment.quiet)
            _move_cursor(connection, moment)

    def settle(self, record: Decision, leg: Leg) -> None:
        """Write the complete record of an entry, and what its leg is after the answer."""
        with changing(self._database) as connection:
            insert_decisions(connection, [record])
            values = {**leg_values(leg), "draft": ""}
            connection.execute(update(fleet_legs).where(fleet_legs.c.source == leg.source).values(values))

    def answer(self, leg: Leg, fact: Fact) -> bool:
        """Write the owner's answer to an entry that waits for it; return whether it still did."""
        columns = fleet_legs.c
        same = (columns.source == leg.source, columns.state == LegState.ASKED.value)
        with changing(self._database) as connection:
            if connection.execute(update(fleet_legs).where(*same).values(leg_values(leg))).rowcount != 1:
                return False
            insert_facts(connection, [fact])
        return True

    def save(self, legs: Collection[Leg], facts: Collection[Fact] = (), records: Collection[Decision] = ()) -> None:
        """Write changed legs with the facts and decisions that tell why."""
        if not legs and not facts and not records:
            return
        with changing(self._database) as connection:
            insert_decisions(connection, records)
            insert_facts(connection, facts)
            _update_legs(connection, legs)

    def book_fills(self, agent: str, seen: int, last: int, legs: Collection[Leg], facts: Collection[Fact]) -> bool:
        """Write what fills did to legs, once: only if nobody has read beyond `seen`; return whether it was written."""
        with changing(self._database) as connection:
            same = (fleet_agents.c.agent == agent, fleet_agents.c.last_fill == seen)
            if connection.execute(update(fleet_agents).where(*same).values(last_fill=last)).rowcount != 1:
                return False
            insert_facts(connection, facts)
            _update_legs(connection, legs)
        return True


def _update_legs(connection: Connection, legs: Collection[Leg]) -> None:
    for leg in legs:
        connection.execute(update(fleet_legs).where(fleet_legs.c.source == leg.source).values(leg_values(leg)))


def _move_cursor(connection: Connection, moment: Moment) -> None:
    same = (fleet_cursors.c.agent == moment.agent, fleet_cursors.c.timeframe == moment.timeframe)
    known = connection.scalar(select(fleet_cursors.c.closed_at).where(*same))
    if known is None:
        row = {"agent": moment.agent, "timeframe": moment.timeframe, "closed_at": moment.closed_at}
        connection.execute(insert(fleet_cursors).values(row))
    elif known < moment.closed_at:
        connection.execute(update(fleet_cursors).where(*same).values(closed_at=moment.closed_at))
