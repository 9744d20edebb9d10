"""Collects the facts of one turn from tool results and from the person's own messages.

Facts are collected generically, by the names that results give their fields, so that a new result is covered before
anybody thinks of it. What a program derives from a result when it words it (the room under a limit, the slippage of a
fill) is a fact too. Pictures' data and secrets are not: a model that hits one of two thousand drawn prices proves
nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from copilot.brain.checking.facts import Day, Fact, Facts, Kind, read_clock, read_dates
from copilot.brain.checking.figures import Figure, find_figures, strip_marks
from copilot.brain.checking.instruments import find_symbols
from copilot.brain.checking.standing import Side, Standing, asked_side
from copilot.brain.checking.words import LANGUAGES, Language
from engine.domain.symbols import TIMEFRAME_S, find_timeframe
from tools.results import ToolResult

_KINDS: dict[str, Kind] = {
    **dict.fromkeys(
        ("close", "entry", "stop", "target", "bid", "ask", "price", "expected_price", "repriced_from", "average_price",
         "mark", "stop_loss", "take_profit", "range_high", "range_low", "swept_level", "up", "down", "supports",
         "resistances", "stop_distance", "market", "smallest"), "price"),
    **dict.fromkeys(
        ("cash", "equity", "exposure", "unrealised", "realised", "fees", "fee", "pnl", "notional", "risk_money",
         "cash_before", "cash_after", "exposure_before", "exposure_after"), "money"),
    **dict.fromkeys(
        ("quantity", "filled_quantity", "raw_quantity", "position_before", "position_after", "held"), "quantity"),
    **dict.fromkeys(("probability", "breakeven_probability", "score", "random_as_good", "deflated_sharpe"), "ratio"),
    **dict.fromkeys(("reward_risk", "displacement_atr"), "multiple"),
    **dict.fromkeys(("rsi", "adx", "stochastic", "trend_strength"), "index"),
    "atr": "price",
    **dict.fromkeys(("ticket_id", "order_id", "alert_id", "trade_id", "version"), "id"),
    "horizon_bars": "count",
}  # fmt: skip
_SUFFIXES: tuple[tuple[str, Kind], ...] = (
    ("_pct", "pct"), ("_ratio", "ratio"), ("_bps", "bps"), ("_s", "duration"), ("_id", "id"),
)  # fmt: skip
_DAYS = ("days", "days_asked")
_SIGNED = frozenset(
    {"unrealised", "unrealised_pct", "realised", "pnl", "pnl_pct", "change_pct", "expected_value_ratio", "contribution",
     "return_pct", "held_pct", "random_pct", "costs_doubled_pct", "sharpe"}
)  # fmt: skip
_ROLES = {
    "entry": "entry", "stop": "stop", "stop_loss": "stop", "target": "target", "take_profit": "target",
    "probability": "probability", "breakeven_probability": "breakeven", "bid": "bid", "ask": "ask", "cash": "cash",
    "cash_before": "cash", "cash_after": "cash", "equity": "equity", "fee": "fee", "fees": "fee",
    "supports": "support", "resistances": "resistance", "rsi": "rsi", "trend_strength": "adx", "adx": "adx",
    "atr": "atr", "atr_pct": "atr",
}  # fmt: skip
"""What people call a field's number where two numbers of a result must not be taken for each other."""
_SECRETS = frozenset({"nonce", "terms_hash", "owner", "conversation_id", "chart"})
_INDICES = ("rsi", "adx", "stochastic")
_NUMERIC = re.compile(r"[-+]?\d{1,30}(?:\.\d{1,30})?(?:[eE][-+]?\d{1,3})?", re.ASCII)
_MIXED = re.compile(r"[\w/.:-]*\d[\w/.:-]*")
_LETTER = re.compile(r"[^\W\d_]")
_CURRENCY_OF = {"USDT": "USD", "USDC": "USD"}
_RANGE_HOLDS_PCT = 80
"""How often the expected range between its outer quantiles holds, as answers tell it."""
_ATR_STOP = Decimal("1.5")
"""Average true ranges between entry and stop when nobody named a stop, as answers tell it."""


def facts_from(
    results: Sequence[ToolResult | str],
    messages: Sequence[str],
    language: Language,
    *,
    texts: Sequence[str] = (),
) -> Facts:
    """Return what results and the person's own messages make known.

    Args:
        results: Typed results, or their JSON.
        messages: What the person wrote in this conversation, as far as it counts.
        language: Of the answer.
        texts: Other texts of this program whose figures may be repeated, such as the plain answer.

    Raises:
        ValueError: A result is no JSON, or holds a time that is none.
    """
    found = _Collector()
    for result in results:
        data = json.loads(result, parse_float=Decimal) if isinstance(result, str) else result.model_dump(mode="python")
        found.read(data)
    for message in messages:
        found.hear(message, LANGUAGES)
    found.ask(messages[-1] if messages else "")
    for text in texts:
        found.hear(text, (language,))
    return found.facts(language)


