"""Whether a single answer is the reference: a number, a range, a time, an equation, a formula."""

from __future__ import annotations

import re
from fractions import Fraction

from vasari.verify.answer import Answer
from vasari.verify.formulas import formulas_equal
from vasari.verify.limits import MAX_EXPRESSION_CHARS, LimitExceededError, check_growth
from vasari.verify.quantities import Decision, quantities_equal
from vasari.verify.ranges import CURRENCY_SIGNS
from vasari.verify.regions import regions_equal

# Math-Verify reads "(1) 20" as the mixed number 21.
JUXTAPOSED = re.compile(r"(?<![_0-9])[0-9]+\s+[0-9]|[)\]}]\s+[0-9]")
_VARIABLE = re.compile(r"[a-zA-Z](?:_\w+|_\{\w+\})?'*|\\[a-z]+|[A-Z]{2}|∠[A-Z]{1,3}")
_MARKS = re.compile(r"_\{?[A-Za-z0-9]+\}?|'+|(?<=[A-Za-z])'")
_GREEK = re.compile(r"\\([a-zA-Z]+)")
_INEQUALITY = re.compile(r"[<>≤≥≠]")
_CURRENCY = re.compile(f"[{CURRENCY_SIGNS}]")
_JOINING = tuple("*/^·×÷")  # what joins two terms, and begins none
_BREAKS_OFF = re.compile(r"[-+*/^=(\[{,]\s*\Z|\\[a-zA-Z]+\s?[({]\s*\Z")
_OPERATORS = re.compile(r"\\(partial|nabla)(?![a-zA-Z])")
_TWO_NAMES = re.compile(
    r"([a-zA-Zα-ωΑ-Ω]'?|[0-9]+)\s?(\\not\s?)?([<>≤≥≠∪∩∖⊂⊆∈⊥∥≅∼∧∨→⇒])\s?([a-zA-Zα-ωΑ-Ω]'?|[0-9]+)"
)
_TURNED = {"<": ">", ">": "<", "≤": "≥", "≥": "≤"} | {sign: sign for sign in "≠∪∩⊥∥≅∼∧∨"}
_GREEK_LETTERS = {
    "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "epsilon", "ζ": "zeta", "η": "eta",
    "θ": "theta", "κ": "kappa", "λ": "lambda", "μ": "mu", "ν": "nu", "ξ": "xi", "ρ": "rho",
    "σ": "sigma", "τ": "tau", "φ": "phi", "χ": "chi", "ψ": "psi", "ω": "omega",
}  # fmt: skip
_IN_LATEX = str.maketrans({sign: f"\\{name} " for sign, name in _GREEK_LETTERS.items()})


def written_forms_match(found: Answer, reference: Answer) -> Decision | None:
    """Compare numbers in a base, ranges, and times or dates; None where there are none."""
    return _based(found, reference) or _ranges(found, reference) or _moments(found, reference)


def single_match(found: Answer, reference: Answer) -> Decision | None:
    """Compare regions, equations, ratios, quantities and formulas.

    Returns:
        The decision; None if only computer algebra can tell.

    Raises:
        LimitExceededError: One nests too deep or grows too large.
    """
    for rule in (_regions, _relations, _ratios, quantities_equal):
        decision = rule(found, reference)
        if decision is not None:
            return decision
    return _formulas(found, reference)


def _based(found: Answer, reference: Answer) -> Decision | None:
    """Numbers such as 101_2: value and base must be equal; plain digits are in the asked base."""
    if found.based is None and reference.based is None:
        return None
    if reference.based is None:
        if reference.constant is None or found.based is None:
            return None
        right = found.based[0] == reference.constant
        return Decision(right, "number", "" if right else f"{found.value_text} has another value")
    if found.based is None:
        digits = re.split(r"_|\s", reference.value_text)[0].strip("()")
        right = found.value_text.replace(" ", "").casefold() == digits.casefold()
        return Decision(right, "number", "" if right else f"not {digits} to the asked base")
    right = found.based == reference.based
    return Decision(right, "number", "" if right else "the digits or the base differ")


