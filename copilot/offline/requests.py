"""Arguments of every tool but the trade, read from a clause.

Each function returns the calls of one clause, or the question it leaves open. A context carries what earlier clauses of
the same message named, so that "chart btc 4h and tell me its signal" needs no repetition.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise, product

from copilot.offline.allotments import allotment_of, money_of
from copilot.offline.clauses import Clause, is_identifier, noun_before
from copilot.offline.lexicon import load_lexicon, word_set
from copilot.offline.tokens import Token
from copilot.offline.trade import order_arguments, plain, read_price, read_terms, unknown_word
from copilot.offline.values import ArgumentValue, Question

Args = dict[str, ArgumentValue]
Outcome = list[Args] | Question
_DAYS = {"day": 1, "week": 7, "month": 30, "year": 365}
_TIMEFRAMES = {
    ("minute", 1): "1m",
    ("minute", 5): "5m",
    ("minute", 15): "15m",
    ("minute", 30): "30m",
    ("minute", 60): "1h",
} | {
    ("hour", 1): "1h",
    ("hour", 4): "4h",
    ("hour", 24): "1d",
}
_LONG_TIMEFRAMES = {("day", 1): "1d", ("week", 1): "1w", ("day", 7): "1w"}
_PERIODS = {
    ("day", 7): "7d",
    ("week", 1): "7d",
    ("day", 30): "30d",
    ("month", 1): "30d",
    ("week", 4): "30d",
    ("day", 1): "today",
    ("hour", 24): "today",
}
_LEAST_BEFORE = 2
_SHORT_CANCEL = 3
_MINUTE_COUNTS = (1, 5, 15, 30)
_HUNDRED = Decimal(100)
_DEFAULT_DAYS = 365
_PERIOD_DAYS = {"7d": 7, "30d": 30}
_TIMEFRAME_PERIODS = {"1w": "7d", "1d": "today"}


@dataclass(slots=True)
class Context:
    """What earlier clauses of the message, or the conversation, named."""

    symbol: str | None = None
    agent: str | None = None
    timeframe: str | None = None
    side_clause: Clause | None = None


def build(clause: Clause, context: Context) -> Outcome:
    """Return the arguments of each call that the clause asks for."""
    return _BUILDERS[clause.tool](clause, context)


def timeframe_of(clause: Clause, *, long: bool) -> str | None:
    """Return the timeframe; with `long`, "one day" and "one week" count as timeframes too."""
    named = clause.first("tf")
    if named:
        return named
    for token in clause.tokens:
        found = named_timeframe(token, long=long)
        if found:
            return found
    return _bare_minutes(clause)


def _bare_minutes(clause: Clause) -> str | None:
    """Read "candles of 15" and "on the 30" as minutes."""
    for index, token in enumerate(clause.tokens):
        if not token.is_number or token.unit or token.raw not in ("1", "5", "15", "30") or index < _LEAST_BEFORE:
            continue
        link, head = clause.tokens[index - 1], clause.tokens[index - 2]
        last = index == len(clause.tokens) - 1
        if (link.has("of") and head.has("chart")) or (link.text == "the" and head.text == "on" and last):
            return f"{token.raw}m"
    return None


def named_timeframe(token: Token, *, long: bool = True) -> str | None:
    """Return the timeframe that a number with its unit stands for; with `long`, also "one day" and "one week"."""
    if not token.is_number or token.value is None or token.value != token.value.to_integral_value():
        return None
    count = int(token.value)
    if token.payload == "m" and token.unit == "" and count // 1_000_000 in _MINUTE_COUNTS:
        return f"{count // 1_000_000}m"
    if token.unit != "time":
        return None
    key = (token.payload, count)
    return _TIMEFRAMES.get(key) or (_LONG_TIMEFRAMES.get(key) if long else None)


def period_of(clause: Clause) -> str | None:
    """Return the period that a clause names; a bound one ("since January") counts before "altogether"."""
    named = clause.all("per")
    if named:
        return next((period for period in named if period != "all"), "all")
    for token in clause.tokens:
        if token.unit == "time" and token.value is not None and token.value == token.value.to_integral_value():
            found = _PERIODS.get((token.payload, int(token.value)))
            if found:
                return found
    return None


def days_of(clause: Clause) -> int | Question | None:
    """Return the length of a backtest in days."""
    found: int | None = None
    for token in clause.tokens:
        if token.get("days"):
            found = int(str(token.get("days")))
        found = _PERIOD_DAYS.get(token.get("per") or "", found)
        if token.unit == "time" and token.payload in _DAYS:
            if token.value is None or token.value <= 0:
                return Question("bad_number", {"value": token.raw})
            found = int(token.value * _DAYS[token.payload])
    return found


def _symbol(clause: Clause, context: Context) -> str | Question:
    symbols = clause.all("sym")
    unknown = next((t.raw for t in clause.tokens if t.has("unknown") and not t.get("sym")), None)
    if unknown:
        return Question("unknown_instrument", {"symbol": unknown})
    if symbols:
        return symbols[0]
    if "ounce" in clause.features:
        return "XAUUSD"
    stranger = unknown_word(clause)
    if context.symbol and stranger is None:
        return context.symbol
    return Question("unknown_instrument", {"symbol": stranger}) if stranger else Question("which_symbol")


def _market_view(clause: Clause, context: Context) -> Outcome:
    symbol = _symbol(clause, context)
    if isinstance(symbol, Question):
        return symbol
    symbols = clause.all("sym") or [symbol]
    timeframe = timeframe_of(clause, long=True) or (context.timeframe if not clause.all("sym") else None)
    if timeframe is None and any(token.text in word_set("weeks") for token in clause.tokens):
        timeframe = "1w"
    indicators = tuple(clause.all("ind")) if clause.tool == "analyze_chart" else ()
    calls: list[Args] = []
    listed = clause.all("tf") if len(symbols) == 1 and "also" in clause.features else []
    frames: list[str | None] = [*listed] or [timeframe]
    for one, frame in product(symbols, frames):
        args: Args = {"symbol": one}
        if frame and frame != "1h":
            args["timeframe"] = frame
        if indicators:
            args["indicators"] = indicators
        calls.append(args)
    return calls


def _portfolio(clause: Clause, context: Context) -> Outcome:
    features = clause.features
    view = _view(features)
    args: Args = {} if view == "summary" else {"view": view}
    period = period_of(clause) or _TIMEFRAME_PERIODS.get(clause.first("tf") or "")
    if period and view not in ("orders", "positions") and not (view == "summary" and period == "all"):
        args["period"] = period
    if view == "orders" and period and "trade_history" in features:
        args["period"] = period
    return [args]


def _view(features: frozenset[str]) -> str:
    if not features.isdisjoint({"order", "pending"}):
        return "orders"
    if "position" in features or ("open" in features and "trade" in features):
        return "positions"
    if "trade" in features or ("pnl" not in features and not features.isdisjoint({"buy.past", "sell.past"})):
        return "trades"
    if "risk" in features:
        return "risk"
    if "pnl" in features:
        return "pnl"
    if "per" in features and "portfolio" not in features:
        return "pnl"
    owned = "mine" in features and features.isdisjoint({"portfolio", "cash"})
    return "positions" if "open" in features or owned else "summary"


def _trade(clause: Clause, context: Context) -> Outcome:
    terms = read_terms(clause, context.symbol)
    if terms.side is None and clause.inherits and context.side_clause is not None:
        terms = read_terms(_with_side(clause, context.side_clause), context.symbol)
        if terms.amount is None and "another" in clause.features:
            terms.amount = read_terms(context.side_clause, context.symbol).amount
    if terms.symbol is None and terms.question is None:
        stranger = unknown_word(clause)
        if stranger:
            return Question("unknown_instrument", {"symbol": stranger})
    arguments = order_arguments(terms)
    if isinstance(arguments, Question):
        return _each(clause) if _names_each(clause, arguments) else arguments
    return [arguments]


def _names_each(clause: Clause, question: Question) -> bool:
    """Tell whether the same is wanted in several instruments ("100 dollars each of btc and eth", "close ltc, ada")."""
    features = clause.features
    closes = not features.isdisjoint({"close", "dispose"}) and features.isdisjoint({"number", "or", "into", "if"})
    several = question.code == "which_symbol" and len(clause.all("sym")) > 1
    return several and ("each" in features or (closes and features.isdisjoint({"buy", "sell", "neg", "except"})))


def _each(clause: Clause) -> Outcome:
    """Return one order for each of the instruments, or the first question that one of them leaves open."""
    calls: list[Args] = []
    for symbol in clause.all("sym"):
        others = [f"sym:{other}" for other in clause.all("sym") if other != symbol]
        own = Clause([t for t in clause.tokens if not t.has(*others)], clause.asked)
        own.settle()
        arguments = order_arguments(read_terms(own, symbol))
        if isinstance(arguments, Question):
            return arguments
        calls.append(arguments)
    return calls


def _with_side(clause: Clause, giver: Clause) -> Clause:
    sides = [
        t
        for t in giver.tokens
        if t.has("buy", "sell", "close", "dispose", "buy.weak", "buy.noun", "sell.noun") and not t.has("sl", "tp")
    ]
    joined = Clause([*sides[:1], *clause.tokens], clause.asked)
    joined.settle()
    return joined


def _identifiers(clause: Clause, noun: str) -> list[str]:
    found = []
    for index, token in enumerate(clause.tokens):
        ahead = clause.tokens[index + 1] if index + 1 < len(clause.tokens) else None
        counts = token.is_number and ahead is not None and (ahead.get("sym") is not None or ahead.has("unit"))
        named = is_identifier(clause.tokens, index) and noun_before(clause.tokens, index) in (noun, None)
        if named and not counts:
            found.append(identifier_of(token))
    return found


def identifier_of(token: Token) -> str:
    """Return the number of an order, an alert or a trade as it is listed, also where it was said in words."""
    if token.is_word_number and token.value is not None:
        return str(plain(token.value))
    return token.raw if token.has("id") else token.raw.lstrip("#")


def _cancel(clause: Clause, context: Context, *, noun: str, key: str, question: str) -> Outcome:
    identifiers = _identifiers(clause, noun)
    if identifiers:
        return [{key: identifier} for identifier in identifiers]
    unknown = next((t.raw for t in clause.tokens if t.has("unknown") and not t.get("sym")), None)
    if unknown:
        return Question("unknown_instrument", {"symbol": unknown})
    symbol = clause.first("sym")
    if "one_of" in clause.features:
        return Question(question)
    watches = any(t.has("notify", "watch", "nomore") and not t.has("alert") for t in clause.tokens)
    plural = (
        watches
        or any(t.text.endswith("s") and t.has(noun) for t in clause.tokens)
        or not clause.features.isdisjoint({"all", "pending"})
    )
    if symbol is None and "it" in clause.features and clause.tool == "cancel_alert":
        symbol = context.symbol
    if symbol and (plural or noun in clause.features or clause.tool == "cancel_order"):
        return [{key: "all", "symbol": one} for one in clause.all("sym") or [symbol]]
    if noun == "order" and {"cancel", "all"} <= clause.features and len(clause.tokens) <= _SHORT_CANCEL:
        return [{key: "all"}]
    if plural and not (
        noun not in clause.features and "pending" not in clause.features and "notify" not in clause.features
    ):
        return [{key: "all"}]
    return Question(question)


def _cancel_order(clause: Clause, context: Context) -> Outcome:
    return _cancel(clause, context, noun="order", key="order_id", question="which_order")


def _cancel_alert(clause: Clause, context: Context) -> Outcome:
    return _cancel(clause, context, noun="alert", key="alert_id", question="which_alert")


_SHOWN = frozenset({"show", "show.weak", "question", "mine", "listword", "all", "alertid", "open", "left"})


def _list_alerts(clause: Clause, context: Context) -> Outcome:
    unknown = next((t.raw for t in clause.tokens if t.has("unknown") and not t.get("sym")), None)
    if unknown:
        return Question("unknown_instrument", {"symbol": unknown})
    symbol = clause.first("sym")
    single = any(token.has("alert") and not token.text.endswith("s") for token in clause.tokens)
    if single and symbol and len(clause.tokens) <= _SHORT_CANCEL + 1 and clause.features.isdisjoint(_SHOWN):
        return Question("alert_condition")
    return [{"symbol": symbol} if symbol else {}]


def _set_alert(clause: Clause, context: Context) -> Outcome:
    symbol = _symbol(clause, context)
    features = clause.features
    number = next(
        (
            t
            for t in clause.tokens
            if t.is_number and t.unit != "time" and not (t.payload == "m" and "ind:rsi" in features)
        ),
        None,
    )
    wants_signal = "change_word" in features and not features.isdisjoint({"signal", "model"}) and number is None
    if isinstance(symbol, Question):
        return symbol
    if wants_signal:
        return [_alert(clause, symbol, "signal_change", None)]
    if number is not None and (
        number.value is None or (number.value <= 0 and number.unit != "percent") or number.value == 0
    ):
        return Question("bad_number", {"value": number.raw})
    symbols = clause.all("sym") or [symbol]
    conditions = _conditions(clause)
    if isinstance(conditions, Question):
        return conditions
    pairs = (
        [(one, *condition) for one in symbols for condition in conditions]
        if len(symbols) * len(conditions) < 2 or len(symbols) == 1
        else [(one, *condition) for one, condition in zip(symbols, conditions, strict=False)]
    )
    return [_alert(clause, one, name, value) for one, name, value in pairs]


def _conditions(clause: Clause) -> list[tuple[str, Decimal]] | Question:
    found: list[tuple[str, Decimal]] = []
    rsi = "ind:rsi" in clause.features
    direction = ""
    for index, token in enumerate(clause.tokens):
        if not (direction and token.has("than") and _counts_percent(clause, index)):
            direction = (
                _turn(token)
                or ("down" if token.has("break") and token.text in word_set("falls") else "")
                or direction
                or ("up" if token.has("break") or token.text in word_set("reaches") else "")
            )
        if not token.is_number or token.unit == "time" or (token.payload == "m" and rsi):
            continue
        if _means_alert(clause, index) or _counts_alerts(clause, index):
            continue
        direction = _turn_behind(clause, index, direction)
        if not rsi and token.unit != "percent":
            token.value = read_price(clause.first("sym"), token)
        condition = _condition(token, direction, rsi=rsi)
        if isinstance(condition, Question):
            return condition
        found.append(condition)
        direction = ""
    if found:
        return found
    return Question("alert_value" if not clause.features.isdisjoint({"up", "down"}) else "alert_condition")


def _means_alert(clause: Clause, index: int) -> bool:
    """Tell whether "one" stands for the alert itself beside its value ("set a new one at 165")."""
    others = sum(t.is_number and t.unit != "time" for t in clause.tokens)
    return clause.tokens[index].text in word_set("alert_pronouns") and others > 1


def _counts_alerts(clause: Clause, index: int) -> bool:
    """Tell whether a number says how many alerts there shall be ("two alerts: ...")."""
    return index + 1 < len(clause.tokens) and clause.tokens[index + 1].has("alert") and index < _LEAST_BEFORE


def _counts_percent(clause: Clause, index: int) -> bool:
    """Tell whether a comparison is with a percentage ("drops more than 8%"): then the move gives the direction."""
    number = next((t for t in clause.tokens[index:] if t.is_number and t.unit != "time"), None)
    return number is not None and number.unit == "percent"


def _turn(token: Token) -> str:
    """Return the direction that a word gives, if it gives one."""
    if token.has("up") == token.has("down"):
        return ""
    return "up" if token.has("up") else "down"


def _turn_behind(clause: Clause, index: int, direction: str) -> str:
    """Return the direction of a number, also where its word stands behind it ("an alert at 20 above")."""
    ahead = next((t for t in clause.tokens[index + 1 : index + 5] if _turn(t)), None)
    later = any(t.is_number and t.unit != "time" for t in clause.tokens[index + 1 :])
    if ahead is None or (direction and (later or clause.tokens[index].unit == "percent")):
        return direction
    return direction if direction and ahead.text in ("up", "down") else _turn(ahead)


def _condition(token: Token, direction: str, *, rsi: bool) -> tuple[str, Decimal] | Question:
    value = token.value
    if value is None:
        return Question("bad_number", {"value": token.raw})
    if token.signed and token.unit == "percent":
        if direction and value and (direction == "up") != (value > 0):
            return Question("bad_number", {"value": token.raw})
        direction = "up" if value > 0 else "down"
    if direction == "down" and token.unit == "percent" and abs(value) >= _HUNDRED:
        return Question("bad_number", {"value": token.raw})
    if not direction:
        return Question("alert_condition")
    if rsi:
        fits = 0 < value < _HUNDRED
        name = "rsi_above" if direction == "up" else "rsi_below"
        return (name, value) if fits else Question("bad_number", {"value": token.raw})
    if token.unit == "percent":
        return f"change_{direction}", abs(value)
    return ("price_above" if direction == "up" else "price_below"), value


def _alert(clause: Clause, symbol: str, condition: str, value: Decimal | None) -> Args:
    args: Args = {"symbol": symbol, "condition": condition}
    if value is not None:
        args["value"] = plain(value)
    timeframe = timeframe_of(clause, long=True)
    if timeframe:
        args["timeframe"] = timeframe
    return args


def _agents(clause: Clause) -> list[str]:
    return clause.all("agent")


def _agent_status(clause: Clause, context: Context) -> Outcome:
    stranger = unknown_word(clause)
    agents = _agents(clause)
    if (
        not agents
        and stranger
        and "agents" in clause.features
        and not any(t.text.endswith("s") and t.has("agents") for t in clause.tokens)
    ):
        return Question("which_agent")
    if not agents and context.agent and "pnl" in clause.features:
        agents = [context.agent]
    period = period_of(clause) or _TIMEFRAME_PERIODS.get(clause.first("tf") or "")
    calls: list[Args] = []
    for agent in agents or ["all"]:
        args: Args = {} if agent == "all" else {"agent": agent}
        if period:
            args["period"] = period
        calls.append(args)
    return calls


def _control(clause: Clause, context: Context) -> Outcome:
    actions = _actions(clause)
    agents = _agents(clause)
    if any(token.text.startswith("lift") for token in clause.tokens):
        return Question("unclear")
    if not agents and _means_all(clause):
        agents = ["all"]
    if "one_of" in clause.features:
        return Question("which_agent")
    if not agents and context.agent:
        agents = [context.agent]
    if not agents:
        return Question("which_agent")
    if actions == {"start", "stop"} and "allots" not in clause.features:
        return Question("contradiction")
    if "allots" in clause.features:
        return [{"agent": agent, **_allotment(clause)} for agent in agents]
    return [{"agent": agent, "action": _action(clause, actions)} for agent in agents]


def _allotment(clause: Clause) -> Args:
    """Return what happens to an agent's money or mandate, and with how much."""
    kind, amount = allotment_of(clause.tokens), money_of(clause.tokens)
    args: Args = {"action": "start" if kind == "endowed" else str(kind)}
    if amount is not None and amount.value is not None and kind != "revoke":
        args["amount"] = plain(amount.value)
    if kind == "permit":
        if clause.all("sym"):
            args["pairs"] = tuple(clause.all("sym"))
        days = days_of(clause)
        if isinstance(days, int) and days > 1:
            args["days"] = days
    return args


