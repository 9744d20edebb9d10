"""Shapes of requests that no single word shows: dealers' letters, orders without a verb, counts of what is held.

Each shape rewrites the labels or values of a few tokens before requests are read, and only where nothing else in the
message could mean something different. What looks like a shape but leaves a doubt stays as it is, and is asked about.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise

from copilot.offline.lexicon import load_lexicon, word_set
from copilot.offline.tokens import Language, Token

_LEAST = 2
_LONGEST_LEFT = 9
_LONGEST_DONE = 10
_LARGEST_MOVE = 60
_LONGEST_LEAD = 4
_MARKS = (",", ".", "!", ";", ":")
_CONVERTS = ("convi", "convert", "cambi", "pas", "swap", "turn", "change", "exchang", "traspas", "transform")
_LETTERS = {"B": "buy", "L": "buy", "S": "sell"}
_FIRST_LETTERS = {"b": "buy", "s": "sell", "c": "buy", "v": "sell"}
_NOT_LEFT = frozenset(
    {"alert", "notify", "agents", "order", "if", "question", "chart", "signal", "watch", "cancel", "past"}
)
_NOT_DONE = _NOT_LEFT - {"if", "past"} | {"agent", "trade", "self", "why", "explain", "show", "buy", "sell", "close"}
_VERBS = ("buy", "sell", "close", "dispose", "halve")


def shape(tokens: list[Token], language: Language) -> list[Token]:
    """Return the tokens with every shape read into labels and values."""
    _read_done(tokens)
    _read_initial(tokens, language)
    _read_letters(tokens)
    _read_prepositions(tokens)
    _read_switch(tokens)
    _read_told_name(tokens)
    _read_bought_it(tokens)
    _read_wish(tokens)
    _read_free_cash(tokens)
    _read_tail(tokens)
    _read_moves(tokens)
    _read_conversions(tokens)
    _read_single(tokens)
    _read_bet_against(tokens)
    _read_risk(tokens)
    _read_exit(tokens)
    tokens = _join_mixed(tokens)
    return _read_condition(_join_halves(_drop_holdings(_read_arrow(tokens))))


def _read_initial(tokens: list[Token], language: Language) -> None:
    """Read a word at the very start that only there means to buy ("bag 3 ltc", "more gold", "but 3 ltc")."""
    if len(tokens) < _LEAST or tokens[0].text not in load_lexicon().own[language].initial:
        return
    sold = any(t.text in word_set("done_sell") for t in tokens)
    sized = len(tokens) > _LEAST and tokens[1].is_number and tokens[2].get("sym") and not sold
    bare = len(tokens) == _LEAST and tokens[1].get("sym") and not tokens[0].labels & {"show.weak", "position"}
    if sized or bare:
        tokens[0].labels = frozenset({"buy"})


def _read_letters(tokens: list[Token]) -> None:
    """Read the letter of a dealer's note beside its amount or instrument ("S 0.25 BTC", "xrp B 1100")."""
    if any(token.has(*_VERBS, "agent", "alert", "chart") for token in tokens):
        return
    if len(tokens) > _LEAST and tokens[0].text in _FIRST_LETTERS and _is_counted_name(tokens[1], tokens[2]):
        tokens[0].labels = frozenset({_FIRST_LETTERS[tokens[0].text]})
        return
    for index, token in enumerate(tokens):
        ahead = tokens[index + 1] if index + 1 < len(tokens) else None
        behind = tokens[index - 1] if index else None
        counted = ahead is not None and ahead.is_number and ahead.unit == "" and ahead.value is not None
        starts = index == 0 or (behind is not None and behind.get("sym") is not None)
        if token.raw in _LETTERS and counted and starts and any(t.get("sym") for t in tokens):
            token.labels = frozenset({_LETTERS[token.raw]})
            return


def _is_counted_name(first: Token, second: Token) -> bool:
    """Tell whether a count and an instrument stand side by side, in either order."""
    return (first.is_number and second.get("sym") is not None) or (second.is_number and first.get("sym") is not None)


