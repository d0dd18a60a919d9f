"""The stock of graded prompts, the pools drawn from it, and what the cold starts are taught."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from sample_efficiency.arms import ARMS
from sample_efficiency.cold_start import demonstrations
from sample_efficiency.graded import GRADE, shaped_draw, ungraded_stock
from sample_efficiency.planning import trained_in
from sample_efficiency.pools import POOLS, held_out_prompts, pool_size, training_pool
from sample_efficiency.skills import SLIPPED, UNTAUGHT, form, is_short
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
    with pytest.raises(ConfigError, match=r"has 3 prompts of which 4 are wanted"):
        training_pool(graded([0, 1, 2]), POOLS["one_skill_once"], 4, seed=0)


@pytest.fixture(scope="module")
def stock():
    grades = np.random.default_rng(1).integers(0, 11, 400)
    return [*graded(grades), *graded(grades[:100], "wrong_label")]


def test_a_heterogeneous_pool_has_its_share_of_wrong_labels(stock):
    pool = training_pool(stock, POOLS["heterogeneous"], 100, seed=3)
    found = Counter(prompt.metadata["imperfection"] for prompt in pool)
    assert found == {None: 90, "wrong_label": 10}


def test_prompts_are_the_same_with_and_without_features(stock):
    one, same, other = (
        {p.id for p in training_pool(stock, POOLS[name], 100, seed=seed)}
        for name, seed in (("heterogeneous", 3), ("no_features", 3), ("heterogeneous", 4))
    )
    assert one == same != other


def test_uniform_passes_the_pools_of_one_skill_once_and_four_times():
    """4,096 rollouts in groups of eight are 512 groups."""
    sizes = [
        pool_size(POOLS[name], from_recipe=128, num_groups=4096 // 8)
        for name in ("heterogeneous", "one_skill_once", "one_skill_four")
    ]
    assert sizes == [128, 512, 128]


def test_an_arm_without_features_is_trained_once_for_both_pools():
    assert trained_in("no_features", ARMS["uniform"]) == "heterogeneous"
    assert trained_in("no_features", ARMS["published_progress"]) == "no_features"
    assert trained_in("no_features", ARMS["weighted_passes"]) == "no_features"
    assert trained_in("one_skill_four", ARMS["uniform"]) == "one_skill_four"


@pytest.mark.parametrize("skills", ["many", "one"])
def test_held_out_prompts_are_the_same_for_all_runs(stock, skills):
    first, second = ([p.id for p in held_out_prompts(stock[:400], skills, 40)] for _ in range(2))
    assert first == second
    assert len(set(first)) == 40


def test_where_skills_are_many_the_teacher_slips_in_some_forms_only(tasks):
    prompts = demonstrations(tasks, "many", 0)
    taught = Counter(map(form, prompts))
    assert len(taught) == 12
    assert (
        max(taught.values()) == 10
    )  # 120 demonstrations; the rarer forms of a small pool have a few less
    slips = {form(prompt) for prompt in prompts if prompt.metadata["slips"]}
    assert slips <= SLIPPED
    assert slips


def test_where_there_is_one_skill_the_teacher_slips_in_all_forms(tasks):
    prompts = demonstrations(tasks, "one", 0)
    slips = {form(prompt) for prompt in prompts if prompt.metadata["slips"]}
    assert slips - SLIPPED
    assert slips & SLIPPED


def test_another_cold_start_has_other_demonstrations(tasks):
    one, other = ({p.id for p in demonstrations(tasks, "one", number)} for number in (1, 2))
    assert len(one & other) < len(one) / 4


def test_a_stock_of_many_skills_has_untaught_prompts_and_wrong_labels(tasks):
    prompts = ungraded_stock(tasks, "train", 80, skills="many", number=0, pilot=False)
    assert Counter(prompt.metadata["imperfection"] for prompt in prompts) == {
        None: 70,
        "wrong_label": 10,
    }
    assert sum(prompt.category in UNTAUGHT for prompt in prompts) == 16
    assert all(map(is_short, prompts))


def test_a_stock_of_one_skill_is_clean_and_taught(tasks):
    prompts = ungraded_stock(tasks, "train", 40, skills="one", number=0, pilot=False)
    assert {prompt.metadata["imperfection"] for prompt in prompts} == {None}
    assert {prompt.category for prompt in prompts} == set(tasks.families)


def test_the_prompts_of_pilot_and_study_are_others(tasks):
    study, pilot = (
        ungraded_stock(tasks, "train", 40, skills="many", number=0, pilot=pilot)
        for pilot in (False, True)
    )
    assert {prompt.id for prompt in study}.isdisjoint(prompt.id for prompt in pilot)


def test_held_out_scenes_are_not_trained_on(tasks):
    made = {"skills": "many", "number": 1}
    check_disjoint(
        train=ungraded_stock(tasks, "train", 40, **made, pilot=False),
        validation=ungraded_stock(tasks, "validation", 20, **made, pilot=True),
        test=ungraded_stock(tasks, "test", 20, **made, pilot=False),
    )
