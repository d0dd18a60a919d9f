"""Fails when TRL changes what `VarianceAwareGRPOTrainer` wraps, so that nobody finds out from a
run."""

import dataclasses
import inspect
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import Trainer
from trl import GRPOTrainer, SFTTrainer
from trl.generation.vllm_generation import VLLMGeneration

from vasari.model.encoded_prompts import TOKEN_TYPES
from vasari.records import Prompt
from vasari.score.advantage import ADVANTAGE_DENOMINATORS, group_advantages
from vasari.train.checkpoints import CompleteCheckpoints
from vasari.train.group_file import read_groups
from vasari.train.trl_forward import ImagesByRollout
from vasari.train.trl_images import COUNT_FIELDS, PIXEL_FIELDS
from vasari.train.trl_trainer import VarianceAwareGRPOTrainer

WRAPPED = {
    "_generate_and_score_completions": ["self", "inputs"],
    "_calculate_rewards": ["self", "inputs", "prompts", "completions", "completion_ids_list"],
    "_generate": ["self", "prompts"],
    "_tokenize_prompts": ["self", "prompts"],
    "_generate_single_turn": [
        "self",
        "prompt_ids",
        "images",
        "multimodal_fields",
        "num_generations",
        "has_tool_images",
    ],
    "_get_per_token_logps_and_entropies": [
        "self",
        "model",
        "input_ids",
        "attention_mask",
        "logits_to_keep",
        "batch_size",
        "compute_entropy",
        "compute_aux_loss",
    ],
    "_compute_loss": ["self", "model", "inputs"],
    "_prepare_inputs": ["self", "generation_batch"],
    "get_train_dataloader": ["self"],
    "train": ["self", "resume_from_checkpoint", "trial", "ignore_keys_for_eval"],
    "_run_epoch": [
        "self",
        "model",
        "epoch",
        "train_dataloader",
        "steps_in_epoch",
        "num_update_steps_per_epoch",
    ],
    "_save_checkpoint": ["self", "model", "trial"],
    "_get_grad_norm": ["self", "model", "grad_norm"],
    "save_model": ["self", "output_dir", "_internal_call"],
    "_load_from_checkpoint": ["self", "resume_from_checkpoint", "model"],
    "_load_optimizer_and_scheduler": ["self", "checkpoint"],
}
"""Parameters of TRL's methods; of `_run_epoch`, of which ours reads none, and of the one that gets
the images, the first ones."""

CALLED = {"_remove_unused_columns": ["self", "dataset", "description"]}


def parameters_of(name):
    return list(inspect.signature(getattr(GRPOTrainer, name)).parameters)


@pytest.mark.parametrize("name", WRAPPED)
def test_the_wrapped_method_has_the_signature_that_we_wrap(name):
    found = parameters_of(name)
    only_the_first = name in ("_run_epoch", "_get_per_token_logps_and_entropies")
    assert (found[: len(WRAPPED[name])] if only_the_first else found) == WRAPPED[name]


def test_every_method_that_we_wrap_is_watched():
    own = {
        name
        for kind in (VarianceAwareGRPOTrainer, ImagesByRollout, CompleteCheckpoints)
        for name, value in vars(kind).items()
        if inspect.isfunction(value)
    }
    assert {name for name in own if hasattr(GRPOTrainer, name)} - {"__init__"} == WRAPPED.keys()


def test_the_methods_of_trls_vllm_that_we_wrap_have_the_parameters_that_we_take():
    found = [
        list(inspect.signature(method).parameters)
        for method in (VLLMGeneration.generate, VLLMGeneration._place_features)
    ]
    prompts = ["self", "prompts", "images", "num_generations", "profiler"]
    assert found == [prompts, ["self", "features", "prompt_ids"]]


@pytest.mark.parametrize("name", CALLED)
def test_the_called_method_has_the_parameters_that_we_give(name):
    assert parameters_of(name)[: len(CALLED[name])] == CALLED[name]


def test_the_images_that_the_model_is_given_are_all_that_trl_knows():
    ours = {*TOKEN_TYPES, *PIXEL_FIELDS, *COUNT_FIELDS}
    assert set(parameters_of("_get_per_token_logps_and_entropies")[8:]) == ours


def test_the_cold_start_wraps_a_method_that_exists():
    assert list(inspect.signature(SFTTrainer._save_checkpoint).parameters) == [
        "self",
        "model",
        "trial",
    ]


def test_the_random_state_is_restored_after_the_skipped_batches():
    source = inspect.getsource(Trainer._run_epoch)
    assert (
        source.index("rng_to_sync = True")
        < source.index("self.get_batch_samples(")
        < source.rindex("self._load_rng_state(")
    )


UNREADABLE = Prompt(id="unreadable", question="How many?", answer="1 2 x", kind="expression")
"""An answer to it cannot be compared and is unverifiable; a rollout without an answer is
incorrect."""


@pytest.fixture(scope="module")
def prompts(digit_prompts):
    return [*(dataclasses.replace(p, answer="0") for p in digit_prompts[:5]), UNREADABLE]


@pytest.fixture(scope="module")
def trainer(make_trainer, prompts, tmp_path_factory):
    return make_trainer(
        prompts,
        tmp_path_factory.mktemp("drift"),
        prompts_per_batch=6,
        rollouts_per_prompt=8,
        updates_per_batch=2,
        save_every=2,
        micro_batch=24,
        trl={"temperature": 1.2},
    )


