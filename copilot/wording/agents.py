"""The trading agents in words: what was done to them, what their owner is asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Literal, assert_never

from copilot.wording.agents_names import (
    agent_name,
    pairs_told,
    render_agent_reasons,
    setting_told,
    strategy_told,
    venue_told,
)
from copilot.wording.agents_status import render_status, render_status_details
from copilot.wording.explanations import render_explanation
from copilot.wording.formats import (
    escape,
    format_money,
    format_number,
    format_percent,
    format_time,
)
from prompts import load_words
from tools.agent_results import (
    AgentChange,
    AgentsChanged,
    AgentStatusResult,
    AgentUnchanged,
    ItemOutcome,
    ProposalView,
    ProposedAction,
    ProposedItem,
    ProposedMandate,
    ProposedOrder,
    ProposedSetting,
    TradeExplained,
)
from tools.results import Result

Language = Literal["en", "es"]
Words = Mapping[str, Any]


def render_changed(result: AgentsChanged, language: Language) -> str:
    """Return what was done at once, what was not, and what is asked."""
    words = load_words(language, "agents")
    parts = [_change(change, result.currency, words, language) for change in result.changes]
    parts += [_unchanged(unchanged, result.currency, words, language) for unchanged in result.unchanged]
    if result.proposal is not None:
        parts.append(render_proposal(result.proposal, language))
    return "\n\n".join(parts)


def render_proposal(proposal: ProposalView, language: Language) -> str:
    """Return a proposal as it stands: what would be done, or what became of it."""
    words = load_words(language, "agents")
    told, headline = words["proposal"], proposal_headline(proposal, language)
    values = {"headline": headline, "number": proposal.number}
    if proposal.state == "pending":
        lines = [f"- {proposal_line(item, proposal, language)}" for item in proposal.terms.items]
        mark = f" · _{words['simulated_mark']}_" if proposal.terms.is_simulated else ""
        return "\n".join([told["opened"].format(**values) + mark, "", *lines])
    is_partly = proposal.state == "failed" and any(outcome.is_done for outcome in proposal.outcomes)
    name = "partly" if is_partly else proposal.state
    return str(told[name].format(**values, reasons=proposal_reasons(proposal, language))).strip()


def render_renewed(language: Language) -> str:
    """Return why a proposal is asked again."""
    return str(load_words(language, "agents")["proposal"]["renewed"])


def render_proposal_card(proposal: ProposalView, language: Language) -> str:
    """Return a proposal as plain lines for a terminal: exact terms and expiry."""
    words = load_words(language, "agents")
    told = words["proposal"]
    lines = [told["title"].format(number=proposal.number)]
    lines += [f"  {_plain(proposal_line(item, proposal, language))}" for item in proposal.terms.items]
    lines.append("  " + told["expires"].format(at=format_time(proposal.expires_at, language)))
    return "\n".join(lines)


def proposal_headline(proposal: ProposalView, language: Language) -> str:
    """Return what a proposal is about, in one line."""
    first, *others = (_headline(item, proposal.terms.currency, language) for item in _main_first(proposal.terms.items))
    if not others:
        return first
    several = load_words(language, "agents")["proposal"]["headline"]["several"]
    return str(several.format(first=first, count=len(others)))


def proposal_line(item: ProposedItem, proposal: ProposalView, language: Language) -> str:
    """Return one item of a proposal as a sentence."""
    words = load_words(language, "agents")
    told, currency = words["proposal"], proposal.terms.currency
    match item:
        case ProposedAction():
            return _action_line(item, currency, words, language)
        case ProposedSetting():
            values = {"setting": words["settings"].get(item.setting, item.setting), "change": change_of(item, language)}
            return str(told["items"]["setting"].format(agent=agent_name(item.agent), **values))
        case ProposedMandate():
            return str(
                told["items"]["mandate"].format(
                    agent=agent_name(item.agent),
                    pairs=pairs_told(item.pairs, language),
                    venue=venue_told(item.venue, language),
                    daily=format_money(item.daily_notional, currency, language),
                    order=format_money(item.max_order_notional, currency, language),
                    drawdown=format_percent(item.drawdown_pct, language, None),
                    until=format_time(item.expires_at, language),
                )
            )
        case ProposedOrder():
            return str(
                told["items"]["order"].format(
                    agent=agent_name(item.agent),
                    side=told["sides"][item.side],
                    quantity=format_number(item.quantity, language),
                    symbol=item.symbol,
                    strategy=strategy_told(item.strategy, language),
                    notional=format_money(item.notional, currency, language),
                    reason=render_agent_reasons([item.reason], language, symbol=item.symbol),
                )
            )
        case _:
            assert_never(item)


def proposal_reasons(proposal: ProposalView, language: Language) -> str:
    """Return why a proposal was not done, or not wholly."""
    told = load_words(language, "agents")["proposal"]["outcomes"]
    failed = [outcome for outcome in proposal.outcomes if not outcome.is_done]
    codes = [ItemOutcome(index=0, is_done=False, code=code) for code in proposal.reasons]
    lines = [
        str(told.get(each.code, told["default"])).format(
            code=escape(each.code), detail=escape(each.params.get("detail", ""))
        )
        for each in [*codes, *failed]
        if each.code
    ]
    return " ".join(dict.fromkeys(lines))


def change_of(item: ProposedSetting | AgentChange, language: Language) -> str:
    """Return a setting before and after."""
    name = item.setting if isinstance(item, ProposedSetting) else item.name
    words = load_words(language, "agents")
    before, after = (setting_told(name, value, language) for value in (item.before, item.after))
    return str(words["arrow"].format(before=before, after=after))


def _change(change: AgentChange, currency: str, words: Words, language: Language) -> str:
    told = words["changes"]
    if change.subject in ("action", "mandate"):
        return str(told[change.name].format(agent=agent_name(change.agent)))
    if change.subject == "money":
        amount = format_money(change.amount or Decimal(0), currency, language)
        left = format_money(Decimal(str(change.after)), currency, language)
        return str(told[change.name].format(agent=agent_name(change.agent), amount=amount, left=left))
    setting = words["settings"].get(change.name, change.name)
    return str(
        told["setting"].format(agent=agent_name(change.agent), setting=setting, change=change_of(change, language))
    )


def _unchanged(unchanged: AgentUnchanged, currency: str, words: Words, language: Language) -> str:
    told, params = words["unchanged"], unchanged.params
    available = Decimal(params.get("available", "0"))
    setting = params.get("setting", params.get("argument", ""))
    return str(
        told.get(unchanged.code, told["default"]).format(
            agent=agent_name(unchanged.agent),
            state=words["states"].get(params.get("state", ""), params.get("state", "")),
            setting=words["settings"].get(setting, setting),
            available=format_money(available, currency, language),
            symbol=escape(params.get("symbol", "")),
            detail=escape(params.get("detail", "")),
            code=escape(unchanged.code),
        )
    )


def _headline(item: ProposedItem, currency: str, language: Language) -> str:
    words = load_words(language, "agents")
    told, agent = words["proposal"]["headline"], agent_name(item.agent)
    match item:
        case ProposedAction():
            budget = format_money(item.budget or Decimal(0), currency, language)
            return str(told[item.action].format(agent=agent, budget=budget))
        case ProposedSetting():
            setting = words["settings"].get(item.setting, item.setting)
            return str(told["setting"].format(agent=agent, setting=setting, change=change_of(item, language)))
        case ProposedMandate():
            return str(told["mandate"].format(agent=agent, venue=venue_told(item.venue, language)))
        case ProposedOrder():
            side = words["proposal"]["sides"][item.side]
            quantity = format_number(item.quantity, language)
            return str(told["order"].format(agent=agent, side=side, quantity=quantity, symbol=item.symbol))
        case _:
            assert_never(item)


def _main_first(items: Sequence[ProposedItem]) -> list[ProposedItem]:
    """Return items with what the owner asked for before the mandates that it needs."""
    return sorted(items, key=lambda item: item.subject == "mandate")


def _action_line(item: ProposedAction, currency: str, words: Words, language: Language) -> str:
    told = words["proposal"]
    if item.action == "lift":
        name = "lift" if item.reason else "lift_plain"
        reason = render_agent_reasons([item.reason], language) if item.reason else ""
        return str(told["items"][name].format(agent=agent_name(item.agent), reason=reason))

    def money(value: Decimal) -> str:
        return format_money(value, currency, language)

    name = "kept" if item.budget is None else "budget" if item.equity <= 0 else "more"
    given = told[name].format(
        equity=money(item.equity), budget=money(item.budget or Decimal(0)), available=money(item.available)
    )
    action = item.action if item.action != "resume" or item.budget is None else "resume_with"
    return str(
        told["items"][action].format(
            agent=agent_name(item.agent),
            money=given,
            size=format_percent(item.position_size_pct, language, None),
            positions=item.max_positions,
            drawdown=format_percent(item.max_drawdown_pct, language, None),
        )
    )


def _plain(text: str) -> str:
    return text.replace("**", "").replace("\\", "")


def _explained(result: TradeExplained, words: Words, language: Language) -> str:
    return render_explanation(result, words, language, render_agent_reasons, strategy_told)


def render_details(result: Result, language: Language) -> str:
    """Return what a surface without cards tells of a result beside its words; mostly nothing."""
    return render_status_details(result, language) if isinstance(result, AgentStatusResult) else ""


AGENT_RENDERERS: dict[str, Callable[[Any, Words, Language], str]] = {
    "agent_status": lambda result, _, language: render_status(result, language),
    "agents_changed": lambda result, _, language: render_changed(result, language),
    "proposal": lambda result, _, language: render_proposal(result, language),
    "trade_explained": _explained,
}
"""By kind of result, as `render_answer` calls them: with the words of `answers`."""