def _means_all(clause: Clause) -> bool:
    if any(t.has("all") for t in clause.tokens):
        return True
    return any(
        t.has("agents") and t.text not in ("agent", "bot", "robot", "agente", "el agente", "el bot", "alguno")
        for t in clause.tokens
    )


def _actions(clause: Clause) -> set[str]:
    return {name for name in ("start", "stop", "pause", "resume") if name in clause.features} | (
        {"stop"} if "remove" in clause.features else set()
    )


def _action(clause: Clause, actions: set[str]) -> str:
    first = next((t for t in clause.tokens if t.has("resume", "pause")), None)
    if first is not None:
        return "resume" if first.has("resume") else "pause"
    firm = next((t for t in clause.tokens if t.has("start") != t.has("stop") and t.has("start", "stop")), None)
    if firm is not None:
        return "start" if firm.has("start") else "stop"
    return "stop" if "stop" in actions else "start"


def _configure(clause: Clause, context: Context) -> Outcome:
    agents = _agents(clause) or ([context.agent] if context.agent else [])
    if not agents and _means_all(clause):
        agents = ["all"]
    if not agents:
        return Question("which_agent")
    counted = any(first.is_number and second.get("sym") for first, second in pairwise(clause.tokens))
    if counted and clause.features.isdisjoint({"size", "maxpos", "drawdown", "rpt", "pairs", "strategies"}):
        return Question("unclear")
    settings = _settings(clause)
    if isinstance(settings, Question):
        return settings
    return [{"agent": agent, "setting": name, "value": value} for agent in agents for name, value in settings]


