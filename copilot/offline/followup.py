"""Messages that lean on the ones before: "make it 0.6", "and eth?", "cancel that one", "same for atlas".

What the person asked before is read again by the same rules, then completed or changed by the new words. Trade terms
come from the person's own words alone; from the assistant's text only the number of a listed order or alert is taken,
and the instrument of a listed position when the person says to close it: the only one, or "the second one".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import cast

from copilot.offline.clauses import TRADE, Clause
from copilot.offline.corrections import apply_corrections
from copilot.offline.guard import screen
from copilot.offline.lexicon import word_set
from copilot.offline.messages import Frame, Message, read_message
from copilot.offline.requests import Args, Context, build, days_of, period_of, timeframe_of
from copilot.offline.shapes import shape
from copilot.offline.stance import is_reported
from copilot.offline.tokens import Language, Token, detect_language, tokenize
from copilot.offline.trade import Terms, contradiction, plain, read_terms, unknown_word
from copilot.offline.values import ArgumentValue, Question, Turn

_OPEN_CODES = ("unclear", "buy_or_sell", "how_much")
_UNIT_ANSWER = 2
_DEPTH = 3
_PAIR = 2
_FINEST = Decimal("0.00000001")
_LONGEST = 12
_FEW = 5
_STRONG = 58.0
_NUMBER_IN_LIST = re.compile(r"(?<![\w.,/])(\d{1,6}[a-z]?)(?![\w/]|[.,]\d|\s?%)", re.IGNORECASE)
_NUMBERED = r"|(?<![\w.,/])#(\d+[a-z]?)|(?<![\w.,/#])(\d+)(?=[:)]\s)"
_DESCRIBED = _NUMBERED + r"|(?<![\w.,/#])(\d+)(?=\s\(|\s(?:buys?|sells?|compra|vende)\b)|(?<=:\s)(\d{2,6})(?=,\s)"
_PAIRED = re.compile(r"(?<![\w.,/#])(\d{1,6}) (?:and|y(?: la)?) (\d{1,6})(?=[,.]? |\.?$)")
_WATCHED = r"|(?<![\w.,/#])(\d{1,6})(?=\s(?:\w{3,4}/USDT|XAUUSD|EURUSD|GBPUSD)\b)"
_LISTED = {
    "order": re.compile(r"(?:order|orden|órdenes|orders|one:|una:|la|#)\s*#?(\d+[a-z]?)" + _DESCRIBED, re.IGNORECASE),
    "alert": re.compile(
        r"(?:alert|alerta|one|una)[:,]?\s*(?:la\s)?#?(\d+[a-z]?)(?![.\d])" + _DESCRIBED + _WATCHED, re.IGNORECASE
    ),
    "trade": re.compile(r"(?:trade|operación|operacion)\s*#?(\d+[a-z]?)" + _NUMBERED, re.IGNORECASE),
}


@dataclass(frozen=True, slots=True)
class _Past:
    frame: Frame
    answer: str


def resume(tokens: Sequence[Token], message: Message, history: Sequence[Turn], depth: int = 0) -> Message | None:
    """Return the message completed by the conversation, or `None` when it stands alone."""
    past = _last_request(history, depth)
    if past is None or not tokens:
        return None
    clause = Clause([t for t in tokens if t.text not in ("?", "!", "¿", "¡", ".")], any(t.text == "?" for t in tokens))
    clause.settle()
    frame = _lean(clause, message, past)
    return None if frame is None else Message([frame], [clause], message.context)


def _last_request(history: Sequence[Turn], depth: int) -> _Past | None:
    users = [index for index, turn in enumerate(history) if turn.role == "user"]
    if not users or depth >= _DEPTH:
        return None
    index = users[-1]
    text = history[index].text
    screened = screen(text)
    if screened.is_untrusted or screened.quoted:
        return None
    language: Language = detect_language(text) or "en"
    tokens = shape(apply_corrections(tokenize(screened.text, language)), language)
    if is_reported(tokens):
        return None
    message = read_message(tokens)
    resumed = resume(tokens, message, history[:index], depth + 1)
    frames = (resumed or message).frames
    answer = " ".join(turn.text for turn in history[index + 1 :] if turn.role == "assistant")
    if not frames:
        loose = next((c for c in message.clauses if c.tool or "number" in c.features or "sym" in c.features), None)
        return None if loose is None else _Past(Frame(loose.tool or TRADE, loose, question=Question("unclear")), answer)
    return _Past(frames[-1], answer)


def _lean(clause: Clause, message: Message, past: _Past) -> Frame | None:
    if _quits(clause):
        return Frame(past.frame.tool, clause, talk="negated")
    if len(clause.tokens) > _LONGEST:
        return None
    listed = _from_list(clause, past)
    if listed is not None:
        return listed
    told = _sets_what_was_asked(clause, past)
    if told is not None:
        return told
    current = message.frames[-1] if message.frames else None
    if len(message.frames) > 1:
        return None
    if current is not None and not _is_elliptic(current, clause, past):
        return _fill(current, clause, past)
    if past.frame.question is not None and not past.frame.calls:
        return _complete(clause, past)
    if current is not None and current.talk is not None and current.talk != "question":
        return None
    return _change(clause, past)


def _sets_what_was_asked(clause: Clause, past: _Past) -> Frame | None:
    """Read "make it 5" behind a question about an agent's limit as a change of that limit."""
    old, features = past.frame.clause, clause.features
    asked = past.frame.tool in ("agent_status", "check_portfolio", "configure_agent") and not past.frame.calls
    asked = asked or past.frame.tool == "agent_status"
    named = len(old.all("agent")) == 1 and not old.features.isdisjoint({"size", "drawdown", "maxpos"})
    numbers = [t for t in clause.tokens if t.is_number and t.unit in ("", "percent")]
    tells = "instead" in features or ("it" in features and not features.isdisjoint({"set", "cap", "change_word"}))
    if not (asked and named and tells) or len(numbers) != 1 or "number" in old.features or clause.all("agent"):
        return None
    kinds = [t for t in old.tokens if t.get("agent") or t.has("size", "drawdown", "maxpos")]
    joined = Clause([*kinds, *numbers])
    joined.settle()
    joined.tool = "configure_agent"
    return _build_one(joined)


