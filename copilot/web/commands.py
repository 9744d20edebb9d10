"""Slash commands: typed, or chosen from the composer's menu, in either language whatever the page speaks.

A command that reads is only a shorter way to say a sentence: it goes through the same parser as typed words. Only two
do something of their own: the kill switch, which asks once more, and the code that links Telegram.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, cast, get_args

from copilot.events import Language
from copilot.web.threads import folded
from prompts import LANGUAGES, load_words

Name = Literal["portfolio", "agents", "alerts", "signal", "chart", "status", "help", "stop", "telegram"]
NAMES: tuple[Name, ...] = get_args(Name)
_ICONS: Mapping[Name, str] = {
    "portfolio": "wallet",
    "agents": "bot",
    "alerts": "bell",
    "signal": "activity",
    "chart": "chart-candlestick",
    "status": "server",
    "help": "info",
    "stop": "octagon-x",
    "telegram": "send",
}


@dataclass(frozen=True, slots=True)
class Command:
    """A command as it was given.

    Attributes:
        rest: What stands behind its name.
        language: Of the name, where it exists in one language alone.
    """

    name: Name
    rest: str
    language: Language | None


def read_command(text: str, chosen: str | None = None) -> Command | None:
    """Return the command of a message, or None when it is none that we have.

    Args:
        text: The message.
        chosen: What was chosen from the menu; the message is then what stands behind it.

    >>> read_command("/SEÑAL oro")
    Command(name='signal', rest='oro', language='es')
    >>> read_command("/telegram").language is None, read_command("signal for gold") is None
    (True, True)
    """
    if chosen:
        word, rest = chosen, text
    elif text.startswith("/"):
        word, _, rest = text[1:].partition(" ")
    else:
        return None
    known = _words().get(folded(word.strip().lstrip("/")))
    return None if known is None else Command(known[0], " ".join(rest.split()), known[1])


def is_command(text: str) -> bool:
    """Return whether a message wants to be a command, known or not.

    >>> is_command("/foo bar"), is_command("/ or not"), is_command("buy 1/2 btc")
    (True, False, False)
    """
    return len(text) > 1 and text[0] == "/" and text[1].isalpha()


def sentence(command: Command, language: Language) -> str | None:
    """Return what a reading command says, or None for one that lacks its symbol or does something else."""
    spoken = _told(language)[command.name].get("spoken")
    if spoken is None or ("{rest}" in spoken and not command.rest):
        return None
    return str(spoken).format(rest=command.rest)


def menu(language: Language) -> list[dict[str, Any]]:
    """Return the composer's menu, as Chainlit takes it."""
    told = _told(language)
    return [
        {"id": told[name]["name"], "description": told[name]["what"], "icon": _ICONS[name], "button": False}
        for name in NAMES
    ]


def _told(language: Language) -> Mapping[Name, Mapping[str, str]]:
    words: Mapping[Name, Mapping[str, str]] = load_words(language, "web")["commands"]
    return words


@cache
def _words() -> Mapping[str, tuple[Name, Language | None]]:
    """Return every name of every command, and its language where no other has it."""
    known: dict[str, tuple[Name, Language | None]] = {}
    for code in LANGUAGES:
        language = cast(Language, code)
        for name, told in _told(language).items():
            word = folded(told["name"])
            known[word] = (name, None if word in known else language)
    return known
