"""Stopping: trading states of the books and the account, halts that cancel and flatten, the kill switch.

A halt is first written down, with who, when and why; from then on the gate lets nothing pass but its own closing
orders, in every process. Then everything that rests is cancelled and everything held is closed. A halt that was
interrupted goes on with the next `reconcile` or `watch`, under the same ids, until nothing is left; only a person
lifts it. None of this asks a language model anything.
"""

from __future__ import annotations

from datetime import datetime

from agents.execution.closing import Closer
from agents.execution.control_store import read_history, read_states, reset_peak, settle_state, write_state
from agents.execution.kill_file import KillFile
from agents.execution.ledger_rows import update_state
from agents.execution.observing import Look, Observer
from agents.execution.parts import DeskParts, check_book
from agents.risk.gate import has_fallen
from agents.risk.states import WHOLE_ACCOUNT, StateChange, TradingState
from engine.domain.errors import DataUnavailable, InvalidRequest, OrderRejected, VenueUnavailable
from engine.ledger import exact_sum, negative

RISK, FILE = "risk", "file"
"""Who halts when no person does."""


class Halter:
    """Sets trading states and carries halts out.

    Args:
        parts: What the desk works on.
        observer: Says what stands.
        closer: Cancels and closes.
        kill_file: While it is there the account is halted.
    """

    def __init__(self, parts: DeskParts, observer: Observer, closer: Closer, kill_file: KillFile | None) -> None:
        self._parts = parts
        self._journal = parts.journal
        self._observer = observer
        self._closer = closer
        self._kill_file = kill_file

    def states(self) -> dict[str, StateChange]:
        """Return the present states by book, the account's under `*`; a book that is not among them is active."""
        with self._journal.reading() as connection:
            return read_states(connection)

    def history(self, book: str | None) -> list[StateChange]:
        """Return changes of state, oldest first; of everything for None."""
        with self._journal.reading() as connection:
            return read_history(connection, book)

    async def halt(self, book: str | None, by: str, reason: str) -> StateChange:
        """Halt a book (None: everything): nothing more is sent, what rests is cancelled, what is held is closed."""
        self.set_state(book, TradingState.HALTED, by, reason)
        self._parts.checkpoint("halted")
        await self.carry_on()
        return self.states()[_key(book)]

    def set_state(self, book: str | None, state: TradingState, by: str, reason: str) -> StateChange:
        """Write a state down, in force at once for every process; a state that stands already changes nothing."""
        name, now = _key(book), self._parts.now()
        with self._journal.writing() as (connection, row):
            known = read_states(connection).get(name)
            if (TradingState.ACTIVE if known is None else known.state) is state:
                return known or StateChange(name, state, by, reason, now)
            change = StateChange(name, state, by, reason[:255], now, is_settled=state is not TradingState.HALTED)
            written = write_state(connection, change)
            update_state(connection, version=row["version"] + 1)
            return written

    async def lift(self, book: str | None, by: str) -> StateChange:
        """Let a book (None: the account) trade again; its drawdown counts from now on.

        Raises:
            InvalidRequest: `kill_file`: the file is still there.
            DataUnavailable, VenueUnavailable: The present result is not known, so the drawdown cannot start anew.
        """
        if book is None and self._kill_file is not None and self._kill_file.is_set():
            raise InvalidRequest("kill_file", path=self._kill_file.path.name)
        account = self._observer.account(look := await self._observer.look(), book)
        deposits = look.snapshot.accounts.of(book).deposits
        with self._journal.writing() as (connection, _):
            reset_peak(connection, _key(book), exact_sum((account.equity, negative(deposits))))
        return self.set_state(book, TradingState.ACTIVE, by, "lifted")

    def obey_file(self) -> None:
        """Halt everything while the kill file is there."""
        if self._kill_file is not None and self._kill_file.is_set():
            self.set_state(None, TradingState.HALTED, FILE, "kill_file")

    def standing(self) -> tuple[StateChange, ...]:
        """Return the halts that stand."""
        return tuple(each for each in self.states().values() if each.state is TradingState.HALTED)

    async def carry_on(self) -> None:
        """Cancel and close what halts have not cancelled and closed yet; what fails now is left to the next call."""
        for change in self.states().values():
            if change.state is TradingState.HALTED and not change.is_settled:
                try:
                    await self._empty(change)
                except (DataUnavailable, OrderRejected, VenueUnavailable):
                    continue

    async def _empty(self, change: StateChange) -> None:
        book = None if change.book == WHOLE_ACCOUNT else change.book
        await self._closer.cancel_all(book)
        self._parts.checkpoint("cancelled all")
        await self._closer.flatten(book, f"halt:{change.number}", change.by, is_halt=True)
        await self._closer.trim(await self._observer.look())
        if await self._closer.is_flat(book):
            with self._journal.writing() as (connection, row):
                if settle_state(connection, change.book, change.number):
                    update_state(connection, version=row["version"] + 1)
            self._parts.checkpoint("halt settled")

    def check_drawdowns(self, look: Look) -> None:
        """Halt every book, and the account, whose drawdown has reached its limit, if it can be known."""
        states = look.snapshot.states
        for name, limits in {**look.snapshot.limits, WHOLE_ACCOUNT: self._parts.limits}.items():
            if name in states and states[name].state is TradingState.HALTED:
                continue
            book = None if name == WHOLE_ACCOUNT else name
            try:
                account = self._observer.account(look, book)
            except DataUnavailable:
                continue
            if has_fallen(account, limits):
                self.set_state(book, TradingState.HALTED, RISK, "drawdown")


def active(book: str | None, at: datetime) -> StateChange:
    """Return the state of what was never restricted."""
    return StateChange(_key(book), TradingState.ACTIVE, "", "", at)


def _key(book: str | None) -> str:
    return WHOLE_ACCOUNT if book is None else check_book(book)
