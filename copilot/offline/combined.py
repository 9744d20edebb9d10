"""The grammar first, the learned model as second opinion: one decision per message, pure and deterministic.

The grammar reads what it knows; where it does not know the words it asks, chats, or takes a message for the nearest
thing it knows. The learned model then names what such a message is about, and the grammar's readers fill in the
arguments. Whatever changes something needs both: the model never makes a trade, and no cancellation or setting out of
a message whose stance and slots the grammar does not read. It takes a trade back when it is sure that nobody ordered
one, and asks where such words mean another side or state an amount that was not read. Untrusted and quoted texts stay
as the grammar left them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from copilot.offline.allotments import allotment_of
from copilot.offline.clauses import TRADE
from copilot.offline.corrections import apply_corrections
from copilot.offline.guard import screen
from copilot.offline.held_back import hold_back
from copilot.offline.learned.doubts import doubt_of
from copilot.offline.learned.labels import TOOL, VIEW
from copilot.offline.learned.model import ASK, PLAIN, SEVERAL, Judgement, Model, Opinion, judge_message
from copilot.offline.learned.orders import read_order
from copilot.offline.learned.slots import checked_call, read_slots
from copilot.offline.learned.thresholds import CHOSEN, Thresholds
from copilot.offline.lexicon import knowing, word_set
from copilot.offline.parser import parse
from copilot.offline.requests import Context
from copilot.offline.shapes import shape
from copilot.offline.stance import ACTS, is_reported
from copilot.offline.tokens import Token, detect_language, tokenize
from copilot.offline.values import ArgumentValue, Call, Decision, Language, Question, Turn

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
_MISREAD = frozenset({"unknown_instrument", "contradiction", "two_prices"})
_FEW = 5
_PIECES = re.compile(r"(?<=[,;.!])\s+")
_WEIGHTY = (
    "neg",
    "neg_end",
    "if",
    "reported",
    "reported.weak",
    "third",
    "hypothetical",
    "future",
    "past",
    "howto",
    "advice",
    "unsure",
    "or",
    "alert",
    "notify",
    "order",
    "cancel",
    "sl",
    "tp",
    "lang_other",
)
_VIEWS = ("get_signal", "analyze_chart")
_REREAD = _MISREAD | {"which_price"}
_PORTFOLIO = "check_portfolio"
_TERMS = ("symbol", "side", "amount", "unit")
_REFUSED = frozenset({"quoted", "negated", "past"})
_FIRM_TALK = ("confirmation", "thanks", "greeting", "goodbye", "concept:")


def decide(
    text: str,
    history: Sequence[Turn] = (),
    fallback: Language = "en",
    *,
    model: Model | None = None,
    thresholds: Thresholds = CHOSEN,
    agents: Sequence[str] = (),
) -> Decision:
    """Return what a message asks for.

    Args:
        text: The person's message.
        history: Earlier turns, oldest first.
        fallback: Language to answer in when the words do not tell.
        model: Weights to use instead of the stored ones.
        thresholds: How sure the learned model must be.
        agents: The owner's own agents, beside the three of the program.
    """
    with knowing(agents):
        return hold_back(_decide(text, history, fallback, model, thresholds), text, history)


def _decide(
    text: str, history: Sequence[Turn], fallback: Language, model: Model | None, thresholds: Thresholds
) -> Decision:
    grammar = parse(text, history, fallback)
    screened = screen(text)
    trades = any(call.tool == TRADE for call in grammar.calls)
    if screened.is_untrusted or screened.quoted:
        return grammar
    spoken = tokenize(screened.text, grammar.language)
    if grammar.calls and not trades and allotment_of(spoken) is not None:
        return grammar
    judgement = judge_message(spoken, history, model)
    if grammar.is_certain and not trades and not _overrules(judgement.of(TOOL), grammar, history, thresholds):
        return grammar
    tokens = shape(apply_corrections(spoken), grammar.language)
    reported = "\n" in screened.text.strip() or is_reported(tokens)
    passed_on = "\n" in screened.text.strip() or any(t.has("reported", "passed_on") for t in tokens)
    if not trades and not passed_on and not history and judgement.of(TOOL).of(TRADE) >= thresholds.core:
        core = _core_order(screened.text, grammar.language)
        if core is not None:
            return core
    second = _Second(grammar, judgement, judgement.of(TOOL), tokens, tuple(history), thresholds, reported=reported)
    return second.weigh() or grammar


def _core_order(text: str, language: Language) -> Decision | None:
    """Return the order that stands in the last pieces of a message, when only harmless talk stands around it.

    "On this lazy afternoon, buy me 0.25 ether, because I feel like it": the pieces in front and an aside behind must
    hold no other name, number, negation, condition or report; the order alone must be understood whole.
    """
    pieces = _PIECES.split(text)
    while len(pieces) > 1 and pieces[-1].split(" ")[0].lower() in word_set("asides"):
        if not _is_harmless(pieces[-1], language):
            return None
        pieces.pop()
    for start in range(len(pieces)):
        core = parse(" ".join(pieces[start:]), (), language)
        if len(core.calls) == 1 and core.calls[0].tool == TRADE and core.is_certain:
            symbol = str(core.calls[0].args["symbol"])
            return core if all(_is_harmless(piece, language, symbol) for piece in pieces[:start]) else None
    return None


def _is_harmless(piece: str, language: Language, symbol: str = "") -> bool:
    """Tell whether a piece of talk can neither order, deny, suppose, report nor name anything but one instrument."""
    tokens = [token for token in tokenize(piece, language) if not _is_relative(token)]
    named = any(t.is_number or t.get("sym") not in (None, symbol) or t.get("agent") for t in tokens)
    return not named and not any(t.has(*_WEIGHTY) for t in tokens)


def _is_relative(token: Token) -> bool:
    """Tell whether a word only names somebody of the person's own ("my wife"), who may be told of in a story."""
    return token.has("third") and token.has("mine")


