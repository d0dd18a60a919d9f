"""Which verdicts the rules leave open, so that asking a judge can help and cannot hurt."""

from __future__ import annotations

import re
from collections.abc import Sequence

from vasari.core.records import Outcome, Verdict
from vasari.verify.choices import named_letters
from vasari.verify.limits import LimitExceededError
from vasari.verify.normalise import normalise
from vasari.verify.numbers import parse_constant, parse_number
from vasari.verify.units import split_unit

_SPOKEN = re.compile(r"\w")
_WORD = re.compile(r"(?<![\\a-zA-Z])[^\W\d_]{3,}")


def is_undecided(verdict: Verdict, answer: str, choices: Sequence[str] | None = None) -> bool:
    """Whether a judge may be asked about a verdict of `verify_answer`.

    | the rules say | undecided |
    | --- | --- |
    | CORRECT | never |
    | INCORRECT by "text" | always: other words may mean the same |
    | INCORRECT by "set" | where the reference has words |
    | INCORRECT by "number" or "symbolic" | where the answer is in words, and no value |
    | INCORRECT by "choice" | where the answer names no option and is no number |
    | INCORRECT by "no_answer", "ambiguous", "limit" | never: nothing is stated, too much, or a bomb |
    | UNVERIFIABLE by "symbolic" | always: the comparison failed on our side |
    | UNVERIFIABLE by "reference" | where there is a reference and there are no options |
    """
    rule, stated = verdict.decided_by, verdict.extraction
    if not answer.strip() or verdict.outcome is Outcome.CORRECT:
        return False
    if verdict.outcome is Outcome.UNVERIFIABLE:
        return rule == "symbolic" or (rule == "reference" and not choices)
    if stated is None or not _SPOKEN.search(stated):
        return False
    if rule == "set":
        return bool(_WORD.search(answer))
    if rule == "choice":
        return bool(choices) and not named_letters(stated, choices) and not _has_value(stated)
    if rule in ("number", "symbolic"):
        return bool(_WORD.search(normalise(stated))) and not _has_value(stated)
    return rule == "text"


def _has_value(text: str) -> bool:
    """Whether an answer is a number or constant arithmetic, with or without a unit, which rules
    compare.
    """
    text = normalise(text)
    try:
        return parse_number(text) is not None or parse_constant(split_unit(text).body) is not None
    except LimitExceededError:
        return True
