"""Plain conversation: greetings, thanks, typed approvals, and trading terms that the copilot explains."""

from __future__ import annotations

from collections.abc import Sequence

from copilot.offline.lexicon import load_lexicon
from copilot.offline.tokens import Language, Token

_CONFIRM_WITH = ("confirm", "ticket", "it", "also", "neg_", "thanks", "trade", "then", "order", "instead")
_LONGEST_CONFIRMATION = 8
_PUNCTUATION_ONLY = frozenset("!?.,;:¡¿…-—()👍✅🙏😂🚀🔥")


def is_confirmation(tokens: Sequence[Token], language: Language) -> bool:
    """Tell whether a message only says yes."""
    words = [t for t in tokens if t.text not in _PUNCTUATION_ONLY and t.text.strip()]
    if not words or not any(t.has("confirm") for t in words):
        return False
    if any(t.has("ticket") for t in words):
        return True
    fillers = load_lexicon().own[language].fillers
    fits = all(t.has(*_CONFIRM_WITH) or t.text in fillers for t in words)
    return (
        fits and len(words) <= _LONGEST_CONFIRMATION and not any(t.has("sym", "greeting") or t.is_number for t in words)
    )


def find_concept(tokens: Sequence[Token], language: Language) -> str | None:
    """Return the key of the trading term that a message asks about."""
    own = load_lexicon().own[language]
    other = load_lexicon().own["en" if language == "es" else "es"]
    words = [word for token in tokens for word in token.text.split(" ")]
    for width in range(4, 0, -1):
        for start in range(len(words) - width + 1):
            phrase = " ".join(words[start : start + width])
            key = own.concepts.get(phrase) or other.concepts.get(phrase)
            if key:
                return key
    return None


def choose_talk(tokens: Sequence[Token], language: Language) -> str:
    """Return the talk code for a message that asks for nothing."""
    labels = {label for token in tokens for label in token.labels}
    if "concept_q" in labels or "question" in labels or "howto" in labels:
        key = find_concept(tokens, language)
        if key:
            return f"concept:{key}"
    for code in ("thanks", "goodbye", "greeting", "smalltalk"):
        if code in labels and not (code == "greeting" and len(tokens) > 8):
            return code
    if "cannot" in labels:
        return "cannot"
    if labels & {"neg"} and labels & {"buy", "sell", "close", "instead", "buy.weak", "order", "cancel"}:
        return "negated"
    if labels & {"past", "buy.past", "sell.past"}:
        return "past"
    if labels & {"question", "concept_q", "advice", "howto", "hypothetical"} or any(t.text == "?" for t in tokens):
        return "question"
    return "smalltalk" if len(tokens) > 3 else "help"
