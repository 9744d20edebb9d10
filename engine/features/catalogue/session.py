"""Where a bar lies in the day and the week, in the sessions of the big cities, and in its own day's prices.

Days are those of UTC. Sessions are told by the clocks of London and New York, daylight saving included.
"""

from __future__ import annotations

from math import inf

from engine.features.catalogue.feature import ATR_UNIT, LOG_RANGE, OWN, Feature, Group, in_atr
from engine.features.expressions import (
    CLOSE,
    DAY,
    HIGH,
    LOW,
    OPEN,
    TIME,
    VOLUME,
    WEEK,
    Expression,
    clip,
    column,
    cycle,
    greater,
    hold,
    lag,
    local_time,
    log,
    mean,
    modulo,
    profile,
    ratio,
    where,
    within,
)
from engine.features.opcodes import FIRST, HIGHEST, LONDON, LOWEST, NEW_YORK, TOTAL

_HOUR_S = 3600.0
_DAY_S = 86400.0
_CITIES = {"london": LONDON, "new_york": NEW_YORK}
_SEASON = "after Andersen and Bollerslev (1997), Intraday Periodicity and Volatility Persistence"
_KEEP, _WEEKS = 0.9, 8
"""What a week keeps of the weight of the one before, and the weeks that a profile needs to be of use."""


def _named(name: str, expression: Expression, unit: str, words: str, source: str = OWN) -> Feature:
    return Feature(name, Group.SESSION, expression, unit, words, source)


def _open_share(city: int, opens: float, closes: float) -> Expression:
    """Return the share of a session that has passed, 0 outside of it, and on Saturday and Sunday."""
    clock = local_time(city)
    hours = modulo(clock, _DAY_S) / _HOUR_S
    passed = (hours - opens) / (closes - opens)
    is_weekday = greater(modulo(clock, 7 * _DAY_S, 3 * _DAY_S) * -1.0, (CLOSE * 0.0) - 5 * _DAY_S)
    is_open = greater(passed + 1e-9, CLOSE * 0.0) * greater(CLOSE * 0.0 + 1.0, passed) * is_weekday
    return is_open * clip(passed, 0, 1)


_DAY_HIGH, _DAY_LOW, _DAY_OPEN = within(HIGH, DAY, HIGHEST), within(LOW, DAY, LOWEST), within(OPEN, DAY, FIRST)
_WEEK_HIGH, _WEEK_LOW, _WEEK_OPEN = within(HIGH, WEEK, HIGHEST), within(LOW, WEEK, LOWEST), within(OPEN, WEEK, FIRST)
_LAST_HIGH, _LAST_LOW, _LAST_CLOSE = (hold(column(number, DAY)) for number in (2, 3, 4))
_TYPICAL = (HIGH + LOW + CLOSE) / 3.0
_PAID = ratio(within(_TYPICAL * VOLUME, DAY, TOTAL), within(VOLUME, DAY, TOTAL))
_IS_PAID = greater(_PAID, CLOSE * 0.0)
_MISSED = clip(TIME - lag(TIME, 1), 1, inf)

SESSIONS: tuple[Feature, ...] = (
    *(
        _named(f"{name}_{wave}", cycle(TIME, period, is_sine=wave == "sine"), "1", f"{wave.title()} of the {words}.")
        for name, period, words in (("hour", DAY, "time of day"), ("week", WEEK, "time of week"))
        for wave in ("sine", "cosine")
    ),
    *(
        _named(
            f"{city}_{wave}",
            cycle(local_time(number), DAY, is_sine=wave == "sine"),
            "1",
            f"{wave.title()} of its clock.",
        )
        for city, number in _CITIES.items()
        for wave in ("sine", "cosine")
    ),
    _named("london_session", _open_share(LONDON, 8, 16.5), "share", "Passed of London's day, 8:00 to 16:30; else 0."),
    _named(
        "new_york_session", _open_share(NEW_YORK, 9.5, 16), "share", "Passed of New York's day, 9:30 to 16:00; else 0."
    ),
    _named("day_move", in_atr(CLOSE - _DAY_OPEN), ATR_UNIT, "Close less the day's first open."),
    _named("day_range", in_atr(_DAY_HIGH - _DAY_LOW), ATR_UNIT, "The day's high less its low, so far."),
    _named(
        "day_position",
        ratio(CLOSE - _DAY_LOW, _DAY_HIGH - _DAY_LOW, neutral=0.5) - 0.5,
        "share",
        "Place of the close in the day's range so far, less one half.",
    ),
    _named(
        "day_vwap_distance",
        where(_IS_PAID, in_atr(CLOSE - _PAID), CLOSE * 0.0),
        ATR_UNIT,
        "Close less the day's average price by volume; 0 without volume.",
    ),
    _named("week_move", in_atr(CLOSE - _WEEK_OPEN), ATR_UNIT, "Close less the week's first open."),
    _named(
        "week_position",
        ratio(CLOSE - _WEEK_LOW, _WEEK_HIGH - _WEEK_LOW, neutral=0.5) - 0.5,
        "share",
        "Place of the close in the week's range so far, less one half.",
    ),
    _named("last_day_high", in_atr(CLOSE - _LAST_HIGH), ATR_UNIT, "Close less the high of the last closed day."),
    _named("last_day_low", in_atr(CLOSE - _LAST_LOW), ATR_UNIT, "Close less the low of the last closed day."),
    _named("last_day_close", in_atr(CLOSE - _LAST_CLOSE), ATR_UNIT, "Close less that of the last closed day."),
    _named("hours_since_bar", log(_MISSED / _HOUR_S), "log hours", "Log of the hours since the bar before opened."),
)


def _profile(ahead: int, city: str) -> Feature:
    """What range the hours of the week ahead usually have, against the range of late."""
    usual = profile(_SURPRISE, ahead=ahead, keep=_KEEP, weeks=_WEEKS, time=local_time(_CITIES[city]))
    words = (
        f"Usual log range of the next {ahead} bars' hours of the week, over that of 120 bars; by the clock of {city}."
    )
    return Feature(f"season_{ahead}", Group.SEASON, usual, "log ratio", words, _SEASON)


_SURPRISE = clip(log(ratio(LOG_RANGE, mean(LOG_RANGE, 120), neutral=1.0) + 0.05), -3, 3)
_USUAL = profile(_SURPRISE, ahead=1, keep=_KEEP, weeks=_WEEKS, time=local_time(NEW_YORK))

SEASONS: tuple[Feature, ...] = (
    *(_profile(ahead, "new_york") for ahead in (1, 4, 12, 24)),
    Feature(
        "season_surprise_1",
        Group.SEASON,
        _SURPRISE - lag(_USUAL, 1),
        "log ratio",
        "Log range of the bar, over that of 120 bars, less what was usual for its hour of the week.",
        _SEASON,
    ),
    Feature(
        "season_surprise_24",
        Group.SEASON,
        mean(_SURPRISE - lag(_USUAL, 1), 24),
        "log ratio",
        "Mean of that over 24 bars.",
        _SEASON,
    ),
)
