"""Form, language, length and repetition of a rationale, by rule."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vasari.curate.ask.rationale_checks import (
    Rationale,
    is_cut_off,
    is_language,
    read_rationale,
    repeated_share,
    words_of,
)

plain = st.text(
    st.characters(blacklist_categories=("Cs",), blacklist_characters="<>|"), max_size=60
)


@given(plain.map(lambda text: "a" + text), plain, st.sampled_from(["", " ", "\n\n"]))
def test_what_is_written_in_the_form_is_read_back(thought, answer, space):
    text = f"{space}<think>{thought}</think>{space}<answer>{answer}\\boxed{{1}}</answer>{space}"
    assert read_rationale(text) == Rationale(thought.strip(), f"{answer}\\boxed{{1}}".strip())


@given(plain.map(lambda text: "a" + text), plain, st.integers(0, 200))
def test_no_part_of_the_form_passes_for_the_whole(thought, answer, cut):
    text = f"<think>{thought}</think><answer>{answer}\\boxed{{1}}</answer>"
    assert read_rationale(text[: min(cut, len(text) - 1)]) is None


@pytest.mark.parametrize(
    "text",
    [
        "<answer>\\boxed{1}</answer><think>a</think>",
        "<think>a</think><think>b</think><answer>\\boxed{1}</answer>",
        "<think>a<answer>\\boxed{1}</answer></think>",
        "<think>a</think>so<answer>\\boxed{1}</answer>",
        "<think>see <image></think><answer>\\boxed{1}</answer>",
        "<think>a<|im_end|></think><answer>\\boxed{1}</answer>",
        "<think>a</think><answer>1</answer>",
        "<think> </think><answer>\\boxed{1}</answer>",
    ],
)
def test_another_form_is_not_read(text):
    assert read_rationale(text) is None


def test_tags_may_be_written_in_capitals():
    assert read_rationale("<Think>a</Think><ANSWER>\\boxed{1}</ANSWER>") == Rationale(
        "a", "\\boxed{1}"
    )


def test_a_text_of_a_million_tags_is_refused_at_once():
    started = time.process_time()
    assert read_rationale("<think>" + "</think><answer>" * 40_000 + "</answer>" * 40_000) is None
    assert time.process_time() - started < 2


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("<think>a", True),
        ("<think>a</think><answer>b", True),
        ("<think>a</think>", False),
        ("no tags", False),
    ],
)
def test_a_text_that_ends_within_a_block_is_cut_off(text, cut):
    assert is_cut_off(text) is cut


def test_words_are_counted_as_a_person_counts_them():
    assert words_of("It's 3.5 cm, so x = 7") == ["It's", "3", "5", "cm", "so", "x", "7"]


def test_each_character_counts_where_words_have_no_spaces():
    assert words_of("面积是 12 cm") == ["面", "积", "是", "12", "cm"]


def test_a_passage_that_is_said_three_times_is_two_thirds_repeated():
    # Passages of 2 words in "a b c" three times over: ab bc ca ab bc ca ab bc; 3 of 8 are
    # different.
    assert repeated_share([*"abc", *"abc", *"abc"], n=2) == 1 - 3 / 8


@given(st.lists(st.sampled_from("abc"), max_size=40), st.integers(1, 5))
def test_repetition_is_a_share_and_grows_when_all_is_said_again(words, n):
    once, twice = repeated_share(words, n), repeated_share([*words, *words], n)
    assert 0 <= once <= 1
    # Of 2m - n + 1 passages at most m are different, the seam included; of m - n + 1 so many as
    # before.
    assert len(words) < n or twice >= once


@given(st.permutations([f"w{i}" for i in range(30)]))
def test_different_words_repeat_nothing(words):
    assert repeated_share(words) == 0.0


@pytest.mark.parametrize(
    ("text", "language", "share"),
    [
        ("The area is 12.", "en", 1.0),
        ("abcдж", "en", 3 / 5),
        ("面积 \\frac{1}{2} \\pi r^2", "zh", 1.0),
        ("β + λ = 90°", "en", 1.0),
        ("12 + 3 = 15", "en", 1.0),
        ("𝑥 is the ＡＲＥＡ", "en", 1.0),  # noqa: RUF001  (letters that NFKC makes plain)
        ("ответ five", "ru", 1.0),
    ],
)
def test_the_script_of_a_text_is_that_of_its_letters(text, language, share):
    def passes(least):
        return is_language(text, language, min_script_share=least, min_function_words=0.0)

    assert passes(share)
    assert share == 1.0 or not passes(share + 0.01)


def language_of(text, language):
    return is_language(text, language, min_script_share=0.95, min_function_words=0.08)


ENGLISH = (
    "The red bar is three units tall and the blue bar is two units tall. To find the sum of the"
    " bars we add both, which gives five."
)
GERMAN = (
    "Der rote Balken ist drei Einheiten hoch und der blaue zwei. Wir addieren beide Werte und"
    " erhalten zusammen genau fünf, also lautet die Antwort fünf."
)
CHINESE = "红色的柱子高三个单位,蓝色的柱子高两个单位,所以两个柱子一共高五个单位。"
JAPANESE = "赤い棒の高さは三で、青い棒の高さは二です。合わせると五になります。"


@pytest.mark.parametrize(
    ("text", "languages"),
    [
        (ENGLISH, {"en", "latin", "any"}),
        (GERMAN, {"latin", "any"}),
        (CHINESE, {"zh", "any"}),
        (JAPANESE, {"ja", "any"}),
        (ENGLISH + CHINESE, {"any"}),
        ("3 + 2 = 5", {"en", "latin", "any"}),
    ],
)
def test_a_language_is_told_by_script_and_commonest_words(text, languages):
    assert {
        name
        for name in ("en", "latin", "zh", "ja", "ko", "ru", "ar", "any")
        if language_of(text, name)
    } == languages
