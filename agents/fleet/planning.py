"""From wishes to a plan: what is opened, closed, moved or refused at one moment. Pure: the same figures, the same plan.

In this order, as in the backtest's exact driver: what has lasted its bars is closed and what has waited long enough is
taken back; then each wish in turn. What is decided here and nowhere else:

- Exits and protection always go; only entries can be refused.
- A slot holds one entry at a time. A wish for the side that is held changes nothing; one for the other side closes what
  is held. A waiting entry is replaced by a new wish, and stands as it is when the new one has the same terms.
- Strategies of one agent do not fight: while one slot holds or awaits a side of a symbol, no other slot may open the
  opposite side there (`conflict`). On the same side each adds its own part, together never above the position limit.
- An entry that does not fit below the position limit is cut down to the room there; without room it is refused.
- Every entry passes the risk gate's own function with all entries of the moment before it counted as resting orders
  and all closings as done; the desk asks the gate again when the order is sent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from agents.execution.desk import client_order_id
from agents.fleet.clockwork import bars_held, expires_at
from agents.fleet.records import decide_record, note_limit, price_figures, time_record
from agents.fleet.signals import judge_signal
from agents.fleet.situation import Situation
from agents.fleet.sizing import room_for, size_leg
from agents.fleet.values import ZERO, Leg, Slot, Wish, leg_source
from agents.journal.values import Decision, SignalNote, Verdict
from agents.profiles import SignalMode
from agents.risk.gate import assess_order
from agents.risk.values import AccountState, LimitCheck
from engine.domain.market import Bars, Instrument, decimal_price
from engine.domain.orders import OrderRequest, OrderStatus, Side, VenueOrder
from engine.domain.strategies import Enter, Exit, Protect, Standing
from engine.domain.symbols import TIMEFRAME_S, Timeframe
from engine.sim.matching import validate_order

SEND_WITHIN = 0.1
"""Share of a bar within which an entry that a crash interrupted may still be sent; later its price means nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class Draft:
    """A new entry with the record that waits for the answer whether it may go."""

    leg: Leg
    record: Decision


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """What one moment changes.

    Attributes:
        drafts: New entries, in the order of the wishes.
        changed: Legs that change: closing, taken back, protected anew.
        records: Decisions that are complete: refusals, exits, protection.
        quiet: Moments with nothing to record, by strategy and code.
    """

    drafts: tuple[Draft, ...]
    changed: tuple[Leg, ...]
    records: tuple[Decision, ...]
    quiet: Counter[tuple[str, str]]


@dataclass(slots=True)
class _Terms:
    """An entry on its way: refused as soon as there is a reason."""

    request: OrderRequest | None = None
    share: Decimal = ZERO
    signal: SignalNote | None = None
    checks: tuple[LimitCheck, ...] = ()
    reasons: tuple[str, ...] = ()


def age_legs(legs: Iterable[Leg], bars: Mapping[str, Bars], timeframe: Timeframe, closed_at: datetime) -> list[Leg]:
    """Return legs after the rules of time: what has lasted its bars is closing, what has waited long enough lapses.

    Args:
        legs: Not final ones; those of other timeframes stay as they are.
        bars: Closed bars by symbol up to the moment.
        timeframe: Of the bars that closed.
        closed_at: When.
    """
    return [_aged(leg, bars, closed_at) if leg.timeframe == timeframe else leg for leg in legs]


def standings(legs: Iterable[Leg], bars: Mapping[str, Bars], closed_at: datetime, strategy: str) -> list[Standing]:
    """Return what a strategy may know of its own slots, once the legs have been aged."""
    slots: dict[Slot, list[Leg]] = {}
    for leg in legs:
        if leg.strategy == strategy and not leg.state.is_final:
            slots.setdefault(leg.slot, []).append(leg)
    found = []
    for slot, own in slots.items():
        held = _held_in(own)
        is_waiting = any(leg.is_waiting for leg in own)
        if held is None and not is_waiting:
            continue
        found.append(
            Standing(
                slot.symbol,
                slot.tag,
                0 if held is None else held.side.sign,
                None if held is None or held.entry_price is None else float(held.entry_price),
                0 if held is None else bars_held(held, bars.get(slot.symbol), closed_at),
                None if held is None or held.stop is None else float(held.stop),
                None if held is None or held.target is None else float(held.target),
                is_waiting,
            )
        )
    return found


