r"""Evaluate a LaTeX formula to the number that MATH-V's scorer gets, without running code.

That scorer turns an answer into a sympy expression (latex2sympy2), prints it, and hands the text to
Python's `eval` with the names of `math` in scope. What comes out is an int or a float, or an
exception that counts as "not equal". This module follows the same grammar and the same arithmetic
on its own syntax tree: integers stay integers, a division gives a float, `\sqrt` and `\sin` are
those of `math`, and whatever `eval` would not know (a letter, an absolute value, a sum) is refused.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from fractions import Fraction

from vasari.evaluate.protocols.latex_tokens import OPENERS, FormulaError, Token, Tokens, tokenise
from vasari.verify.limits import MAX_BITS, MAX_NESTING, LimitExceededError

Real = int | float

MAX_FORMULA_CHARS = 2_000
"""Characters of a formula that are read; a longer one is over the limit."""

_MAX_FACTORIAL = 1_000


_FUNCTIONS: dict[str, Callable[[float], float]] = {
    "\\sin": math.sin,
    "\\cos": math.cos,
    "\\tan": math.tan,
    "\\arcsin": math.asin,
    "\\arccos": math.acos,
    "\\arctan": math.atan,
    "\\sinh": math.sinh,
    "\\cosh": math.cosh,
    "\\tanh": math.tanh,
    "\\arsinh": math.asinh,
    "\\arcosh": math.acosh,
    "\\artanh": math.atanh,
    "\\arcsinh": math.asinh,
    "\\arccosh": math.acosh,
    "\\arctanh": math.atanh,
    "\\floor": math.floor,
    "\\exp": math.exp,
}
_INVERSE = {
    "\\sin": math.asin,
    "\\cos": math.acos,
    "\\tan": math.atan,
    "\\sinh": math.asinh,
    "\\cosh": math.acosh,
}
_PERMUTATION = re.compile(r"\(([a-zA-Z0-9+\-*/\\ ]+?)\)_\{([a-zA-Z0-9+\-*/\\ ]+?)\}")


def formula_value(formula: str) -> Real:
    """Return the numeric value of a LaTeX formula written in lower case.

    An int where Python's `eval` would give one, else a float.

    Like the official parser it stops without an error at a bracket, full stop or column mark that
    fits nothing.

    Raises:
        FormulaError: The official scorer finds no value either: an unknown character or name, wrong
            syntax, a list, an equation.
        LimitExceededError: It is too long, nests too deep, or a number grows too large.
    """
    if len(formula) > MAX_FORMULA_CHARS:
        raise LimitExceededError(f"a formula is longer than {MAX_FORMULA_CHARS} characters")
    text = formula.replace("\\dfrac", "\\frac").replace("\\tfrac", "\\frac")
    text = _PERMUTATION.sub(r"\\frac{(\1)!}{((\1)-(\2))!}", text)
    for blank in ("\\displaystyle", "\\quad", "\\qquad", "~", "\\,", "$"):
        text = text.replace(blank, " ")
    for sized, plain in (("\\bigl(", "("), ("\\bigr)", ")"), ("\\left(", "("), ("\\right)", ")")):
        text = text.replace(sized, plain)
    try:
        value = _Parser(Tokens(tokenise(text))).relation()
    except (ArithmeticError, TypeError, ValueError) as error:
        if isinstance(error, LimitExceededError):
            raise
        raise FormulaError(str(error)) from error
    if isinstance(value, float) and not math.isfinite(value):
        raise FormulaError("the value is not finite")
    return value


class _Parser:
    """A recursive descent parser over the grammar; its methods return values, not trees."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self._depth = 0

    def relation(self) -> Real:
        ahead = self._tokens.ahead
        if ahead is not None and (ahead.kind == "nameless" or ahead.text == "\\tau"):
            return self._assigned()
        value = self._sum()
        ahead = self._tokens.ahead
        if ahead is not None and ahead.kind == "compare":
            return self._compared(value, self._tokens.take().text)
        if ahead is not None and ahead.text in (",", ";", "="):
            raise FormulaError("a list or an equation has no value")
        return value

    def _assigned(self) -> Real:
        """Read `x = 5` as the 5, since the official parser takes it for an assignment."""
        name = self._tokens.take()
        if self._tokens.is_next("="):
            self._tokens.take()
            return self.relation()
        if name.text != "\\tau":
            raise FormulaError(f"{name.text} has no value")
        return self._product_rest(self._postfixes(math.tau), then_sum=True)

    def _compared(self, left: Real, sign: str) -> Real:
        right = self._sum()
        if self._tokens.ahead is not None and self._tokens.ahead.kind == "compare":
            raise FormulaError("a chain of comparisons has no value")
        if sign == "<":
            return int(left < right)
        if sign == ">":
            return int(left > right)
        if sign in ("\\leq", "\\le", "\\leqslant"):
            return int(left <= right)
        if sign in ("\\geq", "\\ge", "\\geqslant"):
            return int(left >= right)
        raise FormulaError(
            f"{sign} has no value"
        )  # Printed as Eq(...) or Ne(...), names that `math` lacks.

    def _sum(self) -> Real:
        return self._sum_rest(self._product())

    def _sum_rest(self, value: Real) -> Real:
        while self._tokens.is_next("+") or self._tokens.is_next("-"):
            sign = self._tokens.take().text
            other = self._product()
            value = _bounded(value + other if sign == "+" else value - other)
        return value

    def _product(self) -> Real:
        return self._product_rest(self._unary())

    def _product_rest(self, value: Real, *, then_sum: bool = False) -> Real:
        while (
            (ahead := self._tokens.ahead) is not None
            and ahead.kind == "operator"
            and ahead.text not in "+-"
        ):
            sign = self._tokens.take().text
            other = self._unary()
            value = _bounded(value * other) if sign in ("*", "\\times", "\\cdot") else value / other
        return self._sum_rest(value) if then_sum else value

    def _unary(self) -> Real:
        negative = False
        while self._tokens.is_next("+") or self._tokens.is_next("-"):
            negative ^= self._tokens.take().text == "-"
        value = self._juxtaposed()
        return -value if negative else value

    def _juxtaposed(self) -> Real:
        """Read factors without a sign between them, which bind tighter than `/`: 1/2x is 1/(2x)."""
        value = self._postfixes(self._power())
        while self._starts_factor():
            value = _bounded(value * self._postfixes(self._power()))
        return value

    def _starts_factor(self) -> bool:
        ahead = self._tokens.ahead
        if ahead is None:
            return False
        if ahead.text in OPENERS or ahead.text in ("\\lfloor", "\\left", "\\mleft", "|"):
            return True
        return ahead.kind in (
            "number",
            "percent",
            "function",
            "sqrt",
            "frac",
            "binom",
            "pi",
            "tau",
            "e",
            "nameless",
        )

    def _postfixes(self, value: Real) -> Real:
        while (ahead := self._tokens.ahead) is not None and ahead.text in ("!", "'", "^"):
            sign = self._tokens.take().text
            if sign == "!":
                value = _factorial(value)
            elif sign == "^":
                value = _power(value, self._exponent())
        return value

    def _power(self) -> Real:
        value = self._factor()
        while self._tokens.is_next("^"):
            self._tokens.take()
            value = _power(value, self._exponent())
        return value

    def _exponent(self) -> Real:
        if self._tokens.is_next("{"):
            return self._group()
        token = self._tokens.take()
        if token.kind in ("number", "percent", "pi", "tau"):
            return _constant(token)
        raise FormulaError(f"{token.text!r} is no exponent")

    def _factor(self) -> Real:
        ahead = self._tokens.ahead
        if ahead is not None and ahead.text in OPENERS:
            return self._group()
        token = self._tokens.take()
        if token.kind == "sizing":
            return self._sized(token.text)
        if token.kind == "frac":
            top, bottom = self._group("{"), self._group("{")
            return top / bottom
        if token.kind == "binom":
            top, bottom = self._group("{"), self._group("{")
            return _binomial(top, bottom)
        if token.kind == "sqrt":
            return self._root()
        if token.kind == "function":
            return self._function(token.text)
        if token.text == "\\lfloor":
            value = self._sum()
            self._tokens.expect("\\rfloor")
            return math.floor(value)
        if token.kind == "e":
            return self._exponential()
        return _constant(token)

    def _group(self, opener: str | None = None) -> Real:
        if opener is not None and not self._tokens.is_next(opener):
            raise FormulaError(f"{opener!r} is missing")
        self._depth += 1
        if self._depth > MAX_NESTING:
            raise LimitExceededError(f"brackets nest deeper than {MAX_NESTING}")
        closer = OPENERS[self._tokens.take().text]
        value = self._sum()
        if closer == "}" and self._tokens.is_next("\\choose"):
            self._tokens.take()
            value = _binomial(value, self._sum())
        self._tokens.expect(closer)
        self._depth -= 1
        return value

    def _sized(self, left: str) -> Real:
        if (
            left not in ("\\left", "\\mleft")
            or self._tokens.ahead is None
            or self._tokens.ahead.text not in OPENERS
        ):
            raise FormulaError(f"{left} has no value")
        closer = OPENERS[self._tokens.take().text]
        value = self._sum()
        self._tokens.expect(left.replace("left", "right"))
        self._tokens.expect(closer)
        return value

    def _root(self) -> Real:
        if self._tokens.is_next("["):
            degree = self._group()
            return _power(self._group("{"), 1 / degree)
        return math.sqrt(self._group("{"))

    def _exponential(self) -> Real:
        if not self._tokens.is_next("^"):
            raise FormulaError("e alone is printed as E, a name that math lacks")
        self._tokens.take()
        exponent = self._exponent()
        if exponent == 1:
            raise FormulaError("e^1 is printed as E, a name that math lacks")
        return math.exp(exponent)

    def _function(self, name: str) -> Real:
        base: Real | None = None
        power: Real | None = None
        while self._tokens.is_next("_") or self._tokens.is_next("^"):
            if self._tokens.take().text == "_":
                base = self._exponent()
            else:
                power = self._exponent()
        argument = self._group() if self._tokens.is_next("(") else self._argument()
        if name in ("\\log", "\\ln"):
            if name == "\\ln" and base is None:
                raise FormulaError(
                    "a natural logarithm is printed with base E, a name that math lacks"
                )
            value: Real = math.log(argument, 10 if base is None else base)
        elif name == "\\exp" and argument == 1:
            raise FormulaError("exp(1) is printed as E, a name that math lacks")
        elif power == -1 and name in _INVERSE:
            return _INVERSE[name](argument)
        else:
            value = _FUNCTIONS[name](argument)
        return value if power is None else _power(value, power)

    def _argument(self) -> Real:
        """Read the argument of a function without brackets: all factors up to another function."""
        value = self._plain_factors()
        while (
            (ahead := self._tokens.ahead) is not None
            and ahead.kind == "operator"
            and ahead.text not in "+-"
        ):
            sign = self._tokens.take().text
            other = self._plain_factors()
            value = _bounded(value * other) if sign in ("*", "\\times", "\\cdot") else value / other
        return value

    def _plain_factors(self) -> Real:
        negative = False
        while self._tokens.is_next("+") or self._tokens.is_next("-"):
            negative ^= self._tokens.take().text == "-"
        value = self._postfixes(self._power())
        while (
            self._starts_factor()
            and self._tokens.ahead is not None
            and self._tokens.ahead.kind not in ("function", "sqrt", "e")
        ):
            value = _bounded(value * self._postfixes(self._power()))
        return -value if negative else value


