"""The work behind proposals about agents: drawn up again when they are old, carried out when they are approved."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal, assert_never

from agents.fleet.lifecycle import Action
from agents.mandates import Mandates
from engine.domain.errors import InvalidRequest
from tools.agent_fleet import AgentFleet
from tools.agent_mandates import mandate_terms
from tools.agent_plans import AgentPlans
from tools.agent_results import (
    ProposalTerms,
    ProposedAction,
    ProposedItem,
    ProposedMandate,
    ProposedOrder,
    ProposedSetting,
)
from tools.schema import ConfigureAgent, ControlAgent

_LONGEST_DAYS = 366
_NUMBER = re.compile(r"\d{1,15}(\.\d{1,15})?", re.ASCII)
RequestKind = Literal["control_agent", "configure_agent", "mandate", "order"]
EDITABLE: Mapping[str, tuple[str, ...]] = {"action": ("budget",), "mandate": ("daily", "order", "days")}
"""Numbers of an item that its owner may change, by the item's subject; asked for as `<name>_<agent>`."""


class AgentWork:
    """Implements `ProposalWork`.

    Args:
        fleet: The agents.
        plans: What requests come to.
        mandates: Where approved mandates go.
        now: Wall time, aware UTC.
    """

    def __init__(self, fleet: AgentFleet, plans: AgentPlans, mandates: Mandates, now: Callable[[], datetime]) -> None:
        self._fleet = fleet
        self._plans = plans
        self._mandates = mandates
        self._now = now

    async def draw_up(self, request: str, owner: str) -> ProposalTerms | None:
        """Return what a request comes to now, as far as it must be asked; None when nothing of it must."""
        kind, arguments = _read_request(request)
        match kind:
            case "control_agent":
                asked = (await self._plans.control(ControlAgent.model_validate_json(arguments))).asked
            case "configure_agent":
                asked = (await self._plans.configure(ConfigureAgent.model_validate_json(arguments))).asked
            case "mandate":
                asked = (ProposedMandate.model_validate_json(arguments),)
            case "order":
                order = ProposedOrder.model_validate_json(arguments)
                asked = (order,) if await self._holds(order) else ()
            case _:
                raise InvalidRequest("bad_argument", argument="request", value=kind)
        return self._plans.terms(asked) if asked else None

    async def still_holds(self, terms: ProposalTerms) -> bool:
        """Return whether the agents are still as the owner saw them."""
        if terms.venue != self._fleet.venue:
            return False
        for item in terms.items:
            if not await self._holds(item):
                return False
        return True

    def edit(self, terms: ProposalTerms, changes: Mapping[str, str]) -> ProposalTerms:
        """Return the terms with other numbers: `budget_<agent>`, `daily_<agent>`, `order_<agent>`, `days_<agent>`."""
        items = list(terms.items)
        for name, text in changes.items():
            field, _, agent = name.partition("_")
            places = [place for place, item in enumerate(items) if field in editable(item) and item.agent == agent]
            if not places:
                raise InvalidRequest("bad_argument", argument=name, value=text)
            for place in places:
                items[place] = self._edit_item(items[place], field, read_number(text))
        return terms.model_copy(update={"items": tuple(items)})

    async def carry_out(self, item: ProposedItem, owner: str, surface: str, source: str) -> None:
        """Do what was approved."""
        match item:
            case ProposedAction(action="fund"):
                await self._fleet.give(item.agent, item.budget or Decimal(0), source=source)
            case ProposedAction():
                assert item.action != "fund", "the case before takes that"
                await self._fleet.act(item.agent, Action(item.action), by=owner, source=source, budget=item.budget)
            case ProposedSetting():
                value = item.after if isinstance(item.after, tuple) else Decimal(item.after)
                await self._fleet.configure(item.agent, item.setting, value, by=owner, source=source)
            case ProposedMandate():
                self._confirm(item, owner, surface)
            case ProposedOrder():
                await self._fleet.confirm_order(item.source, by=owner)
            case _:
                assert_never(item)

    async def is_done(self, item: ProposedItem, source: str) -> bool:
        """Return whether things are as the item wanted them."""
        match item:
            case ProposedAction(action="fund"):
                return await self._fleet.is_given(source)
            case ProposedAction():
                return (await self._fleet.state(item.agent))[0].value == item.state_after
            case ProposedSetting():
                value = item.after if isinstance(item.after, tuple) else Decimal(item.after)
                change = await self._fleet.judge(item.agent, item.setting, value)
                return change.before == change.after
            case ProposedMandate():
                standing = self._mandates.standing(item.agent, item.venue)
                return standing is not None and standing.terms == mandate_terms(item)
            case ProposedOrder():
                return not await self._fleet.is_asked(item.source)
            case _:
                assert_never(item)

    async def _holds(self, item: ProposedItem) -> bool:
        """Return whether what an item rests on is still so."""
        match item:
            case ProposedAction():
                state = (await self._fleet.state(item.agent))[0]
                _, _, available = await self._fleet.budget(item.agent)
                limits = await self._fleet.limits(item.agent)
                same = limits == (item.position_size_pct, item.max_positions, item.max_drawdown_pct)
                return state.value == item.state_before and same and (item.budget or Decimal(0)) <= available
            case ProposedSetting():
                value = item.after if isinstance(item.after, tuple) else Decimal(item.after)
                return (await self._fleet.judge(item.agent, item.setting, value)).before == item.before
            case ProposedMandate():
                return item.expires_at > self._now()
            case ProposedOrder():
                return item.valid_until > self._fleet.now() and await self._fleet.is_asked(item.source)
            case _:
                assert_never(item)

    def _edit_item(self, item: ProposedItem, field: str, number: Decimal) -> ProposedItem:
        edited: ProposedItem
        match item, field:
            case ProposedAction(), "budget":
                if number > item.available:
                    raise InvalidRequest("budget_too_large", agent=item.agent, available=item.available)
                edited = item.model_copy(update={"budget": number})
            case ProposedMandate(), "daily":
                edited = item.model_copy(update={"daily_notional": number})
            case ProposedMandate(), "order":
                edited = item.model_copy(update={"max_order_notional": number})
            case ProposedMandate(), "days":
                if number > _LONGEST_DAYS:
                    raise InvalidRequest("bad_number", value=str(number))
                edited = item.model_copy(update={"expires_at": self._now() + timedelta(days=float(number))})
            case _:
                raise InvalidRequest("bad_argument", argument=field, value=str(number))
        if isinstance(edited, ProposedMandate):
            mandate_terms(edited)
        return edited

    def _confirm(self, item: ProposedMandate, owner: str, surface: str) -> None:
        proposed = self._mandates.propose(mandate_terms(item), owner)
        done = self._mandates.confirm(proposed.id, proposed.nonce, owner, surface)
        if done.outcome != "confirmed":
            raise InvalidRequest("mandate_refused", agent=item.agent)


def read_number(text: str) -> Decimal:
    """Return a plain positive number that a person wrote.

    Raises:
        InvalidRequest: It is none.
    """
    if not _NUMBER.fullmatch(text.strip()) or Decimal(text.strip()) <= 0:
        raise InvalidRequest("bad_number", value=text)
    return Decimal(text.strip())


def write_request(kind: RequestKind, arguments: str) -> str:
    """Return a request as a proposal keeps it; the arguments are JSON."""
    return json.dumps({"kind": kind, "arguments": arguments})


def editable(item: ProposedItem) -> tuple[str, ...]:
    """Return the numbers of an item that can be changed; a budget only where one is given."""
    if isinstance(item, ProposedAction) and item.budget is None:
        return ()
    return EDITABLE.get(item.subject, ())


def _read_request(request: str) -> tuple[str, str]:
    read = json.loads(request)
    return str(read["kind"]), str(read["arguments"])
