"""Stand-ins of LLaVA-OneVision, LLaVA-Next and GLM-4.1V."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stand_ins.folder import CLIP, EVERY_STEP, HALF, small_text, small_vision, write_folder
from stand_ins.qwen import CHATML
from stand_ins.templates import GLM, LLAVA_ONEVISION, published
from stand_ins.tokens import byte_tokenizer, llama_tokenizer, qwen_tokenizer

_SIDE, _PATCH = 56, 14
_GRIDS = [[56, 112], [112, 56], [112, 112]]
"""Height and width of the areas that tiles may cover, in pixels."""


def _llava_onevision_config(tokenizer: Any) -> dict[str, Any]:
    ids = tokenizer.convert_tokens_to_ids
    return {
        "architectures": ["LlavaOnevisionForConditionalGeneration"],
        "model_type": "llava_onevision",
        "ignore_index": -100,
        "image_grid_pinpoints": _GRIDS,
        "image_token_index": ids("<image>"),
        "projector_hidden_act": "gelu",
        "text_config": small_text(
            model_type="qwen2", vocab_size=len(tokenizer), tie_word_embeddings=True
        ),
        "tie_word_embeddings": True,
        "torch_dtype": "bfloat16",
        "use_image_newline_parameter": True,
        "video_token_index": ids("<video>"),
        "vision_aspect_ratio": "anyres_max_9",
        "vision_config": small_vision(
            model_type="siglip_vision_model",
            image_size=_SIDE,
            patch_size=_PATCH,
            vision_use_head=False,
        ),
        "vision_feature_layer": -1,
        "vision_feature_select_strategy": "full",
    }


_ONEVISION_STEPS = {
    **EVERY_STEP,
    "processor_class": "LlavaOnevisionProcessor",
    "resample": 3,
    "rescale_factor": 0.00392156862745098,
    "size": {"height": _SIDE, "width": _SIDE},
    **HALF,
}
_LLAVA_ONEVISION_FILES = {
    "preprocessor_config.json": {
        **_ONEVISION_STEPS,
        "do_pad": True,
        "image_grid_pinpoints": _GRIDS,
        "image_processor_type": "LlavaOnevisionImageProcessor",
    },
    "video_preprocessor_config.json": {
        **_ONEVISION_STEPS,
        "video_processor_type": "LlavaOnevisionVideoProcessor",
    },
    "processor_config.json": {
        "image_token": "<image>",
        "num_image_tokens": (_SIDE // _PATCH) ** 2,
        "processor_class": "LlavaOnevisionProcessor",
        "video_token": "<video>",
        "vision_aspect_ratio": "anyres_max_9",
        "vision_feature_select_strategy": "full",
    },
}


def llava_onevision(folder: Path) -> None:
    tokenizer = qwen_tokenizer((*CHATML, "<image>", "<video>"))
    ids = tokenizer.convert_tokens_to_ids
    config = _llava_onevision_config(tokenizer)
    write_folder(
        folder,
        config=config,
        tokenizer=tokenizer,
        template=LLAVA_ONEVISION,
        template_files=("chat_template.json",),
        tokenizer_config={"processor_class": "LlavaOnevisionProcessor"},
        generation={
            "bos_token_id": ids("<|endoftext|>"),
            "eos_token_id": [ids("<|im_end|>"), ids("<|endoftext|>")],
            "pad_token_id": ids("<|endoftext|>"),
            "do_sample": True,
            "repetition_penalty": 1.1,
            "temperature": 0.7,
            "top_k": 20,
            "top_p": 0.8,
        },
        files=_LLAVA_ONEVISION_FILES,
        seed=12,
    )


def _llava_next_config(tokenizer: Any) -> dict[str, Any]:
    ids = tokenizer.convert_tokens_to_ids
    return {
        "architectures": ["LlavaNextForConditionalGeneration"],
        "model_type": "llava_next",
        "ignore_index": -100,
        "image_grid_pinpoints": _GRIDS,
        "image_token_index": ids("<image>"),
        "projector_hidden_act": "gelu",
        "text_config": small_text(
            model_type="mistral", vocab_size=len(tokenizer), sliding_window=None
        ),
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        "use_image_newline_parameter": True,
        "vision_config": small_vision(
            model_type="clip_vision_model",
            image_size=_SIDE,
            patch_size=_PATCH,
            projection_dim=32,
        ),
        "vision_feature_layer": -2,
        "vision_feature_select_strategy": "default",
    }


_LLAVA_NEXT_FILES = {
    "preprocessor_config.json": {
        **EVERY_STEP,
        "aspect_ratio_setting": "anyres",
        "crop_size": {"height": _SIDE, "width": _SIDE},
        "do_center_crop": True,
        "do_pad": True,
        "image_grid_pinpoints": _GRIDS,
        "image_processor_type": "LlavaNextImageProcessor",
        "processor_class": "LlavaNextProcessor",
        "resample": 3,
        "rescale_factor": 0.00392156862745098,
        "size": {"shortest_edge": _SIDE},
        **CLIP,
    },
    "processor_config.json": {
        "image_token": "<image>",
        "num_additional_image_tokens": 1,
        "patch_size": _PATCH,
        "processor_class": "LlavaNextProcessor",
        "vision_feature_select_strategy": "default",
    },
}


def llava_next(folder: Path) -> None:
    """As llava-v1.6-mistral-7b-hf."""
    tokenizer = llama_tokenizer(
        ("<image>", "<pad>"), pad_token="<pad>", padding_side="left", legacy=True
    )
    ids = tokenizer.convert_tokens_to_ids
    config = _llava_next_config(tokenizer)
    write_folder(
        folder,
        config=config,
        tokenizer=tokenizer,
        template=published("llava_next"),
        template_files=("chat_template.json",),
        tokenizer_config={"processor_class": "LlavaNextProcessor", "image_token": "<image>"},
        generation={"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": ids("<pad>")},
        files=_LLAVA_NEXT_FILES,
        seed=13,
    )


def _glm4v_config(tokenizer: Any) -> dict[str, Any]:
    ids = tokenizer.convert_tokens_to_ids
    ends = ids(["<|endoftext|>", "<|user|>", "<|observation|>"])
    return {
        "architectures": ["Glm4vForConditionalGeneration"],
        "model_type": "glm4v",
        "image_end_token_id": ids("<|end_of_image|>"),
        "image_start_token_id": ids("<|begin_of_image|>"),
        "image_token_id": ids("<|image|>"),
        "text_config": small_text(
            model_type="glm4v_text",
            vocab_size=len(tokenizer),
            head_dim=16,
            num_attention_heads=2,
            num_key_value_heads=1,
            eos_token_id=ends,
            pad_token_id=tokenizer.pad_token_id,
            partial_rotary_factor=0.5,
            rope_theta=10000.0,
            rope_scaling={"rope_type": "default", "mrope_section": [2, 1, 1]},
        ),
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        "video_end_token_id": ids("<|end_of_video|>"),
        "video_start_token_id": ids("<|begin_of_video|>"),
        "video_token_id": ids("<|video|>"),
        "vision_config": {
            "depth": 2,
            "hidden_size": 32,
            "image_size": 112,
            "in_channels": 3,
            "intermediate_size": 48,
            "model_type": "glm4v",
            "num_heads": 2,
            "out_hidden_size": 32,
            "patch_size": 14,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
        },
    }


_GLM4V_AREAS = {
    "size": {"shortest_edge": 3136, "longest_edge": 9633792},
    "do_rescale": True,
    "patch_size": 14,
    "temporal_patch_size": 2,
    "merge_size": 2,
    "processor_class": "Glm4vProcessor",
    **CLIP,
}
_GLM4V_FILES = {
    "preprocessor_config.json": {**_GLM4V_AREAS, "image_processor_type": "Glm4vImageProcessor"},
    "video_preprocessor_config.json": {
        **_GLM4V_AREAS,
        "video_processor_type": "Glm4vVideoProcessor",
    },
}


def glm4v(folder: Path) -> None:
    """As GLM-4.1V-9B-Thinking."""
    roles = ("<|system|>", "<|user|>", "<|assistant|>", "<|observation|>")
    media = ("image", "video")
    around = tuple(f"<|{edge}_of_{name}|>" for name in media for edge in ("begin", "end"))
    tokenizer = byte_tokenizer(
        ("<|endoftext|>", "[gMASK]", "<sop>", *roles, *around, "<|image|>", "<|video|>"),
        ("<think>", "</think>", "<answer>", "</answer>"),
        eos_token="<|endoftext|>",
        pad_token="<|endoftext|>",
        padding_side="left",
    )
    ids = tokenizer.convert_tokens_to_ids
    ends = ids(["<|endoftext|>", "<|user|>", "<|observation|>"])
    config = _glm4v_config(tokenizer)
    write_folder(
        folder,
        config=config,
        tokenizer=tokenizer,
        template=GLM,
        template_files=("chat_template.jinja",),
        tokenizer_config={"processor_class": "Glm4vProcessor"},
        generation={
            "do_sample": True,
            "eos_token_id": ends,
            "pad_token_id": tokenizer.pad_token_id,
            "temperature": 0.8,
            "top_k": 2,
            "top_p": 0.6,
        },
        files=_GLM4V_FILES,
        seed=14,
    )
