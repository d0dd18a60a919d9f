"""Processors of every family against those that transformers opens, with and without torchvision."""

import copy
import json
import os
import pickle
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from stand_ins import IMAGE_FAMILIES, STAND_INS, mixed_pool
from transformers import AutoImageProcessor, AutoModelForImageTextToText, AutoProcessor
from transformers.utils import is_torchvision_available

from vasari.core.errors import ConfigError, MissingExtraError, StateError
from vasari.data.images import open_image
from vasari.model.chat import chat_messages
from vasari.model.families import family_of
from vasari.model.families.pixels import limit_soft_tokens
from vasari.model.processor import load_processor, save_processor, tokenizer_of
from vasari.model.without_videos import without_videos

needs_torchvision = pytest.mark.skipif(
    not is_torchvision_available(), reason="transformers opens video processors with torchvision"
)


def encode(processor, prompts):
    """What a processor makes of prompts with their images, padded on the left."""
    conversations = []
    for prompt in prompts:
        turns = chat_messages(prompt, system="")
        refs = iter(prompt.images)
        for part in turns[-1]["content"]:
            if part["type"] == "image":
                part["image"] = open_image(next(refs))
        if processor is tokenizer_of(processor):
            turns[-1]["content"] = turns[-1]["content"][-1]["text"]
        conversations.append(turns)
    padding = {"padding": True, "padding_side": "left"}
    return processor.apply_chat_template(
        conversations,
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
        **(padding if processor is tokenizer_of(processor) else {"processor_kwargs": padding}),
    )


def assert_equal_inputs(ours, theirs):
    assert ours.keys() == theirs.keys()
    for name in theirs:
        expected = torch.as_tensor(theirs[name])
        assert torch.equal(torch.as_tensor(ours[name]), expected), name


@pytest.mark.parametrize("name", STAND_INS)
def test_inputs_equal_those_of_transformers_own_processor(name, family_folder):
    folder = str(family_folder(name))
    try:
        theirs = AutoProcessor.from_pretrained(folder)
    except (ImportError, ValueError):
        pytest.skip("transformers opens it with torchvision only")
    prompts = [one for one in mixed_pool(1) if STAND_INS[name].has_images or not one.images]
    if tokenizer_of(theirs).pad_token is None:
        tokenizer_of(theirs).pad_token = tokenizer_of(theirs).eos_token
    assert_equal_inputs(encode(load_processor(folder), prompts), encode(theirs, prompts))


@needs_torchvision
@pytest.mark.parametrize("name", [name for name in IMAGE_FAMILIES if name != "lfm2_vl"])
def test_without_torchvision_only_the_resizing_is_another_one(name, family_folder):
    folder = str(family_folder(name))
    theirs = AutoProcessor.from_pretrained(folder)
    pillow = AutoImageProcessor.from_pretrained(folder, backend="pil")
    theirs.image_processor = pillow
    ours = without_videos(type(theirs)).from_pretrained(folder)
    ours.image_processor = pillow
    assert_equal_inputs(encode(ours, mixed_pool(1)), encode(theirs, mixed_pool(1)))


@pytest.mark.parametrize("name", STAND_INS)
def test_what_is_saved_are_the_sources_own_files(name, family_folder, tmp_path, monkeypatch):
    source = shutil.copytree(family_folder(name), tmp_path / "source")
    extra = source / "additional_chat_templates" / "tool_use.jinja"
    if not (source / "chat_template.json").exists():
        extra.parent.mkdir()
        extra.write_text("{{ messages }}")
    (source / "notes.txt").write_text("not of the processor")
    expected = {
        file.relative_to(source): file.read_bytes()
        for file in source.rglob("*")
        if file.is_file() and file.name not in ("config.json", "generation_config.json")
        if file.suffix in (".json", ".jinja")
    }
    processor = load_processor(str(source), max_pixels=None)
    shutil.rmtree(source)
    monkeypatch.chdir(tmp_path)
    save_processor(processor, "saved")
    saved = tmp_path / "saved"
    assert {
        file.relative_to(saved): file.read_bytes() for file in saved.rglob("*") if file.is_file()
    } == expected


def test_a_folder_of_links_that_lead_elsewhere_is_written_anew(family_folder, tmp_path):
    real = family_folder("gemma3")
    linked = tmp_path / "linked"
    linked.mkdir()
    for file in real.iterdir():
        (linked / file.name).symlink_to(file)
    processor = load_processor(str(linked))
    save_processor(processor, tmp_path / "saved")
    again = AutoProcessor.from_pretrained(str(tmp_path / "saved"))
    again.tokenizer.padding_side = "left"
    assert_equal_inputs(encode(processor, mixed_pool(1)), encode(again, mixed_pool(1)))


