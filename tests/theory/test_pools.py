"""Simulated pools hold what their settings say."""

import numpy as np
import pytest

from vasari.core.errors import ConfigError
from vasari.theory.pools import (
    POOLS,
    PROMPT_KINDS,
    SimulatedPoolSettings,
    make_simulated_pool,
    pool_settings,
)


def small(**changes):
    return make_simulated_pool(
        SimulatedPoolSettings(num_prompts=200, num_held_out=50, num_random=4, **changes), seed=1
    )


def test_each_kind_has_its_share_and_the_rest_is_clean():
    pool = small(coin_flip=0.1, drifting=0.05, guessable=0.1, mislabelled=0.2, impossible=0.05)
    counts = np.bincount(pool.kinds[: pool.num_prompts], minlength=len(PROMPT_KINDS))
    assert dict(zip(PROMPT_KINDS, counts.tolist(), strict=True)) == {
        "clean": 100,
        "coin_flip": 20,
        "drifting": 10,
        "guessable": 20,
        "mislabelled": 40,
        "impossible": 10,
    }


def test_held_out_prompts_are_clean():
    pool = small(coin_flip=1.0)
    assert pool.is_noise.all()
    assert (pool.kinds[pool.held_out] == 0).all()
    assert pool.num_held_out == 50


def test_the_same_seed_gives_the_same_pool_and_another_seed_another():
    first, again = small(coin_flip=0.1), small(coin_flip=0.1)
    other = make_simulated_pool(
        SimulatedPoolSettings(num_prompts=200, num_held_out=50, num_random=4, coin_flip=0.1), seed=2
    )
    np.testing.assert_array_equal(first.directions, again.directions)
    np.testing.assert_array_equal(first.kinds, again.kinds)
    assert not np.array_equal(first.difficulty, other.difficulty)


def test_features_fit_the_pool_and_stated_difficulty_follows_the_true_one():
    pool = small()
    features = pool.features()
    features.check(pool.num_prompts)
    assert np.corrcoef(features.difficulty, pool.difficulty[: pool.num_prompts])[0, 1] > 0.5


@pytest.mark.parametrize("name", POOLS)
def test_every_named_pool_has_settings_that_stand(name):
    assert pool_settings(name).num_prompts >= 1000


def test_shares_above_one_are_refused():
    with pytest.raises(ConfigError, match=r"must sum to at most 1, got 1\.2"):
        SimulatedPoolSettings(coin_flip=0.6, impossible=0.6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_prompts": 0}, r"num_prompts must be a whole number of at least 1, got 0"),
        ({"num_skills": 1.5}, r"num_skills must be a whole number of at least 1, got 1\.5"),
        ({"coin_flip": -0.1}, r"coin_flip must be at least 0, got -0\.1"),
        ({"impossible": float("nan")}, r"impossible must be a finite number, got nan"),
    ],
)
def test_settings_that_no_pool_can_have_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        SimulatedPoolSettings(**changes)


def test_an_unknown_pool_or_setting_is_named():
    with pytest.raises(ConfigError, match=r"pool must be one of clean, .* got 'dirty'"):
        pool_settings("dirty")
    with pytest.raises(ConfigError, match=r"pools have no setting 'coins'"):
        pool_settings("clean", coins=0.1)


def test_a_prompt_takes_57_bytes_and_4_for_each_direction():
    pool = small()
    arrays = [
        value for name in pool.__slots__ if isinstance(value := getattr(pool, name), np.ndarray)
    ]
    # Stated difficulty is kept for the 200 prompts alone, 8 bytes each.
    assert sum(array.nbytes for array in arrays) == 250 * (57 - 8 + 4 * 4) + 200 * 8
