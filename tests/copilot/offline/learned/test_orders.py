from __future__ import annotations

from decimal import Decimal

import pytest

from copilot.offline.learned.labels import role_labels
from copilot.offline.learned.model import Model, judge_message
from copilot.offline.learned.orders import read_order
from copilot.offline.learned.roles import number_places, role_features
from copilot.offline.learned.thresholds import CHOSEN
from copilot.offline.tokens import tokenize
from copilot.offline.values import ArgumentValue, Question
from tests.copilot.offline.learned.models import sure_of


def _read(text: str, model: Model) -> dict[str, ArgumentValue] | Question | None:
    tokens = tokenize(text, "en")
    return read_order(tokens, judge_message(tokens, (), model), CHOSEN, reported=False)


def test_side_and_amount_of_the_model_make_an_order() -> None:
    model = sure_of("execute_trade", side="buy", role="amount:base", size="base")
    assert _read("stash away 3 ltc", model) == {"symbol": "LTC/USDT", "side": "buy", "amount": Decimal(3)}


def test_price_of_the_model_makes_a_stop_order() -> None:
    model = sure_of("execute_trade", side="buy", role="price:stop", size="none")
    order = _read("buy bnb through 640", model)
    assert order == {"symbol": "BNB/USDT", "side": "buy", "order_type": "stop", "price": Decimal(640)}


@pytest.mark.parametrize(
    "text",
    [
        "don't buy 3 ltc",
        "should I buy 3 ltc?",
        "my broker said buy 3 ltc",
        "buy 3 ltc or 3 sol",
        "sell 3 ltc",
        "ltc 3",
        "buy 3 ltc and 4 ltc",
    ],
)
def test_no_order_out_of_a_bent_or_doubtful_message(text: str) -> None:
    assert _read(text, sure_of("execute_trade", side="buy", role="amount:base", size="base")) is None


def test_money_is_no_count() -> None:
    assert _read("buy $40 of ltc", sure_of("execute_trade", side="buy", role="amount:base", size="base")) is None


def test_order_without_its_price_asks_for_it() -> None:
    model = sure_of("execute_trade", side="buy", role="amount:base", size="base")
    assert _read("limit buy of 2 ltc", model) == Question("which_price")


def test_exit_of_the_model_makes_a_stop_loss() -> None:
    model = sure_of("execute_trade", side="sell", role="stop_loss", size="none")
    order = _read("short ltc, out at 60", model)
    assert order == {"symbol": "LTC/USDT", "side": "sell", "stop_loss": Decimal(60)}


def test_roles_of_numbers_come_from_the_gold_arguments() -> None:
    tokens = tokenize("buy 0.2 btc at 58k, stop 3%", "en")
    args = {"amount": 0.2, "price": 58000, "order_type": "limit", "stop_loss_pct": 3}
    roles = [role_labels(tokens[place], args) for place in number_places(tokens)]
    assert roles == [("amount:base",), ("price:limit",), ("stop_loss_pct",)]


def test_half_is_a_share_of_a_percentage() -> None:
    half = tokenize("sell half my eth", "en")[1]
    assert role_labels(half, {"amount": 50, "unit": "percent"}) == ("amount:percent",)


def test_features_tell_a_price_from_a_count() -> None:
    tokens = tokenize("sell 3 sol 150", "en")
    count, price = (role_features(tokens, place, "SOL/USDT") for place in number_places(tokens))
    assert not set(count.words.tolist()) <= set(price.words.tolist())
    assert count.letters.size == 0
