"""One turn on the screen: tools' steps, the streamed answer, and the charts and cards under it.

A turn is never cut: Stop only mutes it, because the core may be writing to its database.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import chainlit

from copilot.events import (
    AnswerToken,
    AnswerWithdrawn,
    Event,
    Language,
    TicketClosed,
    TicketOpened,
    ToolFinished,
    ToolProgressed,
    ToolStarted,
    TurnEnded,
    Waiting,
)
from copilot.web.agent_cards import agent_props
from copilot.web.alert_card import alert_props
from copilot.web.drawings import Chart, Drawing
from copilot.wording import format_percent, render_voice, render_waiting
from engine.domain.signals import Signal
from prompts import load_words
from tools.agent_results import AgentStatusResult, TradeExplained
from tools.decisions import Asked
from tools.results import AlertSet, BacktestResult, ChartData, ChartResult, Result, SignalResult

_DIRECTIVE = re.compile(r":(?=[A-Za-z])")
_JOINER = "\u2060"
_STEP_EXCLUDES = {"chart": True, "curve": True, "nonce": True, "terms_hash": True, "proposal": True}


@dataclass(slots=True)
class Speaking:
    """What turns of one browser share: the language spoken, and the last signal of each symbol."""

    language: Language
    signals: dict[str, Signal] = field(default_factory=dict)


class Turn:
    """What one turn shows."""

    def __init__(self, speaking: Speaking) -> None:
        self.speaking = speaking
        self.is_muted = False
        self.closed: dict[int, Asked] = {}
        self._answer: chainlit.Message | None = None
        self._said = ""
        self._is_withdrawn = False
        self._waiting: chainlit.Step | None = None
        self._steps: dict[str, tuple[str, chainlit.Step]] = {}
        self._pictures: list[ChartData | BacktestResult] = []
        self.alerts: dict[str, chainlit.CustomElement] = {}
        self._results: list[AgentStatusResult | AlertSet] = []
        run = chainlit.context.current_step
        self._parent_id = None if run is None else run.id

    async def show(self, event: Event) -> None:
        """Show one event; after Stop only what ends a ticket is still taken in."""
        match event:
            case TicketClosed():
                self.closed[event.ticket.ticket_id] = event.ticket
            case TicketOpened():
                pass
            case TurnEnded():
                await self._adopt(event.language)
                await self._sign(event)
            case _ if self.is_muted:
                pass
            case AnswerToken():
                await self._stream(event.text)
            case AnswerWithdrawn():
                self._said, self._is_withdrawn = self._said[: event.kept], True
            case Waiting():
                await self._tell_waiting(event.ahead)
            case ToolStarted() | ToolProgressed() | ToolFinished():
                await self._show_step(event)

    async def end(self) -> None:
        """Close what is open and put the charts under the answer."""
        await self._stop_waiting()
        for _, step in self._steps.values():
            if step.end is None:
                step.end = _utc_now()
                await step.update()
        if self.is_muted:
            if self._answer is not None:
                await self._answer.update()
            return
        elements: list[Any] = [*map(self._plot, self._pictures), *map(self._card, self._results)]
        if self._answer is None and elements:
            self._answer = chainlit.Message("")
        if self._answer is not None:
            self._answer.elements = elements
            await self._answer.send()

    async def _stream(self, text: str) -> None:
        if self._answer is None:
            self._answer = chainlit.Message("")
        await self._stop_waiting()
        self._said += text
        if self._is_withdrawn:
            self._is_withdrawn = False
            await self._answer.stream_token(plain_colons(self._said), is_sequence=True)
            return
        await self._answer.stream_token(plain_colons(text, after=self._answer.content))

    async def _tell_waiting(self, ahead: int) -> None:
        told = render_waiting(ahead, self.speaking.language)
        if self._waiting is None:
            self._waiting = chainlit.Step(name=told, type="tool", parent_id=self._parent_id)
            await self._waiting.send()
        else:
            self._waiting.name = told
            await self._waiting.update()

    async def _stop_waiting(self) -> None:
        """Take the word about the line away: its turn has come."""
        if self._waiting is not None:
            waiting, self._waiting = self._waiting, None
            await waiting.remove()

    async def _sign(self, event: TurnEnded) -> None:
        """Say whose words these are, where it was not the offline model as usual."""
        signed = render_voice(event.brain, event.trouble, event.language)
        if signed and self._answer is not None and not self.is_muted:
            await self._answer.stream_token(plain_colons(f"\n\n*{signed}*"))

    async def _show_step(self, event: ToolStarted | ToolProgressed | ToolFinished) -> None:
        match event:
            case ToolStarted():
                await self._start_step(event)
            case ToolProgressed():
                await self._move_step(event)
            case ToolFinished():
                await self._end_step(event)

    async def _start_step(self, event: ToolStarted) -> None:
        step = chainlit.Step(
            name=self._tool_name(event.tool),
            type="tool",
            show_input="json",
            parent_id=self._parent_id,
            metadata={"tool": event.tool},
        )
        step.input = {name: str(value) for name, value in event.arguments.items()}
        step.start = _utc_now()
        self._steps[event.call_id] = (event.tool, step)
        await step.send()

    async def _move_step(self, event: ToolProgressed) -> None:
        """Say in a step's name how far it is."""
        if event.call_id in self._steps:
            tool, step = self._steps[event.call_id]
            step.name = f"{self._tool_name(tool)} · {format_percent(100 * event.done, self.speaking.language, 0)}"
            await step.update()

    async def _end_step(self, event: ToolFinished) -> None:
        self._remember(event.result)
        _, step = self._steps.get(event.call_id, (event.tool, None))
        if step is not None:
            step.name = self._tool_name(event.tool)
            step.output = event.result.model_dump(mode="json", exclude=_STEP_EXCLUDES)
            step.end = _utc_now()
            await step.update()

    def _remember(self, result: Result) -> None:
        match result:
            case ChartResult():
                self._pictures.append(result.chart)
            case SignalResult():
                self.speaking.signals[result.signal.symbol] = result.signal
                if result.chart is not None:
                    self._pictures.append(result.chart)
            case BacktestResult() if result.trades:
                self._pictures.append(result)
            case TradeExplained() if result.chart is not None:
                self._pictures.append(result.chart)
            case AgentStatusResult() | AlertSet():
                self._results.append(result)

    def _card(self, result: AgentStatusResult | AlertSet) -> chainlit.CustomElement:
        """Return a result as a card, in the language that the turn turned out to be in."""
        language = self.speaking.language
        if isinstance(result, AgentStatusResult):
            return custom_element("AgentCards", agent_props(result, language))
        alert = result.alert
        self.alerts[alert.alert_id] = custom_element("AlertCard", alert_props(alert, language))
        return self.alerts[alert.alert_id]

    def _plot(self, picture: ChartData | BacktestResult) -> Chart:
        signal = None
        if isinstance(picture, ChartData):
            signal = self.speaking.signals.get(picture.symbol)
            if signal is not None and picture.time and picture.time[-1] > signal.valid_until.timestamp():
                signal = None
        return Chart.of(Drawing(picture=picture, signal=signal, language=self.speaking.language))

    async def _adopt(self, language: Language) -> None:
        """Speak the language that the turn turned out to be in; steps began before it was known."""
        if language == self.speaking.language:
            return
        self.speaking.language = language
        for tool, step in self._steps.values():
            step.name = self._tool_name(tool)
            await step.update()

    def _tool_name(self, tool: str) -> str:
        names = load_words(self.speaking.language, "web")["tools"]
        return str(names.get(tool, tool))


def custom_element(name: str, props: dict[str, Any]) -> chainlit.CustomElement:
    """Return an element that the browser draws from properties alone."""
    return chainlit.CustomElement(name=name, props=props, display="inline")


def plain_colons(text: str, after: str = "") -> str:
    """Return Markdown in which no colon begins a directive: Chainlit would leave `:risk` of `reward:risk` out.

    An invisible joiner stands behind the colon, so that nothing shows, whatever the next piece of a stream begins with.
    """
    joiner = _JOINER if after.endswith(":") and text[:1].isalpha() else ""
    return joiner + _DIRECTIVE.sub(f":{_JOINER}", text)


def _utc_now() -> str:
    from chainlit.utils import utc_now

    return str(utc_now())