def _quits(clause: Clause) -> bool:
    text = " ".join(token.text for token in clause.tokens)
    return any(text.startswith(quit) for quit in word_set("quits")) or any(
        token.text in word_set("quits") for token in clause.tokens
    )


def _is_elliptic(current: Frame, clause: Clause, past: _Past) -> bool:
    """Tell whether a request that could stand alone really leans on the one before."""
    features = clause.features
    if _lacks_agent(current, clause, past):
        return False
    if "same" in features or _repeats_for_agent(current, clause, past):
        return True
    if current.talk is not None:
        return current.tool != past.frame.tool or current.talk == "question"
    if current.tool == "agent_status" and past.frame.tool in (
        "agent_status",
        "control_agent",
        "configure_agent",
        "run_backtest",
    ):
        return features.isdisjoint({"status", "status.word", "status.strong", "per", "why"}) and len(clause.tokens) <= 7
    if current.tool == "run_backtest" and past.frame.tool == "run_backtest":
        brief = "sym" not in features and len(clause.tokens) <= _FEW and "strat" in features
        return brief or ("backtest" not in features and (current.question is not None or "simulate" not in features))
    if past.frame.tool == TRADE and current.tool == TRADE:
        return current.question is not None or clause.score < 62
    if past.frame.tool == "explain_trade" and current.tool == "check_portfolio":
        return any(token.is_number for token in clause.tokens)
    if current.question is not None and current.tool == past.frame.tool:
        return True
    if past.frame.tool == TRADE and current.tool != TRADE:
        return _changes_order(clause)
    return (current.question is not None and current.question.code == "unclear") or clause.score < 50


def _lacks_agent(current: Frame, clause: Clause, past: _Past) -> bool:
    """Tell whether an agent is told something without its name, and the request before has it."""
    open_ = current.tool == "control_agent" and current.question is not None and unknown_word(clause) is None
    return open_ and not clause.all("agent") and past.frame.clause.first("agent") is not None


def _repeats_for_agent(current: Frame, clause: Clause, past: _Past) -> bool:
    """Tell whether a few words only name another agent for the same request ("y a atlas también", "on nova then")."""
    about = past.frame.tool in ("control_agent", "configure_agent", "run_backtest")
    if not about or not clause.all("agent") or len(clause.tokens) > _FEW:
        return False
    return current.question is not None or (current.tool == "control_agent" and clause.tokens[0].text == "on")


