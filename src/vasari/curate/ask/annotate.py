r"""Annotation stage: a teacher model writes rationales; those with a verified answer are kept.

arXiv:2509.21268, section 5: a strong model writes the rationale of each prompt, and it is kept when
its final answer is the reference. Here up to `num_rationales` are drawn a prompt; each is judged by
rules (form, final answer, length, language, repetition), and of those that pass all one is chosen.
The teacher never sees the reference answer; a judge, where there is one, is asked about final
answers that the rules leave undecided.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from pydantic import Field, model_validator

from vasari.core.records import Prompt, Verdict
from vasari.curate.ask.asking import (
    Appeal,
    PromptAnswers,
    ask_judge,
    ask_prompts,
    once,
    prompt_request,
)
from vasari.curate.ask.rationale_checks import (
    LanguageName,
    TextChecks,
    boxes_reason,
    is_cut_off,
    read_rationale,
    text_reason,
    verdict_reason,
    words_of,
)
from vasari.curate.stage import AskedModel, Reason, StageResult, sort_out
from vasari.endpoint import Request, Response
from vasari.evaluate.votes import vote_of
from vasari.score import trajectory_diversity
from vasari.verify import verify
from vasari.verify.judge import is_undecided

# The form is that of arXiv:2509.21268, appendix D; the wording is ours.
TEACHER_PROMPT: Final = (
    "You are shown a problem, with its picture or pictures if it has any. Solve it the way a"
    " careful expert thinks aloud. First say what the pictures show that matters. Then reason step"
    " by step, with every calculation written out, consider other readings where there are any, and"
    " check the result before you settle on it. Write in {language}.\nWrite all of the reasoning"
    " between <think> and </think>, and after it only the result between <answer> and </answer>,"
    " with the final answer in \\boxed{{}}, like this:\n<think> the reasoning </think><answer>"
    " \\boxed{{final answer}} </answer>\nIf options with letters are given, put only the letter of"
    " the right one in \\boxed{{}}."
)

REASONS: Final = (
    "truncated",
    "off_format",
    "unverifiable",
    "wrong_answer",
    "too_short",
    "too_long",
    "wrong_language",
    "repetitive",
)
"""Reasons to refuse a rationale, in the order in which they are checked; one refused for a later
reason came nearer to being kept."""

_LANGUAGE_NAMES: Final[Mapping[LanguageName, str]] = {
    "en": "English",
    "latin": "the language of the problem",
    "zh": "Chinese",
    "ja": "Japanese",
    "ko": "Korean",
    "ru": "Russian",
    "ar": "Arabic",
    "any": "the language of the problem",
}


class AnnotateSettings(TextChecks):
    """Settings of annotation: how a teacher model is asked for rationales, and which are kept."""

    system: str = TEACHER_PROMPT
    """The teacher's instructions; `{language}` stands for the language, other braces are
    doubled."""
    num_rationales: int = Field(default=4, ge=1, le=64)
    """Most rationales drawn per prompt."""
    draw_all: bool = False
    """Draw all `num_rationales`, which measures how the answers differ; else stop at the first
    rationale that passes every check."""
    prefer: Literal["first", "shortest", "median", "longest"] = "median"
    """Which of several rationales that pass is kept, by number of words; of an even number, the
    median is the shorter of the two in the middle."""
    seed: int | None = None
    """Seed sent to the server, which may then repeat its answers; None for servers that take no
    seed."""

    @model_validator(mode="after")
    def _instructions_can_be_made(self) -> AnnotateSettings:
        try:
            self.instructions()
        except (KeyError, IndexError, ValueError) as error:
            raise ValueError(
                "system may name {language} alone in braces, and other braces are doubled:"
                f" {error!r}"
            ) from error
        return self

    def instructions(self) -> str:
        """Return the teacher model's system prompt with the language filled in."""
        return self.system.format(language=_LANGUAGE_NAMES[self.language])


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A rationale that the teacher model wrote, its verdict, and why it is refused, if it is."""

    reason: str
    """One of `REASONS`; empty where it passes."""
    thought: str = ""
    """Text of the reasoning; empty if the form is wrong."""
    answer: str | None = None
    """The final answer as the verifier read it; None where the form is wrong or none is stated."""
    decided_by: str = ""
    """The rule that decided on the answer, as in `Verdict`."""
    num_words: int = 0
    """Number of words of the thought."""
    text_reason: str = ""
    """Reason to refuse the thought whatever its answer; empty if there is none."""
    verdict: Verdict | None = None
    """Verdict on the final answer; None if the form is wrong."""

    def with_verdict(self, verdict: Verdict) -> Judged:
        """Return a copy of this rationale with another verdict and its new reason for refusal."""
        reason = verdict_reason(verdict) or self.text_reason
        return dataclasses.replace(
            self,
            reason=reason,
            verdict=verdict,
            answer=verdict.extraction,
            decided_by=verdict.decided_by,
        )


Group = list[tuple[Response, Judged]]
"""Responses drawn for a prompt, each with its judgement, in the order of their `index`."""


def annotate(
    prompts: Sequence[Prompt],
    model: AskedModel,
    settings: AnnotateSettings,
    *,
    appeal: Appeal | None = None,
) -> StageResult:
    """Ask a teacher model for rationales; keep prompts with a verified one, as their `solution`.

    A kept prompt's `solution` is the teacher's thought, and its target for training ends in the
    reference answer. `metadata["annotation"]` holds the teacher, how many rationales were drawn and
    accepted, their final answers, and how much those differ: `answer_diversity`, the probability
    that two of the answers drawn differ (`1 - sum p^2`), and with two or more thoughts
    `rationale_diversity`, one minus self-BLEU of their words (1 = most diverse).

    Reasons for a drop: those of `REASONS`, the one of the rationale that came nearest;
    "teacher_failed" when every request failed; "unreadable" when none could be made; "not_asked"
    when the run stopped first.

    Args:
        prompts: With or without a solution, which is replaced.
        model: The teacher model.
        settings: What the teacher is asked for, and what is kept.
        appeal: A judge. It is asked about undecided final answers of rationales that nothing else
            is against, where no rationale of the prompt passes by the rules (with `draw_all`: about
            all of them).
    """
    found, groups = _drawn(prompts, model, settings)
    counts = found.lost("rationales")
    waiting = _appealed(prompts, groups, appeal, counts, draw_all=settings.draw_all)

    def decide(index: int, prompt: Prompt) -> Prompt | Reason:
        if reason := found.unanswered(index, failed="teacher_failed"):
            return reason
        group = groups[index]
        counts.update(f"rationales_{one.reason or 'accepted'}" for _, one in group)
        counts["rationales_failed"] += len(found.answers[index].failures)
        chosen = choose([one for _, one in group], settings.prefer)
        if chosen is not None:
            return _annotated(prompt, model, group, chosen)
        nearest, detail = _refused(group)
        if index in waiting or found.stopped(index):
            who = "judge" if index in waiting else "run"
            return "not_asked", f"the {who} was stopped; {detail}"
        return nearest, detail

    result = sort_out(prompts, decide)
    return dataclasses.replace(result, counts=+counts)


def _drawn(
    prompts: Sequence[Prompt], model: AskedModel, settings: AnnotateSettings
) -> tuple[PromptAnswers, dict[int, Group]]:
    """Draw the teacher's responses and judge each by rules; both by position of the prompt."""
    judge = once(lambda index, response: judge_response(prompts[index], response, settings))

    async def settled(index: int, responses: Sequence[Response]) -> bool:
        # Symbolic comparison may take seconds: the other requests go on meanwhile.
        return not (await asyncio.to_thread(judge, index, responses[-1])).reason

    found = ask_prompts(
        prompts,
        model,
        lambda prompt: annotate_request(prompt, model, settings),
        num_responses=settings.num_rationales,
        settled=None if settings.draw_all else settled,
    )
    groups = {
        i: [(response, judge(i, response)) for response in answers.responses]
        for i, answers in found.answers.items()
    }
    return found, groups


