"""The value of a formula as MATH-V's scorer gets it, against hand arithmetic, Python's own, and
hostile text."""

from __future__ import annotations

import contextlib
import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vasari.evaluate.protocols.latex_tokens import FormulaError
from vasari.evaluate.protocols.latex_value import formula_value
from vasari.verify.limits import LimitExceededError


@pytest.mark.parametrize(
    ("formula", "value"),
    [
        ("12", 12), ("1,234", 1234), ("0.25", 0.25), ("-3", -3), ("--3", 3), ("+7", 7), ("2^10", 1024), ("2^{3}", 8),
        # Powers associate to the left in that grammar: (2^3)^2.
        ("2^3^2", 64), ("-2^2", -4), (r"\frac{1}{4}", 0.25), ("6/4", 1.5), ("3:2", 1.5), (r"6 \div 4", 1.5),
        # Factors side by side bind tighter than a division: 1/(2*4).
        ("1/2(4)", 0.125), (r"2\frac{1}{4}", 0.5), (r"2 \times 3", 6), (r"2\cdot3", 6), (r"\sqrt{16}", 4.0),
        (r"\sqrt[3]{27}", 3.0), (r"2\pi", 2 * math.pi), (r"\sin{\frac{\pi}{2}}", 1.0), (r"\sin^{2}(1)", math.sin(1) ** 2),
        (r"\tan^{-1}(1)", math.pi / 4), (r"\log_{2}(8)", 3.0), (r"\log(100)", 2.0), ("e^2", math.e**2), ("5!", 120),
        (r"\binom{5}{2}", 10), (r"{5\choose2}", 10), (r"20\%", 0.2), ("$7$", 7), ("{5}", 5), ("[5]", 5), (r"\left(5\right)", 5),
        (r"\lfloor2.5\rfloor", 2), ("x=5", 5), ("3<5", 1), (r"3 \geq 5", 0), (r"\tau", math.tau),
        # The grammar has no end mark: what fits nothing is left over.
        ("12)", 12), ("12.", 12), ("0.333...", 0.333), ("5&6", 5), ("1101_{2}", 1101), ("5'", 5),
    ],
)  # fmt: skip
def test_a_formula_has_the_value_that_eval_would_print(formula, value):
    assert formula_value(formula) == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize(
    ("formula", "kind"),
    [
        ("12", int),
        ("4.0", int),
        ("2^3", int),
        ("3!", int),
        ("6/2", float),
        (r"\frac{6}{2}", float),
        ("-3", int),
    ],
)
def test_only_a_division_turns_integers_into_floats(formula, kind):
    assert type(formula_value(formula)) is kind


@pytest.mark.parametrize(
    "formula",
    [
        "", "x", "5x", "5cm", "8~kg", "1,2", "1;2", "x+1", "5%", "60°", "|5|", "\\infty", "e", "e^{1}", r"\ln{2}", r"\cot{1}",
        "1/0", r"\sqrt{-1}", "(-8)^{1/3}", "2=2", "1<2<3", "(1", r"\frac12", r"\frac{1}{", "5+", "3(4", r"\operatorname{x}",
        "__import__('os')", "1 if 1 else 2", "π", "\uff15", "5\x00", r"\pm5", "\\", "2^", "1.5!", "a-a", "0x10",
    ],
)  # fmt: skip
def test_what_eval_would_choke_on_has_no_value(formula):
    with pytest.raises(FormulaError):
        formula_value(formula)


@pytest.mark.parametrize(
    "formula",
    [
        "9^{9^{9}}",
        "9^9^9^9^9",
        "99999!",
        "3!!!!",
        "(" * 500 + "1" + ")" * 500,
        "1" * 3000,
        "9" * 1500,
        r"\binom{99999}{5000}",
    ],
)
def test_a_bomb_is_a_limit_and_not_a_hang(formula):
    started = time.process_time()
    with pytest.raises((LimitExceededError, FormulaError)):
        formula_value(formula)
    assert time.process_time() - started < 1


@given(
    st.text(max_size=60) | st.text(alphabet="0123456789+-*/^{}()[],.!=<\\fracsqtpi ", max_size=40)
)
def test_any_text_has_a_value_or_none(text):
    with contextlib.suppress(FormulaError, LimitExceededError):
        assert math.isfinite(formula_value(text.lower()))


@given(st.recursive(st.integers(0, 50).map(str), lambda part: st.tuples(part, st.sampled_from("+-*"), part).map(
    lambda pair: f"({pair[0]}{pair[1]}{pair[2]})"), max_leaves=8))  # fmt: skip
def test_integer_arithmetic_is_exact(formula):
    def total(text: str) -> int:
        # Polynomials with integer coefficients, read by an independent shunting of brackets.
        text = text.removeprefix("(").removesuffix(")") if "(" in text else text
        depth = 0
        for place, character in enumerate(text):
            depth += {"(": 1, ")": -1}.get(character, 0)
            if depth == 0 and character in "+-*" and place:
                left, right = total(text[:place]), total(text[place + 1 :])
                return {"+": left + right, "-": left - right, "*": left * right}[character]
        return int(text)

    value = formula_value(formula)
    assert type(value) is int
    assert value == total(formula)
