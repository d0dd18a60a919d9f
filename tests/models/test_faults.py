"""A planted fault turns its column's cell red: what a green cell is worth."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from checks import COLUMNS, Lab, check_of

Plant = Callable[[pytest.MonkeyPatch], None]


def _swap_images(fields: Any) -> Any:
    """Each image of a batch in the place of another, as large."""
    if fields.get("pixel_values") is not None:
        fields["pixel_values"] = fields["pixel_values"].flip(0)
    return fields


def _around(patch: pytest.MonkeyPatch, owner: Any, name: str, change: Callable[..., Any]) -> None:
    """Let `change` have what a function returns."""
    stock = getattr(owner, name)
    patch.setattr(owner, name, lambda *args, **kwargs: change(stock(*args, **kwargs)))


def images_swapped_when_prompts_are_encoded(patch: pytest.MonkeyPatch) -> None:
    from vasari.model import encoded_prompts

    _around(patch, encoded_prompts, "model_inputs", _swap_images)


def images_swapped_in_a_batch_to_learn(patch: pytest.MonkeyPatch) -> None:
    from vasari.train.prompt_data import ChatCollator

    _around(patch, ChatCollator, "__call__", _swap_images)


def labels_shifted_by_one(patch: pytest.MonkeyPatch) -> None:
    from vasari.train.prompt_data import ChatCollator

    def shift(batch: Any) -> Any:
        return {**batch, "labels": batch["labels"].roll(1, dims=1)}

    _around(patch, ChatCollator, "__call__", shift)


def stop_token_not_learned(patch: pytest.MonkeyPatch) -> None:
    from vasari.train.prompt_data import ChatCollator

    def forget(batch: Any) -> Any:
        for labels in batch["labels"]:
            labels[(labels != -100).nonzero()[-1]] = -100
        return batch

    _around(patch, ChatCollator, "__call__", forget)


def updates_lost_in_rounding(patch: pytest.MonkeyPatch) -> None:
    from vasari.train import sft

    _around(patch, sft, "prepare_weights", lambda model: model.to(torch.bfloat16))


def images_swapped_between_rollouts(patch: pytest.MonkeyPatch) -> None:
    from vasari.train import trl_forward

    _around(patch, trl_forward, "model_inputs", _swap_images)


def images_swapped_while_rollouts_are_drawn(patch: pytest.MonkeyPatch) -> None:
    from vasari.model import transformers_tokens

    _around(patch, transformers_tokens, "padded_inputs", _swap_images)


def pixels_a_millionth_too_bright(patch: pytest.MonkeyPatch) -> None:
    from vasari.train import trl_forward

    def brighten(fields: Any) -> Any:
        if "pixel_values" in fields:
            fields["pixel_values"] = fields["pixel_values"] * (1 + 1e-6)
        return fields

    _around(patch, trl_forward, "model_inputs", brighten)


def image_tokens_one_place_too_far(patch: pytest.MonkeyPatch) -> None:
    from vasari.train import trl_forward

    def shift(types: Any) -> Any:
        return {name: rows.roll(1, dims=1) for name, rows in types.items()}

    _around(patch, trl_forward, "token_types", shift)


def penalty_left_in(patch: pytest.MonkeyPatch) -> None:
    from vasari.model import transformers_tokens

    def punish(settings: Any) -> Any:
        settings.repetition_penalty = 1.05
        return settings

    _around(patch, transformers_tokens, "sampling", punish)


def image_tokens_drawn(patch: pytest.MonkeyPatch) -> None:
    from vasari.model import sampling

    patch.setattr(sampling, "never_sampled_ids", lambda model, tokenizer: [])


def sampler_forgotten(patch: pytest.MonkeyPatch) -> None:
    from vasari.train.run_state import RunState

    patch.setattr(RunState, "load", lambda run, folder: None)


def video_file_missing(patch: pytest.MonkeyPatch) -> None:
    from vasari.model import processor

    stock = processor.write_source_files

    def write(files: Any, folder: Path) -> None:
        stock(files, folder)
        (folder / "video_preprocessor_config.json").unlink(missing_ok=True)

    patch.setattr(processor, "write_source_files", write)


def adapter_reset_when_saved(patch: pytest.MonkeyPatch) -> None:
    from vasari.train import adapters

    stock = adapters.save_file

    def save(tensors: Any, *args: Any, **kwargs: Any) -> None:
        reset = {name: 0 * w if "lora_B" in name else w for name, w in tensors.items()}
        stock(reset, *args, **kwargs)

    patch.setattr(adapters, "save_file", save)


def cold_start_thrown_away(patch: pytest.MonkeyPatch) -> None:
    from vasari.train import weights

    def forget(model: Any) -> Any:
        with torch.no_grad():
            for name, weight in model.named_parameters():
                if "lora_B" in name:
                    weight.zero_()
        return model

    _around(patch, weights, "continue_adapter", forget)


def one_vision_weight_moved(patch: pytest.MonkeyPatch) -> None:
    from vasari.train import sft

    def thaw(model: Any) -> Any:
        seen = (w for name, w in model.named_parameters() if "visual" in name)
        next(seen).requires_grad_(True)
        return model

    _around(patch, sft, "prepare_weights", thaw)


def batch_doubled(patch: pytest.MonkeyPatch) -> None:
    from vasari.train import sft

    def double(config: Any) -> Any:
        config.gradient_accumulation_steps *= 2
        return config

    _around(patch, sft, "sft_config", double)


FAULTS: tuple[tuple[str, str, Plant, str], ...] = (
    ("load", "qwen3_vl", images_swapped_when_prompts_are_encoded, "pixel_values differs"),
    ("sft", "qwen3_vl", labels_shifted_by_one, "labels are shifted|learns"),
    ("sft", "gemma3", stop_token_not_learned, "learns"),
    ("sft", "smolvlm2", updates_lost_in_rounding, "of the weights that it should|the logged loss"),
    ("train", "qwen3_vl", images_swapped_between_rollouts, "log-probabilities"),
    ("train", "smolvlm2", images_swapped_between_rollouts, "log-probabilities"),
    # Less than float32 rounds: only the trainings in float64 tell it.
    ("train", "gemma3", pixels_a_millionth_too_bright, "log-probabilities"),
    ("LoRA on LoRA", "gemma3", image_tokens_one_place_too_far, "log-probabilities"),
    ("train", "gemma3", images_swapped_while_rollouts_are_drawn, "logits that draw|log-prob"),
    ("train", "qwen2_5_vl", penalty_left_in, "drawn in|no setting asks"),
    ("train", "qwen3_5", image_tokens_drawn, "are never drawn"),
    ("resume", "qwen3_vl", sampler_forgotten, "of the resumed training are others"),
    ("evaluate", "smolvlm2", images_swapped_when_prompts_are_encoded, "and not"),
    ("evaluate", "qwen2_5_vl", penalty_left_in, "and not"),
    ("save and reload", "qwen3_vl", video_file_missing, "lacks video_preprocessor_config.json"),
    ("LoRA", "qwen3_vl", adapter_reset_when_saved, "the adapters do nothing"),
    ("LoRA on LoRA", "qwen3_vl", cold_start_thrown_away, "of the cold start"),
    ("frozen vision", "qwen3_vl", one_vision_weight_moved, "visual"),
    ("mixed pool", "internvl3", images_swapped_in_a_batch_to_learn, "in a batch with"),
    ("two processes", "qwen3_vl", batch_doubled, "apart"),
)
"""Column, family, fault, and what the check then says."""


@pytest.mark.parametrize(
    ("column", "family", "plant", "said"),
    [
        pytest.param(
            column,
            family,
            plant,
            said,
            id=f"{column.replace(' ', '-')}-{family}-{plant.__name__}",
            marks=[] if column == "load" else [pytest.mark.slow, pytest.mark.heavy],
        )
        for column, family, plant, said in FAULTS
    ],
)
def test_a_planted_fault_turns_the_cell_red(
    column: str,
    family: str,
    plant: Plant,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lab = Lab(family, tmp_path)
    plant(monkeypatch)
    with pytest.raises(AssertionError, match=said):
        check_of(column)(lab)


def test_every_column_has_a_fault_that_turns_it_red() -> None:
    assert {column for column, _, _, _ in FAULTS} == set(COLUMNS)
