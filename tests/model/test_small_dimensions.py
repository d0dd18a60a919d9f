"""A config in small dimensions gives a model of the same class that runs, and keeps its structure."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st

from vasari.model.counting import model_class
from vasari.model.published import published_config, published_facts
from vasari.model.small_dimensions import _in_proportion, small_config

MROPE = {"rope_type": "default", "rope_theta": 1e6}
# Classes of transformers in the sizes of published models; parts that their defaults lack.
CONFIGS: dict[str, dict[str, Any]] = {
    "Qwen2VLConfig": {"text_config": {"rope_parameters": {**MROPE, "mrope_section": [16, 24, 24]}}},
    "Qwen3VLMoeConfig": {},
    "Gemma4Config": {
        "vision_config": {},
        "audio_config": {},
        "text_config": {"num_kv_shared_layers": 10},
    },
    "SmolVLMConfig": {},
    "Idefics3Config": {},
    "InternVLConfig": {},
    "Glm4vConfig": {
        "text_config": {
            "rope_parameters": {**MROPE, "partial_rotary_factor": 0.5, "mrope_section": [8, 12, 12]}
        }
    },
    "LlavaOnevisionConfig": {},
    "LlavaNextConfig": {},
    "Lfm2VlConfig": {},
    "Qwen3Config": {},
    "LlamaConfig": {},
}
PUBLISHED = tuple(published_facts()["models"])


def config_of(name):
    known = published_config(name)
    return known if known is not None else getattr(transformers, name)(**CONFIGS[name])


@pytest.mark.parametrize("name", [*PUBLISHED, *CONFIGS])
def test_a_small_model_is_of_the_same_class_and_reads_text(name):
    config = config_of(name)
    small = small_config(config)
    text = small.get_text_config()
    # The vocabulary stays, and with it the embeddings.
    text.vocab_size = small.vocab_size = 500
    if hasattr(text, "vocab_size_per_layer_input"):
        text.vocab_size_per_layer_input = 500
    text.pad_token_id = 0
    model = model_class(small).from_config(small)
    assert type(small) is type(config)
    assert sum(weight.numel() for weight in model.parameters()) < 2_000_000
    assert torch.isfinite(model(input_ids=torch.tensor([[5, 6, 7]])).logits).all()


@pytest.mark.parametrize("name", PUBLISHED)
def test_structure_stays(name):
    config = config_of(name)
    small = small_config(config)
    before, after = config.get_text_config(), small.get_text_config()
    kept = (
        "vocab_size",
        "max_position_embeddings",
        "tie_word_embeddings",
        "hidden_act",
        "sliding_window",
    )
    assert [getattr(after, key, None) for key in kept] == [
        getattr(before, key, None) for key in kept
    ]
    if getattr(before, "layer_types", None):
        assert set(after.layer_types) == set(before.layer_types)
        assert after.layer_types == before.layer_types[: after.num_hidden_layers]
    assert (small.vision_config.patch_size, config.tie_word_embeddings) == (
        config.vision_config.patch_size,
        small.tie_word_embeddings,
    )
    for key in ("image_token_id", "vision_start_token_id"):
        assert getattr(small, key, None) == getattr(config, key, None)


def test_one_window_layer_and_one_full_layer_are_left_of_a_vision_encoder():
    vision = small_config(config_of("Qwen/Qwen2.5-VL-7B-Instruct")).vision_config
    assert (vision.depth, vision.fullatt_block_indexes, vision.window_size) == (2, [1], 112)


def test_as_many_layers_are_tapped_as_before():
    vision = small_config(config_of("Qwen/Qwen3-VL-4B-Instruct")).vision_config
    assert vision.deepstack_visual_indexes == [0, 1, 2]
    assert vision.depth == 4


def test_images_of_one_size_shrink_with_their_tokens():
    before, after = (
        make(config_of("google/gemma-3-4b-it")) for make in (lambda c: c, small_config)
    )
    assert (before.vision_config.image_size, before.mm_tokens_per_image) == (896, 256)
    assert (after.vision_config.image_size, after.mm_tokens_per_image) == (224, 16)


@given(st.lists(st.integers(1, 64), min_size=1, max_size=4), st.integers(4, 64))
def test_sections_keep_their_proportions_and_fill_the_head(sections, total):
    small = _in_proportion(sections, total)
    assert sum(small) == total
    assert min(small) >= 1
