"""Chainlit's sessions as the page reads them: who is signed in, in which conversation, and whether they listen."""

from __future__ import annotations

import hashlib

import chainlit
from chainlit.session import WebsocketSession


def own_session() -> WebsocketSession:
    """Return the session of the browser that is being served."""
    session = chainlit.context.session
    assert isinstance(session, WebsocketSession), "the page is reached through a browser's socket alone"
    return session


def owner_of(session: WebsocketSession) -> str:
    """Return who is signed in; sessions of nobody do not exist behind the gate."""
    assert session.user is not None, "the gate lets nobody in who is not signed in"
    return str(session.user.identifier)


def conversation_of(owner: str, thread_id: str) -> str:
    """Return the conversation of a thread; a browser names its thread, so the owner is part of the name."""
    name = f"{owner}\0{thread_id}".encode()
    return f"web-{hashlib.sha256(name).hexdigest()[:32]}"


def is_connected(session: WebsocketSession) -> bool:
    """Return whether a browser is listening: what is sent to one that is not is lost."""
    from chainlit.server import sio

    return bool(sio.manager.is_connected(session.socket_id, "/"))
