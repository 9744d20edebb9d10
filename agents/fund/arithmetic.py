"""Exact arithmetic of a fund: what is rounded, to which step, and in whose favour.

Money that moves comes in whole cents, units in steps of 1e-8, the price of a unit in steps of 1e-10. A unit is dealt
at a price rounded for the fund: up for who comes in, down for who goes out. Every digit that a rounding leaves over
is booked to the fund's `rounding` account and shared by all holders at the next valuation, so that it is never lost
and never anyone's gain. Quotients are made in whole steps, with no digit dropped on the way.
"""

from __future__ import annotations

from decimal import Context, Decimal, DivisionByZero, Inexact, InvalidOperation, Overflow

from engine.ledger import exact_product, exact_sum

ZERO = Decimal(0)
CENT = Decimal("0.01")
"""Step of money that is paid in, paid out or charged."""
UNIT_STEP = Decimal("1E-8")
PRICE_STEP = Decimal("1E-10")
MEMO_STEP = Decimal("1E-12")
"""Step of what is only remembered: marks, hurdles, fees that accrue."""

_EXACT = Context(prec=120, traps=[Inexact, InvalidOperation, Overflow, DivisionByZero])


def negative(value: Decimal) -> Decimal:
    """Return minus the value with every digit; zero stays plain zero."""
    return value.copy_negate() if value else ZERO


def difference(minuend: Decimal, *subtrahends: Decimal) -> Decimal:
    """Return the exact difference."""
    return exact_sum((minuend, *(negative(each) for each in subtrahends)))


def divided(numerator: Decimal, denominator: Decimal, step: Decimal, *, is_up: bool = False) -> Decimal:
    """Return a quotient in whole steps, toward zero or, if asked, up.

    >>> divided(Decimal(10), Decimal(3), CENT), divided(Decimal(10), Decimal(3), CENT, is_up=True)
    (Decimal('3.33'), Decimal('3.34'))

    Args:
        numerator: At least 0.
        denominator: Above 0.
        step: Of the result, above 0.
        is_up: Whether what is left over counts as a whole step.

    Raises:
        ValueError: A sign is wrong.
    """
    if numerator < 0 or denominator <= 0:
        raise ValueError(f"cannot divide {numerator} by {denominator} in steps")
    one = _EXACT.multiply(denominator, step)
    steps, rest = _EXACT.divmod(numerator, one)
    if is_up and rest:
        steps = _EXACT.add(steps, Decimal(1))
    return exact_product(steps, step)


def stepped(value: Decimal, step: Decimal, *, is_up: bool = False) -> Decimal:
    """Return a value of at least 0 in whole steps, toward zero or, if asked, up."""
    return divided(value, Decimal(1), step, is_up=is_up)


def is_in_cents(amount: Decimal) -> bool:
    """Tell whether money comes in whole cents."""
    return amount == stepped(amount.copy_abs(), CENT).copy_sign(amount)
