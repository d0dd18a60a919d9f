from __future__ import annotations

import math

import numpy as np
import pytest

from vasari.core.errors import DataError
from vasari.records import Prompt
from vasari.sample import PoolFeatures, make_sampler, prompt_features

PROMPTS = [
    Prompt(id="a", question="What is 3 plus 4?", answer="7", category="sums", difficulty="1"),
    Prompt(
        id="b",
        question="Which is tallest?",
        answer="B",
        category="bars",
        difficulty="3",
        choices=("x", "y"),
    ),
    Prompt(id="c", question="Count", answer="2", category="bars"),
]


def test_prompts_of_a_category_share_its_number():
    features = prompt_features(PROMPTS)
    assert [features.category_names[i] for i in features.categories] == ["sums", "bars", "bars"]


def test_every_column_that_varies_has_mean_0_and_deviation_1():
    values = prompt_features(PROMPTS, text_dims=0).values
    assert values.mean(axis=0) == pytest.approx(0.0, abs=1e-12)
    assert values.std(axis=0) == pytest.approx([1.0, 1.0, 0.0, 1.0])  # no prompt has an image


@pytest.mark.parametrize(
    ("labels", "ranks"),
    [
        (("2", "10", "1"), (1, 2, 0)),
        (("0.5", "-1", "12.25"), (1, 0, 2)),
        (("easy", "hard", "10"), (1, 2, 0)),
        (("nan", "2", "10"), (2, 1, 0)),
    ],
    ids=["whole numbers", "decimals", "words", "not all are numbers"],
)
def test_labels_that_are_numbers_are_ranked_as_numbers(labels, ranks):
    prompts = [Prompt(id=label, question="?", answer="1", difficulty=label) for label in labels]
    assert prompt_features(prompts).difficulty == pytest.approx(
        [(rank + 0.5) / 3 for rank in ranks]
    )


def asked(*questions):
    return [
        Prompt(id=str(place), question=question, answer="1")
        for place, question in enumerate(questions)
    ]


def test_a_word_is_counted_at_its_hash_with_its_sign():
    """CRC-32, of which "123456789" has the published check 0xCBF43926: "the" 0x3C456DE6, "count"
    0x85D94462. Both even, so their sign is -1; without the last bit they are 0x1E22B6F3 = 3 and
    0x42ECA231 = 1 modulo 4."""
    hashed = prompt_features(asked("The", "Count"), text_dims=4).values[:, 4:]
    np.testing.assert_allclose(hashed, [[0, 1, 0, -1], [0, -1, 0, 1]])  # -1 against 0, standardised


def test_questions_of_one_wording_have_the_same_columns_whatever_their_case():
    values = prompt_features(asked("How many dots?", "how many DOTS?", "Which dot?")).values
    assert values[0].tolist() == values[1].tolist() != values[2].tolist()


def test_the_order_of_words_counts():
    values = prompt_features(asked("red minus blue", "blue minus red", "blue plus red")).values
    assert values[0].tolist() != values[1].tolist()


def test_half_a_character_is_a_word_like_others():
    assert np.isfinite(prompt_features(asked("What is \ud835 plus 1?", "What?")).values).all()


def test_difficulty_is_the_rank_of_the_label_and_unknown_without_one():
    difficulty = prompt_features(PROMPTS).difficulty
    assert difficulty[:2] == pytest.approx([0.25, 0.75])
    assert math.isnan(difficulty[2])


def test_columns_of_the_user_stand_last():
    extra = np.array([[1.0], [2.0], [3.0]])
    assert prompt_features(PROMPTS, extra).values[:, -1] == pytest.approx(
        [-math.sqrt(1.5), 0.0, math.sqrt(1.5)]
    )


@pytest.mark.parametrize("extra", [np.zeros(3), np.zeros((2, 1)), np.full((3, 1), np.nan)])
def test_columns_that_fit_no_pool_are_refused(extra):
    with pytest.raises(DataError, match=r"extra features|finite"):
        prompt_features(PROMPTS, extra)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            {"categories": np.array([0, 2]), "category_names": ("a", "b")},
            "categories must be numbers from 0 to 1",
        ),
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
