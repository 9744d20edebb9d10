"""What a named tool would be called with: the grammar's own readers, asked about one tool.

The learned model says what a message is about; this file reads the arguments with the same functions that the grammar
uses, from the same labelled words. Nothing is filled in that was not said: a missing argument becomes the question it
always is, and a message whose stance forbids acting gives nothing at all. Three things may be named by the model where
the grammar knows no word for them: which way an alert looks, that an agent shall pause or stop, and which limit of one
named agent a plain number is meant for. A trade is never read here.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from pydantic import ValidationError

from copilot.offline.clauses import Clause
from copilot.offline.learned.labels import ACTION, CONDITION, SETTING, VIEW
from copilot.offline.learned.model import Judgement
from copilot.offline.requests import Args, Context, Outcome, build, period_of, timeframe_of
from copilot.offline.stance import ACTS, Verdict, judge
from copilot.offline.tokens import Token
from copilot.offline.trade import plain
from copilot.offline.values import ArgumentValue, Call, Question
from tools.schema import ARGUMENTS

_MARKS = frozenset({"?", "!", "¿", "¡", "."})
_CONTROLS = frozenset({"start", "stop", "pause", "resume", "remove"})
_GROUNDS = {
    "cancel_order": frozenset({"cancel", "remove", "order", "pending", "orderid"}),
    "cancel_alert": frozenset({"cancel", "remove", "alert", "nomore"}),
}
_UNTIMED_VIEWS = ("orders", "positions")
_ACT = Verdict()
_SURE, _VERY_SURE = 0.5, 0.7
_TURN = "signal_change"
_COUNT = "max_positions"
_LIMITS = ("position_size_pct", "max_drawdown_pct", _COUNT)
_MOST = 100
Proposal = tuple[Call, ...] | Question | None


def read_slots(
    tool: str, tokens: Sequence[Token], context: Context, judgement: Judgement, *, reported: bool = False
) -> Proposal:
    """Return the calls of a tool that a message makes, a question, or `None` when it may not act.

    Args:
        tool: The tool that the message is taken to ask for, any but a trade.
        tokens: Its tagged words, quotations left out.
        context: What the conversation named before.
        judgement: What the learned model makes of the message.
        reported: Whether it tells somebody else's words.
    """
    clause = Clause([token for token in tokens if token.text not in _MARKS], any(t.text == "?" for t in tokens))
    clause.settle()
    clause.tool = tool
    if tool in ACTS and judge(clause, quoted=False, reported=reported) != _ACT:
        return None
    outcome = _outcome(clause, context, judgement)
    if isinstance(outcome, Question):
        return outcome
    calls = [checked_call(tool, args) for args in outcome]
    return tuple(call for call in calls if call is not None) if None not in calls else Question("unclear")


def _outcome(clause: Clause, context: Context, judgement: Judgement) -> Outcome:
    if clause.features.isdisjoint(_GROUNDS.get(clause.tool, clause.features)):
        return Question("unclear")
    if clause.tool == "control_agent" and clause.features.isdisjoint(_CONTROLS):
        return _control(clause, context, judgement)
    outcome = build(clause, context)
    if clause.tool == "check_portfolio":
        return [_viewed(clause, judgement)]
    if not isinstance(outcome, Question):
        return outcome
    if clause.tool == "set_alert" and outcome.code in ("alert_condition", "alert_value"):
        return _alert(clause, context, judgement) or outcome
    if clause.tool == "configure_agent" and outcome.code == "which_setting":
        return _limit(clause, judgement) or outcome
    return outcome


def _viewed(clause: Clause, judgement: Judgement) -> Args:
    """Return the part of the portfolio that is asked for; the model knows more words for it than the grammar."""
    view = judgement.of(VIEW).name
    args: Args = {} if view == "summary" else {"view": view}
    period = period_of(clause)
    if period and view not in _UNTIMED_VIEWS:
        args["period"] = period
    return args


def _control(clause: Clause, context: Context, judgement: Judgement) -> Outcome:
    """Pause or stop in words that the grammar does not know; starting needs a word that it does."""
    action = judgement.of(ACTION)
    if action.name not in ("pause", "stop") or action.probability < _SURE:
        return Question("unclear")
    outcome = build(clause, context)
    return outcome if isinstance(outcome, Question) else [{**args, "action": action.name} for args in outcome]


def _alert(clause: Clause, context: Context, judgement: Judgement) -> Outcome | None:
    """Return the alert whose direction only the model read, where instrument and level are plain."""
    condition = judgement.of(CONDITION)
    numbers = [token for token in clause.tokens if token.is_number and token.unit != "time"]
    symbols = clause.all("sym") or ([context.symbol] if context.symbol else [])
    least = _VERY_SURE if condition.name == _TURN else _SURE
    if condition.probability < least or len(symbols) != 1 or len(numbers) != (condition.name != _TURN):
        return None
    args: Args = {"symbol": symbols[0], "condition": condition.name}
    if numbers:
        if numbers[0].value is None or not _suits(condition.name, numbers[0], clause):
            return None
        args["value"] = plain(abs(numbers[0].value))
    timeframe = timeframe_of(clause, long=True)
    return [{**args, "timeframe": timeframe}] if timeframe else [args]


def _limit(clause: Clause, judgement: Judgement) -> Outcome | None:
    """Return the limit of one named agent whose kind only the model read."""
    setting = judgement.of(SETTING)
    numbers = [token.value for token in clause.tokens if token.is_number and token.unit in ("", "percent")]
    agents = clause.all("agent")
    if setting.probability < _VERY_SURE or len(numbers) != 1 or len(agents) != 1 or setting.name not in _LIMITS:
        return None
    value = numbers[0]
    if value is None or not 0 < value <= _MOST or (setting.name == _COUNT and value != value.to_integral_value()):
        return None
    return [{"agent": agents[0], "setting": setting.name, "value": plain(value)}]


def _suits(condition: str, number: Token, clause: Clause) -> bool:
    """Tell whether a level is of the kind that a condition watches."""
    kind = condition.partition("_")[0]
    if kind == "rsi":
        return "ind:rsi" in clause.features and number.unit == ""
    return kind == ("change" if number.unit == "percent" else "price") and "ind:rsi" not in clause.features


def checked_call(tool: str, args: Args) -> Call | None:
    """Return a call with only its non-default arguments, or `None` when the tool would refuse it."""
    try:
        valid = ARGUMENTS[tool].model_validate(args)
    except ValidationError:
        return None
    fields = ARGUMENTS[tool].model_fields
    given = valid.model_dump(exclude_unset=True).items()
    return Call(tool, {name: _plain(value) for name, value in given if value != fields[name].default})


def _plain(value: Any) -> ArgumentValue:
    if isinstance(value, list | tuple):
        return tuple(str(item) for item in value)
    return value if isinstance(value, int | Decimal) else str(value)


__all__ = ["Proposal", "checked_call", "read_slots"]
