"""Comparing an answer with its reference: as text, by kind of answer, last by computer algebra."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol

from vasari.core.records import AnswerKind, Outcome, Verdict
from vasari.verify.answer import Answer
from vasari.verify.arguments import check_arguments
from vasari.verify.choices import (
    all_letters,
    is_undecided,
    joined_letters,
    letters_in_a_row,
    named_letters,
)
from vasari.verify.claims import UNKNOWN
from vasari.verify.compare import sets_match, values_match
from vasari.verify.extract import Extraction, extract_answer
from vasari.verify.formulas import may_be_formula
from vasari.verify.limits import (
    MAX_EXPRESSION_CHARS,
    MAX_RESPONSE_CHARS,
    LimitExceededError,
    check_growth,
    check_nesting,
    check_symbolic,
)
from vasari.verify.normalise import normalise
from vasari.verify.numbers import is_value
from vasari.verify.options import option_texts
from vasari.verify.prose import stated_option
from vasari.verify.prose_numbers import formula_in, is_sentence, number_in, stated_number
from vasari.verify.prose_patterns import MARKED
from vasari.verify.quantities import Decision
from vasari.verify.reference import (
    WORD,
    Reference,
    UnreadableReferenceError,
    infer_kind,
    parse_reference,
)
from vasari.verify.sentences import MAX_TAIL_CHARS, breaks_off, conclusion, declines
from vasari.verify.single import JUXTAPOSED
from vasari.verify.symbolic import shared_worker
from vasari.verify.texts import texts_match

_UNWORKED = re.compile(
    r"\\(?:sum|prod|int|iint|oint|lim|bigcup|bigcap)(?![a-zA-Z])|\\binom\s?\{[^{}]*(?:\^|[0-9]{3})"
)

_SAYS = re.compile(r"\b(?:it|is|it's|so)\b", re.IGNORECASE)
_SHORT_STATEMENT = 3
"""Words of a statement that is no heading."""
_MAX_LABEL = 5
_POINTS_ON = re.compile(r"\b(?:follow|below|above|here|this|that|as|:)\b|:\s*\Z", re.IGNORECASE)
_CHINESE = re.compile(r"[\u4e00-\u9fff]")
_SHORT = 16
"""Characters of a box that is no sentence."""


class Asked(Protocol):
    """What has a reference answer: a prompt, or a stored output."""

    @property
    def answer(self) -> str:
        """The reference answer."""

    @property
    def choices(self) -> Sequence[str] | None:
        """Option texts, A first; None for a free answer."""

    @property
    def kind(self) -> AnswerKind | None:
        """How to compare; None infers it."""


def verify(response: str, asked: Asked) -> Verdict:
    """Return the verdict on a response to a prompt: `verify_answer` with what the prompt says."""
    return verify_answer(response, asked.answer, asked.choices, asked.kind)


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
        (compared so), "no_answer" (none stated), "ambiguous" (several different answers), "limit"
        (too long, deep, large or slow: INCORRECT) and "reference" (it cannot be read:
        UNVERIFIABLE). A symbolic comparison that is needed but could not be made is UNVERIFIABLE
        too. `reason` says in a sentence why an answer is not CORRECT. Malformed text raises
        nothing.

    Raises:
        ConfigError: `kind` is unknown.
        DataError: The response, the answer or an option is no text.
    """
    check_arguments(response, answer, choices, kind)
    try:
        reference = parse_reference(answer, tuple(choices) if choices else None, kind)
    except (UnreadableReferenceError, LimitExceededError) as error:
        return Verdict(Outcome.UNVERIFIABLE, None, "reference", f"reference: {error}")
    if len(response) > MAX_RESPONSE_CHARS:
        reason = f"response is longer than {MAX_RESPONSE_CHARS} characters"
        return Verdict(Outcome.INCORRECT, None, "limit", reason)
    found: str | None = None
    try:
        extraction = extract_answer(response)
        found = read_answer(extraction, reference)
        if found is None:
            return Verdict(Outcome.INCORRECT, None, "no_answer", "the response states no answer")
        if extraction.ambiguous:
            reason = "the answer block states several different answers"
            return Verdict(Outcome.INCORRECT, found, "ambiguous", reason)
        return _verdict(found, extraction, reference)
    except LimitExceededError as error:
        return Verdict(Outcome.INCORRECT, found, "limit", str(error))
    except OverflowError:  # An exact number of a thousand digits against an irrational one.
        reason = "a number grows beyond what a float holds"
        return Verdict(Outcome.INCORRECT, found, "limit", reason)


