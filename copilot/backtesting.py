"""What stands behind `trading-copilot backtest`: the chat's own backtest from a shell, with its full reports.

The answer is that of the tool `run_backtest`, word for word. A report needs more than an answer holds (every trade, the
account bar by bar), so the strategies of the answer are run once more over the very bars that the tool has read (the
forecasts behind the ML signal are not made again). Each
strategy of an agent has an account of its own, and so a report of its own; their accounts add up to the answer.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_DOWN, Decimal
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from agents.profiles import Profile, load_profiles
from agents.strategies import AGENT_PLANS, STRATEGY_NAMES, Table
from agents.strategies.trial import STARTING_CASH, Sleeve, try_strategies
from copilot.commands import Progress
from copilot.events import Language
from copilot.markets import held_market
from copilot.places import prepare_data_dir
from copilot.settings import Settings
from copilot.wording import target_told
from engine.backtest import (
    AccountSettings,
    Evaluation,
    Listing,
    RandomEntries,
    Run,
    SizeRule,
    Trades,
    evaluate,
    report_json,
    report_page,
    report_picture,
    run_portfolio,
)
from engine.backtest import columns as at
from engine.data.files import write_atomically
from engine.domain.errors import ConfigError, DataUnavailable, InvalidRequest
from engine.domain.protocols import MarketData
from engine.domain.strategies import Decisions
from engine.domain.symbols import TIMEFRAMES, find_timeframe
from prompts import load_words
from tools.backtest import BacktestTool
from tools.backtest_plans import SIGNAL
from tools.results import BacktestResult
from tools.schema import RunBacktest

TARGETS = (*STRATEGY_NAMES, *AGENT_PLANS, SIGNAL)
"""What can be named, the owner's own agents apart."""

_MARKET_SHARE, _ANSWER_SHARE = 0.4, 0.7
_INVESTED_RATIO, _STEP = Decimal("0.99"), Decimal("0.0001")
"""How `agents.strategies.trial` sizes an entry; a test holds the accounts of both against each other."""


@dataclass(frozen=True, slots=True, eq=False)
class StrategyReport:
    """One strategy of an answer with its own account, every trade, and all that it is held against."""

    strategy: str
    run: Run
    evaluation: Evaluation


@dataclass(frozen=True, slots=True, eq=False)
class Backtested:
    """A finished command: the answer, and a report of each strategy where they were asked for."""

    result: BacktestResult
    reports: tuple[StrategyReport, ...]


def backtest(
    settings: Settings,
    target: str,
    *,
    symbol: str | None,
    timeframe: str,
    days: int,
    has_reports: bool,
    progress: Progress,
) -> Backtested:
    """Backtest an agent, a strategy or the ML signal on the market of the settings.

    Args:
        settings: Which market, whose, and in which language errors speak.
        target: One of `TARGETS`, or an agent of the owner's own.
        symbol: One symbol; None for the target's own.
        timeframe: Length of the bars.
        days: Days up to the market's present, above 0.
        has_reports: Whether the full reports are wanted; they take as long again.
        progress: Told the share that is done, and what is being done.

    Raises:
        ConfigError: The target or the timeframe is unknown.
        InvalidRequest: The symbol is unknown, or the market has too little for it.
    """
    profiles = load_profiles(settings.data_dir / "agents")
    arguments = _arguments(target, symbol, timeframe, days, settings.language, tuple(profiles))
    prepare_data_dir(settings)
    with held_market(settings, lambda done: progress(_MARKET_SHARE * done, "market")) as opened:
        return backtest_market(
            opened, arguments, settings.owner, has_reports=has_reports, progress=progress, profiles=profiles
        )


def backtest_market(
    market: MarketData,
    arguments: RunBacktest,
    owner: str,
    *,
    has_reports: bool,
    progress: Progress,
    profiles: Mapping[str, Profile] | None = None,
) -> Backtested:
    """Backtest an agent, a strategy or the ML signal on a market that is open.

    Raises:
        InvalidRequest: The symbol is unknown, or the market has too little for it.
    """
    progress(_MARKET_SHARE, arguments.target)
    end = _ANSWER_SHARE if has_reports else 1.0

    def tell(done: float) -> None:
        if 0 < done < 1:
            progress(_MARKET_SHARE + (end - _MARKET_SHARE) * done, arguments.target)

    try:
        tested = BacktestTool(market, profiles).test(arguments, owner, tell)
    except DataUnavailable as error:
        raise InvalidRequest(error.code, **error.params) from error
    reports = _report(tested.sleeves, tested.result, progress) if has_reports else ()
    progress(1.0, "")
    return Backtested(tested.result, tuple(reports))


def to_json(done: Backtested) -> str:
    """Return the answer and every report as JSON."""
    reports = {each.strategy: json.loads(report_json(each.run, each.evaluation)) for each in done.reports}
    content = {"result": done.result.model_dump(mode="json"), "reports": reports}
    return json.dumps(content, ensure_ascii=False, indent=2, allow_nan=False)


def write_pages(done: Backtested, path: Path, language: Language) -> tuple[Path, ...]:
    """Write one page for each report, in a language; return where.

    A single one is named `path`; of several each has its strategy in its name.

    Raises:
        ConfigError: A file cannot be written.
    """
    pages = {each.strategy: report_page(each.run, each.evaluation, _page_words(done, each, language)).encode()
             for each in done.reports}  # fmt: skip
    return _write(path, pages, language)


