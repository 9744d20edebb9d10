"""Conversation memory: LangGraph checkpoints in SQLite or in any plain Redis, behind one interface."""

from copilot.memory.opening import open_memory
from copilot.memory.saver import MemorySaver
from copilot.memory.store import Change, StoredThread, ThreadStore

__all__ = ["Change", "MemorySaver", "StoredThread", "ThreadStore", "open_memory"]
