"""The account beside a running copilot or without one: `status`, and `agents` with what may be done to them.

The same rules as in a conversation: what lowers risk acts at once, what raises it is a proposal that a person at a
terminal approves in its exact terms, or that waits for one. What is done stands in the database; the process that
leads takes it up from there.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from pydantic import ValidationError

from copilot.command_line.console import JsonOption, command_words, print_answer, say, settings_in_use
from copilot.settings import Settings
from engine.domain.errors import ConfigError

if TYPE_CHECKING:
    from agents.execution.desk import Desk
    from agents.risk.states import StateChange
    from copilot.agent_side import AgentSide
    from tools.agent_results import AgentStatusResult, ProposalView
    from tools.registry import ToolContext
    from tools.results import PortfolioResult
    from tools.schema import ControlAgent

SURFACE = "terminal"
Action = Literal["start", "pause", "resume", "stop"]
agents_app = typer.Typer(name="agents", help="The trading agents: how they fare, and what they may do.")
NameArgument = Annotated[str, typer.Argument(help="Agent: atlas, orion, nova, one of your own, or all.")]
_ALIVE_S = 20.0


@dataclass(frozen=True, slots=True)
class Account:
    """What the commands work with."""

    settings: Settings
    desk: Desk
    side: AgentSide
    context: ToolContext
    processes: int

    async def portfolio(self) -> PortfolioResult:
        """Return the account in short."""
        from tools.portfolio import PortfolioTool
        from tools.schema import CheckPortfolio

        found: PortfolioResult = await PortfolioTool(self.desk)(CheckPortfolio(), self.context)
        return found


@asynccontextmanager
async def open_account(settings: Settings) -> AsyncIterator[Account]:
    """Open the account of the settings with its agents, which are not run here.

    Raises:
        ConfigError: A setting cannot be used.
    """
    from agents.risk.values import RiskLimits
    from agents.supervisor.heartbeats import Heartbeats
    from copilot.agent_side import open_agent_side
    from copilot.markets import SystemClock
    from copilot.places import open_registry
    from copilot.switch import open_desk
    from engine.ml.live import LiveSignals
    from tools.notices import Notices
    from tools.profile import Profiles
    from tools.registry import ToolContext
    from tools.tickets import Tickets
    from tools.trading import TradeDrafts

    async with open_desk(settings) as (desk, database):
        clock, market = SystemClock(), desk.market
        signals = LiveSignals(market, open_registry(settings))
        notices, ttl = Notices(database, clock.now), timedelta(seconds=settings.ticket_ttl_s)
        drafts = TradeDrafts(desk, market, Profiles(database), signals, RiskLimits(), settings.ticket_max_drift_bps)
        tickets = Tickets(database, drafts, desk, notices, clock.now, ttl=ttl)
        living = [each for each in Heartbeats(database, alive_s=_ALIVE_S).read(datetime.now(UTC)) if each.is_alive]

        async def is_led() -> bool:
            return any(process.fence is not None for process in living)

        side = open_agent_side(
            database, desk, market, signals, tickets, notices, clock.now,
            owner=settings.owner, language=settings.language, ttl=ttl, own_profiles=settings.data_dir / "agents",
            is_alive=is_led,
        )  # fmt: skip
        context = ToolContext(settings.owner, f"{SURFACE}-{settings.owner}", settings.language)
        yield Account(settings, desk, side, context, len(living))


def status(as_json: JsonOption = False) -> None:
    """Tell what is held, how the agents stand, whether the copilot runs and whether trading is stopped."""
    from copilot.wording import render_answer
    from tools.schema import AgentStatus

    settings = settings_in_use()

    async def look() -> tuple[PortfolioResult, AgentStatusResult, StateChange, int]:
        async with open_account(settings) as account:
            fleet = await account.side.tools.status(AgentStatus(agent="all"), account.context)
            return await account.portfolio(), fleet, account.desk.state(), account.processes

    portfolio, fleet, state, processes = asyncio.run(look())
    is_stopped = state.state.value == "halted"
    told = {
        "world": settings.world,
        "processes": processes,
        "is_stopped": is_stopped,
        "portfolio": portfolio.model_dump(mode="json"),
        "agents": fleet.model_dump(mode="json")["agents"],
    }
    words = command_words(settings)["status"]
    count = "none" if not processes else "one" if processes == 1 else "many"
    lines = [words["world"].format(world=settings.world), words["running"][count].format(count=processes)]
    if is_stopped:
        lines.append(words["stopped"].format(time=f"{state.at:%Y-%m-%d %H:%M} UTC", by=state.by))
    lines += [render_answer([portfolio], settings.language), render_answer([fleet], settings.language)]
    print_answer("\n\n".join(lines), json.dumps(told, ensure_ascii=False) if as_json else None)


@agents_app.callback(invoke_without_command=True)
def agents(context: typer.Context, as_json: JsonOption = False) -> None:
    """Tell how the agents fare; with a command, start, pause, resume or stop one."""
    from copilot.wording import render_answer
    from tools.schema import AgentStatus

    if context.invoked_subcommand is not None:
        return
    settings = settings_in_use()

    async def look() -> AgentStatusResult:
        async with open_account(settings) as account:
            return await account.side.tools.status(AgentStatus(agent="all"), account.context)

    found = asyncio.run(look())
    print_answer(render_answer([found], settings.language), found.model_dump_json() if as_json else None)


@agents_app.command(epilog="Example: trading-copilot agents start nova --amount 1000")
def start(
    name: NameArgument,
    amount: Annotated[str | None, typer.Option(help="Money that it gets, in account currency.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Let an agent trade: shows the exact terms and asks you to approve them; without a terminal they wait."""
    _control(name, "start", as_json, amount)


