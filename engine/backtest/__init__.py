"""Backtests: a compiled single pass, an exact driver of live strategies, and what to believe of the result."""

from engine.backtest.comparison import Backtest, Evaluation, RandomEntries, Stretch, Trials, evaluate
from engine.backtest.exact import ExactRun, as_run, run_strategy
from engine.backtest.fast import run_decisions, run_portfolio
from engine.backtest.picture import report_picture
from engine.backtest.recording import record_decisions
from engine.backtest.report import REPORT_WORDS, report_json, report_page
from engine.backtest.result import ClosedTrade, Run, Trades
from engine.backtest.settings import AccountSettings, Listing, SizeRule, funding_at, with_costs_times
from engine.backtest.statistics import Metrics, deflated_sharpe, measure, overfitting_probability
from engine.backtest.sweep import Sweep, sweep

__all__ = [
    "REPORT_WORDS",
    "AccountSettings",
    "Backtest",
    "ClosedTrade",
    "Evaluation",
    "ExactRun",
    "Listing",
    "Metrics",
    "RandomEntries",
    "Run",
    "SizeRule",
    "Stretch",
    "Sweep",
    "Trades",
    "Trials",
    "as_run",
    "deflated_sharpe",
    "evaluate",
    "funding_at",
    "measure",
    "overfitting_probability",
    "record_decisions",
    "report_json",
    "report_page",
    "report_picture",
    "run_decisions",
    "run_portfolio",
    "run_strategy",
    "sweep",
    "with_costs_times",
]
