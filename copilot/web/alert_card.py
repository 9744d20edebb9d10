"""An alert just set, as the browser draws it: how often it speaks, and buttons to change that.

Its buttons carry the alert's id; whose it is is looked up on the server. Removing one is a sentence like any other.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from copilot.events import Language
from copilot.wording.messages import render_condition
from prompts import load_words
from tools.results import AlertView

Words = Mapping[str, Any]


def alert_props(alert: AlertView, language: Language) -> dict[str, Any]:
    """Return what the element shows."""
    words: Words = load_words(language, "web")["alert"]
    told = {
        "symbol": alert.symbol,
        "condition": alert.condition,
        "value": "" if alert.value is None else f"{alert.value:f}",
    }
    if alert.timeframe is not None:
        told["timeframe"] = alert.timeframe
    return {
        "alertId": alert.alert_id,
        "title": words["title"].format(alert_id=alert.alert_id),
        "what": words["when"].format(what=render_condition(told, language).replace("\\", "")),
        "repeats": alert.repeats,
        "language": language,
        "words": {name: str(words[name]) for name in ("often", "every", "once", "remove", "failed")},
        "removal": words["removal"].format(alert_id=alert.alert_id),
    }
