"""One client of the stream: it is sent what it was not told yet, no faster than it takes it in.

Reading its messages, writing frames, and watching its patience run side by side; the first to finish ends the
connection. Nothing is queued for a client: a frame is made when it can be sent.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from datetime import datetime

from pydantic import ValidationError
from starlette.websockets import WebSocket, WebSocketDisconnect

from engine.dashboard.board import Board, Watcher
from engine.dashboard.feeder import Feeder
from engine.dashboard.frames import REQUESTS, Ack, Chart, Ending, Ping, Start, error, heartbeat, pong, welcome
from engine.dashboard.settings import DashboardSettings
from engine.dashboard.telling import chart_key

log = logging.getLogger(__name__)

_GOODBYE_S = 2.0
"""Seconds for the close frame to leave."""


class _Refused(Exception):
    def __init__(self, code: str, detail: str) -> None:
        self.code = code
        self.detail = detail
        super().__init__(detail)


class Session:
    """One connection, from its acceptance to its end.

    Args:
        websocket: Not yet accepted.
        board: What it is told.
        feeder: Fills the board.
        settings: Limits.
        market_now: The market's present.
    """

    def __init__(
        self,
        websocket: WebSocket,
        board: Board,
        feeder: Feeder,
        settings: DashboardSettings,
        market_now: Callable[[], datetime],
    ) -> None:
        self._websocket = websocket
        self._board = board
        self._feeder = feeder
        self._settings = settings
        self._market_now = market_now
        self._watcher = Watcher()
        self._started = asyncio.Event()
        self._unanswered: deque[int] = deque()
        self._answered = asyncio.Event()
        self._answers: deque[str] = deque()
        self._bad_messages = 0

    async def run(self) -> Ending | None:
        """Serve the client until it leaves or has to; return why it had to."""
        await self._websocket.accept()
        work: tuple[Coroutine[object, object, Ending | None], ...] = (self._read(), self._write())
        jobs = [asyncio.create_task(each) for each in work]
        try:
            done, _ = await asyncio.wait(jobs, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._board.watchers.discard(self._watcher)
            for job in jobs:
                job.cancel()
            await asyncio.gather(*jobs, return_exceptions=True)
        ending = next((_ending_of(job) for job in done), None)
        if ending is not None:
            await self._close(ending)
        return ending

    async def _read(self) -> Ending | None:
        while True:
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                return None
            try:
                self._take(message.get("text"))
            except _Refused as refusal:
                self._answer(error(refusal.code, refusal.detail))
                self._bad_messages += 1
                if self._bad_messages >= self._settings.max_bad_messages:
                    return Ending.BAD_MESSAGES

    def _take(self, text: str | None) -> None:
        request = self._understand(text)
        match request:
            case Start():
                self._start(request)
            case Chart():
                self._look_at(request)
            case Ack():
                while self._unanswered and self._unanswered[0] <= request.sequence:
                    self._unanswered.popleft()
                self._answered.set()
            case Ping():
                self._answer(pong(self._board.sequence))

    def _understand(self, text: str | None) -> Start | Chart | Ack | Ping:
        if text is None:
            raise _Refused("bad_message", "send text frames with JSON; binary frames are not read")
        if len(text) > self._settings.max_message_characters:
            raise _Refused("bad_message", f"a message has at most {self._settings.max_message_characters} characters")
        try:
            request = REQUESTS.validate_json(text)
        except ValidationError as failure:
            first = failure.errors(include_url=False, include_input=False, include_context=False)[0]
            where = ".".join(map(str, first["loc"]))
            raise _Refused("bad_message", f"{where}: {first['msg']}" if where else str(first["msg"])) from failure
        if isinstance(request, Start) == self._started.is_set():
            raise _Refused("out_of_turn", "a connection begins with one `start`, and has no second")
        return request

    def _start(self, request: Start) -> None:
        resume = request.resume
        if request.chart is not None:
            self._look_at(request.chart)
        if resume is not None and self._board.resumes(resume.stream, resume.after):
            self._watcher.is_new, self._watcher.sent = False, resume.after
        self._board.watchers.add(self._watcher)
        self._answers.append(
            welcome(self._board.stream, self._board.sequence, self._settings.heartbeat_s, self._settings.window)
        )
        self._started.set()
        self._feeder.want_chart()

    def _look_at(self, chart: Chart) -> None:
        if not self._feeder.knows(chart.symbol):
            raise _Refused("unknown_symbol", "the market has no such symbol")
        self._board.choose_chart(self._watcher, chart_key(chart.symbol, chart.timeframe))
        self._feeder.want_chart()

    def _answer(self, frame: str) -> None:
        # A client that asks faster than it reads gets fewer answers, not a longer line of them.
        if len(self._answers) < self._settings.max_bad_messages:
            self._answers.append(frame)
        self._watcher.woken.set()

    async def _write(self) -> Ending | None:
        settings, loop = self._settings, asyncio.get_running_loop()
        try:
            async with asyncio.timeout(settings.patience_s):
                await self._started.wait()
        except TimeoutError:
            return Ending.SLOW_CLIENT
        await self._send_answers()
        with suppress(TimeoutError):
            async with asyncio.timeout(settings.patience_s):
                await self._feeder.is_ready.wait()
        next_at = loop.time()
        while True:
            await self._send_answers()
            if not self._board.has_news(self._watcher):
                if await self._is_silent(settings.heartbeat_s):
                    await self._send(heartbeat(self._board.sequence, self._market_now()))
                continue
            await asyncio.sleep(max(0.0, next_at - loop.time()))
            if not await self._has_window():
                return Ending.SLOW_CLIENT
            next_at = loop.time() + settings.frame_every_s
            changes = self._board.take(self._watcher)
            if changes.entries or changes.is_snapshot:
                self._unanswered.append(changes.sequence)
                await self._send(changes.text())

    async def _is_silent(self, seconds: float) -> bool:
        """Wait for news; tell whether there were none for that long."""
        self._watcher.woken.clear()
        if self._board.has_news(self._watcher) or self._answers:
            return False
        try:
            async with asyncio.timeout(seconds):
                await self._watcher.woken.wait()
        except TimeoutError:
            return True
        return False

    async def _has_window(self) -> bool:
        """Wait until the client has answered enough; tell whether it did in time."""
        try:
            async with asyncio.timeout(self._settings.patience_s):
                while len(self._unanswered) >= self._settings.window:
                    self._answered.clear()
                    await self._answered.wait()
                    await self._send_answers()
        except TimeoutError:
            return False
        return True

    async def _send_answers(self) -> None:
        while self._answers:
            await self._send(self._answers.popleft())

    async def _send(self, frame: str) -> None:
        async with asyncio.timeout(self._settings.patience_s):
            await self._websocket.send_text(frame)

    async def _close(self, ending: Ending) -> None:
        """Tell the reason, as far as the client reads it."""
        with suppress(WebSocketDisconnect, RuntimeError, TimeoutError):
            async with asyncio.timeout(_GOODBYE_S):
                await self._websocket.close(ending.code, ending.value)


def _ending_of(job: asyncio.Task[Ending | None]) -> Ending | None:
    failure = job.exception()
    if failure is None:
        return job.result()
    if isinstance(failure, WebSocketDisconnect):
        return None
    if isinstance(failure, TimeoutError):
        return Ending.SLOW_CLIENT
    log.error("a client of the dashboard was closed by an error", exc_info=failure)
    return Ending.INTERNAL_ERROR