def make_plan(situation: Situation, wishes: Sequence[Wish], timeframe: Timeframe) -> Plan:
    """Return what a moment changes."""
    planner = _Planner(situation, timeframe)
    for wish in wishes:
        planner.take(wish)
    return planner.plan()


class _Planner:
    def __init__(self, situation: Situation, timeframe: Timeframe) -> None:
        self._situation = situation
        self._legs = {leg.source: leg for leg in situation.legs}
        self._drafts: list[Draft] = []
        self._records: list[Decision] = []
        self._quiet: Counter[tuple[str, str]] = Counter()
        for leg in age_legs(situation.legs, situation.bars, timeframe, situation.closed_at):
            before = self._legs[leg.source]
            self._legs[leg.source] = leg
            if leg.exit_reason and not before.exit_reason:
                self._records.append(time_record(situation, leg, leg.exit_reason))

    def plan(self) -> Plan:
        before = {leg.source: leg for leg in self._situation.legs}
        changed = tuple(leg for source, leg in self._legs.items() if leg != before[source])
        return Plan(tuple(self._drafts), changed, tuple(self._records), self._quiet)

    def take(self, wish: Wish) -> None:
        intent = wish.intent
        if isinstance(intent, Exit):
            self._exit(wish)
        elif isinstance(intent, Protect):
            self._protect(wish, intent)
        else:
            self._enter(wish, intent)

    def _own(self, slot: Slot) -> list[Leg]:
        return [leg for leg in self._legs.values() if leg.slot == slot and not leg.state.is_final]

    def _change(self, leg: Leg) -> None:
        self._legs[leg.source] = leg

    def _record(self, wish: Wish, reasons: tuple[str, ...], leg: Leg | None) -> None:
        self._records.append(decide_record(self._situation, wish, Verdict.TAKEN, reasons, leg))

    def _exit(self, wish: Wish) -> None:
        own = self._own(wish.slot)
        held, waiting = _held_in(own), [leg for leg in own if leg.is_waiting]
        for leg in waiting:
            self._change(replace(leg, cancel_reason="exit"))
        if held is not None and not held.exit_reason:
            self._change(replace(self._legs[held.source], exit_reason="exit"))
            self._record(wish, ("exit",), held)
        elif waiting:
            self._record(wish, ("exit",), waiting[0])
        else:
            self._quiet[wish.strategy, "nothing_to_exit"] += 1

    def _protect(self, wish: Wish, intent: Protect) -> None:
        held = _held_in(self._own(wish.slot))
        instrument = self._situation.instruments.get(intent.symbol)
        if held is None or held.exit_reason or instrument is None:
            self._quiet[wish.strategy, "nothing_to_protect"] += 1
            return
        stop, target = _level(intent.stop, instrument), _level(intent.target, instrument)
        if any(level is not None and level <= 0 for level in (stop, target)):
            self._records.append(decide_record(self._situation, wish, Verdict.REFUSED, ("tick",), held))
        elif (stop, target) == (held.stop, held.target):
            self._quiet[wish.strategy, "protected_already"] += 1
        else:
            self._change(replace(held, stop=stop, target=target))
            prices = {name: level for name, level in (("stop", stop), ("target", target)) if level is not None}
            record = decide_record(self._situation, wish, Verdict.TAKEN, ("protect",), held)
            self._records.append(replace(record, prices=prices))

    def _enter(self, wish: Wish, intent: Enter) -> None:
        own = self._own(wish.slot)
        held = _held_in(own)
        if held is not None and held.side is intent.side and not held.exit_reason:
            self._quiet[wish.strategy, "held_already"] += 1
            return
        if held is not None and held.side is not intent.side and not held.exit_reason:
            self._change(replace(held, exit_reason="reverse"))
            self._records.append(time_record(self._situation, self._legs[held.source], "reverse"))
        waiting = [leg for leg in own if not leg.is_entry_final and leg.cancel_reason in ("", "expired")]
        terms = self._terms(wish, intent, waiting)
        kept = next((leg for leg in waiting if _is_same(leg, intent, terms)), None)
        for leg in waiting:
            if leg is kept:
                lapses = expires_at(self._situation.closed_at, wish.timeframe, intent.valid_bars)
                self._change(replace(leg, cancel_reason="", valid_until=lapses))
                self._quiet[wish.strategy, "kept_waiting"] += 1
            elif not leg.cancel_reason:
                self._change(replace(leg, cancel_reason="replaced"))
        if kept is None:
            self._draft(wish, intent, terms)

    def _draft(self, wish: Wish, intent: Enter, terms: _Terms) -> None:
        situation, request = self._situation, terms.request
        verdict = Verdict.REFUSED if terms.reasons else Verdict.TAKEN
        record = replace(
            decide_record(situation, wish, verdict, terms.reasons, None),
            signal=terms.signal,
            limits=tuple(note_limit(check) for check in terms.checks),
            share=terms.share,
        )
        if request is not None:
            price = request.price or situation.book.closes[request.symbol]
            record = replace(
                record, quantity=request.quantity, notional=request.quantity * price, prices=price_figures(request)
            )
        if terms.reasons or request is None:
            self._records.append(record)
            return
        leg = Leg(
            record.source,
            situation.agent,
            wish.strategy,
            intent.tag,
            wish.timeframe,
            request,
            situation.closed_at,
            expires_at(situation.closed_at, wish.timeframe, intent.valid_bars),
            intent.max_bars,
            situation.closed_at + timedelta(seconds=TIMEFRAME_S[wish.timeframe] * SEND_WITHIN),
            trail=situation.cards[wish.strategy].trail,
            stop=request.stop_loss,
            target=request.take_profit,
            applied_stop=request.stop_loss,
            applied_target=request.take_profit,
        )
        self._drafts.append(Draft(leg, replace(record, order_id=leg.order_id)))

    def _terms(self, wish: Wish, intent: Enter, waiting: Sequence[Leg]) -> _Terms:
        """Return the order that an entry becomes, or why it does not."""
        situation = self._situation
        instrument = situation.instruments.get(intent.symbol)
        shut = self._shut(intent, instrument)
        if shut or instrument is None:
            return _Terms(reasons=(shut or "symbol",))
        price, stop, target = (_level(level, instrument) for level in (intent.price, intent.stop, intent.target))
        meets = situation.book.closes.get(intent.symbol) if price is None else price
        if meets is None or any(level is not None and level <= 0 for level in (meets, stop, target)):
            return _Terms(reasons=("tick",))
        signal = self._signal(wish, intent)
        share = situation.cards[wish.strategy].share * signal.factor
        if share <= 0:
            return _Terms(signal=signal, reasons=(signal.effect,))
        wanted = size_leg(share, instrument, situation.book, meets, stop, intent.size_bps)
        others = [leg for leg in self._standing_legs() if leg not in waiting]
        room = room_for(situation.limits.position_ratio, instrument, situation.book, others, meets)
        quantity = min(wanted, room)
        if quantity <= 0:
            return _Terms(share=share, signal=signal, reasons=("quantity" if wanted <= 0 else "position_room",))
        source = leg_source(situation.agent, wish.slot, situation.closed_at)
        request = OrderRequest(
            client_order_id(source), intent.symbol, intent.side, intent.order_type, quantity, price, stop, target
        )
        return self._judged(request, instrument, share, signal, waiting)

    def _shut(self, intent: Enter, instrument: Instrument | None) -> str:
        """Return why an entry is out of the question before any figure is looked at."""
        situation = self._situation
        if situation.shut:
            return situation.shut
        if intent.symbol in situation.stale:
            return situation.stale[intent.symbol]
        if intent.side is Side.SELL and (instrument is None or not instrument.is_shortable):
            return "not_shortable"
        if intent.side is Side.SELL and not situation.profile.shorts:
            return "shorts_off"
        is_against = any(
            leg.symbol == intent.symbol and leg.side is not intent.side and not leg.exit_reason
            for leg in self._standing_legs()
        )
        return "conflict" if is_against else ""

    def _standing_legs(self) -> list[Leg]:
        """Return legs that hold or await something, those decided at this moment included."""
        legs = [*self._legs.values(), *(draft.leg for draft in self._drafts)]
        return [leg for leg in legs if not leg.state.is_final and (leg.held > 0 or leg.is_waiting)]

    def _signal(self, wish: Wish, intent: Enter) -> SignalNote:
        rules = self._situation.profile.signal
        if rules.mode is SignalMode.OFF:
            return judge_signal(rules, None, intent.side)
        found = self._situation.signals.get((intent.symbol, rules.timeframe or wish.timeframe))
        return judge_signal(rules, found, intent.side)

    def _judged(
        self, request: OrderRequest, instrument: Instrument, share: Decimal, signal: SignalNote, waiting: Sequence[Leg]
    ) -> _Terms:
        situation = self._situation
        quote = situation.quotes.get(request.symbol)
        broken = validate_order(request, instrument, quote)
        account = None if situation.account is None else self._projected(situation.account, waiting)
        report = assess_order(request, instrument, quote, account, situation.limits, situation.at)
        return _Terms(request, share, signal, report.checks, tuple(dict.fromkeys((*broken, *report.reasons))))

    def _projected(self, account: AccountState, waiting: Sequence[Leg]) -> AccountState:
        """Return the book as it will be once what was decided so far has been carried out."""
        closing = [leg for leg in self._legs.values() if leg.exit_reason and leg.held > 0]
        gone = {leg.order_id for leg in self._legs.values() if leg.cancel_reason} | {leg.order_id for leg in waiting}
        gone |= {leg.order_id for leg in closing}
        positions, cash = dict(account.positions), account.cash
        for leg in closing:
            position = positions.get(leg.symbol)
            if position is None or leg.symbol not in account.marks:
                continue
            left = position.quantity - leg.held * leg.side.sign
            cash += leg.held * leg.side.sign * account.marks[leg.symbol]
            positions[leg.symbol] = replace(position, quantity=left)
        orders = [
            each
            for each in account.open_orders
            if each.request.client_order_id not in gone and each.parent_id not in gone
        ]
        marks = dict(account.marks)
        for draft in self._drafts:
            request = draft.leg.request
            orders.append(_resting(draft.leg))
            if request.symbol in self._situation.quotes:
                marks.setdefault(request.symbol, self._situation.quotes[request.symbol].mid)
        held = {symbol: each for symbol, each in positions.items() if each.quantity}
        recent = account.recent_orders + len(self._drafts)
        return replace(account, positions=held, cash=cash, open_orders=tuple(orders), marks=marks, recent_orders=recent)


