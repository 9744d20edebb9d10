"""The commands of funds: `trading-copilot funds list`, `open`, `accounts`, `deposit`, `withdraw`, `value`, and so on.

They say what happened in the owner's language, or as JSON. A deposit or withdrawal without `--source` is a new one
each time; with it, repeating the command moves nothing twice. Heavy parts are imported by the command that needs them.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar
from uuid import uuid4

import typer

from copilot.command_line.console import JsonOption, err, out
from copilot.fund_words import (
    account_line,
    fund_content,
    fund_lines,
    moment,
    money,
    order_line,
    plain,
    run_line,
    statement_content,
)
from copilot.settings import Settings, load_settings
from engine.domain.errors import ConfigError

if TYPE_CHECKING:
    from agents.execution.desk import Desk
    from agents.fund import (
        AccountStatus,
        BookValue,
        FundOrder,
        Funds,
        FundStatus,
        FundTerms,
        Period,
        RunReport,
        Statement,
    )

app = typer.Typer(
    name="funds",
    help="Investment accounts that hold units of an agent's fund: deposits, withdrawals, fees, payouts, statements.",
    no_args_is_help=True,
)

_T = TypeVar("_T")
FundName = Annotated[str, typer.Argument(help="Fund: the book of an agent (nova).")]
AccountName = Annotated[str, typer.Argument(help="Investment account, small letters.")]
SourceOption = Annotated[str | None, typer.Option("--source", help="What it comes from; done once for each source.")]


class DeskBooks:
    """The desk's books as funds want them.

    Args:
        desk: Knows the books.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def now(self) -> datetime:
        """Return the market's present."""
        return self._desk.market.now()

    async def value(self, book: str, at: datetime) -> BookValue:
        """Return a book at a time, at the last closed prices before it; what the venue filled is booked first."""
        from agents.fund import BookValue

        await self._desk.account(book)
        (point,) = await self._desk.equity_curve([at], book)
        return BookValue(point.equity, point.deposits)

    async def transfer(self, amount: Decimal, from_book: str, to_book: str, source: str) -> bool:
        """Move money once for a source; return whether it stands moved, False when there is not enough cash."""
        return await self._desk.transfer(amount, from_book, to_book, source)


@asynccontextmanager
async def open_funds(settings: Settings) -> AsyncIterator[Funds]:
    """Open the funds on the desk of the settings.

    Raises:
        ConfigError: A setting cannot be used.
    """
    from agents.fund import Funds
    from copilot.switch import open_desk

    async with open_desk(settings) as (desk, database):
        yield Funds(database, DeskBooks(desk))


@app.command(name="list")
def list_funds(as_json: JsonOption = False) -> None:
    """Tell of every fund: units, price, accounts, what is owed and what waits."""

    async def work(funds: Funds) -> tuple[FundStatus, ...]:
        return funds.list_funds()

    with _Session() as session:
        found = session.run(work)
        lines = [line for each in found for line in fund_lines(each, session.words)]
        session.show(lines or [session.say("none")], [fund_content(each) for each in found], as_json)


@app.command(name="open")
def open_fund(
    fund: FundName,
    performance_fee_pct: Annotated[str, typer.Option(help="Of the profit above the high-water mark.")] = "20",
    performance_fee_cap_pct: Annotated[str | None, typer.Option(help="Of the value, most that one fee takes.")] = None,
    management_fee_pct: Annotated[str, typer.Option(help="A year, of the value.")] = "0",
    hurdle_pct: Annotated[str, typer.Option(help="A year; profit below it is never charged.")] = "0",
    crystallise: Annotated[str, typer.Option(help="daily, weekly, monthly, quarterly or yearly.")] = "quarterly",
    payout: Annotated[str, typer.Option(help="As --crystallise, or never.")] = "quarterly",
    payout_share_pct: Annotated[str, typer.Option(help="Of the profit since the last payout.")] = "50",
    dealing: Annotated[str, typer.Option(help="When orders are dealt; as --crystallise.")] = "daily",
    initial_price: Annotated[str, typer.Option(help="Of one unit.")] = "100",
    as_json: JsonOption = False,
) -> None:
    """Open a fund on an agent's book; what is in the book becomes units of the account `owner`."""
    from agents.fund import FundRecord

    with _Session() as session:
        terms: dict[str, object] = {
            "performance_fee": _ratio(performance_fee_pct),
            "performance_fee_cap": None if performance_fee_cap_pct is None else _ratio(performance_fee_cap_pct),
            "management_fee": _ratio(management_fee_pct),
            "hurdle": _ratio(hurdle_pct),
            "crystallisation": crystallise,
            "payout": None if payout == "never" else payout,
            "payout_share": _ratio(payout_share_pct),
            "dealing": dealing,
            "initial_price": _number(initial_price),
        }

        async def work(funds: Funds) -> FundRecord:
            return await funds.open_fund(fund, _terms(terms))

        record = session.run(work)
        line = session.say("opened", fund=record.name, price=plain(record.terms.initial_price))
        session.show([line], {"fund": record.name, "terms": record.terms.model_dump(mode="json")}, as_json)


