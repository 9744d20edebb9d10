"""From a profile's pairs to symbols: what the venue lists now, ranked, in the agent's quote currency."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from agents.profiles.parts import build_strategy
from agents.profiles.schema import Profile, TopPairs
from agents.strategies.tables import TableStrategy
from engine.domain.market import Instrument
from engine.domain.symbols import CRYPTO_SYMBOLS

Ranking = Callable[[Iterable[str]], Sequence[str]]
"""Puts symbols in order, the largest by market value first; a symbol that it does not know comes last or not at all."""


def usual_ranking(symbols: Iterable[str]) -> Sequence[str]:
    """Return symbols by a fixed list of the largest coins; those that it lacks come after it, by name.

    The list is of the day it was written: where the owner has a source of market values, that is handed in instead.
    """
    places = {symbol.partition("/")[0]: number for number, symbol in enumerate(CRYPTO_SYMBOLS)}
    return sorted(symbols, key=lambda symbol: (places.get(symbol.partition("/")[0], len(places)), symbol))


def resolve_pairs(
    profile: Profile, instruments: Mapping[str, Instrument], ranking: Ranking = usual_ranking
) -> tuple[str, ...]:
    """Return the symbols that an agent trades on a market now.

    Pairs that the market does not list, or that are quoted in another currency, are left out.

    Args:
        profile: Whose pairs.
        instruments: What the market lists.
        ranking: Orders symbols, for `top`.
    """
    listed = sorted(symbol for symbol, each in instruments.items() if each.quote == profile.quote)
    pairs = profile.pairs
    if pairs == "all":
        return tuple(listed)
    if isinstance(pairs, TopPairs):
        return tuple([symbol for symbol in ranking(listed) if symbol in instruments][: pairs.top])
    return tuple(symbol for symbol in dict.fromkeys(pairs) if symbol in listed)


def missing_pairs(profile: Profile, instruments: Mapping[str, Instrument]) -> tuple[str, ...]:
    """Return the pairs that a profile names and the market does not list, to be told to the owner."""
    if isinstance(profile.pairs, tuple):
        return tuple(symbol for symbol in profile.pairs if symbol not in instruments)
    return ()


def build_strategies(profile: Profile, symbols: Sequence[str]) -> tuple[TableStrategy, ...]:
    """Return an agent's strategies on some symbols, in the order of the profile; one without symbols is left out."""
    built = []
    for plan in profile.strategies:
        own = [symbol for symbol in symbols if symbol not in plan.exclude and (not plan.pairs or symbol in plan.pairs)]
        if own:
            built.append(build_strategy(plan.name, own, plan.timeframe, plan.parameters, shorts=profile.shorts))
    return tuple(built)
