"""Grades prompts by their pass rate, from a model's rollouts or from a file of verdicts.

arXiv:2509.21268, section 5. The model sees the question, its options and its images; the reference
answer stays here.
"""

from __future__ import annotations

import asyncio
import dataclasses
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from vasari.core.errors import DataError
from vasari.core.records import Outcome, Prompt, Verdict
from vasari.curate.ask.asking import (
    Appeal,
    PromptAnswers,
    ask_judge,
    ask_prompts,
    once,
    prompt_request,
)
from vasari.curate.choose.grading import (
    MAX_ROLLOUTS,
    Difficulty,
    Grade,
    Grader,
    GradingSettings,
    Tally,
)
from vasari.curate.stage import AskedModel, Reason, StageResult, sort_out
from vasari.data.rows import raise_problems, read_rows
from vasari.endpoint import Answers, Request, Response
from vasari.model.chat import SYSTEM_PROMPTS
from vasari.verify import verify
from vasari.verify.judge import is_undecided


def grading_request(prompt: Prompt, model: AskedModel, settings: GradingSettings) -> Request:
    """Build the request for a prompt's rollouts, whose pass rate decides its difficulty bin.

    Raises:
        DataError: An image is missing or of a kind that servers do not take.
    """
    system = SYSTEM_PROMPTS.get(settings.system, settings.system)
    return prompt_request(prompt, model, system=system, seed=settings.seed)


def grade_by_model(
    prompts: Sequence[Prompt],
    model: AskedModel,
    settings: GradingSettings,
    *,
    appeal: Appeal | None = None,
) -> StageResult:
    """Draw a model's rollouts of each prompt; keep the prompts in a wanted difficulty bin.

    A kept prompt has its bin as `difficulty` and its counts in `metadata["grade"]`.

    Rollouts are verified by rules, and those that the rules leave undecided by the judge, if there
    is one. They are drawn until the bin is certain whatever the judge will say, so it is the one
    that all of them would have given. What is no answer leaves the count: a rollout that the token
    limit cut off or a filter ended, an empty one, one that declines, a request that failed.

    Reasons for a drop: the bin ("easy", ..., "ungraded" where too few rollouts could be verified),
    "grader_failed" when every request failed, "unreadable" when none could be made, "not_asked"
    when the run stopped first.
    """
    grader = Grader(settings)
    rules = once(lambda index, response: _verdict(prompts[index], response))

    def is_open(index: int, response: Response) -> bool:
        if appeal is None or response.truncated:
            return False
        prompt, verdict = prompts[index], rules(index, response)
        return is_undecided(verdict, prompt.answer, prompt.choices)

    found = _drawn(prompts, model, grader, rules, is_open)
    counts: Counter[str] = found.lost("rollouts")
    cases = {
        (index, one.index): (prompts[index], rules(index, one), one.text)
        for index in sorted(found.answers)
        for one in found.answers[index].responses
        if is_open(index, one)
    }
    judged, stopped = ask_judge(cases, appeal, counts)

    def decide(index: int, prompt: Prompt) -> Prompt | Reason:
        if reason := found.unanswered(index, failed="grader_failed", whole=True):
            return reason
        if stopped:
            return "not_asked", "the judge was stopped first"
        answers = found.answers[index]
        values = [
            judged.get((index, one.index), rules(index, one)).value for one in answers.responses
        ]
        _count(answers, values, counts)
        # A failure leaves the count like an unverifiable rollout: it is no wrong answer.
        grade = grader.grade_of(_tally([*values, *[math.nan] * len(answers.failures)]))
        made = _by_grade(prompt, grade, settings, model.model, counts)
        return made if isinstance(made, Prompt) else (made[0], made[1] + _lacking(answers))

    result = sort_out(prompts, decide)
    asked = sum(len(one.responses) + len(one.failures) for one in found.answers.values())
    counts["rollouts_saved"] = settings.num_rollouts * len(found.answers) - asked
    return dataclasses.replace(result, counts=+counts)


def _drawn(
    prompts: Sequence[Prompt],
    model: AskedModel,
    grader: Grader,
    rules: Callable[[int, Response], Verdict],
    is_open: Callable[[int, Response], bool],
) -> PromptAnswers:
    """The rollouts of each prompt, drawn until its bin is certain."""

    async def settled(index: int, responses: Sequence[Response]) -> bool:
        # Symbolic comparison may take seconds: the other requests go on meanwhile.
        await asyncio.to_thread(rules, index, responses[-1])
        # An undecided rollout counts as one not drawn yet: the judge may say anything.
        known = [rules(index, one).value for one in responses if not is_open(index, one)]
        return not grader.next_wave(_tally(known))

    return ask_prompts(
        prompts,
        model,
        lambda prompt: grading_request(prompt, model, grader.settings),
        num_responses=grader.settings.num_rollouts,
        settled=settled,
    )


