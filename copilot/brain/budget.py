"""How much of a conversation fits into a model's context, without asking a tokenizer that we do not have.

`tokens` is a conservative bound for the tokenizers of the models we name: the letters of a word in pieces of three, of
anything that looks like no word in pieces of two, digits and signs one by one, other scripts by their bytes. A prompt
that fits by this bound fits in truth, so that no server ever has to shorten it; what it costs is a part of the context
that stays unused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from copilot.offline.values import Turn

_PIECE = re.compile(r"[A-Za-z]+|[^\W\d_A-Za-z]+|\s+|.", re.DOTALL)
_LETTERS_A_TOKEN = 3
_LONGEST_WORD = 16
_MESSAGE_TOKENS = 8
"""What a chat template adds around each message."""
_LONGEST_LINE = 700
"""Characters of an earlier answer that a prompt repeats; a long table helps nobody later."""


@dataclass(frozen=True, slots=True)
class Budget:
    """How the context is shared out, in tokens.

    Attributes:
        context: What the model holds.
        reply: Kept free for its reply.
        system: Taken by the system message.
    """

    context: int
    reply: int
    system: int

    @property
    def conversation(self) -> int:
        """Return what history and the last message may take together."""
        return self.context - self.reply - self.system

    @property
    def history(self) -> int:
        """Return what the history may take: half, so that the last message always has room."""
        return self.conversation // 2


def tokens(text: str) -> int:
    """Return an upper bound for the tokens of a text.

    >>> tokens("compra 0,05 BTC")
    8
    """
    return sum(_piece_tokens(match[0]) for match in _PIECE.finditer(text))


def prompt_tokens(texts: Iterable[str]) -> int:
    """Return an upper bound for the tokens of messages, with what a template adds to each."""
    return sum(tokens(text) + _MESSAGE_TOKENS for text in texts)


def shortened(turn: Turn) -> str:
    """Return a line of the history as prompts repeat it: the same way every time, so that its bytes stay the same."""
    if turn.role == "user" or len(turn.text) <= _LONGEST_LINE:
        return turn.text
    return turn.text[:_LONGEST_LINE].rstrip() + " …"


def newest_that_fit(history: Sequence[Turn], budget: int) -> int:
    """Return the position of the oldest line from which on the history fits, at a person's line."""
    used, start = 0, len(history)
    for position in range(len(history) - 1, -1, -1):
        used += prompt_tokens([shortened(history[position])])
        if used > budget:
            break
        start = position
    while start < len(history) and history[start].role != "user":
        start += 1
    return start


def _piece_tokens(piece: str) -> int:
    if piece.isspace():
        return len(piece) - 1 if set(piece) == {" "} else len(piece)
    if piece.isascii():
        is_word = len(piece) <= _LONGEST_WORD and (piece.islower() or piece.istitle())
        return -(-len(piece) // (_LETTERS_A_TOKEN if is_word else _LETTERS_A_TOKEN - 1))
    return len(piece.encode("utf-8", "surrogatepass"))
