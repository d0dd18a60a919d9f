"""The reference model of the KL term is loaded as the policy is."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize("attention", ["eager", "sdpa", None])
def test_policy_and_reference_compute_attention_alike(
    make_trainer, image_prompts, tmp_path, attention
):
    trainer = make_trainer(
        image_prompts, tmp_path, trl={"beta": 0.1}, attn_implementation=attention
    )
    for model in (trainer.model, trainer.ref_model):
        parts = (model.config, model.config.get_text_config(), model.config.vision_config)
        assert {part._attn_implementation for part in parts} == {attention or "sdpa"}
    assert trainer.ref_model.dtype == trainer.model.dtype
