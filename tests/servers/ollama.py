"""A scripted server that speaks Ollama's protocol: `FakeOllama`.

    with FakeOllama(lambda asked: {"intent": "price", "symbol": "BTC/USDT"}) as fake:
        model = ChatOllama(model="llama3.1:8b", base_url=fake.url)

Bodies, statuses and words are those of the real server. What it does like the real one, because clients trip over it:
it drops old messages in silence when the prompt exceeds `num_ctx`, loads a model again when a load-time option
changes, answers one request at a time and lets the others wait without limit, thinks unless told not to, and loses
tool calls when `format` is sent beside `tools`. It does not hold an answer to its schema: the script says what it says.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.servers.asked import Asked, JsonObject, count_tokens
from tests.servers.model_server import ModelServer, Said, limited, token_pieces
from tests.servers.ollama_models import LLAMA3, LLAMA31, QWEN3, FakeModel
from tests.servers.replies import Answer, Fault, FaultKind, Script
from tests.servers.window import Prompt, cut_middle, fit
from tests.servers.wire import Exchange

VERSION = "0.10.1"
DEFAULT_NUM_CTX = 4096
DEFAULT_NUM_KEEP = 4
DEFAULT_KEEP_ALIVE_S = 300.0
_LOAD_OPTIONS = ("num_ctx", "num_batch", "num_gpu", "main_gpu", "num_thread", "use_mmap")
_LIBRARY = "library/"
_NDJSON = "application/x-ndjson"
_JSON = "application/json; charset=utf-8"
_DURATION_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_FOREVER_S = 10 * 365 * 86400.0
_NS = 1_000_000_000
_MS_A_TOKEN = 2
_PIECE_BYTES = 64


@dataclass(slots=True)
class _Loaded:
    """A model in memory."""

    options: tuple[Any, ...]
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class _Job:
    """One request, decoded: everything that composing the answer needs."""

    model: FakeModel
    asked: Asked
    chat: bool
    started: float = field(default_factory=time.monotonic)


class FakeOllama(ModelServer):
    """Ollama's protocol on a free loopback port.

    Args:
        script: Called with each request for an answer; see `tests.servers.replies`.
        models: What is pulled.
        parallel: Requests answered at a time, OLLAMA_NUM_PARALLEL of the real server.
        load_s: Seconds that loading a model takes.
    """

    def __init__(
        self,
        script: Script,
        *,
        models: Sequence[FakeModel] = (LLAMA31, LLAMA3, QWEN3),
        parallel: int = 1,
        load_s: float = 0.0,
    ) -> None:
        super().__init__(script, parallel=parallel)
        self.models = {model.name: model for model in models}
        self.load_s = load_s
        self.loads = 0
        self._loaded: dict[str, _Loaded] = {}

    def answer(self, exchange: Exchange) -> None:
        """Answer one request."""
        path = exchange.path.split("?")[0]
        if exchange.command == "POST" and path in ("/api/chat", "/api/generate"):
            self._generate(exchange, chat=path == "/api/chat")
        elif not self.fail_page(exchange):
            self._page(exchange, path)

    def unload(self) -> None:
        """Drop every loaded model, as after a runner that ran out of memory."""
        self._loaded.clear()
        super().unload()

    def refuse(self, exchange: Exchange, status: int, message: str) -> None:
        """Send an error before the first byte of an answer."""
        exchange.send_json(status, {"error": message})

    def error_piece(self, message: str) -> bytes:
        """Return an error as a line of a stream."""
        return _line({"error": message})

    def refusals(self, model: str) -> dict[FaultKind, tuple[int, str]]:
        """Return the real server's words."""
        return {
            FaultKind.NOT_FOUND: (404, f'model "{model}" not found, try pulling it first'),
            FaultKind.NO_TOOLS: (400, f"{_LIBRARY}{model} does not support tools"),
            FaultKind.BAD_REQUEST: (400, "failed to parse grammar"),
            FaultKind.NO_MEMORY: (500, "model requires more system memory (5.6 GiB) than is available (3.2 GiB)"),
            FaultKind.BUSY: (503, "server busy, please try again.  maximum pending requests exceeded"),
        }

    def _page(self, exchange: Exchange, path: str) -> None:
        match path:
            case "/":
                exchange.send_bytes(200, "text/plain; charset=utf-8", b"Ollama is running")
            case "/api/version":
                exchange.send_json(200, {"version": VERSION})
            case "/api/tags":
                exchange.send_json(200, {"models": [model.row() for model in self.models.values()]})
            case "/api/ps":
                exchange.send_json(200, {"models": self._running()})
            case "/api/show":
                self._show(exchange)
            case _:
                exchange.send_bytes(404, "text/plain", b"404 page not found")

    def _show(self, exchange: Exchange) -> None:
        body = exchange.json()
        name = str(body.get("model") or body.get("name") or "")
        model = self.models.get(_tagged(name))
        if model is None:
            self.refuse(exchange, 404, f"model '{name}' not found")
        else:
            exchange.send_json(200, model.page())

    def _running(self) -> list[JsonObject]:
        now = datetime.now(UTC)
        return [
            self.models[name].running_row(loaded.options[0], loaded.expires_at)
            for name, loaded in self._loaded.items()
            if loaded.expires_at > now
        ]

    def _generate(self, exchange: Exchange, *, chat: bool) -> None:
        """Answer a request for a text, after the checks and in the order of the real server."""
        try:
            body = exchange.json()
        except ValueError:
            return self.refuse(exchange, 400, "invalid character in request body")
        model = self.models.get(_tagged(str(body.get("model", ""))))
        refusal = self._refusal(body, model, chat=chat)
        if model is None or refusal is not None:
            return self.refuse(exchange, *(refusal or (404, "model not found")))
        with self.slot(exchange):
            self._run(exchange, body, model, chat=chat)

    def _refusal(self, body: JsonObject, model: FakeModel | None, *, chat: bool) -> tuple[int, str] | None:
        name = str(body.get("model", ""))
        if not name:
            return 400, "model is required"
        if model is None:
            return 404, f'model "{name}" not found, try pulling it first' if chat else f"model '{name}' not found"
        if body.get("tools") and not model.can("tools"):
            return self.refusals(model.name)[FaultKind.NO_TOOLS]
        if body.get("think") and not model.can("thinking"):
            return 400, f"{_LIBRARY}{model.name} does not support thinking"
        return None

    def _run(self, exchange: Exchange, body: JsonObject, model: FakeModel, *, chat: bool) -> None:
        """Load what must be loaded, then let the script speak."""
        keep_s = _seconds(body.get("keep_alive"))
        empty = not (body.get("messages") if chat else body.get("prompt"))
        if empty and keep_s == 0:
            self._loaded.pop(model.name, None)
            return self._send_empty(exchange, body, "unload", chat=chat)
        loaded = self._load(exchange, model, body, keep_s)
        if empty:
            return self._send_empty(exchange, body, "load", chat=chat)
        asked = self.record(exchange, body, model.name, _prompt(model, body, chat=chat), loaded=loaded)
        if not _is_format(body.get("format")):
            return self._fail_format(exchange, asked)
        asked.load_s = self.load_s if loaded else 0.0
        job = _Job(model, asked, chat)
        streams = body.get("stream") is not False
        self.respond(exchange, asked, lambda answer: _compose(job, answer, streams=streams), streams=streams)
        if keep_s == 0:
            self._loaded.pop(model.name, None)

    def _fail_format(self, exchange: Exchange, asked: Asked) -> None:
        """Refuse a format after the fact, as the real server does: an error inside a 200 stream, or 500."""
        asked.outcome = "wrong format"
        sent = json.dumps(json.dumps(asked.body["format"]))
        message = f'invalid format: {sent}; expected "json" or a valid JSON Schema object'
        if asked.body.get("stream") is False:
            return self.refuse(exchange, 500, message)
        exchange.begin(200, _NDJSON)
        exchange.write(self.error_piece(message))
        exchange.end()

    def _load(self, exchange: Exchange, model: FakeModel, body: JsonObject, keep_s: float) -> bool:
        """Make sure that the model is in memory with these options; tell whether it had to be loaded."""
        now = datetime.now(UTC)
        options = tuple([_num_ctx(model, body)] + [(body.get("options") or {}).get(name) for name in _LOAD_OPTIONS[1:]])
        before = self._loaded.get(model.name)
        fresh = before is None or before.options != options or before.expires_at <= now
        if fresh:
            self.loads += 1
            exchange.stall(self.load_s)
        self._loaded[model.name] = _Loaded(options, now + timedelta(seconds=min(keep_s, _FOREVER_S)))
        return fresh

    def _send_empty(self, exchange: Exchange, body: JsonObject, reason: str, *, chat: bool) -> None:
        said: JsonObject = {"message": {"role": "assistant", "content": ""}} if chat else {"response": ""}
        exchange.send_json(200, _head(str(body["model"])) | said | {"done_reason": reason, "done": True})


