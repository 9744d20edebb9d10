"""LangGraph's checkpoint saver over a store of threads.

A conversation needs its latest checkpoint and what is pending on it, nothing older: stock savers keep every step of
every turn and grow by the whole history each time. So a thread that has an owner (`configurable.owner`) keeps its
latest checkpoint only; the older ones go in the same transaction that writes the new one. A thread without an owner
keeps all its steps until `aprune`, as LangGraph's contract says.

A thread belongs to the first owner who writes to it; for any other owner it does not exist, and writing to it fails.
A turn carries the birth of the thread that it was read from: when the owner was forgotten meanwhile, in any program,
what the turn would write is dropped, because it holds the old conversation.

Only plain types are revived, never a class that the data names, and nothing is ever unpickled. Async only. Pruning
keeps one checkpoint per namespace, so channels rebuilt from older checkpoints (`DeltaChannel`) are not for it.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    get_checkpoint_id,
    get_serializable_checkpoint_metadata,
    writes_sort_key,
)
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.serde.types import ERROR, INTERRUPT

from copilot.memory.cache import ContextCache
from copilot.memory.fields import NUL, CheckpointKey, LatestPlace, checkpoint_keys
from copilot.memory.latest import LatestCheckpoints
from copilot.memory.store import (
    Change,
    ErasedThread,
    ForeignThread,
    Forgotten,
    MovedThread,
    StoredThread,
    ThreadStore,
)
from copilot.memory.waiting import WaitingWrites
from engine.domain.errors import InvalidRequest
from tools.facts import Facts

log = logging.getLogger(__name__)

_MSGPACK = "msgpack"
_ENDING = (INTERRUPT, ERROR)
"""Channels whose writes end a step before its next checkpoint."""
_BIRTH = "__birth"
"""Where a config carries the birth of the thread that it was read from; LangGraph hands it on to every write of the
turn, and keeps what starts like this out of the metadata."""


class MemorySaver(BaseCheckpointSaver[Any]):
    """Checkpoints of conversations in a `ThreadStore`, and what else the same store remembers.

    Attributes:
        facts: What owners asked to have remembered.
        context: Small values that expire, shared by every program on the store.
    """

    def __init__(self, store: ThreadStore, facts: Facts, context: ContextCache) -> None:
        super().__init__(serde=JsonPlusSerializer(pickle_fallback=False, allowed_msgpack_modules=None))
        self._store = store
        self._waiting = WaitingWrites()
        self._latest = LatestCheckpoints(self._dump, self._load)
        self.facts = facts
        self.context = context

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """Return the checkpoint that the config names, or the thread's latest; None when there is none."""
        namespace = config["configurable"].get("checkpoint_ns", "")
        thread = await self._read(config)
        wanted = get_checkpoint_id(config)
        found = [key for key in checkpoint_keys(thread) if key.namespace == namespace]
        if wanted:
            found = [key for key in found if key.checkpoint_id == wanted]
        if not found:
            return None
        latest = max(found, key=lambda key: key.checkpoint_id)
        if thread.owner is not None:
            self._latest.seen(_thread_id(config), latest, thread)
        return self._revive(_thread_id(config), latest, thread)

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """Yield the checkpoints that match, newest first; a config of None looks through every thread."""
        newest_first = sorted(
            await self._matching(config, before), key=lambda found: found[1].checkpoint_id, reverse=True
        )
        left = len(newest_first) if limit is None else limit
        for thread_id, key, thread in newest_first:
            if left <= 0:
                return
            revived = self._revive(thread_id, key, thread)
            metadata: Mapping[str, Any] = {**revived.metadata}
            if all(metadata.get(name) == value for name, value in (filter or {}).items()):
                left -= 1
                yield revived

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Store a checkpoint; in an owner's thread it takes the place of all older ones, in the same transaction."""
        key = CheckpointKey(config["configurable"].get("checkpoint_ns", ""), checkpoint["id"])
        kept = get_serializable_checkpoint_metadata(config, metadata)
        if _owner(config) is None:
            packed = self._dump((checkpoint, kept, get_checkpoint_id(config)))
            await self._change(_thread_id(config), Change(put={key.field: packed}))
        else:
            await self._put_latest(config, key, checkpoint, kept)
        return _config(_thread_id(config), key)

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Store what a task wrote beside its checkpoint; a repeated call changes nothing.

        In an owner's thread, what a finished task wrote waits in this program for the next checkpoint, which holds it
        anyway, or for a pause or an error of a task beside it, with which it is stored. So a turn that is killed
        leaves a state that the next turn starts from, not one that looks further than that.
        """
        place, thread_id = config["configurable"], _thread_id(config)
        key = CheckpointKey(place.get("checkpoint_ns", ""), place["checkpoint_id"])
        put = {
            key.write_field(task_id, WRITES_IDX_MAP.get(channel, n)): self._dump((channel, value, task_path))
            for n, (channel, value) in enumerate(writes)
        }
        is_special = all(channel in WRITES_IDX_MAP for channel, _ in writes)
        change = Change(owner=_owner(config), put=put, is_replacing=is_special, birth=_birth(config))
        waits_at = (thread_id, change.owner, key.namespace)
        if change.owner is None:
            await self._change(thread_id, change)
        elif any(channel in _ENDING for channel, _ in writes):
            for waiting in (*self._waiting.end(waits_at, key), change):
                await self._change(thread_id, waiting)
        elif is_special or not self._waiting.holds(waits_at, key, change):
            await self._change(thread_id, change)

    async def adelete_thread(self, thread_id: str) -> None:
        """Remove a thread with everything in it."""
        await self._store.erase([thread_id])

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Remove the checkpoints that these runs made, with their writes."""
        wanted = set(run_ids)
        for thread_id in await self._store.thread_ids() if wanted else []:
            thread = await self._store.read(thread_id)
            gone = [
                key
                for key in checkpoint_keys(thread)
                if self._revive(thread_id, key, thread).metadata.get("run_id") in wanted
            ]
            if gone:
                places = [LatestPlace(key.namespace).everything for key in gone if key.field not in thread.fields]
                await self._store.change(thread_id, Change(drop=[*(key.own for key in gone), *places]))

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copy a thread, owner included, onto another name."""
        thread = await self._store.read(source_thread_id)
        if thread.fields:
            await self._change(target_thread_id, Change(owner=thread.owner, put=thread.fields))

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Keep each namespace's latest checkpoint with its writes (`keep_latest`), or nothing (`delete`).

        Raises:
            ValueError: The strategy is neither.
        """
        if strategy == "delete":
            await self._store.erase(thread_ids)
        elif strategy == "keep_latest":
            for thread_id in thread_ids:
                await self._keep_latest(thread_id)
        else:
            raise ValueError(f"strategy is {strategy!r}: it must be 'keep_latest' or 'delete'")

    async def forget_me(self, owner: str) -> Forgotten:
        """Erase every conversation of the owner, their facts and what is cached of them, and return how many.

        A turn that runs meanwhile, in any program, goes on; what it built on is gone, so what it would keep is not
        kept. A turn of a conversation that began without any history may keep its own words.
        """
        self._latest.forget()
        return await self._store.erase_owner(owner)

    async def _put_latest(
        self, config: RunnableConfig, key: CheckpointKey, checkpoint: Checkpoint, metadata: CheckpointMetadata
    ) -> None:
        thread_id, owner, birth = _thread_id(config), _owner(config), _birth(config)
        self._waiting.drop_older((thread_id, owner, key.namespace), key)
        for change in self._latest.changes(thread_id, key, checkpoint, metadata):
            try:
                await self._change(thread_id, replace(change, owner=owner, birth=birth))
            except MovedThread:
                continue
            except BaseException:
                self._latest.forget(thread_id)
                raise
            return

    async def close(self) -> None:
        """Let go of the store."""
        await self._store.close()

    async def _change(self, thread_id: str, change: Change) -> None:
        try:
            await self._store.change(thread_id, change)
        except ForeignThread as error:
            raise InvalidRequest("conversation_not_found", conversation_id=thread_id) from error
        except ErasedThread:
            self._latest.forget(thread_id)
            log.info("conversation %s was erased while a turn of it ran: the turn is not kept", thread_id)

    async def _keep_latest(self, thread_id: str) -> None:
        latest: dict[str, CheckpointKey] = {}
        for key in checkpoint_keys(await self._store.read(thread_id)):
            known = latest.get(key.namespace, key)
            latest[key.namespace] = max(known, key, key=lambda one: one.checkpoint_id)
        if latest:
            await self._store.change(thread_id, Change(drop=[key.older for key in latest.values()]))

    async def _read(self, config: RunnableConfig) -> StoredThread:
        thread, owner = await self._store.read(_thread_id(config)), _owner(config)
        is_foreign = owner is not None and thread.owner is not None and thread.owner != owner
        return StoredThread(None, {}) if is_foreign else thread

    async def _matching(
        self, config: RunnableConfig | None, before: RunnableConfig | None
    ) -> list[tuple[str, CheckpointKey, StoredThread]]:
        place = {} if config is None else config["configurable"]
        cursor = get_checkpoint_id(before) if before else None
        if config is None:
            threads = [(name, await self._store.read(name)) for name in await self._store.thread_ids()]
        else:
            threads = [(_thread_id(config), await self._read(config))]
        return [
            (thread_id, key, thread)
            for thread_id, thread in threads
            for key in checkpoint_keys(thread)
            if key.namespace == place.get("checkpoint_ns", key.namespace)
            and key.checkpoint_id == (place.get("checkpoint_id") or key.checkpoint_id)
            and (cursor is None or key.checkpoint_id < cursor)
        ]

    def _revive(self, thread_id: str, key: CheckpointKey, thread: StoredThread) -> CheckpointTuple:
        if key.field in thread.fields:
            checkpoint, metadata, parent_id = self._load(thread.fields[key.field])
        else:
            checkpoint, metadata = self._latest.load(thread, key.namespace)
            parent_id = None
        parent = _config(thread_id, CheckpointKey(key.namespace, parent_id)) if parent_id else None
        config = _config(thread_id, key)
        if thread.owner is not None:
            config["configurable"][_BIRTH] = thread.birth
        return CheckpointTuple(config, checkpoint, metadata, parent, self._pending_writes(key, thread))

    def _pending_writes(self, key: CheckpointKey, thread: StoredThread) -> list[tuple[str, str, Any]]:
        found = []
        for field, packed in thread.fields.items():
            if field.startswith(key.write_prefix):
                task, index = field.removeprefix(key.write_prefix).rsplit(NUL, 1)
                channel, value, path = self._load(packed)
                task_id = task.decode()
                found.append((writes_sort_key(path, task_id, int(index)), (task_id, channel, value)))
        return [write for _, write in sorted(found, key=lambda one: one[0])]

    def _dump(self, value: tuple[Any, ...]) -> bytes:
        kind, packed = self.serde.dumps_typed(value)
        if kind != _MSGPACK:
            raise TypeError(f"a checkpoint packs as msgpack, not {kind}")
        return packed

    def _load(self, packed: bytes) -> Any:
        return self.serde.loads_typed((_MSGPACK, packed))


def _config(thread_id: str, key: CheckpointKey) -> RunnableConfig:
    place = {"thread_id": thread_id, "checkpoint_ns": key.namespace, "checkpoint_id": key.checkpoint_id}
    return {"configurable": place}


def _thread_id(config: RunnableConfig) -> str:
    return str(config["configurable"]["thread_id"])


def _owner(config: RunnableConfig) -> str | None:
    owner = config["configurable"].get("owner")
    return None if owner is None else str(owner)


def _birth(config: RunnableConfig) -> str | None:
    birth = config["configurable"].get(_BIRTH)
    return None if birth is None else str(birth)
