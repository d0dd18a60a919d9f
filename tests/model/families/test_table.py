"""The table of families against transformers' own classes and configurations."""

import re

import pytest
from transformers import AutoConfig
from transformers.models.auto import modeling_auto

from vasari.core.errors import ConfigError
from vasari.model.families import FAMILIES, IMAGE_FIELDS, family_of

TYPES = [(family, model_type) for family in FAMILIES for model_type in family.model_types]


@pytest.mark.parametrize(("family", "model_type"), TYPES, ids=[name for _, name in TYPES])
def test_every_model_type_is_one_of_transformers_and_has_the_token_ids(family, model_type):
    config = AutoConfig.for_model(model_type)

    assert model_type in modeling_auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES
    assert family_of(config) is family
    named = [name for name in family.never_sampled if getattr(config, name, None) is not None]
    assert any("image" in name for name in named)
    assert family.limit_pixels is not None
    assert IMAGE_FIELDS[family.layout]
    for pattern in family.image_markers:
        re.compile(pattern)


def test_no_model_type_is_in_two_families():
    names = [name for _, name in TYPES]

    assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize("model_type", ["qwen2", "qwen3", "llama", "gemma3_text", "qwen3_5_text"])
def test_a_causal_model_of_text_is_a_family_without_images(model_type):
    family = family_of(AutoConfig.for_model(model_type))

    assert family.layout == "none"
    assert family.vision == ()
    assert family.model_types == (model_type,)


@pytest.mark.parametrize("model_type", ["mistral3", "gemma3n", "mllama", "vit"])
def test_another_family_is_refused_by_its_name(model_type):
    config = AutoConfig.for_model(model_type)

    with pytest.raises(ConfigError, match=f"{model_type!r}.*it knows qwen2_5_vl"):
        family_of(config)
