"""A language model with the offline one beside it: the model proposes and words, deterministic code decides.

Nothing here lets a model reach further than the referee and the checker allow, and nothing here lets it keep a person
waiting: whatever fails, the offline model's answer stands, marked with what happened.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Literal

from copilot.brain.access import Breaker, Line
from copilot.brain.checking import Caught, CheckedStream, facts_from
from copilot.brain.prompter import Prompted, Prompter, Task
from copilot.brain.proposal import Proposal, read_decision, read_tool_calls
from copilot.brain.referee import SETTLED_TALK, settle
from copilot.brain.schema import decision_schema, decision_tools
from copilot.brain.values import OFFLINE, Heard, Plan, Spoken, Tell, Voice, Withdrawn, Words
from copilot.chat_models.local import Abilities, LocalModel
from copilot.events import Waiting
from copilot.offline.combined import decide
from copilot.offline.evidence import evidence
from copilot.offline.values import Decision, Language, Turn
from copilot.wording import render_answer, render_question, render_talk
from engine.domain.errors import ModelUnavailable
from tools.results import AlertList, ChartResult, PortfolioResult, SignalResult, ToolResult

log = logging.getLogger(__name__)

Mode = Literal["auto", "format", "tools"]
Read = Callable[[str, Sequence[Turn], Language], Decision]
"""Reads a message without a model: text, history and the language to fall back on."""
Situation = Callable[[str, Language], Awaitable[str]]
"""Tells the clock, the market and the owner's account as text; never raises."""

FREE_TALK = frozenset({"smalltalk", "question", "cannot"})
"""Talk that a model may answer in its own words; everything else is worded by people."""
_GOOD_CALLERS = ("qwen2", "qwen3", "qwen35", "qwen3moe", "mistral-nemo", "gptoss", "gpt-oss", "granite", "granitemoe")
"""Families whose template keeps its tools in a stable place and calls nothing when nothing is asked for."""
_READINGS = (SignalResult, ChartResult)
_TABLES = (PortfolioResult, AlertList)
"""Results whose table stands below the model's words."""
_RECENT_LINES = 12
"""Lines of the conversation in which a claimed slot may have been named by the person."""
_LONGEST_SUMMARY = 900
_WISHES, _LONGEST_WISH = 6, 100


