"""Prompts and images as vLLM is given them, beside those that the model's own processor reads."""

from __future__ import annotations

import itertools
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from vasari.core.errors import StateError
from vasari.model.encoded_prompts import encoded
from vasari.model.processor import load_processor
from vasari.model.vllm_reading import as_shown, marked_ids, require_same_tokens

LIMIT = 112 * 112
GRIDS = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen3_5", "glm4v")


@pytest.fixture(scope="module")
def processors(family_folder):
    """A family's processor, as it was published and with a limit."""

    @cache
    def both(name):
        folder = str(family_folder(name))
        return load_processor(folder), load_processor(folder, max_pixels=LIMIT)

    return both


def question(*sizes):
    images = [Image.new("RGB", size, "gray") for size in sizes]
    content = [{"type": "image", "image": image} for image in images]
    return [{"role": "user", "content": [*content, {"type": "text", "text": "How many?"}]}]


def grid(processor, image):
    return processor.image_processor([image], return_tensors="pt")["image_grid_thw"].tolist()


@pytest.mark.parametrize("name", GRIDS)
@given(width=st.integers(30, 500), height=st.integers(30, 500))
def test_an_image_that_is_made_smaller_is_read_as_with_the_limit(processors, name, width, height):
    published, limited = processors(name)
    image = Image.new("RGB", (width, height), "gray")
    assert grid(published, as_shown(image, limited)) == grid(limited, image)


@pytest.mark.parametrize("name", GRIDS)
def test_an_image_within_the_limit_stays_the_same_object(processors, name):
    image = Image.new("RGB", (84, 112), "gray")
    assert as_shown(image, processors(name)[1]) is image


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("sizes", [[], [(112, 112)], [(112, 112), (140, 84)]])
def test_runs_of_image_tokens_are_single_marks_for_vllm(processors, name, sizes):
    processor = processors(name)[0]
    messages = question(*sizes)
    ids, _ = encoded(processor, messages)
    runs = [list(run) for _, run in itertools.groupby(ids)]
    image = processor.image_token_id
    once = [token for run in runs for token in (run[:1] if run[0] == image else run)]
    assert marked_ids(processor, messages) == once
    assert once.count(image) == len(sizes)


@pytest.mark.parametrize("name", ["gemma3", "smolvlm2", "llava_onevision"])
def test_a_prompt_without_images_is_the_same_for_vllm(processors, name):
    processor = processors(name)[0]
    ids, _ = encoded(processor, question())
    assert marked_ids(processor, question()) == ids


def test_other_tokens_than_the_models_are_refused():
    require_same_tokens((1, 2), [1, 2])
    with pytest.raises(StateError, match=r"read a prompt as 3 tokens that the model reads as 2"):
        require_same_tokens([1, 2], [1, 2, 2])
