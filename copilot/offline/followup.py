"""Messages that lean on the ones before: "make it 0.6", "and eth?", "cancel that one", "same for atlas"."""

from __future__ import annotations

from collections.abc import Sequence

from copilot.offline.messages import Message
from copilot.offline.tokens import Token
from copilot.offline.values import Turn


def resume(tokens: Sequence[Token], message: Message, history: Sequence[Turn]) -> Message | None:
    """Return the message completed by the conversation, or `None` when it stands alone."""
    return None
