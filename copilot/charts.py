"""Pictures of what tools say, as Plotly figures: bars with indicators and price levels, and a backtest's accounts.

A figure is transparent and its greys are readable on light and dark alike, so one picture serves both; a known
background only sharpens the contrast. Nothing is computed here that a tool did not already say, but for how far a
drawn account lies below its peak.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import accumulate
from typing import Any, cast

from plotly import graph_objects
from plotly.subplots import make_subplots

from copilot.chart_marks import FILL_COLOURS, PHASE_COLOURS, PHASE_OPACITY, fill_marks, phases_shown
from copilot.events import Language
from copilot.wording import format_percent, format_price, target_told
from engine.domain.signals import Signal
from engine.domain.symbols import TIMEFRAME_S, Timeframe, is_fx
from prompts import load_words
from tools.results import BacktestResult, ChartData, ChartLevel, ChartLine

Words = Mapping[str, Any]
_PRICE_HEIGHT, _PANE_HEIGHT = 400, 110
_VOLUME_HEIGHT = 70
_EQUITY_HEIGHT, _DRAWDOWN_HEIGHT = 230, 90
_RISE, _FALL = "#26a69a", "#ef5350"
_LINE_COLOURS = ("#e0a030", "#5b8def", "#b07cf2", "#4cb8c4", "#d66aa0", "#8c9a3f")
_GRID = "rgba(128, 138, 152, 0.22)"
_INK = {True: "#c3ccd8", False: "#46505f", None: "#828c9b"}
_VOLUME_COLOUR = "rgba(128, 138, 152, 0.55)"
_OWN_COLOUR, _FALL_SHADE = "#5b8def", "rgba(239, 83, 80, 0.28)"
_LONG_S = 120 * 24 * 3600
"""Accounts longer than this are dated by months."""
_INTRADAY_LIMIT_S = 24 * 3600
_MAX_BREAKS = 5000
"""A chart with more missing bars than this is drawn with its gaps."""


@dataclass(frozen=True, slots=True)
class _LevelStyle:
    colour: str
    dash: str
    width: float


_LEVEL_STYLES = {
    "entry": _LevelStyle("#5b8def", "solid", 1.6),
    "stop": _LevelStyle(_FALL, "solid", 1.6),
    "target": _LevelStyle(_RISE, "solid", 1.6),
    "support": _LevelStyle(_RISE, "dot", 1.0),
    "resistance": _LevelStyle(_FALL, "dot", 1.0),
    "fibonacci": _LevelStyle("#b07cf2", "dot", 1.0),
}
_BUTTONS_LEFT_OUT = ("lasso2d", "select2d", "toImage", "zoom2d", "pan2d", "autoScale2d")
"""Dragging stays with the page, so that a phone can scroll past a chart."""
_TRADE_LEVELS = ("entry", "stop", "target")
_LABEL_PX, _LABEL_WIDTH_PX = 26, 110
"""Room that the name of a level takes."""
_GUIDES: dict[str, tuple[float, ...]] = {"rsi": (30, 70), "stochastic": (20, 80), "adx": (20,), "macd": (0,)}


def build_figure(
    chart: ChartData, *, dark: bool | None = None, language: Language = "en", signal: Signal | None = None
) -> graph_objects.Figure:
    """Return the picture of a chart.

    Args:
        chart: Bars oldest first, with lines and levels aligned to them.
        dark: Whether the background is dark; None when it is not known.
        language: Language of every label.
        signal: Draws entry, stop and target, when it is about this symbol.
    """
    words: Words = load_words(language, "web")["chart"]
    panes = list(dict.fromkeys(line.pane for line in chart.lines if line.pane != "price"))
    has_volume = any(chart.volume)
    heights = [_PRICE_HEIGHT, *([_VOLUME_HEIGHT] if has_volume else []), *(_PANE_HEIGHT for _ in panes)]
    figure = make_subplots(
        rows=len(heights), cols=1, shared_xaxes=True, vertical_spacing=0.035, row_heights=heights
    )  # fmt: skip
    times = [_moment(second) for second in chart.time]
    figure.add_trace(_bars(chart, times, words, language), row=1, col=1)
    if has_volume:
        figure.add_trace(_volume(chart, times, words), row=2, col=1)
    first_pane = len(heights) - len(panes) + 1
    rows = {"price": 1, **{pane: first_pane + n for n, pane in enumerate(panes)}}
    members = Counter(line.pane for line in chart.lines)
    for number, line in enumerate(chart.lines):
        colour = _LINE_COLOURS[number % len(_LINE_COLOURS)]
        named = line.pane == "price" or members[line.pane] > 1
        figure.add_trace(_line(line, times, colour, words, is_told_apart=named), row=rows[line.pane], col=1)
    levels = (*chart.levels, *_signal_levels(signal, chart))
    low, high = _price_range(chart, levels)
    _draw_levels(figure, levels, _PRICE_HEIGHT / (high - low), words, language)
    _draw_guides(figure, rows)
    _draw_phases(figure, chart, words)
    _draw_fills(figure, chart, words, language)
    _style(figure, chart, dark, words, language, sum(heights))
    _name_panes(figure, rows, has_volume, words)
    figure.update_yaxes(nticks=3)
    figure.update_yaxes(nticks=8, range=[low, high], row=1, col=1)
    return figure


def build_equity_figure(
    result: BacktestResult, *, dark: bool | None = None, language: Language = "en"
) -> graph_objects.Figure:
    """Return the picture of a backtest: its account and the one that was held, and how far its own lay below its peak.

    The accounts are drawn day by day and thinned; the deepest fall, which is of every bar, is a line of its own.

    Args:
        result: With at least one point of the curve.
        dark: Whether the background is dark; None when it is not known.
        language: Language of every label.
    """
    words: Words = load_words(language, "backtest_report")["chart"]
    heights = [_EQUITY_HEIGHT, _DRAWDOWN_HEIGHT]
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.08, row_heights=heights)
    curve = result.curve
    days = [datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%d") for second in curve.time]
    figure.add_trace(_account(days, curve.held_pct, words["held"], _INK[None], "dot"), row=1, col=1)
    figure.add_trace(_account(days, curve.strategy_pct, words["strategy"], _OWN_COLOUR, "solid"), row=1, col=1)
    figure.add_hline(y=0, row=1, col=1, line={"color": _GRID, "width": 1})
    falls = graph_objects.Scatter(
        x=days,
        y=_falls_pct(curve.strategy_pct),
        name=words["drawdown"],
        mode="lines",
        fill="tozeroy",
        fillcolor=_FALL_SHADE,
        line={"color": _FALL, "width": 1},
        showlegend=False,
        hovertemplate="%{y:.1f}%",
    )
    figure.add_trace(falls, row=2, col=1)
    _dress(figure, _equity_title(result, words, language), dark, language, sum(heights))
    _date_days(figure, curve.time, words)
    figure.update_layout(hovermode="x unified", hoverlabel={"font": {"color": _INK[False]}})
    figure.update_yaxes(ticksuffix="%" if language == "en" else " %", nticks=6)
    figure.update_yaxes(nticks=3, rangemode="tozero", row=2, col=1)
    _name_equity(figure, result, words, language)
    return figure


def _account(days: list[str], percents: Sequence[float], name: str, colour: str, dash: str) -> graph_objects.Scatter:
    return graph_objects.Scatter(
        x=days,
        y=list(percents),
        name=name,
        mode="lines",
        line={"color": colour, "width": 1.6, "dash": dash},
        hovertemplate="%{y:+.1f}%",
    )


def _falls_pct(percents: Sequence[float]) -> list[float]:
    """Return how far an account lies below its highest worth so far, its start included, in percent."""
    worth = [100 + percent for percent in percents]
    peaks = accumulate(worth, max, initial=100.0)
    next(peaks)
    return [round(100 * (now / peak - 1), 3) for now, peak in zip(worth, peaks, strict=True)]


def _equity_title(result: BacktestResult, words: Words, language: Language) -> str:
    target = target_told(result.target, language)
    first, *others = result.symbols
    symbols = words["more_symbols"].format(first=first, count=len(others)) if others else first
    return str(words["title"]).format(
        target=target[:1].upper() + target[1:], symbols=symbols, timeframe=result.timeframe
    )


def _date_days(figure: graph_objects.Figure, time: Sequence[int], words: Words) -> None:
    is_long = time[-1] - time[0] > _LONG_S
    figure.update_xaxes(
        tickformat=words["month" if is_long else "day"], hoverformat=words["day"], nticks=5, tickangle=0
    )


def _name_equity(figure: graph_objects.Figure, result: BacktestResult, words: Words, language: Language) -> None:
    """Name both panes, and draw the deepest fall."""
    deepest = words["deepest"].format(drawdown=format_percent(-result.max_drawdown_pct, language, 1))
    figure.add_hline(y=-result.max_drawdown_pct, row=2, col=1, line={"color": _FALL, "dash": "dot", "width": 1})
    for number, name in (("", words["percent"]), ("2", f"{words['drawdown']} · {deepest}")):
        figure.add_annotation(_pane_name(name, f"x{number} domain", f"y{number} domain"))


def _bars(chart: ChartData, times: list[str], words: Words, language: Language) -> graph_objects.Candlestick:
    columns = zip(chart.open, chart.high, chart.low, chart.close, strict=True)
    told = [
        words["bar"].format(
            **{
                name: format_price(value, language)
                for name, value in zip(("open", "high", "low", "close"), bar, strict=True)
            }
        )
        for bar in columns
    ]
    return graph_objects.Candlestick(
        x=times,
        open=list(chart.open),
        high=list(chart.high),
        low=list(chart.low),
        close=list(chart.close),
        name=words["price"],
        text=told,
        hoverinfo="x+text",
        increasing={"line": {"color": _RISE, "width": 1}, "fillcolor": _RISE},
        decreasing={"line": {"color": _FALL, "width": 1}, "fillcolor": _FALL},
        showlegend=False,
    )


def _volume(chart: ChartData, times: list[str], words: Words) -> graph_objects.Bar:
    return graph_objects.Bar(
        x=times,
        y=list(chart.volume),
        name=words["volume"],
        marker={"color": _VOLUME_COLOUR, "line": {"width": 0}},
        showlegend=False,
        hovertemplate="%{y:,.4~g}",
    )


def _line(
    line: ChartLine, times: list[str], colour: str, words: Words, *, is_told_apart: bool
) -> graph_objects.Scatter | graph_objects.Bar:
    name = words["line"].get(line.name) or line.name.replace("_", " ").upper()
    values = list(line.values)
    if line.name.endswith("histogram"):
        return graph_objects.Bar(
            x=times, y=values, name=name, marker={"color": _VOLUME_COLOUR, "line": {"width": 0}}, showlegend=False
        )
    return graph_objects.Scatter(
        x=times,
        y=values,
        name=name,
        mode="lines",
        line={"color": colour, "width": 1.4},
        connectgaps=False,
        showlegend=is_told_apart,
    )


def _signal_levels(signal: Signal | None, chart: ChartData) -> tuple[ChartLevel, ...]:
    if signal is None or signal.symbol != chart.symbol or signal.direction == "none":
        return ()
    return tuple(ChartLevel(kind=kind, price=getattr(signal, kind)) for kind in _TRADE_LEVELS)


def _draw_levels(
    figure: graph_objects.Figure, levels: Sequence[ChartLevel], px_per_price: float, words: Words, language: Language
) -> None:
    """Draw every level, and name those whose names do not cover each other; what would be traded comes first."""
    named: list[float] = []
    for level in sorted(levels, key=lambda level: level.kind not in _TRADE_LEVELS):
        is_trade = level.kind in _TRADE_LEVELS
        crowd = sum(abs(level.price - price) * px_per_price < _LABEL_PX for price in named)
        style = _LEVEL_STYLES.get(level.kind, _LevelStyle(_INK[None], "dot", 1.0))
        figure.add_hline(
            y=level.price,
            row=1,
            col=1,
            line={"color": style.colour, "dash": style.dash, "width": style.width},
        )
        if is_trade or not crowd:
            named.append(level.price)
            figure.add_annotation(**_level_name(level, style, words, language), xshift=crowd * _LABEL_WIDTH_PX)


def _level_name(level: ChartLevel, style: _LevelStyle, words: Words, language: Language) -> dict[str, Any]:
    name = words["level"].get(level.kind, level.kind)
    is_trade = level.kind in _TRADE_LEVELS
    tag = {"bgcolor": style.colour, "borderpad": 2, "yanchor": "middle"} if is_trade else {"yanchor": "bottom"}
    return {
        "text": f"{name} {level.label}".strip() + f" {format_price(level.price, language)}",
        "font": {"size": 10, "color": "#ffffff" if is_trade else style.colour},
        "xref": "x domain",
        "yref": "y",
        "x": 0,
        "y": level.price,
        "xanchor": "left",
        "showarrow": False,
        **tag,
    }


def _draw_guides(figure: graph_objects.Figure, rows: Mapping[str, int]) -> None:
    """Draw where an indicator's usual readings lie."""
    for pane, row in rows.items():
        for value in _GUIDES.get(pane, ()):
            figure.add_hline(
                y=value, row=row, col=1, line={"color": _INK[None], "dash": "dot", "width": 1}, opacity=0.6
            )


