r"""Parser of constant arithmetic, without eval or sympy, bounded in length, depth and size.

Reads `+ - * / ^ **`, `\frac \sqrt \cdot \times \div`, implicit products such as `2\sqrt{21}` or
`9pi`, `pi`, `e`, factorials, degrees, and the functions in `_FUNCTIONS`. What has two common
readings (`1/2x`, `2\frac13\pi`, `log`) is not read; symbolic comparison may decide it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeVar

from vasari.verify.limits import (
    MAX_ARITHMETIC_CHARS,
    MAX_BITS,
    MAX_EXPONENT,
    MAX_NESTING,
    LimitExceededError,
)


class NotArithmeticError(ValueError):
    """Raised when a text is not arithmetic that Vasari's arithmetic parser can read."""


Value = Fraction | float
"""Value of an expression: exact where every step was rational, else a float."""

_Real = TypeVar("_Real", Fraction, float, Fraction | float)

_TOKEN = re.compile(
    r"\s*(?:(?P<number>[0-9]+(?:\.[0-9]+)?|\.[0-9]+)|(?P<name>\\?[a-zA-Z]+|[π√])|(?P<op>\*\*|[-+*/^(){}\[\]!°\u00d7·÷∙]))"
)
_SYNONYMS = {
    "**": "^", "\u00d7": "*", "·": "*", "∙": "*", "÷": "/",
    "cdot": "*", "times": "*", "div": "/", "π": "pi", "√": "sqrt",
    "arcsin": "asin", "arccos": "acos", "arctan": "atan", "circ": "°", "{": "(", "}": ")",
}  # fmt: skip
_CONSTANTS: dict[str, Value] = {"pi": math.pi, "e": math.e}
_FUNCTIONS: dict[str, Callable[[float], float]] = {
    "sin": math.sin, "cos": math.cos, "tan": math.tan,
    "asin": math.asin, "acos": math.acos, "atan": math.atan,
    "sec": lambda x: 1 / math.cos(x), "csc": lambda x: 1 / math.sin(x),
    "cot": lambda x: 1 / math.tan(x), "ln": math.log, "exp": math.exp,
}  # fmt: skip
_NAMES = sorted(
    {*_CONSTANTS, *_FUNCTIONS, "sqrt", "frac", "arcsin", "arccos", "arctan"}, key=len, reverse=True
)
_GREEK_NAMES = (
    "alpha beta gamma delta epsilon zeta eta theta kappa lambda mu nu xi rho sigma tau phi chi psi"
    " omega"
)
_GREEK = frozenset(_GREEK_NAMES.split())
_SHORT_WORDS = frozenset(
    [
        "lg",
        "or",
        "if",
        "is",
        "no",
        "to",
        "of",
        "in",
        "at",
        "on",
        "by",
        "as",
        "an",
        "be",
        "do",
        "it",
        "we",
    ]
)
_NAME = re.compile(r"\\?[a-zA-Z]+")
_MAX_FACTORIAL = 100


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str


def evaluate(text: str, values: Mapping[str, float] | None = None) -> Value:
    """Return the value of an arithmetic expression, with its variables set to `values`.

    Args:
        text: Normalised text.
        values: Value of each variable, a single letter or a Greek letter's name; None reads
            constants only.

    Raises:
        NotArithmeticError: It is something else, is undefined (division by zero), or has more than
            one common reading.
        LimitExceededError: It nests too deep, or a number in it grows too large.
    """
    if len(text) > MAX_ARITHMETIC_CHARS:
        raise NotArithmeticError(f"longer than {MAX_ARITHMETIC_CHARS} characters")
    parser = _Parser(_tokens(text, known=values or {}), values or {})
    try:
        value = parser.sum(0)
        parser.expect_end()
        return _checked(value)
    except (ZeroDivisionError, OverflowError) as error:
        if isinstance(error, OverflowError):
            raise LimitExceededError("a number grows beyond what a float holds") from error
        raise NotArithmeticError("division by zero") from error


def variables(text: str) -> frozenset[str]:
    """Return the set of variables in a normalised formula: letters, and names of Greek letters."""
    found: set[str] = set()
    for name in _NAME.findall(text):
        bare = name.removeprefix("\\")
        if bare in _NAMES or _SYNONYMS.get(bare, bare) in _NAMES or bare in _SYNONYMS:
            continue
        found.update(_letters_of(name) or ())
    return frozenset(found)


def _letters_of(name: str) -> list[str] | None:
    """The variables that a name is a product of; None for words and commands.

    A name is one Greek letter, or one or two Latin letters.
    """
    bare = name.removeprefix("\\")
    if bare in _GREEK:
        return [bare]
    return (
        list(name)
        if len(name) <= 2 and name not in _SHORT_WORDS and not name.startswith("\\")
        else None
    )


