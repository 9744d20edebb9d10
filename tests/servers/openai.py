"""A scripted server that speaks the OpenAI protocol as local servers do (vLLM, llama.cpp, text-generation-webui).

    with FakeOpenAI(lambda asked: "Hello.") as fake:
        model = ChatOpenAI(model="local-model", base_url=f"{fake.url}/v1", api_key="none")

Local servers differ where clients trip: some answer `response_format` with 400, some drop old messages in silence and
some refuse a prompt that is too long. Each of these is a switch.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tests.servers.asked import Asked, JsonObject, count_tokens
from tests.servers.model_server import ModelServer, Said, limited, token_pieces
from tests.servers.replies import Answer, Fault, FaultKind, Script
from tests.servers.window import Prompt, fit, render_chatml
from tests.servers.wire import Exchange

_CREATED = 1_767_225_600
_SSE = "text/event-stream; charset=utf-8"
_JSON = "application/json"
_PIECE_BYTES = 64
_DONE = b"data: [DONE]\n\n"
_ERROR_TYPES = {401: "authentication_error", 404: "NotFoundError", 503: "unavailable_error"}
Overflow = Literal["refuse", "truncate"]


@dataclass(frozen=True, slots=True)
class _Job:
    """One request, decoded."""

    asked: Asked
    created: int

    @property
    def head(self) -> JsonObject:
        """Return what every object of one answer begins with."""
        return {"id": f"chatcmpl-{self.asked.number}", "created": self.created, "model": self.asked.model}


class FakeOpenAI(ModelServer):
    """The OpenAI protocol on a free loopback port; the base address for clients is `url` + "/v1".

    Args:
        script: Called with each request for an answer; see `tests.servers.replies`.
        models: The names that `/v1/models` lists.
        context_length: Tokens of prompt that fit.
        overflow: What a longer prompt gets: 400, or old messages dropped in silence.
        takes_response_format: Whether `response_format` is accepted; otherwise it gets 400.
        takes_tools: Whether `tools` are accepted; otherwise they get 400.
        api_key: The key that requests must carry; None accepts any.
        parallel: Requests answered at a time.
    """

    def __init__(
        self,
        script: Script,
        *,
        models: Sequence[str] = ("local-model",),
        context_length: int = 8192,
        overflow: Overflow = "refuse",
        takes_response_format: bool = True,
        takes_tools: bool = True,
        api_key: str | None = None,
        parallel: int = 4,
    ) -> None:
        super().__init__(script, parallel=parallel)
        self.models = tuple(models)
        self.context_length = context_length
        self.overflow = overflow
        self.takes_response_format = takes_response_format
        self.takes_tools = takes_tools
        self.api_key = api_key

    def answer(self, exchange: Exchange) -> None:
        """Answer one request."""
        path = exchange.path.split("?")[0]
        if self.api_key is not None and exchange.headers.get("Authorization") != f"Bearer {self.api_key}":
            self.refuse(exchange, 401, "Invalid API key")
        elif exchange.command == "POST" and path == "/v1/chat/completions":
            self._complete(exchange)
        elif not self.fail_page(exchange):
            self._page(exchange, path)

    def refuse(self, exchange: Exchange, status: int, message: str) -> None:
        """Send an error before the first byte of an answer."""
        exchange.send_json(status, {"error": _error(status, message)})

    def error_piece(self, message: str) -> bytes:
        """Return an error as an event of a stream."""
        return _event({"error": _error(500, message)})

    def refusals(self, model: str) -> dict[FaultKind, tuple[int, str]]:
        """Return the words of vLLM, and of llama.cpp where vLLM has none."""
        return {
            FaultKind.NOT_FOUND: (404, f"The model `{model}` does not exist."),
            FaultKind.NO_TOOLS: (
                400,
                '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set',
            ),
            FaultKind.BAD_REQUEST: (400, "The response_format is not supported: failed to parse grammar"),
            FaultKind.NO_MEMORY: (500, "CUDA out of memory. Tried to allocate 1.02 GiB."),
            FaultKind.BUSY: (503, "Loading model"),
        }

    def _page(self, exchange: Exchange, path: str) -> None:
        match path:
            case "/health":
                exchange.send_json(200, {"status": "ok"})
            case "/v1/models":
                exchange.send_json(200, {"object": "list", "data": [self._row(name) for name in self.models]})
            case _:
                exchange.send_json(404, {"detail": "Not Found"})

    def _row(self, name: str) -> JsonObject:
        length = {"max_model_len": self.context_length}
        return {"id": name, "object": "model", "created": _CREATED, "owned_by": "local"} | length

    def _complete(self, exchange: Exchange) -> None:
        try:
            body = exchange.json()
        except ValueError:
            return self.refuse(exchange, 400, "the body is no JSON")
        refusal = self._refusal(body)
        if refusal is not None:
            return self.refuse(exchange, *refusal)
        with self.slot(exchange):
            prompt = self._prompt(body)
            asked = self.record(exchange, body, str(body["model"]), prompt, loaded=False)
            job = _Job(asked, int(time.time()))
            streams = bool(body.get("stream"))
            self.respond(exchange, asked, lambda answer: _compose(job, answer, streams=streams), streams=streams)

    def _refusal(self, body: JsonObject) -> tuple[int, str] | None:
        model = str(body.get("model", ""))
        words = self.refusals(model)
        if model not in self.models:
            return words[FaultKind.NOT_FOUND]
        if not body.get("messages"):
            return 400, "messages: field required"
        wanted = (body.get("response_format") or {}).get("type", "text")
        if wanted != "text" and not self.takes_response_format:
            return words[FaultKind.BAD_REQUEST]
        if body.get("tools") and not self.takes_tools:
            return words[FaultKind.NO_TOOLS]
        return self._too_long(body)

    def _too_long(self, body: JsonObject) -> tuple[int, str] | None:
        tokens = count_tokens(render_chatml(body["messages"], body.get("tools") or ()))
        if self.overflow == "truncate" or tokens <= self.context_length:
            return None
        limit = self.context_length
        return 400, f"This model's maximum context length is {limit} tokens. However, your prompt has {tokens} tokens."

    def _prompt(self, body: JsonObject) -> Prompt:
        tools = body.get("tools") or ()
        return fit(body["messages"], tools, render_chatml, num_ctx=self.context_length, num_keep=0)


def _compose(job: _Job, answer: Answer, *, streams: bool) -> Said:
    """Return the answer in the events of a stream, or as one body."""
    body = job.asked.body
    answer = limited(answer, body.get("max_completion_tokens") or body.get("max_tokens"))
    reason = "tool_calls" if answer.tool_calls else answer.done_reason
    usage = _usage(job.asked, answer)
    if not streams:
        payload = json.dumps(_whole(job, answer, reason, usage), ensure_ascii=False).encode()
        return Said([payload[n : n + _PIECE_BYTES] for n in range(0, len(payload), _PIECE_BYTES)], (), _JSON)
    closing = [_event(_chunk(job, {}, reason))]
    if (body.get("stream_options") or {}).get("include_usage"):
        closing.append(_event(_chunk(job, None, None) | {"usage": usage}))
    return Said([_event(_chunk(job, delta, None)) for delta in _deltas(answer)], [*closing, _DONE], _SSE)


def _deltas(answer: Answer) -> list[JsonObject]:
    """Return the pieces of a stream: the role, the thinking, the text, the calls in two pieces each."""
    deltas: list[JsonObject] = [{"role": "assistant", "content": ""}]
    deltas += [{"reasoning_content": piece} for piece in token_pieces(answer.thinking)]
    deltas += [{"content": piece} for piece in token_pieces(answer.text)]
    for index, call in enumerate(_calls(answer)):
        function = call["function"]
        opened = call | {"index": index, "function": {"name": function["name"], "arguments": ""}}
        deltas.append({"tool_calls": [opened]})
        deltas.append({"tool_calls": [{"index": index, "function": {"arguments": function["arguments"]}}]})
    return deltas


def _whole(job: _Job, answer: Answer, reason: str, usage: JsonObject) -> JsonObject:
    calls = _calls(answer)
    message: JsonObject = {"role": "assistant", "content": None if calls and not answer.text else answer.text}
    if answer.thinking:
        message["reasoning_content"] = answer.thinking
    if calls:
        message["tool_calls"] = calls
    choice = {"index": 0, "message": message, "finish_reason": reason}
    return job.head | {"object": "chat.completion", "choices": [choice], "usage": usage}


def _chunk(job: _Job, delta: JsonObject | None, reason: str | None) -> JsonObject:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": reason}]
    return job.head | {"object": "chat.completion.chunk", "choices": choices}


def _calls(answer: Answer) -> list[JsonObject]:
    return [
        {
            "id": f"call_{number}",
            "type": "function",
            "function": {"name": call.name, "arguments": json.dumps(dict(call.arguments), ensure_ascii=False)},
        }
        for number, call in enumerate(answer.tool_calls)
    ]


def _usage(asked: Asked, answer: Answer) -> JsonObject:
    prompt = int(asked.prompt_tokens * answer.prompt_ratio)
    cached = int(prompt * asked.reuse_ratio)
    written = count_tokens(answer.text) + count_tokens(answer.thinking)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": written,
        "total_tokens": prompt + written,
        "prompt_tokens_details": {"cached_tokens": cached},
    }


def _error(status: int, message: str) -> JsonObject:
    usual = "BadRequestError" if status < 500 else "InternalServerError"
    return {"message": message, "type": _ERROR_TYPES.get(status, usual), "param": None, "code": status}


def _event(payload: JsonObject) -> bytes:
    return b"data: " + json.dumps(payload, ensure_ascii=False).encode() + b"\n\n"


__all__ = ["Answer", "FakeOpenAI", "Fault", "FaultKind"]
