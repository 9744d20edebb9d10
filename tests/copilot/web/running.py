"""The page in a process of its own, and what a browser (or somebody who forges one) sends to it."""

from __future__ import annotations

import json
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

import httpx
from websockets.sync.client import ClientConnection, connect

from tests.parts import REPOSITORY

START_S = 60.0
ANSWER_S = 60.0


@dataclass(slots=True)
class Running:
    """A served page."""

    process: subprocess.Popen[str]
    lines: queue.Queue[str]
    said: list[str] = field(default_factory=list)

    @property
    def link(self) -> str:
        """Return the newest sign-in link."""
        return self._newest(r"http://\S+/enter\?token=\S+")

    @property
    def url(self) -> str:
        """Return the page's address without a trailing slash."""
        parts = urlsplit(self._newest(r"http://[^\s/;]+"))
        return f"http://{parts.netloc}"

    @property
    def host(self) -> str:
        """Return name and port."""
        return urlsplit(self.url).netloc

    def order(self, line: str) -> list[int]:
        """Steer the fake core; return which tickets were executed so far."""
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.wait_for(r"executed \[.*\]")
        numbers: list[int] = json.loads(answer.removeprefix("executed "))
        return numbers

    def wait_for(self, pattern: str, seconds: float = ANSWER_S) -> str:
        """Return the next line that matches."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                line = self.lines.get(timeout=max(deadline - time.monotonic(), 0.01))
            except queue.Empty:
                raise AssertionError(f"nothing like {pattern!r} was said: {self.said}") from None
            self.said.append(line)
            if re.search(pattern, line):
                return line

    def stop(self) -> int:
        """Interrupt it as Ctrl+C does, and return its exit status."""
        self.process.send_signal(signal.SIGINT)
        if self.process.stdin is not None:
            self.process.stdin.close()
        status = self.process.wait(60)
        if self.process.stdout is not None:
            self.process.stdout.close()
        return status

    def _newest(self, pattern: str) -> str:
        while not self.lines.empty():
            self.said.append(self.lines.get())
        return next(found[0] for line in reversed(self.said) if (found := re.search(pattern, line)))


def start(data_dir: Path, folder: Path, *options: str) -> Running:
    """Start the page with the working directory elsewhere, and wait until it listens."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.copilot.web.serve_fake", str(data_dir), *options],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    lines: queue.Queue[str] = queue.Queue()
    assert process.stdout is not None
    threading.Thread(target=_read, args=(process.stdout, lines), daemon=True).start()
    running = Running(process, lines)
    running.wait_for(r"/enter\?token=", START_S)
    deadline = time.monotonic() + ANSWER_S
    while time.monotonic() < deadline:
        try:
            httpx.get(f"{running.url}/health", trust_env=False)
        except httpx.ConnectError:
            time.sleep(0.05)
        else:
            break
    return running


def _read(stream: IO[str], lines: queue.Queue[str]) -> None:
    for line in stream:
        lines.put(line.rstrip("\n"))


def client(running: Running, **headers: str) -> httpx.Client:
    """Return an HTTP client that follows nothing by itself, and keeps no connection that it would have to close."""
    return httpx.Client(
        base_url=running.url,
        headers={"Origin": running.url, **headers},
        trust_env=False,
        timeout=60,
        limits=httpx.Limits(max_keepalive_connections=0),
    )


def signed_in(running: Running) -> httpx.Client:
    """Return a client that came in by a fresh link."""
    visitor = client(running)
    assert visitor.post("/login/link").status_code == 200
    running.wait_for(r"/enter\?token=")
    assert visitor.get(running.link.removeprefix(running.url)).status_code == 200
    return visitor


def cookie_header(visitor: httpx.Client) -> str:
    return "; ".join(f"{name}={value}" for name, value in visitor.cookies.items())


def open_socket(running: Running, origin: str | None, cookies: str = "", **headers: str) -> ClientConnection:
    """Open the page's socket as a browser does; raises when it is refused."""
    return connect(
        f"ws://{running.host}/ws/socket.io/?EIO=4&transport=websocket",
        origin=origin,  # type: ignore[arg-type]  # a plain string is one
        additional_headers={"Cookie": cookies, **headers},
        proxy=None,
        open_timeout=60,
        max_queue=None,
    )


@dataclass(slots=True)
class Socket:
    """A signed-in browser's socket, spoken by hand."""

    connection: ClientConnection
    session_id: str
    visitor: httpx.Client

    def send(self, event: str, data: Any = None) -> None:
        """Emit an event."""
        self.connection.send("42" + json.dumps([event] if data is None else [event, data]))

    def say(self, text: str) -> None:
        """Send a message as the page does."""
        message = {"id": str(uuid.uuid4()), "type": "user_message", "output": text, "name": "user", "createdAt": _now()}
        self.send("client_message", {"message": message, "fileReferences": []})

    def act(self, name: str, payload: Any) -> httpx.Response:
        """Press a button, or pretend to."""
        body = {"sessionId": self.session_id, "action": {"name": name, "payload": payload, "label": "", "tooltip": ""}}
        return self.visitor.post("/project/action", json=body)

    def wait_for(self, text: str, seconds: float = ANSWER_S) -> str:
        """Return everything received up to a packet with that text."""
        deadline, seen = time.monotonic() + seconds, ""
        while text not in seen:
            packet = str(self.connection.recv(timeout=max(deadline - time.monotonic(), 0.01)))
            if packet == "2":
                self.connection.send("3")
            seen += packet
        return seen


def _now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


@contextmanager
def browser_socket(running: Running, visitor: httpx.Client) -> Any:
    """Yield a socket that went through the whole greeting."""
    with open_socket(running, running.url, cookie_header(visitor)) as connection:
        session_id = str(uuid.uuid4())
        assert str(connection.recv(timeout=60)).startswith("0{")
        connection.send("40" + json.dumps({"sessionId": session_id, "clientType": "webapp", "userEnv": "{}"}))
        assert str(connection.recv(timeout=60)).startswith("40{")
        socket = Socket(connection, session_id, visitor)
        socket.send("connection_successful")
        yield socket
