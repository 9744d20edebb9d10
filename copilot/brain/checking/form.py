"""The form of an answer: plain words, lists and tables; no links, code, markup, buttons, loops or foreign characters.

The characters of an answer are a short list. Everything else (emoji, full-width digits, superscripts, marks that turn
the writing direction, look-alike letters) is caught whatever it says, so that the other checks read what a person sees.
"""

from __future__ import annotations

import re
import unicodedata

from copilot.brain.checking.caught import Caught, Reason

_OTHER_CHARACTER = re.compile(
    r"[^\t\n\r -~áéíóúüñçàèìòùâêîôûäëïößãõåøæÁÉÍÓÚÜÑÇÀÈÌÒÙÂÊÎÔÛÄËÏÖÃÕÅØÆ"
    r"¿¡«»“”„‘’–—−…·•→←≈≤≥≠×÷±½¼¾⅓⅔⅛°ºª€£¥§\u00a0\u2009\u202f\u2011]"
)
_SHAPES: tuple[tuple[Reason, re.Pattern[str]], ...] = (
    (
        "link",
        re.compile(
            r"\w+://|(?i:\bwww\.|\bmailto:)|\]\s*\(|\]\s*\[|\]:\s*\S"
            r"|\b[\w-]+\.(?:com|org|net|io|xyz|ai|app|dev|info|ru|cn|es|co|me)\b"
        ),
    ),
    ("markup", re.compile(r"<\s*[a-zA-Z/!?]|&#|&[a-zA-Z]{2,8};|```|~~~|\$\$|\\[a-zA-Z(\[]|!\[")),
    (
        "tool_call",
        re.compile(
            r"[{}]|<\||\|>|\[/?(?:tool|inst|system)|\"\w+\"\s*:|\btool_?calls?\b|\bfunction_?calls?\b|\b[a-z]+_[a-z_]+\s?\(",
            re.IGNORECASE,
        ),
    ),
)


_SPACED_LETTERS = re.compile(r"(?<!\w)(?:[^\W\d_][ .·_-]){4,}[^\W\d_](?!\w)")
_ENDLESS_WORD = re.compile(r"\w{40,}")


def check_form(part: str) -> None:
    """Check the characters and the shapes of one part, as the model wrote it.

    Raises:
        Caught: It holds what no answer holds.
    """
    composed = unicodedata.normalize("NFC", part)
    odd = _OTHER_CHARACTER.search(composed)
    if odd is not None:
        is_letter = unicodedata.category(odd[0]).startswith("L")
        raise Caught(
            "script" if is_letter else "characters", ascii(composed[max(0, odd.start() - 20) : odd.end() + 20])
        )
    if _SPACED_LETTERS.search(composed) or _ENDLESS_WORD.search(composed):
        raise Caught("characters", composed)
    for reason, pattern in _SHAPES:
        if pattern.search(composed):
            raise Caught(reason, composed)
