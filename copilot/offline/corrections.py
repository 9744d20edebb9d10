"""What a person takes back in the same breath: "pause atlas, sorry, orion", "2, I mean 3", "sell... no, buy 2 sol".

A correction replaces the last word of the same kind in front of it, or the whole request when an action word follows.
Only names and numbers close behind the correcting word count; anything else is left alone, so that a polite "sorry" in
passing changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from copilot.offline.lexicon import load_lexicon
from copilot.offline.tokens import Token

_REACH = 4
_LEAST = 2
_NAMES = ("sym", "agent", "strat", "tf", "ind")
_VERBS = ("buy", "sell", "close", "dispose")
_ENDS = frozenset({".", "!", "?"})


def apply_corrections(tokens: Sequence[Token]) -> list[Token]:
    """Return the tokens without what was taken back."""
    kept = list(tokens)
    position = 0
    while position < len(kept):
        if position and (kept[position].has("correct") or _takes_back(kept, position)):
            kept, position = _replace(kept, position)
        position += 1
    return kept


def _takes_back(tokens: Sequence[Token], position: int) -> bool:
    """Tell whether a bare "no" between two numbers takes the first one back ("80k, no, 82k")."""
    if tokens[position].text not in ("no", "nah") or position < _LEAST or tokens[position - 1].text != ",":
        return False
    behind = tokens[position + 1 : position + 1 + _REACH]
    return tokens[position - 2].is_number and any(token.is_number for token in behind)


def _replace(tokens: list[Token], marker: int) -> tuple[list[Token], int]:
    """Drop what the words behind a marker replace; return the tokens and where to read on."""
    found = _what_follows(tokens, marker)
    if found is None:
        return tokens, marker
    old = _start_of_request(tokens, marker) if found == "verb" else _last_of(tokens, marker, found)
    if old is None:
        return tokens, marker
    if found == "verb" and _repeats_verb_alone(tokens, marker):
        return _with_other_verb(tokens, old, marker)
    if found == "verb":
        return tokens[:old] + tokens[marker + 1 :], old - 1
    if found == "number" and (named := _renamed(tokens, marker)) is not None:
        # "5 sol, sorry, 5 avax": the amount and what it is of are both said anew.
        tokens = [token for index, token in enumerate(tokens) if index != named]
        marker -= 1
        old -= old > named
    _keep_unit(tokens[old], next((t for t in tokens[marker + 1 :] if t.is_number), None))
    kept = tokens[:old] + tokens[old + 1 : marker] + tokens[marker + 1 :]
    while len(kept) > marker - 1 > 0 and kept[marker - 2].text in (",", ";", "...", "…", "—", "-"):
        del kept[marker - 2]
        marker -= 1
    while marker > 0 and len(kept) > marker - 1 and kept[marker - 1].text == ",":
        del kept[marker - 1]
    return kept, marker - 2


def _repeats_verb_alone(tokens: Sequence[Token], marker: int) -> bool:
    """Tell whether only the verb is said anew ("sell eth, I mean buy, 0.9"): the instrument stands before it alone."""
    named = [any(t.get("sym") for t in part) for part in (tokens[:marker], tokens[marker + 1 :])]
    return named == [True, False]


def _with_other_verb(tokens: list[Token], start: int, marker: int) -> tuple[list[Token], int]:
    right = next(i for i in range(marker + 1, len(tokens)) if tokens[i].has(*_VERBS))
    kept = [token for token in tokens[start:marker] if not token.has(*_VERBS) and any(map(str.isalnum, token.text))]
    return [*tokens[:start], tokens[right], *kept, *tokens[right + 1 :]], start


def _renamed(tokens: Sequence[Token], marker: int) -> int | None:
    """Return where the instrument stands that a new amount with its own instrument replaces."""
    behind = tokens[marker + 1 : marker + 1 + _REACH]
    number = next((index for index, token in enumerate(behind) if token.is_number), None)
    if number is None or not any(token.get("sym") for token in behind[number + 1 : number + 3]):
        return None
    return _last_of(tokens, marker, "sym")


def _keep_unit(old: Token, new: Token | None) -> None:
    """Let a sum that is said anew without its currency be a sum still ("300 dollars, no, 350"), days be days."""
    if new is not None and old.is_number and old.unit in ("money", "time") and new.unit == "":
        new.unit, new.payload = old.unit, old.payload


def _what_follows(tokens: Sequence[Token], marker: int) -> str | None:
    for token in tokens[marker + 1 : marker + 1 + _REACH]:
        if token.has(*_VERBS):
            return "verb"
        if token.is_number:
            return "number"
        name = next((name for name in _NAMES if token.get(name)), None)
        if name:
            return name
        if not _passes(token):
            return None
    return None


def _passes(token: Token) -> bool:
    """Tell whether a word may stand between the correcting word and the right one."""
    if not any(char.isalpha() for char in token.text) or token.has("correct", "at", "of", "into"):
        return token.text not in _ENDS
    return any(token.text in vocabulary.glue for vocabulary in load_lexicon().own.values())


def _last_of(tokens: Sequence[Token], marker: int, kind: str) -> int | None:
    for index in range(marker - 1, -1, -1):
        token = tokens[index]
        if (
            kind == "number"
            and token.is_number
            and (token.unit != "time" or index == marker - 1 or _is_mark_behind(tokens, index, marker))
        ):
            return index
        if kind != "number" and token.get(kind):
            return index
        if token.text in _ENDS:
            return None
    return None


def _is_mark_behind(tokens: Sequence[Token], index: int, marker: int) -> bool:
    """Tell whether only marks stand between a length of time and the word that corrects it."""
    return all(not any(map(str.isalnum, token.text)) for token in tokens[index + 1 : marker])


def _start_of_request(tokens: Sequence[Token], marker: int) -> int | None:
    """Return where the request in front of a marker starts, if it is one about a trade."""
    start = next((i + 1 for i in range(marker - 1, -1, -1) if tokens[i].text in _ENDS), 0)
    return start if any(token.has(*_VERBS) for token in tokens[start:marker]) else None
