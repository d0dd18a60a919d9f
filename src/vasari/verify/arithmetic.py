r"""Parser of constant arithmetic, without eval or sympy, bounded in length, depth and size.

Reads `+ - * / ^ **`, `\frac \sqrt \binom \cdot \times \div`, implicit products such as
`2\sqrt{21}` or `9pi`, `pi`, `e`, factorials, degrees, logarithms with a base, variables with
subscripts and primes, and the functions of `reals`. What has two common readings (`1/2x`,
`2\frac13\pi`, `\log 5`) is not read; symbolic comparison may decide it.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from fractions import Fraction
from typing import NamedTuple

from vasari.verify.limits import (
    MAX_ARITHMETIC_CHARS,
    MAX_NESTING,
    LimitExceededError,
)
from vasari.verify.powers import (
    NotArithmeticError,
    Value,
    binomial,
    checked,
    exact_logarithm,
    factorial,
    power,
    root,
)
from vasari.verify.reals import FLOATS, FUNCTION_NAMES, Reals

_SUFFIX = r"(?:_(?:[A-Za-z0-9]|\{[^{}]{1,20}\}))?'{0,3}"
_TOKEN = re.compile(
    rf"\s*(?:(?P<number>[0-9]+(?:\.[0-9]+)?(?!_)|\.[0-9]+)|(?P<name>\\?[a-zA-Z]+{_SUFFIX}|[π√])"
    rf"|(?P<op>\*\*|[-+*/^(){{}}\[\]!°\u00d7·÷∙]))"
)
_SYNONYMS = {
    "**": "^", "\u00d7": "*", "·": "*", "∙": "*", "÷": "/",
    "cdot": "*", "times": "*", "div": "/", "π": "pi", "√": "sqrt",
    "arcsin": "asin", "arccos": "acos", "arctan": "atan", "circ": "°", "{": "(", "}": ")",
}  # fmt: skip
_CONSTANTS = ("pi", "e")
_LOGARITHMS = ("log", "lg")
_NAMES = frozenset(
    {*_CONSTANTS, *FUNCTION_NAMES, *_LOGARITHMS, "sqrt", "frac", "binom", "arcsin", "arccos"}
    | {"arctan"}
)
_GREEK_NAMES = (
    "alpha beta gamma delta epsilon zeta eta theta kappa lambda mu nu xi rho sigma tau phi chi psi"
    " omega"
)
_GREEK = frozenset(_GREEK_NAMES.split())
_SHORT = "lg or if is no to of in at on by as an be do it we"
_SHORT_WORDS = frozenset(_SHORT.split())
_TEN = Fraction(10)
_NAME = re.compile(rf"(\\?[a-zA-Z]+)({_SUFFIX})")


class _Token(NamedTuple):
    kind: str
    text: str
    suffix: str = ""
    """Subscript and primes of a name."""


def evaluate(
    text: str, values: Mapping[str, float] | None = None, *, reals: Reals = FLOATS
) -> Value:
    """Return the value of an arithmetic expression, with its variables set to `values`.

    Args:
        text: Normalised text.
        values: Value of each variable, a single letter or a Greek letter's name; None reads
            constants only.
        reals: How real numbers are computed; `reals.precise()` has 60 digits.

    Raises:
        NotArithmeticError: It is something else, is undefined (division by zero), or has more than
            one common reading.
        LimitExceededError: It nests too deep, or a number in it grows too large.
    """
    if len(text) > MAX_ARITHMETIC_CHARS:
        raise NotArithmeticError(f"longer than {MAX_ARITHMETIC_CHARS} characters")
    tokens = _tokens(text, frozenset(values or ()))
    parser = _Parser(list(tokens), values or {}, reals)
    try:
        value = parser.sum(0)
        parser.expect_end()
        if parser.any_base:
            _check_any_base(value, _Parser(list(tokens), values or {}, reals, any_base=Fraction(3)))
        return checked(value)
    except (ZeroDivisionError, OverflowError) as error:
        if isinstance(error, OverflowError):
            raise LimitExceededError("a number grows beyond what a float holds") from error
        raise NotArithmeticError("division by zero") from error


def _check_any_base(value: Value, other: _Parser) -> None:
    r"""Raise if a value depends on the base that a `\log` does not name."""
    again = other.sum(0)
    if abs(float(value) - float(again)) > 1e-9 * max(1.0, abs(float(value))):
        raise NotArithmeticError("a logarithm without a base")


def variables(text: str) -> frozenset[str]:
    """Return the set of variables in a normalised formula: letters, and names of Greek letters."""
    found: set[str] = set()
    for match in _NAME.finditer(text):
        name, suffix = match.groups()
        bare = name.removeprefix("\\")
        known = bare in _NAMES or bare in _SYNONYMS
        if known and (not suffix or bare in _LOGARITHMS):
            continue
        found.update(_letters_of(name, suffix) or ())
    return frozenset(found)


def _letters_of(name: str, suffix: str = "") -> list[str] | None:
    """The variables that a name is a product of; None for words and commands.

    A name is one Greek letter, or one to three Latin letters, the last with its subscript and
    primes.
    """
    bare = name.removeprefix("\\")
    suffix = suffix.replace("{", "").replace("}", "")
    if bare in _GREEK:
        return [bare + suffix]
    if len(name) > 3 or name in _SHORT_WORDS or name.startswith("\\"):
        return None
    if len(name) == 3 and len(set(name)) < 3:
        return None
    if len(name) == 2 and name[0] == "d" and name[1] in "xyzturv":
        return [name + suffix]  # A differential: \frac{dy}{dx} is no y/x.
    return [*name[:-1], name[-1] + suffix]


@functools.lru_cache(maxsize=1024)
def _tokens(text: str, known: frozenset[str]) -> tuple[_Token, ...]:
    """The tokens of a text, kept: formulas are evaluated at several points."""
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
            named = _NAME.fullmatch(match.group("name"))
            name, suffix = named.groups() if named else (match.group("name"), "")
            tokens.extend(_name_tokens(name, suffix, known))
        else:
            found = match.group(kind)
            tokens.append(_Token(kind, _SYNONYMS.get(found, found)))
    if not tokens:
        raise NotArithmeticError("empty")
    return tuple(tokens)


def _name_tokens(name: str, suffix: str, known: frozenset[str]) -> list[_Token]:
    bare = name.removeprefix("\\")
    bare = _SYNONYMS.get(bare, bare)
    if bare in "*/°" and not suffix:
        return [_Token("op", bare)]
    if bare in _NAMES and (not suffix or bare in _LOGARITHMS):
        return [_Token("name", _SYNONYMS.get(bare, bare), suffix)]
    letters = _letters_of(name, suffix)
    if (
        not known
        or letters is None
        or any(letter not in known and letter not in _CONSTANTS for letter in letters)
    ):
        raise NotArithmeticError(f"unknown name {bare!r}")
    return [_Token("name", letter) for letter in letters]


class _Parser:
    """Recursive descent, with every bracket, power and function counted against `MAX_NESTING`."""

    def __init__(
        self,
        tokens: list[_Token],
        values: Mapping[str, float],
        reals: Reals,
        *,
        any_base: Fraction = _TEN,
    ) -> None:
        self.any_base = False
        """Whether a logarithm without a base was read."""
        self._any_base = any_base
        self._tokens = tokens
        self._values = values
        self._reals = reals
        self._next = 0

    def expect_end(self) -> None:
        if self._next != len(self._tokens):
            raise NotArithmeticError(f"unexpected {self._tokens[self._next].text!r}")

    def sum(self, depth: int) -> Value:
        value = self._product(depth)
        while (sign := self._peek()) in ("+", "-"):
            self._next += 1
            value, right = self._reals.alike(value, self._product(depth))
            value = checked(value + right if sign == "+" else value - right)
        return value

    def _product(self, depth: int) -> Value:
        value = self._signed(depth)
        divided = False
        while True:
            sign = self._peek()
            if sign in ("*", "/"):
                self._next += 1
                value, right = self._reals.alike(value, self._signed(depth))
                value = checked(value * right if sign == "*" else value / right)
                divided = sign == "/"
            elif self._starts_factor():
                if divided:
                    raise NotArithmeticError("a product after a division has two readings")
                value, right = self._reals.alike(value, self._power(depth))
                value = checked(value * right)
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
        return power(base, -exponent if negative else exponent, self._reals)

    def _postfix(self, depth: int) -> Value:
        value = self._primary(depth)
        while (mark := self._peek()) in ("!", "°"):
            self._next += 1
            value = factorial(value) if mark == "!" else self._reals.of_degrees(value)
        return value

    def _primary(self, depth: int) -> Value:
        if self._next >= len(self._tokens):
            raise NotArithmeticError("ends too early")
        token = self._tokens[self._next]
        self._next += 1
        if token.kind == "number":
            return self._number(token, depth)
        if token.kind == "name":
            return self._named(token, depth)
        if token.text != "(":
            raise NotArithmeticError(f"unexpected {token.text!r}")
        value = self.sum(depth + 1)
        if self._peek() != ")":
            raise NotArithmeticError("a bracket is not closed")
        self._next += 1
        return value

    def _number(self, token: _Token, depth: int) -> Value:
        value = checked(Fraction(token.text))
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

    def _named(self, token: _Token, depth: int) -> Value:
        name = token.text
        if name in _CONSTANTS:
            return self._reals.constants[name]
        if name in self._values:
            return self._values[name]
        if name == "frac":
            return self._fraction(depth)
        if name == "binom":
            return binomial(self._argument(depth), self._argument(depth))
        if name == "sqrt":
            return self._root(depth)
        if name in _LOGARITHMS:
            return self._logarithm(token, depth)
        exponent = self._function_exponent()
        bracketed = self._peek() == "("
        argument = self._postfix(depth + 1) if bracketed else self._power(depth + 1)
        if not bracketed and self._starts_factor():
            raise NotArithmeticError(f"{name} needs brackets here")
        try:
            value = self._reals.call(name, argument)
        except ValueError as error:
            raise NotArithmeticError(f"{name} is not defined there") from error
        return value if exponent is None else checked(value**exponent)

    def _logarithm(self, token: _Token, depth: int) -> Value:
        r"""A logarithm to a base; without one only of a power of ten, else it has two readings."""
        base: Value = Fraction(10)
        written = token.suffix.strip("_{}")
        if written:
            if written in _CONSTANTS or written in self._values:
                base = self._reals.constants.get(written) or self._values[written]
            elif written.isdigit():
                base = Fraction(written)
            else:
                raise NotArithmeticError(f"a logarithm to the base {written!r}")
        bracketed = self._peek() == "("
        argument = self._postfix(depth + 1)
        if not bracketed and self._starts_factor():
            raise NotArithmeticError("a logarithm needs brackets here")
        exact = exact_logarithm(argument, base)
        if exact is not None:
            return exact
        if argument <= 0 or base <= 0 or base == 1:
            raise NotArithmeticError("a logarithm that is not defined there")
        if not written and token.text != "lg":
            self.any_base = True
            base = self._any_base
        return self._reals.call("ln", argument) / self._reals.call("ln", base)

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
        top, bottom = self._reals.alike(self._argument(depth), self._argument(depth))
        value: Value = checked(top / bottom)
        return value

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
            return root(self._primary(depth + 1), degree.numerator, self._reals)
        return root(self._primary(depth + 1), 2, self._reals)

    def _peek(self) -> str:
        return self._tokens[self._next].text if self._next < len(self._tokens) else ""