def _compose(job: _Job, answer: Answer, *, streams: bool) -> Said:
    """Return the answer in the pieces of a stream, or as one body."""
    body = job.asked.body
    answer = limited(_constrained(job, answer), (body.get("options") or {}).get("num_predict"))
    thinking = _thinking(job, answer)
    closing = _closing(job, answer, thinking)
    calls = [{"function": {"name": call.name, "arguments": dict(call.arguments)}} for call in answer.tool_calls]
    if not streams:
        whole = _head(job.asked.model) | _said(job, answer.text, thinking, calls) | closing
        payload = json.dumps(whole, ensure_ascii=False).encode()
        return Said([payload[n : n + _PIECE_BYTES] for n in range(0, len(payload), _PIECE_BYTES)], (), _JSON)
    parts = [_said(job, "", piece) for piece in token_pieces(thinking)]
    parts += [_said(job, piece) for piece in token_pieces(answer.text)]
    parts += [_said(job, "", "", calls)] if calls else []
    pieces = [_line(_head(job.asked.model) | part | {"done": False}) for part in parts]
    return Said(pieces, [_line(_head(job.asked.model) | _said(job, "") | closing)], _NDJSON)


def _constrained(job: _Job, answer: Answer) -> Answer:
    """Let the grammar win where `format` is sent beside `tools`: the calls are lost."""
    if answer.tool_calls and job.asked.body.get("format"):
        return Answer(answer.text or "{}", thinking=answer.thinking)
    return answer