def _ranges(found: Answer, reference: Answer) -> Decision | None:
    codes = found.code, reference.code
    if codes[0] is not None and codes[1] is not None and not (found.range and reference.range):
        same = codes[0] == codes[1]
        return Decision(same, "text", "" if same else "the figures differ")
    if found.range is None and reference.range is None:
        return None
    if " to " in found.signs and reference.ratio is not None:
        return None  # "22 to 25" says a ratio where one is asked for.
    if found.range is None or reference.range is None:
        return Decision(False, "number", "one of the two is a range, the other is not")
    money = [set(_CURRENCY.findall(one.text)) for one in (found, reference)]
    right = found.range == reference.range and not (all(money) and money[0] != money[1])
    return Decision(right, "number", "" if right else "the ranges differ")


def _moments(found: Answer, reference: Answer) -> Decision | None:
    if reference.ratio is not None and found.ratio is not None and not _are_times(found, reference):
        return None
    if reference.moment is None or found.moment is None:
        moment, hour = found.moment, reference.number
        if moment is not None and moment.kind == "date" and reference.constant is not None:
            return Decision(False, "text", "a date is no number")
        if moment is None or hour is None or moment.kind != "time" or hour.unit:
            return None
        right = moment.parts[0] == hour.value and not any(moment.parts[1:])
        return Decision(right, "number", "" if right else f"{found.text} is a time of day")
    right = found.moment.equals(reference.moment)
    return Decision(right, "text", "" if right else "the times or dates differ")


def _are_times(found: Answer, reference: Answer) -> bool:
    """Whether both can only be times of day: "2:30" and "1:15" are, "22 : 25" is a ratio."""
    return found.moment is not None and reference.moment is not None


def is_region(answer: Answer) -> bool:
    """Whether an answer is an inequality, a union of intervals or the like."""
    return answer.region is not None


def _regions(found: Answer, reference: Answer) -> Decision | None:
    """Inequalities, intervals and unions; "more than 5" is no 5."""
    if not is_region(found) and not is_region(reference):
        return None
    left, right = found.interval, reference.interval
    if left is None or right is None:
        if left is not None and reference.constant is None and reference.listed is None:
            return None
        return Decision(False, "symbolic", "one of the two is a range of values, the other is not")
    same = regions_equal(left, right)
    return Decision(same, "symbolic", "" if same else "the ranges of values differ")


def _relations(found: Answer, reference: Answer) -> Decision | None:
    """Equations: as equations with equations; a single value is no equation."""
    inequalities = [bool(_INEQUALITY.search(one.signs)) for one in (found, reference)]
    if any(inequalities):
        if all(inequalities):
            return None
        return Decision(False, "symbolic", "only one of the two is an inequality")
    values = not (found.is_equation or reference.is_equation)
    if values and found.name and reference.name and _clash(found.name, reference.name):
        return Decision(False, "symbolic", f"it says {found.name}, not {reference.name}")
    equations = [len(one.sides) == 2 and one.is_equation for one in (found, reference)]
    if not any(equations):
        return None
    if len(found.sides) == len(reference.sides) == 2:
        return _formulas(found, reference)
    if equations[1]:
        return _no_equation(found, reference)
    if len(reference.sides) == 1 and found.name:
        return single_match(Answer(found.sides[1]), reference)
    if found.constant is not None:
        return None  # "24 * 24 = 576"
    return Decision(False, "symbolic", "an equation is no value")


def _no_equation(found: Answer, reference: Answer) -> Decision | None:
    """An answer without an equals sign, where an equation is asked for."""
    if found.constant is not None:
        return Decision(False, "symbolic", "a number is no equation")
    if len(found.sides) == 1:
        # "2x + 1" for "y = 2x + 1": the name of what is asked for may be left out.
        if reference.name and not is_region(found):
            return _formulas(found, Answer(reference.sides[1]))
        return Decision(False, "symbolic", "it is no equation")
    return None


def _clash(found: str, reference: str) -> bool:
    """Whether two names are names of variables, and different ones."""
    one, other = found.replace(" ", ""), reference.replace(" ", "")
    both = _VARIABLE.fullmatch(one) and _VARIABLE.fullmatch(other)
    return bool(both) and one.replace("{", "").replace("}", "") != other.replace("{", "").replace(
        "}", ""
    )


