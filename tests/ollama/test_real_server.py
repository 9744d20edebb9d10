"""A real server with a tiny model, driven by the real clients: what the protocol server of the other tests imitates."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import httpx
import ollama
import pytest
from langchain_ollama import ChatOllama

from tests.ollama.server import MODEL
from tests.servers.clients import chat_ollama

pytestmark = pytest.mark.ollama

Chat = Callable[..., AbstractAsyncContextManager[ChatOllama]]
OPTIONS: dict[str, Any] = {"num_ctx": 1024, "temperature": 0, "seed": 7, "num_predict": 64}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "intent": {"type": "string", "enum": ["price", "place_order", "none"]},
        "symbol": {"type": "string", "enum": ["BTC/USDT", "ETH/USDT"]},
        "certain": {"type": "boolean"},
    },
    "required": ["intent", "symbol", "certain"],
}
TOOL = {
    "type": "function",
    "function": {
        "name": "price",
        "description": "The last price",
        "parameters": {"type": "object", "properties": {"symbol": {"type": "string"}}, "required": ["symbol"]},
    },
}


@pytest.fixture
def client(real_ollama: str) -> Iterator[ollama.Client]:
    with ollama.Client(host=real_ollama, timeout=120) as client:
        yield client


@pytest.fixture
def chat_model(real_ollama: str) -> Callable[..., AbstractAsyncContextManager[ChatOllama]]:
    def build(**settings: Any) -> AbstractAsyncContextManager[ChatOllama]:
        return chat_ollama(real_ollama, **{"model": MODEL, "timeout_s": 120, "reasoning": False, **OPTIONS, **settings})

    return build


def ask(real_ollama: str, content: str) -> dict[str, Any]:
    body = {"model": MODEL, "messages": [{"role": "user", "content": content}], "stream": False}
    answer = httpx.post(f"{real_ollama}/api/chat", json=body | {"options": OPTIONS | {"num_predict": 4}}, timeout=120)
    decoded: dict[str, Any] = answer.raise_for_status().json()
    return decoded


def test_show_tells_capabilities_template_and_context_length(client: ollama.Client) -> None:
    shown = client.show(MODEL)
    assert shown.capabilities == ["completion"]
    assert shown.template is not None
    assert ".Messages" in shown.template
    assert shown.modelinfo is not None
    assert shown.modelinfo["general.architecture"] == "gemma3"
    assert shown.modelinfo["gemma3.context_length"] == 32768


def test_tags_list_the_model_with_its_tag(client: ollama.Client) -> None:
    assert f"{MODEL}:latest" in [model.model for model in client.list().models]


async def test_an_answer_held_to_a_schema_is_json_of_that_schema(chat_model: Chat) -> None:
    async with chat_model(format=SCHEMA) as model:
        decision = json.loads(str((await model.ainvoke("What is the price of bitcoin?")).content))
    assert set(decision) == set(SCHEMA["required"])
    assert decision["intent"] in SCHEMA["properties"]["intent"]["enum"]
    assert decision["symbol"] in SCHEMA["properties"]["symbol"]["enum"]
    assert isinstance(decision["certain"], bool)


async def test_streaming_brings_the_answer_in_several_pieces(chat_model: Chat) -> None:
    async with chat_model(num_predict=12) as model:
        chunks = [chunk async for chunk in model.astream("Tell me about bitcoin.")]
    assert len([chunk for chunk in chunks if chunk.content]) >= 3
    assert [chunk.response_metadata["done"] for chunk in chunks if "done" in chunk.response_metadata] == [True]


async def test_an_answer_cut_by_the_token_limit_says_length(chat_model: Chat) -> None:
    async with chat_model(num_predict=3) as model:
        answer = await model.ainvoke("Tell me about bitcoin.")
    assert answer.response_metadata["done_reason"] == "length"
    assert answer.usage_metadata is not None
    assert answer.usage_metadata["output_tokens"] == 3


async def test_a_schema_answer_cut_by_the_token_limit_is_no_json(chat_model: Chat) -> None:
    async with chat_model(format=SCHEMA, num_predict=3) as model:
        answer = await model.ainvoke("What is the price of bitcoin?")
    assert answer.response_metadata["done_reason"] == "length"
    with pytest.raises(json.JSONDecodeError):
        json.loads(str(answer.content))


async def test_an_unknown_model_is_404_with_the_words_of_the_fake(chat_model: Chat) -> None:
    async with chat_model(model="nope:8b") as model:
        with pytest.raises(ollama.ResponseError, match="not found, try pulling it first") as caught:
            await model.ainvoke("hello")
    assert caught.value.status_code == 404


async def test_tools_on_a_model_without_tools_are_400(chat_model: Chat) -> None:
    async with chat_model() as model:
        with pytest.raises(ollama.ResponseError, match=f"{MODEL}:latest does not support tools") as caught:
            await model.bind_tools([TOOL]).ainvoke("What is the price of bitcoin?")
    assert caught.value.status_code == 400


async def test_thinking_on_a_model_that_cannot_think_is_400(chat_model: Chat) -> None:
    async with chat_model(reasoning=True) as model:
        with pytest.raises(ollama.ResponseError, match="does not support thinking") as caught:
            await model.ainvoke("What is the price of bitcoin?")
    assert caught.value.status_code == 400


def test_an_empty_request_only_loads_the_model(client: ollama.Client) -> None:
    answer = client.chat(model=MODEL, messages=[], options=OPTIONS)
    assert (answer.done, answer.done_reason) == (True, "load")
    assert client.ps().models[0].model == f"{MODEL}:latest"


def test_a_prompt_with_a_known_beginning_is_read_faster(real_ollama: str) -> None:
    known = " ".join(f"Rule {number}: never risk more than a small part of the money." for number in range(30))
    first = ask(real_ollama, f"{known} What is bitcoin?")
    second = ask(real_ollama, f"{known} What is ether?")
    assert first["prompt_eval_count"] > 300
    assert abs(second["prompt_eval_count"] - first["prompt_eval_count"]) < 10
    assert second["prompt_eval_duration"] < first["prompt_eval_duration"] / 2


def test_a_prompt_beyond_the_context_is_cut_in_silence(real_ollama: str) -> None:
    answer = ask(real_ollama, "Never risk more than a small part of the money. " * 300)
    assert answer["done"] is True
    assert answer["prompt_eval_count"] <= OPTIONS["num_ctx"]
