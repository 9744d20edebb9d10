"""The terminal: tickets are decided at their own prompt, left ones come back, and text is shown as it is."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from copilot.bootstrap import open_runtime
from copilot.terminal import Terminal
from tests.copilot.conftest import settings_for


async def talk(data_dir: Path, lines: list[str], monkeypatch: pytest.MonkeyPatch) -> str:
    said = data_dir / "said.txt"
    said.write_text("\n".join(lines) + "\n")
    shown = io.StringIO()
    with said.open() as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        await _talk(data_dir, shown)
    return shown.getvalue()


async def _talk(data_dir: Path, shown: io.StringIO) -> None:
    async with await open_runtime(settings_for(data_dir), lambda _done, _what: None) as runtime:
        await Terminal(runtime.copilot, "owner", "en", Console(file=shown)).run("talk", "[banner] :smile:")


async def test_a_conversation_with_tickets(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    buy = "buy 0.05 bitcoin with a 2% stop"
    lines = [buy, "", "", "e", "0.02", "", "", "", "a", buy, "yes", "", "r", "show my positions", "[/nonsense]"]
    shown = await talk(data_dir, lines, monkeypatch)
    assert shown.startswith("[banner] :smile:")
    assert shown.count("stays open until it expires; nothing was sent") == 2
    assert "Filled 0.02" in shown
    assert "| BTC/USDT | 0.02 |" in shown
    assert shown.count("Filled") == 1
    assert shown.endswith("Goodbye.\n")
