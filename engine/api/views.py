"""What the service answers: the engine's values as typed JSON.

A number that does not exist is null, never NaN or infinity, which JSON does not have. A time is ISO 8601 in UTC and
ends in `Z`. A symbol is written as the market writes it (`BTC/USDT`).
"""

from __future__ import annotations

import math
from datetime import UTC
from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from engine.api import examples
from engine.domain.signals import Direction, Phase
from engine.domain.symbols import Timeframe


def _finite(value: float | None) -> float | None:
    """Return null for what JSON has no number for."""
    return None if value is None or not math.isfinite(value) else float(value)


Number = Annotated[float | None, BeforeValidator(_finite)]
Moment = Annotated[AwareDatetime, AfterValidator(lambda value: value.astimezone(UTC))]


class View(BaseModel):
    """Base of every answer: frozen, and with no field that is not described."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class BarView(View):
    """One closed bar."""

    opened_at: Moment
    closed_at: Moment = Field(description="When it was over: its price is known from then on.")
    open: Number
    high: Number
    low: Number
    close: Number
    volume: Number = Field(description="In base units; 0 where the feed has none.")


class BarsView(View):
    """Closed bars of one symbol, oldest first."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.BARS]})

    symbol: str
    timeframe: Timeframe
    is_simulated: bool
    bars: list[BarView]


class PhaseView(View):
    """AMD phase with its evidence; prices in quote currency, null where one does not apply."""

    phase: Phase
    score: Number
    range_high: Number
    range_low: Number
    swept_level: Number
    displacement_atr: Number


class Quantiles(View):
    """Prices that are passed with a probability of 90, 50 and 10 percent."""

    q10: Number
    q50: Number
    q90: Number


class ExpectedRangeView(View):
    """How far the price may go over the horizon, as prices."""

    up: Quantiles
    down: Quantiles


class DriverView(View):
    """One input that moved the probability."""

    feature: str
    value: Number
    contribution: Number = Field(description="Its push, in log-odds.")


class SignalView(View):
    """What the engine says about a symbol at its last closed bar."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.SIGNAL]})

    symbol: str
    timeframe: Timeframe
    direction: Direction = Field(description="`none` is the usual answer: no edge after costs.")
    reason: str = Field(description="Why there is or is not a trade: edge, no_edge, stale, phase, range or drift.")
    close: Number
    entry: Number
    stop: Number
    target: Number
    reward_risk: Number
    probability: Number = Field(description="Calibrated, that the target is hit before the stop within the horizon.")
    breakeven_probability: Number
    expected_value_ratio: Number = Field(description="Expected profit after costs, in multiples of the risk.")
    phase: PhaseView
    expected_range: ExpectedRangeView
    horizon_bars: int
    drivers: list[DriverView]
    model_version: str
    bar_at: Moment = Field(description="Open time of the last closed bar.")
    price_at: Moment = Field(description="When that bar closed.")
    valid_until: Moment = Field(description="After this the signal says nothing.")
    is_simulated: bool


class NoSignal(View):
    """A symbol that has no signal now, and why."""

    symbol: str
    timeframe: Timeframe
    code: str
    detail: str


class SignalsView(View):
    """The signals of several symbols; what has none is listed with the reason."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.SIGNALS]})

    timeframe: Timeframe
    signals: list[SignalView]
    without: list[NoSignal]


class ModelView(View):
    """A trained model, by its manifest."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.MODEL]})

    id: str
    created_at: Moment
    timeframe: str
    symbols: list[str]
    is_held: bool = Field(description="Kept, and not used: it was not better, or was rolled back.")
    rows: int
    horizon_bars: int
    features: list[str]
    feature_version: int
    parameters: dict[str, Number]
    data_hash: str
    digest: str


class ModelsView(View):
    """Models, oldest first."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.MODELS]})

    models: list[ModelView]


class TargetFigures(View):
    """How well one target was foretold out of sample."""

    target: str
    auc: Number
    auc_by_fold: list[Number]
    brier_skill: Number = Field(description="Above zero: the probabilities tell more than the base rate.")
    calibration_error: Number
    acted_share: Number = Field(description="Share of the rows that would have been acted on.")
    acted_payoff: Number = Field(description="Mean payoff of those before costs, in multiples of the risk.")
    acted_z: Number = Field(description="That payoff in standard errors.")


class RangeFigures(View):
    """How well one side of the range was foretold out of sample."""

    side: Literal["up", "down"]
    coverage: Number
    pinball: Number
    pinball_gain: Number = Field(description="Share of the loss saved against constant quantiles.")


class ReportView(View):
    """A model's figures on rows that it had not seen."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.REPORT]})

    model_id: str
    created_at: Moment
    timeframe: str
    symbols: list[str]
    protocol: Literal["purged walk-forward"] = "purged walk-forward"
    rows: int
    horizon_bars: int
    targets: list[TargetFigures]
    ranges: list[RangeFigures]
    figures: dict[str, Number] = Field(description="Every figure of the manifest, by its name there.")


class StreamHealth(View):
    """The stream's condition."""

    stream: str = Field(description="Names this run of the program; sequence numbers belong to it.")
    sequence: int
    clients: int
    dropped_slow: int = Field(description="Clients closed since the start because they were slow.")


class HealthView(View):
    """The service is well; when it is not, the answer is a problem of status 503."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.HEALTH]})

    status: Literal["ok"] = "ok"
    market: str
    is_simulated: bool
    market_at: Moment
    stream: StreamHealth
