"""verl's prompts: settings, indices that tell rows apart, and a sampler that is saved and resumed."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
import scenario
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st

from vasari.core.errors import ConfigError, DataError, StateError
from vasari.sample import SAMPLER_NAMES, prompt_features
from vasari.train.verl_prompts import (
    ChosenPrompts,
    as_prompts,
    check_pool,
    make_prompt_sampler,
    prompt_ids_of_rows,
    read_settings,
    saved_state,
)


def rows(*infos: object) -> Dataset:
    return Dataset.from_list(
        [
            {
                "prompt": [
                    {"role": "system", "content": "Think."},
                    {"role": "user", "content": f"What is {place}?"},
                ],
                "ability": "odd" if place % 2 else "even",
                "extra_info": info,
            }
            for place, info in enumerate(infos)
        ]
    )


POOL = rows(*({"index": f"p{place}"} for place in range(12)))


def test_settings_have_defaults():
    assert read_settings(None) == read_settings({})
    assert (read_settings(None).refill, read_settings(None).max_generations) == ("whole", 10)


def test_a_sampler_may_be_a_name_alone():
    assert read_settings({"sampler": "vas"}).sampler == {"name": "vas"}


@pytest.mark.parametrize(
    ("given_settings", "says"),
    [
        ({"samplr": {"name": "vas"}}, "no setting 'samplr'; it has: sampler, verdict_from"),
        ({"sampler": 3}, "vasari.sampler cannot be 3"),
        ({"refill": "never"}, "refill must be one of whole, early"),
        ({"max_generations": -1}, "max_generations must be a whole number of at least 0"),
        ({"verdict_from": 1}, "verdict_from must be a text"),
        ("vas", "must hold settings by name"),
    ],
)
def test_settings_that_cannot_be_are_refused_in_a_line(given_settings, says):
    with pytest.raises(ConfigError, match=says) as error:
        read_settings(given_settings)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("infos", "says"),
    [
        ([{"index": 0}, {"index": 0}, {"index": 0}], "'0' stands 3 times, first in rows 0 and 1"),
        ([{"index": 1}, {"index": None}], "1 of 2 rows have no extra_info.index, first row 1"),
        ([{"split": "train"}, {"split": "train"}], "2 of 2 rows have no extra_info.index"),
        (["text", "text"], "2 of 2 rows have no extra_info.index"),
    ],
)
def test_rows_that_cannot_be_told_apart_are_refused(infos, says):
    with pytest.raises(DataError, match=says):
        prompt_ids_of_rows(rows(*infos))


def test_a_data_set_without_the_column_is_refused():
    with pytest.raises(DataError, match="2 of 2 rows have no extra_info"):
        prompt_ids_of_rows(Dataset.from_dict({"prompt": ["a", "b"]}))


def test_features_are_of_the_user_s_words_category_difficulty_and_choices():
    infos = [{"index": n, "difficulty": str(n % 3), "choices": ["a"] * n} for n in range(4)]
    found = as_prompts(rows(*infos))
    assert [prompt.question for prompt in found] == [f"What is {n}?" for n in range(4)]
    assert [prompt.category for prompt in found] == ["even", "odd", "even", "odd"]
    assert [prompt.difficulty for prompt in found] == ["0", "1", "2", "0"]
    assert [len(prompt.choices or ()) for prompt in found] == [0, 1, 2, 3]


def test_features_of_the_scenario_are_those_of_its_prompts():
    given_rows = Dataset.from_list(
        [
            {
                "prompt": [{"role": "user", "content": prompt.question}],
                "ability": prompt.category,
                "extra_info": {"index": prompt.id},
            }
            for prompt in scenario.prompts()
        ]
    )
    ours, theirs = prompt_features(as_prompts(given_rows)), prompt_features(scenario.prompts())
    np.testing.assert_array_equal(ours.values, theirs.values)
    np.testing.assert_array_equal(ours.categories, theirs.categories)


def test_seed_and_settings_reach_the_sampler():
    def first(choice: dict[str, object], seed: int | None) -> list[int]:
        return make_prompt_sampler(choice, POOL, seed=seed).draw(6).indices.tolist()

    uniform = {"name": "uniform"}
    assert first(uniform, 1) != first(uniform, 2)
    assert first(uniform, None) == first(uniform, 42)
    assert first({**uniform, "seed": 2}, 1) == first(uniform, 2)
    with pytest.raises(ConfigError, match="has no setting 'refresh'"):
        make_prompt_sampler({"refresh": "full"}, POOL, seed=1)


def chosen(name: str = "vas") -> ChosenPrompts:
    return ChosenPrompts(make_prompt_sampler({"name": name}, POOL, seed=3))


@pytest.mark.parametrize(
    "name", [n for n in SAMPLER_NAMES if n not in ("oracle", "bins", "target")]
)
@given(sizes=st.lists(st.integers(1, 4), min_size=1, max_size=6), at=st.integers(0, 5))
def test_what_is_loaded_draws_what_was_saved(name, sizes, at):
    whole, resumed = chosen(name), chosen(name)
    for size in sizes[:at]:
        whole.draw(size)
    list(itertools.islice(whole, sum(sizes[:at])))
    resumed.load_state_dict(whole.state_dict())
    for size in sizes[at:]:
        whole.draw(size)
        resumed.draw(size)
        assert list(itertools.islice(resumed, size)) == list(itertools.islice(whole, size))


def test_saved_state_does_not_change_later():
    prompts = chosen()
    prompts.draw(2)
    state = prompts.state_dict()
    before = json.dumps(state, default=lambda value: value.tolist())
    prompts.draw(4)
    assert json.dumps(state, default=lambda value: value.tolist()) == before


@pytest.mark.parametrize("state", [None, {}, {"generator": b"1"}, {"vasari": 3}])
def test_a_checkpoint_of_another_trainer_is_refused(state):
    with pytest.raises(StateError, match="holds no state of a prompt sampler"):
        saved_state(state)


def test_a_checkpoint_over_other_prompts_is_refused_with_the_difference():
    other = rows(*({"index": f"q{place}"} for place in range(12)))
    state = chosen().state_dict()
    with pytest.raises(StateError, match="saved state is of another pool: 12 of 12"):
        ChosenPrompts(make_prompt_sampler({"name": "vas"}, other, seed=3)).load_state_dict(state)


def test_a_checkpoint_of_another_sampler_is_refused():
    with pytest.raises(StateError, match="written with the sampler vas, this run uses uniform"):
        chosen("uniform").load_state_dict(chosen("vas").state_dict())


@pytest.mark.parametrize("damage", ["sampler", "ledger", "batch"])
def test_a_damaged_state_is_refused(damage):
    state = chosen().state_dict()
    del state["vasari"][damage]
    with pytest.raises(StateError, match="damaged"):
        chosen().load_state_dict(state)


def test_a_pool_smaller_than_a_batch_is_refused():
    check_pool(4, 4)
    with pytest.raises(ConfigError, match="the pool has 3 prompts and a batch draws 4"):
        check_pool(3, 4)
