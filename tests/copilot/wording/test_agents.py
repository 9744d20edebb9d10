"""The agents in words: every state, item and link of a chain reads as a sentence, in both languages."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any, Literal, get_args

import pytest

from agents.mandates.values import AskTicket
from copilot.wording.agents import (
    AGENT_RENDERERS,
    render_details,
    render_proposal,
    render_proposal_card,
    render_renewed,
)
from copilot.wording.agents_names import agent_name, render_agent_reasons
from copilot.wording.proposal_card import proposal_props
from prompts import load_words
from tests.copilot.wording.samples import ticket
from tests.tools.agents.world import HERE, NOON, make_order, make_view
from tools.agent_results import (
    FIRST_PROPOSAL,
    AgentChange,
    AgentsChanged,
    AgentStatusResult,
    AgentUnchanged,
    ItemOutcome,
    MandateView,
    ProposalState,
    ProposalTerms,
    ProposalView,
    ProposedAction,
    ProposedItem,
    ProposedMandate,
    ProposedSetting,
    RoundTripView,
    StepView,
    TradeExplained,
)
from tools.results import PositionView
from tools.schema import ConfigureAgent, ControlAgent

Language = Literal["en", "es"]
LANGUAGES: tuple[Language, ...] = ("en", "es")
D = Decimal
BOTH = pytest.mark.parametrize("language", LANGUAGES)


def tell(result: Any, language: Language) -> str:
    text = AGENT_RENDERERS[result.kind](result, load_words(language, "answers"), language)
    assert "{" not in text
    assert "}" not in text
    return text


def status(venue: str = "paper", period: str | None = "7d", **view: Any) -> AgentStatusResult:
    return AgentStatusResult(
        period=period,
        venue=venue,
        currency="USD",
        agents=(make_view("nova", **view),),
        at=NOON,
        is_simulated=venue == "paper",
    )


def action(name: str = "start", **values: Any) -> ProposedAction:
    plain: dict[str, Any] = {
        "agent": "nova",
        "action": name,
        "state_before": "created",
        "state_after": "running",
        "equity": D(0),
        "budget": D(1000),
        "available": D("95000.50"),
        "position_size_pct": D(5),
        "max_positions": 10,
        "max_drawdown_pct": D(20),
    }
    return ProposedAction(**(plain | values))


MANDATE = ProposedMandate(
    agent="atlas",
    venue="binance",
    pairs=("BTC/USDT", "ETH/USDT"),
    daily_notional=D(2000),
    max_order_notional=D("150.50"),
    drawdown_pct=D(5),
    expires_at=NOON + timedelta(days=30),
)
SETTING = ProposedSetting(agent="orion", setting="position_size_pct", before="3", after="4")
ITEMS: dict[str, ProposedItem] = {
    "start": action(),
    "start with more": action(equity=D(300)),
    "resume": action("resume", budget=None, equity=D(1200)),
    "resume with more": action("resume", equity=D(1200)),
    "fund": action("fund", state_before="running", equity=D(1200), budget=D(500)),
    "lift": action("lift", reason="drawdown"),
    "lift without a reason": action("lift"),
    "setting": SETTING,
    "pairs": ProposedSetting(agent="nova", setting="pairs", before=("BTC/USDT",), after=("BTC/USDT", "SOL/USDT")),
    "strategies": ProposedSetting(agent="nova", setting="strategies", before=("grid",), after=("grid", "momentum")),
    "mandate": MANDATE,
    "order": make_order(),
}


def proposed(*items: ProposedItem, state: ProposalState = "pending", **values: Any) -> ProposalView:
    plain: dict[str, Any] = {
        "ticket_id": FIRST_PROPOSAL + 3,
        "version": 1,
        "nonce": "secret-nonce",
        "owner": HERE.owner,
        "conversation_id": HERE.conversation_id,
        "language": "en",
        "state": state,
        "terms": ProposalTerms(items=items, venue="paper", currency="USD", is_simulated=True),
        "terms_hash": "0" * 64,
        "created_at": NOON,
        "expires_at": NOON + timedelta(minutes=1),
    }
    return ProposalView(**(plain | values))


@BOTH
@pytest.mark.parametrize("state", ["created", "running", "paused", "stopped", "halted"])
@pytest.mark.parametrize("venue", ["paper", "binance", "binance-testnet"])
def test_every_state_of_an_agent(state: str, venue: str, language: Language) -> None:
    text = tell(status(venue, state=state, reason="drawdown"), language)
    assert load_words(language, "agents")["states"][state] in text
    assert "\n" not in text.split("\n\n")[0]
    assert ("drawdown reached" in text or "caída llegó" in text) == (state in ("paused", "stopped", "halted"))


@BOTH
@pytest.mark.parametrize("period", [None, "today", "7d", "30d", "mtd", "ytd", "all"])
def test_every_period(period: str | None, language: Language) -> None:
    assert "10,250.50" in tell(status(period=period), "en")
    assert tell(status(period=period, trades=0, win_rate_pct=None, month_pct=None), language)


def test_a_status_tells_results_against_limits_and_hopes() -> None:
    text = render_details(status(), "en")
    for part in ("$10,250.50", "$10,000.00", "+2.50%", "1.2% of 20%", "0 of 10", "58.3%", "50% or more", "10% or more"):
        assert part in text, part
    atlas = status(target_month_pct=(D(3), D(5)))
    assert "3% to 5%" in render_details(atlas, "en")
    assert "de 3 % a 5 %" in render_details(atlas, "es")


def test_agents_are_told_in_one_line_each_and_figures_apart() -> None:
    both = status().model_copy(update={"agents": (make_view("atlas"), make_view("nova"))})
    lines = tell(both, "en").split("\n\n")[0].splitlines()
    assert [line.split("**")[1] for line in lines] == ["Atlas", "Nova"]
    assert "58.3" not in " ".join(lines)
    assert render_details(AgentsChanged(changes=(), unchanged=()), "en") == ""


@BOTH
def test_an_agent_without_money_says_so(language: Language) -> None:
    empty = {"budget": D(0), "equity": D(0)}
    assert load_words(language, "agents")["status"]["empty"] in tell(status(state="created", **empty), language)


@BOTH
def test_an_agent_whose_process_is_silent_is_told_first(language: Language) -> None:
    lost = load_words(language, "agents")["status"]["lost"]
    assert tell(status(is_alive=False), language).split(" · ")[2] == lost
    assert lost not in tell(status(is_alive=False, state="stopped"), language)
    assert lost not in tell(status(is_alive=None), language)


@BOTH
def test_positions_stand_in_a_table(language: Language) -> None:
    held = PositionView(
        symbol="ETH/USDT",
        quantity=D("-0.2"),
        average_price=D("2500.10"),
        mark=D("2490.00"),
        notional=D("498"),
        unrealised=D("2.02"),
        unrealised_pct=D("0.404"),
        stop_loss=D("2600"),
        take_profit=None,
    )
    table = render_details(status(positions=(held,)), language).split("\n\n")[-1].splitlines()
    assert len(table) == 3
    assert len({line.count("|") for line in table}) == 1


def test_a_mandate_tells_what_is_left_of_the_day() -> None:
    mandate = MandateView(
        mandate_id=1,
        venue="binance",
        pairs=("BTC/USDT",),
        daily_notional=D(2000),
        used_today=D("300.5"),
        max_order_notional=D(150),
        drawdown_pct=D(5),
        expires_at=NOON,
    )
    assert "$300.50 of $2,000.00 used today" in tell(status("binance", mandate=mandate), "en")
    assert "asks before every entry" in tell(status("binance"), "en")
    assert "andate" not in tell(status(), "en")


@BOTH
@pytest.mark.parametrize("name", [*get_args(ControlAgent.model_fields["action"].annotation), "halt"])
def test_everything_that_can_be_done_at_once_has_words(name: str, language: Language) -> None:
    if name in ("start", "resume", "fund", "permit"):
        return
    subject: Any = {"withdraw": "money", "revoke": "mandate"}.get(name, "action")
    after = "4800.5" if subject == "money" else "stopped"
    change = AgentChange(agent="nova", subject=subject, name=name, before="5000.5", after=after, amount=D(200))
    text = tell(AgentsChanged(changes=(change,), unchanged=()), language)
    assert "Nova" in text
    assert ("200" in text and "800" in text) == (subject == "money")


@BOTH
@pytest.mark.parametrize("setting", get_args(ConfigureAgent.model_fields["setting"].annotation))
def test_every_setting_has_words(setting: str, language: Language) -> None:
    values: tuple[Any, Any] = (
        (("BTC/USDT", "ETH/USDT"), ("BTC/USDT",)) if setting in ("pairs", "strategies") else ("3", "2.5")
    )
    change = AgentChange(agent="orion", subject="setting", name=setting, before=values[0], after=values[1])
    text = tell(AgentsChanged(changes=(change,), unchanged=()), language)
    assert load_words(language, "agents")["settings"][setting] in text
    assert setting not in text.replace("pairs", "").replace("strategies", "")


def test_a_percentage_is_told_as_one() -> None:
    change = AgentChange(agent="orion", subject="setting", name="position_size_pct", before="3", after="2.5")
    assert "3% → 2.5%" in tell(AgentsChanged(changes=(change,), unchanged=()), "en")
    assert "3 % → 2,5 %" in tell(AgentsChanged(changes=(change,), unchanged=()), "es")


@BOTH
@pytest.mark.parametrize(
    "code",
    [
        *("already", "same", "agent_transition", "failed", "bad_argument", "brand_new", "budget_too_large"),
        *("amount_needed", "money_bound", "money_of_fund", "mandate_not_needed", "no_mandate_standing"),
    ],
)
def test_what_was_not_done_says_why(code: str, language: Language) -> None:
    params = {"state": "paused", "setting": "max_positions", "detail": "no answer", "argument": "pairs"}
    unchanged = AgentUnchanged(agent="nova", code=code, params=params)
    assert "Nova" in tell(AgentsChanged(changes=(), unchanged=(unchanged,)), language)


@BOTH
@pytest.mark.parametrize("name", ITEMS)
def test_every_item_reads_alone_and_in_every_state(name: str, language: Language) -> None:
    for state in get_args(ProposalState):
        view = proposed(ITEMS[name], state=state, language=language)
        for text in (tell(view, language), render_proposal_card(view, language)):
            assert "{" not in text
            assert "secret-nonce" not in text
            assert "A3" in text or state in ("executed", "failed", "unsent")
        props = proposal_props(view)
        assert props["isOpen"] == (state == "pending") == bool(props["nonce"])
        assert "{" not in str({key: value for key, value in props.items() if key != "words"}).replace("{'", "")


def test_a_proposal_says_what_would_be_done_and_that_nothing_is_yet() -> None:
    text = tell(proposed(MANDATE, action()), "en")
    assert text.startswith("**Start Nova and 1 more** is ready on ticket A3. **Nothing is done until you approve it.**")
    for part in ("$1,000.00 from your free cash of $95,000.50", "up to 5%", "10 positions", "20% drawdown"):
        assert part in text, part
    for part in ("BTC/USDT, ETH/USDT on Binance", "$2,000.00 a day", "$150.50 an order", "2026-04-01 12:00 UTC"):
        assert part in text, part


def test_in_spanish_too() -> None:
    text = tell(proposed(action(), language="es"), "es")
    assert "**No se hace nada hasta que lo apruebes.**" in text
    assert "1.000,00 $ de tu efectivo libre de 95.000,50 $" in text


def test_an_order_that_an_agent_asks_for_says_why() -> None:
    text = tell(proposed(make_order()), "en")
    assert "buy 0.2 ETH/USDT (momentum), about $500.02" in text
    assert "its mandate is used up for today." in text


@BOTH
@pytest.mark.parametrize(
    "code",
    [
        *("nothing_left", "ticket_damaged", "interrupted", "agent_transition", "mandate_refused"),
        *("order_not_found", "budget_too_large", "failed", "brand_new"),
    ],
)
def test_every_reason_of_failure_has_words(code: str, language: Language) -> None:
    outcomes = (ItemOutcome(index=0, is_done=True), ItemOutcome(index=1, is_done=False, code=code))
    view = proposed(action(), SETTING, state="failed", outcomes=outcomes, reasons=("ticket_damaged",))
    text = tell(view, language)
    assert text.startswith({"en": "**Only partly done", "es": "**Hecho solo en parte"}[language])
    assert len(text.split("**")[-1].strip()) > 20


def test_what_failed_never_sounds_done() -> None:
    for state in ("failed", "unsent", "rejected", "expired", "replaced"):
        assert not tell(proposed(action(), state=state), "en").startswith("**Done")
        assert not tell(proposed(action(), state=state), "es").startswith("**Hecho:")


def test_the_card_can_be_edited_where_a_number_may_change() -> None:
    fields = proposal_props(proposed(MANDATE, action()))["fields"]
    assert {field["name"]: field["value"] for field in fields} == {
        "daily_atlas": "2000",
        "order_atlas": "150.5",
        "days_atlas": "30",
        "budget_nova": "1000",
    }
    assert proposal_props(proposed(SETTING))["fields"] == []
    spanish = proposal_props(proposed(MANDATE, language="es"))["fields"]
    assert [field["value"] for field in spanish if field["name"] == "order_atlas"] == ["150,5"]


def test_the_card_has_every_field_of_a_tickets_card() -> None:
    from copilot.web.card import ticket_props

    assert proposal_props(proposed(action())).keys() == ticket_props(ticket("pending")).keys()
    assert proposal_props(proposed(action()))["words"].keys() == ticket_props(ticket("pending"))["words"].keys()


def test_a_card_that_is_no_longer_current_has_no_buttons() -> None:
    props = proposal_props(proposed(action()), state="superseded")
    assert (props["isOpen"], props["nonce"], props["fields"]) == (False, "", [])


@BOTH
def test_every_reason_to_ask_has_words(language: Language) -> None:
    codes = (
        *("no_mandate", "mandate_expired", "mandate_pair", "mandate_order_notional", "mandate_daily_notional"),
        *("mandate_drawdown", "mandate_unreadable", "drawdown_unknown", "bad_notional", "source_closed"),
        "source_conflict",
    )
    assert AskTicket.__doc__
    for code in codes:
        text = render_agent_reasons([code], language)
        assert code not in text
        assert text.endswith(".")


def test_reasons_of_the_risk_gate_are_told_in_its_words() -> None:
    assert render_agent_reasons(["cash", "cash"], "en") == "there is not enough free cash."
    assert render_agent_reasons(["brand_new"], "en") == "`brand\\_new`."
    assert render_agent_reasons(["no_mandate", "cash"], "en").endswith("There is not enough free cash.")


@BOTH
@pytest.mark.parametrize("kind", ["executed", "failed", "unsent"])
def test_every_end_of_a_proposal_has_its_notice(kind: str, language: Language) -> None:
    sentence = load_words(language, "agents")["notices"][f"proposal_{kind}"]
    assert "A3" in sentence.format(proposal_id="A3", reasons="")


@BOTH
@pytest.mark.parametrize("kind", ["failing", "recovered", "stuck"])
def test_everything_that_a_supervisor_tells_has_its_notice(kind: str, language: Language) -> None:
    sentence = load_words(language, "agents")["notices"][f"worker_{kind}"]
    assert "atlas" in sentence.format(worker="atlas", error="OSError")


@BOTH
def test_a_renewed_proposal_says_that_nothing_was_done(language: Language) -> None:
    assert {"en": "nothing was done", "es": "no se ha hecho nada"}[language] in render_renewed(language)


def test_a_name_is_written_as_a_name_and_made_harmless() -> None:
    assert agent_name("nova") == "Nova"
    assert agent_name("my_agent") == "My Agent"
    assert "\\[" in agent_name("[x]")
    assert "\\*" in tell(status(title="**x**"), "en")


def step(code: str, codes: dict[str, str] | None = None, minutes: int = 0, **figures: str) -> StepView:
    numbers = {name: D(value) for name, value in figures.items()}
    return StepView(code=code, at=NOON + timedelta(minutes=minutes), codes=codes or {}, figures=numbers)


CHAIN = (
    step("inputs", {"strategy": "momentum"}, bars="200", close="2499.5", trend_mean="61.234", equity="10000"),
    step(
        "wish", {"kind": "enter", "side": "buy", "order_type": "market"}, stop="2400", target="2650", size_bps="10000"
    ),
    step(
        "signal",
        {"effect": "weighted", "direction": "long", "phase": "distribution"},
        factor="0.8",
        probability="0.572",
        breakeven_probability="0.48",
    ),
    step("size", share="0.05", quantity="0.2", notional="500.02", stop="2400"),
    step("limit", {"name": "position", "unit": "pct", "ok": "yes"}, limit="5", before="0", after="4.9"),
    step("limit", {"name": "positions", "unit": "count", "ok": "yes"}, limit="10", before="1", after="2"),
    step("permission", {"answer": "allowed", "mandate": "3"}),
    step("verdict", {"verdict": "taken", "reasons": ""}),
    step("order", {"state": "done", "order_id": "tc-1"}),
    step("fill", {"side": "buy", "role": "entry"}, quantity="0.2", price="2500.10", fee="0.50", trade="12"),
    step("protect", {"reasons": ""}, 30, stop="2450"),
    step("exit", {"reasons": "time"}, 60),
    step("fill", {"side": "sell", "role": "exit"}, 61, quantity="0.2", price="2550.00", fee="0.51", trade="13"),
    step("result", {"exit_reason": "time"}, 61),
)
TRIP = RoundTripView(
    quantity=D("0.2"),
    entry_price=D("2500.10"),
    exit_price=D("2550.00"),
    fees=D("1.01"),
    realised=D("8.97"),
    realised_pct=D("1.794"),
    r_multiple=D("0.45"),
    exit_reason="time",
    entered_at=NOON,
    exited_at=NOON + timedelta(minutes=61),
)


def explained(**values: Any) -> TradeExplained:
    plain: dict[str, Any] = {
        "agent": "nova",
        "title": "Nova",
        "strategy": "momentum",
        "symbol": "ETH/USDT",
        "timeframe": "1h",
        "side": "buy",
        "verdict": "taken",
        "steps": CHAIN,
        "result": TRIP,
        "is_open": False,
        "ticket": None,
        "currency": "USD",
        "chart": None,
        "is_simulated": True,
    }
    return TradeExplained(**(plain | values))


def test_a_trade_is_explained_from_signal_to_result() -> None:
    text = tell(explained(), "en")
    for part in (
        "**Nova · ETH/USDT · momentum** (1h)",
        "It decided to buy on 2026-03-02 12:00 UTC.",
        "close 2,499.50; trend's mean 61.23",
        "wanted to buy at market, stop 2,400.00, target 2,650.00",
        "long, 57.2% chance of its target (break-even 48.0%), it left 80% of the size",
        "Size: 0.2, $500.02, 5.0% of its equity",
        "All 2 limits held; the closest was largest position: 4.9% of 5.0%",
        "Allowed by mandate 3.",
        "bought 0.2 at 2,500.10, fee $0.50 (trade 12)",
        "moved its protection to stop 2,450.00",
        "decided to close, because its time was over",
        "sold 0.2 at 2,550.00, fee $0.51 (trade 13)",
        "Result: **$8.97** (+1.79%), 0.4 times what it risked after $1.01 in fees; its time was over.",
    ):
        assert part in text, (part, text)


def test_a_trade_is_explained_in_spanish_too() -> None:
    text = tell(explained(), "es")
    for part in (
        "Decidió comprar el 02/03/2026 12:00 UTC.",
        "largo, probabilidad de objetivo del 57,2 % (empata con un 48,0 %), dejó un 80 % del tamaño",
        "Los 2 límites se cumplían",
        "vendió 0,2 a 2.550,00",
        "Resultado: **8,97 $** (+1,79 %), 0,4 veces lo que arriesgaba tras 1,01 $ de comisiones",
    ):
        assert part in text, (part, text)


@BOTH
def test_what_was_not_done_says_why_not(language: Language) -> None:
    limit = step("limit", {"name": "drawdown", "unit": "pct", "ok": "no"}, limit="20", before="21", after="21")
    verdict = step("verdict", {"verdict": "refused", "reasons": "drawdown,signal_probability"})
    text = tell(explained(verdict="refused", steps=(*CHAIN[:3], limit, verdict), result=None), language)
    assert {"en": "did **not** trade", "es": "**No** operó"}[language] in text
    assert {"en": "The signal's probability", "es": "La probabilidad de la señal"}[language] in text
    assert {"en": "21.0% of 20.0%", "es": "21,0 % de 20,0 %"}[language] in text


@BOTH
@pytest.mark.parametrize("side", ["buy", "sell", ""])
def test_every_side_and_an_open_position(side: str, language: Language) -> None:
    text = tell(explained(side=side, result=None, is_open=True), language)
    assert load_words(language, "agents")["explained"]["still_open"] in text
    assert tell(explained(verdict="asked", result=None, is_open=True, steps=CHAIN[:8]), language)


@BOTH
@pytest.mark.parametrize("effect", ["off", "signal_missing", "passed", "weighted", "signal_side", "brand_new"])
def test_every_effect_of_the_signal(effect: str, language: Language) -> None:
    assert tell(explained(steps=(step("signal", {"effect": effect}), CHAIN[7]), result=None), language)


@BOTH
@pytest.mark.parametrize(
    "code",
    ["expired", "replaced", "rejected", "permission", "interrupted", "dropped", "halted", "paused", "brand_new", ""],
)
def test_an_entry_that_came_to_nothing_says_why(code: str, language: Language) -> None:
    text = tell(explained(steps=(*CHAIN[:8], step("void", {"reason": code} if code else {})), result=None), language)
    assert load_words(language, "agents")["explained"]["void"].partition("{")[0] in text
    assert code in ("brand_new", "") or not text.endswith(f": {code}.")


@BOTH
def test_links_that_say_nothing_are_left_out(language: Language) -> None:
    bare = tuple(
        StepView(code=each.code, at=each.at, codes={}, figures={})
        for each in CHAIN
        if each.code not in ("size", "limit")
    )
    assert tell(explained(steps=bare, result=None), language)


@BOTH
def test_an_own_trade_is_explained_by_its_ticket(language: Language) -> None:
    own = explained(agent="", title="", strategy="", steps=(), result=None, ticket=ticket("executed"))
    text = tell(own, language)
    assert {"en": "your own trade", "es": "una operación tuya"}[language] in text
    assert "BTC/USDT" in text


def test_results_survive_being_kept_as_json() -> None:
    for result in (status("binance"), explained(), proposed(MANDATE, action(), SETTING, make_order())):
        assert type(result).model_validate_json(result.model_dump_json()) == result
    assert render_proposal(proposed(SETTING), "en")


def test_money_for_an_agent_that_has_some_says_both() -> None:
    text = tell(proposed(ITEMS["fund"]), "en")
    assert "**Give Nova $500.00 more**" in text
    assert "$500.00 from your free cash of $95,000.50, beside the $1,200.00 that it has" in text
