"""Prompts graded by their pass rate: a model answers until the bin is decided, or published
verdicts are read.

arXiv:2509.21268, section 5. The model sees the question, its options and its images; the reference
answer stays here.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vasari.core.errors import DataError
from vasari.core.records import Prompt, Verdict
from vasari.curate.ask.asking import Appeal, ask_prompts, prompt_request
from vasari.curate.choose.grading import (
    MAX_ROLLOUTS,
    Difficulty,
    Grade,
    Grader,
    GradingSettings,
    Tally,
)
from vasari.curate.dropped import Dropped
from vasari.curate.stage import AskedModel, StageResult
from vasari.endpoint import Answers, Request, Response
from vasari.model.chat import SYSTEM_PROMPTS
from vasari.verify import verify_answer
from vasari.verify.judge import JudgeItem, is_undecided


def grading_request(prompt: Prompt, model: AskedModel, settings: GradingSettings) -> Request:
    """What the model is asked.

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
    """The prompts in the bins that are kept, with `difficulty` and `metadata["grade"]`; the others
    dropped by their bin.

    Rollouts are verified by rules, and those that the rules leave undecided by the judge, if there
    is one. They are drawn until the bin is certain whatever the judge will say, so it is the one
    that all of them would have given. A rollout that the token limit cut off counts as it stands:
    without an answer it is wrong. A request that failed counts as unverifiable.

    Reasons for a drop: the bin ("easy", ..., "ungraded" where too few rollouts could be verified),
    "grader_failed" when every request failed, "unreadable" when none could be made, "not_asked"
    when the run stopped first.
    """
    grader = Grader(settings)
    rules = _Rules(prompts, asks_judge=appeal is not None)

    async def settled(index: int, responses: Sequence[Response]) -> bool:
        # Symbolic comparison may take seconds: the other requests go on meanwhile.
        await asyncio.to_thread(rules.verdict, index, responses[-1])
        # An undecided rollout counts as one not drawn yet: the judge may say anything.
        known = [
            rules.verdict(index, one).value for one in responses if not rules.is_open(index, one)
        ]
        return not grader.next_wave(_tally(known))

    found = ask_prompts(
        prompts,
        model,
        lambda prompt: grading_request(prompt, model, settings),
        num_responses=settings.num_rollouts,
        settled=settled,
    )
    result = _Graded(settings, model.model)
    judged = _appealed(rules, found.answers, appeal, result.counts)
    for index, prompt in enumerate(prompts):
        drop = found.dropped(index, prompt, failed="grader_failed")
        if drop is not None:
            result.dropped.append(drop)
            continue
        answers = found.answers[index]
        if judged is None or any(failure.reason == "not_sent" for failure in answers.failures):
            result.dropped.append(
                Dropped(
                    index=index, id=prompt.id, reason="not_asked", detail="the run stopped first"
                )
            )
            continue
        values = [
            judged.get((index, one.index), rules.verdict(index, one)).value
            for one in answers.responses
        ]
        result.counts["rollouts"] += len(values)
        result.counts["rollouts_truncated"] += sum(
            response.truncated for response in answers.responses
        )
        result.counts["rollouts_failed"] += len(answers.failures)
        result.counts["rollouts_unverifiable"] += sum(math.isnan(value) for value in values)
        # A failure leaves the count like an unverifiable rollout: it is no wrong answer.
        result.take(
            index, prompt, grader.grade_of(_tally([*values, *[math.nan] * len(answers.failures)]))
        )
    result.counts["rollouts_saved"] = (
        settings.num_rollouts * len(found.answers) - result.counts["rollouts"]
    )
    return result.finished()


class _Rules:
    """What the rules say of each rollout, asked once."""

    def __init__(self, prompts: Sequence[Prompt], *, asks_judge: bool) -> None:
        self._prompts, self._asks_judge = prompts, asks_judge
        self._verdicts: dict[tuple[int, int], Verdict] = {}

    def verdict(self, index: int, response: Response) -> Verdict:
        """The verdict of the rules."""
        place = (index, response.index)
        if place not in self._verdicts:
            prompt = self._prompts[index]
            self._verdicts[place] = verify_answer(
                response.text, prompt.answer, prompt.choices, prompt.kind
            )
        return self._verdicts[place]

    def is_open(self, index: int, response: Response) -> bool:
        """Whether a judge will be asked."""
        prompt = self._prompts[index]
        return self._asks_judge and is_undecided(
            self.verdict(index, response), prompt.answer, prompt.choices
        )

    def item(self, index: int, response: Response) -> JudgeItem:
        """What the judge is shown."""
        prompt = self._prompts[index]
        return JudgeItem(
            verdict=self.verdict(index, response),
            answer=prompt.answer,
            response=response.text,
            question=prompt.question,
            choices=prompt.choices,
            id=prompt.id,
        )


