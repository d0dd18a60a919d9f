"""Comparing an answer with its reference: as text, by kind of answer, last by computer algebra."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from vasari.core.records import AnswerKind, Outcome, Verdict
from vasari.verify.arguments import check_arguments
from vasari.verify.arithmetic import Value
from vasari.verify.choices import LETTERS, named_letters, option_groups, option_texts
from vasari.verify.extract import Extraction, boxed_answers, extract_answer
from vasari.verify.formulas import formulas_equal, may_be_formula
from vasari.verify.limits import (
    MAX_EXPRESSION_CHARS,
    MAX_RESPONSE_CHARS,
    LimitExceededError,
    check_growth,
    check_nesting,
    check_symbolic,
)
from vasari.verify.normalise import compact, loosen, normalise
from vasari.verify.numbers import (
    Number,
    is_value,
    numbers_equal,
    parse_constant,
    parse_number,
    values_equal,
)
from vasari.verify.prose import declines, number_in, stated_number, stated_option
from vasari.verify.sets import DuplicateItemError, parse_set
from vasari.verify.symbolic import shared_worker
from vasari.verify.units import split_unit

IRRATIONAL_TOLERANCE = 1e-6
"""Relative tolerance between an irrational reference and an answer."""

_MIN_DECIMALS, _MIN_DIGITS = 2, 3
"""Decimals and significant digits that a rounded irrational number needs to be right."""

_LONE_LETTER = re.compile(r"\(?([A-J])\)?")
_FORMULA = re.compile(
    r"[0-9][a-z]\b|[\\^=√π∞≤≥<>_|]|[0-9]\s*[-+*/(]|[-+*/(,\[]\s*[0-9]|\b[a-zA-Z]\s*[-+*/]\s*[a-zA-Z0-9]\b"
)
# Math-Verify reads "(1) 20" as the mixed number 21.
_JUXTAPOSED = re.compile(r"[0-9)\]}]\s+[0-9]")
_UNWORKED = re.compile(
    r"\\(?:sum|prod|int|iint|oint|lim|bigcup|bigcap)(?![a-zA-Z])|\\binom\s?\{[^{}]*(?:\^|[0-9]{3})"
)
_WORD = re.compile(
    r"(?<![\\a-zA-Z])(?!(?:sqrt|sin|cos|tan|log|exp|pi|abs|acos|asin|atan)\b)[a-zA-Z]{3,}"
)


class _ReferenceError(ValueError):
    """The reference answer cannot be read."""


@dataclass(frozen=True, slots=True)
class _Reference:
    """A parsed reference answer."""

    kind: AnswerKind
    text: str
    """Normalised."""
    choices: tuple[str, ...] | None = None
    letters: frozenset[str] = frozenset()
    number: Number | None = None
    value: Value | None = None
    """Of constant arithmetic that is not a plain number."""
    unit: str = ""
    """Canonical unit of an expression."""
    items: frozenset[str] = frozenset()


def verify_answer(
    response: str, answer: str, choices: Sequence[str] | None = None, kind: AnswerKind | None = None
) -> Verdict:
    """Return the verdict on a response: whether its final answer equals the reference answer.

    Args:
        response: Everything the policy wrote.
        answer: The reference: a letter (or the text of an option) for "choice", else the value as
            text.
        choices: Option texts, A first; None for a free answer.
        kind: How to compare; None infers it from the reference and the choices (`infer_kind`).

    Returns:
        The verdict. `decided_by` is one of "exact", "choice", "number", "text", "set", "symbolic"
        (compared so), "no_answer" (none stated), "ambiguous" (several different answers in the
        answer block), "limit" (too long, deep, large or slow: INCORRECT) and "reference" (it cannot
        be read: UNVERIFIABLE). A symbolic comparison that is needed but could not be made is
        UNVERIFIABLE too, with its reason. Malformed text raises nothing.

    Raises:
        ConfigError: `kind` is unknown.
        DataError: The response, the answer or an option is no text, such as the NaN of an empty
            cell.
    """
    check_arguments(response, answer, choices, kind)
    try:
        reference = _read_reference(answer, tuple(choices) if choices else None, kind)
    except (_ReferenceError, LimitExceededError) as error:
        return Verdict(Outcome.UNVERIFIABLE, None, "reference", f"reference: {error}")
    if len(response) > MAX_RESPONSE_CHARS:
        return Verdict(
            Outcome.INCORRECT,
            None,
            "limit",
            f"response is longer than {MAX_RESPONSE_CHARS} characters",
        )
    found: str | None = None
    try:
        extraction = extract_answer(response)
        found = _read_answer(extraction, reference)
        if found is None:
            return Verdict(Outcome.INCORRECT, None, "no_answer")
        if extraction.ambiguous:
            return Verdict(
                Outcome.INCORRECT,
                found,
                "ambiguous",
                "the answer block states several different answers",
            )
        check_nesting(found)
        verdict = _compare(found, reference)
        if verdict.outcome is Outcome.INCORRECT and _in_percent(found, extraction, reference):
            return _compare(found.replace("\\%", "").replace("%", ""), reference)
        return verdict
    except LimitExceededError as error:
        return Verdict(Outcome.INCORRECT, found, "limit", str(error))
    except OverflowError:  # An exact number of a thousand digits against an irrational one.
        return Verdict(
            Outcome.INCORRECT, found, "limit", "a number grows beyond what a float holds"
        )


def _read_answer(extraction: Extraction, reference: _Reference) -> str | None:
    """The answer to compare: the extraction, or an answer of the reference's kind in its prose."""
    found = extraction.text
    # An empty or unfinished box shows where the answer should have been; prose does not replace it.
    if (
        extraction.source in ("box", "block")
        or reference.kind in ("text", "set")
        or "\\boxed" in extraction.visible
    ):
        return found
    if reference.kind == "choice":
        if found is not None and named_letters(normalise(found), reference.choices):
            return found
        stated = stated_option(found, reference.choices) if found is not None else None
        return (
            stated
            or stated_option(extraction.visible, reference.choices)
            or _unless_declined(found)
        )
    if found is not None and (is_value(found) or not _WORD.search(normalise(found))):
        return found
    if found is None:
        return stated_number(extraction.visible)
    # "Here is the answer:" above a paragraph is a heading; what follows it is read as prose.
    stated = number_in(found) if extraction.source == "phrase" else None
    return stated or stated_number(extraction.visible) or _unless_declined(found)