def _tokens(text: str, *, known: Mapping[str, float]) -> list[_Token]:
    tokens: list[_Token] = []
    position = 0
    text = text.rstrip()
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise NotArithmeticError(f"cannot read {text[position : position + 12]!r}")
        position = match.end()
        kind = match.lastgroup or ""
        if kind == "name":
            tokens.extend(_name_tokens(match.group("name"), known))
        else:
            found = match.group(kind)
            tokens.append(_Token(kind, _SYNONYMS.get(found, found)))
    if not tokens:
        raise NotArithmeticError("empty")
    return tokens


def _name_tokens(name: str, known: Mapping[str, float]) -> list[_Token]:
    bare = name.removeprefix("\\")
    bare = _SYNONYMS.get(bare, bare)
    if bare in "*/°":
        return [_Token("op", bare)]
    if bare in _NAMES:
        return [_Token("name", _SYNONYMS.get(bare, bare))]
    letters = _letters_of(name)
    if (
        not known
        or letters is None
        or any(letter not in known and letter not in _CONSTANTS for letter in letters)
    ):
        raise NotArithmeticError(f"unknown name {bare!r}")
    return [_Token("name", letter) for letter in letters]


class _Parser:
    """Recursive descent, with every bracket, power and function counted against `MAX_NESTING`."""

    def __init__(self, tokens: list[_Token], values: Mapping[str, float]) -> None:
        self._tokens = tokens
        self._values = values
        self._next = 0

    def expect_end(self) -> None:
        if self._next != len(self._tokens):
            raise NotArithmeticError(f"unexpected {self._tokens[self._next].text!r}")

    def sum(self, depth: int) -> Value:
        value = self._product(depth)
        while (sign := self._peek()) in ("+", "-"):
            self._next += 1
            right = self._product(depth)
            value = _checked(value + right if sign == "+" else value - right)
        return value

    def _product(self, depth: int) -> Value:
        value = self._signed(depth)
        divided = False
        while True:
            sign = self._peek()
            if sign in ("*", "/"):
                self._next += 1
                right = self._signed(depth)
                value = _checked(value * right if sign == "*" else value / right)
                divided = sign == "/"
            elif self._starts_factor():
                if divided:
                    raise NotArithmeticError("a product after a division has two readings")
                value = _checked(value * self._power(depth))
            else:
                return value

    def _starts_factor(self) -> bool:
        """Whether an implicit product continues; it never does with a bare number."""
        if self._next >= len(self._tokens):
            return False
        token = self._tokens[self._next]
        return token.kind == "name" or token.text == "("

    def _signed(self, depth: int) -> Value:
        negative = False
        while (sign := self._peek()) in ("+", "-"):
            negative ^= sign == "-"
            self._next += 1
        value = self._power(depth)
        return -value if negative else value

    def _power(self, depth: int) -> Value:
        if depth > MAX_NESTING:
            raise LimitExceededError(f"an expression nests deeper than {MAX_NESTING}")
        base = self._postfix(depth)
        if self._peek() != "^":
            return base
        self._next += 1
        negative = False
        while (sign := self._peek()) in ("+", "-"):
            negative ^= sign == "-"
            self._next += 1
        exponent = self._power(depth + 1)
        return _power(base, -exponent if negative else exponent)

    def _postfix(self, depth: int) -> Value:
        value = self._primary(depth)
        while (mark := self._peek()) in ("!", "°"):
            self._next += 1
            value = _factorial(value) if mark == "!" else float(value) * math.pi / 180
        return value

    def _primary(self, depth: int) -> Value:
        if self._next >= len(self._tokens):
            raise NotArithmeticError("ends too early")
        token = self._tokens[self._next]
        self._next += 1
        if token.kind == "number":
            return self._number(token, depth)
        if token.kind == "name":
            return self._named(token.text, depth)
        if token.text != "(":
            raise NotArithmeticError(f"unexpected {token.text!r}")
        value = self.sum(depth + 1)
        if self._peek() != ")":
            raise NotArithmeticError("a bracket is not closed")
        self._next += 1
        return value

    def _number(self, token: _Token, depth: int) -> Value:
        value = _checked(Fraction(token.text))
        if self._peek() != "frac":
            return value
        # A mixed number, if nothing follows that would make it a product as well.
        self._next += 1
        part = self._fraction(depth)
        if (
            value.denominator != 1
            or not isinstance(part, Fraction)
            or not 0 < part < 1
            or self._starts_factor()
        ):
            raise NotArithmeticError("a number before a fraction has two readings")
        return value + part

    def _named(self, name: str, depth: int) -> Value:
        if name in _CONSTANTS:
            return _CONSTANTS[name]
        if name in self._values:
            return self._values[name]
        if name == "frac":
            return self._fraction(depth)
        if name == "sqrt":
            return self._root(depth)
        exponent = self._function_exponent()
        bracketed = self._peek() == "("
        argument = self._postfix(depth + 1)
        if not bracketed and self._starts_factor():
            raise NotArithmeticError(f"{name} needs brackets here")
        try:
            value = _FUNCTIONS[name](float(argument))
        except ValueError as error:
            raise NotArithmeticError(f"{name} is not defined there") from error
        return value if exponent is None else _checked(math.pow(value, exponent))

    def _function_exponent(self) -> int | None:
        r"""The exponent of a function, 2 in `\sin^2 x`; -1 may mean the inverse and is not read."""
        if self._peek() != "^":
            return None
        texts = [token.text for token in self._tokens[self._next + 1 : self._next + 4]]
        written = texts[:1] if texts[:1] != ["("] else texts
        digit = (
            written[1]
            if len(written) == 3 and written[2] == ")"
            else written[0]
            if len(written) == 1
            else ""
        )
        if digit not in ("2", "3", "4"):
            raise NotArithmeticError("a power of a function name must be 2, 3 or 4")
        self._next += 1 + len(written)
        return int(digit)

    def _fraction(self, depth: int) -> Value:
        return _checked(self._argument(depth) / self._argument(depth))

    def _argument(self, depth: int) -> Value:
        r"""An argument of `\frac` or `\sqrt`: a group, or one digit as in `\frac12`."""
        token = self._tokens[self._next] if self._next < len(self._tokens) else None
        if token is None or token.kind != "number" or len(token.text) == 1:
            return self._primary(depth + 1)
        if not token.text.isdigit():
            raise NotArithmeticError("an argument needs brackets")
        self._tokens[self._next] = _Token("number", token.text[1:])
        return Fraction(token.text[0])

    def _root(self, depth: int) -> Value:
        if self._peek() == "[":
            self._next += 1
            degree = self.sum(depth + 1)
            if (
                self._peek() != "]"
                or not isinstance(degree, Fraction)
                or degree.denominator != 1
                or degree < 1
            ):
                raise NotArithmeticError("the degree of a root must be a whole number")
            self._next += 1
            return _root(self._primary(depth + 1), degree.numerator)
        return _root(self._primary(depth + 1), 2)

    def _peek(self) -> str:
        return self._tokens[self._next].text if self._next < len(self._tokens) else ""


