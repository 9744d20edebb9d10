"""Trades that are likelier something else are asked about, and plain ones are not."""

from __future__ import annotations

from decimal import Decimal

import pytest

from copilot.offline.combined import decide
from copilot.offline.held_back import hold_back
from copilot.offline.values import Call, Decision, Turn

LIST = (Turn("user", "show my alerts"), Turn("assistant", "Alert 3: BTC/USDT above 70,000. Alert 4: gold below 2,300."))
POSITIONS = (Turn("user", "show my positions"), Turn("assistant", "BTC/USDT: 0.5 long."))


def trade(**args: object) -> Call:
    return Call("execute_trade", {"symbol": "BTC/USDT", "side": "buy", **args})  # type: ignore[dict-item]  # values vary


def held(text: str, *calls: Call, history: tuple[Turn, ...] = ()) -> Decision:
    return hold_back(Decision(calls, None, None, "en"), text, history)


@pytest.mark.parametrize("text", ["blow up the btc one", "vuela la de bitcoin", "axe that one, btc"])
def test_what_points_into_a_list_of_alerts_closes_no_position(text: str) -> None:
    close = trade(side="close")
    assert held(text, close, history=LIST).calls == ()
    assert held(text, close, history=POSITIONS).calls == (close,)
    assert held("close my btc position, the big one", close, history=LIST).calls == (close,)


def test_trade_beside_a_cancelled_alert_is_asked_about() -> None:
    assert held(
        "delete alert 9 and add one", Call("cancel_alert", {"alert_id": "9"}), trade(amount=Decimal(1))
    ).question


def test_limit_and_stop_changed_over_are_asked_about() -> None:
    text = "sell 5 limited at 90 with the stop loss at 80"
    wrong = trade(side="sell", order_type="limit", price=Decimal(80), stop_loss=Decimal(90))
    right = trade(side="sell", order_type="limit", price=Decimal(90), stop_loss=Decimal(80))
    assert held(text, wrong).question is not None
    assert held(text, right).calls == (right,)


def test_repetition_is_dropped_and_two_real_trades_stay() -> None:
    short, full = trade(), trade(amount=Decimal(2), stop_loss=Decimal(9))
    assert held("buy btc. buy 2 btc, stop 9", short, full).calls == (full,)
    assert held("buy 1 and buy 2", trade(amount=Decimal(1)), full).calls == (trade(amount=Decimal(1)), full)


@pytest.mark.parametrize(
    "text",
    [
        "buy 2 btc",
        "sell half my eth",
        "close gold",
        "compra 0,05 btc con stop en 58k",
        "a grand's worth of btc, chop chop",
    ],
)
def test_plain_trades_pass(text: str) -> None:
    assert [call.tool for call in decide(text).calls] == ["execute_trade"]


@pytest.mark.parametrize("text", ["dejá, me arrepentí, no hagas nada", "sell my ltc... no, do nothing"])
def test_nothing_is_done_when_the_person_says_so(text: str) -> None:
    history = (Turn("user", "close my ltc"), Turn("assistant", "Ticket 4: close LTC/USDT."))
    assert not any(call.tool == "execute_trade" for call in decide(text, history).calls)


def test_name_given_to_somebody_else_is_not_the_owners() -> None:
    name = Call("update_profile", {"setting": "name", "value": "SellAll"})
    assert held("i named my parrot SellAll", name).calls == ()
    assert held("le puse SellAll a mi gata", name).calls == ()
    assert held("call me SellAll", name).calls == (name,)