def _verdict(found: str, extraction: Extraction, reference: Reference) -> Verdict:
    """The verdict on an extracted answer, in the readings that its sentence allows."""
    check_nesting(found)
    verdict = _compare(found, reference)
    if verdict.outcome is not Outcome.INCORRECT:
        return verdict
    if _in_percent(found, extraction, reference):
        return _compare(found.replace("\\%", "").replace("%", ""), reference)
    # "The answer is 5!" calls out, if it is no factorial.
    if (
        extraction.source in ("phrase", "whole")
        and (bare := normalise(found)).endswith("!")
        and not found.rstrip().endswith(("$", "]", ")"))
    ):
        second = _compare(bare.rstrip("!"), reference)
        return second if second.outcome is Outcome.CORRECT else verdict
    return verdict


def read_answer(extraction: Extraction, reference: Reference) -> str | None:
    """Return the answer to compare: the extraction, or one of the reference's kind in its prose."""
    found = extraction.text
    if reference.kind == "choice":
        return _read_choice(extraction, reference)
    if reference.kind == "text":
        whole = extraction.source == "whole" and "\n" in (found or "")
        return conclusion(extraction.visible) if found is None or whole else found
    # An empty or unfinished box shows where the answer should have been; prose does not replace it.
    held = extraction.source in ("box", "block")
    if not held and "\\boxed" in extraction.visible:
        return found
    if found is not None and _is_readable(found, reference):
        return found
    return _read_prose(extraction, reference, held=held)


def _read_prose(extraction: Extraction, reference: Reference, *, held: bool) -> str | None:
    """The formula or the number that sentences state, in a box or a block if it is `held` there."""
    found = extraction.text
    if reference.kind in ("set", "expression"):
        formula = formula_in(extraction.visible if found is None else found)
        if formula is not None or reference.kind == "set":
            return formula or found
    if held:
        shown = normalise(found) if found is not None else ""
        return (number_in(shown) if is_sentence(shown) else None) or found
    if breaks_off(extraction.visible):
        return None
    if found is not None and UNKNOWN.match(found):
        return found
    if found is None:
        return stated_number(extraction.visible)
    # "Here is the answer:" above a paragraph is a heading; what follows it is read as prose.
    stated = number_in(found) if extraction.source == "phrase" else None
    return stated or stated_number(extraction.visible) or _unless_declined(found)


def _is_readable(found: str, reference: Reference) -> bool:
    """Whether an answer is compared as it stands, and not read as a sentence."""
    shown = normalise(found)
    if is_value(found) or not (WORD.search(shown) or _SAYS.search(shown)) or "\\begin" in found:
        return True
    is_constant = reference.answer is not None and reference.answer.constant is not None
    if not is_constant and WORD.search(reference.text):
        return True
    read = Answer(found)
    if len(read.text) > 200:
        return False
    if read.based is not None or read.ratio or read.moment is not None or read.range:
        return True
    if read.region is not None or (read.name and read.constant is not None):
        return True
    return read.listed is not None and all(item.constant is not None for item in read.items)


def _read_choice(extraction: Extraction, reference: Reference) -> str | None:
    found = extraction.text
    if found is not None and joined_letters(found, reference.choices):
        return found
    if extraction.source in ("box", "block"):
        if found is None or named_letters(found, reference.choices):
            return found
        if extraction.source == "box" and len(found) < _SHORT and not _CHINESE.search(found):
            return found
        return stated_option(found, reference.choices) or found
    if "\\boxed" in extraction.visible:
        return found
    if found is not None and named_letters(found, reference.choices):
        return found
    if len(reference.letters) > 1:
        return found if found is not None else conclusion(extraction.visible)
    if (
        found is not None
        and extraction.source == "phrase"
        and (reference.choices or len(found) < _MAX_LABEL)
    ):
        short = len(found.split()) <= _SHORT_STATEMENT and not _POINTS_ON.search(found)
        short = short and not MARKED.search(extraction.visible[-MAX_TAIL_CHARS:])
        if is_value(found) or (short and not stated_option(found, reference.choices)):
            return found  # It states an answer, and that is no option.
    stated = stated_option(found, reference.choices) if found is not None else None
    return stated or stated_option(extraction.visible, reference.choices) or _unless_declined(found)


def _unless_declined(found: str | None) -> str | None:
    return None if found is not None and declines(found) else found