def _changes_order(clause: Clause) -> bool:
    return (not clause.features.isdisjoint({"sl", "tp", "market"}) and "number" in clause.features) or (
        "instead" in clause.features and "number" in clause.features
    )


def _fill(current: Frame, clause: Clause, past: _Past) -> Frame | None:
    """Give a request that names no instrument or agent those of the request before."""
    asks = current.question.code if current.question is not None else ""
    needs_agent = (
        current.tool == "explain_trade" and not clause.all("agent") and past.frame.clause.first("agent") is not None
    )
    if current.tool == "run_backtest" and past.frame.tool == "run_backtest":
        return None
    if asks not in ("which_symbol", "which_agent", "unclear") and not needs_agent:
        return None
    if asks == "which_agent" and unknown_word(clause) is not None:
        return None
    old = past.frame.clause
    before = past.frame.calls[0] if past.frame.calls else {}
    symbol = cast("str | None", before.get("symbol")) or old.first("sym")
    agent = cast("str | None", before.get("agent")) or old.first("agent")
    context = Context(symbol, agent if agent != "all" else None)
    again = read_message(clause.tokens, context)
    frame = again.frames[-1] if again.frames else None
    if frame is None or (frame.question is not None and frame.question.code in ("which_symbol", "which_agent")):
        return None
    return frame


def _complete(clause: Clause, past: _Past) -> Frame | None:
    """Read the open request and its answer as one sentence."""
    old = past.frame.clause
    unit = _unit_answer(clause)
    if unit and past.frame.question is not None and past.frame.question.code == "amount_ambiguous":
        for token in old.tokens:
            if token.is_number:
                token.unit = "money" if unit == "money" else ""
        old.tokens += [Token("coins", "coins", frozenset({"coins_said"}))]
        old.settle()
        return _build_one(old)
    joined = read_message([*old.tokens, *clause.tokens])
    frame = next((f for f in joined.frames if f.tool == past.frame.tool), None)
    if frame is None or frame.question is not None:
        merged = Clause([*old.tokens, *clause.tokens], clause.asked)
        merged.settle()
        merged.tool = past.frame.tool if past.frame.tool else merged.tool
        again = _build_one(merged)
        frame = again if again is not None and (frame is None or again.question is None) else frame
    if frame is not None and frame.tool == TRADE and not _is_placed(clause, frame):
        return Frame(TRADE, frame.clause, question=Question("unclear"))
    return frame


def _is_placed(answer: Clause, frame: Frame) -> bool:
    """Tell whether the numbers of an answer stand in the order that it completes."""
    values = {value for call in frame.calls for value in call.values() if isinstance(value, Decimal)}
    said = [t for t in answer.tokens if t.is_number and t.unit != "time" and t.value is not None]
    return (
        not frame.calls or not values.isdisjoint(plain(abs(t.value)) for t in said if t.value is not None) or not said
    )


def _unit_answer(clause: Clause) -> str:
    """Return what a bare "dollars" or "coins" answers to "units or money?"."""
    if clause.all("cur") or any(t.is_number and t.unit == "money" for t in clause.tokens):
        return "money"
    return "coins" if "unit" in clause.features or clause.all("sym") else ""


def _build_one(clause: Clause) -> Frame | None:
    outcome = build(clause, Context())
    if isinstance(outcome, Question):
        return Frame(clause.tool, clause, question=outcome)
    return Frame(clause.tool, clause, calls=outcome)


