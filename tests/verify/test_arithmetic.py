"""The arithmetic parser against closed forms, Fraction and published expressions."""

from __future__ import annotations

import json
import math
import os
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vasari.verify import verify_answer
from vasari.verify.arithmetic import NotArithmeticError, evaluate
from vasari.verify.limits import LimitExceededError

DATA = os.environ.get("VASARI_DATA")


@given(st.integers(-999, 999), st.integers(-999, 999), st.integers(1, 999))
def test_rational_arithmetic_is_exact(a, b, c):
    assert evaluate(f"({a}) + ({b})*({a})/{c} - {c}") == a + Fraction(b * a, c) - c


@given(st.integers(0, 10**6))
def test_the_root_of_a_square_is_exact(value):
    assert evaluate(rf"\sqrt{{{value * value}}}") == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2*sqrt(21)", 2 * math.sqrt(21)), ("180*acos(13/15)/pi", math.degrees(math.acos(13 / 15))), ("9π", 9 * math.pi),
        (r"\frac{29\sqrt{133}}{2}", 14.5 * math.sqrt(133)), (r"\sin 30°", 0.5), (r"\sin^2(\frac{\pi}{6})", 0.25),
        (r"\sin^{2}{1}", math.sin(1) ** 2), (r"\sqrt[3]{27}", 3.0), ("√3/2", math.sqrt(3) / 2), ("e^2", math.e**2),
        ("ln(e)", 1.0), (r"2 \cdot 3", 6), (r"6 \div 4", 1.5), ("-2^2", -4), ("2^-1", 0.5), ("2^3^2", 512), ("4!", 24),
        ("--3", 3), (r"2\frac{1}{3}", 7 / 3), (r"\frac12", 0.5), ("(1+2)(3)", 9), ("16^(1/2)", 4),
    ],
)  # fmt: skip
def test_an_expression_has_its_closed_form(text, value):
    assert float(evaluate(text)) == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1/2pi", "two readings"), (r"2\frac{1}{3}\pi", "two readings"), (r"5\frac{7}{3}", "two readings"),
        ("log(8)", "a logarithm without a base"), ("(1) 20", "unexpected '20'"), ("1/0", "division by zero"), ("0^-1", "division by zero"),
        ("sqrt(-1)", "negative"),
        ("(-8)^(1/3)", "negative"), ("asin(2)", "not defined"), ("(1", "not closed"), ("1+", "ends too early"), ("", "empty"),
        ("x+1", "unknown name"), ("1;2", "cannot read"), ("1.5!", "whole number"), (r"\sin^{-1}(1)", "power of a function"),
        ("1" * 600, "longer than"), (")", "unexpected"), (r"\sqrt[x]{2}", "unknown name"), (r"\sqrt[0]{2}", "degree of a root"),
        (r"\sin 2\pi", "needs brackets"),
    ],
)  # fmt: skip
def test_what_is_no_arithmetic_is_refused(text, message):
    with pytest.raises(NotArithmeticError, match=message):
        evaluate(text)


@pytest.mark.parametrize(
    "text",
    [
        "9^9^9",
        "2^2000",
        "101!",
        "(" * 70 + "1" + ")" * 70,
        "exp(1000)",
        "99.5^999",
        "10^500*1.5*pi",
    ],
)
def test_what_grows_too_large_is_a_limit(text):
    with pytest.raises(LimitExceededError, match=r"larger|bits|above|deeper|grows"):
        evaluate(text)


@pytest.mark.skipif(DATA is None, reason="needs VASARI_DATA")
def test_every_published_geometry_answer_verifies_against_itself():
    rows = [
        json.loads(line)
        for line in (Path(str(DATA)) / "geometry3k" / "problems.jsonl").read_text().splitlines()
    ]
    wrong = [
        row["answer"]
        for row in rows
        if verify_answer(rf"\boxed{{{row['answer']}}}", str(row["answer"])).value != 1.0
    ]
    assert wrong == []
