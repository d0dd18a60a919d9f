"""Tokens, hours and disk, each computed by hand, and disk beside the files of a real model."""

import pytest
import torch

from vasari.run.plan.costs import (
    Throughput,
    checkpoint_bytes,
    generated_tokens,
    group_bytes,
    hours,
    model_bytes,
    updated_tokens,
)
from vasari.run.plan.division import Division, Weights
from vasari.run.plan.rollouts import Count, training_rollouts
from vasari.sample import make_sampler
from vasari.train.group_file import write_groups
from vasari.train.settings import GrpoSettings

PLAIN = Division(engine="torch", num_gpus=1)
ZERO3 = Division(engine="deepspeed", num_gpus=8, stage=3)
ROLLOUTS = {"train": Count(least=100, most=200), "evaluation": Count(least=50, most=50)}
LONGEST = {"train": 4096, "evaluation": 1000}


def weights(**changes):
    settings = {"frozen": 0, "trained": 1000, "largest_layer": 10, "frozen_bytes": 4}
    settings |= {"optimizer_bytes": 8, "bf16": True, "checkpointing": True, "reference": False}
    return Weights(**(settings | changes))


def test_rollouts_take_at_most_their_limit_and_the_stated_mean_otherwise():
    most = generated_tokens(ROLLOUTS, LONGEST, Throughput())
    assert most == {"train": 200 * 4096, "evaluation": 50 * 1000}
    stated = generated_tokens(ROLLOUTS, LONGEST, Throughput(completion=1500))
    assert stated == {"train": 200 * 1500, "evaluation": 50 * 1000}


def test_hours_divide_by_gpus_but_for_the_evaluation():
    throughput = Throughput(generated=1000, updated=500)
    tokens = {"train": 3600 * 1000 * 8, "evaluation": 3600 * 1000}
    found = hours(tokens, {"updates": 3600 * 500 * 16}, throughput, num_gpus=8)
    assert found == {"train": 1.0, "evaluation": 1.0, "updates": 2.0}


def test_hours_of_an_unknown_throughput_are_left_out():
    assert hours({"train": 1.0}, {"updates": 1.0}, Throughput(), num_gpus=1) == {}


def test_a_batch_is_computed_once_however_many_updates_it_is_split_into():
    grpo = GrpoSettings(steps=4, updates_per_batch=2, validate_every=2, save_every=2)
    sampler = make_sampler("uniform", num_prompts=600, seed=0)
    training = training_rollouts(grpo, sampler, num_validation=0)
    # 2 batches of 512 x 8 rollouts, of 1,792 + 1,000 tokens.
    found = updated_tokens(training, prompt=1792, completion=1000)
    assert found == {"updates": 2 * 512 * 8 * 2792}


def test_checkpoints_hold_weights_and_states():
    assert checkpoint_bytes(weights(), PLAIN, adapters=False) == (4 + 8) * 1000
    # bfloat16 weights, and float32 ones beside Adam's states.
    assert checkpoint_bytes(weights(), ZERO3, adapters=False) == (2 + 4 + 8) * 1000
    adapters = weights(frozen=9000, frozen_bytes=2)
    assert checkpoint_bytes(adapters, PLAIN, adapters=True) == (4 + 8) * 1000
    assert model_bytes(adapters, PLAIN) == 2 * 9000 + 4 * 1000


def test_a_saved_model_and_its_optimizer_have_about_the_bytes_of_the_plan(tiny_model, tmp_path):
    total = sum(weight.numel() for weight in tiny_model.parameters())
    tiny_model.save_pretrained(str(tmp_path))
    saved = sum(file.stat().st_size for file in tmp_path.glob("*.safetensors"))
    optimizer = torch.optim.AdamW(tiny_model.parameters())
    for weight in tiny_model.parameters():
        weight.grad = torch.zeros_like(weight)
    optimizer.step()
    torch.save(optimizer.state_dict(), tmp_path / "optimizer.pt")
    sizes = weights(trained=total)
    assert saved == pytest.approx(model_bytes(sizes, PLAIN), rel=0.1)
    whole = saved + (tmp_path / "optimizer.pt").stat().st_size
    assert whole == pytest.approx(checkpoint_bytes(sizes, PLAIN, adapters=False), rel=0.1)


def test_stored_groups_take_about_the_bytes_of_the_plan(tmp_path):
    words = [
        "the",
        "area",
        "of",
        "a",
        "triangle",
        "with",
        "base",
        "and",
        "height",
        "is",
        "half",
        "their",
        "product",
        "so",
        "we",
        "get",
    ]
    rng = torch.Generator().manual_seed(0)
    rows, letters = [], 0
    for n in range(64):
        places = torch.randint(len(words), (8, 300), generator=rng).tolist()
        texts = [" ".join(f"{words[i]}{i * n % 97}" for i in row) for row in places]
        letters += sum(map(len, texts))
        rows.append(
            {"prompt_id": f"p{n}", "batch": 0, "texts": texts, "rewards": [0.0] * 8}
            | {"verdicts": [0.0] * 8, "purpose": "train", "role": "uniform", "prompt_index": n}
            | {"step": 0, "score": 0.0}
        )
    write_groups(tmp_path, 0, "train", rows)
    measured = sum(file.stat().st_size for file in tmp_path.iterdir())
    # Four letters a token.
    computed = group_bytes(Count(least=512, most=512), letters / 4)
    assert 0.3 < measured / computed < 1.5