def _overrules(opinion: Opinion, grammar: Decision, history: Sequence[Turn], sure: Thresholds) -> bool:
    """Tell whether the model is surer of one other tool than a grammar can be that knew every word."""
    if grammar.question is not None:
        misread = grammar.question.code in _MISREAD and not history
        return misread and opinion.name == TRADE and opinion.probability >= sure.over_certain
    if history or opinion.name in (ASK, SEVERAL, PLAIN, TRADE):
        return False
    return {call.tool for call in grammar.calls} not in (
        set(),
        {opinion.name},
    ) and opinion.probability >= sure.over_certain


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
        doubt = self._weigh_trade(tools) if TRADE in tools else None
        if doubt is not None or self.history or name == SEVERAL:
            return doubt
        if set(tools) == {name}:
            return self._weigh_view(tools)
        if name in (PLAIN, ASK):
            return self._withhold()
        if name in tools:
            return self._keep(name) if self._is_alone(probability) else None
        return self._read_instead() if probability >= self._needed_instead() else None

    def _is_alone(self, probability: float) -> bool:
        """Tell whether the message is about one thing, and hardly about several."""
        return probability >= self.sure.keep and self.opinion.of(SEVERAL) < self.sure.several

    def _needed_instead(self) -> float:
        return self.sure.call_to_trade if self.opinion.name == TRADE else self.sure.call

    def _read_instead(self) -> Decision | None:
        """Return the other reading of a call; a question about what would only be shown replaces nothing."""
        read = self._read()
        return read if read is not None and (read.calls or self.opinion.name in ACTS) else None

    def _weigh_trade(self, tools: tuple[str, ...]) -> Decision | None:
        """Take a trade back, or ask about it, where the model believes in something else."""
        name = self.opinion.name
        if self.opinion.of(*NO_ORDER) >= self.sure.veto:
            return self._talk("question") if name == PLAIN else self._read() or self._ask()
        if self.history:
            return None
        least = self.sure.sure_order if self.grammar.is_certain else self.sure.order
        if self.opinion.of(TRADE, SEVERAL, ASK) < least:
            return self._read() or self._ask()
        if tools.count(TRADE) != 1 or not (len(tools) == 1 or name == TRADE):
            return None
        trade = self.grammar.calls[tools.index(TRADE)]
        other = self._read_other(trade) if len(tools) == 1 else None
        if other is not None:
            return other
        question = doubt_of(trade, self.tokens, self.judgement, self.sure)
        return None if question is None else Decision((), question, None, self.grammar.language)

    def _read_other(self, trade: Call) -> Decision | None:
        """Return the learned reading of a trade whose price the grammar took for another kind of price."""
        order = self._order()
        if (
            order is None
            or not order.calls
            or any(trade.args.get(name) != order.calls[0].args.get(name) for name in _TERMS)
        ):
            return None
        if order.calls[0].args == trade.args or "price" not in trade.args:
            return None
        if any(token.has("stop_order") for token in self.tokens) and trade.args.get("order_type") == "stop":
            return None
        is_exit = "price" not in order.calls[0].args
        return order if is_exit or not any(token.has("up", "down") for token in self.tokens) else None

    def _weigh_view(self, tools: tuple[str, ...]) -> Decision | None:
        sure = tools == (_PORTFOLIO,) and self.judgement.of(VIEW).probability >= self.sure.view
        return self._read() if sure else None

    def _withhold(self) -> Decision | None:
        probability = self.opinion.probability
        if self.opinion.name == PLAIN:
            acts = any(call.tool in ACTS for call in self.grammar.calls)
            least = self.sure.call_to_talk if acts else self.sure.read_to_talk
            return self._talk("question") if probability >= least else None
        if self.grammar.is_certain:
            return None
        return self._ask() if probability >= self.sure.call_to_ask else None

    def _keep(self, tool: str) -> Decision | None:
        """Drop what a message only seems to ask to see beside the one thing it is about; never drop an action."""
        frames = [
            call.args["timeframe"] for call in self.grammar.calls if call.tool in _VIEWS and "timeframe" in call.args
        ]
        calls = tuple(
            _with_timeframe(call, frames) for call in self.grammar.calls if call.tool == tool or call.tool in ACTS
        )
        dropped = len(self.grammar.calls) - len(calls)
        return Decision(calls, None, None, self.grammar.language) if dropped == 1 and len(calls) == 1 else None

    def _weigh_question(self, question: Question) -> Decision | None:
        name, probability = self.opinion.name, self.opinion.probability
        if name == TRADE and question.code in _REREAD:
            order = self._order()
            return order if order is not None and order.calls else None
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
            return self.sure.trade if self.grammar.question is None else self.sure.read_order
        if self.opinion.name == _PORTFOLIO:
            return self.sure.open_to_portfolio
        return self.sure.open_to_act if self.opinion.name in ACTS else self.sure.open_to_read

    def _read(self) -> Decision | None:
        """Return what the likeliest tool would be called with; a trade is asked about, never read."""
        tool = self.opinion.name
        if tool in (PLAIN, ASK, SEVERAL):
            return None
        if tool == TRADE:
            return self._order() or self._ask()
        context = Context() if tool in ACTS else _context(self.history)
        proposal = read_slots(tool, self.tokens, context, self.judgement, reported=self.reported)
        if proposal is None:
            return None
        if isinstance(proposal, Question):
            return Decision((), proposal, None, self.grammar.language)
        return Decision(proposal, None, None, self.grammar.language)

    def _order(self) -> Decision | None:
        """Return the order that the learned model reads, or its question; `None` where anything is in doubt."""
        if self.history or self.opinion.of(TRADE) < self.sure.read_order:
            return None
        args = read_order(self.tokens, self.judgement, self.sure, reported=self.reported)
        if isinstance(args, Question):
            return Decision((), args, None, self.grammar.language)
        call = None if args is None else checked_call(TRADE, args)
        return None if call is None else Decision((call,), None, None, self.grammar.language)

    def _ask(self) -> Decision:
        return Decision((), Question("unclear"), None, self.grammar.language)

    def _talk(self, code: str) -> Decision:
        return Decision((), None, code, self.grammar.language)


def _with_timeframe(call: Call, frames: Sequence[ArgumentValue]) -> Call:
    """Return a view or an alert with the timeframe that was read as a view of its own ("signal of gold, 4h bars")."""
    takes = call.tool in _VIEWS or call.args.get("condition") == "signal_change"
    return replace(call, args={**call.args, "timeframe": frames[0]}) if takes and len(frames) == 1 else call


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
