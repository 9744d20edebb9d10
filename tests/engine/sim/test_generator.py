"""The generator: the same to the bit, and a market worth the name."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from engine.domain.market import FloatArray
from engine.domain.symbols import CRYPTO_SYMBOLS, FX_SYMBOLS, SYMBOLS
from engine.sim.generator import DAYS_PER_CHUNK, MarketGenerator, Skeleton

CHUNKS = 26  # two years
BTC, ETH, EUR, GBP = (SYMBOLS.index(symbol) for symbol in ("BTC/USDT", "ETH/USDT", "EURUSD", "GBPUSD"))

# A change here changes every simulated history: raise `VERSION` in the generator with it.
SKELETON_SHA256 = "562414551a5aade1aaa67cad4ce387bb6c8b9e98cc9e06ba2dd7db8a45e75d43"
MINUTES_SHA256 = "46492024312ab8c69a893f10144a88ce434f85c4dae6bd31b016cb6f373cb5ff"


def make_skeletons(generator: MarketGenerator, chunks: int) -> list[Skeleton]:
    state, made = generator.initial_state(), []
    for chunk in range(chunks):
        made.append(generator.skeleton(chunk, state))
        state = made[-1].next_state
    return made


@pytest.fixture(scope="module")
def structured() -> list[Skeleton]:
    return make_skeletons(MarketGenerator(7), CHUNKS)


@pytest.fixture(scope="module")
def returns(structured: list[Skeleton]) -> FloatArray:
    prices = np.concatenate([skeleton.price[:-1] for skeleton in structured])
    return np.diff(np.log(prices), axis=0)


@pytest.fixture(scope="module")
def walk_returns() -> FloatArray:
    skeletons = make_skeletons(MarketGenerator(7, is_structured=False), CHUNKS)
    return np.diff(np.log(np.concatenate([skeleton.price[:-1] for skeleton in skeletons])), axis=0)


def autocorrelation(values: FloatArray, lag: int) -> float:
    return float(np.corrcoef(values[lag:], values[:-lag])[0, 1])


def kurtosis(values: FloatArray) -> float:
    centred = values - values.mean()
    return float(np.mean(centred**4) / np.mean(centred**2) ** 2)


def test_a_seed_gives_the_same_market_to_the_bit() -> None:
    generator = MarketGenerator(42)
    skeletons = make_skeletons(generator, 2)
    prices = hashlib.sha256(b"".join(skeleton.price.tobytes() for skeleton in skeletons))
    assert prices.hexdigest() == SKELETON_SHA256
    minutes = hashlib.sha256()
    for symbol in SYMBOLS:
        block = generator.minute_bars(skeletons[1], symbol, 3, 1)
        for column in (block.open, block.high, block.low, block.close, block.volume):
            minutes.update(np.ascontiguousarray(column).tobytes())
    assert minutes.hexdigest() == MINUTES_SHA256


def test_another_seed_gives_another_market() -> None:
    one, other = (make_skeletons(MarketGenerator(seed), 1)[0].price for seed in (1, 2))
    assert np.array_equal(one[0], other[0])
    assert not np.any(np.all(one[1:] == other[1:], axis=0))


def test_a_chunk_follows_from_the_state_that_the_one_before_left(structured: list[Skeleton]) -> None:
    alone = MarketGenerator(7).skeleton(5, structured[4].next_state)
    assert np.array_equal(alone.price, structured[5].price)
    assert np.array_equal(structured[4].price[-1], structured[5].price[0])


def test_a_day_made_alone_equals_the_day_in_its_chunk(structured: list[Skeleton]) -> None:
    generator = MarketGenerator(7)
    for symbol in ("BTC/USDT", "XAUUSD"):
        chunk = generator.minute_bars(structured[3], symbol)
        for day in (0, 11, DAYS_PER_CHUNK - 1):
            alone = generator.minute_bars(structured[3], symbol, day, 1)
            for name in ("open", "high", "low", "close", "volume"):
                assert np.array_equal(getattr(alone, name), getattr(chunk, name)[day * 24 : day * 24 + 24]), name


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_hours_are_the_aggregation_of_their_minutes_and_join_the_skeleton(
    symbol: str, structured: list[Skeleton]
) -> None:
    generator, skeleton = MarketGenerator(7), structured[10]
    minutes, hours = generator.minute_bars(skeleton, symbol), generator.hour_bars(skeleton, symbol)
    column = SYMBOLS.index(symbol)
    assert np.array_equal(hours.open, skeleton.price[:-1, column])
    assert np.array_equal(hours.close, skeleton.price[1:, column])
    assert np.array_equal(hours.high, minutes.high.max(axis=1))
    assert np.array_equal(hours.low, minutes.low.min(axis=1))
    assert np.allclose(hours.volume, minutes.volume.sum(axis=1), rtol=1e-12)
    assert np.array_equal(minutes.open.ravel()[1:], minutes.close.ravel()[:-1])
    assert np.all(minutes.high >= np.maximum(minutes.open, minutes.close))
    assert np.all(minutes.low <= np.minimum(minutes.open, minutes.close))
    assert np.all(minutes.low > 0)
    assert np.all(minutes.volume > 0)


def test_the_second_path_stays_in_its_bar_and_visits_both_ends() -> None:
    generator = MarketGenerator(7)
    for minute in range(200):
        path = generator.second_path("ETH/USDT", 1_700_000_040 + 60 * minute, (100.0, 101.5, 99.25, 100.5))
        assert path.shape == (60,)
        assert path[0] == 100.0
        assert path.max() == 101.5
        assert path.min() == 99.25


def test_volatility_clusters_and_tails_are_fat(returns: FloatArray) -> None:
    btc = returns[:, BTC]
    assert autocorrelation(np.abs(btc), 1) > 0.08
    assert autocorrelation(np.abs(btc), 24) > 0.05
    assert kurtosis(btc) > 5
    assert abs(autocorrelation(btc, 1)) < 0.05


def test_blocks_are_correlated_within_and_hardly_across(returns: FloatArray) -> None:
    correlation = np.corrcoef(returns.T)
    assert correlation[BTC, ETH] > 0.5
    assert correlation[EUR, GBP] > 0.4
    assert abs(correlation[BTC, EUR]) < 0.2


def test_currencies_move_most_when_london_and_new_york_are_open(returns: FloatArray) -> None:
    moves = np.abs(returns[: len(returns) // 168 * 168, EUR]).reshape(-1, 168)[:, :120].reshape(-1, 24).mean(axis=0)
    assert moves[12:16].mean() > 1.8 * moves[0:6].mean()


def test_prices_stay_plausible_for_years() -> None:
    last = make_skeletons(MarketGenerator(3), 104)
    prices = np.concatenate([skeleton.price for skeleton in last])
    ratio = prices / prices[0]
    assert np.all(ratio[:, : len(FX_SYMBOLS)] > 0.6)
    assert np.all(ratio[:, : len(FX_SYMBOLS)] < 1.7)
    assert np.all(ratio[:, len(FX_SYMBOLS) :] > 0.05)
    assert np.all(ratio[:, len(FX_SYMBOLS) :] < 20)


def test_trends_and_ranges_leave_something_to_find(returns: FloatArray, walk_returns: FloatArray) -> None:
    """Two days' return tells of the next hours' in the structured market, and not in the walk."""

    def score(hourly: FloatArray) -> float:
        total = np.cumsum(hourly, axis=0)
        past, coming = total[48:-12] - total[:-60], total[60:] - total[48:-12]
        crypto = slice(len(FX_SYMBOLS), None)
        correlations = [np.corrcoef(a, b)[0, 1] for a, b in zip(past[:, crypto].T, coming[:, crypto].T, strict=True)]
        return float(np.mean(correlations))

    assert abs(score(walk_returns)) < 0.03
    assert score(returns) > 0.02


def test_without_structure_nothing_remembers(walk_returns: FloatArray) -> None:
    crypto = [SYMBOLS.index(symbol) for symbol in CRYPTO_SYMBOLS]
    bound = 4 / len(walk_returns) ** 0.5
    for column in crypto:
        moves = walk_returns[:, column]
        for lag in (1, 2, 24):
            assert abs(autocorrelation(moves, lag)) < bound
            assert abs(autocorrelation(np.abs(moves), lag)) < bound
        assert kurtosis(moves) < 3.3


def test_half_an_hour_tells_nothing_of_the_other_half(structured: list[Skeleton]) -> None:
    generator = MarketGenerator(7)
    first, second = [], []
    for skeleton in structured[:8]:
        minutes = generator.minute_bars(skeleton, "BTC/USDT")
        scale = skeleton.scale[:, BTC] * minutes.open[:, 0]
        first.append((minutes.close[:, 29] - minutes.open[:, 0]) / scale)
        second.append((minutes.close[:, 59] - minutes.close[:, 29]) / scale)
    halves = np.corrcoef(np.concatenate(first), np.concatenate(second))[0, 1]
    assert abs(halves) < 4 / (8 * 672) ** 0.5
    assert np.std(np.concatenate(first)) == pytest.approx(0.5**0.5, rel=0.05)
