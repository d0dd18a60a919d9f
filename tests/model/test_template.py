"""What chat templates of published models write, and how it is read."""

import pytest
from stand_ins import STAND_INS

from vasari.core.errors import ConfigError, DataError
from vasari.model.processor import load_processor, tokenizer_of
from vasari.model.template import (
    as_text,
    end_of_turn,
    opened_tag,
    set_thinking,
    written,
)

ENDS = {
    "gemma3": "<end_of_turn>",
    "gemma4": "<turn|>",
    "smolvlm2": "<end_of_utterance>",
    "idefics3": "<end_of_utterance>",
    "glm4v": None,
    "llava_next": "</s>",
}
"""Tokens that published templates write after an answer, where it is not <|im_end|>."""


def said(role, text):
    return {"role": role, "content": [{"type": "text", "text": text}]}


@pytest.mark.parametrize("name", STAND_INS)
def test_the_token_after_an_answer_is_found(name, family_folder):
    processor = load_processor(str(family_folder(name)))
    found = end_of_turn(processor)
    expected = ENDS.get(name, "<|im_end|>")
    assert expected == (found and tokenizer_of(processor).convert_ids_to_tokens(found))


@pytest.mark.parametrize("name", STAND_INS)
def test_a_tag_that_the_template_opens_is_found(name, family_folder):
    processor = load_processor(str(family_folder(name)))
    assert opened_tag(processor) == ("<think>" if name == "qwen3_5" else "")


@pytest.mark.parametrize("name", STAND_INS)
def test_a_system_prompt_in_parts_is_written_as_text(name, family_folder):
    processor = load_processor(str(family_folder(name)))
    turns = [said("system", "Think first."), said("user", "Why?"), said("assistant", "So.")]
    text = written(processor, turns)
    assert all(part in text for part in ("Think first.", "Why?", "So."))
    assert "'text'" not in text


def test_thinking_is_switched_as_the_template_has_it(family_folder):
    folder = str(family_folder("qwen3_5"))
    turns = [{"role": "user", "content": "Why?"}]
    stock = load_processor(folder)
    for thinking in (True, False):
        ours = load_processor(folder, thinking=thinking)
        assert written(ours, turns, prompt=True) == stock.apply_chat_template(
            turns, tokenize=False, add_generation_prompt=True, enable_thinking=thinking
        )
    assert opened_tag(ours) == ""


def test_thinking_is_refused_where_the_template_has_no_switch(family_folder):
    with pytest.raises(ConfigError, match=r"model\.thinking: .* no enable_thinking"):
        load_processor(str(family_folder("qwen2_5_vl")), thinking=True)


def test_a_template_that_takes_no_system_prompt_says_so(tiny_folder):
    processor = load_processor(str(tiny_folder))
    processor.chat_template = "{{ raise_exception('System role not supported') }}"
    with pytest.raises(ConfigError, match=r"system, user: System role .* model\.system_prompt"):
        written(processor, [said("system", "Think."), said("user", "Why?")])


def test_messages_become_text_for_a_text_model():
    parts = [{"type": "text", "text": "one "}, {"type": "text", "text": "two"}]
    assert as_text([{"role": "user", "content": parts}]) == [{"role": "user", "content": "one two"}]
    with pytest.raises(DataError, match="reads text only"):
        as_text([{"role": "user", "content": [{"type": "image"}]}])


def test_a_switch_in_one_of_several_templates_is_not_guessed(tiny_folder):
    processor = load_processor(str(tiny_folder))
    processor.chat_template = {"default": "{{ enable_thinking }}", "tools": ""}
    with pytest.raises(ConfigError, match="leave it out"):
        set_thinking(processor, thinking=True)
