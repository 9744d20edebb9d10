"""What can go wrong with a chat server, as one code for each reaction of the copilot and each sentence to a person.

The adapters' own limits raise `ModelUnavailable` themselves; everything that the client libraries raise passes through
`explain`. What no rule knows is a `bad_reply`: the turn goes on with the offline model, whatever a library may raise.
"""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import httpx2
import ollama

from engine.domain.errors import ModelUnavailable

_NO_SUCH_MODEL = 404
_BAD_REQUEST = 400
_BUSY = (429, 503)
_IN_STREAM = -1
_MEMORY_WORDS = ("out of memory", "more system memory", "cudamalloc", "insufficient memory", "oom")
_DETAIL_LENGTH = 300
_NO_CONNECTION = (httpx.ConnectError, httpx.ConnectTimeout, httpx2.ConnectError, httpx2.ConnectTimeout)
_TOO_LATE = (httpx.TimeoutException, httpx2.TimeoutException, TimeoutError)


def explain(error: Exception) -> ModelUnavailable:
    """Return what an exception of a client library means for us."""
    if isinstance(error, ModelUnavailable):
        return error
    detail = " ".join(str(error).split())[:_DETAIL_LENGTH] or type(error).__name__
    return ModelUnavailable(_code(error), detail)


def _code(error: Exception) -> str:
    status = _status(error)
    if status is not None:
        return _status_code(status, str(error).lower())
    if any(isinstance(cause, _NO_CONNECTION) for cause in _causes(error)):
        return "unreachable"
    if isinstance(error, _TOO_LATE) or _is_openai(error, "APITimeoutError"):
        return "stalled"
    return _transport_code(error)


def _transport_code(error: Exception) -> str:
    if isinstance(error, httpx.HTTPError | httpx2.HTTPError) or _is_openai(error, "APIConnectionError"):
        return "cut"
    if _is_openai(error, "APIError"):
        return "out_of_memory" if _speaks_of_memory(str(error).lower()) else "stream_error"
    if isinstance(error, ConnectionError):
        return "unreachable"
    is_silence = isinstance(error, ValueError) and "no data" in str(error).lower()
    return "empty" if is_silence else "bad_reply"


def _is_openai(error: BaseException, name: str) -> bool:
    """Tell whether an error is of a class of the OpenAI client, without loading that client for it."""
    return any(kind.__name__ == name and kind.__module__.startswith("openai") for kind in type(error).__mro__)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what it was raised from, the libraries' wrappings included."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__


def _status(error: Exception) -> int | None:
    if isinstance(error, ollama.ResponseError) or _is_openai(error, "APIStatusError"):
        return int(getattr(error, "status_code", 0))
    return None


def _status_code(status: int, text: str) -> str:
    if _speaks_of_memory(text):
        return "out_of_memory"
    if status == _NO_SUCH_MODEL:
        return "model_missing"
    if status == _BAD_REQUEST:
        return "no_tools" if "does not support tools" in text else "refused"
    if status in _BUSY:
        return "busy"
    return "stream_error" if status == _IN_STREAM else "server_error"


def _speaks_of_memory(text: str) -> bool:
    return any(words in text for words in _MEMORY_WORDS)
