"""The settings panel: what the owner may set in the page, shown in their language and kept in their profile.

The page only compares what came back with what stood there; whether a value can be kept is decided by the profile.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from copilot.brain.values import AUTO, OFFLINE, ChatModels
from copilot.events import Language
from copilot.web.typed_numbers import plain_number
from prompts import LANGUAGES, load_words
from tools.profile import MAX_FAVOURITES, Profile, Setting

if TYPE_CHECKING:
    from chainlit.input_widget import InputWidget

Words = Mapping[str, Any]
Short = Annotated[str, StringConstraints(strip_whitespace=True, max_length=40)]


class Panel(BaseModel):
    """What the panel sends: everything it shows, changed or not; null for a field that was emptied."""

    model_config = ConfigDict(extra="forbid")

    language: Literal["en", "es"] | None = None
    risk_per_trade_pct: Short | None = None
    base_currency: Short | None = None
    favourites: Annotated[list[Short], Field(max_length=10 * MAX_FAVOURITES)] | None = None
    chat_model: Annotated[str, StringConstraints(max_length=210)] | None = None


def panel_inputs(
    profile: Profile, instruments: Sequence[str], models: ChatModels, language: Language
) -> list[InputWidget]:
    """Return the panel's fields with what stands now."""
    # Imported late: importing Chainlit reads its folder and its environment.
    from chainlit.input_widget import MultiSelect, Select, TextInput

    words: Words = load_words(language, "web")["settings"]
    names = {str(words["languages"][code]): code for code in LANGUAGES}
    symbols = list(dict.fromkeys([*instruments, *profile.favourites]))
    return [
        Select(id="language", label=words["language"], items=names, initial_value=profile.language or language),
        TextInput(
            id="risk_per_trade_pct",
            label=words["risk"],
            description=words["risk_note"],
            initial=_typed(profile.risk_per_trade_pct, language),
        ),
        MultiSelect(id="favourites", label=words["favourites"], values=symbols, initial=list(profile.favourites)),
        TextInput(
            id="base_currency",
            label=words["currency"],
            description=words["currency_note"],
            initial=profile.base_currency,
        ),
        Select(
            id="chat_model",
            label=words["chat_model"],
            description=words["chat_model_note"],
            items={_model_name(code, words): code for code in models.offered},
            initial_value=models.chosen,
        ),
    ]


def changed_settings(panel: Panel, profile: Profile, language: Language) -> dict[Setting, object]:
    """Return what differs from the profile; an emptied field changes nothing, an emptied list empties.

    Raises:
        AmbiguousNumber: The risk may be read in two ways.
    """
    changed: dict[Setting, object] = {}
    if panel.risk_per_trade_pct:
        risk = plain_number(panel.risk_per_trade_pct.rstrip("% "), language)
        if risk != _plain(profile.risk_per_trade_pct):
            changed["risk_per_trade_pct"] = risk
    if panel.base_currency and panel.base_currency.upper() != profile.base_currency:
        changed["base_currency"] = panel.base_currency
    if panel.favourites is not None and tuple(panel.favourites) != profile.favourites:
        changed["favourites"] = tuple(panel.favourites)
    if panel.language is not None and panel.language != profile.language:
        changed["language"] = panel.language
    return changed


def _model_name(code: str, words: Words) -> str:
    kind, _, name = code.partition(":")
    if code in (AUTO, OFFLINE):
        return str(words["chat_models"][code])
    return f"{name or kind} ({words['chat_models'][kind]})"


def _plain(value: Decimal) -> str:
    return format(value.normalize(), "f")


def _typed(value: Decimal, language: Language) -> str:
    """Write a number as a person of that language types it."""
    return _plain(value) if language == "en" else _plain(value).replace(".", ",")
