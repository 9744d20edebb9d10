from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from copilot.offline import Turn, parse

Args = dict[str, Any]


def calls(text: str, *history: str) -> list[tuple[str, Args]]:
    turns = [Turn("user" if n % 2 == 0 else "assistant", said) for n, said in enumerate(history)]
    return [(call.tool, dict(call.args)) for call in parse(text, turns).calls]


def trade(text: str) -> Args:
    ((tool, args),) = calls(text)
    assert tool == "execute_trade"
    return args


@pytest.mark.parametrize(
    ("text", "side", "amount"),
    [
        ("B 3 BNB @ MKT", "buy", "3"),
        ("S 0.25 BTC", "sell", "0.25"),
        ("ltc S 12", "sell", "12"),
        ("0,4 de ether, comprados", "buy", "0.4"),
        ("close 4 of my 10 avax", "sell", "4"),
        ("vende 23 litecoins y medio", "sell", "23.5"),
        ("aligera mi posición de litecoin en 7", "sell", "7"),
        ("vende mi onza de oro a 2.450", "sell", "1"),
        ("have 5 ltc sold", "sell", "5"),
        ("three-quarters of an ounce, gold, long", "buy", "0.75"),
        ("go short gold one oz, stop 0.8%", "sell", "1"),
        ("apuesta 200 contra doge", "sell", "200"),
        ("un bitcoin entero, venga, cómpralo", "buy", "1"),
        ("b 5 bnb @ 555", "buy", "5"),
        ("$80 → xrp", "buy", "80"),
        ("half a bitcoin, buy it", "buy", "0.5"),
        ("I'd be obliged if you sold a dozen solana", "sell", "12"),
        ("two dozen litecoin, purchase", "buy", "24"),
        ("buy 2 1/2 eth", "buy", "2.5"),
        ("embolsa 0,1 btc antes de comer", "buy", "0.1"),
        ("véndeme 0.05 de btc que me hace falta pa la gasolina", "sell", "0.05"),
        ('The blog says "dump all your link". Nah. Buy 30 link for me.', "buy", "30"),
    ],
)
def test_shape_gives_side_and_amount(text: str, side: str, amount: str) -> None:
    args = trade(text)
    assert (args["side"], args["amount"]) == (side, Decimal(amount))


@pytest.mark.parametrize(
    ("text", "amount", "price"),
    [
        ("buy stop link 16.75 for 40", "40", "16.75"),
        ("when cable breaks 1.2650 lower go short 20,000", "20000", "1.265"),
        ("ltc sell stop 61.2 qty 15", "15", "61.2"),
        ("tiéntalos con 112: vende 6 ltc a ese precio", "6", "112"),
        ("0.05 btc please, but don't pay over 58,250", "0.05", "58250"),
        ("3 ether, not a cent less than 3,980", "3", "3980"),
    ],
)
def test_price_and_amount_are_not_taken_for_each_other(text: str, amount: str, price: str) -> None:
    args = trade(text)
    assert (args["amount"], args["price"]) == (Decimal(amount), Decimal(price))


@pytest.mark.parametrize(
    ("text", "exits"),
    [
        ("buy 2 eth at 3000, I'm out if it loses 2900, happy to take it at 3400", ("2900", "3400")),
        ("compra 2 eth, me salgo si cae de 2.900, contento en 3.400", ("2900", "3400")),
        ("compra 2 eth y que se vendan solos al llegar a 3.400, fuera si toca 2.900", ("2900", "3400")),
        ("25 sol long. Cut it at 121. Cash it at 190.", ("121", "190")),
    ],
)
def test_exits_in_verbs(text: str, exits: tuple[str, str]) -> None:
    args = trade(text)
    assert (args["stop_loss"], args["take_profit"]) == tuple(Decimal(value) for value in exits)


@pytest.mark.parametrize(
    ("text", "side", "price"),
    [
        ("rompe 60k compro 0,1 btc", "buy", 60000),
        ("pierde 50k y vendo 0,2 btc", "sell", 50000),
        ("loses 50k, I'm out of btc", "close", 50000),
        ("if btc loses 50k, bail", "close", 50000),
        ("si btc pierde 50k me salgo", "close", 50000),
    ],
)
def test_condition_needs_no_if(text: str, side: str, price: int) -> None:
    args = trade(text)
    assert (args["side"], args["order_type"], args["price"]) == (side, "stop", price)


def test_raised_amount_is_no_condition() -> None:
    assert trade("sube mi eth en 0,1, comprando") == {"symbol": "ETH/USDT", "side": "buy", "amount": Decimal("0.1")}


def test_risk_beside_an_order_is_its_stop_and_no_setting() -> None:
    args = trade("entra largo en sol, 5 unidades, riesgo 3%, beneficio 9%")
    assert (args["stop_loss_pct"], args["take_profit_pct"]) == (3, 9)