def _from_list(clause: Clause, past: _Past) -> Frame | None:
    """Read "cancel that one", "pull 32", "close it" against what was listed."""
    features, old = clause.features, past.frame
    noun = _listed_noun(old)
    removes = _removes(clause) or (noun is not None and _closes_listed(clause))
    if noun and removes and features.isdisjoint({"sym", "alert", "order", "agent"}):
        return _cancel_listed(clause, past, noun)
    if noun and removes and clause.all("sym") and features.isdisjoint({"position", "trade", "number"}):
        if any(t.text in word_set("several_pointed") for t in clause.tokens):
            calls: list[Args] = [{f"{noun}_id": "all", "symbol": symbol} for symbol in clause.all("sym")]
            return Frame(f"cancel_{noun}", clause, calls=calls)
        chosen = _listed_about(past.answer, noun, clause.all("sym"))
        if len(chosen) == 1:
            return Frame(f"cancel_{noun}", clause, calls=[{f"{noun}_id": chosen[0]}])
    if noun and old.tool in ("cancel_order", "cancel_alert") and _identifiers(clause):
        key = f"{noun}_id"
        return Frame(old.tool, clause, calls=[{key: identifier} for identifier in _identifiers(clause)])
    if old.tool == "check_portfolio" and not features.isdisjoint({"why", "explain"}) and not clause.all("sym"):
        return _explain_listed(clause, past)
    closes = not features.isdisjoint({"close", "dispose"})
    if closes and old.tool == "check_portfolio" and not clause.all("sym"):
        symbols = Clause(tokenize(past.answer, "en")).all("sym")
        chosen_symbols = _chosen(clause, symbols)
        if len(chosen_symbols) == 1:
            return Frame(TRADE, clause, calls=[{"symbol": chosen_symbols[0], "side": "close"}])
    return None


def _removes(clause: Clause) -> bool:
    """Tell whether something shall go; "igual pero para 3.000" repeats, and says nothing about an end."""
    features = clause.features
    stops = "stop" in features and any(t.has("stop") and t.text != "para" for t in clause.tokens)
    return "same" not in features and (stops or not features.isdisjoint({"cancel", "remove"}))


def _closes_listed(clause: Clause) -> bool:
    """Tell whether "close the btc one" or "volá la de ltc" is about the thing listed and not about a position."""
    tokens = clause.tokens
    if not any(t.has("close", "dispose", "sell") for t in tokens) or any(t.is_number for t in tokens):
        return False
    if not clause.features.isdisjoint({"position", "trade"}):
        return False
    for index, token in enumerate(tokens[:-1]):
        if token.text in word_set("pointers") and tokens[index + 1].text in ("de", "del", "on", "for", "about"):
            return True
        if token.get("sym") and tokens[index + 1].text in ("one", "ones"):
            return True
    return False


def _explain_listed(clause: Clause, past: _Past) -> Frame | None:
    """Read "why?" behind a list with one trade as a question about it."""
    listed = _numbers_listed("trade", past.answer)
    if len(listed) != 1 or not any(call.get("view") == "trades" for call in past.frame.calls):
        return None
    return Frame("explain_trade", clause, calls=[{"trade_id": listed[0]}])


def _numbers_listed(noun: str, answer: str) -> list[str]:
    return [_number_of(mark) for mark in _LISTED[noun].finditer(answer)]


def _number_of(mark: re.Match[str]) -> str:
    return next(group for group in mark.groups() if group)


def _listed_about(answer: str, noun: str, symbols: Sequence[str]) -> list[str]:
    """Return the listed numbers whose text names one of the instruments."""
    marks = list(_LISTED[noun].finditer(answer))
    ends = [*(mark.start() for mark in marks[1:]), len(answer)][: len(marks)]
    texts = [(_number_of(mark), answer[mark.end() : end]) for mark, end in zip(marks, ends, strict=True)]
    return [name for name, text in texts if set(Clause(tokenize(text, "en")).all("sym")) & set(symbols)]


def _listed_noun(old: Frame) -> str | None:
    if old.tool in ("list_alerts", "cancel_alert", "set_alert"):
        return "alert"
    if old.tool == "cancel_order":
        return "order"
    if old.tool == "check_portfolio" and any(call.get("view") == "orders" for call in old.calls):
        return "order"
    return None


def _identifiers(clause: Clause) -> list[str]:
    return [t.raw for t in clause.tokens if (t.is_number and t.raw.isdigit() and t.unit == "") or t.has("id")]


def _cancel_listed(clause: Clause, past: _Past, noun: str) -> Frame | None:
    tool, key = f"cancel_{noun}", f"{noun}_id"
    said = " ".join(token.text for token in clause.tokens)
    pair = _PAIRED.search(past.answer)
    both = [*pair.groups()] if pair is not None else _numbers_listed(noun, past.answer)
    if len(both) == _PAIR and any(said.endswith(word) for word in word_set("both")):
        return Frame(tool, clause, calls=[{key: identifier} for identifier in both])
    named = _identifiers(clause)
    if named:
        return Frame(tool, clause, calls=[{key: identifier} for identifier in named])
    if "all" in clause.features:
        return Frame(tool, clause, calls=[{key: "all"}])
    listed = _chosen(clause, _numbers_listed(noun, past.answer))
    if len(listed) == 1:
        return Frame(tool, clause, calls=[{key: listed[0]}])
    return Frame(tool, clause, question=Question(f"which_{noun}"))


