"""A verdict with every step that led to it, for a person to follow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vasari.core.records import AnswerKind, Verdict
from vasari.verify.cascade import verify_answer
from vasari.verify.extract import extract_answer
from vasari.verify.limits import LimitExceededError
from vasari.verify.reference import infer_kind

_SOURCES = {
    "block": "the answer block",
    "box": "the last box",
    "phrase": 'the words after "the answer is"',
    "whole": "the whole response",
    "none": "no box, block or phrase",
}


@dataclass(frozen=True, slots=True)
class Explanation:
    """What was extracted from a response and where, how it was compared, and the verdict."""

    kind: AnswerKind
    """How the answer was compared."""
    source: str
    """Where the answer was looked for, in words."""
    extracted: str | None
    """What stands there; None if nothing does."""
    compared: str | None
    """What was compared with the reference: the same, or what its sentence says."""
    reference: str
    verdict: Verdict


def explain(
    response: str, answer: str, choices: Sequence[str] | None = None, kind: AnswerKind | None = None
) -> Explanation:
    """Return the verdict of `verify_answer` with the steps that led to it.

    Raises:
        ConfigError: `kind` is unknown.
    """
    verdict = verify_answer(response, answer, choices, kind)
    try:
        found = extract_answer(response)
        source, extracted = _SOURCES[found.source], found.text
    except LimitExceededError as error:
        source, extracted = str(error), None
    return Explanation(
        kind=kind or infer_kind(answer, choices),
        source=source,
        extracted=extracted,
        compared=verdict.extraction,
        reference=answer,
        verdict=verdict,
    )
