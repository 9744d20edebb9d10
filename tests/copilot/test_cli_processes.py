"""The command line as a program of its own: what its streams hold, and how it ends when it is interrupted."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from pathlib import Path

import pytest

from tests.copilot.command_line import COLUMNS, LIMIT_S, bars_file, call, ended_by_interrupt, read_until, start


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("COPILOT_") and name != "COPILOT_MARKET"]:
        monkeypatch.delenv(name)


def test_ingest_prints_pure_json_lines() -> None:
    file = bars_file(Path("BTCUSDT_1h.csv"))
    with start("ingest", str(file), str(file), "--columns", COLUMNS, "--json") as process:
        out, err = process.communicate(timeout=LIMIT_S)
    first, second = (json.loads(line) for line in out.splitlines())
    assert (process.returncode, err) == (0, "")
    assert (first["symbol"], first["timeframe"], first["added"]) == ("BTC/USDT", "1h", 48)
    assert (second["added"], second["unchanged"]) == (0, 48)


def test_route_answers_each_line_before_the_next_comes() -> None:
    with start("route") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for number in (1, 2):
            process.stdin.write(json.dumps({"id": number, "text": "hello"}) + "\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["id"] == number
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=LIMIT_S)
    assert ended_by_interrupt(process.returncode)
    assert "Traceback" not in err


def test_route_gives_characters_back_that_cannot_be_encoded() -> None:
    with start("route", PYTHONIOENCODING="ascii") as process:
        out, _ = process.communicate('{"id": "\\ud800", "text": "hola"}\n', timeout=LIMIT_S)
    assert process.returncode == 0
    assert json.loads(out)["id"] == "\ud800"


def test_run_prints_the_login_link_and_ends_when_interrupted(data_dir: Path) -> None:
    with start("run", "--port", "0", COPILOT_DATA_DIR=str(data_dir)) as process:
        link = read_until(process, "/enter?token=")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=LIMIT_S)
    assert "http://127.0.0.1:" in link
    assert ended_by_interrupt(process.returncode)
    assert err == ""


def test_a_port_in_use_stops_with_one_line(data_dir: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with start("run", "--port", str(port), COPILOT_DATA_DIR=str(data_dir)) as process:
            out, err = process.communicate(timeout=LIMIT_S)
    assert (process.returncode, out) == (2, "")
    assert err.startswith(f"trading-copilot: COPILOT_PORT is {port}")
    assert err.count("\n") == 1


def test_chat_in_two_programs_on_one_folder(data_dir: Path) -> None:
    place = str(data_dir)
    with start("chat", COPILOT_DATA_DIR=place) as first, start("chat", COPILOT_DATA_DIR=place) as second:
        for process in (first, second):
            _, err = process.communicate("buy 0.01 bitcoin with a 2% stop\na\n", timeout=LIMIT_S)
            assert (process.returncode, err) == (0, "")
    _, out, _ = call("chat", said="positions\n", COPILOT_DATA_DIR=place)
    assert "| BTC/USDT | 0.02 |" in out


def test_chat_ends_at_once_when_interrupted_while_it_waits(data_dir: Path) -> None:
    with start("chat", COPILOT_DATA_DIR=str(data_dir)) as process:
        read_until(process, "simulated")
        interrupted_at = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert ended_by_interrupt(process.wait(LIMIT_S))
        assert time.monotonic() - interrupted_at < LIMIT_S / 4
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_training_ends_when_interrupted(data_dir: Path) -> None:
    terminal, shown = os.openpty()  # it shows how far it is to a terminal alone
    with start("train", stderr=shown, COPILOT_DATA_DIR=str(data_dir), TERM="xterm") as process:
        os.close(shown)
        seen = b""
        while b"%" not in seen:
            seen += os.read(terminal, 4096)
        process.send_signal(signal.SIGINT)
        while chunk := _read(terminal):
            seen += chunk
        out, _ = process.communicate(timeout=LIMIT_S)
    os.close(terminal)
    assert ended_by_interrupt(process.returncode)
    assert out == ""
    assert b"Traceback" not in seen


def _read(terminal: int) -> bytes:
    """Return what was shown next; nothing once the program has ended."""
    try:
        return os.read(terminal, 4096)
    except OSError:
        return b""