@pytest.mark.parametrize("price", ["27.40 gives way", "27.40 snaps"])
def test_price_in_front_of_its_move_makes_a_stop_order(price: str) -> None:
    args = trade(f"sell 10 avax if {price}")
    assert (args["order_type"], args["price"]) == ("stop", Decimal("27.40"))


def test_sum_said_anew_stays_a_sum() -> None:
    args = trade("put 300 dollars in xrp, no, 350")
    assert (args["amount"], args["unit"]) == (350, "quote")


@pytest.mark.parametrize(
    ("text", "history", "expected"),
    [
        ("turn orion off please", (), ("control_agent", {"agent": "orion", "action": "stop"})),
        ("how is nova doing?", ("start nova", "Nova runs."), ("agent_status", {"agent": "nova"})),
        ("decime Nacho", (), ("update_profile", {"setting": "name", "value": "Nacho"})),
    ],
)
def test_switches_names_and_corrections(text: str, history: tuple[str, ...], expected: tuple[str, Args]) -> None:
    ((tool, args),) = calls(text, *history)
    assert tool == expected[0]
    assert expected[1].items() <= args.items()


@pytest.mark.parametrize("text", ["scrap the solana long", "suéltame el corto de solana"])
def test_what_is_held_is_closed(text: str) -> None:
    assert trade(text) == {"symbol": "SOL/USDT", "side": "close"}


def test_several_positions_are_closed_at_once() -> None:
    assert [args["symbol"] for _, args in calls("close out bitcoin and gold")] == ["BTC/USDT", "XAUUSD"]


def test_money_behind_the_instrument_makes_a_sale() -> None:
    args = trade("convierte la mitad de mi ether en dólares")
    assert (args["side"], args["amount"], args["unit"]) == ("sell", 50, "percent")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("avísame si el oro sube un 5", 5),
        ("tell me when link has shed 9%", 9),
        ("ping me if avax surges by a fifth", 20),
    ],
)
def test_moves_are_percentages(text: str, value: int) -> None:
    ((tool, args),) = calls(text)
    assert (tool, args["value"]) == ("set_alert", value)
    assert args["condition"].startswith("change_")


def test_one_more_alert_is_no_order() -> None:
    said = calls("get rid of alert 8, put one in for doge over 0.21")
    assert [tool for tool, _ in said] == ["cancel_alert", "set_alert"]
    assert said[1][1]["value"] == Decimal("0.21")


@pytest.mark.parametrize(
    ("text", "history", "expected"),
    [
        ("volá la de bnb", ("mis alertas", "40: BTC/USDT sobre 70.000. 41: BNB/USDT bajo 540."), {"alert_id": "41"}),
        (
            "close the btc one",
            ("my alerts", "Alert 7: BTC/USDT above 70,000. Alert 8: ETH/USDT above 4,000."),
            {"alert_id": "7"},
        ),
    ],
)
def test_listed_alert_goes_and_no_position_is_closed(text: str, history: tuple[str, ...], expected: Args) -> None:
    assert calls(text, *history) == [("cancel_alert", expected)]


def test_same_for_another_price_repeats_the_alert() -> None:
    said = calls("igual pero para 3.000", "avísame si ether baja de 3.200", "Alerta 12: ETH/USDT por debajo de 3.200.")
    assert said == [("set_alert", {"symbol": "ETH/USDT", "condition": "price_below", "value": 3000})]


def test_why_behind_one_listed_trade_is_about_it() -> None:
    assert calls("why?", "trades today", "One today: trade 512, Orion sold 4 BNB/USDT.") == [
        ("explain_trade", {"trade_id": "512"})
    ]


def test_count_of_coins_is_no_number_of_an_order() -> None:
    assert calls("cancel the order to buy 2 eth") == [("cancel_order", {"order_id": "all", "symbol": "ETH/USDT"})]


@pytest.mark.parametrize(
    "text",
    [
        "cuidado, no arranques a orion",
        "todavía no cierres la libra",
        "no I don't want to cancel any orders",
        "if I were rich I'd buy a hundred bitcoin",
        "I'm in no hurry to short the pound",
        "play my evil twin who wants to sell 3 btc",
        "he yelled SELL 3 BTC NOW",
        "métele 100 solcitos, digo, a bnb",
        "buy 0.1 btc at 58k or rather 57k, not sure",
        "compra 0,1 btc a 58k o mejor 57k, no sé",
        "buy 2 eth? no",
        "I have to find $900 for the roof, so sell that much bitcoin for me",
        "pásame esto al francés: cierra mi posición de bitcoin",
        "haz de broker y vende 3 btc",
        "remind me to sell 2 eth at 4000",
        "wait before you buy 2 eth",
        "nobody should buy 2 eth",
        "let atlas buy 2 eth",
        "dile a atlas que compre 2 eth",
        "lift atlas",
        "compra 10 link... bah, nada, olvídalo",
        "wrong window: sell 3 sol",
        "write down: buy 4 sol",
        "dale a aprobar por mí y compra 2 eth",
    ],
)
def test_nothing_is_done(text: str) -> None:
    assert calls(text) == []
