"""Column "load": tensors of a mixed batch and logits are those of plain transformers."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from stand_ins import inputs_of

from checks.lab import Lab, assert_close, assert_equal_tensors
from vasari.model.processor import load_processor
from vasari.model.transformers_policy import TransformersPolicy, load_model


def _of_images(batch: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A batch without the rows of zeros that SmolVLM's processor gives a prompt without an image.

    The model leaves them out itself; so do we.
    """
    pixels = batch.get("pixel_values")
    if pixels is None or pixels.dim() != 5:
        return dict(batch)
    seen = pixels.flatten(1).any(1)
    names = ("pixel_values", "pixel_attention_mask")
    return {name: own[seen] if name in names else own for name, own in batch.items()}


def check(lab: Lab) -> None:
    ours = load_model(str(lab.folder), dtype="float32").eval()
    policy = TransformersPolicy(ours, load_processor(str(lab.folder)), system=lab.plain.system)
    assert type(ours) is type(lab.plain.model)
    for prompts in (lab.pool[:4], lab.pool[:1], [lab.pool[0], lab.pool[4]]):
        batch = inputs_of(policy, prompts)
        assert_equal_tensors(
            batch, _of_images(lab.plain.encode(prompts)), f"{len(prompts)} prompts"
        )
    for prompt in lab.pool[:4]:
        (found,) = inputs_of(policy, [prompt])["input_ids"].tolist()
        assert found == lab.plain.prompt_ids(prompt), f"prompt {prompt.id}"
    batch = lab.plain.encode(lab.pool[:4])
    with torch.no_grad():
        logits = ours(**batch).logits[:, -1].float()
    alone = torch.stack([lab.plain.logits(prompt, [])[0] for prompt in lab.pool[:4]])
    assert_close(logits, alone, "logits of a mixed batch", by=lab.close)
    kept = load_model(str(lab.folder))
    assert kept.dtype == torch.bfloat16, f"the published type is bfloat16, loaded {kept.dtype}"
