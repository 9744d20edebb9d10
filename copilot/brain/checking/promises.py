"""Promises of a sure result, and words that play the part of the interface.

Nothing in a market is certain, so certainty needs a denial beside it ("no profit is guaranteed"). Only a ticket has
buttons: a text may point to them while one is pending, and may never ask for an approval in words.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from copilot.brain.checking.caught import Caught
from copilot.brain.checking.facts import Facts
from copilot.brain.checking.sentences import Sentence
from copilot.brain.checking.words import LANGUAGES, load_list

_REACH = 4
_GENERAL = re.compile(r"(?<!\w)(?:until you|if (?:a|the|any) ticket|hasta que|si hay (?:un|algun) ticket)(?!\w)")
"""How tickets work may be told without one."""


@dataclass(frozen=True, slots=True)
class _Promises:
    certainty: tuple[re.Pattern[str], ...]
    negations: frozenset[str]
    interface: tuple[tuple[bool, re.Pattern[str]], ...]


@cache
def _promises() -> tuple[_Promises, ...]:
    return tuple(
        _Promises(
            certainty=tuple(re.compile(pattern) for pattern in data["certainty"]),
            negations=frozenset(data["certainty_negations"]),
            interface=tuple((row["needs"] == "pending", re.compile(row["pattern"])) for row in data["interface"]),
        )
        for data in (load_list(f"words_{language}") for language in LANGUAGES)
    )


def check_certainty(sentence: Sentence) -> None:
    """Check the new part of a sentence for promises.

    Raises:
        Caught: It promises a result.
    """
    for promises in _promises():
        for pattern in promises.certainty:
            for match in pattern.finditer(sentence.folded):
                before = sentence.before(match.start(), _REACH)
                is_denied = promises.negations.intersection(before) or any(word.endswith("n't") for word in before)
                if sentence.is_new(match) and not is_denied:
                    raise Caught("certainty", sentence.text)


class InterfaceCheck:
    """Checks for buttons in words."""

    def __init__(self, facts: Facts) -> None:
        self._is_pending = facts.is_pending

    def check(self, sentence: Sentence) -> None:
        """Check the new part of a sentence.

        Raises:
            Caught: It imitates the interface.
        """
        for promises in _promises():
            for needs_ticket, pattern in promises.interface:
                if needs_ticket and self._is_pending:
                    continue
                for match in pattern.finditer(sentence.folded):
                    is_general = needs_ticket and _GENERAL.search(sentence.folded, 0, match.start())
                    if sentence.is_new(match) and not is_general:
                        raise Caught("interface", sentence.text)
