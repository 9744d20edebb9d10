"""The risk gate: whether one order may go, given its book and the account as they are now.

Every order passes `assess_scopes` before it is sent, whoever asks. The gate is pure: the same figures give the same
answer.

- It fails closed. Without a fresh quote, a mark for every holding, a readable account or limits nothing passes.
- The order is held against the limits of its own book and against those of the whole account; the trading states of
  both are asked first.
- It looks at the worst case. Orders that rest at the venue count as filled on whichever side makes a limit
  tighter, and fees and half the spread are taken off equity first, so that the limits still hold after the fills.
- An order that only takes a position toward zero, with everything resting beside it, lowers risk and passes every limit
  that it does not make worse. Otherwise a position beyond a limit could never be closed. Which position that is, the
  book says: an agent can always leave what it holds, whatever others hold beside it.
- Symbols that move together form a group (`groups`), whose exposure has a limit of its own.

Left out on purpose: maintenance margin of leveraged venues.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from agents.risk.states import TradingState, state_refusal
from agents.risk.values import AccountState, LimitCheck, LimitUnit, RiskLimits, RiskReport
from engine.domain.market import Instrument, Quote
from engine.domain.orders import OrderRequest, OrderType, Side, VenueOrder

ZERO = Decimal(0)
_HUNDRED = Decimal(100)
_RUINED_PCT = Decimal(9999)
"""Shown for any share of an equity that is not above zero."""


@dataclass(frozen=True, slots=True)
class _Pending:
    """The orders of one symbol that may yet fill, protective and other reduce-only ones apart.

    Attributes:
        buys, sells: Base units.
        at_once: Of these, on the side of the order at hand, what a market order fills before anything else can.
    """

    buys: Decimal = ZERO
    sells: Decimal = ZERO
    at_once: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class _Case:
    """An order with what is derived from the figures once."""

    order: OrderRequest
    instrument: Instrument
    quote: Quote
    account: AccountState
    limits: RiskLimits
    held: Decimal
    pending: _Pending
    equity: Decimal
    """After the costs of the order and of everything pending."""
    lowers_risk: bool
    groups: Mapping[str, str]
    pendings: Mapping[str, _Pending]
    """Of every symbol that is held or in which something may yet fill."""

    @property
    def price(self) -> Decimal:
        """Return the price that the order expects."""
        return self.order.price or (self.quote.ask if self.order.side is Side.BUY else self.quote.bid)

    @property
    def held_after(self) -> Decimal:
        """Return the position once the order has filled, if it lowers risk; otherwise the present one."""
        if not self.lowers_risk:
            return self.held
        if self.held * self.order.side.sign >= 0:  # the account holds nothing, or the other side, beside the book
            return self.held + self.order.quantity * self.order.side.sign
        closed = min(self.order.quantity, abs(self.held))
        return self.held + closed.copy_sign(-self.held)


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose limits an order is held against.

    Attributes:
        book: Name of the book; empty for the whole account.
        account: Its figures; None when they could not be read.
        limits: None when there are none: then nothing passes.
        state: Its trading state.
    """

    book: str
    account: AccountState | None
    limits: RiskLimits | None
    state: TradingState = TradingState.ACTIVE


