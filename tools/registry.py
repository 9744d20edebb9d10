"""The registry: every tool as a plain record, and the one place that validates arguments and runs it.

A tool only reads, or acts at once because it lowers risk or is harmless, or proposes a ticket. Nothing in here can
approve a ticket: approval is a surface's call on the ticket store, out of reach of text.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import ValidationError

from engine.domain.errors import DataUnavailable, InvalidRequest, VenueUnavailable
from tools.results import ToolResult, Unavailable
from tools.schema import AGENTS, ARGUMENTS, ToolArguments, name_choices

Language = Literal["en", "es"]
ToolKind = Literal["read", "act", "propose"]


def _untold(_done: float) -> None:
    pass


@dataclass(frozen=True, slots=True)
class ToolContext:
    """On whose behalf a tool runs, and where.

    Attributes:
        progress: Told by a tool that takes long how far it is (0-1); it may be called from any thread.
    """

    owner: str
    conversation_id: str
    language: Language
    progress: Callable[[float], None] = field(default=_untold, compare=False, repr=False)


ToolFunction = Callable[[Any, ToolContext], Awaitable[ToolResult]]


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool: name, kind, and the function behind it; its types are `ARGUMENTS[name]` and `ToolResult`."""

    name: str
    kind: ToolKind
    function: ToolFunction

    @property
    def arguments(self) -> type[ToolArguments]:
        """Return the pydantic type of the arguments."""
        return ARGUMENTS[self.name]

    @property
    def description(self) -> str:
        """Return what a chat model is told about the tool."""
        return (self.arguments.__doc__ or "").strip()

    def schema(self) -> dict[str, Any]:
        """Return the tool as a chat model sees it: name, description and the JSON schema of its arguments."""
        return {"name": self.name, "description": self.description, "parameters": self.arguments.model_json_schema()}


class Toolbox:
    """All tools by name; asking for any other is an error.

    Args:
        tools: The tools.
        agents: The agents that there are; asking for any other is an error that names them.
    """

    def __init__(self, tools: Iterable[Tool], agents: Sequence[str] = AGENTS) -> None:
        self._tools = {tool.name: tool for tool in tools}
        self._agents = tuple(agents)

    def __contains__(self, name: object) -> bool:
        return name in self._tools

    def __iter__(self) -> Iterator[Tool]:
        return iter(self._tools.values())

    def kind(self, name: str) -> ToolKind:
        """Return what a tool may do."""
        return self._tools[name].kind

    async def run(self, name: str, arguments: Mapping[str, Any], context: ToolContext) -> ToolResult:
        """Validate the arguments and run a tool; missing data is a result that says so.

        Raises:
            InvalidRequest: The tool is unknown, or an argument is wrong; correct it and ask again.
        """
        if name not in self._tools:
            raise InvalidRequest("unknown_tool", tool=name)
        tool = self._tools[name]
        try:
            checked = tool.arguments.model_validate(dict(arguments))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise InvalidRequest("bad_argument", argument=str(first["loc"][0]), value=first["input"]) from error
        self._check_names(tool.name, checked)
        try:
            return await tool.function(checked, context)
        except DataUnavailable as error:
            return Unavailable(tool=name, code=error.code, params=error.params)
        except VenueUnavailable as error:
            return Unavailable(tool=name, code="venue_unavailable", params={"detail": str(error)})

    def _check_names(self, tool: str, checked: ToolArguments) -> None:
        for argument, value in checked:
            choices = name_choices(tool, argument, self._agents)
            if choices and value is not None and value not in choices:
                code = "target_unknown" if argument == "target" else "agent_unknown"
                known = choices if argument == "target" else self._agents
                raise InvalidRequest(code, agent=value, known=", ".join(known))
