r"""Split a LaTeX formula into tokens as latex2sympy2's grammar does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

OPENERS = {
    "(": ")",
    "[": "]",
    "{": "}",
    "\\{": "\\}",
    "\\lbrace": "\\rbrace",
    "\\lbrack": "\\rbrack",
    "\\lgroup": "\\rgroup",
}
# Symbols, sums, limits, norms and the like: the grammar knows them, `math` does not.
_NAMELESS = (
    r"\\(?:lim|int|sum|prod|csc|sec|cot|arccsc|arcsec|arccot|gcd|lcm|ceil|max|min|det|mathit|operatorname|begin|infty|partial"
    r"|emptyset|alpha|beta|gamma|delta|epsilon|varepsilon|zeta|eta|theta|vartheta|iota|kappa|lambda|mu|nu|xi|omicron|varpi"
    r"|rho|varrho|sigma|varsigma|upsilon|phi|varphi|chi|psi|omega|angle|triangle|square|ell|text|mathrm|mathbf|bar|overline"
    r"|vec|hat|lvert|vert|ulcorner|lceil|llcorner)"
)
_TOKEN = re.compile(
    r"(?P<space>[ \t\r\n]+|\\\$)"
    r"|(?P<percent>(?:[0-9]+(?:,[0-9]{3})*|[0-9]*(?:,[0-9]{3})*\.[0-9]+)\\%)"
    r"|(?P<number>[0-9]*(?:,[0-9]{3})*\.[0-9]+|[0-9]+(?:,[0-9]{3})*)"
    r"|(?P<operator>\\times|\\cdot|\\div|\\over(?![a-z])|[-+*/:])"
    r"|(?P<compare>==|\\equiv|\\leqslant|\\leq|\\le(?!f)|\\geqslant|\\geq|\\ge|!==?|\\neq|\\ne|<|>)"
    r"|(?P<function>\\(?:arcsinh|arccosh|arctanh|arcsin|arccos|arctan|arsinh|arcosh|artanh|sinh|cosh|tanh|sin|cos|tan|exp|log"
    r"|ln|floor))"
    r"|(?P<floor>\\lfloor|\\rfloor)"
    r"|(?P<sqrt>\\sqrt)|(?P<frac>\\frac)|(?P<binom>\\[td]?binom)|(?P<choose>\\choose)|(?P<pi>\\pi)|(?P<tau>\\tau)"
    r"|(?P<sizing>\\m?left|\\m?right)"
    r"|(?P<bracket>\\lbrace|\\rbrace|\\lbrack|\\rbrack|\\lgroup|\\rgroup|\\[{}]|[()\[\]{}])"
    r"|(?P<e>e)|(?P<nameless>" + _NAMELESS + r"|[a-z]|\\\|)"
    r"|(?P<other>[=,;.^_!'|&])"
)


class FormulaError(ValueError):
    """Raised for a formula without a value, where MATH-V's official scorer's `eval` would raise."""


@dataclass(frozen=True, slots=True)
class Token:
    """A LaTeX token and the name of the regular-expression group that matched it."""

    kind: str
    text: str


def tokenise(text: str) -> Iterator[Token]:
    """Yield the tokens of a LaTeX formula one by one; raise at an unknown character."""
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None or match.lastgroup is None:
            raise FormulaError(f"unknown character {text[position]!r}")
        position = match.end()
        if match.lastgroup != "space":
            yield Token(match.lastgroup, match.group())


class Tokens:
    """A stream of LaTeX tokens with one token of look-ahead."""

    def __init__(self, tokens: Iterator[Token]) -> None:
        self._tokens = tokens
        self.ahead: Token | None = next(tokens, None)

    def take(self) -> Token:
        """Return the next LaTeX token and advance past it."""
        if self.ahead is None:
            raise FormulaError("the formula ends too early")
        token, self.ahead = self.ahead, next(self._tokens, None)
        return token

    def is_next(self, text: str) -> bool:
        """Whether the text of the next LaTeX token is `text`; does not advance."""
        return self.ahead is not None and self.ahead.text == text

    def expect(self, text: str) -> None:
        """Advance past the next LaTeX token; raise FormulaError if its text is not `text`."""
        if self.take().text != text:
            raise FormulaError(f"{text!r} is missing")