def assess_scopes(
    order: OrderRequest,
    instrument: Instrument | None,
    quote: Quote | None,
    scopes: Sequence[Scope],
    now: datetime,
    *,
    groups: Mapping[str, str] | None = None,
    is_halt: bool = False,
) -> RiskReport:
    """Return every limit with what the order does to it, and why it may not go.

    Args:
        order: Well formed (`engine.sim.matching.validate_order` found nothing).
        instrument: None when the symbol is not tradable.
        quote: None when there is no price.
        scopes: The order's own book first, then the whole account; the first says whether the order lowers risk.
        now: The market's present, against which the quote's age is taken.
        groups: Group of each symbol; a symbol that is not among them is a group of its own.
        is_halt: Whether a halt sends the order to close.
    """
    if not scopes:
        return RiskReport((), ("no_account",))
    own = scopes[0].account
    is_lowering = own is not None and lowers_risk(order, own)
    refusal = state_refusal(tuple(each.state for each in scopes), lowers_risk=is_lowering, is_halt=is_halt)
    reasons: list[str] = [] if refusal is None else [refusal]
    if own is not None and order.is_reduce_only and not _reduces(order, own):
        reasons.append("position_closed")
    checks: list[LimitCheck] = []
    for scope in scopes:
        if scope.limits is None:
            reasons.append("no_limits")
            continue
        report = assess_order(
            order, instrument, quote, scope.account, scope.limits, now, lowers=is_lowering, groups=groups
        )
        checks.extend(replace(each, book=scope.book) for each in report.checks)
        reasons.extend(report.reasons)
    return RiskReport(_tightest(checks), tuple(dict.fromkeys(reasons)))


def _tightest(checks: Sequence[LimitCheck]) -> tuple[LimitCheck, ...]:
    """Return one check of each name: the one that refuses, or that leaves the smaller share of its limit."""
    found: dict[str, LimitCheck] = {}
    for check in checks:
        known = found.get(check.name)
        if known is None or (check.is_ok, _share_left(check)) < (known.is_ok, _share_left(known)):
            found[check.name] = check
    return tuple(found.values())


def _share_left(check: LimitCheck) -> Decimal:
    return check.room / check.limit if check.limit > 0 else ZERO


def assess_order(
    order: OrderRequest,
    instrument: Instrument | None,
    quote: Quote | None,
    account: AccountState | None,
    limits: RiskLimits,
    now: datetime,
    *,
    lowers: bool | None = None,
    groups: Mapping[str, str] | None = None,
) -> RiskReport:
    """Return what an order does to the limits of one scope; the part of `assess_scopes` that concerns figures.

    Args:
        order: Well formed.
        instrument: None when the symbol is not tradable.
        quote: None when there is no price.
        account: None when the venue or the ledger could not be read.
        limits: Those of the scope.
        now: The market's present.
        lowers: Whether the order lowers risk, when another scope decided that; None to decide it here.
        groups: Group of each symbol.
    """
    missing = _missing(order, instrument, quote, account, limits, now)
    if missing or instrument is None or quote is None or account is None:
        return RiskReport((), missing)
    is_lowering = lowers_risk(order, account) if lowers is None else lowers
    case = _build_case(order, instrument, quote, account, limits, is_lowering, groups or {})
    checks = tuple(check for check in _checks(case) if check is not None)
    return RiskReport(checks, tuple(check.name for check in checks if not check.is_ok))


def lowers_risk(order: OrderRequest, account: AccountState) -> bool:
    """Return whether an order, with what rests on its side, only takes its position toward zero.

    A reduce-only order does by nature: no more of it is handed over than there is to reduce.
    """
    if order.is_reduce_only:
        return True
    pending = _pending(account.open_orders, order.symbol)
    resting = pending.buys if order.side is Side.BUY else pending.sells
    held = _held(account, order.symbol)
    return held * order.side.sign < 0 and resting + order.quantity <= abs(held)


def _reduces(order: OrderRequest, account: AccountState) -> bool:
    return _held(account, order.symbol) * order.side.sign < 0


def has_fallen(account: AccountState, limits: RiskLimits) -> bool:
    """Return whether the drawdown has reached its limit, so that a halt is due."""
    fall = _fall_pct(max(account.peak_equity, account.equity), account.equity)
    return fall >= limits.drawdown_ratio * _HUNDRED


