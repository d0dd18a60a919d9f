"""Training, refresh and validation draw from one distribution, whatever the model recommends."""

from __future__ import annotations

import contextlib

import pytest
import torch
from stand_ins import STAND_INS, SYSTEM, mixed_pool
from transformers import GenerationConfig

from vasari.model.base import Decoding
from vasari.model.processor import load_processor
from vasari.model.sampling import sampling
from vasari.model.transformers_policy import TransformersPolicy, load_model
from vasari.sample import make_sampler
from vasari.train.run_grpo import GrpoTraining
from vasari.train.settings import GrpoSettings

NEVER = {
    "qwen2_5_vl": {
        *("<|image_pad|>", "<|video_pad|>", "<|vision_pad|>"),
        *("<|vision_start|>", "<|vision_end|>"),
    },
    "gemma3": {"<image_soft_token>", "<start_of_image>", "<end_of_image>"},
    "llava_onevision": {"<image>", "<video>"},
    "qwen3_text": set(),
}
"""Tokens that stand for images or videos, by family."""
RECOMMENDED = {
    "do_sample": True,
    "repetition_penalty": 1.5,
    "temperature": 0.3,
    "top_k": 2,
    "top_p": 0.4,
    "min_p": 0.3,
    "no_repeat_ngram_size": 1,
    "min_new_tokens": 3,
    "exponential_decay_length_penalty": (1, 2.0),
    "bad_words_ids": [[5]],
}


@contextlib.contextmanager
def seen_processors(model, found):
    """Within this context, what transformers makes of the logits is kept in `found`."""
    make = model._get_logits_processor

    def spy(*args, **kwargs):
        found.append(make(*args, **kwargs))
        return found[-1]

    model._get_logits_processor = spy
    try:
        yield
    finally:
        del model._get_logits_processor


def settings(**trl):
    return GrpoSettings(
        steps=1,
        prompts_per_batch=2,
        rollouts_per_prompt=2,
        updates_per_batch=1,
        micro_batch=4,
        validate_every=1,
        save_every=1,
        trl={"temperature": 0.7, "max_completion_length": 3, "beta": 0.0, **trl},
    )


def make_trainer(folder, out, **trl):
    prompts = mixed_pool(1) if STAND_INS[folder.name].has_images else mixed_pool(2)[::4]
    return GrpoTraining(
        model_path=str(folder),
        prompts=prompts,
        sampler=make_sampler("uniform", num_prompts=len(prompts), seed=0),
        settings=settings(**trl),
        system=SYSTEM,
        out=out,
        seed=0,
    ).make_trainer()


def distributions(folder, out, *, top_p):
    """Of random logits and rollouts so far: what training makes of them, what the policy does."""
    trainer = make_trainer(folder, out, top_p=top_p)
    trainer.model.generation_config = GenerationConfig(
        **RECOMMENDED, eos_token_id=trainer.model.generation_config.eos_token_id
    )
    trainer.model.train()
    found = []
    with seen_processors(trainer.model, found):
        trainer._generate_and_score_completions([{}] * 4)
        policy = TransformersPolicy(
            load_model(str(folder), dtype="float32"), load_processor(str(folder)), system=SYSTEM
        )
        policy.model.generation_config = trainer.model.generation_config
        with seen_processors(policy.model, found):
            policy.generate(mixed_pool(1)[:1], settings(top_p=top_p).decoding(2), seed=0)
    torch.manual_seed(1)
    vocabulary = trainer.model.config.get_text_config().vocab_size
    ids, logits = torch.randint(vocabulary, (2, 6)), 3 * torch.randn(2, vocabulary)
    training, everywhere = (made(ids, logits.clone()).softmax(-1) for made in found)
    never = [trainer._tokenizer.convert_tokens_to_ids(token) for token in NEVER[folder.name]]
    return logits, never, training, everywhere


@pytest.mark.parametrize("name", NEVER)
def test_rollouts_come_from_the_softmax_that_is_trained_and_nothing_else(
    name, family_folder, tmp_path
):
    logits, never, training, everywhere = distributions(family_folder(name), tmp_path, top_p=1.0)
    logits[:, never] = -torch.inf
    expected = (logits / 0.7).softmax(-1)
    torch.testing.assert_close(training, expected)
    assert torch.equal(training, everywhere)


def test_a_nucleus_is_the_same_in_training_and_everywhere(family_folder, tmp_path):
    folder = family_folder("qwen2_5_vl")
    _, _, training, everywhere = distributions(folder, tmp_path, top_p=0.6)
    assert 0 < (training == 0).float().mean() < 1
    assert torch.equal(training, everywhere)


@pytest.mark.parametrize("name", ["qwen2_5_vl", "gemma3", "glm4v", "llava_next", "qwen2_text"])
def test_a_rollout_ends_at_the_same_tokens_in_training_and_everywhere(
    name, family_folder, tmp_path
):
    trainer = make_trainer(family_folder(name), tmp_path)
    drawn = sampling(trainer.model, trainer.processing_class, Decoding())
    assert drawn.eos_token_id == trainer.generation_config.eos_token_id == trainer.eos_token_ids
    assert trainer._tokenizer.eos_token_id in trainer.eos_token_ids


def test_what_the_model_recommends_is_there_again_afterwards(family_folder, tmp_path):
    trainer = make_trainer(family_folder("qwen2_5_vl"), tmp_path)
    before = trainer.model.generation_config.to_dict()
    trainer.model.train()
    trainer._generate_and_score_completions([{}] * 4)
    assert trainer.model.generation_config.to_dict() == before
    assert before["repetition_penalty"] == 1.05


@pytest.mark.slow
def test_first_tokens_in_training_and_in_a_refresh_are_drawn_equally_often(family_folder, tmp_path):
    """Two samples of one distribution, by a chi-squared test of their counts."""
    trainer = make_trainer(family_folder("qwen2_5_vl"), tmp_path, max_completion_length=1)
    trainer.model.train()
    torch.manual_seed(0)
    with torch.no_grad():
        # Sharper than an untrained model, so that few tokens have most of the mass.
        trainer.model.model.language_model.norm.weight.mul_(2)
    prompt, draws = mixed_pool(1)[1], 600
    from vasari.train.prompt_data import PromptDataset
    from vasari.train.trl_engine import with_images

    row = PromptDataset([prompt], system=SYSTEM)[0]
    ids, images, fields = trainer._tokenize_prompts(with_images([row] * draws))
    drawn, _ = trainer._generate_single_turn(ids, images, fields, 1)
    policy = TransformersPolicy(trainer.model, trainer.processing_class, system=SYSTEM)
    decoding = Decoding(num_rollouts=draws, temperature=0.7, max_tokens=1, batch_rollouts=draws)
    (group,) = policy.generate([prompt], decoding, seed=1)
    counts = torch.zeros(2, trainer.model.config.get_text_config().vocab_size)
    for own, tokens in zip(counts, (drawn, [rollout.token_ids for rollout in group]), strict=True):
        for token in tokens:
            own[int(token[0])] += 1
    often = counts[:, counts.sum(0) >= 10]
    table = torch.cat([often, counts.sum(1, keepdim=True) - often.sum(1, keepdim=True)], 1)
    table = table[:, table.sum(0) > 0]
    expected = table.sum(0) / 2
    statistic = ((table - expected) ** 2 / expected).sum()
    freedom = torch.tensor(table.shape[1] - 1.0)
    assert freedom > 4
    assert torch.special.gammaincc(freedom / 2, statistic / 2) > 1e-3