@app.command()
def accounts(
    fund: FundName,
    account: Annotated[str | None, typer.Option(help="One account; needed to change it.")] = None,
    holder: Annotated[str | None, typer.Option(help="Change the name on its statements.")] = None,
    payouts: Annotated[str | None, typer.Option(help="Change what becomes of its payouts: pay or reinvest.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Tell of a fund's accounts at the last valuation, or change one."""

    async def work(funds: Funds) -> tuple[AccountStatus, ...]:
        if account is not None:
            funds.change_account(fund, account, holder_name=holder, payouts=payouts)
        return tuple(each for each in funds.accounts(fund) if account in (None, each.record.account))

    with _Session() as session:
        found = session.run(work)
        lines = [account_line(each, session.words) for each in found]
        session.show(lines or [session.say("no_accounts", fund=fund)], found, as_json)


@app.command()
def deposit(
    fund: FundName,
    account: AccountName,
    amount: Annotated[str, typer.Argument(help="Money, at most two decimals.")],
    source: SourceOption = None,
    holder: Annotated[str, typer.Option(help="The person's name, when the account is new.")] = "",
    payouts: Annotated[str, typer.Option(help="pay or reinvest, when the account is new.")] = "pay",
    as_json: JsonOption = False,
) -> None:
    """Take a deposit; it becomes units at the next valuation."""

    async def work(funds: Funds) -> FundOrder:
        money = _number(amount)
        return await funds.deposit(
            fund, account, money, source or f"deposit-{uuid4()}", holder_name=holder, payouts=payouts
        )

    with _Session() as session:
        session.show_order(session.run(work), as_json)


@app.command()
def withdraw(
    fund: FundName,
    account: AccountName,
    amount: Annotated[str, typer.Argument(help="Money before the fees that fall due on it, or: all")],
    source: SourceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take a withdrawal; it is dealt at the next valuation and paid as soon as the book has the cash."""

    async def work(funds: Funds) -> FundOrder:
        money = None if amount == "all" else _number(amount)
        return await funds.withdraw(fund, account, money, source or f"withdrawal-{uuid4()}")

    with _Session() as session:
        session.show_order(session.run(work), as_json)


@app.command()
def cancel(
    fund: FundName,
    source: Annotated[str, typer.Argument(help="The order's source.")],
    as_json: JsonOption = False,
) -> None:
    """Take back an order that was not dealt yet; the money of a deposit goes back."""

    async def work(funds: Funds) -> FundOrder:
        return await funds.cancel(fund, source)

    with _Session() as session:
        session.show_order(session.run(work), as_json)


@app.command()
def value(fund: FundName, as_json: JsonOption = False) -> None:
    """Do all that the calendar asks for, then value the fund now and deal the orders that wait."""

    async def work(funds: Funds) -> tuple[RunReport, ...]:
        return await funds.value(fund)

    with _Session() as session:
        session.show_runs(fund, session.run(work), as_json)


@app.command()
def distribute(
    fund: FundName,
    period: Annotated[str | None, typer.Option(help="Tell of this one (2026-Q1); it is paid once only.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Take fees and share out profit for every period that is over, in order, each once."""

    async def work(funds: Funds) -> tuple[tuple[RunReport, ...], Payouts | None]:
        chosen = None if period is None else _period(period)
        if chosen is not None and chosen.end > funds.now():
            from agents.fund import FundRefused

            raise FundRefused("fund_period_open", period=chosen.name, end=moment(chosen.end))
        reports = await funds.run_due(fund)
        return reports, None if chosen is None else payouts_of(funds, fund, chosen)

    with _Session() as session:
        reports, payouts = session.run(work)
        if payouts is None:
            session.show_runs(fund, reports, as_json)
            return
        line = session.say(
            "period_done", fund=fund, period=payouts.period, count=str(payouts.count),
            paid=money(payouts.paid), kept=money(payouts.kept),
        )  # fmt: skip
        session.show([line], payouts, as_json)


@app.command()
def statement(
    fund: FundName,
    account: AccountName,
    period: Annotated[str, typer.Argument(help="2026, 2026-Q1, 2026-03 or 2026-03-31.")],
    page: Annotated[Path | None, typer.Option(help="Write it here: as a page (.html) or as a PDF (.pdf).")] = None,
    language: Annotated[str | None, typer.Option(help="en or es; the settings' when left out.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Write the statement of an account for a period, as a page, as a PDF or as JSON."""
    from agents.fund import build_statement

    async def work(funds: Funds) -> Statement:
        return build_statement(funds.store, fund, account, _period(period))

    with _Session(language) as session:
        found = session.run(work)
        file = page or Path(f"{fund}-{account}-{found.period.name}.html")
        if page is not None or not as_json:
            write_statement(found, file, session.language, datetime.now(UTC))
        session.show([session.say("written", file=str(file))], statement_content(found), as_json)


@app.command()
def audit(fund: FundName, as_json: JsonOption = False) -> None:
    """Add up the journal of a fund again and hold it against the records; exit status 1 when they differ."""

    async def work(funds: Funds) -> tuple[str, ...]:
        return funds.audit(fund)

    with _Session() as session:
        wrong = session.run(work)
        line = session.say("unsound", fund=fund, found=", ".join(wrong)) if wrong else session.say("sound", fund=fund)
        session.show([line], {"fund": fund, "differing": wrong}, as_json)
    if wrong:
        raise typer.Exit(1)


@dataclass(frozen=True, slots=True)
class Payouts:
    """What a period of payouts came to."""

    fund: str
    period: str
    count: int
    paid: Decimal
    kept: Decimal


def payouts_of(funds: Funds, fund: str, period: Period) -> Payouts:
    """Return what was shared out for a period, from the journal."""
    from agents.fund import EntryKind

    mine = [
        (each.kind, each.deal.amount)
        for each in funds.store.entries(fund)
        if each.deal is not None and each.source == f"payout:{period.name}:{each.account}"
    ]
    paid, kept = (
        sum((amount for kind, amount in mine if kind is wanted), Decimal(0))
        for wanted in (EntryKind.PAYOUT, EntryKind.REINVESTMENT)
    )
    return Payouts(fund, period.name, len(mine), paid, kept)


def write_statement(statement: Statement, path: Path, language: str, made_at: datetime) -> None:
    """Write a statement as a page, or as a PDF where the name ends so, readable by this account alone.

    Raises:
        ConfigError: The file cannot be written.
    """
    from agents.fund import statement_page
    from engine.data.files import write_atomically
    from prompts import load_words

    words = load_words(language, "fund")["page"]
    if path.suffix.lower() == ".pdf":
        # Matplotlib takes a second to load, which only this form needs.
        from agents.fund.pdf import statement_pdf

        written = statement_pdf(statement, words, made_at=made_at)
    else:
        written = statement_page(statement, words, made_at=made_at).encode()
    try:
        write_atomically(path, lambda draft: draft.write_bytes(written))
    except OSError as error:
        raise ConfigError(f"the statement {path} cannot be written: {error}") from error


class _Session:
    """One command: settings, words, and errors in the owner's language."""

    def __init__(self, language: str | None = None) -> None:
        from prompts import LANGUAGES, load_words

        self.settings = load_settings()
        self.language = language or self.settings.language
        if self.language not in LANGUAGES:
            raise ConfigError(f"--language {language!r} is not spoken here; choose one of {', '.join(LANGUAGES)}")
        every = load_words(self.language, "fund")
        self.words: Mapping[str, Any] = every["command"]
        self._errors: Mapping[str, str] = every["errors"]

    def __enter__(self) -> _Session:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        from agents.fund import FundRefused

        if isinstance(error, FundRefused):
            line = self._errors[error.code].format(**error.params)
            err.print(f"trading-copilot: {line}", markup=False, emoji=False, highlight=False, soft_wrap=True)
            raise typer.Exit(1) from error

    def run(self, work: Callable[[Funds], Coroutine[Any, Any, _T]]) -> _T:
        """Do the work with the funds open."""

        async def whole() -> _T:
            async with open_funds(self.settings) as funds:
                return await work(funds)

        return asyncio.run(whole())

    def say(self, key: str, **values: str) -> str:
        return str(self.words[key]).format(**values)

    def show(self, lines: Sequence[str], content: object, as_json: bool) -> None:
        from copilot.commands import to_json

        if as_json:
            sys.stdout.write(to_json(content) + "\n")
            return
        for line in lines:
            out.print(line, markup=False, emoji=False, highlight=False, soft_wrap=True)

    def show_order(self, order: FundOrder, as_json: bool) -> None:
        self.show([order_line(order, self.words)], order, as_json)
        if order.state == "rejected":
            raise typer.Exit(1)

    def show_runs(self, fund: str, reports: Sequence[RunReport], as_json: bool) -> None:
        lines = [run_line(each, self.words) for each in reports]
        lines += [order_line(order, self.words) for each in reports for order in each.rejected]
        self.show(lines or [self.say("nothing_due", fund=fund, at=moment(datetime.now(UTC)))], reports, as_json)


def _period(text: str) -> Period:
    from agents.fund import FundRefused, find_period

    found = find_period(text)
    if found is None:
        raise FundRefused("fund_bad_period", period=text)
    return found


def _terms(values: Mapping[str, object]) -> FundTerms:
    from pydantic import ValidationError

    from agents.fund import FundRefused
    from agents.fund import FundTerms as Terms

    try:
        return Terms.model_validate(values)
    except ValidationError as error:
        detail = "; ".join(
            f"{'.'.join(map(str, each['loc'])) or 'terms'}: {each['msg']}" for each in error.errors(include_url=False)
        )
        raise FundRefused("fund_bad_terms", detail=detail) from error


def _number(text: str) -> Decimal:
    from agents.fund import FundRefused

    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite():
        raise FundRefused("fund_bad_amount", amount=text)
    return number


def _ratio(text: str) -> Decimal:
    return _number(text) / 100