def _read_arrow(tokens: list[Token]) -> list[Token]:
    """Read a sum sent to an instrument as a purchase ("$80 -> xrp", "500 usd > btc")."""
    if any(token.has(*_VERBS, "agent", "alert", "notify", "if") for token in tokens):
        return tokens
    for index in range(len(tokens) - _LEAST):
        money, arrow, thing = tokens[index : index + 3]
        if money.is_number and money.unit == "money" and arrow.text in word_set("arrows") and thing.get("sym"):
            verb = Token("into", "into", frozenset({"buy"}))
            return [*tokens[:index], verb, money, Token("of", "of", frozenset({"of"})), *tokens[index + 2 :]]
    return tokens


def _read_bought_it(tokens: list[Token]) -> None:
    """Read "buy it" behind a count and an instrument as the order that it is, and not as a yes."""
    counted = any(t.get("sym") for t in tokens) and any(t.is_number or t.text in word_set("articles") for t in tokens)
    for token in tokens:
        if counted and token.has("confirm") and token.text == "buy it":
            token.labels = frozenset({"buy"})


def _read_prepositions(tokens: list[Token]) -> None:
    """Read "para" in front of an instrument as "for", and "on" in front of a number as no switch."""
    for before, token, after in zip(tokens, tokens[1:], tokens[2:], strict=False):
        if token.text == "para" and after.get("sym") and not before.has("also", "then") and before.text not in _MARKS:
            token.labels = token.labels - {"stop", "sl"}
        if token.text in ("on", "al") and after.is_number:
            token.labels = token.labels - {"start"}


def _read_switch(tokens: list[Token]) -> None:
    """Read "turn orion off" and "boot all the agents" as stopping and starting them."""
    if not any(t.get("agent") or t.has("agents", "it") for t in tokens) or any(
        t.is_number or t.get("sym") for t in tokens
    ):
        return
    verb = next((i for i, t in enumerate(tokens) if t.text in word_set("switches")), None)
    if verb is None:
        return
    behind = [token for token in tokens[verb + 1 : verb + 5]]
    on = next((t for t in behind if t.text in word_set("switched_on")), None)
    off = next((t for t in behind if t.text in word_set("switched_off")), None)
    if (off or on) is not None or tokens[verb].text == "boot":
        tokens[verb].labels = frozenset({"stop" if off is not None else "start"})


def _read_told_name(tokens: list[Token]) -> None:
    """Read "decime Nacho" as a name: nothing but a capital word stands behind it."""
    said = [t for t in tokens if t.text not in _MARKS]
    if (
        len(said) == _LEAST
        and said[0].text in word_set("told_name")
        and said[1].raw[:1].isupper()
        and not said[1].labels
    ):
        said[0].labels = frozenset({"name_word"})


def _read_wish(tokens: list[Token]) -> None:
    """Read the past of a polite wish as an order ("I'd be obliged if you sold a dozen solana")."""
    for index in range(1, len(tokens)):
        token, before = tokens[index], " ".join(t.text for t in tokens[max(0, index - 3) : index]).split(" ")
        side = next((side for side in ("buy", "sell") if token.has(f"{side}.past")), "")
        polite = any(t.has("polite") for t in tokens[:index]) or not word_set("wishes").isdisjoint(before)
        if side and before[-1] in ("you", "we") and polite:
            token.labels = frozenset({side})
            for earlier in tokens[max(0, index - 3) : index]:
                earlier.labels = earlier.labels - {"if", "hypothetical"}


def _read_free_cash(tokens: list[Token]) -> None:
    """Read "all the spare cash" as all of it where an instrument is named ("use up all the spare cash on bitcoin")."""
    if not any(t.get("sym") for t in tokens) or any(t.is_number for t in tokens):
        return
    for index, token in enumerate(tokens):
        if token.has("cash") and any(t.has("all") for t in tokens[max(0, index - 4) : index]):
            token.labels = frozenset({"allfree"})


def _read_tail(tokens: list[Token]) -> None:
    """Read a bare "out" or "off" behind an instrument as an order to leave it ("half link out", "euro longs off")."""
    labels = {label for token in tokens for label in token.labels}
    if not labels.isdisjoint(_NOT_LEFT) or len(tokens) > _LONGEST_LEFT:
        return
    for index, token in enumerate(tokens):
        ends = index + 1 == len(tokens) or tokens[index + 1].text in (",", ".", "!", ";")
        if token.has("leaves") and ends and any(t.get("sym") for t in tokens[:index]):
            token.labels = frozenset({"dispose"})
            for leg in tokens[:index]:
                leg.labels = leg.labels - {"buy", "sell"} if leg.has("leg") else leg.labels


