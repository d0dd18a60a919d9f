"""Prompts that a model cannot be given."""

import dataclasses

import pytest
from PIL import Image
from stand_ins import mixed_pool
from transformers import AutoConfig

from vasari.core.errors import DataError
from vasari.model.families import family_of
from vasari.model.processor import load_processor
from vasari.model.prompt_checks import PromptChecker

TEXT, SMALL, *_ = mixed_pool(1)


@pytest.fixture(scope="module")
def checker(family_folder):
    def make(name):
        folder = str(family_folder(name))
        return PromptChecker(load_processor(folder), family_of(AutoConfig.from_pretrained(folder)))

    return make


@pytest.mark.parametrize("name", ["qwen2_5_vl", "qwen2_vl", "qwen3_vl", "qwen3_5", "glm4v"])
@pytest.mark.parametrize("size", [(500, 1), (1, 500), (201, 1), (402, 2)])
def test_an_image_that_the_processor_refuses_is_named_before(name, size, checker, family_folder):
    with pytest.raises(DataError, match=f"prompt '{SMALL.id}': an image has {size[0]} x {size[1]}"):
        checker(name).check(SMALL, [(56, 56), size])
    processor = load_processor(str(family_folder(name)))
    with pytest.raises(ValueError, match="aspect ratio must be smaller than 200"):
        processor.image_processor(Image.new("RGB", size))


@pytest.mark.parametrize("name", ["qwen2_5_vl", "glm4v", "gemma3", "smolvlm2", "llava_next"])
@pytest.mark.parametrize("size", [(200, 1), (2, 400), (1, 1)])
def test_an_image_that_the_processor_takes_passes(name, size, checker, family_folder):
    checker(name).check(SMALL, [size])
    processor = load_processor(str(family_folder(name)))
    assert processor.image_processor(Image.new("RGB", size), return_tensors="pt")


def test_an_image_is_too_long_for_lfm2_where_its_encoder_has_no_room(checker):
    lfm2 = checker("lfm2_vl")
    lfm2.check(SMALL, [(56, 56), (4, 1)])
    with pytest.raises(DataError, match="LFM2-VL takes images at most 4 times as long as wide"):
        lfm2.check(SMALL, [(50, 10)])


@pytest.mark.parametrize(
    ("name", "token"),
    [
        ("qwen2_5_vl", "<|image_pad|>"),
        ("qwen3_vl", "<|vision_start|>"),
        ("gemma3", "<start_of_image>"),
        ("smolvlm2", "<row_2_col_3>"),
        ("internvl3", "<IMG_CONTEXT>"),
    ],
)
def test_a_token_for_images_in_the_text_is_named(name, token, checker):
    typed = dataclasses.replace(SMALL, id="typed", choices=("one", f"see {token}"))
    with pytest.raises(DataError, match=r"prompt 'typed': the text holds .*leave the prompt out"):
        checker(name).check(typed, [(56, 56)])


@pytest.mark.parametrize("name", ["llava_next", "idefics3", "qwen2_5_vl"])
def test_a_mark_for_the_place_of_an_image_is_no_token(name, checker):
    checker(name).check(dataclasses.replace(SMALL, question="See <image>: how many?"), [(56, 56)])


def test_a_text_model_is_shown_no_image(checker):
    checker("qwen3_text").check(TEXT, [])
    checker("qwen3_text").check(SMALL, [])  # its image is left out
    with pytest.raises(DataError, match=r"has an image, and .*qwen3.* reads none"):
        checker("qwen3_text").check(SMALL, [(56, 56)])
