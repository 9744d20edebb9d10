"""Memory in SQLite or in any plain Redis, behind one interface: conversations, facts, a cache of market context."""

from copilot.memory.cache import ContextCache
from copilot.memory.opening import open_memory
from copilot.memory.saver import MemorySaver
from copilot.memory.store import Change, Forgotten, StoredThread, ThreadStore
from tools.facts import Fact, FactAdded, Facts, quote_facts

__all__ = [
    "Change",
    "ContextCache",
    "Fact",
    "FactAdded",
    "Facts",
    "Forgotten",
    "MemorySaver",
    "StoredThread",
    "ThreadStore",
    "open_memory",
    "quote_facts",
]
