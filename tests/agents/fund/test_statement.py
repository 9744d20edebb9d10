"""Statements: every figure from the journal, lines that add up, a page that is whole and safe."""

from __future__ import annotations

import re
from decimal import Decimal
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from agents.fund import FundTerms, Statement, build_statement, find_period, statement_page
from agents.fund.arithmetic import is_in_cents
from agents.fund.funds import Funds
from agents.fund.pdf import statement_pdf, statement_rows
from agents.fund.speech import Speech
from engine.domain.errors import InvalidRequest
from prompts import LANGUAGES, load_words
from tests.agents.fund.desk import FakeDesk, at

TERMS = FundTerms(
    dealing="monthly", crystallisation="monthly", payout="quarterly", management_fee=Decimal("0.02"),
    hurdle=Decimal("0.01"), payout_share=Decimal("0.5"),
)  # fmt: skip


async def half_a_year(funds: Funds, desk: FakeDesk) -> None:
    await funds.open_fund("nova", TERMS)
    await funds.deposit("nova", "maria", Decimal(10000), "m1", holder_name="María <b>& Co</b>")
    await funds.deposit("nova", "juan", Decimal("250.55"), "j1", payouts="reinvest")
    for month, profit in enumerate((0, 900, -300, 1200, 333, -50, 700), 2):
        desk.clock = at(f"2026-{month:02}-01T00:00")
        await funds.run_due("nova")
        desk.earn("nova", Decimal(profit) + Decimal("0.123456789"))
        if month == 5:
            await funds.withdraw("nova", "maria", Decimal(1500), "m2")
            await funds.deposit("nova", "juan", Decimal(1000), "j2")
        desk.advance(days=3)


def statement_of(funds: Funds, account: str, period: str) -> Statement:
    found = find_period(period)
    assert found is not None
    return build_statement(funds.store, "nova", account, found)


def explained(statement: Statement) -> Decimal:
    paid = statement.withdrawals + statement.payouts + statement.fees
    return statement.opening.value + statement.deposits - paid + statement.result - statement.rounding


async def test_every_statement_adds_up_to_the_last_digit_and_joins_the_next(funds: Funds, desk: FakeDesk) -> None:
    await half_a_year(funds, desk)
    for account in ("maria", "juan"):
        months = [statement_of(funds, account, f"2026-{month:02}") for month in range(1, 8)]
        assert all(explained(each) == each.closing.value for each in months)
        for before, after in pairwise(months):
            assert (before.closing.value, before.closing.holding) == (after.opening.value, after.opening.holding)
        whole = statement_of(funds, account, "2026")
        assert whole.closing.value == months[-1].closing.value
        assert whole.fees == sum((each.fees for each in months), Decimal(0))
        growth = Decimal(1)
        for each in months:
            growth *= 1 + (each.return_ratio or 0)
        assert whole.return_ratio is not None
        assert abs(growth - 1 - whole.return_ratio) < Decimal("1E-20")


async def test_fees_and_payouts_at_the_end_of_a_quarter_stand_on_its_statement(funds: Funds, desk: FakeDesk) -> None:
    await half_a_year(funds, desk)
    quarter, next_day = statement_of(funds, "maria", "2026-Q1"), statement_of(funds, "maria", "2026-04-01")
    assert [f"{each.at:%m-%d} {each.kind}" for each in quarter.movements] == [
        "02-01 deposit", "03-01 fee", "04-01 fee", "04-01 payout",
    ]  # fmt: skip
    assert quarter.payouts > 0
    assert next_day.movements == ()
    assert all(is_in_cents(each.deal.paid) for each in quarter.movements)


async def test_a_fee_on_a_statement_can_be_worked_out_again(funds: Funds, desk: FakeDesk) -> None:
    await half_a_year(funds, desk)
    fees = [each.deal.fees for each in statement_of(funds, "maria", "2026").movements if each.deal.fees]
    assert len(fees) >= 5
    for fee in fees:
        assert fee.profit == max(Decimal(0), fee.value - fee.accrued - fee.mark - fee.hurdle)
        assert 0 <= fee.profit * fee.rate * fee.share - fee.performance < Decimal("0.0100001")


