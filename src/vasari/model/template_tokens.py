"""Finds in a text what a chat template, a tokenizer or a trainer does not take for text.

A question that holds `<|im_end|>` ends its turn early, one that holds `<video>` makes verl and
LLaMA-Factory look for a video, and an end token in a solution teaches to stop there.
"""

from __future__ import annotations

import re
from typing import Final

from vasari.model.families.table import FAMILIES

IMAGE_MARK: Final = "<image>"
"""Mark of an image's place in a text, which is no token where an image belongs to it."""

# The words between bars have two characters at least: 1 <|x|> 0 is mathematics.
_TEMPLATES: Final = (
    r"<\|/?[A-Za-z][\w/:.-]{1,60}\|?>",  # Qwen, Llama 3, Phi, GLM
    r"<\|\"\|>|<[a-z][a-z_]{2,30}\|>",  # Gemma 4
    r"<\uff5c[^<>\uff5c]{1,60}\uff5c>",  # DeepSeek
    r"<(?:start|end)_of_(?:turn|utterance)>",  # Gemma, SmolVLM
    r"</?s>|<(?:bos|eos|pad|unk|mask|sop|eop)>|<0x[0-9A-F]{2}>",  # SentencePiece
    r"\[/?INST\]|<</?SYS>>|\[gMASK\]|\[IMG(?:_BREAK|_END)?\]",  # Llama 2, Mistral, GLM
    r"\[/?(?:SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|TOOL_CONTENT|THINK|ARGS)\]",
    r"</?(?:tool_call|tool_response|tools)>|\u25c1/?think\u25b7",  # Qwen, Kimi
    # verl and LLaMA-Factory; the last one LLaMA-Factory turns into an image token itself.
    r"<(?:video|audio)>|\{\{(?:image|video|audio)\}\}",
)
_TOKEN: Final = re.compile(
    "|".join(
        [*_TEMPLATES, *dict.fromkeys(mark for family in FAMILIES for mark in family.image_markers)]
    )
)


def template_tokens(text: str) -> list[str]:
    """Return the tokens of chat templates, models and trainers that a text holds, in order.

    Those of all families that are supported, and of others that trainers know. `IMAGE_MARK` is left
    out: whether it is in its place depends on the images.
    """
    if not ("<" in text or "[" in text or "{{" in text or "\u25c1" in text):
        return []
    found = (match.group() for match in _TOKEN.finditer(text))
    return [token for token in found if token != IMAGE_MARK]