class _Collector:
    """Walks results and messages once."""

    def __init__(self) -> None:
        self._numbers: dict[Fact, None] = {}
        self._names: set[str] = set()
        self._dates: set[Day] = set()
        self._clocks: set[tuple[int, int]] = set()
        self._symbols: set[str] = set()
        self._standing = Standing()
        self._asked: Side | None = None
        self._currencies: set[str] = set()

    def facts(self, language: Language) -> Facts:
        standing = self._standing
        standing.finish()
        numbers = tuple(sorted(self._numbers, key=lambda fact: abs(fact.value)))
        names = sorted(self._names, key=len, reverse=True)
        pattern = re.compile(r"(?<![\w.,$€£¥])(?:" + "|".join(map(re.escape, names)) + r")(?!\w|[.,]\d)", re.IGNORECASE)
        return Facts(
            language=language,
            numbers=numbers,
            identifiers=frozenset(self._names),
            dates=frozenset(self._dates),
            clocks=frozenset(self._clocks),
            symbols=frozenset(self._symbols),
            directions=dict(standing.directions),
            deeds=frozenset(standing.deeds),
            history=frozenset(() if "ticket" in standing.deeds else standing.history),
            lines=frozenset(standing.lines),
            holdings=frozenset(standing.holdings),
            leanings=frozenset(standing.leanings),
            is_pending=standing.is_pending,
            asked=self._asked,
            currencies=frozenset(self._currencies),
            bases=frozenset(symbol[:3] for symbol in self._symbols if len(symbol) == 6 and symbol.isupper()),
            _sizes=tuple(abs(fact.value) for fact in numbers),
            _names=pattern if names else None,
        )

    def read(self, data: Any) -> None:
        """Take in one result."""
        self._walk(data, "")
        if isinstance(data, Mapping):
            self._standing.read(data)
            self._derive(data)

    def hear(self, message: str, languages: Iterable[Language]) -> None:
        """Take in a person's message: its figures may mean anything, in either notation."""
        text = strip_marks(message)
        for language in languages:
            for figure in find_figures(text, language):
                self._figure(figure)
        for _, symbol in find_symbols(text):
            self._symbol(symbol)
        self._name(text)

    def ask(self, message: str) -> None:
        """Take in what the last message asks for."""
        self._asked = asked_side(message)

    def _figure(self, figure: Figure) -> None:
        if figure.unit == "money" and figure.payload:
            self._currencies.add(figure.payload)
        if figure.unit == "date":
            self._dates.update(read_dates(figure.payload.split(" ")[0]))
        if figure.unit in ("clock", "ratio"):
            clock = read_clock(figure.payload)
            self._clocks.update({clock} if clock else ())
            self._ratio(figure.payload)
        if figure.value is not None and not figure.is_free:
            self._add(figure.value * (figure.sign or 1), "plain")

    def _ratio(self, text: str) -> None:
        """Keep "3:1" and "1:3" as a multiple of one."""
        first, _, second = text.replace(",", ".").partition(":")
        other = first if second == "1" else second if first == "1" else ""
        if _NUMERIC.fullmatch(other):
            self._add(Decimal(other), "multiple")

    def _add(self, value: Decimal, kind: Kind, key: str = "") -> None:
        if not value.is_finite():
            return
        is_signed, role = key in _SIGNED, _ROLES.get(key, "")
        self._numbers[Fact(value, kind, is_signed, role)] = None
        if kind == "ratio":
            self._numbers[Fact(value * 100, "share", is_signed, role)] = None
        if kind == "bps":
            self._numbers[Fact(value / 100, "pct", is_signed, role)] = None

    def _walk(self, value: Any, key: str) -> None:
        if key in _SECRETS or value is None or isinstance(value, bool):
            return
        if isinstance(value, Mapping):
            self._mapping(value)
        elif isinstance(value, list | tuple):
            for item in value:
                self._walk(item, key)
        elif isinstance(value, datetime):
            self._moment(value)
        elif isinstance(value, str):
            self._text(str(value), key)
        elif isinstance(value, Decimal | int | float):
            exact = value if isinstance(value, Decimal) else Decimal(repr(value))
            self._add(exact, kind_of(key), key)
            if key in _DAYS:
                self._add(exact * 86400, "duration")

    def _mapping(self, data: Mapping[str, Any]) -> None:
        if "unit" in data and "limit" in data:
            self._limit(data)
            return
        for key, value in data.items():
            if key == "readings" and isinstance(value, Mapping):
                self._readings(value)
            else:
                self._walk(value, _key_beside(key, data))
            if isinstance(value, list | tuple) and key not in _SECRETS:
                self._add(Decimal(len(value)), "count")

    def _readings(self, readings: Mapping[str, Any]) -> None:
        for name, value in readings.items():
            self._name(name)
            index = next((known for known in _INDICES if name.startswith(known)), None)
            self._walk(value, "atr" if name.startswith("atr") else "price" if index is None else index)

    def _limit(self, data: Mapping[str, Any]) -> None:
        kinds: dict[str, Kind] = {"money": "money", "pct": "pct", "count": "count"}
        kind = kinds.get(str(data["unit"]), "other")
        limit, before, after = (Decimal(str(data[name])) for name in ("limit", "before", "after"))
        for value in (limit, before, after, max(limit - after, Decimal(0))):
            self._add(value, kind, str(data.get("name", "")))
        if kind == "money":
            self._currencies.add("USD")

    def _text(self, text: str, key: str) -> None:
        if key in ("currency", "base_currency"):
            self._currencies.add(_CURRENCY_OF.get(text, text))
        if key in ("symbol", "favourites"):
            self._symbol(text)
        timeframe = find_timeframe(text)
        if timeframe:
            self._add(Decimal(TIMEFRAME_S[timeframe]), "duration")
            self._names.update((text.lower(), text[-1].lower() + text[:-1]))
            return
        if key == "period" and re.fullmatch(r"\d{1,4}d", text):
            self._add(Decimal(text[:-1]) * 86400, "duration")
        moment = read_moment(text)
        if moment is not None:
            self._moment(moment)
        elif _NUMERIC.fullmatch(text):
            self._add(Decimal(text), kind_of(key), key)
        elif key == "model_version":
            self._names.add(text.lower())
        else:
            self._loose(text)

    def _loose(self, text: str) -> None:
        """Take the figures out of a name or a sentence."""
        self._name(text)
        for figure in find_figures(text.replace("_", " "), "en"):
            if figure.value is not None and not figure.is_free:
                self._add(figure.value, "other" if " " in text else "count")
        self._symbols.update(symbol for _, symbol in find_symbols(text))

    def _name(self, text: str) -> None:
        for match in _MIXED.finditer(text):
            name = match[0].strip(".:/-_").lower()
            if _LETTER.search(name) and not name[0].isdigit():
                self._names.add(name)

    def _symbol(self, symbol: str) -> None:
        self._symbols.add(symbol)
        quote = symbol.partition("/")[2] or symbol[3:]
        if not quote.isupper():
            return
        self._currencies.add(_CURRENCY_OF.get(quote, quote))

    def _moment(self, moment: datetime) -> None:
        at = moment.astimezone(UTC)
        self._dates.add((at.year, at.month, at.day))
        self._clocks.add((at.hour, at.minute))

    def _derive(self, data: Mapping[str, Any]) -> None:
        kind = data.get("kind")
        if kind == "signal":
            self._derive_signal(data["signal"])
        elif kind == "ticket":
            self._derive_ticket(data)
        elif kind == "portfolio":
            self._currencies.add(str(data["currency"]))

    def _derive_signal(self, signal: Mapping[str, Any]) -> None:
        seconds = TIMEFRAME_S.get(signal["timeframe"], 0)
        self._add(Decimal(signal["horizon_bars"]) * seconds, "duration")
        self._add(Decimal(_RANGE_HOLDS_PCT), "pct")

    def _derive_ticket(self, ticket: Mapping[str, Any]) -> None:
        moments = [_as_moment(ticket[name]) for name in ("created_at", "expires_at") if name in ticket]
        if len(moments) == 2:
            self._add(Decimal(int((moments[1] - moments[0]).total_seconds())), "duration")
        terms, fill = ticket["terms"], ticket.get("fill")
        sizing = terms.get("sizing")
        if sizing is not None and sizing["stop_from"] == "atr":
            self._add(_ATR_STOP, "multiple")
        price = None if fill is None else fill.get("average_price")
        if price is not None:
            expected = Decimal(str(terms["expected_price"]))
            self._add(abs(Decimal(str(price)) - expected) * 100 / expected, "pct")


def _key_beside(key: str, data: Mapping[str, Any]) -> str:
    """Return the field's name, or a telling one where a field beside it says what the number is."""
    if key == "value" and "condition" in data:
        condition = str(data["condition"]).split("_")[0]
        return {"change": "value_pct", "rsi": "rsi"}.get(condition, "price")
    if key == "price" and data.get("role") in ("stop_loss", "take_profit"):
        return str(data["role"])
    return key


def kind_of(key: str) -> Kind:
    """Return what a field's number counts, by the field's name."""
    if key in _KINDS:
        return _KINDS[key]
    return next((kind for suffix, kind in _SUFFIXES if key.endswith(suffix)), "other")


def read_moment(text: str) -> datetime | None:
    """Return the time that an ISO text tells, with its zone; None for anything else."""
    if not re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d", text):
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _as_moment(value: Any) -> datetime:
    moment = value if isinstance(value, datetime) else read_moment(str(value))
    if moment is None:
        raise ValueError(f"{value!r} is not a time")
    return moment
