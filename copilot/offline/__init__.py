"""Offline language understanding: what people say becomes tool calls, questions or talk, without any server."""

from copilot.offline.parser import parse
from copilot.offline.values import CONCEPTS, QUESTIONS, TALK, Call, Decision, Question, Turn

__all__ = ["CONCEPTS", "QUESTIONS", "TALK", "Call", "Decision", "Question", "Turn", "parse"]
