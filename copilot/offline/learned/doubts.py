"""Whether the learned model believes in other terms than the grammar read in a trade.

Side and size are weighed apart, and only a positive belief in something else counts: an unlikely reading alone is no
doubt, or every rare wording would be asked about. How an amount counts needs no model, since a sign, a currency or a
fraction says so; but a trade without an amount is doubtful when a number of the message found no place in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from copilot.offline.learned.labels import NO_SIZE, SIDE, SIZE
from copilot.offline.learned.model import Judgement
from copilot.offline.learned.thresholds import Thresholds
from copilot.offline.tokens import Token
from copilot.offline.values import Call, Question

_EXITS = ("sell", "close")
_COUNTED = ("base", "quote")
_HALF = 0.5


def doubt_of(call: Call, tokens: Sequence[Token], judgement: Judgement, sure: Thresholds) -> Question | None:
    """Return what to ask about a trade, or `None` where nothing speaks against its terms.

    Args:
        call: The trade that the grammar read.
        tokens: The words it was read from.
        judgement: What the learned model makes of the message.
        sure: How sure the model must be.
    """
    if _is_other_side(call, judgement, sure):
        return Question("buy_or_sell")
    if call.args.get("amount") is None and _states_amount(call, tokens, judgement, sure):
        return Question("how_much")
    return None


def _is_other_side(call: Call, judgement: Judgement, sure: Thresholds) -> bool:
    """Tell whether the model believes in another side; closing and selling an amount mean the same."""
    side, shares = call.args["side"], judgement.of(SIDE)
    if side == "buy":
        return shares.of(*_EXITS) >= sure.side
    if shares.of("buy") >= sure.bought:
        return True
    if call.args.get("amount") is not None:
        return False
    if side == "sell":
        return shares.of("close") >= sure.side
    return shares.of("sell") >= sure.side and judgement.of(SIZE).of(*_COUNTED) >= _HALF


def _states_amount(call: Call, tokens: Sequence[Token], judgement: Judgement, sure: Thresholds) -> bool:
    numbers = [token for token in tokens if token.is_number and token.unit != "time"]
    size = judgement.of(SIZE)
    counted, unsized = size.of(*_COUNTED), size.of(NO_SIZE)
    if not numbers:
        return counted >= sure.sized * (counted + unsized)
    return unsized < sure.unsized and not all(_is_placed(number, call) for number in numbers)


def _is_placed(number: Token, call: Call) -> bool:
    """Tell whether a number is a value of the trade; all of a holding is written as no amount."""
    if number.value is None or (number.unit == "percent" and number.value == 100):
        return True
    placed = {value for value in call.args.values() if isinstance(value, int | Decimal)}
    return abs(number.value) in placed


__all__ = ["doubt_of"]
