"""Chainlit's data layer over our database: what a page showed is kept, and shown again.

Of a ticket's card its nonce is left out, of a chart its picture; messages and tools' work are kept as shown. Writes
wait for each other in the order in which the page made them, because a step's beginning and its end are told apart by
nothing else. A write that fails costs a line in the log and never the turn.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import chainlit
from chainlit.config import config
from chainlit.context import context
from chainlit.data.base import BaseDataLayer
from chainlit.data.utils import queue_until_user_message
from chainlit.element import Element as ShownElement
from chainlit.element import ElementDict
from chainlit.step import StepDict
from chainlit.types import Feedback, PageInfo, PaginatedResponse, Pagination, ThreadDict, ThreadFilter
from chainlit.user import PersistedUser, User

from copilot.web.card import without_nonce
from copilot.web.drawings import Chart
from copilot.web.threads import Body, Element, Step, Thread, Threads

log = logging.getLogger(__name__)

Forget = Callable[[str, str], Awaitable[None]]
"""Told the owner and the thread of a conversation that was deleted."""
CHART_PATH = "/chart/"
_MESSAGES = ("user_message", "assistant_message")
_STEP_KEYS = (
    *("id", "threadId", "parentId", "name", "type", "command", "createdAt", "start", "end", "input", "output"),
    *("isError", "language", "showInput", "defaultOpen", "metadata"),
)


class History(BaseDataLayer):
    """Past conversations as Chainlit asks for them.

    Args:
        threads: Where they are kept.
        forget: Erases what the copilot remembers of a deleted conversation.
    """

    def __init__(self, threads: Threads, forget: Forget) -> None:
        self._threads = threads
        self._forget = forget
        self._turn = asyncio.Lock()

    async def get_user(self, identifier: str) -> PersistedUser | None:
        """Return the signed-in owner; their name is their id."""
        return PersistedUser(id=identifier, identifier=identifier, createdAt=_EPOCH)

    async def create_user(self, user: User) -> PersistedUser | None:
        """Return the owner: there is nothing to create."""
        return await self.get_user(user.identifier)

    @queue_until_user_message()  # type: ignore[untyped-decorator]  # chainlit leaves it untyped
    async def create_step(self, step_dict: StepDict) -> None:
        """Keep what was shown."""
        step, owner, is_said = _kept_step(step_dict), _owner(), step_dict["type"] == "user_message"

        def write() -> None:
            if is_said:
                self._threads.open(owner, step.thread_id, step.text or f"/{step.body.get('command', '')}")
            self._threads.put_step(owner, step)

        await self._write(write)

    @queue_until_user_message()  # type: ignore[untyped-decorator]  # chainlit leaves it untyped
    async def update_step(self, step_dict: StepDict) -> None:
        """Keep what became of it."""
        step, owner = _kept_step(step_dict), _owner()
        await self._write(lambda: self._threads.put_step(owner, step))

    @queue_until_user_message()  # type: ignore[untyped-decorator]  # chainlit leaves it untyped
    async def delete_step(self, step_id: str) -> None:
        """Take out what was taken back."""
        owner = _owner()
        await self._write(lambda: self._threads.drop_step(owner, step_id))

    @queue_until_user_message()  # type: ignore[untyped-decorator]  # chainlit leaves it untyped
    async def create_element(self, element: ShownElement) -> None:
        """Keep a card or a chart as what it is drawn from."""
        kept, owner = _kept_element(element), _owner()
        if kept is not None:
            await self._write(lambda: self._threads.put_element(owner, kept))

    @queue_until_user_message()  # type: ignore[untyped-decorator]  # chainlit leaves it untyped
    async def delete_element(self, element_id: str, thread_id: str | None = None) -> None:
        """Take a card or a chart out."""
        owner = _owner()
        await self._write(lambda: self._threads.drop_element(owner, element_id))

    async def get_element(self, thread_id: str, element_id: str) -> ElementDict | None:
        """Return nothing: elements come with their conversation."""
        return None

    async def get_thread_author(self, thread_id: str) -> str:
        """Return whose a conversation is; empty when there is none."""
        thread = await asyncio.to_thread(self._threads.find, thread_id)
        return "" if thread is None else thread.owner

    async def get_thread(self, thread_id: str) -> ThreadDict | None:
        """Return a conversation with all that it showed; the caller compares its author."""
        async with self._turn:
            thread = await asyncio.to_thread(self._threads.find, thread_id)
            if thread is None or not thread.name:
                return None
            steps, elements = await asyncio.to_thread(self._threads.contents, thread.owner, thread_id)
        told = _thread(thread)
        told["steps"] = [_shown_step(step) for step in steps]
        told["elements"] = [_shown_element(element) for element in elements]
        return told

    async def list_threads(self, pagination: Pagination, filters: ThreadFilter) -> PaginatedResponse[ThreadDict]:
        """Return a page of the owner's conversations, the last used first."""
        first = max(1, min(pagination.first, 100))
        found = await asyncio.to_thread(
            self._threads.list,
            filters.userId or "",
            first=first + 1,
            after=pagination.cursor or None,
            search=filters.search or "",
        )
        page = found[:first]
        begin, end = (page[0].id, page[-1].id) if page else (None, None)
        info = PageInfo(hasNextPage=len(found) > first, startCursor=begin, endCursor=end)
        return PaginatedResponse(pageInfo=info, data=[_thread(thread) for thread in page])

    async def update_thread(
        self,
        thread_id: str,
        name: str | None = None,
        user_id: str | None = None,
        metadata: dict[str, Any] | None = None,
        tags: list[str] | None = None,
    ) -> None:
        """Begin a conversation with its first message, or rename it; sessions and tags are not kept.

        Chainlit names the owner when it begins one. A button pressed before any message begins one without a name.
        """
        if name is None:
            return
        if user_id is not None:
            named = "" if name in config.code.action_callbacks else name
            await self._write(lambda: self._threads.open(user_id, thread_id, named))
        elif author := await self.get_thread_author(thread_id):
            await self._write(lambda: self._threads.rename(author, thread_id, name))

    async def delete_thread(self, thread_id: str) -> None:
        """Erase a conversation, and what the copilot remembers of it; Chainlit has compared its author."""
        if author := await self.get_thread_author(thread_id):
            await self._write(lambda: self._threads.delete(author, thread_id))
            await self._forget(author, thread_id)

    async def delete_feedback(self, feedback_id: str) -> bool:
        """Refuse: nobody is asked for feedback."""
        return False

    async def upsert_feedback(self, feedback: Feedback) -> str:
        """Refuse: nobody is asked for feedback."""
        return ""

    async def get_favorite_steps(self, user_id: str) -> list[StepDict]:
        """Return nothing: messages have no stars here."""
        return []

    async def build_debug_url(self) -> str:
        """Return nothing: there is no place to debug at."""
        return ""

    async def close(self) -> None:
        """Leave the database open: it is not ours."""

    async def _write(self, write: Callable[[], object]) -> None:
        async with self._turn:
            try:
                await asyncio.to_thread(write)
            except Exception:
                log.exception("a part of a conversation could not be kept")