def _in_percent(found: str, extraction: Extraction, reference: Reference) -> bool:
    """Whether an answer in percent may mean the number without it: the response uses percent."""
    number = reference.answer.number if reference.answer is not None else None
    if number is None or number.percent or "%" not in found:
        return False
    rest = extraction.visible.replace(found, " ", 1)
    return "%" in rest or "percent" in rest.casefold()


def _compare(found: str, reference: Reference) -> Verdict:
    text = normalise(found)
    if text == reference.text and reference.kind != "choice":
        return Verdict(Outcome.CORRECT, found, "exact")
    if reference.kind == "choice":
        return _compare_choice(found, reference)
    if reference.kind == "text" or reference.answer is None:
        if letters_in_a_row(found) == reference.text:
            return Verdict(Outcome.CORRECT, found, "text")
        return _decided(texts_match(found, reference.text), found)
    read = Answer(found)
    if reference.kind == "set":
        return _decided(sets_match(read, reference.answer), found)
    decision = values_match(read, reference.answer)
    if decision is not None:
        return _decided(decision, found)
    if reference.kind == "number":
        return Verdict(Outcome.INCORRECT, found, "number", "the answer is not a number")
    return _compare_symbolic(found, read, reference.answer)


def _compare_choice(found: str, reference: Reference) -> Verdict:
    several = joined_letters(found, reference.choices)
    letters = several or named_letters(found, reference.choices)
    if len(reference.letters) > 1 and len(letters) < 2:
        letters = all_letters(found, reference.choices) or letters
    if len(reference.letters) > 1 and is_undecided(found, reference.choices):
        return Verdict(Outcome.INCORRECT, found, "ambiguous", "it leaves a choice between options")
    if not letters:
        return Verdict(Outcome.INCORRECT, found, "choice", "the answer names no option")
    ours = option_texts(letters, reference.choices)
    right = ours == option_texts(reference.letters, reference.choices)
    if right:
        exact = normalise(found) == reference.text
        return Verdict(Outcome.CORRECT, found, "exact" if exact else "choice")
    named, wanted = ", ".join(sorted(letters)), ", ".join(sorted(reference.letters))
    rule = "ambiguous" if len(ours) > 1 and len(reference.letters) == 1 else "choice"
    return Verdict(Outcome.INCORRECT, found, rule, f"it names {named}, not {wanted}")


def _compare_symbolic(found: str, read: Answer, expected: Answer) -> Verdict:
    """The verdict of computer algebra, for an answer that it can read."""
    formula, reference = read.text.replace("**", "^"), expected.text.replace("**", "^")
    if len(formula) > MAX_EXPRESSION_CHARS:
        raise LimitExceededError(f"an expression is longer than {MAX_EXPRESSION_CHARS} characters")
    if JUXTAPOSED.search(expected.signs):
        reason = "reference: numbers side by side have no single reading"
        return Verdict(Outcome.UNVERIFIABLE, found, "reference", reason)
    if JUXTAPOSED.search(read.signs):
        reason = "numbers side by side have no single reading"
        return Verdict(Outcome.INCORRECT, found, "symbolic", reason)
    check_growth(formula)
    if _UNWORKED.search(formula) and not _UNWORKED.search(reference):
        reason = "a sum, product, integral or limit is not worked out"
        return Verdict(Outcome.INCORRECT, found, "symbolic", reason)
    if not may_be_formula(formula, reference):
        return Verdict(Outcome.INCORRECT, found, "symbolic", "the answer is no formula")
    check_symbolic(formula)
    result = shared_worker().compare(formula, reference)
    if result in ("equal", "different"):
        reason = "" if result == "equal" else "computer algebra finds the formulas different"
        return _decided(Decision(result == "equal", "symbolic", reason), found)
    if result == "limit":
        reason = "symbolic comparison took too much time or memory"
        return Verdict(Outcome.INCORRECT, found, "limit", reason)
    if result == "reference":
        reason = "reference: symbolic comparison cannot read it"
        return Verdict(Outcome.UNVERIFIABLE, found, "reference", reason)
    reasons = {
        "missing": "needs vasari[evaluate]",
        "crashed": "the symbolic worker died",
        "starved": "the machine was too busy",
    }
    return Verdict(Outcome.UNVERIFIABLE, found, "symbolic", reasons[result])


def _decided(decision: Decision, found: str) -> Verdict:
    outcome = Outcome.CORRECT if decision.right else Outcome.INCORRECT
    return Verdict(outcome, found, decision.rule, decision.reason)


__all__ = ["Asked", "infer_kind", "read_answer", "verify", "verify_answer"]
