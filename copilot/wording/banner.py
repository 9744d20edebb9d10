"""What a person must know before anything else: whose prices these are, whose money, who answers."""

from __future__ import annotations

from typing import Any

from copilot.events import Language
from copilot.wording.formats import escape, format_time
from engine.data.live.composite import CompositeMarket
from engine.data.live.values import SymbolSource
from engine.domain.errors import DataUnavailable
from engine.domain.protocols import MarketData
from prompts import load_words

OFFLINE = "offline"


def render_banner(market: MarketData, venue: str, reason: str, speaker: str, language: Language) -> str:
    """Return what is simulated, which prices stand for others or have no source, and who answers.

    Args:
        market: Whose prices are shown.
        venue: Where orders go.
        reason: Why this market: `set`, or what a look at the network told.
        speaker: The chat model that would answer now.
        language: Of the reader.
    """
    words = load_words(language, "messages")
    brain = str(words["voice"]["offline" if speaker == OFFLINE else "beside"]).format(brain=escape(speaker))
    told: dict[str, str] = words["banner"]
    name = _world(market, venue)
    lines = [told[name].format(market_time=format_time(market.now(), language), brain=brain)]
    if name == "simulated" and reason != "set":
        lines.append(told["looked"].format(reason=words["reach"].get(reason, reason)))
    if isinstance(market, CompositeMarket):
        lines += _sources(market, words["sources"], language)
    return " ".join(lines)


def describe_sources(market: CompositeMarket, language: Language) -> list[str]:
    """Return a line for each symbol whose prices are not the exchange's own, and one for those that have none."""
    return _sources(market, load_words(language, "messages")["sources"], language)


def _world(market: MarketData, venue: str) -> str:
    if venue != "paper":
        return venue
    if market.is_simulated:
        return "simulated"
    return "replay" if market.name == "replay" else "exchange"


def _sources(market: CompositeMarket, words: dict[str, Any], language: Language) -> list[str]:
    lines = []
    for symbol in market.instruments():
        try:
            source = market.source_of(symbol)
        except DataUnavailable:
            continue
        if source.kind in ("proxy", "store"):
            lines.append(_source(symbol, source, words, language))
    if missing := sorted(market.missing()):
        lines.append(str(words["missing"]).format(symbols=", ".join(missing)))
    return lines


def _source(symbol: str, source: SymbolSource, words: dict[str, Any], language: Language) -> str:
    last = words["no_bar"] if source.last_bar_at is None else format_time(source.last_bar_at, language)
    proxy, _, exchange = source.name.partition("@")
    return str(words[source.kind]).format(symbol=symbol, name=escape(proxy), exchange=exchange, last=last)