_EPOCH = "1970-01-01T00:00:00Z"


def _owner() -> str:
    user = context.session.user
    assert user is not None, "the gate lets nobody in who is not signed in"
    return str(user.identifier)


def _kept_step(step: Mapping[str, Any]) -> Step:
    kind, metadata = step["type"], step.get("metadata") or {}
    body = {key: step[key] for key in _STEP_KEYS if step.get(key) not in (None, "")}
    body["metadata"] = {key: value for key, value in metadata.items() if key == "tool"}
    if kind == "run":
        body |= {"input": "", "output": ""}
    return Step(
        id=step["id"],
        thread_id=step["threadId"],
        body=body,
        created_at=_moment(step.get("createdAt")),
        text=str(step.get("output") or "") if kind in _MESSAGES else "",
        tool=str(metadata.get("tool", ""))[:32],
    )


def _moment(written: str | None) -> datetime:
    if not written:
        return datetime.now(UTC)
    moment = datetime.fromisoformat(written)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _kept_element(element: ShownElement) -> Element | None:
    body: dict[str, Any] = {"id": element.id, "threadId": element.thread_id, "name": element.name}
    body |= {"type": element.type, "display": element.display, "forId": element.for_id, "mime": element.mime}
    if isinstance(element, Chart):
        body["drawing"] = element.drawing.model_dump(mode="json")
    elif isinstance(element, chainlit.CustomElement):
        body["props"] = without_nonce(element.props)
    else:
        return None
    return Element(element.id, element.thread_id, element.for_id or "", body)


def _thread(thread: Thread) -> ThreadDict:
    return ThreadDict(
        id=thread.id,
        createdAt=thread.changed_at.isoformat().replace("+00:00", "Z"),
        name=thread.name,
        userId=thread.owner,
        userIdentifier=thread.owner,
        tags=[],
        metadata={},
        steps=[],
        elements=[],
    )


def _shown_step(body: Body) -> StepDict:
    shown: StepDict = {"input": "", "output": "", "parentId": None, "streaming": False, **body}  # type: ignore[typeddict-item]  # as it was kept
    return shown


def _shown_element(body: Body) -> ElementDict:
    told = {key: value for key, value in body.items() if key != "drawing"}
    if "drawing" in body:
        told["url"] = f"{CHART_PATH}{body['id']}"
    shown: ElementDict = told  # type: ignore[assignment]  # as it was kept
    return shown
