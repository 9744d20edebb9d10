"""Who trades and what they own: Decimal balances with a locked part, moved and never made.

Every amount moves from one wallet to another, so that the sum of an asset over all wallets is always zero:
what came in from outside stands as a negative balance of `outside`, the market's makers trade from `house`,
and fees gather in `fees`. Only these three may go below zero.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal

from tests.binance.errors import insufficient_balance

ZERO = Decimal(0)
UNBOUNDED = ("house", "fees", "outside")


@dataclass(slots=True)
class Wallet:
    """What one account owns."""

    free: defaultdict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    locked: defaultdict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))

    def total(self, asset: str) -> Decimal:
        """Return free and locked together."""
        return self.free[asset] + self.locked[asset]

    def assets(self) -> list[str]:
        """Return the assets ever held, by name."""
        return sorted(self.free.keys() | self.locked.keys())


@dataclass(slots=True)
class Account:
    """One API key with its rights, fee rates and wallet."""

    name: str
    key: str = ""
    secret: str = ""
    uid: int = 0
    can_trade: bool = True
    can_withdraw: bool = False
    can_futures: bool = True
    ip_allowed: tuple[str, ...] = ()
    maker_fee: Decimal = Decimal("0.001")
    taker_fee: Decimal = Decimal("0.001")
    futures_maker_fee: Decimal = Decimal("0.0002")
    futures_taker_fee: Decimal = Decimal("0.0005")
    pays_in_bnb: bool = False
    fee_asset: str = "received"
    wallet: Wallet = field(default_factory=Wallet)

    @property
    def is_house(self) -> bool:
        """Tell whether this is the other side of the market, which needs no balance."""
        return self.name in UNBOUNDED


class Ledger:
    """Moves amounts between the wallets of all accounts."""

    def __init__(self) -> None:
        self.accounts: dict[str, Account] = {name: Account(name) for name in UNBOUNDED}

    @property
    def house(self) -> Account:
        """Return the account of the market's makers."""
        return self.accounts["house"]

    def add(self, account: Account) -> Account:
        """Open an account."""
        if account.name in self.accounts:
            raise ValueError(f"there is an account {account.name!r} already")
        account.uid = 1000 + len(self.accounts)
        self.accounts[account.name] = account
        return account

    def move(self, asset: str, amount: Decimal, source: Account, target: Account) -> None:
        """Move a free amount; a person's account never goes below zero."""
        if amount < 0:
            raise ValueError(f"an amount moves forward, not {amount} {asset}")
        if not source.is_house and source.wallet.free[asset] < amount:
            raise insufficient_balance()
        source.wallet.free[asset] -= amount
        target.wallet.free[asset] += amount

    def deposit(self, account: Account, asset: str, amount: Decimal) -> None:
        """Bring an amount in from outside."""
        self.move(asset, amount, self.accounts["outside"], account)

    def withdraw(self, account: Account, asset: str, amount: Decimal) -> None:
        """Take a free amount outside."""
        self.move(asset, amount, account, self.accounts["outside"])

    def lock(self, account: Account, asset: str, amount: Decimal) -> None:
        """Set an amount aside for an order."""
        if account.is_house:
            return
        if account.wallet.free[asset] < amount:
            raise insufficient_balance()
        account.wallet.free[asset] -= amount
        account.wallet.locked[asset] += amount

    def unlock(self, account: Account, asset: str, amount: Decimal) -> None:
        """Give back what was set aside."""
        if account.is_house:
            return
        if account.wallet.locked[asset] < amount:
            raise AssertionError(f"{account.name} has not {amount} {asset} locked")
        account.wallet.locked[asset] -= amount
        account.wallet.free[asset] += amount

    def total(self, asset: str) -> Decimal:
        """Return the sum of an asset over all wallets, outside included: always zero."""
        return sum((account.wallet.total(asset) for account in self.accounts.values()), ZERO)

    def assets(self) -> set[str]:
        """Return every asset that any wallet has held."""
        return {asset for account in self.accounts.values() for asset in account.wallet.assets()}
