"""The scripted Ollama server in health, asked by the real clients."""

from __future__ import annotations

import json
from typing import Any

import httpx
import ollama
import pytest

from tests.servers.clients import chat_ollama
from tests.servers.ollama import LLAMA31, Answer, FakeModel, FakeOllama
from tests.servers.replies import ToolCall, always

SCHEMA = {"type": "object", "properties": {"intent": {"type": "string"}}, "required": ["intent"]}
TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "price",
        "description": "The last price",
        "parameters": {"type": "object", "properties": {"symbol": {"type": "string"}}, "required": ["symbol"]},
    },
}


def test_the_pages_speak_to_the_real_client() -> None:
    with FakeOllama(always("unused")) as fake, ollama.Client(fake.url) as client:
        assert [model.model for model in client.list().models] == ["llama3.1:8b", "llama3:8b", "qwen3:8b"]
        assert client.ps().models == []
        assert httpx.get(f"{fake.url}/").text == "Ollama is running"
        assert httpx.get(f"{fake.url}/api/version").json() == {"version": "0.10.1"}
        assert httpx.get(f"{fake.url}/nope").status_code == 404


def test_show_tells_what_a_model_can_do() -> None:
    with FakeOllama(always("unused")) as fake, ollama.Client(fake.url) as client:
        capable, plain = client.show("llama3.1:8b"), client.show("llama3:8b")
        with pytest.raises(ollama.ResponseError, match="model 'nope' not found") as caught:
            client.show("nope")
    assert capable.capabilities == ["completion", "tools"]
    assert plain.capabilities == ["completion"]
    assert ".Tools" in str(capable.template)
    assert ".Tools" not in str(plain.template)
    assert capable.modelinfo is not None
    assert capable.modelinfo["llama.context_length"] == 131_072
    assert caught.value.status_code == 404


def test_an_old_server_does_not_tell_capabilities_but_holds_to_the_template() -> None:
    old = FakeModel("llama3.1:8b", capabilities=None)
    with FakeOllama(always("fine"), models=[old]) as fake, ollama.Client(fake.url) as client:
        assert client.show("llama3.1:8b").capabilities is None
        assert client.chat("llama3.1:8b", hello(), tools=[TOOL]).message.content == "fine"


async def test_text_comes_in_pieces_and_counts_its_tokens() -> None:
    with FakeOllama(always("Bitcoin is calm.")) as fake:
        async with chat_ollama(fake.url) as chat_model:
            chunks = [chunk async for chunk in chat_model.astream("hello")]
    assert [chunk.content for chunk in chunks if chunk.content] == ["Bitc", "oin ", "is c", "alm."]
    usage = [chunk.usage_metadata for chunk in chunks if chunk.usage_metadata]
    assert usage[0]["output_tokens"] == 4
    assert usage[0]["input_tokens"] == fake.last.prompt_tokens
    assert fake.last.outcome == "answered"


def test_without_streaming_the_answer_is_one_body() -> None:
    with FakeOllama(always({"intent": "price"})) as fake, ollama.Client(fake.url) as client:
        answer = client.chat("llama3.1:8b", hello(), format=SCHEMA)
    assert json.loads(str(answer.message.content)) == {"intent": "price"}
    assert (answer.done, answer.done_reason) == (True, "stop")
    assert fake.last.schema == SCHEMA


async def test_tool_calls_arrive_with_their_arguments() -> None:
    with FakeOllama(always(ToolCall("price", {"symbol": "BTC/USDT"}))) as fake:
        async with chat_ollama(fake.url) as chat_model:
            answer = await chat_model.bind_tools([TOOL]).ainvoke("the price of bitcoin?")
    assert [(call["name"], call["args"]) for call in answer.tool_calls] == [("price", {"symbol": "BTC/USDT"})]
    assert fake.last.tool_names == ["price"]


async def test_a_format_beside_tools_loses_the_calls() -> None:
    with FakeOllama(always(ToolCall("price", {"symbol": "BTC/USDT"}))) as fake:
        async with chat_ollama(fake.url, format=SCHEMA) as chat_model:
            answer = await chat_model.bind_tools([TOOL]).ainvoke("the price of bitcoin?")
    assert (answer.content, answer.tool_calls) == ("{}", [])


