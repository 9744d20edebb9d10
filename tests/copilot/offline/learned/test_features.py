from __future__ import annotations

import numpy as np
import pytest

from copilot.offline.learned.features import BUCKETS, features_of, word_class
from copilot.offline.tokens import tokenize
from copilot.offline.values import Turn


def test_names_and_numbers_of_a_kind_look_alike() -> None:
    first, second = (features_of(tokenize(text, "en")).words for text in ("buy 2 btc", "buy 40 sol"))
    assert np.array_equal(first, second)


def test_a_number_says_what_it_counts() -> None:
    assert [word_class(token) for token in tokenize("5% $20 3", "en")] == ["#percent", "#money", "#"]


@pytest.mark.parametrize("text", ["", "?", "compra 0,05 bitcoin con stop en 58k", "a" * 3000])
def test_buckets_are_sorted_distinct_and_in_range(text: str) -> None:
    found = features_of(tokenize(text, "es"))
    for buckets in (found.words, found.letters):
        assert np.array_equal(buckets, np.unique(buckets))
        assert buckets.size == 0 or (buckets.min() >= 0 and buckets.max() < BUCKETS)
    assert found.norm >= 1


def test_known_hashes_do_not_depend_on_the_process() -> None:
    assert features_of(tokenize("zq", "en")).letters.tolist() == [20260, 23787, 62939]


def test_earlier_turns_count() -> None:
    tokens = tokenize("and eth?", "en")
    alone = features_of(tokens)
    leaning = features_of(tokens, [Turn("user", "chart btc"), Turn("assistant", "Here it is")])
    assert set(alone.words) < set(leaning.words)
    assert np.array_equal(alone.letters, leaning.letters)
