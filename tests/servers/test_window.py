"""The prompt that the scripted server lets the model see, and how much of it can be reused."""

from __future__ import annotations

from typing import Any

import ollama
import pytest

from tests.servers.asked import count_tokens, shared_prefix
from tests.servers.ollama import FakeOllama
from tests.servers.replies import Fault, FaultKind, always, in_turn
from tests.servers.window import cut_middle, fit, render_chatml, render_llama3, render_llama31

TOOL: dict[str, Any] = {"type": "function", "function": {"name": "price", "parameters": {}}}


def said(role: str, content: str) -> dict[str, Any]:
    return {"role": role, "content": content}


def talk(*lines: str) -> list[dict[str, Any]]:
    roles = ("user", "assistant")
    return [said("system", "You trade."), *(said(roles[n % 2], line) for n, line in enumerate(lines))]


def test_llama3_writes_every_message_in_its_place() -> None:
    assert render_llama3([said("system", "You trade."), said("user", "Hello")]) == (
        "<|start_header_id|>system<|end_header_id|>\n\nYou trade.<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nHello<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n"
    )


def test_llama31_moves_a_late_system_message_to_the_top() -> None:
    late = [said("system", "You trade."), said("user", "Hello"), said("system", "It is noon.")]
    assert render_llama31(late).startswith(
        "<|start_header_id|>system<|end_header_id|>\n\nYou trade.\n\nIt is noon.<|eot_id|>"
    )
    assert render_llama3(late).index("Hello") < render_llama3(late).index("It is noon.")


def test_llama31_writes_the_tools_into_the_last_message_only_if_it_is_the_persons() -> None:
    asked = render_llama31(talk("Hello", "Yes?", "The price?"), [TOOL])
    assert asked.index("Hello") < asked.index('"name": "price"') < asked.index("Question: The price?")
    answered = [*talk("The price?"), said("tool", "64000")]
    assert '"name": "price"' not in render_llama31(answered, [TOOL])
    assert "<|start_header_id|>ipython<|end_header_id|>\n\n64000<|eot_id|>" in render_llama31(answered, [TOOL])


def test_chatml_writes_the_tools_before_everything() -> None:
    prompt = render_chatml(talk("Hello"), [TOOL])
    assert prompt.index('"name": "price"') < prompt.index("You trade.")


def test_a_call_in_the_history_is_written_as_a_call() -> None:
    call = {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "price", "arguments": {"n": 1}}}]}
    assert '{"name": "price", "parameters": {"n": 1}}' in render_llama31([*talk("The price?"), call, said("tool", "1")])


def test_old_messages_are_dropped_whole_and_the_system_message_stays() -> None:
    prompt = fit(talk("a" * 400, "b" * 400, "c" * 400), (), render_llama3, num_ctx=180, num_keep=4)
    assert "You trade." in prompt.text
    assert "a" * 400 not in prompt.text
    assert "c" * 400 in prompt.text
    assert prompt.dropped == 2
    assert prompt.cut_tokens == 0


def test_a_last_message_that_is_too_long_loses_its_beginning() -> None:
    prompt = fit(talk("old", "older", "x" * 400 + " the end"), (), render_llama3, num_ctx=50, num_keep=4)
    assert prompt.tokens == 50
    assert prompt.text.endswith(" the end<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n")
    assert prompt.text.startswith("<|start_header_i")
    assert prompt.cut_tokens > 0


def test_a_text_that_fits_is_not_cut() -> None:
    assert cut_middle("abcdefgh", 2, 1) == "abcdefgh"
    assert cut_middle("abcdefghijkl", 2, 1) == "abcdijkl"


@pytest.mark.parametrize(("text", "tokens"), [("", 0), ("abc", 1), ("abcd", 1), ("abcde", 2)])
def test_four_characters_are_a_token(text: str, tokens: int) -> None:
    assert count_tokens(text) == tokens


@pytest.mark.parametrize(
    ("left", "right", "shared"),
    [(b"", b"abc", 0), (b"abc", b"abc", 3), (b"abc", b"abd", 2), (b"abc", b"abcdef", 3), (b"xbc", b"abc", 0)],
)
def test_the_shared_prefix_of_two_prompts(left: bytes, right: bytes, shared: int) -> None:
    assert shared_prefix(left, right) == shared


def test_the_server_drops_in_silence_and_only_the_count_tells() -> None:
    with FakeOllama(always("fine")) as fake, ollama.Client(fake.url) as client:
        answer = client.chat("llama3.1:8b", talk("a" * 4000, "b" * 4000, "c"), options={"num_ctx": 1024})
    assert answer.done_reason == "stop"
    assert fake.last.dropped == 2
    assert answer.prompt_eval_count == fake.last.prompt_tokens < 1024


def test_a_context_beyond_the_models_own_is_clipped() -> None:
    with FakeOllama(always("fine")) as fake, ollama.Client(fake.url) as client:
        client.chat("llama3:8b", talk("Hello"), options={"num_ctx": 100_000})
        assert client.ps().models[0].context_length == 8192


def test_the_log_tells_how_much_of_the_prompt_was_known() -> None:
    with FakeOllama(always("Yes?")) as fake, ollama.Client(fake.url) as client:
        first = client.chat("llama3.1:8b", talk("Hello " * 100))
        second = client.chat("llama3.1:8b", talk("Hello " * 100, "Yes?", "The price?"))
    assert fake.log[0].reusable_bytes == 0
    common = fake.log[1].prompt.encode()[: fake.log[1].reusable_bytes]
    assert fake.log[0].prompt.encode().startswith(common)
    assert fake.log[1].reuse_ratio > 0.8
    assert (second.prompt_eval_duration or 0) < (first.prompt_eval_duration or 0) / 2


def test_a_clock_in_the_system_message_spoils_the_prefix() -> None:
    with FakeOllama(always("Yes?")) as fake, ollama.Client(fake.url) as client:
        for clock in ("12:00", "13:00"):
            client.chat("llama3.1:8b", [said("system", f"It is {clock}. " + "You trade. " * 50), said("user", "Hello")])
    assert fake.last.reuse_ratio < 0.1


def test_other_load_time_options_load_the_model_again() -> None:
    with FakeOllama(always("Yes?")) as fake, ollama.Client(fake.url) as client:
        for options in ({"num_ctx": 4096}, {"num_ctx": 4096, "temperature": 1.0}, {"num_ctx": 8192}):
            client.chat("llama3.1:8b", talk("Hello"), options=options)
    assert [asked.loaded for asked in fake.log] == [True, False, True]
    assert [asked.reusable_bytes > 0 for asked in fake.log] == [False, True, False]


def test_each_model_keeps_its_own_prompt() -> None:
    with FakeOllama(always("Yes?")) as fake, ollama.Client(fake.url) as client:
        for model in ("llama3.1:8b", "llama3:8b", "llama3.1:8b"):
            client.chat(model, talk("Hello"))
    assert [asked.reusable_bytes > 0 for asked in fake.log] == [False, False, True]


def test_a_reload_loses_the_known_prompt() -> None:
    with FakeOllama(in_turn("Yes?", Fault(FaultKind.RELOAD, seconds=0.05))) as fake, ollama.Client(fake.url) as client:
        client.chat("llama3.1:8b", talk("Hello"))
        answer = client.chat("llama3.1:8b", talk("Hello"))
    assert fake.last.reusable_bytes == 0
    assert answer.load_duration == 50_000_000
