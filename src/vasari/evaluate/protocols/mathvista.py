"""MathVista's official scorer without its LLM: quick extraction, and comparison of answers.

From lupantech/MathVista, `evaluation/calculate_score.py`.

Known bugs that are kept: any text at all is credited with the option nearest by edit distance (a
refusal scores), an integer is cut, not rounded, and texts are compared, so a list must be spelled
alike. The extraction itself is an LLM's where the quick rules fail; without a stored extraction
such rows have no official verdict.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from vasari.core.errors import MissingExtraError

MAX_EXTRACTION_CHARS = 20_000
"""An edit distance to a longer text is not computed."""

_LETTER = re.compile(r"\(([a-zA-Z])\)")
_STATED = re.compile(r'The answer is "(.*)"\.')


@dataclass(frozen=True, slots=True)
class Prediction:
    """Normalised form of an extracted answer, and the rule that normalised the answer."""

    text: str | None
    """Text that is compared with the reference; None for what should be a number and is none."""
    rule: str
    """"letter", "nearest_option", "number" or "text"."""


def quick_extraction(
    response: str,
    *,
    choices: Sequence[str] | None,
    question_type: str | None,
    answer_type: str | None,
) -> str | None:
    """Return the answer that MathVista's script finds without an LLM; None if it needs an LLM."""
    if not response:
        return ""
    if question_type == "multi_choice" and choices and response in choices:
        return response
    try:
        if answer_type == "integer":
            return str(int(response))
        if answer_type == "float":
            return str(float(response))
    except ValueError:
        pass
    stated = _STATED.search(response)
    return stated.group(1) if stated else None


def predict(
    extraction: str,
    *,
    choices: Sequence[str] | None,
    question_type: str | None,
    answer_type: str | None,
    precision: int | None,
) -> Prediction:
    """Return an extracted answer, normalised by MathVista's rule for the question's type."""
    if question_type == "multi_choice" and choices:
        text = extraction.strip()
        letter = _LETTER.search(text)
        if letter:
            text = letter.group(1).upper()
        if len(text) == 1 and 0 <= ord(text) - ord("A") < len(choices):
            return Prediction(choices[ord(text) - ord("A")], "letter")
        return Prediction(
            nearest_option(text, choices), "nearest_option" if text not in choices else "text"
        )
    try:
        if answer_type == "integer":
            return Prediction(str(int(float(extraction))), "number")
        if answer_type == "float":
            # The hub serves the precision as a float, which the official round() refuses; the
            # repository has integers.
            return Prediction(str(round(float(extraction), precision)), "number")
    except (ValueError, OverflowError):
        return Prediction(None, "number")
    return Prediction(extraction, "text")


def nearest_option(text: str, choices: Sequence[str]) -> str:
    """Return the option with the smallest edit distance to `text`; the first one in a tie.

    Raises:
        MissingExtraError: RapidFuzz is not installed.
    """
    try:
        from rapidfuzz.distance import Levenshtein  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise MissingExtraError(
            "MathVista's official rule needs RapidFuzz: pip install 'vasari[evaluate]'"
        ) from error
    text = text[:MAX_EXTRACTION_CHARS]
    distances = [
        int(Levenshtein.distance(text, choice[:MAX_EXTRACTION_CHARS])) for choice in choices
    ]
    return choices[distances.index(min(distances))]
