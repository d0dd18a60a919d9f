r"""MATH-Vision's official scorer, bit for bit, its bugs included.

From mathllm/MATH-V, `evaluation/`, MIT.

Known bugs that are kept: two answers that agree to two decimals are equal (1/300 is 1/900), `x = 5`
has everything before its last "=" cut, a list without brackets never equals its own spelling with
spaces, a percentage with a bare "%" has no value, a sentence that ends in " A." is the answer A,
and an option's text is compared with its raw LaTeX.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from vasari.evaluate.protocols.latex_braces import brace_fractions, brace_roots, slash_as_fraction
from vasari.evaluate.protocols.latex_tokens import FormulaError
from vasari.evaluate.protocols.latex_value import MAX_FORMULA_CHARS, Real, formula_value
from vasari.verify.limits import LimitExceededError

_PHRASES = ("the final answer is", "the answer is", "the correct answer is", "the answer should be")
_REMOVED = (
    (" ", ""), ("\\,", ""), ("∞", "\\infty"), ("+\\infty", "\\infty"), ("\\\\", "\\"), ("\n", ""),
    ("\\text", ""), ("\\mbox", ""), ("bmatrix", "pmatrix"), ("\\left", ""), ("\\right", ""),
    ("^{\\circ}", ""), ("^\\circ", ""), ("{m}^3", ""), ("m^3", ""), ("{units}", ""), ("units", ""),
    ("{km}", ""), ("km", ""),
)  # fmt: skip
_STRIPPED = (
    ("\n", ""), ("\\!", ""), ("\\\\", "\\"), ("tfrac", "frac"), ("dfrac", "frac"), ("\\left", ""),
    ("\\right", ""), ("^{\\circ}", ""), ("^\\circ", ""), ("\\$", ""), ("$", ""),
)  # fmt: skip
_GREEDY_BOX = re.compile(r"oxed\{(.*)\}", re.DOTALL)


def extract_answer(response: str) -> str:
    """Return the answer that MATH-Vision's official rule reads in a response.

    A response that states no answer comes back without its spaces, not empty.
    """
    text = response.strip()
    for letter in "ABCDE":
        ends = (f" {letter}.", f" ({letter}).")
        starts = (f"{letter}\n", f"({letter})\n", f"({letter}) {letter}\n")
        if text.endswith(ends) or text.startswith(starts):
            text = letter
    tail = text.split("is ")[-1].rstrip(".")
    if _is_number(tail):
        text = tail
    if "oxed{" not in text:
        text = _after_phrases(text)
    elif text.count("oxed{") > 1:
        text = "\\boxed{" + text.split("oxed{")[-1]
    answer = _clean(text)
    for opening, closing in ("()", "{}"):
        for letter in "abcde":
            answer = answer.replace(f"{opening}{letter}{closing}", letter)
    return answer.rstrip(".").lstrip(":").strip()


def is_correct(extraction: str, answer: str, choices: Sequence[str] | None) -> bool:
    """Whether an extracted answer equals the reference answer or the text of the reference option.

    Raises:
        ValueError: There are options, and the reference names none of them.
        LimitExceededError: A formula is too long or a number too large to be evaluated.
    """
    option = ""
    if choices:
        place = ord(answer) - ord("A") if len(answer) == 1 else -1
        if not 0 <= place < len(choices):
            raise ValueError(
                f"the reference {answer[:40]!r} names none of the {len(choices)} options"
            )
        option = choices[place]
    return is_equal(answer, extraction) or is_equal(option, extraction)


def is_equal(first: str, second: str) -> bool:
    """Whether two answers are equal as text, or as values or tuples rounded to two decimals.

    Upper and lower case are the same.
    """
    first, second = first.lower(), second.lower()
    if not first.replace(" ", "") or not second.replace(" ", ""):
        return False
    if first.strip() == second.strip():
        return True
    first, second = _rounded_tuple(first), _rounded_tuple(second)
    if first == second:
        return True
    try:
        return _rounded(first) == _rounded(second)
    except FormulaError:
        return False


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _after_phrases(text: str) -> str:
    for phrase in _PHRASES:
        for spelling in (phrase, phrase.replace("the", "The")):
            found = spelling in text
            text = text.rsplit(spelling, maxsplit=1)[-1].strip()
            if found:
                text = text.split("\n")[0].split(". ")[0]
    return text


def _clean(text: str) -> str:
    text = text.lower().replace("{}", "")
    box = _GREEDY_BOX.search(text)
    if box is not None:
        text = box.group(1)
    closing, opening = text.find("}"), text.find("{")
    if closing != -1 and (opening == -1 or closing < opening):
        text = text[:closing]
    text = text.split("=")[-1].split("\\approx")[-1]
    for old, new in _REMOVED:
        text = text.replace(old, new)
    return _strip(text)


def _strip(text: str) -> str:
    for old, new in _STRIPPED:
        text = text.replace(old, new)
    text = text.split("\\text{ ")[0]
    text = text.replace("\\%", "").replace(" .", " 0.").replace("{.", "{0.")
    if not text:
        return text
    if text[0] == ".":
        text = "0" + text
    for sign in ("=", "\\approx"):
        if text.count(sign) == 1:
            text = text.split(sign)[1]
    if "sqrt" in text:
        text = brace_roots(text)
    text = text.replace(" ", "")
    if "sqrt" in text:  # Only then: "\frac13" alone stays as it is, and has no value.
        text = brace_fractions(text)
    if text == "0.5":
        text = "\\frac{1}{2}"
    return slash_as_fraction(text)


def _rounded_tuple(text: str) -> str:
    items = text[1:-1].split(",")
    brackets = text[0] + text[-1]
    if brackets not in ("()", "[]") or len(items) < 2:
        return text
    if len(text) > MAX_FORMULA_CHARS:
        raise LimitExceededError(f"a tuple is longer than {MAX_FORMULA_CHARS} characters")
    try:
        spelled = [
            item if "infty" in item or item in ("a", "-a") else str(_rounded(item))
            for item in items
        ]
    except FormulaError:
        return text
    return f"{brackets[0]}{','.join(spelled)}{brackets[1]}"


def _rounded(text: str) -> Real:
    return round(formula_value(text), 2)
