"""What would end a training late is found before it starts: one planted fault a test."""

import dataclasses

import pytest

from vasari.core.errors import ConfigError, DataError
from vasari.records import Prompt
from vasari.run.checks import grpo_problems, require_trainable, sft_problems
from vasari.run.recipe import parse_recipe

PROMPTS = [
    Prompt(id=f"p{n}", question="How many?", answer=str(n), solution="count") for n in range(4)
]
UNSOLVED = [dataclasses.replace(prompt, solution=None) for prompt in PROMPTS]
GRPO = {"prompts_per_batch": 4, "rollouts_per_prompt": 4, "micro_batch": 4}


def recipe(**changes):
    content = {
        "name": "small",
        "prompts": {"files": {"train": "train.jsonl"}},
        "model": {"path": "vasari:tiny-base"},
        "sft": {"batch_prompts": 8, "micro_batch": 4},
        "grpo": GRPO,
    }
    return parse_recipe(content | changes, where="test")


def of_sft(num_processes=1, *, validation=PROMPTS, cold_start=PROMPTS, **changes):
    splits = {"cold_start": cold_start, "train": UNSOLVED, "validation": validation}
    return list(sft_problems(recipe(**changes), splits, num_processes=num_processes))


def of_grpo(num_processes=1, *, pool=4, **changes):
    return list(grpo_problems(recipe(**changes), {}, {"train": pool}, num_processes=num_processes))


def test_a_sound_recipe_has_no_problems():
    assert of_sft() == of_grpo() == []


def test_validation_prompts_without_solutions_are_named_before_supervised_training():
    (problem,) = of_sft(validation=[*PROMPTS[:2], *UNSOLVED[2:]])
    assert isinstance(problem, DataError)
    assert "validation: 2 of 4 prompts have no 'solution'" in str(problem)
    assert "'p2', 'p3'" in str(problem)


def test_prompts_to_learn_from_need_solutions_too():
    (problem,) = of_sft(cold_start=UNSOLVED)
    assert "cold_start: 4 of 4 prompts have no 'solution'" in str(problem)


def test_bare_answers_need_no_solutions():
    assert of_sft(cold_start=UNSOLVED, validation=UNSOLVED, sft={"target": "short"}) == []


def test_facts_are_missing_from_prompts_without_facts():
    problems = of_sft(sft={"target": "facts"})
    assert ["no 'facts'" in str(problem) for problem in problems] == [True, True]


@pytest.mark.parametrize(("num_processes", "divides"), [(1, True), (2, True), (3, False)])
def test_a_batch_that_does_not_divide_is_found(num_processes, divides):
    assert (of_sft(num_processes) == []) == divides
    assert (of_grpo(num_processes) == []) == divides


def test_micro_batches_that_do_not_divide_an_update_are_found():
    (problem,) = of_grpo(grpo=GRPO | {"micro_batch": 3})
    assert "micro-batches of 3" in str(problem)


def test_a_gate_that_draws_again_needs_whole_prompts_on_each_process():
    settings = GRPO | {"prompts_per_batch": 3, "gate": "mixed", "rollouts_per_prompt": 4}
    (problem,) = of_grpo(2, grpo=settings | {"micro_batch": 3})
    assert "as the gate mixed needs" in str(problem)


def test_a_pool_smaller_than_a_batch_is_found():
    (problem,) = of_grpo(pool=3)
    assert "the pool has 3 prompts and a batch draws 4" in str(problem)


def test_training_stops_at_the_first_problem_on_the_processes_of_torchrun(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(ConfigError, match="3 processes"):
        require_trainable(recipe(), {"train": PROMPTS}, "grpo", model=None)
