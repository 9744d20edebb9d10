"""A statement as one page that needs nothing else, light and dark, made to be printed; words come from the caller.

Money is shown in cents so that the lines add up as they are printed; units, prices and the calculation of every fee
are shown with the digits that they were made with. The drawing is plain SVG: no script runs on a statement.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from html import escape
from typing import Any

from agents.fund.lines import (
    MOVEMENT_HEADS,
    SUMMARY_HEADS,
    charged,
    due_line,
    fee_lines,
    fee_title,
    foot_lines,
    movement_line,
    standing_line,
    summary_lines,
    waiting_line,
)
from agents.fund.speech import Speech, cents
from agents.fund.statement import Movement, Point, Standing, Statement, displayed_result
from agents.fund.values import FeeCalculation

_STYLE = """
:root{color-scheme:light dark;--paper:#fff;--ink:#1b2126;--soft:#5c6770;--line:#d9dee2;--card:#f5f7f8;--tint:#0b6e5f;
--fill:#0b6e5f1f;--bad:#b3261e}
@media(prefers-color-scheme:dark){:root{--paper:#14181b;--ink:#e6eaec;--soft:#9aa5ad;--line:#2f373c;--card:#1c2226;
--tint:#4fc3ae;--fill:#4fc3ae26;--bad:#f47067}}
*{box-sizing:border-box}
body{font:15px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif;margin:0 auto;max-width:900px;padding:2rem 1.25rem;
background:var(--paper);color:var(--ink);font-variant-numeric:tabular-nums}
header{display:flex;justify-content:space-between;gap:1rem;align-items:flex-end;border-bottom:2px solid var(--tint);
padding-bottom:.8rem}
h1{font-size:1.55rem;line-height:1.2;margin:0}h2{font-size:1.05rem;margin:2rem 0 .5rem}
header p,.note,footer{color:var(--soft);margin:0}.right{text-align:right}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:.7rem;margin:1.2rem 0}
.card{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:.7rem .9rem}
.card{display:flex;flex-direction:column;justify-content:space-between}.card>span{color:var(--soft);font-size:.85rem}
.card b{font-size:1.25rem;font-weight:600;white-space:nowrap}
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%}
th{color:var(--soft);font-weight:500;font-size:.85rem}
th,td{border-bottom:1px solid var(--line);padding:.35rem .55rem;text-align:right;white-space:nowrap}
th:first-child,td:first-child{padding-left:0}th:last-child,td:last-child{padding-right:0}
.text{text-align:left}.sum td{font-weight:600;border-top:2px solid var(--ink);border-bottom:0}
.bad{color:var(--bad)}.good{color:var(--tint)}
.calculation{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:.8rem 1rem;margin:.7rem 0;
break-inside:avoid}.calculation h3{font-size:.95rem;margin:0 0 .3rem}
svg{display:block;width:100%;height:auto}svg text{fill:var(--soft);font-size:12px}
footer{border-top:1px solid var(--line);margin-top:2rem;padding-top:.7rem;font-size:.85rem}footer p{margin:.2rem 0}
@media(max-width:560px){header{display:block}.right{text-align:left}th,td{padding:.35rem .3rem;font-size:.82rem}
.text{white-space:normal}}
@media print{:root{--paper:#fff;--ink:#000;--soft:#444;--line:#bbb;--card:#fff;--tint:#0b6e5f;--fill:#0b6e5f1f;
--bad:#b3261e}body{font-size:11px;max-width:none;padding:0}@page{margin:16mm}tr,section{break-inside:avoid}}
"""
_WIDTH, _HEIGHT, _EDGE = 860, 180, 6
_MOST_POINTS = 400


def statement_page(statement: Statement, words: Mapping[str, Any], *, made_at: datetime) -> str:
    """Return the page, complete in itself.

    Args:
        statement: Of one account and period.
        words: The section `page` of `prompts/<language>/fund.yaml`.
        made_at: When it was made, shown at its foot.

    Raises:
        KeyError: A word is missing.
    """
    say = Speech(words)
    title = say("title", fund=statement.fund.capitalize(), period=say.period(statement))
    body = "".join(
        (
            _head(statement, title, say),
            _cards(statement, say),
            _chart(statement.points, say),
            _summary(statement, say),
            _movements(statement.movements, say),
            _fees(statement, say),
            _open(statement, say),
            _foot(statement, say, made_at),
        )
    )
    return (
        f'<!doctype html><html lang="{say("language")}"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><title>{title}</title>'
        f"<style>{_STYLE}</style></head><body>{body}</body></html>\n"
    )


def _signed(say: Speech, value: Decimal) -> str:
    rounded = cents(value)
    colour = "good" if rounded > 0 else "bad" if rounded < 0 else ""
    return f'<span class="{colour}">{say.signed(value)}</span>'


def _head(statement: Statement, title: str, say: Speech) -> str:
    span = f"{say.day(statement.period.start)} – {say.day(statement.period.end)}"
    name = f"{escape(statement.account.holder)} · {escape(statement.account.account)}"
    return f'<header><h1>{title}</h1><div class="right"><strong>{name}</strong><p>{span} (UTC)</p></div></header>'


def _cards(statement: Statement, say: Speech) -> str:
    opening, closing = cents(statement.opening.value), cents(statement.closing.value)
    result = displayed_result(statement, opening, closing)
    ratio = say("none") if statement.return_ratio is None else say.percent(statement.return_ratio)
    cards = (
        ("closing", say.money(closing)),
        ("return", ratio),
        ("result", _signed(say, result)),
        ("fees", say.money(statement.fees)),
    )
    shown = "".join(f'<div class="card"><span>{say(key)}</span><b>{figure}</b></div>' for key, figure in cards)
    return f'<div class="cards">{shown}</div>'


def _chart(points: Sequence[Point], say: Speech) -> str:
    """Draw the account's value; nothing for fewer than two points."""
    shown = _thinned(points)
    if len(shown) < 2:
        return ""
    first, last = shown[0].at.timestamp(), shown[-1].at.timestamp()
    top = max(float(point.value) for point in shown) or 1.0
    across = (_WIDTH - 2 * _EDGE) / ((last - first) or 1.0)
    spots = [
        (
            _EDGE + (point.at.timestamp() - first) * across,
            _HEIGHT - 22 - (_HEIGHT - 44) * float(point.value) / top,
        )
        for point in shown
    ]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in spots)
    base = _HEIGHT - 22
    return (
        f'<section><h2>{say("chart")}</h2><svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{say("chart")}">'
        f'<line x1="0" y1="{base}" x2="{_WIDTH}" y2="{base}" stroke="var(--line)"/>'
        f'<polygon points="{spots[0][0]:.1f},{base} {line} {spots[-1][0]:.1f},{base}" fill="var(--fill)"/>'
        f'<polyline points="{line}" fill="none" stroke="var(--tint)" stroke-width="2" stroke-linejoin="round"/>'
        f'<text x="{_EDGE}" y="{_HEIGHT - 5}">{say.day(shown[0].at)}</text>'
        f'<text x="{_WIDTH - _EDGE}" y="{_HEIGHT - 5}" text-anchor="end">{say.day(shown[-1].at)}</text>'
        f'<text x="{_EDGE}" y="13">{say("highest", value=say.money(Decimal(str(top))))}</text></svg></section>'
    )


def _thinned(points: Sequence[Point]) -> Sequence[Point]:
    step = -(-len(points) // _MOST_POINTS) if points else 1
    return [*points[:-1:step], points[-1]] if points else []


def _summary(statement: Statement, say: Speech) -> str:
    rows = _standing_row(say("opening"), statement.opening, say)
    rows += "".join(
        f'<tr><td class="text">{name}</td><td></td><td></td><td>{_signed(say, amount)}</td></tr>'
        for name, amount in summary_lines(statement, say)
    )
    rows += _standing_row(say("closing"), statement.closing, say, css="sum")
    due = due_line(statement, say)
    note = f'<p class="note">{due}</p>' if due else ""
    return _section(say("summary"), _table(_heads(say, SUMMARY_HEADS, texts=1), rows) + note)


def _standing_row(name: str, standing: Standing, say: Speech, css: str = "") -> str:
    return f'<tr class="{css}">{_cells(standing_line(name, standing, say), texts=1)}</tr>'


def _movements(movements: Sequence[Movement], say: Speech) -> str:
    if not movements:
        return _section(say("movements"), f'<p class="note">{say("no_movements")}</p>')
    rows = "".join(f"<tr>{_cells(movement_line(each, say), texts=2)}</tr>" for each in movements)
    return _section(say("movements"), _table(_heads(say, MOVEMENT_HEADS, texts=2), rows))


def _fees(statement: Statement, say: Speech) -> str:
    blocks = "".join(_calculation(movement, fees, say) for movement, fees in charged(statement))
    return _section(say("fee_calculations"), blocks or f'<p class="note">{say("no_fees")}</p>')


def _calculation(movement: Movement, fees: FeeCalculation, say: Speech) -> str:
    body = "".join(f"<tr>{_cells(line, texts=1)}</tr>" for line in fee_lines(fees, say))
    title = fee_title(movement, fees, say)
    return f'<div class="calculation"><h3>{title}</h3><div class="scroll"><table>{body}</table></div></div>'


def _open(statement: Statement, say: Speech) -> str:
    if not statement.waiting:
        return ""
    lines = "".join(f"<li>{waiting_line(each, say)}</li>" for each in statement.waiting)
    return _section(say("waiting"), f"<ul>{lines}</ul>")


def _foot(statement: Statement, say: Speech, made_at: datetime) -> str:
    lines = "".join(f"<p>{line}</p>" for line in foot_lines(statement, say, made_at))
    return f"<footer>{lines}</footer>"


def _cells(texts_of: Sequence[str], *, texts: int) -> str:
    return "".join(
        f'<td class="text">{text}</td>' if number < texts else f"<td>{text}</td>"
        for number, text in enumerate(texts_of)
    )


def _section(title: str, content: str) -> str:
    return f"<section><h2>{title}</h2>{content}</section>"


def _heads(say: Speech, keys: Sequence[str], *, texts: int) -> str:
    return "".join(
        f"<th{' class=text' if number < texts else ''}>{say(f'heads.{key}')}</th>" for number, key in enumerate(keys)
    )


def _table(head: str, rows: str) -> str:
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
