"""What a sampler of the drop-in trainer knows of prompts beforehand is what `vasari train` knows of
the same prompts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from datasets import Dataset

from vasari.records import GroupOutcome, Prompt
from vasari.sample import prompt_features
from vasari.train.trainer_arguments import features_of, sampler_from

PROMPTS = [
    Prompt(
        id=f"q{n}",
        question=(
            f"How many {'red bars' if n % 2 else 'blue discs and squares'} are there beside the {n}"
            " others?"
        ),
        answer=str(n),
        category=("bars", "discs", "pies")[n % 3],
        difficulty=("easy", "hard")[n % 2],
        choices=("1", "2", "3") if n % 4 == 0 else None,
    )
    for n in range(12)
]


def pool(prompt_of: Any, *columns: str) -> Dataset:
    rows = [
        {"prompt": prompt_of(p), **{name: getattr(p, name) for name in columns}} for p in PROMPTS
    ]
    return Dataset.from_list(rows)


FORMS = {
    "text": lambda p: p.question,
    "messages": lambda p: [
        {"role": "system", "content": "Think."},
        {"role": "user", "content": p.question},
    ],
    "parts": lambda p: [
        {
            "role": "user",
            "content": [{"type": "image", "text": None}, {"type": "text", "text": p.question}],
        }
    ],
}


@pytest.mark.parametrize("form", FORMS)
def test_the_features_of_a_data_set_are_those_of_its_prompts(form):
    ours = prompt_features(PROMPTS)
    found = features_of(pool(FORMS[form], "category", "difficulty", "choices"))
    assert found.category_names == ours.category_names
    np.testing.assert_array_equal(found.categories, ours.categories)
    np.testing.assert_array_equal(found.difficulty, ours.difficulty)
    np.testing.assert_array_equal(found.values, ours.values)


def test_a_data_set_without_prompts_has_none():
    assert features_of(Dataset.from_list([{"question": "What?"}])) is None


def drawn(sampler: str, *columns: str) -> list[int]:
    """The prompts of a few batches whose outcomes depend on the category."""
    made = sampler_from(sampler, pool(FORMS["text"], *columns), seed=0, prompt_ids=None)
    order: list[int] = []
    for batch in range(4):
        indices = made.draw(4).indices.tolist()
        order += indices
        verdicts = {
            index: [1.0, 0.0, 1.0, 0.0] if index % 3 == 0 else [0.0] * 4 for index in indices
        }
        made.observe(
            [GroupOutcome(index=i, rewards=v, verdicts=v, batch=batch) for i, v in verdicts.items()]
        )
    return order


@pytest.mark.parametrize(("sampler", "column"), [("bins", "category"), ("progress", "category")])
def test_a_column_that_a_sampler_reads_changes_what_it_draws(sampler, column):
    assert drawn(sampler, column) != drawn(sampler)


def test_the_target_sampler_begins_with_the_easiest():
    first = (
        sampler_from("target", pool(FORMS["text"], "difficulty"), seed=0, prompt_ids=None)
        .draw(4)
        .indices.tolist()
    )
    assert {PROMPTS[index].difficulty for index in first} == {"easy"}


@pytest.mark.parametrize("sampler", ["uniform", "vas"])
def test_a_sampler_that_reads_none_draws_the_same(sampler):
    assert drawn(sampler, "category", "difficulty") == drawn(sampler)


def test_a_trainer_s_sampler_has_the_features_of_its_pool(text_folder, small, tmp_path):
    from vasari.trl import VarianceAwareGRPOTrainer

    rows = pool(FORMS["messages"], "category", "answer")
    trainer = VarianceAwareGRPOTrainer(
        str(text_folder),
        [small.even_sum],
        small.config(tmp_path, max_steps=1),
        rows,
        sampler="bins",
    )
    trainer.train()
    assert len(trainer.prompt_sampler.category_scores()) == 3
