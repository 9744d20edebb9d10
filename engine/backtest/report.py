"""A backtest as one page that needs nothing else, and as JSON.

The page carries Plotly's script inside, so that it opens without a network and years later. Words come from the caller
in a mapping with the keys of `REPORT_WORDS`; numbers are written with the marks it names. Long histories are thinned:
each curve keeps the lowest and the highest point of every stretch, so that no peak and no trough is lost.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from html import escape
from math import isfinite

import numpy as np

from engine.backtest.columns import REASONS
from engine.backtest.comparison import Evaluation, Stretch
from engine.backtest.result import Run
from engine.backtest.statistics import Metrics, daily_curve
from engine.domain.market import FloatArray, IntArray, utc_from_seconds
from engine.domain.sessions import DAY_S, BoolArray

MAX_POINTS = 4_000
"""Points of one curve on the page."""
MAX_TRADES = 1_500
"""Trades drawn on the chart: the latest ones when there are more."""

_PERCENT = (
    "total_return",
    "cagr",
    "volatility",
    "max_drawdown",
    "win_rate",
    "expectancy_ratio",
    "exposure",
)
_MONEY = ("start_equity", "end_equity", "expectancy", "fees", "funding")
_COUNTS = ("trades", "beyond_volume")
_MONTHS = 12
_PAGE_WORDS = (
    "language",
    "title",
    "decimal_mark",
    "thousands_mark",
    "not_available",
    "summary",
    "figure",
    "strategy",
    "buy_and_hold",
    "costs_doubled",
    "equity",
    "drawdown",
    "price",
    "long_entries",
    "short_entries",
    "exits_won",
    "exits_lost",
    "trades_on_chart",
    "latest_trades_shown",
    "monthly_returns",
    "year",
    "whole_year",
    "by_year",
    "by_regime",
    "regime",
    "days",
    "profit",
    "honesty",
    "trials",
    "deflated_sharpe",
    "overfitting",
    "random_median",
    "random_as_good",
    "refused",
    "regime_calm",
    "regime_usual",
    "regime_wild",
    "months",
)
REPORT_WORDS = (*_PAGE_WORDS, *(field.name for field in fields(Metrics)))
"""Every key that the words must have; `months` holds twelve names separated by blanks."""

_STYLE = """
:root{color-scheme:light dark;--line:#8884;--good:#1a7f37;--bad:#b3261e}
body{font:15px/1.5 system-ui,sans-serif;margin:0 auto;max-width:1100px;padding:1rem}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem}
.scroll{overflow-x:auto}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{border-bottom:1px solid var(--line);padding:.25rem .7rem;text-align:right;white-space:nowrap}
th:first-child,td:first-child{text-align:left}
.good{color:var(--good)}.bad{color:var(--bad)}
.chart{height:380px;width:100%}
@media(prefers-color-scheme:dark){:root{--good:#57ab5a;--bad:#f47067}}
"""
_DRAW = """
const dark=matchMedia('(prefers-color-scheme:dark)').matches;
for(const [id,data,layout] of CHARTS){
 Object.assign(layout,{separators:MARKS,paper_bgcolor:'transparent',plot_bgcolor:'transparent',margin:{l:60,r:20,t:10,b:40},
  font:{color:dark?'#ddd':'#222'},legend:{orientation:'h',y:1.12},hovermode:'x unified'});
 Plotly.newPlot(id,data,layout,{responsive:true,displaylogo:false});
}
"""


def report_page(run: Run, evaluation: Evaluation, words: Mapping[str, str]) -> str:
    """Return the page, complete in itself.

    Args:
        run: With its equity.
        evaluation: Of this run.
        words: Every key of `REPORT_WORDS`, in the reader's language.

    Raises:
        ValueError: A word is missing.
    """
    missing = [key for key in REPORT_WORDS if key not in words]
    if missing:
        raise ValueError(f"the report's words lack {', '.join(missing)}")
    # Plotly takes a while to import; only a page needs it.
    from plotly.offline import get_plotlyjs

    speech = _Speech(words)
    charts = [("equity", *_equity_chart(run, evaluation, speech)), ("drawdown", *_drawdown_chart(run, speech))]
    charts += [(f"price{number}", *_price_chart(run, number, speech)) for number in range(len(run.listings))]
    drawn = json.dumps(charts, allow_nan=False).replace("</", "<\\/")
    marks = json.dumps(speech.raw("decimal_mark") + speech.raw("thousands_mark")).replace("</", "<\\/")
    sections = (
        _summary(evaluation, speech),
        _section(speech("equity"), '<div class="chart" id="equity"></div><div class="chart" id="drawdown"></div>'),
        *(_price_section(run, number, speech) for number in range(len(run.listings))),
        _monthly(evaluation, speech),
        _honesty(run, evaluation, speech),
        _stretches(evaluation.years, speech("by_year"), speech("year"), speech),
        _stretches(evaluation.regimes, speech("by_regime"), speech("regime"), speech),
    )
    title = f"{speech('title')} · {escape(_names(run))}"
    return (
        f'<!doctype html><html lang="{speech("language")}"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><title>{title}</title>'
        f"<style>{_STYLE}</style></head><body><h1>{title}</h1><p>{_period(run)}</p>{''.join(sections)}"
        f"<script>{get_plotlyjs()}</script><script>const CHARTS={drawn},MARKS={marks};{_DRAW}</script></body></html>"
    )


def report_json(run: Run, evaluation: Evaluation) -> str:
    """Return the same as JSON: every figure, exact trades as text, the account day by day; NaN becomes null."""
    daily = daily_curve(run.time, run.equity, float(run.account.starting_cash))
    trades = [run.trades.exact(row) for row in range(len(run.trades))]
    content = {
        "symbols": [each.bars.symbol for each in run.listings],
        "timeframe": run.listings[0].bars.timeframe,
        "settings": asdict(run.account),
        "cash": run.cash,
        "refused": run.refused,
        "evaluation": asdict(evaluation),
        "random_as_good": evaluation.random_entries.as_good,
        "trades": [asdict(trade) for trade in trades],
        "daily": {"day": (daily.day.astype("datetime64[D]")).astype(str).tolist(), "equity": daily.equity.tolist()},
    }
    return json.dumps(_plain(content), allow_nan=False, ensure_ascii=False)


class _Speech:
    """Words and numbers in the reader's language, safe inside HTML."""

    def __init__(self, words: Mapping[str, str]) -> None:
        self._words = words

    def __call__(self, key: str) -> str:
        return escape(self._words[key])

    def raw(self, key: str) -> str:
        return self._words[key]

    def number(self, value: float, digits: int = 2) -> str:
        if not isfinite(value):
            return self("not_available")
        marks = str.maketrans({",": self._words["thousands_mark"], ".": self._words["decimal_mark"]})
        return escape(f"{value:,.{digits}f}".translate(marks))

    def percent(self, value: float) -> str:
        return f"{self.number(100 * value)} %" if isfinite(value) else self("not_available")

    def coloured(self, value: float) -> str:
        return f'<td class="{"good" if value > 0 else "bad" if value < 0 else ""}">{self.percent(value)}</td>'

    def figure(self, name: str, value: float) -> str:
        if name in _PERCENT:
            return self.percent(value)
        return self.number(value, 0 if name in _COUNTS else 2)


def _summary(evaluation: Evaluation, speech: _Speech) -> str:
    columns = (evaluation.metrics, evaluation.buy_and_hold, evaluation.costs_doubled)
    head = "".join(f"<th>{speech(key)}</th>" for key in ("figure", "strategy", "buy_and_hold", "costs_doubled"))
    rows = "".join(
        f"<tr><td>{speech(field.name)}</td>"
        + "".join(f"<td>{speech.figure(field.name, getattr(each, field.name))}</td>" for each in columns)
        + "</tr>"
        for field in fields(Metrics)
    )
    return _section(speech("summary"), _table(head, rows))


def _honesty(run: Run, evaluation: Evaluation, speech: _Speech) -> str:
    random = evaluation.random_entries
    rows = [
        (speech("trials"), speech.number(evaluation.trials, 0)),
        (speech("deflated_sharpe"), speech.number(evaluation.deflated_sharpe, 3)),
        (speech("overfitting"), speech.number(evaluation.overfitting, 3)),
        (speech("random_median"), speech.percent(random.median)),
        (speech("random_as_good"), speech.percent(random.as_good)),
        *((f"{speech('refused')}: {escape(code)}", speech.number(count, 0)) for code, count in run.refused.items()),
    ]
    return _section(speech("honesty"), _table("", "".join(f"<tr><td>{a}</td><td>{b}</td></tr>" for a, b in rows)))


def _stretches(stretches: Sequence[Stretch], title: str, first: str, speech: _Speech) -> str:
    keys = ("days", "total_return", "sharpe", "max_drawdown", "trades", "profit")
    head = f"<th>{first}</th>" + "".join(f"<th>{speech(key)}</th>" for key in keys)
    rows = "".join(
        f"<tr><td>{speech(f'regime_{each.name}') if each.name.isalpha() else escape(each.name)}</td>"
        f"<td>{speech.number(each.days, 0)}</td>{speech.coloured(each.total_return)}"
        f"<td>{speech.number(each.sharpe)}</td><td>{speech.percent(each.max_drawdown)}</td>"
        f"<td>{speech.number(each.trades, 0)}</td><td>{speech.number(each.profit)}</td></tr>"
        for each in stretches
    )
    return _section(title, _table(head, rows)) if stretches else ""


def _monthly(evaluation: Evaluation, speech: _Speech) -> str:
    names = speech.raw("months").split()
    if len(names) != _MONTHS:
        raise ValueError(f"the report's months must be twelve names, got {len(names)}")
    head = "".join(f"<th>{escape(name)}</th>" for name in (speech.raw("year"), *names, speech.raw("whole_year")))
    by_year: dict[int, dict[int, float]] = {}
    for year, month, value in evaluation.months:
        by_year.setdefault(year, {})[month] = value
    rows = "".join(
        f"<tr><td>{year}</td>"
        + "".join(speech.coloured(months[month]) if month in months else "<td></td>" for month in range(1, _MONTHS + 1))
        + speech.coloured(float(np.prod([1 + value for value in months.values()])) - 1)
        + "</tr>"
        for year, months in by_year.items()
    )
    return _section(speech("monthly_returns"), _table(head, rows))


def _price_section(run: Run, number: int, speech: _Speech) -> str:
    total = int((run.trades.symbol_row == number).sum())
    note = f"<p>{speech('latest_trades_shown')}: {MAX_TRADES} / {total}</p>" if total > MAX_TRADES else ""
    title = f"{speech('trades_on_chart')} · {escape(run.listings[number].bars.symbol)}"
    return _section(title, f'{note}<div class="chart" id="price{number}"></div>')


def _equity_chart(run: Run, evaluation: Evaluation, speech: _Speech) -> tuple[list[object], dict[str, object]]:
    rows, held = thin(run.equity), evaluation.held
    days = thin(held.equity)
    return [
        _line(run.time[rows], run.equity[rows], speech.raw("strategy")),
        _line(held.day[days] * DAY_S, held.equity[days], speech.raw("buy_and_hold")),
    ], {}


def _drawdown_chart(run: Run, speech: _Speech) -> tuple[list[object], dict[str, object]]:
    peaks = np.maximum.accumulate(np.maximum(run.equity, float(run.account.starting_cash)))
    fall = run.equity / peaks - 1
    rows = thin(fall)
    return (
        [{**_line(run.time[rows], fall[rows], speech.raw("drawdown")), "fill": "tozeroy"}],
        {"yaxis": {"tickformat": ".0%"}},
    )


def _price_chart(run: Run, number: int, speech: _Speech) -> tuple[list[object], dict[str, object]]:
    bars, trades = run.listings[number].bars, run.trades
    rows = thin(bars.close)
    own = np.flatnonzero(trades.symbol_row == number)[-MAX_TRADES:]
    shown = np.zeros(len(trades), np.bool_)
    shown[own] = True
    won, closed = trades.profit > 0, ~trades.is_open
    entries = ((1, "long_entries", "triangle-up", "#1a7f37"), (-1, "short_entries", "triangle-down", "#b3261e"))
    marks = [
        _marks(
            bars.time, trades.entered, trades.entry_price, shown & (trades.side == side), speech.raw(key), sign, tint
        )
        for side, key, sign, tint in entries
    ]
    ends = ((won, "exits_won", "#1a7f37"), (~won, "exits_lost", "#b3261e"))
    reasons = np.array(REASONS)[trades.reason]
    marks += [
        {
            **_marks(bars.time, trades.exited, trades.exit_price, shown & closed & which, speech.raw(key), "x", tint),
            "text": reasons[shown & closed & which].tolist(),
        }
        for which, key, tint in ends
    ]
    return [_line(bars.time[rows], bars.close[rows], speech.raw("price")), *marks], {"hovermode": "closest"}


def thin(values: FloatArray) -> IntArray:
    """Return rows that keep the first, the last, and of every stretch the lowest and the highest value."""
    n = len(values)
    if n <= MAX_POINTS:
        return np.arange(n)
    size = -(-n // (MAX_POINTS // 2))
    whole = n // size * size
    blocks = values[:whole].reshape(-1, size)
    starts = np.arange(len(blocks)) * size
    rows = [starts + blocks.argmin(axis=1), starts + blocks.argmax(axis=1), np.array([0, n - 1])]
    return np.unique(np.concatenate(rows))


def _marks(
    time: IntArray, rows: IntArray, prices: FloatArray, which: BoolArray, name: str, symbol: str, colour: str
) -> dict[str, object]:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": _dates(time[rows[which]]),
        "y": prices[which].tolist(),
        "marker": {"symbol": symbol, "size": 8, "color": colour},
    }


def _line(time: IntArray, values: FloatArray, name: str) -> dict[str, object]:
    return {"type": "scatter", "mode": "lines", "name": name, "x": _dates(time), "y": values.tolist()}


def _dates(time: IntArray) -> list[str]:
    texts: list[str] = time.astype("datetime64[s]").astype(str).tolist()
    return texts


def _section(title: str, content: str) -> str:
    return f"<section><h2>{title}</h2>{content}</section>"


def _table(head: str, rows: str) -> str:
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def _names(run: Run) -> str:
    first = run.listings[0].bars
    return f"{', '.join(each.bars.symbol for each in run.listings)} {first.timeframe}"


def _period(run: Run) -> str:
    if len(run.time) == 0:
        return ""
    first, last = (utc_from_seconds(int(second)).date().isoformat() for second in (run.time[0], run.time[-1]))
    return f"{first} – {last}"


def _plain(value: object) -> object:
    """Return a value as JSON knows it."""
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if isinstance(value, float):
        return value if isfinite(value) else None
    return value if isinstance(value, (str, int, bool, type(None))) else str(value)
