"""One book: cash, holdings at cost, fees, funding and realised profit, in double entry.

Every event (a deposit, a fill, a payment) becomes one entry whose postings sum to zero, so that to the last digit

    cash + cost of all holdings + fees = deposits + realised profit + funding

holds after any sequence of events. What is stored of a holding is its total *cost*, which is exact; the average
price is a quotient, derived for display and never used in a sum. A partial close takes its share of the cost
rounded toward zero to `COST_QUANTUM`, and what remains is the exact difference, so that no digit is lost: rounding
only moves profit, by less than the quantum, from one close to a later one.

A fee may leave the account in any asset. Taken in the asset that the fill traded, it is a disposal of that much of
the holding at the fee's worth. Taken in a third asset (`accounts` says from whom), likewise.

Sums and products run in a context of 76 digits (what a column of the database holds) that raises if a digit would
be dropped; signs change in it too, because Python's unary minus and `abs` round to the caller's context. The account
currency is USD; USDT counts one to one. Left out on purpose: interest, conversions between currencies.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import ROUND_DOWN, Context, Decimal, Inexact, InvalidOperation, Overflow

from engine.domain.orders import Fill, Position

ACCOUNT_CURRENCY = "USD"
MAIN_BOOK = "main"
"""The owner's own book; every other book belongs to an agent of the same name."""
COST_QUANTUM = Decimal("1E-12")
"""Grid of the cost that a partial close takes out, in account currency: a trillionth, far below any price step."""

ZERO = Decimal(0)
_EXACT = Context(prec=76, traps=[Inexact, InvalidOperation, Overflow])
_ROUNDING = Context(prec=76, rounding=ROUND_DOWN, traps=[InvalidOperation, Overflow])
_CURRENCY_LENGTH = 3
_DOLLARS = frozenset({"USD", "USDT"})


def exact_product(*factors: Decimal) -> Decimal:
    """Return the product with every digit.

    Raises:
        decimal.Inexact: It has more than 76 digits.
    """
    product = Decimal(1)
    for factor in factors:
        product = _EXACT.multiply(product, factor)
    return product


def exact_sum(terms: Iterable[Decimal]) -> Decimal:
    """Return the sum with every digit.

    Raises:
        decimal.Inexact: It has more than 76 digits.
    """
    total = ZERO
    for term in terms:
        total = _EXACT.add(total, term)
    return total


def negative(quantity: Decimal) -> Decimal:
    """Return the quantity with the other sign and every digit."""
    return _EXACT.minus(quantity)


def base_asset(symbol: str) -> str:
    """Return what a symbol trades.

    >>> base_asset("BTC/USDT"), base_asset("XAUUSD"), base_asset("BTC/USDT:USDT")
    ('BTC', 'XAU', 'BTC')
    """
    base, slash, _ = symbol.partition("/")
    return base if slash else symbol[:_CURRENCY_LENGTH]


def quote_asset(symbol: str) -> str:
    """Return what a symbol is priced in.

    >>> quote_asset("BTC/USDT"), quote_asset("XAUUSD")
    ('USDT', 'USD')
    """
    _, slash, quote = symbol.partition("/")
    return quote.partition(":")[0] if slash else symbol[_CURRENCY_LENGTH:]


def account_asset(asset: str) -> str:
    """Return the asset under which the account counts it: dollars of both kinds are `USD`.

    >>> account_asset("USDT"), account_asset("BTC")
    ('USD', 'BTC')
    """
    return ACCOUNT_CURRENCY if asset in _DOLLARS else asset


@dataclass(frozen=True, slots=True)
class Holding:
    """What is held of one symbol, at cost.

    Attributes:
        quantity: Signed base units.
        cost: Paid for what is held, in account currency, fees apart; below 0 when short (what was received).
        realised: Profit of what was closed, fees apart.
        fees: Fees paid in this symbol.
        funding: What was received for holding it; below 0: paid.
    """

    symbol: str
    quantity: Decimal = ZERO
    cost: Decimal = ZERO
    realised: Decimal = ZERO
    fees: Decimal = ZERO
    funding: Decimal = ZERO

    @property
    def average_price(self) -> Decimal:
        """Return cost over quantity (28 digits, for display); 0 when flat."""
        return self.cost / self.quantity if self.quantity else ZERO

    def unrealised(self, mark: Decimal) -> Decimal:
        """Return the exact profit of closing at `mark`, fees apart."""
        return _EXACT.subtract(exact_product(self.quantity, mark), self.cost)

    def position(self) -> Position:
        """Return the holding as the value that other rooms read."""
        return Position(self.symbol, self.quantity, self.average_price, self.realised, self.fees)


