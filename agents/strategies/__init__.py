"""The strategies that agents trade by: pure rules from closed bars to intents; each has a page in `docs/strategies`."""

from agents.strategies.catalogue import (
    AGENT_PLANS,
    LONG_ONLY_STRATEGIES,
    STRATEGY_NAMES,
    AgentPlan,
    build_strategy,
    is_altcoin,
)
from agents.strategies.tables import Table, TableStrategy, intent_at

__all__ = [
    "AGENT_PLANS",
    "LONG_ONLY_STRATEGIES",
    "STRATEGY_NAMES",
    "AgentPlan",
    "Table",
    "TableStrategy",
    "build_strategy",
    "intent_at",
    "is_altcoin",
]
