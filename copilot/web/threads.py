"""Past conversations in the database: kept for the owner, found by what was said, gone when they say so.

Every statement names the owner, so that knowing the id of somebody else's conversation opens nothing. A conversation
begins with a message of its owner: what is shown into one that does not exist, or no longer, is not kept.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, Table, and_, delete, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from copilot.web.tables import web_elements, web_steps, web_threads

MAX_NAME = 120
"""Characters of a conversation's name; a first message is cut to it."""
_MAX_SOUGHT = 20_000
Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Thread:
    """A conversation in a list."""

    id: str
    owner: str
    name: str
    created_at: datetime
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class Step:
    """A message or a tool's work, as the page showed it.

    Attributes:
        text: What a search finds it by; empty for a tool's work.
        tool: Name of the tool; empty for a message.
        body: What the page needs to show it again.
    """

    id: str
    thread_id: str
    body: Body
    created_at: datetime
    text: str = ""
    tool: str = ""


@dataclass(frozen=True, slots=True)
class Element:
    """A card or a chart, as what it is drawn from."""

    id: str
    thread_id: str
    step_id: str
    body: Body


class Threads:
    """The store of past conversations.

    Args:
        database: Where they are kept.
        now: The present, aware UTC.
    """

    def __init__(self, database: Engine, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now

    def open(self, owner: str, thread_id: str, name: str = "") -> bool:
        """Begin a conversation, or name one that has no name; return whether it is the owner's."""
        name = short_name(name)
        now = self._now()
        values = {"id": thread_id, "owner": owner, "created_at": now, "changed_at": now, **_named(name)}
        try:
            with self._database.begin() as connection:
                if _author(connection, thread_id) is None:
                    connection.execute(insert(web_threads).values(values))
        except IntegrityError:
            pass  # Another page of the owner began it in the same instant.
        with self._database.begin() as connection:
            if _author(connection, thread_id) != owner:
                return False
            if name:
                unnamed = and_(web_threads.c.id == thread_id, web_threads.c.name == "")
                connection.execute(update(web_threads).where(unnamed).values(_named(name)))
        return True

    def rename(self, owner: str, thread_id: str, name: str) -> None:
        """Give a conversation another name."""
        named = update(web_threads).where(_mine(web_threads, owner, thread_id)).values(_named(short_name(name)))
        with self._database.begin() as connection:
            connection.execute(named)

    def find(self, thread_id: str) -> Thread | None:
        """Return a conversation, whoever its owner is; the caller compares."""
        with self._database.connect() as connection:
            row = connection.execute(select(web_threads).where(web_threads.c.id == thread_id)).one_or_none()
        return None if row is None else Thread(row.id, row.owner, row.name, row.created_at, row.changed_at)

    def list(self, owner: str, *, first: int, after: str | None = None, search: str = "") -> tuple[Thread, ...]:
        """Return conversations, the last used first.

        Args:
            owner: Whose.
            first: At most so many.
            after: Go on behind this one; None begins.
            search: Words that the name or a message holds, whatever their case and accents.
        """
        where = [web_threads.c.owner == owner, web_threads.c.name != ""]
        if search.strip():
            where.append(_holds(search, owner))
        with self._database.connect() as connection:
            if after is not None:
                last = connection.execute(select(web_threads).where(_mine(web_threads, owner, after))).one_or_none()
                if last is None:
                    return ()
                same = and_(web_threads.c.changed_at == last.changed_at, web_threads.c.id < last.id)
                where.append(or_(web_threads.c.changed_at < last.changed_at, same))
            query = select(web_threads).where(*where)
            query = query.order_by(web_threads.c.changed_at.desc(), web_threads.c.id.desc()).limit(first)
            rows = connection.execute(query).all()
        return tuple(Thread(row.id, row.owner, row.name, row.created_at, row.changed_at) for row in rows)

    def put_step(self, owner: str, step: Step) -> bool:
        """Keep a step, or what became of it; return whether its conversation is there to hold it."""
        values = {
            "tool": step.tool,
            "sought": folded(step.text)[:_MAX_SOUGHT],
            "body": _packed(step.body),
            "created_at": step.created_at,
        }
        return self._put(web_steps, owner, step.thread_id, step.id, values)

    def put_element(self, owner: str, element: Element) -> bool:
        """Keep a card or a chart; return whether its conversation is there to hold it."""
        values = {"step_id": element.step_id, "body": _packed(element.body)}
        return self._put(web_elements, owner, element.thread_id, element.id, values)

    def _put(self, table: Table, owner: str, thread_id: str, key: str, values: dict[str, Any]) -> bool:
        with self._database.begin() as connection:
            if _author(connection, thread_id) != owner:
                return False
            known = and_(table.c.id == key, table.c.owner == owner, table.c.thread_id == thread_id)
            if connection.execute(update(table).where(known).values(values)).rowcount == 0:
                connection.execute(insert(table).values(id=key, thread_id=thread_id, owner=owner, **values))
            mine = _mine(web_threads, owner, thread_id)
            connection.execute(update(web_threads).where(mine).values(changed_at=self._now()))
        return True

    def drop_step(self, owner: str, step_id: str) -> None:
        """Take a step and what belongs to it out again."""
        with self._database.begin() as connection:
            belongs = and_(web_elements.c.step_id == step_id, web_elements.c.owner == owner)
            connection.execute(delete(web_elements).where(belongs))
            connection.execute(delete(web_steps).where(_mine(web_steps, owner, step_id)))

    def drop_element(self, owner: str, element_id: str) -> None:
        """Take a card or a chart out again."""
        with self._database.begin() as connection:
            connection.execute(delete(web_elements).where(_mine(web_elements, owner, element_id)))

    def element(self, owner: str, element_id: str) -> Body | None:
        """Return what a card or a chart of the owner's is drawn from."""
        query = select(web_elements.c.body).where(_mine(web_elements, owner, element_id))
        with self._database.connect() as connection:
            body = connection.execute(query).scalar_one_or_none()
        return None if body is None else _unpacked(body)

    def contents(self, owner: str, thread_id: str) -> tuple[tuple[Body, ...], tuple[Body, ...]]:
        """Return the steps of a conversation in the order of their beginning, and its cards and charts."""
        with self._database.connect() as connection:
            steps = connection.execute(
                select(web_steps.c.body)
                .where(web_steps.c.thread_id == thread_id, web_steps.c.owner == owner)
                .order_by(web_steps.c.created_at, web_steps.c.position)
            ).scalars()
            elements = connection.execute(
                select(web_elements.c.body)
                .where(web_elements.c.thread_id == thread_id, web_elements.c.owner == owner)
                .order_by(web_elements.c.position)
            ).scalars()
            return tuple(map(_unpacked, steps)), tuple(map(_unpacked, elements))

    def delete(self, owner: str, thread_id: str) -> bool:
        """Erase a conversation; return whether there was one."""
        with self._database.begin() as connection:
            for table in (web_elements, web_steps):
                connection.execute(delete(table).where(table.c.thread_id == thread_id, table.c.owner == owner))
            return connection.execute(delete(web_threads).where(_mine(web_threads, owner, thread_id))).rowcount > 0

    def forget(self, owner: str) -> int:
        """Erase every conversation of an owner, and return how many there were."""
        with self._database.begin() as connection:
            for table in (web_elements, web_steps):
                connection.execute(delete(table).where(table.c.owner == owner))
            return connection.execute(delete(web_threads).where(web_threads.c.owner == owner)).rowcount

    def used_tools(self, owner: str) -> tuple[str, ...]:
        """Return the tools that the owner's conversations used, the most used first."""
        query = (
            select(web_steps.c.tool)
            .where(web_steps.c.owner == owner, web_steps.c.tool != "")
            .group_by(web_steps.c.tool)
            .order_by(func.count().desc(), web_steps.c.tool)
        )
        with self._database.connect() as connection:
            return tuple(connection.execute(query).scalars())


def folded(text: str) -> str:
    """Return text as a search compares it: without case and accents.

    >>> folded("¿Qué SEÑAL?")
    '¿que senal?'
    """
    parts = unicodedata.normalize("NFKD", text.casefold())
    return "".join(part for part in parts if not unicodedata.combining(part))


def short_name(text: str) -> str:
    """Return a message as the name of its conversation.

    >>> short_name("  Show me   gold ")
    'Show me gold'
    """
    name = " ".join(text.split())
    return name if len(name) <= MAX_NAME else name[: MAX_NAME - 1].rstrip() + "…"


def _named(name: str) -> dict[str, str]:
    return {"name": name, "sought": folded(name)[:400]}


def _author(connection: Connection, thread_id: str) -> str | None:
    author: str | None = connection.execute(
        select(web_threads.c.owner).where(web_threads.c.id == thread_id)
    ).scalar_one_or_none()
    return author


def _mine(table: Table, owner: str, key: str) -> Any:
    return and_(table.c.id == key, table.c.owner == owner)


def _holds(search: str, owner: str) -> Any:
    wanted = folded(search.strip())
    said = (
        select(web_steps.c.id)
        .where(
            web_steps.c.thread_id == web_threads.c.id,
            web_steps.c.owner == owner,
            web_steps.c.sought.contains(wanted, autoescape=True),
        )
        .exists()
    )
    return or_(web_threads.c.sought.contains(wanted, autoescape=True), said)


def _packed(body: Body) -> str:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"))


def _unpacked(body: str) -> Body:
    kept: Body = json.loads(body)
    return kept
