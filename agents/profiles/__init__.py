"""Profiles: what an agent trades, within which limits and against which targets; one YAML file each."""

from agents.profiles.loader import PACKAGED, apply_changes, load_profiles, parse_profile, read_profile
from agents.profiles.pairs import Ranking, build_strategies, missing_pairs, resolve_pairs, usual_ranking
from agents.profiles.schema import (
    Limits,
    Profile,
    SignalFilter,
    SignalMode,
    StrategyPlan,
    Targets,
    Temperament,
    TopPairs,
    limits_of,
)

__all__ = [
    "PACKAGED",
    "Limits",
    "Profile",
    "Ranking",
    "SignalFilter",
    "SignalMode",
    "StrategyPlan",
    "Targets",
    "Temperament",
    "TopPairs",
    "apply_changes",
    "build_strategies",
    "limits_of",
    "load_profiles",
    "missing_pairs",
    "parse_profile",
    "read_profile",
    "resolve_pairs",
    "usual_ranking",
]
