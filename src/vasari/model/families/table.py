"""The families that are supported, and the family of a model by its configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vasari.core.errors import ConfigError
from vasari.core.plugins import resolve
from vasari.model.families import pixels
from vasari.model.families.base import Family

_GRID_IDS = ("image_token_id", "video_token_id")
_QWEN_IDS = (*_GRID_IDS, "vision_start_token_id", "vision_end_token_id")
_QWEN_MARKERS = (r"<\|(vision|image|video)_(start|end|pad)\|>",)
_GEMMA_IDS = (
    *("image_token_id", "image_token_index", "video_token_id", "audio_token_id"),
    *("boi_token_id", "boi_token_index", "eoi_token_id", "eoi_token_index"),
    *("boa_token_id", "boa_token_index", "eoa_token_id", "eoa_token_index"),
)
_IDEFICS_MARKERS = (r"<image>", r"<fake_token_around_image>", r"<global-img>", r"<row_\d+_col_\d+>")


def _qwen(name: str, *model_types: str) -> Family:
    return Family(
        name=name,
        model_types=model_types,
        layout="grid",
        vision=("visual",),
        never_sampled=_QWEN_IDS,
        image_markers=_QWEN_MARKERS,
        limit_pixels=pixels.limit_area,
        max_aspect_ratio=pixels.ratio_of_smart_resize,
    )


def _idefics(name: str, model_type: str) -> Family:
    return Family(
        name=name,
        model_types=(model_type,),
        layout="samples",
        vision=("vision_model", "connector"),
        never_sampled=("image_token_id",),
        image_markers=_IDEFICS_MARKERS,
        limit_pixels=pixels.limit_edge,
    )


QWEN2_VL = _qwen("Qwen2-VL", "qwen2_vl")
QWEN2_5_VL = _qwen("Qwen2.5-VL", "qwen2_5_vl")
QWEN3_VL = _qwen("Qwen3-VL", "qwen3_vl", "qwen3_vl_moe")
QWEN3_5 = _qwen("Qwen3.5", "qwen3_5", "qwen3_5_moe")
GLM4V = Family(
    name="GLM-4V",
    model_types=("glm4v", "glm4v_moe", "glm46v"),
    layout="grid",
    vision=("visual",),
    never_sampled=(
        *_GRID_IDS,
        *("image_start_token_id", "image_end_token_id"),
        *("video_start_token_id", "video_end_token_id"),
    ),
    image_markers=(r"<\|((begin|end)_of_)?(image|video)\|>",),
    limit_pixels=pixels.limit_area_of_frames,
    max_aspect_ratio=pixels.ratio_of_smart_resize,
)
GEMMA3 = Family(
    name="Gemma 3",
    model_types=("gemma3",),
    layout="flat",
    vision=("vision_tower", "multi_modal_projector"),
    never_sampled=_GEMMA_IDS,
    image_markers=(r"<(start_of|end_of)_image>", r"<image_soft_token>"),
    limit_pixels=pixels.limit_fixed,
)
GEMMA4 = Family(
    name="Gemma 4",
    model_types=("gemma4",),
    layout="positions",
    vision=("vision_tower", "embed_vision", "audio_tower", "embed_audio"),
    never_sampled=_GEMMA_IDS,
    image_markers=(r"<\|?(image|audio|video)\|?>", r"<(start|end)_of_(image|audio)>"),
    limit_pixels=pixels.limit_soft_tokens,
)
SMOLVLM = _idefics("SmolVLM", "smolvlm")
IDEFICS3 = _idefics("Idefics3", "idefics3")
INTERNVL = Family(
    name="InternVL",
    model_types=("internvl",),
    layout="tiles",
    vision=("vision_tower", "multi_modal_projector"),
    never_sampled=("image_token_id",),
    image_markers=(r"</?img>", r"<IMG_CONTEXT>", r"<video>"),
    limit_pixels=pixels.limit_tiles,
)
LLAVA_ONEVISION = Family(
    name="LLaVA-OneVision",
    model_types=("llava_onevision",),
    layout="flat",
    vision=("vision_tower", "multi_modal_projector"),
    vision_weights=("image_newline",),
    never_sampled=("image_token_id", "video_token_id"),
    image_markers=(r"<image>", r"<video>"),
    limit_pixels=pixels.limit_pinpoints,
    counts_images=True,
)
LLAVA_NEXT = Family(
    name="LLaVA-Next",
    model_types=("llava_next",),
    layout="flat",
    vision=("vision_tower", "multi_modal_projector"),
    vision_weights=("image_newline",),
    never_sampled=("image_token_id",),
    image_markers=(r"<image>",),
    limit_pixels=pixels.limit_pinpoints,
)
LFM2_VL = Family(
    name="LFM2-VL",
    model_types=("lfm2_vl",),
    layout="shapes",
    vision=("vision_tower", "multi_modal_projector"),
    never_sampled=("image_token_id",),
    image_markers=(r"<image>", r"<\|(image_start|image_end|img_thumbnail|img_row_\d+_col_\d+)\|>"),
    limit_pixels=pixels.limit_lfm2,
    max_aspect_ratio=pixels.ratio_of_lfm2,
    needs_torchvision=True,
)

FAMILIES: tuple[Family, ...] = (
    QWEN2_5_VL,
    QWEN2_VL,
    QWEN3_VL,
    QWEN3_5,
    GEMMA3,
    GEMMA4,
    SMOLVLM,
    IDEFICS3,
    INTERNVL,
    GLM4V,
    LLAVA_ONEVISION,
    LLAVA_NEXT,
    LFM2_VL,
)
"""Vision-language families; text-only causal models have one of their own, by `model_type`."""


FAMILY_NAMES: Mapping[str, Family] = {
    model_type: family for family in FAMILIES for model_type in family.model_types
}
"""Families by the `model_type` in a model's config.json."""

