"""What a store of threads must do: each thread is one small map of fields to bytes, changed in one transaction.

A map and not a table of checkpoints: SQLite and Redis both have one, a whole thread is read in one round trip, and
what the fields mean is decided in one place (`copilot.memory.saver`). Fields are compared as bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class StoredThread:
    """A thread as it stands; no fields means that it does not exist.

    Attributes:
        birth: Given at random to each thread when it is made, so that a thread which was erased and made anew under
            the same name is known as another one.
    """

    owner: str | None
    fields: Mapping[bytes, bytes]
    birth: str | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """Everything that one transaction does to one thread.

    Attributes:
        owner: Who the thread belongs to from now on; None leaves that as it is.
        drop: Ranges of fields to remove, each from its first bound up to, not including, its second.
        put: Fields to write, after the removals.
        is_replacing: Whether a field that exists is overwritten or kept.
        birth: The thread that the change builds on; None makes one where there is none.
        expected: Fields that must hold just these bytes for the change to be applied.
    """

    owner: str | None = None
    drop: Sequence[tuple[bytes, bytes]] = ()
    put: Mapping[bytes, bytes] = field(default_factory=dict)
    is_replacing: bool = True
    birth: str | None = None
    expected: Mapping[bytes, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Forgotten:
    """How much of an owner was erased."""

    conversations: int
    facts: int


class ForeignThread(Exception):
    """A change names an owner, and the thread belongs to another."""


class ErasedThread(Exception):
    """A change builds on a thread that has been erased since it was read."""


class MovedThread(Exception):
    """A change expects a thread to stand otherwise than it does."""


class ThreadStore(Protocol):
    """Keeps threads; every failure of the backend is a `MemoryUnavailable`."""

    async def read(self, thread_id: str) -> StoredThread:
        """Return the whole thread as one consistent state."""
        ...

    async def change(self, thread_id: str, change: Change) -> None:
        """Apply the change entirely or not at all; on return it outlives this program.

        Raises:
            ForeignThread: The thread belongs to another owner; nothing has changed.
            ErasedThread: The thread that it builds on is gone; nothing has changed.
            MovedThread: The thread does not hold what the change expects; nothing has changed.
        """
        ...

    async def erase(self, thread_ids: Sequence[str]) -> None:
        """Remove whole threads; absent ones are ignored."""
        ...

    async def erase_owner(self, owner: str) -> Forgotten:
        """Remove every thread of the owner, their facts and what is cached of them."""
        ...

    async def thread_ids(self) -> list[str]:
        """Return every thread that exists, in no particular order."""
        ...

    async def close(self) -> None:
        """Let go of the backend."""
        ...