def annotate_request(prompt: Prompt, model: AskedModel, settings: AnnotateSettings) -> Request:
    """Build the request that asks the teacher model for a rationale of one prompt.

    Raises DataError where an image cannot be sent.
    """
    return prompt_request(prompt, model, system=settings.instructions(), seed=settings.seed)


def judge_response(prompt: Prompt, response: Response, settings: AnnotateSettings) -> Judged:
    """Judge one response of the teacher model by rules alone, without a judge model."""
    text = response.text
    if response.reasoning and "<think>" not in text.lower():
        # A server that splits the reasoning off; the answer is left as the model wrote it.
        text = f"<think>{response.reasoning}</think>{text}"
    if response.truncated:
        return Judged(reason="truncated")
    rationale = read_rationale(text)
    if rationale is None:
        return Judged(reason="truncated" if is_cut_off(text) else "off_format")
    verdict = verify(f"<answer>{rationale.answer}</answer>", prompt)
    words = words_of(rationale.thought)
    found = boxes_reason(rationale.thought, prompt) or text_reason(
        rationale.thought, words, settings
    )
    return Judged(
        reason="", thought=rationale.thought, num_words=len(words), text_reason=found
    ).with_verdict(verdict)


def choose(
    group: Sequence[Judged], prefer: Literal["first", "shortest", "median", "longest"]
) -> int | None:
    """Position in `group` (a prompt's rationales) of the one to keep; None if all are refused."""
    passing = [place for place, one in enumerate(group) if not one.reason]
    if not passing:
        return None
    by_length = sorted(passing, key=lambda place: (group[place].num_words, place))
    return {
        "first": passing[0],
        "shortest": by_length[0],
        "median": by_length[(len(by_length) - 1) // 2],
        "longest": by_length[-1],
    }[prefer]


def answer_diversity(answers: Sequence[str]) -> float:
    """Probability that two of `answers`, drawn at random with replacement, differ.

    `1 - sum p^2` (Gini-Simpson); 0 when all agree or there are none.
    """
    counts = Counter(answers)
    total = len(answers)
    return 1 - sum(count * count for count in counts.values()) / (total * total) if total else 0.0


def _appealed(
    prompts: Sequence[Prompt],
    groups: dict[int, Group],
    appeal: Appeal | None,
    counts: Counter[str],
    *,
    draw_all: bool,
) -> set[int]:
    """Replace undecided verdicts by the judge's, and return the prompts that still wait for it.

    Those wait whose judge was stopped before it had decided all cases.
    """
    if appeal is None:
        return set()
    cases: dict[tuple[int, int], tuple[Prompt, Verdict, str]] = {}
    for index in sorted(groups):
        prompt, group = prompts[index], groups[index]
        if not draw_all and any(not one.reason for _, one in group):
            continue
        for place, (_, one) in enumerate(group):
            verdict = one.verdict
            if verdict is None or one.text_reason:
                continue
            if is_undecided(verdict, prompt.answer, prompt.choices):
                cases[index, place] = prompt, verdict, f"\\boxed{{{one.answer}}}"
    verdicts, stopped = ask_judge(cases, appeal, counts)
    for (index, place), verdict in verdicts.items():
        response, one = groups[index][place]
        groups[index][place] = response, one.with_verdict(verdict)
    return {index for index, _ in cases} if stopped else set()


def _annotated(prompt: Prompt, model: AskedModel, group: Group, chosen: int) -> Prompt:
    response, best = group[chosen]
    thoughts = [words_of(one.thought) for _, one in group if one.thought]
    votes = [vote for _, one in group if (vote := vote_of(one.answer, prompt)) is not None]
    facts: dict[str, Any] = {
        "teacher": model.model,
        "served_by": response.model,
        "drawn": len(group),
        "accepted": sum(not one.reason for _, one in group),
        "chosen": response.index,
        "num_words": best.num_words,
        "decided_by": best.decided_by,
        "answers": votes,
        "answer_diversity": round(answer_diversity(votes), 4),
    }
    if len(thoughts) > 1:
        facts["rationale_diversity"] = round(trajectory_diversity(thoughts), 4)
    # "final" is the answer of the solution that stood here before; without it the target ends in
    # the reference.
    metadata = {name: value for name, value in prompt.metadata.items() if name != "final"} | {
        "annotation": facts
    }
    return dataclasses.replace(prompt, solution=best.thought, metadata=metadata)


def _refused(group: Group) -> Reason:
    """The reason of the rationale that came nearest to being kept, and the counts of all."""
    reasons = Counter(one.reason for _, one in group)
    nearest = max(reasons, key=REASONS.index)
    found = ", ".join(f"{name} {reasons[name]}" for name in REASONS if reasons[name])
    return nearest, f"{len(group)} drawn: {found}"
