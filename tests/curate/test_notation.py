"""One thing in several notations is read alike, and other things stay other things."""

import gc
import string
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vasari.curate.match.exact_text import exact_text, split_options
from vasari.curate.match.notation import read_notation
from vasari.records import Prompt


def read(text):
    return " ".join(read_notation(text).tokens)


@pytest.mark.parametrize(
    "forms",
    [
        ("△ABC", "\\triangle ABC", "$\\triangle ABC$", "triangle ABC"),
        ("∠A = 80.0", "\\angle A = 80", "$\\angle A=80$", "angle A is equal to eighty"),
        ("m∠1 = 30°", "m \\angle 1 = 30^\\circ", "m angle 1 = 30^{\\circ}", "m ∠1 = 30 degrees"),
        ("AB ∥ CD", "AB // CD", "AB \\parallel CD", "AB || CD", "AB is parallel to CD"),
        ("AB ⊥ CD", "$AB\\perp CD$", "AB is perpendicular to CD", "AB perpendicular CD"),
        ("△ABC ≅ △DEF", "\\triangle ABC \\cong \\triangle DEF", "triangle ABC congruent to △DEF"),
        ("△ABC ∼ △DEF", "△ABC ∽ △DEF", "$\\triangle ABC \\sim \\triangle DEF$"),
        ("⊙O", "\\odot O", "circle O", "circles O"),
        ("1/2", "½", "\\frac{1}{2}", "$\\frac12$", "0.5", "one half", "\\dfrac{1}{2}"),
        ("2/3", "\\frac{2}{3}", "two thirds", "⅔"),
        ("2½", "2 1/2", "2.50"),
        ("√3", "√{3}", "\\sqrt{3}", "sqrt(3)", "the square root of 3"),
        ("\\frac{\\sqrt{3}}{2}", "(√3)/2", "\\tfrac{\\sqrt3}{2}"),
        ("x²", "x^2", "x^{2}", "x squared", "x**2"),
        ("4 cm²", "4 cm^2", "4 \\mathrm{~cm}^{2}", "4 square centimeters", "4 sq cm"),
        ("3 × 4", "3 \\times 4", "3 \\cdot 4", "3 * 4", "3*4", "3 times 4", "3 multiplied by 4"),
        ("x ≤ 3", "x \\leq 3", "x <= 3", "x is less than or equal to 3"),
        ("π r", "\\pi r", "pi r"),
        ("1,200.0", "1200", "１２００", "twelve hundred", "one thousand two hundred"),
        ("twenty-five", "25", "٢٥", "二十五"),
        ("$5", "5 dollars", "\\$5"),
        ("50%", "50 percent", "50\\%"),
        ("It’s “A”", 'It\'s "A"'),
        ("Rt△ABC", "Rttriangle ABC", "right triangle ABC"),
        ("7 + ? = 9", "7 + __ = 9", "7 + □ = 9", "7 + ( ) = 9"),
        ("12 - 5 = ?", "12 − 5", "12 - 5 ="),
        ("三角形ABC中，∠A＝50度", "△ABC中, ∠A = 50°"),
        ("x\u200b +\u00a0y", "x + y"),
    ],
)
def test_notations_of_one_thing(forms):
    assert {form: read(form) for form in forms} == dict.fromkeys(forms, read(forms[0]))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("5 - 3", "5, 3"),
        ("5 - 3", "5 + 3"),
        ("find -5", "find 5"),
        ("(2 + 3) * 4", "2 + 3 * 4"),
        ("5!", "5"),
        ("3:4", "3 4"),
        ("3:45", "3.45"),
        ("1,2", "1.2"),
        ("1,234", "1, 234"),
        ("6/3", "8/4"),
        ("6/3", "2"),
        ("x^2", "x2"),
        ("x^{2x}", "x^2 x"),
        ("5%", "5"),
        ("$5", "5"),
        ("? - 5 = 3", "5 - ? = 3"),
        ("A ∪ B", "A ∩ B"),
        ("f'(x)", "f(x)"),
        ("don't", "do"),
        ("√(x+1)", "√x + 1"),
        ("x < 3", "x ≤ 3"),
        ("का", "की"),
        ("a ≠ b", "a = b"),
        ("between two hundred and five hundred", "between 205 hundred"),
        ("|x - 3|", "x - 3"),
        ("∠ABC", "△ABC"),
        ("2 @ 3", "2 # 3"),
        ("100 度", "100 米"),
    ],
)
def test_other_things_stay_others(one, other):
    assert read(one) != read(other)


