"""The trading agents in words: how they stand, what was done to them, what their owner is asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Literal, assert_never

from copilot.wording.explanations import render_explanation
from copilot.wording.formats import (
    escape,
    format_money,
    format_number,
    format_percent,
    format_price,
    format_time,
)
from copilot.wording.messages import render_reasons
from prompts import load_words
from tools.agent_results import (
    AgentChange,
    AgentsChanged,
    AgentStatusResult,
    AgentUnchanged,
    AgentView,
    ItemOutcome,
    MandateView,
    ProposalView,
    ProposedAction,
    ProposedItem,
    ProposedMandate,
    ProposedOrder,
    ProposedSetting,
    SettingValue,
    TradeExplained,
)

Language = Literal["en", "es"]
Words = Mapping[str, Any]
_PAIRS_TOLD = 8
_PERCENT_SETTINGS = ("position_size_pct", "max_drawdown_pct")


def render_status(result: AgentStatusResult, language: Language) -> str:
    """Return how each agent stands: money, risk, record, and what it may do."""
    words = load_words(language, "agents")
    return "\n\n".join(_agent(view, result, words, language) for view in result.agents)


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


def render_agent_reasons(codes: Sequence[str], language: Language, **params: str) -> str:
    """Return why an agent asks, rests or refuses; one sentence each, the first to follow a colon."""
    words, common = load_words(language, "agents")["reasons"], load_words(language, "messages")["reasons"]
    told = []
    for code in dict.fromkeys(codes):
        if code in words and code != "default":
            told.append(str(words[code]))
        elif code in common and code != "default":
            told.append(render_reasons([code], language, **params))
        else:
            told.append(str(words["default"]).format(code=f"`{escape(code)}`"))
    return " ".join([*told[:1], *(text[:1].upper() + text[1:] for text in told[1:])])


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


def setting_told(setting: str, value: SettingValue, language: Language) -> str:
    """Return the value of a setting in words."""
    if isinstance(value, tuple):
        if setting == "strategies":
            return ", ".join(strategy_told(name, language) for name in value)
        return pairs_told(value, language)
    try:
        number = Decimal(value)
    except ArithmeticError:
        return escape(value)
    return format_percent(number, language, None) if setting in _PERCENT_SETTINGS else format_number(number, language)


def pairs_told(pairs: Sequence[str], language: Language) -> str:
    """Return pairs as people read them: the first few, and how many more."""
    words = load_words(language, "agents")
    if tuple(pairs) == ("*",):
        return str(words["all_pairs"])
    if len(pairs) == 1 and pairs[0].startswith("top:"):
        return str(words["top_pairs"].format(count=escape(pairs[0].removeprefix("top:"))))
    shown = ", ".join(pairs[:_PAIRS_TOLD]) or str(words["none"])
    more = len(pairs) - _PAIRS_TOLD
    return shown if more <= 0 else str(words["more_pairs"].format(pairs=shown, count=more))


def venue_told(venue: str, language: Language) -> str:
    """Return a venue's name."""
    return str(load_words(language, "agents")["venues"].get(venue, escape(venue)))


def strategy_told(strategy: str, language: Language) -> str:
    """Return a strategy's name."""
    return str(load_words(language, "agents")["strategies"].get(strategy, escape(strategy)))


def agent_name(agent: str) -> str:
    """Return an agent's name as people write it."""
    return escape(agent.replace("_", " ").title())


def _agent(view: AgentView, result: AgentStatusResult, words: Words, language: Language) -> str:
    told = words["status"]
    state = words["states"][view.state]
    title = told["title"].format(
        agent=escape(view.title or view.agent),
        temperament=words["temperaments"].get(view.temperament, escape(view.temperament)),
        state=state,
        since="" if view.since is None else told["since"].format(at=format_time(view.since, language)),
    )
    lines = []
    if view.is_alive is False and view.state in ("running", "paused", "halted"):
        lines.append(told["lost"])
    if view.reason and view.state in ("paused", "stopped", "halted"):
        lines.append(told["because"].format(state=state, reason=render_agent_reasons([view.reason], language)))
    if view.budget or view.equity:
        lines += _money_lines(view, result, told, language)
    else:
        lines.append(told["empty"])
    strategies = ", ".join(strategy_told(name, language) for name in view.strategies)
    lines.append(told["trades"].format(pairs=pairs_told(view.pairs, language), strategies=strategies))
    if result.venue != "paper":
        lines.append(_mandate(view.mandate, result, told, language))
    mark = f" · _{words['simulated_mark']}_" if result.is_simulated else ""
    text = "\n".join([title + mark, "", *(f"- {line}" for line in lines)])
    return text if not view.positions else f"{text}\n\n{_positions(view, result, words, language)}"


