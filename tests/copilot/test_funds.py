"""The commands of funds on a desk by hand, in both languages and as JSON; and the real desk's books."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import copilot.funds
from agents.execution.desk import Desk
from agents.execution.paper import PaperVenue
from agents.fund import Funds, FundTerms, OrderState
from agents.risk.values import RiskLimits
from copilot.funds import DeskBooks, app
from copilot.settings import Settings
from prompts import load_words
from tests.agents.execution.fakes import FakeMarket, open_database
from tests.agents.fund.desk import FakeDesk, at, open_tables

Command = Callable[..., Result]


@pytest.fixture
def desk() -> FakeDesk:
    return FakeDesk()


@pytest.fixture
def command(desk: FakeDesk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Return a way to run a command on the desk by hand."""
    database = open_tables(tmp_path)

    @asynccontextmanager
    async def opened(_settings: Settings) -> AsyncIterator[Funds]:
        yield Funds(database, desk)

    monkeypatch.setattr(copilot.funds, "open_funds", opened)
    monkeypatch.chdir(tmp_path)

    def run(*words: str, language: str = "en") -> Result:
        desk.advance(seconds=1)
        return CliRunner().invoke(app, list(words), env={"COPILOT_LANGUAGE": language, "COLUMNS": "500"})

    return run


def test_a_fund_lives_by_commands(command: Command, desk: FakeDesk, tmp_path: Path) -> None:
    assert "no fund yet" in command("list").output
    assert "a unit begins at 100" in command("open", "nova", "--crystallise", "monthly", "--payout", "monthly").output
    for _ in range(2):
        done = command("deposit", "nova", "maria", "1000", "--source", "s1", "--holder", "María")
        assert (done.exit_code, "waits for the next valuation" in done.output) == (0, True)
    assert "deposits 1,000.00" in command("value", "nova").output
    desk.earn("nova", 100)  # half of what is left after a fee of 20, less what a unit cannot be split into
    desk.clock = at("2026-02-01T08:00")
    paid = command("distribute", "nova", "--period", "2026-01")
    assert "2026-01: 1 payouts, 39.99 paid and 0.00 kept." in paid.output
    assert "1 payouts, 39.99 paid" in command("distribute", "nova", "--period", "2026-01").output
    assert "nothing is due" in command("distribute", "nova").output
    assert "nova: 9.45463635 units at 110, 1,040.01 in 1 accounts" in command("list").output
    told = command("accounts", "nova", "--account", "maria", "--payouts", "reinvest").output
    assert told.startswith("maria (María): ")
    assert "payouts: kept" in told
    assert "waits" in command("withdraw", "nova", "maria", "all", "--source", "w1").output
    assert "taken back" in command("cancel", "nova", "w1").output
    assert command("statement", "nova", "maria", "2026-01").exit_code == 0
    assert "How the fees were found" in (tmp_path / "nova-maria-2026-01.html").read_text("utf-8")
    assert "to the last digit" in command("audit", "nova").output


def test_json_keeps_every_digit(command: Command, desk: FakeDesk) -> None:
    command("open", "nova")
    command("deposit", "nova", "maria", "1000")
    desk.earn("nova", "0.123456789")
    (run,) = json.loads(command("value", "nova", "--json").output)
    assert run["valuation"]["price"] == "100"
    (fund,) = json.loads(command("list", "--json").output)
    assert (fund["units"], fund["fund"]) == ("10.00000000", "nova")
    statement = json.loads(command("statement", "nova", "maria", "2026-01", "--json").output)
    assert (statement["deposits"], statement["terms"]["performance_fee"]) == ("1000", "0.2")
    assert Decimal(statement["closing"]["value"]) == 1000


def test_commands_speak_spanish(command: Command, tmp_path: Path) -> None:
    assert "Aún no hay" in command("list", language="es").output
    command("open", "nova", language="es")
    assert (
        "Una aportación de 1,000.00 para maria espera"
        in command("deposit", "nova", "maria", "1000", "--source", "s", language="es").output
    )
    page = tmp_path / "sub" / "page.html"
    command("value", "nova", language="es")
    command("statement", "nova", "maria", "2026", "--page", str(page), language="es")
    assert '<html lang="es">' in page.read_text("utf-8")
    assert "No hay ningún fondo" in command("value", "orion", language="es").output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["value", "orion"], "There is no fund orion"),
        (["deposit", "nova", "maria", "ten"], "“ten” is not an amount"),
        (["deposit", "nova", "maria", "1"], "smallest deposit"),
        (["deposit", "nova", "Ma ria", "100"], "can't be used as a name"),
        (["withdraw", "nova", "maria", "100"], "There is no account maria"),
        (["statement", "nova", "maria", "June"], "is not a period"),
        (["distribute", "nova", "--period", "2026"], "is not over yet"),
        (["open", "nova", "--performance-fee-pct", "10"], "is open already"),
        (["open", "orion", "--payout", "weekly"], "These terms can't be used"),
        (["cancel", "nova", "s9"], "There is no order s9"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_exit_1(command: Command, words: list[str], message: str) -> None:
    command("open", "nova")
    done = command(*words)
    assert done.exit_code == 1
    assert message in done.output
    assert "Traceback" not in done.output


def test_a_rejected_order_is_exit_1(command: Command) -> None:
    command("open", "nova")
    done = command("deposit", "nova", "maria", "2000000")
    assert (done.exit_code, "the money is missing" in done.output) == (1, True)


def test_every_code_of_a_fund_has_its_words() -> None:
    sources = [*Path(copilot.funds.__file__).parents[1].joinpath("agents", "fund").glob("*.py"),
               Path(copilot.funds.__file__)]  # fmt: skip
    raised = {code for each in sources for code in _codes(each.read_text("utf-8"))}
    assert raised == set(load_words("en", "fund")["errors"])


def _codes(text: str) -> set[str]:
    return {part.split('"')[0] for part in text.split('FundRefused("')[1:]}


def test_the_real_desk_moves_the_money_once_and_tells_its_books(tmp_path: Path) -> None:
    database, market = open_database(tmp_path / "desk.db"), FakeMarket()
    venue = PaperVenue(database, market, starting_cash=Decimal(10_000))
    desk = Desk(database, venue, market, RiskLimits(), starting_cash=Decimal(10_000))

    async def work() -> None:
        await desk.start()
        funds = Funds(database, DeskBooks(desk))
        await funds.open_fund("nova", FundTerms(payout=None))
        for _ in range(2):
            order = await funds.deposit("nova", "maria", Decimal(4000), "s1")
        assert order.state is OrderState.READY
        refused = await funds.deposit("nova", "juan", Decimal(7000), "s2")
        assert refused.reason == "no_cash"
        market.present += timedelta(minutes=1)
        (report,) = await funds.value("nova")
        assert (report.valuation.equity, funds.fund("nova").owned) == (4000, 4000)
        await funds.withdraw("nova", "maria", Decimal(1500), "w1")
        market.present += timedelta(minutes=1)
        await funds.value("nova")
        await funds.value("nova")
        assert (await desk.account("nova")).equity == 2500
        assert (await desk.account("main")).equity == 7500
        assert funds.audit("nova") == ()

    asyncio.run(work())
    database.dispose()
