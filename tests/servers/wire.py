"""A small threaded HTTP/1.1 server whose answers can break in every way a socket allows.

Standard library only: a web framework would repair or hide half of the faults. A stalled answer ends when its client
leaves or the server stops, so no test waits for it. An exception in a script answers 500 and is raised again when the
server closes: a wrong test cannot pass by looking like a broken server.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

_POLL_S = 0.01


class ClientLeft(Exception):
    """The client closed its side before the answer was complete."""


class ConnectionCut(Exception):
    """The server wants this connection closed as it stands."""


class Exchange(BaseHTTPRequestHandler):
    """One request, and the ways to answer it."""

    protocol_version = "HTTP/1.1"
    server_version = "Fake"
    sys_version = ""
    disable_nagle_algorithm = True
    server: _Listener
    body: bytes = b""
    started: bool = False
    _chunked: bool = False

    def setup(self) -> None:
        super().setup()
        self.server.connections[self.connection] = threading.current_thread()

    def finish(self) -> None:
        self.server.connections.pop(self.connection, None)
        with contextlib.suppress(OSError):
            super().finish()

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError, OSError, ValueError):
            super().handle()

    def do_GET(self) -> None:
        self._serve()

    do_HEAD = do_POST = do_DELETE = do_GET

    def _serve(self) -> None:
        self.started = False
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            self.check_client()
            self.server.owner.answer(self)
        except (ClientLeft, ConnectionCut, ConnectionError):
            self.close_connection = True
        except Exception as error:
            self.server.owner.errors.append(error)
            self.close_connection = True
            if not self.started:
                self.send_json(500, {"error": f"the script failed: {error!r}"})

    def log_message(self, format: str, *args: Any) -> None:
        """Stay quiet."""

    def json(self) -> Any:
        """Return the decoded body; ValueError when it is no JSON."""
        return json.loads(self.body)

    def send_bytes(self, status: int, content_type: str, payload: bytes) -> None:
        """Answer in one piece."""
        self.begin(status, content_type, length=len(payload))
        if self.command != "HEAD":
            self.write(payload)

    def send_json(self, status: int, payload: Any) -> None:
        """Answer with JSON in one piece."""
        self.send_bytes(status, "application/json; charset=utf-8", json.dumps(payload, ensure_ascii=False).encode())

    def begin(self, status: int, content_type: str, *, length: int | None = None) -> None:
        """Send status and headers; without a length the body is chunked."""
        self.started = True
        self._chunked = length is None
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        if length is None:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", str(length))
        self.end_headers()

    def write(self, piece: bytes) -> None:
        """Send one piece of the body."""
        self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece) if self._chunked else piece)

    def end(self) -> None:
        """End the body cleanly."""
        if self._chunked:
            self.wfile.write(b"0\r\n\r\n")

    def cut(self) -> None:
        """Close the connection as it stands."""
        raise ConnectionCut

    def stall(self, seconds: float) -> None:
        """Wait; a client that leaves, or a server that stops, ends the exchange."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self.check_client()
            self.server.stopping.wait(min(_POLL_S, left))

    def check_client(self) -> None:
        """Raise when nobody waits for the answer any more."""
        if self.server.stopping.is_set():
            raise ConnectionCut
        try:
            gone = self.connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
        except BlockingIOError:
            return
        if gone:
            raise ClientLeft


class _Listener(ThreadingHTTPServer):
    """The listening socket and its open connections."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], owner: LocalServer) -> None:
        self.owner = owner
        self.stopping = threading.Event()
        self.connections: dict[socket.socket, threading.Thread] = {}
        super().__init__(address, Exchange)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Stay quiet: a broken connection is daily bread here."""


class LocalServer(ABC):
    """A server on a free loopback port, as a context manager; `answer` is what a kind of server adds."""

    def __init__(self) -> None:
        self.errors: list[Exception] = []
        self._listener: _Listener | None = None
        self._stop_lock = threading.RLock()
        self._port = 0

    @property
    def url(self) -> str:
        """Return the address without a path."""
        return f"http://127.0.0.1:{self._port}"

    @abstractmethod
    def answer(self, exchange: Exchange) -> None:
        """Answer one request."""

    def start(self) -> None:
        """Listen; after a stop, on the same port."""
        self._listener = _Listener(("127.0.0.1", self._port), self)
        self._port = self._listener.server_address[1]
        threading.Thread(target=self._listener.serve_forever, args=(_POLL_S,), daemon=True).start()

    def stop(self) -> None:
        """Stop as if killed: open connections break, new ones are refused."""
        with self._stop_lock:
            listener, self._listener = self._listener, None
            if listener is None:
                return
            listener.stopping.set()
            listener.shutdown()
            listener.server_close()
            for connection, thread in list(listener.connections.items()):
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
                if thread is not threading.current_thread():
                    thread.join()

    @contextlib.contextmanager
    def down(self) -> Iterator[None]:
        """Stop the server for the length of a block."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_rest: object) -> None:
        self.stop()
        if self.errors and kind is None:
            raise self.errors[0]