def _draw_phases(figure: graph_objects.Figure, chart: ChartData, words: Words) -> None:
    """Tint the regions of the AMD phases, and name each of them once below the picture."""
    half = _step(chart) // 2
    for phase in chart.phases:
        figure.add_vrect(
            x0=_moment(phase.start - half),
            x1=_moment(phase.end + half),
            row=1,
            col=1,
            fillcolor=PHASE_COLOURS[phase.phase],
            opacity=PHASE_OPACITY,
            line_width=0,
            layer="below",
        )
    for name in phases_shown(chart):
        marker = {"symbol": "square", "size": 11, "color": PHASE_COLOURS[name], "opacity": 0.45}
        figure.add_trace(
            graph_objects.Scatter(
                x=[None], y=[None], mode="markers", marker=marker, name=words["phase"][name], hoverinfo="skip"
            ),
            row=1,
            col=1,
        )


def _draw_fills(figure: graph_objects.Figure, chart: ChartData, words: Words, language: Language) -> None:
    """Mark where orders were filled: bought points up, sold points down."""
    for mark in fill_marks(chart, words, language):
        symbol = "triangle-up" if mark.side == "buy" else "triangle-down"
        figure.add_trace(
            graph_objects.Scatter(
                x=[_moment(second) for second in mark.times],
                y=list(mark.prices),
                mode="markers",
                marker={
                    "symbol": symbol,
                    "size": 12,
                    "color": FILL_COLOURS[mark.side],
                    "line": {"color": "#ffffff", "width": 1.2},
                },
                name=mark.name,
                text=list(mark.told),
                hoverinfo="x+text",
            ),
            row=1,
            col=1,
        )


