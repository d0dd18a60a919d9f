"""MathRuler's rule, plain formulas, the paper's and our protocol: hand-worked cases."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vasari.core.errors import ConfigError
from vasari.evaluate.protocols import PROTOCOLS, read_row, scoring_protocol
from vasari.evaluate.protocols.mathruler import boxed_answer, is_equal
from vasari.evaluate.protocols.paper import paper_undecided, paper_verdict
from vasari.evaluate.protocols.plain_expression import (
    NotPlainError,
    are_equal,
    parse_plain,
    with_products,
)
from vasari.evaluate.protocols.vasari_rule import repair, vasari_verdict
from vasari.records import Outcome, Verdict
from vasari.verify.limits import LimitExceededError


def output(response: str, answer: object, **fields):
    return read_row(
        {"benchmark": "mathvista", "id": "1", "response": response, "answer": answer, **fields}
    )


@pytest.mark.parametrize(
    ("first", "second", "equal"),
    [
        ("2*x + 1", "1 + x*2", True), ("(x+1)**2", "x**2 + 2*x + 1", True), ("(x+1)**2", "x**2 + 1", False),
        ("1/(x-1) - 1/(x+1)", "2/(x**2-1)", True), ("sqrt(8)", "2*sqrt(2)", True), ("sin(x)**2 + cos(x)**2", "1", True),
        ("x", "y", False), ("1/0", "1/0", False), ("0.1 + 0.2", "0.3", True), ("-2**2", "-4", True),
    ],
)  # fmt: skip
def test_plain_formulas_are_equal_where_they_agree_everywhere(first, second, equal):
    assert are_equal(parse_plain(first), parse_plain(second)) is equal
    assert are_equal(parse_plain(second), parse_plain(first)) is equal


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x = 1",
        "__import__('os')",
        "x.y",
        "[1]",
        "'a'",
        "x if x else 1",
        "lambda: 1",
        "True",
        "f(x)",
        "sin(1, 2)",
        "1;2",
    ],
)
def test_what_is_no_plain_formula_is_refused(text):
    with pytest.raises(NotPlainError):
        parse_plain(text)


@pytest.mark.parametrize(
    "text", ["9**9**9**9", "(((9**999)**999)**999)", "(" * 400 + "1" + ")" * 400, "1+" * 400 + "1"]
)
def test_a_plain_bomb_is_a_limit(text):
    with pytest.raises((LimitExceededError, NotPlainError)):
        are_equal(parse_plain(text), parse_plain("x"))


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ("2x", "2*x"),
        ("2(x+1)", "2*(x+1)"),
        ("xy", "x*y"),
        ("2sqrt(3)", "2*sqrt(3)"),
        ("2pi", "2*pi"),
    ],
)
def test_factors_side_by_side_get_a_star(text, spelled):
    assert with_products(text) == spelled


@pytest.mark.parametrize(
    ("found", "answer", "equal"),
    [
        # Only in lowest terms.
        ("5", "5.0", True), ("1/2", "0.5", True), ("0.5", "\\frac12", True), ("2/4", "1/2", False),
        ("5.5", "5", False), ("5", "10/2", False),  # An integer wants an integer.
        ("2x+1", "1+2x", True), ("\\sqrt{8}", "2\\sqrt{2}", True), ("(1,2)", "(1, 2)", True), ("(1,2)", "[1,2]", False),
        ("(1,2)", "(2,1)", False), ("3 cm", "3", True), ("1,000", "1000", True), ("1,000,000", "1000000", True),
        ("\\text{Yes}", "yes", True), ("30^\\circ", "30", True), ("x=5", "5", True), ("no", "yes", False), ("", "1", False),
        # Powers of two digits are not read.
        ("7 3/4", "31/4", True), ("x^2", "x*x", True), ("x^10", "x^10+0", False),
    ],
)  # fmt: skip
def test_mathruler_compares_so(found, answer, equal):
    assert is_equal(found, answer) is equal


@given(st.text(max_size=60))
def test_mathruler_finds_every_answer_equal_to_itself(text):
    assert is_equal(text, text)


def test_the_last_closed_box_is_the_answer():
    assert boxed_answer(r"\boxed{1} then \boxed{\frac{1}{2}}") == r"\frac{1}{2}"
    assert boxed_answer(r"\boxed{1} then \boxed{2") is None
    assert boxed_answer("none") is None


CHOICES = {"choices": ["cat", "dog", "B"], "question_type": "multi_choice"}


@pytest.mark.parametrize(
    ("response", "answer", "outcome", "rule"),
    [
        (r"\boxed{B}", "dog", "correct", "letter"), (r"\boxed{(B) dog}", "dog", "correct", "letter"),
        (r"\boxed{cat}", "cat", "correct", "option_text"), (r"\boxed{dogs}", "dog", "correct", "nearest_option"),
        (r"\boxed{C}", "B", "correct", "letter"),  # The option that reads "B" is C.
        ("I weigh the two.\nHard to say.", "dog", "incorrect", "no_answer"),
        (r"\boxed{A}", "bird", "unverifiable", "reference"),
    ],
)  # fmt: skip
def test_the_paper_takes_the_most_similar_option(response, answer, outcome, rule):
    verdict = paper_verdict(output(response, answer, **CHOICES))
    assert (verdict.outcome.value, verdict.decided_by) == (outcome, rule)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("response", "answer", "outcome", "rule"),
    [
        (r"\boxed{\frac{1}{2}}", "0.5", "correct", "math_verify"), (r"\boxed{3 cm}", "3", "correct", "math_verify"),
        (r"\boxed{red}", "Red", "correct", "math_verify"), (r"\boxed{7}", "8", "incorrect", "math_verify"),
        ("So the answer is 7.", "7", "correct", "math_verify"), ("no idea", "7", "incorrect", "no_answer"),
    ],
)  # fmt: skip
def test_the_paper_asks_math_verify_first(response, answer, outcome, rule):
    verdict = paper_verdict(output(response, answer))
    assert (verdict.outcome.value, verdict.decided_by) == (outcome, rule)


def test_a_judge_may_be_asked_where_an_answer_names_no_option_but_not_where_it_names_another():
    unclear, wrong = (
        output(r"\boxed{the barking one}", "dog", **CHOICES),
        output(r"\boxed{A}", "dog", **CHOICES),
    )
    assert paper_undecided(unclear, Verdict(Outcome.INCORRECT, "the barking one", "nearest_option"))
    assert not paper_undecided(wrong, paper_verdict(wrong))


def test_an_option_that_reads_like_a_label_is_no_label():
    # The reference "B" is the text of option C.
    assert vasari_verdict(output(r"\boxed{C}", "B", **CHOICES)).outcome is Outcome.CORRECT
    assert vasari_verdict(output(r"\boxed{A}", "B", **CHOICES)).outcome is Outcome.INCORRECT


def test_options_with_one_text_are_one_option():
    twice = {"choices": ["9", "12", "18", "18"], "question_type": "multi_choice"}
    assert vasari_verdict(output(r"\boxed{D}", "18", **twice)).outcome is Outcome.CORRECT
    assert vasari_verdict(output(r"\boxed{C}", "18", **twice)).outcome is Outcome.CORRECT
    assert vasari_verdict(output(r"\boxed{B}", "18", **twice)).outcome is Outcome.INCORRECT


@pytest.mark.parametrize(
    ("response", "answer", "fields", "outcome"),
    [
        (r"\boxed{0.94}", "0.9", {"answer_type": "float", "precision": 1}, "correct"),
        # Rounds to 1.0.
        (r"\boxed{0.96}", "0.9", {"answer_type": "float", "precision": 1}, "incorrect"),
        (r"\boxed{1.25}", "1.25", {"answer_type": "float", "precision": 2}, "correct"),
        (r"\boxed{[0, 2, 0, 1]}", "[0, 2, 0, 1]", {"answer_type": "list"}, "correct"),
        (r"\boxed{2, 0, 0, 1}", "[0, 2, 0, 1]", {"answer_type": "list"}, "incorrect"),
        (r"\boxed{1}, \boxed{2}", ["1", "2"], {}, "correct"), (r"\boxed{2}, \boxed{1}", ["1", "2"], {}, "incorrect"),
        (r"\boxed{2}", ["1", "2"], {}, "incorrect"), ("none", ["1", "2"], {}, "incorrect"),
        (r"\boxed{\frac{36}{13}}", "\x0crac{36}{13}", {}, "correct"), (r"\boxed{B, D}", "B, D", {}, "correct"),
        (r"\boxed{B}", "B, D", {}, "incorrect"), (r"\boxed{7}", "", {}, "unverifiable"),
    ],
)  # fmt: skip
def test_the_fields_of_a_row_become_arguments_of_the_verifier(response, answer, fields, outcome):
    assert vasari_verdict(output(response, answer, **fields)).outcome.value == outcome


@pytest.mark.parametrize(
    ("damaged", "whole"),
    [
        ("\x0crac{1}{2}", "\\frac{1}{2}"),
        ("2\times3", "2\\times3"),
        ("a\tb", "a\tb"),
        ("x\right)", "x\\right)"),
    ],
)
def test_backslashes_eaten_by_an_escape_come_back(damaged, whole):
    assert repair(damaged) == whole


def test_an_unknown_protocol_is_named():
    with pytest.raises(
        ConfigError, match=r"protocol must be one of official, paper, vasari, .*; got 'offical'"
    ):
        scoring_protocol("offical")


@pytest.mark.parametrize("name", ["official", "vasari"])
@given(response=st.text(max_size=80), answer=st.text(min_size=1, max_size=20))
def test_no_text_makes_a_protocol_raise(name, response, answer):
    row = {
        "benchmark": "mathvision",
        "id": "1",
        "response": response,
        "answer": answer,
        "choices": ["1", "2"],
    }
    assert PROTOCOLS[name].verdict(read_row(row)).outcome in Outcome
