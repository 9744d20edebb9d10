"""An owner's latest checkpoint: written in the place of the one before, and of its long lists only what changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from langgraph.checkpoint.base import Checkpoint, CheckpointMetadata

from copilot.memory.fields import CheckpointKey, LatestPlace, cut, long_lists
from copilot.memory.store import Change, StoredThread

_KNOWN_THREADS = 64
"""Conversations whose pieces are kept in mind; one turn needs its own, a few of them run at once."""


@dataclass(frozen=True, slots=True)
class _Known:
    """Pieces as the store held them together with a checkpoint."""

    checkpoint_id: bytes
    pieces: Mapping[bytes, bytes]


class LatestCheckpoints:
    """Turns checkpoints into changes and back, and keeps in mind what the store held last.

    What is in mind only saves writing: a change that relies on it names the checkpoint that it was seen with, and
    is refused where another program has written since.
    """

    def __init__(self, dump: Callable[[Any], bytes], load: Callable[[bytes], Any]) -> None:
        self._dump = dump
        self._load = load
        self._known: dict[tuple[str, LatestPlace], _Known] = {}

    def changes(
        self, thread_id: str, key: CheckpointKey, checkpoint: Checkpoint, metadata: CheckpointMetadata
    ) -> Iterator[Change]:
        """Yield the changes that put a checkpoint, the shortest first; the first that is not refused does it."""
        place = LatestPlace(key.namespace)
        lists = {name: cut(items) for name, items in long_lists(checkpoint["channel_values"]).items()}
        rest = {name: value for name, value in checkpoint["channel_values"].items() if name not in lists}
        counts = {name: len(pieces) for name, pieces in lists.items()}
        head = {
            place.id_field: key.checkpoint_id.encode(),
            place.field: self._dump(({**checkpoint, "channel_values": rest}, metadata, None, counts)),
        }
        pieces = {
            place.piece_field(name, number): self._dump(piece)
            for name, cut_list in lists.items()
            for number, piece in enumerate(cut_list)
        }
        known = self._known.get((thread_id, place))
        self._keep_in_mind(thread_id, key, pieces)
        if known is not None and known.pieces.keys() <= pieces.keys():
            fresh = {field: packed for field, packed in pieces.items() if known.pieces.get(field) != packed}
            expected = {place.id_field: known.checkpoint_id}
            yield Change(drop=[key.older], put={**head, **fresh}, expected=expected)
        yield Change(drop=[key.older, place.pieces], put={**head, **pieces})

    def seen(self, thread_id: str, key: CheckpointKey, thread: StoredThread) -> None:
        """Keep in mind what a thread holds beside this checkpoint."""
        self._keep_in_mind(thread_id, key, LatestPlace(key.namespace).held_pieces(thread))

    def forget(self, thread_id: str | None = None) -> None:
        """Put a thread, or every thread, out of mind."""
        self._known = {name: known for name, known in self._known.items() if thread_id not in (None, name[0])}

    def load(self, thread: StoredThread, namespace: str) -> tuple[Checkpoint, CheckpointMetadata]:
        """Return the checkpoint that a thread holds, put together again."""
        place = LatestPlace(namespace)
        checkpoint, metadata, _, counts = self._load(thread.fields[place.field])
        for name, count in counts.items():
            pieces = (self._load(thread.fields[place.piece_field(name, number)]) for number in range(count))
            checkpoint["channel_values"][name] = [item for piece in pieces for item in piece]
        return checkpoint, metadata

    def _keep_in_mind(self, thread_id: str, key: CheckpointKey, pieces: Mapping[bytes, bytes]) -> None:
        place = LatestPlace(key.namespace)
        self._known.pop((thread_id, place), None)
        if pieces:
            self._known[thread_id, place] = _Known(key.checkpoint_id.encode(), pieces)
        if len(self._known) > _KNOWN_THREADS:
            del self._known[next(iter(self._known))]
