"""A small untrained Qwen2.5-VL built from transformers' classes, its tokenizer and processor."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
)
from transformers.models.auto.image_processing_auto import get_image_processor_class_from_name
from transformers.utils import is_torchvision_available

from vasari.model.sizes import SmallVlmSettings
from vasari.model.without_videos import without_videos

SPECIAL_TOKENS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
FORMAT_TOKENS = ("<think>", "</think>", "<answer>", "</answer>", "\\boxed{", "}")
"""One token each, so that the paper's format costs a small model ten tokens and not forty."""

# Qwen's chat format; `{% generation %}` marks what supervised training may learn from.
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{% if message['role'] =="
    " 'assistant' %}{% generation %}{% if message['content'] is string %}{{ message['content'] }}{%"
    " else %}{% for part in message['content'] %}{{ part['text'] }}{% endfor %}{% endif"
    " %}<|im_end|>{% endgeneration %}\n{% else %}{% if message['content'] is string %}{{"
    " message['content'] }}{% else %}{% for part in message['content'] %}{% if part['type'] =="
    " 'image' %}<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ part['text'] }}{% endif"
    " %}{% endfor %}{% endif %}<|im_end|>\n{% endif %}{% endfor %}{% if add_generation_prompt"
    " %}<|im_start|>assistant\n{% endif %}"
)


def train_tokenizer(texts: Iterable[str], *, vocabulary: int) -> PreTrainedTokenizerFast:
    """Return a byte-level BPE tokenizer learned from `texts`; other texts take more tokens."""
    tokenizer = Tokenizer(models.BPE())
    # Letters stay apart from digits and marks, and each digit stands alone, so "15+7=22" reads the
    # same everywhere.
    words = pre_tokenizers.Split(
        Regex(r" ?[A-Za-z]+| ?[0-9]| ?[^\sA-Za-z0-9]|\s"), behavior="isolated"
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [words, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary - len(FORMAT_TOKENS),
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",  # noqa: S106  (a vocabulary entry)
        pad_token="<|endoftext|>",  # noqa: S106
        additional_special_tokens=list(SPECIAL_TOKENS[1:]),
        clean_up_tokenization_spaces=False,
        padding_side="left",
    )
    fast.add_tokens(list(FORMAT_TOKENS))
    fast.chat_template = CHAT_TEMPLATE
    return fast


def small_processor(tokenizer: PreTrainedTokenizerFast, settings: SmallVlmSettings) -> Any:
    """Return a processor for a small Qwen2.5-VL; images get at most `image_size` squared pixels.

    It is transformers' own class for Qwen2.5-VL, for images and text only.
    """
    pixels = settings.image_size**2
    resizing = "" if is_torchvision_available() else "Pil"
    images = get_image_processor_class_from_name(f"Qwen2VLImageProcessor{resizing}")(
        size={"shortest_edge": min(56 * 56, pixels), "longest_edge": pixels}
    )
    return without_videos(Qwen2_5_VLProcessor)(
        image_processor=images, tokenizer=tokenizer, chat_template=tokenizer.chat_template
    )


def small_config(settings: SmallVlmSettings, *, vocabulary: int) -> Qwen2_5_VLConfig:
    """Return the config of a small Qwen2.5-VL of the given sizes, with so many tokens."""
    head = settings.hidden // settings.heads
    third = head // 2 // 3
    # A tokenizer is trained with these first.
    ids = {token: place for place, token in enumerate(SPECIAL_TOKENS)}
    return Qwen2_5_VLConfig(
        text_config={
            "vocab_size": vocabulary,
            "hidden_size": settings.hidden,
            "intermediate_size": settings.feed_forward,
            "num_hidden_layers": settings.layers,
            "num_attention_heads": settings.heads,
            "num_key_value_heads": max(1, settings.heads // 2),
            "max_position_embeddings": 4096,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 10_000.0,
                # Time, height and width share the head's rotary pairs, as in Qwen2.5-VL.
                "mrope_section": [head // 2 - 2 * third, third, third],
            },
            "bos_token_id": None,
            "eos_token_id": ids["<|im_end|>"],
            "pad_token_id": ids["<|endoftext|>"],
            "tie_word_embeddings": True,
            "initializer_range": settings.hidden**-0.5 * 0.8,
        },
        vision_config={
            "initializer_range": settings.vision_hidden**-0.5 * 0.8,
            "depth": settings.vision_layers,
            "hidden_size": settings.vision_hidden,
            "intermediate_size": settings.vision_feed_forward,
            "num_heads": settings.vision_heads,
            "out_hidden_size": settings.hidden,
            "fullatt_block_indexes": list(range(settings.vision_layers)),
            "window_size": 112,
        },
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
        tie_word_embeddings=True,
    )


def small_vlm(tokenizer: PreTrainedTokenizerFast, settings: SmallVlmSettings, *, seed: int) -> Any:
    """Return a randomly initialised Qwen2_5_VLForConditionalGeneration of the given sizes."""
    config = small_config(settings, vocabulary=len(tokenizer))
    torch.manual_seed(seed)
    model = Qwen2_5_VLForConditionalGeneration(config)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    return model
