"""Mandates: what an agent may do on a real venue without asking, as its owner confirmed it."""

from agents.mandates.permission import Permission
from agents.mandates.store import Mandates
from agents.mandates.values import (
    ALL_PAIRS,
    Allowed,
    Answer,
    AskTicket,
    Confirmation,
    Mandate,
    MandateEvent,
    MandateState,
    MandateTerms,
    Refused,
)

__all__ = [
    "ALL_PAIRS",
    "Allowed",
    "Answer",
    "AskTicket",
    "Confirmation",
    "Mandate",
    "MandateEvent",
    "MandateState",
    "MandateTerms",
    "Mandates",
    "Permission",
    "Refused",
]
