"""Sending orders: at most once, whatever crashes.

The intent is stored under an id derived from what allowed it; one atomic update claims it, if nothing in the account
has changed since the risk gate looked; only then it is submitted. After a doubt the id is looked up at the venue, and
nothing is ever sent again. An intent that the venue does not know is declared unsent only when its claimer can no
longer send it (`claims`).

Orders of one process go out one after the other, and a caller that is cancelled does not cancel a sending. This is the
only module that calls a venue's `submit`.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from dataclasses import replace
from datetime import timedelta
from typing import assert_never

from agents.execution.claims import NotLeading, has_ended
from agents.execution.journal import StoredIntent
from agents.execution.judging import Judge
from agents.execution.parts import DeskParts, Fence, check_book
from agents.execution.settling import Settler
from agents.execution.values import Execution, IntentState, OrderIntent
from engine.domain.errors import InvalidRequest, OrderRejected, OrderUncertain, VenueUnavailable
from engine.domain.orders import OrderRequest

SUBMIT_TIMEOUT_S = 20.0
"""After this a submit counts as uncertain."""
SEND_WINDOW_S = 60.0
"""How long after its claim a process might still send; a claimer elsewhere is waited for until it is over."""
PEER_WAIT_S = 5.0
"""How long a repeat waits for another process that is sending the same intent."""
_PEER_POLL_S = 0.05
_CLAIM_ATTEMPTS = 20
"""Assessments of one order before giving up because other orders change the account under it."""


def client_order_id(source: str) -> str:
    """Return the one client order id of a source (`ticket:17`, `mandate:3/5`): 29 characters, the same for ever."""
    digest = hashlib.sha256(source.encode()).digest()
    return "tc-" + base64.b32encode(digest[:16]).decode().rstrip("=").lower()


class Sender:
    """Stores, claims, submits and looks up intents.

    Args:
        parts: What the desk works on.
        settler: Settles what the venue answers.
        judge: Asks the risk gate.
    """

    def __init__(self, parts: DeskParts, settler: Settler, judge: Judge) -> None:
        self._parts = parts
        self._journal = parts.journal
        self._settler = settler
        self._judge = judge
        self._sending: dict[str, asyncio.Task[Execution]] = {}
        self._turn = asyncio.Lock()

    async def execute(self, intent: OrderIntent, *, is_halt: bool = False, fence: Fence | None = None) -> Execution:
        """Send an intent's order at most once and return what became of it.

        Args:
            intent: What is to be sent.
            is_halt: It closes on behalf of a halt, which its own states do not forbid.
            fence: Must stand in the transaction that takes the intent for sending, and still before it is handed over.

        Raises:
            InvalidRequest: `client_order_id`, `book` or `intent_conflict`.
            NotLeading: The fence does not stand; nothing was sent.
            DataUnavailable: Our database did not answer.
        """
        request = intent.request
        check_book(intent.book)
        if request.client_order_id != client_order_id(intent.source):
            raise InvalidRequest("client_order_id", source=intent.source, client_order_id=request.client_order_id)
        task = self._sending.get(request.client_order_id)
        if task is None:
            task = asyncio.create_task(self._execute(intent, is_halt, fence))
            self._sending[request.client_order_id] = task
            task.add_done_callback(lambda done: self._forget(request.client_order_id, done))
        execution = await asyncio.shield(task)
        known = execution.intent
        if known.request != replace(request, takes=()) or known.book != intent.book:
            raise InvalidRequest("intent_conflict", source=intent.source)
        return execution

    async def abandon(self, intent: OrderIntent) -> Execution:
        """Make sure that an intent is not sent from now on, and return what became of it."""
        order_id = intent.request.client_order_id
        if order_id not in self._sending:
            stored = self._journal.store(intent, self._parts.token, self._parts.wall_clock(), self._parts.now())
            if stored.state is IntentState.STORED:
                self._close(intent.request, IntentState.STORED, IntentState.UNSENT, "interrupted")
            await self.resolve(self._stored(order_id))
            return self.told(order_id)
        return await asyncio.shield(self._sending[order_id])

    async def resolve(self, stored: StoredIntent) -> None:
        """Find out what became of an intent, without ever sending it; what cannot be known stays as it is."""
        request = stored.intent.request
        if request.client_order_id in self._sending and stored.state is not IntentState.WORKING:
            return
        match stored.state:
            case IntentState.STORED:
                if self._is_over(stored):
                    self._close(request, IntentState.STORED, IntentState.UNSENT, "interrupted")
            case IntentState.SENT:
                await self._look_up(request, is_over=self._is_over(stored))
            case IntentState.WORKING:
                await self._look_up(request, is_over=False)
            case IntentState.DONE | IntentState.REJECTED | IntentState.DENIED | IntentState.UNSENT:
                return
            case _:
                assert_never(stored.state)

    def told(self, order_id: str) -> Execution:
        """Return what became of an intent that is stored."""
        execution = self._journal.execution(order_id)
        assert execution is not None, "an intent is never deleted"
        return execution

    async def _execute(self, intent: OrderIntent, is_halt: bool, fence: Fence | None) -> Execution:
        order_id = intent.request.client_order_id
        stored = self._journal.store(intent, self._parts.token, self._parts.wall_clock(), self._parts.now())
        self._parts.checkpoint("stored")
        is_same = stored.intent.request == replace(intent.request, takes=()) and stored.intent.book == intent.book
        if is_same and stored.state is IntentState.STORED:
            async with self._turn:
                await self._send(intent, is_halt, fence)
        stored = self._stored(order_id)
        if stored.state is IntentState.SENT:
            await self._await_peer(stored)
        elif stored.state is IntentState.WORKING:
            await self.resolve(stored)
        return self.told(order_id)

    async def _send(self, intent: OrderIntent, is_halt: bool, fence: Fence | None) -> None:
        """Assess, claim, submit and settle; whatever happens, the outcome or the doubt is on record."""
        request = intent.request
        outgoing = await self._claim(intent, is_halt, fence)
        if outgoing is None:
            return
        self._parts.checkpoint("claimed")
        claimed_at = self._stored(request.client_order_id).claimed_at
        if self._parts.wall_clock() - claimed_at > timedelta(seconds=SEND_WINDOW_S / 2):
            self._close(request, IntentState.SENT, IntentState.UNSENT, "too_late")
            return
        self._check_fence(request, fence)
        try:
            order = await asyncio.wait_for(self._parts.venue.submit(outgoing), SUBMIT_TIMEOUT_S)
        except OrderRejected as error:
            self._close(request, IntentState.SENT, IntentState.REJECTED, *error.codes)
        except VenueUnavailable:
            self._close(request, IntentState.SENT, IntentState.UNSENT, "venue_unavailable")
        except (OrderUncertain, TimeoutError):
            await self._look_up(request, is_over=True)
        else:
            self._parts.checkpoint("submitted")
            await self._settler.settle_quietly([order])
            self._parts.checkpoint("settled")

    def _check_fence(self, request: OrderRequest, fence: Fence | None) -> None:
        """Look once more right before the handing over: a process may have stood still since its claim."""
        try:
            self._journal.check_fence(fence)
        except NotLeading:
            self._close(request, IntentState.SENT, IntentState.UNSENT, "not_leading")
            raise

    async def _claim(self, intent: OrderIntent, is_halt: bool, fence: Fence | None) -> OrderRequest | None:
        """Take the intent for sending once the gate allows it on figures that still hold; otherwise deny it.

        Returns:
            The order to hand over, or None when it is not to be sent.
        """
        request, parts = intent.request, self._parts
        for _ in range(_CLAIM_ATTEMPTS):
            judgement = await self._judge.judge(request, intent.book, is_halt=is_halt)
            parts.checkpoint("assessed")
            if not judgement.report.is_allowed:
                self._close(request, IntentState.STORED, IntentState.DENIED, *judgement.report.reasons)
                return None
            order_id, wall = request.client_order_id, parts.wall_clock()
            if self._journal.claim(order_id, judgement.version, parts.token, wall, parts.now(), fence):
                return judgement.outgoing
            if self._stored(order_id).state is not IntentState.STORED:
                return None
        self._close(request, IntentState.STORED, IntentState.DENIED, "busy")
        return None

    async def _look_up(self, request: OrderRequest, *, is_over: bool) -> None:
        """Ask the venue for an order and settle it; one that it does not have is unsent once its sending is over."""
        try:
            order = await self._parts.venue.fetch_order(request.client_order_id)
        except VenueUnavailable:
            return
        if order is not None:
            await self._settler.settle_quietly([order])
        elif is_over:
            self._close(request, IntentState.SENT, IntentState.UNSENT, "not_sent")

    async def _await_peer(self, stored: StoredIntent) -> None:
        """Wait a little for the process that is sending the same intent."""
        tries = max(int(PEER_WAIT_S / _PEER_POLL_S), 1)
        for _ in range(tries):
            request = stored.intent.request
            await self._look_up(request, is_over=self._is_over(stored))
            stored = self._stored(request.client_order_id)
            if stored.state is not IntentState.SENT or self._is_over(stored):
                return
            await asyncio.sleep(_PEER_POLL_S)

    def _is_over(self, stored: StoredIntent) -> bool:
        """Return whether the process that handles an intent can no longer send it."""
        if stored.claimed_by == self._parts.token or has_ended(stored.claimed_by):
            return True
        return self._parts.wall_clock() - stored.claimed_at > timedelta(seconds=SEND_WINDOW_S)

    def _forget(self, order_id: str, task: asyncio.Task[Execution]) -> None:
        self._sending.pop(order_id, None)
        if not task.cancelled():
            task.exception()  # read here, because every caller may be gone

    def _close(self, request: OrderRequest, seen: IntentState, state: IntentState, *reasons: str) -> None:
        self._journal.close(request.client_order_id, seen, state, reasons, self._parts.now())

    def _stored(self, order_id: str) -> StoredIntent:
        stored = self._journal.intent(order_id)
        assert stored is not None, "an intent is never deleted"
        return stored
