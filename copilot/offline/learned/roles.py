"""What the learned model sees of one number in an order: its neighbours, its size, and its place among the others.

Whether "14" is a count, a limit or a stop is told by the words around it, by the words between it and the next number,
and by its size: what an instrument usually costs tells a price from a count. Every feature is hashed like those of a
whole message; the class of a number is one more classifier of the same weights.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from decimal import Decimal
from zlib import crc32

import numpy as np

from copilot.offline.learned.features import BUCKETS, Features, word_class
from copilot.offline.lexicon import typical_price
from copilot.offline.tokens import Token

_REACH = 4
_MOST = 5
_HALF_DECADES = 2
_FURTHEST = 6
_SAME_PRICE = 0.45
_TINY = 1e-9
_CUES = (
    "sl",
    "tp",
    "limit",
    "stop_order",
    "if",
    "break",
    "at",
    "buy",
    "sell",
    "close",
    "dispose",
    "buy.weak",
    "up",
    "down",
    "or",
)
_FRAMES = frozenset(
    {"if", "break", "limit", "stop_order", "sl", "tp", "market", "up", "down", "at", "cash", "mine", "all", "raise"}
)
_SIDES = {"S": ("sell", "sell.noun"), "B": ("buy", "buy.noun", "buy.weak"), "C": ("close", "dispose")}


def number_places(tokens: Sequence[Token]) -> list[int]:
    """Return where the readable numbers that are no length of time stand."""
    return [i for i, t in enumerate(tokens) if t.is_number and t.unit != "time" and t.value is not None]


def role_features(tokens: Sequence[Token], place: int, symbol: str | None) -> Features:
    """Return the hashed features of the number at a place.

    Args:
        tokens: The tagged words of the message.
        place: Index of the number.
        symbol: The instrument that the message names, if it names one.
    """
    pieces = {crc32(f"r{piece}".encode()) & (BUCKETS - 1) for piece in _pieces(tokens, place, symbol)}
    return Features(np.array(sorted(pieces), dtype=np.intp), np.array([], dtype=np.intp))


def _pieces(tokens: Sequence[Token], place: int, symbol: str | None) -> Iterator[str]:
    places = number_places(tokens)
    yield from _own_pieces(tokens, place, places)
    yield from _price_pieces(tokens, place, places, symbol)
    yield from _near_pieces(tokens, place)
    yield from _stretch_pieces(tokens, place, places)
    yield from _frame_pieces(tokens, place)


def _own_pieces(tokens: Sequence[Token], place: int, places: Sequence[int]) -> Iterator[str]:
    token, order, count = tokens[place], places.index(place), min(len(places), _MOST)
    value = _size(token)
    alike = [_size(tokens[i]) for i in places if tokens[i].unit == token.unit]
    yield f"u{token.unit}"
    yield f"f{token.is_fraction}{token.signed}"
    yield f"k{order}"
    yield f"n{count}"
    yield f"k{order}/{count}"
    yield f"m{max(-4, min(7, round(math.log10(value))))}"
    yield f"a{sum(other > value for other in alike)}/{len(alike)}"
    yield f"s{_sides(tokens)}"


def _sides(tokens: Sequence[Token]) -> str:
    return "".join(mark for mark, labels in _SIDES.items() if any(token.has(*labels) for token in tokens))


def _size(token: Token) -> float:
    return abs(float(token.value or Decimal(0))) or _TINY


def _price_pieces(tokens: Sequence[Token], place: int, places: Sequence[int], symbol: str | None) -> Iterator[str]:
    """Yield how a number compares to what the instrument usually costs, and to the other prices."""
    usual, token = typical_price(symbol), tokens[place]
    if usual is None or token.unit == "percent":
        return
    away = math.log10(_size(token) / usual)
    yield f"p{max(-_FURTHEST, min(_FURTHEST, round(away * _HALF_DECADES)))}"
    near = abs(away) < _SAME_PRICE
    yield f"q{near}"
    yield f"q{near}{token.unit}{min(len(places), 3)}{places.index(place)}"
    if near:
        prices = [_size(tokens[i]) for i in places if tokens[i].unit != "percent"]
        prices = [price for price in prices if abs(math.log10(price / usual)) < _SAME_PRICE]
        rank = f"{sum(price > _size(token) for price in prices)}/{sum(price < _size(token) for price in prices)}"
        yield f"t{rank}"
        yield f"t{rank}{_sides(tokens)}"
        yield f"c{len(prices)}"


def _name(token: Token) -> str:
    return f"#{token.unit}" if token.is_number else word_class(token)


def _meanings(token: Token) -> list[str]:
    return [label.partition(":")[0] for label in token.labels]


def _near_pieces(tokens: Sequence[Token], place: int) -> Iterator[str]:
    names = ["<"] * _REACH + [_name(token) for token in tokens] + [">"] * _REACH
    here = place + _REACH
    for step in range(-_REACH, _REACH + 1):
        if step:
            yield f"{step}{names[here + step]}"
            if 0 <= place + step < len(tokens):
                yield from (f"{step}l{meaning}" for meaning in _meanings(tokens[place + step]))
    yield f"b{names[here - 2]} {names[here - 1]}"
    yield f"e{names[here + 1]} {names[here + 2]}"
    yield f"g{names[here - 1]} {names[here + 1]}"


def _stretch_pieces(tokens: Sequence[Token], place: int, places: Sequence[int]) -> Iterator[str]:
    """Yield the words up to the number before and up to the number behind."""
    order = places.index(place)
    start = places[order - 1] + 1 if order else 0
    end = places[order + 1] if order + 1 < len(places) else len(tokens)
    for mark, stretch in (("x", tokens[start:place]), ("y", tokens[place + 1 : end])):
        for token in stretch:
            yield f"{mark}{_name(token)}"
            yield from (f"{mark}l{meaning}" for meaning in _meanings(token))


def _frame_pieces(tokens: Sequence[Token], place: int) -> Iterator[str]:
    for mark, part in (("<", tokens[:place]), (">", tokens[place + 1 :])):
        yield from (f"{mark}{meaning}" for token in part for meaning in _meanings(token) if meaning in _FRAMES)
    for token in reversed(tokens[:place]):
        cues = "+".join(cue for cue in _CUES if token.has(cue))
        if cues:
            yield f"z{cues}"
            yield f"z{cues}{tokens[place].unit}"
            return


__all__ = ["number_places", "role_features"]
