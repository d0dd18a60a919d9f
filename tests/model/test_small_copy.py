"""A small copy of a model has the source's processor and template; without network it is made of
shipped facts."""

from __future__ import annotations

import pytest
from transformers import AutoConfig, AutoModelForImageTextToText

from vasari.core.errors import StateError
from vasari.model.processor import load_processor
from vasari.model.published import published_facts
from vasari.model.small_copy import write_small_copy
from vasari.records import Prompt

TEXTS = ["How many bars are red? <think>We count.</think><answer>\\boxed{3}</answer>"] * 9
FILES = ("tokenizer.json", "tokenizer_config.json", "preprocessor_config.json")


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """A machine with an empty hub cache, from which the hub cannot be reached."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://localhost:1")


@pytest.mark.parametrize("name", published_facts()["models"])
def test_a_published_model_is_copied_without_network(name, offline, tmp_path, image_prompts):
    copy = write_small_copy(name, tmp_path / "model", texts=TEXTS, seed=0)
    assert "shipped facts" in copy.origin
    model = AutoModelForImageTextToText.from_pretrained(tmp_path / "model", dtype="float32")
    assert sum(weight.numel() for weight in model.parameters()) == copy.num_parameters
    processor = load_processor(str(tmp_path / "model"))
    content = [
        {"type": "image", "image": picture(image_prompts[0])},
        {"type": "text", "text": "Hi"},
    ]
    inputs = processor.apply_chat_template(
        [{"role": "user", "content": content}],
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
    )
    # The model refuses a number of image tokens that is not that of its image features.
    assert model(**inputs).logits.shape[1] == inputs["input_ids"].shape[1]


def picture(prompt: Prompt):
    from vasari.data.images import open_image

    return open_image(prompt.images[0], where="here").resize((300, 200))


def test_files_of_a_folder_are_copied_byte_for_byte(tiny_folder, tmp_path):
    copy = write_small_copy(str(tiny_folder), tmp_path / "model", texts=[], seed=0)
    assert copy.origin == "the model's folder"
    for name in FILES:
        assert (tmp_path / "model" / name).read_bytes() == (tiny_folder / name).read_bytes()


def test_the_seed_gives_the_weights(tiny_folder, tmp_path):
    first, again, other = (
        (write_small_copy(str(tiny_folder), tmp_path / name, texts=[], seed=seed), tmp_path / name)[
            1
        ]
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    weights = [(folder / "model.safetensors").read_bytes() for folder in (first, again, other)]
    assert weights[0] == weights[1] != weights[2]


def test_an_unknown_model_without_network_says_what_to_do(offline, tmp_path):
    with pytest.raises(StateError, match=r"mine/own: not on this machine.*hf download mine/own"):
        write_small_copy("mine/own", tmp_path / "model", texts=[], seed=0)


def test_changes_name_what_is_small(tiny_folder, tmp_path):
    copy = write_small_copy(str(tiny_folder), tmp_path / "model", texts=[], seed=0)
    after = AutoConfig.from_pretrained(tmp_path / "model").text_config
    changes = {place: (before, now) for place, before, now in copy.changes}
    assert changes["text_config.hidden_size"][1] == after.hidden_size == small_copy_width()


def small_copy_width():
    from vasari.model.small_dimensions import WIDTH

    return WIDTH