def _unless_declined(found: str | None) -> str | None:
    return None if found is not None and declines(found) else found


def _in_percent(found: str, extraction: Extraction, reference: _Reference) -> bool:
    """Whether an answer in percent may mean the number without it: the response uses percent."""
    if reference.number is None or reference.number.percent or "%" not in found:
        return False
    rest = extraction.visible.replace(found, " ", 1)
    return "%" in rest or "percent" in rest.casefold()


def infer_kind(answer: str, choices: Sequence[str] | None = None) -> AnswerKind:
    """Return the kind of comparison that a reference answer needs, e.g. "number" or "choice".

    With choices "choice"; else a lone capital A to J "choice", a number (with a unit, too)
    "number", what has mathematical signs "expression", a list with commas "set" (in any order),
    everything else "text".
    """
    text = normalise(answer)
    if choices or _LONE_LETTER.fullmatch(text):
        return "choice"
    if parse_number(text) is not None:
        return "number"
    braced = text.startswith(("{", "\\{")) and text.endswith("}") and "," in text
    formula = bool(_FORMULA.search(text.replace("\\{", "").replace("\\}", "")))
    formula = formula and not _WORD.search(text) and not _JUXTAPOSED.search(text)
    if not braced and (formula or parse_constant(split_unit(text).body) is not None):
        return "expression"
    if "," in text:
        return "set"
    return "text"


@functools.lru_cache(maxsize=4096)
def _read_reference(
    answer: str, choices: tuple[str, ...] | None, kind: AnswerKind | None
) -> _Reference:
    boxes = boxed_answers(answer)
    text = normalise(boxes[-1] if boxes else answer)
    if not text:
        raise _ReferenceError("it is empty")
    if len(text) > MAX_RESPONSE_CHARS:
        raise _ReferenceError("it is too long")
    check_nesting(text)
    kind = kind or infer_kind(text, choices)
    if kind == "choice":
        return _Reference(kind, text, choices, letters=_reference_letters(text, choices))
    if kind == "set":
        return _Reference(kind, text, items=_reference_items(text))
    if kind == "text":
        return _Reference(kind, text)
    return _read_value(text, kind)


def _read_value(text: str, kind: AnswerKind) -> _Reference:
    number = parse_number(text)
    if number is not None:
        return _Reference(kind, text, number=number)
    measured = split_unit(text)
    value = parse_constant(measured.body)
    if value is None and kind == "number":
        raise _ReferenceError(f"{text[:80]!r} is not a number")
    if value is None:
        return _Reference(kind, text)
    if isinstance(value, Fraction):
        return _Reference(kind, text, number=Number(value, unit=measured.unit))
    return _Reference(kind, text, value=value, unit=measured.unit)


def _reference_items(text: str) -> frozenset[str]:
    try:
        items = parse_set(text)
    except DuplicateItemError as error:
        raise _ReferenceError(str(error)) from error
    if not items:
        raise _ReferenceError("a set without items")
    return items


def _reference_letters(text: str, choices: tuple[str, ...] | None) -> frozenset[str]:
    letters = named_letters(text, choices)
    if not letters:
        raise _ReferenceError(f"{text[:80]!r} is neither a letter nor an option")
    if choices is None:
        return letters
    if len(choices) > len(LETTERS):
        raise _ReferenceError(f"{len(choices)} options, more than letters")
    outside = letters - set(LETTERS[: len(choices)])
    if outside:
        by_text = option_groups(choices).get(compact(text).casefold())
        if by_text is None:
            raise _ReferenceError(
                f"{', '.join(sorted(outside))} is outside the {len(choices)} options"
            )
        return by_text
    return letters


