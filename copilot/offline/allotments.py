"""Read what is said of an agent's money and mandate: "give nova 500 more", "retira el mandato de atlas".

Only messages that name an agent (or all of them) are read. A number is an amount of money when it is no percentage
and no length of time, and when no instrument, limit, order or alert is spoken of; small bare numbers stay open, for
they may be meant for any setting.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Literal

from copilot.offline.lexicon import word_set
from copilot.offline.tokens import Token

Allotment = Literal["fund", "withdraw", "permit", "revoke", "endowed", "shown"]
_LEAST_BARE = Decimal(50)  # a bare "give nova 5" may be positions or a percentage
_OTHER = ("size", "maxpos", "drawdown", "rpt", "order", "alert", "backtest", "why")


def allotment_of(tokens: Sequence[Token]) -> Allotment | None:
    """Return what happens to an agent's money or mandate, "endowed" for a start with money, or `None`."""
    said = {token.text for token in tokens}
    if any(token.has("neg", "neg_end", "neg_start") for token in tokens):
        return None
    if not said.isdisjoint(word_set("mandate_words")):
        return _of_mandate(tokens, said)
    if not any(_is_agent(token) for token in tokens) or any(
        token.has(*_OTHER) or token.get("strat") for token in tokens
    ):
        return None
    if not said.isdisjoint(word_set("unattended")) and money_of(tokens) is not None:
        return "permit"
    if any(token.get("sym") for token in tokens):
        return None
    return _of_money(tokens, said)


def _is_agent(token: Token) -> bool:
    return token.get("agent") is not None or token.has("agents")


def _is_other(token: Token) -> bool:
    return token.has(*_OTHER) or token.get("strat") is not None


def _of_mandate(tokens: Sequence[Token], said: set[str]) -> Allotment | None:
    named = any(_is_agent(token) for token in tokens)
    if any(token.has("remove", "cancel") or token.text in word_set("takers") for token in tokens) and named:
        return "revoke"
    if named and money_of(tokens) is not None:
        return "permit"
    shown = any(token.has("question", "show", "show.weak", "listword") for token in tokens)
    return "shown" if shown or len(said) == 1 else None


def _of_money(tokens: Sequence[Token], said: set[str]) -> Allotment | None:
    amount, agent = money_of(tokens), next(i for i, t in enumerate(tokens) if _is_agent(t))
    if not said.isdisjoint(word_set("takers")) and _leads(tokens, agent, "taken_from"):
        whole = not said.isdisjoint(word_set("money_words"))
        return "withdraw" if amount is not None or whole else None
    if amount is None:
        return None
    if any(t.has("start") and t.text not in word_set("endows") for t in tokens) and _has_link(tokens, amount):
        return "endowed"
    more = amount.unit == "money" or not said.isdisjoint(word_set("more_words")) or (amount.value or 0) >= _LEAST_BARE
    return "fund" if more and not said.isdisjoint(word_set("endows")) else None


def _leads(tokens: Sequence[Token], index: int, words: str) -> bool:
    return index > 0 and tokens[index - 1].text in word_set(words)


def _has_link(tokens: Sequence[Token], amount: Token) -> bool:
    """Tell whether "with" stands right in front of a number."""
    place = next(i for i, t in enumerate(tokens) if t is amount)
    return _leads(tokens, place, "endowed_with")


def without_report(tokens: Sequence[Token]) -> list[Token]:
    """Return the tokens with "mandate" and "without asking" as the person's own words, when nothing else is passed on.

    Those words count as a report elsewhere: pasted texts claim mandates.
    """
    own = word_set("mandate_words") | word_set("unattended")
    others = any(t.has("reported", "reported.weak") and t.text not in own for t in tokens)
    if others or allotment_of(tokens) is None or any(t.text == ":" for t in tokens):
        return list(tokens)
    return [replace(t, labels=t.labels - {"reported"}) if t.text in own else t for t in tokens]


def money_of(tokens: Sequence[Token]) -> Token | None:
    """Return the one number of a clause that may be a sum of money; `None` when there is none or several."""
    sums = [t for t in tokens if t.is_number and t.unit in ("", "money") and not t.is_fraction]
    named = [t for t in tokens if t.is_number and t.unit != "time"]
    fits = len(sums) == 1 and named == sums and sums[0].value is not None and sums[0].value > 0
    return sums[0] if fits else None


__all__ = ["Allotment", "allotment_of", "money_of", "without_report"]
