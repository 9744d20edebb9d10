"""Names and values of agents as people read them: states, settings, pairs, venues, strategies, reasons."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Literal

from copilot.wording.formats import escape, format_number, format_percent
from copilot.wording.messages import render_reasons
from prompts import load_words
from tools.agent_results import SettingValue

Language = Literal["en", "es"]
_PAIRS_TOLD = 8
_PERCENT_SETTINGS = ("position_size_pct", "max_drawdown_pct")


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
