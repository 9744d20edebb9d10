"""Mandates by talk: what is proposed, with a start or when it is asked for, and what is taken back.

A mandate raises risk and is always asked; taking one back lowers it and acts at once, on every venue. On paper none is
needed, so none is asked for there.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal

from agents.mandates import ALL_PAIRS, Mandates, MandateTerms
from tools.agent_fleet import AgentFleet
from tools.agent_results import AgentChange, ProposedMandate
from tools.plans import Plan, leave
from tools.schema import ControlAgent

PAPER = "paper"
MANDATE_DAYS = 30
"""How long a mandate lasts for which nobody said it."""
_HUNDRED = Decimal(100)
_CENT = Decimal("0.01")
_NONE, _STANDING = "none", "standing"


class MandatePlans:
    """Draws up what requests about mandates come to; changes nothing.

    Args:
        fleet: The agents.
        mandates: What owners confirmed for real venues.
        now: Wall time, aware UTC.
    """

    def __init__(self, fleet: AgentFleet, mandates: Mandates, now: Callable[[], datetime]) -> None:
        self._fleet = fleet
        self._mandates = mandates
        self._now = now

    async def permit(self, agent: str, asked: ControlAgent) -> Plan:
        """Return the mandate that an agent is to have: what was not said is as small as makes sense.

        Raises:
            InvalidRequest: A pair is not listed.
        """
        if self._fleet.venue == PAPER:
            return leave(agent, "mandate_not_needed")
        if asked.pairs:
            await self._fleet.judge(agent, "pairs", asked.pairs)
        equity, budget, _ = await self._fleet.budget(agent)
        money = asked.amount or equity + (budget or Decimal(0))
        days = asked.days or MANDATE_DAYS
        return Plan(asked=(await self.propose(agent, money, pairs=asked.pairs, days=days),))

    async def revoke(self, agent: str, asked: ControlAgent) -> Plan:
        """Return that the mandates of an agent end."""
        if not self._mandates.standing_of(agent):
            return leave(agent, "no_mandate_standing")
        return Plan(now=(AgentChange(agent=agent, subject="mandate", name="revoke", before=_STANDING, after=_NONE),))

    async def propose(
        self, agent: str, daily: Decimal, *, pairs: tuple[str, ...] = (), days: int = MANDATE_DAYS
    ) -> ProposedMandate:
        """Return a mandate; one order is as large as the agent's own limits let it be, at most what a day allows.

        Args:
            agent: Whose.
            daily: Notional of a day.
            pairs: What it covers; empty for what the agent trades.
            days: How long it lasts.
        """
        equity, budget, _ = await self._fleet.budget(agent)
        size_pct, _, drawdown_pct = await self._fleet.limits(agent)
        traded = pairs or await self._fleet.pairs(agent)
        largest = max(daily.quantize(_CENT), _CENT)
        one = (equity + (budget or Decimal(0))) * size_pct / _HUNDRED
        return ProposedMandate(
            agent=agent,
            venue=self._fleet.venue,
            pairs=tuple(sorted(set(traded))) or (ALL_PAIRS,),
            daily_notional=largest,
            max_order_notional=min(max(one.quantize(_CENT), _CENT), largest),
            drawdown_pct=drawdown_pct,
            expires_at=self._now() + timedelta(days=days),
        )

    def is_needed(self, agent: str) -> bool:
        """Tell whether an agent must ask before every entry because no mandate stands."""
        if self._fleet.venue == PAPER:
            return False
        mandate = self._mandates.standing(agent, self._fleet.venue)
        return mandate is None or mandate.terms.expires_at <= self._now()


def mandate_terms(item: ProposedMandate) -> MandateTerms:
    """Return the terms that a proposed mandate stands for.

    Raises:
        InvalidRequest: They mean nothing.
    """
    return MandateTerms(
        agent=item.agent,
        venue=item.venue,
        pairs=item.pairs,
        daily_notional=item.daily_notional,
        max_order_notional=item.max_order_notional,
        drawdown_ratio=item.drawdown_pct / _HUNDRED,
        expires_at=item.expires_at,
    )
