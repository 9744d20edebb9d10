"""A proposal as the properties of a card: the same fields that a ticket's card has, so that surfaces draw it alike."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Literal, assert_never

from copilot.wording.agents import proposal_headline, proposal_line, proposal_reasons
from copilot.wording.agents_names import (
    agent_name,
    pairs_told,
    render_agent_reasons,
    setting_told,
    strategy_told,
    venue_told,
)
from copilot.wording.formats import format_money, format_percent, format_price, format_time
from prompts import load_words
from tools.agent_results import (
    ProposalView,
    ProposedAction,
    ProposedItem,
    ProposedMandate,
    ProposedOrder,
    ProposedSetting,
)
from tools.agent_work import editable

Language = Literal["en", "es"]
Words = Mapping[str, Any]
Row = dict[str, str]
_SECONDS_A_DAY = Decimal(86_400)
_BUTTON_WORDS = (
    *("approve", "approve_expired", "edit", "reject", "save", "cancel", "edit_note", "busy", "failed"),
    *("expires_in", "expired", "before", "after", "limits", "limits_note", "sizing", "terms"),
)


def proposal_props(proposal: ProposalView, *, state: str | None = None) -> dict[str, Any]:
    """Return what the card element shows.

    Args:
        proposal: The version to show.
        state: Overrides the proposal's own state for cards that are no longer current.
    """
    language: Language = proposal.language
    words, buttons = load_words(language, "agents"), load_words(language, "web")["card"]
    shown = state or proposal.state
    is_open = shown == "pending"
    badges = [words["simulated_mark"]] if proposal.terms.is_simulated else []
    if proposal.version > 1:
        badges.append(buttons["version"].format(version=proposal.version))
    items = proposal.terms.items
    return {
        "ticketId": proposal.ticket_id,
        "nonce": proposal.nonce if is_open else "",
        "isOpen": is_open,
        "state": shown,
        "stateLabel": words["card"]["states"][shown],
        "side": "",
        "headline": _bare(proposal_headline(proposal, language)),
        "title": words["proposal"]["title"].format(number=proposal.number),
        "badges": badges,
        "rows": [row for item in items for row in _rows(item, proposal, words, language)],
        "changes": [change for item in items for change in _changes(item, words, language)],
        "limits": [],
        "sizing": [_bare(proposal_line(item, proposal, language)) for item in items],
        "drift": words["card"]["drift"],
        "expiresAt": proposal.expires_at.isoformat(),
        "result": [],
        "reasons": _bare(proposal_reasons(proposal, language)),
        "fields": [field for item in items for field in _fields(item, proposal, words, language)] if is_open else [],
        "words": {name: str(buttons[name]) for name in _BUTTON_WORDS} | {"sizing": words["card"]["fields"]["meaning"]},
    }


def _rows(item: ProposedItem, proposal: ProposalView, words: Words, language: Language) -> list[Row]:
    told, currency = words["card"]["fields"], proposal.terms.currency

    def money(value: Decimal) -> str:
        return format_money(value, currency, language)

    match item:
        case ProposedAction():
            rows = [("equity", money(item.equity))] if item.budget is None or item.equity > 0 else []
            if item.budget is not None:
                rows += [("budget", money(item.budget)), ("available", money(item.available))]
            rows += [
                ("size", format_percent(item.position_size_pct, language, None)),
                ("positions", str(item.max_positions)),
                ("drawdown", format_percent(item.max_drawdown_pct, language, None)),
            ]
            if item.reason:
                rows.append(("reason", render_agent_reasons([item.reason], language)))
        case ProposedSetting():
            rows = []
        case ProposedMandate():
            rows = [
                ("venue", venue_told(item.venue, language)),
                ("pairs", pairs_told(item.pairs, language)),
                ("daily", money(item.daily_notional)),
                ("order", money(item.max_order_notional)),
                ("ask_drawdown", format_percent(item.drawdown_pct, language, None)),
                ("until", format_time(item.expires_at, language)),
            ]
        case ProposedOrder():
            rows = _order_rows(item, currency, language)
        case _:
            assert_never(item)
    several = len({each.agent for each in proposal.terms.items}) > 1
    labels = [(told[name], _bare(value)) for name, value in rows]
    return [
        {"label": f"{agent_name(item.agent)}: {label}" if several else label, "value": value, "note": ""}
        for label, value in labels
    ]


def _order_rows(item: ProposedOrder, currency: str, language: Language) -> list[tuple[str, str]]:
    rows = [
        ("agent", agent_name(item.agent)),
        ("strategy", strategy_told(item.strategy, language)),
        ("value", format_money(item.notional, currency, language)),
        ("price", format_price(item.price or item.expected_price, language, item.symbol)),
    ]
    rows += [
        (name, format_price(price, language, item.symbol))
        for name, price in (("stop", item.stop_loss), ("target", item.take_profit))
        if price is not None
    ]
    return [
        *rows,
        ("reason", render_agent_reasons([item.reason], language, symbol=item.symbol)),
        ("until", format_time(item.valid_until, language)),
    ]


def _changes(item: ProposedItem, words: Words, language: Language) -> list[Row]:
    if isinstance(item, ProposedAction) and item.action == "fund":
        return []
    if isinstance(item, ProposedAction):
        states = words["states"]
        label = f"{agent_name(item.agent)}: {words['card']['fields']['state']}"
        return [{"label": label, "before": states[item.state_before], "after": states[item.state_after]}]
    if isinstance(item, ProposedSetting):
        label = f"{agent_name(item.agent)}: {words['settings'].get(item.setting, item.setting)}"
        before, after = (setting_told(item.setting, value, language) for value in (item.before, item.after))
        return [{"label": label, "before": before, "after": after}]
    return []


def _fields(item: ProposedItem, proposal: ProposalView, words: Words, language: Language) -> list[Row]:
    """Return the edit form: what may be changed, filled with what stands now."""
    told = words["card"]
    stands: dict[str, Decimal] = {}
    match item:
        case ProposedAction():
            stands = {"budget": item.budget or Decimal(0)}
        case ProposedMandate():
            left = Decimal((item.expires_at - proposal.created_at).total_seconds()) / _SECONDS_A_DAY
            stands = {"daily": item.daily_notional, "order": item.max_order_notional, "days": Decimal(round(left))}
    return [
        {
            "name": f"{name}_{item.agent}",
            "label": told["edit"].format(field=told["fields"][name], agent=agent_name(item.agent)),
            "value": _typed(stands[name], language),
        }
        for name in editable(item)
    ]


def _typed(value: Decimal, language: Language) -> str:
    """Write a number as a person of that language types it: no grouping."""
    text = format(value.normalize(), "f")
    return text if language == "en" else text.replace(".", ",")


def _bare(text: str) -> str:
    """Return text for a card, which shows no Markdown."""
    return text.replace("**", "").replace("\\", "").replace("`", "")
