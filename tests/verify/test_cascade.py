"""Laws of `verify_answer`, whatever a rollout may hold."""

from __future__ import annotations

import json
import random
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vasari.core.errors import ConfigError
from vasari.records import Outcome
from vasari.verify import infer_kind, verify_answer
from vasari.verify.numbers import parse_number

KINDS = ["number", "choice", "text", "set", "expression", None]
words = st.text("abcdefghijklmnopqrstuvwxyz", min_size=3, max_size=10)
integers = st.integers(-(10**12), 10**12)
numbers = st.one_of(
    integers.map(str),
    integers.map(lambda value: f"{value:,}"),
    st.decimals(-1000, 1000, places=3).map(lambda value: f"{value:f}"),
    st.tuples(integers, st.integers(1, 10**6)).map(
        lambda pair: rf"\frac{{{pair[0]}}}{{{pair[1]}}}"
    ),
    st.tuples(st.integers(0, 99), st.sampled_from([r"\%", "%", " cm", r"^\circ", " apples"])).map(
        lambda pair: f"{pair[0]}{pair[1]}"
    ),
)
sets = st.lists(words, min_size=1, max_size=6, unique=True).map(
    lambda items: "{" + ", ".join(items) + "}"
)
expressions = st.tuples(
    st.integers(1, 99),
    st.integers(2, 99),
    st.sampled_from(["{}*sqrt({})", r"{}\sqrt{{{}}}", "{}*pi/{}", "{}x^{}"]),
).map(lambda parts: parts[2].format(parts[0], parts[1]))
REFERENCES = {
    "number": numbers,
    "choice": st.sampled_from("ABCDE"),
    "text": words,
    "set": sets,
    "expression": expressions,
}
OPTIONS = ["red", "blue", "green", "yellow", "black"]

# Pieces that a hostile rollout is made of.
FRAGMENTS = [
    "<think>", "</think>", "<answer>", "</answer>", r"\boxed{", "}", "{", "(", ")", "[", "^", "9", "1e9", "!", r"\frac",
    r"\sqrt", "/", "0", ",", "%", "°", "the answer is ", "A", "(B)", " ", "\n", ".", "-", "$", r"\text{", "pi", "sin",
    " cm", "and", "=", "\x00", "\ud800", "½", "²",
]  # fmt: skip
hostile = st.lists(st.sampled_from(FRAGMENTS), max_size=60).map("".join)
# Any text but bare formulas, which would start the symbolic worker for each example.
kinds_without_worker = st.sampled_from(["number", "choice", "text", "set"])


@pytest.mark.parametrize("kind", ["number", "choice", "text", "set", "expression"])
@given(data=st.data())
def test_a_boxed_reference_verifies_against_itself(kind, data):
    reference = data.draw(REFERENCES[kind])
    choices = OPTIONS if kind == "choice" else None
    assert (
        verify_answer(rf"<answer>\boxed{{{reference}}}</answer>", reference, choices, kind).outcome
        is Outcome.CORRECT
    )


@pytest.mark.parametrize("kind", ["number", "choice", "text", "set", "expression"])
@given(data=st.data())
def test_a_boxed_reference_verifies_when_the_kind_is_inferred(kind, data):
    reference = data.draw(REFERENCES[kind])
    choices = OPTIONS if kind == "choice" else None
    assert verify_answer(rf"\boxed{{{reference}}}", reference, choices).outcome is Outcome.CORRECT


@given(st.sampled_from("ABCDE"), st.sampled_from("ABCDE"))
def test_a_letter_is_right_exactly_when_it_is_the_reference(said, reference):
    assert verify_answer(f"({said})", reference, OPTIONS).value == float(said == reference)


@given(integers, integers)
def test_an_integer_is_right_exactly_when_it_is_the_reference(said, reference):
    assert verify_answer(rf"\boxed{{{said}}}", str(reference)).value == float(said == reference)


@given(st.fractions(max_denominator=1000), st.integers(2, 50))
def test_a_fraction_may_be_expanded(value, factor):
    expanded = rf"\boxed{{\frac{{{value.numerator * factor}}}{{{value.denominator * factor}}}}}"
    assert (
        verify_answer(expanded, f"{value.numerator}/{value.denominator}", kind="number").outcome
        is Outcome.CORRECT
    )


@given(numbers, st.integers(0, 9))
def test_a_right_number_plus_a_digit_is_wrong(reference, digit):
    digits = [place for place, character in enumerate(reference) if character.isdigit()]
    longer = reference[: digits[-1] + 1] + str(digit) + reference[digits[-1] + 1 :]
    # 0 and 00 are one number, 1.50 is 1.500, and beyond six digits a decimal has its tolerance.
    before, after = parse_number(reference), parse_number(longer)
    if before is not None and (
        after is None or abs(before.value - after.value) > Fraction(1, 10**6) * abs(before.value)
    ):
        assert (
            verify_answer(rf"\boxed{{{longer}}}", reference, kind="number").outcome
            is Outcome.INCORRECT
        )


