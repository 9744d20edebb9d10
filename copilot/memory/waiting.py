"""What finished tasks wrote in a step that is not finished: kept in this program until it is known to be needed.

The next checkpoint holds all of it, so storing it as well would be work for nothing, and a state that only a look at
the conversation shows: the next turn starts from the checkpoint. It is needed when a task beside them pauses or fails.
"""

from __future__ import annotations

from copilot.memory.fields import CheckpointKey
from copilot.memory.store import Change

_WAITING_THREADS = 1000
"""Threads whose unfinished step is kept in mind; a turn that was called off would stay there for good."""
Place = tuple[str, str | None, str]
"""Thread, owner and namespace."""


class WaitingWrites:
    """What finished tasks wrote beside the checkpoint that each thread's turn stands at."""

    def __init__(self) -> None:
        self._changes: dict[Place, tuple[CheckpointKey, list[Change] | None]] = {}

    def holds(self, place: Place, key: CheckpointKey, change: Change) -> bool:
        """Take a change to wait; refused once a task beside it has paused or failed."""
        known, changes = self._changes.get(place, (None, None))
        if known != key:
            changes = []
            self._keep(place, key, changes)
        if changes is not None:
            changes.append(change)
        return changes is not None

    def end(self, place: Place, key: CheckpointKey) -> list[Change]:
        """Return what waits at a checkpoint; nothing more can wait there."""
        known, changes = self._changes.get(place, (None, None))
        self._keep(place, key, None)
        return changes or [] if known == key else []

    def drop_older(self, place: Place, key: CheckpointKey) -> None:
        """Forget what waits at an earlier checkpoint: this one holds it."""
        if place in self._changes and self._changes[place][0].checkpoint_id < key.checkpoint_id:
            del self._changes[place]

    def _keep(self, place: Place, key: CheckpointKey, changes: list[Change] | None) -> None:
        self._changes[place] = (key, changes)
        if len(self._changes) > _WAITING_THREADS:
            del self._changes[next(iter(self._changes))]
