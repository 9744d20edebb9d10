"""Agents and a proposal with round numbers, for pages that show them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from copilot.events import Language
from tests.tools.agents.world import make_view
from tools.agent_results import FIRST_PROPOSAL, AgentStatusResult, ProposalTerms, ProposalView, ProposedAction

PROPOSAL = FIRST_PROPOSAL + 3


def agents_result() -> AgentStatusResult:
    """Return three agents: one that runs, one that was halted, one that has not begun."""
    running = make_view(
        "atlas",
        title="Atlas",
        temperament="conservative",
        state="running",
        equity=Decimal("10250.50"),
        pnl=Decimal("250.50"),
        pnl_pct=Decimal("2.5"),
        drawdown_pct=Decimal("2.5"),
        max_drawdown_pct=Decimal(10),
        month_pct=Decimal("1.4"),
    )
    halted = make_view(
        "orion",
        title="Orion",
        temperament="moderate",
        state="halted",
        reason="drawdown",
        equity=Decimal("8400"),
        pnl=Decimal("-1600"),
        pnl_pct=Decimal(-16),
        drawdown_pct=Decimal(16),
        max_drawdown_pct=Decimal(15),
        month_pct=Decimal("-9.1"),
    )
    fresh = make_view("nova", title="Nova", temperament="aggressive", state="created", month_pct=None)
    at = datetime(2025, 3, 14, 12, tzinfo=UTC)
    agents = (running, halted, fresh)
    return AgentStatusResult(period="7d", venue="paper", currency="USD", agents=agents, at=at, is_simulated=True)


def start_proposal(owner: str, conversation_id: str, language: Language) -> ProposalView:
    """Return a proposal to start an agent."""
    now = datetime.now(UTC)
    start = ProposedAction(
        agent="nova",
        action="start",
        state_before="created",
        state_after="running",
        equity=Decimal(0),
        budget=Decimal(1000),
        available=Decimal("95000.50"),
        position_size_pct=Decimal(5),
        max_positions=10,
        max_drawdown_pct=Decimal(20),
    )
    return ProposalView(
        ticket_id=PROPOSAL,
        version=1,
        nonce="nonce-proposal",
        owner=owner,
        conversation_id=conversation_id,
        language=language,
        state="pending",
        terms=ProposalTerms(items=(start,), venue="paper", currency="USD", is_simulated=True),
        terms_hash="0" * 64,
        created_at=now,
        expires_at=now + timedelta(minutes=2),
    )