def _chosen(clause: Clause, listed: list[str]) -> list[str]:
    """Return the first, second or last of what was listed when the person says so, otherwise all of it."""
    if len(listed) > 1 and "ordinal1" in clause.features:
        return listed[:1]
    if len(listed) > 1 and "ordinal2" in clause.features:
        return listed[1:2]
    return listed[-1:] if "last_one" in clause.features else listed


def _change(clause: Clause, past: _Past) -> Frame | None:
    """Change the request before by the new words."""
    old = past.frame
    if len(old.calls) != 1:
        return None
    changer = _CHANGERS.get(old.tool)
    if changer is None:
        return None
    changed = changer(clause, dict(old.calls[0]), old.clause)
    if changed is None:
        return None
    if isinstance(changed, Question):
        return Frame(old.tool, old.clause, question=changed)
    return Frame(old.tool, old.clause, calls=[changed])


_Changed = Args | Question | None


def _symbol_of(clause: Clause) -> str | Question | None:
    if any(t.has("unknown") and not t.get("sym") for t in clause.tokens):
        return Question("unknown_instrument", {"symbol": next(t.raw for t in clause.tokens if t.has("unknown"))})
    return clause.first("sym")


def _change_view(clause: Clause, args: Args, old: Clause) -> _Changed:
    """Change a chart or a signal: another instrument, timeframe or indicators."""
    symbol = _symbol_of(clause)
    if isinstance(symbol, Question):
        return symbol
    timeframe = timeframe_of(clause, long=True)
    indicators = clause.all("ind")
    if not (symbol or timeframe or indicators):
        return None
    if symbol:
        args["symbol"] = symbol
    if timeframe:
        args["timeframe"] = timeframe
    if args.get("timeframe") == "1h":
        del args["timeframe"]
    if indicators and "symbol" in args:
        args["indicators"] = _indicators(clause, cast("tuple[str, ...]", args.get("indicators", ())))
    return args


def _indicators(clause: Clause, old: tuple[str, ...]) -> tuple[str, ...]:
    """Drop what is told to go, add what is told to come."""
    gone: set[str] = set()
    added: list[str] = []
    dropping = False
    swapping = any(t.text in word_set("swaps") for t in clause.tokens)
    for token in clause.tokens:
        if token.has("remove") or token.text in word_set("drops"):
            dropping = True
        elif token.text in word_set("adds"):
            dropping = False
        for name in token.of("ind"):
            if dropping or (swapping and not gone):
                gone.add(name)
            else:
                added.append(name)
    only = any(t.has("only") for t in clause.tokens)
    kept = () if only else tuple(name for name in old if name not in gone)
    return kept + tuple(name for name in added if name not in kept)


def _change_backtest(clause: Clause, args: Args, old: Clause) -> _Changed:
    symbol = _symbol_of(clause)
    if isinstance(symbol, Question):
        return symbol
    target = clause.first("strat") or clause.first("agent") or ("signal" if "signal" in clause.features else None)
    days = days_of(clause)
    if isinstance(days, Question):
        return days
    timeframe = timeframe_of(clause, long=False)
    changes: Args = {}
    if target:
        changes["target"] = target
    if symbol:
        changes["symbol"] = symbol
    if timeframe:
        changes["timeframe"] = timeframe
    if days:
        changes["days"] = days
    return {**args, **changes} if changes else None


def _change_portfolio(clause: Clause, args: Args, old: Clause) -> _Changed:
    period = period_of(clause)
    if not period:
        return None
    return {**args, "period": period}


def _change_status(clause: Clause, args: Args, old: Clause) -> _Changed:
    period, agent = period_of(clause), clause.first("agent")
    if not period and not agent:
        return None
    changed: Args = dict(args)
    if period:
        changed["period"] = period
    if agent:
        changed["agent"] = agent
    return changed


