"""The only place where typed results become sentences, in the person's language; every sentence is in `prompts`."""

from copilot.wording.answers import render_answer, render_ticket, target_told
from copilot.wording.formats import (
    format_money,
    format_number,
    format_percent,
    format_price,
    format_time,
)
from copilot.wording.messages import (
    render_error,
    render_message,
    render_notice,
    render_question,
    render_reasons,
    render_talk,
    render_voice,
    render_waiting,
)

__all__ = [
    "format_money",
    "format_number",
    "format_percent",
    "format_price",
    "format_time",
    "render_answer",
    "render_error",
    "render_message",
    "render_notice",
    "render_question",
    "render_reasons",
    "render_talk",
    "render_ticket",
    "render_voice",
    "render_waiting",
    "target_told",
]
