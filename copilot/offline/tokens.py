"""From text to tagged tokens: words by meaning, numbers by value.

The tagger is the only place that reads characters. It folds accents, keeps them where they change a verb's tense,
repairs spelling carefully, and reads numbers in digits and in words. What follows sees only labels and values.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Literal

from rapidfuzz.distance import OSA

from copilot.offline.lexicon import Lexicon, Vocabulary, fold, load_lexicon, word_set
from copilot.offline.numbers import is_magnitude, read_digits, read_scaled, read_scientific

Language = Literal["en", "es"]
Unit = Literal["", "percent", "money", "cents", "time"]

_TOKEN = re.compile(
    r"""
    (?P<sci>\d+(?:\.\d+)?e-?\d+\b)
  | (?P<ratio>(?<![\w.,/])\d{1,2}\s?[/⁄]\s?\d{1,2}(?![\w/⁄]|[.,]\d))
  | (?P<num>(?:(?<![\w)])[-−+]\s?)?(?:[$€£]\s?-?)?(?:\d+(?:[.,'’]+\d+)*|(?<![\w.,])[.,]\d+)
        (?P<suffix>\s?%|[^\W\d_]+|[$€£])?)
  | (?P<id>[^\W\d_]{1,3}-?\d+[^\W_]*)
  | (?P<word>[^\W\d_]+(?:[/&_'’-][^\W\d_]+)*)
  | (?P<punct><=|>=|->|→|=>|\.\.\.|…|\S)
    """,
    re.VERBOSE,
)
_VULGAR = {"½": "1/2", "¼": "1/4", "¾": "3/4", "⅓": "1/3", "⅔": "2/3", "⅛": "1/8"}
_COMMA_DECIMAL = re.compile(r"\d,\d{1,2}(?![\d,])|\d\.\d{3},\d|\d,\d{4,}")
_POINT_DECIMAL = re.compile(r"\d\.\d{1,2}(?![\d.])|\d,\d{3}\.\d")
_HYPHENATED = re.compile(r"\b([^\W\d_]+)-([^\W\d_]+)\b")
_WRITTEN = re.compile(r"(?<![\w.,/])(?<!\d\s)\w+(?:['’/]\w*)?(?![\w/])")
_PLURAL_OWNER = re.compile(r"(?<=\w)s['’] ")
_GLUED = re.compile(r"\b(buy|sell|compra|vende)(?=\d)", re.IGNORECASE)
_FOR_ME = re.compile(r"\b4 (?=(?:me|us)\b)", re.IGNORECASE)
_COUNTED = re.compile(r"(?<=\d)-(?=(?:minute|min|hour|hr|day|week|month|year|minuto|hora|dia|semana)\b)", re.IGNORECASE)
_AND_A_HALF = re.compile(r"\b(\d{1,4}) (?:and a half|y medi[oa])\b", re.IGNORECASE)
_SUB = re.compile(r"\bsub[- ](?=\d)", re.IGNORECASE)
_DOTTED = re.compile(r"(?<=[^\W\d_])\.(?=[^\W\d_]{2})")
_SLASHED = re.compile(r"\w+(?:/\w+)+")
_POSSESSIVE = re.compile(r"([^\W\d_]{2,})['’]s", re.IGNORECASE)
_MAX_TOKENS = 160
_WIDEST = 6
_MIN_REPAIR = 4
_HALF_STEP = 0.5
_TRADED = {"EUR": "EURUSD", "GBP": "GBPUSD"}
_CARRIED = frozenset({"question", "model", "notify", "alert", "mine", "signal"})
_PERIODIC = ("per:", "tf:", "days:")
_DEEDS = frozenset({"pause", "resume", "start", "stop", "buy", "sell", "close", "dispose", "cancel"})
_ACTS = ("cancel", "start", "stop", "pause", "resume")
_TRADE_VERBS = ("buy", "sell", "close", "dispose")
_ALIKE = frozenset(frozenset(pair) for pair in ("bv", "sz", "cs", "cz", "ck", "cq", "kq", "yi", "gj", "mn", "uy", "iy"))
_CURRENCY = {"$": "USD", "€": "EUR", "£": "GBP"}


@dataclass(slots=True)
class Token:
    """One word, phrase, number or mark.

    Attributes:
        text: Folded text.
        raw: Text as written.
        labels: Meanings; payload labels are `kind:value`.
        value: Value of a number; `None` for anything else and for a malformed number.
        unit: What a number counts.
        payload: Time unit or currency of a number.
        is_number: Whether it is a number, well-formed or not.
        is_fraction: Whether it was said as a part ("half", "1/4").
        signed: Whether a sign was written in front.
    """

    text: str
    raw: str
    labels: frozenset[str] = frozenset()
    value: Decimal | None = None
    unit: Unit = ""
    payload: str = ""
    is_number: bool = False
    is_fraction: bool = False
    is_word_number: bool = False
    signed: bool = False
    repaired: bool = False
    negated: bool = field(default=False)

    def has(self, *labels: str) -> bool:
        """Tell whether it carries one of these labels."""
        return any(label in self.labels for label in labels)

    def get(self, kind: str) -> str | None:
        """Return the payload of the first label of a kind, if any."""
        for label in self.labels:
            if label.startswith(kind) and label[len(kind) : len(kind) + 1] == ":":
                return label[len(kind) + 1 :]
        return None

    def of(self, kind: str) -> list[str]:
        """Return all payloads of a kind."""
        prefix = kind + ":"
        return sorted(label[len(prefix) :] for label in self.labels if label.startswith(prefix))


def detect_language(text: str) -> Language | None:
    """Return the language of the words, or `None` when they do not tell."""
    lexicon = load_lexicon()
    spanish, english = lexicon.own["es"], lexicon.own["en"]
    score = 2 * sum(mark in text.lower() for mark in "ñ¿¡áéíóú")
    for word in re.findall(r"[^\W\d_]+(?:['’][^\W\d_]+)?", text):
        folded = fold(word).replace("'", "").replace("’", "")
        if folded in lexicon.shared.known:
            continue
        score += (_weight(folded, spanish) - _weight(folded, english)) * (2 if len(folded) > 3 else 1)
    if score == 0:
        # English speakers say "hola" and "gracias" too; alone they are Spanish.
        words = {fold(word) for word in re.findall(r"[^\W\d_]+", text)}
        return "es" if words and words <= word_set("spanish_alone") else None
    return "es" if score > 0 else "en"


def _weight(word: str, vocabulary: Vocabulary) -> int:
    return int(word in vocabulary.known)


def tokenize(text: str, language: Language) -> list[Token]:
    """Return the tagged tokens of a text."""
    text = _respell(_HYPHENATED.sub(_open_number, _open_text(text)), language)
    for sign, digits in _VULGAR.items():
        text = text.replace(sign, f" {digits} ")
    comma = _writes_comma(text, language)
    plain = [_plain(match, comma) for match in _TOKEN.finditer(text)][:_MAX_TOKENS]
    for token in plain:
        _mend(token, language)
    return _join_units(_join_number_words(_tag(plain, language), language), language)


def _open_text(text: str) -> str:
    """Open what is written together: "dollars' worth", "sub-100", "atlas.size", "momentum/doge"."""
    text = _PLURAL_OWNER.sub("s ", text)
    text = _GLUED.sub(r"\1 ", _SUB.sub("below ", _FOR_ME.sub("for ", text)))
    text = _AND_A_HALF.sub(r"\1.5", _COUNTED.sub(" ", _DOTTED.sub(" ", text)))
    return _SLASHED.sub(_open_slashes, text)


def _open_slashes(match: re.Match[str]) -> str:
    lexicon = load_lexicon()
    words = fold(match[0]).split("/")
    known = (lexicon.shared, *lexicon.own.values())
    if any(fold(match[0]) in vocabulary.phrases for vocabulary in known):
        return match[0]
    is_list = all(word[:1].isdigit() or any(word in vocabulary.phrases for vocabulary in known) for word in words)
    return match[0].replace("/", " ") if is_list and not all(word.isdigit() for word in words) else match[0]


def _respell(text: str, language: Language) -> str:
    """Write out what people shorten in messages ("wut", "2day", "xq")."""
    spellings = load_lexicon().own[language].spellings
    return _WRITTEN.sub(lambda match: spellings.get(fold(match[0]), match[0]), text)


def _open_number(match: re.Match[str]) -> str:
    """Open "twenty-one" and "six-week", so that numbers read alike with and without a hyphen."""
    numbers = load_lexicon().own["en"].numbers["units"]
    units = load_lexicon().own["en"].time_units
    first, second = fold(match[1]), fold(match[2])
    if fold(match[0]) in load_lexicon().own["en"].phrases:
        return match[0]
    fractions = load_lexicon().own["en"].numbers["fractions"]
    opens = first in numbers and (second in numbers or second in units or second in fractions)
    return f"{match[1]} {match[2]}" if opens else match[0]


def _writes_comma(text: str, language: Language) -> bool:
    if _COMMA_DECIMAL.search(text) and not _POINT_DECIMAL.search(text):
        return True
    if _POINT_DECIMAL.search(text) and not _COMMA_DECIMAL.search(text) and re.search(r"\d,\d{3}\.\d", text):
        return False
    return language == "es"


def _plain(match: re.Match[str], comma: bool) -> Token:
    raw = match[0].strip()
    kind = match.lastgroup if match.lastgroup != "suffix" else "num"
    if match["ratio"]:
        return _ratio(raw)
    if match["sci"]:
        return Token(raw, raw, value=read_scientific(raw), is_number=True)
    if match["num"]:
        return _number(raw, comma)
    if fold(raw) in word_set("not_finite"):
        return Token(fold(raw), raw, is_number=True)
    if kind == "id":
        return Token(fold(raw), raw, frozenset({"id"}))
    return Token(_without_apostrophe(raw), raw)


def _without_apostrophe(raw: str) -> str:
    """Return a folded word without its apostrophe, and a possessive without its ending ("the bot's view")."""
    owner = _POSSESSIVE.fullmatch(raw)
    if owner and fold(owner[1]) not in load_lexicon().own["en"].contracted:
        return fold(owner[1])
    return fold(raw).replace("'", "").replace("’", "")


def _ratio(raw: str) -> Token:
    top, bottom = (int(part) for part in re.split(r"[/⁄]", raw))
    if bottom == 0:
        return Token(raw, raw, is_number=True)
    return Token(raw, raw, value=_decimal(Fraction(top, bottom)), is_number=True, is_fraction=True)


def _decimal(value: Fraction) -> Decimal:
    return (Decimal(value.numerator) / Decimal(value.denominator)).normalize()


def _number(raw: str, comma: bool) -> Token:
    negative = raw[0] in "-−"
    body = raw.lstrip("-−+ ")
    currency = next((_CURRENCY[mark] for mark in _CURRENCY if mark in body), "")
    body = body.strip("$€£ ")
    if body.startswith("-"):
        negative, body = True, body[1:]
    digits = re.match(r"[\d.,'’]+", body)
    if digits is None:
        return Token(raw, raw)
    suffix = fold(body[digits.end() :]).strip()
    unit: Unit = "money" if currency else "percent" if suffix == "%" else ""
    if suffix == "s":
        return Token(fold(raw), raw, is_number=True)
    if suffix and suffix != "%" and not is_magnitude(suffix) and not _known_suffix(suffix):
        return Token(fold(raw), raw, frozenset({"id"}))
    value = read_scaled(digits[0], suffix, comma_decimal=comma)
    token = Token(fold(raw), raw, value=value, unit=unit, payload=currency or suffix, is_number=True)
    token.signed = raw[0] in "-−+"
    if negative and value is not None:
        token.value = -value
    return token


def _known_suffix(suffix: str) -> bool:
    lexicon = load_lexicon()
    return (
        any(
            suffix in v.time_units or suffix in v.numbers["cents"] or suffix in v.numbers["scales"]
            for v in lexicon.own.values()
        )
        or any(s in lexicon.shared.phrases for s in (suffix, suffix.rstrip("s")))
        or suffix in ("oz", "ozs", "x", "pct", "st", "nd", "th", "rd")
    )


def _tag(plain: Sequence[Token], language: Language) -> list[Token]:
    lexicon = load_lexicon()
    tagged: list[Token] = []
    position = 0
    while position < len(plain):
        token, width = _match(plain, position, lexicon, language)
        tagged.append(token)
        position += width
    return tagged


def _match(plain: Sequence[Token], position: int, lexicon: Lexicon, language: Language) -> tuple[Token, int]:
    own, other = lexicon.own[language], lexicon.own["en" if language == "es" else "es"]
    first = plain[position]
    for width in range(min(_WIDEST, len(plain) - position), 1, -1):
        span = plain[position : position + width]
        phrase = " ".join(token.text for token in span)
        labels = _phrase_labels(phrase, lexicon, language)
        if labels and not _is_overlapped(plain, position, width, lexicon, language):
            carried = _carried(span, own, other, labels) - labels
            if any(label.startswith(_PERIODIC) for label in labels):
                carried = frozenset(label for label in carried if not label.startswith("per:"))
            joined = Token(phrase, " ".join(token.raw for token in span), labels | carried)
            joined.repaired = any(token.repaired for token in span)
            return joined, width
    if first.is_number or first.has("id"):
        if first.has("id") and not any(c.isdigit() for c in first.text[:1]):
            first.labels |= own.phrases.get(first.text) or other.phrases.get(first.text, frozenset())
        return first, 1
    first.labels = first.labels | _single(first, lexicon, language)
    if first.repaired and (
        (first.has(*_TRADE_VERBS) and not _is_sure_repair(plain, position))
        or (first.has(*_ACTS) and not _is_slip(fold(first.raw), first.text))
    ):
        first.labels = frozenset()
    return first, 1


def _phrase_labels(phrase: str, lexicon: Lexicon, language: Language) -> frozenset[str]:
    own, other = lexicon.own[language], lexicon.own["en" if language == "es" else "es"]
    labels = own.phrases.get(phrase, frozenset()) | lexicon.shared.phrases.get(phrase, frozenset())
    return labels or other.phrases.get(phrase, frozenset())


def _is_overlapped(plain: Sequence[Token], position: int, width: int, lexicon: Lexicon, language: Language) -> bool:
    """Tell whether a longer phrase starts behind the article of this one ("la [salida de emergencia]")."""
    if plain[position].text not in word_set("articles_before"):
        return False
    start = position + 1
    return any(
        _phrase_labels(" ".join(token.text for token in plain[start:stop]), lexicon, language)
        for stop in range(min(len(plain), start + _WIDEST), position + width, -1)
    )


def _is_sure_repair(plain: Sequence[Token], position: int) -> bool:
    """Tell whether a misspelt trade verb stands where a verb may, and is off by a slip and not by another letter."""
    token = plain[position]
    return (position == 0 or _may_be_verb(plain[position - 1])) and _is_slip(fold(token.raw), token.text)


def _is_slip(written: str, meant: str) -> bool:
    """Tell whether letters are swapped, doubled, dropped or sound alike ("bende"), as in no other real word."""
    if len(written) != len(meant) or sorted(written) == sorted(meant):
        return True
    return all(a == b or frozenset(a + b) in _ALIKE for a, b in zip(written, meant, strict=True))


def _may_be_verb(before: Token) -> bool:
    """Tell whether a misspelt word behind this one may be a trade verb; elsewhere a repair into one is a guess."""
    return (
        not before.labels - {"greeting", "polite", "confirm", "then", "also", "thanks", "instead"}
        and not before.is_number
    )


def _carried(span: Sequence[Token], own: Vocabulary, other: Vocabulary, labels: frozenset[str]) -> frozenset[str]:
    """Return meanings of single words that a phrase around them does not undo."""
    found: set[str] = set()
    for token in span:
        found.update(own.phrases.get(token.text) or other.phrases.get(token.text) or ())
        if token is not span[0]:
            found -= {"question"} - set(own.phrases.get(span[0].text, ()))
    if span[0].text == "do" or labels & _DEEDS:
        found.discard("question")
    return frozenset(label for label in found if label in _CARRIED or label.startswith("per:"))


def _single(token: Token, lexicon: Lexicon, language: Language) -> frozenset[str]:
    own, other = lexicon.own[language], lexicon.own["en" if language == "es" else "es"]
    text = token.text
    accented = own.accented.get(token.raw.lower()) or other.accented.get(token.raw.lower())
    if accented:
        return accented
    labels = own.phrases.get(text, frozenset()) | lexicon.shared.phrases.get(text, frozenset())
    if labels or text in own.known:
        return labels
    if len(text) >= 3 and text in other.phrases:
        return other.phrases[text]
    for base in _bases(text):
        labels = lexicon.shared.phrases.get(base, frozenset()) or (
            own.phrases.get(base, frozenset()) if len(base) > 3 else frozenset()
        )
        if labels:
            return labels
    return other.phrases.get(text, frozenset()) if token.repaired else frozenset()


def _bases(text: str) -> Iterator[str]:
    if text.endswith("s") and len(text) > 3:
        yield text[:-1]
    if "-" in text:
        yield text.replace("-", "/")
        yield text.replace("-", "")
        yield text.replace("-", " ")


def _mend(token: Token, language: Language) -> None:
    """Put the word that is meant in place of a misspelt one."""
    text = token.text
    if token.is_number or len(text) < _MIN_REPAIR or not text.isalpha() or (token.raw.isupper() and len(text) < 6):
        return
    lexicon = load_lexicon()
    if any(text in vocabulary.known for vocabulary in (lexicon.shared, *lexicon.own.values())):
        return
    if any(_is_base(base, lexicon, language) for base in _bases(text)):
        return
    best = _nearest_word(text, language)
    if best:
        token.repaired, token.text = True, best


def _is_base(base: str, lexicon: Lexicon, language: Language) -> bool:
    return base in lexicon.shared.phrases or (len(base) > 3 and base in lexicon.own[language].phrases)


@lru_cache(maxsize=4096)
def _nearest_word(text: str, language: Language) -> str:
    """Return the content word that a misspelt word most likely is, or an empty string."""
    lexicon = load_lexicon()
    best, best_distance = "", 3.0
    letters = sorted(text)
    for words in (lexicon.shared.repairable, *(lexicon.own[name].repairable for name in _order(language))):
        for word in words:
            if abs(len(word) - len(text)) > 1 or not _same_start(text, word):
                continue
            distance = float(OSA.distance(text, word, score_cutoff=2))
            if len(text) == len(word) and sorted(word) == letters:
                distance -= _HALF_STEP
            if distance < best_distance:
                best, best_distance = word, distance
    return best if best and best_distance <= _allowed(text, best) else ""


def _order(language: Language) -> tuple[Language, Language]:
    return ("en", "es") if language == "en" else ("es", "en")


def _same_start(text: str, word: str) -> bool:
    return text[0] == word[0] or text[:2] == word[1::-1]


def _allowed(text: str, word: str) -> int:
    if sorted(text) == sorted(word):
        return 2 if len(text) >= 6 else 1
    if len(word) <= 4:
        return 1 if len(text) > len(word) and text[-1] == text[-2] else 0
    return 2 if len(word) >= 9 else 1


def _join_number_words(tokens: list[Token], language: Language) -> list[Token]:
    own = load_lexicon().own[language]
    joined: list[Token] = []
    position = 0
    while position < len(tokens):
        read = _read_words(tokens, position, own, language)
        if read is None:
            joined.append(tokens[position])
            position += 1
        else:
            joined.append(read[0])
            position = read[1]
    return joined


def _is_word(token: Token, own: Vocabulary, *roles: str) -> bool:
    return not token.is_number and any(token.text in own.numbers[role] for role in roles)


def _read_words(tokens: list[Token], start: int, own: Vocabulary, language: Language) -> tuple[Token, int] | None:
    position = start
    negative = False
    if (
        tokens[position].text in word_set("articles")
        and position + 1 < len(tokens)
        and (tokens[position + 1].has("unit") or _is_only_one(tokens, position))
        and tokens[position + 1].text not in ("lot", "unit")
        and not _is_part(tokens, position)
    ):
        return Token("1", tokens[position].raw, value=Decimal(1), is_number=True, is_word_number=True), position + 1
    counts = position + 1 < len(tokens) and tokens[position + 1].has("unit")
    if tokens[position].text in ("one", "ones") and position and _points(tokens[position - 1]) and not counts:
        return None
    if _is_word(tokens[position], own, "minus") and position + 1 < len(tokens):
        following = tokens[position + 1]
        if following.is_number and following.value is not None:
            following.value, following.signed = -abs(following.value), True
            return following, position + 2
        negative, position = True, position + 1
    reader = _WordReader(tokens, own, language)
    end = reader.read(position)
    if end == position or (negative and reader.value is None):
        return None
    value = -reader.value if negative else reader.value
    text = " ".join(token.text for token in tokens[start:end])
    raw = " ".join(token.raw for token in tokens[start:end])
    token = Token(text, raw, value=value, is_number=True, is_fraction=reader.is_fraction, is_word_number=True)
    token.signed = negative
    if any(word in ("grand", "hundo", "hundos") for word in text.split(" ")):
        token.unit, token.payload = "money", "USD"
    first = tokens[start]
    if first.is_number:
        token.unit, token.payload = first.unit, first.payload if first.unit == "money" else ""
        token.is_word_number = False
    return token, end


def _is_only_one(tokens: list[Token], position: int) -> bool:
    """Tell whether "one position" is a count ("only one position"), and not just any position."""
    return tokens[position + 1].text in ("posicion", "position") and position > 0 and tokens[position - 1].has("only")


def _is_part(tokens: list[Token], position: int) -> bool:
    """Tell whether a fraction was said in front ("a quarter of an ounce")."""
    behind = [t.text for t in tokens[max(0, position - 2) : position]]
    fractions = load_lexicon().own["en"].numbers["fractions"] | load_lexicon().own["es"].numbers["fractions"]
    return any(text in fractions for text in behind)


def _points(token: Token) -> bool:
    """Tell whether "one" behind a word stands for a thing and not for a number ("the eth one")."""
    return (
        token.get("sym") is not None
        or token.has("it")
        or token.text in ("the", "last", "which", "no", "any", "every", "each", "first", "second", "next")
    )


class _WordReader:
    """Reads one spoken number; `value` and `is_fraction` hold the result."""

    def __init__(self, tokens: list[Token], own: Vocabulary, language: Language) -> None:
        self._tokens, self._own, self._language = tokens, own, language
        self.value = Decimal(0)
        self.is_fraction = False

    def read(self, position: int) -> int:
        """Read from `position` and return the position behind the number (`position` itself if there is none)."""
        first = self._tokens[position]
        if first.is_number:
            return self._scale_digits(position)
        if self._word(position, "article", "groups"):
            end = self._group(position)
            if end > position:
                return end
        if self._word(position, "point") and (self._word(position + 1, "units") or self._says_oh(position + 1)):
            return self._decimals(position + 1)
        if not self._word(position, "units", "scales", "fractions", "hundreds"):
            return position
        if self._word(position, "fractions"):
            return self._fraction(position, Decimal(1))
        if self._language == "es" and first.text in ("un", "una") and not self._follows_number(position + 1):
            return position
        end = self._dozens(self._integer(position))
        return self._tail(position, end)

    def _dozens(self, end: int) -> int:
        """Read the dozens that were counted ("two dozen", "tres docenas")."""
        if end < len(self._tokens) and self._tokens[end].text.startswith(("dozen", "docena")):
            self.value *= 12
            return end + 1
        return end

    def _word(self, position: int, *roles: str) -> bool:
        return position < len(self._tokens) and _is_word(self._tokens[position], self._own, *roles)

    def _follows_number(self, position: int) -> bool:
        return self._word(position, "scales", "fractions", "groups")

    def _scale_digits(self, position: int) -> int:
        token = self._tokens[position]
        scales = {**self._own.numbers["scales"], "hundred": "100"}
        following = self._tokens[position + 1].text if position + 1 < len(self._tokens) else ""
        if (
            following in scales
            and token.value is not None
            and token.unit in ("", "money")
            and not token.payload.isalpha()
        ):
            self.value = token.value * Decimal(scales[following])
            return self._rest(position + 2, Decimal(scales[following]))
        if following in scales and token.unit == "money" and token.value is not None:
            self.value = token.value * Decimal(scales[following])
            return position + 2
        return position

    def _rest(self, position: int, scale: Decimal) -> int:
        """Read the hundreds behind a scale ("3 mil 500")."""
        token = self._tokens[position] if position < len(self._tokens) else None
        if scale == 1000 and token is not None and re.fullmatch(r"[1-9]\d{2}", token.text) and token.value is not None:
            self.value += token.value
            return position + 1
        return position

    def _group(self, position: int) -> int:
        start = position
        if self._word(position, "article"):
            position += 1
        if self._word(position, "groups"):
            self.value = Decimal(self._own.numbers["groups"][self._tokens[position].text])
            return self._times_scale(position + 1)
        if self._word(position, "fractions") and self._language == "en":
            return self._fraction(position, Decimal(1))
        if self._word(position, "fractions") and self._tokens[position].text not in ("media",):
            return self._fraction(position, Decimal(1))
        if self._word(position, "scales", "hundreds") and position > start and self._language == "en":
            end = self._integer(position, implied=True)
            return self._tail(position, end)
        return start

    def _times_scale(self, position: int) -> int:
        """Read "of thousands" behind a group ("un par de miles")."""
        ahead = (
            position + 1 if position < len(self._tokens) and self._tokens[position].text in ("de", "of") else position
        )
        if self._word(ahead, "scales"):
            self.value *= Decimal(self._own.numbers["scales"][self._tokens[ahead].text])
            return ahead + 1
        return position

    def _fraction(self, position: int, count: Decimal) -> int:
        token = self._tokens[position]
        self.value = (count * _part(self._own.numbers["fractions"][token.text])).normalize()
        self.is_fraction = True
        position += 1
        scales = self._own.numbers["scales"]
        articles = self._own.numbers["article"]
        ahead = position
        if ahead < len(self._tokens) and self._tokens[ahead].text in articles:
            ahead += 1
        many = {**self._own.numbers["groups"], **scales}
        if ahead < len(self._tokens) and self._tokens[ahead].text in many:
            self.value = plain_part(self.value * Decimal(many[self._tokens[ahead].text]))
            self.is_fraction = False
            return ahead + 1
        if (
            self._language == "es"
            and position < len(self._tokens)
            and self._tokens[position].text in ("parte", "partes")
        ):
            return position + 1
        return position

    def _integer(self, position: int, *, implied: bool = False) -> int:
        units, hundreds, scales = (self._own.numbers[r] for r in ("units", "hundreds", "scales"))
        total, current = Decimal(0), Decimal(1 if implied else 0)
        previous = Decimal(0)
        while position < len(self._tokens) and not self._tokens[position].is_number:
            text = self._tokens[position].text
            if text in units:
                value = Decimal(units[text])
                if not _continues(previous, value, current, self._language):
                    break
                if _is_year_style(previous, value, current, self._language):
                    current = current * 100 + value
                else:
                    current += value
                previous = value
            elif text in hundreds:
                current, previous = max(current, Decimal(1)) * 100, Decimal(100)
            elif text in scales:
                total += max(current, Decimal(1)) * Decimal(scales[text])
                current, previous = Decimal(0), Decimal(1000)
            elif text in self._own.numbers["and"] and self._joins(position, previous):
                position += 1
                continue
            elif "-" in text and all(part in units for part in text.split("-")):
                current += sum((Decimal(units[part]) for part in text.split("-")), Decimal(0))
                previous = Decimal(1)
            else:
                break
            position += 1
        self.value = total + current
        return position

    def _joins(self, position: int, previous: Decimal) -> bool:
        following = self._tokens[position + 1].text if position + 1 < len(self._tokens) else ""
        units = self._own.numbers["units"]
        if following not in units:
            return False
        if self._language == "es":
            return 30 <= previous <= 90 and Decimal(units[following]) < 10
        return previous in (100, 1000)

    def _tail(self, start: int, end: int) -> int:
        if end == start:
            return start
        if self._word(end, "fractions"):
            return self._fraction(end, self.value)
        if self._word(end, "point"):
            read = self._decimals(end + 1)
            if read > end + 1:
                return read
        joined = self._and_fraction(end)
        return joined or end

    def _decimals(self, position: int) -> int:
        units = self._own.numbers["units"]
        digits = ""
        while position < len(self._tokens) and self._tokens[position].text in {**units, "oh": "0", "o": "0"}:
            digits += units.get(self._tokens[position].text, "0")
            position += 1
        if digits:
            self.value = Decimal(f"{self.value}.{digits}")
        return position

    def _says_oh(self, position: int) -> bool:
        return position < len(self._tokens) and self._tokens[position].text == "oh"

    def _and_fraction(self, end: int) -> int:
        """Read "and a half", "y medio", "con cincuenta"; return 0 when there is none."""
        tokens, own = self._tokens, self._own
        if end >= len(tokens):
            return 0
        whole = self.value
        if tokens[end].text in own.numbers["and"]:
            ahead = end + 1
            if ahead < len(tokens) and tokens[ahead].text in own.numbers["article"]:
                ahead += 1
            count = Decimal(1)
            if self._word(ahead, "units") and self._word(ahead + 1, "fractions"):
                count, ahead = Decimal(own.numbers["units"][tokens[ahead].text]), ahead + 1
            if self._word(ahead, "fractions"):
                end = self._fraction(ahead, count)
                self.value, self.is_fraction = whole + self.value, False
                return end
        if self._language == "es" and tokens[end].text == "con" and self._word(end + 1, "units"):
            behind = self._integer(end + 1)
            cents = self.value
            self.value = whole
            if 10 <= cents < 100:
                self.value = whole + cents / 100
                return behind
        return 0


def plain_part(value: Decimal) -> Decimal:
    """Return a multiple without the noise of a third ("a third of a dozen")."""
    return value.quantize(Decimal("0.000001")).normalize()


def _part(text: str) -> Decimal:
    return _decimal(Fraction(text))


def _continues(previous: Decimal, value: Decimal, current: Decimal, language: Language) -> bool:
    if previous == 0:
        return current == 0 or value < 1000
    if previous in (100, 1000):
        return value < 1000
    if 100 < previous < 1000:
        return value < 100
    if 20 <= previous <= 90 and 0 < value < 10:
        return True
    return language == "en" and 10 <= value < 100 and 10 < current < 100


def _is_year_style(previous: Decimal, value: Decimal, current: Decimal, language: Language) -> bool:
    return language == "en" and previous < 100 and value >= 10 and 10 < current < 100


def _join_units(tokens: list[Token], language: Language) -> list[Token]:
    """Give each number the unit written beside it: percent, currency, cents, time."""
    joined: list[Token] = []
    position = 0
    while position < len(tokens):
        token = tokens[position]
        if token.is_number:
            position = _absorb(tokens, position, language)
        elif (
            token.get("cur")
            and position + 1 < len(tokens)
            and _bare(tokens[position + 1])
            and token.text.isupper() is False
        ):
            following = tokens[position + 1]
            if token.text in ("usd", "usdt", "eur", "gbp", "$") and not token.get("sym"):
                following.unit, following.payload = "money", token.get("cur") or "USD"
                position += 1
                token = following
        joined.append(token)
        position += 1
    return joined


def _bare(token: Token) -> bool:
    return token.is_number and token.unit == "" and not token.payload


def _absorb(tokens: list[Token], position: int, language: Language) -> int:
    """Take the unit words behind a number into it; return the position of the last token taken."""
    token = tokens[position]
    lexicon = load_lexicon()
    own = lexicon.own[language]
    suffix = token.payload if token.unit == "" else ""
    if (suffix and _apply_suffix(token, suffix, own, lexicon)) or position + 1 >= len(tokens):
        return position
    following = tokens[position + 1]
    if following.is_number and _is_spaced_group(tokens, position):
        token.value = Decimal(token.text + following.text)
        position += 1
        if position + 1 >= len(tokens):
            return position
        return position + _absorb_money(token, tokens[position + 1], own)
    return position + (
        _absorb_percent(tokens, position, own)
        or _absorb_time(token, following, own)
        or _absorb_money(token, following, own)
        or _absorb_sum(tokens, position, own)
    )


def _absorb_sum(tokens: list[Token], position: int, own: Vocabulary) -> int:
    """Read "of dollars" behind a spoken sum ("un par de miles de dólares", "half a million of dollars")."""
    ahead = tokens[position + 1 : position + 3]
    if (
        len(ahead) < 2
        or not tokens[position].is_word_number
        or ahead[0].text not in ("de", "of")
        or ahead[1].get("sym")
    ):
        return 0
    return 2 if _absorb_money(tokens[position], ahead[1], own) else 0


def _absorb_percent(tokens: list[Token], position: int, own: Vocabulary) -> int:
    text = tokens[position + 1].text
    two = f"{text} {tokens[position + 2].text}" if position + 2 < len(tokens) else ""
    taken = 1 if text == "%" or text in own.numbers["percent"] else 2 if two in own.numbers["percent"] else 0
    if taken:
        tokens[position].unit = "percent"
    return taken


def _absorb_time(token: Token, following: Token, own: Vocabulary) -> int:
    text = following.text
    if text not in own.time_units or text == "a" or (len(text) == 1 and token.is_word_number):
        return 0
    token.unit, token.payload = "time", own.time_units[text]
    return 1


def _absorb_money(token: Token, following: Token, own: Vocabulary) -> int:
    if following.text in own.numbers["cents"] and token.value is not None:
        token.unit, token.value, token.payload = "money", token.value / 100, "cents"
        return 1
    currency = following.get("cur")
    if not currency:
        return 0
    token.unit, token.payload = "money", currency
    symbol = following.get("sym") or (
        _TRADED.get(currency) if following.text in word_set("plural_currencies") else None
    )
    if symbol:
        token.labels |= {f"sym?:{symbol}"}
    return 1


def _is_spaced_group(tokens: list[Token], position: int) -> bool:
    first, second = tokens[position], tokens[position + 1]
    if not (re.fullmatch(r"[1-9]\d{0,2}", first.text) and re.fullmatch(r"\d{3}", second.text)):
        return False
    behind = tokens[position + 2] if position + 2 < len(tokens) else None
    return behind is not None and (behind.get("sym") is not None or behind.has("unit") or behind.get("cur") is not None)


def _apply_suffix(token: Token, suffix: str, own: Vocabulary, lexicon: Lexicon) -> bool:
    """Read the letters glued to a number; tell whether they are a unit."""
    if is_magnitude(suffix):
        token.payload = "m" if suffix == "m" else ""
        return False
    for vocabulary in (own, *lexicon.own.values()):
        known = _word_suffix(token, suffix, vocabulary)
        if known is not None:
            return known
    if suffix == "pct":
        token.unit = "percent"
        return True
    return _name_suffix(token, suffix, lexicon)


def _word_suffix(token: Token, suffix: str, vocabulary: Vocabulary) -> bool | None:
    scale = vocabulary.numbers["scales"].get(suffix)
    if suffix in vocabulary.numbers["cents"]:
        token.unit, token.payload = "money", "cents"
        token.value = None if token.value is None else token.value / 100
        return True
    if suffix in vocabulary.time_units:
        token.unit, token.payload = "time", vocabulary.time_units[suffix]
        return True
    if scale:
        token.value = None if token.value is None else token.value * Decimal(scale)
        token.payload = ""
        return False
    return None


def _name_suffix(token: Token, suffix: str, lexicon: Lexicon) -> bool:
    labels = lexicon.shared.phrases.get(suffix) or lexicon.shared.phrases.get(suffix.rstrip("s")) or frozenset()
    currency = next((label[4:] for label in labels if label.startswith("cur:")), None)
    if currency:
        token.unit, token.payload = "money", currency
        return True
    token.labels |= labels | ({"unit"} if suffix in ("oz", "ozs") else set())
    token.payload = ""
    return False


__all__ = ["Token", "detect_language", "read_digits", "tokenize"]