def _change_control(clause: Clause, args: Args, old: Clause) -> _Changed:
    agent = clause.first("agent") or ("all" if not clause.features.isdisjoint({"all", "agents"}) else None)
    return {**args, "agent": agent} if agent else None


def _change_config(clause: Clause, args: Args, old: Clause) -> _Changed:
    changed: Args = dict(args)
    agent = clause.first("agent")
    if agent:
        changed["agent"] = agent
    value = _new_value(clause, args)
    if isinstance(value, Question):
        return value
    if value is not None:
        changed["value"] = value
    return changed if agent or value is not None else None


def _new_value(clause: Clause, args: Args) -> ArgumentValue | Question | None:
    setting = str(args["setting"])
    if setting in ("pairs", "favourites", "strategies"):
        items = clause.all("strat" if setting == "strategies" else "sym")
        if not items:
            return None
        before = cast("tuple[str, ...]", args["value"])
        adds = not clause.features.isdisjoint({"also"}) and "instead" not in clause.features and not (len(items) > 1)
        return tuple(dict.fromkeys([*before, *items])) if adds else tuple(items)
    number = next((t for t in clause.tokens if t.is_number and t.unit != "time"), None)
    if number is None:
        return None
    limit = Decimal(1000) if setting == "max_positions" else Decimal(100)
    if number.value is None or not 0 < number.value <= limit:
        return Question("bad_number", {"value": number.raw})
    return plain(number.value)


def _change_profile(clause: Clause, args: Args, old: Clause) -> _Changed:
    setting = str(args["setting"])
    if setting in ("favourites", "risk_per_trade_pct"):
        value = _new_value(clause, args)
        if isinstance(value, Question) or value is None:
            return value
        return {**args, "value": value}
    if setting == "language":
        language = clause.first("lang")
        return {**args, "value": language} if language else None
    if setting == "base_currency":
        currency = clause.first("cur")
        return {**args, "value": currency} if currency else None
    words = [
        t.raw
        for t in clause.tokens
        if (t.raw[:1].isupper() and not t.labels)
        or (t.raw[:1].isupper() and not t.has("instead", "confirm", "greeting"))
    ]
    return {**args, "value": " ".join(words)} if words else None


def _change_alert(clause: Clause, args: Args, old: Clause) -> _Changed:
    symbol = _symbol_of(clause)
    if isinstance(symbol, Question):
        return symbol
    numbers = [t for t in clause.tokens if t.is_number and t.unit != "time"]
    number = next((t for t in numbers if len(numbers) == 1 or t.text not in word_set("alert_pronouns")), None)
    direction = next(
        (
            "up" if t.has("up") else "down"
            for t in clause.tokens
            if t.has("up") != t.has("down") and not t.has("instead")
        ),
        None,
    )
    if number is None and symbol is None and direction is None:
        return None
    changed: Args = dict(args)
    if symbol:
        changed["symbol"] = symbol
    if number is not None:
        if number.value is None or number.value <= 0:
            return Question("bad_number", {"value": number.raw})
        changed["value"] = plain(number.value)
    changed["condition"] = _turned(str(args["condition"]), direction)
    return changed


def _turned(condition: str, direction: str | None) -> str:
    kind, _, way = condition.partition("_")
    if direction is None or condition == "signal_change":
        return condition
    opposite = {"above": "below", "below": "above", "up": "down", "down": "up"}
    is_up = way in ("above", "up")
    return condition if is_up == (direction == "up") else f"{kind}_{opposite[way]}"


def _change_explain(clause: Clause, args: Args, old: Clause) -> _Changed:
    named = _identifiers(clause)
    if named:
        return {"trade_id": named[0]}
    symbol, agent = clause.first("sym"), clause.first("agent")
    if not symbol and not agent:
        return None
    changed: Args = {key: value for key, value in args.items() if key != "trade_id"}
    if symbol:
        changed["symbol"] = symbol
    if agent:
        changed["agent"] = agent
    return changed


