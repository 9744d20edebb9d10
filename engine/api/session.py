"""One client of the stream: what it asks is answered, what it subscribed to is sent, and then it is closed.

Three things run side by side: reading its messages, writing its line of frames, and waiting for a reason to end. The
first to finish ends the connection. A message that cannot be understood is answered and does no harm.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from datetime import datetime

from pydantic import ValidationError
from starlette.websockets import WebSocket, WebSocketDisconnect

from engine.api.access import Permission
from engine.api.frames import (
    REQUESTS,
    Choice,
    Ending,
    ErrorFrame,
    Heartbeat,
    Kind,
    Ping,
    Pong,
    Subscribe,
    Subscribed,
    TopicView,
    Unsubscribe,
    Welcome,
)
from engine.api.hub import Hub, Subscriber, Topic
from engine.api.problems import quoted
from engine.api.reading import path_name
from engine.api.settings import StreamSettings
from engine.api.views import View

log = logging.getLogger(__name__)

_GOODBYE_S = 1.0
"""Seconds for the last words of a program that is stopping."""
_NEEDED = {Kind.BARS: Permission.BARS, Kind.SIGNALS: Permission.SIGNALS}

Regranted = Callable[[], Awaitable[frozenset[Permission] | None]]
"""Returns what the client's token grants now."""


class Refused(Exception):
    """A message that is answered with an error."""

    def __init__(self, code: str, detail: str) -> None:
        self.code = code
        self.detail = detail
        super().__init__(detail)


