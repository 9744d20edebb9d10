"""Build the toolbox: every tool of the routing contract, with what stands behind it."""

from __future__ import annotations

from collections.abc import Mapping

from agents.execution.desk import Desk
from agents.profiles import Profile
from engine.domain.protocols import MarketData
from tools.agents import AgentTools
from tools.alerts import Alerts
from tools.backtest import BacktestTool
from tools.chart import ChartTool
from tools.explain import ExplainTool
from tools.orders import CancelTool
from tools.portfolio import PortfolioTool
from tools.profile import ProfileTool
from tools.registry import Tool, Toolbox
from tools.signal import SignalTool
from tools.tickets import Tickets
from tools.trading import SignalSource


def build_toolbox(
    market: MarketData,
    signals: SignalSource,
    desk: Desk,
    tickets: Tickets,
    alerts: Alerts,
    profile: ProfileTool,
    agents: AgentTools,
    explain: ExplainTool,
    *,
    profiles: Mapping[str, Profile] | None = None,
) -> Toolbox:
    """Return all tools, wired; `profiles` are the owner's own agents by name, for backtests of them."""
    return Toolbox(
        [
            Tool("get_signal", "read", SignalTool(market, signals, desk)),
            Tool("analyze_chart", "read", ChartTool(market, desk)),
            Tool("check_portfolio", "read", PortfolioTool(desk)),
            Tool("run_backtest", "read", BacktestTool(market, profiles)),
            Tool("list_alerts", "read", alerts.list_alerts),
            Tool("cancel_order", "act", CancelTool(desk)),
            Tool("set_alert", "act", alerts.set_alert),
            Tool("cancel_alert", "act", alerts.cancel_alert),
            Tool("update_profile", "act", profile),
            Tool("execute_trade", "propose", tickets.propose),
            Tool("agent_status", "read", agents.status),
            Tool("explain_trade", "read", explain),
            Tool("control_agent", "act", agents.control),
            Tool("configure_agent", "act", agents.configure),
        ],
        agents.names,
    )
