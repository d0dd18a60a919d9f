"""Equality of formulas without computer algebra, by their values at a few points.

Two formulas that differ at a point where both are defined are different. Formulas that agree at
every point drawn (irrational, of both signs, the same in each process) are equal: for what
`arithmetic` reads, a chance agreement has no measure.
"""

from __future__ import annotations

import functools
import random
import re
import unicodedata
from collections.abc import Callable

from vasari.verify.arithmetic import evaluate, variables
from vasari.verify.limits import MAX_SET_ITEMS, LimitExceededError
from vasari.verify.powers import NotArithmeticError

NUM_POINTS = 6
"""Points at which formulas are compared."""

_MIN_DEFINED = 3
"""Points at which both must be defined to be called equal."""

_EQUAL, _DIFFERENT = 1e-10, 1e-7
"""Relative differences up to which values are equal, and from which they differ; between the two
neither holds."""

_MAX_VARIABLES = 8
_OPENERS, _CLOSERS = "([{", ")]}"
_INFINITY = re.compile(r"\+?\s?(?:\\infty|∞|infinity|oo)")
_COMMAND = re.compile(r"\\[a-zA-Z]+")
_WORD = re.compile(r"[a-zA-Z]{3,}|_{2,}|[;'\"`]")
_COMMAND_NAMES = (
    "frac sqrt sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh log ln lg exp pi infty"
    " cdot times div pm mp le leq leqslant ge geq geqslant ne neq lt gt approx equiv in notin cup"
    " cap setminus emptyset varnothing subset subseteq mathbb mathbf mathrm mathcal text overline"
    " vec hat bar alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta kappa lambda mu"
    " nu xi rho sigma tau phi varphi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi"
    " Omega binom sum prod int lim to rightarrow begin end cdots ldots dots mid lfloor rfloor lceil"
    " rceil lvert rvert langle rangle angle triangle circ prime quad wedge vee land lor neg forall"
    " exists max min gcd mod bmod pmod det dim ker deg partial nabla"
)
_COMMANDS = frozenset("\\" + name for name in _COMMAND_NAMES.split())
_FUNCTION_NAMES = (
    "sqrt sin cos tan cot sec csc log exp abs acos asin atan min max gcd and or matrix pmatrix"
    " bmatrix vmatrix cases"
)
_FUNCTION_WORDS = frozenset(_FUNCTION_NAMES.split())
_UNION = re.compile(r"\\cup(?![a-zA-Z])|\u222a")


def formulas_equal(found: str, reference: str) -> bool | None:
    """Whether two normalised formulas are equal in value; None when that cannot be decided.

    Expressions, equations of one equals sign (the sides' differences must be proportional), and
    tuples, lists, intervals and unions of these, item by item and with the same brackets.

    Raises:
        LimitExceededError: One nests too deep or grows too large.
    """
    left, right = _UNION.split(found), _UNION.split(reference)
    if len(left) > 1 or len(right) > 1:
        return _all_equal(left, right, _items_equal) if len(left) == len(right) else None
    return _items_equal(found, reference)


def may_be_formula(found: str, reference: str) -> bool:
    """Whether an answer may be a formula: its words are mathematical or occur in the reference."""
    if any(unicodedata.category(character).startswith("C") for character in found):
        return False
    known = _COMMANDS | set(_COMMAND.findall(reference))
    if not set(_COMMAND.findall(found)) <= known:
        return False
    words = set(_WORD.findall(_COMMAND.sub(" ", found)))
    return words <= _FUNCTION_WORDS | set(_WORD.findall(_COMMAND.sub(" ", reference)))


def _items_equal(found: str, reference: str) -> bool | None:
    left, right = _listed(found), _listed(reference)
    if left is None and right is None:
        return _values_equal(found, reference)
    if left is None or right is None:
        return None
    if left[0] != right[0] or len(left[1]) != len(right[1]):
        return False
    return _all_equal(left[1], right[1], _values_equal)


def _all_equal(
    left: list[str], right: list[str], equal: Callable[[str, str], bool | None]
) -> bool | None:
    results = [equal(one, other) for one, other in zip(left, right, strict=True)]
    if False in results:
        return False
    return None if None in results else True


