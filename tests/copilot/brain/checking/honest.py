"""What a good model says of real results: each of these must stand."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml

from copilot.brain.checking.words import Language
from engine.domain.signals import Direction
from tests.copilot.wording.samples import SNAPSHOTS, chart, portfolio, ticket, trade_signal
from tools.results import ToolResult


@dataclass(frozen=True)
class Case:
    """A text that words some results, with what the person had written."""

    results: str
    language: Language
    text: str
    message: str = ""


RESULTS: dict[str, tuple[ToolResult, ...]] = {
    **SNAPSHOTS,
    "chart_and_signal": (chart(symbol="XAUUSD", trend="up", momentum="rising", patterns=("hammer",)), trade_signal()),
    "two_signals": (trade_signal(), chart()),
    "portfolio_orders": (portfolio("orders"),),
    "portfolio_trades": (portfolio("trades", "7d"),),
    "nothing": (),
    "short_signal": (trade_signal(Direction.SHORT),),
    "ticket_rejected": (ticket("rejected"),),
}
HONEST = tuple(Case(**row) for row in yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text("utf-8")))