@given(
    st.sampled_from("ABCDEFGHIJ"),
    st.sampled_from(["{}", "({})", r"\boxed{{{}}}", "The answer is {}.", "{}. because", "{})"]),
)
def test_every_letter_but_the_key_is_wrong_in_every_form(key, form):
    options = [f"option number {number}" for number in range(10)]
    right = [
        letter
        for letter in "ABCDEFGHIJ"
        if verify_answer(form.format(letter), key, options).outcome is Outcome.CORRECT
    ]
    assert right == [key]


@given(integers, integers)
def test_two_numbers_are_equal_in_either_order(left, right):
    assert (
        verify_answer(rf"\boxed{{{left}}}", str(right)).outcome
        is verify_answer(rf"\boxed{{{right}}}", str(left)).outcome
    )


def test_a_seeded_fuzzer_never_makes_it_raise():
    rng = random.Random(4)
    golden = (
        (Path(__file__).parents[1] / "golden" / "verify.jsonl")
        .read_text(encoding="utf-8")
        .splitlines()
    )
    rows = [
        json.loads(line)
        for line in golden
        if '"symbolic"' not in line and '"expression"' not in line
    ]
    for _ in range(1500):
        row, other = rng.choice(rows), rng.choice(rows)
        text = row["response"][:300]
        place, stop = sorted((rng.randrange(len(text) + 1), rng.randrange(len(text) + 1)))
        piece = rng.choice(
            [
                other["response"][:40],
                rng.choice(FRAGMENTS),
                chr(rng.randrange(0x3000)),
                text[place:stop] * 3,
            ]
        )
        kind = rng.choice(["number", "choice", "text", "set"])
        assert (
            verify_answer(
                text[:place] + piece + text[stop:], row["answer"], row["choices"], kind
            ).outcome
            in Outcome
        )


@given(st.integers(1, 10**6))
def test_a_number_is_never_its_percentage(value):
    assert verify_answer(rf"\boxed{{{value}\%}}", str(value)).outcome is Outcome.INCORRECT


@given(st.lists(words, min_size=2, max_size=6, unique=True), st.randoms(use_true_random=False))
def test_the_order_of_a_set_does_not_matter_but_its_items_do(items, random):
    shuffled = random.sample(items, len(items))
    reference = ", ".join(items)
    assert (
        verify_answer(rf"\boxed{{{', '.join(shuffled)}}}", reference, kind="set").outcome
        is Outcome.CORRECT
    )
    assert (
        verify_answer(rf"\boxed{{{', '.join(shuffled[1:])}}}", reference, kind="set").outcome
        is Outcome.INCORRECT
    )


@given(st.sampled_from(OPTIONS), st.sampled_from("ABCDE"))
def test_what_is_only_thought_never_counts(text, letter):
    verdict = verify_answer(
        rf"<think>The answer is {text}, \boxed{{{letter}}}.</think>", letter, OPTIONS
    )
    assert (verdict.outcome, verdict.decided_by) == (Outcome.INCORRECT, "no_answer")


@given(st.lists(st.integers(0, 99), min_size=2, max_size=20, unique=True), st.data())
def test_boxing_several_answers_in_one_block_never_pays(values, data):
    reference = data.draw(st.sampled_from(values))
    block = " ".join(rf"\boxed{{{value}}}" for value in values)
    verdict = verify_answer(f"<answer>{block}</answer>", str(reference))
    assert (verdict.outcome, verdict.decided_by) == (Outcome.INCORRECT, "ambiguous")


@settings(max_examples=150)
@given(st.text(max_size=2000), kinds_without_worker, st.sampled_from([None, OPTIONS]))
def test_no_text_makes_it_raise(text, kind, choices):
    reference = {"number": "7", "choice": "A", "text": "circle", "set": "{red, blue}"}[kind]
    assert verify_answer(text, reference, choices, kind).outcome in Outcome


@settings(max_examples=200)
@given(hostile, kinds_without_worker)
def test_no_pile_of_fragments_makes_it_raise(text, kind):
    reference = {"number": "7", "choice": "A", "text": "circle", "set": "{red, blue}"}[kind]
    assert verify_answer(text, reference, kind=kind).outcome in Outcome


@settings(max_examples=150)
@given(hostile, st.sampled_from([None, OPTIONS]), kinds_without_worker)
def test_no_reference_makes_it_raise(reference, choices, kind):
    assert verify_answer(r"\boxed{7}", reference, choices, kind).outcome in Outcome


@given(st.text(max_size=200))
def test_every_text_has_a_kind(text):
    assert infer_kind(text) in KINDS[:-1]


