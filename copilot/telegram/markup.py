"""Our Markdown as the HTML that Telegram reads, in messages that are short enough.

Telegram knows a few inline tags and no lists, headings or tables: lists become lines with a bullet, headings bold, and
tables text of fixed width. A text is parted between blocks; a block that alone is too long, between its lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html import escape

from markdown_it import MarkdownIt
from markdown_it.token import Token

MESSAGE_LIMIT = 4000
"""Signs in one message as Telegram counts them, with room to its own limit of 4,096."""
_INLINE = {"strong_open": "<b>", "strong_close": "</b>", "em_open": "<i>", "em_close": "</i>"}
_INLINE |= {"s_open": "<s>", "s_close": "</s>", "softbreak": "\n", "hardbreak": "\n"}
_BLOCK = {"heading_open": "<b>", "heading_close": "</b>", "hr": "———"}
_LISTS = {"bullet_list_open": "•", "ordered_list_open": ""}
_TAGS = re.compile(r"</?(?:b|i|s|code)>")
_READER = MarkdownIt("commonmark", {"html": False}).enable("table").enable("strikethrough")


def to_messages(markdown: str) -> list[str]:
    """Return a text as HTML messages, in order; none for a text without words."""
    messages: list[str] = []
    for block in _blocks(markdown):
        for piece in _short(block):
            if messages and _length(messages[-1]) + _length(piece) + 2 <= MESSAGE_LIMIT:
                messages[-1] += "\n\n" + piece
            else:
                messages.append(piece)
    return messages


def preformatted(text: str) -> list[str]:
    """Return plain lines as HTML messages of fixed width."""
    return [f"<pre>{escape(part, quote=False)}</pre>" for part in _parts(text.splitlines(), MESSAGE_LIMIT - 20)]


def _blocks(markdown: str) -> Iterator[str]:
    tokens = _READER.parse(markdown)
    start, depth = 0, 0
    for number, token in enumerate(tokens):
        depth += token.nesting
        if depth == 0:
            block = _block(tokens[start : number + 1])
            start = number + 1
            if block.strip():
                yield block.strip("\n")


def _block(tokens: Sequence[Token]) -> str:
    if tokens[0].type == "table_open":
        return _table(tokens)
    told, lists = "", list[str]()
    for token in tokens:
        if token.type in _LISTS:
            lists.append(_LISTS[token.type])
        elif token.type.endswith("_list_close"):
            lists.pop()
        elif token.type == "list_item_open":
            mark = lists[-1] or f"{token.info}."
            told += ("" if not told or told.endswith("\n") else "\n") + "   " * (len(lists) - 1) + f"{mark} "
        elif token.type in ("fence", "code_block"):
            told += f"<pre>{escape(token.content.rstrip(), quote=False)}</pre>"
        else:
            told += _inline(token.children or []) if token.type == "inline" else _BLOCK.get(token.type, "")
    return told


def _inline(tokens: Sequence[Token]) -> str:
    told = ""
    for token in tokens:
        if token.type == "text":
            told += escape(token.content, quote=False)
        elif token.type == "code_inline":
            told += f"<code>{escape(token.content, quote=False)}</code>"
        elif token.type == "image":
            told += escape(token.content, quote=False)
        else:
            told += _INLINE.get(token.type, "")
    return told


def _table(tokens: Sequence[Token]) -> str:
    rows: list[list[str]] = []
    for token in tokens:
        if token.type == "tr_open":
            rows.append([])
        elif token.type == "inline":
            rows[-1].append("".join(child.content for child in token.children or []))
    widths = [max(len(row[n]) for row in rows if n < len(row)) for n in range(max(map(len, rows)))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip() for row in rows]
    return f"<pre>{escape(chr(10).join(lines), quote=False)}</pre>"


def _short(block: str) -> list[str]:
    """Part a block that is too long between its lines; tags that reach over lines are opened again."""
    if _length(block) <= MESSAGE_LIMIT:
        return [block]
    is_fixed = block.startswith("<pre>")
    inner = block.removeprefix("<pre>").removesuffix("</pre>")
    parts = _parts(inner.splitlines(), MESSAGE_LIMIT - 20)
    return [f"<pre>{part}</pre>" if is_fixed else part for part in parts]


def _parts(lines: Sequence[str], limit: int) -> list[str]:
    parts: list[str] = []
    for line in lines:
        for piece in _cut(line, limit):
            if parts and _length(parts[-1]) + _length(piece) + 1 <= limit:
                parts[-1] += "\n" + piece
            else:
                parts.append(piece)
    return parts


def _cut(line: str, limit: int) -> Iterator[str]:
    """Cut a line that no message would hold; it loses its tags, like one whose tags reach into other lines."""
    tags = _TAGS.findall(line)
    is_whole = sum(1 if tag[1] != "/" else -1 for tag in tags) == 0
    if _length(line) <= limit and is_whole:
        yield line
        return
    bare = _TAGS.sub("", line)
    step = limit // 8
    """Far below the limit: a sign outside the first plane counts twice."""
    while bare:
        cut = min(step, len(bare))
        entity = bare.rfind("&", max(cut - 6, 0), cut)
        if entity > 0 and ";" not in bare[entity:cut] and cut < len(bare):
            cut = entity
        yield bare[:cut]
        bare = bare[cut:]


def _length(text: str) -> int:
    """Return the length in UTF-16 units, as Telegram counts."""
    return len(text.encode("utf-16-le")) // 2
