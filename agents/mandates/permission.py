"""Permission to trade a real venue unattended: the mandate's terms, and its notional reserved before anything is sent.

The reservation and the look at the mandate are one transaction that holds the mandate's row. Revoking changes that
row, so an order is allowed either wholly before a revocation or not at all, and what all processes together were
allowed on a day never exceeds the day's notional. A reservation counts until somebody who knows that the order surely
was not sent releases it; a crash therefore costs room for the rest of the day, and never gives any.

Orders that only lower what is at risk need no mandate: a position can always be closed.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Engine, Row, insert, select, update

from agents.execution.rows import changing, insert_once, reading
from agents.execution.values import Execution, IntentState
from agents.mandates.store import read_mandate
from agents.mandates.tables import mandate_days, mandate_reservations, mandates
from agents.mandates.values import Allowed, Answer, AskTicket, Mandate, Refused
from engine.ledger import exact_sum

PAPER = "paper"
_HELD, _RELEASED = "held", "released"
_NEVER_SENT = (IntentState.DENIED, IntentState.REJECTED, IntentState.UNSENT)
_ZERO = Decimal(0)


class Permission:
    """Who may trade on one venue without asking.

    Args:
        database: Where mandates and reservations live.
        venue: The venue whose orders it judges; on paper everything is allowed.
    """

    def __init__(self, database: Engine, venue: str) -> None:
        self._database = database
        self._venue = venue

    def may_trade(
        self,
        agent: str,
        symbol: str,
        notional: Decimal,
        at: datetime,
        *,
        source: str,
        drawdown_ratio: Decimal | None,
        lowers_risk: bool = False,
    ) -> Answer:
        """Judge an order and, where a mandate allows it, reserve its notional.

        Asking again with the same source and terms reserves nothing more, and is allowed as long as the mandate stands.

        Args:
            agent: Who wants to trade.
            symbol: What.
            notional: The most that the order may cost, in account currency.
            at: The present, aware UTC; its UTC day is the one that counts.
            source: What the order's client id is derived from; unique for ever, at most 160 characters.
            drawdown_ratio: Present fall of the agent's book from its peak (0–1); None when it cannot be known.
            lowers_risk: Whether the order can only make what is held smaller.

        Raises:
            DatabaseFailed: The database did not answer: nothing may be sent.
        """
        if self._venue == PAPER or lowers_risk:
            return Allowed(None)
        if not notional.is_finite() or notional <= 0:
            return Refused("bad_notional")
        if drawdown_ratio is None or not drawdown_ratio.is_finite():
            return Refused("drawdown_unknown")
        self._ensure_day(agent, _day(at))
        with changing(self._database) as connection:
            mandate = self._standing(connection, agent)
            known = _reservation(connection, source)
            conflict = None if known is None else _conflict(known, (agent, self._venue, symbol, notional))
            if conflict is not None:
                return conflict
            if mandate is None or (known is not None and known.mandate_id != mandate.id):
                return AskTicket("no_mandate")
            beyond = _beyond(mandate, symbol, notional, at, drawdown_ratio)
            if beyond is not None:
                return AskTicket(beyond, mandate.id)
            if known is not None:
                return Allowed(mandate.id)
            return self._reserve(connection, mandate, symbol, notional, at, source)

    def release(self, source: str) -> bool:
        """Give back what was reserved for an order that surely was not sent and never will be; harmless when repeated.

        Raises:
            DatabaseFailed: The database did not answer.
        """
        with changing(self._database) as connection:
            row = _reservation(connection, source, for_update=True)
            same = (mandate_reservations.c.source == source, mandate_reservations.c.state == _HELD)
            change = update(mandate_reservations).where(*same).values(state=_RELEASED)
            if row is None or connection.execute(change).rowcount != 1:
                return False
            _add(connection, row.agent, row.venue, row.day, row.notional.copy_negate())
            return True

    def settle(self, executions: Iterable[Execution]) -> int:
        """Release what the desk's record proves was never sent; return how many. For every start and reconciliation.

        Raises:
            DatabaseFailed: The database did not answer.
        """
        return sum(self.release(each.intent.source) for each in executions if each.state in _NEVER_SENT)

    def held(self, since: datetime) -> tuple[str, ...]:
        """Return the sources of reservations since a moment that count, for the desk to say what became of them."""
        columns = mandate_reservations.c
        query = select(columns.source).where(columns.venue == self._venue, columns.state == _HELD, columns.at >= since)
        with reading(self._database) as connection:
            return tuple(connection.scalars(query.order_by(columns.at, columns.source)))

    def reserved(self, agent: str, at: datetime) -> Decimal:
        """Return what counts against an agent's notional of the day."""
        with reading(self._database) as connection:
            query = select(mandate_days.c.reserved).where(*_is_day(agent, self._venue, _day(at)))
            return connection.execute(query).scalar_one_or_none() or _ZERO

    def _ensure_day(self, agent: str, day: str) -> None:
        """Make the row of a day's total, apart from what is decided on it: two never wait in a circle."""
        query = select(mandate_days.c.day).where(*_is_day(agent, self._venue, day))
        with reading(self._database) as connection:
            if connection.execute(query).first():
                return
        first = insert(mandate_days).values(agent=agent, venue=self._venue, day=day, reserved=_ZERO)
        insert_once(self._database, first)

    def _standing(self, connection: Connection, agent: str) -> Mandate | None:
        """Return the confirmed mandate, its row locked: the first statement, so that all read later is current."""
        query = select(mandates).where(mandates.c.standing == f"{agent}|{self._venue}").with_for_update()
        row = connection.execute(query).one_or_none()
        return None if row is None else read_mandate(row)

    def _reserve(
        self, connection: Connection, mandate: Mandate, symbol: str, notional: Decimal, at: datetime, source: str
    ) -> Answer:
        agent, day = mandate.terms.agent, _day(at)
        used = _lock_total(connection, agent, self._venue, day)
        if exact_sum((used, notional)) > mandate.terms.daily_notional:
            room = max(exact_sum((mandate.terms.daily_notional, used.copy_negate())), _ZERO)
            return AskTicket("mandate_daily_notional", mandate.id, room)
        _add(connection, agent, self._venue, day, notional)
        connection.execute(
            insert(mandate_reservations).values(
                source=source,
                mandate_id=mandate.id,
                agent=agent,
                venue=self._venue,
                day=day,
                symbol=symbol,
                notional=notional,
                state=_HELD,
                at=at,
            )
        )
        return Allowed(mandate.id)


