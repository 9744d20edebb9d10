"""The real client libraries, pointed at a local server and closed when the block ends.

Neither chat model closes its connections by itself; an open socket is a warning, and warnings are errors here.
Certificates are left out: loading them takes longer than most of these tests.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import httpx2
from langchain_ollama import ChatOllama
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

PATIENT_S = 30.0
IMPATIENT_S = 0.25
"""For the faults that never end: no case waits longer than it must."""


@contextlib.asynccontextmanager
async def chat_ollama(
    url: str, *, model: str = "llama3.1:8b", timeout_s: float = PATIENT_S, **settings: Any
) -> AsyncIterator[ChatOllama]:
    """Build a ChatOllama that waits `timeout_s` for each byte."""
    chat_model = ChatOllama(
        model=model, base_url=url, client_kwargs={"timeout": timeout_s, "verify": False}, **settings
    )
    try:
        yield chat_model
    finally:
        chat_model._client.close()  # type: ignore[no-untyped-call]  # the library leaves it without annotations
        await chat_model._async_client.close()  # type: ignore[no-untyped-call]


@contextlib.asynccontextmanager
async def chat_openai(
    url: str, *, model: str = "local-model", timeout_s: float = PATIENT_S, **settings: Any
) -> AsyncIterator[ChatOpenAI]:
    """Build a ChatOpenAI that waits `timeout_s` for each byte and never retries."""
    with httpx2.Client(timeout=timeout_s, verify=False) as client:
        async with httpx2.AsyncClient(timeout=timeout_s, verify=False) as async_client:
            yield ChatOpenAI(
                model=model,
                base_url=f"{url}/v1",
                http_client=client,
                http_async_client=async_client,
                **{"api_key": SecretStr("none"), "max_retries": 0, "timeout": timeout_s, **settings},
            )
