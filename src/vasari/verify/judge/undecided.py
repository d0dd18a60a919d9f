"""Which verdicts the rules leave open, so that asking a judge can help and cannot hurt."""

from __future__ import annotations

import re
from collections.abc import Sequence

from vasari.records import Outcome, Verdict
from vasari.verify.choices import named_letters
from vasari.verify.limits import LimitExceededError
from vasari.verify.normalise import normalise
from vasari.verify.numbers import parse_constant, parse_number
from vasari.verify.units import split_unit

_WORD = re.compile(r"(?<![\\a-zA-Z])[^\W\d_]{3,}")


def is_undecided(verdict: Verdict, answer: str, choices: Sequence[str] | None = None) -> bool:
    """Whether a judge may be asked about a verdict of `verify_answer`.

    | the rules say | undecided |
    | --- | --- |
    | CORRECT | never |
    | INCORRECT by "text" | always: other words may mean the same |
    | INCORRECT by "set" | where the reference has words |
    | INCORRECT by "number" or "symbolic" | where the answer is in words, and no value |
    | INCORRECT by "choice" | where the answer names no option |
    | INCORRECT by "no_answer", "ambiguous", "limit" | never: nothing is stated, too much, or a bomb |
    | UNVERIFIABLE by "symbolic" | always: the comparison failed on our side |
    | UNVERIFIABLE by "reference" | where there is a reference and there are no options |
    """
    rule, stated = verdict.decided_by, verdict.extraction
    if not answer.strip() or verdict.outcome is Outcome.CORRECT:
        return False
    if verdict.outcome is Outcome.UNVERIFIABLE:
        return rule == "symbolic" or (rule == "reference" and not choices)
    if stated is None:
        return False
    if rule == "set":
        return bool(_WORD.search(answer))
    if rule == "choice":
        return bool(choices) and not named_letters(stated, choices)
    if rule in ("number", "symbolic"):
        return in_words(stated)
    return rule == "text"


def in_words(text: str) -> bool:
    """Whether an answer has a word of three letters or more, and is neither a number nor constant arithmetic."""
    text = normalise(text)
    try:
        value = parse_number(text) is not None or parse_constant(split_unit(text).body) is not None
    except LimitExceededError:
        return False
    return not value and bool(_WORD.search(text))
