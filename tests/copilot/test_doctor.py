"""The doctor: every part with its state and the one command that adds what is missing, and nothing big is made."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from copilot.doctor import Part, examine, render
from copilot.places import open_bar_store
from engine.domain.errors import ConfigError
from engine.domain.market import Bars
from tests.copilot.conftest import settings_for
from tests.servers.ollama import FakeOllama
from tests.servers.replies import always

PARTS = ["chat_model", "memory", "database", "market", "models", "device", "exchange"]


def part(parts: list[Part], name: str) -> Part:
    return next(one for one in parts if one.name == name)


def store_bars(data_dir: Path) -> None:
    time = np.arange(48, dtype=np.int64) * 3600
    open_bar_store(settings_for(data_dir)).merge("files", Bars("BTC/USDT", "1h", time, *np.ones((5, 48))))


def test_a_new_folder_has_every_part_and_stays_small(tmp_path: Path) -> None:
    parts = examine(settings_for(tmp_path / "data"))
    assert [one.name for one in parts] == PARTS
    assert part(parts, "models").adds == "trading-copilot train"
    assert part(parts, "market").adds == "trading-copilot ingest --source files FILES"
    assert sum(path.stat().st_size for path in (tmp_path / "data").rglob("*")) < 2_000_000


def test_stored_bars_can_be_replayed(tmp_path: Path) -> None:
    store_bars(tmp_path)
    assert part(examine(settings_for(tmp_path)), "market").adds == "COPILOT_MARKET=replay trading-copilot run"
    market = part(examine(settings_for(tmp_path, market="replay")), "market")
    assert (market.state, market.params["series"]) == ("in_use", "1")


def test_a_replay_without_bars_names_the_command(tmp_path: Path) -> None:
    market = part(examine(settings_for(tmp_path, market="replay", replay_source="real")), "market")
    assert (market.state, market.adds) == ("missing", "trading-copilot ingest --source real FILES")


def test_damaged_bars_are_told(tmp_path: Path) -> None:
    store_bars(tmp_path)
    (tmp_path / "bars" / "files" / "BTC-USDT" / "1h.parquet").write_bytes(b"damaged")
    market = part(examine(settings_for(tmp_path)), "market")
    assert market.state == "missing"
    assert "1h.parquet" in market.params["error"]


def test_a_database_that_does_not_answer_is_told_without_its_password(tmp_path: Path) -> None:
    database = part(examine(settings_for(tmp_path, database_url="mysql+pymysql://u:s3cret@127.0.0.1:1/x")), "database")
    assert database.state == "missing"
    assert "s3cret" not in database.params["error"]


def test_a_folder_that_cannot_be_written_stops(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(ConfigError, match="COPILOT_DATA_DIR"):
        examine(settings_for(tmp_path / "taken"))


@pytest.mark.parametrize(("language", "state", "adds"), [("en", "missing", "to add:"), ("es", "falta", "para añadir:")])
def test_it_speaks_both_languages(language: Literal["en", "es"], state: str, adds: str, tmp_path: Path) -> None:
    parts = examine(settings_for(tmp_path))
    lines = render(parts, language)
    assert len(lines) == len(PARTS) + sum(one.adds is not None for one in parts)
    assert any(state in line for line in lines)
    assert any(adds in line and "trading-copilot train" in line for line in lines)
    assert "{" not in "".join(lines)


@pytest.mark.parametrize(
    ("chosen", "state", "adds"),
    [
        ("auto", "in_use", None),
        ("ollama:llama3.1:8b", "in_use", None),
        ("ollama:phi3:mini", "missing", "ollama pull phi3:mini"),
        ("offline", "in_use", "COPILOT_CHAT_MODEL=auto make run"),
        ("openai:local", "in_use", None),
    ],
)
def test_the_chat_model_is_looked_up_where_it_should_be(
    tmp_path: Path, chosen: str, state: str, adds: str | None
) -> None:
    with FakeOllama(always("hello")) as fake:
        model = part(examine(settings_for(tmp_path, chat_model=chosen, ollama_url=fake.url)), "chat_model")
    assert (model.state, model.adds) == (state, adds)


@pytest.mark.parametrize(("chosen", "state"), [("auto", "in_use"), ("ollama", "missing")])
def test_without_a_server_the_offline_model_speaks(tmp_path: Path, chosen: str, state: str) -> None:
    with FakeOllama(always("hello")) as fake:
        url = fake.url
    model = part(examine(settings_for(tmp_path, chat_model=chosen, ollama_url=url)), "chat_model")
    assert model.state == state
    assert "ollama serve" in str(model.adds)
    assert render([model], "es")