def _settings(clause: Clause) -> list[tuple[str, ArgumentValue]] | Question:
    strategies, symbols = clause.all("strat"), clause.all("sym")
    numbers = [t for t in clause.tokens if t.is_number and t.unit != "time"]
    numeric = not clause.features.isdisjoint({"size", "maxpos", "drawdown", "rpt"})
    unknown = next((t.raw for t in clause.tokens if t.has("unknown") and not t.get("sym")), None)
    if unknown:
        return Question("unknown_instrument", {"symbol": unknown})
    lists: list[tuple[str, ArgumentValue]] = []
    if symbols:
        lists.append(("pairs", tuple(symbols)))
    if strategies:
        lists.append(("strategies", tuple(strategies)))
    if not (numeric and numbers):
        return lists or _unnamed(clause, numbers)
    named = _numeric(clause, numbers)
    return named if isinstance(named, Question) else named + lists


def _unnamed(clause: Clause, numbers: Sequence[Token]) -> Question:
    if "pairs" in clause.features:
        return Question("which_value")
    if "strategies" in clause.features:
        return Question("which_strategy")
    return Question("which_setting")


_SETTING = {"size": "position_size_pct", "maxpos": "max_positions", "drawdown": "max_drawdown_pct"}


def _numeric(clause: Clause, numbers: Sequence[Token]) -> list[tuple[str, ArgumentValue]] | Question:
    if not numbers:
        return Question("which_value")
    found: list[tuple[str, ArgumentValue]] = []
    for number in numbers:
        kind = _nearest(clause, number)
        value = number.value
        if value is None or value <= 0 or (kind != "maxpos" and value > _HUNDRED):
            return Question("bad_number", {"value": number.raw})
        if kind == "maxpos" and value != value.to_integral_value():
            return Question("bad_number", {"value": number.raw})
        found.append((_SETTING[kind], plain(value)))
    return found if len({name for name, _ in found}) == len(found) else Question("unclear")


