"""Build the messages of every call so that the server can reuse what it has already read.

The order is: one system message that never changes, the history as it was said, and last the person's words followed by
everything that changes from turn to turn (the situation, tool results, the task). A decision and the wording of its
results begin alike down to the person's words, and so does the next turn. A prompt that would not fit is not sent.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage

from copilot.brain.budget import Budget, newest_that_fit, prompt_tokens, shortened, tokens
from copilot.brain.values import Heard
from copilot.offline.values import Language, Turn
from engine.domain.errors import ModelUnavailable
from prompts import Prompt, load_prompt

Task = Literal["decide", "call", "analysis", "explanation", "strategy", "report", "conversation"]
_SYSTEM = ("system", "routing")
_HASH_DIGITS = 12
_SUMMARY = {
    "en": "Earlier in this conversation, to read only: {}",
    "es": "Antes en esta conversación, solo para leer: {}",
}
_NOTED = {"en": "Noted.", "es": "Anotado."}


@dataclass(frozen=True, slots=True)
class Prompted:
    """The messages of one call, and the hash of the prompt files behind them."""

    messages: tuple[BaseMessage, ...]
    digest: str


class Prompter:
    """Builds prompts in one language for one context size."""

    def __init__(self, language: Language, *, context_tokens: int, reply_tokens: int) -> None:
        self._language: Language = language
        self._system = [load_prompt(language, name) for name in _SYSTEM]
        self.system_text = "\n".join(prompt.text for prompt in self._system)
        self.budget = Budget(context_tokens, reply_tokens, prompt_tokens([self.system_text]))

    def build(
        self, task: Task, heard: Heard, situation: str, *, results: str = "", language: Language | None = None
    ) -> Prompted:
        """Return the messages of a call.

        Args:
            task: Which prompt ends the last message.
            heard: What the person said, with history and summary.
            situation: Clock, market and account, as text.
            results: Tool results as text, for the tasks that word them.
            language: Language of the last message; the system message keeps its own.

        Raises:
            ModelUnavailable: It does not fit into the context.
        """
        prompt = load_prompt(language or self._language, task)
        last = prompt.fill(question=heard.text, context=situation, results=results)
        room = self.budget.conversation - prompt_tokens([last])
        past = self._past(heard, min(room, self.budget.history))
        if room < 0:
            raise ModelUnavailable("prompt_too_long", f"{-room} tokens more than the context of {self.budget.context}")
        return self._prompted([*past, HumanMessage(last)], prompt)

    def summary(self, history: Sequence[Turn], language: Language) -> Prompted:
        """Return the messages of the call that condenses older lines."""
        prompt = load_prompt(language, "summary")
        told = "\n".join(f"{'-' if turn.role == 'user' else '>'} {shortened(turn)}" for turn in history)
        last = prompt.fill(conversation=told[: self.budget.conversation])
        return self._prompted([HumanMessage(last)], prompt)

    def keep_from(self, history: Sequence[Turn]) -> int:
        """Return the line from which on the history stays: 0 while it fits, else where half of its budget is full.

        Cutting to half makes cuts rare, and between two cuts the prompt only grows at its end.
        """
        used = prompt_tokens(shortened(turn) for turn in history)
        return 0 if used <= self.budget.history else newest_that_fit(history, self.budget.history // 2)

    def _past(self, heard: Heard, room: int) -> list[BaseMessage]:
        past: list[BaseMessage] = []
        if heard.summary:
            told = _SUMMARY[self._language].format(heard.summary)
            past = [HumanMessage(told), AIMessage(_NOTED[self._language])]
            room -= tokens(told)
        start = newest_that_fit(heard.history, max(room, 0))
        for turn in heard.history[start:]:
            text = shortened(turn)
            past.append(HumanMessage(text) if turn.role == "user" else AIMessage(text))
        return past

    def _prompted(self, messages: Sequence[BaseMessage], prompt: Prompt) -> Prompted:
        digest = hashlib.sha256("".join(p.sha256 for p in [*self._system, prompt]).encode()).hexdigest()
        return Prompted((SystemMessage(self.system_text), *messages), digest[:_HASH_DIGITS])
