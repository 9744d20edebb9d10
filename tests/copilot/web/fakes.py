"""A core written by hand: it keeps the contract that the page is coded against, with tickets in a file."""

from __future__ import annotations

import asyncio
import json
import math
import secrets
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from agents.risk.values import LimitCheck
from copilot.events import (
    AnswerToken,
    Event,
    Language,
    TicketClosed,
    TicketOpened,
    ToolFinished,
    ToolStarted,
    TurnEnded,
)
from tools.results import ChartData, ChartLevel, ChartLine, ChartResult, SizingView, TicketFill, TicketTerms, TicketView

NOW = datetime(2025, 3, 14, 12, 0, tzinfo=UTC)
BARS = 120


def make_chart(symbol: str = "BTC/USDT", timeframe: str = "4h", step: int = 14_400) -> ChartData:
    """Return bars that wave, with one overlay and one pane."""
    start = int(NOW.timestamp()) // step * step - BARS * step
    close = [60_000 + 1500 * math.sin(n / 9) + 12 * n for n in range(BARS)]
    opened = [close[max(n - 1, 0)] for n in range(BARS)]
    return ChartData(
        symbol=symbol,
        timeframe=timeframe,
        time=tuple(start + n * step for n in range(BARS)),
        open=tuple(opened),
        high=tuple(max(pair) + 120 for pair in zip(opened, close, strict=True)),
        low=tuple(min(pair) - 120 for pair in zip(opened, close, strict=True)),
        close=tuple(close),
        volume=tuple(800 + 300 * math.cos(n / 5) for n in range(BARS)),
        lines=(
            ChartLine(
                name="ema_20", pane="price", values=tuple(None if n < 20 else c - 150 for n, c in enumerate(close))
            ),
            ChartLine(name="rsi", pane="rsi", values=tuple(50 + 20 * math.sin(n / 9) for n in range(BARS))),
        ),
        levels=(
            ChartLevel(kind="support", price=59_400.0),
            ChartLevel(kind="entry", price=61_500.0),
            ChartLevel(kind="stop", price=60_200.0),
            ChartLevel(kind="target", price=63_900.0),
        ),
    )


def make_chart_result() -> ChartResult:
    """Return a chart as `analyze_chart` tells it."""
    chart = make_chart()
    return ChartResult(
        symbol=chart.symbol,
        timeframe=chart.timeframe,
        close=chart.close[-1],
        change_pct=0.4,
        trend="up",
        trend_strength=27.0,
        momentum="rising",
        rsi=58.0,
        volatility="normal",
        atr_pct=1.1,
        supports=(59_400.0,),
        resistances=(),
        patterns=("hammer",),
        readings={"rsi": 58.0},
        chart=chart,
        bar_at=NOW,
        price_at=NOW,
        market="simulated",
        is_simulated=True,
    )


def make_terms(**changes: Any) -> TicketTerms:
    """Return terms of a purchase at market, sized from risk."""
    return TicketTerms(
        **{
            "symbol": "BTC/USDT",
            "side": "buy",
            "is_close": False,
            "order_type": "market",
            "quantity": Decimal("0.05"),
            "price": None,
            "expected_price": Decimal("64250.50"),
            "notional": Decimal("3212.525"),
            "fee": Decimal("3.212525"),
            "currency": "USD",
            "stop_loss": Decimal("62965.49"),
            "take_profit": None,
            "cash_before": Decimal("100000"),
            "cash_after": Decimal("96784.262475"),
            "exposure_before": Decimal("0"),
            "exposure_after": Decimal("3212.525"),
            "position_before": Decimal("0"),
            "position_after": Decimal("0.05"),
            "limits": (
                LimitCheck("position", "money", Decimal(25000), Decimal(0), Decimal("3212.525"), True),
                LimitCheck("exposure", "money", Decimal(150000), Decimal(0), Decimal("3212.525"), True),
                LimitCheck("daily_loss", "pct", Decimal(5), Decimal(0), Decimal(0), True),
                LimitCheck("positions", "count", Decimal(10), Decimal(0), Decimal(1), True),
            ),
            "sizing": SizingView(
                equity=Decimal(100000),
                risk_pct=Decimal("0.5"),
                risk_money=Decimal(500),
                stop_distance=Decimal("1285.01"),
                raw_quantity=Decimal("0.38910203"),
                quantity=Decimal("0.05"),
                bounded_by="position",
                stop_from="person",
            ),
            "venue": "paper",
            "is_simulated": True,
            "quote_at": NOW,
            "max_drift_bps": 30,
            **changes,
        }
    )


def make_ticket(ticket_id: int = 7, *, owner: str = "owner", language: Language = "en", **changes: Any) -> TicketView:
    """Return a pending ticket."""
    now = datetime.now(UTC)
    return TicketView(
        **{
            "ticket_id": ticket_id,
            "version": 1,
            "nonce": secrets.token_urlsafe(8),
            "owner": owner,
            "conversation_id": "c",
            "language": language,
            "state": "pending",
            "terms": make_terms(),
            "terms_hash": "0" * 64,
            "created_at": now,
            "expires_at": now + timedelta(minutes=2),
            **changes,
        }
    )


