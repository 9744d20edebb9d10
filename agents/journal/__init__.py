"""The journal of decisions: why an agent did what it did, from records alone."""

from agents.journal.journal import DecisionJournal
from agents.journal.values import (
    Decision,
    DecisionQuery,
    Explanation,
    Fact,
    FactKind,
    Inputs,
    LimitNote,
    QuietCount,
    RoundTrip,
    SignalNote,
    Step,
    Verdict,
    WishKind,
    WishNote,
)

__all__ = [
    "Decision",
    "DecisionJournal",
    "DecisionQuery",
    "Explanation",
    "Fact",
    "FactKind",
    "Inputs",
    "LimitNote",
    "QuietCount",
    "RoundTrip",
    "SignalNote",
    "Step",
    "Verdict",
    "WishKind",
    "WishNote",
]
