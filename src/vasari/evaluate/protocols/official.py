"""The scoring protocol `official`: each benchmark's own scorer, bugs included, without `eval`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from vasari.core.records import Outcome, Verdict
from vasari.evaluate.protocols import boxed_math, chartqa, mathvision, mathvista, mmmu_pro
from vasari.evaluate.protocols.math_verify_reader import shared_reader
from vasari.evaluate.protocols.stored_output import StoredOutput, read_literal
from vasari.verify.limits import MAX_RESPONSE_CHARS, LimitExceededError

_LLM = "the official extraction is made by an LLM here; give rows with 'official_extraction'"


def official_verdict(output: StoredOutput) -> Verdict:
    """Return the verdict on one stored output by the official scorer of the output's benchmark.

    Where that scorer starts from an extraction by an LLM (MathVista, LogicVista), the stored
    `extraction` is used, and without one the verdict is UNVERIFIABLE unless the scorer's quick
    rules suffice; so is a letter drawn at random (MMMU-Pro), unless it is stored. What exceeds a
    limit of length, size or time is INCORRECT, `decided_by: limit`.
    """
    rule = RULES.get(output.benchmark)
    if rule is None:
        return Verdict(
            Outcome.UNVERIFIABLE, None, "unsupported", f"no official rule for {output.benchmark!r}"
        )
    if len(output.response) > MAX_RESPONSE_CHARS:
        return Verdict(
            Outcome.INCORRECT,
            None,
            "limit",
            f"response is longer than {MAX_RESPONSE_CHARS} characters",
        )
    try:
        verdict = rule(output)
    except LimitExceededError as error:
        return Verdict(Outcome.INCORRECT, None, "limit", str(error))
    if verdict.outcome is Outcome.INCORRECT and not (output.response.strip() or output.extraction):
        return Verdict(Outcome.INCORRECT, None, "no_answer")
    return verdict


def _mathvista(output: StoredOutput) -> Verdict:
    if output.question_type == "multi_choice" and not output.choices:
        return Verdict(
            Outcome.UNVERIFIABLE, None, "reference", "reference: a choice without options"
        )
    extraction = output.extraction if isinstance(output.extraction, str) else None
    if extraction is None:
        extraction = mathvista.quick_extraction(
            output.response,
            choices=output.choices,
            question_type=output.question_type,
            answer_type=output.answer_type,
        )
    if extraction is None:
        return Verdict(Outcome.UNVERIFIABLE, None, "needs_llm", _LLM)
    prediction = mathvista.predict(
        extraction,
        choices=output.choices,
        question_type=output.question_type,
        answer_type=output.answer_type,
        precision=output.precision,
    )
    return _decided(prediction.text == output.answer, extraction, prediction.rule)


def _mathvision(output: StoredOutput) -> Verdict:
    extraction = mathvision.extract_answer(output.response)
    try:
        right = mathvision.is_correct(extraction, output.answer, output.choices)
    except LimitExceededError as error:
        return Verdict(Outcome.INCORRECT, extraction, "limit", str(error))
    except ValueError as error:
        return Verdict(Outcome.UNVERIFIABLE, extraction, "reference", f"reference: {error}")
    return _decided(
        right,
        extraction,
        "exact" if extraction.lower() == output.answer.lower().strip() else "value",
    )


def _logicvista(output: StoredOutput) -> Verdict:
    letters = output.extraction
    if isinstance(letters, str):
        literal = read_literal(letters)
        letters = tuple(map(str, literal)) if isinstance(literal, list | tuple) else (letters,)
    if letters is None:
        letters = _short_letters(output.response)
    if letters is None:
        return Verdict(Outcome.UNVERIFIABLE, None, "needs_llm", _LLM)
    found = sorted(letter.lower() for letter in letters)
    expected = sorted(letter.lower() for letter in output.answer.split(", "))
    return _decided(found == expected, ", ".join(letters), "letter")


def _short_letters(response: str) -> tuple[str, ...] | None:
    """Return the letters that the official script reads without an LLM; None if it needs one."""
    text = response.split("ASSISTANT:")[1].strip() if "ASSISTANT:" in response else response.strip()
    if not text:
        return ("",)
    if len(text) == 1 and not (text.lower() in "abcde" or text.isnumeric()):
        return ("ZZZZZ",)
    return None


def _mmmu_pro(output: StoredOutput) -> Verdict:
    if not output.choices:
        return Verdict(
            Outcome.UNVERIFIABLE, None, "reference", "reference: a choice without options"
        )
    reading = mmmu_pro.read_letter(output.response, output.choices)
    if reading.letter is not None:
        return _decided(reading.letter == output.answer, reading.letter, reading.rule)
    if isinstance(output.extraction, str) and output.extraction:
        return _decided(output.extraction == output.answer, output.extraction, "random")
    return Verdict(
        Outcome.UNVERIFIABLE, None, "random", "the official rule draws a letter at random here"
    )


def _geoqa(output: StoredOutput) -> Verdict:
    reading = shared_reader().read(output.response, output.answer)
    if reading.state == "crashed":
        return Verdict(
            Outcome.UNVERIFIABLE, None, "symbolic", "the process that runs Math-Verify died"
        )
    if reading.state == "limit":
        return Verdict(Outcome.INCORRECT, None, "limit", "Math-Verify took too much time or memory")
    if reading.state == "nothing":
        return Verdict(Outcome.INCORRECT, None, "no_answer")
    return _decided(reading.state == "equal", reading.found, "symbolic")


def _gsm8k(output: StoredOutput) -> Verdict:
    extraction = boxed_math.last_answer(output.response)
    return _decided(boxed_math.is_correct(extraction, output.answer), extraction, "number")


def _gaokao(output: StoredOutput) -> Verdict:
    parts = boxed_math.split_answers(boxed_math.boxed_contents(output.response))
    answers = output.answers or (output.answer,)
    return _decided(
        boxed_math.cloze_is_correct(parts, answers), ", ".join(parts[-len(answers) :]), "value"
    )


def _chartqa(output: StoredOutput) -> Verdict:
    return _decided(chartqa.is_correct(output.response, output.answer), output.response, "number")


def _decided(right: bool, extraction: str | None, rule: str) -> Verdict:
    return Verdict(Outcome.CORRECT if right else Outcome.INCORRECT, extraction, rule)


RULES: Mapping[str, Callable[[StoredOutput], Verdict]] = {
    "mathvista": _mathvista,
    "mathvision": _mathvision,
    "logicvista": _logicvista,
    "mmmu_pro": _mmmu_pro,
    "geoqa": _geoqa,
    "gsm8k": _gsm8k,
    "cmath": _gsm8k,
    "gaokao-mathcloze": _gaokao,
    "chartqa": _chartqa,
}
"""The official rule of each benchmark that has a public one without an LLM judge; MathVerse's is an
LLM."""
