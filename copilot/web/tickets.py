"""The ticket cards of one browser, kept true to the ticket store.

A card follows its ticket, not the conversation: one that was decided elsewhere closes, one of an older version loses
its buttons, and one that waits is there again when its conversation is opened again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import chainlit

from copilot.events import Language
from copilot.web.card import CLOSED, SUPERSEDED, card_props, superseded_props
from copilot.web.turn import custom_element
from tools.decisions import Asked

CARD = "TicketCard"


@dataclass(slots=True)
class Card:
    """A ticket's card in one browser: the version it shows, and Chainlit's element."""

    ticket: Asked
    element: chainlit.CustomElement


class TicketCards:
    """The cards of open tickets that one browser shows."""

    def __init__(self) -> None:
        self._cards: dict[int, Card] = {}
        self._drawing = asyncio.Lock()

    async def bring_in_line(self, waiting: Sequence[Asked], closed: Mapping[int, Asked]) -> None:
        """Close, disable and draw cards, so that they show what is open.

        Args:
            waiting: What waits for a decision now.
            closed: What was just closed, as it ended.
        """
        async with self._drawing:
            current = {ticket.ticket_id: ticket for ticket in waiting}
            for ticket_id, card in list(self._cards.items()):
                if await _is_current(card, current.get(ticket_id), closed.get(ticket_id)):
                    continue
                del self._cards[ticket_id]
            for ticket_id, ticket in current.items():
                if ticket_id not in self._cards:
                    self._cards[ticket_id] = await _draw(ticket)

    async def revive(
        self,
        elements: Sequence[dict[str, Any]],
        waiting: Sequence[Asked],
        look_up: Callable[[int], Asked | None],
        language: Language,
    ) -> None:
        """Bring the kept cards of a conversation up to date before it is shown again.

        Args:
            elements: As they were kept; changed in place.
            waiting: What waits for a decision now.
            look_up: Returns a ticket as it stands.
            language: For cards whose version is gone.
        """
        async with self._drawing:
            self._cards.clear()
            current = {ticket.ticket_id: ticket for ticket in waiting}
            kept = [element for element in elements if element.get("name") == CARD and element.get("props")]
            for element in kept:
                props = element["props"]
                if not props.get("isOpen"):
                    continue
                ticket_id = int(props["ticketId"])
                ticket = current.get(ticket_id) or look_up(ticket_id)
                if ticket is None or ticket.version != props.get("version"):
                    element["props"] = superseded_props(props, language)
                    continue
                element["props"] = card_props(ticket)
                if ticket_id in current:
                    self._cards[ticket_id] = Card(ticket, revived(element))


def revived(element: Mapping[str, Any]) -> chainlit.CustomElement:
    """Return a kept element as one that can be updated."""
    return chainlit.CustomElement(
        id=element["id"],
        thread_id=element["threadId"],
        for_id=element["forId"],
        name=element["name"],
        props=element["props"],
        display="inline",
    )


async def _is_current(card: Card, current: Asked | None, closed: Asked | None) -> bool:
    """Return whether a card shows what waits; one that does not is drawn as what it is now."""
    if closed is not None:
        await _redraw(card, closed)
    elif current is None:
        await _redraw(card, card.ticket, state=CLOSED)
    elif current.nonce == card.ticket.nonce:
        return True
    else:
        await _redraw(card, card.ticket, state=SUPERSEDED)
    return False


async def _draw(ticket: Asked) -> Card:
    element = custom_element(CARD, card_props(ticket))
    await chainlit.Message("", elements=[element]).send()
    return Card(ticket, element)


async def _redraw(card: Card, ticket: Asked, *, state: str | None = None) -> None:
    card.element.props = card_props(ticket, state=state)
    await card.element.update()
