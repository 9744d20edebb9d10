"""The stream's middle: numbers events, keeps the last of them, and hands each to those who asked for it.

It belongs to one event loop and never waits: an event is put into a bounded line of frames for each client, and a
client whose line is full is dropped on the spot, so that nobody waits for it. An event is written as JSON once, however
many clients there are.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

from engine.api.frames import Ending, Gap, Kind, Resume
from engine.api.views import View
from engine.domain.symbols import Timeframe


class Topic(NamedTuple):
    """One thing that may be subscribed to."""

    kind: Kind
    symbol: str
    timeframe: Timeframe


@dataclass(frozen=True, slots=True)
class Event:
    """What happened, as every client is told it."""

    sequence: int
    topic: Topic
    text: str


class Subscriber:
    """One client's line of frames.

    Args:
        limit: Frames that may wait; what a resumed client is sent again is not counted, the ring bounds it.
    """

    def __init__(self, limit: int) -> None:
        self.topics: set[Topic] = set()
        self.ended = asyncio.Event()
        self.ending: Ending | None = None
        self._limit = limit
        self._ahead: deque[str] = deque()
        self._line: deque[str] = deque()
        self._has_frame = asyncio.Event()
        self._has_room = asyncio.Event()
        self._has_room.set()

    def offer(self, frame: str) -> bool:
        """Put a frame into the line, unless it is full."""
        if len(self._line) >= self._limit:
            return False
        self._line.append(frame)
        self._has_frame.set()
        if 2 * len(self._line) >= self._limit:
            self._has_room.clear()
        return True

    def put_ahead(self, frames: Iterable[str]) -> None:
        """Put frames before all that wait."""
        self._ahead.extend(frames)
        self._has_frame.set()

    async def next_frame(self, patience_s: float) -> str | None:
        """Return the next frame, or None when there was none for that long."""
        if not self._ahead and not self._line:
            self._has_frame.clear()
            try:
                async with asyncio.timeout(patience_s):
                    await self._has_frame.wait()
            except TimeoutError:
                return None
        if self._ahead:
            return self._ahead.popleft()
        frame = self._line.popleft()
        if 2 * len(self._line) < self._limit:
            self._has_room.set()
        return frame

    async def wait_for_room(self) -> None:
        """Wait until less than half of the line is taken: a client that does not read is not read from either."""
        await self._has_room.wait()

    @property
    def is_crowded(self) -> bool:
        """Whether half of the line is taken."""
        return not self._has_room.is_set()

    def end(self, ending: Ending) -> None:
        """Have the connection closed; the first reason given stands."""
        if self.ending is None:
            self.ending = ending
            self.ended.set()


class Hub:
    """All clients of the stream, and the events that are kept for those who come back.

    Args:
        ring_size: Events kept.
        queue_size: Frames that may wait for one client.
        max_clients: Clients at one time.
        stream: Name of this run; sequence numbers belong to it.
    """

    def __init__(self, *, ring_size: int, queue_size: int, max_clients: int, stream: str | None = None) -> None:
        self.stream = stream or secrets.token_hex(8)
        self.topics: tuple[Topic, ...] = ()
        self.sequence = 0
        self.dropped_slow = 0
        self.closed = asyncio.Event()
        self._kept: deque[Event] = deque(maxlen=ring_size)
        self._queue_size = queue_size
        self._max_clients = max_clients
        self._clients: set[Subscriber] = set()
        self._by_topic: dict[Topic, set[Subscriber]] = {}

    @property
    def is_open(self) -> bool:
        """Whether it is known what can be subscribed to."""
        return bool(self.topics) and not self.closed.is_set()

    @property
    def clients(self) -> int:
        """How many are connected."""
        return len(self._clients)

    @property
    def oldest(self) -> int:
        """Sequence number of the oldest event that is kept; of the next one while there is none."""
        return self._kept[0].sequence if self._kept else self.sequence + 1

    def open(self, topics: Collection[Topic]) -> None:
        """Tell what can be subscribed to."""
        self.topics = tuple(topics)
        self._by_topic = {topic: set() for topic in self.topics}

    def join(self) -> Subscriber | None:
        """Return the line of a new client, or None when there are too many."""
        if len(self._clients) >= self._max_clients:
            return None
        subscriber = Subscriber(self._queue_size)
        self._clients.add(subscriber)
        return subscriber

    def leave(self, subscriber: Subscriber) -> None:
        """Forget a client; harmless when repeated."""
        self._clients.discard(subscriber)
        self.unsubscribe(subscriber, tuple(subscriber.topics))

    def subscribe(self, subscriber: Subscriber, topics: Collection[Topic]) -> None:
        """Have a client told about topics from now on."""
        subscriber.topics.update(topics)
        for topic in topics:
            self._by_topic[topic].add(subscriber)

    def unsubscribe(self, subscriber: Subscriber, topics: Collection[Topic]) -> None:
        """Have a client told about topics no more."""
        subscriber.topics.difference_update(topics)
        for topic in topics:
            self._by_topic[topic].discard(subscriber)

    def publish(self, topic: Topic, tell: Callable[[int], View]) -> None:
        """Number an event, keep it, and hand it to everybody who asked for its topic.

        Args:
            topic: What it is about.
            tell: Makes its frame from its sequence number.
        """
        event = Event(self.sequence + 1, topic, tell(self.sequence + 1).model_dump_json())
        self.sequence = event.sequence
        self._kept.append(event)
        slow = [subscriber for subscriber in self._by_topic[topic] if not subscriber.offer(event.text)]
        for subscriber in slow:
            self.drop_slow(subscriber)

    async def breathe(self, patience_s: float) -> None:
        """Let clients read amid many events, so that a burst of ours makes nobody slow who is not.

        Args:
            patience_s: Longest wait. A client that takes nothing holds up the others by a few such waits, until its
                line is full.
        """
        await asyncio.sleep(0)
        crowded = [subscriber for subscriber in self._clients if subscriber.is_crowded]
        if crowded:
            with suppress(TimeoutError):
                async with asyncio.timeout(patience_s):
                    await asyncio.gather(*(subscriber.wait_for_room() for subscriber in crowded))

    def drop_slow(self, subscriber: Subscriber) -> None:
        """Let go of a client that does not keep up; the others do not notice."""
        self.dropped_slow += subscriber.ending is None
        subscriber.end(Ending.SLOW_CLIENT)
        self.leave(subscriber)

    def since(self, resume: Resume, topics: Collection[Topic], answer_id: str | None) -> tuple[Gap | None, list[str]]:
        """Return what a client that comes back has missed.

        Returns:
            What it lost for good, or None; and the frames of the kept events that it asked for, oldest first.
        """
        is_same = resume.stream == self.stream
        after = resume.after if is_same else 0
        frames = [event.text for event in self._kept if event.sequence > after and event.topic in topics]
        if is_same and after + 1 >= self.oldest:
            return None, frames
        gap = Gap(
            id=answer_id,
            reason="expired" if is_same else "other_stream",
            after=resume.after,
            next=self.oldest,
            lost=self.oldest - 1 - after if is_same else None,
        )
        return gap, frames

    def close(self) -> None:
        """Have every connection closed, and let nobody in any more."""
        self.closed.set()
        for subscriber in tuple(self._clients):
            subscriber.end(Ending.SHUTTING_DOWN)
            self.leave(subscriber)
