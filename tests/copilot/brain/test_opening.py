"""Which brain the settings open, and how it is wired to its server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from copilot.brain.model import ModelBrain
from copilot.brain.opening import DEFAULT_MODEL, choose_installed, find_installed, open_brain
from copilot.brain.values import Brain, Heard
from copilot.offline.values import Language
from copilot.routing import Router
from copilot.settings import Settings, load_settings
from engine.domain.errors import ConfigError
from tests.copilot.brain.rig import OPENED, decision, ignore
from tests.servers.ollama import FakeOllama
from tests.servers.ollama_models import LLAMA3, QWEN3
from tests.servers.openai import FakeOpenAI
from tests.servers.replies import always


def settings_for(tmp_path: Path, **others: Any) -> Settings:
    return load_settings(_env_file=None, data_dir=tmp_path, **others)


async def situation(owner: str, language: Language) -> str:
    return "-"


async def opened(settings: Settings) -> Brain:
    brain = await open_brain(settings, situation)
    if isinstance(brain, ModelBrain):
        OPENED.append(brain)
    return brain


@pytest.mark.parametrize(
    ("installed", "best"),
    [
        (["phi3:mini", "llama3:8b", "llama3.1:8b"], "llama3.1:8b"),
        (["llama3.1:70b", "qwen3:8b"], "llama3.1:70b"),
        (["mistral:7b", "codellama:7b"], "mistral:7b"),
        (["all-minilm:latest"], None),
        ([], None),
    ],
)
def test_best_known_model_is_taken(installed: list[str], best: str | None) -> None:
    assert choose_installed(installed) == best


async def test_auto_takes_what_the_server_holds(tmp_path: Path) -> None:
    with FakeOllama(always("hello"), models=(LLAMA3, QWEN3)) as fake:
        assert await find_installed(fake.url) == "llama3:8b"
        brain = await opened(settings_for(tmp_path, chat_model="auto", ollama_url=fake.url))
        assert brain.name == "llama3:8b"


async def test_auto_without_a_server_answers_offline_and_says_nothing_of_it(tmp_path: Path) -> None:
    with FakeOllama(always("hello")) as fake:
        url = fake.url
    brain = await opened(settings_for(tmp_path, chat_model="auto", ollama_url=url))
    assert brain.name == DEFAULT_MODEL
    planned = await brain.plan(Heard("wobble, wobble, gold"), ignore)
    assert (planned.voice.brain, planned.voice.trouble) == ("offline", None)


async def test_model_is_loaded_ahead_with_the_options_of_every_call(tmp_path: Path) -> None:
    with FakeOllama(always(decision({"intent": "conversation"}))) as fake:
        brain = await opened(settings_for(tmp_path, chat_model="ollama", ollama_url=fake.url, model_always_asked=True))
        assert brain.speaker == "offline"
        await brain.warm_up()
        assert fake.loads == 1
        assert brain.speaker == "llama3.1:8b"
        await brain.plan(Heard("wobble, wobble, gold"), ignore)
        assert fake.loads == 1
        assert fake.last.options["num_ctx"] == 8192
        assert fake.last.body["think"] is False
        assert fake.last.options["temperature"] == 0


async def test_speaker_is_the_offline_model_while_the_other_fails(tmp_path: Path) -> None:
    with FakeOpenAI(always(decision({"intent": "conversation"}))) as fake:
        url = f"{fake.url}/v1"
        brain = await opened(settings_for(tmp_path, chat_model="openai:m", openai_url=url, model_always_asked=True))
        await brain.warm_up()
        assert brain.speaker == "m"
    await brain.plan(Heard("wobble, wobble, gold"), ignore)
    assert brain.speaker == "offline"


def test_router_decides_like_the_conversation(tmp_path: Path) -> None:
    with FakeOllama(always(decision({"intent": "get_signal", "symbol": "XAUUSD"}))) as fake:
        settings = settings_for(tmp_path, ollama_url=fake.url)
        with Router(settings, "ollama:llama3.1:8b") as router:
            assert router.route("buy 1 btc", [])["calls"] == [
                {"tool": "execute_trade", "args": {"symbol": "BTC/USDT", "side": "buy", "amount": 1}}
            ]
            assert router.name == "llama3.1:8b"
            assert not router.troubles


def test_router_counts_what_kept_it_from_its_model(tmp_path: Path) -> None:
    with FakeOpenAI(always("hello")) as fake:
        url = f"{fake.url}/v1"
    settings = settings_for(tmp_path, openai_url=url, model_always_asked=True)
    with Router(settings, "openai:local") as router:
        assert router.route("buy 1 btc", [])["calls"]
        assert router.troubles == {"unreachable": 1}


@pytest.mark.parametrize(
    ("value", "url"),
    [
        ("", "http://127.0.0.1:11434"),
        ("0.0.0.0", "http://0.0.0.0:11434"),
        ("gpu-box:1234", "http://gpu-box:1234"),
        ("https://gpu-box/ollama", "https://gpu-box/ollama"),
        ("[::1]", "http://[::1]:11434"),
    ],
)
def test_address_of_ollama_may_leave_out_scheme_and_port(tmp_path: Path, value: str, url: str) -> None:
    assert settings_for(tmp_path, ollama_url=value).ollama_url == url


@pytest.mark.parametrize("setting", [{"ollama_url": "ftp://x"}, {"openai_url": "nowhere"}, {"chat_model": "gpt"}])
def test_bad_setting_is_named(tmp_path: Path, setting: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=next(iter(setting)).upper()):
        settings_for(tmp_path, **setting)
