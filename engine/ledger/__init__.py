"""Exact double-entry accounting of one trading account."""

from engine.ledger.books import (
    ACCOUNT_CURRENCY,
    MAIN_BOOK,
    Books,
    Entry,
    Holding,
    Posting,
    account_asset,
    exact_product,
    exact_sum,
    post_deposit,
    post_fill,
    replay,
)
from engine.ledger.curve import Deposit, EquityPoint, equity_curve

__all__ = [
    "ACCOUNT_CURRENCY",
    "MAIN_BOOK",
    "Books",
    "Deposit",
    "Entry",
    "EquityPoint",
    "Holding",
    "Posting",
    "account_asset",
    "equity_curve",
    "exact_product",
    "exact_sum",
    "post_deposit",
    "post_fill",
    "replay",
]
