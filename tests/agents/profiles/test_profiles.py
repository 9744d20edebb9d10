"""Profiles: the three that are packaged, what is refused and how it is told, pairs and strategies at run time."""

from dataclasses import fields
from decimal import Decimal
from pathlib import Path

import pytest

from agents.profiles import (
    PACKAGED,
    Profile,
    apply_changes,
    build_strategies,
    limits_of,
    load_profiles,
    missing_pairs,
    parse_profile,
    resolve_pairs,
)
from agents.profiles.parts import PARAMETERS, build_strategy
from agents.risk.values import RiskLimits
from agents.strategies import AGENT_PLANS, STRATEGY_NAMES
from engine.domain.errors import ConfigError
from engine.domain.instruments import build_instrument
from engine.domain.symbols import CRYPTO_SYMBOLS, SYMBOLS

D = Decimal
TEXT = """\
name: vega
temperament: moderate
pairs: [BTC/USDT]
budget_share_pct: 10
strategies:
  - name: grid
    parameters: {levels: 3}
limits:
  max_drawdown_pct: 5
  position_size_pct: 2
  max_positions: 3
  daily_loss_pct: 2
targets: {monthly_pct: [3, 5], win_rate_pct: 60}
"""
INSTRUMENTS = {symbol: build_instrument(symbol) for symbol in SYMBOLS}


@pytest.fixture(scope="module")
def packaged() -> dict[str, Profile]:
    return load_profiles(PACKAGED)


@pytest.mark.parametrize(
    ("name", "temperament", "figures", "monthly", "win_rate"),
    [
        ("atlas", "conservative", (5, 2, 3), (3, 5), 60),
        ("orion", "moderate", (10, 3, 5), (5, 10), 55),
        ("nova", "aggressive", (20, 5, 10), (10, None), 50),
    ],
)
def test_the_packaged_agents_are_those_of_the_table(
    packaged: dict[str, Profile],
    name: str,
    temperament: str,
    figures: tuple[int, int, int],
    monthly: tuple[int, int | None],
    win_rate: int,
) -> None:
    profile = packaged[name]
    limits = profile.limits
    assert profile.temperament == temperament
    assert (limits.max_drawdown_pct, limits.position_size_pct, limits.max_positions) == figures
    assert (profile.targets.monthly_pct, profile.targets.win_rate_pct) == (monthly, win_rate)
    assert tuple(plan.name for plan in profile.strategies) == AGENT_PLANS[name].strategies
    enforced = limits_of(profile)
    assert (enforced.drawdown_ratio * 100, enforced.position_ratio * 100, enforced.max_positions) == figures


def test_the_packaged_budgets_leave_something_and_pairs_resolve(packaged: dict[str, Profile]) -> None:
    assert sum(profile.budget_share_pct for profile in packaged.values()) < 100
    pairs = {name: resolve_pairs(profile, INSTRUMENTS) for name, profile in packaged.items()}
    assert pairs["atlas"] == ("BTC/USDT", "ETH/USDT")
    assert pairs["orion"] == CRYPTO_SYMBOLS[:10]
    assert set(pairs["nova"]) == set(CRYPTO_SYMBOLS)


def test_a_profile_sets_every_limit_of_the_gate_that_concerns_it() -> None:
    profile = parse_profile(TEXT, "x")
    odd = {
        "limits.price_band_pct": 7,
        "limits.orders_per_minute": 7,
        "limits.max_quote_age_s": 7,
        "limits.order_notional": 7,
    }
    changed = limits_of(apply_changes(profile, {**odd, "limits.gross_exposure_pct": 7}))
    usual = RiskLimits()
    left = {each.name for each in fields(RiskLimits) if getattr(changed, each.name) == getattr(usual, each.name)}
    assert left == {"group_exposure_ratio", "leverage"}


REFUSED = [
    ("limits:\n", "limits:\n  max_drawdwon_pct: 5\n", "line 9: limits.max_drawdwon_pct is 5: no such key"),
    ("max_positions: 3", "max_positions: 0", "line 11: limits.max_positions is 0"),
    ("max_positions: 3", "max_positions: true", "line 11: limits.max_positions is True: a figure is needed"),
    ("max_positions: 3", "max_positions: many", "line 11: limits.max_positions is 'many'"),
    ("  daily_loss_pct: 2\n", "", "limits.daily_loss_pct .* it is missing"),
    ("name: grid", "name: gird", "line 6: strategies.0.* there is no strategy 'gird'"),
    ("levels: 3", "levls: 3", "grid has no parameter levls; it has"),
    ("levels: 3", "levels: 3.5", "grid.levels is 3.5; write a whole number"),
    ("levels: 3", "levels: 9", "levels=9 must be at least 1 and fewer than"),
    ("name: vega", "name: Vega", "line 1: name is 'Vega'"),
    ("name: vega", "name: main", "'main' is taken"),
    ("[3, 5]", "[5, 3]", "from 5 down to 3"),
    ("[BTC/USDT]", "[]", "line 3: pairs"),
    ("[BTC/USDT]", "{top: 0}", "line 3: pairs.top is 0"),
    ("[BTC/USDT]", "some", "line 3: pairs is 'some'"),
    ("budget_share_pct: 10", "budget_share_pct: 10\nbudget_share_pct: 20", "line 5: 'budget_share_pct' stands twice"),
    ("temperament: moderate", "temperament: reckless", "line 2: temperament is 'reckless'"),
    ("budget_share_pct: 10", "budget_share_pct: 10\nshorts: true", "no strategy of this agent sells short"),
    ("name: vega", "name: [", "not YAML"),
]


