"""Build the toolbox: every tool of the routing contract, with what stands behind it.

The tools of the trading agents are understood, and answer plainly that this version does not have them yet.
"""

from __future__ import annotations

from agents.execution.desk import Desk
from engine.domain.protocols import MarketData
from tools.alerts import Alerts
from tools.backtest import BacktestTool
from tools.chart import ChartTool
from tools.orders import CancelTool
from tools.portfolio import PortfolioTool
from tools.profile import ProfileTool
from tools.registry import Tool, Toolbox, ToolContext
from tools.results import Unavailable
from tools.schema import ToolArguments
from tools.signal import SignalTool
from tools.tickets import Tickets
from tools.trading import SignalSource

_NOT_BUILT = {
    "agent_status": "agents_not_built",
    "control_agent": "agents_not_built",
    "configure_agent": "agents_not_built",
    "explain_trade": "agents_not_built",
}


def build_toolbox(
    market: MarketData, signals: SignalSource, desk: Desk, tickets: Tickets, alerts: Alerts, profile: ProfileTool
) -> Toolbox:
    """Return all tools, wired."""
    return Toolbox(
        [
            Tool("get_signal", "read", SignalTool(market, signals)),
            Tool("analyze_chart", "read", ChartTool(market)),
            Tool("check_portfolio", "read", PortfolioTool(desk)),
            Tool("run_backtest", "read", BacktestTool(market)),
            Tool("list_alerts", "read", alerts.list_alerts),
            Tool("cancel_order", "act", CancelTool(desk)),
            Tool("set_alert", "act", alerts.set_alert),
            Tool("cancel_alert", "act", alerts.cancel_alert),
            Tool("update_profile", "act", profile),
            Tool("execute_trade", "propose", tickets.propose),
            *(Tool(name, "read", _NotBuilt(name, code)) for name, code in _NOT_BUILT.items()),
        ]
    )


class _NotBuilt:
    """A tool that is understood but has nothing behind it yet."""

    def __init__(self, tool: str, code: str) -> None:
        self._tool = tool
        self._code = code

    async def __call__(self, arguments: ToolArguments, context: ToolContext) -> Unavailable:
        return Unavailable(tool=self._tool, code=self._code)
