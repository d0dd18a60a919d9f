"""What sentences state, and what they do not."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vasari.verify import phrases, verify_answer
from vasari.verify.prose import stated_option
from vasari.verify.prose_numbers import number_in, stated_number
from vasari.verify.questions import options_in_question

COLOURS = ("red", "dark blue", "blue", "green")
words = st.sampled_from(
    ["the", "a", "car", "is", "of", "left", "image", "has", "shown", "which", "more", "than", "bus"]
)
fillers = st.lists(words, min_size=1, max_size=12).map(" ".join)


@pytest.mark.parametrize(
    ("sentence", "number"),
    [
        ("So 3 + 4 = 7 apples.", "7"),
        ("There are 3 cars.", "3"),
        ("If x is 3, then y is 7.", "7"),
        ("Since AB = 8, the side is 12 cm.", "12 cm"),
        ("14 guests went more than 2 times.", "14"),
        ("In 2019 the wage was $1,234.50.", "$1,234.50"),
        ("The limit of f is 4, which is 2 more than before.", "4"),
        ("There are twelve eggs.", "12"),
        ("It grew by 5%.", "5%"),
        ("It fell to \u22123.", "-3"),
        ("Step 4 gives 9.", "9"),
        ("It is 2/3.", "2/3"),
    ],
)
def test_a_sentence_gives_its_number(sentence, number):
    assert number_in(sentence) == number


@pytest.mark.parametrize(
    "sentence",
    [
        "It is 6 to 8.",
        "It is 40-50.",
        "It is 1:2.",
        "I cannot tell which of the 3 it is.",
        "There is none.",
        "3 or 4",
        "A-847 won.",
        "x^2",
        "1, 2, 3, 4, 5, 6",
    ],
)
def test_a_sentence_without_one_number_gives_none(sentence):
    assert number_in(sentence) is None


@given(fillers, st.integers(0, 10**6))
def test_a_conclusion_counts_before_what_follows_it(filler, value):
    text = f"We look at {filler}. Therefore, the total is {value}. Thank you for reading {filler}."
    assert stated_number(text) == str(value)


@given(fillers, st.sampled_from("ABCD"))
def test_an_option_that_is_called_correct_is_stated(filler, letter):
    assert (
        stated_option(f"We look at {filler}.\nSo option ({letter}) is the correct answer.", COLOURS)
        == letter
    )


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("The wall is dark blue.", "B"),
        ("The wall is blue.", "C"),
        ("The blue wall hides the green one.", None),
        ("The wall is not blue.", None),
        ("It is bluegreen.", None),
        ("The colours were mixed. Thus, it is green.", "D"),
        ("(C) because it is so", "C"),
        ("C, since it is so.", "C"),
        ("All of A, B and C", None),
        ("(A) red\n(B) dark blue\n(C) blue\n(D) green", None),
        ("Option B is wrong.", None),
        ("I cannot choose between red and green.", None),
    ],
)
def test_prose_names_one_option_or_none(text, letter):
    assert stated_option(text, COLOURS) == letter


def test_options_are_read_from_a_question():
    question = "How much? Select from A, B and C. (A) 5 cm (B)6 cm,  (C) none (of these)"
    assert options_in_question(question) == ("5 cm", "6 cm", "none (of these)")


@pytest.mark.parametrize(
    "question", ["", "How much?", "(A) alone", "(A) x (C) y", "(A) (B) (C)", "(B) x (A) y"]
)
def test_a_question_without_a_list_of_options_has_none(question):
    assert options_in_question(question) is None


@pytest.mark.parametrize(
    "unit",
    [
        "Therefore, ",
        "is 7 ",
        "\n",
        " \n",
        "(A",
        "A, ",
        "not ",
        "7 to 8 ",
        "= 1 ",
        "so ",
        "A is ",
        "\n\nQuestion: ",
        "1. red\n",
        "- ",
        "the ",
    ],
)
@pytest.mark.parametrize("reference", [("7", None), ("B", COLOURS)])
def test_prose_of_two_hundred_thousand_characters_takes_no_time(unit, reference):
    text = (unit * 200_000)[:200_000]
    start = time.process_time()
    verify_answer(text, reference[0], reference[1])
    assert time.process_time() - start < 2.0


def test_only_percent_beside_the_answer_makes_percent_the_unit():
    said = [
        "\\boxed{5\\%}",
        "The percentage is \\boxed{5\\%}",
        "<think>in percent</think><answer>\\boxed{5\\%}</answer>",
    ]
    assert [verify_answer(text, "5").value for text in said] == [0.0, 1.0, 0.0]


@given(
    st.lists(
        st.one_of(
            words,
            st.sampled_from(
                [
                    "The answer is 5.",
                    "Answer: B",
                    "####",
                    "答案是3",
                    "\n",
                    "### Answer",
                    "the answer",
                    "Options",
                ]
            ),
        ),
        max_size=20,
    )
)
def test_phrases_are_found_from_the_end_as_from_the_start(pieces):
    text = " ".join(pieces)
    wanted = [match.span() for match in reversed(list(phrases._PHRASE.finditer(text)))]
    assert [match.span() for match in phrases._phrases_from_the_end(text)] == wanted


@given(
    st.lists(st.sampled_from("ABCD"), min_size=2, max_size=6).filter(lambda row: len({*row}) > 1)
)
def test_a_numbered_list_of_different_letters_states_none_of_them(row):
    lines = [f"{place}. {letter}" for place, letter in enumerate(row, start=1)]
    for text in (", ".join(lines), "\n".join(lines), "We see:\n" + "\n".join(lines)):
        for answer in "ABCD":
            assert verify_answer(text, answer, COLOURS).outcome.value != "correct"
            assert verify_answer(text, answer, kind="choice").outcome.value != "correct"


@given(fillers, st.sampled_from("ABCD"), st.sampled_from("ABCD"))
def test_a_first_sentence_with_label_and_text_counts_before_words_behind_it(
    filler, said, mentioned
):
    text, other = COLOURS["ABCD".index(said)], COLOURS["ABCD".index(mentioned)]
    response = f"The paint of the wall is ({said}) {text}. We look at {filler}. Beside it is {other} paint."
    assert stated_option(response, COLOURS) == said


@pytest.mark.parametrize("quotes", ["''", '""', "\u2018\u2019", "\u201c\u201d"])
def test_quoted_numbers_are_numbers(quotes):
    left, right = quotes
    sentence = f"So it is {left}7{right} - {left}3{right} = {left}4{right}."
    assert number_in(sentence) == "4"


@pytest.mark.parametrize(
    "bound",
    [
        "or higher",
        "or greater",
        "or larger",
        "cm or longer",
        "or lower",
        "years or older",
        "at least",
    ],
)
def test_a_bound_behind_the_number_is_not_the_number(bound):
    assert verify_answer(f"The answer is 5 {bound}.", "5").outcome.value == "incorrect"
