"""What is learned of a conversation, under the templates that TRL ships and three of our own writing.

The expected answers are written out by hand: what a model that is given the generation prompt would
have to write, its end included.
"""

from pathlib import Path

import pytest

pytest.importorskip("torch")

import trl
from tokenizers import AddedToken
from trl.chat_template_utils import get_training_chat_template

from vasari.core.errors import DataError
from vasari.model.sizes import SmallVlmSettings
from vasari.model.small_vlm import small_processor, train_tokenizer
from vasari.model.template import tokenizer_of
from vasari.train.answer_tokens import IGNORED, AnswerTokens

SHIPPED = Path(trl.__file__).parent / "chat_templates"
GLM = (
    "[gMASK]<sop>{% for m in messages %}<|{{ m.role }}|>\n{% if m.content is string %}"
    "{{ m.content }}{% else %}{% for p in m.content %}{{ p.text }}{% endfor %}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
"""Ends no answer: the next turn's token does."""
ONEVISION = (
    "{% for m in messages %}<|im_start|>{{ m.role }} \n{% for p in m.content %}{{ p.text }}"
    "{% endfor %}<|im_end|>{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% endif %}"
)
"""Writes a space behind `assistant` that the generation prompt lacks."""
FORGETFUL = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% for p in m.content %}"
    "{{ p.text.split('</think>')[-1] }}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n{% endif %}"
)
"""Leaves reasoning out of every answer, and opens it in the generation prompt."""

REASONED = "<think>One and one.</think><answer>\\boxed{2}</answer>"
OPENED = "One and one.\n</think>\n\n<answer>\\boxed{2}</answer><|im_end|>"
CASES = {
    "qwen2_5_vl": (REASONED + "<|im_end|>", "2<|im_end|>"),
    "qwen2_5": (REASONED + "<|im_end|>", "2<|im_end|>"),
    "qwen3_vl": (REASONED + "<|im_end|>", "2<|im_end|>"),
    "qwen3": ("<think>\n" + OPENED, "<think>\n\n</think>\n\n2<|im_end|>"),
    "qwen3_5_think": (OPENED, "\n</think>\n\n2<|im_end|>"),
    "gemma3": (REASONED + "<end_of_turn>", "2<end_of_turn>"),
    "gemma4_v5": (REASONED + "<turn|>", "2<turn|>"),
    "smolvlm": (" " + REASONED + "<end_of_utterance>", " 2<end_of_utterance>"),
    "idefics3": (" " + REASONED + "<end_of_utterance>", " 2<end_of_utterance>"),
    "llava_next": (" " + REASONED + "</s>", " 2</s>"),
    "glm": (REASONED + "<|user|>", "2<|user|>"),
    "onevision": (REASONED + "<|im_end|>", "2<|im_end|>"),
    "forgetful": ("One and one.</think><answer>\\boxed{2}</answer><|im_end|>", "2<|im_end|>"),
}
OWN = {"glm": GLM, "onevision": ONEVISION, "forgetful": FORGETFUL}
TEXT_ONLY = {"qwen2_5", "qwen3"}
STOPS = ("<|im_end|>", "<end_of_turn>", "<turn|>", "<end_of_utterance>", "</s>", "<|user|>")
SPECIAL = (
    *STOPS,
    "<bos>",
    "<image>",
    "<start_of_turn>",
    "<|turn>",
    "<|assistant|>",
    "<|im_start|>",
)


@pytest.fixture(scope="module")
def processor_with():
    def make(name):
        tokenizer = train_tokenizer(["One and one. user assistant model\n\n"] * 4, vocabulary=400)
        tokenizer.add_tokens([AddedToken(token, special=True) for token in SPECIAL])
        tokenizer.bos_token = "<bos>"  # noqa: S105  (a vocabulary entry)
        own = OWN.get(name)
        tokenizer.chat_template = own or (SHIPPED / f"{name}.jinja").read_text()
        if name in TEXT_ONLY:
            return tokenizer
        return small_processor(tokenizer, SmallVlmSettings())

    return make


@pytest.fixture
def answers(processor_with):
    def make(name):
        processor = processor_with(name)
        tokenizer = tokenizer_of(processor)
        stops = tokenizer.convert_tokens_to_ids(list(STOPS))
        return tokenizer, AnswerTokens(processor, stops=stops)

    return make


