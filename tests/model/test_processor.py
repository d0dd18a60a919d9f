import pytest
import torch

from vasari.core.errors import StateError
from vasari.data.images import open_image
from vasari.model.processor import load_processor, save_processor


def encode(processor, prompt):
    content = [
        {"type": "image", "image": open_image(prompt.images[0])},
        {"type": "text", "text": prompt.question},
    ]
    return processor.apply_chat_template(
        [[{"role": "user", "content": content}]],
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
    )


def test_a_saved_processor_encodes_as_before(tiny_processor, image_prompts, tmp_path):
    save_processor(tiny_processor, tmp_path)
    before, after = (
        encode(processor, image_prompts[0])
        for processor in (tiny_processor, load_processor(str(tmp_path)))
    )
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_loaded_processor_pads_on_the_left(tiny_folder):
    assert load_processor(str(tiny_folder)).tokenizer.padding_side == "left"


def test_max_pixels_caps_the_image_tokens(tiny_folder, image_prompts):
    processor = load_processor(str(tiny_folder), max_pixels=28 * 28)
    assert encode(processor, image_prompts[0])["image_grid_thw"].tolist() == [[1, 2, 2]]


def test_max_pixels_never_enlarges(tiny_folder, image_prompts):
    processor = load_processor(str(tiny_folder), max_pixels=10_000_000)
    assert encode(processor, image_prompts[0])["image_grid_thw"].tolist() == [[1, 4, 4]]


def test_a_folder_without_a_processor_is_refused(tmp_path):
    with pytest.raises(StateError, match="it has no config.json"):
        load_processor(str(tmp_path))