class Session:
    """One connection, from its acceptance to its end.

    Args:
        websocket: Not yet accepted.
        hub: Where events come from.
        subscriber: The client's line in it.
        settings: Limits.
        market_now: The market's present.
        granted: What the client's token is good for.
        regranted: Asks that again.
    """

    def __init__(
        self,
        websocket: WebSocket,
        hub: Hub,
        subscriber: Subscriber,
        settings: StreamSettings,
        *,
        market_now: Callable[[], datetime],
        granted: frozenset[Permission],
        regranted: Regranted,
    ) -> None:
        self._websocket = websocket
        self._hub = hub
        self._subscriber = subscriber
        self._settings = settings
        self._market_now = market_now
        self._granted = granted
        self._regranted = regranted
        self._bad_messages = 0
        self._may_resume = True

    async def run(self) -> None:
        """Serve the client until it leaves or has to."""
        await self._websocket.accept()
        self._subscriber.offer(self._welcome().model_dump_json())
        work: tuple[Coroutine[object, object, object], ...] = (
            self._read(),
            self._write(),
            self._check_access(),
            self._subscriber.ended.wait(),
        )
        jobs = [asyncio.create_task(each) for each in work]
        try:
            done, _ = await asyncio.wait(jobs, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._hub.leave(self._subscriber)
            for job in jobs:
                job.cancel()
            await asyncio.gather(*jobs, return_exceptions=True)
        for error in (job.exception() for job in done):
            if error is not None and not isinstance(error, WebSocketDisconnect):
                log.error("a client of the stream was closed by an error", exc_info=error)
                self._subscriber.end(Ending.INTERNAL_ERROR)
        if self._subscriber.ending is not None:
            await self._close(self._subscriber.ending)

    async def _read(self) -> None:
        while True:
            await self._subscriber.wait_for_room()
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            self._take(message.get("text"))

    def _take(self, text: str | None) -> None:
        """Do what one message asks for."""
        answer_id = None
        try:
            request = self._understand(text)
            answer_id = request.id
            match request:
                case Subscribe():
                    self._subscribe(request)
                case Unsubscribe():
                    self._hub.unsubscribe(self._subscriber, self._choose(request))
                    self._answer(self._subscribed(request.id))
                case Ping():
                    self._answer(Pong(id=request.id, sequence=self._hub.sequence))
        except Refused as refusal:
            self._answer(ErrorFrame(id=answer_id, code=refusal.code, detail=refusal.detail))
            self._bad_messages += 1
            if self._bad_messages >= self._settings.max_bad_messages:
                self._subscriber.end(Ending.BAD_MESSAGES)

    def _understand(self, text: str | None) -> Subscribe | Unsubscribe | Ping:
        if text is None:
            raise Refused("bad_message", "send text frames with JSON; binary frames are not read")
        if len(text) > self._settings.max_message_characters:
            raise Refused("bad_message", f"a message has at most {self._settings.max_message_characters} characters")
        try:
            return REQUESTS.validate_json(text)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False, include_context=False)[0]
            where = ".".join(map(str, first["loc"]))
            raise Refused("bad_message", f"{where}: {first['msg']}" if where else str(first["msg"])) from error

    def _subscribe(self, request: Subscribe) -> None:
        topics = self._choose(request)
        if request.resume is None:
            self._hub.subscribe(self._subscriber, topics)
            self._may_resume = False
            self._answer(self._subscribed(request.id))
            return
        if not self._may_resume:
            raise Refused("resume_too_late", "only the first subscription of a connection can resume")
        if request.resume.stream == self._hub.stream and request.resume.after > self._hub.sequence:
            raise Refused("sequence_ahead", f"the newest event is {self._hub.sequence}")
        self._may_resume = False
        gap, missed = self._hub.since(request.resume, frozenset(topics), request.id)
        self._hub.subscribe(self._subscriber, topics)
        told = [self._subscribed(request.id), *([gap] if gap else [])]
        self._subscriber.put_ahead([*(view.model_dump_json() for view in told), *missed])

    def _choose(self, choice: Choice) -> list[Topic]:
        """Return the topics that a message means.

        Raises:
            Refused: It names something that is not streamed, or that the token does not grant.
        """
        self._check_permission(choice.kinds)
        symbols = None if choice.symbols is None else {self._find_symbol(text) for text in choice.symbols}
        chosen: list[Topic] = []
        for kind in dict.fromkeys(choice.kinds):
            streamed = [topic for topic in self._hub.topics if topic.kind is kind]
            offered = [topic.timeframe for topic in streamed if symbols is None or topic.symbol in symbols]
            unknown = [timeframe for timeframe in choice.timeframes or () if timeframe not in offered]
            if unknown:
                some = ", ".join(dict.fromkeys(offered)) or "none"
                raise Refused("not_streamed", f"{kind.value} of {unknown[0]} are not streamed; streamed are: {some}")
            chosen += [
                topic
                for topic in streamed
                if (symbols is None or topic.symbol in symbols)
                and (choice.timeframes is None or topic.timeframe in choice.timeframes)
            ]
        return chosen

    def _check_permission(self, kinds: list[Kind]) -> None:
        for kind in kinds:
            if _NEEDED[kind] not in self._granted:
                raise Refused("forbidden", f"the token does not grant {_NEEDED[kind].value!r}")

    def _find_symbol(self, text: str) -> str:
        symbols = {topic.symbol for topic in self._hub.topics}
        found = text if text in symbols else next((each for each in symbols if path_name(each) == text), None)
        if found is None:
            raise Refused("unknown_symbol", f"there is no symbol {quoted(text)}")
        return found

    def _answer(self, view: View) -> None:
        # There is room: a message is read only when less than half of the line is taken, and has one answer.
        self._subscriber.offer(view.model_dump_json())

    def _welcome(self) -> Welcome:
        hub, settings = self._hub, self._settings
        return Welcome(
            stream=hub.stream,
            sequence=hub.sequence,
            oldest=hub.oldest,
            heartbeat_s=settings.heartbeat_s,
            symbols=list(dict.fromkeys(topic.symbol for topic in hub.topics)),
            bar_timeframes=list(dict.fromkeys(topic.timeframe for topic in hub.topics if topic.kind is Kind.BARS)),
            signal_timeframes=list(
                dict.fromkeys(topic.timeframe for topic in hub.topics if topic.kind is Kind.SIGNALS)
            ),
        )

    def _subscribed(self, answer_id: str | None) -> Subscribed:
        topics = [
            TopicView(kind=topic.kind, symbol=topic.symbol, timeframe=topic.timeframe)
            for topic in self._hub.topics
            if topic in self._subscriber.topics
        ]
        return Subscribed(id=answer_id, sequence=self._hub.sequence, topics=topics)

    async def _write(self) -> None:
        while True:
            frame = await self._subscriber.next_frame(self._settings.heartbeat_s)
            if frame is None:
                frame = Heartbeat(sequence=self._hub.sequence, at=self._market_now()).model_dump_json()
            try:
                async with asyncio.timeout(self._settings.send_timeout_s):
                    await self._websocket.send_text(frame)
            except TimeoutError:
                self._hub.drop_slow(self._subscriber)
                return

    async def _check_access(self) -> None:
        """End the connection when its token is withdrawn or grants something else."""
        while True:
            await asyncio.sleep(self._settings.heartbeat_s)
            if await self._regranted() != self._granted:
                self._subscriber.end(Ending.ACCESS_CHANGED)
                return

    async def _close(self, ending: Ending) -> None:
        """Tell the reason; a client that does not read gets a while to do it, but not when the program stops."""
        telling = asyncio.create_task(self._tell_end(ending))
        stopping = asyncio.create_task(self._hub.closed.wait())
        try:
            await asyncio.wait(
                {telling, stopping}, timeout=self._settings.linger_s, return_when=asyncio.FIRST_COMPLETED
            )
            if self._hub.closed.is_set():
                await asyncio.wait({telling}, timeout=_GOODBYE_S)
        finally:
            telling.cancel()
            stopping.cancel()
            await asyncio.gather(telling, stopping, return_exceptions=True)

    async def _tell_end(self, ending: Ending) -> None:
        with suppress(WebSocketDisconnect, RuntimeError):
            await self._websocket.close(ending.code, ending.value)
