"""Settings: defaults that need nothing, and one clear line for a bad value."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from copilot.settings import load_settings
from engine.domain.errors import ConfigError


@pytest.fixture(autouse=True)
def _clean_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_defaults_need_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COPILOT_MARKET")
    settings = load_settings()
    assert (settings.market, settings.market_kind, settings.venue) == ("auto", "simulated", "paper")
    assert settings.database == "sqlite:///data/copilot.db"
    assert settings.is_loopback


def test_environment_is_read_with_the_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COPILOT_STARTING_BALANCE", "2500.10")
    monkeypatch.setenv("COPILOT_REPLAY_SYMBOLS", "BTC/USDT, XAUUSD")
    settings = load_settings()
    assert settings.starting_balance == Decimal("2500.10")
    assert settings.replay_symbols == ("BTC/USDT", "XAUUSD")


def test_dotenv_is_read(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("COPILOT_LANGUAGE=es\n")
    assert load_settings().language == "es"


@pytest.mark.parametrize(
    ("name", "value"),
    [("PORT", "eighty"), ("LANGUAGE", "fr"), ("REPLAY_SPEED", "0"), ("OWNER", "a b"), ("TICKET_TTL_S", "1")],
)
def test_bad_value_stops_with_its_name_and_what_was_received(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"COPILOT_{name}", value)
    with pytest.raises(ConfigError) as caught:
        load_settings()
    assert f"COPILOT_{name} is {value!r}" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_several_bad_values_are_told_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COPILOT_PORT", "99999")
    monkeypatch.setenv("COPILOT_LANGUAGE", "fr")
    with pytest.raises(ConfigError, match=r"COPILOT_LANGUAGE.*COPILOT_PORT"):
        load_settings()


def test_a_telegram_token_needs_people_and_is_not_shown() -> None:
    with pytest.raises(ConfigError, match="COPILOT_TELEGRAM_USERS") as raised:
        load_settings(telegram_token="1:secret")
    assert "secret" not in str(raised.value)
    assert load_settings(telegram_token="1:secret", telegram_users="7, 8").telegram_users == (7, 8)
