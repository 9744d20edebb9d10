"""Funds: investment accounts that hold units of an agent's book.

`Funds` takes orders, values by the calendar and moves the money; `build_statement` and `statement_page` tell an account
what became of it. The arithmetic (`fees`, `dealing`) is pure; everything that is known is a sum of journal postings.
"""

from agents.fund.calendar import Period, find_period
from agents.fund.funds import OWNER, Funds
from agents.fund.page import statement_page
from agents.fund.statement import Statement, build_statement
from agents.fund.store import AccountRecord, FundRecord
from agents.fund.terms import FundTerms
from agents.fund.values import BookValue, Entry, EntryKind, FundBooks, FundOrder, FundRefused, OrderKind, OrderState
from agents.fund.views import AccountStatus, FundStatus, RunReport

__all__ = [
    "OWNER",
    "AccountRecord",
    "AccountStatus",
    "BookValue",
    "Entry",
    "EntryKind",
    "FundBooks",
    "FundOrder",
    "FundRecord",
    "FundRefused",
    "FundStatus",
    "FundTerms",
    "Funds",
    "OrderKind",
    "OrderState",
    "Period",
    "RunReport",
    "Statement",
    "build_statement",
    "find_period",
    "statement_page",
]