@pytest.mark.parametrize(
    "unit",
    [
        "a",
        "7",
        r"\boxed{",
        "{",
        "}",
        "<think>",
        "</think>",
        "<answer>",
        "the answer is ",
        "Answer:\n",
        r"\text{",
        " ",
        "(A) ",
        "1,",
        "9^",
    ],
)
@pytest.mark.parametrize("num_chars", [199_999, 1_000_000])
def test_a_megabyte_of_anything_returns_a_wrong_answer(unit, num_chars):
    response = (unit * (num_chars // len(unit) + 1))[:num_chars]
    assert verify_answer(response, "3", kind="number").outcome is Outcome.INCORRECT


def test_a_response_that_is_too_long_is_wrong_even_if_it_ends_right():
    verdict = verify_answer("x" * 200_000 + r"\boxed{3}", "3")
    assert (verdict.outcome, verdict.decided_by) == (Outcome.INCORRECT, "limit")


def test_the_extraction_is_the_answer_as_written():
    assert verify_answer(r"<answer>\boxed{ 7.0 }</answer>", "7").extraction == "7.0"


def test_an_unreadable_reference_says_why():
    assert "'many' is not a number" in verify_answer("7", "many", kind="number").reason


def test_no_options_are_the_same_as_none():
    assert verify_answer(r"\boxed{7}", "7", []).outcome is Outcome.CORRECT


@pytest.mark.parametrize(
    "bomb", ["9^{9^9}x", "9^9^9x", "x^{99999}", "(10^9)!x", "9999!x", "3!!x", "x+1e99999"]
)
def test_a_bomb_with_a_variable_never_reaches_the_symbolic_worker(bomb):
    verdict = verify_answer(rf"\boxed{{{bomb}}}", "(x+1)^2")
    assert (verdict.outcome, verdict.decided_by) == (Outcome.INCORRECT, "limit")
    assert "tower" in verdict.reason


@pytest.mark.parametrize("huge", ["7^999", "1e1000", "7^999/3"])
def test_an_exact_number_beyond_floats_is_a_limit_against_an_irrational_reference(huge):
    verdict = verify_answer(rf"\boxed{{{huge}}}", "2*sqrt(21)")
    assert (verdict.outcome, verdict.decided_by) == (Outcome.INCORRECT, "limit")


@settings(max_examples=150)
@given(hostile, st.sampled_from(["7", "1e1000", "2*sqrt(21)"]))
def test_no_formula_makes_a_constant_reference_raise(text, reference):
    assert verify_answer(text, reference, kind="number").outcome in Outcome


def test_an_unknown_kind_is_refused():
    with pytest.raises(ConfigError, match=r"kind must be one of .* got 'colour'"):
        verify_answer("7", "7", kind="colour")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("reference", "choices", "kind"),
    [
        ("7", None, "number"), ("21 cm", None, "number"), ("1,234", None, "number"), ("27/2", None, "number"),
        ("35°", None, "number"), ("B", None, "choice"), ("(B)", None, "choice"), ("blue", OPTIONS, "choice"),
        ("7", ["7", "8"], "choice"), ("circle", None, "text"), ("top-left", None, "text"), ("x", None, "expression"),
        ("red and blue", None, "text"), ("(1) 20 cm", None, "text"), ("red, blue", None, "set"), ("{1, 2}", None, "set"),
        (r"\{1, 2\}", None, "set"), ("2*sqrt(21)", None, "expression"), ("180*acos(13/15)/pi", None, "expression"),
        ("x^2+1", None, "expression"), ("[0,2]", None, "expression"), ("y=2x", None, "expression"), ("5x", None, "expression"),
        ("9π cm^2", None, "expression"),
    ],
)  # fmt: skip
def test_the_kind_of_a_reference_is_inferred(reference, choices, kind):
    assert infer_kind(reference, choices) == kind


@given(st.integers(1, 10**6), st.integers(1, 10**6))
def test_a_decimal_reference_allows_a_millionth_and_half_of_the_last_decimal(top, bottom):
    reference = f"{top / bottom:.12f}"
    for decimals in (3, 6, 9):
        found = f"{top / bottom:.{decimals}f}"
        gap = abs(Fraction(found) - Fraction(reference))
        half = Fraction(1, 2 * 10**decimals)
        right = gap <= Fraction(reference) / 10**6 and gap <= half
        verdict = verify_answer(rf"\boxed{{{found}}}", reference)
        assert (verdict.outcome is Outcome.CORRECT) == right
    far = Fraction(reference) + Fraction(11, 10**7) * max(1, Fraction(reference))
    verdict = verify_answer(rf"\boxed{{{far.numerator}/{far.denominator}}}", reference)
    assert verdict.outcome is Outcome.INCORRECT
