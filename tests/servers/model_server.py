"""What every scripted chat server does alike: run the script, log the request, hold the slot, break on demand.

A subclass speaks one protocol. The log holds every request for an answer in the order in which the model's slot took
it, with the prompt as the model saw it and how much of it the previous prompt had already computed.
"""

from __future__ import annotations

import contextlib
import threading
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from tests.servers.asked import CHARACTERS_A_TOKEN, Asked, JsonObject, count_tokens, shared_prefix
from tests.servers.replies import Answer, Fault, FaultKind, Script, as_answer
from tests.servers.window import Prompt
from tests.servers.wire import ClientLeft, Exchange, LocalServer

_GARBAGE = bytes(range(128, 256)) * 4 + b"\x00\xff\n\x1f\x8b"
_HTML = b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body><h1>502 Bad Gateway</h1></body>\r\n</html>\r\n"
_RUNNER_FAILED = "an error was encountered while running the model: CUDA error: out of memory"
_POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class Said:
    """An answer ready to send: pieces, then the closing."""

    pieces: Sequence[bytes]
    closing: Sequence[bytes]
    content_type: str


class ModelServer(LocalServer):
    """A chat server that a script answers for.

    Attributes:
        script: The callable that answers; a test may exchange it at any time.
        log: Every request for an answer, oldest first.
        page_faults: Faults of the other addresses, by path: `{"/api/show": Fault(FaultKind.SILENT)}`.
    """

    def __init__(self, script: Script, *, parallel: int = 1) -> None:
        super().__init__()
        self.script = script
        self.log: list[Asked] = []
        self.page_faults: dict[str, Fault] = {}
        self._slots = threading.BoundedSemaphore(parallel)
        self._log_lock = threading.Lock()
        self._prompts: dict[str, bytes] = {}

    @property
    def last(self) -> Asked:
        """Return the newest request."""
        return self.log[-1]

    @abstractmethod
    def refuse(self, exchange: Exchange, status: int, message: str) -> None:
        """Send an error in this protocol's form."""

    @abstractmethod
    def error_piece(self, message: str) -> bytes:
        """Return an error as it looks inside a stream."""

    @contextlib.contextmanager
    def slot(self, exchange: Exchange) -> Iterator[None]:
        """Wait for the model, without limit as the real servers do."""
        while not self._slots.acquire(timeout=_POLL_S):
            exchange.check_client()
        try:
            exchange.check_client()
            yield
        finally:
            self._slots.release()

    def record(self, exchange: Exchange, body: JsonObject, model: str, prompt: Prompt, *, loaded: bool) -> Asked:
        """Write the request into the log, with the reusable part of its prompt."""
        with self._log_lock:
            if loaded:
                self._prompts.pop(model, None)
            seen = prompt.text.encode()
            asked = Asked(
                number=len(self.log) + 1,
                path=exchange.path,
                body=body,
                prompt=prompt.text,
                prompt_tokens=prompt.tokens,
                dropped=prompt.dropped,
                cut_tokens=prompt.cut_tokens,
                reusable_bytes=shared_prefix(self._prompts.get(model, b""), seen),
                loaded=loaded,
                headers=dict(exchange.headers.items()),
            )
            self._prompts[model] = seen
            self.log.append(asked)
        return asked

    def forget_prompts(self) -> None:
        """Lose every computed prompt, as an unload does."""
        with self._log_lock:
            self._prompts.clear()

    def respond(self, exchange: Exchange, asked: Asked, compose: Callable[[Answer], Said], *, streams: bool) -> None:
        """Run the script and send what it says, whole or broken."""
        reply = self.script(asked)
        fault = reply if isinstance(reply, Fault) else None
        if fault is not None:
            asked.outcome = fault.kind.value
            if fault.kind is FaultKind.RELOAD:
                asked.loaded, asked.reusable_bytes, asked.load_s = True, 0, fault.seconds
        try:
            if fault is not None:
                self._fail_early(exchange, fault, asked.model, streams=streams)
            if not exchange.started:
                self._say(exchange, compose(as_answer(reply)), fault)
        except (ClientLeft, ConnectionError):
            asked.outcome = "client left"
            raise
        if fault is None:
            asked.outcome = "answered"

    def fail_page(self, exchange: Exchange) -> bool:
        """Carry out the fault of this address, if it has one that leaves nothing to answer."""
        fault = self.page_faults.get(exchange.path)
        if fault is not None:
            self._fail_early(exchange, fault, "", streams=False)
        return exchange.started

    def _fail_early(self, exchange: Exchange, fault: Fault, model: str, *, streams: bool) -> None:
        """Carry out what goes wrong before an answer starts; the faults that come later pass."""
        match fault.kind:
            case FaultKind.GONE:
                self.stop()
                exchange.cut()
            case FaultKind.RESET:
                exchange.cut()
            case FaultKind.HTML:
                exchange.send_bytes(502, "text/html", _HTML)
            case FaultKind.SILENT | FaultKind.RELOAD:
                exchange.stall(fault.seconds)
            case FaultKind.ERROR_LINE if not streams:
                self.refuse(exchange, 500, fault.message or _RUNNER_FAILED)
            case _:
                self._refuse_for(exchange, fault, model)

    def _refuse_for(self, exchange: Exchange, fault: Fault, model: str) -> None:
        refusal = self.refusals(model).get(fault.kind)
        if refusal is not None:
            if fault.kind is FaultKind.NO_MEMORY:
                self.unload()
            status, message = refusal
            self.refuse(exchange, status, fault.message or message)

    @abstractmethod
    def refusals(self, model: str) -> dict[FaultKind, tuple[int, str]]:
        """Return status and words of each refusal of this protocol."""

    def unload(self) -> None:
        """Drop every loaded model."""
        self.forget_prompts()

    def _say(self, exchange: Exchange, said: Said, fault: Fault | None) -> None:
        kind = fault.kind if fault else None
        exchange.begin(200, "text/plain; charset=utf-8" if kind is FaultKind.WRONG_TYPE else said.content_type)
        if fault is None or not self._break_stream(exchange, said, fault):
            for piece in (*said.pieces, *said.closing):
                exchange.write(piece)
        exchange.end()

    def _break_stream(self, exchange: Exchange, said: Said, fault: Fault) -> bool:
        """Carry out a fault of the stream; False when this fault leaves the stream alone."""
        if fault.kind is FaultKind.NOTHING:
            return True
        if fault.kind is FaultKind.NO_TOKEN:
            exchange.stall(fault.seconds)
            return False
        if fault.kind is FaultKind.DRIP:
            for number, piece in enumerate((*said.pieces, *said.closing)):
                exchange.stall(fault.seconds if number else 0.0)
                exchange.write(piece)
            return True
        if fault.kind not in _MIDDLE:
            return False
        for piece in said.pieces[: fault.after]:
            exchange.write(piece)
        self._break_middle(exchange, said, fault)
        return True

    def _break_middle(self, exchange: Exchange, said: Said, fault: Fault) -> None:
        match fault.kind:
            case FaultKind.STALL:
                exchange.stall(fault.seconds)
                for piece in (*said.pieces[fault.after :], *said.closing):
                    exchange.write(piece)
            case FaultKind.CUT:
                exchange.cut()
            case FaultKind.GARBAGE:
                exchange.write(_GARBAGE)
            case FaultKind.ERROR_LINE:
                exchange.write(self.error_piece(fault.message or _RUNNER_FAILED))


_MIDDLE = (FaultKind.STALL, FaultKind.CUT, FaultKind.NO_DONE, FaultKind.GARBAGE, FaultKind.ERROR_LINE)


def limited(answer: Answer, num_predict: int | None) -> Answer:
    """Return the answer, cut where the request's own token limit cuts it."""
    limit = num_predict if num_predict is not None and num_predict >= 0 else None
    if limit is None or count_tokens(answer.text) <= limit:
        return answer
    return Answer(
        answer.text[: limit * CHARACTERS_A_TOKEN],
        thinking=answer.thinking,
        done_reason="length",
        prompt_ratio=answer.prompt_ratio,
    )


def token_pieces(text: str) -> list[str]:
    """Cut a text into the pieces in which a stream brings it, one token each."""
    return [text[n : n + CHARACTERS_A_TOKEN] for n in range(0, len(text), CHARACTERS_A_TOKEN)]
