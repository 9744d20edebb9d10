"""What may go wrong, as data: which request or event it meets, how often, and what then happens.

A plan is asked once for each request and for each event of a user stream; the first fault that matches acts. Faults
with a chance draw from the plan's own seeded generator, so the same plan and the same traffic go wrong alike.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from tests.binance.calls import Call
from tests.binance.errors import ApiError

FOREVER_S = 3600.0


@dataclass(frozen=True, slots=True)
class Hang:
    """Never answer, so that the client's time runs out; the request is accepted or not."""

    accepted: bool = False
    seconds: float = FOREVER_S


@dataclass(frozen=True, slots=True)
class Reset:
    """Break the connection instead of answering."""

    accepted: bool = False


@dataclass(frozen=True, slots=True)
class Refuse:
    """Answer with an error; with `accepted` the request was done all the same, as -1006 and -1007 may mean."""

    error: ApiError
    accepted: bool = False


@dataclass(frozen=True, slots=True)
class Html:
    """Answer with a page of the load balancer instead of JSON."""

    status: int = 502
    accepted: bool = False


@dataclass(frozen=True, slots=True)
class Truncate:
    """Send half the answer to an accepted request; the announced length is the half's or the whole's."""

    announces_whole: bool = True


@dataclass(frozen=True, slots=True)
class Empty:
    """Answer an accepted request with nothing, under status 200."""


@dataclass(frozen=True, slots=True)
class Slow:
    """Take time before the request is worked on, or between that and the answer."""

    before_s: float = 0.0
    after_s: float = 0.0


@dataclass(frozen=True, slots=True)
class FillFirst:
    """Let the order that a cancellation names be filled, whole or in part, just before it is cancelled."""

    share: Decimal = Decimal(1)


@dataclass(frozen=True, slots=True)
class Maintenance:
    """Answer everything with 503 for a while."""

    seconds: float = 60.0


@dataclass(frozen=True, slots=True)
class Do:
    """Do something of a test's own before the request is worked on."""

    action: Callable[[Call], None]


@dataclass(frozen=True, slots=True)
class Lose:
    """Never send an event."""


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Send an event again."""

    copies: int = 1


@dataclass(frozen=True, slots=True)
class Late:
    """Send an event later: after some seconds, or when the test asks for what is held."""

    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Reorder:
    """Send an event after the next one of the same account."""


@dataclass(frozen=True, slots=True)
class DropStream:
    """Break the account's streams, before or after the event."""

    sends_event: bool = False


@dataclass(frozen=True, slots=True)
class Silence:
    """Keep the account's streams open and send nothing more on them."""


@dataclass(frozen=True, slots=True)
class ExpireKey:
    """Let the account's listen keys and subscriptions expire, and say so."""


CallEffect = Hang | Reset | Refuse | Html | Truncate | Empty | Slow | FillFirst | Maintenance | Do
EventEffect = Lose | Duplicate | Late | Reorder | DropStream | Silence | ExpireKey