def _style(
    figure: graph_objects.Figure, chart: ChartData, dark: bool | None, words: Words, language: Language, height: int
) -> None:
    title = words["title"].format(symbol=chart.symbol, timeframe=chart.timeframe)
    _dress(figure, title, dark, language, height)
    intraday = _step(chart) < _INTRADAY_LIMIT_S
    figure.update_xaxes(
        rangeslider={"visible": False},
        rangebreaks=_gaps(chart),
        tickformat=words["minute"] if intraday else words["day"],
        hoverformat=words["minute"] if intraday else words["day"],
        nticks=7,
        tickangle=0,
    )


def _dress(figure: graph_objects.Figure, title: str, dark: bool | None, language: Language, height: int) -> None:
    """Give a figure what all of them share: title, greys, marks of numbers, and no dragging."""
    ink = _INK[dark]
    figure.update_layout(
        template="none",
        title={"text": title, "font": {"size": 14}, "x": 0, "xref": "paper"},
        height=height + 110,
        margin={"l": 8, "r": 8, "t": 40, "b": 28},
        paper_bgcolor="rgba(0, 0, 0, 0)",
        plot_bgcolor="rgba(0, 0, 0, 0)",
        font={"color": ink, "size": 11, "family": "Inter, system-ui, sans-serif"},
        legend={"orientation": "h", "x": 0, "xanchor": "left", "y": -0.05, "yanchor": "top", "font": {"size": 10}},
        hovermode="x",
        bargap=0.15,
        dragmode=False,
        separators=".," if language == "en" else ",.",
        modebar={
            "remove": list(_BUTTONS_LEFT_OUT),
            "bgcolor": "rgba(0, 0, 0, 0)",
            "color": ink,
        },
    )
    axis = {"gridcolor": _GRID, "linecolor": _GRID, "zeroline": False, "ticks": "", "automargin": True}
    figure.update_yaxes(**axis, side="right")
    figure.update_xaxes(**axis)


