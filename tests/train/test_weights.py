"""Which weights are trained, and in which precision."""

import pytest

pytest.importorskip("torch")

import torch
from safetensors.torch import load_file

from vasari.model.processor import load_processor
from vasari.train.settings import SftSettings
from vasari.train.sft import train_supervised
from vasari.train.weights import load_weights


def moved(before, after):
    """The share of weights that changed, over all tensors."""
    changed = sum(int((before[name] != after[name]).sum()) for name in before)
    return changed / sum(value.numel() for value in before.values())


@pytest.mark.slow
def test_a_step_of_1e_6_in_bfloat16_moves_nearly_every_weight(tiny_folder, digit_prompts, tmp_path):
    settings = SftSettings(
        epochs=1,
        batch_prompts=12,
        trl={"learning_rate": 1e-6, "bf16": True, "warmup_steps": 0, "dataloader_num_workers": 0},
    )
    model = load_weights(str(tiny_folder), settings, seed=0)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    train_supervised(
        model,
        load_processor(str(tiny_folder)),
        train=digit_prompts,
        validation=digit_prompts[:2],
        settings=settings,
        system="",
        out=tmp_path,
        seed=0,
    )
    assert moved(before, model.state_dict()) > 0.99
    assert {v.dtype for v in load_file(tmp_path / "model" / "model.safetensors").values()} == {
        torch.float32
    }


def test_grpo_trains_float32_weights_in_bfloat16(make_trainer, digit_prompts, tmp_path):
    trainer = make_trainer(digit_prompts, tmp_path, trl={"bf16": True})
    assert {weight.dtype for weight in trainer.model.parameters()} == {torch.float32}
    assert trainer.accelerator.mixed_precision == "bf16"


def test_all_weights_are_trained_from_a_cold_start_with_an_adapter(
    tiny_folder, digit_prompts, tmp_path
):
    # PEFT freezes what it merges into: nothing would move, and no step would say so.
    lora = SftSettings(
        epochs=1,
        batch_prompts=12,
        lora={"rank": 2},
        trl={"learning_rate": 1e-3, "warmup_steps": 0, "dataloader_num_workers": 0},
    )
    train_supervised(
        load_weights(str(tiny_folder), lora, seed=0),
        load_processor(str(tiny_folder)),
        train=digit_prompts,
        validation=digit_prompts[:2],
        settings=lora,
        system="",
        out=tmp_path,
        seed=0,
    )
    merged = load_weights(str(tmp_path / "model"), SftSettings(), seed=0)
    assert all(weight.requires_grad for weight in merged.parameters())


@pytest.mark.parametrize("name", ["gemma4", "llava_next", "qwen3_vl", "smolvlm2"])
def test_frozen_vision_leaves_the_decoder_and_its_embeddings_alone_to_be_trained(
    name, family_folder
):
    model = load_weights(str(family_folder(name)), SftSettings(freeze_vision=True), seed=0)
    parts = ("language_model", "text_model", "lm_head")
    for where, weight in model.named_parameters():
        assert weight.requires_grad == any(part in where for part in parts), where
