"""The stock of graded prompts, the pools drawn from it, and what the cold start is taught."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from sample_efficiency.cold_start import SLIPPED, demonstrations, form, is_short
from sample_efficiency.graded import GRADE, UNTAUGHT, shaped_draw, ungraded_stock
from sample_efficiency.pools import held_out_prompts, training_pool
from vasari.core.errors import ConfigError
from vasari.data.tasks.difficulty import DYNAMATH_PASS_RATES
from vasari.data.tasks.pool import check_disjoint
from vasari.records import Prompt
from vasari.run.recipe import load_recipe

RECIPE = Path(__file__).parents[2] / "benchmarks" / "sample_efficiency" / "recipe.yaml"


@pytest.fixture(scope="module")
def tasks():
    return load_recipe(
        RECIPE, ["prompts.tasks.image_size=28", "prompts.tasks.num_cold_start=120"]
    ).prompts.tasks


def graded(grades, imperfection=None):
    return [
        Prompt(
            id=f"{imperfection}-{place}",
            question="?",
            answer="1",
            metadata={GRADE: int(k), "imperfection": imperfection},
        )
        for place, k in enumerate(grades)
    ]


def grades_of(prompts):
    return np.bincount([prompt.metadata[GRADE] for prompt in prompts], minlength=11)


def test_a_draw_has_dynamaths_pass_rates():
    drawn = shaped_draw(graded(np.repeat(np.arange(11), 100)), 200, np.random.default_rng(0))
    assert grades_of(drawn) / 200 == pytest.approx(
        DYNAMATH_PASS_RATES, abs=0.005
    )  # a prompt of 200


def test_pass_rates_that_are_missing_are_filled_from_the_nearest():
    """Of ten prompts DynaMath's shares ask for three never solved and two always; here nobody is
    solved more than 7 times."""
    drawn = shaped_draw(graded([0] * 5 + [7] * 20), 10, np.random.default_rng(0))
    assert len({prompt.id for prompt in drawn}) == 10
    assert grades_of(drawn)[0] == 5


def test_a_stock_that_is_too_small_is_refused():
    with pytest.raises(ConfigError, match=r"has 3 prompts of the kind of which 4 are wanted"):
        shaped_draw(graded([0, 1, 2]), 4, np.random.default_rng(0))


@pytest.fixture(scope="module")
def stock():
    grades = np.random.default_rng(1).integers(0, 11, 400)
    return [
        *graded(grades),
        *graded(grades[:100], "wrong_label"),
        *graded(grades[:100], "guessable"),
    ]


def test_a_noisy_pool_has_its_shares_of_every_imperfection(stock):
    found = Counter(
        prompt.metadata["imperfection"] for prompt in training_pool(stock, "noisy", 100, seed=3)
    )
    assert found == {None: 70, "wrong_label": 10, "guessable": 10, "coin_flip": 10}


def test_another_seed_draws_another_pool(stock):
    one, same, other = (
        {p.id for p in training_pool(stock, "realistic", 100, seed=seed)} for seed in (3, 3, 4)
    )
    assert one == same != other


def test_held_out_prompts_are_the_same_for_everyone(stock):
    first, second = ([p.id for p in held_out_prompts(stock[:400], 40)] for _ in range(2))
    assert first == second


def test_forms_are_taught_alike_and_a_teacher_slips_in_some_only(tasks):
    prompts = demonstrations(tasks)
    taught = Counter(map(form, prompts))
    assert len(taught) == 12
    assert (
        max(taught.values()) == 10
    )  # 120 demonstrations; the rarer forms of a small pool have a few less
    slips = {form(prompt) for prompt in prompts if prompt.metadata["slips"]}
    assert slips <= SLIPPED
    assert slips


def test_the_stock_has_prompts_that_were_never_taught_and_spoiled_ones(tasks):
    prompts = ungraded_stock(tasks, "train", 80, tuning=False)
    assert Counter(prompt.metadata["imperfection"] for prompt in prompts) == {
        None: 60,
        "wrong_label": 10,
        "guessable": 10,
    }
    assert sum(prompt.category in UNTAUGHT for prompt in prompts) == 16
    assert all(
        is_short(prompt) for prompt in prompts if prompt.metadata["imperfection"] != "guessable"
    )


def test_the_prompts_of_tuning_and_study_are_others(tasks):
    study, tuning = (ungraded_stock(tasks, "train", 40, tuning=tuning) for tuning in (False, True))
    assert {prompt.id for prompt in study}.isdisjoint(prompt.id for prompt in tuning)


def test_held_out_scenes_are_not_trained_on(tasks):
    check_disjoint(
        train=ungraded_stock(tasks, "train", 40, tuning=False),
        validation=ungraded_stock(tasks, "validation", 20, tuning=True),
        test=ungraded_stock(tasks, "test", 20, tuning=False),
    )
