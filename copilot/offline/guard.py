"""Text that is not the person's own order: quoted, forwarded, pasted, encoded, or dressed up.

Such text may inform, never act. The guard removes quotations and tells whether what is left may still change anything.
Hidden and look-alike characters mark the whole message as untrusted, whatever it says.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from copilot.offline.lexicon import fold, load_lexicon

_HIDDEN = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff\u180e\u034f\U000e0000-\U000e007f]")
_QUOTES = re.compile(
    r"\"[^\"]{2,}\"|“[^”]{2,}”|«[^»]{2,}»|„[^“”]{2,}[“”]|(?<!\w)'[^']{6,}'(?!\w)|‘[^’]{6,}’|「[^」]+」|`[^`]+`|(?<!\w)\*[^*]{2,}\*(?!\w)"
)
_FOREIGN_SCRIPTS = ("CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE")
_HEADLINE = re.compile(r"^\W*([A-ZÁÉÍÓÚÑ][A-ZÁÉÍÓÚÑ _-]{3,})\s*[:>\]]")
_MAX_LENGTH = 1500


@dataclass(frozen=True, slots=True)
class Screened:
    """A message after screening.

    Attributes:
        text: What is left once quotations are taken out.
        quoted: Whether something was quoted.
        is_untrusted: Whether nothing in it may act.
    """

    text: str
    quoted: bool
    is_untrusted: bool


def refuses(text: str) -> bool:
    """Return whether a message says that nothing shall be bought or sold ("hands off", "no se vende")."""
    return load_lexicon().refusals.search(fold(text)) is not None


def screen(text: str) -> Screened:
    """Return the message without its quotations, and whether it may act at all."""
    left = _QUOTES.sub(" . ", text)
    quoted = left != text
    untrusted = _is_disguised(text) or _has_marks(text) or _has_headline(text) or len(text) > _MAX_LENGTH
    return Screened(left, quoted, untrusted)


def _is_disguised(text: str) -> bool:
    if text.isascii():
        return False
    if _HIDDEN.search(text):
        return True
    letters = [c for c in text if c.isalpha()]
    if any(unicodedata.normalize("NFKC", c) != c and c.isalpha() and ord(c) > 0x2000 for c in text):
        return True
    foreign = sum(
        any(script in unicodedata.name(c, "") for script in _FOREIGN_SCRIPTS) for c in letters if ord(c) > 0x24F
    )
    return foreign > 0


def _has_headline(text: str) -> bool:
    """Tell whether it opens with a shouted label ("NOTICE: ...") that is no name of ours."""
    match = _HEADLINE.match(text)
    return match is not None and text != text.upper() and fold(match[1]).strip() not in load_lexicon().shared.phrases


def _has_marks(text: str) -> bool:
    return load_lexicon().guard.search(fold(text)) is not None
