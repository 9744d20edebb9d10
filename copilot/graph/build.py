"""Wire the nodes of a turn into a compiled graph."""

from __future__ import annotations

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from copilot.graph.nodes import Nodes, after_context, after_execute, after_plan, after_propose, after_read
from copilot.graph.state import TurnContext, TurnState


def build_graph(
    nodes: Nodes, checkpointer: BaseCheckpointSaver[str] | None
) -> CompiledStateGraph[TurnState, TurnContext, TurnState, TurnState]:
    """Return the compiled turn.

    Every path ends: the loop propose → gate → execute runs once for each trade in a message, and a turn's message
    is bounded; the gate leaves the graph, it does not spin.
    """
    graph = StateGraph(TurnState, context_schema=TurnContext)
    graph.add_node("context", nodes.context)
    graph.add_node("plan", nodes.plan)
    graph.add_node("read", nodes.read)
    graph.add_node("propose", nodes.propose)
    graph.add_node("gate", nodes.gate)
    graph.add_node("execute", nodes.execute)
    graph.add_node("answer", nodes.answer)
    graph.add_edge(START, "context")
    graph.add_conditional_edges("context", after_context)
    graph.add_conditional_edges("plan", after_plan)
    graph.add_conditional_edges("read", after_read)
    graph.add_conditional_edges("propose", after_propose)
    graph.add_edge("gate", "execute")
    graph.add_conditional_edges("execute", after_execute)
    graph.add_edge("answer", END)
    return graph.compile(checkpointer=checkpointer)
