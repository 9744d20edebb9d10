"""The USD-M account endpoints: margin, balances, positions, income, and what an account may choose."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tests.binance.accounts import Account
from tests.binance.calls import Call
from tests.binance.errors import ApiError
from tests.binance.futures import FuturesExchange
from tests.binance.futures_values import ASSET, EIGHT, MAINTENANCE, Position
from tests.binance.public_data import PublicData
from tests.binance.rules import plain, short

ZERO = Decimal(0)


class FuturesAccountApi:
    """Answers about an account of the futures exchange."""

    def __init__(self, engine: FuturesExchange) -> None:
        self.engine = engine
        self.public = PublicData(engine)

    def endpoints(self) -> dict[tuple[str, str], tuple[Any, Any, int]]:
        """Return handler, weight and order count by method and path."""
        table: dict[tuple[str, str], tuple[Any, Any, int]] = {
            ("GET", "v1/positionSide/dual"): (self.get_dual, 30, 0),
            ("POST", "v1/positionSide/dual"): (self.set_dual, 1, 0),
            ("POST", "v1/leverage"): (self.set_leverage, 1, 0),
            ("POST", "v1/marginType"): (self.set_margin_type, 1, 0),
            ("GET", "v1/leverageBracket"): (self.brackets, 1, 0),
            ("GET", "v1/income"): (self.income, 30, 0),
            ("GET", "v1/commissionRate"): (self.commission, 20, 0),
            ("GET", "v1/multiAssetsMargin"): (lambda call: {"multiAssetsMargin": False}, 30, 0),
            ("GET", "v1/symbolConfig"): (self.symbol_config, 5, 0),
            ("GET", "v1/accountConfig"): (self.account_config, 5, 0),
        }
        for version in ("v2", "v3"):
            table |= {
                ("GET", f"{version}/account"): (self.account, 5, 0),
                ("GET", f"{version}/balance"): (self.balance, 5, 0),
                ("GET", f"{version}/positionRisk"): (self.position_risk, 5, 0),
            }
        return table

    # The account.

    def _balance(self, owner: Account) -> dict[str, Any]:
        engine = self.engine
        wallet, profit = engine.wallets[owner.name], engine.unrealized(owner)
        positions, orders = engine.position_margin(owner), engine.order_margin(owner)
        return {
            "asset": ASSET,
            "walletBalance": plain(wallet),
            "unrealizedProfit": plain(profit),
            "marginBalance": plain(wallet + profit),
            "maintMargin": plain(engine.maintenance_margin(owner)),
            "initialMargin": plain(positions + orders),
            "positionInitialMargin": plain(positions),
            "openOrderInitialMargin": plain(orders),
            "crossWalletBalance": plain(wallet),
            "crossUnPnl": plain(profit),
            "availableBalance": plain(engine.available(owner)),
            "maxWithdrawAmount": plain(engine.available(owner)),
            "updateTime": engine.clock.now_ms(),
        }

    def account(self, call: Call) -> dict[str, Any]:
        """Return margin, balances and positions."""
        row = self._balance(call.owner)
        totals = {f"total{name[0].upper()}{name[1:]}": row[name] for name in list(row)[1:-3]}
        return totals | {
            "feeTier": 0,
            "canTrade": call.owner.can_trade,
            "canDeposit": True,
            "canWithdraw": call.owner.can_withdraw,
            "multiAssetsMargin": False,
            "availableBalance": row["availableBalance"],
            "maxWithdrawAmount": row["maxWithdrawAmount"],
            "assets": [row],
            "positions": [self._account_position(call.owner, p) for p in self.engine.positions_of(call.owner)],
        }

    def balance(self, call: Call) -> list[dict[str, Any]]:
        """Return the balances."""
        row = self._balance(call.owner)
        names = ("asset", "crossWalletBalance", "crossUnPnl", "availableBalance", "maxWithdrawAmount", "updateTime")
        return [
            {name: row[name] for name in names}
            | {"accountAlias": f"a{call.owner.uid}", "balance": row["walletBalance"], "marginAvailable": True}
        ]

    def _account_position(self, owner: Account, position: Position) -> dict[str, Any]:
        mark = self.engine.mark(position.symbol)
        settings = self.engine.settings[owner.name]
        worth = position.quantity * mark
        return {
            "symbol": position.symbol,
            "positionSide": position.side,
            "positionAmt": short(position.quantity),
            "unrealizedProfit": plain(position.unrealized(mark)),
            "isolatedMargin": "0",
            "notional": plain(worth),
            "isolatedWallet": "0",
            "initialMargin": plain(abs(worth) / settings.leverage[position.symbol]),
            "maintMargin": plain(abs(worth) * MAINTENANCE),
            "entryPrice": short(position.entry.quantize(EIGHT)),
            "leverage": str(settings.leverage[position.symbol]),
            "isolated": False,
            "updateTime": position.updated_ms,
        }

    def position_risk(self, call: Call) -> list[dict[str, Any]]:
        """Return the open positions; the older version lists the empty ones as well."""
        owner, wanted = call.owner, call.text("symbol") or None
        held = self.engine.positions_of(owner, wanted)
        if call.path.startswith("/fapi/v2"):
            found = {position.symbol for position in held}
            symbols = [wanted] if wanted else list(self.engine.rules)
            held += [Position(symbol) for symbol in symbols if symbol not in found]
        return [self._risk(owner, position) for position in held]

    def _risk(self, owner: Account, position: Position) -> dict[str, Any]:
        row = self._account_position(owner, position)
        row["unRealizedProfit"] = row.pop("unrealizedProfit")
        return row | {
            "markPrice": plain(self.engine.mark(position.symbol)),
            "liquidationPrice": plain(self._liquidation_price(owner, position)),
            "breakEvenPrice": row["entryPrice"],
            "marginAsset": ASSET,
            "marginType": self.engine.settings[owner.name].margin_type[position.symbol],
            "positionInitialMargin": row["initialMargin"],
            "openOrderInitialMargin": "0",
            "adl": 1,
            "bidNotional": "0",
            "askNotional": "0",
            "maxNotionalValue": "1000000",
        }

    def _liquidation_price(self, owner: Account, position: Position) -> Decimal:
        if not position.quantity:
            return ZERO
        mark = self.engine.mark(position.symbol)
        spare = self.engine.wallets[owner.name] + self.engine.unrealized(owner) - self.engine.maintenance_margin(owner)
        side = 1 if position.quantity > 0 else -1
        return max(ZERO, mark - spare / (position.quantity * (1 - side * MAINTENANCE))).quantize(EIGHT)

    # Settings.

    def get_dual(self, call: Call) -> dict[str, bool]:
        """Tell whether long and short are held apart."""
        return {"dualSidePosition": self.engine.settings[call.owner.name].is_dual}

    def set_dual(self, call: Call) -> dict[str, Any]:
        """Hold long and short apart, or not; only while nothing is open."""
        wanted = call.need("dualSidePosition").lower() == "true"
        settings = self.engine.settings[call.owner.name]
        if wanted == settings.is_dual:
            raise ApiError(-4059, "No need to change position side.")
        if self.engine.open_orders(call.owner) or self.engine.open_algos(call.owner):
            raise ApiError(-4067, "Position side cannot be changed if there exists open orders.")
        if self.engine.positions_of(call.owner):
            raise ApiError(-4068, "Position side cannot be changed if there exists position.")
        settings.is_dual = wanted
        return {"code": 200, "msg": "success"}

    def set_leverage(self, call: Call) -> dict[str, Any]:
        """Set a symbol's leverage."""
        symbol = self.engine.rule(call.need("symbol")).symbol
        leverage = call.integer("leverage")
        if leverage is None or not 1 <= leverage <= 125:
            raise ApiError(-4028, f"Leverage {leverage} is not valid")
        self.engine.settings[call.owner.name].leverage[symbol] = leverage
        now = self.engine.clock.now_ms()
        event = {"e": "ACCOUNT_CONFIG_UPDATE", "E": now, "T": now, "ac": {"s": symbol, "l": leverage}}
        self.engine.tell(call.owner, event)
        return {"leverage": leverage, "maxNotionalValue": "1000000", "symbol": symbol}

    def set_margin_type(self, call: Call) -> dict[str, Any]:
        """Choose crossed or isolated margin; the margin itself is always counted as crossed."""
        symbol = self.engine.rule(call.need("symbol")).symbol
        wanted = call.choice("marginType", ("ISOLATED", "CROSSED"))
        name = "cross" if wanted == "CROSSED" else "isolated"
        settings = self.engine.settings[call.owner.name]
        if settings.margin_type[symbol] == name:
            raise ApiError(-4046, "No need to change margin type.")
        if self.engine.positions_of(call.owner, symbol):
            raise ApiError(-4048, "Margin type cannot be changed if there exists position.")
        settings.margin_type[symbol] = name
        return {"code": 200, "msg": "success"}

    def brackets(self, call: Call) -> list[dict[str, Any]]:
        """Return the one leverage bracket of each symbol."""
        bracket = {
            "bracket": 1,
            "initialLeverage": 125,
            "notionalCap": 1_000_000_000,
            "notionalFloor": 0,
            "maintMarginRatio": float(MAINTENANCE),
            "cum": 0,
        }
        return [{"symbol": symbol, "brackets": [bracket]} for symbol in self.public.symbols(call)]

    def income(self, call: Call) -> list[dict[str, Any]]:
        """Return the changes of the wallet, oldest first."""
        kind, symbol, start = call.text("incomeType"), call.text("symbol"), call.integer("startTime")
        rows = [
            {
                "symbol": row.symbol,
                "incomeType": row.kind,
                "income": plain(row.amount),
                "asset": ASSET,
                "info": row.kind,
                "time": row.time_ms,
                "tranId": row.number,
                "tradeId": str(row.trade_id or ""),
            }
            for row in self.engine.incomes
            if row.account == call.owner.name
            and kind in ("", row.kind)
            and symbol in ("", row.symbol)
            and (start is None or row.time_ms >= start)
        ]
        limit = call.limit(100, 1000)
        return rows[-limit:] if start is None else rows[:limit]

    def commission(self, call: Call) -> dict[str, str]:
        """Return the fee rates of a symbol."""
        owner = call.owner
        return {
            "symbol": self.engine.rule(call.need("symbol")).symbol,
            "makerCommissionRate": plain(owner.futures_maker_fee),
            "takerCommissionRate": plain(owner.futures_taker_fee),
        }

    def symbol_config(self, call: Call) -> list[dict[str, Any]]:
        """Return leverage and margin type of the symbols."""
        settings = self.engine.settings[call.owner.name]
        return [
            {
                "symbol": symbol,
                "marginType": "CROSSED" if settings.margin_type[symbol] == "cross" else "ISOLATED",
                "isAutoAddMargin": False,
                "leverage": settings.leverage[symbol],
                "maxNotionalValue": "1000000",
            }
            for symbol in self.public.symbols(call)
        ]

    def account_config(self, call: Call) -> dict[str, Any]:
        """Return the account's settings."""
        return {
            "feeTier": 0,
            "canTrade": call.owner.can_trade,
            "canDeposit": True,
            "canWithdraw": call.owner.can_withdraw,
            "dualSidePosition": self.engine.settings[call.owner.name].is_dual,
            "updateTime": 0,
            "multiAssetsMargin": False,
            "tradeGroupId": -1,
        }