def _appealed(
    rules: _Rules, answers: Mapping[int, Answers], appeal: Appeal | None, counts: Counter[str]
) -> dict[tuple[int, int], Verdict] | None:
    """The judge's verdicts by prompt and rollout; None when it was stopped before it had been asked
    everything.
    """
    if appeal is None:
        return {}
    cases = [
        (i, one) for i in sorted(answers) for one in answers[i].responses if rules.is_open(i, one)
    ]
    judged = appeal([rules.item(index, response) for index, response in cases])
    if judged.report.stopped_by:
        return None
    counts["judge_asked"] += judged.num_asked
    counts["judge_without_verdict"] += judged.num_without_verdict
    return {
        (index, response.index): verdict
        for (index, response), verdict in zip(cases, judged.verdicts, strict=True)
    }


def grade_by_verdicts(
    prompts: Sequence[Prompt], verdicts: Mapping[str, Sequence[float]], settings: GradingSettings
) -> StageResult:
    """The prompts in the bins that are kept, by verdicts of rollouts that were drawn elsewhere: all
    of them count.

    Reasons for a drop: the bin, or "no_verdicts" for a prompt without any.
    """
    result = _Graded(settings, "published verdicts")
    graders: dict[int, Grader] = {}
    for index, prompt in enumerate(prompts):
        own = verdicts.get(prompt.id)
        if not own:
            result.dropped.append(
                Dropped(
                    index=index,
                    id=prompt.id,
                    reason="no_verdicts",
                    detail="the file has none for it",
                )
            )
            continue
        tally = _tally(own)
        if tally.num_drawn not in graders:
            own_settings = {"num_rollouts": tally.num_drawn, "min_verifiable": 1}
            graders[tally.num_drawn] = Grader(settings.model_copy(update=own_settings))
        grade = graders[tally.num_drawn].grade_of(tally)
        if tally.num_correct + tally.num_incorrect < settings.min_verifiable:
            grade = dataclasses.replace(grade, difficulty=Difficulty.UNGRADED, kept=False)
        result.take(index, prompt, grade)
    return result.finished()


def read_verdicts(path: Path) -> dict[str, tuple[float, ...]]:
    """Verdicts of rollouts by prompt id, from JSON lines {"id": ..., "verdicts": [1, 0, null]}.

    Raises:
        DataError: The file is missing, or a line is not of this form; names it.
    """
    found: dict[str, tuple[float, ...]] = {}
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                try:
                    row = json.loads(line)
                    values = tuple(
                        math.nan if value is None else float(value) for value in row["verdicts"]
                    )
                    found[str(row["id"])] = values
                except (ValueError, KeyError, TypeError) as error:
                    raise DataError(
                        f'{path}:{number}: expected {{"id": ..., "verdicts": [1, 0, null]}}, got'
                        f" {line.strip()[:80]!r}"
                    ) from error
                if len(values) > MAX_ROLLOUTS:
                    raise DataError(
                        f"{path}:{number}: {len(values)} verdicts; at most {MAX_ROLLOUTS} a prompt"
                        " are read"
                    )
                if any(value not in (0.0, 1.0) and not math.isnan(value) for value in values):
                    raise DataError(
                        f"{path}:{number}: a verdict is 1, 0 or null, got {line.strip()[:80]!r}"
                    )
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot read verdicts: {error}") from error
    return found


def _tally(values: Sequence[float] | Any) -> Tally:
    tally = Tally()
    for value in values:
        tally = tally.with_verdict(value)
    return tally


class _Graded:
    """The result of a grading, prompt by prompt."""

    def __init__(self, settings: GradingSettings, by: str) -> None:
        self.settings, self.by = settings, by
        self.kept: list[Prompt] = []
        self.dropped: list[Dropped] = []
        self.counts: Counter[str] = Counter()

    def take(self, index: int, prompt: Prompt, grade: Grade) -> None:
        """Keep or drop a prompt by its grade."""
        bin_name = (
            grade.difficulty.value if grade.difficulty is not None else Difficulty.UNGRADED.value
        )
        self.counts[f"bin_{bin_name}"] += 1
        tally = grade.tally
        said = (
            f"{tally.num_correct} of {tally.num_correct + tally.num_incorrect} verifiable rollouts"
            f" right, {tally.num_drawn} drawn of {self.settings.num_rollouts}"
        )
        if bin_name not in self.settings.keep:
            self.dropped.append(Dropped(index=index, id=prompt.id, reason=bin_name, detail=said))
            return
        facts: dict[str, Any] = {
            "by": self.by,
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
        self.kept.append(dataclasses.replace(prompt, difficulty=bin_name, metadata=metadata))

    def finished(self) -> StageResult:
        """What became of all prompts."""
        counts = {name: count for name, count in self.counts.items() if count}
        return StageResult(kept=tuple(self.kept), dropped=tuple(self.dropped), counts=counts)
