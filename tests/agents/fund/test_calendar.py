"""Periods: their names, their ends, and terms that fit them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from agents.fund.calendar import FREQUENCY, Calendar, boundaries, find_period, period_ending
from agents.fund.terms import FundTerms
from tests.agents.fund.desk import at


@pytest.mark.parametrize(
    ("calendar", "days"),
    [
        ("monthly", ["2024-01-01", "2024-02-01", "2024-03-01", "2024-04-01"]),
        ("quarterly", ["2024-01-01", "2024-04-01"]),
        ("yearly", ["2024-01-01"]),
        ("weekly", ["2024-01-01", "2024-01-08"]),
    ],
)
def test_boundaries_are_the_first_moments_after_periods(calendar: Calendar, days: list[str]) -> None:
    until = at(f"{days[-1]}T00:00")
    assert [f"{each:%Y-%m-%d}" for each in boundaries(at("2023-12-31T23:59"), until, [calendar])] == days
    assert list(boundaries(at("2024-01-01T00:00"), at("2024-01-01T00:00"), FREQUENCY)) == []


def test_a_leap_day_is_a_day() -> None:
    days = [f"{each:%m-%d}" for each in boundaries(at("2024-02-28T12:00"), at("2024-03-01T12:00"), ["daily"])]
    assert days == ["02-29", "03-01"]


@pytest.mark.parametrize("name", ["2026", "2026-Q1", "2026-Q4", "2026-03", "2026-12", "2026-02-28"])
def test_a_period_is_found_by_its_name_and_ends_with_it(name: str) -> None:
    found = find_period(name)
    assert found is not None
    ends = {period_ending(found.end, calendar).name for calendar in FREQUENCY if calendar != "weekly"
            if found.end in boundaries(found.start, found.end, [calendar])}  # fmt: skip
    assert name in ends


@pytest.mark.parametrize("name", ["", "26", "2026-Q5", "2026-13", "2026-02-30", "0000", "2026-1", "２０２６", "9999"])
def test_what_is_no_period_is_not_found(name: str) -> None:
    assert find_period(name) is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"payout": "monthly", "crystallisation": "quarterly"},
        {"payout": "weekly", "crystallisation": "monthly"},
        {"performance_fee": Decimal("0.6")},
        {"performance_fee": Decimal("-0.1")},
        {"initial_price": Decimal(0)},
        {"crystallisation": "sometimes"},
        {"performance_fees": Decimal("0.1")},
        {"performance_fee": Decimal("0.12345678")},
    ],
)
def test_terms_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        FundTerms(**wrong)


def test_terms_survive_the_database_to_the_digit() -> None:
    terms = FundTerms(performance_fee=Decimal("0.123456"), initial_price=Decimal("10.10"))
    assert FundTerms.model_validate_json(terms.model_dump_json()) == terms