def _change_trade(clause: Clause, args: Args, old: Clause) -> _Changed:
    terms = read_terms(clause, None)
    if _unit_answer(clause) == "coins" and len(clause.tokens) <= _UNIT_ANSWER and terms.amount is None:
        return dict(args)
    if terms.question is not None and terms.question.code not in _OPEN_CODES:
        return terms.question
    if terms.price is not None and terms.amount is None and args.get("unit") == "percent" and "price" not in args:
        terms.amount, terms.price = terms.price, None
    symbol = clause.first("sym")
    features = clause.features
    if symbol and symbol != args.get("symbol") and features.isdisjoint({"same", "instead"}):
        return None
    if "all" in features and "number" not in features:
        return {"symbol": args["symbol"], "side": "close"} if args["side"] in ("sell", "close") else None
    changed: Args = {**args, **_new_side(clause), **_new_size(clause, args, terms), **_new_prices(args, terms)}
    if symbol:
        changed["symbol"] = symbol
    if terms.market and terms.price is None:
        changed.pop("price", None)
        changed.pop("order_type", None)
    if changed == args:
        return None
    return contradiction(changed) or changed


def _new_side(clause: Clause) -> Args:
    sides = [t for t in clause.tokens if t.has("buy", "sell") and not t.has("buy.weak", "tp", "sl", "limit")]
    return {"side": "buy" if sides[-1].has("buy") else "sell"} if sides else {}


def _new_size(clause: Clause, args: Args, terms: Terms) -> Args:
    scaled = _scaled(clause, args)
    if scaled is not None:
        return {"amount": scaled}
    changes: Args = {}
    part = terms.amount
    if (
        part is not None
        and part.is_fraction
        and part.value is not None
        and args["side"] != "buy"
        and "amount" not in args
    ):
        share = (part.value * 100).quantize(Decimal("0.01"))
        return {"side": "sell", "amount": plain(share), "unit": "percent"}
    if terms.amount is not None and terms.amount.value is not None:
        _set_number(changes, args, terms.amount)
    return changes


def _new_prices(args: Args, terms: Terms) -> Args:
    named = {
        "stop_loss": terms.stop,
        "take_profit": terms.target,
        "stop_loss_pct": terms.stop_pct,
        "take_profit_pct": terms.target_pct,
        "price": terms.price,
    }
    changes: Args = {k: plain(abs(t.value)) for k, t in named.items() if t is not None and t.value is not None}
    if "price" in changes:
        changes["order_type"] = args.get("order_type", "limit")
    return changes


def _scaled(clause: Clause, args: Args) -> Decimal | None:
    amount = args.get("amount")
    if isinstance(amount, Decimal) and "triple" in clause.features:
        return plain(amount * 3)
    if not isinstance(amount, Decimal) or clause.features.isdisjoint({"double", "half_that"}):
        fraction = next((t for t in clause.tokens if t.is_fraction and t.unit == ""), None)
        if fraction is None or fraction.value is None or not isinstance(amount, Decimal) or not fraction.is_word_number:
            return None
        return plain((amount * fraction.value).quantize(_FINEST))
    return plain(amount * 2 if "double" in clause.features else amount / 2)


def _set_number(changes: Args, args: Args, number: Token) -> None:
    """Put a bare number where the old value is closest in size: the amount or the price."""
    value = number.value
    if value is None:
        return
    price, amount = args.get("price"), args.get("amount")
    if (
        number.unit == ""
        and isinstance(price, Decimal)
        and isinstance(amount, Decimal)
        and _nearer(value, price, amount)
    ):
        changes["price"] = plain(value)
        return
    if number.unit == "percent" and args.get("unit") != "percent":
        distances = [name for name in ("stop_loss_pct", "take_profit_pct") if name in args]
        if len(distances) == 1:  # "make it 3%", said of an order whose only percentage is how far its stop lies
            changes[distances[0]] = plain(value)
            return
    changes["amount"] = plain(value)
    if number.unit == "money":
        changes["unit"] = "quote"
    elif number.unit == "percent":
        changes["unit"] = "percent"


def _nearer(value: Decimal, price: Decimal, amount: Decimal) -> bool:
    def ratio(other: Decimal) -> Decimal:
        return max(value, other) / min(value, other)

    return ratio(price) < ratio(amount)


_CHANGERS = {
    "get_signal": _change_view,
    "analyze_chart": _change_view,
    "run_backtest": _change_backtest,
    "check_portfolio": _change_portfolio,
    "agent_status": _change_status,
    "control_agent": _change_control,
    "configure_agent": _change_config,
    "update_profile": _change_profile,
    "set_alert": _change_alert,
    "explain_trade": _change_explain,
    TRADE: _change_trade,
}
