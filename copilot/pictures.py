"""Charts as PNG, for surfaces that show no figure of their own: the same bars, lines and levels as `charts.py` draws.

Drawn by Matplotlib without a screen, from data that a tool has said, in the language of the answer.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from copilot.chart_marks import FILL_COLOURS, PHASE_COLOURS, PHASE_OPACITY, fill_marks, phases_shown
from copilot.events import Language
from copilot.wording import format_percent, format_price, target_told
from engine.domain.signals import Signal
from prompts import load_words
from tools.results import BacktestResult, ChartData, ChartLevel, ChartLine

Words = Mapping[str, Any]
_WIDTH_IN, _DPI = 9.0, 120
_PRICE_IN, _VOLUME_IN, _PANE_IN, _FALL_IN = 4.2, 0.8, 1.2, 1.3
_PAPER, _INK, _GRID = "#ffffff", "#46505f", "#e3e7ec"
_RISE, _FALL, _VOLUME, _OWN = "#26a69a", "#ef5350", "#b9c0c9", "#5b8def"
_LINES = ("#e0a030", "#5b8def", "#b07cf2", "#4cb8c4", "#d66aa0", "#8c9a3f")
_LEVELS = {"entry": _OWN, "stop": _FALL, "target": _RISE, "support": _RISE, "resistance": _FALL, "fibonacci": "#b07cf2"}
_TRADE = ("entry", "stop", "target")
_GUIDES: dict[str, tuple[float, ...]] = {"rsi": (30, 70), "stochastic": (20, 80), "adx": (20,), "macd": (0,)}
_INTRADAY_S = 24 * 3600


def chart_picture(chart: ChartData, language: Language, signal: Signal | None = None) -> bytes:
    """Return a chart as PNG.

    Args:
        chart: Bars oldest first, with lines and levels aligned to them.
        language: Of every label.
        signal: Draws entry, stop and target, when it is about this symbol and has a direction.
    """
    words: Words = load_words(language, "web")["chart"]
    panes = list(dict.fromkeys(line.pane for line in chart.lines if line.pane != "price"))
    heights = [_PRICE_IN, *([_VOLUME_IN] if any(chart.volume) else []), *(_PANE_IN for _ in panes)]
    figure, axes = _figure(heights, words["title"].format(symbol=chart.symbol, timeframe=chart.timeframe))
    rows = {"price": axes[0], **dict(zip(panes, axes[len(heights) - len(panes) :], strict=True))}
    _draw_bars(axes[0], chart)
    if any(chart.volume):
        axes[1].bar(range(len(chart.time)), chart.volume, color=_VOLUME, width=0.8)
        axes[1].set_ylabel(words["volume"], fontsize=8, color=_INK)
        axes[1].yaxis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
    for number, line in enumerate(chart.lines):
        _draw_line(rows[line.pane], line, _LINES[number % len(_LINES)], words)
    _draw_phases(axes[0], chart, words)
    _draw_fills(axes[0], chart, words, language)
    for pane, axis in rows.items():
        _finish_pane(axis, pane, words, language)
    _draw_levels(axes[0], chart, signal, words, language)
    _date(axes, chart.time, is_intraday=_step(chart.time) < _INTRADAY_S)
    return _png(figure)


def equity_picture(result: BacktestResult, language: Language) -> bytes:
    """Return a backtest as PNG: its account and the one that was held, and how far its own lay below its peak."""
    words: Words = load_words(language, "backtest_report")["chart"]
    target = target_told(result.target, language)
    symbols = ", ".join(result.symbols[:3])
    title = words["title"].format(target=target[:1].upper() + target[1:], symbols=symbols, timeframe=result.timeframe)
    figure, (upper, lower) = _figure([_PRICE_IN * 0.8, _FALL_IN], title)
    places = range(len(result.curve.time))
    upper.plot(places, result.curve.held_pct, color=_INK, lw=1.2, ls=":", label=words["held"])
    upper.plot(places, result.curve.strategy_pct, color=_OWN, lw=1.5, label=words["strategy"])
    upper.legend(fontsize=8, frameon=False, loc="upper left")
    worth = 1 + np.asarray(result.curve.strategy_pct) / 100
    falls = 100 * (worth / np.maximum.accumulate(np.maximum(worth, 1.0)) - 1)
    lower.fill_between(places, falls, 0, color=_FALL, alpha=0.35, lw=0)
    lower.set_ylabel(words["drawdown"], fontsize=8, color=_INK)
    for axis in (upper, lower):
        axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: format_percent(value, language, 0)))
    _date((upper, lower), result.curve.time, is_intraday=False)
    return _png(figure)


def _figure(heights: Sequence[float], title: str) -> tuple[Figure, Sequence[Axes]]:
    figure = Figure(figsize=(_WIDTH_IN, sum(heights) + 0.7), dpi=_DPI, facecolor=_PAPER, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(heights), 1, sharex=True, gridspec_kw={"height_ratios": heights}, squeeze=False)
    axes = [row[0] for row in grid]
    axes[0].set_title(title, loc="left", fontsize=11, color=_INK)
    for axis in axes:
        axis.set_facecolor(_PAPER)
        axis.grid(color=_GRID, lw=0.6)
        axis.set_axisbelow(True)
        axis.tick_params(colors=_INK, labelsize=8, length=0)
        axis.yaxis.tick_right()
        axis.yaxis.set_major_locator(MaxNLocator(7 if axis is axes[0] else 3))
        for spine in axis.spines.values():
            spine.set_visible(False)
    return figure, axes


def _draw_bars(axis: Axes, chart: ChartData) -> None:
    places = np.arange(len(chart.time))
    opened, closed = np.asarray(chart.open), np.asarray(chart.close)
    colours = np.where(closed >= opened, _RISE, _FALL).tolist()
    axis.vlines(places, chart.low, chart.high, colors=colours, lw=0.8)
    thin = (max(chart.high) - min(chart.low)) / 2000
    axis.bar(places, np.maximum(abs(closed - opened), thin), 0.7, np.minimum(opened, closed), color=colours)
    axis.set_xlim(-1, len(places))


def _draw_phases(axis: Axes, chart: ChartData, words: Words) -> None:
    """Tint the regions of the AMD phases, and name each of them once."""
    places = {second: place for place, second in enumerate(chart.time)}
    for phase in chart.phases:
        start, end = places[phase.start] - 0.5, places[phase.end] + 0.5
        axis.axvspan(start, end, color=PHASE_COLOURS[phase.phase], alpha=PHASE_OPACITY, lw=0, zorder=0)
    for name in phases_shown(chart):
        axis.plot([], [], "s", color=PHASE_COLOURS[name], alpha=0.45, label=words["phase"][name])


def _draw_fills(axis: Axes, chart: ChartData, words: Words, language: Language) -> None:
    """Mark where orders were filled; the bar that still forms stands behind the last one."""
    places = {second: place for place, second in enumerate(chart.time)}
    for mark in fill_marks(chart, words, language):
        where = [places.get(second, len(places)) for second in mark.times]
        axis.scatter(
            where,
            mark.prices,
            s=60,
            c=FILL_COLOURS[mark.side],
            marker="^" if mark.side == "buy" else "v",
            edgecolors="#ffffff",
            lw=0.8,
            zorder=5,
            label=mark.name,
        )
    if any(fill.time not in places for fill in chart.fills):
        axis.set_xlim(-1, len(places) + 1)


def _draw_line(axis: Axes, line: ChartLine, colour: str, words: Words) -> None:
    values = np.array([np.nan if value is None else value for value in line.values], dtype=np.float64)
    if line.name.endswith("histogram"):
        axis.bar(range(len(values)), np.nan_to_num(values), color=_VOLUME, width=0.8)
        return
    name = words["line"].get(line.name) or line.name.replace("_", " ").upper()
    axis.plot(range(len(values)), values, color=colour, lw=1.2, label=name)


def _finish_pane(axis: Axes, pane: str, words: Words, language: Language) -> None:
    if axis.get_legend_handles_labels()[1]:
        axis.legend(fontsize=7, frameon=False, loc="lower left", ncols=4)
    for value in _GUIDES.get(pane, ()):
        axis.axhline(value, color=_INK, lw=0.7, ls=":", alpha=0.6)
    if pane == "price":
        axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: format_price(value, language)))
    else:
        axis.set_ylabel(words["pane"].get(pane, pane.upper()), fontsize=8, color=_INK)


def _draw_levels(axis: Axes, chart: ChartData, signal: Signal | None, words: Words, language: Language) -> None:
    """Draw every level, and name those whose names do not cover each other; what would be traded comes first."""
    levels = list(chart.levels)
    if signal is not None and signal.symbol == chart.symbol and signal.direction != "none":
        levels += [ChartLevel(kind=kind, price=getattr(signal, kind)) for kind in _TRADE]
    traded = [level.price for level in levels if level.kind in _TRADE]
    traded += [float(fill.price) for fill in chart.fills]
    low, high = min((*chart.low, *traded)), max((*chart.high, *traded))
    margin = (high - low) * 0.06 or high * 0.01
    named: list[float] = []
    for level in sorted(levels, key=lambda level: level.kind not in _TRADE):
        is_trade, colour = level.kind in _TRADE, _LEVELS.get(level.kind, _INK)
        axis.axhline(level.price, color=colour, lw=1.3 if is_trade else 0.8, ls="-" if is_trade else ":")
        is_crowded = any(abs(level.price - other) < (high - low) * 0.05 for other in named)
        if low - margin < level.price < high + margin and not is_crowded:
            named.append(level.price)
            name = f"{words['level'].get(level.kind, level.kind)} {level.label}".strip()
            told = f"{name} {format_price(level.price, language)}"
            axis.annotate(told, (0, level.price), (2, 2), textcoords="offset points", fontsize=7, color=colour)
    axis.set_ylim(low - margin, high + margin)


def _date(axes: Sequence[Axes], time: Sequence[int], *, is_intraday: bool) -> None:
    """Name moments by place, so that weekends without bars take no room."""

    def name(place: float, _: int | None) -> str:
        number = round(place)
        if not 0 <= number < len(time):
            return ""
        at = datetime.fromtimestamp(time[number], UTC)
        return at.strftime("%d/%m %H:%M" if is_intraday else "%d/%m/%y")

    axes[-1].xaxis.set_major_locator(MaxNLocator(7, integer=True))
    axes[-1].xaxis.set_major_formatter(FuncFormatter(name))


def _short(value: float) -> str:
    for size, sign in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.0f}{sign}"
    return f"{value:.0f}"


def _step(time: Sequence[int]) -> int:
    return min((later - earlier for earlier, later in pairwise(time)), default=0)


def _png(figure: Figure) -> bytes:
    kept = io.BytesIO()
    figure.savefig(kept, format="png")
    return kept.getvalue()
