"""Score a router on utterances with gold routing: accuracy by tool and language, wrong trades, latency.

The counts follow the routing contract: an answer is exact when it equals `expect` or any of `also`; numbers compare as
numbers, list arguments as sets, calls in order. A wrong trade is an `execute_trade` call whose side, symbol, amount or
unit no accepted answer has at its place.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

Route = Callable[[str, list[dict[str, str]]], Mapping[str, Any]]

_TRADE = "execute_trade"
_TERMS = ("side", "symbol", "amount", "unit")
_MISSES_SHOWN = 20
_PAIRS_SHOWN = 10
_TEXT_SHOWN = 30


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts of one group of records."""

    total: int
    tool_right: int
    exact: int

    @property
    def tool_accuracy(self) -> float:
        """Share (0-1) with the right tools in the right order."""
        return self.tool_right / self.total if self.total else 1.0

    @property
    def exact_accuracy(self) -> float:
        """Share (0-1) that is right in every argument."""
        return self.exact / self.total if self.total else 1.0


@dataclass(frozen=True, slots=True)
class Miss:
    """One record that was not routed exactly."""

    record_id: str
    text: str
    expected: str
    got: str
    wrong_trade: bool


@dataclass(frozen=True, slots=True)
class EvalReport:
    """What a router did on a file."""

    total: int
    tool_accuracy: float
    exact_accuracy: float
    wrong_trades: int
    by_tool: Mapping[str, Tally]
    by_tool_and_language: Mapping[str, Tally]
    by_language: Mapping[str, Tally]
    by_tag: Mapping[str, Tally]
    confusion: tuple[tuple[str, str, int], ...]
    p50_ms: float
    p95_ms: float
    misses: tuple[Miss, ...]
    model: str = ""
    troubles: Mapping[str, int] = field(default_factory=dict)

    def answered_by(self, model: str, troubles: Mapping[str, int]) -> EvalReport:
        """Return the report with the chat model's name, and how often what kept it from deciding."""
        return replace(self, model=model, troubles=dict(troubles))

    def lines(self) -> list[str]:
        """Return the report as lines for a terminal."""
        rows = [f"model: {self.model}"] if self.model else []
        rows.append(f"{'':<24}{'n':>6}{'tool':>9}{'exact':>9}")
        rows += [_row(name, tally) for name, tally in sorted(self.by_tool.items())]
        rows += [_row(name, tally) for name, tally in sorted(self.by_tool_and_language.items())]
        rows += [_row(name, tally) for name, tally in sorted(self.by_language.items())]
        rows.append(f"{'all':<24}{self.total:>6}{self.tool_accuracy:>9.1%}{self.exact_accuracy:>9.1%}")
        rows.append(f"wrong trades: {self.wrong_trades}")
        rows.append(f"latency: p50 {self.p50_ms:.2f} ms, p95 {self.p95_ms:.2f} ms")
        rows += [f"decided by the offline model instead: {n} ({code})" for code, n in sorted(self.troubles.items())]
        rows += [f"  {expected} -> {got}: {count}" for expected, got, count in self.confusion[:_PAIRS_SHOWN]]
        rows += [
            f"  {miss.record_id}: expected {miss.expected}, got {miss.got}" for miss in self.misses[:_MISSES_SHOWN]
        ]
        return rows

    def markdown(self) -> str:
        """Return the report as a page that can be kept and compared."""
        groups = [*sorted(self.by_tool.items()), *sorted(self.by_tool_and_language.items())]
        groups += sorted(self.by_language.items())
        groups.append(
            ("all", Tally(self.total, *(round(a * self.total) for a in (self.tool_accuracy, self.exact_accuracy))))
        )
        rows = [f"| {name} | {t.total} | {t.tool_accuracy:.1%} | {t.exact_accuracy:.1%} |" for name, t in groups]
        pairs = [f"| {expected} | {got} | {count} |" for expected, got, count in self.confusion]
        misses = [f"- `{m.record_id}` {m.text!r}: expected {m.expected}; got {m.got}" for m in self.misses]
        told = [f"- decided by the offline model instead: {n} ({code})" for code, n in sorted(self.troubles.items())]
        return "\n".join(
            [
                f"# Routing of {self.model or 'a chat model'}",
                "",
                f"- wrong trades: {self.wrong_trades}",
                f"- latency: p50 {self.p50_ms:.2f} ms, p95 {self.p95_ms:.2f} ms",
                *told,
                "",
                "| | n | tool | exact |",
                "|---|---|---|---|",
                *rows,
                "",
                "| expected | got | n |",
                "|---|---|---|",
                *pairs,
                "",
                "Misses",
                "",
                *misses,
                "",
            ]
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain JSON types."""
        return {
            "model": self.model,
            "troubles": dict(self.troubles),
            "total": self.total,
            "tool_accuracy": self.tool_accuracy,
            "exact_accuracy": self.exact_accuracy,
            "wrong_trades": self.wrong_trades,
            "by_tool": {name: _plain(tally) for name, tally in sorted(self.by_tool.items())},
            "by_tool_and_language": {n: _plain(tally) for n, tally in sorted(self.by_tool_and_language.items())},
            "by_language": {name: _plain(tally) for name, tally in sorted(self.by_language.items())},
            "confusion": [{"expected": e, "got": g, "count": n} for e, g, n in self.confusion],
            "p50_ms": self.p50_ms,
            "p95_ms": self.p95_ms,
            "misses": [
                {"id": m.record_id, "text": m.text, "expected": m.expected, "got": m.got, "wrong_trade": m.wrong_trade}
                for m in self.misses
            ],
        }


def score(
    records: Sequence[Mapping[str, Any]], route: Route, *, progress: Callable[[float, str], None] | None = None
) -> EvalReport:
    """Route every record and compare.

    Args:
        records: Lines of an evaluation file: `text`, `expect`, and optionally `id`, `lang`, `tags`, `history`, `also`.
        route: Text and history in, `{"calls": [...], "ask": ...}` out.
        progress: Told the share done (0-1) after every record.
    """
    groups: dict[str, dict[str, list[tuple[bool, bool]]]] = {"tool": {}, "both": {}, "lang": {}, "tag": {}}
    times, misses = [], []
    pairs: Counter[tuple[str, str]] = Counter()
    for number, record in enumerate(records, 1):
        started = time.perf_counter()
        got = route(str(record["text"]), list(record.get("history") or []))
        times.append((time.perf_counter() - started) * 1000)
        answers = [record["expect"], *(record.get("also") or [])]
        right = any(_same_tools(answer, got) for answer in answers), any(_same(answer, got) for answer in answers)
        wrong = _is_wrong_trade(answers, got)
        expected, given = _name(record["expect"]), _name(got)
        groups["tool"].setdefault(expected, []).append(right)
        language = str(record.get("lang", "?"))
        groups["both"].setdefault(f"{expected} {language}", []).append(right)
        groups["lang"].setdefault(language, []).append(right)
        for tag in record.get("tags") or ():
            groups["tag"].setdefault(str(tag), []).append(right)
        if not right[0]:
            pairs[expected, given] += 1
        if not right[1] or wrong:
            identity = str(record.get("id", number))
            misses.append(Miss(identity, str(record["text"]), _told(record["expect"]), _told(got), wrong))
        if progress is not None:
            progress(number / len(records), str(record["text"])[:_TEXT_SHOWN])
    everything = _tally([right for rights in groups["lang"].values() for right in rights])
    return EvalReport(
        total=everything.total,
        tool_accuracy=everything.tool_accuracy,
        exact_accuracy=everything.exact_accuracy,
        wrong_trades=sum(miss.wrong_trade for miss in misses),
        by_tool=_tallies(groups["tool"]),
        by_tool_and_language=_tallies(groups["both"]),
        by_language=_tallies(groups["lang"]),
        by_tag=_tallies(groups["tag"]),
        confusion=tuple((*pair, count) for pair, count in pairs.most_common()),
        p50_ms=_percentile(times, 0.50),
        p95_ms=_percentile(times, 0.95),
        misses=tuple(misses),
    )


def _calls(answer: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return list(answer.get("calls") or [])


def _same_tools(answer: Mapping[str, Any], got: Mapping[str, Any]) -> bool:
    if answer.get("ask"):
        return bool(got.get("ask")) and not _calls(got)
    return [c["tool"] for c in _calls(answer)] == [c["tool"] for c in _calls(got)] and _ask_fits(answer, got)


def _ask_fits(answer: Mapping[str, Any], got: Mapping[str, Any]) -> bool:
    return bool(_calls(answer)) or not got.get("ask")


def _same(answer: Mapping[str, Any], got: Mapping[str, Any]) -> bool:
    if not _same_tools(answer, got):
        return False
    return all(_same_args(a["args"], g["args"]) for a, g in zip(_calls(answer), _calls(got), strict=True))


def _same_args(expected: Mapping[str, Any], got: Mapping[str, Any]) -> bool:
    return expected.keys() == got.keys() and all(_same_value(expected[key], got[key]) for key in expected)


def _same_value(expected: object, got: object) -> bool:
    if isinstance(expected, list | tuple) or isinstance(got, list | tuple):
        return (
            isinstance(expected, list | tuple)
            and isinstance(got, list | tuple)
            and {str(item) for item in expected} == {str(item) for item in got}
        )
    if _is_number(expected) and _is_number(got):
        return _decimal(expected) == _decimal(got)
    return expected == got


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def _decimal(value: object) -> Decimal:
    return Decimal(str(value))


def _is_wrong_trade(answers: Sequence[Mapping[str, Any]], got: Mapping[str, Any]) -> bool:
    trades = [_terms(call) for call in _calls(got) if call["tool"] == _TRADE]
    if not trades:
        return False
    return not any(_trades_fit(answer, trades) for answer in answers)


def _trades_fit(answer: Mapping[str, Any], trades: list[tuple[object, ...]]) -> bool:
    wanted = [_terms(call) for call in _calls(answer) if call["tool"] == _TRADE]
    return all(trade in wanted for trade in trades)


def _terms(call: Mapping[str, Any]) -> tuple[object, ...]:
    args = call["args"]
    values = (args.get(term, "base" if term == "unit" else None) for term in _TERMS)
    return tuple(_decimal(value) if _is_number(value) else value for value in values)


def _name(answer: Mapping[str, Any]) -> str:
    calls = _calls(answer)
    if calls:
        return str(calls[0]["tool"]) if len(calls) == 1 else "several"
    return "ask" if answer.get("ask") else "plain"


def _told(answer: Mapping[str, Any]) -> str:
    calls = _calls(answer)
    if not calls:
        return _name(answer)
    return "; ".join(f"{c['tool']}({', '.join(f'{k}={v}' for k, v in c['args'].items())})" for c in calls)


def _tally(rights: Sequence[tuple[bool, bool]]) -> Tally:
    return Tally(len(rights), sum(tool for tool, _ in rights), sum(exact for _, exact in rights))


def _tallies(groups: Mapping[str, Sequence[tuple[bool, bool]]]) -> dict[str, Tally]:
    return {name: _tally(rights) for name, rights in groups.items()}


def _plain(tally: Tally) -> dict[str, float]:
    return {"total": tally.total, "tool_accuracy": tally.tool_accuracy, "exact_accuracy": tally.exact_accuracy}


def _row(name: str, tally: Tally) -> str:
    return f"{name:<24}{tally.total:>6}{tally.tool_accuracy:>9.1%}{tally.exact_accuracy:>9.1%}"


def _percentile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
