r"""MathRuler's rule, re-implemented (hiyouga/MathRuler, after openai/prm800k's grader, MIT).

Two answers are equal when they are spelled alike after the MATH data set's normalisation, or after
the looser one here, or when each part of the two is: fractions only in the same terms, integers
only as integers, and everything else when the difference of the formulas vanishes (looked at in
several points, not simplified by a computer algebra).
"""

from __future__ import annotations

import re

from vasari.evaluate.protocols.latex_braces import brace_fractions, brace_roots, slash_as_fraction
from vasari.evaluate.protocols.plain_expression import (
    NotPlainError,
    are_equal,
    parse_plain,
    with_products,
)
from vasari.verify.limits import LimitExceededError

MAX_ANSWER_CHARS = 5_000
"""Characters of an answer that are read; a longer one is over the limit."""

_BRACKETS = "()[]"
_UNITS = (
    "degree", "cm", "centimeter", "meter", "mile", "second", "minute", "hour", "day", "week",
    "month", "year", "foot", "feet", "inch", "yard",
)  # fmt: skip
_WRAPPED = re.compile(r"\\text\{(.+?)\}", re.DOTALL)
_FRACTION = re.compile(r"-?[0-9]+.?/0*[1-9][0-9]*.?")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d\d\d(?:\D|$))")
_NESTED = re.compile(r"\\frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}|\\sqrt\s*\{([^{}]*)\}")
_COMMANDS = (
    ("\\tfrac", "\\frac"), ("\\dfrac", "\\frac"), ("\\pi", "pi"), ("\\infty", "inf"),
    ("\\cup", "U"), ("\\cdot", "*"), ("\\times", "*"), ("\\left", ""), ("\\right", ""),
    ("\\,", " "), ("\\;", " "), ("\\ ", " "), ("~", " "),
)  # fmt: skip
_UNREAD = (re.compile(r"\^[0-9]+\^"), re.compile(r"\^[0-9][0-9]+"))
_MAX_DEPTH = 16


def boxed_answer(text: str) -> str | None:
    r"""Return the content of a text's last `\boxed{...}`; None if it is missing or unclosed."""
    start = text.rfind("\\boxed{")
    if start == -1:
        return None
    start += len("\\boxed{")
    depth = 0
    for place in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        if depth < 0:
            return text[start:place].strip()
    return None


def is_equal(found: str, answer: str) -> bool:
    """Whether two answers are equal by MathRuler's rule: as text, or part by part as formulas.

    Raises:
        LimitExceededError: An answer is too long, or a number in it too large.
    """
    if max(len(found), len(answer)) > MAX_ANSWER_CHARS:
        raise LimitExceededError(f"an answer is longer than {MAX_ANSWER_CHARS} characters")
    if _strip(found) == _strip(answer):
        return True
    given, expected = _normalise(found), _normalise(answer)
    if given == expected:
        return True
    if not given:
        return False
    parts, references = _parts(given), _parts(expected)
    if len(parts) != len(references):
        return False
    if len(references) > 1 and (given[0], given[-1]) != (expected[0], expected[-1]):
        return False
    return all(
        _part_equal(part, reference) for part, reference in zip(parts, references, strict=True)
    )


def _strip(text: str) -> str:
    """Return an answer after the MATH data set's normalisation."""
    text = text.strip()
    wrapped = _WRAPPED.fullmatch(text)
    text = wrapped.group(1).strip() if wrapped else text
    for old, new in (
        ("\n", ""), ("\\!", ""), ("\\\\", "\\"), ("tfrac", "frac"), ("dfrac", "frac"),
        ("\\left", ""), ("\\right", ""), ("^{\\circ}", ""), ("^\\circ", ""), ("\\$", ""),
    ):  # fmt: skip
        text = text.replace(old, new)
    text = text.split("\\text{ ")[0].replace("\\%", "").replace(" .", " 0.").replace("{.", "{0.")
    if not text:
        return text
    if text[0] == ".":
        text = "0" + text
    sides = text.split("=")
    if len(sides) == 2 and len(sides[0]) <= 2:
        text = sides[1]
    text = brace_fractions(brace_roots(text).replace(" ", ""))
    return slash_as_fraction("\\frac{1}{2}" if text == "0.5" else text)


def _normalise(text: str) -> str:
    wrapped = _WRAPPED.fullmatch(text)
    text = wrapped.group(1) if wrapped else text
    for old, new in (
        ("\\%", "%"),
        ("\\$", "$"),
        ("$", ""),
        ("%", ""),
        (" or ", " , "),
        (" and ", " , "),
    ):
        text = text.replace(old, new)
    for word, power in (("million", 6), ("billion", 9), ("trillion", 12)):
        text = text.replace(word, f"*10^{power}")
    for unit in _UNITS:
        text = re.sub(rf"{unit}(es)?(s)? *(\^[0-9]+)?", "", text)
    text = re.sub(r"\^ *\\circ", "", text)
    if text[:1] == "{" and text[-1:] == "}":
        text = text[1:-1]
    text = re.sub(r",\\! *", "", text)
    text = _whole(text) or text
    if "\\" in text:
        text = _as_plain(text)
    text = re.sub(r"- *", "-", text)
    text = re.sub(r"([0-9]) +([0-9])", r"\1+\2", text)  # A mixed number, 7 3/4.
    text = text.replace(" ", "").replace("{", "").replace("}", "").lower()
    return _whole(_THOUSANDS.sub("", text)) or text


def _as_plain(text: str) -> str:
    """Write LaTeX as plain text: fractions with a slash, roots as sqrt()."""
    for old, new in _COMMANDS:
        text = text.replace(old, new)
    text = text.replace("\\frac", " \\frac")
    for _ in range(_MAX_DEPTH):
        text, changed = _NESTED.subn(_spelled, text)
        if not changed:
            break
    return text.strip()


def _spelled(match: re.Match[str]) -> str:
    if match.group(3) is not None:
        return f"sqrt({match.group(3)})"
    top, bottom = match.group(1), match.group(2)
    return "/".join(side if side.isalnum() else f"({side})" for side in (top, bottom))


def _whole(text: str) -> str | None:
    """Return an integer, also one written 3.0, in its shortest spelling; None for other text."""
    try:
        value = float(text)
        return str(round(value)) if abs(value - round(value)) <= 1e-7 else None
    except (ValueError, OverflowError):
        return None


def _parts(text: str) -> list[str]:
    text = _THOUSANDS.sub("", text)
    inner = text[1:-1]
    bracketed = len(text) > 2 and text[0] in _BRACKETS and text[-1] in _BRACKETS
    if bracketed and not any(bracket in inner for bracket in _BRACKETS):
        return [part.strip() for part in inner.split(",")]
    return [text]


def _part_equal(found: str, answer: str) -> bool:
    if _FRACTION.fullmatch(found) and _FRACTION.fullmatch(answer):
        return found == answer
    if (_whole(found) is None) != (_whole(answer) is None):
        return False
    pair = f"({answer})-({found})"
    letters = {
        character
        for character in pair.replace("sqrt", "").replace("frac", "")
        if character.isalpha()
    }
    if (
        len(letters) > 2
        or "^{" in pair
        or "^(" in pair
        or any(pattern.search(pair) for pattern in _UNREAD)
    ):
        return False
    try:
        return are_equal(
            *(parse_plain(with_products(side.replace("^", "**"))) for side in (found, answer))
        )
    except NotPlainError:
        return False