def _aged(leg: Leg, bars: Mapping[str, Bars], closed_at: datetime) -> Leg:
    may_age = leg.held > 0 and leg.max_bars > 0 and not leg.exit_reason
    if may_age and bars_held(leg, bars.get(leg.symbol), closed_at) >= leg.max_bars:
        leg = replace(leg, exit_reason="time")
    if leg.is_waiting and leg.valid_until is not None and leg.valid_until <= closed_at:
        leg = replace(leg, cancel_reason="expired")
    return leg


def _held_in(legs: Iterable[Leg]) -> Leg | None:
    """Return the held leg of a slot; one that is being closed counts as long as nothing else is held."""
    held = [leg for leg in legs if leg.held > 0]
    return next((leg for leg in held if not leg.exit_reason), held[0] if held else None)


def _is_same(leg: Leg, intent: Enter, terms: _Terms) -> bool:
    """Return whether an untouched waiting entry has the very terms of a new wish."""
    if terms.request is None or terms.reasons or leg.entered_quantity or leg.max_bars != intent.max_bars:
        return False
    return replace(terms.request, client_order_id=leg.order_id) == leg.request


def _resting(leg: Leg) -> VenueOrder:
    return VenueOrder(leg.request, "", OrderStatus.OPEN, ZERO, None, leg.decided_at, leg.decided_at)


def _level(price: float | None, instrument: Instrument) -> Decimal | None:
    return None if price is None else decimal_price(price, instrument)