def _money_lines(view: AgentView, result: AgentStatusResult, told: Words, language: Language) -> list[str]:
    def money(value: Decimal) -> str:
        return format_money(value, result.currency, language)

    period = result.period or "all"
    lines = [
        told["money"].format(equity=money(view.equity), budget=money(view.budget), cash=money(view.cash)),
        told["result"].format(
            period=told["periods"][period],
            pnl=money(view.pnl),
            pnl_pct=format_percent(view.pnl_pct, language, signed=True),
            realised=money(view.realised),
            fees=money(view.fees),
        ),
        told["risk"].format(
            drawdown=format_percent(view.drawdown_pct, language, 1),
            max_drawdown=format_percent(view.max_drawdown_pct, language, None),
            exposure=format_percent(view.exposure_pct, language, 1),
            held=len(view.positions),
            max_positions=view.max_positions,
            size=format_percent(view.position_size_pct, language, None),
        ),
    ]
    if view.trades and view.win_rate_pct is not None:
        lines.append(
            told["record"].format(
                trades=view.trades,
                win_rate=format_percent(view.win_rate_pct, language, 1),
                target=format_percent(view.target_win_rate_pct, language, None),
            )
        )
    else:
        lines.append(told["no_trades"].format(period=told["within"][period]))
    if view.month_pct is not None:
        month = format_percent(view.month_pct, language, 1, signed=True)
        lines.append(told["month"].format(month=month, target=_target(view, told, language)))
    return lines


def _target(view: AgentView, told: Words, language: Language) -> str:
    low, high = view.target_month_pct
    name = "target_open" if high is None else "target_range"
    high_told = "" if high is None else format_percent(high, language, None)
    return str(told[name].format(low=format_percent(low, language, None), high=high_told))


def _mandate(mandate: MandateView | None, result: AgentStatusResult, told: Words, language: Language) -> str:
    venue = venue_told(result.venue, language)
    if mandate is None:
        return str(told["no_mandate"].format(venue=venue))

    def money(value: Decimal) -> str:
        return format_money(value, result.currency, language)

    return str(
        told["mandate"].format(
            venue=venue,
            used=money(mandate.used_today),
            daily=money(mandate.daily_notional),
            order=money(mandate.max_order_notional),
            until=format_time(mandate.expires_at, language),
        )
    )


def _positions(view: AgentView, result: AgentStatusResult, words: Words, language: Language) -> str:
    def price(value: Decimal | None, symbol: str) -> str:
        return "—" if value is None else format_price(value, language, symbol)

    rows = [
        (
            position.symbol,
            format_number(position.quantity, language),
            price(position.average_price, position.symbol),
            price(position.mark, position.symbol),
            f"{format_money(position.unrealised, result.currency, language)} "
            f"({format_percent(position.unrealised_pct, language, signed=True)})",
            price(position.stop_loss, position.symbol),
            price(position.take_profit, position.symbol),
        )
        for position in view.positions
    ]
    head = words["status"]["positions_head"]
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([head, "|" + "---|" * (head.count("|") - 1), *lines])


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


AGENT_RENDERERS: dict[str, Callable[[Any, Words, Language], str]] = {
    "agent_status": lambda result, _, language: render_status(result, language),
    "agents_changed": lambda result, _, language: render_changed(result, language),
    "proposal": lambda result, _, language: render_proposal(result, language),
    "trade_explained": _explained,
}
"""By kind of result, as `render_answer` calls them: with the words of `answers`."""