def _read_done(tokens: list[Token]) -> None:
    """Read "three solana, bought" as an order: a count and an instrument, then what shall have been done with them."""
    told = tokens[1:] if tokens and tokens[0].has("buy.weak") else tokens
    labels = {label for token in told for label in token.labels}
    if not labels.isdisjoint(_NOT_DONE) or any(t.text in word_set("self") for t in tokens):
        return
    for index, token in enumerate(tokens[:_LONGEST_DONE]):
        side = next((side for side in ("buy", "sell") if token.text in word_set(f"done_{side}")), "")
        ahead = tokens[index + 1] if index + 1 < len(tokens) else None
        before = tokens[:index]
        counted = any(t.is_number and t.unit in ("", "money") for t in before) and any(t.get("sym") for t in before)
        if side and counted and before[0].has("buy.weak", "set"):
            for said in before:
                said.labels = said.labels - {"buy.weak"}
        if side and counted and (ahead is None or ahead.text in (*_MARKS, "a", "at", "@", "con", "y", "and", "with")):
            token.labels = frozenset({side})
            return


def _read_moves(tokens: list[Token]) -> None:
    """Read what a move is said to be in size as a percentage ("sube un 5", "surges by a fifth")."""
    for index, token in enumerate(tokens):
        bare = token.is_number and not token.unit and token.value is not None
        link = _link_of_move(tokens, index) if bare and not _names_thing(tokens, index) else ""
        if token.is_fraction and link in ("by", "un", "en") and token.value is not None:
            token.value, token.unit, token.is_fraction = token.value * 100, "percent", False
        elif link == "un" and token.value is not None and 0 < token.value <= _LARGEST_MOVE:
            token.unit = "percent"


def _link_of_move(tokens: Sequence[Token], index: int) -> str:
    """Return the word between a move and its size, or nothing when no move stands in front."""
    words = [word for token in tokens[max(0, index - _LEAST) : index] for word in token.text.split(" ")]
    moves = [t for t in tokens[max(0, index - _LEAST) : index] if t.has("up", "down") and not t.has("rel", "than")]
    return words[-1] if moves and len(words) >= _LEAST else ""


def _read_conversions(tokens: list[Token]) -> None:
    """Read "turn my ether into dollars" as a sale: what stands behind the instrument is where the money goes."""
    verb = next((t for t in tokens if t.has("buy.weak") and t.text.startswith(_CONVERTS)), None)
    thing = next((i for i, t in enumerate(tokens) if t.get("sym")), None)
    if verb is None or thing is None or any(t.has("agent", "alert", "lang", "base_currency") for t in tokens):
        return
    for link, money in pairwise(tokens[thing + 1 :]):
        if link.text in word_set("links_to_money") and (money.has("cash") or money.get("cur")) and not money.get("sym"):
            verb.labels = frozenset({"sell"})
            return


def _read_single(tokens: list[Token]) -> None:
    """Read "my ounce" as one ounce."""
    for index, (owner, ounce) in enumerate(pairwise(tokens)):
        if owner.has("mine") and ounce.has("ounce") and ounce.text in ("ounce", "onza"):
            tokens[index] = Token("1", owner.raw, value=Decimal(1), is_number=True, is_word_number=True)


def _read_bet_against(tokens: list[Token]) -> None:
    """Read a stake against an instrument as a sale."""
    verb = next((t for t in tokens if t.text in word_set("bets")), None)
    for first, second in pairwise(tokens):
        if verb is not None and first.text in word_set("against") and second.get("sym"):
            verb.labels = frozenset({"sell"})


def _read_risk(tokens: list[Token]) -> None:
    """Read the percentage at risk beside an order as the distance of its stop, and not as a setting."""
    if not any(t.has("buy", "sell") for t in tokens) or any(t.has("rpt", "agent", "set") for t in tokens):
        return
    for index, token in enumerate(tokens[:-1]):
        ahead = [t for t in tokens[index + 1 : index + 3] if t.text not in ("de", "del", "of", "al")]
        if token.text in ("riesgo", "risk") and ahead and ahead[0].unit == "percent":
            token.labels = frozenset({"sl"})


