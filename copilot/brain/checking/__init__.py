"""Decides, while a model's answer streams, whether the text may stand; else the plain answer takes its place.

The model only words what tools found. Code, not the model's goodwill, guarantees that no number, deed, direction or
instrument appears that no result and no message of the person holds.
"""

from copilot.brain.checking.caught import Caught, Reason
from copilot.brain.checking.collecting import facts_from
from copilot.brain.checking.facts import Fact, Facts
from copilot.brain.checking.stream import MAX_LENGTH, CheckedStream, check_text

__all__ = ["MAX_LENGTH", "Caught", "CheckedStream", "Fact", "Facts", "Reason", "check_text", "facts_from"]
