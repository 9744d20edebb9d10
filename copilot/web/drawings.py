"""Charts as what they are drawn from: kept instead of a picture, and drawn again whenever a page asks.

What is kept is what was seen: the bars, lines and levels of that moment, not a query that may answer differently now.
"""

from __future__ import annotations

import chainlit
from plotly.graph_objects import Figure
from pydantic import BaseModel, ConfigDict

from copilot.charts import build_equity_figure, build_figure
from copilot.events import Language
from engine.domain.signals import Signal
from tools.results import BacktestResult, ChartData


class Drawing(BaseModel):
    """The parameters of a figure.

    Attributes:
        picture: Bars with lines and levels, or a backtest's accounts.
        signal: Draws entry, stop and target over bars.
        language: Of every label; the page may ask for another.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    picture: ChartData | BacktestResult
    signal: Signal | None = None
    language: Language

    @property
    def name(self) -> str:
        """Return what the chart is called in the page."""
        subject = self.picture.symbol if isinstance(self.picture, ChartData) else self.picture.target
        return f"{subject} {self.picture.timeframe}"

    def figure(self) -> Figure:
        """Return the figure."""
        if isinstance(self.picture, BacktestResult):
            return build_equity_figure(self.picture, language=self.language)
        return build_figure(self.picture, language=self.language, signal=self.signal)


class Chart(chainlit.Plotly):
    """Chainlit's chart, with what it is drawn from."""

    drawing: Drawing

    @classmethod
    def of(cls, drawing: Drawing) -> Chart:
        """Draw a chart."""
        chart = cls(name=drawing.name, figure=drawing.figure(), display="inline")
        chart.drawing = drawing
        return chart
