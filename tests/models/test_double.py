"""In float64 nothing but a fault keeps two ways to a log-probability apart."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from checks.double import EXACT, doubled, in_double
from checks.grpo import assert_rows_are_plain, grpo_run, recorded_calls
from checks.lab import Lab
from checks.lora import WAY
from checks.sft import collated


def test_a_model_calculates_in_float64_within_and_in_float32_again_after(tmp_path: Path) -> None:
    lab = Lab("gemma3", tmp_path)
    single = torch.float32
    with in_double():
        within = doubled(lab)
        logits = within.plain.logits(within.pool[3], [])
    assert logits.dtype == torch.float64
    assert torch.float32 is single
    assert torch.tensor(1.0).float().dtype == single
    assert lab.plain.logits(lab.pool[3], []).dtype == single


@pytest.mark.parametrize("pad", [0, 1, 40])
def test_two_images_have_the_logits_of_their_prompt_alone_behind_any_padding(
    pad: int, tmp_path: Path
) -> None:
    lab = Lab("gemma3", tmp_path)
    with in_double():
        lab = doubled(lab)
        pair = lab.pool[3]
        batch = collated(lab, [pair, lab.pool[0]])
        ids, mask, types = (
            torch.cat([torch.full((2, pad), fill), batch[name]], 1)
            for name, fill in (("input_ids", 0), ("attention_mask", 0), ("token_type_ids", 0))
        )
        pixels = batch["pixel_values"]
        with torch.no_grad():
            found = lab.plain.model(
                input_ids=ids, attention_mask=mask, token_type_ids=types, pixel_values=pixels
            ).logits[0]
            first = (batch["labels"][0] != -100).nonzero()[0, 0]
            alone = lab.plain.logits(pair, [])[0]
    assert (found[pad + first - 1] - alone).abs().max() < EXACT


@pytest.mark.slow
@pytest.mark.parametrize("family", ["gemma3", "smolvlm2", "qwen2_5_vl"])
def test_rollouts_with_no_and_two_images_are_learned_from_exactly(
    family: str, tmp_path: Path
) -> None:
    lab = Lab(family, tmp_path)
    prompts = [*lab.pool[::4], *lab.pool[3::4]]
    with in_double():
        lab = doubled(lab)
        with recorded_calls() as calls:
            grpo_run(lab, tmp_path / "out", prompts=prompts, sampler="uniform", **WAY).train([])
        assert assert_rows_are_plain(lab, calls, by=EXACT) >= 16
