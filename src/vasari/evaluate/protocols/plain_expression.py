"""Compare plain formulas (`2*x + 1`, `sqrt(3)/2`) without running code.

Scorers that hand such text to sympy's `parse_expr` run it as Python. Here the text is parsed, only
arithmetic is accepted, and two formulas are equal when they agree at several points: a rational
identity of bounded degree cannot agree at random points by chance (Schwartz-Zippel).
"""

from __future__ import annotations

import ast
import cmath
import math
import random
import re
from collections.abc import Callable, Mapping
from fractions import Fraction

from vasari.verify.limits import MAX_BITS, LimitExceededError, check_nesting

Number = Fraction | float | complex

MAX_PLAIN_CHARS = 500
NUM_POINTS = 4
"""Number of random points at which two formulas must agree."""

_FUNCTIONS: dict[str, Callable[[complex], complex]] = {
    "sqrt": cmath.sqrt, "sin": cmath.sin, "cos": cmath.cos, "tan": cmath.tan, "exp": cmath.exp,
    "log": cmath.log, "ln": cmath.log, "asin": cmath.asin, "acos": cmath.acos, "atan": cmath.atan,
    "sinh": cmath.sinh, "cosh": cmath.cosh, "tanh": cmath.tanh,
}  # fmt: skip
_CONSTANTS: dict[str, Number] = {"pi": math.pi, "E": math.e, "I": 1j}
_JUXTAPOSED = re.compile(
    r"(?<=[0-9.)])\s*(?=[A-Za-z(])|(?<=\))\s*(?=[0-9])|(?<=[A-Za-z])\s+(?=[0-9A-Za-z(])"
)
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class NotPlainError(ValueError):
    """Raised for a text that is not a plain arithmetic formula."""


def parse_plain(text: str) -> ast.expr:
    """Parse a formula of numbers, names, `+ - * / **` and known functions into a syntax tree.

    Raises:
        NotPlainError: The text is anything else.
        LimitExceededError: It is too long or nests too deep.
    """
    if len(text) > MAX_PLAIN_CHARS:
        raise LimitExceededError(f"a formula is longer than {MAX_PLAIN_CHARS} characters")
    check_nesting(text)
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise NotPlainError(f"{text[:40]!r} is no formula") from error
    _check(tree)
    return tree


def with_products(text: str) -> str:
    """Return a formula with `*` between factors that stand side by side: `2x` as `2*x`.

    Words that are no functions or constants become products of their letters.
    """
    text = _WORD.sub(lambda match: _spelled(match.group()), text)
    return _JUXTAPOSED.sub("*", text)


def are_equal(first: ast.expr, second: ast.expr) -> bool:
    """Whether two parsed formulas have the same value at several random points.

    Raises:
        LimitExceededError: A number grows too large.
    """
    names = sorted(_names(first) | _names(second))
    draw = random.Random(0)  # Fixed: the same pair always has the same verdict.
    agreed = 0
    for _ in range(NUM_POINTS if names else 1):
        point: dict[str, Number] = {name: Fraction(draw.randint(1, 997), 997) for name in names}
        try:
            left, right = _value(first, point), _value(second, point)
        except LimitExceededError:
            raise
        except (ArithmeticError, ValueError):
            continue
        if not _same(left, right):
            return False
        agreed += 1
    return agreed > 0


def constant_value(tree: ast.expr) -> float | None:
    """Return the value of a parsed formula; None if it has variables or no finite real value."""
    if _names(tree):
        return None
    try:
        value = complex(_value(tree, {}))
    except (ArithmeticError, ValueError):
        return None
    return value.real if value.imag == 0 and math.isfinite(value.real) else None


def _spelled(word: str) -> str:
    if word in _FUNCTIONS or word in _CONSTANTS or len(word) == 1:
        return word
    return "*".join(word) if word.isalpha() else word


def _check(tree: ast.expr) -> None:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant):
            if type(node.value) not in (int, float):
                raise NotPlainError("a formula holds numbers only")
        elif isinstance(node, ast.Call):
            if (
                not isinstance(node.func, ast.Name)
                or node.func.id not in _FUNCTIONS
                or len(node.args) != 1
                or node.keywords
            ):
                raise NotPlainError("a formula calls known functions only")
        elif not isinstance(
            node,
            ast.Name
            | ast.BinOp
            | ast.UnaryOp
            | ast.Add
            | ast.Sub
            | ast.Mult
            | ast.Div
            | ast.Pow
            | ast.USub
            | ast.UAdd
            | ast.Load,
        ):
            raise NotPlainError(f"a formula has no {type(node).__name__}")


def _names(tree: ast.expr) -> set[str]:
    called = {
        node.func.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    named = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return named - called - set(_CONSTANTS)


def _value(node: ast.expr, point: Mapping[str, Number]) -> Number:
    if isinstance(node, ast.Constant):
        return _bounded(Fraction(str(node.value)))
    if isinstance(node, ast.Name):
        return point[node.id] if node.id in point else _CONSTANTS[node.id]
    if isinstance(node, ast.UnaryOp):
        value = _value(node.operand, point)
        return -value if isinstance(node.op, ast.USub) else value
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return _FUNCTIONS[node.func.id](complex(_value(node.args[0], point)))
    if isinstance(node, ast.BinOp):
        return _combined(node.op, _value(node.left, point), _value(node.right, point))
    raise NotPlainError(f"a formula has no {type(node).__name__}")


def _combined(sign: ast.operator, left: Number, right: Number) -> Number:
    if isinstance(sign, ast.Pow):
        return _power(left, right)
    if not (isinstance(left, Fraction) and isinstance(right, Fraction)):
        left, right = complex(left), complex(right)
    if isinstance(sign, ast.Add):
        return _bounded(left + right)
    if isinstance(sign, ast.Sub):
        return _bounded(left - right)
    return _bounded(left * right if isinstance(sign, ast.Mult) else left / right)


def _power(base: Number, exponent: Number) -> Number:
    if isinstance(base, Fraction) and isinstance(exponent, Fraction) and exponent.denominator == 1:
        bits = max(base.numerator.bit_length(), base.denominator.bit_length())
        if bits * abs(exponent.numerator) > MAX_BITS and abs(base) not in (0, 1):
            raise LimitExceededError(f"a power has more than {MAX_BITS} bits")
        return base**exponent.numerator
    return complex(complex(base) ** complex(exponent))


def _bounded(value: Number) -> Number:
    if (
        isinstance(value, Fraction)
        and max(value.numerator.bit_length(), value.denominator.bit_length()) > MAX_BITS
    ):
        raise LimitExceededError(f"a number has more than {MAX_BITS} bits")
    return value


def _same(left: Number, right: Number) -> bool:
    if isinstance(left, Fraction) and isinstance(right, Fraction):
        return left == right
    return cmath.isclose(complex(left), complex(right), rel_tol=1e-12, abs_tol=1e-12)
