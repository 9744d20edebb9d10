"""A copilot in one file: keeps the rules of the real one (owner, nonce, versions) and answers from samples.

What is set and remembered is kept as the real one keeps it, in memory; proposals and agents come from `fake_agents`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

import numpy as np

from copilot.brain.values import ChatModels
from copilot.events import (
    AnswerToken,
    AnswerWithdrawn,
    Event,
    Language,
    TicketClosed,
    TicketOpened,
    ToolFinished,
    ToolStarted,
    TurnEnded,
    Waiting,
)
from copilot.wording import render_answer, render_message
from copilot.wording.starters import fit_starter
from engine.domain.market import Bars
from engine.domain.signals import Direction
from engine.domain.symbols import TIMEFRAME_S, Timeframe
from prompts import load_words
from tests.copilot.web.fake_agents import agents_result, start_proposal
from tests.copilot.wording import samples
from tools.agent_results import ProposalView
from tools.chart import describe
from tools.decisions import Asked
from tools.profile import Profile, Setting
from tools.results import (
    AlertSet,
    AlertView,
    BacktestResult,
    ChartResult,
    EquityCurve,
    SignalResult,
    TicketView,
    ToolResult,
)

OWNER = "ana"
STRANGERS_TICKET = 900
SECRET = "a detail that must stay in the log"
MONDAY = 1_741_564_800
SPANISH_WORDS = ("señal", "compra", "gráfico", "cartera", "prueba", "agentes", "avísame", "inicia", "alertas")
ALERT = "9"


def bars(symbol: str = "XAUUSD", timeframe: Timeframe = "1h", count: int = 400, start: float = 2850.0) -> Bars:
    """Return a walk that knows weekends, the same every time."""
    random = np.random.default_rng(7)
    step = TIMEFRAME_S[timeframe]
    seconds = [s for s in range(MONDAY, MONDAY + 3 * count * step, step) if symbol != "XAUUSD" or _is_week(s)][:count]
    moves = random.normal(0.00012, 0.0016, count)
    close = start * np.exp(np.cumsum(moves))
    opened = np.concatenate([[start], close[:-1]])
    reach = np.abs(random.normal(0, 0.0009, (2, count)))
    high, low = np.maximum(opened, close) * (1 + reach[0]), np.minimum(opened, close) * (1 - reach[1])
    volume = random.gamma(4.0, 300.0, count)
    return Bars(symbol, timeframe, np.array(seconds), opened, high, low, close, volume)


def _is_week(second: int) -> bool:
    hour = (second - MONDAY) // 3600 % 168
    return hour < 118 or hour >= 166


def chart_result(symbol: str = "XAUUSD", timeframe: Timeframe = "1h") -> ChartResult:
    return describe(bars(symbol, timeframe), ("bollinger", "rsi", "macd"), market="simulated", is_simulated=True)


def signal_result(chart: ChartResult) -> SignalResult:
    """Return a signal to buy that belongs to the last bar of a chart."""
    close, at = chart.close, chart.bar_at
    values = {"close": close, "entry": close, "stop": close - 11.4, "target": close + 17.1, "bar_at": at}
    times = {"price_at": at + timedelta(hours=1), "valid_until": at + timedelta(hours=3)}
    return samples.signal(direction=Direction.LONG, reason="edge", probability=0.487, **values, **times)


def backtest_result(days: int = 365) -> BacktestResult:
    """Return a backtest with two accounts that wander, the same every time."""
    moves = np.random.default_rng(11).normal(0.0004, [[0.012], [0.024]], (2, days))
    own, held = (np.round(100 * (np.exp(np.cumsum(row)) - 1), 3) for row in moves)
    peaks = np.maximum.accumulate(np.maximum(100 + own, 100))
    curve = EquityCurve(
        time=tuple(MONDAY + 86_400 * day for day in range(days)),
        strategy_pct=tuple(own.tolist()),
        held_pct=tuple(held.tolist()),
    )
    return samples.backtest(
        return_pct=curve.strategy_pct[-1],
        held_pct=curve.held_pct[-1],
        max_drawdown_pct=float(100 * np.max(1 - (100 + own) / peaks)) + 0.4,
        curve=curve,
    )


@dataclass(slots=True)
class FakeCore:
    """Keeps tickets in memory; `executed` counts what would have been sent."""

    tickets: dict[int, Asked] = field(default_factory=dict)
    executed: list[int] = field(default_factory=list)
    pending_notices: list[str] = field(default_factory=list)
    languages: dict[str, Language] = field(default_factory=dict)
    chat_model: str = "auto"
    profiles: dict[str, Profile] = field(default_factory=dict)
    alerts: dict[str, AlertView] = field(default_factory=dict)
    heard: dict[str, list[str]] = field(default_factory=dict)
    stopped_by: list[str] = field(default_factory=list)
    execution_s: float = 0.0

    def __post_init__(self) -> None:
        self.tickets[STRANGERS_TICKET] = samples.ticket(ticket_id=STRANGERS_TICKET, owner="bob", nonce="bobs-nonce")

    async def send(self, owner: str, conversation_id: str, text: str) -> AsyncIterator[Event]:
        """Answer by the words in a message."""
        asked = text.lower()
        self.heard.setdefault(conversation_id, []).append(text)
        language: Language = "es" if any(word in asked for word in SPANISH_WORDS) else "en"
        self.languages.setdefault(owner, language)
        if "explode" in asked:
            raise RuntimeError(SECRET)
        if "slowly" in asked:
            yield AnswerToken("One. ")
            await asyncio.sleep(30)
        if "waver" in asked:
            async for event in _waver():
                yield event
            return
        results: list[ToolResult] = []
        for tool, result in self._work(asked, owner, conversation_id, language):
            yield ToolStarted(f"call-{tool}", tool, {"symbol": "XAUUSD", "timeframe": "1h"})
            yield ToolFinished(f"call-{tool}", tool, result)
            results.append(result)
            if isinstance(result, TicketView | ProposalView):
                yield TicketOpened(result)
        if "what did i say" in asked:
            text = " / ".join(self.heard[conversation_id][:-1]) or "nothing"
        async for event in _tell(render_answer(results, language) if results else f"You said: {text}", language):
            yield event

    def _work(self, asked: str, owner: str, conversation_id: str, language: Language) -> list[tuple[str, Any]]:
        chart = chart_result()
        if "agents" in asked or "agentes" in asked:
            return [("agent_status", agents_result())]
        if "start nova" in asked or "inicia nova" in asked:
            proposal = start_proposal(owner, conversation_id, language)
            self.tickets[proposal.ticket_id] = proposal
            return [("control_agent", proposal)]
        if "alert me" in asked or "avísame" in asked:
            self.alerts[ALERT] = samples.alert(value="4000", alert_id=ALERT, symbol="ETH/USDT")
            return [("set_alert", AlertSet(alert=self.alerts[ALERT], price=Decimal("3900.5")))]
        if "signal" in asked or "señal" in asked:
            return [("get_signal", signal_result(chart)), ("analyze_chart", chart)]
        if "backtest" in asked:
            return [("run_backtest", backtest_result())]
        if "chart" in asked or "gráfico" in asked:
            return [("analyze_chart", chart)]
        if "buy" in asked or "compra" in asked:
            return [("execute_trade", self.open_ticket(owner, conversation_id, language))]
        if "portfolio" in asked or "cartera" in asked:
            return [("check_portfolio", samples.portfolio("positions"))]
        return []

    def open_ticket(self, owner: str, conversation_id: str = "elsewhere", language: Language = "en") -> TicketView:
        """Open a ticket with every part that a card can show."""
        number = 17 + sum(ticket.owner == owner for ticket in self.tickets.values())
        terms = samples.terms(
            sizing=samples.sizing(), quantity=Decimal("0.41250"), notional=Decimal("24750.04"), max_drift_bps=30
        )
        now = datetime.now(UTC)
        ticket = samples.ticket(
            ticket_id=number,
            owner=owner,
            nonce=f"nonce-{number}-1",
            conversation_id=conversation_id,
            language=language,
            terms=terms,
            created_at=now,
            expires_at=now + timedelta(seconds=120),
        )
        self.tickets[number] = ticket
        return ticket

    async def decide(
        self, owner: str, ticket_id: int, nonce: str, decision: Literal["approve", "reject"], surface: str
    ) -> AsyncIterator[Event]:
        """Take a decision as the ticket store does: once, by the owner, on the present version."""
        refusal = self._refusal(owner, ticket_id, nonce)
        language = self.languages.get(owner, "en")
        if refusal is None:
            ticket = self.tickets[ticket_id]
            await asyncio.sleep(self.execution_s)
            if decision == "approve":
                self.executed.append(ticket_id)
            state = "executed" if decision == "approve" else "rejected"
            changed: dict[str, Any] = {"state": state}
            if isinstance(ticket, TicketView) and decision == "approve":
                changed["fill"] = samples.filled(filled_quantity=ticket.terms.quantity)
            closed = ticket.model_copy(update=changed)
            self.tickets[ticket_id] = closed
            yield TicketClosed(closed)
            refusal = render_answer([closed], ticket.language)
        async for event in _tell(refusal, language):
            yield event

    async def edit(
        self, owner: str, ticket_id: int, nonce: str, changes: Mapping[str, str], surface: str
    ) -> AsyncIterator[Event]:
        """Make a new version with other numbers."""
        language = self.languages.get(owner, "en")
        words = self._refusal(owner, ticket_id, nonce)
        ticket = self.tickets.get(ticket_id)
        if words is None and set(changes) - {"quantity", "price", "stop_loss", "take_profit"}:
            words = "There is no such number."
        if words is None and isinstance(ticket, TicketView):
            numbers = {name: Decimal(text) for name, text in changes.items()}
            version = ticket.version + 1
            renewed = ticket.model_copy(
                update={
                    "version": version,
                    "nonce": f"nonce-{ticket_id}-{version}",
                    "terms": ticket.terms.model_copy(update={**numbers, "sizing": None}),
                }
            )
            self.tickets[ticket_id] = renewed
            yield TicketOpened(renewed)
            words = render_message("ticket_edited", ticket.language)
        async for event in _tell(words or "", language):
            yield event

    def _refusal(self, owner: str, ticket_id: int, nonce: str) -> str | None:
        ticket = self.tickets.get(ticket_id)
        if ticket is None or ticket.owner != owner:
            return "There is no such ticket."
        if ticket.state != "pending" or ticket.nonce != nonce:
            return "The ticket has changed."
        return None

    def ticket(self, owner: str, ticket_id: int) -> Asked | None:
        """Return one of the owner's tickets."""
        ticket = self.tickets.get(ticket_id)
        return ticket if ticket is not None and ticket.owner == owner else None

    async def stop_everything(self, owner: str, surface: str) -> str:
        """Note who stopped what."""
        self.stopped_by.append(owner)
        return render_message("stopped_everything", self.language(owner, "en"))

    def telegram_code(self, owner: str) -> str:
        """Return a code in words."""
        return render_message("telegram_code", self.language(owner, "en")).format(code="KLMN-1234")

    async def adjust_alert(self, owner: str, alert_id: str, *, repeats: bool) -> AlertView | str:
        """Change an alert, or say that there is none."""
        if alert_id not in self.alerts:
            return "There is no such alert."
        self.alerts[alert_id] = self.alerts[alert_id].model_copy(update={"repeats": repeats})
        return self.alerts[alert_id]

    def profile(self, owner: str) -> Profile:
        """Return what was set."""
        return replace(self.profiles.get(owner, Profile()), language=self.languages.get(owner))

    def instruments(self) -> tuple[str, ...]:
        """Return a few."""
        return ("BTC/USDT", "ETH/USDT", "EURUSD", "XAUUSD")

    async def chat_models(self) -> ChatModels:
        """Return two and one that was chosen."""
        return ChatModels(self.chat_model, ("auto", "offline", "ollama:qwen3:8b"))

    async def choose_chat_model(self, owner: str, name: str) -> str | None:
        """Choose it."""
        self.chat_model = name
        return None

    async def change_setting(self, owner: str, setting: Setting, value: Any) -> str | None:
        """Keep a setting as the real profile does, or refuse it."""
        if setting == "language":
            self.languages[owner] = value
            return None
        if setting == "risk_per_trade_pct":
            if not value.replace(".", "").isdigit() or Decimal(value) > 5:
                return f"A risk of {value} can't be kept."
            value = Decimal(value)
        self.profiles[owner] = replace(self.profile(owner), **{setting: value})
        return None

    async def forget_conversation(self, owner: str, conversation_id: str) -> None:
        """Forget what was said."""
        self.heard.pop(conversation_id, None)

    def open_tickets(self, owner: str) -> tuple[Asked, ...]:
        """Return the owner's pending tickets."""
        return tuple(t for t in self.tickets.values() if t.owner == owner and t.state == "pending")

    def notices(self, owner: str, surface: str) -> tuple[str, ...]:
        """Return what waits, once."""
        told = tuple(self.pending_notices)
        self.pending_notices.clear()
        return told

    def language(self, owner: str, fallback: Language) -> Language:
        """Return the kept language, or the fallback."""
        return self.languages.get(owner, fallback)

    def set_language(self, owner: str, language: Language) -> None:
        """Keep a language."""
        self.languages[owner] = language

    def banner(self, language: Language) -> str:
        """Return the real banner of a simulated market."""
        words = load_words(language, "messages")
        return str(words["banner"]["simulated"]).format(brain=words["voice"]["offline"])

    @property
    def is_real_money(self) -> bool:
        """Return that it is not."""
        return False

    def starters(self, language: Language) -> tuple[tuple[str, str], ...]:
        """Return the real starters."""
        return tuple(fit_starter(each, self.instruments()) for each in load_words(language, "messages")["starters"])


async def _waver() -> AsyncIterator[Event]:
    """Wait for the model, say something that does not stand, take it back and say what does."""
    yield Waiting(0)
    await asyncio.sleep(1.5)
    yield AnswerToken("The price is 9,999. ")
    yield AnswerWithdrawn(0)
    yield AnswerToken("The price is not known.")
    yield TurnEnded("The price is not known.", "en", "offline", "words_caught")


async def _tell(answer: str, language: Language) -> AsyncIterator[Event]:
    for word in answer.split(" "):
        yield AnswerToken(word + " ")
    yield TurnEnded(answer, language, "offline")