def _compare(found: str, reference: _Reference) -> Verdict:
    text = normalise(found)
    if text == reference.text and reference.kind != "choice":
        return Verdict(Outcome.CORRECT, found, "exact")
    if reference.kind == "choice":
        return _compare_choice(found, text, reference)
    if reference.kind == "text":
        words = loosen(text)
        return _decided(bool(words) and words == loosen(reference.text), found, "text")
    if reference.kind == "set":
        try:
            return _decided(parse_set(text) == reference.items, found, "set")
        except DuplicateItemError as error:
            return Verdict(Outcome.INCORRECT, found, "set", str(error))
    return _compare_value(found, text, reference)


def _compare_choice(found: str, text: str, reference: _Reference) -> Verdict:
    letters = named_letters(text, reference.choices)
    right = bool(letters) and option_texts(letters, reference.choices) == option_texts(
        reference.letters, reference.choices
    )
    return _decided(right, found, "exact" if right and text == reference.text else "choice")


def _compare_value(found: str, text: str, reference: _Reference) -> Verdict:
    number = parse_number(text)
    if reference.number is not None and number is not None:
        return _decided(numbers_equal(number, reference.number), found, "number")
    if reference.value is not None and number is not None:
        same_unit = not number.unit or not reference.unit or number.unit == reference.unit
        return _decided(same_unit and _rounds(number, float(reference.value)), found, "number")
    if compact(text) == compact(reference.text):
        return Verdict(Outcome.CORRECT, found, "exact")
    measured = split_unit(text)
    value = parse_constant(measured.body)
    expected = reference.number.unit if reference.number is not None else reference.unit
    if value is not None and measured.unit and expected and measured.unit != expected:
        return Verdict(
            Outcome.INCORRECT, found, "number", f"the unit is {measured.unit}, not {expected}"
        )
    if value is not None and reference.number is not None:
        return _decided(values_equal(value, reference.number), found, "number")
    if value is not None and reference.value is not None:
        return _decided(_close(float(value), float(reference.value)), found, "number")
    if reference.kind == "number":
        return Verdict(Outcome.INCORRECT, found, "number", "the answer is not a number")
    return _compare_symbolic(found, text, reference)


def _close(found: float, reference: float) -> bool:
    return abs(found - reference) <= IRRATIONAL_TOLERANCE * abs(reference)


def _rounds(number: Number, reference: float) -> bool:
    """Whether a number is an irrational reference, perhaps rounded to the number's decimals."""
    found = float(number.value)
    if _close(found, reference):
        return True
    if (
        number.percent
        or number.decimals is None
        or number.decimals < _MIN_DECIMALS
        or number.digits < _MIN_DIGITS
    ):
        return False
    return abs(found - reference) <= 0.5 * 10.0**-number.decimals * (1 + 1e-9)


def _compare_symbolic(found: str, text: str, reference: _Reference) -> Verdict:
    if len(text) > MAX_EXPRESSION_CHARS:
        raise LimitExceededError(f"an expression is longer than {MAX_EXPRESSION_CHARS} characters")
    if _JUXTAPOSED.search(reference.text):
        return Verdict(
            Outcome.UNVERIFIABLE,
            found,
            "reference",
            "reference: numbers side by side have no single reading",
        )
    if _JUXTAPOSED.search(text):
        return Verdict(
            Outcome.INCORRECT, found, "symbolic", "numbers side by side have no single reading"
        )
    formula, expected = text.replace("**", "^"), reference.text.replace("**", "^")
    if ("%" in formula) != ("%" in expected):
        return Verdict(Outcome.INCORRECT, found, "symbolic", "only one of the two is a percentage")
    check_growth(formula)
    equal = formulas_equal(formula, expected)
    return (
        _by_worker(found, formula, expected)
        if equal is None
        else _decided(equal, found, "symbolic")
    )


def _by_worker(found: str, formula: str, expected: str) -> Verdict:
    """The verdict of computer algebra, for an answer that it can read."""
    if _UNWORKED.search(formula) and not _UNWORKED.search(expected):
        return Verdict(
            Outcome.INCORRECT,
            found,
            "symbolic",
            "a sum, product, integral or limit is not worked out",
        )
    if not may_be_formula(formula, expected):
        return Verdict(Outcome.INCORRECT, found, "symbolic", "the answer is no formula")
    check_symbolic(formula)
    result = shared_worker().compare(formula, expected)
    if result in ("equal", "different"):
        return _decided(result == "equal", found, "symbolic")
    if result == "limit":
        return Verdict(
            Outcome.INCORRECT, found, "limit", "symbolic comparison took too much time or memory"
        )
    if result == "reference":
        return Verdict(
            Outcome.UNVERIFIABLE,
            found,
            "reference",
            "reference: symbolic comparison cannot read it",
        )
    reasons = {
        "missing": "needs vasari[evaluate]",
        "crashed": "the symbolic worker died",
        "starved": "the machine was too busy",
    }
    return Verdict(Outcome.UNVERIFIABLE, found, "symbolic", reasons[result])


def _decided(right: bool, found: str, rule: str) -> Verdict:
    return Verdict(Outcome.CORRECT if right else Outcome.INCORRECT, found, rule)
