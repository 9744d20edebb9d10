"""How sure the learned model must be before it changes what the grammar decided.

Chosen on the tuning corpus: each writer judged by a model that had not met that writer, and the last files by a grammar
that had not met them either, because a grammar looks surer of the lines that it was written on than it is of others.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Thresholds:
    """How sure the learned model must be (0-1) before it changes what the grammar decided.

    Attributes:
        veto: To take back a trade that nobody ordered.
        order: At least this probable must an order, or a question about one, be where the grammar did not know every
            word of its trade; otherwise the copilot asks.
        sure_order: The same where the grammar knew every word.
        side: To ask about a purchase because such words sell, or about a sale because they close.
        closing: To ask about a sale without amount because such words close.
        weak_side: At least this probable must the side of a trade be that no word says plainly.
        unit: To ask about an amount because such numbers are something else.
        role: To ask about a trade because one of its numbers is something else in it.
        bought: To ask about a sale because such words buy; sums of money sound like purchases.
        sized: To ask about a trade without amount because such words state one.
        unsized: At least this probable must a trade without amount be when a number of the message found no place.
        view: To show another part of the portfolio than the grammar read.
        call: To put another tool in the place of a call.
        call_to_trade: To ask about a trade instead of calling something else.
        core: To read the order among pieces of mere talk.
        over_certain: To name another tool where the grammar knew every word.
        keep: To drop what is read out beside the one thing that a message is about.
        several: Less probable than this must several requests be then.
        read_to_talk: To take what is only read out for mere talk.
        call_to_talk: To take any other call for mere talk.
        call_to_ask: To ask instead of calling.
        open_to_read: To read something out where the grammar asked or chatted.
        open_to_portfolio: To read out the portfolio where the grammar chatted; stories sound like it.
        open_to_act: To change something where the grammar asked or chatted.
        trade: To ask about a trade where the grammar chatted.
        ask_to_talk: To let a question of the grammar go.
        talk_to_ask: To ask where the grammar chatted.
        definite: To override a question that names what is wrong.
        read_order: To read an order where the grammar read none.
        read_side: The same for its side.
        bare_order: To read an order in which no word says the side.
        bare_side: The same for its side.
        read_amount: The same for which of the numbers is the amount.
        read_roles: The same for what all the numbers are together.
        read_unsized: The same for an order without amount.
    """

    veto: float = 0.8
    order: float = 0.62
    sure_order: float = 0.3
    side: float = 0.75
    closing: float = 0.55
    weak_side: float = 0.85
    unit: float = 0.85
    role: float = 0.85
    bought: float = 0.93
    sized: float = 0.7
    unsized: float = 0.75
    view: float = 0.5
    call: float = 0.6
    call_to_trade: float = 0.95
    core: float = 0.8
    over_certain: float = 0.85
    keep: float = 0.6
    several: float = 0.2
    read_to_talk: float = 0.6
    call_to_talk: float = 0.9
    call_to_ask: float = 0.95
    open_to_read: float = 0.5
    open_to_portfolio: float = 0.65
    open_to_act: float = 0.55
    trade: float = 0.9
    ask_to_talk: float = 0.7
    talk_to_ask: float = 0.75
    definite: float = 0.97
    read_order: float = 0.8
    read_side: float = 0.8
    bare_order: float = 0.93
    bare_side: float = 0.93
    read_amount: float = 0.88
    read_roles: float = 0.5
    read_unsized: float = 0.7


CHOSEN = Thresholds()

__all__ = ["CHOSEN", "Thresholds"]
