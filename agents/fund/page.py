"""A statement as one page that needs nothing else, light and dark, made to be printed; words come from the caller.

Money is shown in cents so that the lines add up as they are printed; units, prices and the calculation of every fee
are shown with the digits that they were made with. The drawing is plain SVG: no script runs on a statement.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from html import escape
from typing import Any

from agents.fund.arithmetic import CENT
from agents.fund.statement import Movement, Point, Standing, Statement, displayed_result
from agents.fund.values import EntryKind, FeeCalculation, OrderKind

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
    say = _Speech(words)
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


class _Speech:
    """Words, numbers and dates in the reader's language, safe inside HTML."""

    def __init__(self, words: Mapping[str, Any]) -> None:
        self._words = words

    def __call__(self, key: str, **values: str) -> str:
        found: Any = self._words
        for part in key.split("."):
            found = found[part]
        return escape(str(found).format(**values))

    def number(self, value: Decimal) -> str:
        """Write a number with all its digits."""
        plain = value.normalize() if value else Decimal(0)
        marks = str.maketrans({",": self._words["thousands_mark"], ".": self._words["decimal_mark"]})
        return escape(f"{plain:,f}".translate(marks).replace("-", "−"))

    def money(self, value: Decimal) -> str:
        return self._fixed(_cents(value))

    def fixed(self, value: Decimal, step: str) -> str:
        """Write a number to a step, for display alone."""
        return self._fixed(value.quantize(Decimal(step), ROUND_HALF_EVEN))

    def _fixed(self, value: Decimal) -> str:
        marks = str.maketrans({",": self._words["thousands_mark"], ".": self._words["decimal_mark"]})
        return escape(f"{value + 0:,f}".translate(marks).replace("-", "−"))

    def signed(self, value: Decimal) -> str:
        rounded = _cents(value)
        colour = "good" if rounded > 0 else "bad" if rounded < 0 else ""
        return f'<span class="{colour}">{"+" if rounded > 0 else ""}{self._fixed(rounded)}</span>'

    def percent(self, ratio: Decimal, step: str = "0.01") -> str:
        return self("percent", value=self._fixed((100 * ratio).quantize(Decimal(step), ROUND_HALF_EVEN)))

    def rate(self, ratio: Decimal) -> str:
        return self("percent", value=self.number(100 * ratio))

    def day(self, at: datetime) -> str:
        month = str(self._words["months"]).split()[at.month - 1]
        return self("date", day=str(at.day), month=month, year=str(at.year))

    def moment(self, at: datetime) -> str:
        return f"{self.day(at)} {at:%H:%M}"

    def period(self, statement: Statement) -> str:
        name = statement.period.name
        if "Q" in name:
            return self("quarter", quarter=name[-1], year=name[:4])
        if len(name) == len("2026-01"):
            month = str(self._words["long_months"]).split()[statement.period.start.month - 1]
            return self("month", month=month, year=name[:4])
        return name if name.isdigit() else self.day(statement.period.start)


def _cents(value: Decimal) -> Decimal:
    return value.quantize(CENT, ROUND_HALF_EVEN)


def _head(statement: Statement, title: str, say: _Speech) -> str:
    span = f"{say.day(statement.period.start)} – {say.day(statement.period.end)}"
    name = f"{escape(statement.account.holder)} · {escape(statement.account.account)}"
    return f'<header><h1>{title}</h1><div class="right"><strong>{name}</strong><p>{span} (UTC)</p></div></header>'


def _cards(statement: Statement, say: _Speech) -> str:
    opening, closing = _cents(statement.opening.value), _cents(statement.closing.value)
    result = displayed_result(statement, opening, closing)
    ratio = say("none") if statement.return_ratio is None else say.percent(statement.return_ratio)
    cards = (
        ("closing", say.money(closing)),
        ("return", ratio),
        ("result", say.signed(result)),
        ("fees", say.money(statement.fees)),
    )
    shown = "".join(f'<div class="card"><span>{say(key)}</span><b>{figure}</b></div>' for key, figure in cards)
    return f'<div class="cards">{shown}</div>'


def _chart(points: Sequence[Point], say: _Speech) -> str:
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


def _summary(statement: Statement, say: _Speech) -> str:
    opening, closing = _cents(statement.opening.value), _cents(statement.closing.value)
    lines = (
        (say("deposits"), statement.deposits),
        (say("withdrawals"), -statement.withdrawals),
        (say("payouts"), -statement.payouts),
        (say("performance_fees"), -statement.performance),
        (say("management_fees"), -statement.management),
        (say("result"), displayed_result(statement, opening, closing)),
    )
    rows = _standing_row(say("opening"), statement.opening, say)
    rows += "".join(
        f'<tr><td class="text">{name}</td><td></td><td></td><td>{say.signed(amount)}</td></tr>'
        for name, amount in lines
        if _cents(amount)
    )
    rows += _standing_row(say("closing"), statement.closing, say, css="sum")
    head = _heads(say, ("line", "units", "price", "money"), texts=1)
    return _section(say("summary"), _table(head, rows) + _due(statement, say))


