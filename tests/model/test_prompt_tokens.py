"""Tokens of prompts, beside the image features and token ids that the model itself is given."""

import dataclasses

import pytest
from stand_ins import SYSTEM, mixed_pool

from vasari.model.config import load_config
from vasari.model.processor import load_processor
from vasari.model.prompt_tokens import TokenCounter
from vasari.model.transformers_policy import TransformersPolicy

# One for each way in which a batch holds images, without torchvision.
FAMILIES = ["qwen2_5_vl", "gemma3", "gemma4", "smolvlm2", "internvl3", "llava_onevision"]


@pytest.fixture
def counter(family_folder):
    def make(name):
        folder = str(family_folder(name))
        return TokenCounter(load_processor(folder), load_config(folder), system=SYSTEM)

    return make


@pytest.mark.parametrize("name", FAMILIES)
def test_tokens_are_those_that_a_rollout_begins_with(counter, family_folder, name):
    from vasari.model.base import Decoding

    policy = TransformersPolicy.load(str(family_folder(name)), system=SYSTEM)
    given = []
    generate = policy.model.generate
    policy.model.generate = lambda **inputs: given.append(inputs) or generate(**inputs)
    counts = counter(name)
    for prompt in mixed_pool(1):
        policy.generate([prompt], Decoding(num_rollouts=1, max_tokens=1), seed=0)
        found = counts.count(prompt)
        assert found.total == given[-1]["input_ids"].shape[1]
        assert (found.image > 0) == (found.patches > 0) == bool(prompt.images)


@pytest.mark.parametrize("name", FAMILIES)
def test_no_prompt_has_more_tokens_than_its_bytes_and_images_allow(counter, name):
    counts = counter(name)
    for prompt in mixed_pool(2):
        assert counts.count(prompt).total <= counts.check(prompt)


def test_an_image_of_qwen_has_a_token_for_four_patches(counter):
    # 112 x 112 pixels: 8 x 8 patches of 14, four of which become one token.
    found = counter("qwen2_5_vl").count(mixed_pool(1)[2])
    assert (found.patches, found.image) == (64, 16)


def test_a_text_only_model_counts_text(counter):
    found = counter("qwen2_text").count(dataclasses.replace(mixed_pool(1)[0]))
    assert (found.image, found.patches) == (0, 0)
    assert found.text > 10
