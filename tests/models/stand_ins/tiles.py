"""Stand-ins of families that cut images into tiles: SmolVLM2, Idefics3, InternVL 3, LFM2-VL."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tokenizers import processors

from stand_ins.folder import EVERY_STEP, HALF, IMAGENET, small_text, small_vision, write_folder
from stand_ins.qwen import CHATML
from stand_ins.templates import INTERNVL, published
from stand_ins.tokens import byte_tokenizer, qwen_tokenizer

_CELLS = tuple(f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7))
_AROUND = ("<fake_token_around_image>", "<image>", "<end_of_utterance>", "<global-img>")
_TILE, _PATCH, _LONGEST = 56, 14, 112
"""Side of a tile, side of a patch, longest edge to which an image is scaled, in pixels."""
_TOKENS_PER_TILE = 4


def smolvlm2(folder: Path) -> None:
    special = (*CHATML, *_AROUND, *_CELLS)
    tokenizer = byte_tokenizer(
        special,
        bos_token="<|im_start|>",
        eos_token="<end_of_utterance>",
        pad_token="<|im_end|>",
        unk_token="<|endoftext|>",
    )
    named = {
        "end_of_utterance_token": "<end_of_utterance>",
        "fake_image_token": "<fake_token_around_image>",
        "global_image_token": "<global-img>",
        "image_token": "<image>",
    }
    sampling = {"fps": 1, "max_frames": 64, "video_size": {"longest_edge": _TILE}}
    _split(
        folder,
        "SmolVLM",
        tokenizer,
        begin="<|im_start|>",
        vision={"model_type": "smolvlm_vision"},
        tokenizer_config={
            "extra_special_tokens": named,
            "tokenizer_class": "GPT2Tokenizer",
            "processor_class": "SmolVLMProcessor",
            **named,
        },
        image_settings={"video_sampling": sampling},
        seed=8,
    )


def idefics3(folder: Path) -> None:
    special = ("<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>", *_AROUND, *_CELLS)
    tokenizer = byte_tokenizer(
        special,
        bos_token="<|begin_of_text|>",
        eos_token="<|end_of_text|>",
        pad_token="<|end_of_text|>",
    )
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<|begin_of_text|> $A",
        pair="<|begin_of_text|> $A <|begin_of_text|> $B",
        special_tokens=[("<|begin_of_text|>", tokenizer.bos_token_id)],
    )
    _split(
        folder,
        "Idefics3",
        tokenizer,
        begin="<|begin_of_text|>",
        vision={"model_type": "idefics3_vision"},
        tokenizer_config={"processor_class": "Idefics3Processor"},
        image_settings={},
        seed=9,
    )


def _split(
    folder: Path,
    kind: str,
    tokenizer: Any,
    *,
    begin: str,
    vision: dict[str, Any],
    tokenizer_config: dict[str, Any],
    image_settings: dict[str, Any],
    seed: int,
) -> None:
    ids = tokenizer.convert_tokens_to_ids
    config = {
        "architectures": [f"{kind}ForConditionalGeneration"],
        "model_type": kind.lower(),
        "image_token_id": ids("<image>"),
        "pad_token_id": tokenizer.pad_token_id,
        "scale_factor": 2,
        "text_config": small_text(
            model_type="llama",
            vocab_size=len(tokenizer),
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            rope_theta=100000,
        ),
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        "vision_config": small_vision(
            **vision, image_size=_TILE, patch_size=_PATCH, max_image_size={"longest_edge": _TILE}
        ),
    }
    write_folder(
        folder,
        config=config,
        tokenizer=tokenizer,
        template=published(kind.lower()),
        template_files=("chat_template.json",),
        tokenizer_config=tokenizer_config,
        generation={
            "bos_token_id": ids(begin),
            "eos_token_id": [ids("<end_of_utterance>")]
            if kind == "SmolVLM"
            else [tokenizer.eos_token_id, ids("<end_of_utterance>")],
            "pad_token_id": tokenizer.pad_token_id,
        },
        files=_split_files(kind, image_settings),
        seed=seed,
    )


def _split_files(kind: str, image_settings: dict[str, Any]) -> dict[str, Any]:
    return {
        "preprocessor_config.json": {
            **EVERY_STEP,
            "do_image_splitting": True,
            "do_pad": True,
            "image_processor_type": f"{kind}ImageProcessor",
            "max_image_size": {"longest_edge": _TILE},
            "processor_class": f"{kind}Processor",
            "resample": 1,
            "rescale_factor": 0.00392156862745098,
            "size": {"longest_edge": _LONGEST},
            **HALF,
            **image_settings,
        },
        "processor_config.json": {
            "image_seq_len": _TOKENS_PER_TILE,
            "processor_class": f"{kind}Processor",
        },
    }


def _internvl3_config(tokenizer: Any) -> dict[str, Any]:
    return {
        "architectures": ["InternVLForConditionalGeneration"],
        "model_type": "internvl",
        "downsample_ratio": 0.5,
        "image_seq_length": _TOKENS_PER_TILE,
        "image_token_id": tokenizer.convert_tokens_to_ids("<IMG_CONTEXT>"),
        "projector_hidden_act": "gelu",
        "text_config": {
            **small_text(
                model_type="qwen2", vocab_size=len(tokenizer), eos_token_id=tokenizer.eos_token_id
            ),
        },
        "torch_dtype": "bfloat16",
        "vision_config": small_vision(
            model_type="internvl_vision",
            attention_bias=True,
            image_size=[_TILE, _TILE],
            patch_size=[_PATCH, _PATCH],
            layer_scale_init_value=0.1,
            norm_type="layer_norm",
            use_absolute_position_embeddings=True,
        ),
        "vision_feature_layer": -1,
        "vision_feature_select_strategy": "default",
    }


_INTERNVL3_FILES = {
    "preprocessor_config.json": {
        **EVERY_STEP,
        "crop_size": None,
        # The published setting is false, and the processor's own call turns it on.
        "crop_to_patches": False,
        "data_format": "channels_first",
        "do_center_crop": None,
        "image_processor_type": "GotOcr2ImageProcessorFast",
        "max_patches": 12,
        "min_patches": 1,
        "processor_class": "InternVLProcessor",
        "resample": 3,
        "rescale_factor": 0.00392156862745098,
        "size": {"height": _TILE, "width": _TILE},
        **IMAGENET,
    },
    "processor_config.json": {
        "image_seq_length": _TOKENS_PER_TILE,
        "processor_class": "InternVLProcessor",
    },
}


def internvl3(folder: Path) -> None:
    named = {
        "context_image_token": "<IMG_CONTEXT>",
        "end_image_token": "</img>",
        "start_image_token": "<img>",
        "video_token": "<video>",
    }
    tokenizer = qwen_tokenizer((*CHATML, *named.values()))
    config = _internvl3_config(tokenizer)
    write_folder(
        folder,
        config=config,
        tokenizer=tokenizer,
        template=INTERNVL,
        template_files=("chat_template.jinja",),
        tokenizer_config={
            "extra_special_tokens": named,
            "processor_class": "InternVLProcessor",
            **named,
        },
        generation={
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
        },
        files=_INTERNVL3_FILES,
        seed=10,
    )


def _lfm2_vl_config(tokenizer: Any) -> dict[str, Any]:
    return {
        "architectures": ["Lfm2VlForConditionalGeneration"],
        "model_type": "lfm2_vl",
        "do_image_splitting": True,
        "downsample_factor": 2,
        "dtype": "bfloat16",
        "image_token_id": tokenizer.convert_tokens_to_ids("<image>"),
        "projector_bias": True,
        "projector_hidden_act": "gelu",
        "projector_hidden_size": 48,
        "projector_use_layernorm": False,
        "text_config": {
            "model_type": "lfm2",
            "block_auto_adjust_ff_dim": False,
            "bos_token_id": tokenizer.bos_token_id,
            "conv_L_cache": 3,
            "conv_bias": False,
            "eos_token_id": tokenizer.eos_token_id,
            "hidden_size": 32,
            "intermediate_size": 64,
            "layer_types": ["conv", "full_attention", "conv"],
            "max_position_embeddings": 32768,
            "num_attention_heads": 4,
            "num_hidden_layers": 3,
            "num_key_value_heads": 2,
            "pad_token_id": tokenizer.pad_token_id,
            "rope_theta": 1000000.0,
            "vocab_size": len(tokenizer),
        },
        "tie_word_embeddings": True,
        "vision_config": small_vision(
            model_type="siglip2_vision_model", num_patches=16, patch_size=16, vision_use_head=False
        ),
    }


_LFM2_VL_FILES = {
    "processor_config.json": {
        "image_processor": {
            **EVERY_STEP,
            "do_image_splitting": True,
            "do_pad": True,
            "downsample_factor": 2,
            "encoder_patch_size": 16,
            "image_processor_type": "Lfm2VlImageProcessorFast",
            "max_image_tokens": 4,
            "max_num_patches": 16,
            "max_pixels_tolerance": 2.0,
            "max_tiles": 4,
            "min_image_tokens": 1,
            "min_tiles": 2,
            "resample": 2,
            "rescale_factor": 0.00392156862745098,
            "return_row_col_info": True,
            "size": {"height": 64, "width": 64},
            "tile_size": 64,
            "use_thumbnail": True,
            **HALF,
        },
        "processor_class": "Lfm2VlProcessor",
    }
}


def lfm2_vl(folder: Path) -> None:
    named = {
        "image_end_token": "<|image_end|>",
        "image_start_token": "<|image_start|>",
        "image_thumbnail": "<|img_thumbnail|>",
        "image_token": "<image>",
    }
    cells = tuple(
        f"<|img_row_{row}_col_{column}|>" for row in range(1, 4) for column in range(1, 4)
    )
    special = ("<|pad|>", "<|startoftext|>", "<|endoftext|>", "<|im_start|>", "<|im_end|>")
    tokenizer = byte_tokenizer(
        (*special, "<|tool_call_start|>", "<|tool_call_end|>", *named.values(), *cells),
        bos_token="<|startoftext|>",
        eos_token="<|im_end|>",
        pad_token="<|pad|>",
    )
    config = _lfm2_vl_config(tokenizer)
    write_folder(
        folder,
        config=config,
        tokenizer=tokenizer,
        template=published("lfm2_2_5_vl"),
        template_files=("chat_template.jinja",),
        tokenizer_config={
            **named,
            "extra_special_tokens": named,
            "processor_class": "Lfm2VlProcessor",
        },
        generation={
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
        },
        files=_LFM2_VL_FILES,
        seed=11,
    )
