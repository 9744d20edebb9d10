"""Every line of the corpus keeps the routing contract, and the unseen part shares no sentence with the tuning part."""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from typing import Any

import pytest
from rapidfuzz import fuzz

from engine.domain.symbols import SYMBOLS
from tests.corpus import LANGUAGES, PARTS, Language, Part, Utterance, files, load
from tools.schema import ARGUMENTS, contract_arguments

KINDS = {
    "trade",
    "signal",
    "chart",
    "portfolio",
    "cancel",
    "alert",
    "alerts",
    "alertcancel",
    "agents",
    "control",
    "config",
    "explain",
    "backtest",
    "profile",
    "plain",
    "ask",
    "multi",
    "followup",
    "question",
    "injection",
    "confirmation",
    "badnum",
    "negation",
}
STYLES = {
    "sl",
    "tp",
    "limit",
    "stop",
    "close",
    "quote",
    "percent",
    "forex",
    "list",
    "agent",
    "numword",
    "ksuffix",
    "esdecimal",
    "esthousand",
    "slang",
    "typo",
    "sms",
    "caps",
    "voice",
    "long",
    "terse",
    "polite",
    "noaccent",
    "nonnative",
    "spanglish",
    "mx",
    "ar",
    "co",
    "cl",
    "sp",
    "uk",
    "us",
    "in",
    "au",
    "greeting",
    "concept",
    "thanks",
    "smalltalk",
    "advice",
    "past",
    "hypothetical",
    "negation",
    "noside",
    "nosymbol",
    "missing",
    "unknown",
    "commodity",
    "ambiguous",
    "contradictory",
    "price",
    "news",
    "quoted",
    "forwarded",
    "override",
    "fake",
    "tooljson",
    "code",
    "unicode",
    "encoded",
    "translate",
    "roleplay",
    "authority",
    "social",
    "setup",
    "alerttext",
    "limits",
    "beside",
    "correction",
}
NEAR_DUPLICATE = 96.0  # rapidfuzz ratio of folded texts; edits of one or two letters in a sentence
RISKY = {"execute_trade", "configure_agent"}


def _everything() -> list[tuple[Language, Part, Utterance]]:
    return [(language, part, line) for language in LANGUAGES for part in PARTS for line in load(language, part)]


EVERYTHING = _everything()


def _answers(line: Utterance) -> list[dict[str, Any]]:
    return [line.expect, *line.also]


