from __future__ import annotations

import dataclasses
import json
import math
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from plotly.graph_objects import Figure

from copilot.charts import build_equity_figure, build_figure
from copilot.events import Language
from copilot.pictures import chart_picture
from engine.domain.signals import Direction, ExpectedRange, Phase, PhaseEvidence, Signal
from tests.copilot.web.fakes import BARS, NOW, make_chart
from tests.copilot.wording import samples
from tools.results import BacktestResult, ChartData, ChartFill, ChartLevel, ChartLine, ChartPhase, EquityCurve


def make_signal(symbol: str = "BTC/USDT", direction: Direction = Direction.LONG) -> Signal:
    return Signal(
        symbol=symbol,
        timeframe="4h",
        direction=direction,
        close=61_500.0,
        entry=61_500.0,
        stop=55_000.0,
        target=70_000.0,
        reward_risk=1.3,
        probability=0.6,
        breakeven_probability=0.45,
        expected_value_ratio=0.2,
        reason="edge",
        phase=PhaseEvidence(Phase.NEUTRAL, 0.0, None, None, None, None),
        expected_range=ExpectedRange((1.0, 2.0, 3.0), (1.0, 2.0, 3.0)),
        horizon_bars=12,
        drivers=(),
        model_version="m",
        bar_at=NOW,
        price_at=NOW,
        valid_until=NOW,
        is_simulated=True,
    )


def price_lines(figure: Figure) -> list[float]:
    return [shape.y0 for shape in figure.layout.shapes if shape.yref == "y"]


def labels(language: Language) -> list[str]:
    figure = build_figure(make_chart(), language=language)
    return [annotation.text for annotation in figure.layout.annotations]


def test_figure_holds_every_bar_line_and_volume() -> None:
    figure = build_figure(make_chart())
    candles, volume, overlay, rsi = figure.data
    assert len(candles.close) == len(volume.y) == BARS
    assert candles.close[-1] == make_chart().close[-1]
    assert overlay.y[0] is None
    assert (candles.yaxis, volume.yaxis, overlay.yaxis, rsi.yaxis) == ("y", "y2", "y", "y3")


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        ("en", ["target 63,900.00", "stop 60,200.00", "support 59,400.00", "Volume", "RSI"]),
        ("es", ["objetivo 63.900,00", "stop 60.200,00", "soporte 59.400,00", "Volumen", "RSI"]),
    ],
)
def test_labels_are_in_the_persons_language(language: Language, expected: list[str]) -> None:
    found = labels(language)
    assert [label for label in expected if label not in found] == []


def test_signal_of_the_symbol_is_drawn_and_stays_in_sight() -> None:
    chart = make_chart().model_copy(update={"levels": ()})
    figure = build_figure(chart, signal=make_signal())
    assert price_lines(figure) == [61_500.0, 55_000.0, 70_000.0]
    low, high = figure.layout.yaxis.range
    assert low < 55_000.0 < 70_000.0 < high


@pytest.mark.parametrize("signal", [make_signal("ETH/USDT"), make_signal(direction=Direction.NONE), None])
def test_no_trade_is_drawn_that_was_not_advised(signal: Signal | None) -> None:
    chart = make_chart().model_copy(update={"levels": ()})
    assert price_lines(build_figure(chart, signal=signal)) == []


def test_names_of_levels_never_cover_each_other() -> None:
    """Far apart all are named; close together the lines stay, and what would be traded keeps its name."""
    close = [ChartLevel(kind="support", price=61_499.0 - n) for n in range(5)]
    levels = (*close, ChartLevel(kind="resistance", price=63_000.0))
    chart = make_chart().model_copy(update={"levels": levels})
    figure = build_figure(chart, signal=make_signal())
    assert len(price_lines(figure)) == 9
    names = [a.text for a in figure.layout.annotations if a.yref == "y"]
    assert names == ["entry 61,500.00", "stop 55,000.00", "target 70,000.00", "resistance 63,000.00"]