def _checked(value: _Real) -> _Real:
    if isinstance(value, Fraction):
        if max(value.numerator.bit_length(), value.denominator.bit_length()) > MAX_BITS:
            raise LimitExceededError(f"a number has more than {MAX_BITS} bits")
        return value
    if not math.isfinite(value):
        raise LimitExceededError("a number grows beyond what a float holds")
    return value


def _power(base: Value, exponent: Value) -> Value:
    if not -MAX_EXPONENT <= exponent <= MAX_EXPONENT:
        raise LimitExceededError(f"an exponent is larger than {MAX_EXPONENT}")
    if isinstance(exponent, Fraction) and exponent.denominator == 1 and isinstance(base, Fraction):
        bits = max(base.numerator.bit_length(), base.denominator.bit_length()) * abs(
            exponent.numerator
        )
        if bits > MAX_BITS and abs(base) != 1:
            raise LimitExceededError(f"a power has more than {MAX_BITS} bits")
        return base**exponent.numerator
    if base < 0 and not (isinstance(exponent, Fraction) and exponent.denominator == 1):
        raise NotArithmeticError("a root of a negative number")
    if base == 0 and exponent < 0:
        raise NotArithmeticError("division by zero")
    if exponent == Fraction(1, 2):
        return _root(base, 2)
    return _checked(math.pow(base, exponent))


def _root(value: Value, degree: int) -> Value:
    if value < 0:
        raise NotArithmeticError("a root of a negative number")
    if degree != 2:
        return _checked(math.pow(value, 1 / degree))
    if isinstance(value, Fraction):
        top, bottom = math.isqrt(value.numerator), math.isqrt(value.denominator)
        if top * top == value.numerator and bottom * bottom == value.denominator:
            return Fraction(top, bottom)
    return math.sqrt(value)


def _factorial(value: Value) -> Value:
    if not isinstance(value, Fraction) or value.denominator != 1 or value < 0:
        raise NotArithmeticError("a factorial of something else than a whole number")
    if value > _MAX_FACTORIAL:
        raise LimitExceededError(f"a factorial of a number above {_MAX_FACTORIAL}")
    return _checked(Fraction(math.factorial(value.numerator)))
