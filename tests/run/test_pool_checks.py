"""Each planted fault in a prompt is found with the model's processor, and named."""

import dataclasses
import io

import pytest
from PIL import Image
from stand_ins import SYSTEM, mixed_pool

from vasari.model.config import load_config
from vasari.model.processor import load_processor
from vasari.model.prompt_tokens import TokenCounter
from vasari.records import ImageRef, Prompt
from vasari.run.pool_checks import pool_problems


def picture(width, height):
    data = io.BytesIO()
    Image.new("RGB", (width, height), "red").save(data, "PNG")
    return ImageRef(data=data.getvalue())


PLAIN = Prompt(id="plain", question="How many?", answer="2", solution="One, two.")


@pytest.fixture
def problems(family_folder):
    def find(*prompts, family="qwen2_5_vl", max_tokens=16, context=32_768, target=None):
        folder = str(family_folder(family))
        counter = TokenCounter(load_processor(folder), load_config(folder), system=SYSTEM)
        pool = [*mixed_pool(1), *prompts]
        if family.endswith("text"):
            pool = [PLAIN, *prompts]
        return list(
            pool_problems(
                counter, "train", pool, max_tokens=max_tokens, context=context, target=target
            )
        )

    return find


@pytest.mark.parametrize("family", ["qwen2_5_vl", "smolvlm2", "qwen2_text"])
def test_sound_prompts_have_no_problems(problems, family):
    assert problems(family=family) == []


FAULTS = {
    "shape": ({"images": (picture(500, 1),)}, "500 x 1"),
    "question": ({"question": "What is <|image_pad|>?"}, "<|image_pad|>"),
    "choices": ({"choices": ("<|video_pad|>", "b")}, "<|video_pad|>"),
    "solution": ({"solution": "It is <|image_pad|>."}, "<|image_pad|>"),
    "marks": ({"question": "<image> How many?"}, "<image>"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_prompt_that_the_model_cannot_be_given_is_named(problems, fault):
    changes, word = FAULTS[fault]
    faulty = dataclasses.replace(PLAIN, id="faulty", **changes)
    (problem,) = problems(faulty, target=lambda prompt: prompt.solution or "")
    assert "1 of 5 prompts cannot be given to the model: prompt 'faulty'" in str(problem)
    assert word in str(problem)


def test_images_for_a_text_only_model_are_named(problems):
    seen = dataclasses.replace(PLAIN, id="seen", images=(picture(56, 56),))
    (problem,) = problems(seen, family="qwen2_text")
    assert "prompt 'seen' has an image" in str(problem)


def test_many_faults_are_counted_and_three_are_shown(problems):
    many = [dataclasses.replace(PLAIN, id=f"p{n}", question="<image>?") for n in range(5)]
    (problem,) = problems(*many)
    assert "5 of 9 prompts" in str(problem)
    assert "and 2 more" in str(problem)


def test_a_prompt_over_the_context_is_named_with_its_tokens(problems):
    long = dataclasses.replace(PLAIN, id="long", question="one two three " * 12_000)
    (problem,) = problems(long)
    assert "'long': " in str(problem)
    assert "1 of 5 prompts" in str(problem)


def test_a_rollout_that_leaves_no_room_for_the_prompt_is_found(problems):
    (problem,) = problems(max_tokens=32_768)
    assert "4 of 4 prompts" in str(problem)


def test_a_long_worked_solution_counts_with_its_prompt(problems):
    long = dataclasses.replace(PLAIN, id="long", solution="one two three " * 12_000)
    (problem,) = problems(long, max_tokens=0, target=lambda prompt: prompt.solution or "")
    assert "with their answers" in str(problem)
    assert problems(long, max_tokens=0) == []


def test_a_shorter_limit_than_the_models_counts(problems):
    assert "than the 40 that the model takes" in str(problems(context=40)[0])
    assert problems(context=None) == []