class ModelBrain:
    """Decides and words with a language model, within what the offline model and the checks allow."""

    def __init__(
        self,
        model: LocalModel,
        prompter: Prompter,
        situation: Situation,
        breaker: Breaker,
        line: Line,
        *,
        read: Read = decide,
        mode: Mode = "auto",
        asks_when_certain: bool = False,
        is_optional: bool = False,
        agents: Sequence[str] = (),
    ) -> None:
        """Wire the brain.

        Args:
            model: The language model.
            prompter: Builds the prompts.
            situation: What changes from turn to turn.
            breaker: Keeps turns away from a model that fails.
            line: Keeps turns from asking all at once.
            read: The deterministic parser beside the model; it knows the owner's own agents too.
            mode: Constrained decisions, native tool calls, or what suits the model.
            asks_when_certain: Whether the model is asked even when the parser understood every word.
            is_optional: Whether nobody asked for this model: then a server that is not there is no trouble.
            agents: The owner's own agents, beside the three of the program.
        """
        self._model = model
        self._prompter = prompter
        self._situation = situation
        self._breaker = breaker
        self._line = line
        self._read = read
        self._own_agents = tuple(agents)
        self._mode: Mode = mode
        self._asks_when_certain = asks_when_certain
        self._is_optional = is_optional
        self._abilities: Abilities | None = None
        self._lost_tools = False
        self._is_there = False

    @property
    def name(self) -> str:
        """Return the name of the chat model in use."""
        return self._model.name

    @property
    def speaker(self) -> str:
        """Return the model's name once it has been there and as long as it does not fail."""
        return self.name if self._is_there and self._breaker.trouble is None else OFFLINE

    async def plan(self, heard: Heard, tell: Tell) -> Plan:
        """Return what a message calls for."""
        own = self._read(heard.text, heard.history, heard.fallback)
        if own.talk in SETTLED_TALK or (own.is_certain and not self._asks_when_certain):
            return self._plan(own, heard, Voice())
        try:
            proposal, digest = await self._propose(heard, own.language, tell)
        except ModelUnavailable as error:
            return self._plan(own, heard, Voice(trouble=self._trouble(error)))
        said = evidence([*_own_lines(heard.history), heard.text], self._own_agents)
        settled = settle(own, proposal, said)
        return self._plan(settled, heard, Voice(self.name, prompt=digest))

    async def word(
        self, heard: Heard, results: Sequence[ToolResult], language: Language, tell: Tell
    ) -> AsyncIterator[Spoken]:
        """Put tool results into words: the model's where it may word them and its words pass, else the plain ones."""
        plain = render_answer(results, language)
        task = _task(results)
        if task is None:
            yield Words(plain)
            yield Voice()
            return
        async with aclosing(self._checked(task, heard, results, language, plain, tell)) as words:
            async for spoken in words:
                yield spoken

    async def talk(self, heard: Heard, code: str, language: Language, tell: Tell) -> AsyncIterator[Spoken]:
        """Answer a message that calls for no tool."""
        plain = render_talk(code, language)
        async with aclosing(self._checked("conversation", heard, (), language, plain, tell)) as words:
            async for spoken in words:
                yield spoken

    async def condense(self, heard: Heard) -> tuple[tuple[Turn, ...], str]:
        """Shorten a history that has outgrown its budget to half of it, with a summary of what goes."""
        start = self._prompter.keep_from(heard.history)
        if start == 0:
            return heard.history, heard.summary
        language = heard.chosen or heard.fallback
        older = (Turn("assistant", heard.summary), *heard.history[:start]) if heard.summary else heard.history[:start]
        try:
            summary = await self._summarise(older, language)
        except ModelUnavailable:
            summary = _extract(older)
        return heard.history[start:], summary

    async def warm_up(self) -> None:
        """Have the server load the model."""
        self._is_there = await self._model.preload() or self._is_there

    async def close(self) -> None:
        """Close the connections to the server."""
        await self._model.server.close()

    def _plan(self, decision: Decision, heard: Heard, voice: Voice) -> Plan:
        spoken = heard.chosen or decision.language
        if decision.calls:
            return Plan(decision.calls, "", False, None, spoken, voice)
        if decision.question is not None:
            asked = render_question(decision.question, spoken, self._own_agents)
            return Plan((), asked, True, None, spoken, voice)
        code = decision.talk or "help"
        is_free = code in FREE_TALK or (code == "help" and not decision.is_certain)
        return Plan((), render_talk(code, spoken), False, code if is_free else None, spoken, voice)

    async def _propose(self, heard: Heard, language: Language, tell: Tell) -> tuple[Proposal, str]:
        """Return the model's decision; one that its server cannot give in this form is asked for in another."""
        while True:
            try:
                return await self._proposal(heard, language, tell)
            except ModelUnavailable as error:
                if error.code == "no_tools" and not self._lost_tools:
                    self._lost_tools = True
                elif error.code != "refused" or not self._model.server.weaken():
                    raise

    async def _proposal(self, heard: Heard, language: Language, tell: Tell) -> tuple[Proposal, str]:
        async with self._access(tell):
            uses_tools = self._uses_tools(await self._examined())
            prompted = await self._prompt("call" if uses_tools else "decide", heard, language)
            if uses_tools:
                reply = await self._model.ask(prompted.messages, tools=list(decision_tools(self._own_agents)))
                if not reply.message.tool_calls and not str(reply.message.text).strip():
                    raise ModelUnavailable("empty")
                return read_tool_calls([dict(call) for call in reply.message.tool_calls]), prompted.digest
            reply = await self._model.ask(
                prompted.messages, **self._model.server.constrained(decision_schema(self._own_agents))
            )
            text = str(reply.message.text)
            if not text.strip():
                raise ModelUnavailable("empty")
            return read_decision(text), prompted.digest

    async def _checked(
        self, task: Task, heard: Heard, results: Sequence[ToolResult], language: Language, plain: str, tell: Tell
    ) -> AsyncGenerator[Spoken, None]:
        """Yield the model's words as far as they pass; when they don't, withdraw them and yield the plain ones."""
        has_spoken = False
        try:
            async with aclosing(self._model_words(task, heard, results, language, plain, tell)) as words:
                async for spoken in words:
                    has_spoken = True
                    yield spoken
            return
        except Caught as caught:
            log.warning("words of %s did not pass (%s): the plain answer stands", self.name, caught.reason_code)
            trouble: str | None = "words_caught"
        except ModelUnavailable as error:
            trouble = self._trouble(error)
        if has_spoken:
            yield Withdrawn()
        yield Words(plain)
        yield Voice(trouble=trouble)

    async def _model_words(
        self, task: Task, heard: Heard, results: Sequence[ToolResult], language: Language, plain: str, tell: Tell
    ) -> AsyncGenerator[Spoken, None]:
        """Yield the model's words, checked piece by piece; its material is the plain answer, whose figures are told."""
        stream = self._checker(results, heard, language, plain)
        async with self._access(tell):
            await self._examined()
            prompted = await self._prompt(task, heard, language, plain if results else "")
            async with aclosing(self._model.stream(prompted.messages)) as pieces:
                async for piece in pieces:
                    if text := stream.feed(piece):
                        yield Words(text)
        yield Words(stream.finish())
        if any(isinstance(result, _TABLES) for result in results):
            yield Words(f"\n\n{plain}")
        yield Voice(self.name, prompt=prompted.digest)

    async def _summarise(self, older: Sequence[Turn], language: Language) -> str:
        async with self._access(lambda event: None):
            prompted = self._prompter.summary(older, language)
            reply = await self._model.ask(prompted.messages)
        text = " ".join(str(reply.message.text).encode("utf-8", "ignore").decode().split())
        if not text:
            raise ModelUnavailable("empty")
        return text[:_LONGEST_SUMMARY]

    @asynccontextmanager
    async def _access(self, tell: Tell) -> AsyncIterator[None]:
        """Hold the model for one call, and keep account of how it went."""
        self._see_that_it_answers()
        async with self._line.place(lambda ahead: tell(Waiting(ahead))):
            self._see_that_it_answers()
            try:
                yield
            except ModelUnavailable as error:
                self._fail(error)
                raise
            self._breaker.succeeded()
            self._is_there = True

    def _see_that_it_answers(self) -> None:
        if (code := self._breaker.trouble) is not None:
            raise ModelUnavailable(code, "not asked again so soon")

    def _fail(self, error: ModelUnavailable) -> None:
        if error.code in ("prompt_too_long", "no_tools"):
            return
        log.log(logging.DEBUG if self._is_quiet(error.code) else logging.WARNING, "%s: %s", self.name, error)
        self._breaker.failed(error.code)
        self._abilities = None

    async def _examined(self) -> Abilities:
        """Return what the model can do; a server that does not tell may still answer."""
        if self._abilities is None:
            try:
                self._abilities = await self._model.examine()
            except ModelUnavailable as error:
                if error.code == "unreachable":
                    raise
                self._abilities = Abilities()
        return self._abilities

    def _uses_tools(self, abilities: Abilities) -> bool:
        if self._mode == "format" or self._lost_tools or abilities.has_tools is False:
            return False
        is_good = abilities.has_tools is True and any(family in _GOOD_CALLERS for family in abilities.families)
        return self._mode == "tools" or is_good

    async def _prompt(self, task: Task, heard: Heard, language: Language, results: str = "") -> Prompted:
        situation = await self._situation(heard.owner, language)
        return self._prompter.build(task, heard, situation, results=results, language=language)

    def _checker(self, results: Sequence[ToolResult], heard: Heard, language: Language, plain: str) -> CheckedStream:
        said = [*_own_lines(heard.history), heard.text]
        facts = facts_from(results, said, language, texts=() if results else (plain,))
        return CheckedStream(facts, language, prompt=self._prompter.system_text)

    def _trouble(self, error: ModelUnavailable) -> str | None:
        return None if self._is_quiet(error.code) else error.code

    def _is_quiet(self, code: str) -> bool:
        return self._is_optional and code in ("unreachable", "model_missing")


def _own_lines(history: Sequence[Turn]) -> list[str]:
    return [turn.text for turn in history[-_RECENT_LINES:] if turn.role == "user"]


def _task(results: Sequence[ToolResult]) -> Task | None:
    """Return the prompt that words some results, or None when only plain words may tell them.

    What was changed, refused or is waiting for a decision is always told plainly.
    """
    if not results or not all(isinstance(result, (*_READINGS, *_TABLES)) for result in results):
        return None
    return "analysis" if any(isinstance(result, _READINGS) for result in results) else "report"


def _extract(older: Sequence[Turn]) -> str:
    """Return what a summary must not lose, without a model: the instruments spoken of and the latest wishes."""
    own = [turn.text for turn in older if turn.role == "user"]
    told = [" ".join(text.split())[:_LONGEST_WISH] for text in own[-_WISHES:]]
    return " · ".join([", ".join(sorted(evidence(own).symbols)), *told]).strip(" ·")
