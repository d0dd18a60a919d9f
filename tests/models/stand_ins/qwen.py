"""Stand-ins of Qwen2-VL, Qwen2.5-VL, Qwen3-VL, Qwen3.5, and of Qwen's text models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stand_ins.folder import CLIP, HALF, small_text, write_folder
from stand_ins.templates import published
from stand_ins.tokens import qwen_tokenizer

CHATML = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
_VISION = ("<|vision_start|>", "<|vision_end|>", "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>")
_TOOLS = ("<tool_call>", "</tool_call>")
_THINK = ("<think>", "</think>")
_IN_BOTH = ("tokenizer_config.json", "chat_template.json")


def _ids(tokenizer: Any) -> dict[str, int]:
    return {
        "image_token_id": tokenizer.convert_tokens_to_ids("<|image_pad|>"),
        "video_token_id": tokenizer.convert_tokens_to_ids("<|video_pad|>"),
        "vision_start_token_id": tokenizer.convert_tokens_to_ids("<|vision_start|>"),
        "vision_end_token_id": tokenizer.convert_tokens_to_ids("<|vision_end|>"),
    }


def _ends(tokenizer: Any) -> dict[str, Any]:
    end, text_end = tokenizer.convert_tokens_to_ids(["<|im_end|>", "<|endoftext|>"])
    return {"bos_token_id": text_end, "pad_token_id": text_end, "eos_token_id": [end, text_end]}


def _flat_config(tokenizer: Any, kind: str, architecture: str, vision: Any) -> dict[str, Any]:
    """Text settings at the top, as both generations publish them."""
    end, text_end = tokenizer.convert_tokens_to_ids(["<|im_end|>", "<|endoftext|>"])
    sizes = small_text(vocab_size=len(tokenizer))
    del sizes["head_dim"]
    return {
        "architectures": [architecture],
        "attention_dropout": 0.0,
        "bos_token_id": text_end,
        "eos_token_id": end,
        **_ids(tokenizer),
        "hidden_act": "silu",
        "initializer_range": 0.02,
        "max_window_layers": 2,
        "model_type": kind,
        "rms_norm_eps": 1e-06,
        "rope_scaling": {"type": "mrope", "mrope_section": [2, 1, 1]},
        "rope_theta": 1000000.0,
        "sliding_window": 32768,
        "tie_word_embeddings": True,
        "torch_dtype": "bfloat16",
        "use_cache": True,
        "use_sliding_window": False,
        "vision_config": vision,
        **sizes,
    }


def _pixel_counts(kind: str) -> dict[str, Any]:
    return {
        "min_pixels": 3136,
        "max_pixels": 12845056,
        "patch_size": 14,
        "temporal_patch_size": 2,
        "merge_size": 2,
        "image_processor_type": "Qwen2VLImageProcessor",
        "processor_class": f"{kind}Processor",
        **CLIP,
    }


def qwen2_5_vl(folder: Path) -> None:
    tokenizer = qwen_tokenizer((*CHATML, *_VISION), _TOOLS)
    vision = {
        "depth": 2,
        "hidden_act": "silu",
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_heads": 2,
        "in_chans": 3,
        "out_hidden_size": 32,
        "patch_size": 14,
        "spatial_merge_size": 2,
        "spatial_patch_size": 14,
        "window_size": 112,
        "fullatt_block_indexes": [1],
        "tokens_per_second": 2,
        "temporal_patch_size": 2,
    }
    write_folder(
        folder,
        config=_flat_config(tokenizer, "qwen2_5_vl", "Qwen2_5_VLForConditionalGeneration", vision),
        tokenizer=tokenizer,
        template=published("qwen2_5_vl"),
        template_files=_IN_BOTH,
        generation=_ends(tokenizer)
        | {"do_sample": True, "repetition_penalty": 1.05, "temperature": 0.000001},
        files={"preprocessor_config.json": _pixel_counts("Qwen2_5_VL")},
        seed=1,
    )


def qwen2_vl(folder: Path) -> None:
    tokenizer = qwen_tokenizer((*CHATML, *_VISION))
    vision = {
        "depth": 2,
        "embed_dim": 32,
        "mlp_ratio": 2,
        "num_heads": 2,
        "in_chans": 3,
        "hidden_size": 32,
        "patch_size": 14,
        "spatial_merge_size": 2,
        "spatial_patch_size": 14,
        "temporal_patch_size": 2,
    }
    write_folder(
        folder,
        config=_flat_config(tokenizer, "qwen2_vl", "Qwen2VLForConditionalGeneration", vision),
        tokenizer=tokenizer,
        template=published("qwen2_5_vl"),
        template_files=_IN_BOTH,
        generation=_ends(tokenizer)
        | {"do_sample": True, "temperature": 0.01, "top_k": 1, "top_p": 0.001},
        files={"preprocessor_config.json": _pixel_counts("Qwen2VL")},
        seed=2,
    )


def _areas(kind: str, *, least: int, most: int) -> dict[str, Any]:
    return {
        "size": {"longest_edge": most, "shortest_edge": least},
        "patch_size": 16,
        "temporal_patch_size": 2,
        "merge_size": 2,
        kind: "Qwen2VLImageProcessorFast"
        if kind == "image_processor_type"
        else "Qwen3VLVideoProcessor",
        "processor_class": "Qwen3VLProcessor",
        **HALF,
    }


# The published least area is 65,536 pixels, of both; a smaller one keeps prompts of tests short.
_AREAS = {
    "preprocessor_config.json": _areas("image_processor_type", least=3136, most=16777216),
    "video_preprocessor_config.json": _areas("video_processor_type", least=4096, most=25165824),
}
_VISION_3 = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_heads": 2,
    "in_channels": 3,
    "out_hidden_size": 32,
    "patch_size": 16,
    "spatial_merge_size": 2,
    "temporal_patch_size": 2,
    "num_position_embeddings": 64,
    "hidden_act": "gelu_pytorch_tanh",
}


def qwen3_vl(folder: Path) -> None:
    tokenizer = qwen_tokenizer((*CHATML, *_VISION), (*_TOOLS, *_THINK))
    config = {
        "architectures": ["Qwen3VLForConditionalGeneration"],
        "model_type": "qwen3_vl",
        **_ids(tokenizer),
        "text_config": small_text(
            model_type="qwen3_vl_text",
            vocab_size=len(tokenizer),
            dtype="bfloat16",
            bos_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.eos_token_id,
            rope_theta=5000000,
            rope_scaling={
                "mrope_interleaved": True,
                "mrope_section": [2, 1, 1],
                "rope_type": "default",
            },
            tie_word_embeddings=True,
        ),
        "tie_word_embeddings": True,
        "vision_config": {
            **_VISION_3,
            "model_type": "qwen3_vl",
            "depth": 3,
            "deepstack_visual_indexes": [0, 1],
        },
    }
    write_folder(
        folder,
        config=config,
        tokenizer=tokenizer,
        template=published("qwen3_vl"),
        template_files=_IN_BOTH,
        generation=_ends(tokenizer)
        | {
            "do_sample": True,
            "repetition_penalty": 1.0,
            "temperature": 0.7,
            "top_k": 20,
            "top_p": 0.8,
        },
        files=_AREAS,
        seed=3,
    )


def qwen3_5(folder: Path) -> None:
    tokenizer = qwen_tokenizer((*CHATML, *_VISION), (*_TOOLS, *_THINK))
    config = {
        "architectures": ["Qwen3_5ForConditionalGeneration"],
        "model_type": "qwen3_5",
        **_ids(tokenizer),
        "text_config": small_text(
            model_type="qwen3_5_text",
            dtype="bfloat16",
            vocab_size=len(tokenizer),
            num_attention_heads=2,
            num_key_value_heads=1,
            head_dim=32,
            num_hidden_layers=4,
            layer_types=["linear_attention"] * 3 + ["full_attention"],
            full_attention_interval=4,
            linear_conv_kernel_dim=4,
            linear_key_head_dim=8,
            linear_value_head_dim=8,
            linear_num_key_heads=2,
            linear_num_value_heads=4,
            eos_token_id=tokenizer.pad_token_id,
            rope_parameters={
                "rope_type": "default",
                "rope_theta": 10000000,
                "partial_rotary_factor": 0.25,
                "mrope_interleaved": True,
                "mrope_section": [2, 1, 1],
            },
            tie_word_embeddings=True,
        ),
        "tie_word_embeddings": True,
        "vision_config": {**_VISION_3, "model_type": "qwen3_5", "depth": 2},
    }
    write_folder(
        folder,
        config=config,
        tokenizer=tokenizer,
        template=published("qwen3_5_think"),
        template_files=("tokenizer_config.json", "chat_template.jinja"),
        generation=_ends(tokenizer)
        | {"do_sample": True, "temperature": 0.6, "top_k": 20, "top_p": 0.95},
        files=_AREAS,
        seed=4,
    )


def qwen2_text(folder: Path) -> None:
    _text(
        folder,
        kind="qwen2",
        template="qwen2_5",
        plain=_TOOLS,
        sampling={"repetition_penalty": 1.1, "temperature": 0.7, "top_p": 0.8, "top_k": 20},
    )


def qwen3_text(folder: Path) -> None:
    _text(
        folder,
        kind="qwen3",
        template="qwen3",
        plain=(*_TOOLS, *_THINK),
        sampling={"temperature": 0.6, "top_k": 20, "top_p": 0.95},
    )


def _text(
    folder: Path, *, kind: str, template: str, plain: tuple[str, ...], sampling: dict[str, Any]
) -> None:
    tokenizer = qwen_tokenizer(CHATML, plain)
    sizes = small_text(vocab_size=len(tokenizer))
    if kind == "qwen2":
        del sizes["head_dim"]
    config = {
        "architectures": [f"{kind.capitalize()}ForCausalLM"],
        "model_type": kind,
        "bos_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "hidden_act": "silu",
        "rope_theta": 1000000.0,
        "tie_word_embeddings": True,
        "torch_dtype": "bfloat16",
        **sizes,
    }
    write_folder(
        folder,
        config=config,
        tokenizer=tokenizer,
        template=published(template),
        template_files=("tokenizer_config.json",),
        generation=_ends(tokenizer) | {"do_sample": True} | sampling,
        seed=5,
    )
