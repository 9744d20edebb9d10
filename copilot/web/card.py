"""A ticket as the browser draws it: every text ready in the ticket's language, every number already written out.

The card decides nothing and computes nothing. Its buttons carry the ticket's id and nonce and nothing else; whose
ticket it is, what it says and whether it may still be approved are looked up on the server. Proposals, the tickets of
the agents, are drawn by the same card.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from agents.risk.values import LimitCheck
from copilot.events import Language
from copilot.wording import (
    format_money,
    format_number,
    format_percent,
    format_price,
    format_time,
    render_reasons,
)
from copilot.wording.proposal_card import proposal_props
from prompts import load_words
from tools.agent_results import ProposalView
from tools.decisions import Asked
from tools.results import SizingView, TicketTerms, TicketView

Words = Mapping[str, Any]
Row = dict[str, str]
SUPERSEDED = "superseded"
"""State of a card whose ticket has a newer version; only the page knows it."""
CLOSED = "closed"
"""State of a card whose ticket ended elsewhere."""
_BPS_PER_PERCENT = Decimal(100)
_FULL_BAR = 100


def card_props(ticket: Asked, *, state: str | None = None) -> dict[str, Any]:
    """Return what the card element shows of a ticket or a proposal, and which version that is.

    Args:
        ticket: The version to show.
        state: Overrides its own state for cards that are no longer current.
    """
    if isinstance(ticket, ProposalView):
        return {**proposal_props(ticket, state=state), "version": ticket.version}
    return {**ticket_props(ticket, state=state), "version": ticket.version}


def without_nonce(props: Mapping[str, Any]) -> dict[str, Any]:
    """Return an element's properties as they may be kept: nothing that a decision could be made with."""
    return {name: "" if name == "nonce" else value for name, value in props.items()}


def superseded_props(props: Mapping[str, Any], language: Language) -> dict[str, Any]:
    """Return a kept card that was open when it was last seen and whose version is gone."""
    label = load_words(language, "web")["card"]["state"][SUPERSEDED]
    dead = {"nonce": "", "isOpen": False, "fields": [], "state": SUPERSEDED, "stateLabel": label}
    return {**props, **dead}


def ticket_props(ticket: TicketView, *, state: str | None = None) -> dict[str, Any]:
    """Return what the card element shows.

    Args:
        ticket: The version to show.
        state: Overrides the ticket's own state for cards that are no longer current.
    """
    language, terms = ticket.language, ticket.terms
    words: Words = load_words(language, "web")["card"]
    shown = state or ticket.state
    is_open = shown == "pending"
    return {
        "ticketId": ticket.ticket_id,
        "nonce": ticket.nonce if is_open else "",
        "isOpen": is_open,
        "state": shown,
        "stateLabel": words["state"][shown],
        "side": terms.side,
        "headline": _headline(terms, words, language),
        "title": words["title"].format(ticket_id=ticket.ticket_id),
        "badges": _badges(ticket, words),
        "rows": _rows(ticket, words, language),
        "changes": _changes(terms, words, language),
        "limits": [_limit(check, terms, language, words) for check in terms.limits],
        "sizing": _sizing(terms, words, language),
        "drift": words["drift"].format(drift=_drift(terms, language)),
        "expiresAt": ticket.expires_at.isoformat(),
        "result": _result(ticket, words, language),
        "reasons": render_reasons(ticket.reasons, language) if ticket.reasons else "",
        "fields": _fields(terms, words, language) if is_open else [],
        "words": _button_words(words),
    }


def _headline(terms: TicketTerms, words: Words, language: Language) -> str:
    quantity = format_number(terms.quantity, language)
    order_type = words["order_type"][terms.order_type]
    return f"{words['side'][terms.side]} {quantity} {terms.symbol} · {order_type}"


def _badges(ticket: TicketView, words: Words) -> list[str]:
    badges = []
    if ticket.terms.is_simulated:
        badges.append(words["simulated"])
    if ticket.terms.is_close:
        badges.append(words["close"])
    if ticket.version > 1:
        badges.append(words["version"].format(version=ticket.version))
    return badges


def _rows(ticket: TicketView, words: Words, language: Language) -> list[Row]:
    terms = ticket.terms

    def price(value: Decimal | None) -> str:
        return words["none"] if value is None else format_price(value, language)

    repriced = ""
    if ticket.repriced_from is not None:
        repriced = words["repriced"].format(price=format_price(ticket.repriced_from, language))
    rows = [_row(words["quantity"], format_number(terms.quantity, language))]
    if terms.order_type != "market":
        rows.append(_row(words[f"{terms.order_type}_price"], price(terms.price)))
    rows += [
        _row(words["expected_price"], price(terms.expected_price), repriced),
        _row(words["notional"], format_money(terms.notional, terms.currency, language)),
        _row(words["fee"], format_money(terms.fee, terms.currency, language)),
        _row(words["stop_loss"], price(terms.stop_loss)),
        _row(words["take_profit"], price(terms.take_profit)),
        _row(words["venue"], load_words(language, "answers")["venue"].get(terms.venue, terms.venue)),
        _row(words["quote_at"], format_time(terms.quote_at, language)),
    ]
    return rows