def standing_limits(account: AccountState, limits: RiskLimits) -> tuple[LimitCheck, ...]:
    """Return the limits of one scope as they stand without a new order (`before` equals `after`)."""
    largest = max((abs(p.quantity) * account.marks[s] for s, p in account.positions.items()), default=ZERO)
    rows = [
        _limit("position", "pct", limits.position_ratio * _HUNDRED, _pct(largest, account.equity)),
        _limit("exposure", "pct", limits.gross_exposure_ratio * _HUNDRED, _pct(account.exposure, account.equity)),
        _limit("positions", "count", Decimal(limits.max_positions), Decimal(len(account.positions))),
        _limit("order_rate", "count", Decimal(limits.orders_per_minute), Decimal(account.recent_orders)),
    ]
    return (*rows, *_loss_checks(account, limits, passes=False))


def _missing(
    order: OrderRequest,
    instrument: Instrument | None,
    quote: Quote | None,
    account: AccountState | None,
    limits: RiskLimits,
    now: datetime,
) -> tuple[str, ...]:
    """Return the reasons why nothing can be judged at all."""
    reasons = []
    if instrument is None:
        reasons.append("symbol")
    if quote is None or quote.bid <= 0 or _is_stale(quote, limits, now):
        reasons.append("no_quote")
    elif not quote.is_open and order.order_type is OrderType.MARKET:
        reasons.append("market_closed")
    if account is None or not _is_complete(account):
        reasons.append("no_account")
    return tuple(reasons)


def _is_stale(quote: Quote, limits: RiskLimits, now: datetime) -> bool:
    """Return whether a quote of an open market is too old, or claims to come from the future."""
    age = now - quote.at
    tolerance = timedelta(seconds=limits.max_quote_age_s)
    return age < -tolerance or (quote.is_open and age > tolerance)


def _is_complete(account: AccountState) -> bool:
    needed = {*account.positions, *(each.request.symbol for each in account.open_orders if _may_open(each))}
    figures = (account.cash, account.equity, account.day_start_equity, account.peak_equity)
    return all(figure.is_finite() for figure in figures) and all(account.marks.get(s, ZERO) > 0 for s in needed)


def _build_case(
    order: OrderRequest,
    instrument: Instrument,
    quote: Quote,
    account: AccountState,
    limits: RiskLimits,
    lowers: bool,
    groups: Mapping[str, str],
) -> _Case:
    pendings = _all_pending(account)
    held, pending = _held(account, order.symbol), pendings.get(order.symbol, _Pending())
    touch = quote.ask if order.side is Side.BUY else quote.bid
    cost = _cost(order.side, order.quantity, order.price or touch, quote.mid, instrument)
    for each in account.open_orders:
        if _may_open(each):
            mark = account.marks[each.request.symbol]
            cost += _cost(each.request.side, _unfilled(each), each.request.price or mark, mark, instrument)
    equity = account.equity - cost
    return _Case(order, instrument, quote, account, limits, held, pending, equity, lowers, groups, pendings)


def _cost(side: Side, quantity: Decimal, price: Decimal, mark: Decimal, instrument: Instrument) -> Decimal:
    """Return by how much a fill lowers equity at the mark: a worse price than the mark, and the fee."""
    return quantity * (max((price - mark) * side.sign, ZERO) + price * instrument.taker_fee_ratio)


def _checks(case: _Case) -> Iterable[LimitCheck | None]:
    yield _position_check(case)
    yield _exposure_check(case)
    yield _positions_check(case)
    yield from _loss_checks(case.account, case.limits, passes=case.lowers_risk)
    yield _order_notional_check(case)
    yield _price_band_check(case)
    yield _order_rate_check(case)
    yield _cash_check(case)
    yield _short_check(case)
    yield _group_check(case)
    yield _leverage_check(case)


def _position_check(case: _Case) -> LimitCheck:
    before = _worst_quantity(case.held, case.pending) * case.quote.mid
    after = _worst_quantity(case.held_after, _with_order(case)) * case.quote.mid
    limit = case.limits.position_ratio * _HUNDRED
    return _ratio_check("position", limit, before, after, case)


def _exposure_check(case: _Case) -> LimitCheck:
    before, after = _exposures(case, case.pendings)
    return _ratio_check("exposure", case.limits.gross_exposure_ratio * _HUNDRED, before, after, case)


