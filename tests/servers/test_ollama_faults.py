"""What ChatOllama really does with each fault: the table that decides what our own code must catch and check."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import httpx
import ollama
import pytest
from langchain_core.messages import AIMessage

from tests.servers.asked import Asked
from tests.servers.clients import IMPATIENT_S, PATIENT_S, chat_ollama
from tests.servers.ollama import FakeOllama, Fault, FaultKind
from tests.servers.replies import DEFAULT_TEXT, Reply, always, in_turn

RAISED: dict[FaultKind, tuple[type[Exception], str]] = {
    FaultKind.GONE: (httpx.RemoteProtocolError, "without sending a response"),
    FaultKind.RESET: (httpx.RemoteProtocolError, "without sending a response"),
    FaultKind.NOT_FOUND: (ollama.ResponseError, "not found, try pulling it first .status code: 404"),
    FaultKind.NO_TOOLS: (ollama.ResponseError, "does not support tools .status code: 400"),
    FaultKind.BAD_REQUEST: (ollama.ResponseError, "failed to parse grammar .status code: 400"),
    FaultKind.NO_MEMORY: (ollama.ResponseError, "more system memory .* .status code: 500"),
    FaultKind.BUSY: (ollama.ResponseError, "server busy.* .status code: 503"),
    FaultKind.HTML: (ollama.ResponseError, "502 Bad Gateway"),
    FaultKind.SILENT: (httpx.ReadTimeout, "^$"),
    FaultKind.NO_TOKEN: (httpx.ReadTimeout, "^$"),
    FaultKind.STALL: (httpx.ReadTimeout, "^$"),
    FaultKind.CUT: (httpx.RemoteProtocolError, "incomplete chunked read"),
    FaultKind.ERROR_LINE: (ollama.ResponseError, "CUDA error.* .status code: -1"),
    FaultKind.NOTHING: (ValueError, "No data received from Ollama stream"),
    FaultKind.GARBAGE: (json.JSONDecodeError, "Expecting value"),
}
"""Faults that raise: the exception, and words of its message."""


def partial(answer: AIMessage) -> bool:
    return answer.content == DEFAULT_TEXT[:8] and "done" not in answer.response_metadata


def cut_short(answer: AIMessage) -> bool:
    return answer.content == DEFAULT_TEXT[:8] and answer.response_metadata["done_reason"] == "length"


def whole(answer: AIMessage) -> bool:
    return answer.content == DEFAULT_TEXT and answer.response_metadata["done_reason"] == "stop"


def no_json(answer: AIMessage) -> bool:
    with pytest.raises(json.JSONDecodeError):
        json.loads(str(answer.content))
    return str(answer.content).startswith("{")


def under_counted(answer: AIMessage) -> bool:
    assert answer.usage_metadata is not None
    return whole(answer) and answer.usage_metadata["input_tokens"] < len("hello") + 10


RETURNED: dict[FaultKind, Callable[[AIMessage], bool]] = {
    FaultKind.NO_DONE: partial,
    FaultKind.LENGTH: cut_short,
    FaultKind.EMPTY: lambda answer: answer.content == "" and answer.response_metadata["done"] is True,
    FaultKind.INVALID_JSON: no_json,
    FaultKind.WRONG_SCHEMA: lambda answer: "intent" not in json.loads(str(answer.content)),
    FaultKind.ENDLESS: lambda answer: len(answer.content) > 20_000,
    FaultKind.WRONG_TYPE: whole,
    FaultKind.DRIP: whole,
    FaultKind.RELOAD: whole,
    FaultKind.TRUNCATED: under_counted,
    FaultKind.THINKING: whole,
}
"""Faults that come back as an ordinary message: what gives them away."""

ENDLESS = (FaultKind.SILENT, FaultKind.NO_TOKEN, FaultKind.STALL)
SHORT_S = {FaultKind.DRIP: 0.01, FaultKind.RELOAD: 0.05}


def patience(kind: FaultKind) -> float:
    return IMPATIENT_S if kind in ENDLESS else PATIENT_S


def faulty(kind: FaultKind) -> Fault:
    return Fault(kind, seconds=SHORT_S.get(kind, 60.0), size=20_000)


def test_every_fault_is_in_one_table() -> None:
    assert set(RAISED) | set(RETURNED) == set(FaultKind)
    assert not set(RAISED) & set(RETURNED)


@pytest.mark.parametrize("kind", RAISED)
async def test_a_fault_that_raises(kind: FaultKind) -> None:
    error, words = RAISED[kind]
    with FakeOllama(always(faulty(kind))) as fake:
        async with chat_ollama(fake.url, timeout_s=patience(kind)) as chat_model:
            with pytest.raises(error, match=words):
                await chat_model.ainvoke("hello")


@pytest.mark.parametrize("kind", RETURNED)
async def test_a_fault_that_looks_like_an_answer(kind: FaultKind) -> None:
    with FakeOllama(always(faulty(kind))) as fake:
        async with chat_ollama(fake.url) as chat_model:
            assert RETURNED[kind](await chat_model.ainvoke("hello"))
    assert fake.last.outcome == kind.value


@pytest.mark.parametrize("kind", ENDLESS)
async def test_the_server_sees_that_an_impatient_client_left(kind: FaultKind) -> None:
    with FakeOllama(always(faulty(kind))) as fake:
        async with chat_ollama(fake.url, timeout_s=IMPATIENT_S) as chat_model:
            with pytest.raises(httpx.ReadTimeout):
                await chat_model.ainvoke("hello")
        await until(lambda: fake.last.outcome == "client left")


async def test_a_stall_in_the_middle_has_already_shown_its_beginning() -> None:
    with FakeOllama(always(faulty(FaultKind.STALL))) as fake:
        async with chat_ollama(fake.url, timeout_s=1.0) as chat_model:
            stream = chat_model.astream("hello")
            assert [(await anext(stream)).content for _ in range(2)] == [DEFAULT_TEXT[:4], DEFAULT_TEXT[4:8]]
            with pytest.raises(httpx.ReadTimeout):
                await anext(stream)


async def test_a_stopped_server_refuses_and_comes_back_on_its_port() -> None:
    with FakeOllama(always("back")) as fake:
        async with chat_ollama(fake.url) as chat_model:
            with fake.down(), pytest.raises(httpx.ConnectError):
                await chat_model.ainvoke("hello")
            assert (await chat_model.ainvoke("hello")).content == "back"


async def test_after_gone_the_next_request_is_refused_until_a_start() -> None:
    with FakeOllama(in_turn(Fault(FaultKind.GONE), "back")) as fake:
        async with chat_ollama(fake.url) as chat_model:
            for error in (httpx.RemoteProtocolError, httpx.ConnectError):
                with pytest.raises(error):
                    await chat_model.ainvoke("hello")
            fake.start()
            assert (await chat_model.ainvoke("hello")).content == "back"


async def test_out_of_memory_unloads_every_model() -> None:
    with FakeOllama(in_turn("one", Fault(FaultKind.NO_MEMORY), "three")) as fake:
        async with chat_ollama(fake.url) as chat_model:
            await chat_model.ainvoke("hello")
            with pytest.raises(ollama.ResponseError):
                await chat_model.ainvoke("hello")
            await chat_model.ainvoke("hello")
    assert [asked.loaded for asked in fake.log] == [True, False, True]


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        (FaultKind.CUT, httpx.RemoteProtocolError),
        (FaultKind.STALL, httpx.ReadTimeout),
        (FaultKind.ERROR_LINE, ollama.ResponseError),
        (FaultKind.NO_DONE, json.JSONDecodeError),
        (FaultKind.NOTHING, json.JSONDecodeError),
        (FaultKind.GARBAGE, UnicodeDecodeError),
    ],
)
def test_the_same_faults_without_streaming(kind: FaultKind, error: type[Exception]) -> None:
    with (
        FakeOllama(always(faulty(kind))) as fake,
        ollama.Client(fake.url, timeout=patience(kind)) as client,
        pytest.raises(error),
    ):
        client.chat("llama3.1:8b", [{"role": "user", "content": "hello"}])


def test_the_pages_fail_too() -> None:
    with FakeOllama(always("unused")) as fake, ollama.Client(fake.url, timeout=0.25) as client:
        fake.page_faults = {"/api/show": Fault(FaultKind.SILENT), "/api/tags": Fault(FaultKind.HTML)}
        with pytest.raises(httpx.ReadTimeout):
            client.show("llama3.1:8b")
        with pytest.raises(ollama.ResponseError, match="Bad Gateway"):
            client.list()


@pytest.mark.parametrize(("parallel", "apart"), [(1, True), (4, False)])
async def test_the_model_answers_as_many_at_a_time_as_it_may_and_the_others_wait(parallel: int, apart: bool) -> None:
    began: list[float] = []

    def script(_asked: Asked) -> Reply:
        began.append(time.monotonic())
        return Fault(FaultKind.DRIP, answer="one two three four", seconds=0.02)

    with FakeOllama(script, parallel=parallel) as fake:
        async with chat_ollama(fake.url) as chat_model:
            answers = await asyncio.gather(*(chat_model.ainvoke("hello") for _ in range(4)))
    assert {answer.content for answer in answers} == {"one two three four"}
    assert (began[1] - began[0] > 0.08) is apart
    assert [asked.outcome for asked in fake.log] == ["drip"] * 4


async def test_a_client_that_leaves_the_queue_is_never_answered() -> None:
    with FakeOllama(in_turn(Fault(FaultKind.SILENT), "unexpected")) as fake:
        async with chat_ollama(fake.url) as patient, chat_ollama(fake.url, timeout_s=IMPATIENT_S) as impatient:
            first = asyncio.create_task(patient.ainvoke("hello"))
            await until(lambda: len(fake.log) == 1)
            with pytest.raises(httpx.ReadTimeout):
                await impatient.ainvoke("hello")
            fake.stop()
            with pytest.raises(httpx.RemoteProtocolError):
                await first
    assert len(fake.log) == 1


def test_an_exception_in_a_script_fails_the_test_and_not_only_the_client() -> None:
    def script(_asked: Asked) -> Reply:
        raise AssertionError("an unexpected request")

    with pytest.raises(AssertionError, match="an unexpected request"), FakeOllama(script) as fake:
        assert httpx.post(f"{fake.url}/api/chat", json=hello()).status_code == 500


def hello() -> dict[str, Any]:
    return {"model": "llama3.1:8b", "messages": [{"role": "user", "content": "hello"}]}


async def until(claim: Callable[[], bool]) -> None:
    for _ in range(3000):
        if claim():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never came true")