def _nearest(clause: Clause, number: Token) -> str:
    """Return the setting named closest to a number; what stands in front counts before what stands behind."""
    position = next(i for i, t in enumerate(clause.tokens) if t is number)
    best, best_distance = "", 99
    for index, token in enumerate(clause.tokens):
        kinds = [kind for kind in ("drawdown", "size", "maxpos") if token.has(kind)]
        kinds = kinds or (["size"] if token.has("rpt", "each") else [])
        if not kinds:
            continue
        distance = position - index if index < position else (index - position) + 1
        if number.unit == "percent" and kinds == ["maxpos"]:
            distance += 50
        if distance < best_distance:
            best, best_distance = kinds[0], distance
    return best


def _explain(clause: Clause, context: Context) -> Outcome:
    args: Args = {}
    agents = _agents(clause)
    identifiers = _identifiers(clause, "trade")
    if identifiers:
        return [{"trade_id": identifier} for identifier in identifiers]
    if agents:
        args["agent"] = agents[0]
    elif context.agent and any(t.text in word_set("pronouns") or t.has("buy.past", "sell.past") for t in clause.tokens):
        args["agent"] = context.agent
    symbol = clause.first("sym")
    if symbol:
        args["symbol"] = symbol
    unknown = next((t.raw for t in clause.tokens if t.has("unknown") and not t.get("sym")), None)
    if unknown:
        return Question("unknown_instrument", {"symbol": unknown})
    if args:
        args |= _what_is_explained(clause.features)
    latest = any(not word_set("latest").isdisjoint(t.text.split(" ")) for t in clause.tokens)
    return [args] if args or latest else Question("unclear")


