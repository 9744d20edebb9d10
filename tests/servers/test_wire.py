"""The threaded server under every scripted one: it breaks on demand, and leaves nothing behind."""

from __future__ import annotations

import threading
import time

import httpx
import pytest

from tests.servers.ollama import FakeOllama, Fault, FaultKind
from tests.servers.replies import always

CHAT = {"model": "llama3.1:8b", "messages": [{"role": "user", "content": "hello"}]}


def test_nothing_is_left_behind_by_a_server_that_closes_in_the_middle_of_a_stall() -> None:
    before = threading.active_count()
    with httpx.Client(verify=False) as client, FakeOllama(always(Fault(FaultKind.SILENT))) as fake:
        client.get(fake.url)
        waiting = threading.Thread(target=ask_in_vain, args=(fake.url,))
        waiting.start()
        while not fake.log:
            time.sleep(0.01)
        began = time.monotonic()
        fake.stop()
        waiting.join()
    assert time.monotonic() - began < 5
    assert threading.active_count() <= before + 1


def ask_in_vain(url: str) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.post(f"{url}/api/chat", json=CHAT, timeout=60, verify=False)


def test_stopping_twice_and_starting_again_keep_the_port() -> None:
    with FakeOllama(always("fine")) as fake:
        url = fake.url
        fake.stop()
        fake.stop()
        with pytest.raises(httpx.ConnectError):
            httpx.get(url)
        fake.start()
        assert fake.url == url
        assert httpx.get(url).status_code == 200


def test_a_connection_is_kept_for_the_next_request() -> None:
    with FakeOllama(always("fine")) as fake, httpx.Client(verify=False) as client:
        threads = []
        for _ in range(3):
            client.post(f"{fake.url}/api/chat", json=CHAT)
            threads.append(threading.active_count())
    assert len(set(threads)) == 1


def test_a_head_request_has_no_body() -> None:
    with FakeOllama(always("fine")) as fake:
        answer = httpx.head(fake.url)
    assert (answer.status_code, answer.headers["content-length"], answer.content) == (200, "17", b"")


def test_a_thousand_equal_requests_reuse_one_prompt() -> None:
    with FakeOllama(always({"intent": "price"})) as fake, httpx.Client(verify=False) as client:
        for _ in range(1000):
            assert client.post(f"{fake.url}/api/chat", json=CHAT).status_code == 200
    assert len(fake.log) == 1000
    assert fake.last.reuse_ratio == 1.0