def _row(label: str, value: str, note: str = "") -> Row:
    return {"label": label, "value": value, "note": note}


def _changes(terms: TicketTerms, words: Words, language: Language) -> list[Row]:
    def money(value: Decimal) -> str:
        return format_money(value, terms.currency, language)

    return [
        {"label": words["cash"], "before": money(terms.cash_before), "after": money(terms.cash_after)},
        {"label": words["exposure"], "before": money(terms.exposure_before), "after": money(terms.exposure_after)},
        {
            "label": words["position"],
            "before": format_number(terms.position_before, language),
            "after": format_number(terms.position_after, language),
        },
    ]


def _limit(check: LimitCheck, terms: TicketTerms, language: Language, words: Words) -> dict[str, Any]:
    def measure(value: Decimal) -> str:
        match check.unit:
            case "money":
                return format_money(value, terms.currency, language)
            case "pct":
                return format_percent(value, language)
            case "count":
                return format_number(value, language)

    names = load_words(language, "answers")["limits"]
    return {
        "name": check.name,
        "label": names.get(check.name, check.name),
        "line": words["limit_line"].format(after=measure(check.after), limit=measure(check.limit)),
        "room": words["room"].format(room=measure(check.room)),
        "usedPct": _bar(check),
        "isOk": check.is_ok,
    }


def _bar(check: LimitCheck) -> float:
    """Return how much of a bar to fill, 0–100."""
    if check.limit <= 0:
        return 0.0 if check.after <= 0 else float(_FULL_BAR)
    return float(min(max(check.after * _FULL_BAR / check.limit, Decimal(0)), Decimal(_FULL_BAR)))


def _sizing(terms: TicketTerms, words: Words, language: Language) -> list[str]:
    sizing = terms.sizing
    if sizing is None:
        return []
    line = words["sizing_line"].format(
        equity=format_money(sizing.equity, terms.currency, language),
        risk_pct=format_percent(sizing.risk_pct, language),
        risk_money=format_money(sizing.risk_money, terms.currency, language),
        stop_distance=format_price(sizing.stop_distance, language),
        raw_quantity=format_number(sizing.raw_quantity, language, _places(sizing)),
    )
    return [line, _sized(sizing, words, language), words["stop_from"][sizing.stop_from]]


def _sized(sizing: SizingView, words: Words, language: Language) -> str:
    quantity = format_number(sizing.quantity, language)
    if sizing.bounded_by is None:
        return str(words["sizing_result"].format(quantity=quantity))
    names = load_words(language, "answers")["limits"]
    bound = names.get(sizing.bounded_by, sizing.bounded_by)
    return str(words["sizing_bounded"].format(quantity=quantity, bound=bound))


def _places(sizing: SizingView) -> int:
    """Show the raw quantity a little finer than the rounded one."""
    exponent = sizing.quantity.as_tuple().exponent
    return 4 if not isinstance(exponent, int) else max(-exponent, 0) + 2


def _drift(terms: TicketTerms, language: Language) -> str:
    return format_percent(Decimal(terms.max_drift_bps) / _BPS_PER_PERCENT, language)


def _result(ticket: TicketView, words: Words, language: Language) -> list[Row]:
    fill = ticket.fill
    if fill is None:
        return []
    rows = []
    if fill.average_price is not None:
        line = words["filled_line"].format(
            quantity=format_number(fill.filled_quantity, language), price=format_price(fill.average_price, language)
        )
        rows.append(_row(words["filled"], line))
        rows.append(_row(words["filled_fee"], format_money(fill.fee, ticket.terms.currency, language)))
    rows.append(_row(words["order_id"], fill.order_id))
    return rows


def _fields(terms: TicketTerms, words: Words, language: Language) -> list[dict[str, str]]:
    """Return the edit form: what may be changed, filled with what stands now."""
    stands: dict[str, Decimal | None] = {"quantity": terms.quantity}
    if terms.order_type != "market":
        stands["price"] = terms.price
    stands |= {"stop_loss": terms.stop_loss, "take_profit": terms.take_profit}
    return [
        {"name": name, "label": words[name], "value": "" if value is None else _typed(value, language)}
        for name, value in stands.items()
    ]


def _typed(value: Decimal, language: Language) -> str:
    """Write a number as a person of that language types it: no grouping."""
    text = format(value.normalize(), "f")
    return text if language == "en" else text.replace(".", ",")


def _button_words(words: Words) -> dict[str, str]:
    names = ("approve", "approve_expired", "edit", "reject", "save", "cancel", "edit_note", "busy", "failed")
    more = ("expires_in", "expired", "before", "after", "limits", "limits_note", "sizing", "terms")
    return {name: str(words[name]) for name in (*names, *more)}
