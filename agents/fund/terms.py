"""The terms of a fund: fixed when it is opened, checked strictly, the same for every account.

Rates are ratios (0.2 is 20 %). A fund may pay out no more often than it takes its performance fee, because profit is
shared after the fee on it was taken: paying first would let the fee be dodged, taking it early would cost holders the
losses that a later month may still set off.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from agents.fund.calendar import FREQUENCY, Calendar, boundaries, find_period

BOOK_PATTERN = r"[a-z][a-z0-9_]{0,15}"
"""Of funds, which are books of the desk."""
ACCOUNT_PATTERN = r"[a-z][a-z0-9_-]{0,23}"

Ratio = Annotated[Decimal, Field(ge=0, le=1, decimal_places=6)]
Money = Annotated[Decimal, Field(gt=0, le=Decimal("1E12"), decimal_places=2)]


class FundTerms(BaseModel):
    """What a fund charges, when it deals and what it pays out.

    Attributes:
        initial_price: Of one unit at the start.
        minimum_deposit: Smallest deposit.
        dealing: When orders are dealt; a valuation that is asked for deals them too.
        cutoff_h: Hours before a valuation up to which an order is taken for it.
        performance_fee: Share of the profit above mark and hurdle.
        performance_fee_cap: Most that one taking may take of an account's value; None is no cap.
        management_fee: A year, of the value, by days.
        hurdle: A year, of the mark, by days; profit below it is never charged. It adds up until it is exceeded.
        crystallisation: When the performance fee is taken.
        payout: When profit is shared out; None is never.
        payout_share: Of the profit since the last time.
        cash_book: The desk's book that deposits come from and payments go to.
        fee_book: The desk's book that receives the fees.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    initial_price: Money = Decimal(100)
    minimum_deposit: Money = Decimal(10)
    dealing: Calendar = "daily"
    cutoff_h: Annotated[int, Field(ge=0, le=240)] = 0
    performance_fee: Annotated[Ratio, Field(le=Decimal("0.5"))] = Decimal("0.2")
    performance_fee_cap: Annotated[Ratio, Field(gt=0)] | None = None
    management_fee: Annotated[Ratio, Field(le=Decimal("0.1"))] = Decimal(0)
    hurdle: Ratio = Decimal(0)
    crystallisation: Calendar = "quarterly"
    payout: Calendar | None = "quarterly"
    payout_share: Annotated[Ratio, Field(gt=0)] = Decimal("0.5")
    cash_book: Annotated[str, Field(pattern=rf"^{BOOK_PATTERN}$")] = "main"
    fee_book: Annotated[str, Field(pattern=rf"^{BOOK_PATTERN}$")] = "main"

    @model_validator(mode="after")
    def _pays_out_after_its_fee(self) -> Self:
        year = find_period("2024")
        assert year is not None, "2024 is a year"
        taken = set(boundaries(year.start, year.end, [self.crystallisation]))
        paid = set(boundaries(year.start, year.end, [self.payout])) if self.payout else set()
        if not paid <= taken:
            raise ValueError(
                f"payout {self.payout} does not fall on the dates of crystallisation {self.crystallisation}; "
                f"choose one that does (of {', '.join(FREQUENCY)})"
            )
        return self
