"""Memory of one GPU, beside the peak that PyTorch's tracker sees in real training steps."""

import dataclasses

import pytest
import torch

from vasari.model.activations import model_shapes
from vasari.model.config import load_config
from vasari.model.counting import model_class
from vasari.run.plan.division import Division, Weights
from vasari.run.plan.memory import GIB, Workload, device_memory
from vasari.run.plan.stages import fitting

PLAIN = Division(engine="torch", num_gpus=1)
WORK = Workload(sequences=4, length=256, patches=0, scored=256)


@pytest.fixture(scope="module")
def model(family_folder):
    """The text model of a small Qwen3, wide enough that its layers matter."""
    config = load_config(str(family_folder("qwen3_text")))
    config.update({"hidden_size": 128, "intermediate_size": 384, "head_dim": 32})
    torch.manual_seed(0)
    return model_class(config).from_config(config).float().train()


def sizes(model, **changes):
    total = sum(weight.numel() for weight in model.parameters())
    settings = {
        "frozen": 0,
        "trained": total,
        "largest_layer": model_shapes(model).largest_layer,
        "frozen_bytes": 4,
        "optimizer_bytes": 8,
        "bf16": False,
        "checkpointing": False,
        "reference": False,
    }
    return Weights(**(settings | changes))


def tracked_peak(model, *, autocast):
    """Most bytes of weights, gradients, states and activations in the second of two steps."""
    from torch.distributed._tools.mem_tracker import MemTracker

    optimizer = torch.optim.AdamW(model.parameters(), foreach=False)
    tracker = MemTracker()
    tracker.track_external(model, optimizer)
    with tracker:
        for step in range(2):
            ids = torch.randint(10, 90, (WORK.sequences, WORK.length))
            with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
                hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state
            hidden.float().mean().backward()
            optimizer.step()
            optimizer.zero_grad()
            if step == 0:
                tracker.reset_mod_stats()
    (peak,) = tracker.get_tracker_snapshot("peak").values()
    return peak["Total"]


@pytest.mark.slow
@pytest.mark.parametrize("autocast", [False, True])
def test_an_update_takes_about_what_the_tracker_sees(model, autocast):
    measured = tracked_peak(model, autocast=autocast)
    memory = device_memory(
        model_shapes(model), sizes(model, bf16=autocast), PLAIN, WORK, gpu_bytes=None
    )
    parts = dict(memory.parts)
    for part in ("reserved", "output head"):  # neither is in this step
        parts.pop(part)
    # The gradients of the first layers come when the last activations are gone.
    assert 0.8 < measured / sum(parts.values()) < 1.2


def test_checkpointing_keeps_inputs_and_one_layer(model):
    shapes = model_shapes(model)
    parts = [
        device_memory(
            shapes, sizes(model, checkpointing=checkpointing), PLAIN, WORK, gpu_bytes=None
        ).parts["activations"]
        for checkpointing in (False, True)
    ]
    tokens, layers = WORK.sequences * WORK.length, model.config.num_hidden_layers
    # Float32 inputs of each layer, and one layer of equal ones.
    assert parts[1] == pytest.approx(4 * 128 * layers * tokens + parts[0] / layers)


def test_vllm_is_asleep_while_weights_are_updated(model):
    shapes, gpu = model_shapes(model), 80 * GIB
    awake = dataclasses.replace(WORK, vllm_share=0.3)
    asleep = dataclasses.replace(awake, vllm_sleeps=True)
    first, second = (
        device_memory(shapes, sizes(model), PLAIN, work, gpu_bytes=gpu) for work in (awake, asleep)
    )
    assert first.update - second.update == pytest.approx(24 * GIB)
    assert first.generation == second.generation > 24 * GIB


def test_adapters_that_zero_3_divides_are_gathered_whole_for_vllm(model):
    work = dataclasses.replace(WORK, vllm_share=0.3, pushes_whole=True)
    zero = Division(engine="deepspeed", num_gpus=8, stage=3)
    plain, divided = (
        device_memory(model_shapes(model), sizes(model, bf16=True), way, work, gpu_bytes=80 * GIB)
        for way in (PLAIN, zero)
    )
    assert divided.generating["whole weights to push"] == 2 * sizes(model).total
    assert "whole weights to push" not in plain.generating


def test_rollouts_of_transformers_need_their_caches_and_divided_weights_whole(model):
    shapes = model_shapes(model)
    work = dataclasses.replace(WORK, generated=10)
    zero = Division(engine="deepspeed", num_gpus=8, stage=3)
    plain, divided = (
        device_memory(shapes, sizes(model, bf16=True), division, work, gpu_bytes=None).parts
        for division in (PLAIN, zero)
    )
    logits = 10 * 4 * shapes.vocabulary
    assert plain["keys and values"] == 10 * shapes.cache(256, 4) + logits
    assert divided["keys and values"] == 10 * shapes.cache(256, 2) + logits
    assert plain["whole weights to generate"] == 0
    assert divided["whole weights to generate"] == 2 * sizes(model).total


def test_images_of_a_batch_stay_in_memory(family_folder):
    config = load_config(str(family_folder("qwen2_5_vl")))
    shapes = model_shapes(model_class(config).from_config(config))
    work = dataclasses.replace(WORK, batch_patches=1000.0)
    memory = device_memory(shapes, sizes_of(shapes), PLAIN, work, gpu_bytes=None)
    # 3 colours, 2 frames of 14 x 14 pixels, in float32.
    assert memory.parts["images of the batch"] == 1000 * 3 * 2 * 14 * 14 * 4


def sizes_of(shapes):
    return Weights(
        frozen=0,
        trained=1,
        largest_layer=shapes.largest_layer,
        frozen_bytes=4,
        optimizer_bytes=8,
        bf16=False,
        checkpointing=False,
        reference=False,
    )


def test_what_does_not_fit_is_named_with_its_largest_part(model):
    work = dataclasses.replace(WORK, generated=100_000)
    memory = device_memory(model_shapes(model), sizes(model), PLAIN, work, gpu_bytes=None)
    assert fitting(memory, memory.peak, stage="grpo") is None
    error = fitting(memory, 3 * GIB, stage="grpo")
    assert "grpo: generating takes" in str(error)
    assert "keys and values" in str(error)


@pytest.mark.parametrize(
    ("stage", "changes", "remedy"),
    [
        ("grpo", {"generated": 100_000}, "lower grpo.refresh_batch or grpo.trl.max_completion_len"),
        ("evaluate", {"generated": 100_000}, "lower evaluate.batch_rollouts or evaluate.max_tok"),
        ("sft", {"sequences": 100_000}, "lower sft.micro_batch, or set sft.trl.gradient_checkp"),
        # The keys and values are larger, and not in use when the update does not fit.
        ("grpo", {"sequences": 100_000, "generated": 100}, "lower grpo.micro_batch, or set grpo"),
    ],
)
def test_each_stage_is_told_its_own_settings(model, stage, changes, remedy):
    work = dataclasses.replace(WORK, **changes)
    memory = device_memory(model_shapes(model), sizes(model), PLAIN, work, gpu_bytes=None)
    told = str(fitting(memory, 3 * GIB, stage=stage))
    assert remedy in told
    others = {"sft", "grpo", "evaluate"} - {stage}
    assert not [other for other in others if f"{other}." in told]
