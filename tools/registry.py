"""The registry: every tool as a plain record, and the one place that validates arguments and runs it.

A tool only reads, or acts at once because it lowers risk or is harmless, or proposes a ticket. Nothing in here can
approve a ticket: approval is a surface's call on the ticket store, out of reach of text.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import ValidationError

from engine.domain.errors import DataUnavailable, InvalidRequest, VenueUnavailable
from tools.results import ToolResult, Unavailable
from tools.schema import ARGUMENTS, ToolArguments

Language = Literal["en", "es"]
ToolKind = Literal["read", "act", "propose"]


@dataclass(frozen=True, slots=True)
class ToolContext:
    """On whose behalf a tool runs, and where."""

    owner: str
    conversation_id: str
    language: Language


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
    """All tools by name; asking for any other is an error."""

    def __init__(self, tools: Iterable[Tool]) -> None:
        self._tools = {tool.name: tool for tool in tools}

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
        try:
            return await tool.function(checked, context)
        except DataUnavailable as error:
            return Unavailable(tool=name, code=error.code, params=error.params)
        except VenueUnavailable as error:
            return Unavailable(tool=name, code="venue_unavailable", params={"detail": str(error)})
