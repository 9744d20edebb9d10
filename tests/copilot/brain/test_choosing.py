"""Choosing a chat model while the program runs: what is offered, what is kept, what a setting decides."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from copilot.brain.choosing import ChosenBrain, kept_choice
from copilot.brain.opening import open_brain
from copilot.brain.values import Brain
from copilot.offline.values import Language
from copilot.settings import Settings, load_settings
from engine.domain.errors import InvalidRequest
from tests.servers.ollama import FakeOllama
from tests.servers.ollama_models import LLAMA3, QWEN3
from tests.servers.openai import FakeOpenAI
from tests.servers.replies import always


def settings_for(tmp_path: Path, **others: Any) -> Settings:
    return load_settings(_env_file=None, data_dir=tmp_path, **others)


async def situation(owner: str, language: Language) -> str:
    return "-"


async def opened(settings: Settings) -> ChosenBrain:
    async def open_named(name: str) -> Brain:
        return await open_brain(settings, situation, name)

    return await ChosenBrain.open(open_named, settings)


async def test_choice_takes_effect_at_once_and_holds_at_the_next_start(tmp_path: Path) -> None:
    with FakeOllama(always("hello"), models=(LLAMA3, QWEN3)) as ollama, FakeOpenAI(always("hello")) as other:
        settings = settings_for(tmp_path, chat_model="auto", ollama_url=ollama.url, openai_url=f"{other.url}/v1")
        brain = await opened(settings)
        models = await brain.models()
        assert models.chosen == "auto"
        assert models.offered == ("auto", "offline", "ollama:llama3:8b", "ollama:qwen3:8b", "openai:local-model")
        assert brain.name == "llama3:8b"
        await brain.choose("ollama:qwen3:8b")
        assert brain.name == "qwen3:8b"
        again = await opened(settings)
        assert again.name == "qwen3:8b"
        await again.choose("offline")
        assert again.name == "offline"
        for each in (brain, again):
            await each.close()


async def test_what_no_server_holds_cannot_be_chosen(tmp_path: Path) -> None:
    brain = await opened(settings_for(tmp_path, chat_model="offline", ollama_url="http://127.0.0.1:9"))
    assert (await brain.models()).offered == ("auto", "offline")
    with pytest.raises(InvalidRequest):
        await brain.choose("ollama:qwen3:8b")
    assert brain.name == "offline"
    await brain.close()


@pytest.mark.parametrize(
    ("setting", "kept", "chosen"),
    [
        ("auto", "ollama:qwen3:8b\n", "ollama:qwen3:8b"),
        ("offline", "ollama:qwen3:8b\n", "offline"),
        ("auto", "rm -rf", "auto"),
    ],
)
def test_setting_that_names_a_model_goes_before_the_choice(
    tmp_path: Path, setting: str, kept: str, chosen: str
) -> None:
    (tmp_path / "chat_model").write_text(kept)
    assert kept_choice(settings_for(tmp_path, chat_model=setting)) == chosen
