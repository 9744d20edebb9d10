"""From tokens to requests: group the pieces of a message into clauses and read each one.

A piece that only chats is dropped; what it names (an instrument, an agent) is remembered. Every request passes the
stance check before it may act.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from copilot.offline.clauses import TRADE, Clause, split_pieces, split_sentences
from copilot.offline.guard import refuses
from copilot.offline.requests import Args, Context, build, timeframe_of
from copilot.offline.stance import ACTS, judge
from copilot.offline.tokens import Token
from copilot.offline.values import Question

HEADED = 44.0
_SLOTS = frozenset(
    {
        "number",
        "sym",
        "sl",
        "tp",
        "limit",
        "tf",
        "ind",
        "all",
        "agent",
        "strat",
        "per",
        "days",
        "longtime",
        "shorttime",
        "market",
        "stop_order",
        "unknown",
        "cur",
        "lang",
        "remove",
        "cancel",
        "unit",
        "id",
        "it",
        "coins_said",
        "up",
        "down",
        "notify",
        "start",
        "stop",
        "pause",
        "resume",
        "only",
        "why",
        "explain",
        "change_word",
        "signal",
        "instead",
        "base_currency",
        "cash",
        "model",
        "bullbear",
        "buy.noun",
        "sell.noun",
        "order",
    }
)
_CUES = frozenset(
    {"sl", "tp", "limit", "if", "up", "down", "break", "at", "stop_order", "unit", "maxpos", "size", "drawdown"}
)
_SHORT, _LONG = 4, 6
_GUESS = 35.0
_TITLE = 2


@dataclass(slots=True)
class Frame:
    """One request with what was understood of it."""

    tool: str
    clause: Clause
    calls: list[Args] = field(default_factory=list)
    question: Question | None = None
    talk: str | None = None


@dataclass(slots=True)
class Message:
    """What a message asks for.

    Attributes:
        frames: Requests in spoken order.
        clauses: The grouped clauses, asked or not.
        context: What the message named on its way.
    """

    frames: list[Frame]
    clauses: list[Clause]
    context: Context


def read_message(
    tokens: Sequence[Token], context: Context | None = None, *, quoted: bool = False, reported: bool = False
) -> Message:
    """Return the requests of a message."""
    context = context or Context()
    grouper = _Grouper()
    for sentence in split_sentences(tokens):
        grouper.take(sentence)
    clauses = grouper.finish()
    frames: list[Frame] = []
    for index, clause in enumerate(clauses):
        if frames and frames[-1].tool in _ALERTS and sets_another(clause):
            clause.tool, clause.score = "set_alert", _ANOTHER
        frame = _frame(clause, context, quoted=quoted, reported=reported, lead=_lead(clauses, index, grouper.names))
        _remember(context, clause)
        if frame is not None:
            frames.append(frame)
    _share_timeframe(frames)
    return Message(_without_chatter(frames), clauses, context)


def _share_timeframe(frames: Sequence[Frame]) -> None:
    """Let the timeframe at the end count for the views listed before it ("chart gold and cable daily")."""
    for first, second in pairwise(frames):
        views = first.tool in _VIEWED and second.tool in _VIEWED and len(first.calls) == len(second.calls) == 1
        if not views or "timeframe" in first.calls[0] or "timeframe" not in second.calls[0]:
            continue
        alike = first.tool == second.tool or first.calls[0].get("symbol") == second.calls[0].get("symbol")
        if alike and timeframe_of(first.clause, long=True) is None:
            first.calls[0]["timeframe"] = second.calls[0]["timeframe"]


_ALERTS = ("set_alert", "cancel_alert", "list_alerts")
_ANOTHER = 75.0
_STRONG_VERBS = ("buy", "sell", "close", "dispose", "halve")


def sets_another(clause: Clause) -> bool:
    """Tell whether, after alerts were spoken of, "put one in for doge over 0.21" asks for one more of them."""
    if clause.tool not in ("", TRADE, "set_alert") or any(t.has(*_STRONG_VERBS) for t in clause.tokens):
        return False
    return "condition" in clause.features or ("number" in clause.features and "at" in clause.features)


def _lead(clauses: Sequence[Clause], index: int, names: Context) -> Context:
    """Return what a request may borrow from before, or from the one behind it ("signal and chart of bnb 4h")."""
    clause, behind = clauses[index], clauses[index + 1 : index + 2]
    if names.symbol or clause.tool not in _VIEWED or not behind or behind[0].tool not in _VIEWED:
        return names
    return Context(behind[0].first("sym"), timeframe=behind[0].first("tf"))


_VIEWED = ("get_signal", "analyze_chart")
_CHATTY = frozenset({"check_portfolio", "agent_status", "get_signal", "analyze_chart", "list_alerts", "control_agent"})
_CLEAR, _FAINT = 62.0, 58.5


def _without_chatter(frames: list[Frame]) -> list[Frame]:
    """Drop faint requests beside a clear one: small talk often names an account, a bot or a price."""
    if not any(frame.clause.score >= _CLEAR and frame.talk is None for frame in frames):
        return frames
    return [frame for frame in frames if not _is_faint(frame)]


def _is_faint(frame: Frame) -> bool:
    wanted = {"show", "show.weak", "question", "mine", "notify", "listword", "agent", "status.word"}
    brief = len(frame.clause.tokens) <= _SHORT - 1 and frame.tool != "agent_status"
    faint = frame.tool in _CHATTY and frame.clause.score < _FAINT and not brief
    return faint and frame.clause.features.isdisjoint(wanted)


def _frame(clause: Clause, context: Context, *, quoted: bool, reported: bool, lead: Context) -> Frame | None:
    if clause.score < HEADED / 2 or not clause.tool:
        return None
    verdict = judge(clause, quoted=quoted, reported=reported)
    tool = clause.tool
    if verdict.talk is not None:
        return Frame(tool, clause, talk=verdict.talk)
    if verdict.tool:
        clause.tool = tool = verdict.tool
    timeframe = context.timeframe or lead.timeframe
    own = Context(context.symbol or lead.symbol, context.agent, timeframe, context.side_clause)
    outcome = build(clause, own)
    if isinstance(outcome, Question):
        if clause.score < _GUESS and (len(clause.tokens) > _SHORT or any(t.repaired for t in clause.tokens)):
            return None
        if verdict.tool:
            return Frame(tool, clause, talk="question")
        return Frame(tool, clause, question=outcome)
    return Frame(tool, clause, calls=outcome)


def _remember(context: Context, clause: Clause) -> None:
    context.symbol = clause.first("sym") or context.symbol
    context.agent = clause.first("agent") or context.agent
    context.timeframe = clause.first("tf") or context.timeframe
    if clause.tool == TRADE and not clause.inherits:
        context.side_clause = clause


class _Grouper:
    """Joins pieces into clauses."""

    def __init__(self) -> None:
        self.names = Context()
        self._clauses: list[Clause] = []
        self._current: Clause | None = None

    def take(self, sentence: Clause) -> None:
        """Add the pieces of one sentence."""
        starts = True
        for piece in split_pieces(sentence):
            piece.settle()
            self._add(piece, starts)
            starts = False

    def finish(self) -> list[Clause]:
        """Return the clauses."""
        if self._current is not None:
            self._clauses.append(self._current)
        return self._clauses

    def _add(self, piece: Clause, starts: bool) -> None:
        current = self._current
        if current is None:
            self._current = piece
        elif piece.score >= HEADED:
            self._add_headed(current, piece, starts)
        elif current.score >= HEADED:
            self._add_tail(current, piece, starts)
        else:
            self._join(current, piece) if self._keeps(current, starts) else self._replace(piece)

    def _add_headed(self, current: Clause, piece: Clause, starts: bool) -> None:
        if piece.tool == "cancel_order" and piece.score < _WEAK_ALERT and self._refers_to_list(current, piece):
            return
        if current.score < HEADED:
            if _waits_for(current, piece):
                self._join(current, piece)
                current.asked = False
                current.settle()
            elif self._keeps(current, starts):
                self._join(current, piece)
            else:
                self._replace(piece)
        elif _is_title(current, piece):
            self._replace(piece)
        elif _begins_new(current, piece, starts):
            _carry_on(current, piece)
            self._close(piece)
        else:
            self._join(current, piece)

    def _add_tail(self, current: Clause, piece: Clause, starts: bool) -> None:
        if self._refers_to_list(current, piece) or refuses(" ".join(token.raw for token in piece.tokens)):
            return
        if _lists_another(current, piece):
            piece.tool, piece.score, piece.inherits = current.tool, current.score, True
            self._close(piece)
        elif (
            not piece.features.isdisjoint(_SLOTS)
            and not (starts and len(piece.tokens) > _LONG and not _has_role(piece))
        ) or (current.tool == "update_profile" and not starts):
            self._join(current, piece)
        elif piece.asked:
            current.asked = current.asked or not starts or current.score <= _WEAK_ALERT

    def _refers_to_list(self, current: Clause, piece: Clause) -> bool:
        """Start a clause for "then delete number 5" and "show me what is left"."""
        features = piece.features
        noun = {
            "list_alerts": "alert",
            "cancel_alert": "alert",
            "cancel_order": "order",
            "check_portfolio": "order",
        }.get(current.tool)
        if noun is None or (current.tool == "check_portfolio" and "order" not in current.features):
            return False
        lists = current.tool in ("list_alerts", "check_portfolio")
        if noun == "alert" and {"set", "condition"} <= features and "number" in features:
            piece.tool, piece.score = "set_alert", 75.0
        elif lists and "remove" in features and "number" in features:
            piece.tool, piece.score = f"cancel_{noun}", 60.0
        elif not lists and "left" in features:
            piece.tool, piece.score = ("list_alerts", 60.0) if noun == "alert" else ("check_portfolio", 60.0)
        else:
            return False
        self._close(piece)
        return True

    def _keeps(self, lead: Clause, starts: bool) -> bool:
        """Tell whether an unheaded lead says something about the request behind it."""
        if lead.tool:
            return not (starts and lead.asked)
        if lead.features.isdisjoint(_SLOTS) and lead.features.isdisjoint(
            {"neg", "advice", "howto", "third", "hypothetical", "why", "if", "question"}
        ):
            return False
        if len(_said(lead.tokens)) <= _SHORT:
            return not lead.asked or not starts or _has_role(lead)
        if not lead.features.isdisjoint({"past", "buy.past", "sell.past"}):
            return False
        return _has_role(lead) and (not starts or not lead.asked)

    def _join(self, current: Clause, piece: Clause) -> None:
        current.tokens += piece.tokens
        current.asked = current.asked or piece.asked
        inherited, tool, score = current.inherits, current.tool, current.score
        current.settle()
        current.inherits = inherited
        if inherited and current.score < HEADED:
            current.tool, current.score = tool, score

    def _replace(self, piece: Clause) -> None:
        if self._current is not None:
            self.names.symbol = self._current.first("sym") or self.names.symbol
        self._current = piece

    def _close(self, piece: Clause) -> None:
        if self._current is not None:
            self._clauses.append(self._current)
        self._current = piece


def _is_title(current: Clause, piece: Clause) -> bool:
    """Tell whether a noun in front of a colon only announces an order ("new position: long gold, 1 oz")."""
    announced = piece.tool == TRADE and piece.tokens[0].text == ":" and len(_said(current.tokens)) <= _TITLE
    return announced and current.tool == "check_portfolio" and "sym" not in current.features


def _said(tokens: Sequence[Token]) -> list[Token]:
    """Return the words and numbers without marks, joining words and manners."""
    return [
        t
        for t in tokens
        if t.is_number
        or (t.text[:1].isalnum() and not t.has("also", "then", "confirm", "polite", "greeting", "thanks"))
    ]


def _has_role(clause: Clause) -> bool:
    return "number" in clause.features and not clause.features.isdisjoint(_CUES)


def _lists_another(current: Clause, piece: Clause) -> bool:
    """Tell whether a piece repeats the request for another instrument or agent ("and 2 link", "and nova")."""
    features = piece.features
    if current.tool == TRADE:
        if _is_another_step(current, piece) or _is_another_order(current, piece):
            return True
        sized = not features.isdisjoint({"number", "all"})
        sides = {"sl", "tp", "limit", "if", "market"}
        own = current.first("sym")
        return (
            "sym" in features and piece.first("sym") != own and own is not None and sized and len(features & sides) <= 1
        )
    if current.tool == "set_alert":
        return "condition" in features and "sym" in features and current.first("sym") is not None
    if current.tool == "cancel_alert":
        return False
    return False


def _is_another_order(current: Clause, piece: Clause) -> bool:
    """Tell whether a piece orders the same instrument at another price ("and another 1 eth at 2,950")."""
    same = piece.first("sym") is not None and piece.first("sym") == current.first("sym")
    priced = {"numbers2", "at"} <= piece.features and {"numbers2", "at"} <= current.features
    return same and priced and "another" in piece.features and piece.features.isdisjoint({"sl", "tp", "if", "or"})


def _waits_for(lead: Clause, piece: Clause) -> bool:
    """Tell whether a condition is told what to do about it ("bitcoin under 55k? tell me")."""
    told = not piece.features.isdisjoint({"notify", "alert"}) and "number" not in piece.features
    return told and {"condition", "sym"} <= lead.features


def _carry_on(current: Clause, piece: Clause) -> None:
    """Let a verb govern what is listed behind it ("delete all my orders and all my alerts too")."""
    if current.tool == "run_backtest" and piece.tool == "agent_status" and "longtime" in piece.features:
        piece.tool = "run_backtest"
    if _sets_alike(current, piece):
        piece.tokens = [*(t for t in current.tokens if t.has("size", "drawdown", "maxpos")), *piece.tokens]
        piece.settle()
    about_agent = current.tool == "control_agent" and "agent" in current.features
    if about_agent and piece.tool == "check_portfolio" and "pnl" in piece.features and "mine" not in piece.features:
        piece.tool = "agent_status"
    told = piece.features.isdisjoint({"show", "show.weak", "question", "notify", "set"})
    nouns = {"list_alerts": "cancel_alert", "check_portfolio": "cancel_order"}
    is_noun = piece.tool == "list_alerts" or (piece.tool == "check_portfolio" and "order" in piece.features)
    if told and is_noun and current.tool in nouns.values() and not piece.features.isdisjoint({"all", "same"}):
        piece.tool = nouns[piece.tool]


def _has_own_setting(piece: Clause) -> bool:
    """Tell whether a setting is told behind what shall happen to the agent ("start orion, drawdown 9%")."""
    return "number" in piece.features and not piece.features.isdisjoint({"size", "drawdown", "maxpos"})


def _sets_alike(current: Clause, piece: Clause) -> bool:
    """Tell whether the same setting of another agent follows ("Atlas position size to 3 percent, Orion's to 2")."""
    listed = current.tool == "configure_agent" and piece.tool == "agent_status" and "agent" in piece.features
    return listed and "number" in piece.features and piece.features.isdisjoint({"question", "show", "notify"})


def _is_another_step(current: Clause, piece: Clause) -> bool:
    """Tell whether a piece adds an amount at another price to a complete order ("and 0.2 at 2,300")."""
    if "sym" in piece.features or not {"number", "at"} <= current.features or "at" not in piece.features:
        return False
    if (
        not piece.features.isdisjoint({"sl", "tp", "if", "or", "correct", "instead"})
        or "numbers2" not in current.features
    ):
        return False
    return "numbers2" in piece.features or ("number" in piece.features and "another" in piece.features)


def _begins_new(current: Clause, piece: Clause, starts: bool) -> bool:
    if current.tool != piece.tool:
        return not _supports(current, piece)
    return _SAME[current.tool](current, piece) if current.tool in _SAME else starts


def _supports(current: Clause, piece: Clause) -> bool:
    """Tell whether a headed piece still belongs to a different request before it."""
    for decide in (_supports_trade, _supports_view, _supports_agent):
        decided = decide(current, piece)
        if decided is not None:
            return decided
    apart = "agent" in piece.features and "agent" in current.features
    if (current.tool, piece.tool) == ("control_agent", "configure_agent") and _has_own_setting(piece):
        return False
    asks = not piece.features.isdisjoint({"show", "question"})
    if asks and (current.tool, piece.tool) in (("cancel_order", "check_portfolio"), ("control_agent", "agent_status")):
        return False
    return (current.tool, piece.tool) in _MERGES and not apart


def _supports_trade(current: Clause, piece: Clause) -> bool | None:
    features = piece.features
    if "orderid" in features and not current.features.isdisjoint({"remove", "cancel"}):
        return True if features.isdisjoint({"remove", "cancel"}) else None
    if piece.tool == TRADE and current.tool != TRADE:
        condition = current.tool in ("list_alerts", "set_alert") and "condition" in features
        silent = current.tool == "set_alert" and current.features.isdisjoint({"notify", "alert", "watch"})
        bare = silent or (current.tool == "set_alert" and "sym" not in features and "number" not in features)
        return True if piece.score <= _BARE or (condition and "sym" not in current.features) or bare else None
    if current.tool == TRADE and piece.tool == "update_profile" and {"sl", "percent"} <= features:
        return True if features.isdisjoint({"set", "rpt"}) else None
    if current.tool == TRADE and piece.tool == "check_portfolio" and "number" in features:
        return True if features.isdisjoint({"question", "show", "per", "order"}) else None
    if current.tool == TRADE:
        about = piece.tool == "list_alerts" and "condition" in current.features and "sym" not in features
        faint = piece.score < _EXPLICIT and features.isdisjoint({"question", "mine", "show", "notify", "show.weak"})
        return True if about or faint else None
    return None


def _supports_view(current: Clause, piece: Clause) -> bool | None:
    pair, features = (current.tool, piece.tool), piece.features
    if pair == ("get_signal", "analyze_chart") and "sym" not in features:
        times = not features.isdisjoint({"tf", "shorttime"}) and features.isdisjoint({"ind", "show"})
        plain = times or features.isdisjoint({"chart", "ind", "show"}) or piece.tokens[0].has("into", "at")
        return True if plain else None
    if pair == ("get_signal", "check_portfolio"):
        return True if "mine" not in features else None
    if pair in {("set_alert", "get_signal"), ("list_alerts", "set_alert"), ("set_alert", "list_alerts")}:
        return True
    if pair == ("set_alert", "analyze_chart") and "sym" not in features:
        return True if features.isdisjoint({"ind", "show"}) and not features.isdisjoint({"tf", "shorttime"}) else None
    if pair == ("analyze_chart", "set_alert") and "sym" not in features:
        return True if features.isdisjoint({"alert", "notify"}) else None
    if pair == ("analyze_chart", "get_signal") and "sym" not in features and current.score <= _HINTED:
        return True
    if pair in {("get_signal", "list_alerts"), ("get_signal", "set_alert")} and "change_word" in current.features:
        return True if len(piece.tokens) <= _SHORT else None
    if current.tool == "run_backtest" and piece.tool in ("analyze_chart", "get_signal"):
        return "sym" not in features
    if piece.tool == "run_backtest" and current.score < _SURE and current.tool in _VIEWS:
        return "sym" not in features or "sym" not in current.features
    return None


def _supports_agent(current: Clause, piece: Clause) -> bool | None:
    pair, features = (current.tool, piece.tool), piece.features
    if pair == ("check_portfolio", "explain_trade") and "why" in features and "number" in features:
        return False
    if pair == ("control_agent", "agent_status") and len(piece.tokens) <= _SHORT - 1:
        return True
    if pair == ("agent_status", "explain_trade") and "sym" in features:
        return False
    sizes = {"maxpos", "size", "drawdown"}
    sized = "number" in features and not (features | current.features).isdisjoint(sizes)
    if current.tool == "agent_status" and sized and "agent" not in features:
        return True
    if current.tool == "configure_agent" and piece.tool in _CONFIG_WORDS:
        return features.isdisjoint({"agent", "show", "question"})
    return None


_HINTED = 46.0
_WEAK_ALERT = 60.0
_BARE, _EXPLICIT, _SURE = 45.0, 55.0, 70.0
_VIEWS = ("get_signal", "analyze_chart", "agent_status")
_CONFIG_WORDS = ("check_portfolio", "control_agent", "agent_status", TRADE)
_MERGES = {
    ("cancel_order", "check_portfolio"),
    ("check_portfolio", "cancel_order"),
    ("agent_status", "explain_trade"),
    ("agent_status", "control_agent"),
    ("agent_status", "configure_agent"),
    ("control_agent", "configure_agent"),
    ("configure_agent", "control_agent"),
    ("explain_trade", "agent_status"),
    ("explain_trade", "check_portfolio"),
    ("check_portfolio", "explain_trade"),
    ("control_agent", "agent_status"),
}


def _trade_again(current: Clause, piece: Clause) -> bool:
    if "sym" not in piece.features:
        return False
    complete = "sym" in current.features or "unknown" in current.features
    return complete and not (piece.first("sym") == current.first("sym") and "number" not in piece.features)


def _other(kind: str) -> _Test:
    def test(current: Clause, piece: Clause) -> bool:
        return kind in piece.features and kind in current.features

    return test


def _other_view(current: Clause, piece: Clause) -> bool:
    views = ("order", "pending", "position", "trade", "risk", "pnl", "portfolio")
    first = {view for view in views if view in current.features}
    second = {view for view in views if view in piece.features}
    if second and first == second and current.all("per") and piece.all("per"):
        return current.all("per") != piece.all("per")
    return (
        bool(second)
        and not second <= first
        and first.isdisjoint(second)
        and "cash_pair" not in current.features
        and not (first | second <= {"portfolio", "pnl"} and "per" not in piece.features)
    )


def _other_setting(current: Clause, piece: Clause) -> bool:
    settings = ("lang", "rpt", "base_currency", "favourites", "name_word", "risk")
    first = {s for s in settings if s in current.features}
    second = {s for s in settings if s in piece.features}
    return bool(second - first) and bool(first)


def _same_condition(current: Clause, piece: Clause) -> bool:
    return "condition" in piece.features and "condition" in current.features and ("sym" in piece.features)


_Test = Callable[[Clause, Clause], bool]
_SAME: dict[str, _Test] = {
    TRADE: _trade_again,
    "get_signal": _other("sym"),
    "analyze_chart": _other("sym"),
    "set_alert": _same_condition,
    "control_agent": _other("agent"),
    "configure_agent": lambda current, piece: "agent" in piece.features and "agent" in current.features,
    "agent_status": _other("agent"),
    "check_portfolio": _other_view,
    "update_profile": _other_setting,
    "explain_trade": lambda current, piece: (
        ("tradeid" in piece.features and "tradeid" in current.features)
        or ("agent" in piece.features and "agent" in current.features)
    ),
    "cancel_order": lambda current, piece: False,
    "cancel_alert": lambda current, piece: False,
    "list_alerts": lambda current, piece: "sym" in piece.features and "sym" in current.features,
    "run_backtest": lambda current, piece: (
        "backtest" in piece.features
        and "backtest" in current.features
        and "strat" in piece.features
        and "strat" in current.features
    ),
}

__all__ = ["ACTS", "Frame", "Message", "read_message"]
