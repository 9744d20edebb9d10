"""The grammar first, the learned model as second opinion: one decision per message, pure and deterministic.

The grammar reads what it knows; where it does not know the words it asks, chats, or takes a message for the nearest
thing it knows. The learned model then names what such a message is about, and the grammar's readers fill in the
arguments. Whatever changes something needs both: the model never makes a trade, and no cancellation or setting out of
a message whose stance and slots the grammar does not read. It takes a trade back when it is sure that nobody ordered
one, and asks where side or unit look unlike what such words mean. Untrusted and quoted texts stay as the grammar left
them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from copilot.offline.clauses import TRADE
from copilot.offline.corrections import apply_corrections
from copilot.offline.guard import screen
from copilot.offline.learned.labels import TERMS, TOOL
from copilot.offline.learned.model import ASK, PLAIN, SEVERAL, Judgement, Model, Opinion, judge_message
from copilot.offline.learned.slots import read_slots, terms_of
from copilot.offline.parser import parse
from copilot.offline.requests import Context
from copilot.offline.stance import ACTS, is_reported
from copilot.offline.tokens import Token, detect_language, tokenize
from copilot.offline.values import Decision, Language, Question, Turn

NO_ORDER = (
    PLAIN,
    "get_signal",
    "analyze_chart",
    "check_portfolio",
    "list_alerts",
    "agent_status",
    "explain_trade",
    "run_backtest",
)
_DEFINITE = frozenset({"bad_number", "unknown_instrument", "amount_ambiguous", "contradiction", "two_prices"})
_PORTFOLIO = "check_portfolio"
_REFUSED = frozenset({"quoted", "negated", "past"})
_FIRM_TALK = ("confirmation", "thanks", "greeting", "goodbye", "concept:")


@dataclass(frozen=True, slots=True)
class Thresholds:
    """How sure the learned model must be (0-1) before it changes what the grammar decided.

    Chosen on the tuning corpus, each writer judged by a model that had not met that writer.

    Attributes:
        veto: To take back a trade that nobody ordered.
        order: At least this probable must a trade (or several requests) be; otherwise the copilot asks.
        terms: At least this probable must the side and the unit of a trade be; otherwise the copilot asks.
        call: To put another tool in the place of a call.
        keep: To drop what is read out beside the one thing that a message is about.
        call_to_talk: To take a call for mere talk.
        call_to_ask: To ask instead of calling.
        open_to_read: To read something out where the grammar asked or chatted.
        open_to_act: To change something where the grammar asked or chatted.
        trade: To ask about a trade where the grammar chatted.
        ask_to_talk: To let a question of the grammar go.
        talk_to_ask: To ask where the grammar chatted.
        definite: To override a question that names what is wrong.
    """

    veto: float = 0.8
    order: float = 0.5
    terms: float = 0.15
    call: float = 0.7
    keep: float = 0.9
    call_to_talk: float = 0.9
    call_to_ask: float = 0.95
    open_to_read: float = 0.5
    open_to_act: float = 0.55
    trade: float = 0.9
    ask_to_talk: float = 0.7
    talk_to_ask: float = 0.75
    definite: float = 0.97


CHOSEN = Thresholds()


def decide(
    text: str,
    history: Sequence[Turn] = (),
    fallback: Language = "en",
    *,
    model: Model | None = None,
    thresholds: Thresholds = CHOSEN,
) -> Decision:
    """Return what a message asks for.

    Args:
        text: The person's message.
        history: Earlier turns, oldest first.
        fallback: Language to answer in when the words do not tell.
        model: Weights to use instead of the stored ones.
        thresholds: How sure the learned model must be.
    """
    grammar = parse(text, history, fallback)
    screened = screen(text)
    trades = any(call.tool == TRADE for call in grammar.calls)
    if screened.is_untrusted or screened.quoted or (grammar.is_certain and not trades):
        return grammar
    spoken = tokenize(screened.text, grammar.language)
    judgement = judge_message(spoken, history, model)
    tokens = apply_corrections(spoken)
    reported = "\n" in screened.text.strip() or is_reported(tokens)
    second = _Second(grammar, judgement, judgement.of(TOOL), tokens, tuple(history), thresholds, reported=reported)
    return second.weigh() or grammar


@dataclass(frozen=True, slots=True)
class _Second:
    """The second opinion on one decision of the grammar; `None` leaves it as it is."""

    grammar: Decision
    judgement: Judgement
    opinion: Opinion
    tokens: Sequence[Token]
    history: tuple[Turn, ...]
    sure: Thresholds
    reported: bool

    def weigh(self) -> Decision | None:
        if self.grammar.calls:
            return self._weigh_calls(tuple(call.tool for call in self.grammar.calls))
        if self.grammar.question is not None:
            return self._weigh_question(self.grammar.question)
        return self._weigh_talk(self.grammar.talk or "")

    def _weigh_calls(self, tools: tuple[str, ...]) -> Decision | None:
        name, probability = self.opinion.name, self.opinion.probability
        if TRADE in tools and self.opinion.of(*NO_ORDER) >= self.sure.veto:
            return self._talk("question") if name == PLAIN else self._read() or self._ask()
        if TRADE in tools and self.opinion.of(TRADE, SEVERAL) < self.sure.order:
            return self._read() or self._ask()
        if tools.count(TRADE) == 1 and (len(tools) == 1 or name == TRADE) and not self._terms_agree():
            return self._ask()
        if self.history or name == SEVERAL or set(tools) == {name}:
            return self._read() if tools == (_PORTFOLIO,) and name == _PORTFOLIO and not self.history else None
        if name in (PLAIN, ASK):
            return self._withhold()
        if name in tools:
            return self._keep(name) if probability >= self.sure.keep else None
        return self._read() if probability >= self.sure.call else None

    def _terms_agree(self) -> bool:
        """Tell whether side and unit of the one trade are among those that the model expects of such a message."""
        call = next(call for call in self.grammar.calls if call.tool == TRADE)
        return self.judgement.of(TERMS).of(terms_of(call)) >= self.sure.terms

    def _withhold(self) -> Decision | None:
        probability = self.opinion.probability
        if self.opinion.name == PLAIN:
            return self._talk("question") if probability >= self.sure.call_to_talk else None
        return self._ask() if probability >= self.sure.call_to_ask else None

    def _keep(self, tool: str) -> Decision | None:
        """Drop what a message only seems to ask to see beside the one thing it is about; never drop an action."""
        calls = tuple(call for call in self.grammar.calls if call.tool == tool or call.tool in ACTS)
        return Decision(calls, None, None, self.grammar.language) if len(calls) < len(self.grammar.calls) else None

    def _weigh_question(self, question: Question) -> Decision | None:
        name, probability = self.opinion.name, self.opinion.probability
        if question.code in _DEFINITE and (probability < self.sure.definite or name in ACTS):
            return None
        if name == PLAIN:
            return self._talk("question") if probability >= self.sure.ask_to_talk else None
        read = self._read() if probability >= self._needed() else None
        return read if read is not None and read.calls else None

    def _weigh_talk(self, talk: str) -> Decision | None:
        if talk.startswith(_FIRM_TALK) or (talk in _REFUSED and self.opinion.name in ACTS):
            return None
        if self.opinion.name == ASK:
            return self._ask() if self.opinion.probability >= self.sure.talk_to_ask else None
        return self._read() if self.opinion.probability >= self._needed() else None

    def _needed(self) -> float:
        if self.opinion.name == TRADE:
            return self.sure.trade
        return self.sure.open_to_act if self.opinion.name in ACTS else self.sure.open_to_read

    def _read(self) -> Decision | None:
        """Return what the likeliest tool would be called with; a trade is asked about, never read."""
        tool = self.opinion.name
        if tool in (PLAIN, ASK, SEVERAL):
            return None
        if tool == TRADE:
            return self._ask()
        context = Context() if tool in ACTS else _context(self.history)
        proposal = read_slots(tool, self.tokens, context, self.judgement, reported=self.reported)
        if proposal is None:
            return None
        if isinstance(proposal, Question):
            return Decision((), proposal, None, self.grammar.language)
        return Decision(proposal, None, None, self.grammar.language)

    def _ask(self) -> Decision:
        return Decision((), Question("unclear"), None, self.grammar.language)

    def _talk(self, code: str) -> Decision:
        return Decision((), None, code, self.grammar.language)


def _context(history: Sequence[Turn]) -> Context:
    """Return what the person's last message named."""
    said = next((turn.text for turn in reversed(history) if turn.role == "user"), "")
    screened = screen(said)
    if screened.is_untrusted or screened.quoted or not said:
        return Context()
    tokens = tokenize(screened.text, detect_language(said) or "en")
    symbols = [token.get("sym") for token in tokens if token.get("sym")]
    agents = [token.get("agent") for token in tokens if token.get("agent")]
    return Context(symbols[0] if symbols else None, agents[0] if agents else None)


__all__ = ["CHOSEN", "NO_ORDER", "Thresholds", "decide"]