def test_stop_beside_the_entry_stands_aside() -> None:
    chart = make_chart().model_copy(update={"levels": ()})
    signal = dataclasses.replace(make_signal(), stop=61_499.0)
    entry, stop, target = (a for a in build_figure(chart, signal=signal).layout.annotations if a.yref == "y")
    assert entry.xshift == target.xshift == 0
    assert stop.xshift >= 100


@pytest.mark.parametrize("dark", [True, False, None])
def test_background_is_transparent(dark: bool | None) -> None:
    layout = build_figure(make_chart(), dark=dark).layout
    assert layout.paper_bgcolor == layout.plot_bgcolor == "rgba(0, 0, 0, 0)"


def test_weekend_of_a_currency_is_left_out_and_nothing_else() -> None:
    monday = datetime(2025, 3, 10, tzinfo=UTC)
    hours = [monday + timedelta(hours=n) for n in range(14 * 24)]
    open_hours = [
        at
        for at in hours
        if at.weekday() < 4 or (at.weekday() == 4 and at.hour < 22) or (at.weekday() == 6 and at.hour >= 22)
    ]
    chart = make_chart("EURUSD", "1h", 3600)
    count = len(open_hours)
    values = tuple(1.1 + 0.01 * math.sin(n / 9) for n in range(count))
    chart = chart.model_copy(
        update={
            "time": tuple(int(at.timestamp()) for at in open_hours),
            **dict.fromkeys(("open", "high", "low", "close"), values),
            "volume": (0.0,) * count,
            "lines": (),
            "levels": (),
        }
    )
    figure = build_figure(chart)
    (gap,) = figure.layout.xaxis.rangebreaks
    missing = {at.strftime("%Y-%m-%d %H:%M") for at in hours if at not in open_hours and at <= open_hours[-1]}
    assert set(gap.values) == missing
    assert gap.dvalue == 3_600_000
    assert len(figure.data) == 1, "a feed without volume has no volume pane"


def test_crypto_has_no_gaps() -> None:
    assert build_figure(make_chart()).layout.xaxis.rangebreaks == ()


def test_histogram_is_drawn_as_bars() -> None:
    line = ChartLine(name="macd_histogram", pane="macd", values=(0.5,) * BARS)
    figure = build_figure(make_chart().model_copy(update={"lines": (line,)}))
    assert figure.data[-1].type == "bar"


def test_figure_is_plain_json() -> None:
    figure = json.loads(build_figure(make_chart()).to_json())
    assert figure["data"][0]["type"] == "candlestick"
    assert "http" not in json.dumps(figure)


def backtest(own: tuple[float, ...] = (0.0, 10.0, -1.0, 21.0), days: int = 1) -> BacktestResult:
    """Return a backtest whose account is drawn every few days, and whose deepest fall was 12.5 % within one."""
    curve = EquityCurve(
        time=tuple(86_400 * days * n for n in range(len(own))), strategy_pct=own, held_pct=tuple(-p for p in own)
    )
    return samples.backtest(curve=curve, max_drawdown_pct=12.5)


def test_equity_figure_draws_both_accounts_and_how_far_its_own_lies_below_its_peak() -> None:
    held, own, falls = build_equity_figure(backtest()).data
    assert (own.name, list(own.y)) == ("Strategy", [0.0, 10.0, -1.0, 21.0])
    assert (held.name, list(held.y)) == ("Buy and hold", [0.0, -10.0, 1.0, -21.0])
    assert (falls.yaxis, falls.fill, list(falls.y)) == ("y2", "tozeroy", [0.0, 0.0, -10.0, 0.0])
    assert list(own.x) == list(held.x) == list(falls.x) == ["1970-01-01", "1970-01-02", "1970-01-03", "1970-01-04"]


def test_account_that_only_lost_lies_below_its_start() -> None:
    falls = build_equity_figure(backtest((-5.0, -20.0, -10.0))).data[2]
    assert list(falls.y) == [-5.0, -20.0, -10.0]


