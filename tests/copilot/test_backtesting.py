"""`trading-copilot backtest`: the chat's answer word for word, reports that add up to it, and what is said when not."""

from __future__ import annotations

import json
import re
from contextlib import AbstractContextManager, nullcontext
from itertools import pairwise
from pathlib import Path

import pytest
from typer.testing import CliRunner

from agents.profiles import PACKAGED, load_profiles
from copilot import backtesting, cli
from copilot.backtesting import TARGETS, Backtested, backtest, backtest_market, to_json, write_pages, write_pictures
from copilot.events import Language
from copilot.settings import Settings
from copilot.wording import render_answer
from engine.backtest import REPORT_WORDS
from engine.domain.errors import ConfigError, InvalidRequest
from engine.domain.protocols import MarketData
from engine.domain.symbols import SYMBOLS
from prompts import load_words
from tests.copilot.conftest import settings_for
from tests.tools.test_backtest import StoredMarket
from tools.backtest import BacktestTool
from tools.registry import ToolContext
from tools.schema import RunBacktest

CASH = 100_000


def silent(_share: float, _what: str) -> None:
    return


def run(target: str, *, symbols: tuple[str, ...] = SYMBOLS, has_reports: bool = True, **more: object) -> Backtested:
    arguments = RunBacktest.model_validate({"target": target, "days": 60, **more})
    return backtest_market(StoredMarket(symbols), arguments, "ana", has_reports=has_reports, progress=silent)


@pytest.fixture(scope="module")
def breakout() -> Backtested:
    return run("breakout")


@pytest.fixture(scope="module")
def atlas() -> Backtested:
    return run("atlas")


@pytest.mark.parametrize("target", [target for target in TARGETS if target != "signal"])
def test_the_reports_accounts_add_up_to_the_answer(target: str) -> None:
    done = run(target, timeframe="4h")
    assert tuple(each.strategy for each in done.reports) == done.result.strategies
    assert sum(float(each.run.account.starting_cash) for each in done.reports) == pytest.approx(CASH)
    ends = [each.evaluation.metrics.end_equity for each in done.reports]
    assert 100 * (sum(ends) / CASH - 1) == pytest.approx(done.result.return_pct, abs=1e-6)
    doubled = [each.evaluation.costs_doubled.end_equity for each in done.reports]
    assert 100 * (sum(doubled) / CASH - 1) == pytest.approx(done.result.costs_doubled_pct, abs=1e-6)
    assert sum(len(each.run.trades) for each in done.reports) == done.result.trades > 0
    assert {listing.bars.symbol for each in done.reports for listing in each.run.listings} == set(done.result.symbols)


def test_what_a_strategys_report_says_is_what_the_answer_says(breakout: Backtested) -> None:
    (report,), result = breakout.reports, breakout.result
    judged = report.evaluation
    assert 100 * judged.random_entries.median == pytest.approx(result.random_pct)
    assert judged.random_entries.as_good == result.random_as_good
    assert judged.metrics.sharpe == pytest.approx(result.sharpe)
    assert judged.deflated_sharpe == pytest.approx(result.deflated_sharpe)
    assert 100 * judged.metrics.max_drawdown == pytest.approx(result.max_drawdown_pct)
    assert 100 * judged.buy_and_hold.total_return == pytest.approx(result.held_pct)


def test_a_grids_many_lines_are_one_symbol_of_the_report() -> None:
    (report,) = run("grid").reports
    assert [listing.bars.symbol for listing in report.run.listings] == ["BTC/USDT"]
    assert set(report.run.trades.symbol_row.tolist()) == {0}
    assert len(report.run.trades) > 5


async def test_the_answer_is_the_chats_own(breakout: Backtested) -> None:
    arguments = RunBacktest(target="breakout", days=60)
    said = await BacktestTool(StoredMarket(SYMBOLS))(arguments, ToolContext("ana", "talk", "en"))
    assert breakout.result == said


def test_no_report_is_made_when_none_is_wanted() -> None:
    assert run("breakout", has_reports=False).reports == ()