HUB = """
import sys
from vasari.model.families.pixels import limit_soft_tokens
from vasari.model.processor import load_processor, save_processor
save_processor(load_processor("someone/model"), sys.argv[1])
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["qwen3_5", "gemma3"])
def test_a_name_on_the_hub_is_loaded_and_saved_as_its_folder(name, family_folder, tmp_path):
    cached = tmp_path / "hub" / "models--someone--model"
    snapshot, blobs = cached / "snapshots" / ("0" * 40), cached / "blobs"
    shutil.copytree(family_folder(name), blobs)
    snapshot.mkdir(parents=True)
    for blob in blobs.iterdir():
        (snapshot / blob.name).symlink_to(os.path.relpath(blob, snapshot))
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text("0" * 40)
    environment = os.environ | {"HF_HUB_CACHE": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "1"}
    subprocess.run([sys.executable, "-c", HUB, str(tmp_path / "one")], env=environment, check=True)
    save_processor(load_processor(str(family_folder(name))), tmp_path / "two")
    # The folder of the hub's cache itself, which is made of links.
    save_processor(load_processor(str(snapshot)), tmp_path / "three")
    by_name, by_folder, by_cache = (
        {file.name: file.read_bytes() for file in (tmp_path / place).iterdir()}
        for place in ("one", "two", "three")
    )
    assert by_name == by_folder == by_cache


@needs_torchvision
def test_a_small_model_made_here_opens_with_transformers(tiny_folder, image_prompts):
    processor = AutoProcessor.from_pretrained(str(tiny_folder))
    model = AutoModelForImageTextToText.from_pretrained(str(tiny_folder))
    assert type(processor).__name__ == "Qwen2_5_VLProcessor"
    assert processor.video_processor is not None
    assert model(**encode(processor, image_prompts[:2])).logits.shape[0] == 2


def test_a_processor_made_in_memory_encodes_alike_once_it_was_saved(
    tiny_folder, tiny_processor, image_prompts, tmp_path
):
    made = tokenizer_of(tiny_processor).source_files
    tokenizer_of(tiny_processor).source_files = None
    save_processor(tiny_processor, tmp_path)
    tokenizer_of(tiny_processor).source_files = made
    assert_equal_inputs(
        encode(load_processor(str(tmp_path)), image_prompts[:2]),
        encode(tiny_processor, image_prompts[:2]),
    )


@pytest.mark.parametrize("name", STAND_INS)
def test_a_loaded_processor_pads_on_the_left(name, family_folder):
    tokenizer = tokenizer_of(load_processor(str(family_folder(name))))
    assert tokenizer.padding_side == "left"
    assert tokenizer.pad_token is not None


@pytest.mark.parametrize("name", IMAGE_FAMILIES)
def test_a_processor_goes_to_another_process_as_it_is(name, family_folder):
    most = None if name.startswith("gemma") else BUDGET.get(name, 30_000)
    processor = load_processor(str(family_folder(name)), max_pixels=most)
    pickled = pickle.loads(pickle.dumps(processor))  # noqa: S301
    for other in (pickled, copy.deepcopy(processor)):
        assert_equal_inputs(encode(other, mixed_pool(1)), encode(processor, mixed_pool(1)))
        assert type(other) is type(processor)
        assert tokenizer_of(other).source_files == tokenizer_of(processor).source_files


LARGE = Image.fromarray(np.random.default_rng(0).integers(1, 256, (1500, 2000, 3), np.uint8))
BUDGET = {
    "qwen3_vl": 80_000,
    "qwen3_5": 80_000,
    "smolvlm2": 6_000,
    "idefics3": 6_000,
    "llava_onevision": 10_000,
    "llava_next": 10_000,
    "lfm2_vl": 10_000,
}
"""Most pixels of an image in the test below, where it is not 30,000."""


def num_pixels(inputs):
    """Pixels of the model's input, padding left out."""
    pixels = inputs["pixel_values"]
    return int((pixels != 0).sum()) // 3