@pytest.mark.parametrize(("old", "new", "told"), REFUSED)
def test_a_mistake_is_refused_with_its_place_its_value_and_what_to_do(old: str, new: str, told: str) -> None:
    assert old in TEXT
    with pytest.raises(ConfigError, match=told) as caught:
        parse_profile(TEXT.replace(old, new, 1), "agents/vega.yaml")
    assert "agents/vega.yaml" in str(caught.value)


def test_weights_of_strategies_come_to_one_at_most() -> None:
    two = TEXT.replace("  - name: grid\n", "  - {name: momentum, weight: 0.7}\n  - name: grid\n    weight: 0.4\n")
    with pytest.raises(ConfigError, match=r"add up to 1\.1"):
        parse_profile(two, "x")
    with pytest.raises(ConfigError, match="stands twice"):
        parse_profile(two.replace("momentum", "grid").replace("0.7", "0.5"), "x")


def test_an_owners_file_replaces_and_extends_the_packaged_ones(tmp_path: Path) -> None:
    (tmp_path / "vega.yaml").write_text(TEXT, encoding="utf-8")
    (tmp_path / "mine.yml").write_text(TEXT.replace("vega", "atlas"), encoding="utf-8")
    profiles = load_profiles(PACKAGED, tmp_path, tmp_path / "absent")
    assert list(profiles) == ["atlas", "nova", "orion", "vega"]
    assert profiles["atlas"].pairs == ("BTC/USDT",)
    (tmp_path / "again.yaml").write_text(TEXT, encoding="utf-8")
    with pytest.raises(ConfigError, match="like another file"):
        load_profiles(tmp_path)


def test_pairs_follow_the_market_and_the_ranking() -> None:
    profile = parse_profile(TEXT, "x")
    top = apply_changes(profile, {"pairs": {"top": 2}})
    assert resolve_pairs(top, INSTRUMENTS, lambda symbols: sorted(symbols, reverse=True)) == ("XRP/USDT", "SOL/USDT")
    named = apply_changes(profile, {"pairs": ["ETH/USDT", "GONE/USDT", "XAUUSD"]})
    assert resolve_pairs(named, INSTRUMENTS) == ("ETH/USDT",)
    assert missing_pairs(named, INSTRUMENTS) == ("GONE/USDT",)
    assert resolve_pairs(apply_changes(profile, {"pairs": "all", "quote": "EUR"}), INSTRUMENTS) == ()


def test_strategies_are_built_with_their_parameters_and_pairs() -> None:
    profile = apply_changes(
        parse_profile(TEXT, "x"), {"pairs": ["BTC/USDT", "ETH/USDT"], "strategies.grid.exclude": ["BTC/USDT"]}
    )
    (grid,) = build_strategies(profile, resolve_pairs(profile, INSTRUMENTS))
    assert (grid.name, grid.symbols, grid.most_entries) == ("grid", ("ETH/USDT",), 3)
    assert build_strategies(profile, ["BTC/USDT"]) == ()


@pytest.mark.parametrize("name", STRATEGY_NAMES)
@pytest.mark.parametrize("shorts", [False, True])
def test_every_strategy_of_the_catalogue_can_stand_in_a_profile(name: str, shorts: bool) -> None:
    built = build_strategy(name, ["BTC/USDT"], "1h", {}, shorts=shorts)
    assert (built.name, built.symbols) == (name, ("BTC/USDT",))
    assert getattr(built.parameters, "shorts", False) is (shorts and hasattr(PARAMETERS[name](), "shorts"))  # type: ignore[attr-defined]


@pytest.mark.parametrize("path", ["limits.nothing", "nothing", "strategies.momentum.weight", "pairs.top"])
def test_a_change_of_what_is_not_there_is_refused(path: str) -> None:
    with pytest.raises(ConfigError, match="a profile has no"):
        apply_changes(parse_profile(TEXT, "x"), {path: 1})


def test_a_new_agent_is_a_new_file_and_no_code(tmp_path: Path) -> None:
    (tmp_path / "vega.yaml").write_text(TEXT, encoding="utf-8")
    profile = load_profiles(tmp_path)["vega"]
    assert [each.name for each in build_strategies(profile, resolve_pairs(profile, INSTRUMENTS))] == ["grid"]