def _group_check(case: _Case) -> LimitCheck | None:
    """Return the exposure of the symbols that move with the order's own."""
    if case.limits.group_exposure_ratio is None:
        return None
    group = _group(case, case.order.symbol)
    before, after = _exposures(case, [each for each in case.pendings if _group(case, each) == group])
    return _ratio_check("group_exposure", case.limits.group_exposure_ratio * _HUNDRED, before, after, case)


def _leverage_check(case: _Case) -> LimitCheck | None:
    if case.limits.leverage is None:
        return None
    before, after = _exposures(case, case.pendings)
    return _ratio_check("leverage", case.limits.leverage * _HUNDRED, before, after, case)


def _group(case: _Case, symbol: str) -> str:
    return case.groups.get(symbol, symbol)


def _exposures(case: _Case, symbols: Iterable[str]) -> tuple[Decimal, Decimal]:
    """Return the worst sum of notionals of some symbols and of the order's own, before and after the order."""
    elsewhere = ZERO
    for symbol in symbols:
        if symbol != case.order.symbol:
            worst = _worst_quantity(_held(case.account, symbol), case.pendings[symbol])
            elsewhere += worst * case.account.marks[symbol]
    before = elsewhere + _worst_quantity(case.held, case.pending) * case.quote.mid
    after = elsewhere + _worst_quantity(case.held_after, _with_order(case)) * case.quote.mid
    return before, after


def _positions_check(case: _Case) -> LimitCheck:
    symbols = set(case.pendings)
    after = symbols if case.lowers_risk else symbols | {case.order.symbol}
    limit = Decimal(case.limits.max_positions)
    is_ok = len(after) <= limit or len(after) == len(symbols)
    return LimitCheck("positions", "count", limit, Decimal(len(symbols)), Decimal(len(after)), is_ok)


def _loss_checks(account: AccountState, limits: RiskLimits, *, passes: bool) -> tuple[LimitCheck, LimitCheck]:
    """Return the daily loss and the drawdown; at the limit nothing that adds risk passes."""
    day = _fall_pct(account.day_start_equity, account.equity)
    fall = _fall_pct(max(account.peak_equity, account.equity), account.equity)
    day_limit, fall_limit = limits.daily_loss_ratio * _HUNDRED, limits.drawdown_ratio * _HUNDRED
    return (
        LimitCheck("daily_loss", "pct", day_limit, day, day, passes or day < day_limit),
        LimitCheck("drawdown", "pct", fall_limit, fall, fall, passes or fall < fall_limit),
    )


def _order_notional_check(case: _Case) -> LimitCheck:
    notional = case.order.quantity * max(case.price, case.quote.mid)
    is_ok = case.lowers_risk or notional <= case.limits.order_notional
    return LimitCheck("order_notional", "money", case.limits.order_notional, ZERO, notional, is_ok)


def _price_band_check(case: _Case) -> LimitCheck | None:
    if case.order.price is None:
        return None
    distance = _pct(abs(case.order.price - case.quote.mid), case.quote.mid)
    limit = case.limits.price_band_ratio * _HUNDRED
    return LimitCheck("price_band", "pct", limit, ZERO, distance, case.lowers_risk or distance <= limit)


def _order_rate_check(case: _Case) -> LimitCheck:
    before, limit = Decimal(case.account.recent_orders), Decimal(case.limits.orders_per_minute)
    return LimitCheck("order_rate", "count", limit, before, before + 1, case.lowers_risk or before < limit)


def _cash_check(case: _Case) -> LimitCheck | None:
    """Return whether a buy that must be paid in full leaves free cash at or above zero.

    What short sales brought in is not free: it buys the positions back.
    """
    if case.instrument.is_shortable or case.order.side is Side.SELL:
        return None
    reserved = sum((_cash_need(each, case) for each in case.account.open_orders), ZERO)
    need = case.order.quantity * case.price * (1 + case.instrument.taker_fee_ratio)
    owed = sum((max(-p.quantity, ZERO) * case.account.marks[s] for s, p in case.account.positions.items()), ZERO)
    free = case.account.cash - owed
    return LimitCheck("cash", "money", free, reserved, reserved + need, reserved + need <= free)


