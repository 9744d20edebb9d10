"""Pictures of bars: candlesticks, volume, indicator panes and price levels, as a Plotly figure.

The figure is transparent and its greys are readable on light and dark alike, so one picture serves both; a known
background only sharpens the contrast. Nothing is computed here that a tool did not already say.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from plotly import graph_objects
from plotly.subplots import make_subplots

from copilot.events import Language
from copilot.wording import format_price
from engine.domain.signals import Signal
from engine.domain.symbols import TIMEFRAME_S, Timeframe, is_fx
from prompts import load_words
from tools.results import ChartData, ChartLevel, ChartLine

Words = Mapping[str, Any]
_PRICE_HEIGHT, _PANE_HEIGHT = 400, 110
_VOLUME_HEIGHT = 70
_RISE, _FALL = "#26a69a", "#ef5350"
_LINE_COLOURS = ("#e0a030", "#5b8def", "#b07cf2", "#4cb8c4", "#d66aa0", "#8c9a3f")
_GRID = "rgba(128, 138, 152, 0.22)"
_INK = {True: "#c3ccd8", False: "#46505f", None: "#828c9b"}
_VOLUME_COLOUR = "rgba(128, 138, 152, 0.55)"
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
    times = [datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%d %H:%M") for second in chart.time]
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
    _style(figure, chart, dark, words, language, sum(heights))
    _name_panes(figure, rows, has_volume, words)
    figure.update_yaxes(nticks=3)
    figure.update_yaxes(nticks=8, range=[low, high], row=1, col=1)
    return figure


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


def _style(
    figure: graph_objects.Figure, chart: ChartData, dark: bool | None, words: Words, language: Language, height: int
) -> None:
    ink = _INK[dark]
    figure.update_layout(
        template="none",
        title={
            "text": words["title"].format(symbol=chart.symbol, timeframe=chart.timeframe),
            "font": {"size": 14},
            "x": 0,
            "xref": "paper",
        },
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
    intraday = _step(chart) < _INTRADAY_LIMIT_S
    figure.update_xaxes(
        **axis,
        rangeslider={"visible": False},
        rangebreaks=_gaps(chart),
        tickformat=words["minute"] if intraday else words["day"],
        hoverformat=words["minute"] if intraday else words["day"],
        nticks=7,
        tickangle=0,
    )


def _gaps(chart: ChartData) -> list[dict[str, Any]]:
    """Return what the time axis leaves out: the bars that currencies do not have, weekends above all."""
    step = _step(chart)
    if not is_fx(chart.symbol) or len(chart.time) < 2:
        return []
    present = set(chart.time)
    absent = [second for second in range(chart.time[0], chart.time[-1], step) if second not in present]
    if not absent or len(absent) > _MAX_BREAKS:
        return []
    times = [datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%d %H:%M") for second in absent]
    return [{"values": times, "dvalue": step * 1000}]


def _name_panes(figure: graph_objects.Figure, rows: Mapping[str, int], has_volume: bool, words: Words) -> None:
    named = {row: words["pane"].get(pane, pane.upper()) for pane, row in rows.items() if pane != "price"}
    if has_volume:
        named[2] = words["volume"]
    for row, name in named.items():
        figure.add_annotation(
            text=name,
            xref="x domain" if row == 1 else f"x{row} domain",
            yref=f"y{row} domain",
            x=0,
            y=1,
            xanchor="left",
            yanchor="bottom",
            showarrow=False,
            font={"size": 10},
        )


def _price_range(chart: ChartData, levels: Sequence[ChartLevel]) -> list[float]:
    """Return a range that shows every bar and the trade's levels; far supports may lie outside."""
    wanted = [level.price for level in levels if level.kind in _TRADE_LEVELS]
    low, high = min((*chart.low, *wanted)), max((*chart.high, *wanted))
    margin = (high - low) * 0.06 or high * 0.01
    return [low - margin, high + margin]


def _step(chart: ChartData) -> int:
    return TIMEFRAME_S[cast(Timeframe, chart.timeframe)]
