"""What results and messages make known, and what stays unknown."""

from __future__ import annotations

from decimal import Decimal

import pytest

from copilot.brain.checking import Caught, check_text, facts_from
from tests.copilot.wording.samples import chart, order, portfolio, ticket, trade_signal
from tools.results import ChartData, OrdersCancelled, ToolResult


def stands(text: str, *results: ToolResult, messages: tuple[str, ...] = ()) -> bool:
    facts = facts_from(results, messages, "en")
    try:
        check_text(text, facts, "en")
    except Caught:
        return False
    return True


def test_typed_results_and_their_json_give_the_same_facts() -> None:
    results: list[ToolResult] = [trade_signal(), portfolio("pnl", "7d"), ticket("executed")]
    assert facts_from(results, [], "en") == facts_from([result.model_dump_json() for result in results], [], "en")


def test_data_of_a_picture_is_no_fact() -> None:
    drawn = ChartData(
        symbol="EURUSD",
        timeframe="4h",
        time=(0,),
        open=(1.5,),
        high=(1.61,),
        low=(1.41,),
        close=(1.57,),
        volume=(977.0,),
        lines=(),
        levels=(),
    )
    assert not stands("The high was 1.61.", chart(chart=drawn))


def test_secret_of_a_ticket_is_no_fact() -> None:
    assert not stands("The code is 4711.", ticket(nonce="4711"))


def test_numbers_of_the_person_may_be_repeated_in_either_notation() -> None:
    assert stands("You asked for 1,500 euros.", messages=("compra 1.500 euros",))
    assert stands("You asked for 0.05.", messages=("compra 0,05 btc",))
    assert not stands("You asked for 0.06.", messages=("compra 0,05 btc",))


def test_texts_of_the_program_may_be_repeated() -> None:
    facts = facts_from([], [], "en", texts=["At 2:1 you break even with about one win in 3."])
    assert check_text("At 2:1 it takes one win in 3.", facts, "en")


@pytest.mark.parametrize(
    ("text", "is_honest"),
    [
        ("The chance is 48.7%.", True),
        ("The chance is 49%.", True),
        ("The chance is 48.70%.", True),
        ("The chance is 48.72%.", False),
        ("The chance is 48%.", False),
        ("The chance is 48.7.", False),
        ("Gold is at 2.91k.", True),
        ("Gold is at 2.9k.", True),
        ("Gold is at 3k.", False),
        ("Gold is at 2,914.4.", True),
        ("Gold is at 2,914.", True),
        ("Gold is at 2,910.", False),
    ],
)
def test_only_honest_roundings_stand(text: str, *, is_honest: bool) -> None:
    assert stands(text, trade_signal()) is is_honest


def test_what_was_done_may_be_said_and_nothing_more() -> None:
    assert stands("Done: the order to buy 0.05 BTC was executed.", ticket("executed"))
    assert not stands("Done: the order to sell 0.05 BTC was executed, I sold it.", ticket("executed"))
    assert not stands("Order 12 was cancelled.", OrdersCancelled(orders=(order(status="filled"),)))
    assert stands("Order 12 was cancelled.", OrdersCancelled(orders=(order(status="cancelled"),)))
    assert not stands("The ticket was approved.", ticket("pending"))
    assert stands("The ticket was approved.", ticket("working"))


def test_yes_to_a_question_about_a_side_needs_its_signal() -> None:
    assert stands("Yes, it is.", trade_signal(), messages=("is gold a buy?",))
    assert not stands("Yes, it is.", trade_signal(), messages=("should I sell gold?",))


def test_facts_are_values() -> None:
    facts = facts_from([trade_signal()], ["buy 7 gold"], "en")
    assert facts.directions == {"XAUUSD": "long"}
    assert facts.asked == "long"
    assert Decimal(7) in {fact.value for fact in facts.numbers}
