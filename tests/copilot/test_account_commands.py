"""`status` and `agents`: what lowers risk acts at once, what raises it is asked in exact terms, at a terminal alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from copilot.cli import app
from tests.agents.execution.fakes import FakeMarket

Command = Callable[..., Result]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Return a way to run a command on an account of its own, before a terminal or without one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COPILOT_MARKET", "simulated")
    monkeypatch.setattr("copilot.markets._open_local", lambda _settings, _progress: FakeMarket())

    def run(*words: str, typed: str | None = None, language: str = "en") -> Result:
        monkeypatch.setattr("copilot.command_line.account.is_attended", lambda: typed is not None)
        environment = {"COPILOT_DATA_DIR": str(tmp_path), "COPILOT_LANGUAGE": language, "COLUMNS": "300"}
        return CliRunner().invoke(app, list(words), input=typed, env=environment)

    return run


def state_of(command: Command, agent: str) -> str:
    (view,) = [each for each in json.loads(command("agents", "--json").stdout)["agents"] if each["agent"] == agent]
    return str(view["state"])


def test_an_agent_starts_only_when_a_person_approves_its_terms(command: Command) -> None:
    waits = command("agents", "start", "nova", "--amount", "1000")
    assert waits.exit_code == 1, waits.output
    assert "waits for your decision" in waits.output
    assert "1,000" in waits.output
    for answer in ("\n", "yes\n", "r\n"):
        assert command("agents", "start", "nova", "--amount", "1000", typed=answer).exit_code == 1
    assert state_of(command, "nova") == "created"
    done = command("agents", "start", "nova", "--amount", "1000", typed="a\n")
    assert done.exit_code == 0, done.output
    assert state_of(command, "nova") == "running"
    assert command("agents", "pause", "nova").exit_code == 0
    assert state_of(command, "nova") == "paused"
    assert command("agents", "resume", "nova", typed="r\n").exit_code == 1
    assert state_of(command, "nova") == "paused"
    assert command("agents", "stop", "all").exit_code == 0
    assert state_of(command, "nova") == "stopped"


def test_json_never_asks_and_tells_the_proposal(command: Command) -> None:
    asked = command("agents", "start", "atlas", "--amount", "500", "--json", typed="a\n")
    assert asked.exit_code == 1
    proposal = json.loads(asked.stdout)["proposal"]
    assert (proposal["state"], bool(proposal["nonce"])) == ("pending", True)
    assert state_of(command, "atlas") == "created"


def test_status_tells_the_account_and_that_it_is_stopped(command: Command) -> None:
    told = json.loads(command("status", "--json").stdout)
    assert (told["world"], told["processes"], told["is_stopped"]) == ("simulated", 0, False)
    assert told["portfolio"]["equity"] == "100000"
    assert {each["agent"] for each in told["agents"]} == {"atlas", "orion", "nova"}
    command("stop")
    shown = command("status", language="es").output
    assert "Todo el trading está parado" in shown
    assert "no está en marcha" in shown
    assert "Cuenta: simulated" in shown


@pytest.mark.parametrize("words", [("start", "no body"), ("start", "nova", "--amount", "much"), ("pause", "zeus")])
def test_what_means_nothing_is_refused(command: Command, words: tuple[str, ...]) -> None:
    refused = command("agents", *words)
    assert refused.exit_code == 1
    assert refused.exception is not None
