"""Whether the live market may be used, and what a key may do: a pure decision from three independent things.

Live needs a setting that names it, a key that cannot withdraw (asked from the exchange, not believed), and words that
the owner typed for this very key. What is missing is said by code; nothing is allowed because a check could not run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agents.execution.binance.gateway import Call, Gateway
from agents.execution.binance.replies import Failure
from engine.domain.errors import VenueUnavailable

LIVE_SETTING = "binance"
CONFIRMATION = "TRADE REAL MONEY"
"""What the owner types, followed by a space and the key's fingerprint."""
_TROUBLING = (
    ("enableWithdrawals", "key_can_withdraw"),
    ("enableInternalTransfer", "key_can_transfer"),
    ("permitsUniversalTransfer", "key_can_transfer"),
)


@dataclass(frozen=True, slots=True)
class KeyPermissions:
    """What an API key may do.

    Attributes:
        is_known: Whether the exchange told; a testnet has no such question.
        can_trade: Spot and margin trading.
        troubles: Codes of rights that it should not have.
        is_restricted: Whether it is bound to addresses.
    """

    is_known: bool
    can_trade: bool = False
    troubles: tuple[str, ...] = ()
    is_restricted: bool = False


@dataclass(frozen=True, slots=True)
class LiveGate:
    """The decision whether the live market may be used.

    Attributes:
        reasons: Codes of what is missing: `not_selected`, `key_unchecked`, `key_can_withdraw`, `key_can_transfer`,
            `key_cannot_trade`, `not_confirmed`, `confirmed_other_key`.
    """

    is_allowed: bool
    reasons: tuple[str, ...]


def decide_live(
    setting: str, permissions: KeyPermissions | None, confirmation: str | None, *, fingerprint: str
) -> LiveGate:
    """Return whether the live market may be used, with everything that is missing.

    Args:
        setting: Which venue the owner's settings name.
        permissions: What the exchange said of the key; None when it was not asked.
        confirmation: What the owner typed and was stored; None when nothing was.
        fingerprint: Of the key that would be used (`fingerprint_of`).
    """
    reasons = [] if setting == LIVE_SETTING else ["not_selected"]
    reasons += ["key_unchecked"] if permissions is None else lacking(permissions)
    words = " ".join((confirmation or "").split())
    if not words.startswith(CONFIRMATION):
        reasons.append("not_confirmed")
    elif words != f"{CONFIRMATION} {fingerprint}":
        reasons.append("confirmed_other_key")
    return LiveGate(not reasons, tuple(reasons))


def lacking(permissions: KeyPermissions) -> list[str]:
    """Return the codes of what a key lacks, or may do and should not."""
    if not permissions.is_known:
        return ["key_unchecked"]
    return [*permissions.troubles, *([] if permissions.can_trade else ["key_cannot_trade"])]


def fingerprint_of(key: str) -> str:
    """Return a short name of a key that tells keys apart and gives nothing away: eight hexadecimal digits."""
    return hashlib.sha256(key.encode()).hexdigest()[:8]


def read_permissions(answer: Mapping[str, Any]) -> KeyPermissions:
    """Return what the exchange said of a key; a right that it does not speak of counts as given."""
    if "enableWithdrawals" not in answer or "enableSpotAndMarginTrading" not in answer:
        return KeyPermissions(is_known=False)
    troubles = [code for name, code in _TROUBLING if answer.get(name, False) is not False]
    return KeyPermissions(
        is_known=True,
        can_trade=answer.get("enableSpotAndMarginTrading") is True,
        troubles=tuple(dict.fromkeys(troubles)),
        is_restricted=answer.get("ipRestrict") is True,
    )


async def check_keys(gateway: Gateway, *, has_endpoint: bool) -> KeyPermissions:
    """Ask the exchange what the key may do; `is_known` is False where there is no such question (test networks).

    Raises:
        VenueUnavailable: It did not answer.
    """
    if not has_endpoint:
        return KeyPermissions(is_known=False)
    try:
        answer = await gateway.read(Call("sapiGetAccountApiRestrictions"))
    except Failure as failure:
        raise VenueUnavailable(f"what the key may do: {failure}") from failure
    if not isinstance(answer, dict):
        raise VenueUnavailable("what the key may do: an answer that is no object")
    return read_permissions(answer)
