"""A ticket in a chat: its terms as text, its answers as buttons that carry the id and the nonce and nothing else."""

from __future__ import annotations

import re
from html import escape

from telegram import InlineKeyboardButton, InlineKeyboardMarkup

from copilot.web.card import card_props
from copilot.wording import format_time
from prompts import load_words
from tools.decisions import Asked

BUTTON = re.compile(
    r"(?P<act>[aref]):(?P<ticket>\d{1,10}):(?P<nonce>[\w-]{1,40})(?::(?P<field>[a-z_]{1,40}))?",
    re.ASCII,
)

_DATA_LIMIT = 64
"""Signs that a button may carry."""


def card_text(ticket: Asked) -> str:
    """Return what a card says, in the ticket's language, as Telegram's HTML."""
    props, words = card_props(ticket), load_words(ticket.language, "telegram")
    lines = [f"<b>{escape(props['headline'])}</b>", f"{escape(props['title'])} · <b>{escape(props['stateLabel'])}</b>"]
    if props["badges"]:
        lines.append(escape(" · ".join(props["badges"])))
    lines.append("")
    if not props["isOpen"]:
        lines += [f"{escape(row['label'])}: <b>{escape(row['value'])}</b>" for row in props["result"]]
        lines += [escape(props["reasons"])] if props["reasons"] else []
        return "\n".join(lines).strip()
    for row in props["rows"]:
        note = f" ({escape(row['note'])})" if row["note"] else ""
        lines.append(f"{escape(row['label'])}: <b>{escape(row['value'])}</b>{note}")
    lines += [f"{escape(row['label'])}: {escape(row['before'])} → {escape(row['after'])}" for row in props["changes"]]
    lines += ["", *map(escape, props["sizing"]), ""]
    for check in props["limits"]:
        lines.append(f"{'✓' if check['isOk'] else '✗'} {escape(check['label'])}: {escape(check['line'])}")
    expires = words["expires"].format(at=format_time(ticket.expires_at, ticket.language))
    lines += ["", escape(props["drift"]), escape(expires)]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def card_buttons(ticket: Asked) -> InlineKeyboardMarkup:
    """Return the answers that a person may give."""
    words, tail = load_words(ticket.language, "telegram")["buttons"], f"{ticket.ticket_id}:{ticket.nonce}"
    return InlineKeyboardMarkup(
        [
            [
                InlineKeyboardButton(words["approve"], callback_data=f"a:{tail}"),
                InlineKeyboardButton(words["reject"], callback_data=f"r:{tail}"),
            ],
            [InlineKeyboardButton(words["edit"], callback_data=f"e:{tail}")],
        ]
    )


def edit_buttons(ticket: Asked) -> InlineKeyboardMarkup:
    """Return the same answers, and which number to change."""
    tail = f"{ticket.ticket_id}:{ticket.nonce}"
    named = [(field["label"], f"f:{tail}:{field['name']}") for field in card_props(ticket)["fields"]]
    pick = [InlineKeyboardButton(label, callback_data=data) for label, data in named if len(data) <= _DATA_LIMIT]
    answers = card_buttons(ticket).inline_keyboard[0]
    return InlineKeyboardMarkup([answers, *([button] for button in pick)])
