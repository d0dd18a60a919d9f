"""Each planted fault in a prompt is found with the model's processor, and named."""

import dataclasses
import io

import pytest
from PIL import Image
from stand_ins import SYSTEM, mixed_pool

from vasari.core.errors import ConfigError, DataError, ImageError
from vasari.model.config import load_config
from vasari.model.processor import load_processor
from vasari.model.prompt_tokens import TokenCounter
from vasari.records import ImageRef, Prompt
from vasari.run.prompt_checks import prompt_problems


def picture(width, height):
    data = io.BytesIO()
    Image.new("RGB", (width, height), "red").save(data, "PNG")
    return ImageRef(data=data.getvalue())


PLAIN = Prompt(id="plain", question="How many?", answer="2", solution="One, two.")


@pytest.fixture
def problems(family_folder):
    def find(*prompts, family="qwen2_5_vl", max_tokens=16, target=None):
        folder = str(family_folder(family))
        counter = TokenCounter(load_processor(folder), load_config(folder), system=SYSTEM)
        pool = [*mixed_pool(1), *prompts]
        if family.endswith("text"):
            pool = [PLAIN, *prompts]
        return list(prompt_problems(counter, "train", pool, max_tokens=max_tokens, target=target))

    return find


@pytest.mark.parametrize("family", ["qwen2_5_vl", "smolvlm2", "qwen2_text"])
def test_sound_prompts_have_no_problems(problems, family):
    assert problems(family=family) == []


def test_a_long_thin_image_is_named(problems):
    thin = dataclasses.replace(PLAIN, id="thin", images=(picture(500, 1),))
    (problem,) = problems(thin)
    assert isinstance(problem, ImageError)
    assert "'thin': 500 x 1" in str(problem)


@pytest.mark.parametrize("where", ["question", "choices", "solution"])
def test_a_literal_image_token_is_named(problems, where):
    value = ("<|image_pad|>", "b") if where == "choices" else "What is <|image_pad|>?"
    literal = dataclasses.replace(PLAIN, id="literal", **{where: value})
    (problem,) = problems(literal, target=lambda prompt: prompt.solution or "")
    assert isinstance(problem, DataError)
    assert "'literal': <|image_pad|>" in str(problem)


def test_another_number_of_marks_than_images_is_named(problems):
    (problem,) = problems(dataclasses.replace(PLAIN, id="marks", question="<image> How many?"))
    assert isinstance(problem, DataError)
    assert "'marks'" in str(problem)


def test_images_for_a_text_only_model_are_named(problems):
    seen = dataclasses.replace(PLAIN, id="seen", images=(picture(56, 56),))
    (problem,) = problems(seen, family="qwen2_text")
    assert isinstance(problem, ConfigError)
    assert "'seen'" in str(problem)


def test_a_prompt_over_the_context_is_named_with_its_tokens(problems):
    long = dataclasses.replace(PLAIN, id="long", question="one two three " * 12_000)
    (problem,) = problems(long)
    assert isinstance(problem, DataError)
    assert "'long': " in str(problem)
    assert "1 of 5 prompts" in str(problem)


def test_a_rollout_that_leaves_no_room_for_the_prompt_is_found(problems):
    (problem,) = problems(max_tokens=32_768)
    assert "4 of 4 prompts" in str(problem)


def test_a_long_worked_solution_counts_with_its_prompt(problems):
    long = dataclasses.replace(PLAIN, id="long", solution="one two three " * 12_000)
    (problem,) = problems(long, max_tokens=0, target=lambda prompt: prompt.solution or "")
    assert "with its answer" in str(problem)
    assert problems(long, max_tokens=0) == []
