"""The life of an agent: which states there are, what leads from one to another, and which steps raise risk.

One table decides. What lowers risk (pause, stop, halt) acts at once; what raises it (start, resume, lift) is for a
person who confirmed it. A halted agent has one way out, `lift`, and that leads to `paused`: after a halt somebody
looks before anything is opened again.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from engine.domain.errors import InvalidRequest


class AgentState(StrEnum):
    """What an agent may do."""

    CREATED = "created"
    """Known, never started; does nothing."""
    RUNNING = "running"
    """Opens, manages and closes."""
    PAUSED = "paused"
    """Opens nothing; manages and closes what it holds."""
    STOPPED = "stopped"
    """Does nothing; what it holds keeps the protection that stands at the venue."""
    HALTED = "halted"
    """Closes what it holds and opens nothing until a person lifts it."""


class Action(StrEnum):
    """What is done to an agent."""

    START = "start"
    PAUSE = "pause"
    RESUME = "resume"
    STOP = "stop"
    HALT = "halt"
    LIFT = "lift"


TRANSITIONS: Mapping[tuple[AgentState, Action], AgentState] = MappingProxyType(
    {
        (AgentState.CREATED, Action.START): AgentState.RUNNING,
        (AgentState.CREATED, Action.HALT): AgentState.HALTED,
        (AgentState.RUNNING, Action.PAUSE): AgentState.PAUSED,
        (AgentState.RUNNING, Action.STOP): AgentState.STOPPED,
        (AgentState.RUNNING, Action.HALT): AgentState.HALTED,
        (AgentState.PAUSED, Action.RESUME): AgentState.RUNNING,
        (AgentState.PAUSED, Action.STOP): AgentState.STOPPED,
        (AgentState.PAUSED, Action.HALT): AgentState.HALTED,
        (AgentState.STOPPED, Action.START): AgentState.RUNNING,
        (AgentState.STOPPED, Action.HALT): AgentState.HALTED,
        (AgentState.HALTED, Action.LIFT): AgentState.PAUSED,
    }
)
_RAISING = frozenset({Action.START, Action.RESUME, Action.LIFT})
_RESULTS: Mapping[Action, AgentState] = MappingProxyType({action: to for (_, action), to in TRANSITIONS.items()})


def next_state(state: AgentState, action: Action) -> AgentState:
    """Return the state that an action leads to; an action that is already done leads nowhere new.

    >>> next_state(AgentState.CREATED, Action.START).value, next_state(AgentState.PAUSED, Action.PAUSE).value
    ('running', 'paused')

    Raises:
        InvalidRequest: `agent_transition`, when the action does not apply in this state.
    """
    if (state, action) in TRANSITIONS:
        return TRANSITIONS[state, action]
    if _RESULTS[action] is state:
        return state
    raise InvalidRequest("agent_transition", state=state.value, action=action.value)


def action_raises_risk(action: Action) -> bool:
    """Tell whether an action lets an agent open more than before, so that a person must confirm it."""
    return action in _RAISING


def may_open(state: AgentState) -> bool:
    """Tell whether an agent in this state may open positions."""
    return state is AgentState.RUNNING


def manages(state: AgentState) -> bool:
    """Tell whether an agent in this state acts at all."""
    return state in (AgentState.RUNNING, AgentState.PAUSED, AgentState.HALTED)
