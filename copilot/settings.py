"""Settings: read once, from the environment and `.env`, prefix `COPILOT_`; a bad value stops the start.

Importing this module reads nothing; `load_settings` does. Defaults need no network, no keys and no server.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from engine.data.live.composite import parse_proxies
from engine.domain.errors import ConfigError

PREFIX = "COPILOT_"
OLLAMA_PORT = 11434
CHAT_MODEL = r"^(auto|offline|ollama|(ollama|openai):\S{1,200})$"
"""What names a chat model."""
SHORTEST_TOKEN = 16
LOOPBACK = ("127.0.0.1", "::1", "localhost")


class Settings(BaseSettings):
    """Everything the owner may set.

    Attributes:
        data_dir: Where the database, bars and models live.
        database_url: SQLAlchemy URL; empty means SQLite in `data_dir`.
        memory_url: Where conversations are kept; empty means SQLite in `data_dir`, or `redis://host` (6 or later).
        memory_ttl_s: Seconds after its last turn that a conversation is kept; 0 keeps it for good.
        retrain_days: Days after which a model is trained again; 0 never does.
        device: What signal models are trained on; `auto` is `cuda` where XGBoost can use a GPU, else `cpu`.
        journal_keep_days: Days of market time that agents' decisions are kept; 0 keeps all. Open trades always stay.
        language: Language before the owner has chosen one.
        market: `simulated` invents prices; `replay` plays stored bars as if live; `binance` shows its public prices;
            `auto` is `binance` where it can be reached at the start, else `simulated`.
        market_symbols: Coins to carry of Binance, separated by commas; the known ones when empty.
        market_proxies: What Binance trades in place of a symbol (`XAUUSD=PAXG/USDT`), separated by commas.
        market_source: Source of the bar store for currencies and metals that have no proxy; the owner keeps it current.
        venue: Where orders go: `paper`, `binance-testnet`, `binance-futures-demo`, or `binance` for real money.
        binance_key: API key of that venue.
        binance_secret: Its secret, or the path of a file with an Ed25519 or RSA private key (PEM).
        binance_url: Scheme, host and port in place of Binance's own, for a mirror or a server for tests.
        binance_stream_url: The same for its WebSocket streams.
        market_seed: Seed of the simulated market.
        replay_source: Folder of the bar store to replay (the `--source` of `trading-copilot ingest`).
        replay_start: First market time of a replay, ISO; empty means ninety days before the data's end.
        replay_speed: Market seconds per second.
        starting_balance: Paper money deposited at the first start, in USD.
        ticket_ttl_s: How long a ticket may wait for its owner.
        ticket_max_drift_bps: How far the price may move before a ticket asks again.
        chat_model: `offline`; `ollama:NAME` or `openai:NAME` for a local server; `auto` takes Ollama where it is there.
        ollama_url: Where Ollama listens; `OLLAMA_HOST` is read too.
        openai_url: Base URL of an OpenAI-compatible server (vLLM, llama.cpp, text-generation-webui).
        openai_key: Its bearer token, if it wants one.
        model_routing: `format` asks for one schema-constrained decision, `tools` for native tool calls; `auto` picks.
        model_context: Context in tokens, asked of the server explicitly.
        model_reply: Longest reply in tokens.
        model_keep_alive: How long Ollama keeps the model loaded after a call.
        model_always_asked: Ask the model what a message means even where the offline model understood every word.
        model_connect_s: Longest wait for a connection.
        model_first_token_s: Longest wait for the first word; a model may have to be loaded.
        model_idle_s: Longest silence in the middle of a reply.
        model_turn_s: Longest time that one reply may take.
        model_at_once: Replies that the server works on together.
        model_line: People who may wait for it; more are answered by the offline model at once.
        telegram_token: Token of the owner's Telegram bot; empty leaves Telegram alone.
        telegram_users: Telegram user ids that may talk to it, separated by commas.
        telegram_api_url: Base URL of the Bot API.
        telegram_webhook_url: Public `https` address at which Telegram brings updates; empty asks for them instead.
        telegram_webhook_host: Where the proxy behind that address reaches the copilot.
        telegram_webhook_port: The port there.
        api_port: Where `trading-copilot api` listens; on the same host as the page.
        api_token: Bearer token that it wants; needed when other machines can reach it.
        log_level: From which level on our own messages are shown; libraries show errors only.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=".env",
        extra="ignore",
        frozen=True,
        populate_by_name=True,
        protected_namespaces=(),
    )

    data_dir: Path = Path("data")
    database_url: str = ""
    memory_url: str = ""
    language: Literal["en", "es"] = "en"
    owner: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._-]+$")] = "owner"
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    market: Literal["auto", "binance", "simulated", "replay"] = "auto"
    market_symbols: Annotated[tuple[str, ...], NoDecode] = ()
    market_proxies: str = ""
    market_source: str = ""
    venue: Literal["paper", "binance-testnet", "binance-futures-demo", "binance"] = "paper"
    binance_key: SecretStr = SecretStr("")
    binance_secret: SecretStr = SecretStr("")
    binance_url: str = ""
    binance_stream_url: str = ""
    market_seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 20240101
    replay_source: str = "files"
    replay_symbols: Annotated[tuple[str, ...], NoDecode] = ()
    replay_start: str = ""
    replay_speed: Annotated[float, Field(gt=0, le=100_000)] = 1.0
    starting_balance: Annotated[Decimal, Field(gt=0)] = Decimal(100_000)
    ticket_ttl_s: Annotated[int, Field(ge=5, le=3600)] = 120
    ticket_max_drift_bps: Annotated[int, Field(ge=1, le=1000)] = 30
    memory_ttl_s: Annotated[int, Field(ge=0, le=10 * 365 * 86_400)] = 0
    retrain_days: Annotated[int, Field(ge=0, le=3650)] = 7
    device: Literal["auto", "cpu", "cuda"] = "auto"
    journal_keep_days: Annotated[int, Field(ge=0, le=36_500)] = 0
    chat_model: Annotated[str, Field(pattern=CHAT_MODEL)] = "auto"
    ollama_url: str = Field(
        "", validate_default=True, validation_alias=AliasChoices("COPILOT_OLLAMA_URL", "OLLAMA_HOST")
    )
    openai_url: str = "http://127.0.0.1:8080/v1"
    openai_key: SecretStr = SecretStr("")
    model_routing: Literal["auto", "format", "tools"] = "auto"
    model_context: Annotated[int, Field(ge=4096, le=262_144)] = 8192
    model_reply: Annotated[int, Field(ge=128, le=4096)] = 512
    model_keep_alive: str = "30m"
    model_always_asked: bool = False
    model_connect_s: Annotated[float, Field(gt=0, le=60)] = 2.0
    model_first_token_s: Annotated[float, Field(gt=0, le=600)] = 30.0
    model_idle_s: Annotated[float, Field(gt=0, le=600)] = 10.0
    model_turn_s: Annotated[float, Field(gt=0, le=3600)] = 90.0
    model_at_once: Annotated[int, Field(ge=1, le=64)] = 1
    model_line: Annotated[int, Field(ge=0, le=1000)] = 8
    telegram_token: SecretStr = SecretStr("")
    telegram_users: Annotated[tuple[int, ...], NoDecode] = ()
    telegram_api_url: str = "https://api.telegram.org"
    telegram_webhook_url: Annotated[str, Field(max_length=500)] = ""
    telegram_webhook_host: str = "127.0.0.1"
    telegram_webhook_port: Annotated[int, Field(ge=0, le=65535)] = 8101
    api_port: Annotated[int, Field(ge=0, le=65535)] = 8100
    api_token: Annotated[SecretStr, Field(max_length=500)] = SecretStr("")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "WARNING"

    @field_validator("replay_symbols", "market_symbols", "telegram_users", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("ollama_url")
    @classmethod
    def _with_scheme(cls, value: str) -> str:
        """Complete what `OLLAMA_HOST` may leave out: scheme and port."""
        text = value.strip().rstrip("/") or "127.0.0.1"
        parts = urlsplit(text if "://" in text else f"http://{text}")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("write it like http://127.0.0.1:11434")
        default = OLLAMA_PORT if "://" not in text else None
        port = parts.port or default
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        return f"{parts.scheme}://{host}{f':{port}' if port else ''}{parts.path}"

    @field_validator("api_token")
    @classmethod
    def _is_hard_to_guess(cls, value: SecretStr) -> SecretStr:
        if 0 < len(value.get_secret_value()) < SHORTEST_TOKEN:
            raise ValueError(f"write at least {SHORTEST_TOKEN} characters")
        return value

    @field_validator("openai_url", "telegram_api_url")
    @classmethod
    def _is_url(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("write it like http://127.0.0.1:8080/v1")
        return value.rstrip("/")

    @field_validator("telegram_webhook_url")
    @classmethod
    def _is_behind_tls(cls, value: str) -> str:
        parts = urlsplit(value)
        if value and (parts.scheme != "https" or not parts.hostname or parts.query or parts.path in ("", "/")):
            raise ValueError("write it like https://copilot.example.org/telegram, with a path of its own")
        return value.rstrip("/")

    @field_validator("binance_url", "binance_stream_url")
    @classmethod
    def _is_address(cls, value: str) -> str:
        if value and not (urlsplit(value).scheme in ("http", "https", "ws", "wss") and urlsplit(value).hostname):
            raise ValueError("write it like http://127.0.0.1:8080")
        return value.rstrip("/")

    @field_validator("market_proxies")
    @classmethod
    def _are_proxies(cls, value: str) -> str:
        parse_proxies(value)
        return value

    @model_validator(mode="after")
    def _trades_where_it_looks(self) -> Self:
        """Refuse a real venue beside prices that are not its own, and one without a key."""
        if self.venue == "paper":
            return self
        if self.market not in ("auto", "binance"):
            raise ValueError(
                f"COPILOT_VENUE is {self.venue!r} and COPILOT_MARKET is {self.market!r}: orders at Binance need its "
                "own prices; leave COPILOT_MARKET empty, or trade on paper"
            )
        if not (self.binance_key.get_secret_value() and self.binance_secret.get_secret_value()):
            raise ValueError(
                f"COPILOT_VENUE is {self.venue!r}, which needs COPILOT_BINANCE_KEY and COPILOT_BINANCE_SECRET"
            )
        return self

    @model_validator(mode="after")
    def _names_who_may_talk(self) -> Self:
        if self.telegram_token.get_secret_value() and not self.telegram_users:
            raise ValueError("COPILOT_TELEGRAM_TOKEN needs COPILOT_TELEGRAM_USERS: the ids of who may talk to the bot")
        return self

    @property
    def market_kind(self) -> Literal["binance", "simulated", "replay"]:
        """Return which market is meant; of `auto`, what the last start found."""
        if self.venue != "paper":
            return "binance"
        if self.market != "auto":
            return self.market
        kept = self.market_file
        return "binance" if kept.is_file() and kept.read_text().strip() == "binance" else "simulated"

    @property
    def is_real_money(self) -> bool:
        """Return whether approved orders move real money."""
        return self.venue == "binance"

    @property
    def market_file(self) -> Path:
        """Return where a start notes what `auto` came to."""
        return self.data_dir / "market"

    @property
    def world(self) -> str:
        """Return the name of the account's world: which venue on which prices. Its money is never another's."""
        if self.venue != "paper":
            return self.venue
        return {"simulated": "simulated", "binance": "binance-paper"}.get(
            self.market_kind, f"replay-{self.replay_source}"
        )

    @property
    def world_dir(self) -> Path:
        """Return the folder of the account's own files."""
        return self.data_dir if self.world == "simulated" else self.data_dir / self.world

    @property
    def database(self) -> str:
        """Return the database URL in use."""
        return self.database_url or f"sqlite:///{self.world_dir / 'copilot.db'}"

    @property
    def memory(self) -> str:
        """Return the URL of the conversation memory in use."""
        return self.memory_url or f"sqlite:///{self.world_dir / 'memory.db'}"

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
    if not problem["loc"]:  # about several settings: the message names them, and a value might be a secret
        return str(problem["msg"]).removeprefix("Value error, ")
    name = "_".join(str(part) for part in problem["loc"]).upper()
    name = name if name.startswith(PREFIX) or name == "OLLAMA_HOST" else PREFIX + name
    return f"{name} is {problem['input']!r}: {problem['msg'][0].lower()}{problem['msg'][1:]}"
