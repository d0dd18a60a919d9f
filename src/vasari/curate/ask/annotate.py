r"""Long chains of thought by a teacher, kept only where they end in the verified answer.

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

from vasari.core.records import Outcome, Prompt, Verdict
from vasari.core.settings import Settings
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
    is_cut_off,
    is_language,
    read_rationale,
    repeated_share,
    words_of,
)
from vasari.curate.stage import AskedModel, Reason, StageResult, sort_out
from vasari.endpoint import Request, Response
from vasari.evaluate.votes import vote_of
from vasari.score import trajectory_diversity
from vasari.verify import verify_answer
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
"""Why a rationale is refused, in the order in which it is asked; a later one came nearer to being
kept."""

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


class AnnotateSettings(Settings):
    """What the teacher is asked for, and which of its rationales are kept."""

    system: str = TEACHER_PROMPT
    """The teacher's instructions; `{language}` stands for the language, other braces are
    doubled."""
    num_rationales: int = Field(default=4, ge=1, le=64)
    """Rationales a prompt, at most."""
    draw_all: bool = False
    """Draw all of them, which measures how the answers differ; else none after the first that
    passes every check."""
    prefer: Literal["first", "shortest", "median", "longest"] = "median"
    """Which of several that pass is kept, by number of words; of an even number, the shorter of the
    two in the middle."""
    seed: int | None = None
    """Sent to the server, which may then answer the same again; None for servers that take none."""
    min_words: int = Field(default=20, ge=1)
    max_words: int = Field(default=8192, ge=1)
    """Bounds for the thought."""
    language: LanguageName = "en"
    min_script_share: float = Field(default=0.95, ge=0.0, le=1.0)
    """Least share of letters in the script of the language."""
    min_function_words: float = Field(default=0.08, ge=0.0, le=1.0)
    """Least share of English function words; for English only."""
    max_repeated_share: float = Field(default=0.4, ge=0.0, le=1.0)
    """Largest share of passages of 8 words that the thought has said before."""

    @model_validator(mode="after")
    def _bounds_leave_room(self) -> AnnotateSettings:
        if self.min_words > self.max_words:
            raise ValueError(f"min_words ({self.min_words}) is above max_words ({self.max_words})")
        try:
            self.instructions()
        except (KeyError, IndexError, ValueError) as error:
            raise ValueError(
                "system may name {language} alone in braces, and other braces are doubled:"
                f" {error!r}"
            ) from error
        return self

    def instructions(self) -> str:
        """The teacher's instructions for the language."""
        return self.system.format(language=_LANGUAGE_NAMES[self.language])


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One rationale, and why it is refused."""

    reason: str
    """One of `REASONS`; empty where it passes."""
    thought: str = ""
    """Empty where the form is wrong."""
    answer: str | None = None
    """The final answer as the verifier read it; None where the form is wrong or none is stated."""
    decided_by: str = ""
    """The rule that decided on the answer, as in `Verdict`."""
    num_words: int = 0
    """Words of the thought."""
    text_reason: str = ""
    """What is against the thought, whatever its answer."""
    verdict: Verdict | None = None
    """Of the final answer; None where the form is wrong."""

    def with_verdict(self, verdict: Verdict) -> Judged:
        """The same rationale after another verdict."""
        reason = _verdict_reason(verdict) or self.text_reason
        return dataclasses.replace(
            self,
            reason=reason,
            verdict=verdict,
            answer=verdict.extraction,
            decided_by=verdict.decided_by,
        )


Group = list[tuple[Response, Judged]]
"""What was drawn for a prompt, in the order of the answers' numbers."""


def annotate(
    prompts: Sequence[Prompt],
    model: AskedModel,
    settings: AnnotateSettings,
    *,
    appeal: Appeal | None = None,
) -> StageResult:
    """Keep the prompts for which the teacher writes a verified rationale, as their solution.

    A kept prompt's `solution` is the teacher's thought, and its target for training ends in the
    reference answer. `metadata["annotation"]` holds the teacher, how many rationales were drawn and
    accepted, their final answers, and how much those differ: `answer_diversity`, the probability
    that two of the answers drawn differ (`1 - sum p^2`), and with two or more thoughts
    `rationale_diversity`, one minus self-BLEU of their words (1 = most diverse).

    Reasons for a drop: those of `REASONS`, the one of the rationale that came nearest;
    "teacher_failed" when every request failed; "unreadable" when none could be made; "not_asked"
    when the run stopped first.

    Args:
        prompts: With or without a solution; what is there is replaced.
        model: The teacher.
        settings: What it is asked for, and what is kept.
        appeal: A judge. It is asked about undecided final answers of rationales that nothing else
            is against, where no rationale of the prompt passes by the rules (with `draw_all`: about
            all of them).
    """
    found, groups = _drawn(prompts, model, settings)
    counts: Counter[str] = Counter()
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
    """The teacher's answers, and what the rules say of each, by position of the prompt."""
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
    """The request to the teacher about one prompt.

    Raises DataError where an image cannot be sent.
    """
    return prompt_request(prompt, model, system=settings.instructions(), seed=settings.seed)


def judge_response(prompt: Prompt, response: Response, settings: AnnotateSettings) -> Judged:
    """One answer of the teacher, judged by rules alone."""
    text = response.text
    if response.reasoning and "<think>" not in text.lower():
        # A server that splits the reasoning off; the answer is left as the model wrote it.
        text = f"<think>{response.reasoning}</think>{text}"
    if response.truncated:
        return Judged(reason="truncated")
    rationale = read_rationale(text)
    if rationale is None:
        return Judged(reason="truncated" if is_cut_off(text) else "off_format")
    verdict = verify_answer(
        f"<answer>{rationale.answer}</answer>", prompt.answer, prompt.choices, prompt.kind
    )
    words = words_of(rationale.thought)
    found = text_reason(rationale.thought, words, settings)
    return Judged(
        reason="", thought=rationale.thought, num_words=len(words), text_reason=found
    ).with_verdict(verdict)


def choose(
    group: Sequence[Judged], prefer: Literal["first", "shortest", "median", "longest"]
) -> int | None:
    """Position of the rationale to keep; None when none passes."""
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
    """The probability that two answers, drawn with replacement, differ.

    `1 - sum p^2` (Gini-Simpson); 0 when all agree or there are none.
    """
    counts = Counter(answers)
    total = len(answers)
    return 1 - sum(count * count for count in counts.values()) / (total * total) if total else 0.0


def _verdict_reason(verdict: Verdict) -> str:
    if verdict.outcome is Outcome.CORRECT:
        return ""
    if verdict.outcome is Outcome.UNVERIFIABLE:
        return "unverifiable"
    # An empty box, or an answer block with two different ones, is a fault of form.
    return "off_format" if verdict.decided_by in ("no_answer", "ambiguous") else "wrong_answer"


def text_reason(thought: str, words: list[str], settings: AnnotateSettings) -> str:
    """Why a thought is refused whatever its answer: one of the last four `REASONS`, or "".

    The words are those of the thought.
    """
    if len(words) < settings.min_words:
        return "too_short"
    if len(words) > settings.max_words:
        return "too_long"
    if not is_language(
        thought,
        settings.language,
        min_script_share=settings.min_script_share,
        min_function_words=settings.min_function_words,
    ):
        return "wrong_language"
    return "repetitive" if repeated_share(words) > settings.max_repeated_share else ""


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
