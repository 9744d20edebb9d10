"""The turn as a LangGraph graph."""

from copilot.graph.build import build_graph
from copilot.graph.nodes import Nodes, TicketDesk
from copilot.graph.state import TurnContext, TurnState

__all__ = ["Nodes", "TicketDesk", "TurnContext", "TurnState", "build_graph"]
