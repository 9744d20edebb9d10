"""The wallet endpoints that clients call on load, listen keys, and order counts."""

from __future__ import annotations

import hashlib
from typing import Any

from tests.binance.accounts import Account
from tests.binance.calls import Call, Endpoint
from tests.binance.clock import Clock
from tests.binance.errors import ApiError
from tests.binance.futures import FuturesExchange
from tests.binance.futures_values import ASSET
from tests.binance.limits import Limits
from tests.binance.rules import plain
from tests.binance.spot_api import SpotApi
from tests.binance.streams import Hub

KEY_LIFE_MS = 60 * 60 * 1000


class ListenKeys:
    """Listen keys of one kind of market: one a person, alive for an hour after each sign of life."""

    def __init__(self, hub: Hub, clock: Clock, kind: str) -> None:
        self.hub = hub
        self.clock = clock
        self.kind = kind
        self._made = 0

    def endpoints(self, path: str) -> dict[tuple[str, str], Endpoint]:
        """Return the three methods of a listen-key path."""
        return {
            ("POST", path): Endpoint(self.create, 2, "key"),
            ("PUT", path): Endpoint(self.keep, 2, "key"),
            ("DELETE", path): Endpoint(self.close, 2, "key"),
        }

    def of(self, account: Account) -> str | None:
        """Return an account's living key."""
        self.expire_old()
        for key, (kind, owner, _) in self.hub.listen_keys.items():
            if kind == self.kind and owner is account:
                return key
        return None

    def create(self, call: Call) -> dict[str, str]:
        """Return the account's key, a new one when it has none."""
        key = self.of(call.owner) or self._new(call.owner)
        self.hub.listen_keys[key] = (self.kind, call.owner, self.clock.now_ms() + KEY_LIFE_MS)
        return {"listenKey": key}

    def _new(self, account: Account) -> str:
        """Return a key that looks random and is the same in every run."""
        self._made += 1
        return hashlib.sha256(f"{self.kind}:{account.key}:{self._made}".encode()).hexdigest()

    def _own(self, call: Call) -> str:
        key = call.text("listenKey") or (self.of(call.owner) if self.kind == "futures" else None) or ""
        self.expire_old()
        known = self.hub.listen_keys.get(key)
        if known is None or known[0] != self.kind or known[1] is not call.owner:
            raise ApiError(-1125, "This listenKey does not exist.")
        return key

    def keep(self, call: Call) -> dict[str, str]:
        """Let a key live for another hour."""
        key = self._own(call)
        self.hub.listen_keys[key] = (self.kind, call.owner, self.clock.now_ms() + KEY_LIFE_MS)
        return {"listenKey": key} if self.kind == "futures" else {}

    def close(self, call: Call) -> dict[str, str]:
        """End a key and its streams."""
        self.drop(self._own(call), tells=False)
        return {}

    def drop(self, key: str, tells: bool = True) -> None:
        """End a key; its streams are told, and get nothing more."""
        _, account, _ = self.hub.listen_keys.pop(key)
        event = {"e": "listenKeyExpired", "E": self.clock.now_ms(), "listenKey": key}
        for connection in tuple(self.hub.connections):
            if connection.listen_keys.pop(key, None) is account and tells:
                connection.send({"stream": key, "data": event} if connection.is_combined else event)

    def expire_old(self) -> None:
        """End the keys whose hour is over."""
        now = self.clock.now_ms()
        for key, (kind, _, until) in tuple(self.hub.listen_keys.items()):
            if kind == self.kind and until <= now:
                self.drop(key)