async def test_the_client_drops_what_it_does_not_know_from_a_tools_schema() -> None:
    quantity = {"anyOf": [{"type": "number"}, {"type": "null"}], "minimum": 0, "description": "base units"}
    parameters = {"type": "object", "properties": {"quantity": quantity}}
    tool = {"type": "function", "function": {"name": "buy", "description": "", "parameters": parameters}}
    with FakeOllama(always("fine")) as fake:
        async with chat_ollama(fake.url) as chat_model:
            await chat_model.bind_tools([tool]).ainvoke("buy")
    sent = fake.last.body["tools"][0]["function"]["parameters"]["properties"]
    assert sent == {"quantity": {"description": "base units"}}


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"model": "llama3:8b", "tools": [TOOL]}, 400, "library/llama3:8b does not support tools"),
        ({"model": "llama3:8b", "think": True}, 400, "llama3:8b does not support thinking"),
        ({"model": "nope"}, 404, 'model "nope" not found, try pulling it first'),
        ({}, 400, "model is required"),
    ],
)
def test_a_request_that_the_real_server_refuses(body: dict[str, Any], status: int, words: str) -> None:
    with FakeOllama(always("unused")) as fake:
        answer = httpx.post(f"{fake.url}/api/chat", json=body | {"messages": hello()})
    assert answer.status_code == status
    assert words in answer.json()["error"]
    assert fake.log == []


async def test_a_model_that_can_think_does_unless_told_not_to() -> None:
    with FakeOllama(always("fine")) as fake:
        for reasoning, thinks in ((None, False), (True, True), (False, False)):
            async with chat_ollama(fake.url, model="qwen3:8b", reasoning=reasoning) as chat_model:
                answer = await chat_model.ainvoke("hello")
            assert answer.content == "fine"
            assert bool(answer.additional_kwargs.get("reasoning_content")) is thinks
    assert "think" not in fake.log[0].body


def test_thinking_that_nobody_asked_for_is_sent_all_the_same() -> None:
    with FakeOllama(always("fine")) as fake, ollama.Client(fake.url) as client:
        assert client.chat("qwen3:8b", hello()).message.thinking
        assert client.chat("llama3.1:8b", hello()).message.thinking is None


async def test_num_predict_cuts_and_says_length() -> None:
    with FakeOllama(always({"intent": "place_order"})) as fake:
        async with chat_ollama(fake.url, num_predict=3) as chat_model:
            answer = await chat_model.ainvoke("hello")
    assert answer.content == '{"intent": "'
    assert answer.response_metadata["done_reason"] == "length"


def test_an_empty_request_loads_and_keep_alive_zero_unloads() -> None:
    with FakeOllama(always("unused")) as fake, ollama.Client(fake.url) as client:
        assert client.chat("llama3.1:8b", [], options={"num_ctx": 8192}).done_reason == "load"
        assert [(model.model, model.context_length) for model in client.ps().models] == [("llama3.1:8b", 8192)]
        assert client.chat("llama3.1:8b", [], keep_alive=0).done_reason == "unload"
        assert client.ps().models == []
    assert fake.log == []


def test_a_keep_alive_of_zero_with_a_question_unloads_after_it() -> None:
    with FakeOllama(always("fine")) as fake, ollama.Client(fake.url) as client:
        client.chat("llama3.1:8b", hello(), keep_alive=0)
        assert client.ps().models == []
        client.chat("llama3.1:8b", hello(), keep_alive="10m")
        assert len(client.ps().models) == 1
    assert fake.loads == 2


def test_loading_takes_its_time_and_says_so() -> None:
    with FakeOllama(always("fine"), load_s=0.1) as fake, ollama.Client(fake.url) as client:
        first, second = (client.chat("llama3.1:8b", hello()) for _ in range(2))
    assert first.load_duration == 100_000_000
    assert second.load_duration == 0


def test_generate_answers_a_plain_prompt() -> None:
    with FakeOllama(lambda asked: f"heard {asked.last}") as fake, ollama.Client(fake.url) as client:
        assert client.generate("llama3.1:8b", "hello", system="Be brief.").response == "heard hello"
        pieces = [part.response for part in client.generate("llama3.1:8b", "hello", stream=True)]
        assert client.generate("llama3.1:8b").done_reason == "load"
    assert "".join(pieces) == "heard hello"
    assert "Be brief." in fake.log[0].prompt


def test_a_full_answer_may_set_everything() -> None:
    reply = Answer("half", thinking="hm", done_reason="length", prompt_ratio=0.5)
    with FakeOllama(always(reply)) as fake, ollama.Client(fake.url) as client:
        answer = client.chat("llama3.1:8b", hello())
    assert (answer.message.content, answer.message.thinking, answer.done_reason) == ("half", "hm", "length")
    assert answer.prompt_eval_count == fake.last.prompt_tokens // 2


def test_the_default_models_are_the_families_that_differ() -> None:
    assert LLAMA31.can("tools")
    assert not LLAMA31.can("thinking")


def hello() -> list[dict[str, str]]:
    return [{"role": "user", "content": "hello"}]
