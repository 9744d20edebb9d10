"""The agents as the browser draws them: figures beside what they are measured against, and buttons that only speak.

A button sends the sentence of its command as if it had been typed. What lowers risk is then done at once, and what
raises it comes back as a ticket, exactly as in a conversation.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from copilot.events import Language
from copilot.wording import format_money, format_percent, format_time
from copilot.wording.agents_names import render_agent_reasons
from prompts import load_words
from tools.agent_results import AgentStatusResult, AgentView

Words = Mapping[str, Any]
_OFFERED: Mapping[str, tuple[str, ...]] = {
    "created": ("start",),
    "stopped": ("start",),
    "running": ("pause", "stop"),
    "paused": ("resume", "stop"),
    "halted": ("resume",),
}
"""What is offered in each state; going on after a halt comes back as a ticket that lifts it."""
_FULL_BAR = Decimal(100)


def agent_props(result: AgentStatusResult, language: Language) -> dict[str, Any]:
    """Return what the element of the agents shows."""
    words: Words = load_words(language, "web")["agents"]
    return {
        "agents": [_agent(view, result, words, language) for view in result.agents],
        "at": words["at"].format(at=format_time(result.at, language)),
        "words": {name: words[name] for name in ("drawdown",)},
    }


def _agent(view: AgentView, result: AgentStatusResult, words: Words, language: Language) -> dict[str, Any]:
    told = load_words(language, "agents")
    title = view.title or view.agent.title()
    is_lost = view.is_alive is False and view.state in ("running", "paused", "halted")
    notes = [words["lost"]] if is_lost else []
    if view.reason and view.state in ("paused", "stopped", "halted"):
        why = _bare(render_agent_reasons([view.reason], language))
        notes.append(why[:1].upper() + why[1:])
    return {
        "name": view.agent,
        "title": title,
        "temperament": told["temperaments"].get(view.temperament, view.temperament),
        "state": view.state,
        "stateLabel": told["states"][view.state],
        "equity": format_money(view.equity, result.currency, language),
        "pnl": f"{_signed_money(view.pnl, result.currency, language)} "
        f"({format_percent(view.pnl_pct, language, signed=True)})",
        "tone": "rise" if view.pnl > 0 else "fall" if view.pnl < 0 else "flat",
        "drawdown": _drawdown(view, words, language),
        "rows": _rows(view, result, words, language),
        "notes": notes,
        "buttons": [_button(name, title, words) for name in _OFFERED[view.state]],
    }


def _drawdown(view: AgentView, words: Words, language: Language) -> dict[str, Any]:
    used = view.drawdown_pct * _FULL_BAR / view.max_drawdown_pct if view.max_drawdown_pct else _FULL_BAR
    line = words["of"].format(
        value=format_percent(view.drawdown_pct, language, 1),
        limit=format_percent(view.max_drawdown_pct, language, None),
    )
    return {"line": line, "usedPct": float(min(max(used, Decimal(0)), _FULL_BAR)), "isOk": used < _FULL_BAR}


def _rows(view: AgentView, result: AgentStatusResult, words: Words, language: Language) -> list[dict[str, str]]:
    """Return results, each beside what was hoped for or allowed."""
    low, high = view.target_month_pct
    name = "at_least" if high is None else "from_to"
    bounds = {"low": format_percent(low, language, None)}
    if high is not None:
        bounds["high"] = format_percent(high, language, None)
    month = words["target"].format(target=words[name].format(**bounds))
    least = words["at_least"].format(low=format_percent(view.target_win_rate_pct, language, None))
    won = words["target"].format(target=least)
    return [
        _row(words["month"], _percent(view.month_pct, words, language, signed=True), month),
        _row(words["win_rate"], _percent(view.win_rate_pct, words, language), won),
        _row(words["trades"], str(view.trades), ""),
        _row(words["positions"], str(len(view.positions)), words["at_most"].format(high=view.max_positions)),
        _row(words["exposure"], format_percent(view.exposure_pct, language, 1), ""),
        _row(words["budget"], format_money(view.budget, result.currency, language), ""),
    ]


def _row(label: str, value: str, target: str) -> dict[str, str]:
    return {"label": label, "value": value, "target": target}


def _percent(value: Decimal | None, words: Words, language: Language, *, signed: bool = False) -> str:
    return str(words["none"]) if value is None else format_percent(value, language, 1, signed=signed)


def _signed_money(value: Decimal, currency: str, language: Language) -> str:
    return f"{'+' if value > 0 else ''}{format_money(value, currency, language)}"


def _button(name: str, title: str, words: Words) -> dict[str, str]:
    return {"name": name, "label": words["buttons"][name], "sentence": words["sentences"][name].format(agent=title)}


def _bare(text: str) -> str:
    """Return text for an element, which shows no Markdown."""
    return text.replace("**", "").replace("\\", "").replace("`", "")
