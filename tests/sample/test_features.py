from __future__ import annotations

import math

import numpy as np
import pytest

from vasari.errors import DataError
from vasari.records import Prompt
from vasari.sample import PoolFeatures, make_sampler, prompt_features

PROMPTS = [
    Prompt(id="a", question="What is 3 plus 4?", answer="7", category="sums", difficulty="1"),
    Prompt(id="b", question="Which is tallest?", answer="B", category="bars", difficulty="3", choices=("x", "y")),
    Prompt(id="c", question="Count", answer="2", category="bars"),
]


def test_prompts_of_a_category_share_its_number():
    features = prompt_features(PROMPTS)
    assert [features.category_names[i] for i in features.categories] == ["sums", "bars", "bars"]


def test_every_column_that_varies_has_mean_0_and_deviation_1():
    values = prompt_features(PROMPTS).values
    assert values.mean(axis=0) == pytest.approx(0.0, abs=1e-12)
    assert values.std(axis=0) == pytest.approx([1.0, 1.0, 0.0, 1.0])  # no prompt has an image


def test_difficulty_is_the_rank_of_the_label_and_unknown_without_one():
    difficulty = prompt_features(PROMPTS).difficulty
    assert difficulty[:2] == pytest.approx([0.25, 0.75])
    assert math.isnan(difficulty[2])


def test_columns_of_the_user_stand_last():
    extra = np.array([[1.0], [2.0], [3.0]])
    assert prompt_features(PROMPTS, extra).values[:, -1] == pytest.approx([-math.sqrt(1.5), 0.0, math.sqrt(1.5)])


@pytest.mark.parametrize("extra", [np.zeros(3), np.zeros((2, 1)), np.full((3, 1), np.nan)])
def test_columns_that_fit_no_pool_are_refused(extra):
    with pytest.raises(DataError, match=r"extra features|finite"):
        prompt_features(PROMPTS, extra)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"categories": np.array([0, 2]), "category_names": ("a", "b")}, "categories must be numbers from 0 to 1"),
        ({"values": np.zeros(3)}, "values must be"),
        ({"pass_rates": np.array([0.5, 1.5])}, r"pass_rates must be in \[0, 1\]"),
    ],
)
def test_impossible_features_are_refused(wrong, message):
    with pytest.raises(DataError, match=message):
        PoolFeatures(**wrong)


def test_features_of_another_pool_are_refused():
    with pytest.raises(DataError, match="categories of 3 prompts for a pool of 5"):
        make_sampler("uniform", num_prompts=5, seed=0, features=prompt_features(PROMPTS))