def _fold(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    kept = "".join(char if char.isalnum() or char in ".,-%$€" else " " for char in decomposed if char.isascii())
    return " ".join(kept.rstrip(". ").split())


def _with_history(line: Utterance) -> str:
    return _fold(" | ".join([*(turn["text"] for turn in line.history), line.text]))


def test_ids_are_unique() -> None:
    repeated = [name for name, count in Counter(line.id for _, _, line in EVERYTHING).items() if count > 1]
    assert repeated == []


def test_lines_lie_in_the_folder_of_their_language() -> None:
    assert [line.id for language, _, line in EVERYTHING if line.lang != language] == []


def test_every_line_has_known_tags_and_a_kind() -> None:
    assert [
        (line.id, set(line.tags) - KINDS - STYLES) for _, _, line in EVERYTHING if set(line.tags) - KINDS - STYLES
    ] == []
    assert [line.id for _, _, line in EVERYTHING if not line.tags or line.tags[0] not in KINDS] == []


def test_lines_have_no_other_keys() -> None:
    allowed = {"id", "lang", "tags", "text", "history", "expect", "also"}
    for language in LANGUAGES:
        for part in PARTS:
            for path in files(language, part):
                for row in path.read_text(encoding="utf-8").split("\n")[:-1]:
                    assert set(json.loads(row)) - allowed == set(), row


def test_every_answer_is_calls_or_ask() -> None:
    for _, _, line in EVERYTHING:
        for answer in _answers(line):
            assert answer == {"ask": True} or list(answer) == ["calls"], line.id


def test_history_turns_have_role_and_text() -> None:
    for _, _, line in EVERYTHING:
        for turn in line.history:
            assert set(turn) == {"role", "text"}, line.id
            assert turn["role"] in {"user", "assistant"}, line.id


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("part", PARTS)
def test_arguments_validate_and_differ_from_their_defaults(language: Language, part: Part) -> None:
    for line in load(language, part):
        for answer in _answers(line):
            for call in answer.get("calls", []):
                _check_call(line, call)


def _check_call(line: Utterance, call: dict[str, Any]) -> None:
    assert set(call) == {"tool", "args"}, line.id
    model = ARGUMENTS[call["tool"]]
    model.model_validate(call["args"])
    for name, value in call["args"].items():
        field = model.model_fields[name]
        default = field.default if not field.is_required() else ...
        assert value != (list(default) if isinstance(default, tuple) else default), f"{line.id}: {name} is the default"
        assert not isinstance(value, str) or value.strip() == value != "", line.id
    _check_symbols(line, call["args"])
    _check_trade(line, call)


def _check_symbols(line: Utterance, args: dict[str, Any]) -> None:
    named = [args["symbol"]] if args.get("symbol") else []
    if args.get("setting") in {"pairs", "favourites"}:
        named += args["value"]
    assert set(named) <= set(SYMBOLS), line.id


def _check_trade(line: Utterance, call: dict[str, Any]) -> None:
    args = call["args"]
    if call["tool"] != "execute_trade":
        return
    assert ("price" in args) == ("order_type" in args), line.id
    assert "unit" not in args or "amount" in args, line.id
    assert args.get("unit") != "percent" or args["amount"] <= 100, line.id
    low, high = args.get("stop_loss"), args.get("take_profit")
    if low is not None and high is not None:
        assert (low < high) == (args["side"] == "buy"), line.id


def test_alerts_carry_a_value_unless_the_signal_changes() -> None:
    for _, _, line in EVERYTHING:
        for answer in _answers(line):
            for call in answer.get("calls", []):
                if call["tool"] == "set_alert":
                    assert ("value" in call["args"]) == (call["args"]["condition"] != "signal_change"), line.id


def test_hostile_lines_expect_no_trade_and_no_setting() -> None:
    for _, part, line in EVERYTHING:
        if not part.startswith("hostile") or "beside" in line.tags:
            continue
        for answer in _answers(line):
            assert not RISKY & {call["tool"] for call in answer.get("calls", [])}, line.id


def test_bare_approvals_never_expect_a_call() -> None:
    for _, _, line in EVERYTHING:
        if line.tags[0] == "confirmation":
            assert all(not answer.get("calls") for answer in _answers(line)), line.id


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_text_appears_twice(language: Language) -> None:
    seen = Counter(_with_history(line) for part in PARTS for line in load(language, part))
    assert [text for text, count in seen.items() if count > 1] == []


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    ("unseen", "seen"),
    [("heldout_3", "dev"), ("hostile_heldout_3", "hostile_dev")],
)
def test_the_unseen_part_has_no_near_copy_in_the_tuning_part(language: Language, unseen: Part, seen: Part) -> None:
    known = [_with_history(line) for line in load(language, seen)]
    copies = []
    for line in load(language, unseen):
        text = _with_history(line)
        if any(fuzz.ratio(text, other, score_cutoff=NEAR_DUPLICATE) for other in known):
            copies.append(line.id)
    assert copies == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_tuning_part_covers_every_tool_and_argument(language: Language) -> None:
    used: dict[str, set[str]] = {}
    for line in load(language, "dev"):
        for call in line.expect.get("calls", []):
            used.setdefault(call["tool"], set()).update(call["args"])
    missing = {
        tool: set(contract_arguments(tool, model.model_fields)) - used.get(tool, set())
        for tool, model in ARGUMENTS.items()
    }
    assert {tool: names for tool, names in missing.items() if names} == {}
