"""What results say was done, is held, and where the market leans: what a text may claim in the same words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from typing import Any, Literal

from copilot.brain.checking.sentences import any_of
from copilot.brain.checking.words import LANGUAGES, fold, load_list

Side = Literal["long", "short"]
SIDES: tuple[Side, Side] = ("long", "short")
_SIDE_OF: Mapping[str, Side] = {"buy": "long", "sell": "short"}
_TICKET_DEEDS = {
    "pending": ("ticket", "change"),
    "approved": ("ticket", "approve"),
    "claimed": ("ticket", "approve"),
    "working": ("ticket", "approve", "send"),
    "executed": ("ticket", "approve", "send"),
}


@dataclass(slots=True)
class Standing:
    """Deeds, holdings and leanings, as results are read one by one.

    Attributes:
        deeds: What this turn's results say was done.
        history: What earlier trades and resting orders allow to be told of the past.
        directions: What the signal of an instrument advises: `long`, `short` or `none`.
        lines: Instruments with the side of a ticket or of a cancelled order, which a text may spell out ("Buy 1.5 …").
        holdings: Instruments with the side of a position, a resting order or an earlier trade.
        leanings: Instruments with the side that a trend, a momentum or a pattern speaks for.
        is_pending: Whether a ticket waits for its owner.
    """

    deeds: set[str] = field(default_factory=set)
    history: set[str] = field(default_factory=set)
    directions: dict[str, str] = field(default_factory=dict)
    lines: set[tuple[str, str]] = field(default_factory=set)
    holdings: set[tuple[str, str]] = field(default_factory=set)
    leanings: set[tuple[str, str]] = field(default_factory=set)
    is_pending: bool = False

    def finish(self) -> None:
        """Add what follows from all results together: something was done, whatever it was."""
        if self.deeds & {"execute", "profile", "alert", "remove", "cancel"}:
            self.deeds.add("done")

    def read(self, data: Mapping[str, Any]) -> None:
        """Take in one result."""
        reader = _READERS.get(str(data.get("kind")))
        if reader is not None:
            reader(self, data)

    def _signal(self, data: Mapping[str, Any]) -> None:
        signal = data["signal"]
        direction = signal["direction"]
        self.directions[str(signal["symbol"])] = str(getattr(direction, "value", direction))

    def _chart(self, data: Mapping[str, Any]) -> None:
        symbol = str(data["symbol"])
        sides = {"up": "long", "rising": "long", "down": "short", "falling": "short"}
        found = [sides[word] for word in (data.get("trend"), data.get("momentum")) if word in sides]
        for pattern in data.get("patterns", ()):
            found += [side for word, side in (("bullish", "long"), ("bearish", "short")) if word in pattern]
        self.leanings.update((symbol, side) for side in found)

    def _ticket(self, data: Mapping[str, Any]) -> None:
        terms, fill, state = data["terms"], data.get("fill"), str(data["state"])
        self.lines.add((str(terms["symbol"]), _SIDE_OF[terms["side"]]))
        self.is_pending = self.is_pending or state == "pending"
        self.deeds.update(_TICKET_DEEDS.get(state, ("ticket",)))
        if "cancelled" in data.get("reasons", ()):
            self.deeds.add("cancel")
        if fill is not None and Decimal(str(fill["filled_quantity"])) > 0:
            self.deeds.update(
                ("execute", "hold", "change", str(terms["side"]), "close" if terms.get("is_close") else "open")
            )
            self.holdings.add((str(terms["symbol"]), _SIDE_OF[terms["side"]]))

    def _portfolio(self, data: Mapping[str, Any]) -> None:
        for position in data.get("positions", ()):
            side = "buy" if Decimal(str(position["quantity"])) > 0 else "sell"
            self.holdings.add((str(position["symbol"]), _SIDE_OF[side]))
            self.deeds.add("hold")
            self.history.update((side, "open", "execute", "hold"))
        for order in data.get("orders", ()):
            self.holdings.add((str(order["symbol"]), _SIDE_OF[order["side"]]))
            self.history.update(("send", "open", "change"))
            if Decimal(str(order["filled_quantity"])) > 0:
                self.history.update(("execute", str(order["side"])))
        for trade in data.get("trades", ()):
            self.holdings.add((str(trade["symbol"]), _SIDE_OF[trade["side"]]))
            self.history.update((str(trade["side"]), "execute", "open", "close", "send"))

    def _order(self, order: Mapping[str, Any]) -> None:
        self.lines.add((str(order["symbol"]), _SIDE_OF[order["side"]]))

    def _cancelled(self, data: Mapping[str, Any]) -> None:
        for order in data["orders"]:
            self._order(order)
            if order["status"] == "cancelled":
                self.deeds.update(("cancel", "remove"))
            if order["status"] == "filled" or Decimal(str(order["filled_quantity"])) > 0:
                self.deeds.update(("execute", str(order["side"])))
            self.history.add("send")

    def _refused(self, data: Mapping[str, Any]) -> None:
        side = _SIDE_OF.get(str(data["side"]))
        if side is not None:
            self.lines.add((str(data["symbol"]), side))

    def _alert_set(self, _: Mapping[str, Any]) -> None:
        self.deeds.add("alert")

    def _alert_list(self, data: Mapping[str, Any]) -> None:
        if data["alerts"]:
            self.deeds.add("alert")

    def _alerts_cancelled(self, data: Mapping[str, Any]) -> None:
        if data["alerts"]:
            self.deeds.update(("cancel", "remove"))

    def _profile(self, _: Mapping[str, Any]) -> None:
        self.deeds.update(("profile", "change"))


_READERS = {
    "signal": Standing._signal,
    "chart": Standing._chart,
    "portfolio": Standing._portfolio,
    "ticket": Standing._ticket,
    "ticket_refused": Standing._refused,
    "orders_cancelled": Standing._cancelled,
    "alert_set": Standing._alert_set,
    "alert_list": Standing._alert_list,
    "alerts_cancelled": Standing._alerts_cancelled,
    "profile": Standing._profile,
}


def asked_side(message: str) -> Side | None:
    """Return the one side of a trade that a message speaks of; None when it names both or neither.

    >>> asked_side("Should I buy gold?"), asked_side("Buy or sell?")
    ('long', None)
    """
    folded = fold(message)
    named = [side for side in SIDES if _side_words(side).search(folded)]
    return named[0] if len(named) == 1 else None


@cache
def _side_words(side: Side) -> re.Pattern[str]:
    forms = [load_list(f"words_{language}")["directions"][side] for language in LANGUAGES]
    return re.compile(rf"(?<!\w){any_of(word for form in forms for word in [*form['base'], *form['ing']])}(?!\w)")