@pytest.mark.parametrize("language", ["en", "es"])
def test_the_page_has_every_word_of_the_language(breakout: Backtested, tmp_path: Path, language: Language) -> None:
    words = load_words(language, "backtest_report")["page"]
    assert set(REPORT_WORDS) <= set(words)
    assert all(isinstance(word, str) for word in words.values())
    (file,) = write_pages(breakout, tmp_path / "report.html", language)
    page = file.read_text("utf-8")
    assert file == tmp_path / "report.html"
    assert f'<html lang="{language}">' in page
    told = {
        "en": "Backtest · breakout · simulated prices · BTC/USDT 1h",
        "es": "Backtest · ruptura · precios simulados",
    }
    assert told[language] in page
    assert f"<td>{words['max_drawdown']}</td>" in page
    amount = {"en": r"100,000\.00", "es": r"100\.000,00"}[language]
    assert re.search(rf"<td>{words['start_equity']}</td><td>{amount}</td>", page)


def test_an_agent_has_a_page_and_a_picture_for_each_strategy(atlas: Backtested, tmp_path: Path) -> None:
    pages = write_pages(atlas, tmp_path / "new" / "atlas.html", "en")
    assert [page.name for page in pages] == ["atlas-mean_reversion.html", "atlas-grid.html"]
    assert "Backtest · Atlas · grid · simulated prices" in pages[1].read_text("utf-8")
    pictures = write_pictures(atlas, tmp_path / "atlas.png", "en")
    assert [picture.name for picture in pictures] == ["atlas-mean_reversion.png", "atlas-grid.png"]
    assert all(picture.read_bytes().startswith(b"\x89PNG\r\n") for picture in pictures)


def test_the_json_holds_the_answer_and_every_report_and_no_nan(atlas: Backtested) -> None:
    content = json.loads(to_json(atlas), parse_constant=pytest.fail)
    assert content["result"]["return_pct"] == atlas.result.return_pct
    assert list(content["reports"]) == ["mean_reversion", "grid"]
    assert sum(len(each["trades"]) for each in content["reports"].values()) == atlas.result.trades


def test_progress_only_grows_and_ends_whole() -> None:
    told: list[float] = []
    arguments = RunBacktest(target="atlas", days=60)
    backtest_market(
        StoredMarket(SYMBOLS), arguments, "ana", has_reports=True, progress=lambda done, _what: told.append(done)
    )
    assert all(earlier < later for earlier, later in pairwise(told))
    assert told[-1] == 1.0


@pytest.mark.parametrize("language", ["en", "es"])
def test_a_file_that_cannot_be_written_is_named(breakout: Backtested, tmp_path: Path, language: Language) -> None:
    (tmp_path / "taken").write_text("a file, not a folder")
    told = {"en": "can't be written", "es": "No se puede escribir"}[language]
    with pytest.raises(ConfigError, match=told) as raised:
        write_pages(breakout, tmp_path / "taken" / "report.html", language)
    assert "taken/report.html" in str(raised.value)


