"""What a profile may say: one strict pydantic model per part; an unknown key or a figure out of range stops the start.

A profile is data. It names strategies, pairs, limits and targets; which code runs is decided by the catalogue of
strategies. Percentages stand here because people write them; `limits_of` turns them into the risk gate's ratios.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from agents.profiles.parts import LONG_ONLY, PARAMETERS, read_parameters
from agents.risk.values import RiskLimits
from engine.domain.signals import Phase
from engine.domain.symbols import Timeframe

_HUNDRED = Decimal(100)
NAME_PATTERN = r"^[a-z][a-z0-9_]{1,15}$"
"""Names are words of the database, of order sources and of commands."""
RESERVED_NAMES = frozenset({"main", "all", "signal", *PARAMETERS})
"""Words that mean something else where an agent can be named."""


def _no_flag(value: object) -> object:
    """Refuse true and false where a figure is meant: pydantic would read them as 1 and 0."""
    if isinstance(value, bool):
        raise ValueError("a figure is needed here, not true or false")
    return value


Percent = Annotated[Decimal, BeforeValidator(_no_flag), Field(gt=0, le=100)]
Share = Annotated[Decimal, BeforeValidator(_no_flag), Field(ge=0, le=1)]
Count = Annotated[int, BeforeValidator(_no_flag), Field(ge=1)]
ParameterValue = bool | int | float


class _Part(BaseModel):
    """A part of a profile: frozen, and no key that it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Temperament(StrEnum):
    """How much an agent dares, in one word."""

    CONSERVATIVE = "conservative"
    MODERATE = "moderate"
    AGGRESSIVE = "aggressive"


class SignalMode(StrEnum):
    """What the ML signal does to entries."""

    OFF = "off"
    FILTER = "filter"
    """An entry against the signal, or below its thresholds, is refused."""
    WEIGHT = "weight"
    """An entry is the smaller the less the signal speaks for it."""


class StrategyPlan(_Part):
    """One strategy of an agent.

    Attributes:
        weight: Share of the agent's position size that its entries in one symbol take together.
        pairs: Only these of the agent's pairs; empty for all of them.
        exclude: None of these.
        trailing_pct: Distance at which stops follow the best price; without it they stand where the strategy put them.
        parameters: Those that differ from the strategy's own.
    """

    name: str
    timeframe: Timeframe = "1h"
    weight: Annotated[Decimal, BeforeValidator(_no_flag), Field(gt=0, le=1)] = Decimal(1)
    pairs: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    trailing_pct: Annotated[Decimal, BeforeValidator(_no_flag), Field(gt=0, lt=100)] | None = None
    parameters: dict[str, ParameterValue] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _fits_its_strategy(self) -> Self:
        if self.name not in PARAMETERS:
            raise ValueError(f"there is no strategy {self.name!r}; there are {', '.join(sorted(PARAMETERS))}")
        read_parameters(self.name, self.parameters)
        return self


class TopPairs(_Part):
    """The first few pairs by the market's ranking."""

    top: Count


Pairs = Literal["all"] | TopPairs | Annotated[tuple[str, ...], Field(min_length=1)]


class Limits(_Part):
    """What is enforced; percentages of the agent's own equity.

    Attributes:
        position_size_pct: What all entries in one symbol come to at most.
        gross_exposure_pct: Of all symbols together; position size times positions when it is not given.
        order_notional: Bound of one order in account currency.
    """

    max_drawdown_pct: Percent
    position_size_pct: Percent
    max_positions: Count
    daily_loss_pct: Percent
    gross_exposure_pct: Annotated[Decimal, BeforeValidator(_no_flag), Field(gt=0, le=1000)] | None = None
    order_notional: Annotated[Decimal, BeforeValidator(_no_flag), Field(gt=0)] = Decimal(50_000)
    price_band_pct: Percent = Decimal(20)
    orders_per_minute: Count = 30
    max_quote_age_s: Count = 120

    @property
    def position_ratio(self) -> Decimal:
        """Return the position size as a fraction of equity."""
        return self.position_size_pct / _HUNDRED


