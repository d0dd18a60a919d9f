"""Weights, gradients and optimizer states of one GPU, beside PyTorch's tensors and by hand."""

import pytest
import torch

from vasari.run.plan.division import (
    Division,
    Weights,
    division_of,
    kept_state,
    optimizer_bytes,
)
from vasari.train.trl_settings import GrpoTrlSettings

MILLION = 1_000_000
ZERO3 = {"zero_optimization": {"stage": 3}}


def weights(**changes):
    settings = {
        "frozen": 0,
        "trained": 80 * MILLION,
        "largest_layer": MILLION,
        "frozen_bytes": 4,
        "optimizer_bytes": 8,
        "bf16": True,
        "checkpointing": True,
        "reference": False,
    }
    return Weights(**(settings | changes))


def of(division, **changes):
    found = kept_state(weights(**changes), division)
    return {part: size / MILLION for part, size in found.items() if size}


@pytest.mark.slow  # torch's optimizers import its compiler
@pytest.mark.parametrize("bf16", [False, True])
def test_a_plain_training_keeps_what_torch_keeps_after_a_step(bf16):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(50, 40), torch.nn.Linear(40, 30))
    for weight in model[0].parameters():
        weight.requires_grad_(False)
    optimizer = torch.optim.AdamW([w for w in model.parameters() if w.requires_grad])
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        loss = model(torch.randn(8, 50)).sum()
    loss.backward()
    optimizer.step()
    tensors = {
        "weights": list(model.parameters()),
        "gradients": [w.grad for w in model.parameters() if w.grad is not None],
        "optimizer": [t for own in optimizer.state.values() for t in own.values() if t.dim()],
    }
    measured = {name: sum(t.nbytes for t in own) for name, own in tensors.items()}
    frozen, trained = 50 * 40 + 40, 40 * 30 + 30
    sizes = weights(frozen=frozen, trained=trained, bf16=bf16, checkpointing=False)
    computed = kept_state(sizes, Division(engine="torch", num_gpus=1))
    assert {name: computed[name] for name in measured} == measured
    # 2 bytes for each weight of a product; the copies are gone after the step.
    assert computed["bfloat16 copies"] == (2 * (frozen + trained) if bf16 else 0)


def test_zero_divides_stage_by_stage():
    # 80 million weights on 8 GPUs: 2 bytes a weight and a gradient, 4 and 8 for float32 and Adam.
    expected = {
        1: {"weights": 160, "float32 weights": 40, "gradients": 160 + 320, "optimizer": 80},
        2: {"weights": 160, "float32 weights": 40, "gradients": 20 + 320, "optimizer": 80},
        3: {"weights": 20, "float32 weights": 40, "gradients": 20 + 320, "optimizer": 80}
        | {"gathered weights": 160},
    }
    for stage, parts in expected.items():
        assert of(Division(engine="deepspeed", num_gpus=8, stage=stage)) == parts


def test_the_state_of_16_bytes_a_weight_is_divided_by_zero_3():
    # arXiv:1910.02054, section 3.1: 2 + 2 + 12 bytes a weight, over the GPUs.
    whole = Division(engine="deepspeed", num_gpus=64, stage=3)
    parts = of(whole, trained=7500 * MILLION)
    state = sum(parts[name] for name in ("weights", "float32 weights", "optimizer"))
    state += parts["gradients"] - 2 * 2 * 500  # less two buckets
    assert state == pytest.approx(16 * 7500 / 64)


def test_fsdp_divides_float32_and_gathers_layers_in_bfloat16():
    assert of(Division(engine="fsdp", num_gpus=8)) == {
        "weights": 40,
        "gathered weights": 4,
        "gradients": 40,
        "optimizer": 80,
    }


def test_several_plain_gpus_keep_buckets_of_gradients_too():
    one, two = (of(Division(engine="torch", num_gpus=num)) for num in (1, 2))
    assert (one["gradients"], two["gradients"]) == (320, 640)
    assert one["weights"] == two["weights"] == 320


def test_adapters_leave_gradients_and_states_of_the_frozen_weights_out():
    parts = of(Division(engine="torch", num_gpus=1), frozen=79 * MILLION, trained=MILLION)
    assert parts == {
        "weights": 320,
        "bfloat16 copies": 2 * (1 + 1),
        "gradients": 4,
        "optimizer": 8,
    }


def test_a_reference_model_is_kept_as_the_policy_is_divided():
    plain = of(Division(engine="torch", num_gpus=8), reference=True)
    zero = of(Division(engine="deepspeed", num_gpus=8, stage=3), reference=True)
    assert (plain["reference model"], zero["reference model"]) == (320, 20)


def test_what_is_offloaded_is_not_on_the_gpu():
    offload = {"offload_optimizer": {"device": "cpu"}, "offload_param": {"device": "cpu"}}
    trl = GrpoTrlSettings(deepspeed={"zero_optimization": {"stage": 3} | offload})
    parts = of(division_of(trl, num_gpus=8))
    assert not {"weights", "float32 weights", "optimizer"} & parts.keys()


@pytest.mark.parametrize(
    ("trl", "name"),
    [({}, "plain"), ({"deepspeed": ZERO3}, "ZeRO-3"), ({"fsdp": True}, "FSDP")],
    ids=["plain", "zero3", "fsdp"],
)
def test_the_division_is_the_one_that_the_recipe_names(trl, name):
    assert division_of(GrpoTrlSettings(**trl), num_gpus=8).name == name


@pytest.mark.parametrize(
    ("name", "expected"), [("adamw_torch", 8), ("adamw_8bit", 2), ("sgd", 0), ("lion_8bit", 2)]
)
def test_optimizers_differ_in_their_states(name, expected):
    assert optimizer_bytes(name) == expected


@pytest.mark.parametrize(
    ("zero", "gathered", "gradients"),
    [
        # 2 bytes of 80 million weights: all of them fit DeepSpeed's defaults.
        ({}, 160, 20 + 2 * 160),
        ({"stage3_max_live_parameters": 3e7, "reduce_bucket_size": 2e7}, 2 * 51, 20 + 2 * 40),
        # A layer of a million is gathered whatever the limit, and what is fetched before its use.
        (
            {"stage3_max_live_parameters": 0, "stage3_prefetch_bucket_size": 4_000_000},
            2 * 5,
            20 + 2 * 160,
        ),
        ({"reduce_bucket_size": 2e7, "overlap_comm": False}, 160, 20 + 40),
        # transformers: 4,000 x 4,000 gradients, and nine tenths of it to fetch.
        (
            {
                "reduce_bucket_size": "auto",
                "stage3_prefetch_bucket_size": "auto",
                "stage3_max_live_parameters": 0,
            },
            2 * (1 + 0.9 * 16),
            20 + 2 * 32,
        ),
    ],
    ids=["defaults", "smaller", "a layer", "one bucket", "auto"],
)
def test_buckets_are_those_of_the_deepspeed_file(zero, gathered, gradients):
    trl = GrpoTrlSettings(deepspeed={"zero_optimization": {"stage": 3} | zero})
    parts = of(division_of(trl, num_gpus=8, width=4000))
    assert (parts["gathered weights"], parts["gradients"]) == pytest.approx((gathered, gradients))