def write_pictures(done: Backtested, path: Path, language: Language) -> tuple[Path, ...]:
    """Write one PNG for each report, named as pages are; return where.

    Raises:
        ConfigError: A file cannot be written.
    """
    return _write(path, {each.strategy: report_picture(each.run) for each in done.reports}, language)


@dataclass(frozen=True, slots=True, eq=False)
class _Decided:
    """What a strategy decided within the period: one table of decisions or more for each symbol."""

    symbols: tuple[str, ...]
    tables: tuple[Decisions, ...]

    def run(self, listings: Sequence[Listing], account: AccountSettings) -> Run:
        """Return the run over one listing for each symbol; tables of one symbol are told as that symbol's trades."""
        rows = {listing.bars.symbol: row for row, listing in enumerate(listings)}
        run = run_portfolio([listings[rows[symbol]] for symbol in self.symbols], self.tables, account)
        table = run.trades.table.copy()
        table[:, at.T_SYMBOL] = np.array([rows[symbol] for symbol in self.symbols])[table[:, at.T_SYMBOL]]
        return replace(run, listings=tuple(listings), trades=Trades(table, tuple(listings)))


def _report(sleeves: Sequence[Sleeve], result: BacktestResult, progress: Progress) -> Sequence[StrategyReport]:
    reports = []
    for number, sleeve in enumerate(sleeves):
        done = _ANSWER_SHARE + (1 - _ANSWER_SHARE) * number / len(sleeves)
        progress(done, sleeve.strategy.name)
        reports.append(_judge(sleeve, int(result.start.timestamp()), STARTING_CASH / len(sleeves)))
    return reports


def _judge(sleeve: Sleeve, start_s: int, cash: Decimal) -> StrategyReport:
    """Return a strategy's report; what chance makes of it is the trial's own finding."""
    strategy = sleeve.strategy
    share = (_INVESTED_RATIO / max(strategy.most_entries, 1)).quantize(_STEP, ROUND_DOWN)
    account = AccountSettings(cash, SizeRule("equity", max(share, _STEP)))
    tables = strategy.decide_tables({listing.bars.symbol: listing.bars for listing in sleeve.listings})
    firsts = {each.bars.symbol: int(np.searchsorted(each.bars.time, start_s)) for each in sleeve.listings}
    listings = [replace(each, bars=each.bars[firsts[each.bars.symbol] :]) for each in sleeve.listings]
    decided = _Decided(
        tuple(table.symbol for table in tables), tuple(_from_row(table, firsts[table.symbol]) for table in tables)
    )
    run = decided.run(listings, account)
    trial = try_strategies([sleeve], start_s=start_s)
    judged = evaluate(run, decided.run, draws=0)
    chance = RandomEntries(trial.random_returns, trial.as_good)
    return StrategyReport(strategy.name, run, replace(judged, random_entries=chance))


def _from_row(table: Table, row: int) -> Decisions:
    whole = table.decisions
    price, stop, target = (None if each is None else each[row:] for each in (whole.price, whole.stop, whole.target))
    return replace(whole, action=whole.action[row:], price=price, stop=stop, target=target)


def _arguments(
    target: str, symbol: str | None, timeframe: str, days: int, language: Language, own: Sequence[str]
) -> RunBacktest:
    words = load_words(language, "backtest_report")["command"]
    known = tuple(dict.fromkeys((*TARGETS, *own)))
    if target not in known:
        raise ConfigError(words["unknown_target"].format(target=target, choices=", ".join(known)))
    wanted = find_timeframe(timeframe)
    if wanted is None:
        raise ConfigError(words["unknown_timeframe"].format(timeframe=timeframe, choices=", ".join(TIMEFRAMES)))
    given = {"target": target, "symbol": symbol and symbol.upper(), "timeframe": wanted, "days": days}
    try:
        return RunBacktest.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise InvalidRequest("bad_argument", argument=str(first["loc"][0]), value=first["input"]) from error


def _page_words(done: Backtested, report: StrategyReport, language: Language) -> Mapping[str, str]:
    """Return the words of a page, with what was tested and whether its prices are invented in the title."""
    words: Mapping[str, str] = load_words(language, "backtest_report")["page"]
    parts = [words["title"], target_told(report.strategy, language)]
    if report.strategy != done.result.target:
        parts.insert(1, target_told(done.result.target, language))
    if done.result.is_simulated:
        parts.append(load_words(language, "answers")["simulated_mark"])
    return {**words, "title": " · ".join(parts)}


def _write(path: Path, contents: Mapping[str, bytes], language: Language) -> tuple[Path, ...]:
    written = []
    for strategy, content in contents.items():
        file = path if len(contents) == 1 else path.with_name(f"{path.stem}-{strategy}{path.suffix}")
        try:
            write_atomically(file, _filling(content), is_private=False)
        except OSError as error:
            words = load_words(language, "backtest_report")["command"]
            raise ConfigError(words["cannot_write"].format(file=file, detail=error.strerror or error)) from error
        written.append(file)
    return tuple(written)


def _filling(content: bytes) -> Callable[[Path], int]:
    return lambda temporary: temporary.write_bytes(content)
