"""`trading-copilot doctor`: for each part what is in use, what is missing, and the one command that adds it."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from copilot.brain.opening import DEFAULT_MODEL, choose_installed
from copilot.chat_models.failures import explain
from copilot.chat_models.ollama import installed_models
from copilot.database import open_database
from copilot.markets import settle_market
from copilot.places import open_bar_store, open_registry, prepare_data_dir
from copilot.settings import Settings
from copilot.venues import fingerprint
from engine.domain.errors import ConfigError, DataUnavailable
from engine.ml.device import choose_device, cuda_obstacle
from prompts import load_words

State = Literal["in_use", "simulated", "missing"]


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the product, as it stands.

    Attributes:
        detail: Name of a sentence in `messages.yaml`, section `doctor.details`, with its values in `params`.
        adds: The one command that would add what is missing or replace what is simulated.
    """

    name: str
    state: State
    detail: str
    params: dict[str, str] = field(default_factory=dict)
    adds: str | None = None

    def as_dict(self) -> dict[str, object]:
        """Return the part as plain JSON."""
        return asdict(self)


def examine(settings: Settings) -> list[Part]:
    """Look at every part without changing anything but bringing the database up to date.

    Raises:
        ConfigError: The data folder cannot be written.
    """
    prepare_data_dir(settings)
    settled = settle_market(settings, is_noted=False)
    settings = settled.settings
    return [
        _chat_model(settings),
        _memory(settings),
        _database(settings),
        _market(settings, settled.reason),
        _models(settings),
        _device(settings),
        _exchange(settings),
    ]


def render(parts: list[Part], language: Literal["en", "es"]) -> list[str]:
    """Return a line for each part, and one for what would add it."""
    messages = load_words(language, "messages")
    words, reach = messages["doctor"], messages["reach"]
    width = max(len(name) for name in words["parts"].values())
    lines = []
    for part in parts:
        params = dict(part.params)
        if "reason" in params:
            params["reason"] = reach.get(params["reason"], params["reason"])
        detail = words["details"][part.detail].format(**params)
        lines.append(f"{words['parts'][part.name]:<{width}}  {words['states'][part.state]:<10}  {detail}")
        if part.adds:
            lines.append(" " * (width + 2) + words["adds"].format(command=part.adds))
    return lines


def _chat_model(settings: Settings) -> Part:
    kind, _, name = settings.chat_model.partition(":")
    if kind == "offline":
        return Part("chat_model", "in_use", "chat_model_offline", adds="COPILOT_CHAT_MODEL=auto make run")
    if kind == "openai":
        return Part("chat_model", "in_use", "chat_model_openai", {"name": name, "url": settings.openai_url})
    return _ollama(settings, name, is_optional=kind == "auto")


def _ollama(settings: Settings, name: str, *, is_optional: bool) -> Part:
    """Ask the server which models it holds; an event loop of its own, because this is a command of its own."""
    url = settings.ollama_url
    try:
        installed = asyncio.run(installed_models(url, settings.model_connect_s))
    except Exception as error:
        if is_optional:
            return Part(
                "chat_model", "in_use", "chat_model_offline", adds=f"ollama serve & ollama pull {DEFAULT_MODEL}"
            )
        code = explain(error).code
        return Part("chat_model", "missing", "chat_model_no_server", {"url": url, "error": code}, "ollama serve")
    wanted = name or choose_installed(installed) or DEFAULT_MODEL
    if wanted not in installed and f"{wanted}:latest" not in installed:
        pull = f"ollama pull {wanted}"
        return Part("chat_model", "missing", "chat_model_not_pulled", {"name": wanted, "url": url}, pull)
    return Part("chat_model", "in_use", "chat_model_ollama", {"name": wanted, "url": url})


def _memory(settings: Settings) -> Part:
    if settings.memory_url:
        return Part("memory", "in_use", "memory_redis", {"host": urlsplit(settings.memory_url).hostname or ""})
    path = settings.memory.removeprefix("sqlite:///")
    return Part("memory", "in_use", "memory_sqlite", {"path": path}, "COPILOT_MEMORY_URL=redis://127.0.0.1 make run")


def _database(settings: Settings) -> Part:
    try:
        database = open_database(settings.database)
    except ConfigError as error:
        return Part("database", "missing", "database_bad", {"error": str(error)}, "unset COPILOT_DATABASE_URL")
    shown = database.url.render_as_string(hide_password=True)
    database.dispose()
    return Part("database", "in_use", "database_url", {"url": shown})


def _market(settings: Settings, reason: str) -> Part:
    if settings.market_kind == "binance":
        return Part("market", "in_use", "market_binance")
    source = settings.replay_source
    ingest = f"trading-copilot ingest --source {source} FILES"
    try:
        series = len(open_bar_store(settings).contents(source))
    except DataUnavailable as error:
        return Part("market", "missing", "market_bad", {"error": str(error)}, ingest)
    if settings.market == "simulated":
        adds = "COPILOT_MARKET=replay trading-copilot run" if series else ingest
        seed = str(settings.market_seed)
        if reason == "set":
            return Part("market", "simulated", "market_simulated", {"seed": seed}, adds)
        return Part("market", "simulated", "market_looked", {"seed": seed, "reason": reason}, adds)
    if series == 0:
        return Part("market", "missing", "market_replay_empty", {"source": source}, ingest)
    return Part("market", "in_use", "market_replay", {"source": source, "series": str(series)})


def _exchange(settings: Settings) -> Part:
    if settings.venue == "paper":
        return Part("exchange", "simulated", "exchange_paper")
    return Part(
        "exchange",
        "in_use",
        "exchange_venue",
        {"venue": settings.venue, "fingerprint": fingerprint(settings)},
        "trading-copilot live",
    )


def _models(settings: Settings) -> Part:
    manifests = open_registry(settings).manifests()
    if not manifests:
        return Part("models", "missing", "models_none", adds="trading-copilot train")
    newest = max(manifests, key=lambda manifest: manifest.created_at)
    return Part("models", "in_use", "models_present", {"count": str(len(manifests)), "model": newest.id})


def _device(settings: Settings) -> Part:
    try:
        device = choose_device(settings.device)
    except ConfigError as error:
        return Part("device", "missing", "device_bad", {"error": str(error)}, "unset COPILOT_DEVICE")
    if device == "cuda":
        return Part("device", "in_use", "device_cuda")
    if settings.device == "cpu":
        return Part("device", "in_use", "device_cpu")
    return Part("device", "in_use", "device_no_gpu", {"error": cuda_obstacle()})