def _what_is_explained(features: frozenset[str]) -> Args:
    """Return which side of a trade is meant, or that it is one which was not made ("why didn't it buy?")."""
    if not features.isdisjoint({"neg", "neg_end"}):
        return {"outcome": "refused"}
    bought = not features.isdisjoint({"buy", "buy.past"})
    sold = not features.isdisjoint({"sell", "sell.past"})
    return {"side": "buy" if bought else "sell"} if bought != sold else {}


def _backtest(clause: Clause, context: Context) -> Outcome:
    targets = [value for token in clause.tokens for value in (token.of("agent") + token.of("strat"))]
    targets = list(dict.fromkeys(targets))
    if not targets and "signal" in clause.features | ({"signal"} if "model" in clause.features else set()):
        targets = ["signal"]
    unknown = next((t.raw for t in clause.tokens if t.has("unknown") and not t.get("sym")), None)
    if unknown:
        return Question("unknown_instrument", {"symbol": unknown})
    if not targets:
        return Question("which_target")
    days = days_of(clause)
    if isinstance(days, Question):
        return days
    if any(t.is_number and t.value is not None and t.value <= 0 for t in clause.tokens):
        return Question("bad_number", {"value": "0"})
    timeframe = timeframe_of(clause, long=False) or _long_timeframe(clause)
    if days == 1 and timeframe == "1d":
        days = None
    symbols: list[str | None] = list(clause.all("sym")) or [None]
    if len(targets) == len(symbols) > 1 and "backtest" in clause.features:
        return [_backtest_args(target, one, timeframe, days) for target, one in zip(targets, symbols, strict=True)]
    return [_backtest_args(target, symbol, timeframe, days) for target in targets for symbol in symbols]


