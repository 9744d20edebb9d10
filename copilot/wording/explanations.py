"""Why a trade was made, in words: the chain of the journal's record, link by link.

Every figure stands in the record. A link without words in it, or a code that nobody gave words, is told by its code,
so that nothing is left out in silence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Literal

from copilot.wording.formats import (
    escape,
    format_money,
    format_number,
    format_percent,
    format_price,
    format_time,
)
from prompts import load_words
from tools.agent_results import RefusedView, RoundTripView, StepView, TradeExplained

Language = Literal["en", "es"]
Words = Mapping[str, Any]
Reasons = Callable[..., str]
NameStrategy = Callable[[str, Language], str]
_FIGURES_TOLD = 4
_PLAIN_INPUTS = frozenset({"bars", "close", "held_side", "held_quantity", "entry_price", "bars_held", "equity", "cash"})
"""Figures of the inputs that every record has; the others are the strategy's own."""


def render_explanation(
    result: TradeExplained, answers: Words, language: Language, reasons: Reasons, name_strategy: NameStrategy
) -> str:
    """Return the whole chain as a short list.

    Args:
        result: What the journal knows.
        answers: The words of `answers`, for limits and lines of tickets.
        language: Of the sentences.
        reasons: Words codes of refusal.
        name_strategy: Names a strategy.
    """
    words = load_words(language, "agents")
    told = words["explained"]
    if result.ticket is not None:
        return _own(result, answers, told, language)
    teller = _Teller(result, answers, words, language, reasons)
    title = told["title"].format(
        agent=escape(result.title or result.agent),
        symbol=result.symbol,
        strategy=name_strategy(result.strategy, language),
        timeframe=result.timeframe,
    )
    mark = f" · _{words['simulated_mark']}_" if result.is_simulated else ""
    lines = [line for step in result.steps for line in teller.tell(step)]
    if result.result is not None:
        lines.append(teller.result(result.result))
    elif result.is_open and any(step.code == "fill" for step in result.steps):
        lines.append(told["still_open"])
    if result.refused_since is not None:
        lines.append(teller.since(result.refused_since))
    return "\n".join([title + mark, "", teller.intro(), "", *(f"- {line}" for line in lines)])


