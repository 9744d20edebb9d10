"""`execute_trade`: a ticket with exact terms, or the reasons why there can be none. Nothing is sent from here."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from agents.execution.desk import Desk
from agents.risk.values import LimitCheck, RiskLimits
from engine.domain.errors import CopilotError, DataUnavailable, InvalidRequest
from engine.domain.market import Instrument
from engine.domain.orders import OrderType, Side
from engine.domain.protocols import MarketData
from engine.domain.signals import Direction, Signal
from engine.ledger import ACCOUNT_CURRENCY, exact_product, exact_sum
from tools.drafting import Draft, NoRoom, NothingToClose, Situation, StopHint, check_price, draft_order, held
from tools.profile import Profiles
from tools.results import TicketRefused, TicketTerms
from tools.schema import ExecuteTrade

_DRAFT_ID = "draft"
_BPS = Decimal(10_000)
_ATR_STOP = Decimal("1.5")
"""Stop distance in average true ranges when neither the person nor a signal names one."""
_SAME_DIRECTION = {"buy": Direction.LONG, "sell": Direction.SHORT}


class SignalSource(Protocol):
    """The ML engine as the tools see it."""

    def signal(self, symbol: str, timeframe: str) -> Signal:
        """Return the present signal.

        Raises:
            DataUnavailable: There is no model or there are too few bars; the message says what to do.
        """
        ...

    def average_true_range(self, symbol: str, timeframe: str) -> float:
        """Return Wilder's ATR(14) of the last closed bar, in quote currency.

        Raises:
            DataUnavailable: There are too few bars.
        """
        ...


@dataclass(frozen=True, slots=True)
class TradeDrafts:
    """Drafts trades against the market, the account and the limits of this moment."""

    desk: Desk
    market: MarketData
    profiles: Profiles
    signals: SignalSource
    limits: RiskLimits
    max_drift_bps: int

    async def draft(self, asked: ExecuteTrade, owner: str) -> TicketTerms | TicketRefused:
        """Return exact terms, or the reasons against them.

        Raises:
            InvalidRequest: The request contradicts itself or the market.
            DataUnavailable: No price.
            VenueUnavailable: The account cannot be read.
        """
        instrument = self._instrument(asked.symbol)
        quote = self.market.quote(asked.symbol)
        account = await self.desk.account()
        risk_pct = self.profiles.get(owner).risk_per_trade_pct
        hint = await asyncio.to_thread(self._stop_hint, asked)
        situation = Situation(instrument, quote, account, self.limits, risk_pct, hint)
        try:
            draft = draft_order(asked, situation, _DRAFT_ID)
        except NothingToClose as error:
            return _refused(asked, (error.code,))
        except NoRoom as error:
            return _refused(asked, (error.code,), await self.desk.limits())
        report = await self.desk.assess(draft.order)
        if not report.is_allowed:
            return _refused(asked, report.reasons, report.checks, quantity=draft.order.quantity)
        return self._terms(draft, situation, report.checks)

    async def are_stale(self, terms: TicketTerms) -> bool:
        """Return whether terms no longer say what would happen.

        The market has moved too far from a market order's price, or has made a limit or stop senseless; or the
        position is another one than the owner saw, so that the same order would do something else to it.

        Raises:
            DataUnavailable: No price.
            VenueUnavailable: The account cannot be read.
        """
        quote, side = self.market.quote(terms.symbol), Side(terms.side)
        if terms.price is None:
            touch = quote.ask if side is Side.BUY else quote.bid
            if abs(touch - terms.expected_price) * _BPS > terms.max_drift_bps * terms.expected_price:
                return True
        else:
            try:
                check_price(OrderType(terms.order_type), side, terms.price, quote)
            except InvalidRequest:
                return True
        return held(await self.desk.account(), terms.symbol) != terms.position_before

    def _terms(self, draft: Draft, situation: Situation, limits: tuple[LimitCheck, ...]) -> TicketTerms:
        order, account, sign = draft.order, situation.account, Decimal(draft.order.side.sign)
        held_after = exact_sum((situation.held, exact_product(sign, order.quantity)))
        mid = situation.quote.mid
        exposure_after = account.exposure + (abs(held_after) - abs(situation.held)) * mid
        return TicketTerms(
            symbol=order.symbol,
            side=order.side.value,
            is_close=draft.is_close,
            order_type=order.order_type.value,
            quantity=order.quantity,
            price=order.price,
            expected_price=draft.expected_price,
            notional=draft.notional,
            fee=draft.fee,
            currency=ACCOUNT_CURRENCY,
            stop_loss=order.stop_loss,
            take_profit=order.take_profit,
            cash_before=account.cash,
            cash_after=exact_sum((account.cash, exact_product(-sign, draft.notional), draft.fee.copy_negate())),
            exposure_before=account.exposure,
            exposure_after=exposure_after,
            position_before=situation.held,
            position_after=held_after,
            limits=limits,
            sizing=draft.sizing,
            venue=self.desk.venue_name,
            is_simulated=self.market.is_simulated,
            quote_at=situation.quote.at,
            max_drift_bps=self.max_drift_bps,
        )

    def _instrument(self, symbol: str) -> Instrument:
        instruments: Mapping[str, Instrument] = self.market.instruments()
        if symbol not in instruments:
            raise InvalidRequest("unknown_instrument", symbol=symbol)
        return instruments[symbol]

    def _stop_hint(self, asked: ExecuteTrade) -> StopHint | None:
        if asked.amount is not None or asked.side == "close":
            return None
        try:
            signal = self.signals.signal(asked.symbol, "1h")
        except CopilotError:
            signal = None
        if signal is not None and signal.direction is _SAME_DIRECTION[asked.side]:
            return StopHint(_exact(abs(signal.entry - signal.stop)), "signal")
        try:
            return StopHint(_exact(self.signals.average_true_range(asked.symbol, "1h")) * _ATR_STOP, "atr")
        except DataUnavailable:
            return None


def edit_request(asked: ExecuteTrade, changes: Mapping[str, Decimal]) -> ExecuteTrade:
    """Return the request with a new quantity, price, stop loss or take profit."""
    fields = dict(changes)
    update: dict[str, object] = {}
    if "quantity" in fields:
        update |= {"amount": fields.pop("quantity"), "unit": "base"}
    if "stop_loss" in fields:
        update["stop_loss_pct"] = None
    if "take_profit" in fields:
        update["take_profit_pct"] = None
    if "price" in fields and asked.order_type == "market":
        raise InvalidRequest("price_with_market", symbol=asked.symbol)
    return ExecuteTrade.model_validate(asked.model_dump() | update | fields)


def as_request(asked: ExecuteTrade, terms: TicketTerms) -> ExecuteTrade:
    """Return the request whose size and protection are those that the terms settled on."""
    settled = {"amount": terms.quantity, "unit": "base", "stop_loss": terms.stop_loss, "take_profit": terms.take_profit}
    return asked.model_copy(update=settled | {"stop_loss_pct": None, "take_profit_pct": None})


def _exact(value: float) -> Decimal:
    return Decimal(repr(float(value)))


def _refused(
    asked: ExecuteTrade, reasons: tuple[str, ...], limits: tuple[LimitCheck, ...] = (), **params: object
) -> TicketRefused:
    return TicketRefused(
        symbol=asked.symbol,
        side=asked.side,
        reasons=reasons,
        limits=limits,
        params={key: str(value) for key, value in params.items()},
    )
