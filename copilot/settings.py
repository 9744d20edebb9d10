"""Settings: read once, from the environment and `.env`, prefix `COPILOT_`; a bad value stops the start.

Importing this module reads nothing; `load_settings` does. Defaults need no network, no keys and no server.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from engine.domain.errors import ConfigError

PREFIX = "COPILOT_"
LOOPBACK = ("127.0.0.1", "::1", "localhost")


class Settings(BaseSettings):
    """Everything the owner may set.

    Attributes:
        data_dir: Where the database, bars and models live.
        database_url: SQLAlchemy URL; empty means SQLite in `data_dir`.
        memory_url: Where conversations are kept; empty means SQLite in `data_dir`, or `redis://host` (6 or later).
        language: Language before the owner has chosen one.
        market: `simulated` invents prices; `replay` plays stored bars as if live.
        market_seed: Seed of the simulated market.
        replay_source: Folder of the bar store to replay (the `--source` of `trading-copilot ingest`).
        replay_start: First market time of a replay, ISO; empty means ninety days before the data's end.
        replay_speed: Market seconds per second.
        starting_balance: Paper money deposited at the first start, in USD.
        ticket_ttl_s: How long a ticket may wait for its owner.
        ticket_max_drift_bps: How far the price may move before a ticket asks again.
        chat_model: `offline`; other models come as `ollama:NAME`.
        log_level: From which level on our own messages are shown; libraries show errors only.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_file=".env", extra="ignore", frozen=True)

    data_dir: Path = Path("data")
    database_url: str = ""
    memory_url: str = ""
    language: Literal["en", "es"] = "en"
    owner: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._-]+$")] = "owner"
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    market: Literal["simulated", "replay"] = "simulated"
    market_seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 20240101
    replay_source: str = "files"
    replay_symbols: Annotated[tuple[str, ...], NoDecode] = ()
    replay_start: str = ""
    replay_speed: Annotated[float, Field(gt=0, le=100_000)] = 1.0
    starting_balance: Annotated[Decimal, Field(gt=0)] = Decimal(100_000)
    ticket_ttl_s: Annotated[int, Field(ge=5, le=3600)] = 120
    ticket_max_drift_bps: Annotated[int, Field(ge=1, le=1000)] = 30
    chat_model: Annotated[str, Field(pattern=r"^offline$")] = "offline"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "WARNING"

    @field_validator("replay_symbols", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @property
    def database(self) -> str:
        """Return the database URL in use."""
        return self.database_url or f"sqlite:///{self.data_dir / 'copilot.db'}"

    @property
    def memory(self) -> str:
        """Return the URL of the conversation memory in use."""
        return self.memory_url or f"sqlite:///{self.data_dir / 'memory.db'}"

    @property
    def is_loopback(self) -> bool:
        """Return whether only this machine can reach the page."""
        return self.host in LOOPBACK


def load_settings(**overrides: object) -> Settings:
    """Read the environment and `.env`; keyword arguments win.

    Raises:
        ConfigError: A value is wrong; the message is one line per setting, with what was received.
    """
    try:
        return Settings(**overrides)  # type: ignore[arg-type]  # pydantic checks each value and names what is wrong
    except ValidationError as error:
        lines = [_explain(problem) for problem in error.errors(include_url=False)]
        raise ConfigError("; ".join(lines)) from None


def _explain(problem: object) -> str:
    assert isinstance(problem, dict)
    name = PREFIX + "_".join(str(part) for part in problem["loc"]).upper()
    return f"{name} is {problem['input']!r}: {problem['msg'][0].lower()}{problem['msg'][1:]}"
