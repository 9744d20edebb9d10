"""Exact double-entry accounting of one trading account and its books."""

from engine.ledger.accounts import Accounts, account_name, post, replay_events, split_by_holding
from engine.ledger.books import (
    ACCOUNT_CURRENCY,
    MAIN_BOOK,
    Books,
    Entry,
    Holding,
    Posting,
    account_asset,
    base_asset,
    exact_product,
    exact_sum,
    negative,
    post_deposit,
    post_fill,
    quote_asset,
    replay,
)
from engine.ledger.curve import EquityPoint, equity_curve
from engine.ledger.events import BookedFill, Deposit, Event, Funding, Transfer

__all__ = [
    "ACCOUNT_CURRENCY",
    "MAIN_BOOK",
    "Accounts",
    "BookedFill",
    "Books",
    "Deposit",
    "Entry",
    "EquityPoint",
    "Event",
    "Funding",
    "Holding",
    "Posting",
    "Transfer",
    "account_asset",
    "account_name",
    "base_asset",
    "equity_curve",
    "exact_product",
    "exact_sum",
    "negative",
    "post",
    "post_deposit",
    "post_fill",
    "quote_asset",
    "replay",
    "replay_events",
    "split_by_holding",
]
