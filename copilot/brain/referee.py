"""Settle what a message calls for when the deterministic parser and a language model have both read it.

A language model may add nothing but questions to what changes something. Every call that is more than a reading is
carried out only as the parser itself read it from the person's own words, with the model agreeing or silent; where the
two differ about a trade, the person is asked. Readings that only the model saw are taken when every instrument in them
was named by the person. So the worst that any model can do to a message is to make the copilot ask or look
something up.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from copilot.brain.proposal import Proposal
from copilot.offline import Call, Question
from copilot.offline.evidence import Evidence
from copilot.offline.values import Decision

TRADE = "execute_trade"
READINGS = frozenset(
    {"get_signal", "analyze_chart", "check_portfolio", "list_alerts", "agent_status", "explain_trade", "run_backtest"}
)
SETTLED_TALK = frozenset({"confirmation", "quoted", "negated", "past"})
"""Talk in which the parser holds something back on purpose; no model may overrule it."""
MISREAD = "trade_readings_differ"


def settle(own: Decision, proposal: Proposal, said: Evidence) -> Decision:
    """Return the decision that stands.

    Args:
        own: What the parser read.
        proposal: What the model read.
        said: What the person's own words in this conversation mention.
    """
    if own.talk in SETTLED_TALK:
        return own
    writes = [call for call in proposal.calls if call.tool not in READINGS]
    mine = [call for call in own.calls if call.tool not in READINGS]
    if _differ_about_a_trade(mine, writes, proposal):
        return _asking(own, MISREAD)
    if own.calls:
        return own
    return _without_own_calls(own, proposal, writes, said)


def _differ_about_a_trade(mine: list[Call], theirs: list[Call], proposal: Proposal) -> bool:
    """Tell whether one of the two wants a trade that the other does not want in exactly these terms."""
    my_trades = [call for call in mine if call.tool == TRADE]
    their_trades = [call for call in theirs if call.tool == TRADE]
    if not my_trades and not their_trades:
        return False
    return my_trades != their_trades or proposal.is_doubtful


def _without_own_calls(own: Decision, proposal: Proposal, writes: list[Call], said: Evidence) -> Decision:
    """Settle a message in which the parser found nothing to do."""
    if writes:
        return own if own.question is not None else _asking(own, "unclear")
    readings = proposal.calls
    if readings and (own.question is None or own.question.code in ("unclear", "which_symbol")):
        if all(_is_said(call, said) for call in readings):
            return replace(own, calls=readings, question=None, talk=None)
        return own if own.question is not None else _asking(own, "which_symbol")
    if own.question is not None:
        return own
    if proposal.question is not None and own.talk in ("help", "smalltalk", "question"):
        return _asking(own, proposal.question)
    return own


def _is_said(call: Call, said: Evidence) -> bool:
    """Tell whether every name and number in a reading comes from the person's own words."""
    known = {
        "symbol": said.symbols,
        "agent": said.agents | {"all"},
        "timeframe": said.timeframes,
        "trade_id": {str(number) for number in said.numbers},
    }
    is_named = all(str(call.args[name]) in names for name, names in known.items() if name in call.args)
    return is_named and _numbers_said(call.args.values(), said)


def _numbers_said(values: Iterable[object], said: Evidence) -> bool:
    """Tell whether whole numbers in a reading (days of a backtest) can come from the person's words.

    Weeks, months and years are spoken as other numbers than the days they become, so a multiple of one is enough.
    """
    spans = (1, 7, 30, 365)
    spoken = {number * span for number in said.numbers | {1} for span in spans}
    return all(value in spoken for value in values if isinstance(value, int))


def _asking(own: Decision, code: str) -> Decision:
    return replace(own, calls=(), question=Question(code), talk=None, is_certain=False)