_OWN: dict[str, Family] = {}


def use_family(family: str | Family) -> Family:
    """Let `family_of` give a family of the user's own in this process; return it.

    Args:
        family: A `Family`, or `package.module:attribute` of one; of ours, a `model_type`.

    Raises:
        ConfigError: There is none, its code was not allowed, or it is no `Family`.
    """
    found = resolve(family, FAMILY_NAMES, kind="family") if isinstance(family, str) else family
    if not isinstance(found, Family):
        raise ConfigError(
            f"family {family!r} is a {type(found).__name__}, not a vasari.model.families.Family"
        )
    if found not in FAMILIES:
        _OWN.update(dict.fromkeys(found.model_types, found))
    return found


def family_of(config: Any) -> Family:
    """Return the family of a model with this transformers configuration.

    Raises:
        ConfigError: It is none of `FAMILIES`, no user's own (`use_family`), and no text-only causal
            model of transformers.
    """
    model_type = str(getattr(config, "model_type", ""))
    family = _OWN.get(model_type) or FAMILY_NAMES.get(model_type)
    if family is not None:
        return family
    # transformers takes a second to import, and a table of families needs none of it.
    from transformers.models.auto import modeling_auto  # noqa: PLC0415

    sees = model_type in modeling_auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES
    if model_type in modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES and not sees:
        return Family(name=f"text ({model_type})", model_types=(model_type,), layout="none")
    raise ConfigError(
        f"model_type {model_type!r} is no family of vision-language models that Vasari knows, nor a"
        f" text-only causal model; it knows {', '.join(FAMILY_NAMES)}. To train another one, write"
        " a vasari.model.families.Family and name it: model.family: package.module:attribute"
    )


def family_of_processor(name: str) -> Family | None:
    """Return the first family whose models have the processor class `name` in transformers."""
    from transformers.models.auto.processing_auto import PROCESSOR_MAPPING_NAMES  # noqa: PLC0415

    known = {**FAMILY_NAMES, **_OWN}
    types = [key for key, value in PROCESSOR_MAPPING_NAMES.items() if value == name]
    return next((known[key] for key in types if key in known), None)