def _cash_need(each: VenueOrder, case: _Case) -> Decimal:
    if each.request.side is Side.SELL or not _may_open(each):
        return ZERO
    mark = max(case.account.marks[each.request.symbol], each.request.price or ZERO)
    return _unfilled(each) * mark * (1 + case.instrument.taker_fee_ratio)


def _short_check(case: _Case) -> LimitCheck | None:
    """Return whether a sell of what cannot be shorted is covered by the holding, in base units.

    Reduce-only orders are left to the venue, which never lets a spot sell exceed what is there.
    """
    if case.instrument.is_shortable or case.order.side is Side.BUY or case.order.is_reduce_only:
        return None
    held, resting = max(case.held, ZERO), case.pending.sells
    after = resting + case.order.quantity
    return LimitCheck("short", "count", held, resting, after, after <= held)


def _ratio_check(name: str, limit: Decimal, before: Decimal, after: Decimal, case: _Case) -> LimitCheck:
    is_ok = _pct(after, case.equity) <= limit or after <= before or case.lowers_risk
    return LimitCheck(name, "pct", limit, _pct(before, case.account.equity), _pct(after, case.equity), is_ok)


def _limit(name: str, unit: LimitUnit, limit: Decimal, present: Decimal) -> LimitCheck:
    return LimitCheck(name, unit, limit, present, present, present <= limit)


def _with_order(case: _Case) -> _Pending:
    if case.lowers_risk:
        return case.pending
    quantity = case.order.quantity
    at_once = quantity if case.order.order_type is OrderType.MARKET else ZERO
    if case.order.side is Side.BUY:
        return _Pending(case.pending.buys + quantity, case.pending.sells, at_once)
    return _Pending(case.pending.buys, case.pending.sells + quantity, at_once)


def _worst_quantity(held: Decimal, pending: _Pending) -> Decimal:
    """Return the largest absolute position that the pending orders can make, also once the holding was closed."""
    resting = max(pending.buys, pending.sells) - pending.at_once
    return max(abs(held), abs(held + pending.buys), abs(held - pending.sells), resting)


def _pending(orders: Iterable[VenueOrder], symbol: str) -> _Pending:
    resting = [each for each in orders if each.request.symbol == symbol and _may_open(each)]
    buys = sum((_unfilled(each) for each in resting if each.request.side is Side.BUY), ZERO)
    sells = sum((_unfilled(each) for each in resting if each.request.side is Side.SELL), ZERO)
    return _Pending(buys, sells)


def _may_open(order: VenueOrder) -> bool:
    return not order.request.is_reduce_only and not order.status.is_final


def _unfilled(order: VenueOrder) -> Decimal:
    return order.request.quantity - order.filled_quantity


def _held(account: AccountState, symbol: str) -> Decimal:
    position = account.positions.get(symbol)
    return position.quantity if position else ZERO


def _all_pending(account: AccountState) -> dict[str, _Pending]:
    found = {symbol: _Pending() for symbol in account.positions}
    for each in account.open_orders:
        if _may_open(each):
            symbol, known = each.request.symbol, found.get(each.request.symbol, _Pending())
            if each.request.side is Side.BUY:
                found[symbol] = _Pending(known.buys + _unfilled(each), known.sells)
            else:
                found[symbol] = _Pending(known.buys, known.sells + _unfilled(each))
    return found


def _pct(part: Decimal, whole: Decimal) -> Decimal:
    if whole <= 0:
        return _RUINED_PCT if part else ZERO
    return part / whole * _HUNDRED


def _fall_pct(high: Decimal, low: Decimal) -> Decimal:
    return _pct(max(high - low, ZERO), high)