class _Teller:
    """Words for the links of one chain."""

    def __init__(
        self, result: TradeExplained, answers: Words, words: Words, language: Language, reasons: Reasons
    ) -> None:
        self._chain = result
        self._answers = answers
        self._words = words
        self._told: Words = words["explained"]
        self._language: Language = language
        self._reasons = reasons

    def intro(self) -> str:
        """Return what was done, and when."""
        verdict = next((step for step in self._chain.steps if step.code == "verdict"), self._chain.steps[0])
        at = format_time(verdict.at, self._language)
        if self._chain.verdict == "refused":
            codes = [code for code in verdict.codes.get("reasons", "").split(",") if code]
            return str(
                self._told["refused"].format(at=at, reasons=self._reasons(codes, self._language, symbol=self._symbol))
            )
        if self._chain.verdict == "asked":
            return str(self._told["asked"].format(at=at))
        intro = self._told["intro"]
        return str(intro.get(self._chain.side, intro["default"]).format(at=at))

    def since(self, refused: RefusedView) -> str:
        """Return what was not done after all that."""
        return str(
            self._told["since"].format(
                at=format_time(refused.at, self._language),
                side=self._words["proposal"]["sides"].get(refused.side, refused.side),
                symbol=refused.symbol,
                reasons=self._reasons(refused.reasons, self._language, symbol=refused.symbol),
            )
        )

    def tell(self, step: StepView) -> Iterator[str]:
        """Yield the lines of one link; limits are told together, at the first of them."""
        if step.code == "limit":
            limits = [each for each in self._chain.steps if each.code == "limit"]
            if step is limits[0]:
                yield self._limits(limits)
            return
        tellers: dict[str, Callable[[StepView], str]] = {
            "inputs": self._inputs,
            "wish": self._wish,
            "signal": self._signal,
            "size": self._size,
            "permission": self._permission,
            "approval": self._approval,
            "fill": self._fill,
            "protect": self._protect,
            "exit": self._exit,
            "expire": lambda each: str(self._told["expire"].format(at=self._at(each))),
            "replace": lambda each: str(self._told["expire"].format(at=self._at(each))),
            "void": self._void,
        }
        line = tellers[step.code](step) if step.code in tellers else ""
        if line:
            yield line

    def result(self, trip: RoundTripView) -> str:
        """Return what it brought in the end."""
        multiple = ""
        if trip.r_multiple is not None:
            multiple = self._told["multiple"].format(value=format_number(trip.r_multiple, self._language, 1))
        exits = self._words["exits"]
        return str(
            self._told["result"].format(
                realised=self._money(trip.realised),
                realised_pct=format_percent(trip.realised_pct, self._language, signed=True),
                multiple=multiple,
                fees=self._money(trip.fees),
                exit=exits.get(trip.exit_reason, exits["default"]).format(code=escape(trip.exit_reason)),
            )
        )

    @property
    def _symbol(self) -> str:
        return self._chain.symbol

    def _at(self, step: StepView) -> str:
        return format_time(step.at, self._language)

    def _money(self, value: Decimal) -> str:
        return format_money(value, self._chain.currency, self._language)

    def _price(self, value: Decimal) -> str:
        return format_price(value, self._language, self._symbol)

    def _inputs(self, step: StepView) -> str:
        if "close" not in step.figures:
            return ""
        own = [(name, value) for name, value in step.figures.items() if name not in _PLAIN_INPUTS]
        names = self._told["figures"]
        figures = "".join(
            self._told["figure"].format(
                name=names.get(name, f"`{escape(name)}`"), value=format_number(value, self._language, 2)
            )
            for name, value in own[:_FIGURES_TOLD]
        )
        return str(self._told["saw"].format(close=self._price(step.figures["close"]), figures=figures))

    def _wish(self, step: StepView) -> str:
        if step.codes.get("side", "") not in ("buy", "sell"):
            return ""
        prices = "".join(
            sentence.format(value=self._price(step.figures[name]))
            for name, sentence in self._told["wish_prices"].items()
            if name in step.figures
        )
        proposal = self._words["proposal"]
        order_type = proposal["order_types"].get(step.codes.get("order_type", ""), "")
        return str(
            self._told["wish"].format(side=proposal["sides"][step.codes["side"]], order_type=order_type, prices=prices)
        )

    def _signal(self, step: StepView) -> str:
        effects = self._told["effects"]
        code = step.codes.get("effect", "")
        factor = format_percent(step.figures.get("factor", Decimal(1)) * 100, self._language, 0)
        if code in effects:
            effect = effects[code].format(factor=factor, code=escape(code))
        else:
            effect = self._reasons([code], self._language).rstrip(".")
        if "probability" not in step.figures:
            return str(self._told["signal_bare"].format(effect=effect))
        direction = step.codes.get("direction", "none")
        return str(
            self._told["signal"].format(
                direction=self._told["directions"].get(direction, direction),
                probability=format_percent(step.figures["probability"] * 100, self._language, 1),
                breakeven=format_percent(
                    step.figures.get("breakeven_probability", Decimal(0)) * 100, self._language, 1
                ),
                effect=effect,
            )
        )

    def _size(self, step: StepView) -> str:
        share = step.figures.get("share")
        told = "" if not share else self._told["share"].format(value=format_percent(share * 100, self._language, 1))
        return str(
            self._told["size"].format(
                quantity=format_number(step.figures["quantity"], self._language),
                notional=self._money(step.figures["notional"]),
                share=told,
            )
        )

    def _limits(self, limits: Sequence[StepView]) -> str:
        broken = [each for each in limits if each.codes.get("ok") == "no"]
        if broken:
            told = "; ".join(str(self._told["limit"].format(**self._limit(each))) for each in broken)
            return str(self._told["limits_broken"].format(limits=told))
        closest = max(limits, key=lambda each: _used(each.figures))
        return str(self._told["limits_ok"].format(count=len(limits), **self._limit(closest)))

    def _limit(self, step: StepView) -> dict[str, str]:
        unit = step.codes.get("unit", "count")

        def measure(value: Decimal) -> str:
            if unit == "money":
                return self._money(value)
            return format_percent(value, self._language, 1) if unit == "pct" else format_number(value, self._language)

        name = step.codes.get("name", "")
        return {
            "name": self._answers["limits"].get(name, escape(name)),
            "after": measure(step.figures["after"]),
            "limit": measure(step.figures["limit"]),
        }

    def _permission(self, step: StepView) -> str:
        answer = step.codes.get("answer", "")
        if answer == "allowed" and "mandate" not in step.codes:
            return ""
        sentence = self._told["permission"].get(answer, "")
        return str(sentence.format(mandate=escape(step.codes.get("mandate", ""))))

    def _approval(self, step: StepView) -> str:
        answers = self._told["approval"]
        answer = step.codes.get("answer", step.codes.get("decision", ""))
        return str(answers.get(answer, ""))

    def _fill(self, step: StepView) -> str:
        side = step.codes.get("side", "")
        if side not in self._told["fill"] or not {"quantity", "price"} <= step.figures.keys():
            return ""
        return str(
            self._told["fill"][side].format(
                at=self._at(step),
                quantity=format_number(step.figures["quantity"], self._language),
                price=self._price(step.figures["price"]),
                fee=self._money(step.figures.get("fee", Decimal(0))),
                trade=format_number(step.figures.get("trade", Decimal(0)), self._language),
            )
        )

    def _protect(self, step: StepView) -> str:
        names = self._told["wish_prices"]
        prices = "".join(
            names[name].format(value=self._price(step.figures[name]))
            for name in ("stop", "target")
            if name in step.figures
        )
        return str(self._told["protect"].format(at=self._at(step), prices=prices.removeprefix(", "))) if prices else ""

    def _void(self, step: StepView) -> str:
        code, exits = step.codes.get("reason", ""), self._words["exits"]
        reason = exits.get(code, exits["default"]).format(code=escape(code))
        return str(self._told["void"].format(why=self._told["void_why"].format(reason=reason) if code else ""))

    def _exit(self, step: StepView) -> str:
        codes = [code for code in step.codes.get("reasons", "").split(",") if code]
        exits = self._words["exits"]
        reason = exits.get(codes[0] if codes else "strategy", exits["default"])
        return str(
            self._told["exit"].format(at=self._at(step), reason=reason.format(code=escape(codes[0] if codes else "")))
        )


def _own(result: TradeExplained, answers: Words, told: Words, language: Language) -> str:
    ticket = result.ticket
    assert ticket is not None, "a trade of the owner's own has its ticket"
    terms = ticket.terms
    name = "line" if terms.price is None else "line_price"
    line = answers["ticket"][name].format(
        side=answers["side"][terms.side],
        quantity=format_number(terms.quantity, language),
        symbol=terms.symbol,
        order_type=answers["order_type"][terms.order_type],
        price="" if terms.price is None else format_price(terms.price, language),
    )
    return str(told["own"].format(number=ticket.ticket_id, line=line))


def _used(figures: Mapping[str, Decimal]) -> Decimal:
    return figures["after"] / figures["limit"] if figures["limit"] > 0 else Decimal(0)