@pytest.mark.parametrize(
    ("language", "options", "message"),
    [
        ("en", {"target": "luck"}, "“luck” can't be backtested. Choose one of: mean_reversion, grid"),
        ("es", {"target": "suerte"}, "«suerte» no se puede probar. Elige uno de estos: mean_reversion, grid"),
        ("en", {"timeframe": "7m"}, "“7m” is no timeframe. Choose one of: 1m"),
        ("es", {"timeframe": "7m"}, "«7m» no es un intervalo. Elige uno de estos: 1m"),
    ],
)
def test_what_cannot_be_understood_is_named_before_a_market_is_opened(
    tmp_path: Path, language: Language, options: dict[str, str], message: str
) -> None:
    settings = settings_for(tmp_path / "data", language=language)
    chosen = {"target": "breakout", "timeframe": "1h", **options}
    with pytest.raises(ConfigError, match=re.escape(message)):
        backtest(settings, **chosen, symbol=None, days=60, has_reports=False, progress=silent)
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"symbol": "DOGE/USDT"}, "unknown_instrument"),
        ({"days": 1, "timeframe": "4h"}, "period_too_short"),
        ({"target": "altcoin_rotation"}, "too_few_symbols"),
        ({"target": "signal", "timeframe": "4h"}, "too_few_bars"),
    ],
)
def test_what_the_market_cannot_answer_is_told_by_its_code(more: dict[str, object], code: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        run(**{"target": "breakout", "symbols": ("BTC/USDT", "EURUSD"), **more})  # type: ignore[arg-type]  # as given
    assert raised.value.code == code


def test_an_agent_of_the_owner_is_known_to_the_shell(tmp_path: Path) -> None:
    (tmp_path / "data" / "agents").mkdir(parents=True)
    text = (PACKAGED / "atlas.yaml").read_text("utf-8").replace("name: atlas", "name: vega")
    (tmp_path / "data" / "agents" / "vega.yaml").write_text(text.replace("Atlas", "Vega"), "utf-8")
    own = load_profiles(tmp_path / "data" / "agents")
    arguments = RunBacktest(target="vega", days=60)
    done = backtest_market(StoredMarket(SYMBOLS), arguments, "ana", has_reports=True, progress=silent, profiles=own)
    assert [each.strategy for each in done.reports] == list(done.result.strategies) == ["mean_reversion", "grid"]
    assert "**Vega**" in render_answer([done.result], "es")
    with pytest.raises(ConfigError, match="signal, vega"):
        backtest(
            settings_for(tmp_path / "data"), "luck", symbol=None, timeframe="1h", days=60, has_reports=False,
            progress=silent,
        )  # fmt: skip


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> CliRunner:
    """Return a shell in an empty folder whose market is stored bars."""

    def open_stored(settings: Settings, progress: object) -> AbstractContextManager[MarketData]:
        return nullcontext(StoredMarket(SYMBOLS))

    monkeypatch.setattr(backtesting, "held_market", open_stored)
    monkeypatch.chdir(tmp_path)
    return CliRunner(env={"COPILOT_LANGUAGE": "es", "COPILOT_DATA_DIR": str(tmp_path / "data")})


def test_the_command_prints_the_answer_and_names_what_it_wrote(shell: CliRunner, tmp_path: Path) -> None:
    shown = shell.invoke(cli.app, ["backtest", "breakout", "--days", "60", "--page", "r.html", "--picture", "r.png"])
    assert (shown.exit_code, shown.exception) == (0, None)
    assert shown.stdout.strip() == render_answer([run("breakout", has_reports=False).result], "es").strip()
    assert (tmp_path / "r.html").read_text("utf-8").startswith("<!doctype html>")
    assert (tmp_path / "r.png").read_bytes().startswith(b"\x89PNG")
    assert shown.stderr.split("\n")[:2] == ["Escrito: r.html", "Escrito: r.png"]


def test_the_command_prints_json_alone_when_asked(shell: CliRunner) -> None:
    shown = shell.invoke(cli.app, ["backtest", "momentum", "--symbol", "xauusd", "--timeframe", "4h", "--json"])
    content = json.loads(shown.stdout)
    assert content["result"]["symbols"] == ["XAUUSD"]
    trades = content["reports"]["momentum"]["trades"]
    assert {trade["symbol"] for trade in trades} == {"XAUUSD"}
    assert content["reports"]["momentum"]["evaluation"]["metrics"]["trades"] == len(trades)


def test_days_below_one_are_wrong_use(shell: CliRunner) -> None:
    assert shell.invoke(cli.app, ["backtest", "momentum", "--days", "0"]).exit_code == 2


def test_the_command_explains_itself(shell: CliRunner) -> None:
    shown = shell.invoke(cli.app, ["backtest", "--help"], env={"COLUMNS": "200"})
    assert shown.exit_code == 0
    assert all(option in shown.output for option in ("--symbol", "--timeframe", "--days", "--page", "--picture"))
