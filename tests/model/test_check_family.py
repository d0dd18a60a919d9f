"""The checker of families: ours pass, one with a planted fault does not, one of one's own does."""

import dataclasses
from pathlib import Path

import pytest
import torch
from stand_ins import IMAGE_FAMILIES
from stand_ins.folder import CLIP, EVERY_STEP, small_text, small_vision, write_folder
from stand_ins.templates import published
from stand_ins.tokens import llama_tokenizer
from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor, LlavaConfig

from vasari.core.errors import ConfigError
from vasari.core.plugins import VARIABLE
from vasari.model.check_family import check_family
from vasari.model.families import FAMILIES, Family, family_of, table, use_family

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(autouse=True)
def own_families_of_this_test(monkeypatch):
    monkeypatch.setattr(table, "_OWN", {})


@pytest.mark.slow
@pytest.mark.heavy
@pytest.mark.parametrize("name", IMAGE_FAMILIES)
def test_our_families_pass(name, family_folder):
    folder = str(family_folder(name))
    check_family(family_of(AutoConfig.from_pretrained(folder)), folder)


FAULTS = {
    "another-model": ("qwen2_5_vl", {"model_types": ("qwen9",)}, "lacks 'qwen2_5_vl'"),
    "no-such-module": ("qwen2_5_vl", {"vision": ("vision_tower",)}, "none of the modules"),
    "the-language-model": ("llava_next", {"vision": ("language_model",)}, "ran on text"),
    "other-fields": ("qwen2_5_vl", {"layout": "flat"}, "layout 'flat' has no image_grid_thw"),
    "fewer-fields": ("internvl3", {"layout": "grid"}, "gives no 'image_grid_thw'"),
    "other-rows": ("smolvlm2", {"layout": "shapes"}, "gives no 'spatial_shapes'"),
    "uncounted": ("llava_onevision", {"counts_images": False}, "counts_images is False"),
    "no-markers": ("gemma3", {"image_markers": (r"<start_of_image>",)}, None),
    "no-end": (
        "gemma3",
        {"image_markers": (r"<start_of_image>",), "never_sampled": ("image_token_index",)},
        "lack <end_of_image>",
    ),
    "no-limit": ("qwen2_5_vl", {"limit_pixels": lambda *_: None}, "a limit of one pixel"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(fault, family_folder):
    name, changes, message = FAULTS[fault]
    folder = str(family_folder(name))
    family = dataclasses.replace(family_of(AutoConfig.from_pretrained(folder)), **changes)
    if message is None:  # the configuration names the tokens that the pattern lacks
        check_family(family, folder)
        return
    with pytest.raises((AssertionError, ConfigError), match=message):
        check_family(family, folder)


def test_a_family_that_ignores_a_prompts_other_images_is_found(family_folder, monkeypatch):
    folder = str(family_folder("llava_next"))
    kind = type(AutoModelForImageTextToText.from_pretrained(folder))
    stock = kind.forward

    def forward(self, *args, pixel_values=None, **kwargs):
        if pixel_values is not None:
            pixel_values = torch.zeros_like(pixel_values)
        return stock(self, *args, pixel_values=pixel_values, **kwargs)

    monkeypatch.setattr(kind, "forward", forward)
    with pytest.raises(AssertionError, match="other pixels change nothing"):
        check_family(family_of(AutoConfig.from_pretrained(folder)), folder)


@pytest.fixture
def llava(tmp_path):
    """Folder of a small LLaVA 1.5, a family that is not ours."""
    tokenizer = llama_tokenizer(("<image>", "<pad>"), pad_token="<pad>", padding_side="left")
    image = tokenizer.convert_tokens_to_ids("<image>")
    size = {"height": 56, "width": 56}
    resizing = {"crop_size": size, "do_center_crop": True, "size": {"shortest_edge": 56}}
    write_folder(
        tmp_path / "llava",
        config={
            "architectures": ["LlavaForConditionalGeneration"],
            "model_type": "llava",
            "image_token_index": image,
            "text_config": small_text(model_type="llama", vocab_size=len(tokenizer)),
            "vision_config": small_vision(
                model_type="clip_vision_model", image_size=56, patch_size=14
            ),
            "vision_feature_layer": -2,
            "vision_feature_select_strategy": "default",
        },
        tokenizer=tokenizer,
        template=published("llava_next"),
        template_files=("chat_template.json",),
        tokenizer_config={"processor_class": "LlavaProcessor", "image_token": "<image>"},
        generation={"bos_token_id": 1, "eos_token_id": 2},
        files={
            "preprocessor_config.json": {
                **EVERY_STEP,
                **CLIP,
                **resizing,
                "image_processor_type": "CLIPImageProcessor",
                "processor_class": "LlavaProcessor",
            },
            "processor_config.json": {
                "processor_class": "LlavaProcessor",
                "patch_size": 14,
                "num_additional_image_tokens": 1,
                "vision_feature_select_strategy": "default",
                "image_token": "<image>",
            },
        },
        seed=99,
    )
    return tmp_path / "llava"


def test_a_family_of_ones_own_passes_the_check_and_is_found_by_its_name(llava, monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    monkeypatch.setenv(VARIABLE, "own_family")
    with pytest.raises(ConfigError, match=r"'llava' is no family .*model\.family: package"):
        family_of(LlavaConfig())
    own = use_family("own_family:LLAVA")
    check_family(own, str(llava))
    assert family_of(LlavaConfig()) is own
    assert type(AutoProcessor.from_pretrained(str(llava))).__name__ == "LlavaProcessor"


def test_what_is_no_family_is_refused(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    with pytest.raises(ConfigError, match=r"is a function, not a vasari\.model\.families\.Family"):
        use_family("own_family:limit")


def test_ours_can_be_named_and_stay_as_they_are():
    assert use_family("qwen3_vl_moe") in FAMILIES
    assert table._OWN == {}
    assert isinstance(use_family("gemma3"), Family)
