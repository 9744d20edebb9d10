"""Write quality reports as lines of text and as a page, in the words that the caller gives.

The English words are here, because the command line needs some without asking anybody; those of other languages come
from the caller, in the same shape. The page is one file with nothing to fetch: style, a small chart of bars a month,
and a table for each series.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.data.quality import BadRows, QualityReport

Words = Mapping[str, Any]

ENGLISH: Words = {
    "language": "en",
    "thousands": ",",
    "title": "Quality of bars",
    "no_reports": "Nothing was read.",
    "bars_a_month": "Bars a month",
    "labels": {
        "rows": "rows",
        "period": "period",
        "bad": "bad rows",
        "duplicates": "duplicates",
        "order": "order",
        "gaps": "gaps",
        "outliers": "outliers",
        "spikes": "spikes",
        "stale": "stale",
        "volume": "no volume",
        "clock": "clock",
        "stored": "stored",
    },
    "values": {
        "rows": "{read} read, {kept} kept",
        "period": "{first} to {last} UTC",
        "bad": "{count} left out",
        "bad_kind": "{reason}: {count} ({examples})",
        "example": "row {row}, {column} = {value}",
        "duplicates": "{count} ({conflicts} with other values; the last one counts)",
        "order": "{unsorted} rows out of order, {misaligned} off the {timeframe} grid",
        "gaps": "{count} gaps, {missing} bars missing",
        "longest_gap": "; longest {missing} after {at}",
        "moves": "{count}{first} (kept)",
        "first_at": ", first at {at}",
        "stale": "{count} runs without movement, {bars} bars in them{longest} (kept)",
        "longest_run": "; longest {bars} from {at}",
        "volume": "{count} bars (kept)",
        "stored": "{added} new, {replaced} replaced, {unchanged} already there",
    },
    "reasons": {
        "unreadable_time": "unreadable time",
        "unreadable_number": "unreadable number",
        "not_positive": "price not above zero",
        "high_too_low": "high below open or close",
        "low_too_high": "low above open or close",
        "negative_volume": "negative volume",
        "wrong_columns": "wrong number of columns",
    },
    "clock": {
        "right": "UTC: all {weeks} weeks open when New York does",
        "shifted": "shifted by {hours} h: weeks open that much off New York's; {off} of {weeks} are off again",
        "fixed": "does not follow New York's summer time; in winter weeks open {hours} h off it",
        "moved": "{off} of {weeks} weeks are shifted by whole hours, the first from {at}",
        "skips_hours": "an hour is missing in {off} springs when clocks change, first at {at}: looks like local time",
        "unknown": "nothing to tell it by",
    },
}

_STYLE = """
:root{color-scheme:light dark;--line:#8884;--bar:#3a7bd5;--bad:#c0392b}
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem}
table{border-collapse:collapse;width:100%}th,td{text-align:left;vertical-align:top;padding:.3rem .6rem}
tr{border-top:1px solid var(--line)}th{width:9rem;font-weight:600}td{font-variant-numeric:tabular-nums}
tr.found td{color:var(--bad)}td div{overflow-wrap:anywhere}svg{width:100%;height:70px}rect{fill:var(--bar)}
figure{margin:.5rem 0}figcaption{font-size:.85rem;opacity:.75}
"""
_CHART_HEIGHT = 60


def render_lines(report: QualityReport, words: Words = ENGLISH) -> tuple[str, ...]:
    """Return a report as plain lines; the last one says what was stored.

    Args:
        report: What was found.
        words: In the shape of `ENGLISH`.
    """
    labels = words["labels"]
    width = max(map(len, labels.values())) + 2
    lines = [f"{report.file}: {report.symbol} {report.timeframe}"]
    for name, _, values in _rows(report, words):
        lines.append(f"  {labels[name]:{width}}{values[0]}")
        lines += [f"    {value}" for value in values[1:]]
    return tuple(lines)


def render_page(reports: Sequence[QualityReport], words: Words = ENGLISH) -> str:
    """Return reports as one HTML page that needs no other file."""
    title = escape(words["title"])
    body = "".join(_section(report, words) for report in reports) or f"<p>{escape(words['no_reports'])}</p>"
    return (
        f'<!doctype html>\n<html lang="{escape(words["language"])}">\n<head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{title}</title><style>{_STYLE}</style></head>\n<body><h1>{title}</h1>\n{body}</body></html>\n"
    )


def _section(report: QualityReport, words: Words) -> str:
    cells = "".join(
        f'<tr class="{"found" if is_found else "fine"}"><th>{escape(words["labels"][name])}</th>'
        f"<td>{''.join(f'<div>{escape(value)}</div>' for value in values)}</td></tr>\n"
        for name, is_found, values in _rows(report, words)
    )
    name = escape(f"{report.symbol} {report.timeframe}")
    head = f"<h2>{name}</h2><p>{escape(report.file)}</p>"
    return f"<section>{head}\n{_chart(report, words)}<table>\n{cells}</table></section>\n"


def _chart(report: QualityReport, words: Words) -> str:
    months = report.months
    if len(months) < 2:
        return ""
    most = max(count for _, count in months)
    bars = "".join(
        f'<rect x="{x}" y="{_CHART_HEIGHT - h}" width="0.8" height="{h}"><title>{month}: {_count(count, words)}'
        "</title></rect>"
        for x, (month, count) in enumerate(months)
        for h in (round(_CHART_HEIGHT * count / most, 1),)
    )
    caption = f"{escape(words['bars_a_month'])}: {months[0][0]} – {months[-1][0]}"
    return (
        f'<figure><svg viewBox="0 0 {len(months)} {_CHART_HEIGHT}" preserveAspectRatio="none" role="img" '
        f'aria-label="{caption}">{bars}</svg><figcaption>{caption}</figcaption></figure>\n'
    )


def _rows(report: QualityReport, words: Words) -> Iterator[tuple[str, bool, list[str]]]:
    """Yield the name of each line, whether it tells of something to look at, and its text, details after it."""

    def say(name: str, **values: object) -> str:
        filled = {key: _count(value, words) if isinstance(value, int) else value for key, value in values.items()}
        return str(words["values"][name]).format(**filled)

    def first(at: datetime | None) -> str:
        return say("first_at", at=_time(at)) if at else ""

    r = report
    yield "rows", False, [say("rows", read=r.rows_read, kept=r.rows_kept)]
    yield "period", False, [say("period", first=_time(r.first_at), last=_time(r.last_at))]
    yield "bad", r.bad_count > 0, [say("bad", count=r.bad_count), *_bad_kinds(r.bad, words)]
    yield "duplicates", r.duplicates > 0, [say("duplicates", count=r.duplicates, conflicts=r.conflicts)]
    order = say("order", unsorted=r.unsorted, misaligned=r.misaligned, timeframe=r.timeframe)
    yield "order", r.unsorted + r.misaligned > 0, [order]
    longest = say("longest_gap", missing=r.gaps[0].missing, at=_time(r.gaps[0].after)) if r.gaps else ""
    yield "gaps", r.gap_count > 0, [say("gaps", count=r.gap_count, missing=r.missing) + longest]
    yield "outliers", r.outliers > 0, [say("moves", count=r.outliers, first=first(r.first_outlier_at))]
    yield "spikes", r.spikes > 0, [say("moves", count=r.spikes, first=first(r.first_spike_at))]
    run = say("longest_run", bars=r.stale_runs[0].bars, at=_time(r.stale_runs[0].first_at)) if r.stale_runs else ""
    yield "stale", r.stale_count > 0, [say("stale", count=r.stale_count, bars=r.stale_bars, longest=run)]
    yield "volume", r.zero_volume > 0, [say("volume", count=r.zero_volume)]
    yield "clock", r.clock.kind not in ("right", "unknown"), [_clock(report, words)]
    yield "stored", False, [say("stored", added=r.added, replaced=r.replaced, unchanged=r.unchanged)]


def _bad_kinds(bad: Sequence[BadRows], words: Words) -> Iterator[str]:
    for kind in bad:
        shown = "; ".join(
            words["values"]["example"].format(row=one.row, column=one.column, value=one.value) for one in kind.examples
        )
        reason = words["reasons"].get(kind.reason, kind.reason)
        yield words["values"]["bad_kind"].format(reason=reason, count=_count(kind.count, words), examples=shown)


def _clock(report: QualityReport, words: Words) -> str:
    clock = report.clock
    return str(words["clock"][clock.kind]).format(
        hours=f"{clock.shift_h:+d}",
        weeks=_count(clock.weeks, words),
        off=_count(clock.off, words),
        at=_time(clock.first_off_at) if clock.first_off_at else "-",
    )


def _count(number: int, words: Words) -> str:
    return f"{number:,}".replace(",", words["thousands"])


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M}"
