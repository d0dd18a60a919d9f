"""Stand-ins of Gemma 3 and Gemma 4."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stand_ins.folder import HALF, small_text, small_vision, write_folder
from stand_ins.templates import published
from stand_ins.tokens import gemma_tokenizer

_SIDE, _TOKENS_PER_IMAGE = 56, 4


def _gemma3_config(tokenizer: Any) -> dict[str, Any]:
    ids = tokenizer.convert_tokens_to_ids
    return {
        "architectures": ["Gemma3ForConditionalGeneration"],
        "model_type": "gemma3",
        "boi_token_index": ids("<start_of_image>"),
        "eoi_token_index": ids("<end_of_image>"),
        "eos_token_id": [ids("<eos>"), ids("<end_of_turn>")],
        "image_token_index": ids("<image_soft_token>"),
        "initializer_range": 0.02,
        "mm_tokens_per_image": _TOKENS_PER_IMAGE,
        "text_config": small_text(
            model_type="gemma3_text",
            vocab_size=len(tokenizer),
            num_hidden_layers=3,
            query_pre_attn_scalar=8,
            sliding_window=64,
            sliding_window_pattern=3,
            rope_scaling={"factor": 8.0, "rope_type": "linear"},
        ),
        "torch_dtype": "bfloat16",
        "vision_config": small_vision(
            model_type="siglip_vision_model", image_size=_SIDE, patch_size=14, vision_use_head=False
        ),
    }


def gemma3(folder: Path) -> None:
    tokens = {
        "boi_token": "<start_of_image>",
        "eoi_token": "<end_of_image>",
        "image_token": "<image_soft_token>",
    }
    turns = ("<start_of_turn>", "<end_of_turn>")
    tokenizer = gemma_tokenizer((*turns, *tokens.values()), add_bos_token=True)
    ids = tokenizer.convert_tokens_to_ids
    config = _gemma3_config(tokenizer)
    write_folder(
        folder,
        config=config,
        tokenizer=tokenizer,
        template=published("gemma3"),
        template_files=("tokenizer_config.json", "chat_template.json"),
        tokenizer_config={
            **tokens,
            "extra_special_tokens": tokens,
            "processor_class": "Gemma3Processor",
        },
        generation={
            "bos_token_id": ids("<bos>"),
            "cache_implementation": "hybrid",
            "do_sample": True,
            "eos_token_id": [ids("<eos>"), ids("<end_of_turn>")],
            "pad_token_id": ids("<pad>"),
            "top_k": 64,
            "top_p": 0.95,
        },
        files={
            "preprocessor_config.json": {
                "do_convert_rgb": None,
                "do_normalize": True,
                "do_pan_and_scan": None,
                "do_rescale": True,
                "do_resize": True,
                "image_processor_type": "Gemma3ImageProcessor",
                "image_seq_length": _TOKENS_PER_IMAGE,
                "pan_and_scan_max_num_crops": None,
                "pan_and_scan_min_crop_size": None,
                "pan_and_scan_min_ratio_to_activate": None,
                "processor_class": "Gemma3Processor",
                "resample": 2,
                "rescale_factor": 0.00392156862745098,
                "size": {"height": _SIDE, "width": _SIDE},
                **HALF,
            },
            "processor_config.json": {
                "image_seq_length": _TOKENS_PER_IMAGE,
                "processor_class": "Gemma3Processor",
            },
        },
        seed=6,
    )


_GEMMA4_TOKENS = {
    "audio_token": "<|audio|>",
    "boa_token": "<|audio>",
    "boi_token": "<|image>",
    "eoa_token": "<audio|>",
    "eoc_token": "<channel|>",
    "eoi_token": "<image|>",
    "eot_token": "<turn|>",
    "escape_token": '<|"|>',
    "etc_token": "<tool_call|>",
    "etd_token": "<tool|>",
    "etr_token": "<tool_response|>",
    "image_token": "<|image|>",
    "soc_token": "<|channel>",
    "sot_token": "<|turn>",
    "stc_token": "<|tool_call>",
    "std_token": "<|tool>",
    "str_token": "<|tool_response>",
    "think_token": "<|think|>",
}
_RESCALED = {
    "do_convert_rgb": True,
    "do_rescale": True,
    "do_resize": True,
    "image_mean": [0.0, 0.0, 0.0],
    "image_std": [1.0, 1.0, 1.0],
    "patch_size": 16,
    "pooling_kernel_size": 3,
    "resample": 3,
    "rescale_factor": 0.00392156862745098,
}


def _gemma4_config(tokenizer: Any) -> dict[str, Any]:
    ids = tokenizer.convert_tokens_to_ids
    return {
        "architectures": ["Gemma4ForConditionalGeneration"],
        "model_type": "gemma4",
        "audio_token_id": ids("<|audio|>"),
        "boa_token_id": ids("<|audio>"),
        "boi_token_id": ids("<|image>"),
        "eoa_token_id": ids("<audio|>"),
        "eoa_token_index": ids("<audio|>"),
        "eoi_token_id": ids("<image|>"),
        "image_token_id": ids("<|image|>"),
        "video_token_id": ids("<|video|>"),
        "eos_token_id": [ids("<eos>"), ids("<turn|>")],
        "dtype": "bfloat16",
        "tie_word_embeddings": True,
        "audio_config": {
            "model_type": "gemma4_audio",
            "hidden_size": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "output_proj_dims": 16,
            "subsampling_conv_channels": [4, 4],
        },
        "text_config": small_text(
            model_type="gemma4_text",
            vocab_size=len(tokenizer),
            vocab_size_per_layer_input=len(tokenizer),
            hidden_size_per_layer_input=8,
            num_hidden_layers=4,
            layer_types=["sliding_attention", "full_attention"] * 2,
            num_kv_shared_layers=2,
            use_double_wide_mlp=True,
            num_key_value_heads=1,
            global_head_dim=16,
            sliding_window=64,
            final_logit_softcapping=30.0,
            rope_parameters={
                "full_attention": {
                    "partial_rotary_factor": 0.25,
                    "rope_theta": 1000000.0,
                    "rope_type": "proportional",
                },
                "sliding_attention": {"rope_theta": 10000.0, "rope_type": "default"},
            },
        ),
        "vision_config": small_vision(
            model_type="gemma4_vision",
            head_dim=16,
            num_key_value_heads=2,
            pooling_kernel_size=3,
            position_embedding_size=256,
            use_clipped_linears=True,
        ),
        "vision_soft_tokens_per_image": 70,
    }


_GEMMA4_FILES = {
    "processor_config.json": {
        "audio_ms_per_token": 40,
        "audio_seq_length": 750,
        "feature_extractor": {
            "feature_extractor_type": "Gemma4AudioFeatureExtractor",
            "feature_size": 128,
            "sampling_rate": 16000,
        },
        "image_processor": {
            **_RESCALED,
            "do_normalize": False,
            "image_processor_type": "Gemma4ImageProcessor",
            "image_seq_length": 70,
            "max_soft_tokens": 70,
        },
        "image_seq_length": 70,
        "processor_class": "Gemma4Processor",
        "video_processor": {
            **_RESCALED,
            "do_normalize": True,
            "do_sample_frames": True,
            "max_soft_tokens": 70,
            "num_frames": 32,
            "video_processor_type": "Gemma4VideoProcessor",
        },
    }
}


def gemma4(folder: Path) -> None:
    """As gemma-4-E2B-it: per-layer embeddings, shared keys and values, a tower for sound."""
    tokenizer = gemma_tokenizer(
        (*_GEMMA4_TOKENS.values(), "<|video|>"),
        add_bos_token=False,
        extra_special_tokens=_GEMMA4_TOKENS,
    )
    ids = tokenizer.convert_tokens_to_ids
    config = _gemma4_config(tokenizer)
    write_folder(
        folder,
        config=config,
        tokenizer=tokenizer,
        template=published("gemma4_v5"),
        template_files=("chat_template.jinja",),
        tokenizer_config={**_GEMMA4_TOKENS, "processor_class": "Gemma4Processor"},
        generation={
            "bos_token_id": ids("<bos>"),
            "do_sample": True,
            "eos_token_id": [ids("<eos>"), ids("<turn|>"), ids("<|tool_response>")],
            "pad_token_id": ids("<pad>"),
            "temperature": 1.0,
            "top_k": 64,
            "top_p": 0.95,
        },
        files=_GEMMA4_FILES,
        seed=7,
    )
