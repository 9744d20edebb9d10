"""What the page's own panels and cards say, without a browser."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from pydantic import ValidationError

from copilot.events import Language
from copilot.offline import parse
from copilot.web.agent_cards import agent_props
from copilot.web.alert_card import alert_props
from copilot.web.card import SUPERSEDED, card_props, superseded_props, without_nonce
from copilot.web.commands import NAMES, is_command, menu, read_command, sentence
from copilot.web.settings_panel import Panel, changed_settings
from copilot.web.typed_numbers import AmbiguousNumber
from copilot.wording.starters import fit_starter
from prompts import load_words
from tests.copilot.web.fake_agents import agents_result, start_proposal
from tests.copilot.web.fakes import make_ticket
from tests.copilot.wording import samples
from tests.parts import REPOSITORY
from tools.profile import Profile

BOTH = pytest.mark.parametrize("language", ["en", "es"])
ASSETS = REPOSITORY / "copilot" / "web" / "assets"


def calls(text: str) -> list[tuple[str, dict[str, object]]]:
    return [(call.tool, dict(call.args)) for call in parse(text).calls]


@BOTH
def test_every_command_has_a_place_in_the_menu_and_is_read_back(language: Language) -> None:
    ids = [each["id"] for each in menu(language)]
    assert len(ids) == len(set(ids)) == len(NAMES)
    for name, word in zip(NAMES, ids, strict=True):
        for command in (read_command(f"/{word}"), read_command("", word), read_command(f"/{word.upper()} x")):
            assert command is not None
            assert command.name == name


@pytest.mark.parametrize(
    ("text", "tool", "arguments"),
    [
        ("/portfolio", "check_portfolio", {}),
        ("/cartera", "check_portfolio", {}),
        ("/agents", "agent_status", {}),
        ("/agentes", "agent_status", {}),
        ("/alerts", "list_alerts", {}),
        ("/alertas", "list_alerts", {}),
        ("/signal gold", "get_signal", {"symbol": "XAUUSD"}),
        ("/senal oro", "get_signal", {"symbol": "XAUUSD"}),
        ("/chart BTC/USDT 4h", "analyze_chart", {"symbol": "BTC/USDT", "timeframe": "4h"}),
        ("/gráfico eth 15m", "analyze_chart", {"symbol": "ETH/USDT", "timeframe": "15m"}),
    ],
)
def test_reading_commands_are_understood_without_a_model(text: str, tool: str, arguments: dict[str, str]) -> None:
    command = read_command(text)
    assert command is not None
    said = sentence(command, command.language or "en")
    assert said is not None
    assert calls(said) == [(tool, arguments)]


@pytest.mark.parametrize("text", ["/signal", "/chart", "/stop", "/help", "/telegram"])
def test_what_lacks_a_symbol_or_reads_nothing_is_no_sentence(text: str) -> None:
    command = read_command(text)
    assert command is not None
    assert sentence(command, "en") is None


def test_ordinary_messages_are_no_commands() -> None:
    assert [read_command(text) for text in ("buy 1/2 btc", "portfolio", "/unheard", "")] == [None] * 4
    assert [is_command(text) for text in ("/unheard", "/", "/ 5", "1/2")] == [True, False, False, False]


@BOTH
def test_starters_are_understood_and_use_the_tool_that_they_stand_for(language: Language) -> None:
    for tool, starter in load_words(language, "web")["starters"].items():
        for symbols in (["XAUUSD"], []):
            _, message = fit_starter(starter, symbols)
            assert [name for name, _ in calls(message)] == [tool]


@BOTH
def test_agents_buttons_say_what_their_agent_is_to_do(language: Language) -> None:
    props = agent_props(agents_result(), language)
    assert json.loads(json.dumps(props)) == props
    said = {
        (agent["name"], button["name"]): calls(button["sentence"])
        for agent in props["agents"]
        for button in agent["buttons"]
    }
    for (agent, action), asked in said.items():
        assert asked == [("control_agent", {"agent": agent, "action": action})]
    assert set(said) == {("atlas", "pause"), ("atlas", "stop"), ("orion", "resume"), ("nova", "start")}


def test_agents_figures_stand_beside_their_targets_and_limits() -> None:
    atlas, orion, nova = agent_props(agents_result(), "en")["agents"]
    assert atlas["drawdown"] == {"line": "2.5% of 10%", "usedPct": 25.0, "isOk": True}
    assert orion["drawdown"] == {"line": "16.0% of 15%", "usedPct": 100.0, "isOk": False}
    rows = {row["label"]: (row["value"], row["target"]) for row in atlas["rows"]}
    assert rows["This month"] == ("+1.4%", "target 10% or more")
    assert rows["Won"] == ("58.3%", "target 50% or more")
    assert rows["Positions"] == ("0", "10 at most")
    assert (atlas["tone"], orion["tone"], orion["notes"]) == ("rise", "fall", ["The drawdown reached its limit."])
    assert nova["rows"][0]["value"] == "none yet"


@BOTH
def test_alerts_removal_is_understood(language: Language) -> None:
    props = alert_props(samples.alert(alert_id="12"), language)
    assert calls(props["removal"]) == [("cancel_alert", {"alert_id": "12"})]
    assert (props["repeats"], "65" in props["what"], "BTC/USDT" in props["what"]) == (False, True, True)


def test_proposals_are_drawn_by_the_card_of_tickets() -> None:
    ticket, proposal = card_props(make_ticket()), card_props(start_proposal("ana", "c", "es"))
    assert ticket.keys() == proposal.keys()
    assert (proposal["title"], proposal["isOpen"], proposal["version"]) == ("Ticket A3", True, 1)
    assert [field["name"] for field in proposal["fields"]] == ["budget_nova"]


def test_what_is_kept_of_a_card_decides_nothing() -> None:
    kept = without_nonce(card_props(make_ticket(nonce="secret")))
    assert "secret" not in json.dumps(kept)
    dead = superseded_props(kept, "en")
    assert (dead["state"], dead["isOpen"], dead["fields"]) == (SUPERSEDED, False, [])


def test_unchanged_and_emptied_settings_change_nothing() -> None:
    profile = Profile(language="en", risk_per_trade_pct=Decimal("0.50"), favourites=("XAUUSD",))
    same = Panel(language="en", risk_per_trade_pct="0.5", base_currency="usd", favourites=["XAUUSD"])
    assert changed_settings(same, profile, "en") == {}
    assert changed_settings(Panel(), profile, "en") == {}


def test_changed_settings_are_told_as_the_profile_takes_them() -> None:
    panel = Panel(language="es", risk_per_trade_pct="0,25 %", base_currency="EUR", favourites=[])
    assert changed_settings(panel, Profile(language="en", favourites=("XAUUSD",)), "es") == {
        "language": "es",
        "risk_per_trade_pct": "0.25",
        "base_currency": "EUR",
        "favourites": (),
    }


def test_risk_that_may_be_read_in_two_ways_is_asked_back() -> None:
    with pytest.raises(AmbiguousNumber):
        changed_settings(Panel(risk_per_trade_pct="1.250"), Profile(), "es")


@pytest.mark.parametrize(
    "sent", [{"owner": "bob"}, {"language": "fr"}, {"favourites": ["x" * 99]}, {"base_currency": 5}]
)
def test_forged_settings_are_refused(sent: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Panel.model_validate(sent)


@pytest.mark.parametrize("name", ["AgentCards.jsx", "AlertCard.jsx"])
def test_elements_hold_no_words_and_call_nothing_but_the_page(name: str) -> None:
    source = (ASSETS / name).read_text("utf-8")
    for word in ("Pause", "Every time", "http", "fetch(", "dangerouslySetInnerHTML", "updateElement", "apiClient"):
        assert word not in source
