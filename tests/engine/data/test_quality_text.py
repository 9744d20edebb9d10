"""Reports as text and as a page: both languages in one shape, nothing to fetch, nothing that runs."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from html.parser import HTMLParser

import numpy as np
import pytest

from engine.data.clocks import ClockFinding
from engine.data.quality import BadRow, BadRows, QualityReport
from engine.data.quality_text import ENGLISH, render_lines, render_page
from engine.data.series import Gap, Run
from prompts import LANGUAGES, load_words

AT = datetime(2024, 3, 1, 12, tzinfo=UTC)


def report(**changes: object) -> QualityReport:
    values: dict[str, object] = {
        "file": "history <script>alert(1)</script>", "symbol": "BTC/USDT", "timeframe": "1h", "rows_read": 12345,
        "rows_kept": 12000, "first_at": AT, "last_at": AT,
        "bad": (BadRows("not_positive", 1, (BadRow(7, "low", "<b>-1</b>"),)),), "duplicates": 2, "conflicts": 1,
        "unsorted": 3, "misaligned": 4, "gap_count": 1, "missing": 9, "gaps": (Gap(AT, 9),), "outliers": 1,
        "first_outlier_at": AT, "zero_volume": 5, "spikes": 1, "first_spike_at": AT, "stale_count": 1,
        "stale_bars": 50, "stale_runs": (Run(AT, 50),), "clock": ClockFinding("moved", 0, 52, 3, AT),
        "months": (("2024-01", 700), ("2024-02", 0), ("2024-03", 744)), "added": 1, "replaced": 2, "unchanged": 3,
    }  # fmt: skip
    return QualityReport(**{**values, **changes})  # type: ignore[arg-type]  # the values above are of its types


class Tags(HTMLParser):
    """Collect what a page consists of, and whether its tags close."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.open: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.attributes += attrs
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_words_of_the_command_line_are_those_of_the_prompts() -> None:
    assert load_words("en", "quality") == ENGLISH


@pytest.mark.parametrize("kind", ["right", "shifted", "fixed", "moved", "skips_hours", "unknown"])
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_finding_has_its_line_in_every_language(language: str, kind: str) -> None:
    words = load_words(language, "quality")
    text = "\n".join(render_lines(report(clock=ClockFinding(kind, 2, 52, 3, AT)), words))  # type: ignore[arg-type]  # all kinds are listed
    assert "{" not in text
    for expected in ("12.345" if language == "es" else "12,345", "2024-03-01 12:00", "<b>-1</b>", "-1"):
        assert expected in text
    assert len(set(re.findall(r"(?m)^  (\S.*?)  ", text))) >= 10


def test_the_last_line_tells_of_the_store() -> None:
    assert report().lines()[-1].split()[0] == "stored"


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_is_whole_fetches_nothing_and_runs_nothing(language: str) -> None:
    page = render_page([report(), report(symbol="EURUSD", months=())], load_words(language, "quality"))
    tags = Tags()
    tags.feed(page)
    assert tags.open == []
    assert {"script", "link", "img", "iframe"}.isdisjoint(tags.seen)
    assert not [name for name, _ in tags.attributes if name in ("src", "href") or name.startswith("on")]
    assert "http" not in page.replace("http-equiv", "")
    assert tags.seen.count("rect") == 3
    assert tags.seen.count("table") == 2
    assert 'class="found"' in page
    assert len(page) < 20_000


def test_a_clean_report_marks_nothing() -> None:
    clean = report(
        bad=(), duplicates=0, conflicts=0, unsorted=0, misaligned=0, gap_count=0, missing=0, gaps=(), outliers=0,
        first_outlier_at=None, zero_volume=0, spikes=0, first_spike_at=None, stale_count=0, stale_bars=0,
        stale_runs=(), clock=ClockFinding("right", 0, 52),
    )  # fmt: skip
    assert 'class="found"' not in render_page([clean])


def test_a_page_of_nothing_says_so() -> None:
    assert ENGLISH["no_reports"] in render_page([])


def test_ten_years_of_months_stay_small() -> None:
    months = tuple((str(np.datetime64(month, "M")), 43_200) for month in range(540, 660))
    assert len(render_page([report(months=months)])) < 25_000