@dataclass(frozen=True, slots=True)
class Posting:
    """One line of an entry: a debit above 0, a credit below.

    Attributes:
        account: `cash`, `deposits`, `holding:<symbol>`, `fees:<symbol>`, `realised:<symbol>` or `funding:<symbol>`;
            of a book other than `main` followed by `@<book>`.
    """

    account: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Entry:
    """One event in the books; its postings sum to zero exactly.

    Attributes:
        kind: `deposit`, `transfer`, `fill` or `funding`.
        reference: What the event is known by (a fill's id).
        realised: Profit that it closed in the book that traded, fees apart.
    """

    kind: str
    reference: str
    postings: tuple[Posting, ...]
    realised: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class Books:
    """The state of one book, or of the whole account, after some events.

    Attributes:
        holdings: By symbol, flat ones included once traded.
    """

    cash: Decimal = ZERO
    deposits: Decimal = ZERO
    holdings: Mapping[str, Holding] = field(default_factory=dict)

    @property
    def realised(self) -> Decimal:
        """Return profit of everything closed, fees apart."""
        return exact_sum(holding.realised for holding in self.holdings.values())

    @property
    def fees(self) -> Decimal:
        """Return all fees paid."""
        return exact_sum(holding.fees for holding in self.holdings.values())

    @property
    def funding(self) -> Decimal:
        """Return what was received for holding, less what was paid."""
        return exact_sum(holding.funding for holding in self.holdings.values())

    @property
    def cost(self) -> Decimal:
        """Return the cost of everything held."""
        return exact_sum(holding.cost for holding in self.holdings.values())

    def open_holdings(self) -> dict[str, Holding]:
        """Return the holdings that are not flat."""
        return {symbol: holding for symbol, holding in self.holdings.items() if holding.quantity}

    def equity(self, marks: Mapping[str, Decimal]) -> Decimal:
        """Return cash plus holdings at the marks, exact.

        Raises:
            KeyError: A held symbol has no mark.
        """
        held = (exact_product(holding.quantity, marks[symbol]) for symbol, holding in self.open_holdings().items())
        return exact_sum((self.cash, *held))

    def imbalance(self) -> Decimal:
        """Return `cash + cost + fees − deposits − realised − funding`: 0, or the books are wrong."""
        credits = exact_sum((self.deposits, self.realised, self.funding))
        return exact_sum((self.cash, self.cost, self.fees, negative(credits)))


def post_deposit(books: Books, amount: Decimal, reference: str) -> tuple[Books, Entry]:
    """Pay money in (or out, below 0)."""
    entry = Entry("deposit", reference, (Posting("cash", amount), Posting("deposits", negative(amount))))
    after = replace(books, cash=exact_sum((books.cash, amount)), deposits=exact_sum((books.deposits, amount)))
    return after, entry


def post_asset_deposit(
    books: Books, symbol: str, quantity: Decimal, worth: Decimal, reference: str
) -> tuple[Books, Entry]:
    """Pay a holding in at its worth, in account currency; below 0 both: pay it out, at cost of what it was worth."""
    before = books.holdings.get(symbol, Holding(symbol))
    after, realised = trade(before, quantity, worth)
    postings = (
        Posting(f"holding:{symbol}", _EXACT.subtract(after.cost, before.cost)),
        Posting("deposits", negative(worth)),
        Posting(f"realised:{symbol}", negative(realised)),
    )
    held = replace(books, deposits=exact_sum((books.deposits, worth)), holdings={**books.holdings, symbol: after})
    return held, Entry("deposit", reference, postings, realised)


def post_funding(books: Books, symbol: str, amount: Decimal, reference: str) -> tuple[Books, Entry]:
    """Receive a payment for holding a symbol (below 0: pay it)."""
    before = books.holdings.get(symbol, Holding(symbol))
    after = replace(before, funding=exact_sum((before.funding, amount)))
    entry = Entry("funding", reference, (Posting("cash", amount), Posting(f"funding:{symbol}", negative(amount))))
    cash = exact_sum((books.cash, amount))
    return replace(books, cash=cash, holdings={**books.holdings, symbol: after}), entry


