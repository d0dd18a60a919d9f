"""What is read in a question, by hand; and that edits of punctuation change none of it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vasari.curate.match.question_text import (
    answer_key,
    answers_conflict,
    band_keys,
    containment,
    jaccard,
    read_question,
)
from vasari.records import Prompt


@pytest.mark.parametrize(
    ("text", "numbers", "symbols"),
    [
        ("Find x.", (), ("x",)),
        ("If A B = 1,200.50 and BC = 7, find m \\angle 1.", ("1", "1200.5", "7"), ("AB", "BC")),
        ("A triangle has sides 3, 3 and 4.", ("3", "3", "4"), ()),
        ("Let J K be the midsegment of A Q T B.", (), ("AQTB", "JK")),
        ("find cos(TSR).", (), ("RST",)),
        ("Is a circle round?", (), ()),
        ("J, K and LM; m AB, then m", (), ("AB", "JK", "LM", "m")),
        ("", (), ()),
    ],
)
def test_numbers_and_symbols_of_a_question(text, numbers, symbols):
    found = read_question(text)
    assert (found.numbers, found.symbols) == (numbers, symbols)


def test_a_name_and_its_reverse_are_one_but_another_order_is_another_angle():
    assert (
        read_question("angle TSR").symbols
        == read_question("angle RST").symbols
        != read_question("angle SRT").symbols
    )


@given(
    st.lists(st.sampled_from(["Find", "the", "area", "of", "AB", "x", "12", "3.5"]), max_size=12),
    st.data(),
)
def test_other_punctuation_between_the_words_changes_nothing(words, data):
    marks = data.draw(
        st.lists(
            st.sampled_from([" ", "; ", " - ", "! ", " ? "]),
            min_size=len(words),
            max_size=len(words),
        )
    )
    edited = "".join(word + mark for word, mark in zip(words, marks, strict=True))
    assert read_question(edited).words == read_question(" ".join(words)).words
    assert read_question(edited).numbers == read_question(" ".join(words)).numbers


def test_similarity_counts_words_and_pairs_of_words():
    # {find, x, find-x} and {find, y, find-y}: 1 of 5 shared; 1 of the 3 of the first.
    left, right = read_question("Find x."), read_question("find y")
    assert (jaccard(left, right), containment(left.shingles, right.shingles)) == (
        pytest.approx(1 / 5),
        pytest.approx(1 / 3),
    )


def test_a_letter_is_compared_by_its_option_and_a_number_by_its_value():
    def key(answer, choices=None):
        return answer_key(Prompt(id="p", question="", answer=answer, choices=choices))

    assert key("B", ("3", "1,000.0")) == key("A", ("1000", "7")) == key(" 1000 ") == "1000"
    assert key("2 * SQRT(3)") == key("$2\\times\\sqrt{3}$") == key("2 × √3")
    assert key("-0.50") == key("−1/2") == key("-\\frac{1}{2}")
    assert key("145°") == key("145 degrees") == key("145^\\circ") == key("145")
    assert len({key("2, 3"), key("23"), key("2"), key("5 cm"), key("5 m")}) == 5
    assert answer_key(Prompt(id="p", question="Which?\n(A) 3\n(B) 4", answer="(B)")) == "4"


@pytest.mark.parametrize(
    ("left", "right", "conflict"),
    [
        ("10", "11", True),
        ("10.04", "10", False),
        ("2*sqrt(3)", "3.46", False),  # 3.4641
        ("2√3 cm", "3.46", False),
        ("4/5", "3/5", True),
        ("4/5", "0.8", False),
        ("6*pi", "-6*pi", True),
        ("6π", "18.85", False),  # 18.8496
        ("145°", "145", False),
        ("x+1", "x+2", False),
        ("1/0", "2", False),
        ("", "2", False),
    ],
)
def test_only_numbers_that_differ_conflict(left, right, conflict):
    keys = [answer_key(Prompt(id="p", question="", answer=text)) for text in (left, right)]
    assert answers_conflict(*keys) == conflict


def test_equal_texts_share_all_bands_and_different_ones_none():
    texts = [
        read_question(t)
        for t in (
            "The sum of 3 and 4 is wanted",
            "the sum of 3, and 4, is wanted.",
            "Draw a cat",
            "",
        )
    ]
    keys = band_keys(texts)
    assert keys.shape == (4, 16)
    assert np.array_equal(keys[0], keys[1])
    assert not (keys[0] == keys[2]).any()


@pytest.mark.slow
def test_bands_catch_pairs_as_often_as_their_formula_says():
    # Two texts of 40 different words that share the first 30: 30 + 29 of 40 + 39 shingles each, so
    # s = 59 / (79 + 79 - 59) = 0.596 and 1 - (1 - 0.596^4)^16 = 0.884; its standard error over 400
    # pairs is 0.016.
    caught = 0
    for trial in range(400):
        words = [
            "".join(chr(97 + int(digit)) for digit in f"{trial:03d}{place:02d}")
            for place in range(50)
        ]
        keys = band_keys(
            [read_question(" ".join(words[:40])), read_question(" ".join(words[:30] + words[40:]))]
        )
        caught += bool((keys[0] == keys[1]).any())
    assert abs(caught / 400 - 0.884) < 0.06