class Balanced(HTMLParser):
    """Checks that every element is closed, and keeps the text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert not any(name in ("src", "href") for name, _ in attrs), "a statement asks for nothing"
        if tag not in ("meta", "line", "polygon", "polyline"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("line", "polygon", "polyline"):
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data + "\n"


@pytest.mark.parametrize("language", LANGUAGES)
async def test_the_page_is_whole_in_both_languages(funds: Funds, desk: FakeDesk, language: str) -> None:
    await half_a_year(funds, desk)
    await funds.withdraw("nova", "maria", None, "later")
    found = statement_of(funds, "maria", "2026-Q2")
    page = statement_page(found, load_words(language, "fund")["page"], made_at=at("2026-07-02T08:00"))
    parser = Balanced()
    parser.feed(page)
    assert parser.open == []
    assert "<script" not in page
    assert "María <b>& Co</b>" in parser.text
    mark = {"en": "Withdrawal", "es": "Retirada"}[language]
    assert parser.text.count(mark) >= 3
    assert not re.search(r"\{\w+\}", parser.text)
    money = f"{found.closing.value:,.2f}"
    assert (money if language == "en" else money.translate(str.maketrans(",.", ".,"))) in parser.text


@pytest.mark.parametrize("language", LANGUAGES)
async def test_the_pdf_says_what_the_page_says(funds: Funds, desk: FakeDesk, language: str) -> None:
    await half_a_year(funds, desk)
    await funds.withdraw("nova", "maria", None, "later")
    found, words = statement_of(funds, "maria", "2026-Q2"), load_words(language, "fund")["page"]
    made = at("2026-07-02T08:00")
    parser = Balanced()
    parser.feed(statement_page(found, words, made_at=made))
    text = " ".join(parser.text.split())
    rows = statement_rows(found, Speech(words, safe=str), made_at=made)
    told = [cell for row in rows for cell in row.cells if row.look not in ("title", "soft")]
    pieces = {piece for cell in told for piece in re.split(" · |: ", cell) if piece}
    assert len(pieces) > 60
    assert sorted(piece for piece in pieces if piece not in text) == []
    made_of = statement_pdf(found, words, made_at=made)
    assert made_of.startswith(b"%PDF-")
    assert made_of == statement_pdf(found, words, made_at=made)


async def test_a_long_statement_goes_on_on_the_next_sheet(funds: Funds, desk: FakeDesk) -> None:
    await half_a_year(funds, desk)
    words = load_words("en", "fund")["page"]
    year, day = (statement_of(funds, "maria", period) for period in ("2026", "2026-04-01"))
    sheets = [statement_pdf(each, words, made_at=at("2026-07-02T08:00")).count(b"/Type /Page ") for each in (day, year)]
    assert sheets[0] == 1
    assert sheets[1] > 1


async def test_the_lines_of_the_page_add_up_in_cents(funds: Funds, desk: FakeDesk) -> None:
    await half_a_year(funds, desk)
    for account in ("maria", "juan"):
        for period in ("2026-01", "2026-03", "2026-Q2", "2026"):
            found = statement_of(funds, account, period)
            page = statement_page(found, load_words("en", "fund")["page"], made_at=at("2026-07-02T08:00"))
            table = page.split("<h2>Summary</h2>")[1].split("</table>")[0]
            figures = [
                Decimal(re.sub(r"<[^>]+>", "", cell).replace(",", "").replace("−", "-"))
                for cell in re.findall(r"<td>((?:<span[^>]*>)?[+−]?[\d,]+\.\d\d(?:</span>)?)</td></tr>", table)
            ]
            assert len(figures) >= 2
            assert sum(figures[:-1]) == figures[-1]


async def test_what_has_no_statement_is_said(funds: Funds, desk: FakeDesk) -> None:
    await half_a_year(funds, desk)
    for account, period, code in (("nobody", "2026", "account_not_found"), ("maria", "2025", "no_statement")):
        with pytest.raises(InvalidRequest, match=code):
            statement_of(funds, account, period)
    empty = statement_of(funds, "maria", "2026-12")
    assert (empty.movements, empty.return_ratio) == ((), None)
    statement_page(empty, load_words("es", "fund")["page"], made_at=at("2026-12-02T08:00"))