def _beyond(mandate: Mandate, symbol: str, notional: Decimal, at: datetime, drawdown_ratio: Decimal) -> str | None:
    """Return which of the terms an order goes beyond, the day's notional apart."""
    terms = mandate.terms
    if mandate.terms_hash != terms.hash():
        return "no_mandate"
    if at >= terms.expires_at:
        return "mandate_expired"
    if not terms.covers(symbol):
        return "mandate_pair"
    if notional > terms.max_order_notional:
        return "mandate_order_notional"
    if drawdown_ratio >= terms.drawdown_ratio:
        return "mandate_drawdown"
    return None


def _conflict(known: Row[Any], asked: tuple[str, str, str, Decimal]) -> Refused | None:
    """Return why a source that was used before cannot be used like this."""
    if (known.agent, known.venue, known.symbol, known.notional) != asked:
        return Refused("source_conflict")
    return None if known.state == _HELD else Refused("source_closed")


def _reservation(connection: Connection, source: str, *, for_update: bool = False) -> Row[Any] | None:
    query = select(mandate_reservations).where(mandate_reservations.c.source == source)
    return connection.execute(query.with_for_update() if for_update else query).one_or_none()


def _lock_total(connection: Connection, agent: str, venue: str, day: str) -> Decimal:
    """Return a day's total, of which the row stays locked until the transaction ends."""
    query = select(mandate_days.c.reserved).where(*_is_day(agent, venue, day)).with_for_update()
    total: Decimal = connection.execute(query).scalar_one()
    return total


def _add(connection: Connection, agent: str, venue: str, day: str, notional: Decimal) -> None:
    values = {"reserved": exact_sum((_lock_total(connection, agent, venue, day), notional))}
    connection.execute(update(mandate_days).where(*_is_day(agent, venue, day)).values(values))


def _is_day(agent: str, venue: str, day: str) -> tuple[Any, ...]:
    return (mandate_days.c.agent == agent, mandate_days.c.venue == venue, mandate_days.c.day == day)


def _day(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d}"