def message(role, text, name):
    return {
        "role": role,
        "content": text if name in TEXT_ONLY else [{"type": "text", "text": text}],
    }


def turns(name, *texts):
    roles = ("user", "assistant") * len(texts)
    return [message(role, text, name) for role, text in zip(roles, texts, strict=False)]


def learned(found):
    return [label for label in found.labels if label != IGNORED]


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("target", [REASONED, "2"], ids=["reasoned", "short"])
def test_the_answer_is_learned_up_to_the_token_that_stops_it(answers, name, target):
    tokenizer, finder = answers(name)
    found = finder.after_prompt(turns(name, "How many?", target))
    expected = CASES[name][target == "2"]
    assert tokenizer.decode(learned(found)) == expected
    assert learned(found) == tokenizer(expected, add_special_tokens=False)["input_ids"]


@pytest.mark.parametrize("name", CASES)
def test_labels_are_the_tokens_at_their_places_and_what_follows_an_answer_is_read(answers, name):
    tokenizer, finder = answers(name)
    found = finder.after_prompt(turns(name, "How many?", REASONED))
    count = len(learned(found))
    assert found.labels[:count] == found.token_ids[:count]
    assert tokenizer.decode(found.token_ids[count:]).strip() == ""


MARKED = [name for name in CASES if (SHIPPED / f"{name}_training.jinja").exists()]


@pytest.mark.parametrize("name", MARKED)
def test_trl_marks_the_same_tokens_but_for_blanks_and_what_the_prompt_has(answers, name):
    tokenizer, finder = answers(name)
    messages = turns(name, "How many?", REASONED)
    marked = tokenizer.apply_chat_template(
        messages,
        chat_template=get_training_chat_template(tokenizer),
        return_assistant_tokens_mask=True,
        return_dict=True,
    )
    marks = zip(marked["input_ids"], marked["assistant_masks"], strict=True)
    spoken = tokenizer.decode([token for token, mark in marks if mark])
    opened = "<think>\n" if name == "qwen3_5_think" else ""
    ours = learned(finder.after_prompt(messages))
    assert spoken.strip() == (opened + tokenizer.decode(ours)).strip()


@pytest.mark.parametrize("name", CASES)
def test_each_of_two_answers_is_learned_as_if_it_were_the_last(answers, name):
    tokenizer, finder = answers(name)
    first, second = (
        tokenizer.decode(learned(finder.after_prompt(turns(name, "How many?", text))))
        for text in ("2", "3")
    )
    found = finder.after_prompt(turns(name, "How many?", "2", "And now?", "3"))
    assert tokenizer.decode(learned(found)) == first + second
    assert "And now?" in tokenizer.decode(found.token_ids)


def test_the_token_that_ends_an_answer_and_opens_the_next_turn_is_there_once(answers):
    tokenizer, finder = answers("glm")
    found = finder.after_prompt(turns("glm", "How many?", "2", "And now?", "3"))
    assert tokenizer.decode(found.token_ids) == "2<|user|>\nAnd now?<|assistant|>\n3<|user|>"


def test_an_end_that_is_no_token_gives_way_to_one_that_stops(processor_with):
    processor = processor_with("llava_next")
    found = AnswerTokens(processor).after_prompt(turns("llava_next", "How many?", "2"))
    assert processor.tokenizer.decode(learned(found)) == " 2<|im_end|>"


def test_a_special_token_in_an_answer_is_refused(answers):
    _, finder = answers("qwen3_vl")
    with pytest.raises(DataError, match=r"the answer holds '<\|im_start\|>', a special token"):
        finder.after_prompt(turns("qwen3_vl", "How many?", "<|im_start|>user"))


def test_a_template_that_rewrites_earlier_answers_is_refused_where_trl_has_no_other(
    processor_with,
):
    processor = processor_with("qwen3_5_think")
    processor.chat_template += " "
    finder = AnswerTokens(processor)
    with pytest.raises(DataError, match="writes an answer in another way once a question follows"):
        finder.after_prompt(turns("qwen3_5_think", "How many?", "2", "And now?", "3"))
