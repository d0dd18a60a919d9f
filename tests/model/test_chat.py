import pytest

from vasari.core.errors import DataError
from vasari.model.chat import chat_messages, target_text, user_text
from vasari.records import ImageRef, Prompt

PICTURE = ImageRef(path="a.png")
IMAGE = {"type": "image"}


def prompt(question="How many?", *, images=0, **fields):
    return Prompt(id="p", question=question, answer="3", images=(PICTURE,) * images, **fields)


def said(text):
    return {"type": "text", "text": text}


def test_images_stand_before_a_question_that_marks_none():
    (message,) = chat_messages(prompt(images=2), system="")
    assert message == {"role": "user", "content": [IMAGE, IMAGE, said("How many?")]}


def test_images_stand_where_the_question_marks_them():
    (message,) = chat_messages(prompt("In <image> and <image> how many?", images=2), system="")
    assert message["content"] == [said("In "), IMAGE, said(" and "), IMAGE, said(" how many?")]


def test_a_question_may_begin_and_end_with_a_mark():
    (message,) = chat_messages(prompt("<image>or<image>", images=2), system="")
    assert message["content"] == [IMAGE, said("or"), IMAGE]


@pytest.mark.parametrize(
    ("question", "images"), [("<image>?", 0), ("<image>?", 2), ("<image><image>?", 1)]
)
def test_another_number_of_marks_than_images_is_refused(question, images):
    with pytest.raises(
        DataError,
        match=rf"prompt 'p': the question marks \d images with <image>, the prompt has {images}",
    ):
        chat_messages(prompt(question, images=images), system="")


def test_a_prompt_without_images_is_its_text_alone():
    (message,) = chat_messages(prompt(), system="")
    assert message["content"] == [said("How many?")]


def test_the_blind_control_has_neither_images_nor_marks():
    marked = chat_messages(prompt("Count in <image>.", images=1), system="", with_images=False)
    plain = chat_messages(prompt(images=2), system="", with_images=False)
    assert (marked[0]["content"], plain[0]["content"]) == (
        [said("Count in .")],
        [said("How many?")],
    )


def test_the_system_prompt_comes_first():
    messages = chat_messages(prompt(), system="Be exact.")
    assert messages[0] == {"role": "system", "content": [said("Be exact.")]}


def test_options_are_lettered_after_the_question():
    assert user_text(prompt(choices=("one", "two", "three"))) == "How many? A) one B) two C) three"


def test_an_option_can_hold_the_mark_of_an_image():
    (message,) = chat_messages(
        prompt("Which?", images=2, choices=("<image>", "<image>")), system=""
    )
    assert message["content"] == [said("Which? A) "), IMAGE, said(" B) "), IMAGE]


def test_the_target_is_the_papers_format():
    assert (
        target_text(prompt(solution="1+2=3")) == "<think>1+2=3</think><answer>\\boxed{3}</answer>"
    )


def test_the_target_ends_in_what_the_reasoning_reached():
    slipped = prompt(solution="1+2=4", metadata={"final": "4"})
    assert target_text(slipped).endswith("<answer>\\boxed{4}</answer>")


def test_a_short_target_is_the_reference_answer():
    assert target_text(prompt(solution="1+2=4", metadata={"final": "4"}), short=True) == "3"


def test_a_prompt_without_reasoning_cannot_teach_it():
    with pytest.raises(DataError, match="prompt 'p' has no 'solution'"):
        target_text(prompt())