def _long_timeframe(clause: Clause) -> str | None:
    """Read the glued "1d" and "1w" as timeframes; "one week" in words is a length."""
    for token in clause.tokens:
        if token.raw.lower() in ("1d", "1w"):
            return token.raw.lower()
    return None


def _backtest_args(target: str, symbol: str | None, timeframe: str | None, days: int | None) -> Args:
    args: Args = {"target": target}
    if symbol:
        args["symbol"] = symbol
    if timeframe and timeframe != "1h":
        args["timeframe"] = timeframe
    if days and days != _DEFAULT_DAYS:
        args["days"] = days
    return args


def _profile(clause: Clause, context: Context) -> Outcome:
    features = clause.features
    if "lang" in features:
        return [{"setting": "language", "value": clause.all("lang")[-1]}]
    if "language_word" in features:
        code = next((t.text for t in reversed(clause.tokens) if t.text in ("en", "es")), None)
        return [{"setting": "language", "value": code}] if code else Question("which_value")
    if "favourites" in features:
        symbols = clause.all("sym")
        return [{"setting": "favourites", "value": tuple(symbols)}] if symbols else Question("which_value")
    if "base_currency" in features:
        return _currency(clause)
    if not features.isdisjoint({"rpt", "risk"}) and "number" in features:
        return _risk(clause)
    if "name_word" in features:
        name = _name(clause)
        return [{"setting": "name", "value": name}] if name else Question("which_value")
    return Question("which_value")


