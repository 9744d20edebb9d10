"""Facts are kept as said, once, up to a bound, for their owner alone, by every program on the store."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from copilot.memory import Fact, FactAdded, MemorySaver, open_memory
from engine.domain.errors import InvalidRequest
from tools.facts import MAX_FACTS

AT = datetime(2026, 11, 25, 8, 30, 1, 250_000, UTC)
LATER = AT + timedelta(days=1)


async def test_a_fact_comes_back_as_it_was_said(memory: MemorySaver, memory_url: str) -> None:
    added = await memory.facts.add("ana", "nunca opero los viernes: «jamás» €", AT)
    assert added == FactAdded(Fact(1, "nunca opero los viernes: «jamás» €", AT), is_new=True)
    async with open_memory(memory_url) as again:
        assert await again.facts.list("ana") == (added.fact,)


async def test_the_same_said_twice_is_one_fact(memory: MemorySaver) -> None:
    first = await memory.facts.add("ana", "I hate leverage", AT)
    again = await memory.facts.add("ana", "i hate  LEVERAGE.", LATER)
    assert again == FactAdded(first.fact, is_new=False)
    assert await memory.facts.list("ana") == (first.fact,)


async def test_facts_are_their_owners_alone(memory: MemorySaver) -> None:
    await memory.facts.add("ana", "I hate leverage", AT)
    await memory.facts.add("ana:x", "I love leverage", AT)
    assert await memory.facts.list("eve") == ()
    assert await memory.facts.remove("eve", 1) is None
    assert [fact.text for fact in await memory.facts.list("ana")] == ["I hate leverage"]
    assert [fact.text for fact in await memory.facts.list("ana:x")] == ["I love leverage"]


async def test_a_removed_number_is_not_given_again(memory: MemorySaver) -> None:
    for text in ("one", "two"):
        await memory.facts.add("ana", text, AT)
    removed = await memory.facts.remove("ana", 2)
    assert removed == Fact(2, "two", AT)
    assert await memory.facts.remove("ana", 2) is None
    assert (await memory.facts.add("ana", "two", LATER)).fact == Fact(3, "two", LATER)
    assert [fact.number for fact in await memory.facts.list("ana")] == [1, 3]


async def test_the_oldest_goes_with_a_word(memory: MemorySaver) -> None:
    for n in range(MAX_FACTS):
        assert (await memory.facts.add("ana", f"fact {n}", AT)).dropped is None
    assert (await memory.facts.add("ana", "one more", AT)).dropped == Fact(1, "fact 0", AT)
    assert (await memory.facts.add("ana", "fact 0", AT)).dropped == Fact(2, "fact 1", AT)
    numbers = [fact.number for fact in await memory.facts.list("ana")]
    assert numbers == list(range(3, MAX_FACTS + 3))


@pytest.mark.parametrize("text", ["", "x" * 301])
async def test_what_is_no_fact_is_refused(memory: MemorySaver, text: str) -> None:
    with pytest.raises(InvalidRequest):
        await memory.facts.add("ana", text, AT)
    assert await memory.facts.list("ana") == ()


async def test_programs_that_add_at_once_lose_nothing(memory_url: str) -> None:
    async with open_memory(memory_url) as one, open_memory(memory_url) as other:
        texts = [f"fact {n % 30}" for n in range(60)]
        await asyncio.gather(*((one, other)[n % 2].facts.add("ana", text, AT) for n, text in enumerate(texts)))
        facts = await one.facts.list("ana")
    assert sorted(fact.text for fact in facts) == sorted(set(texts))
    assert [fact.number for fact in facts] == list(range(1, 31))
