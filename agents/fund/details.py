"""Between an entry's figures and the text that the journal keeps of them: JSON with every digit, strictly read."""

from __future__ import annotations

import json
from dataclasses import fields
from decimal import Decimal

from agents.fund.values import Deal, Entry, FeeCalculation, Valuation


def write_details(entry: Entry) -> str:
    """Return what an entry found, as JSON."""
    found = {"deal": _deal(entry.deal), "valuation": _figures(entry.valuation)}
    return json.dumps({key: value for key, value in found.items() if value is not None})


def read_details(text: str) -> tuple[Deal | None, Valuation | None]:
    """Return what `write_details` wrote.

    Raises:
        ValueError, TypeError, decimal.InvalidOperation: The text is damaged.
    """
    found = json.loads(text)
    deal, valuation = found.get("deal"), found.get("valuation")
    return (
        None if deal is None else _read_deal(deal),
        None if valuation is None else Valuation(**_decimals(valuation)),
    )


def _deal(deal: Deal | None) -> dict[str, object] | None:
    if deal is None:
        return None
    figures: dict[str, object] = {
        name: format(getattr(deal, name), "f") for name in ("amount", "price", "units", "paid")
    }
    return figures if deal.fees is None else {**figures, "fees": _figures(deal.fees)}


def _read_deal(found: dict[str, object]) -> Deal:
    fees = found.pop("fees", None)
    assert fees is None or isinstance(fees, dict)
    return Deal(**_decimals(found), fees=None if fees is None else FeeCalculation(**_decimals(fees)))


def _figures(value: FeeCalculation | Valuation | None) -> dict[str, str] | None:
    return None if value is None else {each.name: format(getattr(value, each.name), "f") for each in fields(value)}


def _decimals(found: dict[str, object]) -> dict[str, Decimal]:
    return {name: Decimal(str(value)) for name, value in found.items()}
