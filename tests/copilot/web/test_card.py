from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest

from agents.risk.values import LimitCheck
from copilot.events import Language
from copilot.web.card import CLOSED, SUPERSEDED, ticket_props
from tests.copilot.web.fakes import make_terms, make_ticket
from tests.parts import REPOSITORY
from tools.results import TicketFill

CARD = REPOSITORY / "copilot" / "web" / "assets" / "TicketCard.jsx"
STATES = [
    "pending",
    "approved",
    "claimed",
    "executed",
    "working",
    "failed",
    "unsent",
    "rejected",
    "expired",
    "replaced",
]


def test_card_shows_exact_terms_in_the_tickets_language() -> None:
    props = ticket_props(make_ticket(language="es"))
    rows = {row["label"]: row["value"] for row in props["rows"]}
    assert props["headline"] == "Comprar 0,05 BTC/USDT · a mercado"
    assert rows["Precio previsto"] == "64.250,50"
    assert rows["Stop loss"] == "62.965,49"
    assert rows["Take profit"] == "ninguno"
    assert rows["Valor"] == "3.212,52 $"
    assert props["changes"][0] == {"label": "Efectivo", "before": "100.000,00 $", "after": "96.784,26 $"}
    assert [field["value"] for field in props["fields"]] == ["0,05", "62965,49", ""]


def test_card_shows_the_arithmetic_of_the_size() -> None:
    sizing = " ".join(ticket_props(make_ticket())["sizing"])
    assert "$100,000.00 equity × 0.50% risk = $500.00; ÷ 1,285.01 to the stop = 0.3891" in sizing
    assert "bounded to 0.05 by: largest position" in sizing


def test_limits_show_their_room_and_how_full_they_are() -> None:
    terms = make_terms(
        limits=(
            LimitCheck("position", "money", Decimal(25000), Decimal(0), Decimal("6250"), True),
            LimitCheck("daily_loss", "pct", Decimal(5), Decimal(6), Decimal(6), False),
            LimitCheck("short", "count", Decimal(0), Decimal(0), Decimal(0), True),
        )
    )
    limits = ticket_props(make_ticket(terms=terms))["limits"]
    assert (limits[0]["line"], limits[0]["room"]) == ("$6,250.00 of $25,000.00", "room $18,750.00")
    assert [limit["usedPct"] for limit in limits] == [25.0, 100.0, 0.0]
    assert [limit["isOk"] for limit in limits] == [True, False, True]


def test_limit_order_shows_and_offers_its_price() -> None:
    props = ticket_props(make_ticket(terms=make_terms(order_type="limit", price=Decimal("64000"))))
    assert {"label": "Limit price", "value": "64,000.00", "note": ""} in props["rows"]
    assert [field["name"] for field in props["fields"]] == ["quantity", "price", "stop_loss", "take_profit"]


@pytest.mark.parametrize("state", STATES[1:])
@pytest.mark.parametrize("language", ["en", "es"])
def test_card_that_is_over_has_no_nonce_and_no_form(state: str, language: Language) -> None:
    props = ticket_props(make_ticket(state=state, language=language, reasons=("cash",)))
    assert (props["isOpen"], props["nonce"], props["fields"]) == (False, "", [])
    assert props["stateLabel"]
    assert props["reasons"]


@pytest.mark.parametrize("state", [SUPERSEDED, CLOSED])
def test_card_of_an_older_version_is_dead(state: str) -> None:
    props = ticket_props(make_ticket(), state=state)
    assert (props["isOpen"], props["nonce"]) == (False, "")


def test_executed_card_tells_what_was_filled() -> None:
    fill = TicketFill(
        order_id="P-1",
        status="filled",
        filled_quantity=Decimal("0.05"),
        average_price=Decimal("64251"),
        fee=Decimal("3.21255"),
    )
    result = ticket_props(make_ticket(state="executed", fill=fill))["result"]
    assert [row["value"] for row in result] == ["0.05 at 64,251.00", "$3.21", "P-1"]


def test_repriced_card_says_what_it_was() -> None:
    props = ticket_props(make_ticket(version=2, repriced_from=Decimal("64100")))
    assert props["badges"] == ["simulated", "version 2"]
    assert any(row["note"] == "was 64,100.00" for row in props["rows"])


def test_props_survive_the_wire() -> None:
    props = ticket_props(make_ticket())
    assert json.loads(json.dumps(props)) == props


def test_card_holds_no_words_and_sends_nothing_but_id_and_nonce() -> None:
    source = Path(CARD).read_text("utf-8")
    assert "payload: { ticket_id: props.ticketId, nonce: props.nonce, ...extra }" in source
    for word in ("Approve", "Reject", "Stop loss", "http", "fetch(", "dangerouslySetInnerHTML", "updateElement"):
        assert word not in source