class FakeCore:
    """Answers "chart", "buy" and anything else, in the language of the message; tickets live in a file."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "tickets.json"
        self._notices: list[str] = ["While you were away, alert 3 fired."]
        self.log = folder / "core.log"

    async def send(self, owner: str, conversation_id: str, text: str) -> AsyncIterator[Event]:
        self._write("send", owner, conversation_id, text)
        language: Language = "es" if any(word in text.lower() for word in ("compra", "hola", "muéstrame")) else "en"
        words = {"en": "Here it **is**.", "es": "Aquí **está**."}[language]
        if "boom" in text:
            raise RuntimeError("secret detail of the inside")
        if "slow" in text:
            async for event in self._slow():
                yield event
        elif "chart" in text.lower() or "gráfico" in text.lower():
            yield ToolStarted("1", "analyze_chart", {"symbol": "BTC/USDT", "timeframe": "4h"})
            yield ToolFinished("1", "analyze_chart", make_chart_result())
        elif "buy" in text.lower() or "compra" in text.lower():
            ticket = make_ticket(len(self._tickets()) + 1, owner=owner, language=language)
            self._keep(ticket)
            yield ToolStarted("2", "execute_trade", {"symbol": "BTC/USDT"})
            yield ToolFinished("2", "execute_trade", ticket)
            yield TicketOpened(ticket)
        for piece in words.split(" "):
            yield AnswerToken(piece + " ")
        yield TurnEnded(words, language, "fake")

    async def _slow(self) -> AsyncIterator[Event]:
        for n in range(40):
            yield AnswerToken(f"word{n} ")
            await asyncio.sleep(0.05)
        self._write("slow turn ended")

    async def decide(
        self, owner: str, ticket_id: int, nonce: str, decision: Literal["approve", "reject"], surface: str
    ) -> AsyncIterator[Event]:
        self._write("decide", owner, ticket_id, decision, surface)
        ticket = self._tickets().get(ticket_id)
        if ticket is None or ticket.owner != owner or ticket.nonce != nonce or ticket.state != "pending":
            self._write("refused", ticket_id)
            words = "That ticket can't be decided."
            yield AnswerToken(words)
            yield TurnEnded(words, "en", "fake")
            return
        fill = TicketFill(
            order_id="P-1",
            status="filled",
            filled_quantity=ticket.terms.quantity,
            average_price=Decimal("64251.00"),
            fee=Decimal("3.21255"),
        )
        approved = {"state": "executed", "fill": fill}
        closed = ticket.model_copy(update=approved if decision == "approve" else {"state": "rejected"})
        self._keep(closed)
        self._write(closed.state, ticket_id)
        yield TicketClosed(closed)
        words = {"en": f"Ticket {closed.state}.", "es": "Ticket cerrado."}[ticket.language]
        yield AnswerToken(words)
        yield TurnEnded(words, ticket.language, "fake")

    async def edit(
        self, owner: str, ticket_id: int, nonce: str, changes: Mapping[str, str], surface: str
    ) -> AsyncIterator[Event]:
        self._write("edit", owner, ticket_id, json.dumps(dict(changes)), surface)
        ticket = self._tickets()[ticket_id]
        numbers = {name: Decimal(value) for name, value in changes.items()}
        changed = ticket.model_copy(
            update={
                "version": ticket.version + 1,
                "nonce": secrets.token_urlsafe(8),
                "terms": ticket.terms.model_copy(update={**numbers, "sizing": None}),
            }
        )
        self._keep(changed)
        yield TicketOpened(changed)
        yield AnswerToken("Changed.")
        yield TurnEnded("Changed.", ticket.language, "fake")

    def open_tickets(self, owner: str) -> tuple[TicketView, ...]:
        return tuple(t for t in self._tickets().values() if t.owner == owner and t.state == "pending")

    def notices(self, owner: str, surface: str) -> tuple[str, ...]:
        told, self._notices = tuple(self._notices), []
        return told if (self.log.parent / "tell").exists() else ()

    def language(self, owner: str, fallback: Language) -> Language:
        return fallback

    def set_language(self, owner: str, language: Language) -> None:
        raise AssertionError("the page never chooses a language by itself")

    def banner(self, language: Language) -> str:
        return {"en": "Prices are **simulated**.", "es": "Los precios son **simulados**."}[language]

    def starters(self, language: Language) -> tuple[tuple[str, str], ...]:
        return {
            "en": (("Bitcoin chart", "Show me the bitcoin chart"), ("Buy on paper", "Buy 0.05 bitcoin with a 2% stop")),
            "es": (("Gráfico de bitcoin", "Muéstrame el gráfico"), ("Comprar en papel", "Compra 0,05 bitcoin")),
        }[language]

    def _tickets(self) -> dict[int, TicketView]:
        if not self._file.exists():
            return {}
        found = [TicketView.model_validate_json(line) for line in self._file.read_text().splitlines()]
        return {ticket.ticket_id: ticket for ticket in found}

    def _keep(self, ticket: TicketView) -> None:
        tickets = {**self._tickets(), ticket.ticket_id: ticket}
        self._file.write_text("\n".join(t.model_dump_json() for t in tickets.values()))

    def _write(self, *words: object) -> None:
        with self.log.open("a") as file:
            file.write(" ".join(str(word) for word in words) + "\n")
