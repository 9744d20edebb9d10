"""One request as the exchange reads it, and the table of what it answers to."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

from tests.binance.accounts import Account
from tests.binance.errors import ApiError, illegal_characters, key_refused, missing_parameter

CLIENT_ID = re.compile(r"^[\.A-Z\:/a-z0-9_-]{1,36}$")
CLIENT_ID_PATTERN = r"^[\.A-Z\:/a-z0-9_-]{1,36}$"
CLIENT_ID_NAMES = (
    "newClientOrderId",
    "clientAlgoId",
    "origClientOrderId",
    "listClientOrderId",
    "aboveClientOrderId",
    "belowClientOrderId",
    "limitClientOrderId",
    "stopClientOrderId",
    "workingClientOrderId",
    "pendingClientOrderId",
    "pendingAboveClientOrderId",
    "pendingBelowClientOrderId",
)
DAY_MS = 86_400_000
DECIMAL = re.compile(r"^([0-9]{1,20})(\.[0-9]{1,20})?$")


@dataclass(slots=True)
class Call:
    """A request with its parameters, whichever way it came.

    Args:
        method: HTTP method.
        path: Path without the host, such as `/api/v3/order`.
        params: Query and body together, as text.
        api_key: Key of the header or of the parameters.
        ip: Address it came from.
        at_ms: Exchange time of its arrival.
        way: `rest` or `ws`.
        signed_text: What the signature covers.
        account: Whose request it is, once known.
        fault: Name of the fault that met it, empty for none.
        status: HTTP status of the answer; 0 while there is none.
        answer: Body of the answer.
    """

    method: str
    path: str
    params: dict[str, str]
    api_key: str = ""
    ip: str = "127.0.0.1"
    at_ms: int = 0
    way: str = "rest"
    signed_text: str = ""
    account: Account | None = None
    fault: str = ""
    status: int = 0
    answer: Any = None
    accepted: bool = False
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def client_ids(self) -> list[str]:
        """Return every client order id that the request names."""
        return [self.params[name] for name in CLIENT_ID_NAMES if self.params.get(name)]

    @property
    def owner(self) -> Account:
        """Return the account, or refuse a request that has none."""
        if self.account is None:
            raise key_refused()
        return self.account

    def text(self, name: str, default: str = "") -> str:
        """Return a parameter as text."""
        return self.params.get(name, default)

    def need(self, name: str) -> str:
        """Return a parameter that must be there."""
        value = self.params.get(name, "")
        if not value:
            raise missing_parameter(name)
        return value

    def integer(self, name: str) -> int | None:
        """Return a parameter as a whole number, None when it is absent."""
        value = self.params.get(name)
        if value in (None, ""):
            return None
        if not re.fullmatch(r"-?\d{1,18}", str(value)):
            raise illegal_characters(name, "^[0-9]{1,20}$")
        return int(str(value))

    def limit(self, default: int, most: int) -> int:
        """Return how many rows are asked for, never more than the endpoint gives."""
        value = self.integer("limit")
        if value is None:
            return default
        if value <= 0:
            raise ApiError(-1130, "Data sent for parameter 'limit' is not valid.")
        return min(value, most)

    def span(self) -> tuple[int | None, int | None]:
        """Return start and end of a time range, refusing one of more than a day."""
        start, end = self.integer("startTime"), self.integer("endTime")
        if start is not None and end is not None and end - start > DAY_MS:
            raise ApiError(-1127, "More than 24 hours between startTime and endTime.")
        return start, end

    def decimal(self, name: str) -> Decimal | None:
        """Return a parameter as a number, None when it is absent."""
        value = self.params.get(name)
        if value in (None, ""):
            return None
        if not DECIMAL.match(str(value)):
            raise illegal_characters(name, "^([0-9]{1,20})(\\.[0-9]{1,20})?$")
        try:
            return Decimal(str(value))
        except InvalidOperation as error:
            raise illegal_characters(name, "^([0-9]{1,20})(\\.[0-9]{1,20})?$") from error

    def need_decimal(self, name: str) -> Decimal:
        """Return a number that must be there."""
        self.need(name)
        value = self.decimal(name)
        assert value is not None
        return value

    def flag(self, name: str) -> bool:
        """Return a parameter as a truth value."""
        return self.params.get(name, "").lower() == "true"

    def choice(self, name: str, allowed: tuple[str, ...], default: str = "") -> str:
        """Return a parameter that must be one of a few words."""
        value = self.params.get(name, "") or default
        if not value:
            raise missing_parameter(name)
        if value not in allowed:
            codes = {"side": -1117, "type": -1116, "timeInForce": -1115, "interval": -1120}
            words = {"side": "side", "type": "orderType", "timeInForce": "timeInForce", "interval": "interval"}
            raise ApiError(codes.get(name, -1130), f"Invalid {words.get(name, name)}.")
        return value

    def client_id(self, name: str) -> str:
        """Return a client's id, empty when absent; refuse one with other characters or above 36 of them."""
        value = self.params.get(name, "")
        if value and not CLIENT_ID.match(value):
            raise illegal_characters(name, CLIENT_ID_PATTERN)
        return value


Handler = Callable[[Call], Any]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What answers one path.

    Args:
        handler: Turns a call into the JSON answer.
        weight: Request weight; by number of symbols it can be a function.
        security: `none`, `key` (header only) or `signed`.
        orders: How many orders it counts for the order limits.
        needs_trading: Refused to a key without the right to trade.
    """

    handler: Handler
    weight: int | Callable[[Call], int] = 1
    security: str = "none"
    orders: int = 0
    needs_trading: bool = False

    def cost(self, call: Call) -> int:
        """Return the weight of one call."""
        return self.weight if isinstance(self.weight, int) else self.weight(call)