class WalletApi:
    """Answers under `/sapi`, and the counts of orders."""

    def __init__(self, spot: SpotApi, futures: FuturesExchange, limits: Limits) -> None:
        self.spot = spot
        self.futures = futures
        self.limits = limits

    def endpoints(self) -> dict[tuple[str, str], Endpoint]:
        """Return the table of paths."""
        root = "/sapi/v1"
        return {
            ("GET", f"{root}/capital/config/getall"): Endpoint(self.coins, 10, "signed"),
            ("GET", f"{root}/account/apiRestrictions"): Endpoint(self.rights, 1, "signed"),
            ("POST", f"{root}/asset/transfer"): Endpoint(self.transfer, 1, "signed", needs_trading=True),
            ("GET", f"{root}/account/status"): Endpoint(lambda call: {"data": "Normal"}, 1, "signed"),
            ("GET", f"{root}/asset/tradeFee"): Endpoint(self.fees, 1, "signed"),
            ("GET", f"{root}/bnbBurn"): Endpoint(self.burn, 1, "signed"),
            ("GET", f"{root}/margin/allPairs"): Endpoint(lambda call: [], 1, "key"),
            ("GET", f"{root}/margin/isolated/allPairs"): Endpoint(lambda call: [], 10, "signed"),
            ("GET", f"{root}/system/status"): Endpoint(lambda call: {"status": 0, "msg": "normal"}),
            ("GET", "/api/v3/rateLimit/order"): Endpoint(self.order_counts, 40, "signed"),
            ("GET", "/dapi/v1/exchangeInfo"): Endpoint(lambda call: {"timezone": "UTC", "symbols": []}),
            ("GET", "/dapi/v1/time"): Endpoint(lambda call: {"serverTime": self.spot.engine.clock.now_ms()}),
        }

    def coins(self, call: Call) -> list[dict[str, Any]]:
        """Return every asset with one network."""
        wallet = call.owner.wallet
        return [
            {
                "coin": asset,
                "depositAllEnable": True,
                "withdrawAllEnable": True,
                "name": asset,
                "free": plain(wallet.free[asset]),
                "locked": plain(wallet.locked[asset]),
                "freeze": "0",
                "withdrawing": "0",
                "ipoing": "0",
                "ipoable": "0",
                "storage": "0",
                "isLegalMoney": asset in ("EUR", "USD"),
                "trading": True,
                "networkList": [
                    {
                        "network": "BSC",
                        "coin": asset,
                        "withdrawIntegerMultiple": "0.00000001",
                        "isDefault": True,
                        "depositEnable": True,
                        "withdrawEnable": True,
                        "name": "BNB Smart Chain (BEP20)",
                        "withdrawFee": "0.0001",
                        "withdrawMin": "0.001",
                        "withdrawMax": "1000000",
                    }
                ],
            }
            for asset in self.spot.assets(wallet.assets())
        ]

    def rights(self, call: Call) -> dict[str, Any]:
        """Return what the key may do."""
        owner = call.owner
        return {
            "ipRestrict": bool(owner.ip_allowed),
            "createTime": self.spot.engine.clock.now_ms() - 86_400_000,
            "enableReading": True,
            "enableWithdrawals": owner.can_withdraw,
            "enableInternalTransfer": False,
            "permitsUniversalTransfer": False,
            "enableVanillaOptions": False,
            "enableMargin": False,
            "enableFutures": owner.can_futures,
            "enableFixApiTrade": False,
            "enableFixReadOnly": False,
            "enableSpotAndMarginTrading": owner.can_trade,
            "enablePortfolioMarginTrading": False,
        }

    def transfer(self, call: Call) -> dict[str, int]:
        """Move USDT between the spot and the futures wallet."""
        kind = call.choice("type", ("MAIN_UMFUTURE", "UMFUTURE_MAIN"))
        amount, owner = call.need_decimal("amount"), call.owner
        if call.need("asset") != ASSET:
            raise ApiError(-4018, "We don't have this asset.")
        if kind == "MAIN_UMFUTURE":
            self.spot.engine.deposit(owner, ASSET, -amount)
            self.futures.deposit(owner, amount)
        else:
            if amount > self.futures.available(owner):
                raise ApiError(-4026, "You have insufficient balance.")
            self.futures.deposit(owner, -amount)
            self.spot.engine.deposit(owner, ASSET, amount)
        return {"tranId": self.futures.number("transfer")}

    def fees(self, call: Call) -> list[dict[str, str]]:
        """Return the fee rates of all symbols, or of one."""
        owner = call.owner
        return [
            {
                "symbol": symbol,
                "makerCommission": plain(owner.maker_fee),
                "takerCommission": plain(owner.taker_fee),
            }
            for symbol in self.spot.public.symbols(call)
        ]

    def burn(self, call: Call) -> dict[str, bool]:
        """Tell whether fees are paid in BNB."""
        return {"spotBNBBurn": call.owner.pays_in_bnb, "interestBNBBurn": False}

    def order_counts(self, call: Call) -> list[dict[str, Any]]:
        """Return how many orders were sent in each window."""
        rows = self.limits.usage(call.ip, call.owner.name, self.spot.engine.clock.now_ms())
        return [row for row in rows if row["rateLimitType"] == "ORDERS"]
