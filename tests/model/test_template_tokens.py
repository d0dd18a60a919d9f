"""Tokens of templates and trainers in a text, and mathematics that only looks like them."""

from __future__ import annotations

import pytest

from vasari.model.template_tokens import template_tokens

# Special tokens as the published tokenizers and trainers write them.
TOKENS = (
    *("<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|vision_start|>", "<|image_pad|>"),  # Qwen
    *("<|begin_of_text|>", "<|eot_id|>", "<|start_header_id|>", "[INST]", "[/INST]"),  # Llama
    *("<<SYS>>", "<</SYS>>", "<s>", "</s>", "[IMG]", "[IMG_BREAK]", "[IMG_END]"),  # Mistral
    *("<start_of_turn>", "<end_of_turn>", "<start_of_image>", "<image_soft_token>", "<bos>"),
    *("<|turn>", "<turn|>", "<|image|>", "<|channel>", "<channel|>"),  # Gemma 4
    *("<end_of_utterance>", "<fake_token_around_image>", "<global-img>", "<row_1_col_2>"),
    *("<img>", "</img>", "<IMG_CONTEXT>", "<|image_1|>", "<|end|>", "<|assistant|>"),
    *("<|begin_of_image|>", "[gMASK]", "<sop>", "<|user|>", "<|begin_of_box|>"),  # GLM
    *("<\uff5cUser\uff5c>", "<\uff5cend\u2581of\u2581sentence\uff5c>", "\u25c1think\u25b7"),
    *("<video>", "<audio>", "{{image}}", "<tool_call>", "</tool_response>", "<eos>", "<pad>"),
)


@pytest.mark.parametrize("token", TOKENS)
def test_a_token_of_a_template_is_found_within_a_text(token):
    assert template_tokens(f"Find x.{token} It is 5.") == [token]


@pytest.mark.parametrize(
    "text",
    [
        "1 <|x|> 0 and |a|<|b|> c",
        "x < y > z, a<b, [3, 4], [img], {{1}, {2}}",
        "<image> shows a triangle",
        "use \\langle s \\rangle and <u, v>",
        "[THE] tool calls [A] and <table><tr><td>3</td></tr></table>",
    ],
)
def test_mathematics_and_the_mark_of_an_image_are_none(text):
    assert template_tokens(text) == []
