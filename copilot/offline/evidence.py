"""What a person's own words mention: the ground that every claimed slot of a call must stand on.

A language model may claim a side, an amount or an instrument that nobody said. This file answers only what was said, in
any reading of the words; it does not decide what was meant. Quotations are out, an untrusted text says nothing at all,
and a text that reports somebody else's words gives no side, so that no trade can be traced to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from copilot.offline.clauses import Clause
from copilot.offline.corrections import apply_corrections
from copilot.offline.guard import screen
from copilot.offline.lexicon import knowing
from copilot.offline.messages import read_message
from copilot.offline.requests import named_timeframe
from copilot.offline.stance import is_reported
from copilot.offline.tokens import Language, Token, detect_language, tokenize
from copilot.offline.trade import find_side, plain

Side = Literal["buy", "sell", "close"]
_SIDES: dict[str, tuple[Side, ...]] = {
    "buy": ("buy",),
    "buy.noun": ("buy",),
    "sell": ("sell",),
    "sell.noun": ("sell",),
    "halve": ("sell",),
    "dispose": ("sell", "close"),
    "close": ("close", "sell"),
}
_HALF, _ALL = Decimal(50), Decimal(100)
_GROUP = ("all", "agents")


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that some texts mention.

    Attributes:
        symbols: Instruments, by their ids.
        numbers: Absolute values: 58k is 58000, 0,05 is 0.05, a percentage is as spoken, "half" is 0.5 and 50.
        sides: Sides of a trade that a word stands for.
        timeframes: Bar lengths, "1h" only where it was said.
        agents: Agents by name, and "all" where a word means all of them.
    """

    symbols: frozenset[str] = frozenset()
    numbers: frozenset[Decimal] = frozenset()
    sides: frozenset[Side] = frozenset()
    timeframes: frozenset[str] = frozenset()
    agents: frozenset[str] = frozenset()


def evidence(texts: Sequence[str], agents: Sequence[str] = ()) -> Evidence:
    """Return what a person's messages mention, taken together.

    Args:
        texts: The person's own messages, in any order; nothing of the assistant's or of a tool's.
        agents: The owner's own agents, beside the three of the program.

    >>> said = evidence(["compra 0,05 btc con stop en 58k"])
    >>> sorted(said.sides), sorted(said.symbols), sorted(said.numbers)
    (['buy'], ['BTC/USDT'], [Decimal('0.05'), Decimal('58000')])
    """
    with knowing(agents):
        found = [_of(text) for text in texts]
    return Evidence(
        frozenset[str]().union(*(one.symbols for one in found)),
        frozenset[Decimal]().union(*(one.numbers for one in found)),
        frozenset[Side]().union(*(one.sides for one in found)),
        frozenset[str]().union(*(one.timeframes for one in found)),
        frozenset[str]().union(*(one.agents for one in found)),
    )


def _of(text: str) -> Evidence:
    screened = screen(text)
    if screened.is_untrusted:
        return Evidence()
    language: Language = detect_language(screened.text) or detect_language(text) or "en"
    tokens = apply_corrections(tokenize(screened.text, language))
    reported = "\n" in screened.text.strip() or is_reported(tokens)
    return Evidence(
        frozenset(symbol for token in tokens for symbol in (*token.of("sym"), *token.of("sym?"))),
        frozenset(_numbers(tokens)),
        frozenset(() if reported else _sides(tokens)),
        frozenset(frame for token in tokens for frame in _timeframes(token)),
        frozenset(agent for token in tokens for agent in _agents(token)),
    )


def _numbers(tokens: Sequence[Token]) -> Iterator[Decimal]:
    for index, token in enumerate(tokens):
        if token.is_number and token.value is not None:
            value = abs(token.value)
            yield plain(value)
            if token.is_fraction:
                yield plain((value * 100).quantize(Decimal("0.01")))
        if token.has("halve", "half_that"):
            yield _HALF
        if token.has("allfree"):
            yield _ALL
        if token.text in ("a", "an", "un", "una") and index + 1 < len(tokens) and tokens[index + 1].get("sym"):
            yield Decimal(1)


def _sides(tokens: Sequence[Token]) -> Iterator[Side]:
    for token in tokens:
        for label, sides in _SIDES.items():
            if token.has(label):
                yield from sides
    for clause in read_message([*tokens]).clauses:
        yield from _side_of(clause)


def _side_of(clause: Clause) -> Iterator[Side]:
    """Yield the side that a whole clause stands for ("put 300 into btc", "sell all my eth")."""
    side = find_side(clause)
    if side in ("buy", "sell", "close"):
        yield side  # type: ignore[misc]  # narrowed by the line above; mypy keeps `str`
    if side in ("sell", "dispose") and not clause.features.isdisjoint({"all", "mine"}):
        yield "close"


def _timeframes(token: Token) -> Iterator[str]:
    yield from token.of("tf")
    frame = named_timeframe(token)
    if frame:
        yield frame


def _agents(token: Token) -> Iterator[str]:
    yield from token.of("agent")
    if token.has(*_GROUP):
        yield "all"