def _standing_row(name: str, standing: Standing, say: _Speech, css: str = "") -> str:
    return (
        f'<tr class="{css}"><td class="text">{name}, {say.day(standing.at)}</td>'
        f"<td>{say.fixed(standing.holding.units, '1E-8')}</td><td>{say.fixed(standing.price, '1E-6')}</td>"
        f"<td>{say.money(standing.value)}</td></tr>"
    )


def _due(statement: Statement, say: _Speech) -> str:
    closing = statement.closing
    if not closing.holding.units:
        return ""
    values = {
        "due": say.money(closing.fees_due),
        "net": say.money(closing.value - closing.fees_due),
        "mark": say.money(closing.holding.mark),
    }
    return f'<p class="note">{say("due", **values)}</p>'


def _movements(movements: Sequence[Movement], say: _Speech) -> str:
    if not movements:
        return _section(say("movements"), f'<p class="note">{say("no_movements")}</p>')
    head = _heads(say, ("when", "what", "money", "fees", "price", "units", "units_after"), texts=2)
    rows = "".join(
        f'<tr><td class="text">{say.moment(each.at)}</td><td class="text">{say(f"kinds.{each.kind}")}</td>'
        f"<td>{say.money(_sign(each) * each.deal.amount)}</td>"
        f"<td>{say.money(each.deal.fees.total) if each.deal.fees else ''}</td>"
        f"<td>{say.fixed(each.deal.price, '1E-6')}</td><td>{say.fixed(each.deal.units, '1E-8')}</td>"
        f"<td>{say.fixed(each.units_after, '1E-8')}</td></tr>"
        for each in movements
    )
    return _section(say("movements"), _table(head, rows))


def _sign(movement: Movement) -> int:
    return -1 if movement.deal.units < 0 else 1


def _fees(statement: Statement, say: _Speech) -> str:
    charged = [each for each in statement.movements if each.deal.fees is not None and each.deal.fees.total]
    if not charged:
        return _section(say("fee_calculations"), f'<p class="note">{say("no_fees")}</p>')
    blocks = "".join(_calculation(each, each.deal.fees, say) for each in charged if each.deal.fees is not None)
    return _section(say("fee_calculations"), blocks)


def _calculation(movement: Movement, fees: FeeCalculation, say: _Speech) -> str:
    lines = [("value", fees.value), ("accrued", -fees.accrued), ("mark", -fees.mark), ("hurdle", -fees.hurdle)]
    rows = [(say(f"fee.{key}"), say.number(value)) for key, value in lines if value]
    rows.append((say("fee.profit"), say.number(fees.profit)))
    if fees.share != 1:
        rows.append((say("fee.share"), say.percent(fees.share, "0.000001")))
    rows.append((say("fee.performance", rate=say.rate(fees.rate)), say.money(fees.performance)))
    if fees.performance < fees.uncapped:
        rows.append((say("fee.uncapped"), say.money(fees.uncapped)))
    if fees.management:
        rows.append((say("fee.management"), say.money(fees.management)))
    rows.append((say("fee.mark_after"), say.number(fees.mark_after)))
    body = "".join(f'<tr><td class="text">{name}</td><td>{value}</td></tr>' for name, value in rows)
    title = f"{say.day(movement.at)} · {say(f'kinds.{movement.kind}')} · {say.money(fees.total)}"
    return f'<div class="calculation"><h3>{title}</h3><div class="scroll"><table>{body}</table></div></div>'


def _open(statement: Statement, say: _Speech) -> str:
    if not statement.waiting:
        return ""
    lines = "".join(
        f"<li>{say.moment(each.taken_at)}: {say(f'kinds.{_kind(each.kind)}')}, "
        f"{say('everything') if each.amount is None else say.money(each.amount)}</li>"
        for each in statement.waiting
    )
    return _section(say("waiting"), f"<ul>{lines}</ul>")


def _kind(kind: OrderKind) -> EntryKind:
    return EntryKind(kind.value)


def _foot(statement: Statement, say: _Speech, made_at: datetime) -> str:
    terms = statement.terms
    rates = say(
        "terms",
        performance=say.rate(terms.performance_fee),
        management=say.rate(terms.management_fee),
        hurdle=say.rate(terms.hurdle),
        crystallisation=say(f"calendars.{terms.crystallisation}"),
        payout=say("calendars.never") if terms.payout is None else say(f"calendars.{terms.payout}"),
        share=say.rate(terms.payout_share),
    )
    rounding = say("rounding", amount=say.number(statement.rounding))
    made = say("made", at=say.moment(made_at))
    return f"<footer><p>{rates}</p><p>{say('method')}</p><p>{rounding} {made}</p></footer>"


def _section(title: str, content: str) -> str:
    return f"<section><h2>{title}</h2>{content}</section>"


def _heads(say: _Speech, keys: Sequence[str], *, texts: int) -> str:
    return "".join(
        f"<th{' class=text' if number < texts else ''}>{say(f'heads.{key}')}</th>" for number, key in enumerate(keys)
    )


def _table(head: str, rows: str) -> str:
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
