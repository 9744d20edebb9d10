"""The scripted OpenAI-compatible server in health, asked by httpx and by the real client."""

from __future__ import annotations

import json
from typing import Any

import httpx
import openai
import pytest
from pydantic import SecretStr

from tests.servers.clients import chat_openai
from tests.servers.openai import FakeOpenAI
from tests.servers.replies import Answer, ToolCall, always

SCHEMA = {"type": "object", "properties": {"intent": {"type": "string"}}, "required": ["intent"]}
FORMAT = {"type": "json_schema", "json_schema": {"name": "decision", "schema": SCHEMA, "strict": True}}
TOOL: dict[str, Any] = {"type": "function", "function": {"name": "price", "parameters": {"type": "object"}}}


def body(**more: Any) -> dict[str, Any]:
    return {"model": "local-model", "messages": [{"role": "user", "content": "hello"}]} | more


def ask(fake: FakeOpenAI, **more: Any) -> httpx.Response:
    return httpx.post(f"{fake.url}/v1/chat/completions", json=body(**more), timeout=60)


def events(answer: httpx.Response) -> list[str]:
    return [line.removeprefix("data: ") for line in answer.text.split("\n\n") if line]


def test_models_are_listed() -> None:
    with FakeOpenAI(always("unused"), models=("one", "two")) as fake:
        rows = httpx.get(f"{fake.url}/v1/models").json()["data"]
        assert httpx.get(f"{fake.url}/health").json() == {"status": "ok"}
        assert httpx.get(f"{fake.url}/v1/nope").status_code == 404
    assert [(row["id"], row["max_model_len"]) for row in rows] == [("one", 8192), ("two", 8192)]


def test_a_stream_is_events_with_a_reason_usage_and_an_end() -> None:
    with FakeOpenAI(always("Hello there")) as fake:
        answer = ask(fake, stream=True, stream_options={"include_usage": True})
    *chunks, end = events(answer)
    decoded = [json.loads(chunk) for chunk in chunks]
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert end == "[DONE]"
    assert "".join(c["choices"][0]["delta"].get("content", "") for c in decoded[:-1]) == "Hello there"
    assert decoded[-2]["choices"][0]["finish_reason"] == "stop"
    assert decoded[-1]["choices"] == []
    assert decoded[-1]["usage"]["completion_tokens"] == 3


def test_without_streaming_the_answer_is_one_body() -> None:
    with FakeOpenAI(always("Hello there")) as fake:
        answer = ask(fake).json()
    assert answer["object"] == "chat.completion"
    assert answer["choices"][0] == {
        "index": 0,
        "message": {"role": "assistant", "content": "Hello there"},
        "finish_reason": "stop",
    }
    assert answer["usage"]["prompt_tokens"] == fake.last.prompt_tokens


@pytest.mark.parametrize("streaming", [True, False])
async def test_a_schema_reaches_the_server_and_the_answer_the_client(streaming: bool) -> None:
    with FakeOpenAI(always({"intent": "price"})) as fake:
        async with chat_openai(fake.url, streaming=streaming) as chat_model:
            answer = await chat_model.bind(response_format=FORMAT).ainvoke("hello")
    assert json.loads(str(answer.content)) == {"intent": "price"}
    assert fake.last.schema == SCHEMA


@pytest.mark.parametrize("wanted", [FORMAT, {"type": "json_object"}])
def test_a_server_may_refuse_a_response_format(wanted: dict[str, Any]) -> None:
    with FakeOpenAI(always("fine"), takes_response_format=False) as fake:
        assert ask(fake, response_format=wanted).status_code == 400
        assert ask(fake, response_format={"type": "text"}).status_code == 200


@pytest.mark.parametrize("streaming", [True, False])
async def test_tool_calls_arrive_with_their_arguments(streaming: bool) -> None:
    calls = [ToolCall("price", {"symbol": "BTC/USDT"}), ToolCall("price", {"symbol": "ETH/USDT"})]
    with FakeOpenAI(always(calls)) as fake:
        async with chat_openai(fake.url, streaming=streaming) as chat_model:
            answer = await chat_model.bind_tools([TOOL]).ainvoke("prices?")
    assert [call["args"]["symbol"] for call in answer.tool_calls] == ["BTC/USDT", "ETH/USDT"]
    assert answer.response_metadata["finish_reason"] == "tool_calls"
    assert fake.last.tool_names == ["price"]


def test_a_server_may_refuse_tools() -> None:
    with FakeOpenAI(always("unused"), takes_tools=False) as fake:
        assert ask(fake, tools=[TOOL]).status_code == 400


def test_thinking_has_a_field_of_its_own() -> None:
    with FakeOpenAI(always(Answer("fine", thinking="hm"))) as fake:
        assert ask(fake).json()["choices"][0]["message"]["reasoning_content"] == "hm"
        streamed = [json.loads(event) for event in events(ask(fake, stream=True))[:-1]]
    assert streamed[1]["choices"][0]["delta"] == {"reasoning_content": "hm"}


@pytest.mark.parametrize("limit", ["max_tokens", "max_completion_tokens"])
def test_a_token_limit_cuts_and_says_length(limit: str) -> None:
    with FakeOpenAI(always("Hello there")) as fake:
        choice = ask(fake, **{limit: 2}).json()["choices"][0]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("Hello th", "length")


def test_a_prompt_that_is_too_long_is_refused_or_cut_in_silence() -> None:
    long = [{"role": "user", "content": "x" * 4000}, {"role": "user", "content": "hello"}]
    with FakeOpenAI(always("fine"), context_length=100) as fake:
        refused = ask(fake, messages=long)
    with FakeOpenAI(always("fine"), context_length=100, overflow="truncate") as fake:
        cut = ask(fake, messages=long)
    assert refused.status_code == 400
    assert "maximum context length is 100 tokens" in refused.json()["error"]["message"]
    assert (cut.status_code, fake.last.dropped) == (200, 1)


def test_the_known_part_of_a_prompt_is_counted() -> None:
    with FakeOpenAI(always("fine")) as fake:
        ask(fake)
        usage = ask(fake).json()["usage"]
    assert usage["prompt_tokens_details"]["cached_tokens"] == usage["prompt_tokens"]


async def test_a_key_may_be_asked_for() -> None:
    with FakeOpenAI(always("fine"), api_key="secret") as fake:
        async with chat_openai(fake.url) as chat_model:
            with pytest.raises(openai.AuthenticationError):
                await chat_model.ainvoke("hello")
        async with chat_openai(fake.url, api_key=SecretStr("secret")) as chat_model:
            assert (await chat_model.ainvoke("hello")).content == "fine"


def test_an_unknown_model_and_an_empty_talk_are_refused() -> None:
    with FakeOpenAI(always("unused")) as fake:
        assert ask(fake, model="nope").status_code == 404
        assert ask(fake, messages=[]).status_code == 400
        assert httpx.post(f"{fake.url}/v1/chat/completions", content=b"{bad").status_code == 400
    assert fake.log == []
