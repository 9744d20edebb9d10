"""All strategies by name, and which of them each agent trades.

Which strategies and symbols an agent has is said here once, as they are by default; an agent's own settings replace it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from agents.strategies.altcoin_rotation import AltcoinRotation
from agents.strategies.breakout import Breakout, BreakoutParameters
from agents.strategies.grid import Grid, GridParameters
from agents.strategies.mean_reversion import MeanReversion, MeanReversionParameters
from agents.strategies.momentum import Momentum, MomentumParameters
from agents.strategies.scalping import Scalping, ScalpingParameters
from agents.strategies.tables import TableStrategy
from agents.strategies.trend_following import TrendFollowing, TrendFollowingParameters
from engine.domain.symbols import CRYPTO_SYMBOLS, Timeframe, is_fx

CURRENCY_GRID_STEP = 0.002
"""Distance of grid lines in currencies and gold, which move about a fifth as far as coins."""

Build = Callable[[tuple[str, ...], Timeframe, bool], TableStrategy]

_BUILDERS: Mapping[str, Build] = MappingProxyType(
    {
        "mean_reversion": lambda symbols, timeframe, shorts: MeanReversion(
            symbols, timeframe, MeanReversionParameters(shorts=shorts)
        ),
        "grid": lambda symbols, timeframe, _shorts: Grid(symbols, timeframe, _grid_parameters(symbols)),
        "trend_following": lambda symbols, timeframe, shorts: TrendFollowing(
            symbols, timeframe, TrendFollowingParameters(shorts=shorts)
        ),
        "breakout": lambda symbols, timeframe, shorts: Breakout(symbols, timeframe, BreakoutParameters(shorts=shorts)),
        "momentum": lambda symbols, timeframe, shorts: Momentum(symbols, timeframe, MomentumParameters(shorts=shorts)),
        "scalping": lambda symbols, timeframe, shorts: Scalping(symbols, timeframe, ScalpingParameters(shorts=shorts)),
        "altcoin_rotation": lambda symbols, timeframe, _shorts: AltcoinRotation(symbols, timeframe),
    }
)

STRATEGY_NAMES = tuple(_BUILDERS)
LONG_ONLY_STRATEGIES = frozenset({"grid", "altcoin_rotation"})


@dataclass(frozen=True, slots=True)
class AgentPlan:
    """What an agent trades by default.

    Attributes:
        strategies: Names of its strategies.
        symbols: Its symbols; empty for all that the venue lists.
    """

    strategies: tuple[str, ...]
    symbols: tuple[str, ...]


AGENT_PLANS: Mapping[str, AgentPlan] = MappingProxyType(
    {
        "atlas": AgentPlan(("mean_reversion", "grid"), ("BTC/USDT", "ETH/USDT")),
        "orion": AgentPlan(("trend_following", "breakout"), CRYPTO_SYMBOLS),
        "nova": AgentPlan(("momentum", "scalping", "altcoin_rotation"), ()),
    }
)


def build_strategy(name: str, symbols: Sequence[str], timeframe: Timeframe, *, shorts: bool = False) -> TableStrategy:
    """Return a strategy with its usual parameters.

    Args:
        name: One of `STRATEGY_NAMES`.
        symbols: What it trades.
        timeframe: Length of its bars.
        shorts: Whether it may sell short; the grid and the rotation never do.

    Raises:
        ValueError: There is no strategy of that name.
    """
    if name not in _BUILDERS:
        raise ValueError(f"there is no strategy {name!r}; there are {', '.join(STRATEGY_NAMES)}")
    return _BUILDERS[name](tuple(symbols), timeframe, shorts)


def is_altcoin(symbol: str) -> bool:
    """Tell whether a symbol is a coin other than bitcoin."""
    return not is_fx(symbol) and symbol.partition("/")[0] != "BTC"


def _grid_parameters(symbols: tuple[str, ...]) -> GridParameters:
    is_currency = bool(symbols) and all(is_fx(symbol) for symbol in symbols)
    return GridParameters(step_ratio=CURRENCY_GRID_STEP) if is_currency else GridParameters()
