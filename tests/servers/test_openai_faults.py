"""What ChatOpenAI really does with each fault, streamed and in one body."""

from __future__ import annotations

import json
from collections.abc import Callable

import httpx
import openai
import pytest
from langchain_core.messages import AIMessage

from tests.servers.clients import IMPATIENT_S, PATIENT_S, chat_openai
from tests.servers.openai import FakeOpenAI, Fault, FaultKind
from tests.servers.replies import DEFAULT_TEXT, always, in_turn

Raised = dict[FaultKind, tuple[type[Exception], str]]

RAISED: Raised = {
    FaultKind.GONE: (openai.APIConnectionError, "Connection error"),
    FaultKind.RESET: (openai.APIConnectionError, "Connection error"),
    FaultKind.NOT_FOUND: (openai.NotFoundError, "does not exist"),
    FaultKind.NO_TOOLS: (openai.BadRequestError, "--enable-auto-tool-choice"),
    FaultKind.BAD_REQUEST: (openai.BadRequestError, "response_format is not supported"),
    FaultKind.NO_MEMORY: (openai.InternalServerError, "CUDA out of memory"),
    FaultKind.BUSY: (openai.InternalServerError, "Loading model"),
    FaultKind.HTML: (openai.InternalServerError, "502"),
    FaultKind.SILENT: (openai.APITimeoutError, "timed out"),
    FaultKind.NO_TOKEN: (openai.APITimeoutError, "timed out"),
    FaultKind.STALL: (openai.APITimeoutError, "timed out"),
    FaultKind.CUT: (openai.APIConnectionError, "Connection error"),
    FaultKind.GARBAGE: (UnicodeDecodeError, "invalid start byte"),
}
"""Faults that raise the same, streamed or not."""

RAISED_STREAMED: Raised = RAISED | {
    FaultKind.ERROR_LINE: (openai.APIError, "CUDA error"),
    FaultKind.NOTHING: (ValueError, "No generations found in stream"),
}
RAISED_WHOLE: Raised = RAISED | {
    FaultKind.ERROR_LINE: (openai.InternalServerError, "CUDA error"),
    FaultKind.NOTHING: (json.JSONDecodeError, "Expecting value"),
    FaultKind.NO_DONE: (json.JSONDecodeError, "Unterminated string"),
}


def whole(answer: AIMessage) -> bool:
    return answer.content == DEFAULT_TEXT and answer.response_metadata["finish_reason"] == "stop"


def under_counted(answer: AIMessage) -> bool:
    assert answer.usage_metadata is not None
    return whole(answer) and answer.usage_metadata["input_tokens"] < 5


def no_json(answer: AIMessage) -> bool:
    with pytest.raises(json.JSONDecodeError):
        json.loads(str(answer.content))
    return str(answer.content).startswith("{")


def cut_short(answer: AIMessage) -> bool:
    return answer.content == DEFAULT_TEXT[:8] and answer.response_metadata["finish_reason"] == "length"


def partial(answer: AIMessage) -> bool:
    return answer.content == DEFAULT_TEXT[:4] and "finish_reason" not in answer.response_metadata


RETURNED: dict[FaultKind, Callable[[AIMessage], bool]] = {
    FaultKind.LENGTH: cut_short,
    FaultKind.EMPTY: lambda answer: answer.content == "",
    FaultKind.INVALID_JSON: no_json,
    FaultKind.WRONG_SCHEMA: lambda answer: "intent" not in json.loads(str(answer.content)),
    FaultKind.ENDLESS: lambda answer: len(answer.content) > 20_000,
    FaultKind.WRONG_TYPE: whole,
    FaultKind.DRIP: whole,
    FaultKind.RELOAD: whole,
    FaultKind.TRUNCATED: under_counted,
    FaultKind.THINKING: whole,
}
RETURNED_STREAMED = RETURNED | {FaultKind.NO_DONE: partial}

ENDLESS = (FaultKind.SILENT, FaultKind.NO_TOKEN, FaultKind.STALL)
SHORT_S = {FaultKind.DRIP: 0.01, FaultKind.RELOAD: 0.05}


def faulty(kind: FaultKind) -> Fault:
    return Fault(kind, seconds=SHORT_S.get(kind, 60.0), size=20_000)


def test_every_fault_is_in_one_table_for_each_way_to_ask() -> None:
    assert set(RAISED_STREAMED) | set(RETURNED_STREAMED) == set(FaultKind)
    assert set(RAISED_WHOLE) | set(RETURNED) == set(FaultKind)


@pytest.mark.parametrize(
    ("streaming", "kind"), [(True, kind) for kind in RAISED_STREAMED] + [(False, kind) for kind in RAISED_WHOLE]
)
async def test_a_fault_that_raises(streaming: bool, kind: FaultKind) -> None:
    error, words = (RAISED_STREAMED if streaming else RAISED_WHOLE)[kind]
    timeout_s = IMPATIENT_S if kind in ENDLESS else PATIENT_S
    with FakeOpenAI(always(faulty(kind))) as fake:
        async with chat_openai(fake.url, streaming=streaming, timeout_s=timeout_s) as chat_model:
            with pytest.raises(error, match=words):
                await chat_model.ainvoke("hello")


@pytest.mark.parametrize(
    ("streaming", "kind"), [(True, kind) for kind in RETURNED_STREAMED] + [(False, kind) for kind in RETURNED]
)
async def test_a_fault_that_looks_like_an_answer(streaming: bool, kind: FaultKind) -> None:
    claim = (RETURNED_STREAMED if streaming else RETURNED)[kind]
    with FakeOpenAI(always(faulty(kind))) as fake:
        async with chat_openai(fake.url, streaming=streaming, stream_usage=True) as chat_model:
            assert claim(await chat_model.ainvoke("hello"))
    assert fake.last.outcome == kind.value


async def test_a_stopped_server_refuses() -> None:
    with FakeOpenAI(always("unused")) as fake:
        async with chat_openai(fake.url) as chat_model:
            with fake.down(), pytest.raises(openai.APIConnectionError):
                await chat_model.ainvoke("hello")


async def test_the_client_repeats_a_failed_request_unless_told_not_to() -> None:
    with FakeOpenAI(in_turn(Fault(FaultKind.BUSY), "ready")) as fake:
        async with chat_openai(fake.url, max_retries=1) as chat_model:
            assert (await chat_model.ainvoke("hello")).content == "ready"
    assert [asked.outcome for asked in fake.log] == ["busy", "answered"]


def test_the_pages_fail_too() -> None:
    with FakeOpenAI(always("unused")) as fake:
        fake.page_faults = {"/v1/models": Fault(FaultKind.BUSY)}
        assert httpx.get(f"{fake.url}/v1/models").status_code == 503
