"""Whether the learned model believes in other terms than the grammar read in a trade.

Side and size are weighed apart, and only a positive belief in something else counts: an unlikely reading alone is no
doubt, or every rare wording would be asked about. How an amount counts needs no model, since a sign, a currency or a
fraction says so; but a trade without an amount is doubtful when a number of the message found no place in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from copilot.offline.learned.labels import NO_SIZE, ROLE, SIDE, SIZE
from copilot.offline.learned.model import Judgement
from copilot.offline.learned.roles import number_places, role_features
from copilot.offline.learned.thresholds import Thresholds
from copilot.offline.lexicon import typical_price
from copilot.offline.tokens import Token
from copilot.offline.values import Call, Question

_EXITS = ("sell", "close")
_PLAIN_SIDES = ("buy", "sell", "close", "dispose", "halve", "buy.noun", "sell.noun")
_MARKS = frozenset({"?", "!", "¿", "¡", "."})
_COUNTED = ("base", "quote")
_PLACES = ("amount", "price", "stop_loss", "take_profit", "stop_loss_pct", "take_profit_pct")
_HALF = 0.5
_DEAR = 50.0


def doubt_of(call: Call, tokens: Sequence[Token], judgement: Judgement, sure: Thresholds) -> Question | None:
    """Return what to ask about a trade, or `None` where nothing speaks against its terms.

    Args:
        call: The trade that the grammar read.
        tokens: The words it was read from.
        judgement: What the learned model makes of the message.
        sure: How sure the model must be.
    """
    if _is_other_side(call, judgement, sure) or _is_weak_side(call, tokens, judgement, sure):
        return Question("buy_or_sell")
    if _is_other_unit(call, tokens, judgement, sure) or _is_other_role(call, tokens, judgement, sure):
        return Question("how_much")
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
        return shares.of("close") >= sure.closing
    return shares.of("sell") >= sure.side and judgement.of(SIZE).of(*_COUNTED) >= _HALF


def _is_weak_side(call: Call, tokens: Sequence[Token], judgement: Judgement, sure: Thresholds) -> bool:
    """Tell whether no word says plainly which side is meant, and the model is not sure of it either."""
    if any(token.has(*_PLAIN_SIDES) and not token.has("sl", "tp") and not _faces_both_ways(token) for token in tokens):
        return False
    side = call.args["side"]
    return judgement.of(SIDE).of(*(_EXITS if side in _EXITS else (str(side),))) < sure.weak_side


def _faces_both_ways(token: Token) -> bool:
    """Tell whether a word may buy as well as sell ("embolsa")."""
    return token.has("buy", "buy.weak") and token.has("sell", "close", "dispose")


def _is_other_unit(call: Call, tokens: Sequence[Token], judgement: Judgement, sure: Thresholds) -> bool:
    """Tell whether the model reads the amount as coins where the grammar reads money, or the like."""
    amount = call.args.get("amount")
    if not isinstance(amount, int | Decimal):
        return False
    spoken = [token for token in tokens if token.text not in _MARKS]
    places = [place for place in number_places(spoken) if abs(spoken[place].value or 0) == amount]
    if len(places) != 1:
        return False
    if call.args.get("unit", "base") == "base" and _costs_about(call, amount) and not _counts(spoken, places[0]):
        return True
    role = judgement.of_part(ROLE, role_features(spoken, places[0], str(call.args["symbol"])))
    own = f"amount:{call.args.get('unit', 'base')}"
    return role.name != own and role.name.startswith("amount") and role.probability >= sure.unit


def _is_other_role(call: Call, tokens: Sequence[Token], judgement: Judgement, sure: Thresholds) -> bool:
    """Tell whether the model takes a number of the trade for something else than the grammar does."""
    spoken = [token for token in tokens if token.text not in _MARKS]
    for place in number_places(spoken):
        value = abs(spoken[place].value or 0)
        own = {name for name in _PLACES if call.args.get(name) == value}
        role = judgement.of_part(ROLE, role_features(spoken, place, str(call.args["symbol"])))
        kind = role.name.partition(":")[0]
        if own and kind not in own and kind in _PLACES and role.probability >= sure.role:
            return True
    return False


def _costs_about(call: Call, amount: int | Decimal) -> bool:
    """Tell whether an amount without a price is about what one unit costs, and not cheap ("at most 555 for a bnb")."""
    usual = typical_price(str(call.args["symbol"]))
    dear = usual is not None and usual >= _DEAR and "price" not in call.args
    return dear and usual is not None and usual / 2 < float(amount) < usual * 2


def _counts(tokens: Sequence[Token], place: int) -> bool:
    ahead = tokens[place + 1 : place + 3]
    return any(token.get("sym") is not None or token.has("unit", "ounce") for token in ahead[:1]) or (
        len(ahead) > 1 and ahead[0].has("of") and ahead[1].get("sym") is not None
    )


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
