"""Markdown as Telegram's HTML: what is bold stays bold, nothing breaks the markup, nothing is too long."""

from __future__ import annotations

import re
from html import unescape

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from copilot.telegram.markup import MESSAGE_LIMIT, preformatted, to_messages

TAG = re.compile(r"</?(b|i|s|code|pre)>")


@pytest.mark.parametrize(
    ("markdown", "html"),
    [
        ("**BTC/USDT** at *64,250*", "<b>BTC/USDT</b> at <i>64,250</i>"),
        ("a < b & c", "a &lt; b &amp; c"),
        ("- **1** · one\n- two", "• <b>1</b> · one\n• two"),
        ("1. first\n2. second", "1. first\n2. second"),
        ("- a\n  - b", "• a\n   • b"),
        ("# Title\n\ntext", "<b>Title</b>\n\ntext"),
        ("`x < y`", "<code>x &lt; y</code>"),
        ("| a | b |\n|---|---|\n| 10 | 2 |", "<pre>a   b\n10  2</pre>"),
        (r"snake\_case \*not bold\*", "snake_case *not bold*"),
        ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
        ("[text](https://example.com)", "text"),
        ("one\ntwo", "one\ntwo"),
    ],
)
def test_markdown_becomes_what_telegram_reads(markdown: str, html: str) -> None:
    assert to_messages(markdown) == [html]


def test_no_words_are_no_message() -> None:
    assert to_messages("  \n\n ") == []


def test_long_text_is_parted_between_blocks() -> None:
    messages = to_messages("\n\n".join(f"**part {n}** " + "word " * 100 for n in range(30)))
    assert len(messages) > 3
    assert all(len(message) <= MESSAGE_LIMIT for message in messages)
    assert "\n\n".join(messages).count("<b>part") == 30


def test_bold_text_that_is_too_long_loses_its_marks_and_no_words() -> None:
    messages = to_messages("**" + "\n".join("word " * 20 for _ in range(100)) + "**")
    assert len(messages) > 1
    assert sum(message.count("word") for message in messages) == 2000
    assert sum(message.count("<b>") - message.count("</b>") for message in messages) == 0


def test_long_table_is_parted_between_rows() -> None:
    rows = "\n".join(f"| {n} | {'x' * 40} |" for n in range(400))
    messages = to_messages(f"| n | text |\n|---|---|\n{rows}")
    assert len(messages) > 3
    assert all(message.startswith("<pre>") and message.endswith("</pre>") for message in messages)
    assert all(len(message) <= MESSAGE_LIMIT for message in messages)


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=300), st.integers(1, 40))
def test_any_text_gives_balanced_tags_and_short_messages(text: str, times: int) -> None:
    for message in [*to_messages(text * times), *preformatted(text * times)]:
        assert len(message.encode("utf-16-le")) // 2 <= 4096
        stack: list[str] = []
        for tag in TAG.finditer(message):
            if tag[0].startswith("</"):
                assert stack.pop() == tag[1]
            else:
                stack.append(tag[1])
        assert stack == []
        assert "<" not in TAG.sub("", message)


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=200))
def test_preformatted_text_comes_back_whole(text: str) -> None:
    told = "\n".join(message.removeprefix("<pre>").removesuffix("</pre>") for message in preformatted(text))
    assert unescape(told).split() == text.split() or "\x85" in text or "\u2028" in text or "\u2029" in text