def _read_exit(tokens: list[Token]) -> None:
    """Read "if btc loses 50k, bail" as an order to leave: nothing else is ordered, and no price stands behind it."""
    if any(t.has(*_VERBS) and not t.has("sl") for t in tokens) or any(
        t.has("notify", "alert", "agent") for t in tokens
    ):
        return
    price = next((i for i, t in enumerate(tokens) if t.is_number), None)
    if price is None or not any(t.get("sym") for t in tokens) or any(t.is_number for t in tokens[price + 1 :]):
        return
    opens = any(t.has("if") or t.text in word_set("finite_moves") for t in tokens[:price])
    for token in tokens[price + 1 :]:
        if opens and token.text in word_set("exit_words"):
            token.labels = frozenset({"close"})


def _read_condition(tokens: list[Token]) -> list[Token]:
    """Open a condition that was told without an "if" ("rompe 60k compro 0,1 btc", "loses 50k, I'm out")."""
    if any(t.has("if", "notify", "alert", "agent", "question", "past") or t.text == "?" for t in tokens):
        return tokens
    start = next((i for i, t in enumerate(tokens[:_LONGEST_LEAD]) if not _leads_condition(t)), None)
    if start is None or tokens[start].text not in word_set("finite_moves"):
        return tokens
    price = next(
        (i for i in range(start + 1, min(start + _LONGEST_LEAD + 1, len(tokens))) if tokens[i].is_number), None
    )
    if price is None or tokens[price].unit not in ("", "money") or _names_thing(tokens, price):
        return tokens
    if any(t.has("mine") for t in tokens[start:price]):
        return tokens
    behind = tokens[price + 1 :]
    if not any((t.has(*_VERBS) and not t.has("tp", "sl")) for t in behind):
        return tokens
    tokens[start].labels = tokens[start].labels - {*_VERBS, "remove", "tp", "sl", "stop"}
    glued = behind[1:] if behind[0].text in (",", "y", "and", ":", "-", "→", ";") else behind
    return [Token("if", "if", frozenset({"if"})), *tokens[: price + 1], *glued]


def _leads_condition(token: Token) -> bool:
    return token.get("sym") is not None or token.has("also", "holder", "greeting") or token.text in ("el", "la", "¿")


def _names_thing(tokens: Sequence[Token], index: int) -> bool:
    """Tell whether a number counts the thing behind it."""
    after = tokens[index + 1] if index + 1 < len(tokens) else None
    return after is not None and (after.get("sym") is not None or after.has("unit"))


def _drop_holdings(tokens: list[Token]) -> list[Token]:
    """Drop how much is held from what shall be done with a part of it ("close 4 of my 10 avax")."""
    for index in range(len(tokens) - 4):
        part, link, owner, held, thing = tokens[index : index + 5]
        if not (part.is_number and held.is_number and thing.get("sym")) or part.unit or held.unit:
            continue
        owned = owner.has("mine", "holder") and link.text in ("of", "de", "out of")
        if owned and part.value is not None and held.value is not None and part.value <= held.value:
            return [*tokens[: index + 3], *tokens[index + 4 :]]
    return tokens


def _join_mixed(tokens: list[Token]) -> list[Token]:
    """Read a whole number and a part behind it as one ("buy 2 1/2 eth")."""
    for index in range(len(tokens) - 1):
        whole, part = tokens[index : index + 2]
        is_whole = whole.is_number and not whole.is_fraction and whole.unit == "" and whole.raw.isdigit()
        if is_whole and part.is_fraction and "/" in part.raw and whole.value is not None and part.value is not None:
            whole.value += part.value
            return [*tokens[: index + 1], *tokens[index + 2 :]]
    return tokens


def _join_halves(tokens: list[Token]) -> list[Token]:
    """Read the half behind an instrument into its count ("23 litecoins y medio")."""
    for index in range(len(tokens) - 3):
        count, thing, link, half = tokens[index : index + 4]
        if count.text in word_set("articles") and not count.is_number:
            count = Token("1", count.raw, value=Decimal(1), is_number=True, is_word_number=True)
        whole = count.is_number and not count.is_fraction and count.unit == "" and count.value is not None
        if not (whole and thing.get("sym") and link.text in ("y", "and", "and a") and half.is_fraction):
            continue
        after = tokens[index + 4] if index + 4 < len(tokens) else None
        if half.value is None or (after is not None and after.text not in (*_MARKS, "a", "at", "con", "with")):
            continue
        count.value = (count.value or Decimal(0)) + half.value
        return [*tokens[:index], count, thing, *tokens[index + 4 :]]
    return tokens