@agents_app.command(epilog="Example: trading-copilot agents pause atlas")
def pause(name: NameArgument, as_json: JsonOption = False) -> None:
    """Let an agent open nothing new; what it holds stays protected. Acts at once."""
    _control(name, "pause", as_json)


@agents_app.command(epilog="Example: trading-copilot agents resume atlas")
def resume(name: NameArgument, as_json: JsonOption = False) -> None:
    """Let a paused agent go on; asks as `start` does."""
    _control(name, "resume", as_json)


@agents_app.command(epilog="Example: trading-copilot agents stop all --json")
def stop(name: NameArgument, as_json: JsonOption = False) -> None:
    """Stop an agent: its orders are cancelled and its positions closed. Acts at once."""
    _control(name, "stop", as_json)


def _control(name: str, action: Action, as_json: bool, amount: str | None = None) -> None:
    """Do it or ask; status 1 when it waits for a decision or was refused."""
    settings = settings_in_use()
    if not asyncio.run(_carry_out(settings, name, action, as_json, amount)):
        raise typer.Exit(1)


async def _carry_out(settings: Settings, name: str, action: Action, as_json: bool, amount: str | None) -> bool:
    from copilot.wording import render_answer

    asked = _asked(name, action, amount)
    async with open_account(settings) as account:
        done = await account.side.tools.control(asked, account.context)
        if as_json or done.proposal is None:
            print_answer(render_answer([done], settings.language), done.model_dump_json() if as_json else None)
            return done.proposal is None
        if done.changes or done.unchanged:
            print_answer(render_answer([done.model_copy(update={"proposal": None})], settings.language), None)
        return await _ask(account, done.proposal)


def _asked(name: str, action: Action, amount: str | None) -> ControlAgent:
    """Return the request, or refuse what cannot be one.

    Raises:
        ConfigError: The name or the amount means nothing.
    """
    from tools.schema import ControlAgent

    try:
        return ControlAgent.model_validate({"agent": name.lower(), "action": action, "amount": amount})
    except ValidationError as error:
        (problem, *_) = error.errors(include_url=False)
        what = "--amount" if problem["loc"] == ("amount",) else "NAME"
        raise ConfigError(f"{what} {problem['input']!r}: {problem['msg'][0].lower()}{problem['msg'][1:]}") from error


async def _ask(account: Account, proposal: ProposalView) -> bool:
    """Show a proposal in its exact terms and take the decision of whoever sits at the terminal."""
    from copilot.wording.agents import render_proposal, render_proposal_card, render_renewed

    language, words = account.settings.language, command_words(account.settings)
    say(render_proposal_card(proposal, language))
    decision = _decided(account.settings, words["asked"])
    if decision is None:
        say(words["waits"].format(number=proposal.number))
        return False
    proposals = account.side.decisions.proposals
    act = proposals.approve if decision == "approve" else proposals.reject
    decided = await act(proposal.ticket_id, proposal.nonce, account.context.owner, SURFACE)
    if decided.outcome == "repriced" and decided.ticket is not None:
        say(render_renewed(language))
        return await _ask(account, decided.ticket)
    if decided.outcome == "approved":
        done = await proposals.execute(proposal.ticket_id)
    else:
        done = decided.ticket or proposal
    print_answer(render_proposal(done, language), None)
    return done.state == "executed"


def _decided(settings: Settings, asked: str) -> Literal["approve", "reject"] | None:
    """Ask a person; None where nobody sits, or for anything but a clear answer."""
    from prompts import load_words

    if not is_attended():
        return None
    typed = typer.prompt(asked, default="", show_default=False, prompt_suffix=" ", err=True).strip().lower()
    words = load_words(settings.language, "terminal")
    if typed in words["approve_keys"]:
        return "approve"
    return "reject" if typed in words["reject_keys"] else None


def is_attended() -> bool:
    """Return whether a person sits at the other end of standard input."""
    return sys.stdin.isatty()
