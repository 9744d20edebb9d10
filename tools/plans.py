"""What a request about agents comes to, agent by agent: done at once, asked, or left as it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from engine.domain.errors import InvalidRequest
from tools.agent_results import AgentChange, AgentUnchanged, ProposedItem


@dataclass(frozen=True, slots=True)
class Plan:
    """What a request comes to."""

    now: tuple[AgentChange, ...] = ()
    asked: tuple[ProposedItem, ...] = ()
    unchanged: tuple[AgentUnchanged, ...] = ()


def join_plans(plans: Iterable[Plan]) -> Plan:
    """Return the plans of several agents as one."""
    found = list(plans)
    return Plan(
        tuple(change for plan in found for change in plan.now),
        tuple(item for plan in found for item in plan.asked),
        tuple(unchanged for plan in found for unchanged in plan.unchanged),
    )


def leave(agent: str, code: str, **params: object) -> Plan:
    """Return that nothing is done to an agent, and why."""
    return Plan(unchanged=(AgentUnchanged(agent=agent, code=code, params=_texts(params)),))


def leave_for(agent: str, error: InvalidRequest) -> Plan:
    """Return that nothing is done to an agent because the request means nothing for it."""
    return leave(agent, error.code, **error.params)


def _texts(params: Mapping[str, object]) -> dict[str, str]:
    return {key: str(value) for key, value in params.items()}