def test_deepest_fall_of_all_bars_is_a_line_though_no_drawn_day_reaches_it() -> None:
    figure = build_equity_figure(backtest())
    assert [shape.y0 for shape in figure.layout.shapes if shape.yref == "y2"] == [-12.5]


@pytest.mark.parametrize(
    ("language", "title", "labels"),
    [
        ("en", "Breakout · BTC/USDT · 1h", {"after costs, in % of the start", "Drawdown · deepest -12.5%"}),
        (
            "es",
            "Ruptura · BTC/USDT · 1h",
            {"tras costos, en % del inicio", "Caída desde el máximo · la mayor, -12,5 %"},
        ),
    ],
)
def test_equity_figure_speaks_the_persons_language(language: Language, title: str, labels: set[str]) -> None:
    figure = build_equity_figure(backtest(), language=language)
    assert figure.layout.title.text == title
    assert {annotation.text for annotation in figure.layout.annotations} == labels
    assert figure.layout.separators == (".," if language == "en" else ",.")


def test_many_symbols_are_counted_and_long_accounts_dated_by_months() -> None:
    result = backtest(days=365).model_copy(update={"symbols": ("BTC/USDT", "ETH/USDT", "XAUUSD")})
    figure = build_equity_figure(result)
    assert "BTC/USDT and 2 more" in figure.layout.title.text
    assert figure.layout.xaxis2.tickformat == "%b %Y"
    assert build_equity_figure(backtest()).layout.xaxis2.tickformat == "%b %d, %Y"


@pytest.mark.parametrize("dark", [True, False, None])
def test_equity_figure_is_transparent_and_finite(dark: bool | None) -> None:
    figure = build_equity_figure(backtest(), dark=dark)
    assert figure.layout.paper_bgcolor == figure.layout.plot_bgcolor == "rgba(0, 0, 0, 0)"
    assert json.loads(figure.to_json(), parse_constant=pytest.fail)["data"]


def make_marked_chart() -> ChartData:
    chart = make_chart()
    step = chart.time[1] - chart.time[0]
    return chart.model_copy(
        update={
            "phases": (
                ChartPhase(phase="accumulation", start=chart.time[10], end=chart.time[40]),
                ChartPhase(phase="distribution", start=chart.time[41], end=chart.time[50]),
            ),
            "fills": (
                ChartFill(time=chart.time[30], side="buy", quantity=Decimal("0.05"), price=Decimal(61000), book="main"),
                ChartFill(
                    time=chart.time[-1] + step, side="sell", quantity=Decimal("0.05"), price=Decimal(66000), book="nova"
                ),
            ),
        }
    )


def test_phases_are_regions_and_fills_are_points() -> None:
    chart = make_marked_chart()
    figure = build_figure(chart, language="es")
    regions = [shape for shape in figure.layout.shapes if shape.type == "rect"]
    assert [(region.x0, region.x1, region.layer) for region in regions] == [
        (moment(chart.time[10] - 7200), moment(chart.time[40] + 7200), "below"),
        (moment(chart.time[41] - 7200), moment(chart.time[50] + 7200), "below"),
    ]
    named = {trace.name: trace for trace in figure.data}
    assert {"acumulación", "distribución"} <= named.keys()
    assert "manipulación" not in named
    assert named["comprado"].text == ("comprado 0,05 a 61.000,00",)
    assert named["vendido"].text == ("vendido 0,05 a 66.000,00 · Nova",)
    assert figure.layout.yaxis.range[1] > 66_000


def moment(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%d %H:%M")


def test_picture_marks_phases_and_fills_too() -> None:
    chart = make_marked_chart()
    plain = chart_picture(make_chart(), "en")
    assert len({plain, chart_picture(chart, "en"), chart_picture(chart.model_copy(update={"fills": ()}), "en")}) == 3