@pytest.fixture(scope="module")
def batch(trainer, first_batch):
    torch.manual_seed(3)
    return first_batch(trainer)


@pytest.fixture(scope="module")
def groups(batch, trainer):
    return read_groups(Path(trainer.args.output_dir) / "groups").to_pylist()


def test_the_output_has_the_keys_that_we_read(batch):
    ours = {
        "advantages",
        "completion_ids",
        "completion_mask",
        "prompt_ids",
        "prompt_mask",
        "old_per_token_logps",
    }
    assert batch.keys() == ours | {"images", "num_items_in_batch"}


def test_every_key_with_a_row_a_rollout_is_one_that_we_thin_out(batch):
    from vasari.train.trl_batch import ROLLOUT_FIELDS

    by_rollout = {
        name
        for name, value in batch.items()
        if isinstance(value, torch.Tensor) and value.ndim and len(value) == 48
    }
    assert by_rollout <= ROLLOUT_FIELDS.keys()


def test_the_trainer_has_the_attributes_that_we_read(trainer):
    assert trainer._tokenizer is trainer.processing_class.tokenizer
    assert trainer.eos_token_ids == [trainer._tokenizer.eos_token_id]
    assert (trainer.num_generations, trainer.beta, trainer.loss_type) == (8, 0.0, "grpo")
    assert (trainer.reward_func_names, trainer.reward_weights.tolist()) == (
        ["accuracy", "format"],
        [1.0, 1.0],
    )
    assert (trainer._entropy_bonus_enabled, trainer.aux_loss_enabled) == (False, False)
    assert trainer.args.generation_batch_size == 6 * 8 == 24 * trainer.args.steps_per_generation


def test_our_numbers_reach_trls_log(batch, trainer):
    assert {"zero_variance_share", "ledger/rollouts/train", "sampler/passes"} <= trainer._metrics[
        "train"
    ].keys()


def test_the_batch_holds_unverifiable_rollouts_beside_others(groups):
    (rewards,) = [
        np.array(row["rewards"], dtype=float) for row in groups if row["prompt_id"] == "unreadable"
    ]
    assert 0 < np.isnan(rewards).sum() < len(rewards)


def test_trls_advantages_are_ours_with_trls_denominator(batch, groups):
    rewards = np.array([row["rewards"] for row in groups], dtype=float)
    denominator = ADVANTAGE_DENOMINATORS["trl"]
    expected = group_advantages(
        rewards, scale=denominator.scale, ddof=denominator.ddof, epsilon=denominator.epsilon
    )
    np.testing.assert_allclose(batch["advantages"].numpy().reshape(6, 8), expected, atol=1e-6)
    assert np.abs(expected).max() > 0.5


def test_without_a_scale_trls_advantages_are_dr_grpos(make_trainer, prompts, first_batch, tmp_path):
    trainer = make_trainer(
        prompts,
        tmp_path,
        rollouts_per_prompt=4,
        micro_batch=12,
        algorithm="dr_grpo",
    )
    advantages = first_batch(trainer)["advantages"].numpy().reshape(3, 4)
    rewards = np.array(
        [row["rewards"] for row in read_groups(tmp_path / "groups").to_pylist()], dtype=float
    )
    np.testing.assert_allclose(advantages, group_advantages(rewards, scale="none"), atol=1e-6)


def test_the_texts_on_disk_are_the_decoded_completions(batch, groups, trainer):
    decoded = trainer._tokenizer.batch_decode(batch["completion_ids"], skip_special_tokens=True)
    assert [text for row in groups for text in row["texts"]] == decoded


def test_the_kept_confidence_is_the_least_log_probability(batch, groups):
    lowest = batch["old_per_token_logps"].masked_fill(batch["completion_mask"] == 0, 0.0).amin(1)
    assert [c for row in groups for c in row["confidence"]] == pytest.approx(lowest.tolist())


def kept_confidence(folder):
    return [row["confidence"] for row in read_groups(folder / "groups").to_pylist()]


def test_a_sampler_that_uses_logprobs_gets_it_also_with_one_update_a_batch(
    make_trainer, prompts, first_batch, tmp_path
):
    """TRL computes no log-probabilities then; with two updates it does, and they are these."""
    settings = {
        "sampler": "progress",
        "prompts_per_batch": 6,
        "rollouts_per_prompt": 8,
        "micro_batch": 24,
        "save_every": 2,
    }
    ours = make_trainer(prompts, tmp_path / "one", updates_per_batch=1, **settings)
    trls = make_trainer(prompts, tmp_path / "two", updates_per_batch=2, **settings)
    for trainer in (ours, trls):
        torch.manual_seed(3)
        first_batch(trainer)
    for own, trl in zip(
        kept_confidence(tmp_path / "one"), kept_confidence(tmp_path / "two"), strict=True
    ):
        assert own == pytest.approx(trl, abs=1e-5)


def test_nothing_is_computed_for_a_sampler_that_does_not_use_it(
    make_trainer, prompts, first_batch, tmp_path
):
    first_batch(
        make_trainer(
            prompts,
            tmp_path,
            prompts_per_batch=3,
            rollouts_per_prompt=4,
            updates_per_batch=1,
            micro_batch=12,
        )
    )
    assert all(np.isnan(np.array(row, dtype=float)).all() for row in kept_confidence(tmp_path))