class Targets(_Part):
    """What results are shown against; nothing is enforced by them.

    Attributes:
        monthly_pct: Lowest and highest return of a month that is hoped for; None for no upper end.
    """

    monthly_pct: tuple[Decimal, Decimal | None]
    win_rate_pct: Percent

    @model_validator(mode="after")
    def _is_ordered(self) -> Self:
        low, high = self.monthly_pct
        if high is not None and high < low:
            raise ValueError(f"the monthly range goes from {low} down to {high}; write the lower figure first")
        return self


class SignalFilter(_Part):
    """What the ML signal does to the agent's entries.

    Attributes:
        timeframe: Of the signal; that of the strategy when it is not given.
        min_probability: Of the entry's side (`filter`).
        min_expected_value: After costs, as a multiple of the risk (`filter`).
        phases: AMD phases in which entries are allowed (`filter` and `weight`).
        least_weight: Share of the size that an entry keeps when the signal speaks against it (`weight`).
        full_probability: Probability at which an entry has its full size (`weight`).
        when_missing: Whether entries pass while there is no signal.
    """

    mode: SignalMode = SignalMode.OFF
    timeframe: Timeframe | None = None
    min_probability: Share | None = None
    min_expected_value: Annotated[Decimal, BeforeValidator(_no_flag)] | None = None
    phases: tuple[Phase, ...] = tuple(Phase)
    least_weight: Share = Decimal("0.5")
    full_probability: Share = Decimal("0.6")
    when_missing: Literal["pass", "refuse"] = "pass"


class Profile(_Part):
    """An agent as its file and its owner's changes describe it.

    Attributes:
        title: Name shown to people, by language.
        pairs: Symbols, `top: n`, or `all`; resolved while it runs.
        quote: Currency in which its pairs are quoted.
        budget_share_pct: Of the account's money, proposed when the agent is first funded.
        shorts: Whether it may sell short, where the venue lets it.
    """

    name: Annotated[str, Field(pattern=NAME_PATTERN)]
    title: dict[Annotated[str, Field(pattern="^[a-z]{2}$")], Annotated[str, Field(min_length=1, max_length=40)]] = (
        Field(default_factory=dict)
    )
    temperament: Temperament
    quote: Annotated[str, Field(pattern="^[A-Z0-9]{2,10}$")] = "USDT"
    pairs: Pairs
    shorts: bool = False
    budget_share_pct: Percent
    strategies: Annotated[tuple[StrategyPlan, ...], Field(min_length=1)]
    limits: Limits
    targets: Targets
    signal: SignalFilter = SignalFilter()

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.name in RESERVED_NAMES:
            raise ValueError(f"the name {self.name!r} is taken; choose another word")
        names = [plan.name for plan in self.strategies]
        if len(set(names)) < len(names):
            raise ValueError(f"a strategy stands twice among {', '.join(names)}; give each once")
        weight = sum((plan.weight for plan in self.strategies), Decimal(0))
        if weight > 1:
            raise ValueError(f"the weights of the strategies add up to {weight}; they may come to 1 at most")
        if self.shorts and all(plan.name in LONG_ONLY for plan in self.strategies):
            raise ValueError("shorts is true, and no strategy of this agent sells short; leave it false")
        return self


def limits_of(profile: Profile) -> RiskLimits:
    """Return what the risk gate enforces for an agent's book."""
    limits = profile.limits
    exposure = limits.gross_exposure_pct or limits.position_size_pct * limits.max_positions
    return RiskLimits(
        position_ratio=limits.position_ratio,
        gross_exposure_ratio=exposure / _HUNDRED,
        max_positions=limits.max_positions,
        daily_loss_ratio=limits.daily_loss_pct / _HUNDRED,
        drawdown_ratio=limits.max_drawdown_pct / _HUNDRED,
        order_notional=limits.order_notional,
        price_band_ratio=limits.price_band_pct / _HUNDRED,
        orders_per_minute=limits.orders_per_minute,
        max_quote_age_s=limits.max_quote_age_s,
    )