def test_numbers_in_words_are_told_apart_from_digits():
    found = read_notation("two lines and 3 of forty-two points, five hundred and six in all")
    assert found.spelled == ("2", "42", "506")
    assert [word for word in found.tokens if word[0].isdigit()] == ["2", "3", "42", "506"]


@pytest.mark.parametrize(
    ("text", "question", "options"),
    [
        ("Which?\n(A) 3 (B) 4", "Which?", ("3", "4")),
        ("Which?\nChoices:\nA:3\nB:4\nAnswer with the letter.", "Which?\nChoices:", ("3", "4")),
        ("Which? A. red B. blue C. green", "Which?", ("red", "blue", "green")),
        ("Is A) bigger?", "Is A) bigger?", None),
        ("Vitamin A. It helps.", "Vitamin A. It helps.", None),
    ],
)
def test_options_at_the_end_of_a_question(text, question, options):
    found = split_options(text)
    assert (found[0].split("\nAnswer")[0].strip(), found[1]) == (question, options)


@pytest.mark.parametrize(
    "around",
    [
        "Please answer the following question. {}",
        "{}\nPlease think step by step.",
        "Question: {} Put your final answer in \\boxed{{}}.",
        "{} Answer the question using a single word or phrase.",
        "{}\nAnswer with the option's letter from the given choices directly.",
        "Could you please solve this problem step by step? {} Show your work.",
    ],
)
def test_instructions_around_a_question_do_not_count(around):
    question = "Anna has 5 apples and gives 3 to Ben. How many are left?"
    plain, wrapped = (
        exact_text(Prompt(id="", question=text, answer="2"), "2")
        for text in (question, around.format(question))
    )
    assert plain == wrapped


@settings(max_examples=50)
@given(st.text(max_size=100))
def test_any_text_is_read(text):
    tokens = read_notation(text).tokens
    assert all(tokens)
    assert all(not token.isspace() for token in tokens)


@settings(max_examples=50)
@given(st.text(alphabet=string.printable + "△∠½²√\\{}$^_一二十百万", max_size=100))
def test_signs_in_any_order_are_read_again_alike(text):
    assert read_notation(text) == read_notation(text + " ")


SIZE = 200_000


@pytest.mark.slow
@pytest.mark.parametrize(
    "part",
    [
        "a", "a ", "1", "1 ", ",", "1,", "1,111,", ",111", "$", "$1", "{", "}", "(", "( ", "\\frac{",
        "\\frac", "\\sqrt{", "\\", "^", "-", "- ", " -", "*", "\n*", "\n", " ", "_", "_ ", "?", "? ",
        "'", "a'", "/", "1/", "//", "||", "|", "!", "1!", ":", "1:", "½", "²", "△", "一", "万", "十",
        "one ", "hundred ", "one hundred and ", "twenty-", "A. ", "(A) B) ", "A. x B. y ", "answer ",
        "please ", "Question: ", "= ", "a\u0301", "\u200b", "\ue000", "\ud800", "٣", "equal ", "the ",
        "square root ", "sin", "Rt", "2 1/2 ", "@", "#1", "A B ", "f(", "(1+", "\\frac{1+", "^{x", "{x ","\x00", "\r",
    ],
)  # fmt: skip
def test_long_texts_of_one_sign_are_read_in_linear_time(part):
    def seconds(count):
        opened = part * (count // len(part))
        text = opened + (")" if "(" in part else "}") * (count // len(part))
        started = time.process_time()
        exact_text(Prompt(id="", question=text, answer="1"), "1")
        return time.process_time() - started

    def grows_linearly():
        # 16 times as much takes about 16 times as long; a square would take 256 times as long.
        return seconds(SIZE) < 80 * max(seconds(SIZE // 16), 0.01)

    # The garbage of other tests, collected in between, is not this one's time; what another process
    # does to the processor's cache may happen once, and not three times.
    gc.disable()
    try:
        assert grows_linearly() or grows_linearly() or grows_linearly()
    finally:
        gc.enable()
