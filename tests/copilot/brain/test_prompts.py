"""Prompts: byte-stable at the front, within the context, and shortened in rare big steps."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from copilot.brain.budget import newest_that_fit, prompt_tokens, tokens
from copilot.brain.prompter import Prompter
from copilot.brain.values import Heard
from copilot.offline.values import Turn
from engine.domain.errors import ModelUnavailable
from tests.copilot.brain.rig import VAGUE, brain_of, copilot_around, decision, plan
from tests.copilot.talk import answer, say
from tests.servers.asked import Asked
from tests.servers.ollama import FakeOllama
from tests.servers.replies import Fault, FaultKind, Reply, always
from tests.tools.world import World, open_fast

lines = st.builds(Turn, st.sampled_from(["user", "assistant"]), st.text(max_size=400))


@given(st.text(max_size=300))
def test_a_text_costs_at_least_a_token_for_every_nine_letters_and_at_most_its_bytes(text: str) -> None:
    assert tokens(text) >= len(text.replace(" ", "")) // 9
    assert tokens(text) <= len(text.encode("utf-8", "surrogatepass"))


@given(st.lists(lines, max_size=40), st.text(max_size=500), st.text(max_size=300))
def test_no_prompt_is_longer_than_the_context(history: list[Turn], text: str, summary: str) -> None:
    prompter = Prompter("en", context_tokens=4096 + 2048, reply_tokens=256)
    heard = Heard(text, tuple(history), summary)
    try:
        prompted = prompter.build("analysis", heard, "situation", results="figures " * 20)
    except ModelUnavailable:
        return
    used = prompt_tokens(str(message.text) for message in prompted.messages)
    assert used + 256 <= prompter.budget.context


@given(st.lists(lines, max_size=60))
def test_history_is_cut_at_a_persons_line_and_to_half(history: list[Turn]) -> None:
    prompter = Prompter("es", context_tokens=4096 + 1024, reply_tokens=128)
    start = prompter.keep_from(history)
    kept = history[start:]
    if start:
        assert prompt_tokens(turn.text[:702] for turn in kept) <= prompter.budget.history // 2 + 8 * len(kept)
        assert not kept or kept[0].role == "user"
    assert newest_that_fit(history, 10**9) <= len(history)


def routing(asked: Asked) -> Reply:
    """Answer decisions with talk, and everything else in words."""
    return decision({"intent": "conversation"}) if "TASK: DECIDE" in asked.last else "Good to hear from you."


async def test_first_part_of_the_prompt_is_the_same_from_turn_to_turn(tmp_path: Path) -> None:
    database = open_fast(tmp_path / "copilot.db")
    world = World(database)
    await world.desk.start()
    with FakeOllama(routing) as fake:
        copilot = copilot_around(brain_of(fake), world)
        for text in (VAGUE, f"{VAGUE} Please.", f"{VAGUE} Go on."):
            assert answer(await say(copilot, text))
        asked = list(fake.log)
    database.dispose()
    assert len(asked) >= 4
    for before, after in pairwise(asked):
        assert after.options == before.options
        assert after.system == before.system
        assert after.messages[: len(before.messages) - 1] == before.messages[:-1]
        if len(after.messages) > len(before.messages):
            said = after.messages[len(before.messages) - 1]["content"]
            assert before.last.startswith(said)
    assert min(each.reuse_ratio for each in asked[1:]) > 0.75


async def test_long_conversation_is_condensed_rarely_and_goes_on(tmp_path: Path) -> None:
    database = open_fast(tmp_path / "copilot.db")
    world = World(database)
    await world.desk.start()
    with FakeOllama(always("They like gold and dislike leverage.")) as fake:
        copilot = copilot_around(brain_of(fake, always_asked=False), world)
        for n in range(30):
            assert answer(await say(copilot, f"{VAGUE} " + "and so on " * 40 + str(n)))
        summaries = [asked for asked in fake.log if "TASK: SUMMARISE" in asked.last]
        told = [asked for asked in fake.log if any("dislike leverage" in m["content"] for m in asked.messages)]
        assert not any(asked.dropped or asked.cut_tokens for asked in fake.log)
    database.dispose()
    assert 1 <= len(summaries) <= 6
    assert told


async def test_prompt_that_the_server_cut_in_silence_is_noticed() -> None:
    with FakeOllama(always(Fault(FaultKind.TRUNCATED, decision({"intent": "conversation"})))) as fake:
        planned = await plan(brain_of(fake), VAGUE)
    assert planned.voice.trouble == "prompt_cut"
