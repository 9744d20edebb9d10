"""Which of our languages a browser asks for."""

from __future__ import annotations

from copilot.events import Language

_OURS: tuple[Language, ...] = ("en", "es")


def browser_language(accept_language: str, fallback: Language) -> Language:
    """Return the first language of an Accept-Language header (or a language tag) that we speak.

    >>> browser_language("fr-FR, es-MX;q=0.8, en;q=0.5", "en"), browser_language("fr", "en")
    ('es', 'en')
    """
    for part in accept_language.split(","):
        tag = part.partition(";")[0].strip().lower()
        for language in _OURS:
            if tag == language or tag.startswith(f"{language}-"):
                return language
    return fallback
