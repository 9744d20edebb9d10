"""The mandate's answer in the words of an agent: the agent's drawdown is looked up, its order judged, its room kept."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import assert_never

from agents.execution.desk import client_order_id
from agents.execution.values import Execution
from agents.fleet import ports
from agents.mandates.permission import Permission
from agents.mandates.values import Allowed, AskTicket, Refused
from agents.risk.values import AccountState
from engine.domain.errors import DataUnavailable, VenueUnavailable

ReadBook = Callable[[str], Awaitable[AccountState]]
FindExecution = Callable[[str], Awaitable[Execution | None]]
_LOOKED_BACK = timedelta(days=1)


class Unattended:
    """What agents ask before every entry on a real venue; implements their `Permission`.

    Args:
        permission: The mandates of that venue.
        read_book: Returns an agent's book, marked to market.
    """

    def __init__(self, permission: Permission, read_book: ReadBook) -> None:
        self._permission = permission
        self._read_book = read_book

    async def may_trade(self, agent: str, notional: Decimal, symbol: str, at: datetime, *, source: str) -> ports.Answer:
        """Return the answer; what cannot be looked up refuses."""
        drawdown_ratio = await self._drawdown(agent)
        try:
            answer = await asyncio.to_thread(
                self._permission.may_trade, agent, symbol, notional, at, source=source, drawdown_ratio=drawdown_ratio
            )
        except DataUnavailable:
            return ports.Refused("mandate_unreadable")
        match answer:
            case Allowed():
                return ports.Allowed("" if answer.mandate_id is None else str(answer.mandate_id))
            case AskTicket():
                return ports.AskTicket(answer.reason)
            case Refused():
                return ports.Refused(answer.reason)
            case _:
                assert_never(answer)

    async def settle(self, find: FindExecution, now: datetime) -> int:
        """Give back the room of orders that the desk knows were never sent; return how many. To be repeated.

        Args:
            find: Returns what became of an order, by its client order id.
            now: The present; only what can still count today is looked at.

        Raises:
            DataUnavailable: The database did not answer.
        """
        held = await asyncio.to_thread(self._permission.held, now - _LOOKED_BACK)
        found = [await find(client_order_id(source)) for source in held]
        return await asyncio.to_thread(self._permission.settle, [each for each in found if each is not None])

    async def _drawdown(self, agent: str) -> Decimal | None:
        """Return how far the agent's book has fallen from its peak (0–1), None when that cannot be known."""
        try:
            book = await self._read_book(agent)
        except (DataUnavailable, VenueUnavailable):
            return None
        if book.peak_equity <= 0:
            return None
        return max((book.peak_equity - book.equity) / book.peak_equity, Decimal(0))