def _count(answers: Answers, values: Sequence[float], counts: Counter[str]) -> None:
    """Add a prompt's rollouts, whose verdicts are `values`, to the counts of the stage."""
    counts["rollouts"] += len(values)
    counts["rollouts_truncated"] += sum(response.truncated for response in answers.responses)
    counts["rollouts_failed"] += len(answers.failures)
    counts["rollouts_unverifiable"] += sum(math.isnan(value) for value in values)


def _lacking(answers: Answers) -> str:
    """What of a prompt's rollouts left the count, as the end of a sentence."""
    lacking = Counter(failure.reason for failure in answers.failures)
    lacking["cut off by the token limit"] = sum(one.truncated for one in answers.responses)
    named = ", ".join(f"{count} {name}" for name, count in lacking.items() if count)
    return f"; not counted: {named}" if named else ""


def grade_by_verdicts(
    prompts: Sequence[Prompt], verdicts: Mapping[str, Sequence[float]], settings: GradingSettings
) -> StageResult:
    """Keep the prompts whose given rollout verdicts put them in a wanted difficulty bin.

    All verdicts of a prompt count.

    Reasons for a drop: the bin, or "no_verdicts" for a prompt without any.
    """
    counts: Counter[str] = Counter()
    graders: dict[int, Grader] = {}

    def decide(_: int, prompt: Prompt) -> Prompt | Reason:
        own = verdicts.get(prompt.id)
        if not own:
            return "no_verdicts", "the file has none for it"
        tally = _tally(own)
        if tally.num_drawn not in graders:
            changes = {"num_rollouts": tally.num_drawn, "min_verifiable": 1}
            graders[tally.num_drawn] = Grader(settings.model_copy(update=changes))
        grade = graders[tally.num_drawn].grade_of(tally)
        if tally.num_correct + tally.num_incorrect < settings.min_verifiable:
            grade = dataclasses.replace(grade, difficulty=Difficulty.UNGRADED, kept=False)
        return _by_grade(prompt, grade, settings, "published verdicts", counts)

    result = sort_out(prompts, decide)
    return dataclasses.replace(result, counts=counts)


def read_verdicts(path: Path) -> dict[str, tuple[float, ...]]:
    """Read verdicts by prompt id from a file of JSON lines {"id": ..., "verdicts": [1, 0, null]}.

    Raises:
        DataError: The file is missing, or a line is not of this form; names it.
    """
    found: dict[str, tuple[float, ...]] = {}
    for row, content in raise_problems(read_rows(path, suffix=".jsonl")):
        try:
            values = tuple(
                math.nan if value is None else float(value) for value in content["verdicts"]
            )
            found[str(content["id"])] = values
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(
                f'{row.where}: expected {{"id": ..., "verdicts": [1, 0, null]}}, got'
                f" {str(content)[:80]}"
            ) from error
        if len(values) > MAX_ROLLOUTS:
            raise DataError(
                f"{row.where}: {len(values)} verdicts; at most {MAX_ROLLOUTS} a prompt are read"
            )
        if any(value not in (0.0, 1.0) and not math.isnan(value) for value in values):
            raise DataError(f"{row.where}: a verdict is 1, 0 or null, got {str(content)[:80]}")
    return found


def _tally(values: Sequence[float] | Any) -> Tally:
    tally = Tally()
    for value in values:
        tally = tally.with_verdict(value)
    return tally


def _verdict(prompt: Prompt, response: Response) -> Verdict:
    if response.truncated:
        return Verdict(Outcome.UNVERIFIABLE, None, "truncated", "the token limit ended it")
    return verify(response.text, prompt)


def _by_grade(
    prompt: Prompt, grade: Grade, settings: GradingSettings, by: str, counts: Counter[str]
) -> Prompt | Reason:
    """Return the prompt with its difficulty bin and grade, or the bin as the reason for a drop."""
    found = Difficulty.UNGRADED if grade.difficulty is None else grade.difficulty
    counts[f"bin_{found}"] += 1
    tally = grade.tally
    if found not in settings.keep:
        verifiable = tally.num_correct + tally.num_incorrect
        return found.value, (
            f"{tally.num_correct} of {verifiable} verifiable rollouts right, {tally.num_drawn}"
            f" drawn of {settings.num_rollouts}"
        )
    facts: dict[str, Any] = {
        "by": by,
        "correct": tally.num_correct,
        "incorrect": tally.num_incorrect,
        "unverifiable": tally.num_unverifiable,
        "pass_rate": round(grade.pass_rate, 4),
        "low": round(grade.low, 4),
        "high": round(grade.high, 4),
    }
    metadata = dict(prompt.metadata) | {"grade": facts}
    if prompt.difficulty:
        metadata["source_difficulty"] = prompt.difficulty
    return dataclasses.replace(prompt, difficulty=found.value, metadata=metadata)