@dataclass(frozen=True, slots=True)
class When:
    """Which requests or events a fault meets; what is empty matches everything.

    Args:
        method: HTTP method.
        path: End of the path, such as `/order`.
        client_id: A client order id that the request or event names.
        symbol: As in requests.
        event: Event type such as `executionReport`; with it the fault meets events and never requests.
        execution: Execution type of an order event, such as `TRADE`.
        nth: The first match that counts.
        test: Any further condition.
    """

    method: str = ""
    path: str = ""
    client_id: str = ""
    symbol: str = ""
    event: str = ""
    execution: str = ""
    nth: int = 1
    test: Callable[[Any], bool] | None = None

    def meets_call(self, call: Call) -> bool:
        """Tell whether a request matches."""
        return (
            not self.event
            and self.method in ("", call.method)
            and call.path.endswith(self.path)
            and (not self.client_id or self.client_id in call.client_ids)
            and self.symbol in ("", call.text("symbol"))
            and (self.test is None or self.test(call))
        )

    def meets_event(self, event: dict[str, Any]) -> bool:
        """Tell whether an event matches."""
        body = event.get("o") if isinstance(event.get("o"), dict) else event
        assert isinstance(body, dict)
        return (
            self.event in ("*", event["e"])
            and self.execution in ("", body.get("x"))
            and (not self.client_id or self.client_id in (body.get("c"), body.get("C"), body.get("caid")))
            and self.symbol in ("", body.get("s"))
            and (self.test is None or self.test(event))
        )


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong.

    Args:
        what: What happens.
        when: What it meets.
        times: How many matches it spoils; None for all.
        chance: Probability for each match, drawn from the plan's generator.
    """

    what: CallEffect | EventEffect
    when: When = field(default_factory=When)
    times: int | None = 1
    chance: float = 1.0


class FaultPlan:
    """The faults of one run, with what each has met so far."""

    def __init__(self, faults: Iterable[Fault] = (), seed: int = 0) -> None:
        self.faults = list(faults)
        self.hits: list[tuple[Fault, str]] = []
        self._seen: dict[int, int] = {}
        self._done: dict[int, int] = {}
        self._random = random.Random(seed)

    def add(self, what: CallEffect | EventEffect, when: When | None = None, **options: Any) -> Fault:
        """Add a fault and return it."""
        fault = Fault(what, when or When(), **options)
        self.faults.append(fault)
        return fault

    def clear(self) -> None:
        """Forget all faults, for example so that a run can come to rest."""
        self.faults.clear()
        self._seen.clear()
        self._done.clear()

    def for_call(self, call: Call) -> CallEffect | None:
        """Return what happens to a request."""
        for fault in self.faults:
            if isinstance(fault.what, CallEffect) and fault.when.meets_call(call) and self._acts(fault):
                call.fault = type(fault.what).__name__
                self.hits.append((fault, f"{call.method} {call.path}"))
                return fault.what
        return None

    def for_event(self, event: dict[str, Any]) -> EventEffect | None:
        """Return what happens to an event."""
        for fault in self.faults:
            if isinstance(fault.what, EventEffect) and fault.when.meets_event(event) and self._acts(fault):
                self.hits.append((fault, str(event["e"])))
                return fault.what
        return None

    def _acts(self, fault: Fault) -> bool:
        number = id(fault)
        self._seen[number] = self._seen.get(number, 0) + 1
        if self._seen[number] < fault.when.nth:
            return False
        if fault.times is not None and self._done.get(number, 0) >= fault.times:
            return False
        if fault.chance < 1.0 and self._random.random() >= fault.chance:
            return False
        self._done[number] = self._done.get(number, 0) + 1
        return True


def usual_troubles(rate: float, orders_path: str = "/order") -> list[Fault]:
    """Return a plan's worth of everything that happens to orders and their events, each with the same chance."""
    orders = When(path=orders_path)
    calls: list[CallEffect] = [
        Hang(accepted=False),
        Hang(accepted=True),
        Reset(accepted=False),
        Reset(accepted=True),
        Refuse(ApiError(-1000, "An unknown error occurred while processing the request."), accepted=True),
        Refuse(ApiError(-1001, "Internal error; unable to process your request. Please try again.")),
        Refuse(ApiError(-1006, "An unexpected response was received from the message bus. Status unknown."), True),
        Refuse(ApiError(-1007, "Timeout waiting for response from backend server. Status unknown.", 408), True),
        Html(502, accepted=True),
        Html(503, accepted=False),
        Truncate(announces_whole=True),
        Truncate(announces_whole=False),
        Empty(),
    ]
    events: list[EventEffect] = [Lose(), Duplicate(), Reorder(), Late(0.05), DropStream(), DropStream(True)]
    faults = [Fault(what, orders, None, rate) for what in calls]
    faults += [Fault(FillFirst(Decimal(share)), When("DELETE", orders_path), None, rate) for share in ("0.5", "1")]
    return faults + [Fault(what, When(event="executionReport"), None, rate) for what in events]
