"""The one outcome of a text that may not stand."""

from __future__ import annotations

from typing import Literal

Reason = Literal[
    "number",
    "number_sign",
    "claim",
    "direction",
    "instrument",
    "certainty",
    "characters",
    "script",
    "language",
    "link",
    "markup",
    "tool_call",
    "interface",
    "prompt_leak",
    "repetition",
    "too_long",
    "empty",
]
_EXCERPT = 120


class Caught(Exception):
    """The text says something that no fact covers, or has a form that no answer has.

    Attributes:
        reason_code: Which check it failed.
        excerpt: The part that failed, shortened; it is the model's text and never shown to the person.
    """

    def __init__(self, reason_code: Reason, excerpt: str) -> None:
        self.reason_code: Reason = reason_code
        self.excerpt = excerpt.strip()[:_EXCERPT]
        super().__init__(f"{reason_code}: {self.excerpt!r}")
