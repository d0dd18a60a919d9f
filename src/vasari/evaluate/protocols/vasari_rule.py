"""The scoring protocol `vasari`: Vasari's verifier on raw responses, with benchmark fields."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation

from vasari.core.records import AnswerKind, Outcome, Verdict
from vasari.evaluate.protocols.boxed_math import boxed_contents, split_answers
from vasari.evaluate.protocols.stored_output import StoredOutput
from vasari.verify import verify, verify_answer
from vasari.verify.questions import options_in_question

# A backslash and a letter that somebody's JSON or Python took for a control character: \frac,
# \times, \right, \bar.
_DAMAGED = re.compile(
    r"\x0c(?=[a-z])|\t(?=imes|ext|frac|an\b|heta|o\b)|\r(?=ight|m\b|ho)|\x08(?=oxed|ar|eta|inom)|\x0b(?=ec|ar)"
    r"|\x07(?=lpha|ngle)"
)
_REPAIRS = {"\x0c": "\\f", "\t": "\\t", "\r": "\\r", "\x08": "\\b", "\x0b": "\\v", "\x07": "\\a"}
_LETTERS = re.compile(r"[A-Z](?:, ?[A-Z])*")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_PLAIN_NUMBER = re.compile(r"[$]?\s*(-?[\d,]*\.?\d+(?:[eE][-+]?\d{1,2})?)\b.{0,20}")
# GeoQA writes units in Chinese, and roots with the sign in front of braces.
_FOREIGN = (
    ("√{", "\\sqrt{"),
    ("平方厘米", "cm^2"),
    ("平方米", "m^2"),
    ("厘米", "cm"),
    ("千米", "km"),
    ("米", "m"),
    ("度", "°"),
)


def vasari_verdict(output: StoredOutput) -> Verdict:
    """Return the verdict of Vasari's verifier on an output's raw response, not on a stored extract.

    A reference that is an option's text (MathVista) is handed over as its letter, so that an option
    spelled "B" is not taken for the label B. A number that MathVista rounds is right when it rounds
    to the reference. A question with several blanks is right when each of its last boxes is.
    """
    answer = repair(output.answer)
    if len(output.answers) > 1:
        return _several(output)
    choices = tuple(map(repair, output.choices)) if output.choices else None
    if output.kind is not None:  # A prompt of the user's own: compared as it is in training.
        return verify_answer(output.response, answer, choices, output.kind)
    if choices is None and _LETTERS.fullmatch(answer.strip()):
        return verify_answer(
            output.response, answer, options_in_question(output.question), "choice"
        )
    if choices:
        by_text = (
            output.question_type == "multi_choice"
        )  # MathVista's references are texts, those of the others letters.
        return verify_answer(
            output.response, as_letter(answer, choices, by_text=by_text), choices, "choice"
        )
    if output.answer_type == "list":
        return _listed(output.response, answer)
    for foreign, plain in _FOREIGN:
        answer = answer.replace(foreign, plain)
    kind: AnswerKind | None = (
        "number"
        if output.answer_type in ("integer", "float") or output.benchmark == "gsm8k"
        else None
    )
    verdict = verify_answer(output.response, answer, None, kind)
    return _rounded(verdict, answer, output.precision) if output.answer_type == "float" else verdict


def training_verdict(output: StoredOutput) -> Verdict:
    """Return the verdict on an output by Vasari's verifier exactly as training uses it."""
    return verify(output.response, output)


def repair(text: str) -> str:
    r"""Return a text with damaged LaTeX commands repaired: form feed and `rac` become `\frac`."""
    return _DAMAGED.sub(lambda match: _REPAIRS[match.group()], text)


def as_letter(answer: str, choices: Sequence[str], *, by_text: bool) -> str:
    """Return the letter of the option whose text is the reference `answer`, else `answer` itself.

    Of several options with the same text, the first counts.
    """
    label = len(answer) == 1 and 0 <= ord(answer) - ord("A") < len(choices)
    if answer in choices and (by_text or not label) and len(choices) <= 26:
        return chr(ord("A") + choices.index(answer))
    return answer


def _rounded(verdict: Verdict, answer: str, precision: int | None) -> Verdict:
    """Count a wrong number that rounds to the reference at the stated decimals as right."""
    if verdict.outcome is not Outcome.INCORRECT or verdict.extraction is None or precision is None:
        return verdict
    match = _PLAIN_NUMBER.fullmatch(verdict.extraction.strip())
    if match is None:
        return verdict
    try:
        value = Decimal(match.group(1).replace(",", ""))
        rounded = value.quantize(Decimal(1).scaleb(-precision), rounding=ROUND_HALF_UP)
        right = rounded == Decimal(answer)
    except (InvalidOperation, ValueError):
        return verdict
    return Verdict(Outcome.CORRECT, verdict.extraction, "number") if right else verdict


def _listed(response: str, answer: str) -> Verdict:
    """Return the verdict on a list answer, whose numbers must be the reference's in its order.

    MathVista's only two references that are lists repeat items, which a set cannot.
    """
    shown = verify_answer(response, answer, None, "text")
    if shown.extraction is None or shown.outcome is Outcome.CORRECT:
        return shown
    found, expected = (_NUMBER.findall(text) for text in (shown.extraction[:10_000], answer))
    right = [Decimal(number) for number in found] == [Decimal(number) for number in expected]
    return Verdict(Outcome.CORRECT if right else Outcome.INCORRECT, shown.extraction, "set")


def _several(output: StoredOutput) -> Verdict:
    parts = split_answers(boxed_contents(output.response))[-len(output.answers) :]
    if not parts:
        return Verdict(Outcome.INCORRECT, None, "no_answer")
    stated = ", ".join(parts)
    if len(parts) < len(output.answers):
        return Verdict(
            Outcome.INCORRECT,
            stated,
            "set",
            f"{len(parts)} answers to {len(output.answers)} blanks",
        )
    verdicts = [
        verify_answer(part, repair(answer))
        for part, answer in zip(parts, output.answers, strict=True)
    ]
    for outcome in (Outcome.INCORRECT, Outcome.UNVERIFIABLE):
        for verdict in verdicts:
            if verdict.outcome is outcome:
                return Verdict(outcome, stated, verdict.decided_by, verdict.reason)
    return Verdict(Outcome.CORRECT, stated, verdicts[0].decided_by)
