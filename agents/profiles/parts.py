"""From a profile's words to strategies: which class a name means, and its parameters, checked key by key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any, Protocol

from agents.strategies.altcoin_rotation import AltcoinRotation, AltcoinRotationParameters
from agents.strategies.breakout import Breakout, BreakoutParameters
from agents.strategies.catalogue import LONG_ONLY_STRATEGIES, STRATEGY_NAMES
from agents.strategies.grid import Grid, GridParameters
from agents.strategies.mean_reversion import MeanReversion, MeanReversionParameters
from agents.strategies.momentum import Momentum, MomentumParameters
from agents.strategies.scalping import Scalping, ScalpingParameters
from agents.strategies.tables import TableStrategy
from agents.strategies.trend_following import TrendFollowing, TrendFollowingParameters
from engine.domain.symbols import Timeframe

LONG_ONLY = LONG_ONLY_STRATEGIES


class _Build(Protocol):
    def __call__(self, symbols: tuple[str, ...], timeframe: Timeframe, parameters: Any) -> TableStrategy: ...


@dataclass(frozen=True, slots=True)
class _Kind:
    build: _Build
    parameters: type[Any]


_KINDS: Mapping[str, _Kind] = MappingProxyType(
    {
        "mean_reversion": _Kind(MeanReversion, MeanReversionParameters),
        "grid": _Kind(Grid, GridParameters),
        "trend_following": _Kind(TrendFollowing, TrendFollowingParameters),
        "breakout": _Kind(Breakout, BreakoutParameters),
        "momentum": _Kind(Momentum, MomentumParameters),
        "scalping": _Kind(Scalping, ScalpingParameters),
        "altcoin_rotation": _Kind(AltcoinRotation, AltcoinRotationParameters),
    }
)
PARAMETERS: Mapping[str, type[Any]] = MappingProxyType({name: kind.parameters for name, kind in _KINDS.items()})
assert set(_KINDS) == set(STRATEGY_NAMES), "every strategy of the catalogue can stand in a profile"

SHORTS = "shorts"
"""The parameter that a profile sets once for all its strategies."""


def read_parameters(name: str, given: Mapping[str, bool | int | float], *, shorts: bool = False) -> Any:
    """Return a strategy's frozen parameters, those that are not given as they are by themselves.

    Raises:
        ValueError: An unknown parameter, one of the wrong kind, or a figure that the strategy refuses.
    """
    kind = _KINDS[name].parameters
    known = {each.name: each for each in fields(kind)}
    unknown = sorted(set(given) - set(known) | ({SHORTS} & set(given)))
    if unknown:
        offered = ", ".join(sorted(set(known) - {SHORTS}))
        raise ValueError(f"{name} has no parameter {', '.join(unknown)}; it has {offered}")
    values: dict[str, object] = {key: _fit(name, key, known[key].default, value) for key, value in given.items()}
    if SHORTS in known:
        values[SHORTS] = shorts
    return kind(**values)


def build_strategy(
    name: str,
    symbols: Sequence[str],
    timeframe: Timeframe,
    parameters: Mapping[str, bool | int | float],
    *,
    shorts: bool,
) -> TableStrategy:
    """Return a strategy as a profile describes it.

    Raises:
        ValueError: Its parameters do not fit.
    """
    return _KINDS[name].build(tuple(symbols), timeframe, read_parameters(name, parameters, shorts=shorts))


def _fit(name: str, key: str, usual: object, value: bool | int | float) -> object:
    """Return a value of the same kind as the usual one; a whole number may stand for a fraction."""
    if isinstance(usual, bool) or isinstance(value, bool):
        if type(usual) is not type(value):
            raise ValueError(f"{name}.{key} is {value!r}; write a value like {usual!r}")
        return value
    if isinstance(usual, float):
        return float(value)
    if not isinstance(value, int):
        raise ValueError(f"{name}.{key} is {value!r}; write a whole number like {usual!r}")
    return value
