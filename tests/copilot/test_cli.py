"""The command line: exit statuses, what goes to which stream, and one line for what is wrong.

Most cases run the program's `main` in this process, with streams of its own, because a start takes seconds; the cases
in `test_cli_processes.py` start it as a person does.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from copilot.cli import app
from copilot.passwords import PasswordFile
from tests.copilot.command_line import COLUMNS, bars_file, call

COMMANDS = (
    "run",
    "api",
    "chat",
    "ingest",
    "ingest-mysql",
    "ingest-exchange",
    "train",
    "rollback",
    "backtest",
    "evaluate",
    "route",
    "eval",
    "doctor",
    "password",
    "status",
    "stop",
    "lift",
    "backup",
    "restore",
    "live",
)


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("COPILOT_") and name != "COPILOT_MARKET"]:
        monkeypatch.delenv(name)


def test_without_arguments_the_help_is_shown() -> None:
    shown = CliRunner().invoke(app, [])
    for command in COMMANDS:
        assert command in shown.output


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    shown = CliRunner().invoke(app, [command, "--help"])
    assert shown.exit_code == 0
    assert "Usage" in shown.output
    assert len(shown.output.split()) > 15
    assert "Example:" in shown.output


@pytest.mark.parametrize(
    ("typed", "wanted"),
    [
        ("trading-copilot ag", "agents"),
        ("trading-copilot agents pa", "pause"),
        ("trading-copilot backup --js", "--json"),
    ],
)
def test_the_shell_completes_commands_and_options(typed: str, wanted: str) -> None:
    words = {"COMP_WORDS": typed, "COMP_CWORD": str(typed.count(" "))}
    status, out, _ = call(_TRADING_COPILOT_COMPLETE="complete_bash", **words)
    assert (status, out.split()) == (0, [wanted])


@pytest.mark.parametrize("language", ["en", "es"])
def test_off_a_terminal_nothing_is_coloured(language: str) -> None:
    for command in (["doctor"], ["token", "list"]):
        _, out, err = call(*command, COPILOT_LANGUAGE=language, COPILOT_DATA_DIR="here")
        assert "\x1b" not in out + err
        assert out or err


@pytest.mark.parametrize(
    ("command", "name", "value"),
    [
        ("doctor", "COPILOT_PORT", "abc"),
        ("route", "COPILOT_LANGUAGE", "fr"),
        ("doctor", "COPILOT_LOG_LEVEL", "LOUD"),
        ("train", "COPILOT_DATA_DIR", "taken"),
        ("chat", "COPILOT_DATABASE_URL", "sqlite:////proc/none/x.db"),
        ("chat", "COPILOT_DATABASE_URL", "nonsense"),
    ],
)
def test_a_setting_that_cannot_be_used_stops_with_one_line(command: str, name: str, value: str) -> None:
    Path("taken").write_text("a file, not a folder")
    status, out, err = call(command, **{name: value})
    assert (status, out) == (2, "")
    assert err.startswith(f"trading-copilot: {name} is ")
    assert err.count("\n") == 1


def test_a_password_of_the_database_is_not_shown() -> None:
    url = "mysql+pymysql://u:s3cret@127.0.0.1:1/copilot"
    status, _, err = call("chat", COPILOT_DATABASE_URL=url)
    assert status == 2
    assert "127.0.0.1:1/copilot" in err
    assert "s3cret" not in err


def test_ingest_keeps_the_files_before_a_bad_one_and_says_so() -> None:
    good, bad = bars_file(Path("BTCUSDT_1h.csv")), bars_file(Path("my_file.csv"))
    status, out, err = call("ingest", str(good), str(bad), "--columns", COLUMNS)
    assert status == 1
    assert "48 new" in out
    assert "1 of 2 files stored; my_file.csv is not" in err
    assert "my_file.csv does not tell its symbol" in err
    _, again, _ = call("ingest", str(good), "--columns", COLUMNS)
    assert "0 new, 0 replaced, 48 already there" in again


def test_ingest_words_its_errors_in_the_language_of_the_settings() -> None:
    file = bars_file(Path("other.csv"))
    status, _, err = call("ingest", str(file), "--columns", COLUMNS, COPILOT_LANGUAGE="es")
    assert status == 1
    assert "no dice su símbolo" in err


@pytest.mark.parametrize(
    ("option", "value", "named"), [("--columns", "time", "--columns 'time'"), ("--timeframe", "7h", "--timeframe '7h'")]
)
def test_ingest_names_the_option_that_it_cannot_read(option: str, value: str, named: str) -> None:
    status, _, err = call("ingest", str(bars_file(Path("BTCUSDT_1h.csv"))), option, value)
    assert status == 2
    assert named in err


def test_route_keeps_order_ids_and_takes_history() -> None:
    lines = [
        {"id": "a", "text": "compra 0,05 bitcoin con stop en 58k", "history": []},
        {"id": 2, "text": "buy some"},
        {"id": "c", "text": "signal for gold", "history": [{"role": "user", "text": "hello"}]},
    ]
    said = "\ufeff" + "\n\n".join(json.dumps(line) for line in lines)
    status, out, err = call("route", "--jsonl", "--model", "offline", said=said)
    answers = [json.loads(line) for line in out.splitlines()]
    assert (status, err) == (0, "")
    assert [answer["id"] for answer in answers] == ["a", 2, "c"]
    assert answers[0]["calls"] == [
        {"tool": "execute_trade", "args": {"symbol": "BTC/USDT", "side": "buy", "amount": 0.05, "stop_loss": 58000}}
    ]
    assert answers[1]["calls"] == []
    assert answers[1]["ask"]
    assert set(answers[2]) == {"id", "calls", "ask", "ms"}
    assert not Path("data").exists()


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b"{oops}", "is not JSON"),
        (b'{"id": 1}', 'must be a JSON object with "text"'),
        (b'{"text": 5}', 'must be a JSON object with "text"'),
        (b'{"text": "hi", "history": [{"role": "user"}]}', '"history" must list'),
        (b"\xff\xfe", "is not UTF-8"),
        (b"[" * 200_000, "is nested too deeply"),
    ],
)
def test_route_names_a_line_that_it_cannot_read(bad: bytes, reason: str) -> None:
    ran = CliRunner().invoke(app, ["route"], input=b'{"text": "hello"}\n' + bad + b"\n")
    assert len(ran.stdout.splitlines()) == 1
    assert "line 2" in str(ran.exception)
    assert reason in str(ran.exception)


def test_route_takes_plain_messages_too() -> None:
    ran = CliRunner().invoke(app, ["route", "--text"], input="signal for gold\n")
    assert json.loads(ran.stdout)["calls"][0]["tool"] == "get_signal"


def test_an_unknown_model_is_refused() -> None:
    status, _, err = call("route", "--model", "crystal-ball", said="{}\n")
    assert status == 2
    assert "crystal-ball" in err


def utterances(path: Path) -> Path:
    right: dict[str, object] = {"id": "1", "text": "signal for gold", "lang": "en", "tags": []}
    right["expect"] = {"calls": [{"tool": "get_signal", "args": {"symbol": "XAUUSD"}}]}
    wrong = {"id": "2", "text": "buy 1 bitcoin", "lang": "en", "tags": [], "expect": {"ask": True}}
    path.write_text(json.dumps(right) + "\n" + json.dumps(wrong) + "\n")
    return path


def test_eval_prints_pure_json() -> None:
    status, out, err = call("eval", str(utterances(Path("u.jsonl"))), "--json")
    report = json.loads(out)
    assert (status, err) == (0, "")
    assert (report["total"], report["exact_accuracy"], report["wrong_trades"]) == (2, 0.5, 1)


@pytest.mark.parametrize(
    ("limits", "status"),
    [
        (["--min-exact", "0.6"], 1),
        (["--min-exact", "0.5"], 0),
        (["--max-wrong-trades", "0"], 1),
        (["--max-wrong-trades", "1"], 0),
        (["--min-exact", "1.5"], 2),
    ],
)
def test_eval_fails_on_a_missed_limit(limits: list[str], status: int) -> None:
    ran = CliRunner().invoke(app, ["eval", str(utterances(Path("u.jsonl"))), *limits])
    assert ran.exit_code == status


@pytest.mark.parametrize("content", ["", '{"text": "hello"}\n', '{"text": "hello", "expect": {"calls": [{}]}}\n'])
def test_eval_refuses_a_file_that_it_cannot_score(content: str) -> None:
    Path("u.jsonl").write_text(content)
    status, out, err = call("eval", "u.jsonl")
    assert (status, out) == (2, "")
    assert err.count("\n") == 1


def test_password_is_kept_as_a_hash() -> None:
    ran = CliRunner().invoke(app, ["password"], input="correct horse\ncorrect horse\n")
    assert ran.exit_code == 0
    assert PasswordFile(Path("data")).verify("correct horse")