@pytest.mark.parametrize("name", [n for n in IMAGE_FAMILIES if n not in ("gemma3", "gemma4")])
def test_max_pixels_limits_what_the_model_gets_of_an_image(name, family_folder):
    folder = str(family_folder(name))
    most = BUDGET.get(name, 30_000)
    content = [{"type": "image", "image": LARGE}, {"type": "text", "text": "What is this?"}]
    conversation = [[{"role": "user", "content": content}]]
    arguments = {"tokenize": True, "return_dict": True, "return_tensors": "pt"}
    limited, whole = (
        load_processor(folder, max_pixels=pixels).apply_chat_template(conversation, **arguments)
        for pixels in (most, None)
    )
    frames = 2 if "image_grid_thw" in limited else 1  # an image counts as two equal frames
    assert most / 5 < num_pixels(limited) / frames <= most < num_pixels(whole) / frames
    assert limited["input_ids"].shape[1] < whole["input_ids"].shape[1]
    model = AutoModelForImageTextToText.from_pretrained(folder, dtype="float32")
    assert model(**limited).logits.shape[1] == limited["input_ids"].shape[1]


@pytest.mark.parametrize(("most", "tokens"), [(10**6, 280), (650_000, 280), (400_000, 140)])
def test_max_pixels_of_gemma4_is_one_of_its_numbers_of_tokens(most, tokens, family_folder):
    images = load_processor(str(family_folder("gemma4"))).image_processor
    images.max_soft_tokens = 280  # as published
    limit_soft_tokens(images, most)
    inputs = images(LARGE, return_tensors="pt")
    assert images.max_soft_tokens == tokens
    assert tokens * 0.9 < int(inputs["num_soft_tokens_per_image"][0]) <= tokens
    assert num_pixels(inputs) <= most


@pytest.mark.parametrize("name", IMAGE_FAMILIES)
def test_max_pixels_never_enlarges_and_must_leave_one_patch(name, family_folder):
    folder = str(family_folder(name))
    assert_equal_inputs(
        encode(load_processor(folder, max_pixels=10**9), mixed_pool(1)),
        encode(load_processor(folder), mixed_pool(1)),
    )
    with pytest.raises(ConfigError, match=r"max_pixels is 100, but .* at least \d+ pixels"):
        load_processor(folder, max_pixels=100)


def test_max_pixels_of_a_model_that_reads_text_only_is_refused(family_folder):
    with pytest.raises(ConfigError, match=r"max_pixels: .* reads no images"):
        load_processor(str(family_folder("qwen3_text")), max_pixels=10_000)


@pytest.mark.skipif(is_torchvision_available(), reason="torchvision is installed")
def test_a_family_that_needs_torchvision_says_so(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "lfm2_vl"}))
    with pytest.raises(MissingExtraError, match="LFM2-VL needs torchvision: pip install"):
        load_processor(str(tmp_path))


def test_a_text_model_is_given_no_token_types(family_folder, tmp_path):
    folder = shutil.copytree(family_folder("qwen3_text"), tmp_path / "base")
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    settings["model_input_names"] = ["input_ids", "token_type_ids", "attention_mask"]
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    assert "token_type_ids" in AutoProcessor.from_pretrained(str(folder))("a")
    inputs = encode(load_processor(str(folder)), mixed_pool(1)[:1])
    assert set(inputs) == {"input_ids", "attention_mask"}


def test_a_chat_template_of_the_tokenizer_alone_is_found(family_folder, tmp_path):
    folder = shutil.copytree(family_folder("qwen2_5_vl"), tmp_path / "base")
    stock = load_processor(str(folder)).chat_template
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    settings["chat_template"] = stock
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    (folder / "chat_template.json").unlink()
    assert load_processor(str(folder)).chat_template == stock


def test_a_model_without_a_chat_template_is_refused(family_folder, tmp_path):
    folder = shutil.copytree(family_folder("qwen3_text"), tmp_path / "base")
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    settings.pop("chat_template", None)
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    with pytest.raises(StateError, match=r"no chat template.*put a chat_template\.jinja"):
        load_processor(str(folder))


def test_a_folder_without_a_processor_is_refused(tmp_path):
    with pytest.raises(StateError, match=r"it has no config\.json"):
        load_processor(str(tmp_path))


def test_a_model_type_that_transformers_lacks_is_refused_by_its_name(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "minicpmv"}))
    with pytest.raises(ConfigError, match="no model of the type 'minicpmv'"):
        load_processor(str(tmp_path))


@pytest.mark.parametrize("name", STAND_INS)
def test_the_family_of_a_stand_in_is_found(name, family_folder):
    model_type = json.loads((family_folder(name) / "config.json").read_text())["model_type"]
    from transformers import AutoConfig

    family = family_of(AutoConfig.from_pretrained(str(family_folder(name))))
    assert model_type in family.model_types
    assert (family.layout != "none") == STAND_INS[name].has_images