def _gaps(chart: ChartData) -> list[dict[str, Any]]:
    """Return what the time axis leaves out: the bars that currencies do not have, weekends above all."""
    step = _step(chart)
    if not is_fx(chart.symbol) or len(chart.time) < 2:
        return []
    present = set(chart.time)
    absent = [second for second in range(chart.time[0], chart.time[-1], step) if second not in present]
    if not absent or len(absent) > _MAX_BREAKS:
        return []
    return [{"values": [_moment(second) for second in absent], "dvalue": step * 1000}]


def _name_panes(figure: graph_objects.Figure, rows: Mapping[str, int], has_volume: bool, words: Words) -> None:
    named = {row: words["pane"].get(pane, pane.upper()) for pane, row in rows.items() if pane != "price"}
    if has_volume:
        named[2] = words["volume"]
    for row, name in named.items():
        number = "" if row == 1 else str(row)
        figure.add_annotation(_pane_name(name, f"x{number} domain", f"y{number} domain"))


def _pane_name(name: str, x_axis: str, y_axis: str) -> dict[str, Any]:
    return {
        "text": name,
        "xref": x_axis,
        "yref": y_axis,
        "x": 0,
        "y": 1,
        "xanchor": "left",
        "yanchor": "bottom",
        "showarrow": False,
        "font": {"size": 10},
    }


def _price_range(chart: ChartData, levels: Sequence[ChartLevel]) -> list[float]:
    """Return a range that shows every bar and the trade's levels; far supports may lie outside."""
    wanted = [level.price for level in levels if level.kind in _TRADE_LEVELS]
    wanted += [float(fill.price) for fill in chart.fills]
    low, high = min((*chart.low, *wanted)), max((*chart.high, *wanted))
    margin = (high - low) * 0.06 or high * 0.01
    return [low - margin, high + margin]


def _moment(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%d %H:%M")


def _step(chart: ChartData) -> int:
    return TIMEFRAME_S[cast(Timeframe, chart.timeframe)]
