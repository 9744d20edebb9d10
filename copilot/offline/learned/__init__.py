"""A small learned model beside the grammar: it names what a message is about, never what an order says."""

from copilot.offline.learned.model import Judgement, Model, Opinion, judge_message, load_model

__all__ = ["Judgement", "Model", "Opinion", "judge_message", "load_model"]
