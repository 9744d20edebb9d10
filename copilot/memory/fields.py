"""What the fields of a thread mean.

Fields, as bytes, where a checkpoint id sorts by time::

    namespace NUL checkpoint-id NUL c                      a checkpoint of an ownerless thread
    namespace NUL checkpoint-id NUL w NUL task NUL index   one pending write: channel, value, path of the task
    namespace NUL ~ NUL id                                 the id of an owner's latest checkpoint
    namespace NUL ~ NUL c                                  that checkpoint
    namespace NUL ~ NUL v NUL channel NUL number           a piece of a long list in it

A long list (the conversation's history) lies apart in pieces, so that a turn writes what it added and not everything
that was ever said. An owner's thread has one place for its checkpoint: two programs that write at once can follow each
other there, but never leave a checkpoint of the one with pieces of the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from copilot.memory.store import StoredThread

NUL = b"\0"
_AFTER_NUL = b"\x01"
_CHECKPOINT = b"c"
_LATEST = b"~"
"""Stands where an id would, and sorts after every id."""
PIECE_ITEMS = 64
"""Items of a long list in one field; a list no longer than that stays where it is."""

FieldRange = tuple[bytes, bytes]


@dataclass(frozen=True, slots=True)
class CheckpointKey:
    """Where a checkpoint and its writes lie within a thread's fields."""

    namespace: str
    checkpoint_id: str

    @property
    def _place(self) -> bytes:
        return self.namespace.encode() + NUL + self.checkpoint_id.encode()

    @property
    def field(self) -> bytes:
        """Return the field of a checkpoint in an ownerless thread."""
        return self._place + NUL + _CHECKPOINT

    @property
    def write_prefix(self) -> bytes:
        """Return what the fields of its pending writes start with."""
        return self._place + b"\0w\0"

    @property
    def own(self) -> FieldRange:
        """Return the range of the checkpoint and its writes."""
        return self._place + NUL, self._place + _AFTER_NUL

    @property
    def older(self) -> FieldRange:
        """Return the range of everything older in the same namespace."""
        return self.namespace.encode() + NUL, self._place

    def write_field(self, task_id: str, index: int) -> bytes:
        """Return the field of one pending write."""
        return self.write_prefix + task_id.encode() + NUL + str(index).encode()


@dataclass(frozen=True, slots=True)
class LatestPlace:
    """Where an owner's latest checkpoint of one namespace lies."""

    namespace: str

    @property
    def _place(self) -> bytes:
        return self.namespace.encode() + NUL + _LATEST

    @property
    def id_field(self) -> bytes:
        """Return the field of its id."""
        return self._place + b"\0id"

    @property
    def field(self) -> bytes:
        """Return the field of the checkpoint."""
        return self._place + NUL + _CHECKPOINT

    @property
    def pieces(self) -> FieldRange:
        """Return the range of all pieces of its lists."""
        return self._place + b"\0v\0", self._place + b"\0v\x01"

    @property
    def everything(self) -> FieldRange:
        """Return the range of the checkpoint, its id and its pieces."""
        return self._place + NUL, self._place + _AFTER_NUL

    def piece_field(self, channel: str, number: int) -> bytes:
        """Return the field of one piece of a list."""
        return self.pieces[0] + channel.encode() + NUL + str(number).encode()

    def held_pieces(self, thread: StoredThread) -> dict[bytes, bytes]:
        """Return the pieces that a thread holds."""
        low, high = self.pieces
        return {field: packed for field, packed in thread.fields.items() if low <= field < high}


def checkpoint_keys(thread: StoredThread) -> Iterator[CheckpointKey]:
    """Yield every checkpoint that a thread holds."""
    for field, packed in thread.fields.items():
        namespace, place, kind = field.split(NUL, 2)
        if place == _LATEST:
            if kind == b"id":
                yield CheckpointKey(namespace.decode(), packed.decode())
        elif kind == _CHECKPOINT:
            yield CheckpointKey(namespace.decode(), place.decode())


def long_lists(values: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Return the channels whose values are lists worth cutting."""
    return {name: value for name, value in values.items() if type(value) is list and len(value) > PIECE_ITEMS}


def cut(items: list[Any]) -> list[list[Any]]:
    """Return a list in pieces, all full but the last."""
    return [items[start : start + PIECE_ITEMS] for start in range(0, len(items), PIECE_ITEMS)]
