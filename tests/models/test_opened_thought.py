"""Verdicts and rewards see the whole thought where the chat template opens it in the prompt."""

from __future__ import annotations

import pytest
from stand_ins import STAND_INS, SYSTEM, mixed_pool

from vasari.model.base import Decoding
from vasari.model.processor import load_processor
from vasari.model.template import opened_tag
from vasari.model.transformers_policy import TransformersPolicy, load_model
from vasari.sample import make_sampler
from vasari.train.group_file import read_groups
from vasari.train.run_grpo import GrpoTraining
from vasari.train.settings import GrpoSettings


@pytest.mark.parametrize("name", STAND_INS)
def test_only_a_template_that_opens_a_thought_has_one_opened(name, family_folder):
    processor = load_processor(str(family_folder(name)))
    assert opened_tag(processor) == ("<think>" if name == "qwen3_5" else "")


@pytest.fixture(scope="module")
def trainer(family_folder, tmp_path_factory):
    prompts = mixed_pool(1)
    return GrpoTraining(
        model_path=str(family_folder("qwen3_5")),
        prompts=prompts,
        sampler=make_sampler("uniform", num_prompts=4, seed=0),
        settings=GrpoSettings(
            steps=1,
            prompts_per_batch=4,
            rollouts_per_prompt=2,
            updates_per_batch=1,
            micro_batch=4,
            validate_every=1,
            save_every=1,
            trl={"max_completion_length": 3, "beta": 0.0},
        ),
        system=SYSTEM,
        out=tmp_path_factory.mktemp("thought"),
        seed=0,
    ).make_trainer()


def test_a_rollout_that_closes_the_opened_thought_is_rewarded_for_its_format(trainer):
    said = "It is 5.</think><answer>\\boxed{5}</answer>"
    row = {**trainer.train_dataset[0], "prompt": None}
    trainer.model.train()
    engine = trainer._engine
    engine.rewards.indices = [0, 0]
    completions = [[{"role": "assistant", "content": text}] for text in (said, "It is 5.")]
    rewards = trainer._calculate_rewards([row, row], [None] * 2, completions, [[1], [1]])
    assert rewards[:, trainer.reward_func_names.index("format")].tolist() == [1.0, 0.0]
    assert [own.text for own in engine.rewards.take()[0]] == [
        f"<think>{said}",
        "<think>It is 5.",
    ]


def test_training_keeps_and_a_refresh_judges_the_same_texts(trainer, family_folder):
    trainer.model.train()
    trainer._generate_and_score_completions([{}] * 8)
    from pathlib import Path

    rows = read_groups(Path(trainer.args.output_dir) / "groups").to_pylist()
    texts = [text for row in rows for text in row["texts"]]
    assert all(text.startswith("<think>") for text in texts)
    folder = str(family_folder("qwen3_5"))
    policy = TransformersPolicy(
        load_model(folder, dtype="float32"), load_processor(folder), system=SYSTEM
    )
    ((rollout,),) = policy.generate(
        mixed_pool(1)[:1], Decoding(num_rollouts=1, max_tokens=2), seed=0
    )
    assert rollout.text.startswith("<think>")
