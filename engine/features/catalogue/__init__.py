"""Every feature by name and by group: pick any of them; each is defined once and run by every driver."""

from __future__ import annotations

from engine.features.catalogue.feature import Feature, Group
from engine.features.catalogue.momentum import MOMENTUM
from engine.features.catalogue.returns import RETURNS
from engine.features.catalogue.session import SEASONS, SESSIONS
from engine.features.catalogue.structure import STRUCTURE
from engine.features.catalogue.timeframes import TIMEFRAMES
from engine.features.catalogue.trend import TREND
from engine.features.catalogue.volatility import RANGES, VOLATILITY
from engine.features.catalogue.volume import VOLUMES

CATALOGUE: dict[str, Feature] = {
    feature.name: feature
    for feature in (
        *RETURNS,
        *VOLATILITY,
        *RANGES,
        *TREND,
        *MOMENTUM,
        *VOLUMES,
        *SESSIONS,
        *SEASONS,
        *TIMEFRAMES,
        *STRUCTURE,
    )
}
"""All features, by name."""

GROUPS: dict[Group, tuple[str, ...]] = {
    group: tuple(feature.name for feature in CATALOGUE.values() if feature.group is group) for group in Group
}
"""Names by group."""


def find_features(names: tuple[str, ...]) -> tuple[Feature, ...]:
    """Return the features of some names, in their order.

    Raises:
        ValueError: A name is not known.
    """
    unknown = [name for name in names if name not in CATALOGUE]
    if unknown:
        raise ValueError(f"no feature is called {unknown[0]!r}; names are in engine.features.catalogue.CATALOGUE")
    return tuple(CATALOGUE[name] for name in names)


__all__ = ["CATALOGUE", "GROUPS", "Feature", "Group", "find_features"]