_CURRENCY_OF = {"EURUSD": "EUR", "GBPUSD": "GBP"}


def _currency(clause: Clause) -> Outcome:
    codes = clause.all("cur")
    codes = [code for code in codes if code in [t.raw for t in clause.tokens]] or codes
    if not codes:
        codes = [code for token in clause.tokens if token.has("base_currency") for code in _codes_within(token)]
    if not codes:
        codes = [_CURRENCY_OF[s] for s in clause.all("sym") if s in _CURRENCY_OF]
    return [{"setting": "base_currency", "value": codes[-1]}] if codes else Question("which_value")


def _codes_within(token: Token) -> list[str]:
    """Return the currencies that are part of a longer phrase ("use dollars")."""
    shared = load_lexicon().shared.phrases
    labels = [label for word in token.text.split(" ") for label in shared.get(word, ())]
    return [label.removeprefix("cur:") for label in labels if label.startswith("cur:")]


def _risk(clause: Clause) -> Outcome:
    number = next(t for t in clause.tokens if t.is_number and t.unit != "time")
    if number.value is None or number.value <= 0 or number.value > _HUNDRED:
        return Question("bad_number", {"value": number.raw})
    return [{"setting": "risk_per_trade_pct", "value": plain(number.value)}]


def _name(clause: Clause) -> str | None:
    """Return the words behind "call me" as written."""
    start = next(i for i, t in enumerate(clause.tokens) if t.has("name_word"))
    words: list[str] = []
    for token in clause.tokens[start + 1 :]:
        if token.has("name_word") or (
            not words
            and (token.text in word_set("name_links") or (token.has("set", "change_word") and token.raw.islower()))
        ):
            continue
        if token.text in word_set("name_stops") and not (token.text == "." and words and len(words[-1]) <= 3):
            break
        words.append(token.raw)
    text = " ".join(words).replace(" .", ".")
    return text if any(c.isalpha() for c in text) else None


def _signal(clause: Clause, context: Context) -> Outcome:
    return _market_view(clause, context)


_BUILDERS: dict[str, Callable[[Clause, Context], Outcome]] = {
    "get_signal": _signal,
    "analyze_chart": _market_view,
    "check_portfolio": _portfolio,
    "execute_trade": _trade,
    "cancel_order": _cancel_order,
    "set_alert": _set_alert,
    "list_alerts": _list_alerts,
    "cancel_alert": _cancel_alert,
    "agent_status": _agent_status,
    "control_agent": _control,
    "configure_agent": _configure,
    "explain_trade": _explain,
    "run_backtest": _backtest,
    "update_profile": _profile,
}
