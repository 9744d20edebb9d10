"""The HTTP service: the same copilot for programs, behind bearer tokens."""

from copilot.rest.app import build_rest
from copilot.rest.health import Probe, database_probe, market_probe, supervisor_probe
from copilot.rest.jobs import BacktestJobs
from copilot.rest.settings import RestSettings
from copilot.rest.tokens import Scope, Token, TokenStore

__all__ = [
    "BacktestJobs",
    "Probe",
    "RestSettings",
    "Scope",
    "Token",
    "TokenStore",
    "build_rest",
    "database_probe",
    "market_probe",
    "supervisor_probe",
]