def _constant(token: Token) -> Real:
    if token.kind == "pi":
        return math.pi
    if token.kind == "tau":
        return math.tau
    if token.kind not in ("number", "percent"):
        raise FormulaError(f"{token.text!r} has no value")
    value = Fraction(token.text.replace(",", "").removesuffix("\\%"))
    if token.kind == "percent":
        value /= 100
    return (
        _bounded(value.numerator) if value.denominator == 1 else value.numerator / value.denominator
    )


def _bounded(value: Real) -> Real:
    if isinstance(value, int) and value.bit_length() > MAX_BITS:
        raise LimitExceededError(f"a number has more than {MAX_BITS} bits")
    return value


def _power(base: Real, exponent: Real) -> Real:
    whole = isinstance(base, int) and isinstance(exponent, int)
    if whole and exponent > 1 and int(base).bit_length() * exponent > MAX_BITS and abs(base) > 1:
        raise LimitExceededError(f"a power has more than {MAX_BITS} bits")
    if exponent == 0.5:
        return math.sqrt(base)  # Printed as sqrt(...).
    value = base**exponent
    if isinstance(value, complex):
        raise FormulaError("a complex number cannot be rounded")
    return value


def _factorial(value: Real) -> int:
    if not isinstance(value, int) or value < 0:
        raise FormulaError("only whole numbers have a factorial")
    if value > _MAX_FACTORIAL:
        raise LimitExceededError(f"a factorial of more than {_MAX_FACTORIAL}")
    return math.factorial(value)


def _binomial(top: Real, bottom: Real) -> int:
    if not isinstance(top, int) or not isinstance(bottom, int) or top < 0 or bottom < 0:
        raise FormulaError("a binomial coefficient of something else than whole numbers")
    if top > _MAX_FACTORIAL:
        raise LimitExceededError(f"a binomial coefficient of more than {_MAX_FACTORIAL}")
    return math.comb(top, bottom)