def _thinking(job: _Job, answer: Answer) -> str:
    """Return what the model thinks aloud; a model that can think does so unless told not to."""
    if answer.thinking:
        return answer.thinking
    thinks = job.model.can("thinking") and job.asked.body.get("think") is not False
    return "The person asks something. I should answer briefly." if thinks else ""


def _said(job: _Job, text: str, thinking: str = "", calls: Sequence[JsonObject] = ()) -> JsonObject:
    extra: JsonObject = {"thinking": thinking} if thinking else {}
    if not job.chat:
        return {"response": text} | extra
    return {"message": {"role": "assistant", "content": text} | extra | ({"tool_calls": list(calls)} if calls else {})}


def _closing(job: _Job, answer: Answer, thinking: str) -> JsonObject:
    """Return the counts; prompt tokens that were computed before count too, but take no time."""
    tokens = job.asked.prompt_tokens
    computed = tokens - int(tokens * job.asked.reuse_ratio)
    written = count_tokens(answer.text) + count_tokens(thinking)
    return {
        "done_reason": answer.done_reason,
        "done": True,
        "total_duration": int((time.monotonic() - job.started + job.asked.load_s) * _NS),
        "load_duration": int(job.asked.load_s * _NS),
        "prompt_eval_count": int(tokens * answer.prompt_ratio),
        "prompt_eval_duration": computed * _MS_A_TOKEN * 1_000_000,
        "eval_count": written,
        "eval_duration": written * 10 * _MS_A_TOKEN * 1_000_000,
    }


def _prompt(model: FakeModel, body: JsonObject, *, chat: bool) -> Prompt:
    """Return the prompt as the model sees it."""
    num_ctx = _num_ctx(model, body)
    num_keep = int((body.get("options") or {}).get("num_keep") or DEFAULT_NUM_KEEP)
    if chat:
        return fit(body["messages"], body.get("tools") or (), model.render, num_ctx=num_ctx, num_keep=num_keep)
    messages = [{"role": "system", "content": body["system"]}] if body.get("system") else []
    text = model.render([*messages, {"role": "user", "content": body["prompt"]}], ())
    short = cut_middle(text, num_ctx, num_keep)
    return Prompt(short, count_tokens(short), 0, count_tokens(text) - count_tokens(short))


def _is_format(wanted: Any) -> bool:
    return wanted in (None, "", "json") or isinstance(wanted, dict)


def _num_ctx(model: FakeModel, body: JsonObject) -> int:
    asked = (body.get("options") or {}).get("num_ctx") or DEFAULT_NUM_CTX
    return min(int(asked), model.context_length)


def _head(name: str) -> JsonObject:
    return {"model": name, "created_at": datetime.now(UTC).isoformat()}


def _line(payload: JsonObject) -> bytes:
    return json.dumps(payload, ensure_ascii=False).encode() + b"\n"


def _tagged(name: str) -> str:
    return name if ":" in name else f"{name}:latest"


def _seconds(keep_alive: Any) -> float:
    """Return a keep-alive in seconds: a number of seconds, or a text such as "5m"; below zero is forever."""
    if keep_alive is None:
        return DEFAULT_KEEP_ALIVE_S
    if isinstance(keep_alive, int | float):
        return float(keep_alive) if keep_alive >= 0 else _FOREVER_S
    number = keep_alive.rstrip("hms")
    seconds = float(number) * _DURATION_S.get(keep_alive[len(number) :], 1.0)
    return seconds if seconds >= 0 else _FOREVER_S


__all__ = ["LLAMA3", "LLAMA31", "QWEN3", "Answer", "FakeModel", "FakeOllama", "Fault", "FaultKind"]
