"""The live page: charts with signals and fills, agents, positions, alerts, health, and the kill switch.

`view` says what it needs of the program behind it; `board`, `feeder` and `session` are the stream; `app` serves it.
"""

from engine.dashboard.app import build_dashboard, dashboard_routes
from engine.dashboard.settings import DashboardSettings
from engine.dashboard.view import DashboardView, Facts

__all__ = ["DashboardSettings", "DashboardView", "Facts", "build_dashboard", "dashboard_routes"]