def _listed(text: str) -> tuple[str, list[str]] | None:
    """The brackets and the items of "(1, 2]", None for what is no list."""
    text = text.strip()
    if len(text) < 3 or text[0] not in "([" or text[-1] not in ")]":
        return None
    items, depth, start = [], 0, 1
    for place, character in enumerate(text):
        if character in _OPENERS:
            depth += 1
        elif character in _CLOSERS:
            depth -= 1
            if depth == 0 and place < len(text) - 1:
                return None
        elif character == "," and depth == 1:
            items.append(text[start:place])
            start = place + 1
    if not items or len(items) > MAX_SET_ITEMS:
        return None
    return text[0] + text[-1], [*items, text[start:-1]]


def _values_equal(found: str, reference: str) -> bool | None:
    found, reference = found.strip(), reference.strip()
    ends = [_infinite(found), _infinite(reference)]
    if any(ends):
        return ends[0] == ends[1]
    if found.count("=") != reference.count("=") or found.count("=") > 1:
        return None
    names = variables(found) | variables(reference)
    if len(names) > _MAX_VARIABLES:
        return None
    try:
        agree = _agree(found.split("="), reference.split("="), names)
    except NotArithmeticError:
        return None
    # The imaginary unit was a free variable: i^2 = -1 is unknown here.
    if agree is False and names & {"i", "j"}:
        both = variables(found) == variables(reference) == {"i"}
        linear = both and _is_linear(found) and _is_linear(reference)
        return False if linear else None
    return agree


def _is_linear(text: str) -> bool:
    """Whether a formula is a + bi: of those, other numbers a and b are another value."""
    try:
        zero, one, more, less = (float(evaluate(text, {"i": at})) for at in (0.0, 1.0, 3.0, -7.0))
    except (NotArithmeticError, LimitExceededError, OverflowError):
        return False
    slope, size = one - zero, 1e-9 * max(1.0, abs(zero), abs(one))
    return abs(more - zero - 3 * slope) < size and abs(less - zero + 7 * slope) < size


def _infinite(text: str) -> str:
    sign = "-" if text.startswith("-") else ""
    return sign + "∞" if _INFINITY.fullmatch(text.removeprefix("-").strip()) else ""


def _agree(found: list[str], reference: list[str], names: frozenset[str]) -> bool | None:
    if not names:  # They have the same values everywhere.
        pairs = [(_difference(found, {}), _difference(reference, {}))] * NUM_POINTS
        return _proportional(pairs) if len(found) > 1 else _decided(_gaps(pairs))
    pairs = []
    for number in range(NUM_POINTS):
        point = {name: _coordinate(name, number) for name in names}
        try:
            pairs.append((_difference(found, point), _difference(reference, point)))
        except NotArithmeticError:
            continue
        if len(found) == 1 and _gaps(pairs[-1:])[0] > _DIFFERENT:
            return False
    return _proportional(pairs) if len(found) > 1 else _decided(_gaps(pairs))


def _gaps(pairs: list[tuple[float, float]]) -> list[float]:
    return [abs(left - right) / max(abs(left), abs(right), 1e-12) for left, right in pairs]


def _proportional(pairs: list[tuple[float, float]]) -> bool | None:
    """Whether two equations, as left minus right side, are multiples of each other."""
    if any(abs(value) < 1e-9 for pair in pairs for value in pair):
        return None
    ratios = [left / right for left, right in pairs]
    return (
        _decided([abs(ratio - ratios[0]) / abs(ratios[0]) for ratio in ratios]) if ratios else None
    )


def _decided(gaps: list[float]) -> bool | None:
    if any(gap > _DIFFERENT for gap in gaps):
        return False
    return True if len(gaps) >= _MIN_DEFINED and all(gap <= _EQUAL for gap in gaps) else None


def _difference(sides: list[str], point: dict[str, float]) -> float:
    try:
        return float(evaluate(sides[0], point)) - (
            float(evaluate(sides[1], point)) if len(sides) > 1 else 0.0
        )
    except LimitExceededError:
        raise
    except OverflowError as error:
        raise LimitExceededError("a number grows beyond what a float holds") from error


@functools.lru_cache(maxsize=1024)
def _coordinate(name: str, number: int) -> float:
    value = random.Random(f"{name} {number}").uniform(0.4, 2.2)
    return -value if number % 3 == 2 else value
