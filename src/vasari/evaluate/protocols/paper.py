r"""The scoring protocol `paper`: the evaluation that arXiv:2509.21268 describes in words.

Its code was not released.

The answer is the content of the last `\boxed{}`, as its prompt (table 8) asks for; without one,
what Math-Verify finds in the response. Options: the letter, else the option with that text, else
the most similar one. Everything else: Math-Verify, then MathRuler's rule, then the same text. The
paper's last step is a judge: `paper_undecided` says what may be put to one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from vasari.core.records import Outcome, Verdict
from vasari.evaluate.protocols import mathruler, mathvista
from vasari.evaluate.protocols.math_verify_reader import shared_reader
from vasari.evaluate.protocols.stored_output import StoredOutput
from vasari.verify.limits import MAX_RESPONSE_CHARS, LimitExceededError
from vasari.verify.normalise import normalise
from vasari.verify.numbers import parse_number

_LETTER = re.compile(r"[(\[]?([A-Z])[)\].:]?")
_LABELLED = re.compile(r"[(\[]?([A-Z])[)\].:]\s+\S.*", re.DOTALL)
_SINGLE = re.compile(r"[A-Z](?:, [A-Z])*")


def paper_verdict(output: StoredOutput) -> Verdict:
    """Return the verdict of the paper's rules on a stored output, before any LLM judge is asked.

    `decided_by` names the step that decided.
    """
    if len(output.response) > MAX_RESPONSE_CHARS:
        return Verdict(
            Outcome.INCORRECT,
            None,
            "limit",
            f"response is longer than {MAX_RESPONSE_CHARS} characters",
        )
    if not output.answer.strip():
        return Verdict(Outcome.UNVERIFIABLE, None, "reference", "reference: it is empty")
    try:
        return _by_rules(output)
    except LimitExceededError as error:
        return Verdict(Outcome.INCORRECT, None, "limit", str(error))


def paper_undecided(output: StoredOutput, verdict: Verdict) -> bool:
    """Whether an LLM judge may be asked: the paper's rules read an answer but reached no verdict.

    The judge is not asked where no answer is stated or a limit is exceeded, where the answer names
    an option and another one is right, where two plain numbers differ, and where a number is none
    of the options.
    """
    if verdict.outcome is Outcome.CORRECT or verdict.extraction is None:
        return False
    if verdict.decided_by == "letter":
        return _letter(verdict.extraction) is None
    if verdict.decided_by == "math_verify":
        return not (_is_number(verdict.extraction) and _is_number(output.answer))
    return verdict.decided_by == "nearest_option" and not _is_number(verdict.extraction)


def _is_number(text: str) -> bool:
    try:
        return parse_number(normalise(text)) is not None
    except LimitExceededError:
        return True


def _by_rules(output: StoredOutput) -> Verdict:
    boxed = mathruler.boxed_answer(output.response)
    if output.choices:
        return _by_option(output, boxed, output.choices)
    if _SINGLE.fullmatch(output.answer):
        if boxed is None:
            return Verdict(Outcome.INCORRECT, None, "no_answer")
        letter = _letter(boxed)
        return _decided((letter or boxed.strip()) == output.answer, boxed, "letter")
    return _by_value(output, boxed)


def _by_option(output: StoredOutput, boxed: str | None, choices: Sequence[str]) -> Verdict:
    stated = boxed if boxed is not None else _short(output.response)
    if stated is None:
        return Verdict(Outcome.INCORRECT, None, "no_answer")
    expected = _option_of(output.answer, choices)
    if expected is None:
        return Verdict(
            Outcome.UNVERIFIABLE,
            stated,
            "reference",
            f"reference: {output.answer[:40]!r} names no option",
        )
    letter = _letter(stated)
    if letter is not None and ord(letter) - ord("A") < len(choices):
        return _decided(choices[ord(letter) - ord("A")] == expected, stated, "letter")
    if stated in choices:
        return _decided(stated == expected, stated, "option_text")
    return _decided(mathvista.nearest_option(stated, choices) == expected, stated, "nearest_option")


def _by_value(output: StoredOutput, boxed: str | None) -> Verdict:
    reading = shared_reader().read(
        output.response if boxed is None else f"\\boxed{{{boxed}}}", f"${output.answer}$"
    )
    stated = boxed if boxed is not None else reading.found
    if reading.state == "equal":
        return Verdict(Outcome.CORRECT, stated, "math_verify")
    if stated is None:
        return Verdict(Outcome.INCORRECT, None, "no_answer")
    if mathruler.is_equal(stated, output.answer):
        return Verdict(Outcome.CORRECT, stated, "mathruler")
    if stated.strip().casefold() == output.answer.strip().casefold():
        return Verdict(Outcome.CORRECT, stated, "exact")
    if reading.state == "crashed":
        return Verdict(
            Outcome.UNVERIFIABLE, stated, "math_verify", "the process that runs Math-Verify died"
        )
    if reading.state == "limit":
        return Verdict(
            Outcome.INCORRECT, stated, "limit", "Math-Verify took too much time or memory"
        )
    return Verdict(Outcome.INCORRECT, stated, "math_verify")


def _letter(text: str) -> str | None:
    match = _LETTER.fullmatch(text.strip()) or _LABELLED.fullmatch(text.strip())
    return match.group(1) if match else None


def _short(response: str) -> str | None:
    """Return a response that is nothing but its answer; None for a longer one."""
    text = response.strip()
    return text if text and "\n" not in text and len(text) <= 200 else None


def _option_of(answer: str, choices: Sequence[str]) -> str | None:
    """Return the text of the option that a reference names; a text counts before a letter.

    MathVista's references are texts.
    """
    if answer in choices:
        return answer
    place = ord(answer) - ord("A") if len(answer) == 1 else -1
    return choices[place] if 0 <= place < len(choices) else None


def _decided(right: bool, extraction: str, rule: str) -> Verdict:
    return Verdict(Outcome.CORRECT if right else Outcome.INCORRECT, extraction, rule)