def post_fill(books: Books, fill: Fill) -> tuple[Books, Entry]:
    """Book one fill whose price and fee are in account currency.

    A fill against the holding closes it first, at its share of the cost; what is left over opens the other side. A
    fee that was taken in the asset that the fill traded leaves the holding at the fee's worth.
    """
    before = books.holdings.get(fill.symbol, Holding(fill.symbol))
    traded = exact_product(fill.quantity, Decimal(fill.side.sign))
    paid = exact_product(traded, fill.price)
    after, realised = trade(before, traded, paid)
    cash_change = negative(paid)
    if pays_in_kind(fill):
        after, more = trade(after, negative(fill.fee_quantity), negative(fill.fee))
        realised = exact_sum((realised, more))
    else:
        cash_change = exact_sum((cash_change, negative(fill.fee)))
    after = replace(after, fees=exact_sum((before.fees, fill.fee)))
    entry = Entry(
        "fill",
        fill.fill_id,
        (
            Posting("cash", cash_change),
            Posting(f"holding:{fill.symbol}", _EXACT.subtract(after.cost, before.cost)),
            Posting(f"fees:{fill.symbol}", fill.fee),
            Posting(f"realised:{fill.symbol}", negative(realised)),
        ),
        realised,
    )
    cash = exact_sum((books.cash, cash_change))
    return replace(books, cash=cash, holdings={**books.holdings, fill.symbol: after}), entry


def pays_in_kind(fill: Fill) -> bool:
    """Return whether a fee left the holding that the fill traded (the base asset of a spot buy)."""
    return bool(fill.fee_quantity) and fill.fee_asset == base_asset(fill.symbol)


def pays_in_third(fill: Fill) -> bool:
    """Return whether a fee left the account in an asset that the fill did not trade."""
    if not fill.fee_quantity or pays_in_kind(fill):
        return False
    return account_asset(fill.fee_asset) != account_asset(quote_asset(fill.symbol))


def trade(holding: Holding, traded: Decimal, paid: Decimal) -> tuple[Holding, Decimal]:
    """Return a holding after a signed quantity was traded for a signed sum, and the profit that it closed."""
    released, closed = _released_cost(holding, traded)
    proceeds = _share(paid, closed, traded)
    realised = negative(exact_sum((proceeds, released)))
    after = replace(
        holding,
        quantity=exact_sum((holding.quantity, traded)),
        cost=exact_sum((holding.cost, negative(released), paid, negative(proceeds))),
        realised=exact_sum((holding.realised, realised)),
    )
    return after, realised


def _share(paid: Decimal, closed: Decimal, traded: Decimal) -> Decimal:
    """Return the part of a sum that belongs to the closed part of a trade; exact when the price is."""
    if not closed:
        return ZERO
    if closed == traded:
        return paid
    context = _ROUNDING.copy()
    context.clear_flags()
    part = context.divide(exact_product(paid, closed), traded)
    return part.quantize(COST_QUANTUM, context=_ROUNDING) if context.flags[Inexact] else part


def _released_cost(holding: Holding, traded: Decimal) -> tuple[Decimal, Decimal]:
    """Return the cost that a trade takes out of a holding and the signed quantity that closes it."""
    if not holding.quantity or holding.quantity.is_signed() == traded.is_signed():
        return ZERO, ZERO
    if traded.copy_abs() >= holding.quantity.copy_abs():
        return holding.cost, negative(holding.quantity)
    share = _ROUNDING.divide(exact_product(holding.cost, traded).copy_abs(), holding.quantity.copy_abs())
    share = share.copy_sign(holding.cost)
    return share.quantize(COST_QUANTUM, context=_ROUNDING), traded


def replay(entries: Iterable[Entry]) -> dict[str, Decimal]:
    """Return the balance of every account from the journal's postings alone.

    Raises:
        ValueError: An entry does not sum to zero.
    """
    balances: dict[str, Decimal] = {}
    for entry in entries:
        if exact_sum(posting.amount for posting in entry.postings) != 0:
            raise ValueError(f"entry {entry.kind} {entry.reference!r} does not sum to zero")
        for posting in entry.postings:
            balances[posting.account] = exact_sum((balances.get(posting.account, ZERO), posting.amount))
    return balances