def _ratios(found: Answer, reference: Answer) -> Decision | None:
    """Ratios of equally many parts, equal up to a common factor; 1:2 is 1/2, and 3:1 no 3."""
    left, right = found.ratio, reference.ratio
    if left is None and right is not None and re.fullmatch(r"-?[0-9.]+", found.value_text):
        return Decision(False, "number", "a single number is no ratio")
    if left is None or right is None:
        return None
    if len(left) != len(right):
        return Decision(False, "number", "the ratios have different numbers of parts")
    if all(isinstance(part, Fraction) for part in (*left, *right)):
        same = all(a * right[0] == b * left[0] for a, b in zip(left, right, strict=True))
    else:
        pairs = [
            (float(a) * float(right[0]), float(b) * float(left[0]))
            for a, b in zip(left, right, strict=True)
        ]
        same = all(abs(a - b) <= 1e-9 * max(abs(a), abs(b)) for a, b in pairs)
    return Decision(same, "number", "" if same else "the ratios differ")


def _formulas(found: Answer, reference: Answer) -> Decision | None:
    """Formulas by their values at a few points; None where that cannot tell."""
    if len(found.text) > MAX_EXPRESSION_CHARS:
        raise LimitExceededError(f"an expression is longer than {MAX_EXPRESSION_CHARS} characters")
    if JUXTAPOSED.search(found.signs) and not JUXTAPOSED.search(reference.signs):
        return Decision(False, "symbolic", "numbers side by side have no single reading")
    if ("%" in found.text) != ("%" in reference.text):
        return Decision(False, "symbolic", "only one of the two is a percentage")
    if _marks(found.signs) != _marks(reference.signs):
        return Decision(False, "symbolic", "the subscripts or primes differ")
    if _case_differs(found.signs, reference.signs):
        return Decision(False, "symbolic", "a capital letter differs")
    if ("¬" in found.signs) != ("¬" in reference.signs):
        return Decision(False, "symbolic", "only one of the two is negated")
    if _OPERATORS.findall(found.text) != _OPERATORS.findall(reference.text):
        return Decision(False, "symbolic", "only one of the two is a derivative")
    if (told := _told_by_signs(found, reference)) is not None:
        return told
    check_growth(found.text.replace("**", "^"))
    equal = formulas_equal(_plain(found), _plain(reference))
    if equal is None:
        return None
    return Decision(equal, "symbolic", "" if equal else "the formulas have different values")


def _told_by_signs(found: Answer, reference: Answer) -> Decision | None:
    """What the signs of formulas without values tell: one is cut off, or two names are related."""
    if _BREAKS_OFF.search(found.text) and not _BREAKS_OFF.search(reference.text):
        return Decision(False, "symbolic", "the formula breaks off")
    if found.text[:1] in _JOINING and reference.text[:1] not in _JOINING:
        return Decision(False, "symbolic", "the formula's beginning is missing")
    one, other = _TWO_NAMES.fullmatch(found.signs), _TWO_NAMES.fullmatch(reference.signs)
    if one is None or other is None:
        return None
    left, denied, sign, right = one.groups()
    ways = {(left, bool(denied), sign, right)}
    if sign in _TURNED:
        ways.add((right, bool(denied), _TURNED[sign], left))
    wanted = (other.group(1), bool(other.group(2)), other.group(3), other.group(4))
    same = wanted in ways
    return Decision(same, "symbolic", "" if same else "another relation or other names")


def _case_differs(found: str, reference: str) -> bool:
    r"""Whether the two name the same Greek letters but for a capital: `\delta x`, `\Delta x`."""
    ours, theirs = set(_GREEK.findall(found)), set(_GREEK.findall(reference))
    return ours != theirs and {n.casefold() for n in ours} == {n.casefold() for n in theirs}


def _plain(answer: Answer) -> str:
    return answer.text.replace("**", "^").translate(_IN_LATEX)


def _marks(text: str) -> set[str]:
    """The subscripts and primes in a formula: computer algebra would drop them."""
    found = {mark.replace("{", "").replace("}", "") for mark in _MARKS.findall(text)}
    return found if "\\log" not in text and "log_" not in text else set()
